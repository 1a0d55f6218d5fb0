//! The secure plugin of the Go original: AES in ECB mode.

use bytes::Bytes;
use md5::{Digest, Md5};

use super::cipher::{BLOCK, Cipher};
use super::envelope::Envelope;
use super::{ACCEPT_SECURE, SECURE, hex};
use crate::context::{ReadCtx, WriteCtx};
use crate::message::{Uri, meta::REPLY_ERROR};
use crate::plugin::{Hook, Hooks, Plugin, Scope};
use crate::session::Caller;
use crate::{Error, ErrorKind, Rerror};

/// The query parameters that stand in for an encrypted query, in their order.
const CIPHERTEXT: &str = "ciphertext";
const CIPHERVERSION: &str = "cipherversion";

/// Notes in a call's own data whether its reply is to be encrypted.
const REPLY: &str = "teleport.secure.reply";

/// The message of all errors of what cannot be decrypted.
const MESSAGE: &str = "decrypt ciphertext error";

/// Encrypts queries and bodies as the secure plugin of the Go original does, with a key that both
/// peers have: AES in ECB mode, byte for byte.
///
/// A message is encrypted when its metadata has `X-Secure: true`, see
/// [`SecureExt`](super::SecureExt); its reply then is too, unless the call says
/// `X-Accept-Secure: false`. A plain call gets an encrypted reply by `X-Accept-Secure: true`, or when
/// its handler sets `X-Secure: true`. Any other value of `X-Secure` is taken off, and the message goes
/// plain. Error replies are plain.
///
/// What does not decrypt is an error with the code given to [`new`](Self::new) and the message
/// `decrypt ciphertext error`: a call is answered with it, a push dropped and logged, and a reply
/// makes its call fail. Bodies in json, protobuf and form can be encrypted; with another codec, as
/// plain, the call or push fails and says so.
///
/// It hides content from those who only listen. It does not tell a forged message from a true one,
/// and equal blocks of sixteen bytes look equal. Between peers of this kind use
/// [`Sealed`](super::Sealed).
///
/// On a group or a handler it decrypts calls and pushes and encrypts replies; what this side sends
/// on its own is encrypted by one on the peer.
///
/// # Examples
///
/// ```
/// use teleport::Peer;
/// use teleport::plugins::secure::{Legacy, SecureExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), teleport::Error> {
/// # use teleport::{Rerror, UnknownCallCtx};
/// # async fn echo(ctx: &mut UnknownCallCtx) -> Result<String, Rerror> { ctx.bind() }
/// let secure = || Legacy::new(100_001, "cipherkey1234567");
/// let server = Peer::builder().plugin(secure()?).build()?;
/// # server.set_unknown_call(echo)?;
/// let address = server.listen_on("127.0.0.1:0").await?;
///
/// let client = Peer::builder().plugin(secure()?).build()?;
/// let session = client.dial(&address).await?;
/// let reply: String = session.call("/echo?who=me", "hello").secure().await?;
/// assert_eq!(reply, "hello");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Legacy {
    code: i32,
    cipher: Cipher,
    version: String,
    always: bool,
    enforced: Enforced,
}

/// Which messages are refused when they come plain.
#[derive(Debug, Default)]
enum Enforced {
    #[default]
    None,
    All,
    Paths(Vec<String>),
}

impl Legacy {
    /// Makes the plugin out of the code of its errors and the key, a text of 16, 24 or 32 bytes
    /// for AES-128, AES-192 or AES-256.
    ///
    /// # Errors
    ///
    /// The key has another length.
    pub fn new(code: i32, key: &str) -> Result<Self, Error> {
        let cipher = Cipher::new(key.as_bytes()).ok_or_else(|| {
            let text = format!(
                "the key of the secure plugin is {} bytes long; take one of 16, 24 or 32",
                key.len()
            );
            Error::other(ErrorKind::Config, text)
        })?;
        Ok(Self {
            code,
            cipher,
            version: hex::encode(&Md5::digest(key)),
            always: false,
            enforced: Enforced::None,
        })
    }

    /// Encrypts every call, push and reply of this peer, but for error replies, and those that say
    /// otherwise with `X-Secure: false`, or with `X-Accept-Secure: false` in the call. Default: only
    /// those that ask for it.
    #[must_use]
    pub fn always(mut self) -> Self {
        self.always = true;
        self
    }

    /// Refuses every call and push that comes plain, or with a part that is plain. Default: none.
    #[must_use]
    pub fn enforce(mut self) -> Self {
        self.enforced = Enforced::All;
        self
    }

    /// Refuses calls and pushes to this path that come plain, or with a part that is plain. May be
    /// said for several paths.
    #[must_use]
    pub fn enforce_on(mut self, path: impl Into<String>) -> Self {
        match &mut self.enforced {
            Enforced::All => {}
            Enforced::Paths(paths) => paths.push(path.into()),
            Enforced::None => self.enforced = Enforced::Paths(vec![path.into()]),
        }
        self
    }

    /// The version by which peers compare keys: the MD5 of the key's text, in lower hex digits.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Encrypts some bytes to lower hex digits.
    #[must_use]
    pub fn encrypt(&self, plain: &[u8]) -> String {
        hex::encode(&self.cipher.encrypt(plain))
    }

    /// Decrypts hex digits.
    ///
    /// # Errors
    ///
    /// They are no hex digits, no whole blocks of sixteen bytes, or not padded as they should be.
    pub fn decrypt(&self, ciphertext: &[u8]) -> Result<Bytes, Rerror> {
        let bytes = hex::decode(ciphertext).map_err(|why| self.failed(why))?;
        if bytes.is_empty() || bytes.len() % BLOCK != 0 {
            return Err(self.failed("no whole number of blocks of 16 bytes"));
        }
        match self.cipher.decrypt(&bytes) {
            Some(plain) => Ok(plain.into()),
            None => Err(self.failed("the padding of the last block is not valid")),
        }
    }

    fn failed(&self, why: impl Into<std::borrow::Cow<'static, str>>) -> Rerror {
        Rerror::new(self.code, MESSAGE, why)
    }

    fn check_version(&self, version: &[u8]) -> Result<(), Rerror> {
        if version == self.version.as_bytes() {
            return Ok(());
        }
        let got = String::from_utf8_lossy(version);
        let text = format!(
            "inconsistent encryption version, get:{got:?}, want:{:?}",
            self.version
        );
        Err(self.failed(text))
    }

    fn is_enforced_on(&self, path: &str) -> bool {
        match &self.enforced {
            Enforced::None => false,
            Enforced::All => true,
            Enforced::Paths(paths) => paths.iter().any(|enforced| enforced == path),
        }
    }

    fn write(&self, ctx: &mut WriteCtx, asked: bool) -> Result<(), Rerror> {
        let meta = &mut ctx.header_mut().meta;
        let said = meta.get_bytes(SECURE).map(|value| value == b"true");
        if said == Some(false) {
            meta.remove(SECURE);
        }
        let is_secure = said.unwrap_or(asked);
        if !is_secure {
            return Ok(());
        }
        if said.is_none() {
            meta.set(SECURE, "true");
        }
        let uri = &mut ctx.header_mut().uri;
        if !uri.raw_query().is_empty() {
            let ciphertext = self.encrypt(uri.raw_query());
            let version = &self.version;
            uri.set_raw_query(format!(
                "{CIPHERTEXT}={ciphertext}&{CIPHERVERSION}={version}"
            ));
        }
        let envelope = Envelope {
            version: self.version.clone(),
            ciphertext: self.encrypt(ctx.body()),
        };
        let codec = ctx.header().body_codec;
        let body = envelope
            .pack(&ctx.session().codecs(), codec)
            .map_err(|why| Rerror::new(self.code, "encrypt error", why.to_string()))?;
        ctx.set_body(codec, body);
        Ok(())
    }

    /// Encrypts a reply, or replaces one that cannot be encrypted: it must not go out plain.
    fn write_reply(&self, ctx: &mut WriteCtx) -> Result<(), Rerror> {
        if is_error(ctx.header().meta.get_bytes(REPLY_ERROR)) {
            return Ok(());
        }
        let asked = ctx.swap().get::<bool>(REPLY).copied();
        // As in the original, what the caller asked for goes before a `X-Secure` that says no.
        if asked == Some(true) {
            ctx.header_mut().meta.set(SECURE, "true");
        }
        let result = self.write(ctx, asked.unwrap_or(self.always));
        if let Err(rerror) = &result {
            rerror.set_meta(&mut ctx.header_mut().meta);
            ctx.set_body(crate::codec::NONE, Bytes::new());
        }
        result
    }

    fn read_request(&self, ctx: &mut ReadCtx) -> Result<(), Rerror> {
        let accept = match ctx.meta().get_bytes(ACCEPT_SECURE) {
            Some(b"true") => Some(true),
            Some(b"false") => Some(false),
            _ => None,
        };
        let is_secure = is_secure(ctx);
        if let Some(reply) = accept.or_else(|| is_secure.then_some(true)) {
            ctx.swap().insert(REPLY, reply);
        }
        let enforced = self.is_enforced_on(ctx.path());
        if !is_secure {
            return match enforced {
                true => Err(self.plain("the message is not encrypted")),
                false => Ok(()),
            };
        }
        self.read_query(ctx, enforced)?;
        self.read_body(ctx, enforced)
    }

    fn plain(&self, why: &'static str) -> Rerror {
        Rerror::new(self.code, "secure message required", why)
    }

    fn read_query(&self, ctx: &mut ReadCtx, enforced: bool) -> Result<(), Rerror> {
        let uri = ctx.uri();
        let version = uri.query_bytes(CIPHERVERSION).unwrap_or_default();
        if version.is_empty() {
            // A message without a query, or of somebody who did not encrypt it.
            return match enforced && !uri.raw_query().is_empty() {
                true => Err(self.plain("the query is not encrypted")),
                false => Ok(()),
            };
        }
        self.check_version(version)?;
        let ciphertext = uri.query_bytes(CIPHERTEXT).unwrap_or_default();
        let mut query = self.decrypt(ciphertext)?.to_vec();
        let mut added = Uri::new(uri.as_bytes());
        added
            .retain_query(|key, _| key != CIPHERTEXT.as_bytes() && key != CIPHERVERSION.as_bytes());
        if !added.raw_query().is_empty() {
            if enforced {
                return Err(self.plain("a part of the query is not encrypted"));
            }
            query.push(b'&');
            query.extend_from_slice(added.raw_query());
        }
        ctx.uri_mut().set_raw_query(query);
        Ok(())
    }

    fn read_body(&self, ctx: &mut ReadCtx, enforced: bool) -> Result<(), Rerror> {
        if ctx.body().is_empty() {
            // Not even padding: the original takes it for an empty body.
            return match enforced {
                true => Err(self.plain("the body is not encrypted")),
                false => Ok(()),
            };
        }
        let codec = ctx.body_codec();
        let envelope = Envelope::unpack(&ctx.session().codecs(), codec, ctx.body())
            .map_err(|why| Rerror::bad_message(why.to_string()))?;
        self.check_version(envelope.version.as_bytes())?;
        let body = self.decrypt(envelope.ciphertext.as_bytes())?;
        ctx.set_body(codec, body);
        Ok(())
    }

    fn read_reply(&self, ctx: &mut ReadCtx) -> Result<(), Rerror> {
        if !is_secure(ctx) || is_error(ctx.meta().get_bytes(REPLY_ERROR)) {
            return Ok(());
        }
        self.read_body(ctx, false)
    }
}

/// Whether a message says that it is encrypted. Any other value is taken off.
fn is_secure(ctx: &mut ReadCtx) -> bool {
    match ctx.meta().get_bytes(SECURE) {
        Some(b"true") => true,
        Some(_) => {
            ctx.meta_mut().remove(SECURE);
            false
        }
        None => false,
    }
}

fn is_error(value: Option<&[u8]>) -> bool {
    value.is_some_and(|value| !value.is_empty())
}

const ON_ROUTES: Hooks = Hooks::PRE_READ_CALL_BODY
    .union(Hooks::PRE_READ_PUSH_BODY)
    .union(Hooks::PRE_WRITE_REPLY);

impl Plugin for Legacy {
    fn name(&self) -> &'static str {
        "secure"
    }

    fn hooks(&self) -> Hooks {
        ON_ROUTES
            .union(Hooks::PRE_WRITE_CALL)
            .union(Hooks::PRE_WRITE_PUSH)
            .union(Hooks::PRE_READ_REPLY_BODY)
    }

    fn hooks_on(&self, scope: Scope) -> Hooks {
        match scope {
            Scope::Peer => self.hooks(),
            _ => ON_ROUTES,
        }
    }

    fn pre_write_call<'a>(&'a self, ctx: &'a mut WriteCtx) -> Hook<'a> {
        Hook::ready(self.write(ctx, self.always))
    }

    fn pre_write_push<'a>(&'a self, ctx: &'a mut WriteCtx) -> Hook<'a> {
        Hook::ready(self.write(ctx, self.always))
    }

    fn pre_write_reply<'a>(&'a self, ctx: &'a mut WriteCtx) -> Hook<'a> {
        Hook::ready(self.write_reply(ctx))
    }

    fn pre_read_call_body<'a>(&'a self, ctx: &'a mut ReadCtx) -> Hook<'a> {
        Hook::ready(self.read_request(ctx))
    }

    fn pre_read_push_body<'a>(&'a self, ctx: &'a mut ReadCtx) -> Hook<'a> {
        Hook::ready(self.read_request(ctx))
    }

    fn pre_read_reply_body<'a>(&'a self, ctx: &'a mut ReadCtx) -> Hook<'a> {
        Hook::ready(self.read_reply(ctx))
    }
}
