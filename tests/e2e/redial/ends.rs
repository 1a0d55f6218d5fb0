//! How a session that dials again ends: once, for everybody, and at once when it is told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use teleport::session::Redial;
use teleport::{ErrorKind, Peer, Plugin, Session, plugin};
use teleport_tests::exchange::Exchange;
use teleport_tests::pair::settle;
use tokio::time::Instant;

use super::{Echo, Scene};

#[derive(Clone, Default)]
struct Gone(Arc<AtomicUsize>);

#[plugin]
impl Plugin for Gone {
    fn name(&self) -> &str {
        "gone"
    }

    async fn post_disconnect(&self, session: &Session) -> Result<(), teleport::Rerror> {
        let error = session.push("/note/it", 1).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

async fn scene(redial: Redial) -> (Scene, Arc<AtomicUsize>) {
    let gone = Gone::default();
    let scene = Scene::of(Peer::builder().plugin(gone.clone()), redial).await;
    (scene, gone.0)
}

#[tokio::test(start_paused = true)]
async fn it_gives_up_after_its_attempts_and_is_gone_once() {
    let (scene, gone) = scene(Redial::times(3)).await;
    for _ in 0..2 {
        scene.exchange.cut();
        settle().await;
        scene.echo(1).await.unwrap();
        tokio::time::sleep(Duration::from_secs(11)).await;
    }
    assert_eq!(gone.load(Ordering::SeqCst), 0);
    scene.exchange.go_down();
    scene.session.closed().await;
    // Two that went well, and three that did not.
    assert_eq!(scene.exchange.dials().len(), 1 + 2 + 3);
    assert_eq!(gone.load(Ordering::SeqCst), 1);
    assert!(!scene.session.health());
    let reason = scene.session.close_reason().unwrap();
    assert!(
        reason.contains("dialling again was given up: attempt 3"),
        "{reason}"
    );
    assert!(scene.client.sessions().is_empty());
    let error = scene.echo(1).await.unwrap_err();
    assert!(error.to_string().contains(&reason), "{error}");
    // The reason of a closed session stays, whatever is closed then.
    scene.session.close().await;
    scene.session.abort();
    assert_eq!(scene.session.close_reason().unwrap(), reason);
}

#[tokio::test(start_paused = true)]
async fn closing_it_ends_the_dialling_at_once() {
    for how in ["close", "abort", "peer", "shutdown"] {
        let (scene, gone) = scene(Redial::forever()).await;
        scene.exchange.go_down();
        tokio::time::sleep(Duration::from_secs(100)).await;
        let dials = scene.exchange.dials().len();
        let started = Instant::now();
        let session = &scene.session;
        let waiting = scene.echo(1);
        let end = async {
            settle().await;
            match how {
                "close" => session.close().await,
                "abort" => session.abort(),
                "peer" => scene.client.close().await,
                _ => {
                    let report = scene.client.shutdown(Duration::from_secs(9)).await;
                    assert!(report.is_complete(), "{report}");
                }
            }
            session.closed().await;
        };
        let (waited, ()) = tokio::join!(waiting, end);
        assert_eq!(waited.unwrap_err().kind(), ErrorKind::Closed, "{how}");
        assert!(started.elapsed() < Duration::from_millis(100), "{how}");
        assert_eq!(gone.load(Ordering::SeqCst), 1, "{how}");
        assert!(scene.client.sessions().is_empty(), "{how}");
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert_eq!(scene.exchange.dials().len(), dials, "{how}");
    }
}

#[tokio::test(start_paused = true)]
async fn closing_it_while_it_is_connected_ends_it_in_good_order() {
    let (scene, gone) = scene(Redial::forever()).await;
    scene.exchange.cut();
    settle().await;
    scene.echo(1).await.unwrap();
    let call = scene
        .session
        .call::<i64>("/echo/held", 2)
        .send()
        .await
        .unwrap();
    settle().await;
    let (answered, (), ()) = tokio::join!(call, scene.session.close(), async {
        settle().await;
        scene.echo.gate.notify_waiters();
    });
    assert_eq!(answered.unwrap(), 2);
    assert_eq!(scene.session.close_reason().unwrap(), "closed by this side");
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(scene.exchange.dials().len(), 2);
    assert_eq!(gone.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_given_up_is_followed_by_another() {
    let (scene, gone) = scene(Redial::forever()).await;
    scene.session.drop_connection("nobody is there");
    assert_eq!(scene.echo(1).await.unwrap(), 1);
    assert_eq!(scene.exchange.dials().len(), 2);
    // The old handle speaks of its own connection, which is gone.
    scene.session.drop_connection("nobody is there");
    assert!(scene.session.is_connected());
    scene.session.current().drop_connection("nobody is there");
    assert!(!scene.session.is_connected());
    assert_eq!(gone.load(Ordering::SeqCst), 0);
    assert!(scene.session.close_reason().is_none());
    scene.session.abort_with("enough");
    scene.session.closed().await;
    assert_eq!(scene.session.close_reason().unwrap(), "enough");
}

#[tokio::test(start_paused = true)]
async fn another_session_that_takes_its_name_ends_it() {
    let (scene, gone) = scene(Redial::forever()).await;
    scene.session.set_id("ann");
    scene.exchange.cut();
    settle().await;
    let (near, _far) = tokio::io::duplex(1024);
    let other = scene.client.dial_conn(near).await.unwrap();
    other.set_id("ann");
    scene.session.closed().await;
    assert_eq!(gone.load(Ordering::SeqCst), 1);
    assert!(scene.client.sessions().get("ann").unwrap().is_same(&other));
}

#[tokio::test(start_paused = true)]
async fn it_goes_on_without_a_handle_until_its_peer_closes() {
    let (scene, _) = scene(Redial::forever()).await;
    let Scene {
        session,
        exchange,
        client,
        ..
    } = scene;
    let weak = session.downgrade();
    drop(session);
    exchange.cut();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(exchange.dials().len(), 2);
    assert!(weak.upgrade().unwrap().is_connected());
    client.close().await;
    assert!(weak.upgrade().is_none(), "nothing keeps a closed session");
}

#[test]
fn the_end_of_its_runtime_ends_it_for_handles_elsewhere() {
    for is_down in [false, true] {
        let theirs = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (session, exchange) = theirs.block_on(async {
            let server = Peer::builder().build().unwrap();
            server.route_call(Echo::default()).unwrap();
            let exchange = Exchange::new(&server);
            let client = Peer::builder().build().unwrap();
            let dial = client.dial_by(exchange.connector());
            let session = dial.redial(Redial::forever()).await.unwrap();
            session.call::<i64>("/echo/now", 1).await.unwrap();
            (session, exchange)
        });
        if is_down {
            exchange.go_down();
            while session.is_connected() {
                std::thread::yield_now();
            }
        }
        theirs.shutdown_background();
        let ours = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        ours.block_on(session.closed());
        let error = ours.block_on(async { session.call::<i64>("/echo/now", 1).await });
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Closed);
        let reason = session.close_reason().unwrap();
        assert!(reason.contains("ended early"), "{reason}");
    }
}
