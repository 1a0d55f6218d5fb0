//! What the original gets wrong about ages, in the frames of its recordings, as it is mended.

use std::time::Duration;

use teleport::rerror::code;
use teleport::{ErrorKind, Peer, Rerror, Session};
use teleport_tests::frames::{REPLY, RawFrame, read_frame};
use teleport_tests::pair::bare;
use teleport_tests::standard::{Notes, Options, client, server};
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, sleep, timeout};

const CONTEXT_AGE: Duration = Duration::from_millis(200);
const SESSION_AGE: Duration = Duration::from_millis(700);

async fn our_server(options: &Options) -> (Session, DuplexStream) {
    bare(&server(options, &Notes::default()).unwrap(), 1 << 16).await
}

async fn our_client(options: &Options) -> (Session, DuplexStream) {
    let peer: Peer = client(options, &Notes::default(), |builder| builder).unwrap();
    let (near, far) = tokio::io::duplex(1 << 16);
    (peer.dial_conn(near).await.unwrap(), far)
}

fn sleep_call(seq: &str, millis: &str) -> Vec<u8> {
    RawFrame::call(seq, "/test/sleep", millis).bytes()
}

#[tokio::test(start_paused = true)]
async fn row_13_a_caller_is_answered_when_the_age_of_the_context_is_over() {
    let options = Options {
        context_age: CONTEXT_AGE,
        ..Options::default()
    };
    let (session, mut stream) = our_server(&options).await;
    let started = Instant::now();
    stream.write_all(&sleep_call("A", "500")).await.unwrap();
    let reply = read_frame(&mut stream).await.unwrap().unwrap();
    assert_eq!(started.elapsed(), CONTEXT_AGE);
    let error = r#"{"code":408,"message":"Handle Timeout","reason":"the handler was not done within 200ms"}"#;
    let due = RawFrame {
        seq: "A".to_owned(),
        mtype: REPLY,
        meta: reply.meta.clone(),
        ..RawFrame::default()
    };
    assert_eq!((&reply, reply.error().as_str()), (&due, error));
    // No second reply at 500 ms; the next call is answered as ever.
    sleep(Duration::from_secs(2)).await;
    stream.write_all(&sleep_call("B", "100")).await.unwrap();
    let reply = read_frame(&mut stream).await.unwrap().unwrap();
    assert_eq!((reply.seq.as_str(), &reply.body[..]), ("B", &b"100"[..]));
    assert!(session.health());
}

#[tokio::test(start_paused = true)]
async fn row_14_a_call_ends_with_the_age_of_its_caller() {
    let options = Options {
        context_age: CONTEXT_AGE,
        ..Options::default()
    };
    let (session, mut stream) = our_client(&options).await;
    let answers = tokio::spawn(async move {
        let mut frames = Vec::new();
        while let Some(frame) = read_frame(&mut stream).await.unwrap() {
            // 450 ms for `500`, 150 ms for `1`.
            sleep(Duration::from_millis(frame.body.len() as u64 * 150)).await;
            let reply = RawFrame::reply(&frame.seq, &frame.body).bytes();
            stream.write_all(&reply).await.unwrap();
            frames.push((frame.seq, frame.meta));
        }
        frames
    });
    let started = Instant::now();
    let error = session.call::<i64>("/test/sleep", 500).await.unwrap_err();
    assert!(started.elapsed() < CONTEXT_AGE + Duration::from_millis(20));
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(Rerror::from(error).code(), code::HANDLE_TIMEOUT);
    // The reply at 450 ms finds nobody, and the next call gets its own.
    sleep(Duration::from_secs(1)).await;
    assert_eq!(session.call::<i64>("/test/sleep", 1).await.unwrap(), 1);
    session.close().await;
    let frames = answers.await.unwrap();
    assert_eq!(
        frames,
        [
            ("A".to_owned(), String::new()),
            ("B".to_owned(), String::new())
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn row_15_a_reply_is_written_though_the_age_of_the_connection_is_over() {
    let options = Options {
        session_age: SESSION_AGE,
        ..Options::default()
    };
    let (_session, mut stream) = our_server(&options).await;
    let started = Instant::now();
    stream.write_all(&sleep_call("A", "1000")).await.unwrap();
    let reply = read_frame(&mut stream).await.unwrap().unwrap();
    assert_eq!((reply.seq.as_str(), &reply.body[..]), ("A", &b"1000"[..]));
    assert_eq!(read_frame(&mut stream).await.unwrap(), None);
    assert_eq!(started.elapsed(), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_connection_ends_at_its_age_though_messages_come() {
    let options = Options {
        session_age: SESSION_AGE,
        ..Options::default()
    };
    for name in ["server", "client"] {
        let started = Instant::now();
        let (session, mut stream) = match name {
            "server" => our_server(&options).await,
            _ => our_client(&options).await,
        };
        let ended = async {
            loop {
                let _ = stream
                    .write_all(&RawFrame::push("p", "/push/status", "1").bytes())
                    .await;
                let read = timeout(Duration::from_millis(50), read_frame(&mut stream)).await;
                if let Ok(None) = read.map(|frame| frame.unwrap()) {
                    return;
                }
            }
        };
        ended.await;
        let late = started.elapsed().checked_sub(SESSION_AGE).unwrap();
        assert!(late < Duration::from_millis(100), "{name}: {late:?}");
        assert!(session.close_reason().unwrap().contains("700ms"), "{name}");
    }
}
