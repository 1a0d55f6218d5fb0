//! Configurations that are made from files or text, and made again while connections go on.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_rustls::rustls;

use crate::error::Error;

/// What a configuration is made from.
pub(super) trait Source {
    type Config;

    /// Whether any of it is in files, so that there is something to read again.
    fn has_files(&self) -> bool;

    /// Makes the configuration.
    fn read(&self) -> Result<Arc<Self::Config>, Error>;
}

/// A configuration of rustls, and what it was made from unless it came ready.
pub(super) struct Sourced<S: Source> {
    source: Option<S>,
    config: ArcSwap<S::Config>,
}

impl<S: Source> Sourced<S> {
    pub(super) fn read(source: S) -> Result<Self, Error> {
        Ok(Self {
            config: ArcSwap::new(source.read()?),
            source: Some(source),
        })
    }

    pub(super) fn ready(config: Arc<S::Config>) -> Self {
        Self {
            source: None,
            config: ArcSwap::new(config),
        }
    }

    pub(super) fn source(&self) -> Option<&S> {
        self.source.as_ref()
    }

    pub(super) fn config(&self) -> Arc<S::Config> {
        self.config.load_full()
    }

    pub(super) fn replace(&self, config: Arc<S::Config>) {
        self.config.store(config);
    }

    /// Makes the configuration again; one that cannot be made changes nothing.
    pub(super) fn reload(&self, what: impl fmt::Display) -> Result<(), Error> {
        let Some(source) = self.source().filter(|source| source.has_files()) else {
            return Err(Error::config(format!(
                "this {what} was made without files, so there is nothing to read again; hand a \
                 new configuration to `replace`"
            )));
        };
        self.replace(source.read()?);
        Ok(())
    }
}

/// The cryptography refuses to work at all.
pub(super) fn unusable(error: rustls::Error) -> Error {
    Error::config("the cryptography cannot be used").with_source(error)
}
