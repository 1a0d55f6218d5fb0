//! What the hooks of a reply see of the call that it answers.

use std::sync::{Arc, Mutex};

use teleport::{CallCtx, Peer, Plugin, ReadCtx, Rerror, Session, WriteCtx, controller, plugin};
use teleport_tests::frames::{PUSH, REPLY, RawFrame, read_frame};
use teleport_tests::pair::{bare, settle};
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;

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

#[tokio::test]
async fn what_a_hook_sends_after_a_reply_comes_after_it() {
    struct Tells;

    #[plugin]
    impl Plugin for Tells {
        fn name(&self) -> &str {
            "tells"
        }

        async fn post_write_reply(&self, ctx: &mut WriteCtx) -> Result<(), Rerror> {
            let uri = ctx.call_uri().map(ToString::to_string);
            ctx.session().push("/answered", uri).await?;
            Ok(())
        }
    }

    let server = Peer::builder().plugin(Tells).build().unwrap();
    server.route_call(Work).unwrap();
    let (_session, mut stream) = bare(&server, 1 << 16).await;
    // Three that are read together, the last without a route.
    let calls = ["/work/run?n=1", "/work/run?n=2", "/none"];
    let frames = calls.map(|uri| RawFrame::call("A", uri, "5").bytes());
    stream.write_all(&frames.concat()).await.unwrap();
    for uri in calls {
        let reply = read_frame(&mut stream).await.unwrap().unwrap();
        assert_eq!(reply.mtype, REPLY, "{uri}");
        let push = read_frame(&mut stream).await.unwrap().unwrap();
        assert_eq!((push.mtype, push.body), (PUSH, format!("{uri:?}").into()));
    }
}

#[tokio::test]
async fn a_reply_that_hooks_still_look_at_is_a_reply_though_the_other_end_says_it_is_gone() {
    struct Gate(Arc<Semaphore>);

    #[plugin]
    impl Plugin for Gate {
        fn name(&self) -> &str {
            "gate"
        }

        async fn post_read_reply_header(&self, _: &mut ReadCtx) -> Result<(), Rerror> {
            self.0.acquire().await.unwrap().forget();
            Ok(())
        }
    }

    let gate = Arc::new(Semaphore::new(0));
    let client = Peer::builder().plugin(Gate(gate.clone())).build().unwrap();
    let (session, mut stream) = bare(&client, 1 << 16).await;
    let answered = session.call::<i64>("/x", ()).seq("a").send().await.unwrap();
    let other = session.call::<i64>("/x", ()).seq("b").send().await.unwrap();
    stream
        .write_all(&RawFrame::reply("a", "7").bytes())
        .await
        .unwrap();
    let gone = RawFrame::reply("~notice", "")
        .codec(0)
        .meta("X-Notice=gone");
    stream.write_all(&gone.bytes()).await.unwrap();
    settle().await;
    gate.add_permits(1);
    assert_eq!(answered.await.unwrap(), 7);
    let error = other.await.unwrap_err();
    assert!(error.is_closed() && error.may_retry(), "{error:?}");
}
