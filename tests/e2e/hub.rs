//! The sessions of a peer: names, lookups, data of their own, broadcasts.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::{Serialize, Serializer};
use teleport::{CallCtx, ErrorKind, Peer, PushCtx, Session, codec, controller, push_handler};
use teleport_tests::pair::{Pair, bare, connect, settle, until};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

#[tokio::test]
async fn sessions_are_named_after_the_dialling_end_until_they_are_renamed() {
    let server = Peer::builder().build().unwrap();
    let client = Peer::builder().build().unwrap();
    let address = server.listen_on("127.0.0.1:0").await.unwrap();
    let here = client.dial(address.to_string()).await.unwrap();
    until("there is a session", || !server.sessions().is_empty()).await;
    let there = server.sessions().all().pop().unwrap();
    assert_eq!(here.id(), there.id());
    assert_eq!(*here.id(), here.local_address().to_string());
    assert_eq!(there.remote_address(), here.local_address());
    assert_eq!(there.local_address(), here.remote_address());
    assert_eq!(here.remote_address(), &address);
    assert_eq!(here.proto(), (b'r', "raw"));

    let natural = there.id();
    there.set_id("ann");
    assert_eq!(&*there.id(), "ann");
    assert!(server.sessions().get(&natural).is_none());
    assert_eq!(&*server.sessions().get("ann").unwrap().id(), "ann");
    // The other end keeps its own name for it.
    assert!(client.sessions().get(&natural).is_some());
    there.set_id("ann");
    assert_eq!(server.sessions().len(), 1);
    assert!(there.health());
}

#[tokio::test]
async fn a_name_taken_again_closes_the_older_session() {
    let (server, client) = (
        Peer::builder().build().unwrap(),
        Peer::builder().build().unwrap(),
    );
    let (older, older_end) = connect(&server, &client).await;
    let (newer, newer_end) = connect(&server, &client).await;
    older.set_id("ann");
    newer.set_id("ann");
    older.closed().await;
    older_end.closed().await;
    assert!(older.close_reason().unwrap().contains("took its id"));
    assert_eq!(server.sessions().len(), 1);
    assert_eq!(&*server.sessions().get("ann").unwrap().id(), "ann");
    assert!(newer.health() && newer_end.health());
    newer.push("/x", 1).await.unwrap();
}

#[tokio::test]
async fn sessions_are_counted_and_visited() {
    let (server, client) = (
        Peer::builder().build().unwrap(),
        Peer::builder().build().unwrap(),
    );
    assert!(server.sessions().is_empty());
    for name in ["a", "b", "c", "d"] {
        let (there, _) = connect(&server, &client).await;
        there.set_id(name);
    }
    let mut names = BTreeSet::new();
    server
        .sessions()
        .range(|session| names.insert(session.id().to_string()));
    assert_eq!(names.into_iter().collect::<String>(), "abcd");
    let mut visited = 0;
    server.sessions().range(|_| {
        visited += 1;
        visited < 2
    });
    assert_eq!((visited, server.sessions().len()), (2, 4));
    // They may be changed while they are visited.
    server.sessions().range(|session| {
        session.set_id(format!("{}!", session.id()));
        session.abort();
        true
    });
    for session in server.sessions().all() {
        session.closed().await;
    }
    assert!(server.sessions().is_empty());
}

struct Count;

#[controller]
impl Count {
    /// Counts on the session, and in the copy that this call has of it.
    async fn up(&self, ctx: &mut CallCtx) -> (u32, u32) {
        let session = ctx.session().clone();
        let before = session.swap().get::<u32>("n").copied().unwrap_or(0);
        session.swap_mut().insert("n", before + 1);
        let own = ctx.swap();
        let seen = own.get::<u32>("n").copied().unwrap_or(100);
        own.insert("n", 1000_u32);
        (before, seen)
    }
}

#[tokio::test]
async fn a_session_has_data_of_its_own() {
    let pair = Pair::new().await;
    pair.server.route_call(Count).unwrap();
    for n in 0..3 {
        let counted: (u32, u32) = pair.here.call("/count/up", ()).await.unwrap();
        assert_eq!(counted, (n, n + 1));
    }
    assert_eq!(pair.there.swap().get::<u32>("n"), Some(&3));
    assert!(pair.here.swap().is_empty());
}

#[derive(Clone)]
struct Hear(UnboundedSender<(String, u8)>);

#[push_handler]
impl Hear {
    async fn it(&self, ctx: &mut PushCtx, arg: String) {
        self.0.send((arg, ctx.body_codec())).unwrap();
    }
}

/// Counts how often it is encoded.
struct Counted<'a>(&'a AtomicUsize);

impl Serialize for Counted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.fetch_add(1, Ordering::Relaxed);
        serializer.serialize_str("news")
    }
}

#[tokio::test]
async fn a_broadcast_reaches_everybody_and_is_encoded_once() {
    let server = Peer::builder().build().unwrap();
    let (tell, mut told) = unbounded_channel();
    let client = Peer::builder().build().unwrap();
    client.route_push(Hear(tell)).unwrap();
    let mut ends = Vec::new();
    for n in 0..5 {
        let (there, here) = connect(&server, &client).await;
        there.set_id(format!("{n}"));
        ends.push(here);
    }
    let encoded = AtomicUsize::new(0);
    let sent = server
        .sessions()
        .broadcast("/hear/it", Counted(&encoded))
        .await;
    let sent = sent.unwrap();
    assert_eq!((sent.sent, sent.failed.len()), (5, 0));
    assert_eq!(encoded.load(Ordering::Relaxed), 1);
    for _ in 0..5 {
        assert_eq!(told.recv().await.unwrap(), ("news".to_owned(), codec::JSON));
    }

    let some = |session: &Session| &*session.id() < "2";
    let sent = server
        .sessions()
        .broadcast_in(codec::PLAIN, "/hear/it", Counted(&encoded), some)
        .await
        .unwrap();
    assert_eq!((sent.sent, encoded.load(Ordering::Relaxed)), (2, 2));
    for _ in 0..2 {
        assert_eq!(
            told.recv().await.unwrap(),
            ("news".to_owned(), codec::PLAIN)
        );
    }
    settle().await;
    assert!(told.try_recv().is_err());

    // An end that is gone is no error of the others.
    ends.pop().unwrap().close().await;
    settle().await;
    let sent = server
        .sessions()
        .broadcast("/hear/it", "more")
        .await
        .unwrap();
    assert_eq!(sent.sent, 4);
}

#[tokio::test]
async fn a_broadcast_passes_over_who_does_not_read() {
    let server = Peer::builder().queue_limit(1000).build().unwrap();
    let (tell, mut told) = unbounded_channel();
    let client = Peer::builder().build().unwrap();
    client.route_push(Hear(tell)).unwrap();
    let (_there, _here) = connect(&server, &client).await;
    let (deaf, _stream) = bare(&server, 10).await;
    deaf.push("/x", "y".repeat(2000)).await.unwrap();
    let sent = server
        .sessions()
        .broadcast("/hear/it", "news")
        .await
        .unwrap();
    assert_eq!((sent.sent, sent.failed.len()), (1, 1));
    assert_eq!(sent.failed[0].0.id(), deaf.id());
    assert_eq!(sent.failed[0].1.kind(), ErrorKind::Busy);
    assert_eq!(told.recv().await.unwrap().0, "news");
}

#[tokio::test]
async fn a_broadcast_that_cannot_be_encoded_is_sent_to_nobody() {
    let pair = Pair::new().await;
    let error = pair.server.sessions().broadcast("/x", f64::NAN).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Encode);
    let none = Peer::builder().build().unwrap();
    // With nobody there, nothing is encoded.
    assert_eq!(
        none.sessions()
            .broadcast("/x", f64::NAN)
            .await
            .unwrap()
            .sent,
        0
    );
}

struct Caller(Arc<AtomicUsize>);

#[push_handler]
impl Caller {
    async fn told(&self, arg: u32) {
        self.0.fetch_add(arg as usize, Ordering::Relaxed);
    }
}

struct Ask;

#[controller]
impl Ask {
    async fn back(&self, ctx: &mut CallCtx, arg: u32) -> Result<u32, teleport::Error> {
        let session = ctx.session().clone();
        session.push("/caller/told", arg).await?;
        let doubled: u32 = session.call("/twice/of", arg).await?;
        Ok(doubled + 1)
    }
}

struct Twice;

#[controller]
impl Twice {
    async fn of(&self, arg: u32) -> u32 {
        arg * 2
    }
}

#[tokio::test]
async fn a_server_calls_and_pushes_its_client_on_the_clients_connection() {
    let pair = Pair::new().await;
    pair.server.route_call(Ask).unwrap();
    let told = Arc::new(AtomicUsize::new(0));
    pair.client.route_push(Caller(told.clone())).unwrap();
    pair.client.route_call(Twice).unwrap();
    let calls: Vec<_> = (0..50)
        .map(|n| {
            let here = pair.here.clone();
            tokio::spawn(async move { (n, here.call::<u32>("/ask/back", n).await.unwrap()) })
        })
        .collect();
    for call in calls {
        let (n, reply) = call.await.unwrap();
        assert_eq!(reply, n * 2 + 1);
    }
    assert_eq!(told.load(Ordering::Relaxed), (0..50).sum::<usize>());
    // Also outside of any handler.
    assert_eq!(pair.there.call::<u32>("/twice/of", 4).await.unwrap(), 8);
}

#[tokio::test]
async fn a_peer_that_dials_itself_has_both_ends_by_names_of_their_own() {
    let peer = Peer::builder().build().unwrap();
    let address = peer.listen_on("127.0.0.1:0").await.unwrap();
    let dialled = peer.dial(&address).await.unwrap();
    until("both ends are there", || peer.sessions().len() == 2).await;
    assert!(dialled.health());
    for session in peer.sessions().all() {
        assert!(session.health());
        let found = peer.sessions().get(&session.id()).unwrap();
        assert_eq!(found.local_address(), session.local_address());
    }
    peer.close().await;
    assert!(peer.sessions().is_empty());
}
