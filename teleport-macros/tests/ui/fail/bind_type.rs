use teleport::Bind;

struct Opaque;

#[derive(Bind)]
struct Arg {
    #[param(range(1..))]
    a: String,
    #[param(len(1..))]
    b: i64,
    #[param(regex = "a")]
    c: Vec<u8>,
    #[param(nonzero)]
    d: Opaque,
    #[param(required)]
    e: i64,
    #[serde(default)]
    #[param(query)]
    f: Opaque,
}

fn is_bound<T: teleport::Bind>() {}

fn main() {
    is_bound::<Arg>();
}
