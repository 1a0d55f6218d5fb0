//! The handshake: both ends prove that they have a key, and make those of the connection from it.
//!
//! | who | message | metadata |
//! |---|---|---|
//! | who dialled | CALL `/secure/hello` | version, id of the key, nonce |
//! | who accepted | REPLY | nonce, proof |
//! | who dialled | PUSH `/secure/ready` | proof |
//!
//! Everything is made by HKDF-SHA256 from the key, both nonces, the version and the id, under labels
//! that differ by direction and use. A proof is what only somebody with the key can make for these
//! nonces. All three have one sequence text, and nothing in them but what stands here: a message that
//! is not, byte for byte, as this end would write it is refused.

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::super::hex;
use super::channel::{Channel, Secrets};
use super::{Key, Shared};
use crate::message::{Message, Meta, Mtype, Seq};
use crate::plugins::auth::constant_time_eq;
use crate::{Error, PreSession, Rerror};

const HELLO: &str = "/secure/hello";
const READY: &str = "/secure/ready";

const VERSION_KEY: &str = "X-Sealed-Version";
const KEY_KEY: &str = "X-Sealed-Key";
const NONCE_KEY: &str = "X-Sealed-Nonce";
const PROOF_KEY: &str = "X-Sealed-Proof";

const VERSION: &str = "1";

type Nonce = [u8; 32];
type Proof = Zeroizing<[u8; 32]>;

/// All that is made from a key for one connection.
struct Derived {
    client_key: Zeroizing<[u8; 32]>,
    client_iv: [u8; 12],
    client_proof: Proof,
    server_key: Zeroizing<[u8; 32]>,
    server_iv: [u8; 12],
    server_proof: Proof,
}

impl Derived {
    fn new(key: &Key, client: &Nonce, server: &Nonce) -> Option<Self> {
        let salt = [*client, *server].concat();
        let hkdf = Hkdf::<Sha256>::new(Some(&salt), &key.secret);
        let expand = |label: &str, out: &mut [u8]| {
            let info = format!("teleport sealed {VERSION} {label}\0{}", key.id);
            hkdf.expand(info.as_bytes(), out).ok()
        };
        let mut new = Self {
            client_key: Zeroizing::default(),
            client_iv: [0; 12],
            client_proof: Zeroizing::default(),
            server_key: Zeroizing::default(),
            server_iv: [0; 12],
            server_proof: Zeroizing::default(),
        };
        expand("client key", &mut *new.client_key)?;
        expand("client iv", &mut new.client_iv)?;
        expand("client proof", &mut *new.client_proof)?;
        expand("server key", &mut *new.server_key)?;
        expand("server iv", &mut new.server_iv)?;
        expand("server proof", &mut *new.server_proof)?;
        Some(new)
    }

    fn channel(self, dialled: bool, most: u64) -> Channel {
        let client = (self.client_key, self.client_iv);
        let server = (self.server_key, self.server_iv);
        let (send, receive) = if dialled {
            (client, server)
        } else {
            (server, client)
        };
        let secrets = Secrets {
            send_key: send.0,
            send_iv: send.1,
            receive_key: receive.0,
            receive_iv: receive.1,
        };
        Channel::new(&secrets, most)
    }
}

/// The side that dialled.
pub(super) async fn dial(shared: &Shared, pre: &mut PreSession) -> Result<Channel, Rerror> {
    let failed = |why: String| shared.failed(why);
    let local = |error: Error| failed(error.to_string());
    let key = &shared.key;
    let nonce = nonce().map_err(failed)?;
    let seq = pre.next_seq();
    pre.send(hello(&key.id, &nonce, &seq))
        .await
        .map_err(local)?;
    let message = pre.receive().await.map_err(local)?;
    let reply = &message.header;
    // An error refuses whatever it belongs to: a peer that is full says so before it reads.
    if let Some(rerror) = Rerror::from_meta(&reply.meta) {
        return Err(failed(match reply.seq == seq {
            true => format!(
                "the other end does not take sealed sessions, or not with this key: {rerror}"
            ),
            false => format!("refused by the other end: {rerror}"),
        }));
    }
    if reply.mtype != Mtype::REPLY || reply.seq != seq {
        return Err(failed(format!(
            "the other end answered the hello with a {} to {}",
            reply.mtype,
            reply.uri.path()
        )));
    }
    let theirs = bytes(&reply.meta, NONCE_KEY).ok_or_else(|| no("nonce", shared))?;
    let proof = bytes(&reply.meta, PROOF_KEY).ok_or_else(|| no("proof", shared))?;
    exactly(&message, &answer(&theirs, &proof, &seq), shared)?;
    let derived = derive(shared, key, &nonce, &theirs)?;
    if !constant_time_eq(proof, &derived.server_proof[..]) {
        return Err(failed(format!(
            "the other end did not prove that it has the key {:?}, or somebody changed the handshake",
            key.id
        )));
    }
    pre.send(ready(&derived.client_proof, &seq))
        .await
        .map_err(local)?;
    Ok(derived.channel(true, shared.most))
}

/// The side that accepted.
pub(super) async fn accept(shared: &Shared, pre: &mut PreSession) -> Result<Channel, Rerror> {
    let local = |error: Error| shared.failed(error.to_string());
    let hello = pre.receive().await.map_err(local)?;
    match greet(shared, &hello) {
        Err(rerror) => {
            if hello.header.mtype == Mtype::CALL {
                let mut reply = Message::new(Mtype::REPLY, "", "").with_seq(hello.header.seq);
                rerror.set_meta(&mut reply.header.meta);
                pre.send(reply).await.map_err(local)?;
            }
            Err(rerror)
        }
        Ok((nonce, derived)) => {
            let seq = &hello.header.seq;
            pre.send(answer(&nonce, &derived.server_proof, seq))
                .await
                .map_err(local)?;
            let message = pre.receive().await.map_err(local)?;
            let proof = bytes(&message.header.meta, PROOF_KEY).unwrap_or_default();
            if !constant_time_eq(proof, &derived.client_proof[..]) {
                return Err(shared.failed(
                    "the other end did not prove that it has the key, or somebody changed the \
                     handshake",
                ));
            }
            exactly(&message, &ready(&proof, seq), shared)?;
            Ok(derived.channel(false, shared.most))
        }
    }
}

/// What a hello is answered with.
fn greet(shared: &Shared, message: &Message) -> Result<(Nonce, Derived), Rerror> {
    let header = &message.header;
    if header.mtype != Mtype::CALL || header.uri.as_bytes() != HELLO.as_bytes() {
        return Err(shared.failed(format!(
            "this peer takes sealed sessions only, and the first message was no CALL {HELLO}"
        )));
    }
    let version = header.meta.get(VERSION_KEY).unwrap_or_default();
    if version != VERSION {
        return Err(shared.failed(format!(
            "the handshake has version {version:?}, and this peer takes {VERSION:?}"
        )));
    }
    let id = header.meta.get(KEY_KEY).unwrap_or_default();
    let key = shared
        .key(id)
        .ok_or_else(|| shared.failed(format!("this peer has no key {id:?}")))?;
    let theirs = bytes(&header.meta, NONCE_KEY).ok_or_else(|| no("nonce", shared))?;
    exactly(message, &hello(id, &theirs, &header.seq), shared)?;
    let nonce = nonce().map_err(|why| shared.failed(why))?;
    let derived = derive(shared, key, &theirs, &nonce)?;
    Ok((nonce, derived))
}

fn hello(id: &str, nonce: &Nonce, seq: &Seq) -> Message {
    Message::new(Mtype::CALL, HELLO, "")
        .with_seq(seq.clone())
        .with_meta(VERSION_KEY, VERSION)
        .with_meta(KEY_KEY, id)
        .with_meta(NONCE_KEY, hex::encode(nonce))
}

fn answer(nonce: &Nonce, proof: &[u8; 32], seq: &Seq) -> Message {
    Message::new(Mtype::REPLY, "", "")
        .with_seq(seq.clone())
        .with_meta(NONCE_KEY, hex::encode(nonce))
        .with_meta(PROOF_KEY, hex::encode(proof))
}

fn ready(proof: &[u8; 32], seq: &Seq) -> Message {
    Message::new(Mtype::PUSH, READY, "")
        .with_seq(seq.clone())
        .with_meta(PROOF_KEY, hex::encode(proof))
}

/// Nothing in a message of the handshake is left to others.
fn exactly(message: &Message, due: &Message, shared: &Shared) -> Result<(), Rerror> {
    let parts = |message: &Message| {
        let header = &message.header;
        (
            (header.mtype, header.seq.clone(), header.body_codec),
            (
                header.uri.as_bytes().to_vec(),
                header.meta.encoded().to_vec(),
            ),
            (header.xfer.ids().to_vec(), message.body.clone()),
        )
    };
    if parts(message) == parts(due) {
        return Ok(());
    }
    Err(shared.failed("a message of the handshake is not as its version says; somebody changed it"))
}

fn derive(shared: &Shared, key: &Key, client: &Nonce, server: &Nonce) -> Result<Derived, Rerror> {
    Derived::new(key, client, server).ok_or_else(|| shared.failed("no keys can be made"))
}

fn nonce() -> Result<Nonce, String> {
    let mut nonce = [0; 32];
    getrandom::fill(&mut nonce).map_err(|e| format!("the system has no random bytes: {e}"))?;
    Ok(nonce)
}

/// Thirty-two bytes in hex digits.
fn bytes(meta: &Meta, key: &str) -> Option<[u8; 32]> {
    hex::decode(meta.get_bytes(key)?).ok()?.try_into().ok()
}

fn no(what: &str, shared: &Shared) -> Rerror {
    shared.failed(format!("the other end sent no {what} of 32 bytes"))
}
