//! What the fuzz targets run, so that a plain test can run the same over a few inputs.
//!
//! Each function takes any bytes, and panics only when the library breaks a promise.

use std::time::Duration;

use bytes::BytesMut;
use teleport::{
    Peer,
    codec::Codecs,
    message::{Frame, Message, Meta, Uri},
    plugins::secure::{self, Key, Legacy, SECURE, Sealed},
    proto::{Body, Env, JsonProto, Limits, PbProto, Proto, ProtoErrorKind, RawProto, Unpack},
    xfer::{Gzip, Md5, XferFilter},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The largest frame, and the most that a filter may make.
const LIMIT: usize = 1 << 16;

/// A target by its name.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("raw_unpack", raw_unpack),
    ("json_unpack", json_unpack),
    ("pb_unpack", pb_unpack),
    ("gzip_unpack", gzip_unpack),
    ("md5_unpack", md5_unpack),
    ("frame_sequence", frame_sequence),
    ("meta_parse", meta_parse),
    ("uri_parse", uri_parse),
    ("secure_open", secure_open),
    ("sealed_parts", sealed_parts),
    ("sealed_handshake", sealed_handshake),
];

fn env() -> Env {
    Env {
        limits: Limits::with_message(LIMIT),
        ..Env::default()
    }
}

/// A frame that can be read can be written, as the same bytes, and read again as the same.
pub fn raw_unpack(data: &[u8]) {
    frame_unpack(&RawProto, data, |frame, used, again| {
        assert!((14..=data.len()).contains(&used) || !frame.head.xfer.is_empty());
        if frame.head.xfer.is_empty() {
            assert_eq!(again, &data[..used]);
        }
    });
}

/// A frame that can be read can be written, and read again as the same.
pub fn json_unpack(data: &[u8]) {
    frame_unpack(&JsonProto, data, |_, _, _| {});
}

/// A frame that can be read can be written, in no more bytes, and read again as the same.
pub fn pb_unpack(data: &[u8]) {
    frame_unpack(&PbProto, data, |frame, used, again| {
        assert!(again.len() <= used || !frame.head.xfer.is_empty());
    });
}

fn frame_unpack(proto: &dyn Proto, data: &[u8], check: impl FnOnce(&Frame<'_>, usize, &[u8])) {
    let env = env();
    let (pack, mut unpack) = proto.split();
    let _ = unpack.unpack(&env, data, true);
    let Ok(Some((frame, used))) = unpack.unpack(&env, data, false) else {
        return;
    };
    let mut again = BytesMut::new();
    if let Err(error) = pack.pack(&env, &frame.head, Body::Slice(frame.body), &mut again) {
        // Filters and escapes may make a frame larger than the one it was read from.
        assert_eq!(error.kind(), ProtoErrorKind::TooLarge);
        assert!(!frame.head.xfer.is_empty() || proto.version().1 == "json");
        return;
    }
    check(&frame, used, &again);
    let mut unpack = proto.split().1;
    let (read, _) = unpack
        .unpack(&env, &again, true)
        .expect("own frame")
        .expect("whole frame");
    assert_same(&read, &frame);
}

fn assert_same(one: &Frame<'_>, other: &Frame<'_>) {
    let parts = |frame: &Frame<'_>| {
        let head = &frame.head;
        [
            head.seq,
            &[head.mtype.0],
            head.uri,
            head.meta,
            &[head.body_codec],
            head.xfer,
            frame.body,
        ]
        .map(<[u8]>::to_vec)
    };
    assert_eq!(parts(one), parts(other));
}

/// The filter keeps to its limit, and reads what it writes.
pub fn gzip_unpack(data: &[u8]) {
    filter_unpack(&Gzip::default(), data);
}

/// The filter keeps to its limit, and reads what it writes.
pub fn md5_unpack(data: &[u8]) {
    filter_unpack(&Md5::default(), data);
}

fn filter_unpack(filter: &dyn XferFilter, data: &[u8]) {
    let mut unpacked = BytesMut::from(&b"before"[..]);
    let _ = filter.on_unpack(data, &mut unpacked, LIMIT);
    assert!(unpacked.starts_with(b"before") && unpacked.len() <= 7 + LIMIT);
    let mut packed = BytesMut::new();
    filter.on_pack(data, &mut packed).expect("pack");
    unpacked.clear();
    filter
        .on_unpack(&packed, &mut unpacked, data.len())
        .expect("own bytes");
    assert_eq!(unpacked, data);
}

/// A stream of frames gives the same frames however it is cut. The first byte says how.
pub fn frame_sequence(data: &[u8]) {
    let Some((&step, stream)) = data.split_first() else {
        return;
    };
    for proto in [&RawProto as &dyn Proto, &JsonProto, &PbProto] {
        let at_once = read_all(proto, stream, stream.len().max(1));
        let in_pieces = read_all(proto, stream, usize::from(step) + 1);
        assert_eq!(at_once, in_pieces);
    }
}

/// The bodies of the frames in `stream`, of which `step` bytes more come in at a time, and whether
/// all went well.
fn read_all(proto: &dyn Proto, stream: &[u8], step: usize) -> (Vec<Vec<u8>>, bool) {
    let env = env();
    let mut unpack = proto.split().1;
    let (mut start, mut end, mut bodies) = (0, 0, Vec::new());
    while end < stream.len() {
        end = (end + step).min(stream.len());
        loop {
            match next(&mut *unpack, &env, &stream[start..end]) {
                Ok(Some((body, used))) => {
                    assert!(used > 0 && used <= end - start);
                    start += used;
                    bodies.push(body);
                }
                Ok(None) => break,
                Err(()) => return (bodies, false),
            }
        }
    }
    (bodies, true)
}

fn next(unpack: &mut dyn Unpack, env: &Env, src: &[u8]) -> Result<Option<(Vec<u8>, usize)>, ()> {
    let read = unpack
        .unpack(env, src, false)
        .map_err(|error| assert!(!error.to_string().is_empty()))?;
    Ok(read.map(|(frame, used)| (frame.body.to_vec(), used)))
}

/// Metadata that was parsed is written so that it parses to the same.
pub fn meta_parse(data: &[u8]) {
    let pairs = |meta: &Meta| -> Vec<(Vec<u8>, Vec<u8>)> {
        meta.iter()
            .map(|(key, value)| (key.to_vec(), value.to_vec()))
            .collect()
    };
    let meta = Meta::from_encoded(data.to_vec());
    let read = pairs(&meta);
    assert_eq!(&*meta.encoded(), data);
    let mut written = Meta::new();
    for (key, value) in &read {
        written.add(key, value);
    }
    let again = Meta::from_encoded(written.encoded().into_owned());
    assert_eq!(pairs(&again), read);
}

/// A uri keeps its bytes, and can be asked anything.
pub fn uri_parse(data: &[u8]) {
    let uri = Uri::new(data);
    assert_eq!(uri.as_bytes(), data);
    let _ = (
        uri.path(),
        uri.path_bytes(),
        uri.raw_query(),
        uri.query("a"),
        uri.host(),
        uri.scheme(),
    );
    assert_eq!(uri.as_bytes(), data);
    let _ = (uri.to_string(), format!("{uri:?}"));
    if let Some(path) = teleport::message::uri::plain_path(data) {
        assert_eq!(uri.path_bytes(), path);
    }
    let mut changed = uri;
    changed.add_query("k", "v");
    let _ = changed.query("k");
}

/// A frame that says that it is encrypted decrypts or not; what was decrypted can be encrypted, and
/// decrypted again as the same. The whole as a ciphertext too.
pub fn secure_open(data: &[u8]) {
    let secure = Legacy::new(100_001, "cipherkey1234567").expect("a key");
    if let Ok(plain) = secure.decrypt(data) {
        assert_eq!(secure.encrypt(&plain).as_bytes(), data.to_ascii_lowercase());
    }
    let mut unpack = RawProto.split().1;
    let Ok(Some((frame, _))) = unpack.unpack(&env(), data, true) else {
        return;
    };
    let head = &frame.head;
    let mut message = Message::new(head.mtype, head.uri, frame.body.to_vec())
        .with_body_codec(head.body_codec)
        .with_meta(SECURE, "true");
    let codecs = Codecs::default();
    if secure.decrypt_message(&codecs, &mut message).is_err() {
        return;
    }
    let plain = message.clone();
    if secure.encrypt_message(&codecs, &mut message).is_err() {
        return;
    }
    secure
        .decrypt_message(&codecs, &mut message)
        .expect("own message");
    assert_eq!(message.body, plain.body);
    assert_eq!(message.header.uri.raw_query(), plain.header.uri.raw_query());
}

/// What is in a seal is read whole or not at all.
pub fn sealed_parts(data: &[u8]) {
    let Some([query, meta, body]) = secure::__parts(data) else {
        return;
    };
    let length = |part: &[u8]| u32::try_from(part.len()).expect("short").to_be_bytes();
    let again = [&length(&query), &query[..], &length(&meta), &meta, &body].concat();
    assert_eq!(again, data);
    let _ = Meta::from_encoded(meta).iter().count();
}

/// Whoever does not have the key gets no session, whichever side dials. The first byte says which,
/// the others are all that it ever says.
pub fn sealed_handshake(data: &[u8]) {
    let Some((&side, said)) = data.split_first() else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let key = Key::new("k1", [7; 32]).expect("a key");
        let peer = Peer::builder().plugin(Sealed::new(key)).build();
        let peer = peer.expect("a peer");
        let (near, far) = tokio::io::duplex(1 << 20);
        let (mut hears, mut says) = tokio::io::split(far);
        let stranger = async move {
            let _ = says.write_all(said).await;
            let _ = says.shutdown().await;
        };
        let mut heard = Vec::new();
        let hearing = hears.read_to_end(&mut heard);
        let session = async {
            match side % 2 {
                0 => peer.serve_conn(near).await,
                _ => peer.dial_conn(near).await,
            }
        };
        let all = async { tokio::join!(session, stranger, hearing) };
        let all = tokio::time::timeout(Duration::from_secs(60), all);
        let (session, (), _) = all.await.expect("an end");
        assert!(session.is_err());
        // A refusal, or a half of the handshake.
        assert!(heard.len() < 4096, "{}", heard.len());
    });
}
