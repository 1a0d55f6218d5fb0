//! Transfer filters.

/// The filters a message goes through, outermost first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct XferPipe {
    ids: Vec<u8>,
}

impl XferPipe {
    /// The ids, outermost first.
    #[must_use]
    pub fn ids(&self) -> &[u8] {
        &self.ids
    }
}
