//! The Go mode of the secure plugin: what is encrypted when, and what becomes of what cannot be
//! decrypted.

use bytes::Bytes;
use teleport::codec::{self, Protobuf, Raw};
use teleport::plugins::secure::{ACCEPT_SECURE, Legacy, SECURE, SecureExt};
use teleport::{
    CallCtx, ErrorKind, Peer, PeerBuilder, Rerror, Session, UnknownCallCtx, controller,
};
use teleport_tests::frames::{RawFrame, parse_frame, read_frame};
use teleport_tests::middle::{Middle, Way, middle};
use teleport_tests::pair::{bare, settle};
use teleport_tests::standard::routes::PbTest;
use tokio::io::AsyncWriteExt;

const KEY: &str = "cipherkey1234567";
const VERSION: &str = "1ba49884c59b16619f411c7c80343c9c";
const CODE: i32 = 100_001;

fn legacy() -> Legacy {
    Legacy::new(CODE, KEY).unwrap()
}

struct Sec;

#[controller]
impl Sec {
    fn add(&self, ctx: &mut CallCtx, arg: Vec<i64>) -> i64 {
        let query = ctx.uri().raw_query().to_vec();
        ctx.set_meta("seen-query", query);
        arg.iter().sum()
    }

    fn swap(&self, arg: PbTest) -> PbTest {
        PbTest { a: arg.b, b: arg.a }
    }

    fn nothing(&self, arg: String) -> Option<String> {
        assert_eq!(arg, "");
        None
    }

    fn fail(&self) -> Result<(), Rerror> {
        Err(Rerror::new(7, "no", ""))
    }

    fn always(&self, ctx: &mut CallCtx) -> &'static str {
        ctx.set_meta(SECURE, "true");
        "secret"
    }

    fn never(&self, ctx: &mut CallCtx) -> &'static str {
        ctx.set_meta(SECURE, "false");
        "open"
    }
}

async fn tapped(server: PeerBuilder, client: PeerBuilder) -> (Session, Middle) {
    let (server, client) = (server.build().unwrap(), client.build().unwrap());
    server.route_call(Sec).unwrap();
    let (near, far, middle) = middle(|_, frame| vec![frame]);
    let (there, here) = tokio::join!(server.serve_conn(far), client.dial_conn(near));
    there.unwrap();
    (here.unwrap(), middle)
}

async fn both() -> (Session, Middle) {
    let peer = || Peer::builder().plugin(legacy());
    tapped(peer(), peer()).await
}

/// The last frames to the server and to the client.
fn last(middle: &Middle) -> [RawFrame; 2] {
    [Way::ToServer, Way::ToClient].map(|way| parse_frame(middle.seen_to(way).last().unwrap()))
}

fn is_encrypted(frame: &RawFrame) -> bool {
    let says = frame.meta_value(SECURE).as_deref() == Some("true");
    let is = String::from_utf8_lossy(&frame.body).contains(VERSION);
    assert_eq!(says, is, "{frame:?}");
    is
}

#[tokio::test]
async fn a_secure_call_hides_query_and_body_and_so_does_its_reply() {
    let (session, middle) = both().await;
    let cmd = session.call::<i64>("/sec/add?x=1&y=2", [10, 2]).secure();
    let reply = cmd.send().await.unwrap().reply().await.unwrap();
    assert_eq!(reply.body, 12);
    assert_eq!(reply.meta.get("seen-query"), Some("x=1&y=2"));
    let [call, answer] = last(&middle);
    let due =
        format!("/sec/add?ciphertext=158dde6396528517ddb15b6c129c1299&cipherversion={VERSION}");
    assert_eq!(call.uri, due);
    assert!(is_encrypted(&call) && is_encrypted(&answer));
}

#[tokio::test]
async fn the_metadata_says_what_is_encrypted() {
    let (session, middle) = both().await;
    // Whether the call and whether the reply is encrypted, by what the call says.
    let cases: [(Option<&str>, Option<&str>, bool, bool); 9] = [
        (None, None, false, false),
        (Some("true"), None, true, true),
        (Some("true"), Some("false"), true, false),
        (Some("true"), Some("true"), true, true),
        (Some("true"), Some("other"), true, true),
        (None, Some("true"), false, true),
        (None, Some("false"), false, false),
        (Some("false"), None, false, false),
        (Some("TRUE"), Some("true"), false, true),
    ];
    for (secure, accept, call_is, reply_is) in cases {
        let mut call = session.call::<i64>("/sec/add", [1, 2]);
        if let Some(value) = secure {
            call = call.meta(SECURE, value);
        }
        if let Some(value) = accept {
            call = call.meta(ACCEPT_SECURE, value);
        }
        assert_eq!(call.await.unwrap(), 3);
        let [call, reply] = last(&middle);
        let what = format!("{secure:?} {accept:?}");
        assert_eq!(is_encrypted(&call), call_is, "{what}");
        assert_eq!(is_encrypted(&reply), reply_is, "{what}");
        // Another value never travels.
        assert_eq!(call.meta_value(SECURE).is_some(), call_is, "{what}");
    }
    let reply: String = session.call("/sec/always", ()).await.unwrap();
    assert_eq!(
        (reply.as_str(), is_encrypted(&last(&middle)[1])),
        ("secret", true)
    );
    let reply: String = session.call("/sec/never", ()).await.unwrap();
    assert_eq!(
        (reply.as_str(), is_encrypted(&last(&middle)[1])),
        ("open", false)
    );
    assert_eq!(last(&middle)[1].meta_value(SECURE), None);
    // What the caller asks for goes before.
    let reply: String = session.call("/sec/never", ()).secure().await.unwrap();
    assert_eq!(
        (reply.as_str(), is_encrypted(&last(&middle)[1])),
        ("open", true)
    );
}

#[tokio::test]
async fn errors_are_plain_and_empty_bodies_are_encrypted() {
    let (session, middle) = both().await;
    let error = session
        .call::<()>("/sec/fail", ())
        .secure()
        .await
        .unwrap_err();
    assert_eq!(error.rerror(), Some(&Rerror::new(7, "no", "")));
    let [call, reply] = last(&middle);
    assert!(is_encrypted(&call) && reply.body.is_empty() && reply.meta_value(SECURE).is_none());
    let reply: Option<String> = session
        .call("/sec/nothing", Raw(Bytes::new()))
        .secure()
        .await
        .unwrap();
    assert_eq!(reply, None);
    let [call, reply] = last(&middle);
    assert!(is_encrypted(&call) && is_encrypted(&reply));
    let error = session.call::<()>("/none", ()).secure().await.unwrap_err();
    assert_eq!(error.rerror().unwrap().code(), 404);
}

#[tokio::test]
async fn each_codec_carries_it_or_says_that_it_cannot() {
    let (session, middle) = both().await;
    let call = session.call::<Protobuf<PbTest>>("/sec/swap", Protobuf(&PbTest { a: 1, b: 2 }));
    let reply = call.body_codec(codec::PROTOBUF).secure().await.unwrap();
    assert_eq!(reply.0, PbTest { a: 2, b: 1 });
    let [call, reply] = last(&middle);
    assert!(is_encrypted(&call) && is_encrypted(&reply));
    assert_eq!(call.body[..2], [0x0a, 32]);
    let call = session.call::<PbTest>("/sec/swap", PbTest { a: 1, b: 2 });
    let reply = call.body_codec(codec::FORM).secure().await.unwrap();
    assert_eq!(reply, PbTest { a: 2, b: 1 });
    assert!(is_encrypted(&last(&middle)[0]));

    let frames = middle.seen().len();
    let call = session.call::<String>("/sec/nothing", "text");
    let error = call.body_codec(codec::PLAIN).secure().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.rerror().unwrap().code()),
        (ErrorKind::Refused, CODE)
    );
    assert!(error.to_string().contains("plain"), "{error}");
    // Nothing was sent, least of all in the clear.
    assert_eq!(middle.seen().len(), frames);
    // A reply that cannot be encrypted is no reply in the clear.
    let call = session.call::<String>("/sec/always", ());
    let error = call.accept_codec(codec::PLAIN).await.unwrap_err();
    assert_eq!(error.rerror().unwrap().code(), CODE, "{error}");
    assert!(
        !String::from_utf8_lossy(middle.seen_to(Way::ToClient).last().unwrap()).contains("secret")
    );
}

/// A server that is sent frames made by hand.
async fn by_hand(plugin: Legacy) -> (Peer, tokio::io::DuplexStream) {
    let server = Peer::builder().plugin(plugin).build().unwrap();
    server.route_call(Sec).unwrap();
    let (_session, stream) = bare(&server, 1 << 16).await;
    (server, stream)
}

fn encrypted(text: &str) -> String {
    let ciphertext = legacy().encrypt(text.as_bytes());
    format!(r#"{{"cipherversion":"{VERSION}","ciphertext":"{ciphertext}"}}"#)
}

async fn answer(stream: &mut tokio::io::DuplexStream, uri: &str, body: &str) -> RawFrame {
    let frame = RawFrame::call("A", uri, body).meta("X-Secure=true");
    stream.write_all(&frame.bytes()).await.unwrap();
    read_frame(stream).await.unwrap().unwrap()
}

#[tokio::test]
async fn what_does_not_decrypt_is_the_plugins_own_error_and_the_session_lives() {
    let (_server, mut stream) = by_hand(legacy()).await;
    let wrong = "00000000000000000000000000000000";
    let version = format!("get:\\\"{wrong}\\\", want:\\\"{VERSION}\\\"");
    let body = |version: &str, text: &str| {
        format!(r#"{{"cipherversion":"{version}","ciphertext":"{text}"}}"#)
    };
    let good = encrypted("[1]");
    let cases = [
        ("/sec/add".to_owned(), body(wrong, "00"), version.as_str()),
        ("/sec/add".to_owned(), body("", "00"), "get:\\\"\\\""),
        (
            format!("/sec/add?ciphertext=00&cipherversion={wrong}"),
            good.clone(),
            &version,
        ),
        // The query is looked at first.
        (
            format!("/sec/add?ciphertext=0&cipherversion={VERSION}"),
            body(wrong, "00"),
            "odd number",
        ),
        (
            format!("/sec/add?cipherversion={VERSION}"),
            good.clone(),
            "blocks",
        ),
        ("/sec/add".to_owned(), body(VERSION, ""), "blocks"),
        ("/sec/add".to_owned(), body(VERSION, "zz"), "no hex digit"),
        (
            "/sec/add".to_owned(),
            body(VERSION, "a062401691a0457b"),
            "blocks",
        ),
        (
            "/sec/add".to_owned(),
            body(VERSION, "eeca509c647e9f1270c0659655f99eae"),
            "padding",
        ),
        (
            "/sec/add".to_owned(),
            body(VERSION, "00112233445566778899aabbccddeeff"),
            "padding",
        ),
    ];
    for (uri, body, due) in cases {
        let reply = answer(&mut stream, &uri, &body).await;
        let error = reply.error();
        assert!(
            error.starts_with(r#"{"code":100001,"message":"decrypt ciphertext error""#),
            "{error}"
        );
        assert!(error.contains(due), "{error} {due}");
        assert!(reply.body.is_empty() && reply.codec == 0);
    }
    // What is no such envelope does not decode.
    for bad in ["[1]", "{", "7"] {
        let error = answer(&mut stream, "/sec/add", bad).await.error();
        assert!(error.starts_with(r#"{"code":400"#), "{error}");
    }
    // What decrypts to what the handler does not take is the plugin's error too, as in the original;
    // nothing of it is in the answer, which is plain.
    for bad in ["{", "\"secret\"", "[\"secret\"]"] {
        let error = answer(&mut stream, "/sec/add", &encrypted(bad))
            .await
            .error();
        let due = r#"{"code":100001,"message":"unmarshal raw body error""#;
        assert!(
            error.starts_with(due) && !error.contains("secret"),
            "{error}"
        );
    }
    let plain = RawFrame::call("A", "/sec/add", "{").bytes();
    stream.write_all(&plain).await.unwrap();
    let error = read_frame(&mut stream).await.unwrap().unwrap().error();
    assert!(error.starts_with(r#"{"code":400"#), "{error}");
    let reply = answer(&mut stream, "/sec/add", &good).await;
    assert!(reply.error().is_empty() && is_encrypted(&reply));
}

#[tokio::test]
async fn pairs_beside_an_encrypted_query_follow_it() {
    let (_server, mut stream) = by_hand(legacy()).await;
    let ciphertext = legacy().encrypt(b"x=1&y=2");
    let uri = format!("/sec/add?z=%41+b&ciphertext={ciphertext}&a=&cipherversion={VERSION}&z=0");
    let reply = answer(&mut stream, &uri, &encrypted("[1]")).await;
    assert_eq!(
        reply.meta_value("seen-query").as_deref(),
        Some("x=1&y=2&a=&z=A+b&z=0")
    );
    // As the original takes it: nothing encrypted is nothing there.
    let reply = answer(&mut stream, "/sec/add?x=1", "").await;
    assert_eq!(reply.meta_value("seen-query").as_deref(), Some("x=1"));
    assert!(is_encrypted(&reply));
}

#[tokio::test]
async fn plain_messages_are_refused_where_encryption_is_enforced() {
    let refused = |frame: &RawFrame| frame.error().contains("secure message required");
    for (plugin, add_is, swap_is) in [
        (legacy(), false, false),
        (legacy().enforce(), true, true),
        (
            legacy().enforce_on("/sec/add").enforce_on("/other"),
            true,
            false,
        ),
    ] {
        let (_server, mut stream) = by_hand(plugin).await;
        for (path, enforced, arg) in [("/sec/add", add_is, "[1]"), ("/sec/swap", swap_is, "{}")] {
            let plain = RawFrame::call("A", path, arg).bytes();
            stream.write_all(&plain).await.unwrap();
            let reply = read_frame(&mut stream).await.unwrap().unwrap();
            assert_eq!(refused(&reply), enforced, "{path}");
            // A part that is plain does not pass either.
            let ciphertext = legacy().encrypt(b"x=1");
            let mixed = format!("{path}?ciphertext={ciphertext}&cipherversion={VERSION}&z=0");
            for (uri, body) in [
                (format!("{path}?x=1"), encrypted(arg)),
                (mixed, encrypted(arg)),
                (path.to_owned(), String::new()),
            ] {
                let reply = answer(&mut stream, &uri, &body).await;
                assert_eq!(refused(&reply), enforced, "{uri} {body}");
            }
            let reply = answer(&mut stream, path, &encrypted(arg)).await;
            assert!(!refused(&reply) && is_encrypted(&reply));
        }
    }
}

#[tokio::test]
async fn a_peer_that_always_encrypts_needs_no_word_in_each_call() {
    let peer = || Peer::builder().plugin(legacy().always());
    let (session, middle) = tapped(peer(), peer()).await;
    assert_eq!(session.call::<i64>("/sec/add", [1, 2]).await.unwrap(), 3);
    let [call, reply] = last(&middle);
    assert!(is_encrypted(&call) && is_encrypted(&reply));
    session.push("/none", "secret").await.unwrap();
    settle().await;
    assert!(is_encrypted(&last(&middle)[0]));
    let open = session.call::<i64>("/sec/add", [1, 2]);
    assert_eq!(
        open.meta(SECURE, "false")
            .accept_secure(false)
            .await
            .unwrap(),
        3
    );
    let [call, reply] = last(&middle);
    assert!(!is_encrypted(&call) && !is_encrypted(&reply));
}

#[tokio::test]
async fn replies_that_do_not_decrypt_fail_their_calls() {
    let client = Peer::builder().plugin(legacy()).build().unwrap();
    let (session, mut server) = bare(&client, 1 << 16).await;
    for (body, meta, due) in [
        (
            encrypted("3").replace(VERSION, "v"),
            "X-Secure=true",
            "inconsistent encryption version",
        ),
        (
            encrypted("3").replace("\"}", "0\"}"),
            "X-Secure=true",
            "odd number",
        ),
        ("[7]".to_owned(), "X-Secure=true", "400"),
    ] {
        let call = session.call::<i64>("/x", ()).send().await.unwrap();
        let seen = read_frame(&mut server).await.unwrap().unwrap();
        let reply = RawFrame::reply(&seen.seq, body).meta(meta);
        server.write_all(&reply.bytes()).await.unwrap();
        let error = call.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(error.to_string().contains(due), "{error}");
    }
    // An error is an error, whatever it says of encryption.
    let call = session.call::<i64>("/x", ()).send().await.unwrap();
    let seen = read_frame(&mut server).await.unwrap().unwrap();
    let meta = "X-Secure=true&X-Reply-Error=%7B%22code%22%3A7%7D";
    let reply = RawFrame::reply(&seen.seq, "").codec(0).meta(meta);
    server.write_all(&reply.bytes()).await.unwrap();
    assert_eq!(call.await.unwrap_err().rerror().unwrap().code(), 7);
}

#[tokio::test]
async fn on_a_group_it_decrypts_what_comes_and_encrypts_what_is_answered() {
    async fn outside(ctx: &mut UnknownCallCtx) -> Result<Raw<Bytes>, Rerror> {
        Ok(Raw(ctx.body().clone()))
    }
    let server = Peer::builder().build().unwrap();
    server.set_unknown_call(outside).unwrap();
    let group = server.sub_route("g").plugin(legacy().enforce());
    group.route_call(Sec).unwrap();
    let (_session, mut stream) = bare(&server, 1 << 16).await;
    let reply = answer(&mut stream, "/g/sec/add", &encrypted("[1,2]")).await;
    assert!(is_encrypted(&reply));
    let reply = answer(&mut stream, "/x", &encrypted("[1,2]")).await;
    assert_eq!(reply.body, encrypted("[1,2]").as_bytes());
}

#[test]
fn a_key_of_another_length_says_what_lengths_there_are() {
    for length in [0, 1, 15, 17, 31, 33, 64] {
        let error = Legacy::new(1, &"k".repeat(length)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        let due = format!("{length} bytes long; take one of 16, 24 or 32");
        assert!(error.to_string().contains(&due), "{error}");
    }
    let debug = format!("{:?}", legacy());
    assert!(!debug.contains(KEY), "{debug}");
}
