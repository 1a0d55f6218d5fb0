//! What connections hold that nothing happens on, encrypted and not, beside bare streams.
//!
//! Both ends are in this process, so what is counted is two sessions, or two streams.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use teleport::codec::Raw;
use teleport::tls::{TlsClient, TlsServer};
use teleport::{Peer, PeerBuilder, controller};
use teleport_tests::alloc::{CountingAlloc, live};
use teleport_tests::pair::{call_bytes, settle};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

#[global_allocator]
static ALLOCATOR: CountingAlloc = CountingAlloc;

/// How many connections are made before anything is counted, and how many are counted.
const WARM: usize = 20;
const COUNTED: usize = 200;

struct Echo;

#[controller]
impl Echo {
    fn back(&self, arg: Raw<bytes::Bytes>) -> Raw<bytes::Bytes> {
        arg
    }
}

/// A certificate that signs itself, and its key, as PEM text.
struct Made {
    cert: String,
    key: String,
}

impl Made {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        Self {
            cert: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
        }
    }

    fn of_teleport(&self) -> (TlsServer, TlsClient) {
        let server = TlsServer::builder().identity_pem(&self.cert, &self.key);
        let client = TlsClient::builder().ca_pem(&self.cert);
        let client = client.server_name("localhost");
        (server.build().unwrap(), client.build().unwrap())
    }

    fn bare(&self) -> (TlsAcceptor, TlsConnector) {
        let provider = Arc::new(ring::default_provider());
        let cert = CertificateDer::from_pem_slice(self.cert.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(cert.clone()).unwrap();
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert], key);
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        (Arc::new(server.unwrap()).into(), Arc::new(client).into())
    }
}

/// The bytes that one connection holds when nothing happens any more.
async fn held_by_each<C, F: Future<Output = C>>(connect: impl Fn() -> F) -> usize {
    let mut all = Vec::with_capacity(WARM + COUNTED);
    for _ in 0..WARM {
        all.push(connect().await);
    }
    settle().await;
    let before = live();
    for _ in 0..COUNTED {
        all.push(connect().await);
    }
    settle().await;
    (live() - before) / COUNTED
}

async fn sessions(server: PeerBuilder, client: PeerBuilder) -> usize {
    let (server, client) = (server.build().unwrap(), client.build().unwrap());
    server.route_call(Echo).unwrap();
    let address = server.listen_on("127.0.0.1:0").await.unwrap();
    let held = held_by_each(|| async {
        let session = client.dial(&address).await.unwrap();
        call_bytes(&session, "/echo/back", "ping").await.unwrap();
        session
    })
    .await;
    client.close().await;
    server.close().await;
    held
}

/// Echoes as one does who keeps things small.
async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut bytes = [0; 1024];
    while let Ok(read @ 1..) = stream.read(&mut bytes).await {
        stream.write_all(&bytes[..read]).await.unwrap();
        stream.flush().await.unwrap();
    }
}

async fn ping<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> S {
    stream.write_all(b"ping").await.unwrap();
    stream.flush().await.unwrap();
    stream.read_exact(&mut [0; 4]).await.unwrap();
    stream
}

async fn streams() -> usize {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(echo(stream));
        }
    });
    held_by_each(|| async { ping(TcpStream::connect(address).await.unwrap()).await }).await
}

async fn encrypted_streams(made: &Made) -> usize {
    let (acceptor, connector) = made.bare();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move { echo(acceptor.accept(stream).await.unwrap()).await });
        }
    });
    held_by_each(|| async {
        let stream = TcpStream::connect(address).await.unwrap();
        let name = "localhost".try_into().unwrap();
        // As one has it who keeps many of them.
        ping(Box::new(connector.connect(name, stream).await.unwrap())).await
    })
    .await
}

/// Pushes to an end that reads nothing, until nothing more is taken; returns what that holds beside
/// the queue of the session.
async fn unread(made: &Made) -> usize {
    let (server_tls, client_tls) = made.of_teleport();
    let server = Peer::builder().build().unwrap();
    let (near, far) = tokio::io::duplex(4096);
    let (far, near) = tokio::join!(
        server_tls.accept(far),
        client_tls.connect(near, "localhost")
    );
    let (far, _near) = (far.unwrap(), near.unwrap());
    let session = server.serve_conn(far).await.unwrap();
    let before = live();
    let body = bytes::Bytes::from(vec![7; 1000]);
    let pushing = async {
        loop {
            session.push("/nobody", Raw(body.clone())).await.unwrap();
        }
    };
    // The clock goes on when nothing else does.
    let stuck = tokio::time::timeout(Duration::from_millis(1), pushing).await;
    assert!(stuck.is_err());
    (live() - before).saturating_sub(session.held_bytes())
}

/// Twice what rustls takes before it says that it is full, and as much for the pieces that it is in.
const FULL: usize = 256 * 1024;

#[tokio::test(start_paused = true)]
async fn encryption_holds_no_more_than_it_does_bare() {
    let made = Made::new();
    let plain = sessions(Peer::builder(), Peer::builder()).await;
    let (server, client) = made.of_teleport();
    let (server, client) = (
        Peer::builder().tls_server(server),
        Peer::builder().tls_client(client),
    );
    let encrypted = sessions(server, client).await;
    let (bare, bare_encrypted) = (streams().await, encrypted_streams(&made).await);
    println!("two sessions: {plain} bytes plain, {encrypted} encrypted");
    println!("two bare streams: {bare} bytes plain, {bare_encrypted} encrypted");
    let (ours, theirs) = (encrypted - plain, bare_encrypted - bare);
    println!(
        "encryption: {ours} bytes for two sessions, {theirs} for two bare streams, ratio {:.2}",
        ours as f64 / theirs as f64
    );
    let held = unread(&made).await;
    println!("an end that reads nothing: {held} bytes beside the queue");
    assert!(ours < theirs + 2048, "{ours} and {theirs}");
    assert!(held < FULL, "{held}");
}
