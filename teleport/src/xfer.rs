//! Transfer filters.

/// The filters a message goes through, outermost first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct XferPipe {
    ids: Vec<u8>,
}

impl XferPipe {
    /// Takes the ids of a received message, which a protocol has checked already.
    pub(crate) fn from_wire(ids: &[u8]) -> Self {
        Self { ids: ids.to_vec() }
    }

    /// The ids, outermost first.
    #[must_use]
    pub fn ids(&self) -> &[u8] {
        &self.ids
    }
}
