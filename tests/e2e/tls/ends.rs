//! How encrypted connections end.

use teleport_tests::frames::RawFrame;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::support::{call, one_session, pair, raw};

#[tokio::test]
async fn an_end_without_a_goodbye_is_good_between_messages_and_bad_within_one() {
    let (authority, server, _) = pair();
    // Dropped, it says no goodbye.
    let mut stream = raw(&authority, &server).await;
    call(&mut stream).await;
    let session = one_session(&server).await;
    drop(stream);
    session.closed().await;
    assert_eq!(
        session.close_reason().as_deref(),
        Some("closed by the other end")
    );

    let mut stream = raw(&authority, &server).await;
    call(&mut stream).await;
    let session = one_session(&server).await;
    stream.write_all(&[0, 0, 0, 40, b'r']).await.unwrap();
    stream.flush().await.unwrap();
    drop(stream);
    session.closed().await;
    let reason = session.close_reason().unwrap();
    assert!(reason.contains("within"), "{reason}");
    server.close().await;
}

#[tokio::test]
async fn what_was_sent_before_the_writing_side_ended_is_answered() {
    let (authority, server, _) = pair();
    let mut stream = raw(&authority, &server).await;
    let frame = RawFrame::call("0", "/echo/back", "x").bytes();
    stream.write_all(&frame).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(!rest.is_empty(), "the reply arrives");
    server.close().await;
}

#[tokio::test]
async fn a_goodbye_within_a_message_makes_it_no_better() {
    let (authority, server, _) = pair();
    let mut stream = raw(&authority, &server).await;
    call(&mut stream).await;
    let session = one_session(&server).await;
    stream.write_all(&[0, 0, 0, 40, b'r']).await.unwrap();
    stream.shutdown().await.unwrap();
    session.closed().await;
    let reason = session.close_reason().unwrap();
    assert!(reason.contains("ended within a message"), "{reason}");
    server.close().await;
}
