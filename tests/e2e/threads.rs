//! What may go to another thread, and be looked at from several: all handles and all data, and the
//! futures of everything that is awaited. Compiling is the test.

use std::fmt::Debug;

use teleport::codec::{CodecError, Codecs};
use teleport::graceful::Graceful;
use teleport::message::{Header, Seq, Uri};
use teleport::peer::{Listening, WeakPeer};
use teleport::plugins::auth::{Launch, Verify};
use teleport::plugins::heartbeat::{Ping, Pong};
use teleport::plugins::overload::Overload;
use teleport::plugins::proxy::{Forward, Proxy};
use teleport::plugins::secure::{Legacy, Sealed};
use teleport::proto::{AnyOf, Env, JsonProto, Limits, PbProto, ProtoError, RawProto, Stranger};
use teleport::router::SubRouter;
use teleport::session::{
    Broadcast, CallCanceller, Redial, Request, SessionEvent, SessionEvents, Sessions, WeakSession,
};
use teleport::socket::{BoundListener, Socket, SocketOptions, SocketReader, SocketWriter, Stream};
use teleport::swap::Swap;
use teleport::tls::{TlsClient, TlsServer};
use teleport::xfer::{FilterError, Filters, XferPipe};
use teleport::{
    Address, CallCmd, CallCtx, Caller, Error, HandlerInfo, Message, Meta, Peer, PeerBuilder,
    PeerConfig, PluginContainer, PreCtx, PreSession, PushCtx, ReadCtx, Reply, Rerror, Session,
    ShutdownReport, UnknownCallCtx, UnknownPushCtx, WriteCtx,
};

macro_rules! shared {
    ($($ty:ty),+ $(,)?) => {
        $({
            fn shared<T: Debug + Send + Sync + 'static>() {}
            shared::<$ty>();
        })+
    };
}

#[test]
fn handles_and_data_are_shared_between_threads() {
    shared![
        Peer,
        PeerBuilder,
        PeerConfig,
        WeakPeer,
        Listening,
        ShutdownReport,
        Graceful,
        Session,
        WeakSession,
        Sessions,
        SessionEvent,
        Broadcast,
        Redial,
        Request,
        Reply<String>,
        CallCanceller,
        SubRouter,
        HandlerInfo,
        PluginContainer,
        CallCtx,
        PushCtx,
        UnknownCallCtx,
        UnknownPushCtx,
        PreCtx,
        ReadCtx,
        WriteCtx,
        Message,
        Header,
        Meta,
        Seq,
        Uri,
        Swap,
        Address,
        Error,
        Rerror,
        CodecError,
        FilterError,
        ProtoError,
        Codecs,
        Filters,
        XferPipe,
        Env,
        Limits,
        RawProto,
        JsonProto,
        PbProto,
        AnyOf,
        Stranger,
        SocketOptions,
        BoundListener,
        TlsClient,
        TlsServer,
        Launch,
        Verify,
        Ping,
        Pong,
        Overload,
        Forward,
        Proxy,
        Legacy,
        Sealed,
    ];
}

#[test]
fn what_one_task_owns_may_move_to_another_thread() {
    fn moves<T: Debug + Send + 'static>() {}
    moves::<CallCmd<String>>();
    moves::<SessionEvents>();
    moves::<PreSession>();
    moves::<Socket>();
    moves::<SocketReader>();
    moves::<SocketWriter>();
    moves::<Stream>();
}

/// Whatever is awaited can be awaited in a task that moves between threads.
#[test]
fn futures_may_move_between_threads() {
    fn moves<T: Send>(_: impl Fn() -> T) {}
    fn of(peer: &Peer, session: &Session, caller: &'static dyn Caller) {
        moves(|| peer.dial("a:1").into_future());
        moves(|| peer.listen_on("a:1").into_future());
        moves(|| peer.listen_and_serve());
        moves(|| peer.serve_conn(tokio::io::empty()));
        moves(|| peer.close());
        moves(|| peer.closed());
        moves(|| session.call::<String>("/a", "b").into_future());
        moves(|| session.call::<String>("/a", "b").send());
        moves(|| session.push("/a", "b").into_future());
        moves(|| session.close());
        moves(|| peer.sessions());
        moves(|| caller.call_raw(Request::default()));
    }
    let _ = of;
}
