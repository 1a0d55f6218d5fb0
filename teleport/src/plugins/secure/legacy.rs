//! The secure plugin of the Go original: AES in ECB mode.

use bytes::Bytes;
use md5::{Digest, Md5};

use self::parts::{asks, is_error, says};
use super::cipher::Cipher;
use super::{ACCEPT_SECURE, SECURE, hex};
use crate::codec::Codecs;
use crate::context::{ReadCtx, WriteCtx};
use crate::message::{Message, meta::REPLY_ERROR};
use crate::plugin::{Hook, Hooks, Plugin, Scope};
use crate::session::Caller;
use crate::{Error, ErrorKind, Rerror};

mod parts;

/// Notes in a call's own data whether its reply is to be encrypted.
const REPLY: &str = "teleport.secure.reply";

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
            Error::new(ErrorKind::Config, text)
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
        self.open(ciphertext)
    }

    /// Encrypts a message as the plugin does on its way out: for a [`Socket`](crate::socket::Socket)
    /// without a peer. One whose metadata has `X-Secure` with another value than `true` loses that
    /// pair and stays plain, and so does a reply that is an error.
    ///
    /// # Errors
    ///
    /// The codec of the body cannot carry what is encrypted; the message is not to be sent then.
    ///
    /// # Examples
    ///
    /// ```
    /// use teleport::codec::{self, Codecs};
    /// use teleport::message::{Message, Mtype};
    /// use teleport::plugins::secure::Legacy;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (secure, codecs) = (Legacy::new(100_001, "cipherkey1234567")?, Codecs::default());
    /// let mut message = Message::new(Mtype::PUSH, "/note?to=me", "\"hello\"")
    ///     .with_body_codec(codec::JSON);
    /// secure.encrypt_message(&codecs, &mut message)?;
    /// assert!(!message.body.starts_with(b"\"hello"));
    /// secure.decrypt_message(&codecs, &mut message)?;
    /// assert_eq!(message.body, "\"hello\"");
    /// assert_eq!(message.header.uri.query("to"), Some("me"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn encrypt_message(&self, codecs: &Codecs, message: &mut Message) -> Result<(), Rerror> {
        let header = &mut message.header;
        if !is_error(header.meta.get_bytes(REPLY_ERROR)) && asks(&mut header.meta, true) {
            message.body = self.seal(codecs, header, &message.body)?;
        }
        Ok(())
    }

    /// Decrypts a message that says that it is encrypted, as the plugin does with what comes, and
    /// leaves any other as it is.
    ///
    /// # Errors
    ///
    /// It does not decrypt; then it may be decrypted in part.
    pub fn decrypt_message(&self, codecs: &Codecs, message: &mut Message) -> Result<(), Rerror> {
        let header = &mut message.header;
        if !says(&mut header.meta) || is_error(header.meta.get_bytes(REPLY_ERROR)) {
            return Ok(());
        }
        self.open_query(&mut header.uri, false)?;
        if let Some(body) = self.open_body(codecs, header.body_codec, &message.body, false)? {
            message.body = body;
        }
        Ok(())
    }

    fn is_enforced_on(&self, path: &str) -> bool {
        match &self.enforced {
            Enforced::None => false,
            Enforced::All => true,
            Enforced::Paths(paths) => paths.iter().any(|enforced| enforced == path),
        }
    }

    fn write(&self, ctx: &mut WriteCtx, asked: bool) -> Result<(), Rerror> {
        if !asks(&mut ctx.header_mut().meta, asked) {
            return Ok(());
        }
        let codecs = ctx.session().codecs();
        let body = ctx.body().clone();
        let body = self.seal(&codecs, ctx.header_mut(), &body)?;
        let codec = ctx.header().body_codec;
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
        let is_secure = says(ctx.meta_mut());
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
        self.open_query(ctx.uri_mut(), enforced)?;
        self.read_body(ctx, enforced)
    }

    fn read_body(&self, ctx: &mut ReadCtx, enforced: bool) -> Result<(), Rerror> {
        let codecs = ctx.session().codecs();
        let codec = ctx.body_codec();
        if let Some(body) = self.open_body(&codecs, codec, ctx.body(), enforced)? {
            ctx.set_body(codec, body);
            // As the original says it, but for the decoder's text: errors are plain, and it may quote
            // what was encrypted.
            ctx.set_decode_error(Rerror::new(
                self.code,
                "unmarshal raw body error",
                "what was decrypted is not what the handler takes",
            ));
        }
        Ok(())
    }

    fn read_reply(&self, ctx: &mut ReadCtx) -> Result<(), Rerror> {
        if !says(ctx.meta_mut()) || is_error(ctx.meta().get_bytes(REPLY_ERROR)) {
            return Ok(());
        }
        self.read_body(ctx, false)
    }
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
