//! What is said about a message before it is sent; calls and pushes share it.

use std::time::Duration;

use super::Session;
use super::caller::Request;
use crate::codec;
use crate::error::Error;
use crate::message::{Head, Header, Meta, Mtype, Seq, Uri};
use crate::xfer::XferPipe;

/// What is said about a message before it is sent; calls and pushes share it.
#[derive(Debug, Default)]
pub(super) struct Options<'a> {
    uri: UriText<'a>,
    pub(super) meta: Meta,
    pub(super) codec: u8,
    pub(super) xfer: Vec<u8>,
    pub(super) seq: Option<Seq>,
    pub(super) timeout: Option<Duration>,
    pub(super) idempotent: bool,
}

/// A uri as it was given, until something is changed in it.
#[derive(Debug)]
enum UriText<'a> {
    Given(&'a [u8]),
    Changed(Uri),
}

impl Default for UriText<'_> {
    fn default() -> Self {
        Self::Given(b"")
    }
}

impl<'a> Options<'a> {
    pub(super) fn new(session: &Session, uri: &'a [u8]) -> Self {
        let settings = session.0.shared.call_defaults();
        Self {
            uri: UriText::Given(uri),
            codec: settings.codec,
            timeout: session.0.call_timeout(),
            ..Self::default()
        }
    }

    pub(super) fn of_request(session: &Session, request: &'a Request) -> Self {
        let mut options = Self::new(session, request.uri.as_bytes());
        options.meta = request.meta.clone();
        options.set_codec(request.body_codec);
        options.xfer.clone_from(&request.xfer);
        options.seq.clone_from(&request.seq);
        if request.seq.is_some() {
            session.0.note_hand_set();
        }
        options.timeout = request.timeout.or(options.timeout);
        options.idempotent = request.idempotent;
        options
    }

    /// Codec 0 stands for the default, on the wire too.
    pub(super) fn set_codec(&mut self, codec: u8) {
        if codec != codec::NONE {
            self.codec = codec;
        }
    }

    pub(super) fn uri(&self) -> &[u8] {
        match &self.uri {
            UriText::Given(uri) => uri,
            UriText::Changed(uri) => uri.as_bytes(),
        }
    }

    pub(super) fn add_query(&mut self, key: &str, value: &str) {
        let mut uri = Uri::new(self.uri());
        uri.add_query(key, value);
        self.uri = UriText::Changed(uri);
    }

    pub(super) fn head<'b>(&'b self, mtype: Mtype, seq: &'b Seq, meta: &'b [u8]) -> Head<'b> {
        Head {
            seq: seq.as_bytes(),
            mtype,
            uri: self.uri(),
            meta,
            body_codec: self.codec,
            xfer: &self.xfer,
        }
    }

    pub(super) fn header(&self, mtype: Mtype, seq: Seq) -> Result<Header, Error> {
        let xfer = XferPipe::from_ids(&self.xfer)
            .map_err(|e| Error::config("the transfer filters do not fit").with_source(e))?;
        Ok(Header {
            seq,
            mtype,
            uri: Uri::new(self.uri()),
            meta: self.meta.clone(),
            body_codec: self.codec,
            xfer,
        })
    }
}
