//! A peer whose sessions live on several runtimes, and runtimes that end before their peer.

use std::future::IntoFuture;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use teleport::{ErrorKind, Peer, Session};
use teleport_tests::pair::{bare, poll_once};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

const HOUR: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(50);

fn paused() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
}

#[test]
fn deadlines_hold_on_when_the_runtime_of_another_session_ends() {
    let peer = Peer::builder().build().unwrap();
    let (first, second) = (paused(), paused());
    // The timer of the peer is started here, by the first to need it.
    let elsewhere = first.block_on(async {
        let (session, stream) = bare(&peer, 1 << 16).await;
        let call = session.call::<()>("/never", ()).timeout(HOUR);
        (call.send().await.unwrap(), stream)
    });
    let (error, age) = second.block_on(async {
        let (session, _stream) = bare(&peer, 1 << 16).await;
        let call = session.call::<()>("/never", ()).timeout(SHORT);
        let call = call.send().await.unwrap();
        first.shutdown_background();
        let error = timeout(HOUR, call).await.expect("it ends").unwrap_err();
        session.set_session_age(SHORT);
        (error, timeout(HOUR, session.closed()).await)
    });
    assert_eq!(error.kind(), ErrorKind::Timeout);
    age.expect("the age of a session too");
    drop(elsewhere);
}

#[test]
fn a_timer_that_can_go_on_nowhere_is_started_by_the_next_to_need_it() {
    let peer = Peer::builder().build().unwrap();
    for _ in 0..3 {
        paused().block_on(async {
            let (session, _stream) = bare(&peer, 1 << 16).await;
            let call = session.call::<()>("/never", ()).timeout(SHORT);
            let ended = timeout(HOUR, call.into_future()).await.expect("it ends");
            assert_eq!(ended.unwrap_err().kind(), ErrorKind::Timeout);
        });
    }
}

#[test]
fn a_call_made_while_its_runtime_ends_holds_up_nobody() {
    /// Makes a call when its task is dropped; the session's own is dropped after it.
    struct Last(mpsc::Receiver<Session>);

    impl Drop for Last {
        fn drop(&mut self) {
            let session = self.0.recv().unwrap();
            assert!(session.health(), "else there is nothing to be seen here");
            let mut call = session
                .call::<()>("/never", ())
                .timeout(SHORT)
                .into_future();
            let _ = poll_once(&mut call);
        }
    }

    let (ended, end) = mpsc::channel();
    thread::spawn(move || {
        let peer = Peer::builder().build().unwrap();
        let runtime = paused();
        let (sender, receiver) = mpsc::channel();
        let last = Last(receiver);
        let stream = runtime.block_on(async {
            tokio::spawn(async move {
                let _last = last;
                std::future::pending::<()>().await;
            });
            let (session, stream) = bare(&peer, 1 << 16).await;
            sender.send(session).unwrap();
            stream
        });
        drop(runtime);
        drop(stream);
        // The peer can be used on.
        let served = paused().block_on(async {
            let (session, _stream) = bare(&peer, 1 << 16).await;
            let call = session.call::<()>("/never", ()).timeout(SHORT);
            call.await.unwrap_err().kind()
        });
        ended.send(served).unwrap();
    });
    let served = end.recv_timeout(Duration::from_secs(60));
    assert_eq!(served, Ok(ErrorKind::Timeout));
}
