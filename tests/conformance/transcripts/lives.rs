//! That the beginnings and the ends of connections are judged: handshakes, heartbeats, silence.

use serde_json::{Value, json};
use teleport_tests::frames::{RawFrame, unescaped};
use teleport_tests::vectors::hex;

use super::notices::{events, recorded, wrong};
use super::replay;

const REFUSAL: &str = "X-Reply-Error=%7B%22code%22%3A403%2C%22message%22%3A%22auth%20fail%22%2C\
                       %22reason%22%3A%22auth%20fail%20detail%22%7D";

const WRONG_FIRST: &str = "X-Reply-Error=%7B%22code%22%3A401%2C%22message%22%3A%22Unauthorized%22\
                           %2C%22reason%22%3A%22the%201th%20package%20want%3A%20CALL%20%2Fauth\
                           %2Fverify%2C%20but%20have%3A%20CALL%20%2Fmath%2Fadd%22%7D";

fn said(dir: &str, frame: &RawFrame) -> Value {
    json!({"dir": dir, "hex": hex(&frame.bytes())})
}

fn closed(dir: &str) -> Value {
    json!({"dir": dir, "close": true})
}

fn conversation(client: &str, results: Value, events: Vec<Value>) -> Value {
    json!({
        "name": "x", "proto": "raw", "client_setup": client, "client_results": results,
        "server_setup": "peer with the auth plugin that wants the text secret-1 and else gives \
                         error 403",
        "events": events,
    })
}

fn launch(text: &str) -> RawFrame {
    RawFrame::call("A", "/auth/verify", text).codec(b's')
}

fn verdict(meta: &str) -> RawFrame {
    RawFrame::reply("A", "").with_uri("/auth/verify").meta(meta)
}

fn add(seq: &str) -> RawFrame {
    RawFrame::call(seq, "/math/add", "[1,2,3]")
}

/// Row 12: the original serves what it has refused.
#[test]
fn what_the_original_serves_behind_a_refusal_is_not_served() {
    let events = vec![
        said("c2s", &launch("wrong")),
        said("s2c", &verdict(REFUSAL)),
        said("c2s", &add("B")),
        said("s2c", &RawFrame::reply("B", "6")),
        closed("c2s"),
        closed("s2c"),
    ];
    replay(&conversation("hand-made client", json!(null), events)).unwrap();
    // All of it at once.
    let events = vec![
        said("c2s", &launch("wrong")),
        said("c2s", &add("B")),
        said("s2c", &verdict(REFUSAL)),
        said("s2c", &RawFrame::reply("B", "6")),
        closed("c2s"),
        closed("s2c"),
    ];
    replay(&conversation("hand-made client", json!(null), events)).unwrap();
}

#[test]
fn a_wrong_first_message_is_answered_and_closed() {
    let events = vec![
        said("c2s", &add("A")),
        said("s2c", &verdict(WRONG_FIRST)),
        said("c2s", &add("B")),
        said("s2c", &RawFrame::reply("B", "6")),
        closed("c2s"),
        closed("s2c"),
    ];
    let reason = unescaped(WRONG_FIRST.strip_prefix("X-Reply-Error=").unwrap());
    let rerror: Value = serde_json::from_str(&reason).unwrap();
    let results = json!([
        {"dial_rerror": null},
        {"call": "/math/add", "result": null, "rerror": rerror, "reply_body_codec": 106,
         "reply_meta": [["X-Reply-Error", reason]]},
    ]);
    for client in ["hand-made client", "plain peer without the auth plugin"] {
        replay(&conversation(client, results.clone(), events.clone())).unwrap();
    }
    // A push is answered too.
    let push = RawFrame::push("A", "/push/status", "\"x\"");
    let meta = WRONG_FIRST.replace("CALL%20%2Fmath%2Fadd", "PUSH%20%2Fpush%2Fstatus");
    let events = vec![said("c2s", &push), said("s2c", &verdict(&meta))];
    replay(&conversation("hand-made client", json!(null), events)).unwrap();
}

#[test]
fn the_outcome_of_a_dial_is_judged() {
    let text = wrong("g_auth_reject", |t| {
        t["client_results"][0]["dial_rerror"]["code"] = 402.into();
    });
    assert!(text.contains("our client: code"), "{text}");
    let text = wrong("g_auth_reject", |t| {
        t["client_results"][0]["dial_rerror"] = Value::Null;
    });
    assert!(text.contains("the dial failed"), "{text}");
    let text = wrong("g_auth_accept", |t| {
        t["client_results"][0]["dial_rerror"] = json!({"code": 403});
    });
    assert!(text.contains("the dial succeeded"), "{text}");
    let text = wrong("g_auth_accept", |t| {
        let setup = t["server_setup"].as_str().unwrap();
        t["server_setup"] = setup.replace("12345", "12346").into();
    });
    assert!(text.contains("our server"), "{text}");
}

/// Row 19: the original blocks for ever.
#[test]
fn a_client_that_dials_again_authenticates_with_the_next_sequence_and_goes_on() {
    let second = |event: Value| {
        let mut event = event;
        event["conn"] = 2.into();
        event
    };
    let conversation = |seqs: [&str; 2]| {
        let [auth, call] = seqs.map(str::to_owned);
        let launch_again = RawFrame {
            seq: auth.clone(),
            ..launch("secret-1")
        };
        let verdict_again = RawFrame {
            seq: auth,
            ..verdict("")
        };
        let events = vec![
            said("c2s", &launch("secret-1")),
            said("s2c", &verdict("")),
            said("c2s", &add("B")),
            said("s2c", &RawFrame::reply("B", "6")),
            closed("s2c"),
            closed("c2s"),
            second(said("c2s", &launch_again)),
            second(said("s2c", &verdict_again)),
            second(said("c2s", &add(&call))),
            second(said("s2c", &RawFrame::reply(&call, "6"))),
        ];
        let result = json!({"call": "/math/add", "result": 6, "rerror": null,
                            "reply_body_codec": 106, "reply_meta": []});
        let results = json!([{"dial_rerror": null}, result, result]);
        let client = "peer with redial times 3 and the auth plugin, right text";
        conversation(client, results, events)
    };
    replay(&conversation(["C", "D"])).unwrap();
    let miss = format!("{:?}", replay(&conversation(["A", "B"])).unwrap_err());
    assert!(miss.contains("our client"), "{miss}");
    // The original was seen to get no further than this.
    for length in [6, 8] {
        let mut cut = conversation(["C", "D"]);
        cut["events"].as_array_mut().unwrap().truncate(length);
        replay(&cut).unwrap();
    }
}

#[test]
fn heartbeats_of_any_rate_are_played() {
    for (rate, by) in [(3, "push"), (5, "call"), (60, "push")] {
        let uri = format!("/heartbeat?hb_={rate}");
        let mut events = Vec::new();
        for seq in ["A", "B", "C"] {
            match by {
                "push" => events.push(said("c2s", &RawFrame::push(seq, &uri, ""))),
                _ => {
                    events.push(said("c2s", &RawFrame::call(seq, &uri, "")));
                    events.push(said("s2c", &RawFrame::reply(seq, "null")));
                }
            }
        }
        let mut transcript = recorded("h_heartbeat_push");
        transcript["client_setup"] =
            format!("peer with the ping plugin, rate {rate}, mode {by}").into();
        transcript["events"] = events.into();
        replay(&transcript).unwrap();
    }
}

#[test]
fn heartbeats_at_another_rate_or_by_another_way_are_noticed() {
    for setup in ["rate 4, mode call", "rate 3, mode push"] {
        let text = wrong("h_heartbeat_call", |t| {
            t["client_setup"] = format!("peer with the ping plugin, {setup}").into();
        });
        assert!(text.starts_with("our client"), "{text}");
    }
    let text = wrong("h_heartbeat_lost", |t| {
        t["server_setup"] = "peer".into();
        events(t)[1]["hex"] = "00".into();
    });
    assert!(text.starts_with("our server"), "{text}");
}
