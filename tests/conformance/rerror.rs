//! Errors of replies against `rerror.json`.

use proptest::prelude::*;
use serde_json::Value;
use teleport::message::Meta;
use teleport::rerror::{Rerror, code};
use teleport_tests::vectors::{Check, bytes, left_out, run, same, text};

#[test]
fn rerror_vectors() {
    run("rerror", |row| match text(&row["kind"]) {
        "marshal" => marshal(row),
        "unmarshal" => {
            let input = bytes(row, "input").ok_or("no input")?;
            read_as(row, &input, &Rerror::from_json(&input))
        }
        "from_meta" => from_meta(row),
        "code_text" => code_text(row),
        kind => Err(format!("unknown kind {kind}").into()),
    });
}

fn marshal(row: &Value) -> Check {
    let code = row["code"].as_i64().ok_or("no code")?;
    let code = i32::try_from(code).map_err(|e| e.to_string())?;
    let (Some(message), Some(reason)) = (row["message"].as_str(), row["reason"].as_str()) else {
        return left_out("a message or reason that is not UTF-8 does not fit our type");
    };
    let error = Rerror::new(code, message.to_owned(), reason.to_owned());
    same(
        "json",
        error.to_json().into_bytes(),
        bytes(row, "json").ok_or("no json")?,
    )?;
    same(
        "read again",
        &Rerror::from_json(error.to_json().as_bytes()),
        &error,
    )?;

    let mut meta = Meta::new();
    error.set_meta(&mut meta);
    let text = meta.encoded().into_owned();
    same("meta", &text, &bytes(row, "meta").ok_or("no meta")?)?;
    same(
        "read from meta",
        Rerror::from_encoded_meta(&text).as_ref(),
        Some(&error),
    )?;
    same(
        "read from pairs",
        Rerror::from_meta(&Meta::from_encoded(text)),
        Some(error),
    )
}

fn from_meta(row: &Value) -> Check {
    let text = bytes(row, "meta").ok_or("no meta")?;
    let meta = Meta::from_encoded(text.clone());
    let error = Rerror::from_meta(&meta);
    same(
        "read without parsing",
        &Rerror::from_encoded_meta(&text),
        &error,
    )?;
    same(
        "is an error",
        error.is_some(),
        row["is_error"].as_bool().ok_or("no is_error")?,
    )?;
    match error {
        Some(error) => {
            let json = meta.get_bytes("X-Reply-Error").unwrap_or_default().to_vec();
            read_as(row, &json, &error)
        }
        None => Ok(()),
    }
}

/// Compares the parts. Where the original makes code 0 without any text of what it cannot read,
/// or wraps a code around, the reason must say so instead.
fn read_as(row: &Value, json: &[u8], ours: &Rerror) -> Check {
    let field = |name| bytes(row, name).map(|text| String::from_utf8_lossy(&text).into_owned());
    let message = field("message").unwrap_or_default();
    let reason = field("reason").unwrap_or_default();
    same("message", ours.message(), message.as_str())?;
    if unreadable(json) {
        same("code", ours.code(), 0)?;
        same("reason says so", ours.reason().contains("unreadable"), true)?;
        return same("reason is kept", ours.reason().contains(&reason), true);
    }
    same(
        "code",
        i64::from(ours.code()),
        row["code"].as_i64().unwrap_or_default(),
    )?;
    same("reason", ours.reason(), reason.as_str())
}

/// Whether a text is no object with a field of an error, or its code is no 32-bit number.
fn unreadable(json: &[u8]) -> bool {
    let text = String::from_utf8_lossy(json);
    let Ok(value) = serde_json::from_str::<Value>(&text) else {
        return !text.contains("\"code\":");
    };
    let known = ["code", "message", "reason"]
        .iter()
        .any(|name| !value[name].is_null());
    let no_code = match &value["code"] {
        Value::Number(code) => code
            .as_f64()
            .is_none_or(|n| n.abs() > f64::from(i32::MAX) + 1.0),
        Value::String(code) => code.parse::<i32>().is_err(),
        Value::Array(_) | Value::Object(_) => true,
        Value::Null | Value::Bool(_) => false,
    };
    !known || no_code
}

fn code_text(row: &Value) -> Check {
    let code = row["code"].as_i64().ok_or("no code")?;
    let code = i32::try_from(code).map_err(|e| e.to_string())?;
    if code == code::SERVICE_UNAVAILABLE {
        return left_out("a code that the original does not have");
    }
    same("text", code::text(code), text(&row["text"]))
}

proptest! {
    #[test]
    fn errors_survive_their_json(code in any::<i32>(), message in any::<String>(), reason in any::<String>()) {
        let error = Rerror::new(code, message.clone(), reason.clone());
        let json = error.to_json();
        prop_assert_eq!(&Rerror::from_json(json.as_bytes()), &error);
        let value: Value = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(&value["code"], &Value::from(code));
        prop_assert_eq!(value["message"].as_str().unwrap_or_default(), message);
        prop_assert_eq!(value["reason"].as_str().unwrap_or_default(), reason);
    }

    #[test]
    fn any_text_is_read_as_an_error(text in any::<Vec<u8>>(), like in "\\{(\"(code|message)\"|[:,{}\\[\\]\"\\\\u0-9a. -]){0,12}") {
        let _ = Rerror::from_json(&text);
        let _ = Rerror::from_json(like.as_bytes()).to_string();
    }

    #[test]
    fn a_cut_text_is_read_as_an_error(at in 0..60_usize) {
        let json = r#"{"code":404,"message":"Not \"F\u00e9\ud83d\ude80","reason":"x"}"#;
        let cut = Rerror::from_json(json.as_bytes().get(..at).unwrap_or_default());
        prop_assert!([0, 4, 40, 404].contains(&cut.code()));
        prop_assert_eq!(cut.reason().starts_with("unreadable"), at < 9);
        let whole = "Not \"F\u{e9}\u{1f680}";
        prop_assert!(cut.message().is_empty() || cut.message() == whole);
    }
}
