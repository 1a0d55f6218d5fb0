//! What is wrong with the command line exits with 2.

use crate::support::{run, run_with};

/// Nobody listens there, and nobody gets to know.
const NOBODY: &str = "127.0.0.1:1";

#[test]
fn wrong_values_are_named() {
    for (option, value, text) in [
        ("--codec", "morse", "write json, protobuf, plain, form"),
        ("--codec", "256", "from 0 to 255"),
        ("--accept-codec", "-1", "unexpected"),
        ("--xfer", "zip", "md5 or gzip"),
        ("--meta", "k", "key=value"),
        ("--timeout", "soon", "500ms, 5s"),
        ("--timeout", "5x", "--timeout"),
        ("--proto", "ws-json", "not built yet"),
        ("--proto", "raw,json", "write raw, json or pb"),
        ("--proto", "morse", "write raw, json or pb"),
    ] {
        for command in ["call", "push"] {
            run([command, option, value, NOBODY, "/x"]).misused(text);
        }
    }
    run(["listen", "--proto", "ws-pb", NOBODY]).misused("not built yet");
    run(["listen", "--count", "few", NOBODY]).misused("--count");
    run(["serve", "--proto", "raw,ws"]).misused("not built yet");
    run(["serve", "--proto", "raw,"]).misused("no protocol of this name");
    run(["serve", "--limit", "many"]).misused("--limit");
    run(["serve", "--listen", "here"]).misused("--listen");
}

#[test]
fn arguments_must_be_there_and_no_more() {
    for args in [
        &["call"][..],
        &["call", NOBODY],
        &["call", NOBODY, "/x", "b", "c"],
        &["call", "--loud", NOBODY, "/x"],
        &["push", NOBODY],
        &["listen"],
        &["listen", NOBODY, "/x"],
        &["serve", NOBODY],
        &["cry"],
    ] {
        run(args).misused("Usage");
    }
}

#[test]
fn addresses_must_be_addresses() {
    for address in [
        "localhost",
        "::1:80",
        "127.0.0.1:",
        "tcp://a:1",
        ":65536",
        "",
    ] {
        for command in [
            &["call", address, "/x"][..],
            &["push", address, "/x"],
            &["listen", address],
        ] {
            run(command).misused("ADDR");
        }
    }
}

#[test]
fn a_body_must_be_readable() {
    for command in ["call", "push"] {
        run([command, NOBODY, "/x", "@/no/such/file"]).misused("/no/such/file");
        run([command, "--hex", NOBODY, "/x", "xyz"]).misused("not hex");
        run_with(b"012", &[command, "--hex", NOBODY, "/x", "-"]).misused("odd number");
    }
}

#[test]
fn what_does_not_fit_into_a_message_is_not_sent() {
    let server = crate::support::Server::start();
    let long = format!("/{}", "x".repeat(70_000));
    for command in ["call", "push"] {
        run([command, &server.address, &long]).misused("cannot be packed");
    }
    let filters = vec!["md5"; 256].join(",");
    run(["call", "--xfer", &filters, NOBODY, "/x"]).misused("255");
}

#[test]
fn help_is_no_mistake() {
    for command in ["call", "push", "listen", "serve", "wire"] {
        let run = run([command, "--help"]);
        assert_eq!(run.code, 0);
        assert!(!run.stdout.is_empty() && run.stderr.is_empty());
    }
}
