#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use bytes::BytesMut;

use super::{JsonProto, escape, find, unescape};
use crate::{
    message::{Head, Mtype},
    proto::{Body, Env, Limits, Proto, ProtoError, ProtoErrorKind},
};

fn frame(payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(1 + payload.len()).unwrap();
    [&size.to_be_bytes(), &[0][..], payload].concat()
}

type Read = (Vec<u8>, u8, Vec<u8>, Vec<u8>, u8, Vec<u8>);

fn read(payload: &[u8]) -> Result<Read, ProtoError> {
    let frame = frame(payload);
    let mut unpack = JsonProto.split().1;
    let read = unpack.unpack(&Env::default(), &frame, true)?;
    let (read, used) = read.unwrap();
    assert_eq!(used, frame.len());
    let head = read.head;
    Ok((
        head.seq.to_vec(),
        head.mtype.0,
        head.uri.to_vec(),
        head.meta.to_vec(),
        head.body_codec,
        read.body.to_vec(),
    ))
}

#[track_caller]
fn body(payload: &[u8], due: &[u8]) {
    assert_eq!(read(payload).unwrap().5, due);
}

#[track_caller]
fn refused(payload: &[u8], text: &str) {
    let error = read(payload).unwrap_err();
    assert_eq!(error.to_string(), text);
}

#[test]
fn escapes_stand_where_json_wants_them_and_nowhere_else() {
    let every: Vec<u8> = (0..=255).collect();
    let head = Head {
        seq: b"\"\\\n",
        mtype: Mtype(255),
        uri: b"/\x07\xff",
        meta: b"k=\"",
        body_codec: 200,
        xfer: b"",
    };
    let mut wire = BytesMut::from(&b"before"[..]);
    let pack = JsonProto.split().0;
    pack.pack(&Env::default(), &head, Body::Slice(&every), &mut wire)
        .unwrap();
    let text = String::from_utf8_lossy(&wire[11..]);
    assert!(
        text.starts_with(r#"{"seq":"\"\\\n","mtype":255,"uri":"/\u0007"#),
        "{text}"
    );
    assert!(text.contains(r#""meta":"k=\"","body_codec":200,"body":"\u0000"#));
    for part in [
        r#"\u0000\u0001\u0002"#,
        r#"\u0008\t\n\u000b\u000c\r\u000e"#,
        r##"\u001f !\"#"##,
        r#"[\\]"#,
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(wire.ends_with(b"\xfe\xff\"}"));
    let (seq, mtype, uri, meta, codec, body) = read(&wire[11..]).unwrap();
    assert_eq!((&seq[..], mtype, &uri[..]), (head.seq, 255, head.uri));
    assert_eq!((&meta[..], codec, body), (head.meta, 200, every));
}

#[test]
fn every_form_of_a_string_and_of_any_other_body_is_read() {
    body(
        br#"{"body":"\u0041\u00e9\ud83d\ude00\/\b\f"}"#,
        "A\u{e9}\u{1f600}/\x08\x0c".as_bytes(),
    );
    body(
        br#"{"body":"\ud800x\udc00\ud800\ud800"}"#,
        "\u{fffd}x\u{fffd}\u{fffd}\u{fffd}".as_bytes(),
    );
    body(b"{\"body\":\"a\nb\\\"\x00\xff\"}", b"a\nb\"\x00\xff");
    body(br#"{"b\u006fdy":"x"}"#, b"x");
    for bare in [
        "15",
        "-0",
        "1.50",
        "2e+9",
        "true",
        "false",
        "{}",
        "[]",
        r#"{"x": [1, {"y":"]"}] }"#,
        "[ ]",
        "{ }",
        "[[],{}]",
    ] {
        body(format!("{{\"body\": {bare} }}").as_bytes(), bare.as_bytes());
    }
    body(br#"{"body":null}"#, b"");
    body(b"{}", b"");
    body(b" { } \n", b"");
    let (seq, _, uri, ..) = read(br#"{"seq":12,"uri":null}"#).unwrap();
    assert_eq!((&seq[..], &uri[..]), (&b"12"[..], &b""[..]));
}

#[test]
fn the_first_of_fields_that_come_again_counts() {
    let (seq, mtype, ..) =
        read(br#"{"mtype":1,"seq":"A","mtype":{"x":[]},"seq":7,"mtype":300}"#).unwrap();
    assert_eq!((&seq[..], mtype), (&b"A"[..], 1));
}

#[test]
fn what_is_no_message_is_refused_and_named() {
    refused(
        b"",
        "the JSON of the message ends where an object should be, or within it",
    );
    refused(
        b"[1]",
        r#"the JSON of the message has "[1]" at byte 0 in place of an object"#,
    );
    refused(
        br#"{"body":"abc"#,
        "the JSON of the message ends where a string should be, or within it",
    );
    refused(
        br#"{"body":"abc\"#,
        "the JSON of the message ends where a string should be, or within it",
    );
    refused(
        br#"{"body":"abc\""#,
        "the JSON of the message ends where a string should be, or within it",
    );
    refused(
        br#"{"a":1"#,
        "the JSON of the message ends where a comma or a closing brace should be, or within it",
    );
    refused(
        br#"{"a":"#,
        "the JSON of the message ends where a value should be, or within it",
    );
    refused(
        br#"{"a":1,}"#,
        r#"the JSON of the message has "}" at byte 7 in place of a string"#,
    );
    refused(
        br#"{"a":[1,]}"#,
        r#"the JSON of the message has "]}" at byte 8 in place of a value"#,
    );
    refused(
        br#"{"a":[1}"#,
        r#"the JSON of the message has "}" at byte 7 in place of a comma or a closing bracket"#,
    );
    refused(
        br#"{"a":{"b"}}"#,
        r#"the JSON of the message has "}}" at byte 9 in place of a colon"#,
    );
    refused(
        br#"{"a":tru}"#,
        r#"the JSON of the message has "tru}" at byte 5 in place of a value"#,
    );
    refused(
        br#"{"a":01}"#,
        r#"the JSON of the message has "1}" at byte 6 in place of a comma or a closing brace"#,
    );
    refused(
        br#"{"a":1.}"#,
        r#"the JSON of the message has "1.}" at byte 5 in place of a value"#,
    );
    refused(
        br#"{"a":1} x"#,
        r#"the JSON of the message has "x" at byte 8 in place of the end"#,
    );
    refused(
        br#"{"body":"a\x00b"}"#,
        r#"body has an escape that JSON does not know: "\\x00b""#,
    );
    refused(
        br#"{"body":"a\u00"}"#,
        r#"body has an escape that JSON does not know: "\\u00""#,
    );
    refused(
        br#"{"body":"a\u+123"}"#,
        r#"body has an escape that JSON does not know: "\\u+123""#,
    );
    refused(
        br#"{"mtype":257}"#,
        r#"mtype is "257", not a number from 0 to 255"#,
    );
    refused(
        br#"{"mtype":-1}"#,
        r#"mtype is "-1", not a number from 0 to 255"#,
    );
    refused(
        br#"{"mtype":1.9}"#,
        r#"mtype is "1.9", not a number from 0 to 255"#,
    );
    refused(
        br#"{"mtype":"1"}"#,
        r#"mtype is "\"1\"", not a number from 0 to 255"#,
    );
    refused(br#"{"uri":["/a"]}"#, r#"uri is "[\"/a\"]", not a string"#);
}

#[test]
fn values_nest_as_deep_as_may_be_and_no_deeper() {
    let nested = |depth: usize| {
        let inner = [vec![b'['; depth], vec![b']'; depth]].concat();
        [b"{\"x\":", &inner[..], b"}"].concat()
    };
    body(&nested(128), b"");
    refused(
        &nested(129),
        "the JSON of the message nests deeper than 128 values",
    );
    refused(
        &vec![b'{'; 1 << 20],
        "the JSON of the message has \"{{{{{{{{{{{{{{{{{{{{{{{{\" at byte 1 in place of a string",
    );
}

#[test]
fn no_room_is_made_for_escapes_that_outgrow_the_limit() {
    let env = Env {
        limits: Limits::with_message(2000),
        ..Env::default()
    };
    let mut wire = BytesMut::new();
    let pack = JsonProto.split().0;
    let body = [0_u8; 1900];
    let error = pack.pack(&env, &Head::default(), Body::Slice(&body), &mut wire);
    assert_eq!(error.unwrap_err().kind(), ProtoErrorKind::TooLarge);
    assert!(wire.is_empty() && wire.capacity() < 6 * 1900);
}

#[test]
fn a_call_that_no_reply_could_repeat_the_sequence_of_is_refused() {
    let message = |len: usize, mtype: u8| {
        let seq = "a".repeat(len);
        format!(r#"{{"seq":"{seq}","mtype":{mtype},"uri":"/","bodyCodec":0,"body":""}}"#)
    };
    assert!(read(message(65_535, 1).as_bytes()).is_ok());
    assert!(
        read(message(65_536, 3).as_bytes()).is_ok(),
        "a push is not answered"
    );
    let error = read(message(65_536, 1).as_bytes()).unwrap_err();
    assert_eq!(error.kind(), ProtoErrorKind::BadLength);
}

#[test]
fn filters_that_run_past_the_end_are_refused_before_the_end_is_there() {
    for pipe in 5..=255 {
        let mut unpack = JsonProto.split().1;
        let start = [0, 0, 0, 5, pipe];
        let error = unpack.unpack(&Env::default(), &start, false).unwrap_err();
        let due = format!("{pipe} transfer filters run past the end of a frame of 9 bytes");
        assert_eq!(error.to_string(), due);
    }
}

/// The escapes of a text, one byte at a time.
fn escaped(text: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::new();
    for &byte in text {
        match byte {
            b'"' | b'\\' => escaped.extend([b'\\', byte]),
            b'\t' => escaped.extend(b"\\t"),
            b'\n' => escaped.extend(b"\\n"),
            b'\r' => escaped.extend(b"\\r"),
            0..0x20 => escaped.extend(format!("\\u{byte:04x}").bytes()),
            _ => escaped.push(byte),
        }
    }
    escaped
}

#[test]
fn escapes_are_written_and_undone_wherever_they_stand() {
    for len in 0..24_usize {
        for first in 0..=len {
            for (a, b) in [(b'"', b'\\'), (b'\n', 1), (0x1f, b'"'), (0xff, b'\t')] {
                for second in first..=len {
                    let mut text = vec![b'x'; len];
                    for (at, byte) in [(first, a), (second, b)] {
                        if let Some(place) = text.get_mut(at) {
                            *place = byte;
                        }
                    }
                    let due = escaped(&text);
                    let mut dst = BytesMut::from(&b"kept"[..]);
                    dst.extend_from_slice(&text);
                    let more = find::escapes_len(&text);
                    assert_eq!(text.len() + more, due.len());
                    escape::escape_tail(&mut dst, 4, more);
                    assert_eq!(dst, [b"kept", &due[..]].concat());
                    let string = [&due[..], b"\" and more"].concat();
                    let mut dst = BytesMut::from(&b"kept"[..]);
                    let used = unescape::unescape("x", &string, &mut dst).unwrap();
                    assert_eq!(used, due.len() + 1);
                    assert_eq!(dst, [b"kept", &text[..]].concat());
                }
            }
        }
    }
}
