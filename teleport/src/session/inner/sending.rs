//! Packing messages, and handing them over to the queue or to the batch of the read loop.

use bytes::{Bytes, BytesMut};

use super::Inner;
use super::state::LOOK_OUT;
use crate::codec::CodecError;
use crate::error::{Error, ErrorKind};
use crate::message::Head;
use crate::proto::{Body, ProtoError};
use crate::session::outbound::{After, CHAIN_FROM, FLUSH_AT, Put, When};
use crate::session::{batch, scratch};

/// What a message's body is made from.
pub(in crate::session) enum Payload<'a> {
    /// Ready bytes.
    Bytes(&'a Bytes),
    /// Something to be encoded straight behind the head.
    Encode(&'a mut dyn FnMut(&mut BytesMut) -> Result<(), CodecError>),
}

impl Payload<'_> {
    /// The same, for a shorter while.
    fn lend(&mut self) -> Payload<'_> {
        match self {
            Self::Bytes(bytes) => Payload::Bytes(bytes),
            Self::Encode(encode) => Payload::Encode(&mut **encode),
        }
    }
}

impl Inner {
    /// Packs a message outside all locks. A large body that can follow as it is comes back.
    pub(in crate::session) fn pack(
        &self,
        head: &Head<'_>,
        payload: Payload<'_>,
        dst: &mut BytesMut,
    ) -> Result<Option<Bytes>, ProtoError> {
        let env = self.env();
        match payload {
            Payload::Bytes(bytes) => {
                if bytes.len() >= CHAIN_FROM
                    && let Some(result) = self.pack.pack_head(env, head, bytes.len(), dst)
                {
                    return result.map(|()| Some(bytes.clone()));
                }
                self.pack.pack(env, head, Body::Bytes(bytes), dst)?;
            }
            Payload::Encode(encode) => {
                let mut write = |dst: &mut BytesMut| encode(dst).map_err(ProtoError::from);
                self.pack.pack(env, head, Body::Write(&mut write), dst)?;
            }
        }
        Ok(None)
    }

    /// Packs a message and hands it over. Returns the size of the frame.
    pub(in crate::session) fn send(
        &self,
        head: &Head<'_>,
        payload: Payload<'_>,
        when: When,
    ) -> Result<Put, Error> {
        let mut buffer = scratch::take_pack();
        let body = self.pack(head, payload, &mut buffer).map_err(pack_error)?;
        let put = self.put(&buffer, body.as_ref(), when);
        scratch::give_pack(buffer);
        put
    }

    /// Hands over bytes of whole frames.
    pub(in crate::session) fn put(
        &self,
        bytes: &[u8],
        body: Option<&Bytes>,
        when: When,
    ) -> Result<Put, Error> {
        match self.out.put(bytes, body, when) {
            Ok(put) => {
                if put.after == After::Wake {
                    self.look(LOOK_OUT);
                }
                Ok(put)
            }
            Err(_) => Err(self.no_more_writes()),
        }
    }

    #[cold]
    fn no_more_writes(&self) -> Error {
        Error::closed(format!("the connection with {} is closed", self.remote)).not_run()
    }

    /// Hands over the replies that the read loop has collected, if this is its thread.
    pub(in crate::session) fn flush_batch(&self) {
        batch::with(self.number, |buffer| {
            if !buffer.is_empty() {
                if self.put(buffer, None, When::Now).is_err() {
                    tracing::debug!(
                        remote = %self.remote,
                        "replies were lost: the connection is closed"
                    );
                }
                buffer.clear();
            }
        });
    }

    /// Packs a reply: into the batch of the read loop if it is made in place, else by the queue.
    /// Returns the size of the frame.
    pub(in crate::session) fn send_reply(
        &self,
        head: &Head<'_>,
        mut payload: Payload<'_>,
    ) -> Result<usize, Error> {
        let is_large = matches!(&payload, Payload::Bytes(b) if b.len() >= CHAIN_FROM);
        if !is_large {
            let in_batch = batch::with(self.number, |buffer| {
                let start = buffer.len();
                self.pack(head, payload.lend(), buffer)
                    .map_err(pack_error)?;
                let size = buffer.len() - start;
                if buffer.len() >= FLUSH_AT {
                    let _ = self.put(buffer, None, When::Now)?;
                    buffer.clear();
                }
                Ok(size)
            });
            if let Some(result) = in_batch {
                return result;
            }
        }
        // With others waiting too, one write a turn later carries more than one reply.
        let when = if self.running() > 1 {
            When::Soon
        } else {
            When::Now
        };
        self.send(head, payload, when).map(|put| put.size)
    }
}

/// A failure to pack, as the caller should see it.
#[cold]
pub(in crate::session) fn pack_error(error: ProtoError) -> Error {
    match error.into_codec_error() {
        Ok(error) => Error::encode(error),
        Err(error) => {
            Error::new(ErrorKind::Encode, "the message cannot be packed").with_source(error)
        }
    }
}
