//! The Go mode of the secure plugin against `secure.json`.

use serde_json::Value;
use teleport::plugins::secure::Legacy;
use teleport_tests::vectors::{Check, bytes, run, same, text};

#[test]
fn secure_vectors() {
    run("secure", check);
}

fn check(row: &Value) -> Check {
    let legacy = Legacy::new(7, text(&row["key"])).map_err(|e| e.to_string())?;
    match text(&row["kind"]) {
        "version" => same("version", legacy.version(), text(&row["version"])),
        "encrypt" => {
            let plain = bytes(row, "plain").ok_or("no plain_hex")?;
            let ciphertext = text(&row["ciphertext"]);
            same("ciphertext", legacy.encrypt(&plain), ciphertext)?;
            let back = legacy.decrypt(ciphertext.as_bytes());
            same("plain", back.map_err(|e| e.to_string())?, plain)
        }
        "decrypt" => {
            let result = legacy.decrypt(text(&row["ciphertext"]).as_bytes());
            match (text(&row["recommended_outcome"]), result) {
                ("ok", Ok(plain)) => {
                    let due = bytes(row, "plain").ok_or("no plain_hex")?;
                    same("plain", plain, due)
                }
                ("error", Err(rerror)) => {
                    same("code", rerror.code(), 7)?;
                    same("message", rerror.message(), "decrypt ciphertext error")?;
                    same("no reason", rerror.reason().is_empty(), false)
                }
                (due, result) => Err(format!("{result:?} instead of {due}").into()),
            }
        }
        other => Err(format!("a row of the unknown kind {other:?}").into()),
    }
}
