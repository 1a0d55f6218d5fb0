//! Those who come to a port that does not speak what they do: that they are told so in their own
//! words, that the log names them, and that nobody else is touched.

use std::sync::Arc;

use bytes::Bytes;
use teleport::message::Mtype;
use teleport::proto::{AnyOf, JsonProto, PbProto, Proto, RawProto};
use teleport::socket::Socket;
use teleport::{Message, Peer, Plugin, PreSession, Rerror, controller, plugin};
use teleport_tests::frames::{RawFrame, read_frame};
use teleport_tests::logs::{Logs, capture};
use teleport_tests::pair::call_bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tracing::subscriber::DefaultGuard;

struct Echo;

#[controller]
impl Echo {
    async fn it(&self, arg: Bytes) -> Bytes {
        arg
    }
}

struct Port {
    _server: Peer,
    address: String,
    logs: Logs,
    _guard: DefaultGuard,
}

impl Port {
    async fn new(proto: impl Proto) -> Self {
        Self::of(Peer::builder().proto(proto).build().unwrap()).await
    }

    async fn of(server: Peer) -> Self {
        let (logs, guard) = capture(false);
        server.route_call(Echo).unwrap();
        let address = server.listen_on("127.0.0.1:0").await.unwrap().to_string();
        Self {
            _server: server,
            address,
            logs,
            _guard: guard,
        }
    }

    async fn stream(&self) -> TcpStream {
        TcpStream::connect(&self.address).await.unwrap()
    }

    /// Sends bytes and reads what comes until the connection is closed.
    async fn send(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = self.stream().await;
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        answer
    }
}

fn protos() -> [Arc<dyn Proto>; 3] {
    [Arc::new(RawProto), Arc::new(JsonProto), Arc::new(PbProto)]
}

#[tokio::test]
async fn whoever_has_spoken_the_protocol_is_no_stranger_any_more() {
    let port = Port::new(RawProto).await;
    let call = RawFrame::call("A", "/echo/it", "x").bytes();
    let http = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    assert!(port.send(http).await.starts_with(b"HTTP/1.1 400"));
    for apart in [false, true] {
        let mut stream = port.stream().await;
        stream.write_all(&call).await.unwrap();
        if apart {
            read_frame(&mut stream).await.unwrap().unwrap();
        }
        stream.write_all(http).await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        let text = String::from_utf8_lossy(&rest);
        assert!(!text.contains("HTTP"), "{text}");
    }
}

#[tokio::test]
async fn a_call_fails_with_an_error_that_names_both_protocols() {
    for ours in protos() {
        let port = Port::new(Arc::clone(&ours)).await;
        let client = Peer::builder().build().unwrap();
        let right = client.dial(&port.address).proto(Arc::clone(&ours)).await;
        let right = right.unwrap();
        for theirs in protos() {
            if theirs.version() == ours.version() {
                continue;
            }
            let (ours, name) = (ours.version().1, theirs.version().1);
            // Small, and larger than what one read takes; with filters the whole frame has to come.
            for len in [3, 200_000] {
                for xfer in [&b""[..], b"m", b"g"] {
                    let session = client.dial(&port.address).proto(Arc::clone(&theirs)).await;
                    let session = session.unwrap();
                    let body = teleport::Raw(Bytes::from(vec![b'x'; len]));
                    let call = session.call::<teleport::Raw<Bytes>>("/echo/it", body);
                    let error = call.xfer(xfer).await.unwrap_err();
                    assert!(error.is_remote(), "{error:?}");
                    let rerror = error.rerror().unwrap();
                    let says = format!(
                        "this port speaks {ours}, and these bytes are of the {name} protocol"
                    );
                    assert_eq!(
                        (rerror.code(), rerror.message(), rerror.reason()),
                        (400, "Bad Message", &*says)
                    );
                    session.closed().await;
                    assert!(port.logs.has(&["session is closed", &says]));
                }
            }
            let pushing = client.dial(&port.address).proto(Arc::clone(&theirs)).await;
            let pushing = pushing.unwrap();
            pushing.push("/echo/it", 1).await.unwrap();
            pushing.closed().await;
            assert_eq!(pushing.close_reason().unwrap(), "closed by the other end");
        }
        let echoed = call_bytes(&right, "/echo/it", "still here").await;
        assert_eq!(echoed.unwrap(), "still here");
    }
}

#[tokio::test]
async fn a_port_of_several_protocols_names_them_all() {
    let port = Port::new(AnyOf::new(RawProto).or(PbProto)).await;
    let client = Peer::builder().build().unwrap();
    let session = client.dial(&port.address).proto(JsonProto).await.unwrap();
    let error = call_bytes(&session, "/echo/it", "x").await.unwrap_err();
    assert_eq!(
        error.rerror().unwrap().reason(),
        "this port speaks raw or pb, and these bytes are of the json protocol"
    );
}

#[tokio::test]
async fn a_call_that_comes_byte_by_byte_is_answered_too() {
    let port = Port::new(JsonProto).await;
    let mut stream = port.stream().await;
    stream.set_nodelay(true).unwrap();
    for byte in RawFrame::call("own", "/echo/it", "[1]").bytes() {
        stream.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let reply = teleport_tests::frames::read_frame(&mut &answer[..]).await;
    let reply = reply.unwrap().unwrap();
    assert_eq!((reply.seq.as_str(), reply.mtype), ("own", 2));
    assert!(reply.error().contains("this port speaks json"));
}

#[tokio::test]
async fn others_are_named_in_the_log_and_http_is_answered() {
    for ours in [
        Arc::new(RawProto) as Arc<dyn Proto>,
        Arc::new(JsonProto),
        Arc::new(AnyOf::known()),
    ] {
        let port = Port::new(ours).await;
        for (bytes, name, answer) in [
            (
                &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
                "HTTP",
                "HTTP/1.1 400 Bad Request\r\n",
            ),
            (b"POST /x HTTP/1.1\r\n\r\n", "HTTP", "HTTP/1.1 400"),
            (
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                "HTTP/2",
                "HTTP/1.1 400",
            ),
            (
                b"GET /chat HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
                "HTTP, for a websocket",
                "HTTP/1.1 400",
            ),
            (
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
                "TLS",
                "\x15\x03\x01\0\x02\x02\x0a",
            ),
            (b"SSH-2.0-x\r\n", "SSH", ""),
        ] {
            let came = port.send(bytes).await;
            let text = String::from_utf8_lossy(&came);
            assert!(
                text.starts_with(answer) && text.is_empty() == answer.is_empty(),
                "{text}"
            );
            let says = format!("these bytes look like {name})");
            assert!(port.logs.has(&["a frame is broken", &says]), "{says}");
        }
    }
}

#[tokio::test]
async fn only_the_first_bytes_of_a_connection_are_judged() {
    let port = Port::new(RawProto).await;
    let mut bytes = RawFrame::call("A", "/echo/it", "x").bytes();
    bytes.extend_from_slice(b"GET / HTTP/1.1\r\n\r\n");
    let answer = port.send(&bytes).await;
    let text = String::from_utf8_lossy(&answer);
    assert!(!text.contains("HTTP"), "{text}");
    assert!(!port.logs.has(&["look like"]));
    assert!(port.logs.has(&["a frame is broken"]));
}

struct WaitForOne;

#[plugin]
impl Plugin for WaitForOne {
    fn name(&self) -> &str {
        "wait_for_one"
    }

    async fn post_accept(&self, session: &mut PreSession) -> Result<(), Rerror> {
        session.receive().await?;
        Ok(())
    }
}

#[tokio::test]
async fn strangers_are_told_before_the_session_starts_too() {
    let server = Peer::builder().plugin(WaitForOne).build().unwrap();
    let port = Port::of(server).await;
    let mut socket = Socket::new(port.stream().await, &PbProto, Arc::default());
    let call = Message::new(Mtype::CALL, "/auth/verify", "x").with_seq("A");
    socket.write_message(&call).await.unwrap();
    let reply = socket.read_message().await.unwrap().unwrap();
    let error = Rerror::from_meta(&reply.header.meta).unwrap();
    let says = "this port speaks raw, and these bytes are of the pb protocol";
    assert_eq!((error.code(), error.reason()), (400, says));
    assert!(socket.read_message().await.unwrap().is_none());
    assert!(port.logs.has(&["a connection was refused", says]));

    let answer = port.send(b"GET / HTTP/1.1\r\n\r\n").await;
    assert!(answer.starts_with(b"HTTP/1.1 400"));
    assert!(port.logs.has(&["refused", "these bytes look like HTTP"]));

    let mut stream = port.stream().await;
    for byte in b"\0\0\0\x06\0\x0a\x01Q\x10\x01" {
        stream.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut socket = Socket::new(stream, &PbProto, Arc::default());
    let reply = socket.read_message().await.unwrap().unwrap();
    assert_eq!(reply.header.seq.as_bytes(), b"Q");
}
