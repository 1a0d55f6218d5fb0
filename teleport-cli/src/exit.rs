//! How the program ends.

use std::process::ExitCode;

use teleport::rerror::{Rerror, code};
use teleport::socket::SocketError;
use teleport::{Error, ErrorKind};

/// The other peer answered with an error.
const ANSWERED: u8 = 1;
/// The command line is wrong, or asks for what cannot be sent.
const USAGE: u8 = 2;
/// No connection, or not to its end.
pub(crate) const CONNECTION: u8 = 3;
/// The time ran out.
const TIMEOUT: u8 = 4;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What is on the command line cannot be done.
    Usage(String),
    /// Something happened; the error is the last line of the program.
    Error { exit: u8, error: Rerror },
}

impl Failure {
    /// The other peer answered with an error.
    pub(crate) fn answered(error: Rerror) -> Self {
        Self::Error {
            exit: ANSWERED,
            error,
        }
    }

    /// The connection could not be made, or was lost.
    pub(crate) fn connection(error: Rerror) -> Self {
        Self::Error {
            exit: CONNECTION,
            error,
        }
    }

    /// The time ran out.
    pub(crate) fn timeout(reason: String) -> Self {
        Self::Error {
            exit: TIMEOUT,
            error: Rerror::timeout(reason),
        }
    }

    /// What was to be sent cannot be encrypted, and is not sent.
    pub(crate) fn cannot_encrypt(error: &Rerror) -> Self {
        Self::Usage(format!(
            "the message cannot be encrypted: {}",
            error.reason()
        ))
    }

    pub(crate) fn code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => USAGE.into(),
            Self::Error { exit, .. } => (*exit).into(),
        }
    }
}

/// The codes of failures of this end.
const LOCAL: std::ops::RangeInclusive<i32> = 100..=199;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = match error.kind() {
            ErrorKind::Remote => ANSWERED,
            // By the other side's plugin; one of this side's fails with a code for local failures.
            ErrorKind::Refused if error.rerror().is_some_and(|e| !LOCAL.contains(&e.code())) => {
                ANSWERED
            }
            ErrorKind::Encode | ErrorKind::Config => USAGE,
            ErrorKind::Timeout => TIMEOUT,
            _ => CONNECTION,
        };
        let error = Rerror::from(error);
        match exit {
            USAGE => Self::Usage(error.reason().to_owned()),
            exit => Self::Error { exit, error },
        }
    }
}

/// For what is written alone.
impl From<SocketError> for Failure {
    fn from(error: SocketError) -> Self {
        match error {
            SocketError::Io(error) => Self::connection(Rerror::write_failed(error.to_string())),
            error => Self::Usage(format!("the message cannot be packed: {error}")),
        }
    }
}

/// An error of this program's own surroundings.
pub(crate) fn surroundings(what: &str, error: &dyn std::error::Error) -> Failure {
    Failure::Error {
        exit: ANSWERED,
        error: Rerror::from_code(code::UNKNOWN).with_reason(format!("{what}: {error}")),
    }
}
