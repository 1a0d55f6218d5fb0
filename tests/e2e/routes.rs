//! Registering handlers, and what no handler takes.

use std::sync::Arc;
use std::thread::ThreadId;

use bytes::Bytes;
use teleport::codec::{JSON, Raw};
use teleport::rerror::code;
use teleport::router::RouteKind;
use teleport::{
    CallCtx, ErrorKind, Peer, Rerror, UnknownCallCtx, UnknownPushCtx, controller, push_handler,
};
use teleport_tests::pair::Pair;
use tokio::sync::mpsc::unbounded_channel;

struct Math;

#[controller]
impl Math {
    /// Adds the numbers up.
    async fn add(&self, arg: Vec<i64>) -> i64 {
        arg.iter().sum()
    }

    fn get_two(&self) -> i64 {
        2
    }
}

struct Calculator;

#[controller(name = "Math")]
impl Calculator {
    async fn sub(&self, arg: (i64, i64)) -> i64 {
        arg.0 - arg.1
    }

    async fn add(&self, arg: (i64, i64)) -> i64 {
        arg.0 + arg.1
    }
}

#[controller]
async fn twice(_ctx: &mut CallCtx, arg: i64) -> Result<i64, Rerror> {
    Ok(arg * 2)
}

#[push_handler]
async fn note(_arg: String) {}

struct Push;

#[push_handler]
impl Push {
    async fn status(&self, _arg: String) {}
}

#[tokio::test]
async fn routes_are_registered_listed_and_called() {
    let pair = Pair::new().await;
    let server = &pair.server;
    assert_eq!(
        server.route_call(Math).unwrap(),
        ["/math/add", "/math/get/two"]
    );
    assert_eq!(server.route_call_fn(twice).unwrap(), "/twice");
    assert_eq!(server.route_push_fn(note).unwrap(), "/note");
    assert_eq!(server.route_push(Push).unwrap(), ["/push/status"]);
    let group = server.sub_route("/V1/").sub_route("b//../c");
    assert_eq!(group.prefix(), "/V1/c");
    assert_eq!(group.route_call_fn(twice).unwrap(), "/V1/c/twice");
    assert_eq!(
        group
            .route_call_method(Arc::new(Math), Math::get_two)
            .unwrap(),
        "/V1/c/get/two"
    );
    assert_eq!(
        server
            .route_push_method(Arc::new(Push), Push::status)
            .unwrap(),
        "/status"
    );
    let routes = server.routes();
    let paths: Vec<_> = routes.iter().map(|route| route.path()).collect();
    let expected = [
        "/V1/c/get/two",
        "/V1/c/twice",
        "/math/add",
        "/math/get/two",
        "/note",
        "/push/status",
        "/status",
        "/twice",
    ];
    assert_eq!(paths, expected);
    let add = &routes[2];
    assert_eq!((add.kind(), add.name()), (RouteKind::Call, "Math::add"));
    assert_eq!((add.argument(), add.reply()), ("Vec<i64>", "i64"));
    assert!(add.doc().contains("Adds the numbers up"));
    assert_eq!(routes[4].kind(), RouteKind::Push);

    for (uri, reply) in [
        ("/math/get/two", 2),
        ("/V1/c/get/two", 2),
        ("/math/%61dd", 0),
    ] {
        assert_eq!(
            pair.here.call::<i64>(uri, ()).await.unwrap(),
            reply,
            "{uri}"
        );
    }
    assert_eq!(
        pair.here.call::<i64>("/V1/c/twice?x#y", 4).await.unwrap(),
        8
    );
    // Paths match exactly, and calls are no pushes.
    for uri in [
        "/Math/add",
        "/math/add/",
        "//math/add",
        "/v1/c/twice",
        "/note",
        "/push/status",
    ] {
        let error = pair.here.call::<i64>(uri, ()).await.unwrap_err();
        assert_eq!(error.rerror().unwrap().code(), code::NOT_FOUND, "{uri}");
    }
    // The functions stay functions.
    note("x".to_owned()).await;
}

#[tokio::test]
async fn a_conflict_names_both_handlers_and_registers_nothing() {
    let peer = Peer::builder().build().unwrap();
    peer.route_call(Math).unwrap();
    let error = peer.route_call(Calculator).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Route);
    let text = error.to_string();
    assert!(
        text.contains("/math/add") && text.contains("Math::add"),
        "{text}"
    );
    // The other method of the second one was not registered either.
    assert_eq!(peer.routes().len(), 2);
    assert!(peer.sub_route("v2").route_call(Calculator).is_ok());
    // A push may have the path of a call.
    peer.route_push_fn(note).unwrap();
    assert!(peer.route_push_fn(note).is_err());
    let error = peer
        .route_call_method(Arc::new(Math), Calculator::sub)
        .unwrap_err();
    assert!(error.to_string().contains("sub"), "{error}");
}

async fn any_call(ctx: &mut UnknownCallCtx) -> Result<Raw<Bytes>, Rerror> {
    if ctx.path() == "/bind" {
        let list: Vec<u8> = ctx.bind()?;
        return Ok(Raw(list.into()));
    }
    if ctx.path() == "/fail" {
        return Err(Rerror::new(1, "f", ""));
    }
    let body = ctx.body().clone();
    let codec = ctx.body_codec();
    ctx.set_meta("codec", codec.to_string());
    Ok(Raw(body))
}

#[tokio::test]
async fn unknown_calls_and_pushes_have_handlers_of_their_own() {
    let pair = Pair::new().await;
    let (tell, mut told) = unbounded_channel();
    pair.server.set_unknown_call(any_call).unwrap();
    struct Tells(tokio::sync::mpsc::UnboundedSender<(String, Bytes)>);
    impl teleport::router::UnknownPushHandler for Tells {
        async fn handle<'a>(&'a self, ctx: &'a mut UnknownPushCtx) -> Result<(), Rerror> {
            let told = (ctx.path().to_owned(), ctx.body().clone());
            self.0.send(told).map_err(|_| Rerror::internal("gone"))
        }
    }
    pair.server.set_unknown_push(Tells(tell)).unwrap();
    assert!(pair.server.set_unknown_call(any_call).is_err());
    pair.server.route_call(Math).unwrap();
    assert_eq!(pair.here.call::<i64>("/math/add", [1, 2]).await.unwrap(), 3);

    let call = pair
        .here
        .call::<Raw<Bytes>>("/any/thing", Raw("\u{ff} raw"))
        .body_codec(200);
    let reply = call.send().await.unwrap().reply().await.unwrap();
    assert_eq!(reply.body.0, "\u{ff} raw");
    assert_eq!(
        (reply.meta.get("codec"), reply.body_codec),
        (Some("200"), 200)
    );
    assert_eq!(
        pair.here
            .call::<Raw<Bytes>>("/bind", [1, 2])
            .await
            .unwrap()
            .0,
        [1, 2][..]
    );
    let error = pair.here.call::<()>("/bind", Raw("no")).await.unwrap_err();
    assert_eq!(error.rerror().unwrap().code(), code::BAD_MESSAGE);
    let error = pair.here.call::<()>("/fail", ()).await.unwrap_err();
    assert_eq!(error.rerror().unwrap().code(), 1);

    pair.here
        .push("/some/where", Raw("body"))
        .body_codec(JSON)
        .await
        .unwrap();
    assert_eq!(
        told.recv().await.unwrap(),
        ("/some/where".to_owned(), "body".into())
    );
    let kinds: Vec<_> = pair
        .server
        .routes()
        .iter()
        .map(|r| (r.kind(), r.path().to_owned()))
        .collect();
    assert!(
        kinds.contains(&(RouteKind::UnknownCall, "/*".to_owned())),
        "{kinds:?}"
    );
}

#[tokio::test]
async fn routes_may_be_added_while_calls_run() {
    let pair = Pair::new().await;
    assert!(pair.here.call::<i64>("/twice", 1).await.is_err());
    pair.server.route_call_fn(twice).unwrap();
    assert_eq!(pair.here.call::<i64>("/twice", 1).await.unwrap(), 2);
}

struct Where(ThreadId);

#[controller]
impl Where {
    fn inline(&self) -> bool {
        std::thread::current().id() == self.0
    }

    #[route(spawn)]
    async fn spawned(&self, ctx: &mut CallCtx) -> bool {
        ctx.set_meta("task", tokio::task::id().to_string());
        std::thread::current().id() == self.0
    }

    #[route(blocking)]
    fn blocking(&self) -> bool {
        std::thread::current().id() == self.0
    }

    #[route(blocking)]
    async fn blocking_async(&self) -> bool {
        tokio::task::yield_now().await;
        std::thread::current().id() == self.0
    }

    #[route(blocking)]
    fn blocking_panics(&self) {
        panic!("on another thread");
    }

    #[route(spawn)]
    async fn spawned_panics(&self) {
        panic!("in another task");
    }
}

#[tokio::test]
async fn handlers_run_where_their_routes_say() {
    let pair = Pair::new().await;
    let here = std::thread::current().id();
    pair.server.route_call(Where(here)).unwrap();
    for (path, same) in [
        ("inline", true),
        ("spawned", true),
        ("blocking", false),
        ("blocking/async", false),
    ] {
        let uri = format!("/where/{path}");
        assert_eq!(
            pair.here.call::<bool>(&uri, ()).await.unwrap(),
            same,
            "{path}"
        );
    }
    let cmd = pair
        .here
        .call::<bool>("/where/spawned", ())
        .send()
        .await
        .unwrap();
    assert!(cmd.reply().await.unwrap().meta.contains("task"));
    for (path, why) in [
        ("blocking/panics", "on another thread"),
        ("spawned/panics", "in another task"),
    ] {
        let uri = format!("/where/{path}");
        let error = pair.here.call::<()>(&uri, ()).await.unwrap_err();
        let rerror = error.rerror().unwrap();
        assert_eq!((rerror.code(), rerror.reason()), (code::INTERNAL, why));
    }
    assert_eq!(pair.there.running_handlers(), 0);
}
