//! Many at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use teleport::Peer;
use teleport::tls::TlsServer;
use teleport_tests::pair::call_bytes;
use tokio::task::JoinSet;

use super::support::{Authority, Folder, client_tls, peer, server_tls};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_sessions_come_at_once_and_live_side_by_side() {
    let authority = Authority::new("tests");
    // A machine that is busy elsewhere takes its time for a thousand key exchanges.
    let patient = || Peer::builder().handshake_timeout(Duration::from_secs(120));
    let server = peer(patient().tls_server(server_tls(&authority.signs("localhost"))));
    let client = peer(patient().tls_client(client_tls(&authority)));
    let address = server.listen_on("127.0.0.1:0").await.unwrap();
    let mut coming = JoinSet::new();
    for _ in 0..1000 {
        let (client, address) = (client.clone(), address.clone());
        coming.spawn(async move {
            let session = client.dial(&address).await.unwrap();
            assert_eq!(call_bytes(&session, "/echo/back", "x").await.unwrap(), "x");
            session
        });
    }
    let sessions = coming.join_all().await;
    assert_eq!(server.sessions().len(), 1000);
    let mut calling = JoinSet::new();
    for session in sessions {
        calling.spawn(async move {
            let body = vec![7; 5000];
            for _ in 0..3 {
                let back = call_bytes(&session, "/echo/back", body.clone()).await;
                assert!(back.unwrap() == body);
            }
            assert_eq!(session.queued_bytes(), 0);
        });
    }
    calling.join_all().await;
    client.close().await;
    server.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_swapped_under_load_and_no_dial_fails() {
    let authority = Authority::new("tests");
    let signed = [authority.signs("localhost"), authority.signs("localhost")];
    let folder = Folder::new("swapped");
    let put = |i: usize| {
        let one = &signed[i % 2];
        (
            folder.put("cert.pem", &one.cert),
            folder.put("key.pem", &one.key),
        )
    };
    let (cert, key) = put(0);
    let tls = TlsServer::builder()
        .identity_files(cert, key)
        .build()
        .unwrap();
    let server = peer(Peer::builder().tls_server(tls.clone()));
    let address = server.listen_on("127.0.0.1:0").await.unwrap();
    let client = peer(Peer::builder().tls_client(client_tls(&authority)));
    let (over, dialled) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let mut dialling = JoinSet::new();
    for _ in 0..4 {
        let (client, address) = (client.clone(), address.clone());
        let (over, dialled) = (Arc::clone(&over), Arc::clone(&dialled));
        dialling.spawn(async move {
            while !over.load(Ordering::SeqCst) {
                let session = client.dial(&address).await.unwrap();
                assert_eq!(call_bytes(&session, "/echo/back", "x").await.unwrap(), "x");
                session.close().await;
                dialled.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    for i in 1..=100 {
        put(i);
        tls.reload().unwrap();
        let before = dialled.load(Ordering::SeqCst);
        while dialled.load(Ordering::SeqCst) == before && !dialling.is_empty() {
            tokio::task::yield_now().await;
        }
    }
    over.store(true, Ordering::SeqCst);
    dialling.join_all().await;
    client.close().await;
    server.close().await;
}
