//! The command as a process: answers come at once, and the exit code tells usage errors.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

fn teleport(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_teleport"));
    command
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

#[test]
fn each_line_is_answered_before_the_next() {
    let mut child = teleport(&["wire", "decode", "--proto", "raw"])
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
    for (line, due) in [
        (
            "0000000e72000000000000000000",
            r#"{"seq":"","mtype":0,"uri":"","meta":[],"body_codec":0,"xfer":[],"body_hex":"","size":14}"#,
        ),
        (
            "00000024 6a",
            r#"{"error":"protocol version is 0x6a, not 0x72 (raw)","kind":"bad_version"}"#,
        ),
    ] {
        writeln!(input, "{line}").unwrap();
        input.flush().unwrap();
        assert_eq!(answers.next().unwrap().unwrap(), due);
    }
    drop(input);
    assert!(answers.next().is_none());
    assert!(child.wait().unwrap().success());
}

#[test]
fn usage_errors_exit_with_2() {
    for args in [
        &[][..],
        &["wire"],
        &["wire", "decode", "--proto", "morse"],
        &["wire", "decode", "--limit", "many"],
        &["wire", "recode"],
    ] {
        let output = teleport(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
}
