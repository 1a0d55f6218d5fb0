#![allow(clippy::unwrap_used, clippy::float_cmp, reason = "tests")]

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize, Serializer};

use super::*;

fn text<T: Serialize + ?Sized>(value: &T) -> String {
    let mut dst = BytesMut::new();
    encode(value, &mut dst).unwrap();
    String::from_utf8(dst.to_vec()).unwrap()
}

fn value<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    decode(text.as_bytes(), false).map_err(|fail| fail.to_string())
}

fn filled<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    decode(text.as_bytes(), true).map_err(|fail| fail.to_string())
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Point,
    Circle(f64),
    Line(i32, i32),
    Square { side: u8 },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Person {
    name: String,
    age: u8,
    tags: Vec<String>,
}

/// Bytes as the crates for them hand them to serde.
#[derive(Debug, PartialEq)]
struct Blob(Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Blob;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }

            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Blob, E> {
                Ok(Blob(bytes))
            }

            fn visit_borrowed_bytes<E>(self, bytes: &[u8]) -> Result<Blob, E> {
                Ok(Blob(bytes.to_vec()))
            }
        }
        deserializer.deserialize_byte_buf(Visitor)
    }
}

#[test]
fn scalars_and_strings_are_written_as_go_does() {
    assert_eq!(text(&-42), "-42");
    assert_eq!(text(&u128::MAX), u128::MAX.to_string());
    assert_eq!(text(&1e21), "1e+21");
    assert_eq!(text(&1e20), "100000000000000000000");
    assert_eq!(text(&1e-7), "1e-7");
    assert_eq!(text(&2.0_f32), "2");
    assert_eq!(text(&true), "true");
    assert_eq!(
        text("a\"\\\n\r\t\u{1}\u{1f}\u{7f}"),
        "\"a\\\"\\\\\\n\\r\\t\\u0001\\u001f\u{7f}\""
    );
    assert_eq!(
        text("<a>&</a>"),
        "\"\\u003ca\\u003e\\u0026\\u003c/a\\u003e\""
    );
    assert_eq!(
        text("x\u{2027}\u{2028}\u{2029}\u{202a}你"),
        "\"x\u{2027}\\u2028\\u2029\u{202a}你\""
    );
    assert_eq!(text(&'<'), "\"\\u003c\"");
    assert_eq!(text(&format_args!("{}<", 1)), "\"1\\u003c\"");
}

#[test]
fn structs_lists_and_enums_are_written_in_order() {
    let ann = Person {
        name: "Ann".into(),
        age: 3,
        tags: vec!["x".into()],
    };
    assert_eq!(text(&ann), r#"{"name":"Ann","age":3,"tags":["x"]}"#);
    assert_eq!(
        text(&[
            Shape::Point,
            Shape::Circle(1.5),
            Shape::Line(1, -2),
            Shape::Square { side: 9 }
        ]),
        r#"["Point",{"Circle":1.5},{"Line":[1,-2]},{"Square":{"side":9}}]"#
    );
    assert_eq!(text(&(1, "a", None::<i32>)), r#"[1,"a",null]"#);
    assert_eq!(text::<[i32]>(&[]), "[]");
}

#[test]
fn keys_of_maps_are_sorted_by_their_text() {
    let map: HashMap<_, _> = (0..20).map(|n| (n, n)).collect();
    assert!(text(&map).starts_with(r#"{"0":0,"1":1,"10":10,"11":11,"#));
    // By the text itself, not by its escapes: `"` is less than `a`, and `[` is less than `\`.
    let map: HashMap<_, _> = [("a", 1), ("\"", 2), ("\\", 3), ("[", 4)].into();
    assert_eq!(text(&map), r#"{"\"":2,"[":4,"\\":3,"a":1}"#);
    let map: BTreeMap<_, _> = [(true, 'x'), (false, 'y')].into();
    assert_eq!(text(&map), r#"{"false":"y","true":"x"}"#);
}

#[test]
fn flattened_structs_keep_the_order_of_their_fields() {
    #[derive(Serialize)]
    struct Outer {
        z: i32,
        #[serde(flatten)]
        inner: Inner,
    }
    #[derive(Serialize)]
    struct Inner {
        a: i32,
    }
    assert_eq!(
        text(&Outer {
            z: 1,
            inner: Inner { a: 2 }
        }),
        r#"{"z":1,"a":2}"#
    );
}

#[test]
fn nothing_is_an_empty_body_but_not_inside_another_value() {
    assert_eq!(text(&()), "");
    assert_eq!(text(&None::<i32>), "");
    assert_eq!(text(&Some(())), "");
    assert_eq!(text(&[(), ()]), "[null,null]");
}

#[test]
fn numbers_that_json_has_not_are_refused() {
    let mut dst = BytesMut::new();
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(encode(&bad, &mut dst).is_err());
        assert!(encode(&[Some(bad)], &mut dst).is_err());
        assert!(encode(&BTreeMap::from([("k", bad)]), &mut dst).is_err());
    }
    assert!(encode(&f32::NAN, &mut dst).is_err());
    let fail = encode(&BTreeMap::from([(vec![1], 1)]), &mut dst).unwrap_err();
    assert!(fail.text().contains("map key"));
}

#[test]
fn null_is_the_zero_of_what_is_due() {
    assert_eq!(value::<i64>("null"), Ok(0));
    assert_eq!(value::<f32>(" null "), Ok(0.0));
    assert_eq!(value::<String>("null"), Ok(String::new()));
    assert_eq!(value::<bool>("null"), Ok(false));
    assert_eq!(value::<Vec<i32>>("[1,null]"), Ok(vec![1, 0]));
    assert_eq!(value::<Vec<Vec<u8>>>("[null]"), Ok(vec![vec![]]));
    assert_eq!(value::<HashMap<String, i32>>("null"), Ok(HashMap::new()));
    assert_eq!(value::<(i32, String)>("null"), Ok((0, String::new())));
    assert_eq!(value::<Option<i32>>("null"), Ok(None));
    assert_eq!(
        value::<Vec<Person>>(r#"[null,{"name":null,"age":null,"tags":null}]"#).unwrap(),
        [0, 0].map(|age| Person {
            name: String::new(),
            age,
            tags: vec![]
        })
    );
    assert_eq!(
        value::<serde_json::Value>("[null]"),
        Ok(serde_json::json!([null]))
    );
    assert!(value::<Shape>("null").is_err());
}

#[test]
fn keys_match_in_any_case_and_exactly_first() {
    assert_eq!(
        value::<Person>(r#"{"NAME":"Ann","Age":3,"zz":1,"tagS":[]}"#)
            .unwrap()
            .age,
        3
    );
    // The one that is spelt as declared counts; the other is unknown.
    #[derive(Debug, PartialEq, Deserialize)]
    struct Pair {
        a: i32,
        #[serde(rename = "A")]
        b: i32,
    }
    assert_eq!(value(r#"{"A":1,"a":2}"#), Ok(Pair { a: 2, b: 1 }));
    assert_eq!(
        value::<Person>(r#"{"name":"x","NAME":"y","age":1,"tags":[]}"#)
            .unwrap()
            .name,
        "x"
    );
}

#[test]
fn missing_fields_are_zero_only_where_told() {
    assert!(
        value::<Person>(r#"{"age":3}"#)
            .unwrap_err()
            .contains("missing field `name`")
    );
    let person = Person {
        name: String::new(),
        age: 3,
        tags: vec![],
    };
    assert_eq!(filled(r#"{"age":3}"#), Ok(person));
    assert!(
        filled::<Person>(r#"{"age":"x"}"#)
            .unwrap_err()
            .contains("expected u8")
    );
}

#[test]
fn bytes_are_base64_and_lists_of_numbers_are_read_too() {
    assert_eq!(text(&Blob(b"\xff\xfe".to_vec())), "\"//4=\"");
    assert_eq!(value::<Blob>("\"//4=\""), Ok(Blob(b"\xff\xfe".to_vec())));
    assert_eq!(value::<Blob>("null"), Ok(Blob(vec![])));
    assert_eq!(value::<Vec<u8>>("\"//4=\""), Ok(vec![255, 254]));
    assert_eq!(value::<Vec<u8>>("\"\""), Ok(vec![]));
    assert_eq!(value::<Vec<u8>>("[255,254]"), Ok(vec![255, 254]));
    for not_bytes in ["\"//4=\"", "\"\"", "\"x\""] {
        assert!(value::<Vec<i64>>(not_bytes).is_err());
        assert!(value::<Vec<String>>(not_bytes).is_err());
    }
    assert!(value::<Blob>("\"###\"").is_err());
}

#[test]
fn a_unit_ignores_what_there_is() {
    for body in ["null", "5", r#"{"a":[1]}"#] {
        assert_eq!(value::<()>(body), Ok(()));
    }
    assert!(value::<()>("{bad").is_err());
}

#[test]
fn faults_are_refused() {
    for bad in [
        "",
        "1 2",
        "{bad",
        "[1,2,]",
        "\u{feff}1",
        "NaN",
        "+1",
        "1.5",
        "1e3",
        "\"15\"",
    ] {
        assert!(value::<i64>(bad).is_err(), "{bad}");
    }
    assert!(value::<i8>("300").is_err());
    assert!(value::<f32>("1e39").is_err());
    assert!(value::<f64>("1e999").is_err());
    assert!(value::<Vec<i32>>("{}").is_err());
    assert!(value::<HashMap<String, i32>>("[]").is_err());
    assert!(value::<serde_json::Value>(&"[".repeat(100_000)).is_err());
}

#[test]
fn floats_come_back_to_the_last_bit() {
    let mut seed = 1_u64;
    for _ in 0..20_000 {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let float = f64::from_bits(seed);
        if float.is_finite() {
            assert_eq!(
                value::<f64>(&text(&float)).unwrap().to_bits(),
                float.to_bits()
            );
        }
    }
}
