use teleport::Bind;

#[derive(Bind)]
struct Arg {
    #[param(range = "1..=2")]
    a: i64,
    #[param(range())]
    b: i64,
    #[param(range('a'..='z'))]
    c: i64,
    #[param(range(..))]
    d: i64,
    #[param(len(3:6))]
    e: String,
    #[param(regex)]
    f: String,
    #[param(regex = 3)]
    g: String,
    #[param(nonzero = true)]
    h: i64,
    #[serde(default)]
    #[param(query(x))]
    i: String,
    #[param(nonzero, error(code = "a"))]
    j: i64,
    #[param(nonzero, error(code = 3_000_000_000))]
    k: i64,
    #[param(range(1..)..=3)]
    l: i64,
    #[param]
    m: i64,
    #[param()]
    n: i64,
    #[param(error(code = 3))]
    o: i64,
    #[param(range(1..=170141183460469231731687303715884105727))]
    p: i64,
}

fn is_bound<T: teleport::Bind>() {}

fn main() {
    is_bound::<Arg>();
}
