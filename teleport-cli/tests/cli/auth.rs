//! `--auth`.

use serde_json::Value;

use crate::support::{Running, Server, run};

#[test]
fn who_proves_to_be_the_right_one_is_let_in() {
    let mut server = Server::with(&["--auth", "-secret"]);
    let options = ["--auth", "-secret", "-v"];
    let called = server.call(&options, &["/x", "hello"]).succeeded("hello");
    let summary: Value = serde_json::from_str(&called.stderr[0]).unwrap();
    assert_eq!(summary["seq"], "B");
    server.line();
    let pushed = run([
        "push",
        "--auth=-secret",
        "-v",
        &server.address,
        "/note",
        "x",
    ]);
    assert_eq!(pushed.succeeded("").stderr.len(), 1);
    let line: Value = serde_json::from_str(&server.line()).unwrap();
    assert_eq!((&line["uri"], &line["seq"]), (&"/note".into(), &"B".into()));
    let mut listener = Running::start(&["listen", "--auth=-secret", &server.address]);
    assert!(listener.error_line().contains("connected"));
    let uri = "/broadcast?uri=/news";
    server.call(&options[..2], &[uri, "x"]).succeeded("x");
    assert!(listener.line().contains("/news"));
}

#[test]
fn everybody_else_gets_an_error_and_no_more() {
    let server = Server::with(&["--auth", "secret"]);
    for command in ["call", "push"] {
        let refused = run([command, "--auth", "wrong", &server.address, "/x", "hello"]);
        assert_eq!(refused.failed(1, 403).0, "auth fail");
    }
    let refused = run(["listen", "--auth", "wrong", &server.address]);
    refused.failed(1, 403);
    let (_, reason) = server.call(&[], &["/x", "hello"]).failed(1, 401);
    assert!(reason.ends_with("but have: CALL /x"), "{reason}");
    // A server that wants no proof does not know the route.
    let open = Server::start();
    open.call(&["--auth", "x"], &["/x", "hello"])
        .succeeded("hello");
}
