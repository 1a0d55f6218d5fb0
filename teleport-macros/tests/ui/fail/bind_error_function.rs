use teleport::{Bind, Rerror};

fn wrong(handler: &str, reason: &str) -> Rerror {
    Rerror::internal(format!("{handler} {reason}"))
}

#[derive(Bind)]
#[bind(error = wrong)]
struct Arg {
    #[param(nonzero)]
    a: i64,
}

fn is_bound<T: teleport::Bind>() {}

fn main() {
    is_bound::<Arg>();
}
