//! Going on from an earlier connection, without certificates being sent.

use teleport::tls::TlsServer;
use teleport::{Peer, Session};
use teleport_tests::pair::call_bytes;

use super::support::{Authority, Folder, client_with, mutual, one_session, peer};

/// Dials, and calls, so that what the server hands out for the next time has come.
async fn dialled(client: &Peer, address: &teleport::socket::Address) -> Session {
    let session = client.dial(address).await.unwrap();
    call_bytes(&session, "/echo/back", "x").await.unwrap();
    session
}

#[tokio::test]
async fn the_second_connection_goes_on_from_the_first_and_knows_its_certificates() {
    let authority = Authority::new("tests");
    let server = peer(Peer::builder().tls_server(mutual(&authority, |_| {})));
    let address = server.listen_on("127.0.0.1:0").await.unwrap();
    let alice = authority.signs("alice");
    let client = peer(Peer::builder().tls_client(client_with(&authority, &alice)));
    let mut shown = Vec::new();
    for resumed in [false, true, true] {
        let here = dialled(&client, &address).await;
        let there = one_session(&server).await;
        for session in [&here, &there] {
            let tls = session.tls().unwrap();
            assert_eq!(tls.is_resumed(), resumed);
            assert_eq!(tls.peer_certificates().len(), 1);
        }
        shown.push(there.tls().unwrap().peer_certificates().to_vec());
        here.close().await;
        there.closed().await;
    }
    assert!(shown.iter().all(|certificates| certificates == &shown[0]));
    server.close().await;
}

#[tokio::test]
async fn nothing_is_resumed_over_a_reload() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let folder = Folder::new("resumed");
    let signed = old.signs("localhost");
    let ca = folder.put("clients.pem", &old.pem());
    let tls = TlsServer::builder()
        .identity_pem(&signed.cert, &signed.key)
        .client_ca_file(ca);
    let tls = tls.build().unwrap();
    let server = peer(Peer::builder().tls_server(tls.clone()));
    let address = server.listen_on("127.0.0.1:0").await.unwrap();
    let alice = old.signs("alice");
    let client = peer(Peer::builder().tls_client(client_with(&old, &alice)));
    dialled(&client, &address).await;
    assert!(dialled(&client, &address).await.tls().unwrap().is_resumed());

    // Whoever is let in no more does not come in by an earlier permission.
    folder.put("clients.pem", &new.pem());
    tls.reload().unwrap();
    let error = client.dial(&address).await.unwrap_err();
    let text = format!("{error:?}");
    assert!(text.contains("does not trust its authority"), "{text}");
    server.close().await;
}
