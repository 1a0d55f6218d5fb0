//! The age where calls are made.

use std::time::Duration;

use teleport::rerror::code;
use teleport::{ErrorKind, Peer, Rerror};
use teleport_tests::frames::{RawFrame, read_frame};
use teleport_tests::pair::{bare, settle};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout};

use super::AGE;

#[tokio::test(start_paused = true)]
async fn the_age_of_a_caller_ends_its_calls_with_408_and_the_late_reply_is_ignored() {
    let client = Peer::builder().default_context_age(AGE).build().unwrap();
    let (session, mut server) = bare(&client, 1 << 16).await;
    let started = Instant::now();
    let call = session.call::<i64>("/test/sleep", 500);
    let error = call.await.unwrap_err();
    let late = started.elapsed().checked_sub(AGE).unwrap();
    assert!(late <= Duration::from_millis(20), "{late:?}");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains("200ms"), "{error}");
    let rerror = Rerror::from(error);
    assert_eq!(
        (rerror.code(), rerror.message()),
        (code::HANDLE_TIMEOUT, "Handle Timeout")
    );
    let seq = read_frame(&mut server).await.unwrap().unwrap().seq;
    server
        .write_all(&RawFrame::reply(&seq, "500").bytes())
        .await
        .unwrap();
    // The next call is not answered by it.
    let next = session.call::<i64>("/test/sleep", 1).send().await.unwrap();
    settle().await;
    let seq = read_frame(&mut server).await.unwrap().unwrap().seq;
    server
        .write_all(&RawFrame::reply(&seq, "1").bytes())
        .await
        .unwrap();
    assert_eq!(next.await.unwrap(), 1);
    assert!(session.health());
}

#[tokio::test(start_paused = true)]
async fn of_the_limits_of_a_call_its_own_counts_then_the_shorter_default() {
    let seconds = Duration::from_secs;
    for (age, default, own, due) in [
        (2, 5, None, Some(2)),
        (5, 2, None, Some(2)),
        (0, 2, None, Some(2)),
        (2, 0, None, Some(2)),
        (2, 5, Some(9), Some(9)),
        (5, 5, Some(1), Some(1)),
        (0, 0, None, None),
    ] {
        let mut builder = Peer::builder().default_context_age(seconds(age));
        if default > 0 {
            builder = builder.default_call_timeout(seconds(default));
        }
        let (session, _server) = bare(&builder.build().unwrap(), 1 << 16).await;
        let mut call = session.call::<()>("/never", ());
        if let Some(own) = own {
            call = call.timeout(seconds(own));
        }
        let started = Instant::now();
        let ended = timeout(seconds(3600), call.into_future()).await;
        let took = ended.is_ok().then(|| started.elapsed().as_secs());
        assert_eq!(took, due, "{age} {default} {own:?}");
    }
}
