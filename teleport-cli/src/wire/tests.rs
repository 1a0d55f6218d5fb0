#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use serde_json::{Value, json};

use super::*;
use crate::args::ProtoName;

const FRAME: &str = "0000002572000001430100042f612f62000b6b313d7631266b323d76326a7b2278223a317d";
const SHOWN: &str = r#"{"seq":"C","mtype":1,"uri":"/a/b","meta":[["k1","v1"],["k2","v2"]],"body_codec":106,"xfer":[],"body_hex":"7b2278223a317d","size":37}"#;

fn ask(action: WireAction, limit: usize, lines: &[u8]) -> Vec<String> {
    ask_in(ProtoName::Raw, action, limit, lines)
}

fn ask_in(proto: ProtoName, action: WireAction, limit: usize, lines: &[u8]) -> Vec<String> {
    let args = WireArgs {
        action,
        proto,
        limit,
    };
    let mut output = Vec::new();
    run(&args, lines, &mut output).unwrap();
    String::from_utf8(output)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

fn decode(line: &str) -> Value {
    serde_json::from_str(&ask(WireAction::Decode, 1 << 20, line.as_bytes())[0]).unwrap()
}

fn encode(object: &Value) -> String {
    ask(WireAction::Encode, 1 << 20, object.to_string().as_bytes()).remove(0)
}

/// The kind and the text of the error that an object is answered with.
fn refused(object: &Value) -> (String, String) {
    let answer: Value = serde_json::from_str(&encode(object)).unwrap();
    (
        answer["kind"].as_str().unwrap().into(),
        answer["error"].as_str().unwrap().into(),
    )
}

#[test]
fn a_frame_goes_to_json_and_back() {
    assert_eq!(ask(WireAction::Decode, 0, FRAME.as_bytes()), [SHOWN]);
    assert_eq!(ask(WireAction::Encode, 0, SHOWN.as_bytes()), [FRAME]);
}

#[test]
fn frames_of_json_and_pb_go_there_and_back_too() {
    for (proto, frame, size) in [
        (
            ProtoName::Json,
            "0000005c007b22736571223a2243222c226d74797065223a312c22757269223a222f612f62222c226d657461223a226b313d7631266b323d7632222c22626f64795f636f646563223a3130362c22626f6479223a227b5c22785c223a317d227d",
            96,
        ),
        (
            ProtoName::Pb,
            "0000002400 0a0143 1001 1a042f612f62 220b6b313d7631266b323d7632 286a 32077b2278223a317d",
            40,
        ),
    ] {
        let shown = SHOWN.replace("37}", &format!("{size}}}"));
        let limit = size - 4;
        assert_eq!(
            ask_in(proto, WireAction::Decode, limit, frame.as_bytes()),
            [&*shown]
        );
        let frame = frame.replace(' ', "");
        assert_eq!(
            ask_in(proto, WireAction::Encode, limit, shown.as_bytes()),
            [&*frame]
        );
        let refused = &ask_in(proto, WireAction::Decode, limit - 1, frame.as_bytes())[0];
        assert!(refused.contains("too_large"), "{refused}");
        let refused = &ask_in(proto, WireAction::Decode, 0, b"00000000")[0];
        assert!(refused.contains("bad_length"), "{refused}");
    }
}

#[test]
fn every_line_has_an_answer() {
    let lines = format!("{FRAME}\r\n\nxx\n  {} \n", FRAME.to_uppercase());
    let answers = ask(WireAction::Decode, 0, lines.as_bytes());
    assert_eq!(answers.len(), 4);
    assert_eq!([&answers[0], &answers[3]], [SHOWN, SHOWN]);
    assert!(
        answers[1].ends_with(r#""kind":"incomplete"}"#),
        "{}",
        answers[1]
    );
    assert!(
        answers[2].ends_with(r#""kind":"bad_input"}"#),
        "{}",
        answers[2]
    );
    let answers = ask(WireAction::Encode, 0, b"\n[]\n\xff\n{}\n");
    assert!(
        answers[..3]
            .iter()
            .all(|line| line.ends_with(r#""kind":"bad_input"}"#))
    );
    assert_eq!(answers[3], "0000000e72000000000000000000");
    assert!(ask(WireAction::Encode, 0, b"").is_empty());
}

#[test]
fn broken_frames_are_told_apart() {
    let kind = |line: &str| decode(line)["kind"].as_str().map(str::to_owned).unwrap();
    assert_eq!(kind(&FRAME[..72]), "incomplete");
    assert_eq!(kind(&format!("{FRAME}00")), "trailing");
    assert_eq!(kind(&FRAME.replacen("72", "6a", 1)), "bad_version");
    assert_eq!(kind("00000005"), "bad_length");
    assert_eq!(kind("7fffffff"), "too_large");
    assert_eq!(kind("00000007 72 01 7a"), "unknown_filter");
    assert_eq!(kind("00000007 72 01 6d"), "filter_failed");
    assert_eq!(kind("0"), "bad_input");
}

#[test]
fn the_limit_is_the_size_of_the_frame() {
    let answer = |action, limit, line: &str| ask(action, limit, line.as_bytes()).remove(0);
    assert_eq!(answer(WireAction::Decode, 37, FRAME), SHOWN);
    assert!(answer(WireAction::Decode, 36, FRAME).ends_with(r#""kind":"too_large"}"#));
    assert_eq!(answer(WireAction::Encode, 37, SHOWN), FRAME);
    assert!(answer(WireAction::Encode, 36, SHOWN).ends_with(r#""kind":"too_large"}"#));
}

#[test]
fn what_is_not_utf8_is_shown_in_hex() {
    let object = json!({
        "seq_hex": "61 ff", "uri_hex": "2FC3", "meta_hex": [["6b", "ff"], ["6c", "31"]],
        "body_hex": "00 ff", "mtype": 255,
    });
    let shown = decode(&encode(&object));
    let expected = json!({
        "seq_hex": "61ff", "mtype": 255, "uri_hex": "2fc3",
        "meta_hex": [["6b", "ff"], ["6c", "31"]],
        "body_codec": 0, "xfer": [], "body_hex": "00ff", "size": shown["size"],
    });
    assert_eq!(shown, expected);
}

#[test]
fn codecs_and_filters_go_by_name_too() {
    let object = json!({"body_codec": "json", "xfer": ["gzip-5", 109], "body": "\"x\""});
    let shown = decode(&encode(&object));
    assert_eq!(shown["body_codec"], 106);
    assert_eq!(shown["xfer"], json!([103, 109]));
    assert_eq!(shown["body_hex"], "227822");
}

#[test]
fn wrong_objects_are_refused_by_name() {
    for (object, kind, text) in [
        (
            json!({"sequence": "A"}),
            "bad_input",
            "unknown field \"sequence\"",
        ),
        (json!({"seq": 1}), "bad_input", "\"seq\" must be a text"),
        (json!({"uri": null}), "bad_input", "\"uri\" must be a text"),
        (
            json!({"mtype": "1"}),
            "bad_input",
            "\"mtype\" must be a number without a fraction",
        ),
        (
            json!({"mtype": 1.5}),
            "bad_input",
            "\"mtype\" must be a number without a fraction",
        ),
        (
            json!({"mtype": 256}),
            "bad_field",
            "\"mtype\": 256 is not from 0 to 255",
        ),
        (
            json!({"body_codec": -1}),
            "bad_field",
            "\"body_codec\": -1 is not from 0 to 255",
        ),
        (
            json!({"body_codec": "yaml"}),
            "bad_field",
            "\"body_codec\": no codec \"yaml\"",
        ),
        (json!({"xfer": "m"}), "bad_input", "\"xfer\" must be a list"),
        (
            json!({"xfer": [1]}),
            "unknown_filter",
            "unsupported transfer filter id: 1",
        ),
        (
            json!({"xfer": ["z"]}),
            "unknown_filter",
            "unsupported transfer filter name: \"z\"",
        ),
        (
            json!({"meta": {"k": "v"}}),
            "bad_input",
            "\"meta\" must be a list of pairs of texts",
        ),
        (
            json!({"meta": [["k"]]}),
            "bad_input",
            "\"meta\" must be a list of pairs of texts",
        ),
        (
            json!({"seq": "", "seq_hex": ""}),
            "bad_input",
            "both \"seq\" and \"seq_hex\" are given",
        ),
        (
            json!({"body_hex": "0"}),
            "bad_input",
            "\"body_hex\": not hex: 1 digits are an odd number",
        ),
        (
            json!({"size": "1"}),
            "bad_input",
            "\"size\" must be a number",
        ),
    ] {
        assert_eq!(refused(&object), (kind.into(), text.into()));
    }
    let long = "a".repeat(65536);
    for name in ["seq", "uri"] {
        assert_eq!(refused(&json!({name: long})).0, "bad_length");
    }
    assert_eq!(refused(&json!({"meta": [["", long]]})).0, "bad_length");
    assert_eq!(refused(&json!({"xfer": vec![109; 256]})).0, "bad_field");
    assert_eq!(
        refused(&json!({"body": "a".repeat(1 << 20)})).0,
        "too_large"
    );
}
