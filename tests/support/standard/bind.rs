//! The route whose parameters are checked.

use serde::Deserialize;
use teleport::{Bind, Error, Peer, controller};

/// Registers the route.
pub(super) fn serve(peer: &Peer) -> Result<(), Error> {
    peer.route_call(Checked).map(drop)
}

/// The argument. The keys of its body come in upper or lower case.
#[derive(Debug, Default, Deserialize, Bind)]
#[serde(default)]
struct Args {
    #[serde(alias = "A")]
    a: i64,
    #[serde(alias = "B")]
    #[param(range(1..=100))]
    b: i64,
    #[serde(alias = "C")]
    #[param(regex = r"^[1-9]\d*$")]
    c: String,
    #[serde(alias = "X")]
    #[param(query = "_x")]
    x: String,
    #[serde(alias = "Y")]
    #[param(
        query,
        nonzero,
        error(code = 100_002, message = "Parameter cannot be empty")
    )]
    y: String,
}

struct Checked;

#[controller(name = "Bind")]
impl Checked {
    /// Divides.
    fn divide(&self, args: Args) -> i64 {
        args.a / args.b
    }
}
