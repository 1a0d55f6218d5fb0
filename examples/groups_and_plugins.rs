//! Groups of routes, with plugins of the peer, of a group, and of a handler.
//!
//! Run with `cargo run -p teleport-examples --example groups_and_plugins`.

use std::sync::Mutex;

use teleport::plugins::IgnoreCase;
use teleport::{Error, Peer, Plugin, ReadCtx, Rerror, controller, plugin};

struct Math;

#[controller]
impl Math {
    fn add(&self, arg: Vec<i64>) -> i64 {
        arg.iter().sum()
    }
}

struct Admin;

#[controller]
impl Admin {
    fn restart(&self) -> &'static str {
        "restarting"
    }
}

/// Lets only those in that know the word.
struct Password(&'static str);

#[plugin]
impl Plugin for Password {
    fn name(&self) -> &str {
        "password"
    }

    // An error of this hook becomes the reply, and the handler does not run.
    fn pre_read_call_body(&self, ctx: &mut ReadCtx) -> Result<(), Rerror> {
        if ctx.meta().get("password") == Some(self.0) {
            Ok(())
        } else {
            Err(Rerror::unauthorized("say the password"))
        }
    }
}

/// Notes who passes by. A hook may be an `async fn`, and wait.
struct Trail(&'static str, &'static Mutex<Vec<String>>);

#[plugin]
impl Plugin for Trail {
    fn name(&self) -> &str {
        self.0
    }

    async fn post_read_call_body(&self, ctx: &mut ReadCtx) -> Result<(), Rerror> {
        let line = format!("{} saw {}", self.0, ctx.path());
        println!("{line}");
        self.1.lock().unwrap().push(line);
        Ok(())
    }
}

static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

#[tokio::main]
async fn main() -> Result<(), Error> {
    // A plugin of the peer sees every message.
    let srv = Peer::builder().plugin(Trail("peer", &SEEN)).build()?;

    // A group has a path in front, and plugins for its routes alone.
    let api = srv.sub_route("api").plugin(Trail("group", &SEEN));
    let paths = api.with(IgnoreCase::new()).route_call(Math)?;
    assert_eq!(paths, ["/api/math/add"]);

    // `with` is for one handler, and groups nest.
    let v2 = api.sub_route("v2");
    v2.with(Password("sesame")).route_call(Admin)?;
    for route in srv.routes() {
        println!("{} {}", route.path(), route.name());
    }

    let address = srv.listen_on("127.0.0.1:0").await?;
    let cli = Peer::builder().build()?;
    let sess = cli.dial(&address).await?;

    // IgnoreCase stands at the handler of this path; the query is left as it is.
    let sum: i64 = sess.call("/API/Math/ADD", [1, 2, 3]).await?;
    assert_eq!(sum, 6);
    assert_eq!(
        SEEN.lock().unwrap().as_slice(),
        ["peer saw /API/Math/ADD", "group saw /API/Math/ADD"]
    );

    let refused = sess.call::<String>("/api/v2/admin/restart", ()).await;
    let refused = refused.unwrap_err();
    println!("without the password: {refused}");
    assert_eq!(refused.rerror().map(Rerror::code), Some(401));
    let reply: String = sess
        .call("/api/v2/admin/restart", ())
        .meta("password", "sesame")
        .await?;
    println!("with the password: {reply}");
    assert_eq!(reply, "restarting");

    cli.close().await;
    srv.close().await;
    Ok(())
}
