//! Sessions that dial again: what they keep, when they dial, what they tell, and how they end.
//!
//! The clock is paused, and the connections are in memory, unless a test says otherwise.

mod calls;
mod ends;
mod events;
mod pauses;
mod planned;
mod plugins;
mod pushes;
mod random;
mod sockets;
mod transports;

use std::sync::Arc;
use std::time::Duration;

use teleport::session::{Redial, SessionEventKind, SessionEvents};
use teleport::{CallCtx, Error, Peer, PeerBuilder, PushCtx, Session, controller, push_handler};
use teleport_tests::exchange::Exchange;
use teleport_tests::pair::settle;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Echoes at once, or when it is let go.
#[derive(Clone, Default)]
struct Echo {
    gate: Arc<Notify>,
    began: Arc<std::sync::Mutex<Vec<i64>>>,
}

#[controller]
impl Echo {
    async fn now(&self, arg: i64) -> i64 {
        self.began.lock().unwrap().push(arg);
        arg
    }

    async fn held(&self, arg: i64) -> i64 {
        self.began.lock().unwrap().push(arg);
        self.gate.notified().await;
        arg
    }

    async fn back(&self, ctx: &mut CallCtx, arg: i64) -> Result<i64, Error> {
        let session = ctx.session().clone();
        session.call("/there", arg).await
    }
}

struct Note(UnboundedSender<i64>);

#[push_handler]
impl Note {
    fn it(&self, _ctx: &mut PushCtx, arg: i64) {
        let _ = self.0.send(arg);
    }
}

/// A server, what dials it, and a client with a session.
struct Scene {
    server: Peer,
    exchange: Exchange,
    client: Peer,
    session: Session,
    echo: Echo,
    notes: UnboundedReceiver<i64>,
}

impl Scene {
    async fn new(redial: Redial) -> Self {
        Self::of(Peer::builder(), redial).await
    }

    async fn of(client: PeerBuilder, redial: Redial) -> Self {
        Self::between(Peer::builder(), client, redial).await
    }

    async fn between(server: PeerBuilder, client: PeerBuilder, redial: Redial) -> Self {
        let (echo, (note, notes)) = (Echo::default(), unbounded_channel());
        let server = server.build().unwrap();
        server.route_call(echo.clone()).unwrap();
        server.route_push(Note(note)).unwrap();
        let exchange = Exchange::new(&server);
        let client = client.build().unwrap();
        let dial = client.dial_by(exchange.connector()).redial(redial);
        let session = dial.await.unwrap();
        settle().await;
        Self {
            server,
            exchange,
            client,
            session,
            echo,
            notes,
        }
    }

    async fn echo(&self, n: i64) -> Result<i64, Error> {
        self.session.call("/echo/now", n).await
    }
}

/// The kind of the next event.
async fn next(events: &mut SessionEvents) -> SessionEventKind {
    events.recv().await.unwrap().kind
}

#[tokio::test(start_paused = true)]
async fn a_session_stays_the_same_over_its_connections() {
    let scene = Scene::new(Redial::times(3)).await;
    let session = &scene.session;
    session.set_id("ann");
    session.swap_mut().insert("user", 7);
    assert_eq!(scene.echo(1).await.unwrap(), 1);
    let before = session.call::<i64>("/echo/now", 1).send().await.unwrap();
    assert_eq!(before.seq().as_bytes(), b"B");
    before.await.unwrap();

    scene.exchange.cut();
    settle().await;
    assert!(session.health() && !session.is_connected());
    // It waits for the next connection, and the sequence goes on.
    let after = session.call::<i64>("/echo/now", 2).send().await.unwrap();
    assert_eq!(after.seq().as_bytes(), b"C");
    assert_eq!(after.await.unwrap(), 2);
    assert!(session.is_connected());
    assert_eq!(scene.exchange.dials().len(), 2);

    assert_eq!(&*session.id(), "ann");
    assert_eq!(session.swap().get::<i32>("user"), Some(&7));
    assert_eq!(scene.client.sessions().len(), 1);
    let found = scene.client.sessions().get("ann").unwrap();
    assert!(found.is_same(session) && found.is_connected());
    assert_eq!(found.number(), session.number());
    assert_eq!(found.call::<i64>("/echo/now", 3).await.unwrap(), 3);
    assert!(session.downgrade().upgrade().unwrap().is_same(session));

    // A name that is given while there is no connection stays too.
    scene.exchange.cut();
    settle().await;
    session.set_id("bob");
    assert_eq!(scene.echo(4).await.unwrap(), 4);
    assert!(scene.client.sessions().get("bob").is_some());
    assert!(scene.client.sessions().get("ann").is_none());
    assert_eq!(scene.client.sessions().len(), 1);
    session.close().await;
    assert!(scene.client.sessions().is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_redial_a_lost_connection_is_the_end() {
    let scene = Scene::new(Redial::never()).await;
    scene.exchange.cut();
    scene.session.closed().await;
    assert!(!scene.session.health());
    assert_eq!(scene.exchange.dials().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_configuration_says_how_often_and_a_dial_may_say_otherwise() {
    let server = Peer::builder().build().unwrap();
    let exchange = Exchange::new(&server);
    let client = Peer::builder().redial_times(2).build().unwrap();
    let two = client.dial_by(exchange.connector()).await.unwrap();
    let one = client
        .dial_by(exchange.connector())
        .redial_times(1)
        .await
        .unwrap();
    settle().await;
    exchange.go_down();
    tokio::join!(two.closed(), one.closed());
    assert_eq!(exchange.dials().len(), 2 + 2 + 1);
    let error = Peer::builder()
        .redial_interval(Duration::ZERO)
        .build()
        .unwrap_err();
    assert!(error.to_string().contains("write 100 ms"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_other_end_calls_on_the_new_connection() {
    let scene = Scene::new(Redial::forever()).await;
    #[controller]
    async fn there(arg: i64) -> i64 {
        arg * 2
    }
    scene.client.route_call_fn(there).unwrap();
    for n in 1..4 {
        let doubled: i64 = scene.session.call("/echo/back", n).await.unwrap();
        assert_eq!(doubled, 2 * n);
        scene.exchange.cut();
        settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_reaches_a_session_once_and_does_not_wait_for_one_without_connection() {
    let mut scene = Scene::new(Redial::forever()).await;
    scene.exchange.cut();
    settle().await;
    let told = scene
        .client
        .sessions()
        .broadcast("/note/it", 1)
        .await
        .unwrap();
    assert_eq!((told.sent, told.failed.len()), (0, 1));
    assert!(told.failed[0].1.may_retry(), "{}", told.failed[0].1);
    scene.echo(0).await.unwrap();
    let told = scene
        .client
        .sessions()
        .broadcast("/note/it", 2)
        .await
        .unwrap();
    assert_eq!((told.sent, told.failed.len()), (1, 0));
    assert_eq!(scene.notes.recv().await, Some(2));
    settle().await;
    assert!(scene.notes.try_recv().is_err());
}
