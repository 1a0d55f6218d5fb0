//! The log line of every call and push.

use std::time::Duration;

use bytes::Bytes;
use teleport::codec::Raw;
use teleport::{Peer, PeerBuilder, PushCtx, Rerror, controller, push_handler};
use teleport_tests::frames::RawFrame;
use teleport_tests::logs::{Line, Logs, capture};
use teleport_tests::pair::{Pair, bare, call_bytes, settle};
use tokio::io::AsyncWriteExt;
use tracing::Level;

struct Work;

#[controller]
impl Work {
    async fn echo(&self, ctx: &mut teleport::CallCtx, arg: Bytes) -> Bytes {
        ctx.set_meta("reply", "meta\n");
        arg
    }

    async fn fails(&self) -> Result<(), Rerror> {
        Err(Rerror::new(42, "no", "a\nreason"))
    }

    async fn never(&self) {
        std::future::pending::<()>().await;
    }
}

struct Note;

#[push_handler]
impl Note {
    async fn down(&self, _ctx: &mut PushCtx, _arg: Bytes) {}

    async fn fails(&self) -> Result<(), Rerror> {
        Err(Rerror::new(43, "no push", ""))
    }
}

async fn pair(server: PeerBuilder, client: PeerBuilder) -> Pair {
    let pair = Pair::of(server, client).await;
    pair.server.route_call(Work).unwrap();
    pair.server.route_push(Note).unwrap();
    pair
}

/// The one line of that kind.
#[track_caller]
fn one(logs: &Logs, kind: &str) -> Line {
    let mut lines = logs.access();
    lines.retain(|line| line.text.starts_with(kind));
    assert_eq!(lines.len(), 1, "{kind}: {lines:#?}");
    lines.remove(0)
}

/// The number behind `name=`.
#[track_caller]
fn number(line: &Line, name: &str) -> usize {
    let mut words = line.text.split_whitespace();
    let found = words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    found
        .unwrap_or_else(|| panic!("no {name} in {line:?}"))
        .parse()
        .unwrap()
}

#[tokio::test]
async fn each_end_writes_one_line_a_call() {
    let (logs, _guard) = capture(true);
    let pair = pair(Peer::builder(), Peer::builder()).await;
    let reply: Raw<Bytes> = pair
        .here
        .call("/work/echo?q=1", Raw("body"))
        .meta("X-Real-IP", "1.2.3.4:5")
        .seq("my-seq")
        .await
        .unwrap();
    assert_eq!(reply.0, "body");
    settle().await;
    assert_eq!(logs.access().len(), 2, "{:#?}", logs.access());
    let (launch, handle) = (one(&logs, "CALL-LAUNCH"), one(&logs, "CALL-HANDLE"));
    for line in [&launch, &handle] {
        assert_eq!(line.level, Level::INFO);
        for text in [
            " uri=/work/echo?q=1 ",
            " seq=my-seq ",
            " real_ip=1.2.3.4:5 ",
        ] {
            assert!(
                line.text.contains(text),
                "{text:?} is not in {:?}",
                line.text
            );
        }
        for text in ["cost=", "fast", "slow", "error", "body"] {
            assert!(!line.text.contains(text), "{text:?} is in {:?}", line.text);
        }
    }
    assert_eq!(number(&launch, "sent"), number(&handle, "recv"));
    assert_eq!(number(&launch, "recv"), number(&handle, "sent"));
    assert!(number(&launch, "sent") > number(&launch, "recv"));
}

#[tokio::test]
async fn each_end_writes_one_line_a_push() {
    let (logs, _guard) = capture(true);
    let pair = pair(Peer::builder(), Peer::builder()).await;
    pair.here.push("/note/down", "x").await.unwrap();
    settle().await;
    assert_eq!(logs.access().len(), 2, "{:#?}", logs.access());
    let (launch, handle) = (one(&logs, "PUSH-LAUNCH"), one(&logs, "PUSH-HANDLE"));
    assert_eq!(number(&launch, "sent"), number(&handle, "recv"));
    assert_eq!(number(&launch, "recv") + number(&handle, "sent"), 0);
    assert!(handle.text.contains(" uri=/note/down seq=A "));
    // Broadcasts are pushes.
    pair.client
        .sessions()
        .broadcast("/note/down", "x")
        .await
        .unwrap();
    settle().await;
    assert_eq!(logs.access().len(), 4);
}

#[tokio::test]
async fn a_line_by_tcp_names_the_other_end() {
    let (logs, _guard) = capture(true);
    let server = Peer::builder().build().unwrap();
    server.route_call(Work).unwrap();
    let address = server.listen_on("127.0.0.1:0").await.unwrap().to_string();
    let client = Peer::builder().build().unwrap();
    let session = client.dial(&address).await.unwrap();
    call_bytes(&session, "/work/echo", "x").await.unwrap();
    let start = |kind: &str, remote: &str| format!("{kind} {remote} uri=");
    let local = session.local_address().to_string();
    assert!(
        one(&logs, "CALL-LAUNCH")
            .text
            .starts_with(&start("CALL-LAUNCH", &address))
    );
    assert!(
        one(&logs, "CALL-HANDLE")
            .text
            .starts_with(&start("CALL-HANDLE", &local))
    );
}

#[tokio::test]
async fn errors_are_shown_on_both_ends() {
    let (logs, _guard) = capture(true);
    let pair = pair(Peer::builder(), Peer::builder()).await;
    for (uri, body, error) in [
        ("/work/fails", "", r"error=42 no: a\nreason"),
        ("/none", "", "error=404 Not Found"),
        ("%zz", "", "error=400 Bad Message: invalid URI"),
        ("/note/fails", "", "error=404 Not Found"),
    ] {
        let before = logs.access().len();
        let call = pair.here.call::<()>(uri, Raw(body)).await;
        assert!(call.is_err());
        settle().await;
        let lines = logs.access().split_off(before);
        assert_eq!(lines.len(), 2, "{uri}: {lines:#?}");
        for line in lines {
            assert_eq!(line.level, Level::WARN);
            assert!(
                line.text.contains(error),
                "{error} is not in {:?}",
                line.text
            );
            assert!(!line.text.contains('\n'), "{:?}", line.text);
        }
    }
    let before = logs.access().len();
    pair.here.push("/note/fails", ()).await.unwrap();
    pair.here.push("/none", ()).await.unwrap();
    settle().await;
    let lines = logs.access().split_off(before);
    let errors: Vec<_> = lines
        .iter()
        .filter(|line| line.level == Level::WARN)
        .collect();
    assert_eq!((lines.len(), errors.len()), (4, 2), "{lines:#?}");
    assert!(errors[0].text.contains("error=43 no push"));
    assert!(errors[1].text.contains("error=404"));
}

#[tokio::test(start_paused = true)]
async fn calls_without_a_reply_have_their_line() {
    let (logs, _guard) = capture(true);
    let pair = pair(Peer::builder(), Peer::builder()).await;
    let call = pair
        .here
        .call::<()>("/work/never", ())
        .timeout(Duration::from_secs(3));
    call.await.unwrap_err();
    assert!(
        one(&logs, "CALL-LAUNCH")
            .text
            .contains("no reply came within 3s")
    );

    let dropped = pair
        .here
        .call::<()>("/work/never?dropped", ())
        .send()
        .await
        .unwrap();
    drop(dropped);
    assert!(logs.has(&[
        "CALL-LAUNCH",
        "uri=/work/never?dropped",
        "error=",
        "the call was dropped"
    ]));

    let cut = pair
        .here
        .call::<()>("/work/never?cut", ())
        .send()
        .await
        .unwrap();
    pair.here.abort();
    cut.await.unwrap_err();
    assert!(logs.has(&["CALL-LAUNCH", "uri=/work/never?cut", "error=", "is closed"]));
}

#[tokio::test]
async fn the_pace_is_told_by_the_threshold() {
    let hour = Duration::from_secs(3600);
    let nothing = Duration::from_nanos(1);
    for (threshold, count_time, shown, hidden) in [
        (
            Duration::ZERO,
            false,
            &[][..],
            &["cost=", "fast", "slow"][..],
        ),
        (Duration::ZERO, true, &["cost=", "(fast)"], &["slow"]),
        (hour, false, &["(fast)"], &["cost=", "slow"]),
        (hour, true, &["cost=", "(fast)"], &["slow"]),
        (nothing, false, &["(slow)"], &["cost=", "fast"]),
        (nothing, true, &["cost=", "(slow)"], &["fast"]),
    ] {
        let (logs, _guard) = capture(true);
        let builder = || {
            Peer::builder()
                .slow_comet_duration(threshold)
                .count_time(count_time)
        };
        let pair = pair(builder(), builder()).await;
        call_bytes(&pair.here, "/work/echo", "x").await.unwrap();
        pair.here.push("/note/down", "x").await.unwrap();
        settle().await;
        let lines = logs.access();
        assert_eq!(lines.len(), 4);
        for line in lines {
            let slow = threshold == nothing;
            assert_eq!(line.level, if slow { Level::WARN } else { Level::INFO });
            assert!(
                shown.iter().all(|text| line.text.contains(text)),
                "{line:?}"
            );
            assert!(
                !hidden.iter().any(|text| line.text.contains(text)),
                "{line:?}"
            );
        }
    }
}

#[tokio::test]
async fn details_show_metadata_and_bodies_in_one_printable_line() {
    let (logs, _guard) = capture(true);
    let detailed = || Peer::builder().print_detail(true);
    let pair = pair(detailed(), detailed()).await;
    let call = pair
        .here
        .call::<Raw<Bytes>>("/work/echo", Raw("a\u{1b}[31m\r\n\u{2028}é"));
    call.meta("k", "v w").await.unwrap();
    settle().await;
    for line in logs.access() {
        let body = r"body=a\u{1b}[31m\r\n\u{2028}é]";
        assert_eq!(line.text.matches(body).count(), 2, "{:?}", line.text);
        assert!(line.text.contains("[meta=k=v%20w "), "{:?}", line.text);
        assert!(
            line.text.contains("[meta=reply=meta%0A "),
            "{:?}",
            line.text
        );
        assert!(!line.text.chars().any(char::is_control), "{:?}", line.text);
    }
    let (first, second) = ("send=[", "recv=[");
    assert!(
        one(&logs, "CALL-LAUNCH").text.find(first) < one(&logs, "CALL-LAUNCH").text.find(second)
    );
    assert!(
        one(&logs, "CALL-HANDLE").text.find(second) < one(&logs, "CALL-HANDLE").text.find(first)
    );

    // A long body is shown in part.
    let before = logs.access().len();
    call_bytes(&pair.here, "/work/echo", vec![b'y'; 100_000])
        .await
        .unwrap();
    settle().await;
    for line in logs.access().split_off(before) {
        assert!(line.text.len() < 20_000 && line.text.contains("100000 bytes in all"));
    }
    pair.here.push("/note/down", Raw("pushed\0")).await.unwrap();
    settle().await;
    for kind in ["PUSH-LAUNCH", "PUSH-HANDLE"] {
        assert!(one(&logs, kind).text.contains(r"body=pushed\u{0}]"));
    }
}

#[tokio::test]
async fn what_the_other_end_says_cannot_break_the_line() {
    let (logs, _guard) = capture(true);
    let server = Peer::builder().print_detail(true).build().unwrap();
    server.route_call(Work).unwrap();
    let (_session, mut stream) = bare(&server, 1 << 16).await;
    let call = RawFrame::call("s\r\n\u{1b}[2J", "/work/echo?\n\u{202e}", "x\n")
        .meta("X-Real-IP=%0A%1B&k=\n");
    stream.write_all(&call.bytes()).await.unwrap();
    settle().await;
    let line = one(&logs, "CALL-HANDLE");
    assert!(!line.text.chars().any(char::is_control), "{:?}", line.text);
    assert!(!line.text.contains('\u{202e}'), "{:?}", line.text);
    assert!(line.text.contains(r"real_ip=\n\u{1b}"), "{:?}", line.text);
}
