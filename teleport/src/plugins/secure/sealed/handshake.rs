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
//! nonces.

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::super::hex;
use super::channel::{Channel, Secrets};
use super::{Key, Shared};
use crate::message::{Message, Meta, Mtype};
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
    let hello = Message::new(Mtype::CALL, HELLO, "")
        .with_seq(seq.clone())
        .with_meta(VERSION_KEY, VERSION)
        .with_meta(KEY_KEY, &key.id)
        .with_meta(NONCE_KEY, hex::encode(&nonce));
    pre.send(hello).await.map_err(local)?;
    let reply = pre.receive().await.map_err(local)?.header;
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
    let derived = derive(shared, key, &nonce, &theirs)?;
    if !constant_time_eq(proof, &derived.server_proof[..]) {
        return Err(failed(format!(
            "the other end did not prove that it has the key {:?}, or somebody changed the handshake",
            key.id
        )));
    }
    let ready = Message::new(Mtype::PUSH, READY, "")
        .with_meta(PROOF_KEY, hex::encode(&derived.client_proof[..]));
    pre.send(ready).await.map_err(local)?;
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
            let reply = Message::new(Mtype::REPLY, "", "")
                .with_seq(hello.header.seq)
                .with_meta(NONCE_KEY, hex::encode(&nonce))
                .with_meta(PROOF_KEY, hex::encode(&derived.server_proof[..]));
            pre.send(reply).await.map_err(local)?;
            let ready = pre.receive().await.map_err(local)?.header;
            let proof = bytes(&ready.meta, PROOF_KEY);
            let is_ready = ready.mtype == Mtype::PUSH && ready.uri.as_bytes() == READY.as_bytes();
            match proof {
                Some(proof) if is_ready && constant_time_eq(proof, &derived.client_proof[..]) => {
                    Ok(derived.channel(false, shared.most))
                }
                _ => Err(shared.failed(
                    "the other end did not prove that it has the key, or somebody changed the \
                     handshake",
                )),
            }
        }
    }
}

/// What a hello is answered with.
fn greet(shared: &Shared, hello: &Message) -> Result<(Nonce, Derived), Rerror> {
    let header = &hello.header;
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
    let nonce = nonce().map_err(|why| shared.failed(why))?;
    let derived = derive(shared, key, &theirs, &nonce)?;
    Ok((nonce, derived))
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
