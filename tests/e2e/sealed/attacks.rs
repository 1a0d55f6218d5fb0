//! What somebody in the middle can do to a sealed session, and what becomes of it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use teleport::ErrorKind;
use teleport_tests::frames::{CALL, PUSH, REPLY, RawFrame, parse_frame};
use teleport_tests::middle::Way;
use teleport_tests::pair::settle;
use tokio::time::timeout;

use super::{Tapped, as_it_is, behind_the_handshake, tapped};

/// Long on a clock that stands still while anybody has something to do.
const LONG: Duration = Duration::from_secs(60);

/// A call whose first frame one way is changed; nothing may come of it.
async fn changed(
    way: Way,
    mut change: impl FnMut(Vec<u8>) -> Vec<u8> + Send + 'static,
) -> (Tapped, Option<teleport::Error>) {
    let change = behind_the_handshake(way, move |number, frame| match number {
        0 => vec![change(frame)],
        _ => vec![frame],
    });
    let tapped = tapped(change).await;
    let call = tapped.here.call::<String>("/work/echo?a=b", "body");
    let error = match timeout(LONG, call.meta("k", "v")).await {
        Ok(result) => Some(result.expect_err("a call that was tampered with")),
        Err(_) => None,
    };
    (tapped, error)
}

async fn length_of_a_frame(way: Way) -> usize {
    let tapped = tapped(as_it_is).await;
    let call = tapped.here.call::<String>("/work/echo?a=b", "body");
    call.meta("k", "v").await.unwrap();
    let skip = if way == Way::ToServer { 2 } else { 1 };
    tapped.middle.seen_to(way)[skip].len()
}

#[tokio::test(start_paused = true)]
async fn a_flipped_bit_in_any_byte_of_a_call_handles_nothing_and_answers_nothing() {
    let mut closed = 0;
    let length = length_of_a_frame(Way::ToServer).await;
    for at in 0..length {
        for bit in [0, 1, 7] {
            let (tapped, error) = changed(Way::ToServer, move |mut frame| {
                frame[at] ^= 1 << bit;
                frame
            })
            .await;
            assert!(tapped.handled.all().is_empty(), "byte {at}, bit {bit}");
            // Only the handshake was answered.
            assert_eq!(tapped.middle.seen_to(Way::ToClient).len(), 1, "byte {at}");
            closed += usize::from(error.is_some_and(|e| e.kind() == ErrorKind::Closed));
        }
    }
    // All but those where a longer frame was announced, or the CALL became a stray REPLY.
    assert!(closed >= (length - 4) * 3 - 6, "{closed} of {length} bytes");
}

#[tokio::test(start_paused = true)]
async fn a_flipped_bit_in_any_byte_of_a_reply_is_never_taken_for_the_reply() {
    for at in 0..length_of_a_frame(Way::ToClient).await {
        for bit in [0, 1, 7] {
            let (tapped, error) = changed(Way::ToClient, move |mut frame| {
                frame[at] ^= 1 << bit;
                frame
            })
            .await;
            assert!(tapped.handled_here.all().is_empty(), "byte {at}, bit {bit}");
            let kinds = [ErrorKind::Closed, ErrorKind::Refused];
            assert!(
                error.is_none_or(|e| kinds.contains(&e.kind())),
                "byte {at}, bit {bit}"
            );
        }
    }
}

/// Whether both ends are closed, and why the server's is.
async fn why_closed(tapped: &Tapped) -> String {
    timeout(LONG, tapped.there.closed())
        .await
        .expect("the session is closed");
    timeout(LONG, tapped.here.closed())
        .await
        .expect("so is the other end");
    tapped.there.close_reason().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_twice_is_handled_once_and_closes_the_session() {
    let twice = |_, frame: Vec<u8>| vec![frame.clone(), frame];
    let tapped = tapped(behind_the_handshake(Way::ToServer, twice)).await;
    tapped.here.push("/note/it", "once").await.unwrap();
    assert!(why_closed(&tapped).await.contains("came twice"));
    assert_eq!(tapped.handled.all(), ["once"]);

    let tapped = super::tapped(behind_the_handshake(Way::ToServer, twice)).await;
    let _ = timeout(LONG, tapped.here.call::<String>("/work/echo", "once"))
        .await
        .unwrap();
    assert!(why_closed(&tapped).await.contains("came twice"));
    assert_eq!(tapped.handled.all(), ["once?"]);

    // Much later too.
    let tapped = super::tapped(as_it_is).await;
    tapped.here.push("/note/it", "once").await.unwrap();
    for _ in 0..100 {
        tapped.here.call::<String>("/work/echo", "x").await.unwrap();
    }
    let old = tapped.middle.seen_to(Way::ToServer).swap_remove(2);
    tapped.middle.inject(Way::ToServer, old);
    assert!(why_closed(&tapped).await.contains("came twice"));
    assert_eq!(tapped.handled.all().len(), 101);
}

#[tokio::test(start_paused = true)]
async fn a_message_of_another_session_or_direction_closes_the_session() {
    let first = tapped(as_it_is).await;
    first.here.push("/note/it", "x").await.unwrap();
    settle().await;
    let frame = first.middle.seen_to(Way::ToServer).pop().unwrap();
    let second = tapped(as_it_is).await;
    second.middle.inject(Way::ToServer, frame.clone());
    assert!(why_closed(&second).await.contains("did not seal"));
    assert!(second.handled.all().is_empty());

    first.middle.inject(Way::ToClient, frame);
    timeout(LONG, first.here.closed()).await.unwrap();
    assert!(first.here.close_reason().unwrap().contains("did not seal"));
    assert!(first.handled_here.all().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_plain_message_closes_the_session() {
    let plain = [
        RawFrame::push("A", "/note/it", r#""x""#),
        RawFrame::call("A", "/work/echo", r#""x""#),
        RawFrame::call("A", "/work/echo", "").meta("X-Sealed=0"),
        RawFrame::push("A", "/note/it", r#""x""#).meta("X-Sealed=+1"),
        RawFrame::push("A", "/note/it", r#""x""#).meta("X-Sealed=4294967296"),
        RawFrame::push("A", "/note/it", r#""x""#).meta("X-Sealed=18446744073709551615"),
    ];
    for frame in plain {
        let tapped = tapped(as_it_is).await;
        tapped.middle.inject(Way::ToServer, frame.bytes());
        let why = why_closed(&tapped).await;
        assert!(why.contains("seal"), "{why}");
        assert!(tapped.handled.all().is_empty(), "{frame:?}");
        assert_eq!(tapped.middle.seen_to(Way::ToClient).len(), 1, "{frame:?}");
    }
    // So does a sealed one without its metadata, or with more.
    for meta in [
        "",
        "k=v&X-Sealed=0",
        "X-Sealed=0&k=v",
        "X-Sealed=00",
        "X-Sealed=1",
        "X-Sealed=0&X-Sealed=0",
    ] {
        let (tapped, error) = changed(Way::ToServer, |frame| {
            parse_frame(&frame).meta(meta).bytes()
        })
        .await;
        assert_eq!(error.unwrap().kind(), ErrorKind::Closed, "{meta}");
        assert!(tapped.handled.all().is_empty(), "{meta}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_plain_reply_is_no_reply_whatever_it_says() {
    let replies: [fn(RawFrame) -> RawFrame; 3] = [
        |frame| RawFrame::reply(&frame.seq, r#""forged""#),
        |frame| {
            RawFrame::reply(&frame.seq, "")
                .meta("X-Reply-Error=%7B%22code%22%3A503%7D")
                .codec(0)
        },
        |frame| RawFrame::reply(&frame.seq, r#""forged""#).meta(&frame.meta),
    ];
    for reply in replies {
        let (tapped, error) = changed(Way::ToClient, move |frame| {
            reply(parse_frame(&frame)).bytes()
        })
        .await;
        let error = error.unwrap();
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        assert_eq!(error.rerror().unwrap().code(), 100_001);
        timeout(LONG, tapped.here.closed()).await.unwrap();
        assert!(tapped.here.close_reason().unwrap().contains("seal"));
    }
}

/// What is changed in a message that can be read by everybody.
#[tokio::test(start_paused = true)]
async fn what_can_be_read_of_a_message_cannot_be_changed() {
    let changes: [fn(RawFrame) -> RawFrame; 7] = [
        |frame| frame.with_uri("/work/fail"),
        |frame| frame.with_uri("/work/echo?c=d"),
        |frame| frame.codec(b's'),
        |frame| RawFrame {
            seq: "Z".to_owned(),
            ..frame
        },
        |frame| RawFrame {
            mtype: PUSH,
            ..frame
        },
        |frame| RawFrame {
            body: frame.body[1..].to_vec(),
            ..frame
        },
        |frame| RawFrame {
            body: Vec::new(),
            ..frame
        },
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let (tapped, error) = changed(Way::ToServer, move |frame| {
            change(parse_frame(&frame)).bytes()
        })
        .await;
        assert_eq!(error.unwrap().kind(), ErrorKind::Closed, "{number}");
        assert!(tapped.handled.all().is_empty(), "{number}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_cannot_be_given_to_another_call() {
    // Two replies change their sequence texts.
    let mut first: Option<Vec<u8>> = None;
    let swap = behind_the_handshake(Way::ToClient, move |_, frame| {
        let Some(held) = first.take() else {
            first = Some(frame);
            return Vec::new();
        };
        let (mut one, mut two) = (parse_frame(&held), parse_frame(&frame));
        std::mem::swap(&mut one.seq, &mut two.seq);
        vec![one.bytes(), two.bytes()]
    });
    let tapped = tapped(swap).await;
    let (a, b) = tokio::join!(
        tapped.here.call::<String>("/work/echo", "a"),
        tapped.here.call::<String>("/work/echo", "b"),
    );
    assert!(a.is_err() && b.is_err());

    // A reply is held back until another call has the same sequence text.
    let held = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&held);
    let hold = behind_the_handshake(Way::ToClient, move |number, frame| match number {
        0 => {
            *keep.lock().unwrap() = Some(frame);
            Vec::new()
        }
        // What is answered the second time comes too late to matter.
        _ => Vec::new(),
    });
    let tapped = super::tapped(hold).await;
    let call = || tapped.here.call::<String>("/work/echo", "pay").seq("mine");
    let first = call().timeout(Duration::from_secs(1)).await;
    assert_eq!(first.unwrap_err().kind(), ErrorKind::Timeout);
    let second = call().send().await.unwrap();
    settle().await;
    let frame = held.lock().unwrap().take().unwrap();
    assert_eq!(parse_frame(&frame).mtype, REPLY);
    tapped.middle.inject(Way::ToClient, frame);
    let error = second.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    timeout(LONG, tapped.here.closed()).await.unwrap();
    assert_eq!(tapped.handled.all(), ["pay?", "pay?"]);
}

#[tokio::test(start_paused = true)]
async fn a_forged_number_does_not_move_the_window() {
    // A message with a number far ahead is not authentic, and if it moved the window the true one
    // behind it would be too late. It closes the session; what came before it was handled.
    let tapped = tapped(as_it_is).await;
    tapped.here.push("/note/it", "x").await.unwrap();
    settle().await;
    let frame = parse_frame(&tapped.middle.seen_to(Way::ToServer).pop().unwrap());
    assert_eq!((frame.mtype, frame.meta.as_str()), (PUSH, "X-Sealed=0"));
    tapped
        .middle
        .inject(Way::ToServer, frame.meta("X-Sealed=1000000").bytes());
    assert!(why_closed(&tapped).await.contains("did not seal"));
    assert_eq!(tapped.handled.all(), ["x"]);
    assert_ne!(CALL, PUSH);
}

#[tokio::test(start_paused = true)]
async fn calls_in_flight_fail_with_the_reason_when_a_forged_message_comes() {
    let drop_replies = behind_the_handshake(Way::ToClient, |_, _| Vec::new());
    let tapped = tapped(drop_replies).await;
    let waiting = tapped
        .here
        .call::<String>("/work/echo", "x")
        .send()
        .await
        .unwrap();
    let forged = RawFrame::push("A", "/note/it", "").bytes();
    tapped.middle.inject(Way::ToClient, forged);
    let error = waiting.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    assert!(error.to_string().contains("not sealed"), "{error}");
}
