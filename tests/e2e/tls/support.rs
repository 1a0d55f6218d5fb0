//! Authorities, what they sign, and peers that encrypt by it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use teleport::codec::Raw;
use teleport::socket::Stream;
use teleport::tls::{TlsClient, TlsServer};
use teleport::{Error, ErrorKind, Peer, PeerBuilder, Plugin, PreSession, Rerror, controller};
use teleport_tests::frames::RawFrame;
use teleport_tests::logs::{Logs, capture};
use teleport_tests::pair::call_bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// An authority, and what it signs.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM text.
#[derive(Clone)]
pub(super) struct Signed {
    pub(super) cert: String,
    pub(super) key: String,
}

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    pub(super) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(super) fn signs(&self, name: &str) -> Signed {
        self.signs_with(name, |_| {})
    }

    pub(super) fn signs_with(
        &self,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Signed {
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

pub(super) fn server_tls(signed: &Signed) -> TlsServer {
    let builder = TlsServer::builder().identity_pem(&signed.cert, &signed.key);
    builder.build().unwrap()
}

pub(super) fn client_tls(authority: &Authority) -> TlsClient {
    let builder = TlsClient::builder().ca_pem(authority.pem());
    builder.server_name("localhost").build().unwrap()
}

pub(super) struct Echo;

#[controller]
impl Echo {
    fn back(&self, arg: Raw<bytes::Bytes>) -> Raw<bytes::Bytes> {
        arg
    }
}

pub(super) fn peer(builder: PeerBuilder) -> Peer {
    let peer = builder.build().unwrap();
    peer.route_call(Echo).unwrap();
    peer
}

/// An authority, and peers that encrypt by it.
pub(super) fn pair() -> (Authority, Peer, Peer) {
    let authority = Authority::new("tests");
    let server = peer(Peer::builder().tls_server(server_tls(&authority.signs("localhost"))));
    let client = peer(Peer::builder().tls_client(client_tls(&authority)));
    (authority, server, client)
}

/// A folder of this test's own, with files.
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(super) fn new(name: &str) -> Self {
        let name = format!("teleport-tls-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(super) fn put(&self, name: &str, text: &str) -> PathBuf {
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

pub(super) async fn exchange(session: &teleport::Session) {
    let calls = [0, 1, 1000, 20_000, 70_000, 3_000_000].map(|size| async move {
        let body: Vec<u8> = (0..=255).cycle().take(size).collect();
        let back = call_bytes(session, "/echo/back", body.clone()).await;
        assert!(back.unwrap() == body, "{size} bytes");
    });
    let [a, b, c, d, e, f] = calls;
    tokio::join!(a, b, c, d, e, f);
}

/// Notes who comes.
#[derive(Clone, Default)]
pub(super) struct Guest(pub(super) Arc<Mutex<Vec<Vec<u8>>>>);

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

pub(super) fn mutual(authority: &Authority, change: impl FnOnce(&mut bool)) -> TlsServer {
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

pub(super) fn client_with(authority: &Authority, signed: &Signed) -> TlsClient {
    TlsClient::builder()
        .ca_pem(authority.pem())
        .identity_pem(&signed.cert, &signed.key)
        .server_name("localhost")
        .build()
        .unwrap()
}

pub(super) fn pem_body(pem: &str) -> String {
    pem.lines().filter(|line| !line.starts_with('-')).collect()
}

pub(super) fn base64(bytes: &[u8]) -> String {
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

/// An encrypted stream to a server, as a peer would have it.
pub(super) async fn raw(authority: &Authority, server: &Peer) -> Stream {
    let address = server.listen_on("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(address.socket_addr().unwrap()).await;
    let tls = client_tls(authority);
    tls.connect(stream.unwrap(), "localhost").await.unwrap()
}

/// Calls, so that all that the server had to say is read.
pub(super) async fn call(stream: &mut Stream) {
    let frame = RawFrame::call("0", "/echo/back", "x").bytes();
    stream.write_all(&frame).await.unwrap();
    stream.flush().await.unwrap();
    let mut size = [0; 4];
    stream.read_exact(&mut size).await.unwrap();
    let mut rest = vec![0; u32::from_be_bytes(size) as usize - 4];
    stream.read_exact(&mut rest).await.unwrap();
}

pub(super) async fn one_session(server: &Peer) -> teleport::Session {
    loop {
        if let Some(session) = server.sessions().all().pop() {
            return session;
        }
        tokio::task::yield_now().await;
    }
}

/// Dials, and returns what it says and what the server logs.
pub(super) async fn refused(server: TlsServer, client: Option<TlsClient>) -> (Error, Vec<String>) {
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
pub(super) async fn until_refused(logs: &Logs) {
    while !logs.has(&["a connection was refused"]) {
        tokio::task::yield_now().await;
    }
}

/// Checks both sides' words.
#[track_caller]
pub(super) fn said((error, lines): &(Error, Vec<String>), here: &str, there: &str) {
    assert_eq!(error.kind(), ErrorKind::Dial, "{error:?}");
    let text = format!("{error:?}");
    assert!(text.contains(here), "the dialling side says {text}");
    let told = lines.iter().any(|line| line.contains(there));
    assert!(told, "the log says {lines:#?}");
}
