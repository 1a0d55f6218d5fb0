//! Sockets alone: frames and codecs, without peers, routes and contexts.
//!
//! What a socket does not do, the user of sockets does here as plainly as may be: a server answers
//! in turn, a client with several callers has a task that hands the replies out.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use teleport::codec::{BodyRef, FromBody, PROTOBUF, ToBody};
use teleport::message::{Header, Message, Mtype, Seq};
use teleport::proto::{Env, RawProto};
use teleport::socket::{
    Family, HostPort, Listener, Socket, SocketOptions, SocketReader, SocketWriter, bind_tcp,
    connect_tcp,
};
use teleport::{Protobuf, Raw};
use teleport_benches::BenchmarkMessage;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::Result;
use crate::measure;

const SAY: &str = "/hello/say";
const ECHO: &str = "/hello/echo";
#[cfg(feature = "count-alloc")]
const ALLOCATIONS: &str = "/hello/allocations";

fn socket(stream: TcpStream) -> Result<Socket> {
    SocketOptions::default().apply(&stream)?;
    Ok(Socket::new(stream, &RawProto, Arc::new(Env::default())))
}

pub async fn serve(addr: SocketAddr) -> Result<()> {
    let mut listener = bind_tcp(&HostPort::from(addr), Family::Any).await?;
    loop {
        let stream = Listener::accept(&mut listener).await?;
        tokio::spawn(async move {
            if let Err(error) = answer(stream).await {
                eprintln!("a connection ended: {error}");
            }
        });
    }
}

async fn answer(stream: TcpStream) -> Result<()> {
    let mut socket = socket(stream)?;
    while let Some(call) = socket.read_message().await? {
        let mut header = header(Mtype::REPLY, "", call.header.seq.clone());
        match call.header.uri.path() {
            SAY => {
                let arg: Protobuf<BenchmarkMessage> = socket.decode(&call)?;
                let reply = arg.0.answered();
                socket.write(&header, &Protobuf(&reply)).await?;
            }
            ECHO => {
                header.body_codec = call.header.body_codec;
                socket.write(&header, &Raw(&call.body)).await?;
            }
            #[cfg(feature = "count-alloc")]
            ALLOCATIONS => {
                let count = crate::count::allocations().to_be_bytes();
                socket.write(&header, &Raw(count)).await?;
            }
            other => return Err(format!("nobody knows {other}").into()),
        }
    }
    Ok(())
}

fn header(mtype: Mtype, uri: &str, seq: Seq) -> Header {
    Message::new(mtype, uri, Bytes::new())
        .with_seq(seq)
        .with_body_codec(PROTOBUF)
        .header
}

pub struct Stack;

/// One connection and its callers.
pub enum Link {
    /// One caller, who waits for the reply.
    Alone(tokio::sync::Mutex<Socket>),
    /// Several callers.
    Shared {
        writer: tokio::sync::Mutex<SocketWriter>,
        waiting: Waiting,
        seq: AtomicU64,
        env: Arc<Env>,
    },
}

type Waiting = Arc<Mutex<HashMap<Seq, oneshot::Sender<Message>>>>;

impl Link {
    fn shared(socket: Socket) -> Self {
        let env = Arc::clone(socket.env());
        let (reader, writer) = socket.split();
        let waiting = Waiting::default();
        tokio::spawn(hand_out(reader, Arc::clone(&waiting)));
        Self::Shared {
            writer: tokio::sync::Mutex::new(writer),
            waiting,
            seq: AtomicU64::new(0),
            env,
        }
    }

    async fn exchange<R: FromBody>(&self, uri: &str, body: impl ToBody) -> Result<R> {
        match self {
            Self::Alone(socket) => {
                let mut socket = socket.lock().await;
                let header = header(Mtype::CALL, uri, Seq::from_counter(0));
                socket.write(&header, &body).await?;
                let reply = socket.read_message().await?.ok_or("the server has gone")?;
                Ok(socket.decode(&reply)?)
            }
            Self::Shared {
                writer,
                waiting,
                seq,
                env,
            } => {
                let seq = Seq::from_counter(seq.fetch_add(1, Ordering::Relaxed));
                let header = header(Mtype::CALL, uri, seq.clone());
                let (sender, receiver) = oneshot::channel();
                lock(waiting).insert(seq, sender);
                writer.lock().await.write(&header, &body).await?;
                let reply = receiver.await?;
                let body = BodyRef::shared(&reply.body);
                Ok(R::from_body(&env.codecs, reply.header.body_codec, body)?)
            }
        }
    }
}

/// Gives every reply to its caller until the connection ends; then all who wait are let go.
async fn hand_out(mut reader: SocketReader, waiting: Waiting) {
    while let Ok(Some(reply)) = reader.read_message().await {
        if let Some(sender) = lock(&waiting).remove(&reply.header.seq) {
            // Whoever has stopped waiting wants no reply.
            let _ = sender.send(reply);
        }
    }
    lock(&waiting).clear();
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl measure::Stack for Stack {
    type Link = Arc<Link>;
    const NAME: &'static str = "teleport-socket";

    async fn connect(&self, addr: SocketAddr, callers: usize) -> Result<Arc<Link>> {
        let socket = socket(connect_tcp(&HostPort::from(addr), Family::Any).await?)?;
        Ok(Arc::new(if callers == 1 {
            Link::Alone(tokio::sync::Mutex::new(socket))
        } else {
            Link::shared(socket)
        }))
    }

    async fn call(link: &Arc<Link>, message: &BenchmarkMessage) -> Result<bool> {
        let reply: Protobuf<BenchmarkMessage> = link.exchange(SAY, Protobuf(message)).await?;
        Ok(reply.0.is_answer())
    }

    async fn echo(link: &Arc<Link>, bytes: &Bytes) -> Result<usize> {
        let reply: Raw<Bytes> = link.exchange(ECHO, Raw(bytes)).await?;
        Ok(reply.0.len())
    }

    #[cfg(feature = "count-alloc")]
    async fn server_allocations(link: &Arc<Link>) -> Result<u64> {
        let reply: Raw<Bytes> = link.exchange(ALLOCATIONS, Raw([0u8; 0])).await?;
        Ok(u64::from_be_bytes(reply.0.as_ref().try_into()?))
    }
}
