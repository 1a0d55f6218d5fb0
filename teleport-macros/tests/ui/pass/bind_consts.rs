//! Constants, and what can be worked out of them, as the ends of ranges and lengths.
#![deny(warnings)]

use teleport::Bind;

mod limits {
    pub(crate) const MOST: u32 = 100;
    pub(crate) const RATIO: f32 = 0.5;
    pub(crate) const NAME: usize = 8;

    pub(crate) const fn twice(number: u32) -> u32 {
        number * 2
    }
}

use limits::{MOST, NAME};

trait Kind {
    const LEAST: i64;
    const LONGEST: usize;
}

struct Small;

impl Kind for Small {
    const LEAST: i64 = 2;
    const LONGEST: usize = 3;
}

#[derive(Bind)]
#[allow(non_snake_case)]
struct Plain {
    #[param(range(1..=MOST))]
    a: u32,
    #[param(range(-Self::HALF..Self::HALF))]
    b: Option<i64>,
    #[param(range(limits::twice(MOST) - 1..=limits::twice(MOST)))]
    c: Vec<u64>,
    #[param(range(-limits::RATIO..=limits::RATIO))]
    d: f64,
    #[param(len(1..NAME))]
    e: String,
    #[param(len(..=NAME / 2), regex = "^.")]
    E: String,
    #[param(range(MOST))]
    f: u8,
    #[param(range(60 * 60..=60 * 60 * 24 * 365 * 1000), nonzero)]
    g: i64,
    #[param(range(0.5 * 0.5..))]
    h: f32,
    #[param(range(u64::MAX..))]
    i: u64,
    #[param(range(1u8 + 1..))]
    j: u64,
    #[param(range(..=f64::INFINITY))]
    k: f64,
    #[param(range(MOST as u8..), len(const { 1 }..))]
    r#l: Vec<u8>,
    #[param(len(size_of::<u64>()))]
    m: [u8; 8],
}

impl Plain {
    const HALF: i64 = 50;
}

#[derive(Bind)]
struct Generic<K: Kind, const N: usize> {
    #[param(range(K::LEAST..))]
    a: i64,
    #[param(len(N..=K::LONGEST))]
    b: String,
    kind: std::marker::PhantomData<K>,
}

fn main() {
    const INNER: i64 = 7;

    #[derive(Bind)]
    struct Inside {
        #[param(range(..INNER))]
        a: i64,
    }

    let mut plain = Plain {
        a: 100,
        b: Some(-50),
        c: vec![199, 200],
        d: 0.5,
        e: "1234567".into(),
        E: "1234".into(),
        f: 100,
        g: 3600,
        h: 0.25,
        i: u64::MAX,
        j: 2,
        k: f64::INFINITY,
        l: vec![100],
        m: [0; 8],
    };
    plain.check().unwrap();
    plain.a = 101;
    assert_eq!(plain.check().unwrap_err().reason(), "bigger than 100: 101");
    plain.a = 1;
    plain.b = Some(50);
    assert_eq!(plain.check().unwrap_err().reason(), "not smaller than 50: 50");
    plain.b = None;
    plain.d = -0.75;
    assert_eq!(plain.check().unwrap_err().reason(), "smaller than -0.5: -0.75");
    plain.d = 0.0;
    plain.e = "12345678".into();
    assert_eq!(plain.check().unwrap_err().reason(), "longer than 7: 12345678");
    plain.e = "1".into();
    plain.g = 60 * 60 * 24 * 365 * 1000 + 1;
    assert_eq!(
        plain.check().unwrap_err().reason(),
        "bigger than 31536000000: 31536000001"
    );
    assert_eq!(Plain::PARAMS[0].rules, "range(1..=MOST)");

    let generic = |a, b: &str| Generic::<Small, 1> {
        a,
        b: b.into(),
        kind: std::marker::PhantomData,
    };
    generic(2, "abc").check().unwrap();
    assert_eq!(generic(1, "abc").check().unwrap_err().reason(), "smaller than 2: 1");
    assert_eq!(generic(2, "abcd").check().unwrap_err().reason(), "longer than 3: abcd");
    assert_eq!(Inside { a: 7 }.check().unwrap_err().reason(), "not smaller than 7: 7");
    Inside { a: 6 }.check().unwrap();
}
