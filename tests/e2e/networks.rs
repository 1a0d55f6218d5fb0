//! Every network is listened on and dialled, and says what is wrong with an address.

use std::os::fd::AsFd as _;
use std::path::PathBuf;

use teleport::codec::Raw;
use teleport::socket::{BoundListener, memory};
use teleport::{ErrorKind, Peer, PeerBuilder, controller};
use teleport_tests::pair::{call_bytes, until};

struct Echo;

#[controller]
impl Echo {
    fn back(&self, arg: Raw<bytes::Bytes>) -> Raw<bytes::Bytes> {
        arg
    }
}

/// A path of this test's own.
struct Path(PathBuf);

impl Path {
    fn new(name: &str) -> Self {
        let name = format!("teleport-net-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_file(&path);
        Self(path)
    }

    fn text(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn server(builder: PeerBuilder) -> Peer {
    let peer = builder.build().unwrap();
    peer.route_call(Echo).unwrap();
    peer
}

fn client() -> Peer {
    Peer::builder().build().unwrap()
}

/// Calls with small and large bodies at an address.
async fn exchange(server: &Peer, address: &str) -> String {
    let bound = server.listen_on(address).await.unwrap();
    let client = client();
    let session = client.dial(&bound).await.unwrap();
    for size in [0, 1, 1000, 70_000, 3_000_000] {
        let body: Vec<u8> = (0..=255).cycle().take(size).collect();
        let back = call_bytes(&session, "/echo/back", body.clone()).await;
        assert!(back.unwrap() == body, "{size} bytes over {address}");
    }
    client.close().await;
    bound.to_string()
}

#[tokio::test]
async fn calls_travel_over_every_network() {
    let (unix, packet) = (Path::new("calls"), Path::new("packets"));
    let server = server(Peer::builder());
    for address in ["127.0.0.1:0", "tcp4:127.0.0.1:0", "tcp4::0"] {
        exchange(&server, address).await;
    }
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        exchange(&server, "tcp6:[::1]:0").await;
    }
    let shown = exchange(&server, &format!("unix:{}", unix.text())).await;
    assert_eq!(shown, unix.text());
    exchange(&server, &format!("unixpacket:{}", packet.text())).await;
    let name = format!("@teleport-{}", std::process::id());
    assert_eq!(exchange(&server, &format!("unix:{name}")).await, name);
    exchange(&server, &format!("unixpacket:{name}")).await;
    assert!(unix.0.exists() && packet.0.exists());
    server.close().await;
    assert!(!unix.0.exists() && !packet.0.exists(), "files go at close");
}

#[tokio::test]
async fn a_plain_path_is_one_of_the_peers_network() {
    let path = Path::new("plain");
    let server = server(Peer::builder().network("unix").listen_address(path.text()));
    let address = server.listen().await.unwrap();
    assert_eq!(address.path(), Some(path.0.as_path()));
    let client = Peer::builder().network("unix").build().unwrap();
    let session = client.dial(path.text()).await.unwrap();
    assert_eq!(session.remote_address(), &address);
    client.close().await;
    server.close().await;
}

#[tokio::test]
async fn a_stale_file_is_replaced_and_a_live_one_is_an_error() {
    for network in ["unix", "unixpacket"] {
        let path = Path::new(&format!("stale-{network}"));
        let address = format!("{network}:{}", path.text());
        let old = server(Peer::builder());
        old.listen_on(&address).await.unwrap();
        old.listeners()[0].keep_file();
        old.close().await;
        assert!(path.0.exists(), "as after a crash");

        let first = server(Peer::builder());
        first.listen_on(&address).await.unwrap();
        let second = server(Peer::builder());
        let error = second.listen_on(&address).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Listen);
        let text = format!("{error:?}");
        assert!(text.contains("somebody listens at"), "{text}");
        assert!(text.contains(path.text()), "{text}");
        client().dial(&address).await.unwrap();
        first.close().await;
    }
}

#[tokio::test]
async fn a_file_that_is_no_socket_stays() {
    let path = Path::new("document");
    std::fs::write(&path.0, "precious").unwrap();
    let peer = server(Peer::builder());
    let error = peer
        .listen_on(format!("unix:{}", path.text()))
        .await
        .unwrap_err();
    assert!(format!("{error:?}").contains("no socket"));
    assert_eq!(std::fs::read_to_string(&path.0).unwrap(), "precious");
}

#[tokio::test]
async fn the_file_of_a_successor_is_not_removed() {
    let path = Path::new("successor");
    let address = format!("unix:{}", path.text());
    let old = server(Peer::builder());
    old.listen_on(&address).await.unwrap();
    std::fs::remove_file(&path.0).unwrap();
    let new = server(Peer::builder());
    new.listen_on(&address).await.unwrap();
    old.close().await;
    assert!(path.0.exists());
    client().dial(&address).await.unwrap();
    new.close().await;
}

#[tokio::test]
async fn permissions_are_set_on_the_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let path = Path::new("mode");
    let peer = server(Peer::builder().unix_mode(0o600));
    peer.listen_on(format!("unix:{}", path.text()))
        .await
        .unwrap();
    let mode = std::fs::metadata(&path.0).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    peer.close().await;
}

#[tokio::test]
async fn a_listener_goes_on_from_its_descriptor() {
    let path = Path::new("inherited");
    for address in ["127.0.0.1:0", &format!("unix:{}", path.text())] {
        let old = server(Peer::builder());
        let bound = old.listen_on(address).await.unwrap();
        let listening = old.listeners().remove(0);
        listening.keep_file();
        let descriptor = listening.as_fd().try_clone_to_owned().unwrap();
        drop(listening);
        old.close().await;

        let new = server(Peer::builder());
        let inherited = BoundListener::from_descriptor(descriptor).unwrap();
        assert_eq!(new.listen_from(inherited).await.unwrap(), bound);
        let session = client().dial(&bound).await.unwrap();
        let back = call_bytes(&session, "/echo/back", "x").await.unwrap();
        assert_eq!(back, "x");
        new.close().await;
    }
    let no_listener = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let error = BoundListener::from_descriptor(no_listener.into()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    let no_socket = std::fs::File::open("/dev/null").unwrap();
    let error = BoundListener::from_descriptor(no_socket.into()).unwrap_err();
    assert!(error.to_string().contains("no socket"), "{error}");
}

#[tokio::test]
async fn a_stopped_listener_frees_its_address_and_sessions_go_on() {
    let server = server(Peer::builder());
    let address = server.listen_on("127.0.0.1:0").await.unwrap();
    let session = client().dial(&address).await.unwrap();
    call_bytes(&session, "/echo/back", "x").await.unwrap();
    server.listeners()[0].stop();
    until("nobody listens", || server.listeners().is_empty()).await;
    let error = client().dial(&address).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Dial);
    call_bytes(&session, "/echo/back", "x").await.unwrap();
    server.listen_on(&address).await.unwrap();
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn memory_connections_are_taken_like_any_others() {
    let (listener, connector) = memory::listen("echo");
    let server = server(Peer::builder());
    let serving = tokio::spawn({
        let server = server.clone();
        async move { server.serve_listener(listener).await }
    });
    let client = client();
    let stream = connector.connect().await.unwrap();
    let session = client.dial_conn(stream).await.unwrap();
    assert_eq!(session.local_address().to_string(), "memory:echo#1");
    let body = vec![7; 200_000];
    let back = call_bytes(&session, "/echo/back", body.clone()).await;
    assert!(back.unwrap() == body);
    client.close().await;
    server.close().await;
    serving.await.unwrap().unwrap();
    let error = connector.connect().await.unwrap_err();
    assert_eq!(error.to_string(), "nobody listens at memory:echo");
}

#[tokio::test]
async fn bad_addresses_and_settings_say_what_to_write() {
    let peer = client();
    for (address, said) in [
        ("/run/x.sock", "write `unix:/run/x.sock`"),
        ("unix:", "write `unix:/run/app.sock`"),
        ("9090", "write `:9090`"),
        ("udp:x", "bad port"),
    ] {
        let error = peer.dial(address).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{address}");
        assert!(format!("{error:?}").contains(said), "{error:?}");
        let error = peer.listen_on(address).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{address}");
    }
    for (builder, said) in [
        (Peer::builder().network("udp"), "write \"tcp\""),
        (Peer::builder().backlog(0), "backlog"),
        (Peer::builder().unix_mode(0o2777), "unix_mode"),
        (Peer::builder().max_handshakes(0), "max_handshakes"),
        (Peer::builder().listen_address("9090"), "listen_address"),
    ] {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(said), "{error}");
    }
    let unix = Peer::builder().network("unix").build().unwrap();
    let error = unix.listen().await.unwrap_err();
    assert!(error.to_string().contains("listen_address"), "{error}");
}

/// What is said about an address that cannot be listened on.
async fn not_listened_on(peer: &Peer, address: impl teleport::socket::ToAddress) -> String {
    let error = peer.listen_on(address).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Listen);
    format!("{error:?}")
}

/// What is said about an address that cannot be dialled.
async fn not_dialled(address: impl teleport::socket::ToAddress) -> String {
    let error = client().dial(address).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Dial);
    format!("{error:?}")
}

#[track_caller]
fn assert_says(text: &str, all: &[&str]) {
    for said in all {
        assert!(text.contains(said), "{said:?} is not in: {text}");
    }
}

#[tokio::test]
async fn taken_ports_and_absent_addresses_are_named() {
    let server = server(Peer::builder());
    let taken = server.listen_on("127.0.0.1:0").await.unwrap();
    let shown = taken.to_string();
    let text = not_listened_on(&server, &taken).await;
    assert_says(&text, &[&shown, "write another port", "reuse_port on both"]);
    server.close().await;
    assert_says(&not_dialled(&taken).await, &[&shown]);
    // 192.0.2.0/24 is set aside for texts like this one: no machine has its addresses.
    let text = not_listened_on(&client(), "192.0.2.1:0").await;
    assert_says(&text, &["192.0.2.1", "none of this machine"]);
}

#[tokio::test]
async fn hosts_without_an_address_are_named() {
    let text = not_dialled("nowhere.invalid:1").await;
    assert_says(
        &text,
        &["`nowhere.invalid` is not found", "is it written right"],
    );
    let text = not_dialled("[fe80::1%nozone]:1").await;
    assert_says(&text, &["`fe80::1%nozone`", "network interface `nozone`"]);
    let text = not_dialled("tcp4:[::1]:1").await;
    assert_says(
        &text,
        &["`::1` has no IPv4 address", "write `tcp6:` in front"],
    );
    let text = not_dialled("tcp6:127.0.0.1:1").await;
    assert_says(&text, &["no IPv6 address", "write `tcp4:` in front"]);
}

#[tokio::test]
async fn all_addresses_of_a_name_are_tried() {
    // The name may stand for ::1 as well, where nobody listens.
    let server = server(Peer::builder());
    let port = server.listen_on("127.0.0.1:0").await.unwrap().port();
    let session = client().dial(format!("localhost:{}", port.unwrap())).await;
    let back = call_bytes(&session.unwrap(), "/echo/back", "x").await;
    assert_eq!(back.unwrap(), "x");
    server.close().await;
}

#[tokio::test]
async fn unix_sockets_say_what_is_wrong_with_their_paths() {
    let (absent, packets) = (Path::new("absent"), Path::new("kind"));
    for network in ["unix", "unixpacket"] {
        let text = not_dialled(format!("{network}:{}", absent.text())).await;
        assert_says(&text, &[absent.text(), "does somebody listen there?"]);
        let text = not_listened_on(&client(), format!("{network}:/no/such/folder/x")).await;
        assert_says(&text, &["/no/such/folder/x", "make its folder first"]);
    }
    let server = server(Peer::builder());
    let address = format!("unixpacket:{}", packets.text());
    server.listen_on(&address).await.unwrap();
    let text = not_dialled(format!("unix:{}", packets.text())).await;
    assert_says(&text, &[packets.text(), "of the other kind"]);
    let name = format!("unix:@teleport-taken-{}", std::process::id());
    server.listen_on(&name).await.unwrap();
    let text = not_listened_on(&client(), &name).await;
    assert_says(&text, &["@teleport-taken", "write another name"]);
    server.listeners()[0].keep_file();
    server.close().await;
    let text = not_dialled(&address).await;
    assert_says(&text, &[packets.text(), "nobody listens there any more"]);
}
