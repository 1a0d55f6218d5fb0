#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use bytes::BytesMut;

use super::PbProto;
use crate::{
    message::{Head, Mtype},
    proto::{Body, Env, Proto, ProtoErrorKind},
};

fn frame(payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(1 + payload.len()).unwrap();
    [&size.to_be_bytes(), &[0][..], payload].concat()
}

#[track_caller]
fn refused(payload: &[u8], kind: ProtoErrorKind, text: &str) {
    let frame = frame(payload);
    let mut unpack = PbProto.split().1;
    let read = unpack.unpack(&Env::default(), &frame, false);
    let error = read.unwrap_err();
    assert_eq!((error.kind(), &*error.to_string()), (kind, text));
}

#[test]
fn a_length_that_is_known_late_stands_in_front_all_the_same() {
    let env = Env::default();
    let head = Head {
        seq: b"A",
        mtype: Mtype::CALL,
        ..Head::default()
    };
    for len in [0, 1, 127, 128, 16_383, 16_384, 100_000] {
        let body: Vec<u8> = (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let pack = PbProto.split().0;
        let (mut known, mut late, mut head_first) = <(BytesMut, BytesMut, BytesMut)>::default();
        pack.pack(&env, &head, Body::Slice(&body), &mut known)
            .unwrap();
        let mut write = |dst: &mut BytesMut| {
            dst.extend_from_slice(&body);
            Ok(())
        };
        pack.pack(&env, &head, Body::Write(&mut write), &mut late)
            .unwrap();
        let result = pack.pack_head(&env, &head, body.len(), &mut head_first);
        result.unwrap().unwrap();
        head_first.extend_from_slice(&body);
        assert!(known == late && known == head_first, "{len}");
    }
}

#[test]
fn fields_are_read_in_any_order_the_last_one_counts_and_unknown_ones_do_not() {
    let payload =
        b"\x32\x01x\x78\x01\x7a\x02zz\x79\0\0\0\0\0\0\0\0\x7d\0\0\0\0\x10\x02\x0a\x01Q\x32\x02yz";
    let frame = frame(payload);
    let mut unpack = PbProto.split().1;
    let (read, used) = unpack
        .unpack(&Env::default(), &frame, true)
        .unwrap()
        .unwrap();
    assert_eq!(used, frame.len());
    assert_eq!((read.head.seq, read.head.mtype), (&b"Q"[..], Mtype::REPLY));
    assert_eq!(read.body, b"yz");
}

#[test]
fn what_is_no_message_is_refused_and_named() {
    use ProtoErrorKind::{BadField, BadLength};
    refused(b"\x0a", BadLength, "the payload ends within seq");
    refused(
        b"\x0a\x05ab",
        BadLength,
        "seq of 5 bytes runs past the end of the payload: 2 bytes are left",
    );
    refused(
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        BadLength,
        "seq of 18446744073709551615 bytes runs past the end of the payload: 0 bytes are left",
    );
    refused(
        b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
        BadField,
        "mtype has a number of more than 64 bits",
    );
    refused(
        b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        BadField,
        "mtype is -1, not a number from 0 to 255",
    );
    refused(
        b"\x28\x80\x02",
        BadField,
        "body_codec is 256, not a number from 0 to 255",
    );
    refused(b"\x08\x05", BadField, "seq is of the wire type 0, not 2");
    refused(b"\x7b\x7c", BadField, "field 15 is of the wire type 3");
    refused(b"\x02\x00", BadField, "0 is no number of a field");
    refused(
        b"\x80\x80\x80\x80\x10",
        BadField,
        "536870912 is no number of a field",
    );
    refused(
        b"\x79\0",
        BadLength,
        "the payload ends within an unknown field",
    );
}
