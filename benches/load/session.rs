//! The full stack: peers, sessions, routes, contexts, codecs.

use std::net::SocketAddr;

use bytes::Bytes;
use teleport::{CallCtx, Peer, Protobuf, Raw, Session, controller};
use teleport_benches::BenchmarkMessage;

use crate::Result;
use crate::measure;

struct Hello;

#[controller]
impl Hello {
    /// Marks the message as seen.
    async fn say(&self, _ctx: &mut CallCtx, arg: BenchmarkMessage) -> BenchmarkMessage {
        arg.answered()
    }

    /// Gives the bytes back.
    async fn echo(&self, _ctx: &mut CallCtx, arg: Bytes) -> Bytes {
        arg
    }

    /// How many allocations this process has made.
    #[cfg(feature = "count-alloc")]
    async fn allocations(&self) -> Bytes {
        Bytes::copy_from_slice(&crate::count::allocations().to_be_bytes())
    }
}

fn peer() -> Result<Peer> {
    Ok(Peer::builder().default_body_codec("protobuf").build()?)
}

pub async fn serve(addr: SocketAddr) -> Result<()> {
    let peer = peer()?;
    peer.route_call(Hello)?;
    peer.listen_on(addr.to_string()).await?;
    peer.closed().await;
    Ok(())
}

/// All sessions are of one peer.
pub struct Stack(Peer);

impl Stack {
    pub fn new() -> Result<Self> {
        Ok(Self(peer()?))
    }
}

impl measure::Stack for Stack {
    type Link = Session;
    const NAME: &'static str = "teleport";

    async fn connect(&self, addr: SocketAddr, _callers: usize) -> Result<Session> {
        Ok(self.0.dial(addr.to_string()).await?)
    }

    async fn call(session: &Session, message: &BenchmarkMessage) -> Result<bool> {
        let reply: Protobuf<BenchmarkMessage> =
            session.call("/hello/say", Protobuf(message)).await?;
        Ok(reply.0.is_answer())
    }

    async fn echo(session: &Session, bytes: &Bytes) -> Result<usize> {
        let reply: Raw<Bytes> = session.call("/hello/echo", Raw(bytes)).await?;
        Ok(reply.0.len())
    }

    #[cfg(feature = "count-alloc")]
    async fn server_allocations(session: &Session) -> Result<u64> {
        let reply: Raw<Bytes> = session.call("/hello/allocations", ()).await?;
        Ok(u64::from_be_bytes(reply.0.as_ref().try_into()?))
    }
}
