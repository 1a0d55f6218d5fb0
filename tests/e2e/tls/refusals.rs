//! What both ends say when no connection comes about.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd,
};
use teleport::tls::rustls::CipherSuite;
use teleport::tls::rustls::crypto::ring;
use teleport::tls::{TlsClient, TlsServer};
use teleport::{ErrorKind, Peer};
use teleport_tests::logs::capture;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::support::{
    Authority, client_tls, client_with, exchange, mutual, peer, refused, said, server_tls,
    until_refused,
};

#[tokio::test]
async fn a_certificate_that_has_expired_is_refused() {
    let authority = Authority::new("tests");
    let old = authority.signs_with("localhost", |params| {
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
    });
    let outcome = refused(server_tls(&old), Some(client_tls(&authority))).await;
    said(
        &outcome,
        "the certificate of the other side has expired",
        "refuses the certificate of this side: it has expired",
    );
}

#[tokio::test]
async fn a_certificate_that_is_not_valid_yet_is_refused() {
    let authority = Authority::new("tests");
    let early = authority.signs_with("localhost", |params| {
        params.not_before = date_time_ymd(2900, 1, 1);
        params.not_after = date_time_ymd(2901, 1, 1);
    });
    let outcome = refused(server_tls(&early), Some(client_tls(&authority))).await;
    said(
        &outcome,
        "is not valid yet",
        "refuses the certificate of this side",
    );
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let authority = Authority::new("tests");
    let other = authority.signs("example.org");
    let outcome = refused(server_tls(&other), Some(client_tls(&authority))).await;
    said(
        &outcome,
        "not for `localhost`, but for",
        "refuses the certificate of this side",
    );
    assert!(format!("{:?}", outcome.0).contains("example.org"));
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let signed = theirs.signs("localhost");
    let outcome = refused(server_tls(&signed), Some(client_tls(&ours))).await;
    said(
        &outcome,
        "of no authority that is trusted here",
        "it does not trust its authority",
    );
}

#[tokio::test]
async fn an_authority_that_was_made_anew_is_called_that() {
    let (old, new) = (Authority::new("same"), Authority::new("same"));
    let outcome = refused(server_tls(&new.signs("localhost")), Some(client_tls(&old))).await;
    said(
        &outcome,
        "was made anew, name its new file with ca_file",
        "signed by another key than the one of the authority that it trusts",
    );
}

#[tokio::test]
async fn a_certificate_that_signs_itself_says_what_to_make_instead() {
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let cert = params.self_signed(&key).unwrap().pem();
    let server = TlsServer::builder().identity_pem(&cert, key.serialize_pem());
    let client = TlsClient::builder().ca_pem(&cert).server_name("localhost");
    let outcome = refused(server.build().unwrap(), Some(client.build().unwrap())).await;
    said(
        &outcome,
        "is the one of an authority itself, as `openssl req -x509` makes them",
        "its own log says why",
    );
}

#[tokio::test]
async fn a_certificate_for_no_name_at_all_says_so() {
    let authority = Authority::new("tests");
    let nameless = authority.signs_with("localhost", |params| params.subject_alt_names.clear());
    let outcome = refused(server_tls(&nameless), Some(client_tls(&authority))).await;
    said(
        &outcome,
        "it has no subjectAltName, and its common name does not count",
        "refuses the certificate of this side",
    );
}

#[tokio::test]
async fn a_certificate_for_another_purpose_is_refused() {
    let authority = Authority::new("tests");
    let for_clients = authority.signs_with("localhost", |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    let outcome = refused(server_tls(&for_clients), Some(client_tls(&authority))).await;
    said(
        &outcome,
        "is not meant for servers",
        "for a purpose, that the other side does not take",
    );
    let for_servers = authority.signs_with("carol", |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    let client = client_with(&authority, &for_servers);
    let outcome = refused(mutual(&authority, |_| {}), Some(client)).await;
    said(
        &outcome,
        "for a purpose, that the other side does not take",
        "is not meant for clients",
    );
}

#[tokio::test]
async fn two_sides_with_nothing_in_common_say_so() {
    let authority = Authority::new("tests");
    let only = |suite: CipherSuite| {
        let mut provider = ring::default_provider();
        provider.cipher_suites.retain(|has| has.suite() == suite);
        Arc::new(provider)
    };
    let signed = authority.signs("localhost");
    let server = TlsServer::builder()
        .identity_pem(&signed.cert, &signed.key)
        .crypto(only(CipherSuite::TLS13_AES_128_GCM_SHA256));
    let client = |suite| {
        let builder = TlsClient::builder().ca_pem(authority.pem());
        let builder = builder.server_name("localhost").crypto(only(suite));
        Some(builder.build().unwrap())
    };
    let server = server.build().unwrap();
    let other = client(CipherSuite::TLS13_AES_256_GCM_SHA384);
    let outcome = refused(server.clone(), other).await;
    said(&outcome, "in common", "in common");

    let peer_of = peer(Peer::builder().tls_server(server));
    let address = peer_of.listen_on("127.0.0.1:0").await.unwrap();
    let same = client(CipherSuite::TLS13_AES_128_GCM_SHA256).unwrap();
    let client = peer(Peer::builder().tls_client(same));
    exchange(&client.dial(&address).await.unwrap()).await;
    peer_of.close().await;
}

#[tokio::test]
async fn plain_text_on_an_encrypted_port_is_named_in_the_log() {
    let authority = Authority::new("tests");
    let server = server_tls(&authority.signs("localhost"));
    let (error, lines) = refused(server.clone(), None).await;
    assert_eq!(error.kind(), ErrorKind::Closed, "{error:?}");
    let named = |lines: &[String], what: &str| {
        let line = lines
            .iter()
            .find(|line| line.contains("this port speaks TLS"));
        assert!(line.is_some_and(|line| line.contains(what)), "{lines:#?}");
    };
    named(&lines, "these bytes are the raw protocol of Teleport");

    let (logs, _guard) = capture(false);
    let server = peer(Peer::builder().tls_server(server));
    let address = server.listen_on("127.0.0.1:0").await.unwrap();
    let mut http = TcpStream::connect(address.socket_addr().unwrap())
        .await
        .unwrap();
    http.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    // It is told so by an alert, and closed.
    let mut rest = Vec::new();
    http.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest.first(), Some(&0x15), "{rest:?}");
    until_refused(&logs).await;
    server.close().await;
    let lines: Vec<_> = logs.others().into_iter().map(|line| line.text).collect();
    named(&lines, "these bytes are HTTP");
}

#[tokio::test]
async fn an_encrypted_dial_to_a_plain_port_says_so() {
    let authority = Authority::new("tests");
    let server = peer(Peer::builder());
    let address = server.listen_on("127.0.0.1:0").await.unwrap();
    let client = peer(Peer::builder().tls_client(client_tls(&authority)));
    let error = client.dial(&address).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Dial);
    let text = format!("{error:?}");
    assert!(
        text.contains("does this port speak TLS?") || text.contains("dial it without TLS"),
        "{text}"
    );

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let web = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
        stream
    });
    let error = client.dial(address).await.unwrap_err();
    assert!(
        format!("{error:?}").contains("answers with HTTP, of a server, not with TLS"),
        "{error:?}"
    );
    web.await.unwrap();
    server.close().await;
}

#[tokio::test]
async fn a_server_that_nobody_verifies_is_taken_as_it_is() {
    let authority = Authority::new("tests");
    let server = peer(Peer::builder().tls_server(server_tls(&authority.signs("whoever"))));
    let address = server.listen_on("127.0.0.1:0").await.unwrap();
    let tls = TlsClient::builder()
        .danger_accept_any_certificate_from_anyone()
        .build()
        .unwrap();
    let client = peer(Peer::builder().tls_client(tls));
    exchange(&client.dial(&address).await.unwrap()).await;
    server.close().await;
}
