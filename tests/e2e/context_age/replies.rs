//! When a caller is answered in the place of a handler whose time is over.

use std::future::pending;
use std::time::Duration;

use teleport::{
    OnCancel, Peer, Plugin, PreSession, Rerror, UnknownCallCtx, UnknownPushCtx, controller, plugin,
};
use teleport_tests::frames::{RawFrame, read_frame};
use teleport_tests::logs::capture;
use teleport_tests::pair::{bare, settle};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, advance, sleep};

use super::{AGE, assert_nothing_came, assert_over, error_of, server_of};

#[tokio::test(start_paused = true)]
async fn a_caller_is_answered_408_when_the_time_is_over_and_never_again() {
    for uri in ["/work/sleep", "/work/spawned"] {
        let (session, mut stream) = server_of(Peer::builder().default_context_age(AGE)).await;
        assert_over(&error_of(&mut stream, uri, "500").await, AGE);
        assert_eq!(session.running_handlers(), 1, "{uri}: it goes on");
        sleep(Duration::from_secs(1)).await;
        assert_eq!(session.running_handlers(), 0, "{uri}");
        assert_nothing_came(&mut stream);
        // The connection lives, and what is in time is answered.
        let (error, took) = error_of(&mut stream, uri, "199").await;
        assert_eq!((error.as_str(), took.as_millis()), ("", 199), "{uri}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_says_its_own_age_or_none() {
    let (_session, mut stream) = server_of(Peer::builder().default_context_age(AGE)).await;
    assert_over(
        &error_of(&mut stream, "/work/brief", "").await,
        Duration::from_millis(50),
    );
    for (uri, took) in [("/work/longer", 250), ("/work/endless", 3_600_000)] {
        let (error, after) = error_of(&mut stream, uri, "").await;
        assert_eq!((error.as_str(), after.as_millis()), ("", took), "{uri}");
    }
    // Without any other age too.
    let (_session, mut stream) = server_of(Peer::builder()).await;
    assert_over(
        &error_of(&mut stream, "/work/brief", "").await,
        Duration::from_millis(50),
    );
}

#[tokio::test(start_paused = true)]
async fn the_age_of_a_session_is_set_at_any_time() {
    struct Younger;

    #[plugin]
    impl Plugin for Younger {
        fn name(&self) -> &str {
            "younger"
        }

        fn post_accept(&self, session: &mut PreSession) -> Result<(), Rerror> {
            assert_eq!(session.context_age(), AGE);
            session.set_context_age(AGE / 2);
            Ok(())
        }
    }

    let builder = Peer::builder().default_context_age(AGE).plugin(Younger);
    let (session, mut stream) = server_of(builder).await;
    assert_eq!(session.context_age(), AGE / 2);
    assert_over(&error_of(&mut stream, "/work/sleep", "150").await, AGE / 2);
    // A handler sets it for the messages that come after its own.
    let (error, _) = error_of(&mut stream, "/work/sets", "80").await;
    assert_eq!(error, "");
    assert_over(
        &error_of(&mut stream, "/work/sleep", "90").await,
        Duration::from_millis(80),
    );
    session.set_context_age(Duration::ZERO);
    let (error, took) = error_of(&mut stream, "/work/sleep", "9000").await;
    assert_eq!((error.as_str(), took.as_secs()), ("", 9));
}

#[tokio::test]
async fn a_handler_that_computes_for_longer_is_answered_for_before_its_result_is_written() {
    let (logs, _guard) = capture(false);
    let age = Duration::from_millis(1);
    let (session, mut stream) = server_of(Peer::builder().default_context_age(age)).await;
    let (error, _) = error_of(&mut stream, "/work/computes", "").await;
    assert!(error.contains("408") && error.contains("1ms"), "{error}");
    assert_eq!(session.running_handlers(), 0);
    assert!(
        logs.has(&["its result is dropped", "uri=/work/computes"]),
        "{:?}",
        logs.all()
    );
}

#[tokio::test(start_paused = true)]
async fn handlers_of_unknown_calls_and_pushes_have_the_age_of_the_session() {
    async fn call(ctx: &mut UnknownCallCtx) -> Result<u64, Rerror> {
        assert_eq!(ctx.remaining(), Some(AGE));
        sleep(AGE * 2).await;
        Ok(1)
    }

    async fn push(_: &mut UnknownPushCtx) -> Result<(), Rerror> {
        sleep(AGE * 2).await;
        Ok(())
    }

    let (logs, _guard) = capture(false);
    let builder = Peer::builder().default_context_age(AGE);
    let server = builder.on_cancel(OnCancel::Abort).build().unwrap();
    server.set_unknown_call(call).unwrap();
    server.set_unknown_push(push).unwrap();
    let (session, mut stream) = bare(&server, 1 << 16).await;
    assert_over(&error_of(&mut stream, "/any", "").await, AGE);
    let frame = RawFrame::push("p", "/thing", "").bytes();
    stream.write_all(&frame).await.unwrap();
    settle().await;
    assert_eq!(session.running_handlers(), 1);
    sleep(AGE + Duration::from_millis(1)).await;
    assert_eq!(session.running_handlers(), 0);
    assert!(
        logs.has(&["a push was not handled", "/thing", "408"]),
        "{:?}",
        logs.all()
    );
    assert_nothing_came(&mut stream);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_or_fails_late_changes_nothing() {
    struct Bad;

    #[controller(age = "200ms")]
    impl Bad {
        async fn panics(&self) {
            sleep(AGE * 2).await;
            panic!("late");
        }

        #[route(on_cancel = "abort")]
        async fn drops(&self) {
            struct Panics;
            impl Drop for Panics {
                fn drop(&mut self) {
                    panic!("when dropped");
                }
            }
            let _panics = Panics;
            pending::<()>().await;
        }
    }

    let (logs, _guard) = capture(false);
    let server = Peer::builder().build().unwrap();
    server.route_call(Bad).unwrap();
    let (session, mut stream) = bare(&server, 1 << 16).await;
    for uri in ["/bad/panics", "/bad/drops"] {
        assert_over(&error_of(&mut stream, uri, "").await, AGE);
        sleep(AGE * 2).await;
        assert_eq!(session.running_handlers(), 0, "{uri}");
        assert!(session.health(), "{uri}");
    }
    assert!(logs.has(&["when dropped"]), "{:?}", logs.all());
    assert_nothing_came(&mut stream);
}

#[tokio::test(start_paused = true)]
async fn handlers_out_of_time_still_count_among_those_that_may_run() {
    let builder = Peer::builder()
        .default_context_age(AGE)
        .max_running_handlers(2);
    let (session, mut stream) = server_of(builder).await;
    for _ in 0..2 {
        assert_over(&error_of(&mut stream, "/work/sleep", "5000").await, AGE);
    }
    // Nothing is read until one of them ends, 4600 ms from now.
    let started = Instant::now();
    let (error, _) = error_of(&mut stream, "/work/now", "1").await;
    assert_eq!((error.as_str(), started.elapsed().as_millis()), ("", 4600));
    assert!(session.running_handlers() <= 2);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_moved_by_hand_is_no_harm() {
    let (_session, mut stream) = server_of(Peer::builder().default_context_age(AGE)).await;
    let frame = RawFrame::call("s", "/work/sleep", "500").bytes();
    stream.write_all(&frame).await.unwrap();
    settle().await;
    // As after a machine slept: all timers are due at once, and the caller gets one answer.
    advance(Duration::from_secs(24 * 3600)).await;
    let reply = read_frame(&mut stream).await.unwrap().unwrap();
    assert!(reply.error().contains("408"), "{reply:?}");
    settle().await;
    assert_nothing_came(&mut stream);
}

#[tokio::test]
async fn an_age_beyond_all_clocks_is_none() {
    let builder = Peer::builder().default_context_age(Duration::MAX);
    let (session, mut stream) = server_of(builder.default_session_age(Duration::MAX)).await;
    let (error, _) = error_of(&mut stream, "/work/now", "1").await;
    assert_eq!(error, "");
    session.set_session_age(Duration::MAX);
    session.set_context_age(Duration::from_secs(u64::MAX));
    let (error, _) = error_of(&mut stream, "/work/now", "1").await;
    assert_eq!(error, "");
    assert!(session.health());
}
