use bytes::{Bytes, BytesMut};
use proptest::{collection::vec, prelude::*};
use teleport::{
    message::{Head, Mtype},
    proto::{Body, Env, Limits, Proto, ProtoErrorKind, RawProto},
};
use teleport_tests::fuzz;

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

    fn pack(&self, dst: &mut BytesMut) {
        let pack = RawProto.split().0;
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
    fn messages_go_there_and_back(message in message()) {
        let mut wire = BytesMut::new();
        message.pack(&mut wire);
        let env = Env::default();
        let mut unpack = RawProto.split().1;
        let (frame, used) = unpack.unpack(&env, &wire, true).unwrap().unwrap();
        prop_assert_eq!(used, wire.len());
        let head = frame.head;
        prop_assert_eq!((head.seq, head.mtype.0), (&message.seq[..], message.mtype));
        prop_assert_eq!((head.uri, head.meta), (&message.uri[..], &message.meta[..]));
        prop_assert_eq!((head.body_codec, head.xfer), (message.body_codec, &message.xfer[..]));
        prop_assert_eq!(frame.body, &message.body[..]);
    }

    #[test]
    fn every_form_of_a_body_gives_the_same_frame(message in message()) {
        let mut expected = BytesMut::new();
        message.pack(&mut expected);
        let pack = RawProto.split().0;
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
        let size = u32::try_from(6 + pipe.len() + payload.len()).unwrap();
        let mut frame = size.to_be_bytes().to_vec();
        frame.extend_from_slice(b"r");
        frame.push(u8::try_from(pipe.len()).unwrap());
        frame.extend_from_slice(&pipe);
        frame.extend_from_slice(&payload);
        fuzz::raw_unpack(&frame);
    }
}

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
    let mut stream = BytesMut::new();
    let mut ends = Vec::new();
    for message in &messages {
        message.pack(&mut stream);
        ends.push(stream.len());
    }
    let env = Env::default();
    let mut unpack = RawProto.split().1;
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
    let zeros = vec![0; 4 << 20];
    let open = Env {
        limits: Limits::with_message(0),
        ..Env::default()
    };
    for depth in [1_usize, 2, 3, 50, 255] {
        let xfer = vec![b'g'; depth];
        bomb.clear();
        let head = Head {
            xfer: &xfer,
            ..head
        };
        let body = if depth < 4 {
            &zeros[..]
        } else {
            &zeros[..200_000]
        };
        RawProto
            .split()
            .0
            .pack(&open, &head, Body::Slice(body), &mut bomb)
            .unwrap();
        let error = RawProto.split().1.unpack(&env, &bomb, false).unwrap_err();
        assert_eq!(error.kind(), ProtoErrorKind::TooLarge, "{error}");
    }
}
