//! Peers of each protocol, and ports that speak several.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use teleport::message::{Frame, Head, Mtype};
use teleport::proto::{
    AnyOf, Body, Env, JsonProto, Pack, PbProto, Proto, ProtoError, RawProto, Sniff, Unpack,
};
use teleport::{CallCtx, ErrorKind, Message, Peer, Rerror, Session, controller};
use teleport_tests::pair::{call_bytes, settle};

struct Test;

#[controller]
impl Test {
    async fn echo(&self, arg: Bytes) -> Bytes {
        arg
    }

    async fn proto(&self, ctx: &mut CallCtx) -> String {
        ctx.session().proto().1.to_owned()
    }

    async fn fail(&self, arg: String) -> Result<(), Rerror> {
        Err(Rerror::new(7, "no \"no\" \\ no", arg))
    }
}

fn protos() -> [Arc<dyn Proto>; 3] {
    [Arc::new(RawProto), Arc::new(JsonProto), Arc::new(PbProto)]
}

fn server() -> Peer {
    let server = Peer::builder().build().unwrap();
    server.route_call(Test).unwrap();
    server
}

fn client() -> Peer {
    Peer::builder().build().unwrap()
}

/// Whatever the body, it comes back, with and without filters; and so do errors.
async fn speaks(session: &Session, proto: &dyn Proto) {
    assert_eq!(session.proto(), proto.version());
    let every: Bytes = (0..=255).collect();
    let large = every.repeat(1000);
    for body in [Bytes::new(), every, large.into()] {
        for xfer in [&b""[..], b"m", b"gm"] {
            let call = session
                .call::<teleport::Raw<Bytes>>("/test/echo?q=\"\\&%22", teleport::Raw(body.clone()))
                .meta("k", "\"v\"\n")
                .xfer(xfer);
            assert_eq!(call.await.unwrap().0, body);
        }
    }
    let error = session.call::<()>("/test/fail", "\"\n\u{1}").await;
    let error = error.unwrap_err();
    let error = error.rerror().unwrap();
    assert_eq!(
        (error.code(), error.message(), error.reason()),
        (7, "no \"no\" \\ no", "\"\n\u{1}")
    );
    let there: String = session.call("/test/proto", ()).await.unwrap();
    assert_eq!(there, proto.version().1);
}

#[tokio::test]
async fn each_listener_dial_and_stream_has_a_protocol_of_its_own() {
    let (server, client) = (server(), client());
    for proto in protos() {
        let address = server
            .listen_on("127.0.0.1:0")
            .proto(Arc::clone(&proto))
            .await;
        let session = client
            .dial(address.unwrap())
            .proto(Arc::clone(&proto))
            .await;
        speaks(&session.unwrap(), &*proto).await;

        let (near, far) = tokio::io::duplex(1 << 20);
        let there = server
            .serve_conn_with(near, Arc::clone(&proto))
            .await
            .unwrap();
        let here = client
            .dial_conn_with(far, Arc::clone(&proto))
            .await
            .unwrap();
        assert_eq!(there.proto(), proto.version());
        speaks(&here, &*proto).await;
    }
    let port = Peer::builder().listen_port(0).build().unwrap();
    port.route_call(Test).unwrap();
    let address = port.listen().proto(PbProto).await.unwrap();
    let session = client.dial(address).proto(PbProto).await.unwrap();
    speaks(&session, &PbProto).await;
}

#[tokio::test]
async fn the_protocol_of_a_peer_is_for_all_that_does_not_say_another() {
    let server = Peer::builder().proto(JsonProto).build().unwrap();
    server.route_call(Test).unwrap();
    let client = Peer::builder().proto(JsonProto).build().unwrap();
    let address = server.listen_on("127.0.0.1:0").await.unwrap();
    speaks(&client.dial(address).await.unwrap(), &JsonProto).await;
}

#[tokio::test]
async fn one_port_speaks_to_each_in_its_own_protocol() {
    let (server, client) = (server(), client());
    let port = AnyOf::known().or(Lines);
    let address = server.listen_on("127.0.0.1:0").proto(port).await.unwrap();
    for proto in protos() {
        let session = client.dial(&address).proto(Arc::clone(&proto)).await;
        speaks(&session.unwrap(), &*proto).await;
    }
    let session = client.dial(&address).proto(Lines).await.unwrap();
    let echoed = call_bytes(&session, "/test/echo", "a line").await.unwrap();
    assert_eq!(echoed, "a line");
    let there: String = session.call("/test/proto", ()).await.unwrap();
    assert_eq!(there, "lines");
}

#[tokio::test]
async fn what_comes_first_decides_and_before_that_the_first_of_the_list_is_spoken() {
    let (server, client) = (server(), client());
    let port = AnyOf::new(PbProto).or(RawProto);
    let connect = async |proto: Arc<dyn Proto>| {
        let (near, far) = tokio::io::duplex(1 << 16);
        let there = server.serve_conn_with(near, port.clone()).await.unwrap();
        (there, client.dial_conn_with(far, proto).await.unwrap())
    };
    let (there, here) = connect(Arc::new(RawProto)).await;
    assert_eq!(there.proto(), PbProto.version());
    call_bytes(&here, "/test/echo", "x").await.unwrap();
    assert_eq!(there.proto(), RawProto.version());

    // The server speaks first, and its client understands.
    let (there, here) = connect(Arc::new(PbProto)).await;
    there.push("/none", 1).await.unwrap();
    call_bytes(&here, "/test/echo", "x").await.unwrap();
    assert_eq!(there.proto(), PbProto.version());

    // The server speaks first, and its client does not: who called is told.
    let (there, here) = connect(Arc::new(RawProto)).await;
    there.push("/none", 1).await.unwrap();
    let error = call_bytes(&here, "/test/echo", "x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    settle().await;
    let reason = here.close_reason().unwrap();
    assert!(
        reason.contains("these bytes are of the pb protocol"),
        "{reason}"
    );
}

/// A protocol of somebody's own: `seq mtype uri body`, and no body has a line feed.
struct Lines;

impl Proto for Lines {
    fn version(&self) -> (u8, &'static str) {
        (b'l', "lines")
    }

    fn split(&self) -> (Box<dyn Pack>, Box<dyn Unpack>) {
        (Box::new(Self), Box::new(Self))
    }

    fn recognise(&self, _: &Env, bytes: &[u8]) -> Sniff {
        match bytes.is_ascii() && bytes[0].is_ascii_alphabetic() {
            true => Sniff::Yes,
            false => Sniff::No,
        }
    }
}

impl Pack for Lines {
    fn pack(
        &self,
        _: &Env,
        head: &Head<'_>,
        body: Body<'_>,
        dst: &mut BytesMut,
    ) -> Result<(), ProtoError> {
        dst.put_slice(head.seq);
        dst.put_slice(&[b' ', head.mtype.0 + b'0', b' ', head.body_codec, b' ']);
        dst.put_slice(head.uri);
        dst.put_slice(b" ");
        body.write(dst)?;
        dst.put_slice(b"\n");
        Ok(())
    }
}

impl Unpack for Lines {
    fn unpack<'a>(
        &'a mut self,
        _: &Env,
        src: &'a [u8],
        _: bool,
    ) -> Result<Option<(Frame<'a>, usize)>, ProtoError> {
        let Some(end) = src.iter().position(|byte| *byte == b'\n') else {
            return Ok(None);
        };
        let mut parts = src[..end].splitn(5, |byte| *byte == b' ');
        let mut part = || parts.next().unwrap_or_default();
        let head = Head {
            seq: part(),
            mtype: Mtype(part()[0] - b'0'),
            body_codec: part()[0],
            uri: part(),
            ..Head::default()
        };
        let frame = Frame { head, body: part() };
        Ok(Some((frame, end + 1)))
    }
}

#[tokio::test]
async fn a_port_of_several_protocols_may_be_spoken_to_before_its_session_starts() {
    use teleport::{Plugin, PreSession, plugin};

    struct Greet;

    #[plugin]
    impl Plugin for Greet {
        fn name(&self) -> &str {
            "greet"
        }

        async fn post_accept(&self, session: &mut PreSession) -> Result<(), Rerror> {
            let before = session.proto();
            let first = session.receive().await?;
            let reply = format!("{} then {}", before.1, session.proto().1);
            let reply = Message::new(Mtype::REPLY, "", reply).with_seq(first.header.seq.as_bytes());
            Ok(session.send(reply).await?)
        }
    }

    let server = Peer::builder().plugin(Greet).build().unwrap();
    let address = server
        .listen_on("127.0.0.1:0")
        .proto(AnyOf::known())
        .await
        .unwrap();
    for proto in protos() {
        let stream = tokio::net::TcpStream::connect(address.socket_addr().unwrap()).await;
        let mut socket = teleport::socket::Socket::new(stream.unwrap(), &*proto, Arc::default());
        let call = Message::new(Mtype::CALL, "/hello", "").with_seq("A");
        socket.write_message(&call).await.unwrap();
        let reply = socket.read_message().await.unwrap().unwrap();
        assert_eq!(reply.body, format!("raw then {}", proto.version().1));
    }
}
