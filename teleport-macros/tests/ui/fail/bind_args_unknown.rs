use teleport::Bind;

#[derive(Bind)]
#[bind(eror = path, range(1..=2), tag = 3)]
struct Arg {
    #[param(rnage(1..=2))]
    a: i64,
    #[param(regexp = "a", rerr = 1)]
    b: String,
    #[param("Says what it is.", optional)]
    c: String,
    #[param(nonzero, error(cod = 1, text = "a"))]
    d: i64,
}

fn is_bound<T: teleport::Bind>() {}

fn main() {
    is_bound::<Arg>();
}
