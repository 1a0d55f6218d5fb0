//! `teleport wire`: frames in hex to JSON objects and back, line by line.
//!
//! A line that is no frame, or no such object, gives an object with `error` and `kind`. The kinds
//! are those of [`ProtoErrorKind`]: among them `bad_length` for a seq, uri or meta that is too
//! long, `bad_field` for a number that is out of range, and `bad_input` for what has the wrong
//! form altogether. An empty line is an incomplete frame.

mod decode;
mod encode;

use std::io::{self, BufRead, Write};

use serde::Serialize;
use teleport::{
    proto::{Env, Limits, Pack, ProtoError, ProtoErrorKind, Unpack},
    xfer::FilterError,
};

use crate::{
    args::{WireAction, WireArgs},
    show::to_json,
};

/// Answers each line of `input` with a line, until the input ends.
pub(crate) fn run(
    args: &WireArgs,
    mut input: impl BufRead,
    mut output: impl Write,
) -> io::Result<()> {
    let mut wire = Wire::new(args);
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line)? != 0 {
        let mut answer = wire.answer(&line);
        answer.push('\n');
        output.write_all(answer.as_bytes())?;
        output.flush()?;
        line.clear();
    }
    Ok(())
}

/// One protocol, ready for lines.
struct Wire {
    action: WireAction,
    env: Env,
    pack: Box<dyn Pack>,
    unpack: Box<dyn Unpack>,
}

impl Wire {
    fn new(args: &WireArgs) -> Self {
        let (pack, unpack) = args.proto.proto().split();
        let env = Env {
            limits: Limits::with_message(args.limit),
            ..Env::default()
        };
        Self {
            action: args.action,
            env,
            pack,
            unpack,
        }
    }

    /// The answer to a line, without its end.
    fn answer(&mut self, line: &[u8]) -> String {
        let answer = match self.action {
            WireAction::Decode => decode::line(&self.env, &mut *self.unpack, line),
            WireAction::Encode => encode::line(&self.env, &*self.pack, line),
        };
        answer.unwrap_or_else(|refusal| to_json(&refusal))
    }
}

/// Why a line has no answer.
#[derive(Debug, Serialize)]
struct Refusal {
    error: String,
    kind: &'static str,
}

impl Refusal {
    fn new(kind: ProtoErrorKind, error: impl Into<String>) -> Self {
        Self {
            error: error.into(),
            kind: kind.as_str(),
        }
    }

    fn bad_input(error: impl Into<String>) -> Self {
        Self::new(ProtoErrorKind::BadInput, error)
    }
}

impl From<ProtoError> for Refusal {
    fn from(error: ProtoError) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

impl From<FilterError> for Refusal {
    fn from(error: FilterError) -> Self {
        ProtoError::from(error).into()
    }
}

#[cfg(test)]
mod tests;
