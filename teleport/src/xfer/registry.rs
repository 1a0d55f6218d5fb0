use std::{fmt, sync::Arc};

use super::{FilterError, FilterErrorKind, XferFilter};

/// The transfer filters that a peer knows, by id.
///
/// The default holds what the features give: `gzip-5` under `g` and `md5` under `m`. A clone is
/// cheap and independent: registering in one leaves the other as it is.
#[derive(Clone)]
pub struct Filters(Arc<Vec<Arc<dyn XferFilter>>>);

impl Filters {
    /// Creates a registry without any filter.
    #[must_use]
    pub fn empty() -> Self {
        Self(Arc::default())
    }

    /// Adds a filter.
    ///
    /// # Errors
    ///
    /// Fails when the id or the name is taken; the error names both filters.
    pub fn register(&mut self, filter: impl XferFilter) -> Result<(), FilterError> {
        let (id, name) = (filter.id(), filter.name());
        let taken = self
            .0
            .iter()
            .find(|known| known.id() == id || known.name() == name);
        if let Some(known) = taken {
            return Err(FilterError::new(
                FilterErrorKind::Taken,
                format!(
                    "transfer filter {name} (id {id}) cannot be registered beside {} (id {})",
                    known.name(),
                    known.id()
                ),
            ));
        }
        Arc::make_mut(&mut self.0).push(Arc::new(filter));
        Ok(())
    }

    /// Returns the filter with this id.
    #[must_use]
    pub fn get(&self, id: u8) -> Option<&Arc<dyn XferFilter>> {
        self.0.iter().find(|filter| filter.id() == id)
    }

    /// Returns the filter with this name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Arc<dyn XferFilter>> {
        self.0.iter().find(|filter| filter.name() == name)
    }

    /// Returns whether the id is registered.
    #[must_use]
    pub fn contains(&self, id: u8) -> bool {
        self.get(id).is_some()
    }

    /// Goes through the filters, in the order of their registration.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn XferFilter>> {
        self.0.iter()
    }

    /// The filter with this id, or the error that says that there is none.
    pub(crate) fn find(&self, id: u8) -> Result<&Arc<dyn XferFilter>, FilterError> {
        self.get(id).ok_or_else(|| FilterError::unknown(id))
    }
}

impl Default for Filters {
    fn default() -> Self {
        let filters: Vec<Arc<dyn XferFilter>> = vec![
            #[cfg(feature = "gzip")]
            Arc::new(super::Gzip::default()),
            #[cfg(feature = "md5")]
            Arc::new(super::Md5::default()),
        ];
        Self(Arc::new(filters))
    }
}

impl fmt::Debug for Filters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.0.iter().map(|filter| (filter.id(), filter.name())))
            .finish()
    }
}
