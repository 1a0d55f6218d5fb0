//! The signals that a program ends or reboots by.

use std::future::pending;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::ending::Cause;
use crate::error::{Error, ErrorKind};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    End(Cause),
    Reboot,
}

/// The signals, from the moment on at which this was made.
pub(super) struct Signals(Option<[Signal; 3]>);

impl Signals {
    pub(super) fn install() -> Result<Self, Error> {
        let listen = |kind| {
            signal(kind).map_err(|e| {
                Error::new(ErrorKind::Io, "the signals cannot be waited for").with_source(e)
            })
        };
        Ok(Self(Some([
            listen(SignalKind::interrupt())?,
            listen(SignalKind::terminate())?,
            listen(SignalKind::user_defined2())?,
        ])))
    }

    /// For a program that looks after its signals itself.
    pub(super) const fn none() -> Self {
        Self(None)
    }

    /// The next signal. Cancel safe.
    pub(super) async fn next(&mut self) -> Asked {
        let Some([interrupt, terminate, reboot]) = &mut self.0 else {
            return pending().await;
        };
        // A stream of signals never ends.
        tokio::select! {
            _ = interrupt.recv() => Asked::End(Cause::Interrupt),
            _ = terminate.recv() => Asked::End(Cause::Terminate),
            _ = reboot.recv() => Asked::Reboot,
        }
    }
}
