use teleport::Bind;

struct Plain {
    a: i64,
}

#[derive(Bind)]
struct Arg {
    #[param(nested, nonzero, range(1..))]
    a: Vec<Other>,
    #[serde(default)]
    #[param(nested, query)]
    b: Other,
}

#[derive(Bind)]
struct Other {
    #[param(nested)]
    plain: Plain,
}

fn is_bound<T: teleport::Bind>() {}

fn main() {
    is_bound::<Arg>();
}
