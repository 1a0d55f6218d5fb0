use teleport::Bind;

#[derive(Bind)]
struct Arg {
    #[param(range(1..), nonzero, range(..=9))]
    a: i64,
    #[param(nonzero)]
    #[param(desc = "The second.", nonzero)]
    b: i64,
    #[serde(default)]
    #[param(query, swap, meta = "c")]
    c: String,
}

fn is_bound<T: teleport::Bind>() {}

fn main() {
    is_bound::<Arg>();
}
