//! Signs of life: when they are sent, what they are answered with, and what becomes of those who
//! give none.

use std::time::Duration;

use teleport::plugins::heartbeat::{Ping, Pong};
use teleport::{ErrorKind, Peer, PeerBuilder, Rerror, Session, UnknownCallCtx};
use teleport_tests::frames::{CALL, PUSH, RawFrame, read_frame};
use teleport_tests::logs::capture;
use teleport_tests::pair::{Pair, bare, settle};
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A session of a peer that pings, and its other end.
async fn pinging(ping: Ping) -> (Session, DuplexStream) {
    let client = Peer::builder().plugin(ping).build().unwrap();
    let (near, far) = tokio::io::duplex(1 << 16);
    (client.dial_conn(near).await.unwrap(), far)
}

async fn ponging() -> (Session, DuplexStream) {
    let server = Peer::builder().plugin(Pong::new()).build().unwrap();
    bare(&server, 1 << 16).await
}

/// The next frame within a time.
async fn frame_within(stream: &mut DuplexStream, time: Duration) -> Option<RawFrame> {
    let frame = timeout(time, read_frame(stream)).await.ok()?;
    frame.unwrap()
}

async fn say(stream: &mut DuplexStream, frame: RawFrame) {
    stream.write_all(&frame.bytes()).await.unwrap();
}

/// Says a heartbeat, and gives the answer.
async fn beat(stream: &mut DuplexStream, uri: &str, codec: u8) -> RawFrame {
    say(stream, RawFrame::call("A", uri, "").codec(codec)).await;
    read_frame(stream).await.unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn heartbeats_start_after_two_rates_and_go_on_each_rate() {
    for (by_call, mtype) in [(true, CALL), (false, PUSH)] {
        let started = Instant::now();
        let (session, mut stream) = pinging(match by_call {
            true => Ping::by_call(secs(3)),
            false => Ping::by_push(secs(3)),
        })
        .await;
        for (seq, at) in [("A", 6), ("B", 9), ("C", 12)] {
            let frame = read_frame(&mut stream).await.unwrap().unwrap();
            let due = RawFrame {
                mtype,
                ..RawFrame::call(seq, "/heartbeat?hb_=3", "")
            };
            assert_eq!(frame, due);
            assert_eq!(started.elapsed().as_secs(), at);
            if by_call {
                say(&mut stream, RawFrame::reply(seq, "null")).await;
            }
        }
        session.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_comes_between_one_and_two_rates_after_the_last_word() {
    let (session, mut stream) = pinging(Ping::by_push(secs(5))).await;
    for words in 0..10_u64 {
        sleep(Duration::from_millis(words * 700)).await;
        // What was sent meanwhile is of no interest.
        while frame_within(&mut stream, Duration::from_millis(1))
            .await
            .is_some()
        {}
        let last_word = Instant::now();
        match words % 2 {
            0 => session.push("/word", ()).seq("by hand").await.unwrap(),
            _ => say(&mut stream, RawFrame::push("A", "/word", "")).await,
        }
        let mut frame = read_frame(&mut stream).await.unwrap().unwrap();
        if words % 2 == 0 {
            assert_eq!(frame.uri, "/word");
            frame = read_frame(&mut stream).await.unwrap().unwrap();
        }
        assert_eq!(frame.uri, "/heartbeat?hb_=5");
        let silence = last_word.elapsed();
        assert!((secs(5)..=secs(10)).contains(&silence), "{silence:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_talks_sends_no_heartbeat_and_replies_are_no_talk() {
    let (session, mut stream) = pinging(Ping::by_push(secs(3))).await;
    let call = session.call::<String>("/slow", ()).send().await;
    assert_eq!(read_frame(&mut stream).await.unwrap().unwrap().uri, "/slow");
    for round in 0..20 {
        sleep(secs(2)).await;
        match round % 2 {
            0 => session.push("/word", ()).await.unwrap(),
            _ => say(&mut stream, RawFrame::push("A", "/word", "")).await,
        }
        let spoke = frame_within(&mut stream, Duration::from_millis(10)).await;
        assert_eq!(spoke.is_some(), round % 2 == 0, "{spoke:?}");
        assert!(spoke.is_none_or(|frame| frame.uri == "/word"));
    }
    // The reply comes in between, and changes nothing.
    let before = Instant::now();
    sleep(secs(2)).await;
    say(&mut stream, RawFrame::reply("A", "1")).await;
    drop(call);
    let frame = read_frame(&mut stream).await.unwrap().unwrap();
    assert_eq!(frame.uri, "/heartbeat?hb_=3");
    assert!(before.elapsed() < secs(6));
}

#[test]
fn a_rate_that_is_no_rate_is_an_error_of_the_building() {
    for (rate, fits) in [
        (Duration::ZERO, false),
        (secs(2), false),
        (Duration::from_millis(2999), false),
        (secs(3), true),
        (Duration::from_millis(3500), false),
        (secs(u64::from(u32::MAX)), true),
        (secs(u64::from(u32::MAX) + 1), false),
        (Duration::MAX, false),
    ] {
        for ping in [Ping::by_call(rate), Ping::by_push(rate)] {
            match Peer::builder().plugin(ping).build() {
                Ok(_) => assert!(fits, "{rate:?}"),
                Err(error) => {
                    assert!(!fits, "{rate:?}: {error}");
                    assert_eq!(error.kind(), ErrorKind::Config);
                    let text = error.to_string();
                    assert!(text.contains("whole seconds, from 3 s"), "{text}");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_that_does_not_answer_heartbeats_is_closed_after_twice_the_rate() {
    let started = Instant::now();
    let (session, _stream) = pinging(Ping::by_call(secs(3))).await;
    let call = session.call::<String>("/slow", ());
    let error = call.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    let text = error.to_string();
    assert!(
        text.contains("no answer to a heartbeat came within 6s"),
        "{text}"
    );
    session.closed().await;
    // The first heartbeat went at 6 s; deadlines are looked at about every 10 ms.
    let took = started.elapsed();
    assert!((secs(12)..secs(13)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn heartbeats_by_push_that_nobody_answers_go_on_and_close_nothing() {
    let (session, mut stream) = pinging(Ping::by_push(secs(3))).await;
    for _ in 0..100 {
        let frame = read_frame(&mut stream).await.unwrap().unwrap();
        assert_eq!(
            (frame.mtype, frame.uri.as_str()),
            (PUSH, "/heartbeat?hb_=3")
        );
    }
    assert!(session.health());
    // An end that is known to be gone is another thing.
    drop(stream);
    session.closed().await;
}

#[tokio::test(start_paused = true)]
async fn an_error_is_an_answer_and_so_is_anything_that_comes() {
    // No route for heartbeats: 404 each time.
    let plain = Pair::of(
        Peer::builder(),
        Peer::builder().plugin(Ping::by_call(secs(3))),
    )
    .await;
    sleep(secs(60)).await;
    assert!(plain.here.health() && plain.there.health());
    // Heartbeats are not answered, but pushes come now and then.
    let (session, mut stream) = pinging(Ping::by_call(secs(3))).await;
    let mut heartbeats = 0;
    for _ in 0..20 {
        sleep(secs(5)).await;
        say(&mut stream, RawFrame::push("A", "/word", "")).await;
        while frame_within(&mut stream, Duration::from_millis(1))
            .await
            .is_some()
        {
            heartbeats += 1;
        }
    }
    assert!(heartbeats > 2);
    assert!(session.health());
}

#[tokio::test]
async fn heartbeats_are_answered_with_nothing_in_the_words_of_the_codec() {
    let (_session, mut stream) = ponging().await;
    for (codec, body) in [
        (b'j', &b"null"[..]),
        (b'p', b""),
        (b's', b""),
        (b'f', b""),
        (0, b""),
        (b'?', b""),
    ] {
        let reply = beat(&mut stream, "/heartbeat?hb_=5", codec).await;
        assert_eq!((&reply.body[..], reply.codec), (body, codec));
        assert_eq!((reply.error().as_str(), reply.uri.as_str()), ("", ""));
    }
}

#[tokio::test]
async fn a_bad_rate_is_an_error_until_a_rate_is_known() {
    let (session, mut stream) = ponging().await;
    let bad = [
        ("bad", "bad"),
        ("-4", "-4"),
        ("1.5", "1.5"),
        ("%205", " 5"),
        ("5s", "5s"),
        ("99999999999999999999", "99999999999999999999"),
        ("-9223372036854775809", "-9223372036854775809"),
    ];
    for uri in [
        "/heartbeat",
        "/heartbeat?hb_=",
        "/heartbeat?hb_=0",
        "/heartbeat?hb_=-0",
    ] {
        assert_eq!(beat(&mut stream, uri, b'j').await.error(), "", "{uri}");
        for (text, reason) in bad {
            let uri = format!("/heartbeat?hb_={text}");
            let reply = beat(&mut stream, &uri, b'j').await;
            let due = format!(
                "{{\"code\":400,\"message\":\"Invalid Heartbeat Rate\",\"reason\":\"{reason}\"}}"
            );
            assert_eq!((reply.error(), reply.codec), (due, 0), "{uri}");
        }
    }
    assert_eq!(
        beat(&mut stream, "/heartbeat?hb_=5", b'j').await.error(),
        ""
    );
    for (text, _) in bad {
        let uri = format!("/heartbeat?hb_={text}");
        assert_eq!(beat(&mut stream, &uri, b'j').await.error(), "", "{uri}");
    }
    assert!(session.health());
}

#[tokio::test(start_paused = true)]
async fn an_end_whose_heartbeats_stop_is_closed_after_two_to_three_rates() {
    for rate in [1, 3, 5, 60, 3600] {
        for by_push in [false, true] {
            let (session, mut stream) = ponging().await;
            let uri = format!("/heartbeat?hb_={rate}");
            match by_push {
                true => say(&mut stream, RawFrame::push("A", &uri, "")).await,
                false => drop(beat(&mut stream, &uri, b'j').await),
            }
            settle().await;
            let started = Instant::now();
            session.closed().await;
            let took = started.elapsed();
            let (least, most) = (secs(2 * rate), secs(3 * rate) + Duration::from_millis(10));
            assert!((least..=most).contains(&took), "{rate}: {took:?}");
            let reason = session.close_reason().unwrap();
            assert!(reason.contains("no heartbeat"), "{reason}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_is_said_either_way_keeps_the_connection() {
    let (session, mut stream) = ponging().await;
    beat(&mut stream, "/heartbeat?hb_=3", b'j').await;
    for round in 0..20 {
        sleep(secs(5)).await;
        match round % 3 {
            0 => session.push("/word", ()).await.unwrap(),
            1 => say(&mut stream, RawFrame::push("A", "/word", "")).await,
            _ => say(&mut stream, RawFrame::call("A", "/none", "")).await,
        }
    }
    assert!(session.health());
    // A reply that nobody waits for is no talk.
    sleep(secs(5)).await;
    say(&mut stream, RawFrame::reply("A", "")).await;
    let started = Instant::now();
    session.closed().await;
    assert!(started.elapsed() < secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_later_rate_takes_the_place_of_the_earlier_one() {
    for (first, then, least, most) in [(100, 3, 6, 10), (3, 100, 200, 301), (3, 0, 6, 10)] {
        let (session, mut stream) = ponging().await;
        beat(&mut stream, &format!("/heartbeat?hb_={first}"), b'j').await;
        beat(&mut stream, &format!("/heartbeat?hb_={then}"), b'j').await;
        let started = Instant::now();
        session.closed().await;
        let took = started.elapsed();
        assert!(
            (secs(least)..secs(most)).contains(&took),
            "{first} {then}: {took:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_huge_rate_closes_nothing_and_harms_nobody() {
    let server = Peer::builder().plugin(Pong::new()).build().unwrap();
    let (huge, mut stream) = bare(&server, 1 << 16).await;
    for rate in [
        "4294967296",
        "9223372036",
        "9223372037",
        "9223372036854775807",
    ] {
        let uri = format!("/heartbeat?hb_={rate}");
        assert_eq!(beat(&mut stream, &uri, b'j').await.error(), "");
    }
    // Beside it others are closed in time.
    let (other, mut other_stream) = bare(&server, 1 << 16).await;
    beat(&mut other_stream, "/heartbeat?hb_=3", b'j').await;
    let started = Instant::now();
    other.closed().await;
    assert!(started.elapsed() < secs(10));
    sleep(secs(100_000)).await;
    assert!(huge.health());
}

#[tokio::test(start_paused = true)]
async fn no_connection_is_closed_without_a_rate() {
    let (session, mut stream) = ponging().await;
    beat(&mut stream, "/heartbeat", b'j').await;
    sleep(secs(100_000)).await;
    assert!(session.health());
}

fn both(by_call: bool) -> PeerBuilder {
    let ping = match by_call {
        true => Ping::by_call(secs(7)),
        false => Ping::by_push(secs(5)),
    };
    Peer::builder().plugin(ping).plugin(Pong::new())
}

#[tokio::test(start_paused = true)]
async fn both_ends_may_ping_and_pong_for_as_long_as_they_like() {
    for (server, client) in [(true, true), (true, false), (false, false)] {
        let pair = Pair::of(both(server), both(client)).await;
        sleep(secs(3600)).await;
        assert!(pair.here.health() && pair.there.health());
        let traffic = pair.here.traffic();
        // One heartbeat a rate at most, of both ends together.
        let beats = traffic.sent + traffic.received;
        assert!((3600 / 14..=3600 / 5 + 10).contains(&beats), "{traffic:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_plugin_in_front_of_the_routes_is_no_reason_to_close() {
    // Heartbeats are refused; a refusal is a sign of life.
    async fn refuse(_ctx: &mut UnknownCallCtx) -> Result<(), Rerror> {
        Err(Rerror::unavailable("not now"))
    }
    let pair = Pair::of(
        Peer::builder(),
        Peer::builder().plugin(Ping::by_call(secs(3))),
    )
    .await;
    pair.server.route_call_raw("/heartbeat", refuse).unwrap();
    sleep(secs(60)).await;
    assert!(pair.here.health());
}

#[test]
fn a_taken_path_is_an_error_of_the_building() {
    let first = Peer::builder().plugin(Pong::new());
    let error = first.plugin(Pong::new()).build().unwrap_err();
    assert!(error.to_string().contains("heartbeat_pong"), "{error}");
}

#[test]
fn peers_may_be_built_outside_of_a_runtime_and_outlive_one() {
    let server = Peer::builder().plugin(Pong::new()).build().unwrap();
    let client = Peer::builder()
        .plugin(Ping::by_call(secs(3)))
        .build()
        .unwrap();
    for _ in 0..2 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let (near, far) = tokio::io::duplex(1 << 10);
            let (there, here) = tokio::join!(server.serve_conn(near), client.dial_conn(far));
            sleep(secs(30)).await;
            assert!(here.unwrap().traffic().sent > 5);
            // Watched again too, in the second runtime.
            let (session, mut stream) = bare(&server, 1 << 10).await;
            beat(&mut stream, "/heartbeat?hb_=3", b'j').await;
            session.closed().await;
            assert!(there.unwrap().health());
        });
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_running_behind_a_peer() {
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let ping = || Peer::builder().plugin(Ping::by_push(secs(3)));
    // Closed at once, and forgotten without a word.
    let pair = Pair::of(Peer::builder().plugin(Pong::new()), ping()).await;
    sleep(secs(10)).await;
    assert_eq!(tasks(), before + 4, "two sessions, a timer for each plugin");
    pair.client.close().await;
    pair.server.close().await;
    settle().await;
    assert_eq!(tasks(), before + 1, "the pong finds out at its next look");
    sleep(secs(60)).await;
    assert_eq!(tasks(), before);
    let (near, far) = tokio::io::duplex(1 << 10);
    let forgotten = ping().build().unwrap();
    forgotten.dial_conn(near).await.unwrap();
    drop((forgotten, far));
    sleep(secs(10)).await;
    assert_eq!(tasks(), before);
}

#[tokio::test(start_paused = true)]
async fn five_thousand_sessions_have_one_timer_and_one_heartbeat_a_rate() {
    const SESSIONS: usize = 5000;
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let server = Peer::builder().plugin(Pong::new()).build().unwrap();
    let client = Peer::builder()
        .plugin(Ping::by_call(secs(30)))
        .build()
        .unwrap();
    let before = tasks();
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        let (near, far) = tokio::io::duplex(256);
        let (there, here) = tokio::join!(server.serve_conn(near), client.dial_conn(far));
        sessions.push((there.unwrap(), here.unwrap()));
    }
    assert_eq!(tasks(), before + 2 * SESSIONS + 1);
    sleep(secs(30 * 11 + 1)).await;
    // The ping's, the pong's, and the one for all timeouts of calls.
    assert_eq!(tasks(), before + 2 * SESSIONS + 3);
    for (there, here) in &sessions {
        assert_eq!(here.traffic().sent, 10);
        assert_eq!(there.traffic().received, 10);
        assert!(here.health() && there.health());
    }
}

#[tokio::test(start_paused = true)]
async fn the_log_says_who_was_closed_and_why() {
    let (logs, _guard) = capture(false);
    let (session, mut stream) = ponging().await;
    beat(&mut stream, "/heartbeat?hb_=3", b'j').await;
    session.closed().await;
    assert!(logs.has(&["session is closed", "twice the rate of 3s"]));
}
