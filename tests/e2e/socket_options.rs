//! What the operating system is told reaches it, on both ends; and what else it knows is at hand.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use socket2::SockRef;
use teleport::socket::SocketOptions;
use teleport::{
    ErrorKind, Hook, Hooks, Peer, PeerBuilder, Plugin, PreSession, Session, controller,
};
use teleport_tests::pair::Pair;

#[controller]
async fn answer() -> i64 {
    42
}

/// Two peers with these options, connected by the first one's address.
async fn connected(options: SocketOptions, address: &str) -> (Peer, [Session; 2]) {
    let builder = || Peer::builder().socket(options.clone());
    let server = builder().build().unwrap();
    server.route_call_fn(answer).unwrap();
    let bound = server.listen_on(address).await.unwrap();
    let here = builder().build().unwrap().dial(&bound).await.unwrap();
    let sum: i64 = here.call("/answer", ()).await.unwrap();
    assert_eq!(sum, 42);
    let there = server.sessions().all().pop().unwrap();
    (server, [here, there])
}

#[tokio::test]
async fn every_option_holds_on_both_ends() {
    let options = SocketOptions {
        keep_alive_period: Some(Duration::from_secs(7)),
        no_delay: false,
        read_buffer: Some(48 << 10),
        write_buffer: Some(64 << 10),
        ..SocketOptions::default()
    };
    let (server, ends) = connected(options, "127.0.0.1:0").await;
    for session in &ends {
        let look = |fd: std::os::fd::BorrowedFd<'_>| {
            let socket = SockRef::from(&fd);
            assert!(!socket.tcp_nodelay()?);
            assert!(socket.keepalive()?);
            assert_eq!(socket.tcp_keepalive_time()?, Duration::from_secs(7));
            assert_eq!(socket.tcp_keepalive_interval()?, Duration::from_secs(7));
            assert!(socket.recv_buffer_size()? >= 48 << 10);
            assert!(socket.recv_buffer_size()? <= 96 << 10);
            assert!(socket.send_buffer_size()? >= 64 << 10);
            assert!(socket.send_buffer_size()? <= 128 << 10);
            std::io::Result::Ok(())
        };
        session.with_fd(look).unwrap().unwrap();
    }
    server.close().await;
}

#[tokio::test]
async fn the_defaults_are_no_delay_and_nothing_else() {
    let (server, ends) = connected(SocketOptions::default(), "127.0.0.1:0").await;
    for session in &ends {
        let (delay, alive) = session
            .with_fd(|fd| {
                let socket = SockRef::from(&fd);
                (!socket.tcp_nodelay().unwrap(), socket.keepalive().unwrap())
            })
            .unwrap();
        assert!(!delay && !alive);
    }
    server.close().await;
}

#[tokio::test]
async fn keepalive_can_be_off_whatever_its_period() {
    let options = SocketOptions {
        keep_alive: Some(false),
        keep_alive_period: Some(Duration::from_secs(9)),
        ..SocketOptions::default()
    };
    let (server, ends) = connected(options, "127.0.0.1:0").await;
    for session in &ends {
        assert!(
            !session
                .with_fd(|fd| SockRef::from(&fd).keepalive())
                .unwrap()
                .unwrap()
        );
    }
    server.close().await;
}

#[tokio::test]
async fn unix_sockets_have_their_buffers() {
    let options = SocketOptions {
        write_buffer: Some(20 << 10),
        ..SocketOptions::default()
    };
    for network in ["unix", "unixpacket"] {
        let name = format!("{network}:@teleport-options-{}", std::process::id());
        let (server, ends) = connected(options.clone(), &name).await;
        for session in &ends {
            let size = session.with_fd(|fd| SockRef::from(&fd).send_buffer_size());
            assert_eq!(
                size.unwrap().unwrap(),
                40 << 10,
                "{network}; Linux doubles it"
            );
        }
        server.close().await;
    }
}

#[test]
fn bad_values_are_named_when_the_peer_is_built() {
    let refused = |options: SocketOptions| {
        let error = Peer::builder().socket(options).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        error.to_string()
    };
    let said = refused(SocketOptions {
        keep_alive_period: Some(Duration::from_millis(10)),
        ..SocketOptions::default()
    });
    assert!(said.contains("keep_alive_period"), "{said}");
    let said = refused(SocketOptions {
        read_buffer: Some(0),
        ..SocketOptions::default()
    });
    assert!(said.contains("read_buffer"), "{said}");
}

/// Looks at the descriptor of a connection before it is a session.
#[derive(Clone, Default)]
struct Early(Arc<Mutex<Option<u32>>>);

impl Plugin for Early {
    fn name(&self) -> &str {
        "early"
    }

    fn hooks(&self) -> Hooks {
        Hooks::POST_ACCEPT
    }

    fn post_accept<'a>(&'a self, session: &'a mut PreSession) -> Hook<'a> {
        let hops = session.with_fd(|fd| {
            let socket = SockRef::from(&fd);
            socket.set_ttl_v4(9)?;
            socket.ttl_v4()
        });
        *self.0.lock().unwrap() = hops.ok().and_then(Result::ok);
        Hook::OK
    }
}

#[tokio::test]
async fn what_is_set_on_the_descriptor_holds_for_the_connection() {
    let early = Early::default();
    let server = Peer::builder().plugin(early.clone()).build().unwrap();
    server.route_call_fn(answer).unwrap();
    let bound = server.listen_on("127.0.0.1:0").await.unwrap();
    let client = Peer::builder().build().unwrap();
    let here = client.dial(&bound).await.unwrap();
    let _: i64 = here.call("/answer", ()).await.unwrap();
    assert_eq!(*early.0.lock().unwrap(), Some(9));
    let there = server.sessions().all().pop().unwrap();
    let hops = there.with_fd(|fd| SockRef::from(&fd).ttl_v4());
    assert_eq!(hops.unwrap().unwrap(), 9);
    server.close().await;
}

#[tokio::test]
async fn a_closed_session_lends_no_descriptor() {
    let (server, [here, there]) = connected(SocketOptions::default(), "127.0.0.1:0").await;
    here.close().await;
    there.closed().await;
    for session in [&here, &there] {
        let error = session.with_fd(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(format!("{error:?}").contains("it is closed"), "{error:?}");
    }
    server.close().await;
    let memory = Pair::new().await;
    let error = memory.here.with_fd(|_| ()).unwrap_err();
    assert!(format!("{error:?}").contains("no socket of the system"));
}

fn answering(builder: PeerBuilder) -> Peer {
    let peer = builder.build().unwrap();
    peer.route_call_fn(answer).unwrap();
    peer
}

#[tokio::test]
async fn peers_share_a_port_where_both_say_so() {
    let shared = || answering(Peer::builder().reuse_port(true));
    let (one, two) = (shared(), shared());
    let bound = one.listen_on("127.0.0.1:0").await.unwrap();
    two.listen_on(&bound).await.unwrap();
    let alone = answering(Peer::builder());
    let error = alone.listen_on(&bound).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Listen);
    let client = Peer::builder().build().unwrap();
    for _ in 0..100 {
        let session = client.dial(&bound).await.unwrap();
        let _: i64 = session.call("/answer", ()).await.unwrap();
    }
    let counts = [one.sessions().len(), two.sessions().len()];
    assert_eq!(counts.iter().sum::<usize>(), 100);
    assert!(!counts.contains(&0), "{counts:?}");
    one.close().await;
    two.close().await;
}

/// A port that nobody has just now.
fn free_port() -> u16 {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

#[tokio::test]
async fn a_dial_comes_from_the_port_and_the_address_that_are_set() {
    let server = answering(Peer::builder());
    let bound = server.listen_on("127.0.0.1:0").await.unwrap();
    let (one, two) = (free_port(), free_port());
    let client = Peer::builder()
        .local_ip([127, 0, 0, 1].into())
        .local_port(one)
        .build()
        .unwrap();
    let first = client.dial(&bound).await.unwrap();
    assert_eq!(
        first.local_address().to_string(),
        format!("127.0.0.1:{one}")
    );
    let error = client.dial(&bound).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Dial);
    let text = format!("{error:?}");
    assert!(text.contains(&format!("from 127.0.0.1:{one}")), "{text}");
    assert!(
        text.contains("one connection to each place at a time"),
        "{text}"
    );
    let second = client.dial(&bound).local_port(two).await.unwrap();
    assert_eq!(second.local_address().port(), Some(two));
    // The server closes first, so that the port is free at once.
    server.close().await;
    first.closed().await;
    let again = answering(Peer::builder());
    again.listen_on(&bound).await.unwrap();
    let third = client.dial(&bound).await.unwrap();
    assert_eq!(third.local_address().port(), Some(one));
    again.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_dial_has_its_own_time() {
    // It takes connections by itself, and never says a word of TLS.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let tls = teleport::tls::TlsClient::builder();
    let tls = tls.danger_accept_any_certificate_from_anyone().build();
    let client = Peer::builder().tls_client(tls.unwrap()).build().unwrap();
    let error = client
        .dial(address)
        .timeout(Duration::from_secs(2))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains("within 2s"), "{error}");
    let error = client.dial(address).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Dial);
    assert!(format!("{error:?}").contains("TLS handshake took longer than 5s"));
}
