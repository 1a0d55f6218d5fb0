//! What a program's end was like.

use std::fmt;

use crate::peer::ShutdownReport;

/// Why a program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// `SIGINT` came.
    Interrupt,
    /// `SIGTERM` came.
    Terminate,
    /// [`Graceful::shutdown`](super::Graceful::shutdown) was called.
    Call,
    /// Another process has taken over.
    Reboot {
        /// Its number.
        pid: u32,
    },
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupt => f.write_str("SIGINT"),
            Self::Terminate => f.write_str("SIGTERM"),
            Self::Call => f.write_str("asked to"),
            Self::Reboot { pid } => write!(f, "process {pid} has taken over"),
        }
    }
}

/// What became of a program's peers. [`fmt::Display`] says it in a line for each.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Ending {
    /// Why it ended.
    pub cause: Cause,
    /// The reports of the peers, in the order in which they were given.
    pub reports: Vec<ShutdownReport>,
    /// How many of the steps before and after did not come to their end in time.
    pub steps_cut: usize,
}

impl Ending {
    /// Whether nothing was cut off or lost.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.steps_cut == 0 && self.reports.iter().all(ShutdownReport::is_complete)
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.cause)?;
        for (number, report) in self.reports.iter().enumerate() {
            f.write_str(if number == 0 { ": " } else { "\n" })?;
            write!(f, "{report}")?;
        }
        if self.steps_cut > 0 {
            write!(f, "; {} steps before or after cut off", self.steps_cut)?;
        }
        Ok(())
    }
}
