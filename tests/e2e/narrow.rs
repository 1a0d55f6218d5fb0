//! Connections that hold a byte or two: nobody waits for an end that waits for him.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use rcgen::{CertifiedKey, KeyPair};
use teleport::codec::Raw;
use teleport::message::{Message, Meta, Mtype};
use teleport::plugins::auth::{Launch, Verify};
use teleport::plugins::secure::{Key, Sealed};
use teleport::socket::Stream;
use teleport::tls::{TlsClient, TlsServer};
use teleport::{
    Error, Hook, Hooks, Peer, PeerBuilder, Plugin, PreSession, Rerror, Session, controller,
};
use teleport_tests::pair::call_bytes;
use tokio::io::DuplexStream;

struct Echo;

#[controller]
impl Echo {
    fn back(&self, arg: Raw<Bytes>) -> Raw<Bytes> {
        arg
    }
}

/// Both ends send a greeting before they read the other's.
struct Greeting;

impl Greeting {
    async fn exchange(session: &mut PreSession) -> Result<(), Rerror> {
        let failed = |e: Error| Rerror::internal(format!("{e:?}"));
        let greeting = Message::new(Mtype::PUSH, "/greeting", vec![7; 500]);
        session.send(greeting).await.map_err(failed)?;
        let got = session.receive().await.map_err(failed)?;
        assert_eq!(got.body, vec![7; 500]);
        Ok(())
    }
}

impl Plugin for Greeting {
    fn name(&self) -> &str {
        "greeting"
    }

    fn hooks(&self) -> Hooks {
        Hooks::POST_ACCEPT.union(Hooks::POST_DIAL)
    }

    fn post_accept<'a>(&'a self, session: &'a mut PreSession) -> Hook<'a> {
        Hook::wait(Self::exchange(session))
    }

    fn post_dial<'a>(&'a self, session: &'a mut PreSession) -> Hook<'a> {
        Hook::wait(Self::exchange(session))
    }
}

/// Lets nobody in, and reads nothing from anybody.
struct FullHouse;

impl Plugin for FullHouse {
    fn name(&self) -> &str {
        "full house"
    }

    fn hooks(&self) -> Hooks {
        Hooks::POST_ACCEPT
    }

    fn post_accept<'a>(&'a self, session: &'a mut PreSession) -> Hook<'a> {
        Hook::wait(async {
            let full = Rerror::new(503, "the house is full", "");
            session.refuse(&full, Meta::new()).await.unwrap();
            Err(full)
        })
    }
}

/// The plugins that both ends have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bare,
    Auth,
    Sealed,
    Greeting,
}

const KINDS: [Kind; 4] = [Kind::Bare, Kind::Auth, Kind::Sealed, Kind::Greeting];

impl Kind {
    fn peers(self) -> [Peer; 2] {
        let builder = Peer::builder;
        match self {
            Self::Bare => [builder(), builder()],
            Self::Auth => [
                builder().plugin(lets_in("secret")),
                builder().plugin(Launch::new("secret")),
            ],
            Self::Sealed => [builder().plugin(seal()), builder().plugin(seal())],
            Self::Greeting => [builder().plugin(Greeting), builder().plugin(Greeting)],
        }
        .map(peer)
    }
}

fn lets_in(secret: &'static str) -> Verify {
    Verify::new(move |_, text| match text {
        text if text == secret => Ok(()),
        _ => Err(Rerror::new(403, "not you", "")),
    })
}

fn seal() -> Sealed {
    Sealed::new(Key::from_hex("k1", &"5a".repeat(32)).unwrap())
}

fn peer(builder: PeerBuilder) -> Peer {
    let peer = builder.build().unwrap();
    peer.route_call(Echo).unwrap();
    peer
}

/// What both ends encrypt by, each showing the other a certificate.
struct Tls(TlsServer, TlsClient);

impl Tls {
    fn new() -> Self {
        let CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (cert, key) = (cert.pem(), KeyPair::serialize_pem(&signing_key));
        let server = TlsServer::builder()
            .identity_pem(&cert, &key)
            .client_ca_pem(&cert);
        let client = TlsClient::builder().ca_pem(&cert).identity_pem(&cert, &key);
        Self(server.build().unwrap(), client.build().unwrap())
    }
}

/// Fails where nothing goes on any more; on a paused clock at once.
async fn goes_on<T>(what: &str, work: impl Future<Output = T>) -> T {
    let watched = tokio::time::timeout(Duration::from_secs(60), work).await;
    watched.unwrap_or_else(|_| panic!("{what}: everybody waits for everybody"))
}

/// Connects two peers, as two that know nothing of each other.
async fn connect(
    [server, client]: &[Peer; 2],
    room: usize,
    tls: Option<&Tls>,
) -> [Result<Session, Error>; 2] {
    let (far, near) = tokio::io::duplex(room);
    let accepting = tls.map(|tls| tls.0.clone());
    let server = server.clone();
    let there = tokio::spawn(async move {
        let stream = match accepting {
            Some(tls) => tls.accept(far).await.unwrap(),
            None => Stream::new(far),
        };
        server.serve_conn(stream).await
    });
    let dialling = tls.map(|tls| tls.1.clone());
    let client = client.clone();
    let here = tokio::spawn(async move { client.dial_conn(encrypted(near, dialling).await).await });
    [there.await.unwrap(), here.await.unwrap()]
}

async fn encrypted(stream: DuplexStream, tls: Option<TlsClient>) -> Stream {
    match tls {
        Some(tls) => tls.connect(stream, "localhost").await.unwrap(),
        None => Stream::new(stream),
    }
}

/// Both ends call at once, and close at once; returns how long that took.
async fn lives(peers: &[Peer; 2], room: usize, tls: Option<&Tls>, what: &str) -> Duration {
    let begun = tokio::time::Instant::now();
    let ends = goes_on(what, connect(peers, room, tls)).await;
    let [there, here] = ends.map(Result::unwrap);
    let body: Vec<u8> = (0..=255).cycle().take(2000).collect();
    let call = |session| call_bytes(session, "/echo/back", body.clone());
    let calls = async { tokio::join!(call(&here), call(&there), call(&here), call(&there)) };
    let (a, b, c, d) = goes_on(what, calls).await;
    for back in [a, b, c, d] {
        assert!(back.unwrap() == body, "{what}");
    }
    let [server, client] = peers;
    goes_on(what, async { tokio::join!(here.close(), there.close()) }).await;
    goes_on(what, async { tokio::join!(server.close(), client.close()) }).await;
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn handshakes_and_calls_need_no_more_room_than_a_byte() {
    let tls = Tls::new();
    for room in [1, 2, 3, 5, 6, 7, 64, 700] {
        for tls in [None, Some(&tls)] {
            for kind in KINDS {
                let what = format!("{kind:?}, room {room}, encrypted: {}", tls.is_some());
                let took = lives(&kind.peers(), room, tls, &what).await;
                assert_eq!(
                    took,
                    Duration::ZERO,
                    "{what}: somebody waited for the clock"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_do_they_on_two_threads() {
    let tls = Tls::new();
    for room in [1, 2] {
        for tls in [None, Some(&tls)] {
            for kind in KINDS {
                let what = format!("{kind:?}, room {room}, encrypted: {}", tls.is_some());
                lives(&kind.peers(), room, tls, &what).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_needs_no_more_room_either() {
    let tls = Tls::new();
    let begun = tokio::time::Instant::now();
    for room in [1, 2, 7, 64] {
        for tls in [None, Some(&tls)] {
            let what = format!("room {room}, encrypted: {}", tls.is_some());
            let peers = [
                peer(Peer::builder().plugin(lets_in("secret"))),
                peer(Peer::builder().plugin(Launch::new("guess"))),
            ];
            let [there, here] = goes_on(&what, connect(&peers, room, tls)).await;
            for error in [there.unwrap_err(), here.unwrap_err()] {
                assert_eq!(error.to_string(), "403 not you", "{what}");
            }

            // This one sends before it reads, to an end that never reads.
            let peers = [
                peer(Peer::builder().plugin(FullHouse)),
                peer(Peer::builder().plugin(Launch::new("secret"))),
            ];
            let [there, here] = goes_on(&what, connect(&peers, room, tls)).await;
            there.unwrap_err();
            let error = format!("{:?}", here.unwrap_err());
            assert!(error.contains("the house is full"), "{what}: {error}");
        }
    }
    assert_eq!(
        begun.elapsed(),
        Duration::ZERO,
        "nobody waited for the clock"
    );
}

/// Pushes that fill the way there, from an end that then closes.
async fn pushes_and_closes(session: &Session) {
    for _ in 0..4 {
        session.push("/nobody", Raw(vec![0; 50_000])).await.unwrap();
    }
    session.close().await;
}

#[tokio::test(start_paused = true)]
async fn two_ends_that_have_more_to_say_close_at_once() {
    let tls = Tls::new();
    let begun = tokio::time::Instant::now();
    for tls in [None, Some(&tls)] {
        let peers = Kind::Bare.peers();
        let ends = connect(&peers, 64, tls).await;
        let [there, here] = ends.map(Result::unwrap);
        let both = async { tokio::join!(pushes_and_closes(&here), pushes_and_closes(&there)) };
        goes_on("pushes", both).await;
    }
    assert_eq!(
        begun.elapsed(),
        Duration::ZERO,
        "nobody waited for the clock"
    );
}

#[tokio::test(start_paused = true)]
async fn the_reason_of_a_refused_certificate_needs_no_more_room_either() {
    let (ours, theirs) = (Tls::new(), Tls::new());
    for room in [1, 2, 7, 64] {
        let (far, near) = tokio::io::duplex(room);
        let shaking =
            async { tokio::join!(ours.0.accept(far), theirs.1.connect(near, "localhost")) };
        let (there, here) = goes_on("handshakes", shaking).await;
        let (there, here) = (
            there.unwrap_err().to_string(),
            here.unwrap_err().to_string(),
        );
        assert!(here.contains("with ca_file"), "room {room}: {here}");
        assert!(
            there.contains("refuses the certificate of this side"),
            "room {room}: {there}"
        );
    }
}
