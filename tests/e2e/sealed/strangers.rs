//! Peers that are not of this kind, many that never say who they are, and what was said before.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use teleport::plugins::secure::{Legacy, SecureExt};
use teleport::session::{Redial, SessionEventKind};
use teleport::{ErrorKind, Peer, PeerBuilder};
use teleport_tests::frames::RawFrame;
use teleport_tests::middle::{Middle, Way, middle};
use teleport_tests::pair::settle;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use super::{Handled, as_it_is, sealed, serve};

const LONG: Duration = Duration::from_secs(60);

fn legacy() -> PeerBuilder {
    Peer::builder().plugin(Legacy::new(100_001, "cipherkey1234567").unwrap())
}

#[tokio::test(start_paused = true)]
async fn sealed_peers_and_those_of_the_go_mode_do_not_mix() {
    for (server, client, server_is_sealed) in
        [(sealed(), legacy(), true), (legacy(), sealed(), false)]
    {
        let (server, client) = (server.build().unwrap(), client.build().unwrap());
        let handled = Handled::default();
        serve(&server, &handled);
        let (near, far, middle) = middle(as_it_is);
        let (there, here) = tokio::join!(server.serve_conn(far), async {
            let here = client.dial_conn(near).await?;
            // The dial of one that says nothing is done before anybody has answered.
            let call = here.call::<String>("/work/echo", "secret body");
            call.secure().await.map(drop)
        });
        let error = here.unwrap_err();
        match server_is_sealed {
            true => {
                assert!(there.is_err());
                assert_eq!(error.kind(), ErrorKind::Remote, "{error}");
                assert!(
                    error.to_string().contains("sealed sessions only"),
                    "{error}"
                );
            }
            false => {
                assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
                assert!(
                    error.to_string().contains("does not take sealed"),
                    "{error}"
                );
            }
        }
        assert!(handled.all().is_empty());
        for (_, frame) in middle.seen() {
            assert!(!String::from_utf8_lossy(&frame).contains("secret"));
        }
    }
}

/// What a stranger says, and then nothing more.
fn half_said(number: usize) -> Vec<u8> {
    let hello = RawFrame::call("A", "/secure/hello", "").codec(0);
    let nonce = "1f".repeat(32);
    let hello = hello.meta(&format!(
        "X-Sealed-Version=1&X-Sealed-Key=k1&X-Sealed-Nonce={nonce}"
    ));
    let bytes = hello.bytes();
    match number % 4 {
        0 => Vec::new(),
        // The length of a message that would be taken.
        1 => vec![0, 0, 0x3f, 0xff],
        2 => bytes[..bytes.len() - 1].to_vec(),
        _ => bytes,
    }
}

#[tokio::test(start_paused = true)]
async fn thousands_of_half_open_handshakes_are_gone_when_their_time_is_over() {
    let server = sealed().build().unwrap();
    let handled = Handled::default();
    serve(&server, &handled);
    let started = Instant::now();
    let mut strangers = Vec::new();
    for number in 0..4000 {
        let (mut near, far) = tokio::io::duplex(1 << 10);
        near.write_all(&half_said(number)).await.unwrap();
        let server = server.clone();
        let served = tokio::spawn(async move { server.serve_conn(far).await });
        strangers.push((near, served));
    }
    // Meanwhile whoever has the key comes in.
    let client = sealed().build().unwrap();
    let (near, far) = tokio::io::duplex(1 << 16);
    let (there, here) = tokio::join!(server.serve_conn(far), client.dial_conn(near));
    let echoed = here.unwrap().call::<String>("/work/echo", "x").await;
    assert_eq!((echoed.unwrap().as_str(), there.is_ok()), ("x", true));
    assert_eq!(server.sessions().len(), 1);
    assert!(started.elapsed() < Duration::from_secs(5));
    for (mut near, served) in strangers {
        let error = served.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        let mut said = Vec::new();
        near.read_to_end(&mut said).await.unwrap();
        assert!(said.len() < 400, "{}", said.len());
    }
    assert!(started.elapsed() < Duration::from_secs(6));
    assert_eq!(server.sessions().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_byte_by_byte_is_a_handshake_while_its_time_lasts() {
    for (pause, in_time) in [(1, true), (100, false)] {
        let (server, client) = (sealed().build().unwrap(), sealed().build().unwrap());
        let (near, mut toll) = tokio::io::duplex(1 << 10);
        let (mut drips, far) = tokio::io::duplex(1 << 10);
        tokio::spawn(async move {
            let mut byte = [0];
            let mut from_server = [0; 1024];
            loop {
                tokio::select! {
                    Ok(1) = toll.read(&mut byte) => {
                        tokio::time::sleep(Duration::from_millis(pause)).await;
                        if drips.write_all(&byte).await.is_err() {
                            return;
                        }
                    }
                    Ok(n) = drips.read(&mut from_server) => {
                        if n == 0 || toll.write_all(&from_server[..n]).await.is_err() {
                            return;
                        }
                    }
                    else => return,
                }
            }
        });
        let (there, here) = tokio::join!(server.serve_conn(far), client.dial_conn(near));
        assert_eq!((there.is_ok(), here.is_ok()), (in_time, in_time), "{pause}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_said_on_one_connection_is_refused_on_the_next_of_its_session() {
    let server = sealed().build().unwrap();
    let handled = Handled::default();
    serve(&server, &handled);
    let middles: Arc<Mutex<Vec<Middle>>> = Arc::default();
    let keep = Arc::clone(&middles);
    let connect = move || {
        let (near, far, middle) = middle(as_it_is);
        keep.lock().unwrap().push(middle);
        let server = server.clone();
        tokio::spawn(async move { server.serve_conn(far).await });
        async move { Ok(near) }
    };
    let client = sealed().build().unwrap();
    let session = client.dial_by(connect).redial(Redial::forever()).await;
    let session = session.unwrap();
    let mut events = session.events();
    session.push("/note/it", "pay").await.unwrap();
    settle().await;
    let old = middles.lock().unwrap()[0].seen_to(Way::ToServer);
    session.drop_connection("a test");
    let mut restored = async || {
        while !matches!(
            timeout(LONG, events.recv()).await.unwrap().unwrap().kind,
            SessionEventKind::Restored { .. }
        ) {}
    };
    restored().await;
    // The push again; then, for those are of this kind too, all that was ever said.
    for (number, frame) in old.into_iter().rev().enumerate() {
        let last = middles.lock().unwrap().len() - 1;
        assert_eq!(last, number + 1);
        middles.lock().unwrap()[last].inject(Way::ToServer, frame);
        restored().await;
        assert_eq!(handled.all(), ["pay"]);
    }
    let echoed = session.call::<String>("/work/echo", "x").await;
    assert_eq!(echoed.unwrap(), "x");
    session.close().await;
}
