//! Encrypted connections: what they carry, whom they let in, and what they say when they do not.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use teleport::codec::Raw;
use teleport::socket::{Stream, memory};
use teleport::tls::{TlsClient, TlsServer};
use teleport::{Error, ErrorKind, Peer, PeerBuilder, Plugin, PreSession, Rerror, controller};
use teleport_tests::frames::RawFrame;
use teleport_tests::logs::{Logs, capture};
use teleport_tests::pair::call_bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;

/// An authority, and what it signs.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM text.
#[derive(Clone)]
struct Signed {
    cert: String,
    key: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    fn signs(&self, name: &str) -> Signed {
        self.signs_with(name, |_| {})
    }

    fn signs_with(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Signed {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.0).unwrap();
        Signed {
            cert: cert.pem(),
            key: key.serialize_pem(),
        }
    }
}

fn server_tls(signed: &Signed) -> TlsServer {
    let builder = TlsServer::builder().identity_pem(&signed.cert, &signed.key);
    builder.build().unwrap()
}

fn client_tls(authority: &Authority) -> TlsClient {
    let builder = TlsClient::builder().ca_pem(authority.pem());
    builder.server_name("localhost").build().unwrap()
}

struct Echo;

#[controller]
impl Echo {
    fn back(&self, arg: Raw<bytes::Bytes>) -> Raw<bytes::Bytes> {
        arg
    }
}

fn peer(builder: PeerBuilder) -> Peer {
    let peer = builder.build().unwrap();
    peer.route_call(Echo).unwrap();
    peer
}

/// An authority, and peers that encrypt by it.
fn pair() -> (Authority, Peer, Peer) {
    let authority = Authority::new("tests");
    let server = peer(Peer::builder().tls_server(server_tls(&authority.signs("localhost"))));
    let client = peer(Peer::builder().tls_client(client_tls(&authority)));
    (authority, server, client)
}

/// A folder of this test's own, with files.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("teleport-tls-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn exchange(session: &teleport::Session) {
    let calls = [0, 1, 1000, 20_000, 70_000, 3_000_000].map(|size| async move {
        let body: Vec<u8> = (0..=255).cycle().take(size).collect();
        let back = call_bytes(session, "/echo/back", body.clone()).await;
        assert!(back.unwrap() == body, "{size} bytes");
    });
    let [a, b, c, d, e, f] = calls;
    tokio::join!(a, b, c, d, e, f);
}

#[tokio::test]
async fn messages_of_every_size_go_both_ways_over_every_network() {
    let (_, server, client) = pair();
    let path = std::env::temp_dir().join(format!("teleport-tls-{}.sock", std::process::id()));
    for address in [
        "127.0.0.1:0".to_owned(),
        format!("unix:{}", path.display()),
        format!("unixpacket:@teleport-tls-{}", std::process::id()),
    ] {
        let bound = server.listen_on(&address).await.unwrap();
        assert!(server.listeners().last().unwrap().is_encrypted());
        let here = client.dial(&bound).await.unwrap();
        exchange(&here).await;
        let there = server.sessions().all().pop().unwrap();
        exchange(&there).await;
        let info = here.tls().unwrap();
        assert_eq!(
            (info.version(), info.server_name()),
            ("1.3", Some("localhost"))
        );
        assert_eq!(info.peer_certificates().len(), 1);
        let info = there.tls().unwrap();
        assert_eq!(info.server_name(), Some("localhost"));
        assert!(info.peer_certificates().is_empty());
        here.close().await;
        there.closed().await;
        assert_eq!(
            there.close_reason().as_deref(),
            Some("closed by the other end")
        );
    }
    server.close().await;
}

/// Connects by an encrypted connection in memory that holds so many bytes.
async fn in_memory(room: usize) -> (Peer, Peer, teleport::Session) {
    let (authority, server, client) = pair();
    let (listener, connector) = memory::listen("tls");
    let serving = server.clone();
    tokio::spawn(async move { serving.serve_listener(listener).await });
    let stream = connector.room(room).connect().await.unwrap();
    let stream = client_tls(&authority).connect(stream, "localhost").await;
    let session = client.dial_conn(stream.unwrap()).await.unwrap();
    (server, client, session)
}

/// A stream that reads and writes a byte at a time.
struct Trickle<S>(S);

impl<S: AsyncRead + Unpin> AsyncRead for Trickle<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let mut byte = [0];
        let mut one = ReadBuf::new(&mut byte);
        std::task::ready!(Pin::new(&mut self.0).poll_read(cx, &mut one))?;
        buf.put_slice(one.filled());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Trickle<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, &buf[..buf.len().min(1)])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn a_byte_at_a_time_is_enough() {
    let (authority, server, client) = pair();
    let (near, far) = tokio::io::duplex(512);
    let (near, far) = (Trickle(near), Trickle(far));
    let (here, there) = (
        client_tls(&authority),
        server_tls(&authority.signs("localhost")),
    );
    let (here, there) = tokio::join!(here.connect(near, "localhost"), there.accept(far));
    let (here, there) = (here.unwrap(), there.unwrap());
    let (session, other) = tokio::join!(client.dial_conn(here), server.serve_conn(there));
    let (session, _other) = (session.unwrap(), other.unwrap());
    let body = vec![5; 10_000];
    let call = || call_bytes(&session, "/echo/back", body.clone());
    let (one, two) = tokio::join!(call(), call());
    assert!(one.unwrap() == body && two.unwrap() == body);
    client.close().await;
    server.close().await;
}

#[tokio::test]
async fn a_reader_that_is_slow_gets_everything() {
    let (server, client, session) = in_memory(4096).await;
    let body = vec![5; 2_000_000];
    let all = (0..5).map(|_| {
        let (session, body) = (session.clone(), body.clone());
        tokio::spawn(async move { call_bytes(&session, "/echo/back", body).await })
    });
    for call in all.collect::<Vec<_>>() {
        assert!(call.await.unwrap().unwrap() == body);
    }
    client.close().await;
    server.close().await;
}

#[tokio::test]
async fn many_sessions_live_side_by_side() {
    let (_, server, client) = pair();
    let address = server.listen_on("127.0.0.1:0").await.unwrap();
    let mut sessions = Vec::new();
    for _ in 0..100 {
        sessions.push(client.dial(&address).await.unwrap());
    }
    for session in &sessions {
        assert_eq!(call_bytes(session, "/echo/back", "x").await.unwrap(), "x");
        assert_eq!(session.queued_bytes(), 0);
    }
    client.close().await;
    server.close().await;
}

/// Notes who comes.
#[derive(Clone, Default)]
struct Guest(Arc<Mutex<Vec<Vec<u8>>>>);

impl Plugin for Guest {
    fn name(&self) -> &str {
        "guest"
    }

    fn hooks(&self) -> teleport::Hooks {
        teleport::Hooks::POST_ACCEPT
    }

    fn post_accept<'a>(&'a self, session: &'a mut PreSession) -> teleport::Hook<'a> {
        teleport::Hook::wait(async move {
            let info = session.tls().ok_or_else(|| Rerror::new(1, "plain", ""))?;
            let shown = info.peer_certificates().iter().map(|c| c.to_vec());
            self.0.lock().unwrap().extend(shown);
            Ok(())
        })
    }
}

fn mutual(authority: &Authority, change: impl FnOnce(&mut bool)) -> TlsServer {
    let signed = authority.signs("localhost");
    let builder = TlsServer::builder()
        .identity_pem(&signed.cert, &signed.key)
        .client_ca_pem(authority.pem());
    let mut optional = false;
    change(&mut optional);
    let builder = if optional {
        builder.client_certificate_optional()
    } else {
        builder
    };
    builder.build().unwrap()
}

fn client_with(authority: &Authority, signed: &Signed) -> TlsClient {
    TlsClient::builder()
        .ca_pem(authority.pem())
        .identity_pem(&signed.cert, &signed.key)
        .server_name("localhost")
        .build()
        .unwrap()
}

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

fn pem_body(pem: &str) -> String {
    pem.lines().filter(|line| !line.starts_with('-')).collect()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let word = (0..3).fold(0, |w, i| w << 8 | u32::from(*group.get(i).unwrap_or(&0)));
        for i in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * i)) as usize & 63];
            text.push(if i <= group.len() {
                char::from(digit)
            } else {
                '='
            });
        }
    }
    text
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

/// Dials, and returns what it says and what the server logs.
async fn refused(server: TlsServer, client: Option<TlsClient>) -> (Error, Vec<String>) {
    let (logs, _guard) = capture(false);
    let server = peer(Peer::builder().tls_server(server));
    let address = server.listen_on("127.0.0.1:0").await.unwrap();
    let builder = Peer::builder();
    let client = peer(match client {
        Some(tls) => builder.tls_client(tls),
        None => builder,
    });
    let error = match client.dial(&address).await {
        Err(error) => error,
        Ok(session) => call_bytes(&session, "/echo/back", "x").await.unwrap_err(),
    };
    until_refused(&logs).await;
    server.close().await;
    let lines = logs.others().into_iter().map(|line| line.text).collect();
    (error, lines)
}

/// Waits until the server has said that it refused somebody.
async fn until_refused(logs: &Logs) {
    while !logs.has(&["a connection was refused"]) {
        tokio::task::yield_now().await;
    }
}

/// Checks both sides' words.
#[track_caller]
fn said((error, lines): &(Error, Vec<String>), here: &str, there: &str) {
    assert_eq!(error.kind(), ErrorKind::Dial, "{error:?}");
    let text = format!("{error:?}");
    assert!(text.contains(here), "the dialling side says {text}");
    let told = lines.iter().any(|line| line.contains(there));
    assert!(told, "the log says {lines:#?}");
}

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

#[test]
fn what_is_wrong_with_files_is_said_with_their_names() {
    let authority = Authority::new("tests");
    let (one, two) = (authority.signs("localhost"), authority.signs("localhost"));
    let folder = Folder::new("files");
    let cert = folder.put("cert.pem", &one.cert);
    let key = folder.put("key.pem", &one.key);
    let other_key = folder.put("other.pem", &two.key);
    let torn = folder.put("torn.pem", "-----BEGIN CERTIFICATE-----\n????\n");
    let absent = folder.0.join("absent.pem");
    let server = |cert: &PathBuf, key: &PathBuf| {
        let builder = TlsServer::builder().identity_files(cert, key);
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        format!("{error:?}")
    };
    for (text, expected) in [
        (server(&absent, &key), "absent.pem cannot be read"),
        (server(&cert, &absent), "absent.pem cannot be read"),
        (server(&key, &key), "no certificate is in"),
        (server(&cert, &cert), "no private key is in"),
        (server(&torn, &key), "torn.pem is broken"),
        (
            server(&cert, &other_key),
            "other.pem does not belong to the certificate",
        ),
    ] {
        assert!(text.contains(expected), "{text}");
        assert!(text.contains(".pem"), "{text}");
    }
    let wrong = |error: Error| {
        assert_eq!(error.kind(), ErrorKind::Config);
        error.to_string()
    };
    let said = wrong(TlsServer::builder().build().unwrap_err());
    assert!(said.contains("identity_files"), "{said}");
    let said = wrong(TlsClient::builder().build().unwrap_err());
    assert!(said.contains("ca_file"), "{said}");
    let said = wrong(TlsClient::builder().ca_file(&key).build().unwrap_err());
    assert!(said.contains("no certificate is in"), "{said}");
    let free = TlsServer::builder().identity_files(&cert, &key);
    let said = wrong(free.client_certificate_optional().build().unwrap_err());
    assert!(said.contains("client_ca_file"), "{said}");
    let named = TlsClient::builder().ca_pem(authority.pem());
    let said = wrong(named.server_name("no name").build().unwrap_err());
    assert!(
        said.contains("no name that a certificate can be for"),
        "{said}"
    );
}

#[tokio::test]
async fn a_reload_is_for_new_connections_and_a_broken_one_changes_nothing() {
    let authority = Authority::new("tests");
    let (old, new) = (authority.signs("localhost"), authority.signs("localhost"));
    let folder = Folder::new("reload");
    let (cert, key) = (
        folder.put("cert.pem", &old.cert),
        folder.put("key.pem", &old.key),
    );
    let tls = TlsServer::builder()
        .identity_files(&cert, &key)
        .build()
        .unwrap();
    let server = peer(Peer::builder().tls_server(tls.clone()));
    let address = server.listen_on("127.0.0.1:0").await.unwrap();
    let client = peer(Peer::builder().tls_client(client_tls(&authority)));
    let shown = |session: &teleport::Session| {
        base64(session.tls().unwrap().peer_certificates()[0].as_ref())
    };
    let first = client.dial(&address).await.unwrap();
    assert_eq!(shown(&first), pem_body(&old.cert));

    folder.put("cert.pem", &new.cert);
    let error = tls.reload().unwrap_err();
    assert!(error.to_string().contains("does not belong"), "{error}");
    let second = client.dial(&address).await.unwrap();
    assert_eq!(shown(&second), pem_body(&old.cert));

    folder.put("key.pem", &new.key);
    tls.reload().unwrap();
    let third = client.dial(&address).await.unwrap();
    assert_eq!(shown(&third), pem_body(&new.cert));
    exchange(&first).await;
    exchange(&third).await;
    let ready = server_tls(&new).reload().unwrap_err();
    assert!(ready.to_string().contains("without files"), "{ready}");
    server.close().await;
}

#[tokio::test]
async fn one_peer_has_a_plain_and_an_encrypted_port() {
    let authority = Authority::new("tests");
    let tls = server_tls(&authority.signs("localhost"));
    let server = peer(Peer::builder());
    let plain = server.listen_on("127.0.0.1:0").await.unwrap();
    let encrypted = server.listen_on("127.0.0.1:0").tls(&tls).await.unwrap();
    let client = peer(Peer::builder().tls_client(client_tls(&authority)));
    let one = client.dial(&plain).plain().await.unwrap();
    let two = client.dial(&encrypted).await.unwrap();
    assert!(one.tls().is_none() && two.tls().is_some());
    exchange(&one).await;
    exchange(&two).await;
    let unencrypted = peer(Peer::builder());
    let three = unencrypted
        .dial(&encrypted)
        .tls(&client_tls(&authority))
        .await
        .unwrap();
    exchange(&three).await;
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_holds_nobody_up_and_is_closed_in_time() {
    let (logs, _guard) = capture(false);
    let (authority, server, client) = pair();
    let (listener, connector) = memory::listen("slow");
    let serving = server.clone();
    tokio::spawn(async move { serving.serve_listener(listener).await });
    let mut silent = connector.connect().await.unwrap();
    let begun = tokio::time::Instant::now();
    let tls = client_tls(&authority);
    for _ in 0..20 {
        let stream = connector.connect().await.unwrap();
        let stream = tls.connect(stream, "localhost").await.unwrap();
        let session = client.dial_conn(stream).await.unwrap();
        call_bytes(&session, "/echo/back", "x").await.unwrap();
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(silent.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
    assert!(logs.has(&["TLS handshake took longer than 5s", "memory:slow#1"]));
}

#[tokio::test(start_paused = true)]
async fn handshakes_have_a_bound() {
    let authority = Authority::new("tests");
    let server = peer(
        Peer::builder()
            .tls_server(server_tls(&authority.signs("localhost")))
            .max_handshakes(2),
    );
    let (listener, connector) = memory::listen("flood");
    let serving = server.clone();
    tokio::spawn(async move { serving.serve_listener(listener).await });
    let silent = [
        connector.connect().await.unwrap(),
        connector.connect().await.unwrap(),
    ];
    let begun = tokio::time::Instant::now();
    let stream = connector.connect().await.unwrap();
    let stream = client_tls(&authority).connect(stream, "localhost").await;
    assert!(stream.is_ok());
    // It waited until the silent ones were out of time.
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
    drop(silent);
}

/// An encrypted stream to a server, as a peer would have it.
async fn raw(authority: &Authority, server: &Peer) -> Stream {
    let address = server.listen_on("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(address.socket_addr().unwrap()).await;
    let tls = client_tls(authority);
    tls.connect(stream.unwrap(), "localhost").await.unwrap()
}

/// Calls, so that all that the server had to say is read.
async fn call(stream: &mut Stream) {
    let frame = RawFrame::call("0", "/echo/back", "x").bytes();
    stream.write_all(&frame).await.unwrap();
    stream.flush().await.unwrap();
    let mut size = [0; 4];
    stream.read_exact(&mut size).await.unwrap();
    let mut rest = vec![0; u32::from_be_bytes(size) as usize - 4];
    stream.read_exact(&mut rest).await.unwrap();
}

async fn one_session(server: &Peer) -> teleport::Session {
    loop {
        if let Some(session) = server.sessions().all().pop() {
            return session;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_end_without_a_goodbye_is_good_between_messages_and_bad_within_one() {
    let (authority, server, _) = pair();
    // Dropped, it says no goodbye.
    let mut stream = raw(&authority, &server).await;
    call(&mut stream).await;
    let session = one_session(&server).await;
    drop(stream);
    session.closed().await;
    assert_eq!(
        session.close_reason().as_deref(),
        Some("closed by the other end")
    );

    let mut stream = raw(&authority, &server).await;
    call(&mut stream).await;
    let session = one_session(&server).await;
    stream.write_all(&[0, 0, 0, 40, b'r']).await.unwrap();
    stream.flush().await.unwrap();
    drop(stream);
    session.closed().await;
    let reason = session.close_reason().unwrap();
    assert!(reason.contains("within"), "{reason}");
    server.close().await;
}

#[tokio::test]
async fn what_was_sent_before_the_writing_side_ended_is_answered() {
    let (authority, server, _) = pair();
    let mut stream = raw(&authority, &server).await;
    let frame = RawFrame::call("0", "/echo/back", "x").bytes();
    stream.write_all(&frame).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(!rest.is_empty(), "the reply arrives");
    server.close().await;
}
