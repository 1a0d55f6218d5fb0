//! The first message of a connection: who may come in, and what becomes of everybody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use teleport::plugins::auth::{self, Launch, Verifier, Verify};
use teleport::{ErrorKind, Peer, PreSession, Rerror, controller};
use teleport_tests::frames::{RawFrame, framed, read_frame};
use teleport_tests::logs::capture;
use teleport_tests::pair::{call_bytes, connect};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;

/// Counts how often it was asked.
#[derive(Clone, Default)]
struct Echo(Arc<AtomicUsize>);

#[controller]
impl Echo {
    async fn it(&self, arg: Bytes) -> Bytes {
        self.0.fetch_add(1, Ordering::SeqCst);
        arg
    }
}

fn refusal() -> Rerror {
    Rerror::new(403, "auth fail", "auth fail detail")
}

/// Lets `secret` in, and counts what its handlers see.
fn guarded() -> (Peer, Echo) {
    let verify = Verify::new(|_, text| match text {
        "secret" => Ok(()),
        _ => Err(refusal()),
    });
    let peer = Peer::builder().plugin(verify).build().unwrap();
    let echo = Echo::default();
    peer.route_call(echo.clone()).unwrap();
    (peer, echo)
}

fn client(launch: Launch) -> Peer {
    Peer::builder().plugin(launch).build().unwrap()
}

/// The frame that the original starts with.
fn launch_frame(seq: &str, text: &str) -> RawFrame {
    RawFrame::call(seq, auth::URI, text).codec(b's')
}

/// Says bytes to a guarded server. Gives what it answers until it closes, and its error.
async fn said(server: &Peer, bytes: &[u8]) -> (Vec<RawFrame>, teleport::Error) {
    let (near, mut stream) = tokio::io::duplex(1 << 16);
    stream.write_all(bytes).await.unwrap();
    let error = server.serve_conn(near).await.unwrap_err();
    (frames(&mut stream).await, error)
}

async fn frames(stream: &mut DuplexStream) -> Vec<RawFrame> {
    let mut frames = Vec::new();
    while let Some(frame) = read_frame(stream).await.unwrap() {
        frames.push(frame);
    }
    frames
}

#[tokio::test]
async fn the_right_text_opens_the_session_and_takes_one_sequence_text() {
    let (server, echo) = guarded();
    let (there, here) = connect(&server, &client(Launch::new("secret"))).await;
    assert_eq!(call_bytes(&here, "/echo/it", "x").await.unwrap(), "x");
    let command = here.call::<String>("/echo/it", "x").send().await.unwrap();
    assert_eq!(command.seq().to_string(), "C");
    command.reply().await.unwrap();
    assert_eq!(echo.0.load(Ordering::SeqCst), 2);
    assert!(there.health());
}

#[tokio::test]
async fn the_wrong_text_fails_the_dial_with_the_servers_error() {
    let (server, _) = guarded();
    let address = server.listen_on("127.0.0.1:0").await.unwrap();
    let client = client(Launch::new("wrong"));
    for _ in 0..3 {
        let error = client.dial(&address).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert_eq!(error.rerror(), Some(&refusal()));
    }
    assert!(client.sessions().is_empty() && server.sessions().is_empty());
}

#[tokio::test]
async fn the_answers_are_those_of_the_original_byte_for_byte() {
    let (server, _) = guarded();
    for (text, meta) in [
        ("secret", ""),
        (
            "wrong",
            "X-Reply-Error=%7B%22code%22%3A403%2C%22message%22%3A%22auth%20fail%22%2C\
             %22reason%22%3A%22auth%20fail%20detail%22%7D",
        ),
    ] {
        let (near, mut stream) = tokio::io::duplex(1 << 16);
        let frame = launch_frame("A", text).bytes();
        stream.write_all(&frame).await.unwrap();
        let served = server.serve_conn(near).await;
        assert_eq!(served.is_ok(), text == "secret");
        let reply = RawFrame {
            uri: auth::URI.to_owned(),
            ..RawFrame::reply("A", "").meta(meta)
        };
        let mut bytes = vec![0; reply.bytes().len()];
        stream.read_exact(&mut bytes).await.unwrap();
        assert_eq!(bytes, reply.bytes());
    }
}

/// What comes before acceptance is refused, whatever it is: nothing of it, and nothing behind it,
/// reaches a handler.
#[tokio::test]
async fn every_first_message_but_the_right_one_is_refused_and_nothing_is_served() {
    let (server, echo) = guarded();
    let wants = "the 1th package want: CALL /auth/verify, but have: ";
    let of_type = |mtype: u8| RawFrame {
        mtype,
        ..launch_frame("A", "secret")
    };
    let notice = RawFrame::reply("~notice", "").meta("X-Notice=going-away");
    let long = format!("/{}", "a\"".repeat(4000));
    for (first, code, reason) in [
        (RawFrame::call("A", "/echo/it", "1"), 401, "CALL /echo/it"),
        (RawFrame::call("A", "", ""), 401, "CALL "),
        (
            launch_frame("A", "secret").with_uri("/auth/verify?x=1"),
            401,
            "CALL /auth/verify?x=1",
        ),
        (
            launch_frame("A", "secret").with_uri("/Auth/Verify"),
            401,
            "CALL /Auth/Verify",
        ),
        (
            launch_frame("A", "secret").with_uri("//auth/verify"),
            401,
            "CALL //auth/verify",
        ),
        (RawFrame::call("A", &long, ""), 401, "CALL /a\""),
        (of_type(2), 401, "REPLY /auth/verify"),
        (of_type(3), 401, "PUSH /auth/verify"),
        (RawFrame::push("A", "/echo/it", "1"), 401, "PUSH /echo/it"),
        (notice, 401, "REPLY "),
        (of_type(0), 401, "Undefined /auth/verify"),
        (of_type(4), 401, "Undefined /auth/verify"),
        (of_type(255), 401, "Undefined /auth/verify"),
        (launch_frame("A", ""), 403, "auth fail detail"),
        (launch_frame("A", "\u{1F511}"), 403, "auth fail detail"),
        (launch_frame("A", "\"secret\"").codec(b'z'), 400, ""),
        (launch_frame("A", "secret").codec(b'j'), 400, ""),
        (launch_frame("A", "secret").codec(0), 400, ""),
    ] {
        let mut bytes = first.bytes();
        bytes.extend(RawFrame::call("B", "/echo/it", "2").bytes());
        bytes.extend(launch_frame("C", "secret").bytes());
        bytes.extend(RawFrame::call("D", "/echo/it", "3").bytes());
        let (answers, error) = said(&server, &bytes).await;
        assert_eq!(answers.len(), 1, "{first:?}: {answers:?}");
        let answer = &answers[0];
        assert_eq!((answer.mtype, answer.seq.as_str()), (2, first.seq.as_str()));
        assert_eq!((answer.uri.as_str(), answer.codec), (auth::URI, b'j'));
        let told = answer.error();
        assert!(told.contains(&format!("\"code\":{code}")), "{told}");
        let json_reason = reason.replace('"', "\\\"");
        let due = match code {
            401 => format!("{wants}{json_reason}"),
            _ => json_reason,
        };
        assert!(told.contains(&due), "{told} lacks {due}");
        assert_eq!(error.kind(), ErrorKind::Refused, "{first:?}");
        assert_eq!(error.rerror().unwrap().code(), code);
    }
    assert_eq!(echo.0.load(Ordering::SeqCst), 0);
    assert!(server.sessions().is_empty());
}

#[tokio::test]
async fn broken_frames_before_acceptance_are_closed_without_an_answer() {
    let (server, echo) = guarded();
    let whole = launch_frame("A", "secret").bytes();
    let mut wrong_version = whole.clone();
    wrong_version[4] = b'x';
    let filtered = framed(b"?", &launch_frame("A", "secret").payload());
    for bytes in [
        &b"SSH-2.0-x\r\n"[..],
        &[0, 0, 0, 0],
        &[0, 0, 0, 5, b'r'],
        &[0xff; 64],
        &wrong_version,
        &filtered,
    ] {
        let mut bytes = bytes.to_vec();
        bytes.extend(RawFrame::call("B", "/echo/it", "2").bytes());
        let (answers, error) = said(&server, &bytes).await;
        assert!(answers.is_empty(), "{bytes:?}: {answers:?}");
        assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
    }
    assert_eq!(echo.0.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_stream_that_ends_within_the_handshake_is_refused_at_every_point() {
    let (server, _) = guarded();
    let whole = launch_frame("A", "secret").bytes();
    for cut in 0..whole.len() {
        let (near, mut stream) = tokio::io::duplex(1 << 10);
        stream.write_all(&whole[..cut]).await.unwrap();
        stream.shutdown().await.unwrap();
        assert!(server.serve_conn(near).await.is_err(), "cut at {cut}");
        assert!(frames(&mut stream).await.is_empty());
    }
}

#[tokio::test]
async fn the_handshake_may_come_in_two_parts_wherever_they_meet() {
    let (server, _) = guarded();
    let mut bytes = launch_frame("A", "secret").bytes();
    bytes.extend(RawFrame::call("B", "/echo/it", "2").bytes());
    for cut in 1..bytes.len() {
        let (near, mut stream) = tokio::io::duplex(1 << 10);
        let (front, back) = bytes.split_at(cut);
        stream.write_all(front).await.unwrap();
        let serve = tokio::spawn({
            let server = server.clone();
            async move { server.serve_conn(near).await }
        });
        tokio::task::yield_now().await;
        stream.write_all(back).await.unwrap();
        let session = serve.await.unwrap().unwrap();
        assert_eq!(read_frame(&mut stream).await.unwrap().unwrap().seq, "A");
        let reply = read_frame(&mut stream).await.unwrap().unwrap();
        assert_eq!((reply.seq.as_str(), &reply.body[..]), ("B", &b"2"[..]));
        session.abort();
    }
}

#[tokio::test]
async fn a_text_over_16_kib_is_refused_unread() {
    let (server, _) = guarded();
    let frame = launch_frame("A", &"x".repeat(16 * 1024)).bytes();
    let (answers, error) = said(&server, &frame[..100]).await;
    assert!(answers.is_empty());
    assert!(error.to_string().contains("16384"), "{error:?}");
    // Nor does our own side send one.
    let (near, far) = tokio::io::duplex(1 << 16);
    let client = client(Launch::new("x".repeat(16 * 1024)));
    let (there, here) = tokio::join!(server.serve_conn(near), client.dial_conn(far));
    assert!(there.is_err());
    assert!(here.unwrap_err().to_string().contains("16384"));
}

#[tokio::test(start_paused = true)]
async fn a_side_that_never_proves_itself_is_closed_after_the_budget() {
    let (server, echo) = guarded();
    let started = tokio::time::Instant::now();
    // One says nothing; one says its message byte by byte, too slowly.
    let (silent, mut hears) = tokio::io::duplex(100);
    let (slow, mut drips) = tokio::io::duplex(100);
    let drip = tokio::spawn(async move {
        for byte in launch_frame("A", "secret").bytes() {
            if drips.write_all(&[byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(900)).await;
        }
        frames(&mut drips).await
    });
    let (silent, slow) = tokio::join!(server.serve_conn(silent), server.serve_conn(slow));
    for error in [silent.unwrap_err(), slow.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
    }
    assert_eq!(started.elapsed(), Duration::from_secs(5));
    assert_eq!(hears.read(&mut [0]).await.unwrap(), 0);
    assert!(drip.await.unwrap().is_empty());
    assert_eq!(echo.0.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_fails_the_dial_after_the_budget() {
    let client = client(Launch::new("secret"));
    let (near, mut server) = tokio::io::duplex(1 << 10);
    let started = tokio::time::Instant::now();
    let error = client.dial_conn(near).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(started.elapsed(), Duration::from_secs(5));
    assert_eq!(frames(&mut server).await, [launch_frame("A", "secret")]);
}

#[tokio::test]
async fn connections_that_do_not_prove_themselves_hold_nobody_up() {
    let (server, _) = guarded();
    let address = server.listen_on("127.0.0.1:0").await.unwrap().to_string();
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(TcpStream::connect(&address).await.unwrap());
    }
    let session = client(Launch::new("secret")).dial(&address).await.unwrap();
    assert_eq!(call_bytes(&session, "/echo/it", "x").await.unwrap(), "x");
    assert_eq!(server.sessions().len(), 1);
}

/// What was sent behind the refused message lies unread when the connection is closed; a TCP
/// connection that is dropped so is reset, and the refusal lost.
#[tokio::test]
async fn a_refusal_arrives_whatever_was_sent_behind_the_wrong_text() {
    let (server, echo) = guarded();
    let address = server.listen_on("127.0.0.1:0").await.unwrap().to_string();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let mut bytes = launch_frame("A", "wrong").bytes();
        for _ in 0..500 {
            bytes.extend(RawFrame::call("B", "/echo/it", vec![b'x'; 200]).bytes());
        }
        stream.write_all(&bytes).await.unwrap();
        let answer = read_frame(&mut stream).await.unwrap().unwrap();
        assert!(answer.error().contains("auth fail detail"));
        assert_eq!(read_frame(&mut stream).await.unwrap(), None);
    }
    assert_eq!(echo.0.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_second_proof_is_a_call_without_a_route() {
    let (server, _) = guarded();
    let (near, mut stream) = tokio::io::duplex(1 << 16);
    let mut bytes = launch_frame("A", "secret").bytes();
    bytes.extend(launch_frame("B", "secret").bytes());
    bytes.extend(launch_frame("C", "wrong").bytes());
    bytes.extend(RawFrame::call("D", "/echo/it", "1").bytes());
    stream.write_all(&bytes).await.unwrap();
    let session = server.serve_conn(near).await.unwrap();
    let mut codes = Vec::new();
    for _ in 0..4 {
        let reply = read_frame(&mut stream).await.unwrap().unwrap();
        codes.push((reply.seq.clone(), reply.error()));
    }
    let not_found = "{\"code\":404,\"message\":\"Not Found\"}".to_owned();
    for (seq, error) in [
        ("A", String::new()),
        ("B", not_found.clone()),
        ("C", not_found),
        ("D", String::new()),
    ] {
        assert!(codes.contains(&(seq.to_owned(), error)), "{codes:?}");
    }
    assert!(session.health());
}

/// Knows users by their tokens, after a look elsewhere.
struct Accounts;

impl Verifier for Accounts {
    async fn verify(&self, session: &mut PreSession, text: &str) -> Result<(), Rerror> {
        tokio::task::yield_now().await;
        let user = text.strip_prefix("token of ").ok_or_else(refusal)?;
        session.set_id(user);
        session.swap_mut().insert("user", user.to_owned());
        Ok(())
    }
}

async fn fresh(session: &mut PreSession) -> Result<String, Rerror> {
    assert!(session.is_dialled());
    tokio::task::yield_now().await;
    Ok("token of ann".to_owned())
}

async fn only_ann(_session: &mut PreSession, text: &str) -> Result<(), Rerror> {
    tokio::task::yield_now().await;
    match auth::constant_time_eq(text, "token of ann") {
        true => Ok(()),
        false => Err(refusal()),
    }
}

#[tokio::test]
async fn both_sides_may_wait_and_the_verifier_names_the_session() {
    let server = Peer::builder()
        .plugin(Verify::by(Accounts))
        .build()
        .unwrap();
    let (there, _here) = connect(&server, &client(Launch::by(fresh))).await;
    assert_eq!(&*there.id(), "ann");
    assert_eq!(there.swap().get::<String>("user").unwrap(), "ann");
    let server = Peer::builder()
        .plugin(Verify::by(only_ann))
        .build()
        .unwrap();
    connect(&server, &client(Launch::by(fresh))).await;
    let (near, far) = tokio::io::duplex(1 << 10);
    let bob = client(Launch::new("token of bob"));
    let (there, here) = tokio::join!(server.serve_conn(near), bob.dial_conn(far));
    assert_eq!(there.unwrap_err().rerror(), Some(&refusal()));
    assert_eq!(here.unwrap_err().rerror(), Some(&refusal()));
}

async fn has_no_token(_session: &mut PreSession) -> Result<String, Rerror> {
    Err(Rerror::new(7, "no token", ""))
}

#[tokio::test]
async fn a_launcher_without_a_text_fails_the_dial_and_sends_nothing() {
    let (near, mut server) = tokio::io::duplex(1 << 10);
    let error = client(Launch::by(has_no_token)).dial_conn(near).await;
    assert_eq!(error.unwrap_err().rerror().unwrap().code(), 7);
    assert!(frames(&mut server).await.is_empty());
}

#[tokio::test]
async fn a_dial_takes_the_answer_of_its_own_proof_alone() {
    let answer = |frame: RawFrame| async move {
        let (near, mut server) = tokio::io::duplex(1 << 10);
        server.write_all(&frame.bytes()).await.unwrap();
        let client = client(Launch::new("secret"));
        client.dial_conn(near).await.map(|session| session.abort())
    };
    let reply = RawFrame::reply("A", "");
    answer(reply.clone()).await.unwrap();
    // Some versions of the original count the reply by themselves.
    answer(RawFrame::reply("Z", "").with_uri(auth::URI))
        .await
        .unwrap();
    for wrong in [
        RawFrame::reply("B", ""),
        RawFrame::reply("~notice", ""),
        RawFrame::call("A", auth::URI, ""),
        RawFrame::push("A", "/x", ""),
    ] {
        let error = answer(wrong.clone()).await.unwrap_err();
        assert_eq!(error.rerror().unwrap().code(), 401, "{wrong:?}");
    }
    let meta = "X-Reply-Error=%7B%22code%22%3A503%7D";
    let error = answer(RawFrame::reply("", "").meta(meta))
        .await
        .unwrap_err();
    assert_eq!(error.rerror().unwrap().code(), 503);
}

async fn panics_later(_session: &mut PreSession, text: &str) -> Result<(), Rerror> {
    tokio::task::yield_now().await;
    panic!("what is {text}")
}

#[tokio::test]
async fn a_verifier_that_panics_refuses_and_nothing_is_served() {
    let at_once = || Verify::new(|_, text| panic!("what is {text}"));
    for verify in [at_once(), Verify::by(panics_later)] {
        let (logs, _guard) = capture(false);
        let server = Peer::builder().plugin(verify).build().unwrap();
        let echo = Echo::default();
        server.route_call(echo.clone()).unwrap();
        let mut bytes = launch_frame("A", "this").bytes();
        bytes.extend(RawFrame::call("B", "/echo/it", "2").bytes());
        let (answers, error) = said(&server, &bytes).await;
        // What it panicked with is for the log alone.
        let [answer] = &answers[..] else {
            panic!("{answers:?}")
        };
        assert_eq!((answer.seq.as_str(), answer.uri.as_str()), ("A", auth::URI));
        let due = r#"{"code":500,"message":"Internal Server Error"}"#;
        assert_eq!(answer.error(), due);
        assert_eq!(error.rerror().unwrap().code(), 500);
        assert!(logs.has(&["auth_verify", "what is this"]));
        assert_eq!(echo.0.load(Ordering::SeqCst), 0);
        assert!(server.sessions().is_empty());
    }
}

#[test]
fn texts_are_compared_whole() {
    for (a, b, same) in [
        ("", "", true),
        ("secret", "secret", true),
        ("secret", "secres", false),
        ("secret", "recret", false),
        ("secret", "secre", false),
        ("", "x", false),
    ] {
        assert_eq!(auth::constant_time_eq(a, b), same, "{a:?} {b:?}");
    }
}
