//! Who gets a sealed session, and who does not.

use teleport::plugins::secure::{Key, Sealed};
use teleport::{ErrorKind, Peer, PeerBuilder};
use teleport_tests::frames::{PUSH, RawFrame, parse_frame, read_frame};
use teleport_tests::logs::capture;
use teleport_tests::middle::{Way, middle};
use teleport_tests::pair::settle;
use tokio::io::AsyncWriteExt;

use super::{DIGITS, Handled, key, sealed, serve};

/// The errors of the accepting side and of the dialling side, empty when there is none.
async fn outcome(
    server: PeerBuilder,
    client: PeerBuilder,
    change: impl FnMut(Way, Vec<u8>) -> Vec<Vec<u8>> + Send + 'static,
) -> [String; 2] {
    let (server, client) = (server.build().unwrap(), client.build().unwrap());
    let handled = Handled::default();
    serve(&server, &handled);
    let (near, far, _middle) = middle(change);
    let (there, here) = tokio::join!(server.serve_conn(far), client.dial_conn(near));
    let text = |result: Result<_, teleport::Error>| {
        result.err().map_or_else(String::new, |e| e.to_string())
    };
    if let Ok(here) = &here {
        let called = here.call::<String>("/work/echo", "x").await;
        assert_eq!(called.is_ok(), there.is_ok());
        assert_eq!(handled.all().len(), usize::from(there.is_ok()));
    }
    [text(there), text(here)]
}

fn as_it_is(_: Way, frame: Vec<u8>) -> Vec<Vec<u8>> {
    vec![frame]
}

#[tokio::test]
async fn keys_are_told_apart_by_id_and_by_content() {
    let other = Key::from_hex("k1", &DIGITS.replace("00", "01")).unwrap();
    let with = |key| Peer::builder().plugin(Sealed::new(key));
    let [there, here] = outcome(with(key("k1")), with(other), as_it_is).await;
    assert!(
        here.contains("did not prove that it has the key \"k1\""),
        "{here}"
    );
    assert!(!there.is_empty());
    let [there, here] = outcome(with(key("k1")), with(key("k2")), as_it_is).await;
    assert!(here.contains("no key \"k2\"") && there.contains("no key \"k2\""));
    assert!(here.contains("100001"), "{here}");
    // The new key is accepted everywhere before anybody dials with it.
    let both = || Peer::builder().plugin(Sealed::new(key("k1")).accept(key("k2")));
    for (server, client) in [
        (both(), with(key("k1"))),
        (both(), with(key("k2"))),
        (both(), both()),
    ] {
        assert_eq!(outcome(server, client, as_it_is).await, ["", ""]);
    }
    let code = Peer::builder().plugin(Sealed::new(key("k3")).code(77));
    let [_, here] = outcome(with(key("k1")), code, as_it_is).await;
    assert!(here.starts_with("77 "), "{here}");
}

#[test]
fn a_key_that_is_no_key_says_what_one_is() {
    let text = |result: Result<Key, teleport::Error>| {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        error.to_string()
    };
    assert!(text(Key::new("a", [7; 31])).contains("31 bytes; take 32"));
    assert!(text(Key::new("", [7; 32])).contains("1 to 255"));
    assert!(text(Key::new("x".repeat(256), [7; 32])).contains("1 to 255"));
    assert!(text(Key::from_hex("a", "0g")).contains("no hex digit"));
    assert!(text(Key::from_hex("a", "00")).contains("1 bytes"));
    let debug = format!("{:?}", key("k1"));
    assert!(!debug.contains("17") && debug.contains("k1"), "{debug}");
}

#[tokio::test]
async fn there_is_no_session_with_a_peer_that_does_not_seal() {
    let [_, here] = outcome(Peer::builder(), sealed(), as_it_is).await;
    assert!(
        here.contains("does not take sealed sessions") && here.contains("404"),
        "{here}"
    );

    // One that calls is told why; one that only pushes is not listened to.
    let server = sealed().build().unwrap();
    let handled = Handled::default();
    serve(&server, &handled);
    let (mut near, far) = tokio::io::duplex(4096);
    let call = RawFrame::call("A", "/work/echo", r#""x""#).bytes();
    near.write_all(&call).await.unwrap();
    let error = server.serve_conn(far).await.unwrap_err();
    assert!(
        error.to_string().contains("sealed sessions only"),
        "{error}"
    );
    let reply = read_frame(&mut near).await.unwrap().unwrap();
    assert!(reply.seq == "A" && reply.error().contains("sealed sessions only"));
    assert!(read_frame(&mut near).await.unwrap().is_none());

    let (mut near, far) = tokio::io::duplex(4096);
    let push = RawFrame::push("A", "/note/it", r#""x""#).bytes();
    near.write_all(&push).await.unwrap();
    assert!(server.serve_conn(far).await.is_err());
    assert!(read_frame(&mut near).await.unwrap().is_none());
    assert!(handled.all().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_says_nothing_is_given_up() {
    let (_near, far) = tokio::io::duplex(4096);
    let error = sealed().build().unwrap().dial_conn(far).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    let (_near, far) = tokio::io::duplex(4096);
    let error = sealed().build().unwrap().serve_conn(far).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
}

/// Changes the metadata of the n-th frame of the handshake.
fn in_frame(
    number: usize,
    change: impl Fn(&str) -> String + Send + 'static,
) -> impl FnMut(Way, Vec<u8>) -> Vec<Vec<u8>> + Send + 'static {
    let mut count = 0;
    move |_, frame| {
        count += 1;
        if count - 1 != number {
            return vec![frame];
        }
        let mut frame = parse_frame(&frame);
        frame.meta = change(&frame.meta);
        vec![frame.bytes()]
    }
}

/// Replaces the first hex digit of a value.
fn other_digit(meta: &str, key: &str) -> String {
    let at = meta.find(key).unwrap() + key.len() + 1;
    let digit = if meta.as_bytes()[at] == b'0' {
        "1"
    } else {
        "0"
    };
    format!("{}{digit}{}", &meta[..at], &meta[at + 1..])
}

#[tokio::test]
async fn nobody_in_the_middle_can_change_the_handshake() {
    let both = || Peer::builder().plugin(Sealed::new(key("k1")).accept(key("k2")));
    type Change = fn(&str) -> String;
    let cases: [(usize, Change, &str); 9] = [
        (0, |m| m.replace("Version=1", "Version=0"), "version \"0\""),
        (0, |m| m.replace("Key=k1", "Key=k2"), "did not prove"),
        (0, |m| m.replace("Key=k1", "Key=k9"), "no key"),
        (0, |m| other_digit(m, "X-Sealed-Nonce"), "did not prove"),
        (0, |m| m.replace("X-Sealed-Nonce", "X"), "no nonce"),
        (1, |m| other_digit(m, "X-Sealed-Nonce"), "did not prove"),
        (1, |m| other_digit(m, "X-Sealed-Proof"), "did not prove"),
        (1, |_| String::new(), "no nonce"),
        (1, |_| "X-Reply-Error=x".to_owned(), "does not take"),
    ];
    for (number, change, due) in cases {
        let [there, here] = outcome(both(), both(), in_frame(number, change)).await;
        assert!(here.contains(due), "{number} {due}: {here}");
        assert!(!there.is_empty(), "{number} {due}");
    }
    // The last proof goes to the server; the client learns of it when it calls.
    for change in [
        |m: &str| other_digit(m, "X-Sealed-Proof"),
        |_: &str| String::new(),
    ] {
        let [there, here] = outcome(both(), both(), in_frame(2, change)).await;
        assert!(
            there.contains("did not prove") && here.is_empty(),
            "{there}"
        );
    }
    // A proof does not serve as the other one: directions have labels of their own.
    let mut proof = String::new();
    let reflect = move |way, frame: Vec<u8>| {
        let mut parsed = parse_frame(&frame);
        if way == Way::ToClient {
            proof = parsed.meta_value("X-Sealed-Proof").unwrap_or_default();
        } else if parsed.mtype == PUSH {
            parsed.meta = format!("X-Sealed-Proof={proof}");
            return vec![parsed.bytes()];
        }
        vec![frame]
    };
    let [there, _] = outcome(both(), both(), reflect).await;
    assert!(there.contains("did not prove"), "{there}");
}

#[tokio::test]
async fn a_flipped_bit_in_any_byte_of_the_handshake_gives_no_session() {
    // Lengths would have the ends wait for more, until their time is over.
    tokio::time::pause();
    let both = || Peer::builder().plugin(Sealed::new(key("k1")));
    let mut lengths = Vec::new();
    let (near, far, middle) = middle(as_it_is);
    let (server, client) = (both().build().unwrap(), both().build().unwrap());
    let (there, here) = tokio::join!(server.serve_conn(far), client.dial_conn(near));
    assert!(there.is_ok() && here.is_ok());
    lengths.extend(middle.seen().iter().map(|(_, frame)| frame.len()));
    assert_eq!(lengths.len(), 3);
    for (number, length) in lengths.into_iter().enumerate() {
        for at in 0..length {
            for bit in [0, 1, 5, 7] {
                let mut count = 0;
                let flip = move |_, mut frame: Vec<u8>| {
                    if count == number {
                        frame[at] ^= 1 << bit;
                    }
                    count += 1;
                    vec![frame]
                };
                let [there, here] = outcome(both(), both(), flip).await;
                let what = format!("frame {number}, byte {at}, bit {bit}");
                assert!(!there.is_empty(), "{what}");
                // The client cannot know what became of its last message.
                assert_eq!(here.is_empty(), number == 2, "{what}: {here}");
            }
        }
    }
}

#[tokio::test]
async fn messages_of_the_handshake_have_nothing_else_in_them() {
    let both = || Peer::builder().plugin(Sealed::new(key("k1")));
    type Change = fn(RawFrame) -> RawFrame;
    let changes: [Change; 7] = [
        |frame| RawFrame {
            meta: format!("{}&k=v", frame.meta),
            ..frame
        },
        |frame| RawFrame {
            meta: format!("k=v&{}", frame.meta),
            ..frame
        },
        // Metadata twice, of which the first counts.
        |frame| RawFrame {
            meta: format!("{0}&{0}", frame.meta),
            ..frame
        },
        |frame| RawFrame {
            body: b"x".to_vec(),
            ..frame
        },
        |frame| frame.codec(b'j'),
        |frame| frame.filters(b"m"),
        |frame| RawFrame {
            uri: format!("{}?x", frame.uri),
            ..frame
        },
    ];
    for number in 0..3 {
        for (which, change) in changes.into_iter().enumerate() {
            let mut count = 0;
            let change = move |_, frame: Vec<u8>| {
                count += 1;
                match count - 1 == number {
                    true => vec![change(parse_frame(&frame)).bytes()],
                    false => vec![frame],
                }
            };
            let [there, here] = outcome(both(), both(), change).await;
            assert!(!there.is_empty(), "frame {number}, change {which}");
            assert_eq!(here.is_empty(), number == 2, "{number} {which}: {here}");
        }
    }
}

#[tokio::test]
async fn the_plugin_says_so_where_it_cannot_work() {
    let client = Peer::builder().build().unwrap();
    let add = |plugins: &mut teleport::PluginContainer| plugins.append(Sealed::new(key("k1")));
    client.change_plugins(add).unwrap();
    let (near, _far) = tokio::io::duplex(4096);
    let error = client.dial_conn(near).await.unwrap_err();
    assert!(error.to_string().contains("built already"), "{error}");

    let group = Peer::builder().build().unwrap().sub_route("g");
    let group = group.plugin(Sealed::new(key("k1")));
    let error = group
        .route_call(super::Work(Handled::default()))
        .unwrap_err();
    assert!(error.to_string().contains("put it on the peer"), "{error}");

    // A session from before the plugin was there is not sealed, and is not used as if it was.
    let twice = sealed().plugin(Sealed::new(key("k1"))).build();
    assert_eq!(twice.unwrap_err().kind(), ErrorKind::Plugin);
}

#[tokio::test]
async fn the_log_says_why_a_session_was_closed_and_no_secret() {
    let (logs, _guard) = capture(false);
    let mut count = 0;
    let flip = move |_, mut frame: Vec<u8>| {
        count += 1;
        if count == 4 {
            *frame.last_mut().unwrap() ^= 1;
        }
        vec![frame]
    };
    let tapped = super::tapped(flip).await;
    let called = tapped.here.call::<String>("/work/echo", "x").await;
    assert_eq!(called.unwrap_err().kind(), ErrorKind::Closed);
    settle().await;
    assert!(
        logs.has(&["session is closed", "did not seal"]),
        "{:?}",
        logs.all()
    );
    let text = format!("{:?}", logs.all());
    assert!(!text.contains(DIGITS) && !text.contains(&DIGITS[2..20]));
}
