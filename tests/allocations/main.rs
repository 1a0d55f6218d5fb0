//! How many allocations a call costs once everything is warm, on either side of a connection.
//!
//! Client and server run on a thread each, so that each is counted for itself.

use std::sync::mpsc;

use bytes::{Bytes, BytesMut};
use teleport::message::{Head, Mtype};
use teleport::proto::{AnyOf, Body, Env, JsonProto, PbProto, Proto, ProtoError, RawProto};
use teleport::{Bind, CallCtx, Peer, PushCtx, Session, controller, push_handler};
use teleport_tests::alloc::{CountingAlloc, count, count_here_in};
use tokio::runtime::{Builder, Runtime};
use tokio::task::spawn;

#[global_allocator]
static ALLOCATOR: CountingAlloc = CountingAlloc;

const SERVER: usize = 1;
const CLIENT: usize = 2;

/// How many calls are made before anything is counted, and how many are counted.
const WARM: u32 = 2_000;
const COUNTED: u32 = 5_000;

struct Math;

#[controller]
impl Math {
    async fn double(&self, _ctx: &mut CallCtx, arg: i64) -> i64 {
        arg * 2
    }

    async fn late(&self, arg: i64) -> i64 {
        tokio::task::yield_now().await;
        arg * 2
    }

    async fn unchecked(&self, arg: Unchecked) -> i64 {
        i64::from(arg.number) * 2
    }

    async fn checked(&self, arg: Checked) -> i64 {
        i64::from(arg.number) * 2
    }
}

#[derive(Clone, Copy, serde::Serialize, serde::Deserialize)]
struct Unchecked {
    number: u8,
    list: [i64; 2],
}

const MOST: u8 = 100;

#[derive(serde::Deserialize, Bind)]
struct Checked {
    #[param(range(1..=MOST), nonzero)]
    number: u8,
    #[param(len(2), range(-5..))]
    #[allow(dead_code, reason = "it is there to be checked")]
    list: [i64; 2],
}

struct Note;

#[push_handler]
impl Note {
    async fn down(&self, _ctx: &mut PushCtx, _arg: i64) {}
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Starts a server on a thread of its own that counts in its slot; returns where it listens.
fn start_server() -> String {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        count_here_in(SERVER);
        runtime().block_on(async {
            let server = Peer::builder().build().unwrap();
            server.route_call(Math).unwrap();
            server.route_push(Note).unwrap();
            let address = server.listen_on("127.0.0.1:0").await.unwrap();
            tell.send(address.to_string()).unwrap();
            server.closed().await;
        });
    });
    told.recv().unwrap()
}

/// Allocations per call, of the client and of the server.
#[derive(Debug)]
struct Cost {
    client: f64,
    server: f64,
}

impl Cost {
    fn print(&self, what: &str) {
        println!(
            "allocations per call, {what}: client {:.4}, server {:.4}",
            self.client, self.server
        );
    }

    #[track_caller]
    fn at_most(&self, client: f64, server: f64) {
        assert!(self.client <= client, "client: {self:?}");
        assert!(self.server <= server, "server: {self:?}");
    }
}

async fn measure<F: Future>(calls: u32, mut round: impl FnMut() -> F) -> Cost {
    for _ in 0..WARM / calls {
        round().await;
    }
    let before = [count(CLIENT), count(SERVER)];
    for _ in 0..COUNTED / calls {
        round().await;
    }
    let after = [count(CLIENT), count(SERVER)];
    let total = f64::from(COUNTED / calls * calls);
    let per_call = |at: usize| f64::from(u32::try_from(after[at] - before[at]).unwrap()) / total;
    Cost {
        client: per_call(0),
        server: per_call(1),
    }
}

async fn call(session: &Session, uri: &str, arg: i64) {
    let doubled: i64 = session.call(uri, arg).await.unwrap();
    assert_eq!(doubled, arg * 2);
}

async fn call_with(session: &Session, uri: &str, arg: Unchecked) {
    let doubled: i64 = session.call(uri, &arg).await.unwrap();
    assert_eq!(doubled, i64::from(arg.number) * 2);
}

/// Makes calls side by side, each in a task.
async fn burst(session: &Session, calls: i64) {
    let tasks: Vec<_> = (0..calls)
        .map(|n| {
            let session = session.clone();
            spawn(async move { call(&session, "/math/double", n).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// Packs and unpacks a body of 1 KiB, and gives buffers back after each, as an idle session does.
fn protocols_allocate_nothing() {
    let env = Env::default();
    let body: Bytes = br#"{"name":"a \"b\"","text":"a\nb"},"#.repeat(32).into();
    let head = Head {
        seq: b"\"A\"",
        mtype: Mtype::CALL,
        uri: b"/a?q=\"",
        meta: b"k=v",
        body_codec: b'j',
        xfer: b"",
    };
    for proto in [
        &RawProto as &dyn Proto,
        &JsonProto,
        &PbProto,
        &AnyOf::new(JsonProto),
    ] {
        let (pack, mut unpack) = proto.split();
        let mut wire = BytesMut::new();
        let mut round = |write: &mut dyn FnMut(&mut BytesMut) -> Result<(), ProtoError>| {
            wire.clear();
            let packed = pack.pack(&env, &head, Body::Write(write), &mut wire);
            packed.unwrap();
            let (frame, _) = unpack.unpack(&env, &wire, false).unwrap().unwrap();
            assert!(frame.body == body && frame.head.uri == head.uri);
            unpack.release();
        };
        let mut write = |dst: &mut BytesMut| {
            dst.extend_from_slice(&body);
            Ok(())
        };
        round(&mut write);
        round(&mut write);
        let before = count(CLIENT);
        for _ in 0..100 {
            round(&mut write);
        }
        assert_eq!(count(CLIENT) - before, 0, "{:?}", proto.names());
    }
}

/// One test, for the counters are the whole process's.
#[test]
fn a_warm_call_allocates_next_to_nothing() {
    let address = start_server();
    count_here_in(CLIENT);
    protocols_allocate_nothing();
    let runtime = runtime();
    runtime.block_on(async {
        let client = Peer::builder().build().unwrap();
        let session = client.dial(&address).await.unwrap();

        let cost = measure(1, || call(&session, "/math/double", 21)).await;
        cost.print("one at a time");
        cost.at_most(0.01, 0.01);

        let cost = measure(1, || call(&session, "/math/late", 21)).await;
        cost.print("a handler that waits");
        // The future, its erased form, the reply and the task.
        cost.at_most(0.01, 4.01);

        let cost = measure(100, || burst(&session, 100)).await;
        cost.print("100 at a time, of which a task each is the test's own");
        cost.at_most(2.5, 0.5);

        // Neither the step that binds and checks, where an argument has no rules, nor rules that
        // hold cost anything.
        let list = [-5, 5];
        for uri in ["/math/unchecked", "/math/checked"] {
            let arg = Unchecked { number: 100, list };
            let cost = measure(1, || call_with(&session, uri, arg)).await;
            cost.print(uri);
            cost.at_most(0.01, 0.01);
        }

        let cost = measure(1, || async {
            session.push("/note/down", 1_i64).await.unwrap();
            call(&session, "/math/double", 1).await;
        })
        .await;
        cost.print("a push and a call");
        cost.at_most(0.01, 0.01);

        let cost = measure(1, || async {
            let cmd = session.call::<i64>("/math/double", 4_i64).send().await;
            assert_eq!(cmd.unwrap().await.unwrap(), 8);
        })
        .await;
        cost.print("by CallCmd");
        cost.at_most(1.01, 0.01);
        client.close().await;
    });
}
