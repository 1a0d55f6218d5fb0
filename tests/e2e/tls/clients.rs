//! The certificates of clients.

use rcgen::date_time_ymd;
use teleport::Peer;

use super::support::{
    Authority, Guest, base64, client_tls, client_with, exchange, mutual, peer, pem_body, refused,
    said,
};

#[tokio::test]
async fn plugins_see_the_certificate_of_a_client() {
    let authority = Authority::new("tests");
    let guest = Guest::default();
    let server = peer(
        Peer::builder()
            .tls_server(mutual(&authority, |_| {}))
            .plugin(guest.clone()),
    );
    let address = server.listen_on("127.0.0.1:0").await.unwrap();
    let signed = authority.signs("alice");
    let client = peer(Peer::builder().tls_client(client_with(&authority, &signed)));
    let session = client.dial(&address).await.unwrap();
    exchange(&session).await;
    let pem = pem_body(&signed.cert);
    let shown = guest.0.lock().unwrap().clone();
    assert_eq!(shown.len(), 1);
    assert_eq!(base64(&shown[0]), pem);
    client.close().await;
    server.close().await;
}

#[tokio::test]
async fn a_client_without_a_certificate_comes_in_where_that_is_optional() {
    let authority = Authority::new("tests");
    let guest = Guest::default();
    let server = peer(
        Peer::builder()
            .tls_server(mutual(&authority, |optional| *optional = true))
            .plugin(guest.clone()),
    );
    let address = server.listen_on("127.0.0.1:0").await.unwrap();
    let client = peer(Peer::builder().tls_client(client_tls(&authority)));
    let session = client.dial(&address).await.unwrap();
    exchange(&session).await;
    assert!(guest.0.lock().unwrap().is_empty());
    server.close().await;
}

#[tokio::test]
async fn a_client_without_a_certificate_is_told_that_one_is_due() {
    let authority = Authority::new("tests");
    let server = mutual(&authority, |_| {});
    let outcome = refused(server, Some(client_tls(&authority))).await;
    said(
        &outcome,
        "the other side asks for a certificate, and this side has none",
        "the other side shows no certificate",
    );
}

#[tokio::test]
async fn a_client_with_a_certificate_of_an_unknown_authority_is_refused() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let signed = theirs.signs("mallory");
    let client = client_with(&ours, &signed);
    let outcome = refused(mutual(&ours, |_| {}), Some(client)).await;
    said(
        &outcome,
        "the other side refuses the certificate of this side",
        "of no authority that is trusted here",
    );
}

#[tokio::test]
async fn a_client_certificate_that_has_expired_is_refused() {
    let authority = Authority::new("tests");
    let old = authority.signs_with("bob", |params| {
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
    });
    let client = client_with(&authority, &old);
    let outcome = refused(mutual(&authority, |_| {}), Some(client)).await;
    said(
        &outcome,
        "refuses the certificate of this side: it has expired",
        "the certificate of the other side has expired",
    );
}
