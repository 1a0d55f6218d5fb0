//! What one may send who means no good.

use std::sync::Arc;
use std::time::Duration;

use teleport::Peer;
use teleport::socket::memory;
use teleport::tls::TlsClient;
use teleport::tls::rustls::crypto::ring;
use teleport::tls::rustls::pki_types::pem::PemObject as _;
use teleport::tls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use teleport::tls::rustls::server::WebPkiClientVerifier;
use teleport::tls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use teleport_tests::logs::capture;
use teleport_tests::pair::call_bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;

use super::support::{
    Authority, Signed, client_tls, client_with, exchange, pair, peer, server_tls,
};

fn certificate(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

fn roots(authority: &Authority) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate(&authority.pem())).unwrap();
    Arc::new(roots)
}

/// A client of rustls alone.
fn bare_client(authority: &Authority) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots(authority))
        .with_no_client_auth()
}

/// A server of rustls alone that asks for certificates.
fn bare_server(authority: &Authority, signed: &Signed) -> ServerConfig {
    let provider = Arc::new(ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(roots(authority), Arc::clone(&provider));
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(
            vec![certificate(&signed.cert)],
            PrivateKeyDer::from_pem_slice(signed.key.as_bytes()).unwrap(),
        )
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_instead_of_a_handshake_ends_the_connection_and_nothing_else() {
    let (logs, _guard) = capture(false);
    let (authority, server, client) = pair();
    let (listener, connector) = memory::listen("attacked");
    let serving = server.clone();
    tokio::spawn(async move { serving.serve_listener(listener).await });
    let begun = tokio::time::Instant::now();
    let warnings = [0x15, 3, 3, 0, 2, 1, 90].repeat(5000);
    let nothing = [0x16, 3, 3, 0, 0].repeat(5000);
    let no_data = [0x17, 3, 3, 0, 0].repeat(5000);
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    // A hello of as many bytes as a hello can claim, of which few come.
    let claim = [
        &[0x16, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff][..],
        &[0; 16_380],
    ]
    .concat();
    for (what, sent) in [
        ("warnings", &warnings),
        ("records of a handshake with nothing in them", &nothing),
        ("records of data with nothing in them", &no_data),
        ("no records", &bytes),
        (
            "a record that is too long",
            &[0x16, 3, 3, 0xff, 0xff].repeat(20_000),
        ),
        ("a hello that is too long", &claim),
    ] {
        let stream = connector.connect().await.unwrap();
        let (mut read, mut write) = tokio::io::split(stream);
        let sending = async {
            // It is closed while it is sent.
            let _ = write.write_all(sent).await;
        };
        let mut answer = Vec::new();
        let (_, ended) = tokio::join!(sending, read.read_to_end(&mut answer));
        ended.unwrap();
        assert!(answer.len() < 1000, "{what}: {} bytes", answer.len());
    }
    let refused = || {
        let lines = logs.others().into_iter();
        lines
            .filter(|line| line.text.contains("a connection was refused"))
            .count()
    };
    while refused() < 6 {
        tokio::task::yield_now().await;
    }
    // Nobody was waited for.
    assert_eq!(begun.elapsed(), Duration::ZERO);
    let stream = connector.connect().await.unwrap();
    let stream = client_tls(&authority).connect(stream, "localhost").await;
    let session = client.dial_conn(stream.unwrap()).await.unwrap();
    call_bytes(&session, "/echo/back", "x").await.unwrap();
    client.close().await;
    server.close().await;
}

#[tokio::test]
async fn records_may_be_tiny() {
    let authority = Authority::new("tests");
    let mut config = bare_client(&authority);
    config.max_fragment_size = Some(32);
    let client = peer(Peer::builder().tls_client({
        let tls = TlsClient::builder();
        let tls = tls.ca_pem(authority.pem()).server_name("localhost");
        let tls = tls.build().unwrap();
        tls.replace(&config);
        tls
    }));
    let server = peer(Peer::builder().tls_server(server_tls(&authority.signs("localhost"))));
    let address = server.listen_on("127.0.0.1:0").await.unwrap();
    exchange(&client.dial(&address).await.unwrap()).await;
    server.close().await;
}

#[tokio::test]
async fn a_server_that_says_more_behind_its_goodbye_holds_no_client() {
    let authority = Authority::new("tests");
    let signed = authority.signs("localhost");
    let mut config = bare_server(&authority, &signed);
    config.send_tls13_tickets = 0;
    let (near, far) = tokio::io::duplex(64 * 1024);
    let serving = tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (mut stream, mut tls) = acceptor.accept(far).await.unwrap().into_inner();
        let mut last = Vec::new();
        tls.send_close_notify();
        tls.write_tls(&mut last).unwrap();
        last.extend([0x17; 100]);
        stream.write_all(&last).await.unwrap();
        stream
    });
    let tls = client_with(&authority, &authority.signs("alice"));
    let mut stream = tls.connect(near, "localhost").await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    serving.await.unwrap();
}
