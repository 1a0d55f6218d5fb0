//! What becomes of messages that no handler takes, and who is told.

use std::sync::Arc;

use super::Stop;
use crate::codec;
use crate::message::{seq, uri};
use crate::rerror::Rerror;
use crate::router::Tables;
use crate::router::handler::DecodeFail;
use crate::session::answer::Answer;
use crate::session::inner::Inner;
use crate::session::log::{self, Record};

#[cold]
pub(in crate::session) fn stray(inner: &Inner, seq: &[u8]) {
    tracing::debug!(
        remote = %inner.remote,
        seq = %seq::Seq::from(seq),
        "a reply came that nobody waits for"
    );
}

#[cold]
pub(in crate::session) fn invalid_uri() -> Rerror {
    Rerror::bad_message("invalid URI for message")
}

/// Says which route was meant, perhaps.
#[cold]
pub(in crate::session) fn not_found(inner: &Inner, tables: &Tables, uri: &[u8]) {
    if !tracing::enabled!(tracing::Level::INFO) {
        return;
    }
    let uri = uri::Uri::new(uri);
    let nearest = tables.calls.nearest(uri.path()).unwrap_or("none");
    tracing::info!(
        remote = %inner.remote,
        path = %log::printable(uri.path_bytes()),
        nearest,
        "there is no such route for calls"
    );
}

/// A body without a codec that does not decode ends the connection; any other is error 400.
#[cold]
pub(in crate::session) fn undecoded(
    inner: &Arc<Inner>,
    codec: u8,
    answer: Answer,
    fail: &DecodeFail,
) -> Result<(), Stop> {
    let rerror = fail.to_rerror();
    if codec == codec::NONE {
        return Err(no_codec(&rerror));
    }
    answer.refuse(inner, &rerror);
    Ok(())
}

#[cold]
pub(in crate::session) fn no_codec(rerror: &Rerror) -> Stop {
    Stop(format!(
        "a body without a codec does not decode: {}",
        rerror.reason()
    ))
}

/// A push is over; nobody but the log is told.
pub(in crate::session) fn push_done(
    inner: &Inner,
    record: Option<Box<Record>>,
    uri: &[u8],
    error: Option<&Rerror>,
) {
    match (record, error) {
        (Some(record), error) => record.write(&inner.remote, error),
        (None, Some(error)) => tracing::warn!(
            remote = %inner.remote,
            uri = %log::printable(uri),
            error = %log::printable(error.to_string().as_bytes()),
            "a push was not handled"
        ),
        (None, None) => {}
    }
}

impl DecodeFail {
    #[cold]
    pub(in crate::session) fn to_rerror(&self) -> Rerror {
        match self {
            Self::Codec(error) => Rerror::bad_message(error.to_string()),
            Self::Panic(text) => Rerror::internal(text.clone()),
        }
    }
}
