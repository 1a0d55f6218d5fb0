//! What the hooks of a reply see of the call that it answers.

use std::sync::{Arc, Mutex};

use teleport::{CallCtx, Peer, Plugin, ReadCtx, Rerror, Session, WriteCtx, controller, plugin};

type Seen = Arc<Mutex<Vec<String>>>;

/// Notes the call's uri, the outcome, and who left something in the call's data.
struct Notes(Seen);

#[plugin]
impl Plugin for Notes {
    fn name(&self) -> &str {
        "notes"
    }

    fn pre_read_call_body(&self, ctx: &mut ReadCtx) -> Result<(), Rerror> {
        ctx.swap().insert("hook", true);
        match ctx.query("stop") {
            Some(_) => Err(Rerror::unauthorized("stopped")),
            None => Ok(()),
        }
    }

    fn post_write_reply(&self, ctx: &mut WriteCtx) -> Result<(), Rerror> {
        let uri = ctx.call_uri().map(ToString::to_string).unwrap_or_default();
        let error = Rerror::from_meta(&ctx.header().meta).map_or(0, |error| error.code());
        let left: Vec<_> = ctx.swap().keys().map(str::to_owned).collect();
        let line = format!("{uri} {error} {}", left.join("+"));
        self.0.lock().unwrap().push(line);
        Ok(())
    }
}

struct Work;

#[controller]
impl Work {
    fn run(&self, ctx: &mut CallCtx, arg: i64) -> Result<i64, Rerror> {
        ctx.swap().insert("handler", true);
        match arg {
            0 => Err(Rerror::new(7, "nothing to do", "")),
            1 => panic!("one"),
            arg => Ok(arg),
        }
    }
}

async fn pair() -> (Seen, Session) {
    let seen = Seen::default();
    let server = Peer::builder()
        .plugin(Notes(Arc::clone(&seen)))
        .build()
        .unwrap();
    server.route_call(Work).unwrap();
    let (near, far) = tokio::io::duplex(4096);
    server.serve_conn(far).await.unwrap();
    let client = Peer::builder().build().unwrap();
    (seen, client.dial_conn(near).await.unwrap())
}

async fn note_of(uri: &str, arg: i64) -> String {
    let (seen, session) = pair().await;
    let _: Result<i64, _> = session.call(uri, arg).await;
    session.close().await;
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen.len(), 1, "{seen:?}");
    seen.concat()
}

#[tokio::test]
async fn a_reply_hook_knows_the_call_and_what_was_left_in_its_data() {
    assert_eq!(
        note_of("/work/run?a=1", 5).await,
        "/work/run?a=1 0 handler+hook"
    );
    assert_eq!(note_of("/work/run", 0).await, "/work/run 7 handler+hook");
}

#[tokio::test]
async fn a_reply_hook_knows_a_call_that_did_not_get_to_its_handler() {
    assert_eq!(
        note_of("/work/run?stop", 5).await,
        "/work/run?stop 401 hook"
    );
}

#[tokio::test]
async fn a_reply_hook_knows_a_call_whose_handler_panicked() {
    assert_eq!(note_of("/work/run", 1).await, "/work/run 500 ");
}

#[tokio::test]
async fn reply_hooks_see_the_answers_to_calls_without_a_route() {
    assert_eq!(note_of("/no/route", 5).await, "/no/route 404 ");
    assert_eq!(note_of("%", 5).await, "% 400 ");
}
