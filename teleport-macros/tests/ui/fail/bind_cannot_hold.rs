use teleport::Bind;

#[derive(Bind)]
struct Arg {
    #[param(range(5..=1))]
    a: i64,
    #[param(range(5..5))]
    b: i64,
    #[param(range(0.5..-0.5))]
    c: f64,
    #[param(range(256..))]
    d: u8,
    #[param(range(..=-1))]
    e: Option<u64>,
    #[param(range(..-128))]
    f: Vec<i8>,
    #[param(len(-1..=3))]
    g: String,
    #[param(len(6..=3))]
    h: Vec<String>,
    #[param(len(1.5..))]
    i: String,
    #[param(len(..=0), required)]
    j: String,
    #[param(range(0), nonzero)]
    k: i64,
    #[param(len(..0))]
    l: String,
}

fn is_bound<T: teleport::Bind>() {}

fn main() {
    is_bound::<Arg>();
}
