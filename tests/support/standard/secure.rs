//! The routes behind the secure plugin in the Go mode.

use serde::{Deserialize, Serialize};
use teleport::plugins::secure::Legacy;
use teleport::{CallCtx, Error, Peer, PushCtx, Rerror, controller, push_handler};

use super::Notes;

/// The code of the plugin's errors.
pub const CODE: i32 = 100_001;

/// The plugin, with a key.
///
/// # Errors
///
/// The key has a length that AES does not know.
pub fn plugin(key: &str) -> Result<Legacy, Error> {
    Legacy::new(CODE, key)
}

/// Two numbers.
#[derive(Debug, Default, Deserialize)]
pub struct Pair {
    #[serde(rename = "A", alias = "a", default)]
    a: i64,
    #[serde(rename = "B", alias = "b", default)]
    b: i64,
}

/// Their sum.
#[derive(Debug, Serialize)]
struct Sum {
    #[serde(rename = "C")]
    c: i64,
}

/// Registers the routes.
pub(super) fn serve(peer: &Peer, notes: &Notes) -> Result<(), Error> {
    peer.route_call(Sec)?;
    peer.route_push(SecPush(notes.clone()))?;
    Ok(())
}

struct Sec;

#[controller]
impl Sec {
    /// Adds two numbers up, and says which query it saw.
    fn add(&self, ctx: &mut CallCtx, arg: Pair) -> Sum {
        let query = ctx.uri().raw_query().to_vec();
        ctx.set_meta("seen-query", query);
        Sum {
            c: arg.a.wrapping_add(arg.b),
        }
    }

    /// Fails.
    #[route("/sec/fail")]
    fn fail(&self, _arg: Option<Pair>) -> Result<(), Rerror> {
        Err(Rerror::new(7, "no", ""))
    }
}

struct SecPush(Notes);

#[push_handler]
impl SecPush {
    /// Notes what it was given.
    #[route("/sec_push/note")]
    fn note(&self, ctx: &mut PushCtx, arg: Pair) {
        let query = ctx.uri().raw_query();
        self.0.add(ctx.path(), noted(&arg, query));
    }
}

/// What the push handler notes.
#[must_use]
pub fn noted(pair: &Pair, query: &[u8]) -> String {
    let query = String::from_utf8_lossy(query);
    format!("A={} B={} query={query}", pair.a, pair.b)
}
