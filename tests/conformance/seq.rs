//! Sequence texts against `seq.json`.

use proptest::prelude::*;
use serde_json::Value;
use teleport::message::Seq;
use teleport::message::seq::counter_of;
use teleport_tests::vectors::{Check, run, same, text};

/// The number of texts of one to six characters.
const ALL: u64 = 57_731_386_986;

#[test]
fn seq_vectors() {
    run("seq", check);
}

fn check(row: &Value) -> Check {
    let n = row["n"].as_u64().ok_or("no n")?;
    let max_len = row["max_len"].as_u64().ok_or("no max_len")?;
    let wanted = text(&row["seq"]);
    let limit = u32::try_from(max_len).map_err(|e| e.to_string())?;
    let seq = Seq::from_counter_limited(n, limit);
    same("text", seq.as_str(), Some(wanted))?;
    same(
        "counter",
        Seq::from_counter(seq.counter().ok_or("no counter")?).as_str(),
        Some(wanted),
    )?;
    if max_len == 6 {
        same(
            "text by the usual limit",
            Seq::from_counter(n).as_str(),
            Some(wanted),
        )?;
        same(
            "counter by the usual limit",
            counter_of(wanted.as_bytes()),
            Some(n % ALL),
        )?;
    }
    Ok(())
}

proptest! {
    #[test]
    fn counters_survive_their_text(n in prop_oneof![0..ALL, 0..5000_u64, any::<u64>()]) {
        prop_assert_eq!(Seq::from_counter(n).counter(), Some(n % ALL));
    }

    #[test]
    fn only_texts_of_a_counter_have_one(text in proptest::collection::vec(any::<u8>(), 0..8)) {
        if let Some(n) = counter_of(&text) {
            prop_assert_eq!(Seq::from_counter(n), Seq::from(&text[..]));
        }
    }

    #[test]
    fn any_text_can_be_a_sequence(text in any::<Vec<u8>>()) {
        let seq = Seq::from(&text[..]);
        prop_assert_eq!(seq.as_bytes(), &text[..]);
        prop_assert!(!seq.to_string().contains(char::is_control));
    }
}
