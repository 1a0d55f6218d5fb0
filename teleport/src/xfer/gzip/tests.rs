#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;
use crate::xfer::FilterErrorKind;

const NO_LIMIT: usize = usize::MAX;

fn pack(level: u32, data: &[u8]) -> BytesMut {
    let mut dst = BytesMut::new();
    Gzip::new(b'g', level)
        .unwrap()
        .on_pack(data, &mut dst)
        .unwrap();
    dst
}

fn unpack(src: &[u8], limit: usize) -> Result<BytesMut, FilterError> {
    let mut dst = BytesMut::new();
    Gzip::default()
        .on_unpack(src, &mut dst, limit)
        .map(|()| dst)
}

/// Bytes that hardly shrink.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..len).map(|_| next()).collect()
}

/// A stream as the original writes it: flushed, never ended.
fn flushed(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + 1024);
    out.extend_from_slice(&header::of_level(5));
    let mut state = Compress::new(flate2::Compression::new(5), false);
    state
        .compress_vec(data, &mut out, FlushCompress::Sync)
        .unwrap();
    out
}

#[test]
fn every_level_round_trips_every_kind_of_data() {
    let text = b"to be or not to be ".repeat(10_000);
    let noise = noise(300_000);
    for level in 0..=9 {
        for data in [&b""[..], b"x", &text, &noise, &[0; 70_000]] {
            let packed = pack(level, data);
            assert_eq!(unpack(&packed, data.len()).unwrap(), data, "level {level}");
        }
        assert_eq!(Gzip::new(1, level).unwrap().name(), format!("gzip-{level}"));
    }
    assert!(Gzip::new(1, 10).unwrap_err().to_string().contains("not 10"));
    assert!(Gzip::new(1, 261).is_err());
}

#[test]
fn a_flushed_stream_without_an_end_is_read() {
    for data in [&b"x"[..], b"", &noise(50_000), &b"abc".repeat(40_000)] {
        assert_eq!(unpack(&flushed(data), data.len()).unwrap(), data);
    }
}

#[test]
fn a_cut_flushed_stream_is_refused() {
    let data = b"a text with a few words, and a text with a few more words".repeat(3);
    let stream = flushed(&data);
    for end in 1..stream.len() {
        assert!(unpack(&stream[..end], NO_LIMIT).is_err(), "cut at {end}");
    }
}

#[test]
fn stored_data_that_looks_like_a_flush_is_refused_when_cut() {
    let packed = pack(0, &[0x00, 0x00, 0xff, 0xff].repeat(50));
    for end in 11..packed.len() - TRAILER {
        assert!(unpack(&packed[..end], NO_LIMIT).is_err(), "cut at {end}");
    }
}

#[test]
fn a_cut_trailer_counts_as_a_missing_one() {
    let packed = pack(5, b"some text");
    for missing in 1..=TRAILER {
        assert_eq!(
            unpack(&packed[..packed.len() - missing], 9).unwrap(),
            &b"some text"[..]
        );
    }
}

#[test]
fn a_wrong_checksum_or_length_is_refused() {
    let packed = pack(5, b"some text");
    for at in packed.len() - TRAILER..packed.len() {
        let mut damaged = packed.clone();
        damaged[at] ^= 0x40;
        assert!(unpack(&damaged, NO_LIMIT).is_err(), "byte {at}");
    }
}

#[test]
fn bytes_behind_the_end_are_refused() {
    let mut packed = pack(5, b"some text");
    packed.extend_from_slice(b"junk");
    let error = unpack(&packed, NO_LIMIT).unwrap_err();
    assert_eq!(error.to_string(), "4 bytes behind the end of the stream");
}

#[test]
fn nothing_unpacks_to_nothing_but_a_bare_header_is_refused() {
    assert!(unpack(b"", 0).unwrap().is_empty());
    assert!(unpack(&header::of_level(5), NO_LIMIT).is_err());
    assert!(unpack(&header::of_level(5)[..9], NO_LIMIT).is_err());
}

#[test]
fn output_stops_at_the_limit() {
    for len in [0, 1, 1023, 1024, 1025, 5000] {
        let packed = pack(9, &vec![7; len]);
        assert_eq!(unpack(&packed, len).unwrap().len(), len);
        if len > 0 {
            let error = unpack(&packed, len - 1).unwrap_err();
            assert_eq!(error.kind(), FilterErrorKind::TooLarge, "{len}");
        }
    }
}

#[test]
fn a_bomb_allocates_no_more_than_the_limit_and_a_step() {
    let bomb = pack(9, &vec![0; 4 << 20]);
    let mut dst = BytesMut::new();
    let error = Gzip::default()
        .on_unpack(&bomb, &mut dst, 100_000)
        .unwrap_err();
    assert_eq!(error.kind(), FilterErrorKind::TooLarge);
    assert!(dst.capacity() < 400_000, "{}", dst.capacity());
}

#[test]
fn optional_header_fields_are_skipped() {
    let packed = pack(5, b"x");
    let mut full = vec![0x1f, 0x8b, 8, 0b1_1111, 1, 2, 3, 4, 0, 3];
    full.extend_from_slice(b"\x03\x00abcname\0comment\0");
    let mut crc = Crc::new();
    crc.update(&full);
    let [low, high, ..] = crc.sum().to_le_bytes();
    full.extend_from_slice(&[low, high]);
    let at = full.len() - 1;
    full.extend_from_slice(&packed[10..]);
    assert_eq!(unpack(&full, 1).unwrap(), &b"x"[..]);
    for end in 0..at {
        assert_eq!(unpack(&full[..end], 1).is_ok(), end == 0);
    }
    full[at] ^= 1;
    assert!(unpack(&full, 1).is_err());
}

#[test]
fn states_are_kept_and_work_after_errors() {
    let packed = pack(5, b"some text");
    let mut damaged = packed.clone();
    damaged[12] ^= 0xff;
    for _ in 0..10 {
        let _ = unpack(&damaged, NO_LIMIT);
        for level in [1, 5, 9, 3] {
            assert_eq!(unpack(&pack(level, b"again"), 5).unwrap(), &b"again"[..]);
        }
        assert_eq!(unpack(&packed, 9).unwrap(), &b"some text"[..]);
    }
}
