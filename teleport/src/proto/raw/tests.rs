#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::{Bytes, BytesMut};

use super::RawProto;
use crate::{
    message::{Head, Mtype},
    proto::{Body, Env, Limits, Proto, ProtoError, ProtoErrorKind},
};

/// What the README sends: `/math/add` with five numbers.
const CALL: &[u8] = b"\x00\x00\x00\x36r\x00\x00\x01A\x01\x00\x1c/math/add?author=henrylee2cn\
    \x00\x00j[1,2,3,4,5]";

fn call() -> Head<'static> {
    Head {
        seq: b"A",
        mtype: Mtype::CALL,
        uri: b"/math/add?author=henrylee2cn",
        body_codec: b'j',
        ..Head::default()
    }
}

fn env(message: usize) -> Env {
    Env {
        limits: Limits::with_message(message),
        ..Env::default()
    }
}

fn pack(env: &Env, head: &Head<'_>, body: &[u8]) -> Result<BytesMut, ProtoError> {
    let mut dst = BytesMut::from(&b"before"[..]);
    let result = RawProto
        .split()
        .0
        .pack(env, head, Body::Slice(body), &mut dst);
    match result {
        Ok(()) => Ok(dst.split_off(6)),
        Err(error) => {
            assert_eq!(&dst[..], b"before");
            Err(error)
        }
    }
}

fn kind_of(env: &Env, src: &[u8]) -> ProtoErrorKind {
    RawProto
        .split()
        .1
        .unpack(env, src, true)
        .unwrap_err()
        .kind()
}

#[test]
fn a_call_is_written_as_the_original_does() {
    assert_eq!(pack(&env(0), &call(), b"[1,2,3,4,5]").unwrap(), CALL);
}

#[test]
fn a_call_is_read() {
    let mut unpack = RawProto.split().1;
    let env = env(0);
    let (frame, used) = unpack.unpack(&env, CALL, true).unwrap().unwrap();
    assert_eq!(
        (frame.head.uri, frame.body, used),
        (call().uri, &b"[1,2,3,4,5]"[..], 54)
    );
}

#[test]
fn a_prefix_waits_and_back_to_back_frames_are_told_apart() {
    let mut unpack = RawProto.split().1;
    let env = env(0);
    let two = [CALL, CALL].concat();
    for end in 0..two.len() {
        let read = unpack.unpack(&env, &two[..end], false).unwrap();
        assert_eq!(read.map(|(_, used)| used), (end >= 54).then_some(54));
    }
    assert_eq!(unpack.frame_len(&two[..3]), None);
    assert_eq!(unpack.frame_len(&two[..4]), Some(54));
}

#[test]
fn whole_input_must_be_one_frame() {
    assert_eq!(kind_of(&env(0), &CALL[..53]), ProtoErrorKind::Incomplete);
    assert_eq!(kind_of(&env(0), b""), ProtoErrorKind::Incomplete);
    assert_eq!(
        kind_of(&env(0), &[CALL, b"x"].concat()),
        ProtoErrorKind::Trailing
    );
}

#[test]
fn the_limit_counts_the_whole_frame_both_ways() {
    assert!(pack(&env(54), &call(), b"[1,2,3,4,5]").is_ok());
    let error = pack(&env(53), &call(), b"[1,2,3,4,5]").unwrap_err();
    assert_eq!(
        error.to_string(),
        "message of 54 bytes exceeds the limit of 53 bytes"
    );
    // Four bytes are enough to see it.
    let error = RawProto
        .split()
        .1
        .unpack(&env(53), &CALL[..4], false)
        .unwrap_err();
    assert_eq!(error.kind(), ProtoErrorKind::TooLarge);
    assert!(RawProto.split().1.unpack(&env(54), CALL, false).is_ok());
}

#[test]
fn strangers_are_refused_at_once() {
    let env = env(0);
    let kind = |src| {
        RawProto
            .split()
            .1
            .unpack(&env, src, false)
            .unwrap_err()
            .kind()
    };
    assert_eq!(kind(b"\x00\x00\x00\x05"), ProtoErrorKind::BadLength);
    assert_eq!(kind(b"GET / "), ProtoErrorKind::BadVersion);
    assert_eq!(kind(b"\x00\x00\x00\x0dr\x00"), ProtoErrorKind::BadLength);
    assert_eq!(kind(b"\x00\x00\x00\x14r\x28"), ProtoErrorKind::BadLength);
}

#[test]
fn texts_longer_than_their_field_are_refused() {
    let long = vec![b'a'; 65536];
    for (name, head) in [
        (
            "seq",
            Head {
                seq: &long,
                ..call()
            },
        ),
        (
            "uri",
            Head {
                uri: &long,
                ..call()
            },
        ),
        (
            "meta",
            Head {
                meta: &long,
                ..call()
            },
        ),
    ] {
        let error = pack(&env(0), &head, b"").unwrap_err();
        assert_eq!(error.kind(), ProtoErrorKind::BadLength);
        assert!(
            error
                .to_string()
                .starts_with(&format!("{name} of 65536 bytes")),
            "{error}"
        );
    }
    let error = pack(
        &env(0),
        &Head {
            xfer: &[b'm'; 256],
            ..call()
        },
        b"",
    )
    .unwrap_err();
    assert_eq!(error.kind(), ProtoErrorKind::BadField);
}

#[test]
fn a_failing_or_panicking_body_leaves_nothing() {
    for xfer in [&b""[..], b"m"] {
        if !xfer.is_empty() && !cfg!(feature = "md5") {
            continue;
        }
        let head = Head { xfer, ..call() };
        let mut dst = BytesMut::from(&b"before"[..]);
        let packer = RawProto.split().0;
        let mut fail = |dst: &mut BytesMut| {
            dst.extend_from_slice(b"half");
            Err(ProtoError::new(ProtoErrorKind::Encode, "no"))
        };
        let error = packer
            .pack(&env(0), &head, Body::Write(&mut fail), &mut dst)
            .unwrap_err();
        assert_eq!(error.kind(), ProtoErrorKind::Encode);
        assert_eq!(&dst[..], b"before");
        let mut panic = |dst: &mut BytesMut| {
            dst.extend_from_slice(b"half");
            panic!("in the body")
        };
        let caught = catch_unwind(AssertUnwindSafe(|| {
            packer.pack(&env(0), &head, Body::Write(&mut panic), &mut dst)
        }));
        assert!(caught.is_err());
        assert_eq!(&dst[..], b"before");
        packer
            .pack(&env(0), &head, Body::Slice(b"x"), &mut dst)
            .unwrap();
        assert!(
            RawProto
                .split()
                .1
                .unpack(&env(0), &dst[6..], true)
                .unwrap()
                .is_some()
        );
    }
}

#[test]
fn a_head_can_go_before_its_body() {
    let packer = RawProto.split().0;
    let body = Bytes::from_static(b"[1,2,3,4,5]");
    let mut dst = BytesMut::new();
    packer
        .pack_head(&env(54), &call(), body.len(), &mut dst)
        .unwrap()
        .unwrap();
    dst.extend_from_slice(&body);
    assert_eq!(dst, CALL);
    assert!(
        packer
            .pack_head(&env(53), &call(), body.len(), &mut dst)
            .unwrap()
            .is_err()
    );
    assert!(
        packer
            .pack_head(
                &env(0),
                &Head {
                    xfer: b"m",
                    ..call()
                },
                1,
                &mut dst
            )
            .is_none()
    );
    assert_eq!(dst, CALL);
}

#[cfg(all(feature = "gzip", feature = "md5"))]
#[test]
fn filters_work_and_scratch_is_given_back() {
    let env = env(0);
    let (packer, mut unpack) = RawProto.split();
    let body = b"some text ".repeat(100_000);
    let mut dst = BytesMut::new();
    for xfer in [&b"g"[..], b"m", b"gm", b"mg", b"ggmm"] {
        dst.clear();
        let head = Head { xfer, ..call() };
        packer
            .pack(&env, &head, Body::Slice(&body), &mut dst)
            .unwrap();
        for end in [0, 3, 10, dst.len() - 1] {
            assert!(unpack.unpack(&env, &dst[..end], false).unwrap().is_none());
        }
        let (frame, used) = unpack.unpack(&env, &dst, false).unwrap().unwrap();
        assert_eq!(
            (frame.head.xfer, frame.body, used),
            (xfer, &body[..], dst.len())
        );
    }
}

#[cfg(feature = "gzip")]
#[test]
fn a_frame_may_not_inflate_past_the_limit() {
    let head = Head {
        xfer: b"g",
        ..call()
    };
    let bomb = pack(&env(0), &head, &vec![0; 1 << 20]).unwrap();
    assert_eq!(kind_of(&env(100_000), &bomb), ProtoErrorKind::TooLarge);
    let mut few = env(0);
    few.limits.pipe = 0;
    assert_eq!(kind_of(&few, &bomb), ProtoErrorKind::BadField);
}

#[test]
fn unknown_filters_are_refused() {
    let head = Head {
        xfer: b"z",
        ..call()
    };
    let error = pack(&env(0), &head, b"").unwrap_err();
    assert_eq!(error.kind(), ProtoErrorKind::UnknownFilter);
    assert_eq!(error.to_string(), "unsupported transfer filter id: 122");
    assert_eq!(
        kind_of(&env(0), b"\x00\x00\x00\x07r\x01z"),
        ProtoErrorKind::UnknownFilter
    );
}
