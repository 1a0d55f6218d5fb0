//! What a proxy of ours sends on, and back, where the original's was recorded.

use serde_json::Value;
use teleport::codec::JSON;
use teleport_tests::standard::spoken::Spoken;
use teleport_tests::vectors::Miss;

use super::{IN_OWN_WORDS, lossy};
use crate::transcripts::script::Frame;

/// The frame that a proxy of ours sends on for one of the caller's, where this was recorded: in the
/// codec that the caller chose (row 20), where codec 0 stands for the default.
pub(in crate::transcripts) fn sent_on(
    spoken: Spoken,
    said: &Frame,
    recorded: &Frame,
    number: usize,
) -> Result<Frame, Miss> {
    let mut due = recorded.clone();
    let (front, _) = numbered(&recorded.seq).ok_or_else(|| {
        let seq = lossy(&recorded.seq);
        format!("{seq:?} is no sequence text of a proxy")
    })?;
    due.seq = format!("{front}[{number}]").into_bytes();
    due.body_codec = match said.body_codec {
        0 => JSON,
        codec => codec,
    };
    due.xfer = Vec::new();
    due.body.clone_from(&said.body);
    if due != *recorded {
        due.repack(spoken)?;
    }
    Ok(due)
}

/// The reply of a proxy of ours, where `recorded` is the original's and `back` what the backend said:
/// all of its metadata comes back (row 22), and the codec that its body is in (row 20).
pub(in crate::transcripts) fn sent_back(
    spoken: Spoken,
    recorded: &Frame,
    back: Option<&Frame>,
) -> Result<Frame, Miss> {
    let mut due = recorded.clone();
    match back {
        Some(back) if back.error().is_none() => {
            due.meta.clone_from(&back.meta);
            due.body_codec = back.body_codec;
        }
        Some(_) => {}
        None if due.error().is_some_and(is_of_the_gateway) => {
            let reason =
                format!(r#"{{"code":502,"message":"Bad Gateway","reason":"{IN_OWN_WORDS}"}}"#);
            due.meta = vec![(b"X-Reply-Error".to_vec(), reason.into_bytes())];
        }
        None => {}
    }
    if due != *recorded {
        due.repack(spoken)?;
    }
    Ok(due)
}

/// Whether an error says that there was no reply of the backend (row 21).
fn is_of_the_gateway(error: &[u8]) -> bool {
    let error: Value = serde_json::from_slice(error).unwrap_or_default();
    let code = error["code"].as_i64();
    code.is_some_and(|code| matches!(code, 100..=199 | 500 | 502))
}

/// The sequence text of a proxy up to its number, and the number.
fn numbered(seq: &[u8]) -> Option<(&str, usize)> {
    let seq = std::str::from_utf8(seq).ok()?;
    let (front, number) = seq.strip_suffix(']')?.rsplit_once('[')?;
    Some((front, number.parse().ok()?))
}

/// The caller's address and its own sequence text, from one of a proxy.
pub(in crate::transcripts) fn caller_of(seq: &[u8]) -> Option<(&str, &str)> {
    let (front, _) = numbered(seq)?;
    let (address, seq) = front.split_once('@')?;
    let (seq, _program) = seq.rsplit_once('>')?;
    Some((address, seq))
}
