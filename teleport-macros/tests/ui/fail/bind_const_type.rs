use teleport::Bind;

const NAME: &str = "name";
const LENGTH: u32 = 3;

#[derive(Bind)]
struct Arg {
    #[param(range(NAME..))]
    a: i64,
    #[param(len(LENGTH..))]
    b: String,
    #[param(range(..=UNKNOWN))]
    c: i64,
}

fn is_bound<T: teleport::Bind>() {}

fn main() {
    is_bound::<Arg>();
}
