#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use super::*;

fn text<T: Serialize + ?Sized>(value: &T) -> String {
    let mut dst = BytesMut::new();
    encode(value, &mut dst).unwrap();
    String::from_utf8(dst.to_vec()).unwrap()
}

fn refused<T: Serialize + ?Sized>(value: &T) -> bool {
    encode(value, &mut BytesMut::new()).is_err_and(|fail| fail.is_unsupported())
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Search {
    query: String,
    page: u32,
    exact: bool,
    score: f64,
    tags: Vec<String>,
    near: Option<i8>,
    sides: [i32; 2],
}

fn search() -> Search {
    Search {
        query: "a b&c=d~*/你".into(),
        page: 7,
        exact: true,
        score: 1e21,
        tags: vec!["z".into(), "a".into()],
        near: None,
        sides: [1, -2],
    }
}

#[test]
fn keys_are_sorted_and_lists_keep_their_order() {
    assert_eq!(
        text(&search()),
        "exact=true&near=&page=7&query=a+b%26c%3Dd~%2A%2F%E4%BD%A0\
         &score=1000000000000000000000&sides=1&sides=-2&tags=z&tags=a"
    );
    assert_eq!(
        decode::<Search>(text(&search()).as_bytes()).unwrap(),
        search()
    );
}

#[test]
fn empty_lists_and_missing_fields_are_zero() {
    let empty = Search {
        tags: vec![],
        ..search()
    };
    assert_eq!(decode::<Search>(text(&empty).as_bytes()).unwrap(), empty);
    let page = decode::<Search>(b"page=5").unwrap();
    assert_eq!((page.page, page.sides, page.near), (5, [0, 0], None));
}

#[test]
fn a_default_of_the_users_own_wins() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Page {
        #[serde(default = "ten")]
        size: u32,
    }
    fn ten() -> u32 {
        10
    }
    assert_eq!(decode::<Page>(b"other=1").unwrap(), Page { size: 10 });
}

#[test]
fn maps_hold_lists() {
    let map: HashMap<_, _> = [("b", vec![2]), ("a", vec![3, 1]), ("none", vec![])].into();
    assert_eq!(text(&map), "a=3&a=1&b=2");
    let map: BTreeMap<String, Vec<String>> = decode(b"a=1&b=2&a=3&&c").unwrap();
    assert_eq!(
        map.into_iter()
            .map(|(key, list)| (key, list.len()))
            .collect::<Vec<_>>(),
        [
            ("a".to_owned(), 2),
            ("b".to_owned(), 1),
            ("c".to_owned(), 1)
        ]
    );
    assert!(refused(&HashMap::from([("a", 1)])));
    let first: HashMap<String, i32> = decode(b"a=1&a=2").unwrap();
    assert_eq!(first.get("a"), Some(&1));
}

#[test]
fn what_is_no_form_is_refused() {
    #[derive(Serialize)]
    struct Nested {
        inner: Search,
    }
    assert!(refused("a=1"));
    assert!(refused(&1));
    assert!(refused(&[("a", "1")]));
    assert!(refused(&Nested { inner: search() }));
    assert!(refused(&HashMap::from([("a", vec![vec![1]])])));
    assert!(decode::<i32>(b"a=1").unwrap_err().is_unsupported());
    assert!(decode::<Vec<String>>(b"a=1").unwrap_err().is_unsupported());
    assert_eq!(text(&()), "");
    assert_eq!(text(&None::<Search>), "");
}

#[test]
fn faults_are_refused() {
    for bad in [
        "a=1;b=2",
        "a=%4",
        "a=%",
        "%zz=1",
        "page=x",
        "page=-1",
        "exact=maybe",
        "score=1e999",
        "sides=1&sides=2&sides=3",
        "sides=1",
    ] {
        assert!(decode::<Search>(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn escapes_are_read_and_keys_are_case_sensitive() {
    let map: BTreeMap<String, Vec<String>> = decode(b"a+b=c+d%2B&%61=%c3%A4&=x=y").unwrap();
    assert_eq!(map["a b"], ["c d+"]);
    assert_eq!(map["a"], ["ä"]);
    assert_eq!(map[""], ["x=y"]);
    assert_eq!(decode::<Search>(b"PAGE=5").unwrap().page, 0);
}
