//! Handlers whose arguments have rules: what callers are told, and where parameters come from.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use teleport::codec::{FORM, JSON, PLAIN, PROTOBUF, Protobuf, Raw};
use teleport::{
    Bind, CallCtx, Peer, Plugin, ReadCtx, Rerror, Session, UnknownCallCtx, UnknownPushCtx,
    controller, plugin, push_handler,
};
use teleport_tests::frames::{RawFrame, read_frame};
use teleport_tests::logs::capture;
use teleport_tests::pair::{Pair, bare, settle};
use tokio::io::AsyncWriteExt;

#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize, Bind)]
struct Order {
    #[prost(int32, tag = "1")]
    #[param(range(1..=100))]
    amount: i32,
    #[prost(string, tag = "2")]
    #[param(regex = r"^[1-9]\d*$")]
    number: String,
    #[prost(string, repeated, tag = "3")]
    #[serde(default)]
    #[param(len(..=2))]
    notes: Vec<String>,
}

fn order(amount: i32, number: &str) -> Order {
    Order {
        amount,
        number: number.to_owned(),
        notes: Vec::new(),
    }
}

/// A text with a rule, in every codec that texts have.
#[derive(Deserialize, Bind)]
#[serde(transparent)]
struct Word {
    #[param(len(2..=3))]
    word: String,
}

struct Shop;

#[controller]
impl Shop {
    async fn order(&self, order: Order) -> i32 {
        order.amount
    }

    async fn orders(&self, orders: Vec<Order>) -> usize {
        orders.len()
    }

    #[route(spawn)]
    async fn spawned(&self, order: Order) -> i32 {
        order.amount
    }

    #[route(blocking)]
    fn blocked(&self, _ctx: &CallCtx, order: Order) -> i32 {
        order.amount
    }

    async fn word(&self, arg: Word) -> String {
        arg.word
    }

    async fn wrapped(&self, arg: Protobuf<Order>) -> i32 {
        arg.0.amount
    }

    async fn free(&self, amount: i32) -> i32 {
        amount
    }
}

#[controller]
async fn buy(order: Order) -> i32 {
    order.amount
}

/// What is said to a call.
async fn ask(
    session: &Session,
    uri: &str,
    codec: u8,
    body: impl Into<Bytes>,
) -> Result<Bytes, Rerror> {
    let cmd = session
        .call::<Raw<Bytes>>(uri, Raw(body.into()))
        .body_codec(codec);
    match cmd.await {
        Ok(reply) => Ok(reply.0),
        Err(error) => Err(error.rerror().cloned().unwrap_or_else(|| panic!("{error}"))),
    }
}

fn invalid(handler: &str, param: &str, reason: &str) -> Rerror {
    let reason = format!(r#"{{"handler": "{handler}", "param": "{param}", "reason": "{reason}"}}"#);
    Rerror::new(400, "Invalid Parameter", reason)
}

async fn shop() -> Pair {
    let pair = Pair::new().await;
    pair.server.route_call(Shop).unwrap();
    pair.server.route_call_fn(buy).unwrap();
    pair.server
        .route_call_method(Arc::new(Shop), Shop::order)
        .unwrap();
    pair
}

#[tokio::test]
async fn a_handler_runs_only_when_the_rules_hold() {
    let pair = shop().await;
    for path in [
        "/shop/order",
        "/shop/spawned",
        "/shop/blocked",
        "/buy",
        "/order",
    ] {
        let sum: i32 = pair.here.call(path, order(100, "3")).await.unwrap();
        assert_eq!(sum, 100, "{path}");
        let error = pair
            .here
            .call::<i32>(path, order(101, "3"))
            .await
            .unwrap_err();
        let expected = invalid(path, "amount", "bigger than 100: 101");
        assert_eq!(error.rerror(), Some(&expected));
    }
    let sum: i32 = pair.here.call("/shop/free", 1000).await.unwrap();
    assert_eq!(sum, 1000);
}

#[tokio::test]
async fn rules_go_for_every_codec() {
    let pair = shop().await;
    let here = &pair.here;
    let message = prost::Message::encode_to_vec(&order(0, "3"));
    let small = invalid("/shop/order", "amount", "smaller than 1: 0");
    for (codec, body) in [
        (JSON, Bytes::from(r#"{"amount":0,"number":"3"}"#)),
        (FORM, "amount=0&number=3".into()),
        (PROTOBUF, message.into()),
        // What is not there is zero, and zero is no amount.
        (JSON, "".into()),
        (PROTOBUF, "".into()),
    ] {
        let found = ask(here, "/shop/order", codec, body).await;
        assert_eq!(found, Err(small.clone()), "{codec}");
    }
    for (codec, body) in [
        (
            JSON,
            Bytes::from(r#"{"amount":7,"number":"3","notes":["a","b"]}"#),
        ),
        (FORM, "amount=7&number=3&notes=a&notes=b".into()),
        (
            PROTOBUF,
            prost::Message::encode_to_vec(&order(7, "3")).into(),
        ),
    ] {
        let call = here.call::<i32>("/shop/order", Raw(body)).body_codec(codec);
        let sum = call.meta("X-Accept-Body-Codec", "106").await.unwrap();
        assert_eq!(sum, 7, "{codec}");
    }
    for (codec, right, wrong) in [(JSON, "\"abc\"", "\"abcd\""), (PLAIN, "abc", "abcd")] {
        assert_eq!(
            ask(here, "/shop/word", codec, right).await,
            Ok(Bytes::from(right))
        );
        assert_eq!(
            ask(here, "/shop/word", codec, wrong).await,
            Err(invalid("/shop/word", "word", "longer than 3: abcd"))
        );
    }
}

#[tokio::test]
async fn lists_and_wrapped_messages_are_checked_too() {
    let pair = shop().await;
    let orders = [order(1, "1"), order(1, "1"), order(1, "x")];
    let error = pair
        .here
        .call::<usize>("/shop/orders", &orders)
        .await
        .unwrap_err();
    let expected = invalid("/shop/orders", "[2].number", r"not match ^[1-9]\\d*$: x");
    assert_eq!(error.rerror(), Some(&expected));
    let error = pair
        .here
        .call::<Raw<Bytes>>("/shop/wrapped", Protobuf(&order(0, "1")))
        .body_codec(PROTOBUF)
        .await
        .unwrap_err();
    let expected = invalid("/shop/wrapped", "amount", "smaller than 1: 0");
    assert_eq!(error.rerror(), Some(&expected));
}

/// Parameters from everywhere; `seen` tells the test what the handler got.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, Bind)]
#[serde(default)]
struct Everything {
    #[param(query = "n", range(..=9))]
    number: i64,
    #[param(query)]
    floats: Vec<f32>,
    #[param(query)]
    flag: bool,
    #[param(query)]
    bytes: Vec<u8>,
    #[param(query, error(code = 100_002, message = "Parameter cannot be empty"))]
    maybe: Option<u8>,
    #[param(meta = "X-Lang", len(2))]
    lang: String,
    #[serde(skip)]
    #[param(swap)]
    user: User,
    #[param(swap = "level", range(..=3))]
    level: f32,
    #[param(swap)]
    ready: Option<String>,
    #[param(swap)]
    token: Option<u16>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct User(&'static str);

struct Sees(Arc<Mutex<Option<Everything>>>);

#[controller(name = "Sees")]
impl Sees {
    async fn everything(&self, ctx: &mut CallCtx, arg: Everything) -> usize {
        *self.0.lock().unwrap() = Some(arg);
        ctx.path().len()
    }
}

/// Puts values into the swap of each call, as late as a hook can.
struct Swaps;

#[plugin]
impl Plugin for Swaps {
    fn name(&self) -> &str {
        "swaps"
    }

    fn post_read_call_body(&self, ctx: &mut ReadCtx) -> Result<(), Rerror> {
        match ctx.query("swap").map(str::to_owned).as_deref() {
            Some("right") => {
                ctx.swap().insert("user", User("ann"));
                ctx.swap().insert("level", 3_u8);
                ctx.swap().insert("ready", "set");
                ctx.swap().insert("token", 7_u16);
            }
            Some("wrong") => drop(ctx.swap().insert("level", "high")),
            Some("large") => drop(ctx.swap().insert("level", 4_i64)),
            _ => {}
        }
        Ok(())
    }
}

async fn sees() -> (Pair, Arc<Mutex<Option<Everything>>>) {
    let pair = Pair::of(Peer::builder().plugin(Swaps), Peer::builder()).await;
    let seen = Arc::default();
    pair.server.route_call(Sees(Arc::clone(&seen))).unwrap();
    (pair, seen)
}

#[tokio::test]
async fn parameters_come_from_query_metadata_and_swap() {
    let (pair, seen) = sees().await;
    let uri =
        "/sees/everything?n=-5&n=6&floats=1.5&floats=2&flag=ON&bytes=a%00b&maybe=255&swap=right";
    let body = Everything {
        number: 100,
        floats: vec![9.0],
        ..Everything::default()
    };
    let length: usize = pair
        .here
        .call(uri, &body)
        .meta("X-Lang", "de")
        .await
        .unwrap();
    assert_eq!(length, "/sees/everything".len());
    assert_eq!(
        seen.lock().unwrap().take(),
        Some(Everything {
            number: -5,
            floats: vec![1.5, 2.0],
            flag: true,
            bytes: b"a\0b".to_vec(),
            maybe: Some(255),
            lang: "de".to_owned(),
            user: User("ann"),
            level: 3.0,
            ready: Some("set".to_owned()),
            token: Some(7),
        })
    );
}

#[tokio::test]
async fn what_a_source_does_not_have_stays_as_the_body_has_it() {
    let (pair, seen) = sees().await;
    let body = Everything {
        number: 9,
        lang: "en".to_owned(),
        // Not a part of the body: the other end cannot set it.
        user: User("eve"),
        ready: Some("go".to_owned()),
        ..Everything::default()
    };
    let _: usize = pair.here.call("/sees/everything", &body).await.unwrap();
    let expected = Everything {
        user: User(""),
        ..body
    };
    assert_eq!(seen.lock().unwrap().take(), Some(expected));
}

#[tokio::test]
async fn a_parameter_that_is_no_value_of_its_type_is_told_in_the_words_of_the_original() {
    let (pair, seen) = sees().await;
    let from = |text: &str, to: &str, why: &str| {
        format!(r#"converting type []string (\"{text}\") to a {to}: {why}"#)
    };
    for (query, param, reason) in [
        ("n=x", "n", from("x", "int64", "invalid syntax")),
        (
            "n=9223372036854775808",
            "n",
            from("9223372036854775808", "int64", "value out of range"),
        ),
        ("n=10", "n", "bigger than 9: 10".to_owned()),
        (
            "floats=1&floats=x",
            "floats",
            from("x", "slice", "invalid syntax"),
        ),
        (
            "floats=1e99",
            "floats",
            from("1e99", "slice", "value out of range"),
        ),
        (
            "swap=wrong",
            "level",
            "float32 can not be setted".to_owned(),
        ),
        ("swap=large", "level", "bigger than 3: 4".to_owned()),
        (
            "n=1&flag=no&lang=x&swap=large",
            "level",
            "bigger than 3: 4".to_owned(),
        ),
    ] {
        let uri = format!("/sees/everything?{query}");
        let found = ask(&pair.here, &uri, JSON, r#"{"lang":"en"}"#).await;
        assert_eq!(
            found,
            Err(invalid("/sees/everything", param, &reason)),
            "{query}"
        );
    }
    let found = ask(
        &pair.here,
        "/sees/everything?maybe=256",
        JSON,
        r#"{"lang":"en"}"#,
    )
    .await;
    let error = found.unwrap_err();
    assert_eq!(
        (error.code(), error.message()),
        (100_002, "Parameter cannot be empty")
    );
    let found = ask(&pair.here, "/sees/everything?n=1", JSON, "").await;
    assert_eq!(
        found,
        Err(invalid("/sees/everything", "X-Lang", "shorter than 2: "))
    );
    assert_eq!(*seen.lock().unwrap(), None);
}

#[tokio::test]
async fn the_error_reply_is_byte_for_byte_that_of_the_original() {
    let server = Peer::builder().build().unwrap();
    server.route_call_fn(buy).unwrap();
    let (_session, mut far) = bare(&server, 1 << 16).await;
    let call = RawFrame::call("E", "/buy", r#"{"amount":2,"number":"0x"}"#);
    far.write_all(&call.bytes()).await.unwrap();
    let reply = read_frame(&mut far).await.unwrap().unwrap();
    assert_eq!((reply.codec, reply.body.len()), (0, 0));
    assert_eq!(
        reply.meta,
        "X-Reply-Error=%7B%22code%22%3A400%2C%22message%22%3A%22Invalid%20Parameter%22%2C\
         %22reason%22%3A%22%7B%5C%22handler%5C%22%3A%20%5C%22%2Fbuy%5C%22%2C%20%5C%22param%5C%22\
         %3A%20%5C%22number%5C%22%2C%20%5C%22reason%5C%22%3A%20%5C%22not%20match%20%5E%5B1-9%5D\
         %5C%5C%5C%5Cd*%24%3A%200x%5C%22%7D%22%7D"
    );
}

#[tokio::test]
async fn a_value_that_would_not_fit_into_the_error_is_cut() {
    let pair = shop().await;
    for text in ["\0", "\\", "a"] {
        let number = text.repeat(1 << 20);
        let error = pair
            .here
            .call::<i32>("/buy", order(1, &number))
            .await
            .unwrap_err();
        let rerror = error.rerror().unwrap();
        assert_eq!(
            (rerror.code(), rerror.message()),
            (400, "Invalid Parameter")
        );
        assert!(
            rerror.reason().ends_with(r#"... (1047552 bytes more)"}"#),
            "{rerror:?}"
        );
    }
}

struct Notes(Arc<Mutex<Vec<i32>>>);

#[push_handler]
impl Notes {
    async fn note(&self, order: Order) {
        self.0.lock().unwrap().push(order.amount);
    }
}

#[tokio::test]
async fn a_push_that_breaks_a_rule_is_dropped_and_logged() {
    let (logs, _guard) = capture(false);
    let pair = Pair::new().await;
    let noted = Arc::new(Mutex::new(Vec::new()));
    pair.server.route_push(Notes(Arc::clone(&noted))).unwrap();
    for amount in [1, 101, 2] {
        pair.here
            .push("/notes/note", order(amount, "1"))
            .await
            .unwrap();
    }
    settle().await;
    assert_eq!(*noted.lock().unwrap(), [1, 2]);
    assert!(
        logs.has(&[
            "a push was not handled",
            "/notes/note",
            "bigger than 100: 101"
        ]),
        "{:?}",
        logs.all()
    );
}

async fn any_call(ctx: &mut UnknownCallCtx) -> Result<Raw<String>, Rerror> {
    let order: Order = ctx.bind_checked()?;
    Ok(Raw(order.number))
}

async fn any_push(ctx: &mut UnknownPushCtx) -> Result<(), Rerror> {
    ctx.bind_checked::<Order>().map(drop)
}

#[tokio::test]
async fn unknown_handlers_check_what_they_decode() {
    let (logs, _guard) = capture(false);
    let pair = Pair::new().await;
    pair.server.set_unknown_call(any_call).unwrap();
    pair.server.set_unknown_push(any_push).unwrap();
    let found = ask(
        &pair.here,
        "/any/where",
        JSON,
        r#"{"amount":1,"number":"12"}"#,
    )
    .await;
    assert_eq!(found, Ok(Bytes::from("12")));
    let found = ask(
        &pair.here,
        "/any/where",
        JSON,
        r#"{"amount":0,"number":"12"}"#,
    )
    .await;
    assert_eq!(
        found,
        Err(invalid("/any/where", "amount", "smaller than 1: 0"))
    );
    pair.here.push("/any/push", order(0, "1")).await.unwrap();
    settle().await;
    assert!(
        logs.has(&["/any/push", "smaller than 1: 0"]),
        "{:?}",
        logs.all()
    );
}
