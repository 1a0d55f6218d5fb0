//! What is told of parameters that are wrong: by which name, in which words, and by whose error.

use bytes::Bytes;
use serde::Deserialize;
use teleport::codec::{JSON, Raw};
use teleport::{Bind, Peer, Rerror, Session, controller};
use teleport_tests::frames::{RawFrame, read_frame};
use teleport_tests::pair::{Pair, bare};
use tokio::io::AsyncWriteExt;

async fn ask(session: &Session, uri: &str, json: &str) -> Result<String, Rerror> {
    let call = session.call::<Raw<Bytes>>(uri, Raw(Bytes::from(json.to_owned())));
    match call.body_codec(JSON).await {
        Ok(Raw(text)) => Ok(String::from_utf8(text.to_vec()).unwrap()),
        Err(error) => Err(error.rerror().unwrap().clone()),
    }
}

fn reason(found: Result<String, Rerror>) -> String {
    found.unwrap_err().reason().to_owned()
}

fn invalid(handler: &str, param: &str, reason: &str) -> String {
    format!(r#"{{"handler": "{handler}", "param": "{param}", "reason": "{reason}"}}"#)
}

const MOST: u32 = 9;

mod codes {
    pub(super) const LONG: i32 = 7;
}

#[derive(Deserialize, Bind)]
struct Plain {
    #[param(range(..=MOST))]
    a: i64,
    #[serde(default)]
    #[param(len(..=MOST as usize), error(code = codes::LONG))]
    b: String,
}

#[derive(Deserialize, Bind)]
#[bind(error = own)]
struct Own {
    #[param(range(..=9))]
    a: i64,
}

fn own(_: &str, param: &str, _: &str) -> Rerror {
    Rerror::new(1, "of the type", param.to_owned())
}

struct Asked;

#[controller]
impl Asked {
    async fn plain(&self, arg: Plain) -> i64 {
        arg.a
    }

    async fn plains(&self, args: Vec<Plain>) -> usize {
        args.iter().map(|arg| arg.b.len()).sum()
    }

    async fn own(&self, arg: Own) -> i64 {
        arg.a
    }
}

/// The nearest wins: the parameter's own, then the type's, then the peer's.
#[tokio::test]
async fn a_peer_makes_the_errors_of_types_that_make_none_themselves() {
    let server = Peer::builder().bind_error(|handler, param, reason| {
        Rerror::new(422, "of the peer", format!("{handler} {param}: {reason}"))
    });
    let pair = Pair::of(server, Peer::builder()).await;
    pair.server.route_call(Asked).unwrap();
    let of_peer = |code, reason| Err(Rerror::new(code, "of the peer", reason));
    assert_eq!(
        ask(&pair.here, "/asked/plain", r#"{"a":10}"#).await,
        of_peer(422, "/asked/plain a: bigger than 9: 10")
    );
    assert_eq!(
        ask(&pair.here, "/asked/plains", r#"[{"a":1},{"a":10}]"#).await,
        of_peer(422, "/asked/plains [1].a: bigger than 9: 10")
    );
    assert_eq!(
        ask(&pair.here, "/asked/plain", r#"{"a":9,"b":"1234567890"}"#).await,
        of_peer(7, "/asked/plain b: longer than 9: 1234567890")
    );
    assert_eq!(
        ask(&pair.here, "/asked/own", r#"{"a":10}"#).await,
        Err(Rerror::new(1, "of the type", "a"))
    );
    assert_eq!(
        ask(&pair.here, "/asked/own", r#"{"a":9}"#).await,
        Ok("9".to_owned())
    );
}

#[derive(Deserialize, Bind)]
#[serde(default, rename_all = "camelCase")]
#[derive(Default)]
struct Names {
    #[serde(rename = "wire")]
    #[param(range(..=9))]
    of_field: i64,
    #[param(range(..=9))]
    two_words: i64,
    #[param(range(..=9), rename = "told")]
    renamed: i64,
    #[param(query = "key", range(..=9))]
    from_query: i64,
    #[serde(rename = "type")]
    #[param(range(..=9))]
    r#type: i64,
}

#[controller]
async fn names(arg: Names) -> i64 {
    arg.of_field + arg.two_words + arg.renamed + arg.from_query + arg.r#type
}

#[tokio::test]
async fn a_parameter_is_told_by_its_field_its_key_or_its_rename_whatever_serde_calls_it() {
    let pair = Pair::new().await;
    pair.server.route_call_fn(names).unwrap();
    for (query, body, param) in [
        ("", r#"{"wire":10}"#, "of_field"),
        ("", r#"{"twoWords":10}"#, "two_words"),
        ("", r#"{"renamed":10}"#, "told"),
        ("?key=10", "{}", "key"),
        ("", r#"{"type":10}"#, "type"),
    ] {
        let found = ask(&pair.here, &format!("/names{query}"), body).await;
        assert_eq!(
            reason(found),
            invalid("/names", param, "bigger than 9: 10"),
            "{body}"
        );
    }
}

#[derive(Default, Deserialize, Bind)]
#[serde(default)]
struct Query {
    #[param(query)]
    int: i64,
    #[param(query)]
    uint: u64,
    #[param(query)]
    small: i8,
    #[param(query, range(-1e300..1e300))]
    float: f64,
    #[param(query)]
    text: String,
    #[param(query)]
    maybe: Option<String>,
    #[param(query)]
    list: Vec<i64>,
    #[param(query = "a b&=")]
    odd: String,
}

#[controller]
async fn query(arg: Query) -> String {
    let Query {
        int,
        uint,
        small,
        float,
        text,
        maybe,
        list,
        odd,
    } = arg;
    format!("{int} {uint} {small} {float} {text:?} {maybe:?} {list:?} {odd:?}")
}

#[tokio::test]
async fn queries_are_read_as_they_are_written_or_refused_in_the_words_of_the_original() {
    let pair = Pair::new().await;
    pair.server.route_call_fn(query).unwrap();
    for (query, seen) in [
        // What is missing stays as it is; what is empty is an empty text.
        ("", r#"0 0 0 0 "" None [] """#),
        ("?text=&maybe=", r#"0 0 0 0 "" Some("") [] """#),
        ("?text&maybe", r#"0 0 0 0 "" Some("") [] """#),
        // The first of several, unless a list takes all.
        (
            "?int=1&int=2&list=1&list=-2&list=1",
            r#"1 0 0 0 "" None [1, -2, 1] """#,
        ),
        (
            "?text=a%20b+c%2B&a+b%26%3D=%c3%bc",
            r#"0 0 0 0 "a b c+" None [] "ü""#,
        ),
        // A pair with a bad escape is none.
        ("?text=%zz&int=%31", r#"1 0 0 0 "" None [] """#),
        (
            "?int=-9223372036854775808&uint=18446744073709551615&small=-128",
            r#"-9223372036854775808 18446744073709551615 -128 0 "" None [] """#,
        ),
        (
            "?float=-1e299",
            &format!(r#"0 0 0 {} "" None [] """#, -1e299),
        ),
    ] {
        let found = ask(&pair.here, &format!("/query{query}"), "").await;
        let found: String = serde_json::from_str(&found.unwrap()).unwrap();
        assert_eq!(found, seen, "{query}");
    }
    let unread = |text: &str, kind: &str, why: &str| {
        format!(r#"converting type []string (\"{text}\") to a {kind}: {why}"#)
    };
    let (syntax, range) = ("invalid syntax", "value out of range");
    for (query, param, why) in [
        ("int=", "int", unread("", "int64", syntax)),
        ("list=1&list=", "list", unread("", "slice", syntax)),
        ("int=1.0", "int", unread("1.0", "int64", syntax)),
        (
            "int=9223372036854775808",
            "int",
            unread("9223372036854775808", "int64", range),
        ),
        ("uint=-1", "uint", unread("-1", "uint64", syntax)),
        (
            "uint=18446744073709551616",
            "uint",
            unread("18446744073709551616", "uint64", range),
        ),
        ("small=128", "small", unread("128", "int8", range)),
        ("small=-129", "small", unread("-129", "int8", range)),
        ("float=1e400", "float", unread("1e400", "float64", range)),
        // These are floats, and in no range with an end.
        ("float=inf", "float", "bigger than 1e300: +Inf".to_owned()),
        (
            "float=-Inf",
            "float",
            "smaller than -1e300: -Inf".to_owned(),
        ),
        ("float=NaN", "float", "smaller than -1e300: NaN".to_owned()),
        // What is quoted is quoted once more where it stands in quotes.
        (
            "int=a%22%5C%0A%00",
            "int",
            unread(r#"a\\\"\\\\\\n\\x00"#, "int64", syntax),
        ),
    ] {
        let found = ask(&pair.here, &format!("/query?{query}"), "").await;
        assert_eq!(reason(found), invalid("/query", param, &why), "{query}");
    }
}

#[derive(Deserialize, Bind)]
struct Text {
    #[param(regex = r#"^[\w"]*$"#)]
    text: String,
}

#[controller]
async fn text(arg: Text) -> String {
    arg.text
}

/// The reason is quoted as Go quotes, and is then a text in JSON in metadata like any other.
#[tokio::test]
async fn quotes_and_control_characters_are_escaped_on_the_wire_as_the_original_does() {
    let server = Peer::builder().build().unwrap();
    server.route_call_fn(text).unwrap();
    let (_session, mut far) = bare(&server, 1 << 16).await;
    let call = RawFrame::call("A", "/text", r#"{"text":"\"\\\n\u0007\u001f<é\u2028"}"#);
    far.write_all(&call.bytes()).await.unwrap();
    let reply = read_frame(&mut far).await.unwrap().unwrap();
    let value = concat!(
        r#"{"code":400,"message":"Invalid Parameter","reason":"{\"handler\": \"/text\", "#,
        r#"\"param\": \"text\", \"reason\": \"not match ^[\\\\w\\\"]*$: "#,
        r#"\\\"\\\\\\n\\a\\x1f<é\\u2028\"}"}"#,
    );
    assert_eq!(reply.meta_value("X-Reply-Error").unwrap(), value);
}
