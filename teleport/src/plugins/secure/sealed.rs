//! Sessions whose messages are all encrypted and authenticated.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use zeroize::Zeroizing;

use self::channel::{Channel, Outside, Refused};
use super::hex;
use crate::context::{ReadCtx, WriteCtx};
use crate::message::{Message, Mtype};
use crate::peer::PeerConfig;
use crate::plugin::{Hook, Hooks, Plugin, PluginContainer};
use crate::session::Guard;
use crate::{Error, ErrorKind, PreSession, Rerror, Session};

mod channel;
mod handshake;
mod window;

/// The code of the errors of this plugin, unless it is set.
const CODE: i32 = 100_001;

/// The shortest key, in bytes.
const SHORTEST: usize = 32;

/// Where a call keeps its number, on both ends, for its reply.
const NUMBER: &str = "teleport.sealed.number";

/// A key that two peers share, and its name.
#[derive(Clone)]
pub struct Key {
    id: String,
    secret: Zeroizing<Vec<u8>>,
}

impl Key {
    /// Takes a key: at least 32 bytes that nobody can guess, as from `openssl rand 32`, and the name
    /// that the other peer knows it by. A password is no key. The name is sent in the open.
    ///
    /// # Errors
    ///
    /// The key is too short, or the name is empty or longer than 255 bytes.
    pub fn new(id: impl Into<String>, secret: impl AsRef<[u8]>) -> Result<Self, Error> {
        let (id, secret) = (id.into(), secret.as_ref());
        if secret.len() < SHORTEST {
            let text = format!(
                "the key {id:?} has {} bytes; take {SHORTEST} random ones, as from `openssl rand {SHORTEST}`",
                secret.len()
            );
            return Err(Error::new(ErrorKind::Config, text));
        }
        if id.is_empty() || id.len() > 255 {
            let text = "the name of a key is 1 to 255 bytes long; take one such as \"2026-a\"";
            return Err(Error::new(ErrorKind::Config, text));
        }
        Ok(Self {
            id,
            secret: secret.to_vec().into(),
        })
    }

    /// Takes a key that is written in hex digits, as from `openssl rand -hex 32`.
    ///
    /// # Errors
    ///
    /// It is not written in hex digits; or as of [`new`](Self::new).
    pub fn from_hex(id: impl Into<String>, digits: &str) -> Result<Self, Error> {
        let id = id.into();
        let secret = hex::decode(digits.as_bytes()).map_err(|why| {
            Error::new(
                ErrorKind::Config,
                format!("the key {id:?} is not written in hex digits: {why}"),
            )
        })?;
        Self::new(id, Zeroizing::new(secret).as_slice())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Seals all sessions of a peer: every message is encrypted and authenticated with AES-256-GCM, under
/// keys that each connection makes anew from a key that both peers have.
///
/// When a connection is made both ends prove that they have the key; a peer that cannot, or that
/// does not know this plugin, gets no session, and there is no way to agree on less. From then on:
///
/// - Bodies, metadata and queries cannot be read. Type, sequence text, path, codec id, filter ids and
///   length of a message can, and cannot be changed.
/// - A message that is changed, cut, plain, made up, of another connection or of the other direction
///   is not answered; it closes the session, and the reason stands in the log. So does one that
///   comes twice.
/// - A reply belongs to its call and to no other, also where sequence texts are set by hand.
/// - Messages of one session have no order among themselves, here as without this plugin. One that
///   more than 8192 others have overtaken is refused with an error, and the session lives.
///
/// - What the framework itself says beside the messages is sealed as they are: how much time a caller
///   has left, that it gave a call up, that an end goes away, and which calls it did not run. So are
///   the handshakes of other plugins, such as auth.
///
/// Whoever stands between two peers can still hold messages back, let them overtake each other within
/// that bound, and cut the line. Somebody who learns the key can read what was recorded before. For
/// more, put TLS underneath.
///
/// Replies that the framework makes itself, as error 404 or 503, are sealed like any other. A plain
/// reply, whatever it says, makes its call fail with this plugin's error, and closes the session.
///
/// It belongs on the peer as a whole, when it is built, and takes its place in front of and behind
/// all other plugins by itself: those see and change messages as if nothing was sealed. Only plugins
/// that were put on the left by hand see them sealed. In the swap of each call is its number, by which
/// its reply is bound to it: a handler that clears the whole swap has no reply taken. The key itself says who is there, so an auth
/// plugin is seldom needed beside it. Filters that compress find nothing to compress.
///
/// # Examples
///
/// ```
/// use teleport::Peer;
/// use teleport::plugins::secure::{Key, Sealed};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), teleport::Error> {
/// # use teleport::{Rerror, UnknownCallCtx};
/// # async fn echo(ctx: &mut UnknownCallCtx) -> Result<String, Rerror> { ctx.bind() }
/// # let digits = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
/// let server = Peer::builder().plugin(Sealed::new(Key::from_hex("2026-a", digits)?)).build()?;
/// # server.set_unknown_call(echo)?;
/// let address = server.listen_on("127.0.0.1:0").await?;
///
/// let client = Peer::builder().plugin(Sealed::new(Key::from_hex("2026-a", digits)?)).build()?;
/// let session = client.dial(&address).await?;
/// let reply: String = session.call("/echo?token=secret", "hello").await?;
/// assert_eq!(reply, "hello");
///
/// // A peer that does not seal is not let in.
/// let session = Peer::builder().build()?.dial(&address).await?;
/// assert!(session.call::<String>("/echo", "hello").await.is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Sealed(Arc<Shared>);

/// Reads what is in a seal, which only an end with the keys can have made: for fuzz targets, which
/// have no keys. Query, metadata and body.
#[doc(hidden)]
#[must_use]
pub fn __parts(text: &[u8]) -> Option<[Bytes; 3]> {
    channel::parts(Bytes::copy_from_slice(text))
}

/// What the parts of the plugin share.
#[derive(Clone, Debug)]
struct Shared {
    /// The one that this side dials with, and accepts.
    key: Key,
    accepted: Vec<Key>,
    code: i32,
    most: u64,
}

impl Shared {
    fn key(&self, id: &str) -> Option<&Key> {
        let mut keys = std::iter::once(&self.key).chain(&self.accepted);
        keys.find(|key| key.id == id)
    }

    fn failed(&self, why: impl Into<std::borrow::Cow<'static, str>>) -> Rerror {
        Rerror::new(self.code, "sealing failed", why)
    }
}

impl Sealed {
    /// Makes the plugin with the key that this peer dials with, and accepts.
    #[must_use]
    pub fn new(key: Key) -> Self {
        Self(Arc::new(Shared {
            key,
            accepted: Vec::new(),
            code: CODE,
            most: channel::MOST,
        }))
    }

    /// Accepts another key too. To change keys, let all peers accept the new one first, then dial
    /// with it, then drop the old one. Of two keys with one name the first is taken.
    #[must_use]
    pub fn accept(self, key: Key) -> Self {
        self.change(|shared| shared.accepted.push(key))
    }

    /// Sets the code of the plugin's errors. Default: 100001.
    #[must_use]
    pub fn code(self, code: i32) -> Self {
        self.change(|shared| shared.code = code)
    }

    /// Sets how many messages each direction of a connection carries, at most and by default 2^32.
    /// Shortly before, the session is closed in good order: no new calls and pushes, while replies
    /// are still sent. A connection that is dialled anew has new keys.
    #[must_use]
    pub fn max_messages(self, most: u64) -> Self {
        self.change(|shared| shared.most = most.min(channel::MOST))
    }

    fn change(mut self, change: impl FnOnce(&mut Shared)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

impl Plugin for Sealed {
    fn name(&self) -> &'static str {
        "sealed"
    }

    fn hooks(&self) -> Hooks {
        Hooks::PRE_NEW_PEER
            .union(Hooks::POST_DIAL)
            .union(Hooks::POST_ACCEPT)
    }

    fn pre_new_peer(
        &self,
        _config: &mut PeerConfig,
        plugins: &mut PluginContainer,
    ) -> Result<(), Error> {
        plugins.append_left(Opens(Arc::clone(&self.0)))?;
        plugins.append_right(Seals(Arc::clone(&self.0)))
    }

    fn post_dial<'a>(&'a self, session: &'a mut PreSession) -> Hook<'a> {
        Hook::ready(self.0.check(session))
    }

    fn post_accept<'a>(&'a self, session: &'a mut PreSession) -> Hook<'a> {
        Hook::ready(self.0.check(session))
    }
}

impl Shared {
    /// A plugin that was put on a peer after it was built has no parts that work.
    fn check(&self, session: &PreSession) -> Result<(), Rerror> {
        if session.is_guarded() {
            return Ok(());
        }
        Err(self.failed(
            "the plugin was added to a peer that was built already; add it with the builder's \
             `plugin`",
        ))
    }

    fn channel<'a>(&self, session: &'a Session) -> Result<&'a Channel, Rerror> {
        let connection = session.guard::<Connection>();
        let connection =
            connection.ok_or_else(|| self.failed("the session was not sealed when it was made"))?;
        Ok(&connection.channel)
    }

    fn refused(&self, why: Refused) -> Rerror {
        self.failed(match why {
            Refused::Plain => "a message came that is not sealed",
            Refused::Forged => "a message came that the other end did not seal",
            Refused::Replayed => "a message came twice",
            Refused::TooLate => "the message came too late; too many overtook it",
        })
    }

    fn used_up(&self) -> Rerror {
        self.failed("as many messages were sealed as one key may seal; dial again for new keys")
    }

    fn too_large(&self) -> Rerror {
        self.failed("the message is too large to be sealed")
    }

    fn seal(&self, ctx: &mut WriteCtx) -> Result<(), Rerror> {
        let session = ctx.session().clone();
        let channel = self.channel(&session)?;
        let mtype = ctx.header().mtype;
        let answers = match mtype {
            Mtype::REPLY => ctx.swap().get::<u64>(NUMBER).copied(),
            _ => None,
        };
        let Some(number) = channel.next_number(mtype == Mtype::REPLY) else {
            drop(ctx.session().close());
            return Err(self.used_up());
        };
        if mtype == Mtype::CALL {
            ctx.swap().insert(NUMBER, number);
        }
        let body = ctx.body().clone();
        let sealed = channel
            .seal(number, ctx.header_mut(), &body, answers)
            .ok_or_else(|| self.too_large())?;
        let codec = ctx.header().body_codec;
        ctx.set_body(codec, sealed);
        Ok(())
    }

    /// Seals a reply. One that cannot be sealed goes out with nothing in it but that: the other end
    /// takes it for forged, and its call fails.
    fn seal_reply(&self, ctx: &mut WriteCtx) -> Result<(), Rerror> {
        let result = self.seal(ctx);
        if let Err(rerror) = &result {
            let meta = &mut ctx.header_mut().meta;
            meta.clear();
            rerror.set_meta(meta);
            ctx.set_body(crate::codec::NONE, Bytes::new());
            drop(ctx.session().close());
        }
        result
    }

    fn open(&self, ctx: &mut ReadCtx) -> Result<(), Rerror> {
        let session = ctx.session().clone();
        let opened = self.channel(&session).and_then(|channel| {
            let answers = match ctx.mtype() {
                Mtype::REPLY => ctx.swap().get::<u64>(NUMBER).copied(),
                _ => None,
            };
            let outside = Outside {
                mtype: ctx.mtype(),
                seq: ctx.seq(),
                uri: ctx.uri().as_bytes(),
                codec: ctx.body_codec(),
                xfer: ctx.xfer().ids(),
                answers,
            };
            match channel.open(outside, ctx.meta(), ctx.body()) {
                Err(Refused::TooLate) => Ok(Err(self.refused(Refused::TooLate))),
                Err(why) => Err(self.refused(why)),
                Ok(parts) => Ok(Ok(parts)),
            }
        });
        match opened {
            Ok(Ok(parts)) => {
                if let Some(uri) = parts.uri {
                    *ctx.uri_mut() = uri;
                }
                *ctx.meta_mut() = parts.meta;
                if ctx.mtype() == Mtype::CALL {
                    ctx.swap().insert(NUMBER, parts.number);
                }
                let codec = ctx.body_codec();
                ctx.set_body(codec, parts.body);
                Ok(())
            }
            Ok(Err(too_late)) => Err(too_late),
            // Nothing that is not authentic is answered.
            Err(forged) => {
                ctx.session().abort_with(forged.reason().to_owned());
                Err(forged)
            }
        }
    }
}

/// What one connection is sealed by. What no message hook sees goes this way.
struct Connection {
    shared: Arc<Shared>,
    channel: Channel,
}

impl Guard for Connection {
    fn seal(&self, message: &mut Message) -> Result<(), Rerror> {
        let (channel, header) = (&self.channel, &mut message.header);
        let number = channel
            .next_number(header.mtype == Mtype::REPLY)
            .ok_or_else(|| self.shared.used_up())?;
        message.body = channel
            .seal(number, header, &message.body, None)
            .ok_or_else(|| self.shared.too_large())?;
        Ok(())
    }

    fn open(&self, message: &mut Message) -> Result<(), Rerror> {
        let header = &mut message.header;
        let outside = Outside {
            mtype: header.mtype,
            seq: &header.seq,
            uri: header.uri.as_bytes(),
            codec: header.body_codec,
            xfer: header.xfer.ids(),
            answers: None,
        };
        let opened = self.channel.open(outside, &header.meta, &message.body);
        let parts = opened.map_err(|why| self.shared.refused(why))?;
        if let Some(uri) = parts.uri {
            header.uri = uri;
        }
        header.meta = parts.meta;
        message.body = parts.body;
        Ok(())
    }
}

/// The part that makes the keys of a connection, and opens what comes before anybody sees it.
#[derive(Debug)]
struct Opens(Arc<Shared>);

impl Opens {
    fn guard(&self, session: &mut PreSession, channel: Channel) -> Result<(), Rerror> {
        let shared = Arc::clone(&self.0);
        Ok(session.set_guard(Arc::new(Connection { shared, channel }))?)
    }
}

impl Plugin for Opens {
    fn name(&self) -> &'static str {
        "sealed: opens"
    }

    fn hooks(&self) -> Hooks {
        Hooks::POST_DIAL
            .union(Hooks::POST_ACCEPT)
            .union(Hooks::POST_READ_CALL_HEADER)
            .union(Hooks::POST_READ_PUSH_HEADER)
            .union(Hooks::POST_READ_REPLY_HEADER)
    }

    fn post_dial<'a>(&'a self, session: &'a mut PreSession) -> Hook<'a> {
        Hook::wait(async move {
            let channel = handshake::dial(&self.0, session).await?;
            self.guard(session, channel)
        })
    }

    fn post_accept<'a>(&'a self, session: &'a mut PreSession) -> Hook<'a> {
        Hook::wait(async move {
            let channel = handshake::accept(&self.0, session).await?;
            self.guard(session, channel)
        })
    }

    fn post_read_call_header<'a>(&'a self, ctx: &'a mut ReadCtx) -> Hook<'a> {
        Hook::ready(self.0.open(ctx))
    }

    fn post_read_push_header<'a>(&'a self, ctx: &'a mut ReadCtx) -> Hook<'a> {
        Hook::ready(self.0.open(ctx))
    }

    fn post_read_reply_header<'a>(&'a self, ctx: &'a mut ReadCtx) -> Hook<'a> {
        Hook::ready(self.0.open(ctx))
    }
}

/// The part that seals what goes out after everybody has seen it.
#[derive(Debug)]
struct Seals(Arc<Shared>);

impl Plugin for Seals {
    fn name(&self) -> &'static str {
        "sealed: seals"
    }

    fn hooks(&self) -> Hooks {
        Hooks::PRE_WRITE_CALL
            .union(Hooks::PRE_WRITE_REPLY)
            .union(Hooks::PRE_WRITE_PUSH)
    }

    fn pre_write_call<'a>(&'a self, ctx: &'a mut WriteCtx) -> Hook<'a> {
        Hook::ready(self.0.seal(ctx))
    }

    fn pre_write_push<'a>(&'a self, ctx: &'a mut WriteCtx) -> Hook<'a> {
        Hook::ready(self.0.seal(ctx))
    }

    fn pre_write_reply<'a>(&'a self, ctx: &'a mut WriteCtx) -> Hook<'a> {
        Hook::ready(self.0.seal_reply(ctx))
    }
}
