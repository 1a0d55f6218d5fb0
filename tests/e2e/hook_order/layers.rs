//! Plugins on the left, of a peer, of groups in one another, of a handler, and on the right.

use teleport::{Hooks, Peer, PeerBuilder, PluginContainer, Rerror, UnknownCallCtx};
use teleport_tests::exchange::Exchange;
use teleport_tests::pair::{connect, settle};

use super::{Hear, Trace, Tracer, Work, words};

const ROUTED: Hooks = Hooks::AFTER_ROUTING;

/// The plugins of a peer itself, and those of one route in it.
const OF_PEER: &str = "left1 left2 peer1 peer2 right1 right2";
const OF_ROUTE: &str = "left1 left2 peer1 peer2 group1 group2 handler right1 right2";

/// A peer with plugins on its left, in its middle, and on its right.
fn layered(trace: &Trace) -> PeerBuilder {
    let tracer = |name: &str| Tracer::new(name, trace);
    let mut plugins = PluginContainer::new();
    plugins.append(tracer("peer1")).unwrap();
    plugins.append_right(tracer("right1")).unwrap();
    plugins.append_left(tracer("left1")).unwrap();
    plugins.append(tracer("peer2")).unwrap();
    plugins.append_right(tracer("right2")).unwrap();
    plugins.append_left(tracer("left2")).unwrap();
    Peer::builder().plugins(plugins)
}

/// The same with a handler in two groups that have plugins of their own, as it has.
fn nested(trace: &Trace) -> Peer {
    let tracer = |name: &str| Tracer::new(name, trace).only(ROUTED);
    let server = layered(trace).build().unwrap();
    let outer = server.sub_route("outer").plugin(tracer("group1"));
    let inner = outer.sub_route("inner").plugin(tracer("group2"));
    let with = inner.with(tracer("handler"));
    with.route_call(Work(trace.clone())).unwrap();
    with.route_push(Hear(trace.clone())).unwrap();
    server
}

/// The line of hooks, each run by all of these plugins before the next.
fn line(parts: &[(&str, &str)]) -> Vec<String> {
    let mut line = Vec::new();
    for (hooks, plugins) in parts {
        for hook in words(hooks) {
            line.extend(words(plugins).iter().map(|name| format!("{name}.{hook}")));
        }
    }
    line
}

#[tokio::test]
async fn plugins_run_from_left_by_peer_group_and_handler_to_right() {
    let trace = Trace::default();
    let server = nested(&trace);
    let client = Peer::builder().build().unwrap();
    let (_there, here) = connect(&server, &client).await;
    let names: Vec<_> = server
        .plugins()
        .iter()
        .map(|plugin| plugin.name().to_owned())
        .collect();
    assert_eq!(names, words(OF_PEER));
    trace.take();
    here.call::<i64>("/outer/inner/work/echo", 1).await.unwrap();
    settle().await;
    let read = line(&[
        ("pre_read_header post_read_call_header", OF_PEER),
        ("pre_read_call_body post_read_call_body", OF_ROUTE),
    ]);
    let replied = line(&[("pre_write_reply post_write_reply", OF_ROUTE)]);
    let handler = vec!["handler".to_owned()];
    assert_eq!(trace.take(), [read, handler.clone(), replied].concat());
    here.push("/outer/inner/hear/it", 1).await.unwrap();
    settle().await;
    let read = line(&[
        ("pre_read_header post_read_push_header", OF_PEER),
        ("pre_read_push_body post_read_push_body", OF_ROUTE),
    ]);
    assert_eq!(trace.take(), [read, handler].concat());
}

#[tokio::test]
async fn without_a_route_only_plugins_of_the_peer_or_of_the_unknown_handler_run() {
    async fn unknown(_: &mut UnknownCallCtx) -> Result<i64, Rerror> {
        Ok(1)
    }

    let trace = Trace::default();
    let server = nested(&trace);
    let client = Peer::builder().build().unwrap();
    let (_there, here) = connect(&server, &client).await;
    trace.take();
    // A path in a group that is no route is in no group.
    for uri in ["/none", "/outer/inner/work/none"] {
        here.call::<i64>(uri, 1).await.unwrap_err();
        settle().await;
        let hooks = "pre_read_header post_read_call_header pre_write_reply post_write_reply";
        assert_eq!(trace.take(), line(&[(hooks, OF_PEER)]), "{uri}");
    }
    server.set_unknown_call(unknown).unwrap();
    trace.take();
    here.call::<i64>("/outer/inner/work/none", 1).await.unwrap();
    settle().await;
    let hooks = "pre_read_header post_read_call_header pre_read_call_body post_read_call_body \
        pre_write_reply post_write_reply";
    assert_eq!(trace.take(), line(&[(hooks, OF_PEER)]));
}

#[tokio::test]
async fn plugins_of_the_end_that_calls_run_in_the_same_order() {
    let trace = Trace::default();
    let server = Peer::builder().build().unwrap();
    server.route_call(Work(trace.clone())).unwrap();
    let client = layered(&trace).build().unwrap();
    trace.take();
    let exchange = Exchange::new(&server);
    let here = client.dial_by(exchange.connector()).await.unwrap();
    assert_eq!(trace.take(), line(&[("pre_dial post_dial", OF_PEER)]));
    here.call::<i64>("/work/echo", 1).await.unwrap();
    let mut lines = trace.take();
    lines.retain(|line| line != "handler");
    let hooks = "pre_write_call post_write_call pre_read_header post_read_reply_header \
        pre_read_reply_body post_read_reply_body";
    assert_eq!(lines, line(&[(hooks, OF_PEER)]));
    here.push("/none", 1).await.unwrap();
    assert_eq!(
        trace.take(),
        line(&[("pre_write_push post_write_push", OF_PEER)])
    );
    here.close().await;
    here.closed().await;
    settle().await;
    assert_eq!(trace.take(), line(&[("post_disconnect", OF_PEER)]));
}

#[tokio::test]
async fn two_plugins_of_one_name_do_not_act_on_one_route() {
    let trace = Trace::default();
    let server = nested(&trace);
    for name in ["left1", "peer2", "right2", "twin"] {
        let group = server
            .sub_route("twin")
            .plugin(Tracer::new("twin", &trace).only(ROUTED));
        let with = group.with(Tracer::new(name, &trace).only(ROUTED));
        let error = with.route_call(Work(trace.clone())).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
    assert!(
        server
            .routes()
            .iter()
            .all(|route| !route.path().starts_with("/twin"))
    );
}
