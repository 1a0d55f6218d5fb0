use teleport::Bind;

#[derive(Bind)]
struct Arg {
    #[param(regex = "(a")]
    a: String,
    #[param(regex = r"^\q$")]
    b: String,
    #[param(regex("a{999}{999}{999}"))]
    c: String,
    #[param(regex = "(?=a)")]
    d: String,
}

fn is_bound<T: teleport::Bind>() {}

fn main() {
    is_bound::<Arg>();
}
