//! Metadata against `args.json`.

use bytes::BytesMut;
use proptest::prelude::*;
use serde_json::Value;
use teleport::message::Meta;
use teleport::message::meta::find_encoded;
use teleport_tests::vectors::{Check, Pairs, bytes, pairs, run, same, text};

#[test]
fn args_vectors() {
    run("args", |row| match text(&row["kind"]) {
        "parse" => parse(row),
        "format" => format(row),
        "ops" => ops(row),
        kind => Err(format!("unknown kind {kind}").into()),
    });
}

fn parse(row: &Value) -> Check {
    let input = bytes(row, "input").ok_or("no input")?;
    let wanted = pairs(row, "pairs").ok_or("no pairs")?;
    let meta = Meta::from_encoded(input.clone());
    same("pairs", &listed(&meta), &wanted)?;
    same("number of pairs", meta.len(), wanted.len())?;
    same("empty", meta.is_empty(), wanted.is_empty())?;
    for (key, _) in &wanted {
        let first = wanted
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, v)| v.as_slice());
        same("first value", meta.get_bytes(key), first)?;
        if let Ok(key) = std::str::from_utf8(key) {
            same(
                "value found in the text",
                find_encoded(&input, key).as_deref(),
                first,
            )?;
        }
    }
    same(
        "text while unchanged",
        meta.encoded().as_ref(),
        input.as_slice(),
    )?;
    same(
        "text written anew",
        written(&meta),
        bytes(row, "reformatted").ok_or("no text")?,
    )
}

fn format(row: &Value) -> Check {
    let given = pairs(row, "pairs").ok_or("no pairs")?;
    let output = bytes(row, "output").ok_or("no output")?;
    let meta: Meta = given.into_iter().collect();
    same("text", meta.encoded().as_ref(), output.as_slice())?;
    let mut appended = BytesMut::from("x");
    meta.encode_into(&mut appended);
    same("appended text", appended.get(1..), Some(output.as_slice()))?;
    let reparsed = pairs(row, "reparsed").ok_or("no reparsed pairs")?;
    same(
        "pairs read again",
        listed(&Meta::from_encoded(output)),
        reparsed,
    )
}

/// Where the original forgets to remove some of the pairs with a key, all of them must go.
fn ops(row: &Value) -> Check {
    let mut meta = Meta::new();
    let mut model = Pairs::new();
    for op in row["ops"].as_array().ok_or("no ops")? {
        let (key, value) = (text(&op[1]), op[2].as_str().unwrap_or_default());
        let pair = (key.as_bytes().to_vec(), value.as_bytes().to_vec());
        match text(&op[0]) {
            "add" => {
                meta.add(key, value);
                model.push(pair);
            }
            "set" => {
                meta.set(key, value);
                match model.iter_mut().find(|(k, _)| *k == pair.0) {
                    Some(found) => found.1 = pair.1,
                    None => model.push(pair),
                }
            }
            "del" => {
                let before = model.len();
                model.retain(|(k, _)| *k != pair.0);
                same("number removed", meta.remove(key), before - model.len())?;
            }
            "reset" | "clear" => {
                meta.clear();
                model.clear();
            }
            op => return Err(format!("unknown op {op}").into()),
        }
    }
    same("pairs", &listed(&meta), &model)?;
    if !text(&row["note"]).contains("(bug)") {
        same(
            "pairs of the row",
            model,
            pairs(row, "pairs").ok_or("no pairs")?,
        )?;
        same(
            "text",
            meta.encoded().into_owned(),
            bytes(row, "output").ok_or("no output")?,
        )?;
    }
    Ok(())
}

fn listed(meta: &Meta) -> Pairs {
    meta.iter().map(|(k, v)| (k.to_vec(), v.to_vec())).collect()
}

/// The text of the same pairs in metadata that was not received.
fn written(meta: &Meta) -> Vec<u8> {
    meta.iter().collect::<Meta>().encoded().into_owned()
}

fn any_pairs() -> impl Strategy<Value = Pairs> {
    let any_text = || {
        prop_oneof![
            any::<Vec<u8>>(),
            "[ab%+=& ]{0,3}".prop_map(String::into_bytes)
        ]
    };
    proptest::collection::vec((any_text(), any_text()), 0..6)
}

proptest! {
    #[test]
    fn pairs_survive_their_text(given in any_pairs()) {
        let meta: Meta = given.iter().cloned().collect();
        let kept: Pairs =
            given.into_iter().filter(|(k, v)| !k.is_empty() || !v.is_empty()).collect();
        prop_assert_eq!(listed(&Meta::from_encoded(meta.encoded().into_owned())), kept);
    }

    #[test]
    fn any_text_can_be_read(input in "[ab%+=&;4 ]{0,12}", key in "[ab%+ 4]{0,2}") {
        let meta = Meta::from_encoded(input.clone());
        let again = Meta::from_encoded(written(&meta));
        prop_assert_eq!(&meta, &again);
        let found = find_encoded(input.as_bytes(), &key);
        prop_assert_eq!(found.as_deref(), meta.get_bytes(&key));
    }

    #[test]
    fn changes_follow_a_plain_list(
        given in any_pairs(),
        changes in proptest::collection::vec((0..3_u8, "[ab]?", "[xyz%]{0,3}"), 0..8),
    ) {
        let mut model: Pairs =
            given.into_iter().filter(|(k, v)| !k.is_empty() || !v.is_empty()).collect();
        let text = model.iter().cloned().collect::<Meta>().encoded().into_owned();
        let mut meta = Meta::from_encoded(text);
        for (change, key, value) in changes {
            let pair = (key.clone().into_bytes(), value.clone().into_bytes());
            match change {
                0 => {
                    meta.add(&key, &value);
                    model.push(pair);
                }
                1 => {
                    meta.set(&key, &value);
                    match model.iter_mut().find(|(k, _)| *k == pair.0) {
                        Some(found) => found.1 = pair.1,
                        None => model.push(pair),
                    }
                }
                _ => {
                    meta.remove(&key);
                    model.retain(|(k, _)| *k != pair.0);
                }
            }
        }
        prop_assert_eq!(listed(&meta), model);
    }
}
