//! The names that certificates are for.

use teleport::tls::{TlsClient, TlsServer};
use teleport::{ErrorKind, Peer};

use super::support::{Authority, exchange, peer, server_tls};

#[tokio::test]
async fn names_that_are_none_are_refused_before_anything_is_dialled() {
    let authority = Authority::new("tests");
    let long = "x".repeat(300);
    for name in ["", "no name", "a..b", "[::1]", "a:1", "é", "*", &long] {
        let builder = TlsClient::builder().ca_pem(authority.pem());
        let error = builder.server_name(name).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{name:?}");
        let said = error.to_string();
        assert!(said.contains("name"), "{name:?}: {said}");
    }
}

#[tokio::test]
async fn names_are_the_same_in_capitals_and_with_the_dot_of_the_root() {
    let authority = Authority::new("tests");
    let server = peer(Peer::builder().tls_server(server_tls(&authority.signs("localhost"))));
    let address = server.listen_on("127.0.0.1:0").await.unwrap();
    for name in ["localhost", "LOCALHOST", "localhost."] {
        let tls = TlsClient::builder().ca_pem(authority.pem());
        let tls = tls.server_name(name).build().unwrap();
        let client = peer(Peer::builder().tls_client(tls));
        exchange(&client.dial(&address).await.unwrap()).await;
    }
    server.close().await;
}

#[tokio::test]
async fn a_certificate_may_be_for_an_address() {
    let authority = Authority::new("tests");
    let tls = TlsClient::builder()
        .ca_pem(authority.pem())
        .build()
        .unwrap();
    let client = peer(Peer::builder().tls_client(tls));
    for (host, bind) in [("127.0.0.1", "127.0.0.1:0"), ("::1", "[::1]:0")] {
        if std::net::TcpListener::bind(bind).is_err() {
            continue; // No IPv6 on this machine.
        }
        let server = peer(Peer::builder().tls_server(server_tls(&authority.signs(host))));
        let address = server.listen_on(bind).await.unwrap();
        let session = client.dial(&address).await.unwrap();
        exchange(&session).await;
        assert_eq!(session.tls().unwrap().server_name(), Some(host));
        // A zone is of this machine, and in no certificate.
        if host == "::1" {
            let zoned = format!("[::1%1]:{}", address.port().unwrap());
            exchange(&client.dial(zoned).await.unwrap()).await;
        }
        server.close().await;
    }
}

#[tokio::test]
async fn a_unix_socket_needs_a_name_to_verify() {
    let authority = Authority::new("tests");
    let signed = authority.signs("localhost");
    let tls = TlsServer::builder().identity_pem(&signed.cert, &signed.key);
    let server = peer(Peer::builder().tls_server(tls.build().unwrap()));
    let name = format!("unix:@teleport-names-{}", std::process::id());
    let address = server.listen_on(&name).await.unwrap();
    let tls = TlsClient::builder()
        .ca_pem(authority.pem())
        .build()
        .unwrap();
    let client = peer(Peer::builder().tls_client(tls));
    let error = format!("{:?}", client.dial(&address).await.unwrap_err());
    assert!(error.contains("name one with `server_name`"), "{error}");
    server.close().await;
}
