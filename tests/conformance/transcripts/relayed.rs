//! That conversations with a proxy in the middle are judged by what a good proxy does. All of them
//! are made here, by the rules, and recorded nowhere.

use serde_json::{Value, json};
use teleport::xfer::{Md5, XferFilter as _};
use teleport_tests::frames::{RawFrame, framed};
use teleport_tests::vectors::{Miss, hex};

use super::replay;

const ADDRESS: &str = "127.0.0.1:49606";
const REAL_IP: &str = "X-Real-IP=127.0.0.1%3A49606";

/// What the original answers when its backend is gone (row 21).
const NIL_POINTER: &str = r#"{"code":500,"message":"Internal Server Error","reason":"runtime error: invalid memory address or nil pointer dereference"}"#;

fn said(leg: &str, dir: &str, frame: &RawFrame) -> Value {
    json!({"leg": leg, "dir": dir, "hex": hex(&frame.bytes())})
}

fn call(frame: &RawFrame) -> Value {
    said("client-proxy", "c2s", frame)
}

fn answer(frame: &RawFrame) -> Value {
    said("client-proxy", "s2c", frame)
}

fn on(frame: &RawFrame) -> Value {
    said("proxy-backend", "c2s", frame)
}

fn back(frame: &RawFrame) -> Value {
    said("proxy-backend", "s2c", frame)
}

fn backend_closes() -> Value {
    json!({"leg": "proxy-backend", "dir": "s2c", "close": true})
}

fn conversation(events: &[Value]) -> Value {
    json!({
        "name": "j_proxy_made", "proto": "raw", "client_setup": "plain peer connected to the proxy",
        "server_setup": "backend: hand-made; proxy: peer with the proxy plugin that forwards \
                         unknown calls and pushes to the backend; the proxy program is named relay",
        "client_results": [], "events": events,
    })
}

fn passes(events: &[Value]) {
    replay(&conversation(events)).unwrap();
}

fn wrong(events: &[Value]) -> String {
    match replay(&conversation(events)) {
        Err(Miss::Wrong(text)) => text,
        other => panic!("{other:?}"),
    }
}

/// The sequence text of something that the proxy sends on.
fn seq(of: &str, number: usize) -> String {
    format!("{ADDRESS}@{of}>relay[{number}]")
}

/// A frame as it goes on.
fn forwarded(frame: &RawFrame, number: usize) -> RawFrame {
    let meta = match frame.meta.as_str() {
        "" => REAL_IP.to_owned(),
        meta => format!("{meta}&{REAL_IP}"),
    };
    RawFrame {
        seq: seq(&frame.seq, number),
        meta,
        filters: Vec::new(),
        ..frame.clone()
    }
}

fn error(text: &str) -> String {
    let mut meta = teleport::Meta::new();
    meta.add("X-Reply-Error", text);
    String::from_utf8(meta.encoded().into_owned()).unwrap()
}

fn failed(seq: &str, text: &str) -> RawFrame {
    RawFrame::reply(seq, "").codec(0).meta(&error(text))
}

/// A call and its answer on both legs; `change` sees the call that goes on and both replies.
fn echoed(change: impl FnOnce([&mut RawFrame; 3])) -> [Value; 4] {
    let said = RawFrame::call("A", "/test/echo", "\"x\"");
    let mut sent = forwarded(&said, 0);
    let mut reply = RawFrame::reply(&sent.seq, "\"x\"");
    let mut due = RawFrame::reply("A", "\"x\"");
    change([&mut sent, &mut reply, &mut due]);
    [call(&said), on(&sent), back(&reply), answer(&due)]
}

#[test]
fn a_proxy_that_sends_on_something_else_is_noticed() {
    passes(&echoed(|_| {}));
    let text = wrong(&echoed(|[sent, ..]| sent.uri.push('?')));
    assert!(text.contains("our proxy: uri"), "{text}");
    let text = wrong(&echoed(|[sent, ..]| sent.meta.push_str("&k=v")));
    assert!(text.contains("length of the meta"), "{text}");
    let text = wrong(&echoed(|[sent, ..]| {
        sent.seq = sent.seq.replace("relay", "relax")
    }));
    assert!(text.contains("came where"), "{text}");
    let text = wrong(&echoed(|[.., due]| due.body.push(b' ')));
    assert!(text.contains("body of REPLY"), "{text}");
    let [said, sent, reply, _] = echoed(|_| {});
    let text = wrong(&[said.clone(), sent, reply]);
    assert!(text.contains("was not recorded"), "{text}");
    assert!(wrong(&[said]).contains("was not recorded"));
}

/// Row 20: the original sends everything on as json, and without filters.
#[test]
fn the_codec_goes_on_and_filters_belong_to_a_hop() {
    let said = RawFrame::call("A", "/test/echo", "x=1").codec(b'f');
    let sent = forwarded(&said, 0).codec(b'j');
    let no_json = r#"{"code":400,"message":"Bad Message","reason":"invalid character 'x'"}"#;
    let recorded = |sent: &RawFrame| {
        [
            call(&said),
            on(sent),
            back(&failed(&sent.seq, no_json)),
            answer(&failed("A", no_json)),
        ]
    };
    passes(&recorded(&sent));
    passes(&recorded(&forwarded(&said, 0)));

    // The reply has the codec that its body is in.
    let reply = RawFrame::reply(&sent.seq, "\"x\"");
    for recorded in [b'f', b'j'] {
        let due = RawFrame::reply("A", "\"x\"").codec(recorded);
        passes(&[call(&said), on(&sent), back(&reply), answer(&due)]);
    }

    // A call without a codec, which ours never makes, goes on in the default one.
    let said = RawFrame::call("A", "/test/echo", "").codec(0);
    let sent = forwarded(&said, 0).codec(b'j');
    let reply = RawFrame::reply(&sent.seq, "\"\"");
    let due = RawFrame::reply("A", "\"\"");
    let mut by_hand = conversation(&[call(&said), on(&sent), back(&reply), answer(&due)]);
    by_hand["client_setup"] = "hand-made client".into();
    replay(&by_hand).unwrap();
}

#[test]
fn a_filtered_call_goes_on_without_and_comes_back_with_its_filters() {
    let md5 = |frame: &RawFrame| {
        let mut payload = bytes::BytesMut::new();
        let filter = Md5::new(b'm');
        filter.on_pack(&frame.payload(), &mut payload).unwrap();
        json!({"leg": "client-proxy", "hex": hex(&framed(b"m", &payload))})
    };
    let with = |mut event: Value, dir: &str| {
        event["dir"] = dir.into();
        event
    };
    let said = RawFrame::call("A", "/test/echo", "\"x\"");
    let sent = forwarded(&said, 0);
    let reply = RawFrame::reply(&sent.seq, "\"x\"");
    let due = RawFrame::reply("A", "\"x\"");
    passes(&[
        with(md5(&said), "c2s"),
        on(&sent),
        back(&reply),
        with(md5(&due), "s2c"),
    ]);
    let text = wrong(&[
        with(md5(&said), "c2s"),
        on(&sent),
        back(&reply),
        answer(&due),
    ]);
    assert!(text.contains("filters of REPLY"), "{text}");
}

/// Row 21: the original answers 500, of a nil pointer.
#[test]
fn a_backend_that_is_gone_is_502() {
    let said = RawFrame::call("A", "/test/echo", "\"x\"");
    let nil_pointer = answer(&failed("A", NIL_POINTER));
    // It never was there, or left before.
    passes(&[call(&said), nil_pointer.clone()]);
    passes(&[backend_closes(), call(&said), nil_pointer.clone()]);
    // It leaves in the middle of a call, and is not there for the next.
    let sent = forwarded(&said, 0);
    let next = RawFrame::call("B", "/test/echo", "\"x\"");
    let cut = r#"{"code":502,"message":"Bad Gateway","reason":"dialog cut"}"#;
    passes(&[
        call(&said),
        on(&sent),
        backend_closes(),
        answer(&failed("A", cut)),
        call(&next),
        answer(&failed("B", NIL_POINTER)),
    ]);
    // A push has no answer.
    let push = RawFrame::push("A", "/push/status", "\"x\"");
    let later = RawFrame::call("B", "/test/echo", "\"x\"");
    passes(&[call(&push), call(&later), answer(&failed("B", NIL_POINTER))]);
    // Another error is not of the gateway.
    let not_found = r#"{"code":404,"message":"Not Found"}"#;
    let text = wrong(&[call(&said), answer(&failed("A", not_found))]);
    assert!(text.contains("code"), "{text}");
}

#[test]
fn errors_of_the_backend_come_back_and_those_of_connections_as_502() {
    let said = RawFrame::call("A", "/test/fail", "\"x\"");
    let sent = forwarded(&said, 0);
    let through = |theirs: &str, ours: &str| {
        [
            call(&said),
            on(&sent),
            back(&failed(&sent.seq, theirs)),
            answer(&failed("A", ours)),
        ]
    };
    let own = r#"{"code":1001,"message":"custom message","reason":"reason: x"}"#;
    passes(&through(own, own));
    let lost = r#"{"code":102,"message":"Connection Closed","reason":"r"}"#;
    passes(&through(
        lost,
        r#"{"code":502,"message":"Bad Gateway","reason":"r"}"#,
    ));
    assert!(wrong(&through(lost, lost)).contains("code"));
    assert!(wrong(&through(own, r#"{"code":502,"message":"Bad Gateway"}"#)).contains("code"));
}

/// Row 22: the original keeps the last value of a key.
#[test]
fn all_metadata_of_the_reply_comes_back() {
    passes(&echoed(|[_, reply, due]| {
        reply.meta = "a=1&b=2&a=3&a=1".to_owned();
        due.meta = "a=1&b=2".to_owned();
    }));
    passes(&echoed(|[_, reply, due]| {
        reply.meta = "a=1&b=2&a=3".to_owned();
        due.meta = "a=1&b=2&a=3".to_owned();
    }));
}

#[test]
fn pushes_go_on_and_the_address_stays_that_of_the_first_caller() {
    let push = RawFrame::push("A", "/push/status", "\"x\"");
    let known = RawFrame::push("B", "/push/status", "\"y\"").meta("k=v&X-Real-IP=10.0.0.1%3A1234");
    let sent = RawFrame {
        seq: seq("B", 1),
        ..known.clone()
    };
    passes(&[
        call(&push),
        on(&forwarded(&push, 0)),
        call(&known),
        on(&sent),
    ]);
    let text = wrong(&[call(&push), on(&forwarded(&push, 0)), call(&known)]);
    assert!(text.contains("was not recorded"), "{text}");
}

#[test]
fn a_recording_may_begin_with_a_higher_number_and_replies_may_overtake() {
    let calls = ["A", "B"].map(|seq| RawFrame::call(seq, "/test/echo", "\"x\""));
    // The original gave them numbers as its tasks came.
    let sent = [forwarded(&calls[0], 8), forwarded(&calls[1], 7)];
    let replies = [0, 1].map(|at| RawFrame::reply(&sent[at].seq, format!("{at}")));
    passes(&[
        call(&calls[0]),
        on(&sent[0]),
        call(&calls[1]),
        on(&sent[1]),
        back(&replies[1]),
        answer(&RawFrame::reply("B", "1")),
        back(&replies[0]),
        answer(&RawFrame::reply("A", "0")),
    ]);
}

#[test]
fn a_backend_that_is_back_is_dialled_again() {
    let calls = ["A", "B"].map(|seq| RawFrame::call(seq, "/test/echo", "\"x\""));
    let second = |mut event: Value| {
        event["conn"] = 2.into();
        event
    };
    let [first, again] = [forwarded(&calls[0], 0), forwarded(&calls[1], 1)];
    passes(&[
        call(&calls[0]),
        on(&first),
        back(&RawFrame::reply(&first.seq, "1")),
        answer(&RawFrame::reply("A", "1")),
        backend_closes(),
        call(&calls[1]),
        second(on(&again)),
        second(back(&RawFrame::reply(&again.seq, "2"))),
        answer(&RawFrame::reply("B", "2")),
    ]);
}
