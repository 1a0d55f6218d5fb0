//! That the replays notice what they are for: recordings that are changed do not pass.

use std::path::Path;

use serde_json::{Value, json};
use teleport_tests::vectors::Miss;

use super::{replay, rules};

pub(super) fn recorded(name: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("transcripts")
        .join(name)
        .with_extension("json");
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// Plays a recording that was changed and gives what is wrong with it.
pub(super) fn wrong(name: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut transcript = recorded(name);
    change(&mut transcript);
    match replay(&transcript) {
        Err(Miss::Wrong(text)) => text,
        other => panic!("{other:?}"),
    }
}

pub(super) fn events(transcript: &mut Value) -> &mut Vec<Value> {
    transcript["events"].as_array_mut().unwrap()
}

/// Replaces hex digits in the event of that number, in the bytes and what was made of them.
fn edit(transcript: &mut Value, at: usize, from: &str, to: &str) {
    let event = &mut events(transcript)[at];
    let hex = event["hex"].as_str().unwrap().replace(from, to);
    event["hex"] = hex.into();
    event.as_object_mut().unwrap().remove("decoded");
}

#[test]
fn another_body_seq_codec_or_type_is_noticed() {
    for (from, to, field) in [
        ("6a3135", "6a3136", "body"),
        ("4102", "4202", "came where"),
        ("6a3135", "733135", "codec"),
        ("4102", "4103", "came where"),
    ] {
        let text = wrong("a_math_add", |t| edit(t, 1, from, to));
        assert!(
            text.starts_with("our server:") && text.contains(field),
            "{text}"
        );
    }
}

#[test]
fn a_frame_too_few_too_many_or_out_of_order_is_noticed() {
    let text = wrong("a_math_add", |t| drop(events(t).remove(2)));
    assert!(text.contains("was not recorded"), "{text}");
    let text = wrong("a_math_add", |t| {
        let push = events(t)[2].clone();
        events(t).insert(3, push);
    });
    assert!(text.contains("nothing came where PUSH"), "{text}");
    let text = wrong("a_math_add", |t| events(t).swap(1, 2));
    assert!(text.contains("came where PUSH"), "{text}");
}

#[test]
fn an_end_that_closes_at_another_time_is_noticed() {
    let text = wrong("n_undefined_type_4", |t| drop(events(t).remove(1)));
    assert!(text.contains("closed before the client"), "{text}");
    let text = wrong("n_undefined_type_4", |t| events(t).truncate(1));
    assert!(text.contains("the server closed"), "{text}");
    let text = wrong("a_math_add", |t| {
        t["client_setup"] = "hand-made client".into();
        edit(t, 0, "4101", "4104");
        events(t).truncate(1);
    });
    assert!(text.contains("the server closed"), "{text}");
}

#[test]
fn a_client_that_writes_something_else_is_noticed() {
    // The server's side is played first, so it must not be there.
    let made = |t: &mut Value| t["server_setup"] = "hand-made server".into();
    let text = wrong("u_server_calls_client", |t| {
        made(t);
        events(t).remove(2);
    });
    assert!(text.contains("was not recorded"), "{text}");
    let text = wrong("u_server_calls_client", |t| {
        made(t);
        edit(t, 2, "68656c6c6f", "68656c6c70");
    });
    assert!(text.contains("body of REPLY"), "{text}");
}

#[test]
fn a_result_that_the_program_did_not_see_is_noticed() {
    let text = wrong("a_math_add", |t| {
        t["client_results"][0]["result"] = 16.into()
    });
    assert!(text.contains("result: Number(15)"), "{text}");
    let text = wrong("b_not_found", |t| {
        t["server_setup"] = "hand-made server".into();
        edit(t, 1, "2533413430342532", "2533413430352532");
    });
    assert!(text.contains("code: Number(405)"), "{text}");
    let text = wrong("o_async_out_of_order", |t| {
        t["client_results"][0]["done"] = 3.into();
        t["client_results"][2]["done"] = 1.into();
    });
    assert!(text.contains("order of the calls' ends"), "{text}");
}

#[test]
fn reasons_may_differ_only_where_decoders_and_panics_speak() {
    let error = |code: i32, reason: &str| json!({"code": code, "message": "m", "reason": reason});
    let same = |ours: &Value, theirs: &Value| rules::same_rerror(ours, theirs).is_ok();
    for (code, theirs) in [
        (
            400,
            "json: cannot unmarshal string into Go value of type []int",
        ),
        (
            400,
            "invalid character 'b' looking for beginning of object key string",
        ),
        (
            500,
            "protobuf codec: string does not implement proto.Message",
        ),
        (500, "runtime error: integer divide by zero"),
    ] {
        assert!(
            same(&error(code, "other words"), &error(code, theirs)),
            "{theirs}"
        );
        assert!(!same(&error(code, ""), &error(code, theirs)), "{theirs}");
        assert!(!same(&error(code + 1, "other words"), &error(code, theirs)));
    }
    for (code, theirs) in [
        (400, "unsupported codec id: 200"),
        (400, "invalid URI for message"),
        (500, "boom: arg"),
        (1001, "reason: json:"),
        (404, ""),
    ] {
        assert!(
            !same(&error(code, "other words"), &error(code, theirs)),
            "{theirs}"
        );
    }
}

#[test]
fn what_is_not_built_is_left_out_and_the_unheard_of_is_tried() {
    let reason = |name: &str, proto: &str, setup: &str| {
        rules::not_built(&json!({
            "name": name, "proto": proto, "server_setup": setup, "client_setup": "plain peer",
        }))
    };
    for (name, proto, setup) in [
        ("x", "ws_json", "peer"),
        ("x", "ws_pb", "peer"),
        ("s_context_age_server", "raw", "peer with context age 200ms"),
        (
            "t_connection_age_pending",
            "raw",
            "peer with session age 700ms",
        ),
        ("t_connection_age", "raw", "peer of an unheard of age"),
    ] {
        assert!(
            reason(name, proto, setup).is_some(),
            "{name} {proto} {setup}"
        );
    }
    assert_eq!(reason("x", "json", "peer"), None);
    assert_eq!(reason("x", "pb", "peer"), None);
    for (name, setup) in [
        ("x_new", "peer with something unheard of"),
        ("n_size_limit", "peer with message size limit 1000"),
        ("u_own_seq", "plain peer"),
        ("g_auth_reject_bypass", "peer with the auth plugin"),
        ("h_heartbeat_call", "peer with the ping plugin"),
        ("t_connection_age", "peer with default session age 700ms"),
    ] {
        assert_eq!(reason(name, "raw", setup), None);
    }
    assert_eq!(
        rules::options("peer, message size limit 1000 bytes").limit,
        Some(1000)
    );
    for (setup, context, session) in [
        ("peer with default context age 200ms", 200, 0),
        ("peer with connection age of 700 ms", 0, 700),
        ("peer, session age: 2s, context age: 1 s", 1000, 2000),
        ("peer of some age", 0, 0),
    ] {
        let options = rules::options(setup);
        assert_eq!(options.context_age.as_millis(), context, "{setup}");
        assert_eq!(options.session_age.as_millis(), session, "{setup}");
    }
}

/// A conversation in json whose client writes a body as the original does: with `"` escaped, and
/// nothing else.
fn unescaped(body: &str) -> Value {
    let mut transcript = recorded("p_math_add_jsonproto");
    let body = body.replace('"', "\\\"");
    let payload = format!(
        r#"{{"seq":"A","mtype":1,"uri":"/test/echo","meta":"","body_codec":106,"body":"{body}"}}"#
    );
    let size = u32::try_from(payload.len() + 1).unwrap().to_be_bytes();
    let bytes = [&size[..], &[0], payload.as_bytes()].concat();
    events(&mut transcript)[0]["hex"] = teleport_tests::vectors::hex(&bytes).into();
    transcript
}

#[test]
fn what_the_original_garbles_ends_the_connection_and_is_noticed_if_not() {
    let mut garbled = unescaped(r#""say \"hi\"""#);
    let decoded = json!({"seq": "A", "mtype": 1, "uri": "/test/echo", "meta": [],
        "body_codec": 106, "body_hex": "", "xfer": []});
    events(&mut garbled)[0]["decoded"] = decoded.clone();
    assert!(replay(&garbled).is_ok());
    // What can be read has to be answered.
    let mut fine = unescaped(r#""a\nb""#);
    events(&mut fine)[0]
        .as_object_mut()
        .unwrap()
        .remove("decoded");
    fine["client_setup"] = "hand-made client".into();
    match replay(&fine) {
        Err(Miss::Wrong(text)) => assert!(text.contains("codec of REPLY"), "{text}"),
        other => panic!("{other:?}"),
    }
    // A frame of another protocol has no such excuse.
    events(&mut garbled)[0]["hex"] = "00000006720000000000".into();
    garbled["proto"] = "raw".into();
    assert!(matches!(replay(&garbled), Err(Miss::Wrong(_))));
}
