use bytes::{Bytes, BytesMut};
use proptest::{collection::vec, prelude::*};
use teleport::{
    message::{Head, Mtype},
    proto::{Body, Env, JsonProto, Limits, PbProto, Proto, ProtoErrorKind, RawProto},
};
use teleport_tests::fuzz;

const PROTOS: [&dyn Proto; 3] = [&RawProto, &JsonProto, &PbProto];

/// An owned message of any content.
#[derive(Clone, Debug)]
struct Any {
    seq: Vec<u8>,
    mtype: u8,
    uri: Vec<u8>,
    meta: Vec<u8>,
    body_codec: u8,
    xfer: Vec<u8>,
    body: Vec<u8>,
}

impl Any {
    fn head(&self) -> Head<'_> {
        Head {
            seq: &self.seq,
            mtype: Mtype(self.mtype),
            uri: &self.uri,
            meta: &self.meta,
            body_codec: self.body_codec,
            xfer: &self.xfer,
        }
    }

    fn pack(&self, proto: &dyn Proto, dst: &mut BytesMut) {
        let pack = proto.split().0;
        pack.pack(&Env::default(), &self.head(), Body::Slice(&self.body), dst)
            .unwrap();
    }
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        9 => vec(any::<u8>(), 0..60),
        1 => vec(any::<u8>(), 65_535),
    ]
}

fn message() -> impl Strategy<Value = Any> {
    let filters = vec(prop_oneof![Just(b'g'), Just(b'm')], 0..4);
    let body = prop_oneof![
        vec(any::<u8>(), 0..500),
        (any::<u8>(), 0..100_000_usize).prop_map(|(byte, len)| vec![byte; len]),
    ];
    (
        text(),
        any::<u8>(),
        text(),
        text(),
        any::<u8>(),
        filters,
        body,
    )
        .prop_map(|(seq, mtype, uri, meta, body_codec, xfer, body)| Any {
            seq,
            mtype,
            uri,
            meta,
            body_codec,
            xfer,
            body,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn messages_go_there_and_back(message in message(), proto in 0..PROTOS.len()) {
        let mut wire = BytesMut::new();
        message.pack(PROTOS[proto], &mut wire);
        let env = Env::default();
        let mut unpack = PROTOS[proto].split().1;
        prop_assert_eq!(unpack.frame_len(&wire), Some(wire.len()));
        let (frame, used) = unpack.unpack(&env, &wire, true).unwrap().unwrap();
        prop_assert_eq!(used, wire.len());
        let head = frame.head;
        prop_assert_eq!((head.seq, head.mtype.0), (&message.seq[..], message.mtype));
        prop_assert_eq!((head.uri, head.meta), (&message.uri[..], &message.meta[..]));
        prop_assert_eq!((head.body_codec, head.xfer), (message.body_codec, &message.xfer[..]));
        prop_assert_eq!(frame.body, &message.body[..]);
    }

    #[test]
    fn every_form_of_a_body_gives_the_same_frame(message in message(), proto in 0..PROTOS.len()) {
        let mut expected = BytesMut::new();
        message.pack(PROTOS[proto], &mut expected);
        let pack = PROTOS[proto].split().0;
        let (env, head) = (Env::default(), message.head());
        let body = Bytes::from(message.body.clone());
        let mut wire = BytesMut::new();
        pack.pack(&env, &head, Body::Bytes(&body), &mut wire).unwrap();
        prop_assert_eq!(&wire, &expected);
        wire.clear();
        let mut write = |dst: &mut BytesMut| {
            dst.extend_from_slice(&body);
            Ok(())
        };
        pack.pack(&env, &head, Body::Write(&mut write), &mut wire).unwrap();
        prop_assert_eq!(&wire, &expected);
        wire.clear();
        if let Some(result) = pack.pack_head(&env, &head, body.len(), &mut wire) {
            result.unwrap();
            wire.extend_from_slice(&body);
            prop_assert_eq!(&wire, &expected);
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(data in vec(any::<u8>(), 0..300)) {
        for (_, target) in fuzz::TARGETS {
            target(&data);
        }
    }

    #[test]
    fn any_payload_of_a_frame_is_read_without_a_panic(
        pipe in vec(prop_oneof![Just(b'g'), Just(b'm'), any::<u8>()], 0..4),
        payload in vec(any::<u8>(), 0..300),
    ) {
        let ids = u8::try_from(pipe.len()).unwrap();
        let behind = [&[ids], &pipe[..], &payload].concat();
        let size = |len: usize| u32::try_from(len).unwrap().to_be_bytes();
        fuzz::raw_unpack(&[&size(5 + behind.len()), &b"r"[..], &behind].concat());
        let frame = [&size(behind.len())[..], &behind].concat();
        fuzz::json_unpack(&frame);
        fuzz::pb_unpack(&frame);
    }

    #[test]
    fn any_json_is_read_without_a_panic(
        parts in vec(prop::sample::select(JSON_PARTS), 0..40),
    ) {
        let payload = parts.concat();
        let size = u32::try_from(1 + payload.len()).unwrap().to_be_bytes();
        fuzz::json_unpack(&[&size, &[0][..], payload.as_bytes()].concat());
    }
}

/// What JSON is made of, and what breaks it.
const JSON_PARTS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\\\"",
    "\\u",
    "00e9",
    "d83d",
    "\\udc00",
    "1",
    "-",
    ".5",
    "e9",
    "null",
    "true",
    " ",
    "\n",
    "\u{1}",
    "\u{e9}",
    "\"seq\":",
    "\"mtype\":",
    "\"uri\":",
    "\"meta\":",
    "\"body_codec\":",
    "\"body\":",
    "\"x\"",
    "{\"seq\":\"A\",",
];

#[test]
fn a_stream_gives_its_frames_at_every_split_point() {
    let messages = [
        (&b""[..], &b""[..], "a"),
        (b"m", b"k=v", ""),
        (b"g", b"", "some text some text"),
        (b"gm", b"a=1&b=2", "more"),
        (b"", b"", "last"),
    ]
    .map(|(xfer, meta, body)| Any {
        seq: b"A".to_vec(),
        mtype: 1,
        uri: b"/math/add".to_vec(),
        meta: meta.to_vec(),
        body_codec: b's',
        xfer: xfer.to_vec(),
        body: body.into(),
    });
    for proto in PROTOS {
        gives_its_frames(proto, &messages);
    }
}

fn gives_its_frames(proto: &dyn Proto, messages: &[Any]) {
    let mut stream = BytesMut::new();
    let mut ends = Vec::new();
    for message in messages {
        message.pack(proto, &mut stream);
        ends.push(stream.len());
    }
    let env = Env::default();
    let mut unpack = proto.split().1;
    for split in 0..=stream.len() {
        let (mut start, mut seen) = (0, 0);
        for end in [split, stream.len()] {
            while let Some((frame, used)) = unpack.unpack(&env, &stream[start..end], false).unwrap()
            {
                assert_eq!(frame.body, messages[seen].body);
                start += used;
                seen += 1;
                assert_eq!(start, ends[seen - 1]);
            }
            assert_eq!(
                seen,
                ends.iter().filter(|frame_end| **frame_end <= end).count()
            );
        }
    }
    let first = &stream[..ends[0]];
    for end in 0..first.len() {
        assert!(
            unpack.unpack(&env, &first[..end], false).unwrap().is_none(),
            "prefix of {end}"
        );
        let error = unpack.unpack(&env, &first[..end], true).unwrap_err();
        assert_eq!(error.kind(), ProtoErrorKind::Incomplete);
    }
}

#[test]
fn stacked_filters_stay_within_the_limit() {
    let env = Env {
        limits: Limits::with_message(100_000),
        ..Env::default()
    };
    let head = Head {
        xfer: b"g",
        ..Head::default()
    };
    let mut bomb = BytesMut::new();
    let blanks = vec![b' '; 4 << 20];
    let open = Env {
        limits: Limits::with_message(0),
        ..Env::default()
    };
    for depth in [1_usize, 2, 3, 50, 255] {
        let xfer = vec![b'g'; depth];
        let head = Head {
            xfer: &xfer,
            ..head
        };
        let body = if depth < 4 {
            &blanks[..]
        } else {
            &blanks[..200_000]
        };
        for proto in PROTOS {
            bomb.clear();
            let (pack, mut unpack) = proto.split();
            pack.pack(&open, &head, Body::Slice(body), &mut bomb)
                .unwrap();
            let error = unpack.unpack(&env, &bomb, false).unwrap_err();
            assert_eq!(error.kind(), ProtoErrorKind::TooLarge, "{error}");
        }
    }
}
