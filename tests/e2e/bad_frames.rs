//! Bytes that are no messages: that one connection is closed, the log says why, nobody else is
//! touched, and no more memory is taken than was received.

use bytes::{Bytes, BytesMut};
use teleport::xfer::{FilterError, Filters, XferFilter, XferPipe};
use teleport::{Peer, Session, controller};
use teleport_tests::frames::{RawFrame, framed, read_frame};
use teleport_tests::logs::{Logs, capture};
use teleport_tests::pair::{bare, call_bytes, connect, settle, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tracing::Level;
use tracing::subscriber::DefaultGuard;

struct Echo;

#[controller]
impl Echo {
    async fn it(&self, arg: Bytes) -> Bytes {
        arg
    }
}

const LIMIT: usize = 1 << 20;

/// A server by tcp, with a well-behaved session beside those that are not.
struct Fixture {
    server: Peer,
    address: String,
    witness: Session,
    logs: Logs,
    _guard: DefaultGuard,
}

impl Fixture {
    async fn new() -> Self {
        let (logs, guard) = capture(false);
        let server = Peer::builder().message_limit(LIMIT).build().unwrap();
        server.route_call(Echo).unwrap();
        let address = server.listen_on("127.0.0.1:0").await.unwrap().to_string();
        let client = Peer::builder().build().unwrap();
        let (_there, witness) = connect(&server, &client).await;
        Self {
            server,
            address,
            witness,
            logs,
            _guard: guard,
        }
    }

    /// Sends bytes and reads what comes until the connection is closed by the server.
    async fn send(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        // A reset is an end as well: not all that was sent was read.
        let _ = stream.read_to_end(&mut answer).await;
        answer
    }

    /// Sends bytes that cost the connection, and finds these texts in one line of the log.
    async fn is_closed(&self, bytes: &[u8], texts: &[&str]) {
        let answer = self.send(bytes).await;
        assert!(answer.is_empty(), "{texts:?}: {answer:?}");
        self.is_logged(texts);
        self.is_untouched().await;
    }

    #[track_caller]
    fn is_logged(&self, texts: &[&str]) {
        let lines = self.logs.others();
        let found = lines.iter().any(|line| {
            line.level <= Level::WARN && texts.iter().all(|text| line.text.contains(text))
        });
        assert!(found, "{texts:?} is not in the log: {lines:#?}");
    }

    async fn is_untouched(&self) {
        let echoed = call_bytes(&self.witness, "/echo/it", "still here")
            .await
            .unwrap();
        assert_eq!(echoed, "still here");
        until("the session is over", || self.server.sessions().len() == 1).await;
    }
}

#[tokio::test]
async fn wrong_sizes_close_the_connection() {
    let fixture = Fixture::new().await;
    for size in 0..14_u32 {
        let mut bytes = size.to_be_bytes().to_vec();
        bytes.extend(b"r\0\0\0\0\0\0\0\0\0\0\0\0");
        fixture.is_closed(&bytes, &["frame is broken"]).await;
    }
    for size in [LIMIT as u32 + 1, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
        let texts = ["exceeds the limit", &size.to_string(), &LIMIT.to_string()];
        fixture.is_closed(&size.to_be_bytes(), &texts).await;
    }
}

#[tokio::test]
async fn lengths_beyond_the_frame_close_the_connection() {
    let fixture = Fixture::new().await;
    let good = RawFrame::call("A", "/echo/it", "x").meta("k=v").payload();
    // The lengths of the seq, of the uri and of the metadata.
    for at in [0, 4, 14] {
        for length in [1000, u16::MAX] {
            let mut payload = good.clone();
            payload[at..at + 2].copy_from_slice(&length.to_be_bytes());
            fixture
                .is_closed(&framed(b"", &payload), &["frame is broken"])
                .await;
        }
    }
    let mut pipe = framed(b"", &good);
    pipe[5] = 255;
    fixture.is_closed(&pipe, &["frame is broken"]).await;
}

#[tokio::test]
async fn a_frame_cut_off_is_named_so() {
    let fixture = Fixture::new().await;
    let frame = RawFrame::call("A", "/echo/it", vec![b'x'; 30_000]).bytes();
    for length in [1, 3, 4, 10, 20_000, frame.len() - 1] {
        let mut stream = TcpStream::connect(&fixture.address).await.unwrap();
        stream.write_all(&frame[..length]).await.unwrap();
        stream.shutdown().await.unwrap();
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
        fixture.is_untouched().await;
        let text = format!("after {length} bytes of it");
        let logs = &fixture.logs;
        assert!(
            logs.has(&["ended within a message", &text]),
            "{:#?}",
            logs.all()
        );
    }
}

#[tokio::test]
async fn another_version_closes_the_connection() {
    let fixture = Fixture::new().await;
    let mut other = RawFrame::call("A", "/echo/it", "").bytes();
    other[4] = b'j';
    fixture
        .is_closed(&other, &["frame is broken", "version"])
        .await;
}

#[tokio::test]
async fn undefined_types_close_the_connection() {
    let fixture = Fixture::new().await;
    for mtype in [0, 4, 255] {
        let mut frame = RawFrame::call("A", "/echo/it", "x");
        frame.mtype = mtype;
        let text = format!("type {mtype}");
        fixture.is_closed(&frame.bytes(), &[&text]).await;
    }
}

fn gzipped(payload: &[u8], times: usize) -> Vec<u8> {
    let pipe = XferPipe::from_ids(&vec![b'g'; times]).unwrap();
    let packed = pipe.on_pack(&Filters::default(), payload).unwrap();
    framed(&vec![b'g'; times], &packed)
}

#[tokio::test]
async fn filters_that_fail_close_the_connection() {
    let fixture = Fixture::new().await;
    let payload = RawFrame::call("A", "/echo/it", "x").payload();
    fixture
        .is_closed(&framed(b"z", &payload), &["filter id: 122"])
        .await;

    let mut signed = payload.clone();
    signed.extend([7; 16]);
    fixture
        .is_closed(&framed(b"m", &signed), &["check failed"])
        .await;
    fixture
        .is_closed(&framed(b"m", b"short"), &["check failed"])
        .await;

    fixture
        .is_closed(&framed(b"g", &payload), &["frame is broken", "gzip"])
        .await;
    let mut broken = gzipped(&vec![b'x'; 10_000], 1);
    let middle = broken.len() / 2;
    broken[middle..].fill(0xff);
    fixture.is_closed(&broken, &["frame is broken"]).await;
}

#[tokio::test]
async fn an_exploding_frame_is_not_unpacked() {
    let fixture = Fixture::new().await;
    let bomb = vec![0; 8 << 20];
    let once = gzipped(&bomb, 1);
    assert!(once.len() < LIMIT);
    fixture
        .is_closed(&once, &["frame is broken", &LIMIT.to_string()])
        .await;
    let twice = gzipped(&bomb, 2);
    assert!(twice.len() < 10_000);
    fixture.is_closed(&twice, &["frame is broken"]).await;
}

#[tokio::test]
async fn a_good_message_before_a_broken_one_is_answered() {
    let fixture = Fixture::new().await;
    let mut bytes = RawFrame::call("A", "/echo/it", "x").bytes();
    bytes.extend(b"\0\0\0\x01");
    let mut answer = &fixture.send(&bytes).await[..];
    let reply = read_frame(&mut answer).await.unwrap().unwrap();
    assert_eq!((reply.seq.as_str(), &reply.body[..]), ("A", &b"x"[..]));
    assert!(answer.is_empty());
}

#[tokio::test]
async fn a_frame_may_come_byte_by_byte() {
    let fixture = Fixture::new().await;
    let (session, mut stream) = bare(&fixture.server, 1).await;
    for _ in 0..2 {
        let frame = RawFrame::call("A", "/echo/it?q=1", "slow")
            .meta("k=v")
            .bytes();
        for byte in frame {
            stream.write_u8(byte).await.unwrap();
            tokio::task::yield_now().await;
        }
        let reply = read_frame(&mut stream).await.unwrap().unwrap();
        assert_eq!(reply.body, b"slow");
    }
    assert!(session.health());
    settle().await;
    assert!(session.held_bytes() < 1000);
}

#[tokio::test]
async fn a_thousand_liars_take_no_memory() {
    let fixture = Fixture::new().await;
    let mut streams = Vec::new();
    for n in 0..1000 {
        let (session, mut stream) = bare(&fixture.server, 256).await;
        // Half of them claim too much, half of them as much as may be.
        let size = if n % 2 == 0 { u32::MAX } else { LIMIT as u32 };
        stream.write_all(&size.to_be_bytes()).await.unwrap();
        stream.write_all(b"r\0").await.unwrap();
        streams.push((session, stream));
    }
    settle().await;
    let held: usize = streams
        .iter()
        .map(|(session, _)| session.held_bytes())
        .sum();
    println!("1000 claims hold {held} bytes");
    assert!(held < 100_000, "{held}");
    for (n, (session, _)) in streams.iter().enumerate() {
        assert_eq!(session.health(), n % 2 == 1);
    }
    assert_eq!(fixture.server.sessions().len(), 501);
    drop(streams);
    fixture.is_untouched().await;
}

/// Panics on what it is given to unpack or pack, if that contains the word.
struct Touchy;

impl XferFilter for Touchy {
    fn id(&self) -> u8 {
        b't'
    }

    fn name(&self) -> &str {
        "touchy"
    }

    fn on_pack(&self, src: &[u8], dst: &mut BytesMut) -> Result<(), FilterError> {
        assert!(!src.windows(4).any(|w| w == b"pack"), "touched going out");
        dst.extend_from_slice(src);
        Ok(())
    }

    fn on_unpack(&self, src: &[u8], dst: &mut BytesMut, _: usize) -> Result<(), FilterError> {
        assert!(!src.windows(4).any(|w| w == b"take"), "touched coming in");
        dst.extend_from_slice(src);
        Ok(())
    }
}

struct Say;

#[controller]
impl Say {
    async fn it(&self) -> &'static str {
        "pack"
    }

    async fn it_later(&self) -> &'static str {
        tokio::task::yield_now().await;
        "pack"
    }
}

#[tokio::test]
async fn a_filter_that_panics_costs_no_other_connection() {
    let (logs, _guard) = capture(false);
    let touchy = || Peer::builder().xfer_filter(Touchy).build().unwrap();
    let server = touchy();
    server.route_call(Echo).unwrap();
    server.route_call(Say).unwrap();
    let (_there, witness) = connect(&server, &touchy()).await;

    let (session, mut stream) = bare(&server, 1 << 16).await;
    let call = RawFrame::call("A", "/echo/it", "take").filters(b"t");
    stream.write_all(&call.bytes()).await.unwrap();
    assert_eq!(read_frame(&mut stream).await.unwrap(), None);
    session.closed().await;
    assert!(
        session
            .close_reason()
            .unwrap()
            .contains("touched coming in")
    );
    assert!(logs.has(&["touched coming in"]));

    // A reply that cannot be packed is an error reply.
    for uri in ["/say/it", "/say/it/later"] {
        let error = witness
            .call::<String>(uri, ())
            .xfer(b"t")
            .await
            .unwrap_err();
        assert_eq!(error.rerror().unwrap().code(), 500, "{error:?}");
        assert!(error.to_string().contains("touched going out"), "{error}");
    }
    assert_eq!(call_bytes(&witness, "/echo/it", "x").await.unwrap(), "x");
    assert_eq!(server.sessions().len(), 1);
    assert!(witness.health());
}
