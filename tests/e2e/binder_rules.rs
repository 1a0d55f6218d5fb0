//! The rules of parameters, one by one, by hand: what keeps them, and what is said of what does not.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use proptest::prelude::*;
use teleport::binder::{HasLength, HasRange, HasText, HasZero, Invalid, Number};
use teleport::{Bind, Rerror};

/// What is wrong with a value: parameter and reason.
fn wrong(value: &impl Bind) -> Option<(String, String)> {
    let invalid: Invalid = value.check().err()?;
    Some((invalid.param().to_owned(), invalid.reason().to_owned()))
}

#[track_caller]
fn assert_wrong(value: &impl Bind, param: &str, reason: &str) {
    let found = wrong(value);
    let expected = Some((param.to_owned(), reason.to_owned()));
    assert_eq!(found, expected);
}

macro_rules! of_numbers {
    ($($name:ident: $ty:ty;)*) => {
        #[derive(Bind)]
        struct Numbers {
            $(#[param(range(1..=100))] $name: $ty,)*
        }

        impl Numbers {
            fn new() -> Self {
                Self { $($name: 1 as $ty,)* }
            }
        }

        #[test]
        fn a_range_goes_for_numbers_of_every_type() {
            $(
                for (value, reason) in [
                    (0 as $ty, Some("smaller than 1: 0")),
                    (1 as $ty, None),
                    (100 as $ty, None),
                    (101 as $ty, Some("bigger than 100: 101")),
                ] {
                    let numbers = Numbers { $name: value, ..Numbers::new() };
                    let expected = reason.map(|r| (stringify!($name).to_owned(), r.to_owned()));
                    assert_eq!(wrong(&numbers), expected);
                }
            )*
        }
    };
}

of_numbers! {
    a_i8: i8; a_i16: i16; a_i32: i32; a_i64: i64; a_i128: i128; a_isize: isize;
    a_u8: u8; a_u16: u16; a_u32: u32; a_u64: u64; a_u128: u128; a_usize: usize;
    a_f32: f32; a_f64: f64;
}

#[derive(Bind, Default)]
struct Ranges {
    #[param(range(-5..=-1))]
    below: Option<i64>,
    #[param(range(1..))]
    from: Option<i64>,
    #[param(range(..=10))]
    to: Option<i64>,
    #[param(range(..10))]
    less: Option<i64>,
    #[param(range(0.5..1.5))]
    part: Option<f64>,
    #[param(range(..=0.1))]
    single: Option<f32>,
    #[param(range(7))]
    seven: Option<u8>,
    #[param(range(0.5..=2.5))]
    whole: Option<i32>,
    #[param(range(0..=9))]
    digits: Vec<u8>,
}

#[test]
fn a_range_has_one_end_or_two_and_any_sign() {
    let none = Ranges::default;
    assert_eq!(wrong(&none()), None);
    let value = |below| Ranges {
        below: Some(below),
        ..none()
    };
    assert_eq!(wrong(&value(-5)), None);
    assert_wrong(&value(-6), "below", "smaller than -5: -6");
    assert_wrong(&value(0), "below", "bigger than -1: 0");
    let value = |from| Ranges {
        from: Some(from),
        ..none()
    };
    assert_eq!(wrong(&value(i64::MAX)), None);
    assert_wrong(
        &value(i64::MIN),
        "from",
        "smaller than 1: -9223372036854775808",
    );
    let value = |to| Ranges {
        to: Some(to),
        ..none()
    };
    assert_eq!(wrong(&value(i64::MIN)), None);
    assert_wrong(&value(11), "to", "bigger than 10: 11");
    let value = |less| Ranges {
        less: Some(less),
        ..none()
    };
    assert_eq!(wrong(&value(9)), None);
    assert_wrong(&value(10), "less", "not smaller than 10: 10");
    assert_wrong(&value(11), "less", "bigger than 10: 11");
    let value = |seven| Ranges {
        seven: Some(seven),
        ..none()
    };
    assert_eq!(wrong(&value(7)), None);
    assert_wrong(&value(6), "seven", "smaller than 7: 6");
    let value = |whole| Ranges {
        whole: Some(whole),
        ..none()
    };
    assert_eq!(wrong(&value(2)), None);
    assert_wrong(&value(3), "whole", "bigger than 2.5: 3");
    let value = |digits: &[u8]| Ranges {
        digits: digits.to_vec(),
        ..none()
    };
    assert_eq!(wrong(&value(&[0, 9])), None);
    assert_wrong(&value(&[9, 10, 11]), "digits", "bigger than 9: 10");
}

#[test]
fn floats_are_compared_at_their_own_precision_and_shown_as_go_shows_them() {
    let part = |part| Ranges {
        part: Some(part),
        ..Ranges::default()
    };
    assert_eq!(wrong(&part(0.5)), None);
    assert_eq!(wrong(&part(1.499_999)), None);
    for (value, reason) in [
        (0.25, "smaller than 0.5: 0.25"),
        (1.5, "not smaller than 1.5: 1.5"),
        (2.0, "bigger than 1.5: 2"),
        (1e20, "bigger than 1.5: 100000000000000000000"),
        (1e21, "bigger than 1.5: 1e+21"),
        (1.25e300, "bigger than 1.5: 1.25e+300"),
        (0.0001, "smaller than 0.5: 0.0001"),
        (0.000_01, "smaller than 0.5: 1e-05"),
        (f64::INFINITY, "bigger than 1.5: +Inf"),
        (f64::NEG_INFINITY, "smaller than 0.5: -Inf"),
        (f64::NAN, "smaller than 0.5: NaN"),
    ] {
        assert_wrong(&part(value), "part", reason);
    }
    let single = |single| Ranges {
        single: Some(single),
        ..Ranges::default()
    };
    assert_eq!(wrong(&single(0.1)), None);
    assert_wrong(&single(0.2), "single", "bigger than 0.1: 0.2");
    assert_wrong(&single(f32::NAN), "single", "bigger than 0.1: NaN");
}

#[derive(Bind, Default)]
struct Lengths {
    #[param(len(3..=6))]
    text: Option<String>,
    #[param(len(3..7))]
    cow: Option<Cow<'static, str>>,
    #[param(len(2))]
    list: Option<Vec<i32>>,
    #[param(len(..=1))]
    words: VecDeque<String>,
    #[param(len(..=1))]
    bytes: Vec<u8>,
    #[param(len(..=1))]
    tree: BTreeMap<String, bool>,
    #[param(len(..=1))]
    hashes: HashMap<i8, f64>,
    #[param(len(..=1))]
    set: BTreeSet<u64>,
    #[param(len(..=1))]
    opaque: Vec<Opaque>,
}

struct Opaque;

#[test]
fn a_length_counts_characters_and_items() {
    let none = Lengths::default;
    assert_eq!(wrong(&none()), None);
    let text = |text: &str| Lengths {
        text: Some(text.to_owned()),
        ..none()
    };
    for right in ["abc", "abcdef", "äöüß漢字"] {
        assert_eq!(wrong(&text(right)), None);
    }
    assert_wrong(&text(""), "text", "shorter than 3: ");
    assert_wrong(&text("ab"), "text", "shorter than 3: ab");
    assert_wrong(&text("abcdefg"), "text", "longer than 6: abcdefg");
    let cow = |cow: &'static str| Lengths {
        cow: Some(cow.into()),
        ..none()
    };
    assert_eq!(wrong(&cow("abcdef")), None);
    assert_wrong(&cow("abcdefg"), "cow", "longer than 6: abcdefg");
    let list = |list: &[i32]| Lengths {
        list: Some(list.to_vec()),
        ..none()
    };
    assert_eq!(wrong(&list(&[1, 2])), None);
    assert_wrong(&list(&[]), "list", "shorter than 2: []");
    assert_wrong(&list(&[1, -2, 3]), "list", "longer than 2: [1 -2 3]");
}

#[test]
fn what_is_too_long_is_shown_as_go_shows_it() {
    let none = Lengths::default;
    let two = || ["b".to_owned(), "a".to_owned()];
    assert_wrong(
        &Lengths {
            words: two().into(),
            ..none()
        },
        "words",
        "longer than 1: [b a]",
    );
    assert_wrong(
        &Lengths {
            bytes: vec![1, 255],
            ..none()
        },
        "bytes",
        "longer than 1: [1 255]",
    );
    assert_wrong(
        &Lengths {
            tree: two().map(|key| (key, true)).into(),
            ..none()
        },
        "tree",
        "longer than 1: map[a:true b:true]",
    );
    assert_wrong(
        &Lengths {
            hashes: [(2, 0.5), (-1, 2.0)].into(),
            ..none()
        },
        "hashes",
        "longer than 1: map[-1:2 2:0.5]",
    );
    assert_wrong(
        &Lengths {
            set: [2, 1].into(),
            ..none()
        },
        "set",
        "longer than 1: [1 2]",
    );
    assert_wrong(
        &Lengths {
            opaque: vec![Opaque, Opaque, Opaque],
            ..none()
        },
        "opaque",
        "longer than 1: 3 items",
    );
}

#[test]
fn only_the_beginning_of_a_long_value_is_shown() {
    let long = "ü".repeat(1 << 20);
    let lengths = Lengths {
        text: Some(long),
        ..Lengths::default()
    };
    let (_, reason) = wrong(&lengths).unwrap();
    let shown = format!("longer than 6: {}... (2096128 bytes more)", "ü".repeat(512));
    assert_eq!(reason, shown);
    let lengths = Lengths {
        bytes: vec![1; 1 << 20],
        ..Lengths::default()
    };
    let (_, reason) = wrong(&lengths).unwrap();
    assert!(reason.len() < 1100, "{}", reason.len());
}

#[derive(Bind)]
struct Zeros {
    #[param(nonzero)]
    int: i64,
    #[param(nonzero)]
    float: f32,
    #[param(nonzero)]
    bool: bool,
    #[param(nonzero)]
    char: char,
    #[param(nonzero)]
    text: String,
    #[param(nonzero)]
    list: Vec<u8>,
    #[param(nonzero)]
    option: Option<i32>,
    #[param(required)]
    needed: Option<i32>,
    #[param(required)]
    words: String,
    #[param(required)]
    map: HashMap<String, i32>,
}

fn nonzero() -> Zeros {
    Zeros {
        int: -1,
        float: 0.5,
        bool: true,
        char: ' ',
        text: " ".to_owned(),
        list: vec![0],
        option: Some(1),
        needed: Some(0),
        words: "0".to_owned(),
        map: HashMap::from([(String::new(), 0)]),
    }
}

#[test]
fn zeros_and_what_is_missing_are_told_apart_from_values() {
    assert_eq!(wrong(&nonzero()), None);
    let zero = "zero value";
    assert_wrong(
        &Zeros {
            int: 0,
            ..nonzero()
        },
        "int",
        zero,
    );
    assert_wrong(
        &Zeros {
            float: -0.0,
            ..nonzero()
        },
        "float",
        zero,
    );
    assert_wrong(
        &Zeros {
            bool: false,
            ..nonzero()
        },
        "bool",
        zero,
    );
    assert_wrong(
        &Zeros {
            char: '\0',
            ..nonzero()
        },
        "char",
        zero,
    );
    assert_wrong(
        &Zeros {
            text: String::new(),
            ..nonzero()
        },
        "text",
        zero,
    );
    assert_wrong(
        &Zeros {
            list: vec![],
            ..nonzero()
        },
        "list",
        zero,
    );
    assert_wrong(
        &Zeros {
            option: None,
            ..nonzero()
        },
        "option",
        zero,
    );
    assert_wrong(
        &Zeros {
            option: Some(0),
            ..nonzero()
        },
        "option",
        zero,
    );
    assert_wrong(
        &Zeros {
            needed: None,
            ..nonzero()
        },
        "needed",
        zero,
    );
    assert_wrong(
        &Zeros {
            words: String::new(),
            ..nonzero()
        },
        "words",
        zero,
    );
    assert_wrong(
        &Zeros {
            map: HashMap::new(),
            ..nonzero()
        },
        "map",
        zero,
    );
}

#[derive(Bind, Default)]
struct Patterns {
    #[param(regex = r"^[1-9]\d*$")]
    digits: Option<String>,
    #[param(regex(r"\bend$"))]
    words: Vec<String>,
}

#[test]
fn a_pattern_goes_for_each_text_and_means_what_it_means_in_go() {
    let digits = |text: &str| Patterns {
        digits: Some(text.to_owned()),
        ..Patterns::default()
    };
    assert_eq!(wrong(&Patterns::default()), None);
    assert_eq!(wrong(&digits("10")), None);
    assert_wrong(&digits("0x"), "digits", r"not match ^[1-9]\d*$: 0x");
    // Digits of another script are digits to the regex crate, not to Go.
    assert_wrong(&digits("1٣"), "digits", r"not match ^[1-9]\d*$: 1٣");
    let words = |words: &[&str]| Patterns {
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        ..Patterns::default()
    };
    assert_eq!(wrong(&words(&["end", "the end", "éend"])), None);
    assert_wrong(
        &words(&["end", "bend", "send"]),
        "words",
        r"not match \bend$: bend",
    );
}

/// What makes a matcher that tries all ways take time beyond all bounds.
#[derive(Bind)]
struct Nasty {
    #[param(regex = r"^(([a-z])+.)+[A-Z]([a-z])+$")]
    text: String,
}

#[test]
fn a_pattern_takes_time_in_proportion_to_the_text() {
    let nasty = Nasty {
        text: "a".repeat(1 << 20),
    };
    let (_, reason) = wrong(&nasty).unwrap();
    assert!(reason.starts_with("not match ^(([a-z])+.)+[A-Z]([a-z])+$: aaa"));
    assert!(reason.ends_with("a... (1047552 bytes more)"));
}

#[derive(Bind)]
struct Line {
    #[param(range(1..), error(code = 7))]
    amount: i32,
}

#[derive(Bind)]
#[bind(error = no)]
struct Order {
    #[param(nested, len(1..=3))]
    lines: Vec<Line>,
    #[param(nested)]
    by_name: BTreeMap<String, [Line; 2]>,
    #[param(nested, required)]
    main: Option<Box<Line>>,
    #[param(rename = "lastOne", nested)]
    last_one: Line,
}

fn no(handler: &str, param: &str, reason: &str) -> Rerror {
    Rerror::new(1, "No", format!("{handler} {param} {reason}"))
}

fn lines<const N: usize>(amounts: [i32; N]) -> [Line; N] {
    amounts.map(|amount| Line { amount })
}

fn order() -> Order {
    Order {
        lines: lines([1, 2]).into(),
        by_name: BTreeMap::from([("a".to_owned(), lines([1, 2]))]),
        main: Some(Box::new(Line { amount: 1 })),
        last_one: Line { amount: 1 },
    }
}

#[test]
fn nested_values_are_walked_and_their_parameters_say_where_they_are() {
    assert_eq!(wrong(&order()), None);
    let small = "smaller than 1: 0";
    let mut wrong_one = order();
    wrong_one.lines[1].amount = 0;
    assert_wrong(&wrong_one, "lines[1].amount", small);
    let mut wrong_one = order();
    wrong_one.by_name.get_mut("a").unwrap()[0].amount = 0;
    assert_wrong(&wrong_one, "by_name[a][0].amount", small);
    let mut wrong_one = order();
    wrong_one.last_one.amount = 0;
    assert_wrong(&wrong_one, "lastOne.amount", small);
    wrong_one.main = None;
    assert_wrong(&wrong_one, "main", "zero value");
    wrong_one.lines.clear();
    assert_wrong(&wrong_one, "lines", "shorter than 1: 0 items");
    assert_wrong(
        &vec![order(), wrong_one],
        "[1].lines",
        "shorter than 1: 0 items",
    );
}

#[test]
fn an_error_made_by_hand_names_no_handler() {
    let rerror = Rerror::from(Line { amount: 0 }.check().unwrap_err());
    assert_eq!(
        rerror,
        Rerror::new(
            7,
            "Invalid Parameter",
            r#"{"handler": "", "param": "amount", "reason": "smaller than 1: 0"}"#
        )
    );
    assert_eq!(Order::error("/a", "b", "c"), Some(no("/a", "b", "c")));
    assert_eq!(
        <Vec<Order>>::error("/a", "b", "c"),
        Some(no("/a", "b", "c"))
    );
}

/// The amount of a thing.
#[derive(Bind)]
struct Told {
    /// How many.
    #[param(range(1..=5), nonzero)]
    amount: i32,
    #[serde(skip)]
    #[param(query = "_x", desc = "Who asks.", regex = "^a")]
    who: String,
    /// Not a parameter.
    _rest: i32,
}

#[test]
fn the_table_of_parameters_tells_what_is_written() {
    let told: Vec<_> = Told::PARAMS
        .iter()
        .map(|param| (param.name, param.source, param.rules, param.desc))
        .collect();
    assert_eq!(
        told,
        [
            ("amount", "body", "range(1..=5), nonzero", "How many."),
            ("_x", "query _x", "regex ^a", "Who asks."),
        ]
    );
}

/// A type of the user's own that takes part in the rules.
struct Cents(i64);

impl HasRange for Cents {
    fn numbers(&self, see: &mut dyn FnMut(Number) -> Result<(), String>) -> Result<(), String> {
        see(Number::Int(self.0.into()))
    }
}

impl HasZero for Cents {
    fn is_zero(&self) -> bool {
        self.0 == 0
    }
}

#[derive(Bind)]
struct Price<T> {
    #[param(range(1..=100), nonzero)]
    price: Cents,
    #[param(len(2..), nonzero)]
    generic: T,
    #[param(regex = "a", nonzero)]
    texts: Vec<T>,
}

#[test]
fn rules_go_on_types_of_the_users_own_and_on_generic_ones() {
    fn price<T: HasLength + HasZero + HasText>(price: i64, generic: T) -> Price<T> {
        Price {
            price: Cents(price),
            generic,
            texts: Vec::new(),
        }
    }
    assert_wrong(&price(0, "aa".to_owned()), "price", "smaller than 1: 0");
    assert_wrong(
        &price(1, "a".to_owned()),
        "generic",
        "shorter than 2: 1 items",
    );
    assert_wrong(&price(1, "aa".to_owned()), "texts", "zero value");
}

#[derive(Bind)]
struct Any {
    #[param(range(-20..=20))]
    int: i64,
    #[param(range(-0.5..0.5))]
    float: f64,
    #[param(len(2..=4))]
    text: String,
    #[param(nonzero)]
    zero: u8,
    #[param(regex = "^[a-c]*$")]
    letters: Vec<String>,
}

proptest! {
    #[test]
    fn a_value_passes_if_and_only_if_its_rules_hold(
        int in -30_i64..30,
        float in -1.0..1.0,
        text in "\\PC{0,6}",
        zero in 0_u8..3,
        letters in prop::collection::vec("[a-d]{0,2}", 0..3),
    ) {
        let holds = [
            ("int", (-20..=20).contains(&int)),
            ("float", (-0.5..0.5).contains(&float)),
            ("text", (2..=4).contains(&text.chars().count())),
            ("zero", zero != 0),
            ("letters", letters.iter().all(|text| !text.contains('d'))),
        ];
        let expected = holds.iter().find(|(_, holds)| !holds).map(|(name, _)| (*name).to_owned());
        let found = wrong(&Any { int, float, text, zero, letters }).map(|(param, _)| param);
        prop_assert_eq!(found, expected);
    }
}
