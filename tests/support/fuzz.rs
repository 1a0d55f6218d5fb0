//! What the fuzz targets run, so that a plain test can run the same over a few inputs.
//!
//! Each function takes any bytes, and panics only when the library breaks a promise.

use bytes::BytesMut;
use teleport::{
    message::{Frame, Meta, Uri},
    proto::{Body, Env, Limits, Proto, RawProto, Unpack},
    xfer::{Gzip, Md5, XferFilter},
};

/// The largest frame, and the most that a filter may make.
const LIMIT: usize = 1 << 16;

/// A target by its name.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("raw_unpack", raw_unpack),
    ("gzip_unpack", gzip_unpack),
    ("md5_unpack", md5_unpack),
    ("frame_sequence", frame_sequence),
    ("meta_parse", meta_parse),
    ("uri_parse", uri_parse),
];

fn env() -> Env {
    Env {
        limits: Limits::with_message(LIMIT),
        ..Env::default()
    }
}

/// A frame that can be read can be written, and read again as the same.
pub fn raw_unpack(data: &[u8]) {
    let env = env();
    let (pack, mut unpack) = RawProto.split();
    let _ = unpack.unpack(&env, data, true);
    let Ok(Some((frame, used))) = unpack.unpack(&env, data, false) else {
        return;
    };
    assert!((14..=data.len()).contains(&used) || !frame.head.xfer.is_empty());
    let mut again = BytesMut::new();
    if pack
        .pack(&env, &frame.head, Body::Slice(frame.body), &mut again)
        .is_err()
    {
        // Filters may make a frame larger than the one it was read from.
        assert!(!frame.head.xfer.is_empty());
        return;
    }
    if frame.head.xfer.is_empty() {
        assert_eq!(again, data[..used]);
    }
    let mut unpack = RawProto.split().1;
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
    let at_once = read_all(stream, stream.len().max(1));
    let in_pieces = read_all(stream, usize::from(step) + 1);
    assert_eq!(at_once, in_pieces);
}

/// The bodies of the frames in `stream`, of which `step` bytes more come in at a time, and whether
/// all went well.
fn read_all(stream: &[u8], step: usize) -> (Vec<Vec<u8>>, bool) {
    let env = env();
    let mut unpack = RawProto.split().1;
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
