//! Several protocols on one port.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::BytesMut;

use super::{
    Body, Env, JsonProto, Pack, PbProto, Proto, ProtoError, ProtoErrorKind, RawProto, Sniff, Unpack,
};
use crate::message::{Frame, Head, text::quoted};

/// How many of the bytes that nobody knows an error shows.
const SHOWN: usize = 16;

/// Several protocols on one port, told apart by the first bytes of each connection.
///
/// What has come first decides for both directions of a connection. Whoever speaks before anything
/// has come, speaks the first protocol of the list, and the other end has to do so too; a side that
/// dials and calls is such a one.
///
/// A protocol of one's own takes part when it implements [`Proto::recognise`].
///
/// # Examples
///
/// ```
/// use teleport::proto::{AnyOf, JsonProto, RawProto};
/// use teleport::{Peer, Rerror, UnknownCallCtx};
///
/// async fn hello(_ctx: &mut UnknownCallCtx) -> Result<String, Rerror> {
///     Ok("hello".to_owned())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), teleport::Error> {
/// let server = Peer::builder().proto(AnyOf::new(RawProto).or(JsonProto)).build()?;
/// server.set_unknown_call(hello)?;
/// let address = server.listen_on("127.0.0.1:0").await?;
///
/// let client = Peer::builder().build()?;
/// let by_raw = client.dial(&address).await?;
/// let by_json = client.dial(&address).proto(JsonProto).await?;
/// for session in [by_raw, by_json] {
///     let answer: String = session.call("/anything", ()).await?;
///     assert_eq!(answer, "hello");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct AnyOf {
    protos: Arc<[Arc<dyn Proto>]>,
}

impl AnyOf {
    /// Starts the list with the protocol that is spoken when nothing has come yet.
    #[must_use]
    pub fn new(first: impl Proto) -> Self {
        Self {
            protos: Arc::from([Arc::new(first) as Arc<dyn Proto>]),
        }
    }

    /// Adds a protocol. Of two that recognise the same bytes the earlier one has them.
    #[must_use]
    pub fn or(self, next: impl Proto) -> Self {
        let next: Arc<dyn Proto> = Arc::new(next);
        Self {
            protos: self.protos.iter().cloned().chain([next]).collect(),
        }
    }

    /// All protocols that this crate knows for streams: raw, json and pb, in this order.
    #[must_use]
    pub fn known() -> Self {
        Self::new(RawProto).or(JsonProto).or(PbProto)
    }

    fn first(&self) -> Option<&Arc<dyn Proto>> {
        self.protos.first()
    }
}

impl fmt::Debug for AnyOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AnyOf").field(&self.names()).finish()
    }
}

impl Proto for AnyOf {
    /// Returns those of the first protocol of the list.
    fn version(&self) -> (u8, &'static str) {
        self.first().map_or((0, "none"), Proto::version)
    }

    fn split(&self) -> (Box<dyn Pack>, Box<dyn Unpack>) {
        let (packs, unpacks) = self.protos.iter().map(Proto::split).unzip();
        let choice = Arc::new(Choice {
            protos: Arc::clone(&self.protos),
            packs,
            made: OnceLock::new(),
        });
        let pack = AnyPack(Arc::clone(&choice));
        (Box::new(pack), Box::new(AnyUnpack { choice, unpacks }))
    }

    fn recognise(&self, env: &Env, bytes: &[u8]) -> Sniff {
        match choose(&self.protos, env, bytes) {
            Ok(_) => Sniff::Yes,
            Err(other) => other,
        }
    }

    fn names(&self) -> Vec<&'static str> {
        self.protos.iter().flat_map(Proto::names).collect()
    }
}

/// The first that knows the bytes, or what all of them together say. One that is sure goes before
/// one that wants to see more: else a peer that waits for an answer would wait for ever.
fn choose(protos: &[Arc<dyn Proto>], env: &Env, bytes: &[u8]) -> Result<usize, Sniff> {
    let mut all = Sniff::No;
    for (at, proto) in protos.iter().enumerate() {
        match proto.recognise(env, bytes) {
            Sniff::Yes => return Ok(at),
            Sniff::More => all = Sniff::More,
            Sniff::No => {}
        }
    }
    Err(all)
}

/// What both directions of a connection share.
struct Choice {
    protos: Arc<[Arc<dyn Proto>]>,
    packs: Vec<Box<dyn Pack>>,
    made: OnceLock<usize>,
}

impl Choice {
    /// The protocol to pack by, which is chosen by this if it was not before.
    fn pack(&self) -> Result<&dyn Pack, ProtoError> {
        let pack = self.packs.get(*self.made.get_or_init(|| 0));
        pack.map(|pack| &**pack).ok_or_else(lost)
    }
}

struct AnyPack(Arc<Choice>);

impl Pack for AnyPack {
    fn pack(
        &self,
        env: &Env,
        head: &Head<'_>,
        body: Body<'_>,
        dst: &mut BytesMut,
    ) -> Result<(), ProtoError> {
        self.0.pack()?.pack(env, head, body, dst)
    }

    fn pack_head(
        &self,
        env: &Env,
        head: &Head<'_>,
        body_len: usize,
        dst: &mut BytesMut,
    ) -> Option<Result<(), ProtoError>> {
        match self.0.pack() {
            Ok(pack) => pack.pack_head(env, head, body_len, dst),
            Err(error) => Some(Err(error)),
        }
    }

    fn chosen(&self) -> Option<(u8, &'static str)> {
        let at = *self.0.made.get()?;
        let inner = self.0.packs.get(at)?.chosen();
        inner.or_else(|| Some(self.0.protos.get(at)?.version()))
    }
}

struct AnyUnpack {
    choice: Arc<Choice>,
    unpacks: Vec<Box<dyn Unpack>>,
}

impl AnyUnpack {
    /// The protocol of the connection, which the bytes decide if nothing did before; `None` while
    /// they do not tell.
    fn choose(&self, env: &Env, src: &[u8], whole: bool) -> Result<Option<usize>, ProtoError> {
        let Choice { protos, made, .. } = &*self.choice;
        if let Some(made) = made.get() {
            return Ok(Some(*made));
        }
        if src.is_empty() && !whole {
            return Ok(None);
        }
        match choose(protos, env, src) {
            Ok(at) => Ok(Some(*made.get_or_init(|| at))),
            Err(Sniff::More) if !whole => Ok(None),
            Err(_) => Err(nobodys(protos, src)),
        }
    }
}

impl Unpack for AnyUnpack {
    fn unpack<'a>(
        &'a mut self,
        env: &Env,
        src: &'a [u8],
        whole: bool,
    ) -> Result<Option<(Frame<'a>, usize)>, ProtoError> {
        let Some(chosen) = self.choose(env, src, whole)? else {
            return Ok(None);
        };
        let unpack = self.unpacks.get_mut(chosen).ok_or_else(lost)?;
        unpack.unpack(env, src, whole)
    }

    fn frame_len(&self, src: &[u8]) -> Option<usize> {
        let chosen = *self.choice.made.get()?;
        self.unpacks.get(chosen)?.frame_len(src)
    }

    fn release(&mut self) {
        for unpack in &mut self.unpacks {
            unpack.release();
        }
    }
}

#[cold]
fn nobodys(protos: &[Arc<dyn Proto>], src: &[u8]) -> ProtoError {
    let names: Vec<_> = protos.iter().flat_map(Proto::names).collect();
    let shown = quoted(src.get(..SHOWN).unwrap_or(src));
    ProtoError::new(
        ProtoErrorKind::BadVersion,
        format!(
            "none of the protocols {} begins with {shown}",
            names.join(", ")
        ),
    )
}

/// A choice is always one of the list; this only keeps the compiler content.
#[cold]
fn lost() -> ProtoError {
    ProtoError::new(ProtoErrorKind::BadInput, "no protocol was chosen")
}

#[cfg(test)]
mod tests;
