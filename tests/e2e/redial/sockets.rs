//! Real sockets: servers that come back, that do not, and that are something else.

use std::time::Duration;
use teleport::session::{Backoff, Redial};
use teleport::{Peer, Session};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::Echo;

fn quickly(times: i32) -> Redial {
    Redial::times(times)
        .backoff(Backoff::Fixed)
        .interval(Duration::from_millis(5))
}

async fn serve(address: &str) -> (Peer, String) {
    let server = Peer::builder().build().unwrap();
    server.route_call(Echo::default()).unwrap();
    let bound = server.listen_on(address).await.unwrap();
    (server, bound.to_string())
}

async fn echo(session: &Session, n: i64) -> Result<i64, teleport::Error> {
    session.call("/echo/now", n).await
}

#[tokio::test]
async fn a_tcp_server_that_is_restarted_is_found_again() {
    let (mut server, address) = serve("127.0.0.1:0").await;
    let client = Peer::builder().build().unwrap();
    let session = client.dial(&address).redial(quickly(-1)).await.unwrap();
    for n in 0..3 {
        assert_eq!(echo(&session, n).await.unwrap(), n);
        server.close().await;
        server = serve(&address).await.0;
    }
    assert_eq!(echo(&session, 9).await.unwrap(), 9);
    let (ours, first) = (session.current(), session.clone());
    assert_eq!(ours.remote_address(), first.remote_address());
    assert_ne!(ours.local_address(), first.local_address());
    assert!(ours.is_same(&first));
    client.close().await;
}

#[tokio::test]
async fn a_unix_server_that_is_restarted_is_found_again() {
    let folder = std::env::temp_dir().join(format!("teleport-redial-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let address = format!("unix:{}/socket", folder.display());
    let (server, _) = serve(&address).await;
    let client = Peer::builder().build().unwrap();
    let session = client.dial(&address).redial(quickly(-1)).await.unwrap();
    echo(&session, 1).await.unwrap();
    server.close().await;
    let (_server, _) = serve(&address).await;
    assert_eq!(echo(&session, 2).await.unwrap(), 2);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn an_address_that_vanished_is_given_up_with_its_name() {
    let (server, address) = serve("127.0.0.1:0").await;
    let client = Peer::builder().build().unwrap();
    let session = client.dial(&address).redial(quickly(3)).await.unwrap();
    server.close().await;
    session.closed().await;
    let reason = session.close_reason().unwrap();
    assert!(reason.contains("attempt 3 failed"), "{reason}");
    assert!(reason.contains(&address), "{reason}");
}

#[tokio::test]
async fn a_name_that_no_longer_resolves_is_an_attempt_like_any_other() {
    let (server, address) = serve("127.0.0.1:0").await;
    let client = Peer::builder().build().unwrap();
    let is_gone = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let gone = is_gone.clone();
    let connector = move || {
        let name = match gone.load(std::sync::atomic::Ordering::SeqCst) {
            true => "nobody.invalid:1".to_owned(),
            false => address.clone(),
        };
        async move { tokio::net::TcpStream::connect(name).await }
    };
    let session = client.dial_by(connector).redial(quickly(2)).await.unwrap();
    echo(&session, 1).await.unwrap();
    is_gone.store(true, std::sync::atomic::Ordering::SeqCst);
    server.close().await;
    session.closed().await;
    let reason = session.close_reason().unwrap();
    assert!(reason.contains("attempt 2 failed"), "{reason}");
}

#[tokio::test]
async fn a_server_of_another_protocol_is_given_up() {
    let (server, address) = serve("127.0.0.1:0").await;
    let client = Peer::builder().build().unwrap();
    let session = client.dial(&address).redial(quickly(3)).await.unwrap();
    server.close().await;
    let other = TcpListener::bind(&address).await.unwrap();
    let answering = tokio::spawn(async move {
        let mut count = 0;
        loop {
            let (mut stream, _) = other.accept().await.unwrap();
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            count += 1;
            if count == 3 {
                return count;
            }
        }
    });
    session.closed().await;
    assert_eq!(answering.await.unwrap(), 3);
    let reason = session.close_reason().unwrap();
    assert!(reason.contains("no attempt is left"), "{reason}");
}
