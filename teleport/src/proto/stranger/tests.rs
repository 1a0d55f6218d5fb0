#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use super::*;
use crate::proto::AnyOf;

fn of(port: &dyn Proto, bytes: &[u8]) -> Option<Stranger> {
    Stranger::of(&Env::default(), port, bytes)
}

#[test]
fn those_who_speak_something_else_are_named() {
    let ports: [&dyn Proto; 4] = [&RawProto, &JsonProto, &PbProto, &AnyOf::known()];
    for (bytes, name) in [
        (&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], "HTTP"),
        (b"GET ", "HTTP"),
        (b"POST /x HTTP/1.1\r\n", "HTTP"),
        (b"PUT /x HTTP/1.1\r\n", "HTTP"),
        (b"HEAD / HTTP/1.0\r\n\r\n", "HTTP"),
        (b"DELE", "HTTP"),
        (b"OPTIONS * HTTP/1.1\r\n", "HTTP"),
        (b"PATCH /x HTTP/1.1\r\n", "HTTP"),
        (b"CONNECT x:1 HTTP/1.1\r\n", "HTTP"),
        (b"TRACE / HTTP/1.1\r\n", "HTTP"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/2"),
        (b"PRI ", "HTTP/2"),
        (
            b"GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUPGRADE:  WebSocket \r\n\r\n",
            "HTTP, for a websocket",
        ),
        (b"HTTP/1.1 400 Bad Request\r\n", "HTTP, of a server"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "TLS"),
        (b"\x16\x03\x03\x00", "TLS"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "SSH"),
    ] {
        for port in ports {
            let stranger = of(port, bytes).unwrap();
            assert_eq!(stranger.name(), name, "{}", bytes.escape_ascii());
            assert_eq!(stranger.says(), format!("these bytes look like {name}"));
            assert!(!stranger.needs_more());
        }
    }
    for bytes in [
        &b""[..],
        b"\0\0",
        b"GET",
        b"get / http",
        b"\x16\x03\x09\x02",
        b"\x16\x03\x01\x02\x00\x02",
        b"\xff\xff\xff\xff\xff\xff",
        b"EHLO x\r\n",
    ] {
        for port in ports {
            assert_eq!(of(port, bytes), None, "{}", bytes.escape_ascii());
        }
    }
}

#[test]
fn http_is_told_what_the_port_is() {
    let answer = |bytes| {
        let port = AnyOf::new(RawProto).or(JsonProto).or(PbProto);
        let answer = of(&port, bytes).unwrap().answer().unwrap().clone();
        String::from_utf8(answer.to_vec()).unwrap()
    };
    let get = answer(b"GET / HTTP/1.1\r\n\r\n");
    let (head, body) = get.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{head}");
    assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
    assert_eq!(
        body,
        "This port speaks Teleport, by its protocol raw, json or pb, and not HTTP.\n"
    );
    assert!(answer(b"HEAD / HTTP/1.1\r\n\r\n").ends_with("close\r\n\r\n"));
    assert_eq!(
        of(&RawProto, b"\x16\x03\x01\x02\x00\x01").unwrap().answer(),
        Some(&Bytes::from_static(b"\x15\x03\x01\0\x02\x02\x0a"))
    );
}

#[test]
fn a_call_by_another_protocol_is_answered_in_that_with_its_seq() {
    let known: [&dyn Proto; 3] = [&RawProto, &JsonProto, &PbProto];
    let env = Env::default();
    for port in known {
        for theirs in known {
            let name = theirs.version().1;
            for mtype in [Mtype::CALL, Mtype::PUSH] {
                let head = Head {
                    seq: b"own \"seq\"",
                    mtype,
                    uri: b"/a",
                    ..Head::default()
                };
                let mut frame = BytesMut::new();
                let (pack, mut unpack) = theirs.split();
                pack.pack(&env, &head, Body::Slice(b"[1]"), &mut frame)
                    .unwrap();
                let whole = frame.len();
                frame.extend_from_slice(b"more");
                let stranger = of(port, &frame);
                if port.version() == theirs.version() {
                    assert_eq!(stranger, None);
                    continue;
                }
                for end in 6..whole {
                    let stranger = of(port, &frame[..end]).unwrap();
                    assert!(stranger.needs_more(), "{end} of {whole}");
                    // The length of the seq alone could be a tab before an object.
                    assert!(stranger.name() == name || end < 8, "{end}");
                }
                let stranger = stranger.unwrap();
                let says = format!(
                    "this port speaks {}, and these bytes are of the {name} protocol",
                    port.version().1
                );
                assert_eq!((stranger.name(), stranger.says()), (name, &*says));
                assert!(!stranger.needs_more());
                if mtype == Mtype::PUSH {
                    assert_eq!(stranger.answer(), None);
                    continue;
                }
                let answer = stranger.answer().unwrap();
                let (reply, _) = unpack.unpack(&env, answer, true).unwrap().unwrap();
                assert_eq!((reply.head.seq, reply.head.mtype), (head.seq, Mtype::REPLY));
                let error = Rerror::from_encoded_meta(reply.head.meta).unwrap();
                assert_eq!(
                    (error.code(), error.message(), error.reason()),
                    (400, "Bad Message", &*says)
                );
            }
        }
    }
}

#[test]
fn one_whose_frame_is_too_large_is_named_without_an_answer() {
    let stranger = of(&RawProto, b"\x7f\xff\xff\xff\0{\"seq\"").unwrap();
    assert_eq!(stranger.name(), "json");
    assert!(stranger.answer().is_none() && !stranger.needs_more());
}
