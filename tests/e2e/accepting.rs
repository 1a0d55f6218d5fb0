//! The taking of connections outlives whatever the system says.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use teleport::socket::memory::{MemoryListener, MemoryStream};
use teleport::socket::{Address, Listener, Stream, memory};
use teleport::tls::{TlsClient, TlsServer};
use teleport::{Hook, Hooks, Peer, Plugin, PreSession, controller};
use teleport_tests::logs::capture;
use teleport_tests::pair::call_bytes;

struct Echo;

#[controller]
impl Echo {
    fn back(&self, arg: teleport::codec::Raw<bytes::Bytes>) -> teleport::codec::Raw<bytes::Bytes> {
        arg
    }
}

/// Has errors before each connection.
struct Failing {
    errors: VecDeque<io::Error>,
    listener: MemoryListener,
    asked: Arc<AtomicUsize>,
}

impl Listener for Failing {
    type Stream = MemoryStream;

    async fn accept(&mut self) -> io::Result<MemoryStream> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match self.errors.pop_front() {
            Some(error) => Err(error),
            None => self.listener.accept().await,
        }
    }

    fn local_address(&self) -> Address {
        self.listener.local_address()
    }
}

/// Serves after these errors, and returns how often it was asked for a connection.
async fn serves_after(errors: impl IntoIterator<Item = io::Error>) -> usize {
    serves_encrypted_after(errors, None).await
}

async fn serves_encrypted_after(
    errors: impl IntoIterator<Item = io::Error>,
    tls: Option<(TlsServer, TlsClient)>,
) -> usize {
    let (listener, connector) = memory::listen("failing");
    let asked = Arc::new(AtomicUsize::new(0));
    let failing = Failing {
        errors: errors.into_iter().collect(),
        listener,
        asked: Arc::clone(&asked),
    };
    let (builder, tls) = match tls {
        Some((server, client)) => (Peer::builder().tls_server(server), Some(client)),
        None => (Peer::builder(), None),
    };
    let server = builder.build().unwrap();
    server.route_call(Echo).unwrap();
    let serving = server.clone();
    tokio::spawn(async move { serving.serve_listener(failing).await });
    let client = Peer::builder().build().unwrap();
    let stream = Stream::new(connector.connect().await.unwrap());
    let stream = match tls {
        Some(tls) => tls.connect(stream, "localhost").await.unwrap(),
        None => stream,
    };
    let session = client.dial_conn(stream).await.unwrap();
    assert_eq!(call_bytes(&session, "/echo/back", "x").await.unwrap(), "x");
    server.close().await;
    asked.load(Ordering::Relaxed)
}

#[tokio::test(start_paused = true)]
async fn no_error_of_the_system_ends_it() {
    let (logs, _guard) = capture(false);
    let every = (1..=133).map(io::Error::from_raw_os_error);
    assert!(serves_after(every).await >= 133);
    let emfile = io::Error::from_raw_os_error(24).to_string();
    assert!(logs.has(&["no connections can be taken", "memory:failing", &emfile]));
}

#[tokio::test(start_paused = true)]
async fn nor_does_one_end_it_where_connections_are_encrypted() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let server = TlsServer::builder().identity_pem(&cert, &key).build();
    let client = TlsClient::builder().ca_pem(&cert).build();
    let every = (1..=133).map(io::Error::from_raw_os_error);
    let tls = Some((server.unwrap(), client.unwrap()));
    assert!(serves_encrypted_after(every, tls).await >= 133);
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_and_start_small_again() {
    let (logs, _guard) = capture(false);
    serves_after((0..12).map(|_| io::Error::from_raw_os_error(24))).await;
    let paused = |text: &str| logs.has(&["no connections can be taken", text]);
    assert!(paused("pause=5ms") && paused("pause=640ms") && paused("pause=1s"));
    assert!(!paused("pause=1.28s"));
}

#[tokio::test(start_paused = true)]
async fn connections_that_are_gone_already_hold_nothing_up() {
    let begun = tokio::time::Instant::now();
    let gone = || io::Error::from(io::ErrorKind::ConnectionAborted);
    serves_after((0..60).map(|_| gone())).await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
    // Without end they are no such thing, and must not keep a thread busy.
    serves_after((0..200).map(|_| gone())).await;
    assert!(begun.elapsed() > Duration::ZERO);
}

/// Keeps those who come in their handshake for ever, but for each second one.
#[derive(Default)]
struct Slow(AtomicUsize);

impl Plugin for Slow {
    fn name(&self) -> &str {
        "slow"
    }

    fn hooks(&self) -> Hooks {
        Hooks::POST_ACCEPT
    }

    fn post_accept<'a>(&'a self, _: &'a mut PreSession) -> Hook<'a> {
        match self.0.fetch_add(1, Ordering::Relaxed) % 2 {
            0 => Hook::wait(std::future::pending()),
            _ => Hook::OK,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_handshake_of_a_plugin_is_among_many() {
    let server = Peer::builder().plugin(Slow::default()).build().unwrap();
    server.route_call(Echo).unwrap();
    let (listener, connector) = memory::listen("slow");
    let serving = server.clone();
    tokio::spawn(async move { serving.serve_listener(listener).await });
    let client = Peer::builder().build().unwrap();
    let begun = tokio::time::Instant::now();
    let mut slow = Vec::new();
    for _ in 0..20 {
        slow.push(connector.connect().await.unwrap());
        let stream = connector.connect().await.unwrap();
        let session = client.dial_conn(stream).await.unwrap();
        call_bytes(&session, "/echo/back", "x").await.unwrap();
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    server.close().await;
}

#[cfg(target_os = "linux")]
mod descriptors {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Child, Command, Stdio};

    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    use teleport::Peer;
    use teleport_tests::pair::until;
    use tokio::net::TcpStream;

    /// How many descriptors the other process may have.
    const LIMIT: u64 = 40;

    struct Killed(Child);

    impl Drop for Killed {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn descriptors_of(child: &Killed) -> u64 {
        let open = std::fs::read_dir(format!("/proc/{}/fd", child.0.id())).unwrap();
        open.count() as u64
    }

    #[tokio::test]
    async fn a_process_out_of_descriptors_serves_again_when_some_are_free() {
        let mut command = Command::new(env!("CARGO_BIN_EXE_conformance-peer"));
        let child = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn();
        let mut child = Killed(child.unwrap());
        let mut address = String::new();
        BufReader::new(child.0.stdout.take().unwrap())
            .read_line(&mut address)
            .unwrap();
        let address = address.trim();
        let limit = Rlimit {
            current: Some(LIMIT),
            maximum: Some(LIMIT),
        };
        prlimit(Pid::from_raw(child.0.id() as i32), Resource::Nofile, limit).unwrap();

        let mut waiting = Vec::new();
        for _ in 0..200 {
            waiting.push(TcpStream::connect(address).await.unwrap());
        }
        until("no descriptor is left", || descriptors_of(&child) >= LIMIT).await;
        drop(waiting);
        let client = Peer::builder().build().unwrap();
        let session = client.dial(address).await.unwrap();
        let sum: i64 = session.call("/math/add", [1, 2, 3]).await.unwrap();
        assert_eq!(sum, 6);
        client.close().await;
    }
}
