//! What holds for all values and all bytes.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;

use proptest::collection::{btree_map, hash_map, vec};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use teleport::codec::{FORM, JSON, PLAIN, PROTOBUF, Protobuf};

use super::{read, write};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Point,
    Circle(f64),
    Line(i32, i32),
    Square { side: u64, name: String },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Tree {
    text: String,
    letter: char,
    number: i128,
    float: f64,
    small: f32,
    pair: (bool, Option<u8>),
    shapes: Vec<Shape>,
    map: BTreeMap<String, Vec<i64>>,
    by_number: HashMap<i16, String>,
    children: Vec<Self>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Form {
    text: String,
    letter: char,
    number: i64,
    float: f64,
    flag: bool,
    maybe: Option<u32>,
    texts: Vec<String>,
    numbers: Vec<u128>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Packet {
    #[prost(string, tag = "1")]
    text: String,
    #[prost(sint64, tag = "2")]
    number: i64,
    #[prost(bytes = "vec", repeated, tag = "3")]
    blobs: Vec<Vec<u8>>,
    #[prost(map = "string, double", tag = "4")]
    map: HashMap<String, f64>,
    #[prost(message, optional, boxed, tag = "5")]
    inner: Option<Box<Self>>,
}

fn finite() -> impl Strategy<Value = f64> {
    any::<f64>().prop_filter("finite", |float| float.is_finite())
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        Just(Shape::Point),
        finite().prop_map(Shape::Circle),
        any::<(i32, i32)>().prop_map(|(from, to)| Shape::Line(from, to)),
        any::<(u64, String)>().prop_map(|(side, name)| Shape::Square { side, name }),
    ]
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = (
        any::<(String, char, i128, (bool, Option<u8>))>(),
        (
            finite(),
            any::<f32>().prop_filter("finite", |float| float.is_finite()),
        ),
        vec(shape(), 0..4),
        btree_map(any::<String>(), vec(any::<i64>(), 0..3), 0..4),
        hash_map(any::<i16>(), any::<String>(), 0..4),
    )
        .prop_map(
            |((text, letter, number, pair), (float, small), shapes, map, by_number)| Tree {
                text,
                letter,
                number,
                float,
                small,
                pair,
                shapes,
                map,
                by_number,
                children: Vec::new(),
            },
        );
    leaf.prop_recursive(3, 12, 3, |inner| {
        (inner.clone(), vec(inner, 0..3)).prop_map(|(tree, children)| Tree { children, ..tree })
    })
}

fn form() -> impl Strategy<Value = Form> {
    (
        any::<(String, char, i64, bool, Option<u32>)>(),
        any::<f64>().prop_filter("not NaN", |float| !float.is_nan()),
        any::<(Vec<String>, Vec<u128>)>(),
    )
        .prop_map(
            |((text, letter, number, flag, maybe), float, (texts, numbers))| Form {
                text,
                letter,
                number,
                float,
                flag,
                maybe,
                texts,
                numbers,
            },
        )
}

fn packet() -> impl Strategy<Value = Packet> {
    (
        any::<(String, i64, Vec<Vec<u8>>)>(),
        hash_map(any::<String>(), finite(), 0..3),
        any::<Option<String>>(),
    )
        .prop_map(|((text, number, blobs), map, inner)| Packet {
            text,
            number,
            blobs,
            map,
            inner: inner.map(|text| {
                Box::new(Packet {
                    text,
                    ..Packet::default()
                })
            }),
        })
}

/// Reads what no codec may panic on, and writes again what could be read.
fn stress<T>(body: &[u8])
where
    T: Serialize + for<'de> Deserialize<'de> + Debug + PartialEq + Send + Sync,
{
    for codec in [JSON, PLAIN, FORM, PROTOBUF, 0, 200] {
        match read::<T>(codec, body) {
            Ok(value) => {
                // An empty body is a zero, whatever it was written from: a form without fields.
                let written = write(codec, &value).ok();
                if let Some(written) = written.filter(|written| !written.is_empty()) {
                    let again = read::<T>(codec, &written).expect("what was written is read");
                    assert_eq!(again, value);
                }
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

proptest! {
    #[test]
    fn json_comes_back(tree in tree()) {
        let body = write(JSON, &tree).unwrap();
        prop_assert_eq!(&read::<Tree>(JSON, &body).unwrap(), &tree);
        // Any other reader of JSON sees the same.
        prop_assert_eq!(&serde_json::from_slice::<Tree>(&body).unwrap(), &tree);
    }

    #[test]
    fn forms_come_back(form in form()) {
        let body = write(FORM, &form).unwrap();
        prop_assert!(body.is_ascii());
        prop_assert_eq!(read::<Form>(FORM, &body).unwrap(), form);
    }

    #[test]
    fn plain_values_come_back(
        text in "(?s).+", number in any::<i128>(), float in finite(), small in any::<f32>(),
        flag in any::<bool>(), letter in any::<char>(),
    ) {
        prop_assert_eq!(write(PLAIN, &text).unwrap(), text.as_bytes());
        prop_assert_eq!(read::<String>(PLAIN, text.as_bytes()).unwrap(), text);
        prop_assert_eq!(read::<i128>(PLAIN, &write(PLAIN, &number).unwrap()).unwrap(), number);
        prop_assert_eq!(
            read::<f64>(PLAIN, &write(PLAIN, &float).unwrap()).unwrap().to_bits(),
            float.to_bits()
        );
        let back = read::<f32>(PLAIN, &write(PLAIN, &small).unwrap()).unwrap();
        prop_assert!(back == small || (back.is_nan() && small.is_nan()));
        prop_assert_eq!(read::<bool>(PLAIN, &write(PLAIN, &flag).unwrap()).unwrap(), flag);
        prop_assert_eq!(read::<char>(PLAIN, &write(PLAIN, &letter).unwrap()).unwrap(), letter);
    }

    #[test]
    fn messages_come_back(packet in packet()) {
        let body = write(PROTOBUF, &Protobuf(&packet)).unwrap();
        prop_assert_eq!(read::<Protobuf<Packet>>(PROTOBUF, &body).unwrap().0, packet);
    }

    #[test]
    fn no_bytes_make_a_codec_panic(
        body in prop_oneof![
            vec(any::<u8>(), 0..64),
            "[\\[\\]{}\":,nul0-9eE+.a&=;%-]{0,40}".prop_map(String::into_bytes),
        ],
    ) {
        stress::<String>(&body);
        stress::<Option<i64>>(&body);
        stress::<Vec<u8>>(&body);
        stress::<BTreeMap<String, Vec<String>>>(&body);
        stress::<(bool, char, Vec<i8>)>(&body);
        stress::<Shape>(&body);
        stress::<serde_json::Value>(&body);
        let _ = read::<Protobuf<Packet>>(PROTOBUF, &body);
        let _ = read::<Form>(FORM, &body);
        let _ = read::<Tree>(JSON, &body);
    }
}
