use serde::Deserialize;
use teleport::Bind;

#[derive(Deserialize, Bind)]
struct Arg {
    #[param(query = "_x")]
    a: String,
    #[param(swap)]
    b: i64,
    #[serde(rename = "d")]
    #[param(meta)]
    c: i64,
    #[param(query)]
    needs_no_default: Option<i64>,
}

fn is_bound<T: teleport::Bind>() {}

fn main() {
    is_bound::<Arg>();
}
