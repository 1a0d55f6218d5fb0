//! Which plugins may stand where, changing them while the peer runs, and paths in any case.

use bytes::Bytes;
use teleport::plugins::IgnoreCase;
use teleport::{
    ErrorKind, HandlerInfo, Hooks, Peer, Plugin, PluginContainer, ReadCtx, Rerror, controller,
    plugin, push_handler,
};
use teleport_tests::pair::{Pair, settle};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

struct Work;

#[controller]
impl Work {
    async fn echo(&self, arg: Bytes) -> Bytes {
        arg
    }
}

struct Other;

#[controller]
impl Other {
    async fn echo(&self, arg: Bytes) -> Bytes {
        arg
    }
}

/// Adds a mark to every reply.
struct Marks(&'static str);

#[plugin]
impl Plugin for Marks {
    fn name(&self) -> &str {
        self.0
    }

    fn pre_write_reply(&self, ctx: &mut teleport::WriteCtx) -> Result<(), Rerror> {
        ctx.header_mut().meta.add("mark", self.0);
        Ok(())
    }
}

/// Has a hook that runs before the route is known.
struct Early;

#[plugin]
impl Plugin for Early {
    fn name(&self) -> &str {
        "early"
    }

    fn pre_write_reply(&self, _ctx: &mut teleport::WriteCtx) -> Result<(), Rerror> {
        Ok(())
    }

    fn post_read_call_header(&self, _ctx: &mut ReadCtx) -> Result<(), Rerror> {
        Err(Rerror::new(1, "early", ""))
    }
}

async fn marks(pair: &Pair, uri: &str) -> Vec<String> {
    let cmd = pair.here.call::<String>(uri, "x").send().await.unwrap();
    let reply = cmd.raw_reply().await.unwrap();
    let text = |mark: &[u8]| String::from_utf8(mark.to_vec()).unwrap();
    reply.meta.get_all("mark").map(text).collect()
}

#[tokio::test]
async fn plugins_come_and_go_while_the_peer_runs() {
    let pair = Pair::of(Peer::builder().plugin(Marks("a")), Peer::builder()).await;
    let group = pair.server.sub_route("g").plugin(Marks("group"));
    group.route_call(Work).unwrap();
    pair.server.route_call(Work).unwrap();
    assert_eq!(marks(&pair, "/work/echo").await, ["a"]);
    assert_eq!(marks(&pair, "/g/work/echo").await, ["a", "group"]);
    pair.server
        .change_plugins(|plugins| {
            plugins.append_left(Marks("left"))?;
            plugins.append_right(Marks("right"))
        })
        .unwrap();
    assert_eq!(
        marks(&pair, "/g/work/echo").await,
        ["left", "a", "group", "right"]
    );
    assert_eq!(marks(&pair, "/none").await, ["left", "a", "right"]);
    pair.server
        .change_plugins(|plugins| plugins.remove("a").map(drop))
        .unwrap();
    assert_eq!(
        marks(&pair, "/g/work/echo").await,
        ["left", "group", "right"]
    );

    // What does not fit changes nothing.
    let error = pair
        .server
        .change_plugins(|plugins| plugins.append(Marks("group")));
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Plugin);
    let error = pair.server.change_plugins(|plugins| {
        plugins.remove("left")?;
        plugins.remove("nobody").map(drop)
    });
    assert!(error.unwrap_err().to_string().contains("nobody"));
    assert_eq!(
        marks(&pair, "/g/work/echo").await,
        ["left", "group", "right"]
    );

    pair.server
        .change_plugins(|plugins| {
            *plugins = PluginContainer::new();
            Ok(())
        })
        .unwrap();
    assert_eq!(marks(&pair, "/work/echo").await, Vec::<String>::new());
    assert_eq!(marks(&pair, "/g/work/echo").await, ["group"]);
}

#[tokio::test]
async fn two_plugins_of_one_name_are_refused_wherever_they_meet() {
    let text = |error: teleport::Error| {
        assert_eq!(error.kind(), ErrorKind::Plugin);
        error.to_string()
    };
    let twice = Peer::builder()
        .plugin(Marks("m"))
        .plugin(Marks("m"))
        .build();
    assert!(text(twice.unwrap_err()).contains("\"m\""));
    let peer = Peer::builder().plugin(Marks("m")).build().unwrap();
    for routes in [
        peer.sub_route("a").plugin(Marks("m")),
        peer.with(Marks("m")),
        peer.sub_route("a").plugin(Marks("n")).with(Marks("n")),
        peer.sub_route("a").plugin(Marks("n")).plugin(Marks("n")),
    ] {
        let error = text(routes.route_call(Work).unwrap_err());
        assert!(
            error.contains("\"m\"") || error.contains("\"n\""),
            "{error}"
        );
    }
    assert!(peer.routes().is_empty());
    let mut plugins = PluginContainer::new();
    plugins.append_left(Marks("m")).unwrap();
    assert!(plugins.append_right(Marks("m")).is_err());
    assert_eq!((plugins.len(), plugins.by_name("m").is_some()), (1, true));
}

#[tokio::test]
async fn a_hook_before_routing_has_no_place_on_a_group_or_handler() {
    let peer = Peer::builder().build().unwrap();
    for routes in [peer.sub_route("a").plugin(Early), peer.with(Early)] {
        let error = routes.route_call(Work).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("post_read_call_header") && text.contains("early"),
            "{text}"
        );
        assert!(!text.contains("pre_write_reply"), "{text}");
    }
    let pair = Pair::of(Peer::builder().plugin(Early), Peer::builder()).await;
    let error = pair.here.call::<()>("/x", ()).await.unwrap_err();
    assert_eq!(error.rerror().unwrap().code(), 1);
    assert_eq!(
        Early.hooks(),
        Hooks::POST_READ_CALL_HEADER.union(Hooks::PRE_WRITE_REPLY)
    );
}

struct Hear(UnboundedSender<Bytes>);

#[push_handler]
impl Hear {
    async fn it(&self, ctx: &mut teleport::PushCtx, arg: Bytes) {
        let _ = ctx;
        self.0.send(arg).unwrap();
    }
}

async fn found(pair: &Pair, uri: &str) -> bool {
    let raw = teleport::codec::Raw("x");
    pair.here
        .call::<teleport::codec::Raw<Bytes>>(uri, raw)
        .await
        .is_ok()
}

#[tokio::test]
async fn a_peer_ignores_the_case_of_paths() {
    let pair = Pair::of(Peer::builder().plugin(IgnoreCase::new()), Peer::builder()).await;
    let (tell, mut told) = unbounded_channel();
    pair.server.route_call(Work).unwrap();
    pair.server.route_push(Hear(tell)).unwrap();
    for uri in ["/work/echo", "/WORK/Echo", "/Work/%45cho?Q=V"] {
        assert!(found(&pair, uri).await, "{uri}");
    }
    assert!(!found(&pair, "/WORK/Echo/").await);
    pair.here.push("/HEAR/It", "x").await.unwrap();
    assert_eq!(told.recv().await.unwrap(), "\"x\"");
}

#[tokio::test]
async fn a_group_or_handler_ignores_the_case_of_its_own_paths() {
    let pair = Pair::new().await;
    let (tell, mut told) = unbounded_channel();
    let group = pair.server.sub_route("Group").plugin(IgnoreCase::new());
    group.route_call(Work).unwrap();
    group.route_push(Hear(tell)).unwrap();
    pair.server
        .with(IgnoreCase::new())
        .route_call(Other)
        .unwrap();
    pair.server.route_call(Work).unwrap();
    for (uri, there) in [
        ("/Group/work/echo", true),
        ("/group/WORK/echo", true),
        ("/GROUP/work/%45CHO?x", true),
        ("/other/echo", true),
        ("/OTHER/echo", true),
        ("/work/echo", true),
        ("/WORK/echo", false),
    ] {
        assert_eq!(found(&pair, uri).await, there, "{uri}");
    }
    pair.here.push("/group/HEAR/it", "x").await.unwrap();
    settle().await;
    assert!(told.try_recv().is_ok());
    let routes = pair.server.routes();
    let any_case = routes
        .iter()
        .filter(|route| HandlerInfo::any_case(route))
        .count();
    assert_eq!(any_case, 3);
    // It holds when the plugins of the peer change.
    pair.server
        .change_plugins(|plugins| plugins.append(Marks("m")))
        .unwrap();
    assert!(found(&pair, "/group/WORK/echo").await);
    assert!(!found(&pair, "/WORK/echo").await);
    // Two routes that differ in their case alone cannot both be any case.
    assert!(
        pair.server
            .sub_route("GROUP")
            .plugin(IgnoreCase::new())
            .route_call(Work)
            .is_err()
    );
}
