#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use bytes::BytesMut;

use super::*;
use crate::message::Mtype;

const PROTOS: [&dyn Proto; 3] = [&RawProto, &JsonProto, &PbProto];

fn packed(proto: &dyn Proto, head: &Head<'_>) -> BytesMut {
    let mut frame = BytesMut::new();
    let pack = proto.split().0;
    pack.pack(&Env::default(), head, Body::Slice(b"[1]"), &mut frame)
        .unwrap();
    frame
}

fn call(seq: &'static [u8]) -> Head<'static> {
    Head {
        seq,
        mtype: Mtype::CALL,
        uri: b"/a",
        ..Head::default()
    }
}

#[test]
fn each_protocol_is_told_by_its_first_bytes_however_they_come() {
    let env = Env::default();
    for xfer in [&b""[..], b"m", b"gm"] {
        if !xfer.is_empty() && !cfg!(all(feature = "gzip", feature = "md5")) {
            continue;
        }
        for proto in PROTOS {
            let head = Head { xfer, ..call(b"A") };
            let frame = packed(proto, &head);
            let (pack, mut unpack) = AnyOf::known().split();
            assert_eq!(pack.chosen(), None);
            for end in 0..frame.len() {
                assert!(
                    unpack.unpack(&env, &frame[..end], false).unwrap().is_none(),
                    "{end} bytes of {:?}",
                    proto.names()
                );
            }
            let (read, used) = unpack.unpack(&env, &frame, false).unwrap().unwrap();
            assert_eq!((read.body, used), (&b"[1]"[..], frame.len()));
            assert_eq!(pack.chosen(), Some(proto.version()));
            assert_eq!(unpack.frame_len(&frame), Some(frame.len()));
            let mut reply = BytesMut::new();
            pack.pack(&env, &call(b"B"), Body::Slice(b"[1]"), &mut reply)
                .unwrap();
            assert_eq!(reply, packed(proto, &call(b"B")));
        }
    }
}

#[test]
fn a_line_feed_may_begin_json_and_pb() {
    let env = Env::default();
    let framed = |payload: &[u8]| {
        let size = u32::try_from(payload.len() + 1).unwrap().to_be_bytes();
        [&size[..], &[0], payload].concat()
    };
    // A pb message whose seq is as long as the code of a brace, of a line feed, or of a blank.
    for len in [0x7b_usize, 0x0a, 0x20, 0x0d] {
        for start in ["\"", "{\"", "x", " \n{"] {
            let seq = start.chars().chain(std::iter::repeat('x')).take(len);
            let seq: String = seq.collect();
            let head = Head {
                seq: seq.as_bytes(),
                ..Head::default()
            };
            let frame = packed(&PbProto, &head);
            assert_eq!(PbProto.recognise(&env, &frame), Sniff::Yes, "{seq:?}");
            assert_eq!(JsonProto.recognise(&env, &frame), Sniff::No, "{seq:?}");
        }
    }
    for payload in [
        &b"\n{}"[..],
        b"\n{\n\"seq\":\"A\"}",
        b"\n\n{\"seq\":\"A\"}",
        b"\n {}",
        b" \t\r\n{ }",
    ] {
        let frame = framed(payload);
        assert_eq!(JsonProto.recognise(&env, &frame), Sniff::Yes);
        assert_eq!(PbProto.recognise(&env, &frame), Sniff::No);
    }
    // What comes behind the frame is of no account.
    let two = [framed(b"\n{}"), framed(b"\n{}")].concat();
    assert_eq!(JsonProto.recognise(&env, &two), Sniff::Yes);
}

#[test]
fn who_speaks_first_speaks_the_first_of_the_list_and_stays_with_it() {
    let env = Env::default();
    let (pack, mut unpack) = AnyOf::new(PbProto).or(RawProto).split();
    let mut frame = BytesMut::new();
    pack.pack(&env, &call(b"A"), Body::Slice(b"[1]"), &mut frame)
        .unwrap();
    assert_eq!(frame, packed(&PbProto, &call(b"A")));
    assert_eq!(pack.chosen(), Some((b'p', "pb")));
    let raw = packed(&RawProto, &call(b"A"));
    assert!(unpack.unpack(&env, &raw, false).is_err());
    assert!(unpack.unpack(&env, &frame, false).unwrap().is_some());
}

#[test]
fn bytes_of_nobody_are_refused_at_once() {
    let env = Env::default();
    let any = AnyOf::new(RawProto).or(JsonProto);
    assert_eq!(any.names(), ["raw", "json"]);
    let error = |bytes: &[u8], whole| {
        let mut unpack = any.split().1;
        let error = unpack.unpack(&env, bytes, whole).unwrap_err();
        (error.kind(), error.to_string())
    };
    assert_eq!(
        error(b"GET / HTTP/1.1\r\n", false),
        (
            ProtoErrorKind::BadVersion,
            "none of the protocols raw, json begins with \"GET / HTTP/1.1\\r\\n\"".to_owned()
        )
    );
    for bytes in [&b"GET /"[..], b"\0\0\0\0\0", b"\x16\x03\x01\0\x05\x01"] {
        assert_eq!(error(bytes, false).0, ProtoErrorKind::BadVersion);
    }
    assert_eq!(error(b"", true).0, ProtoErrorKind::BadVersion);
    assert_eq!(error(b"\0\0\0", true).0, ProtoErrorKind::BadVersion);
}

#[test]
fn no_more_is_looked_at_than_the_beginning() {
    let env = Env::default();
    let frame = |blanks: usize| {
        let payload = [vec![b' '; blanks], b"{}".to_vec()].concat();
        let size = u32::try_from(payload.len() + 1).unwrap().to_be_bytes();
        [&size[..], &[0], &payload].concat()
    };
    assert_eq!(JsonProto.recognise(&env, &frame(200)), Sniff::Yes);
    for whole in [frame(300), frame(1 << 20)] {
        assert_eq!(JsonProto.recognise(&env, &whole), Sniff::No);
        let part = &whole[..270];
        assert_eq!(JsonProto.recognise(&env, part), Sniff::No);
    }
    // Alone it is read however it begins.
    let whole = frame(300);
    let mut unpack = JsonProto.split().1;
    assert!(unpack.unpack(&env, &whole, false).unwrap().is_some());
}

#[test]
fn a_list_may_be_part_of_a_list() {
    let env = Env::default();
    let inner = AnyOf::new(JsonProto).or(PbProto);
    let (pack, mut unpack) = AnyOf::new(RawProto).or(inner).split();
    let frame = packed(&PbProto, &call(b"A"));
    assert!(unpack.unpack(&env, &frame, false).unwrap().is_some());
    assert_eq!(pack.chosen(), Some((b'p', "pb")));
}
