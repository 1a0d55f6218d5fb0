//! The socket floor by itself: frames packed and unpacked, and messages over a socket pair.
//!
//! The body is as long as the message of the comparison test, and as opaque: no codec runs here.

use std::hint::black_box;
use std::sync::Arc;

use bytes::BytesMut;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use teleport::message::{Message, Mtype};
use teleport::proto::{Body, Env, JsonProto, PbProto, Proto, RawProto};
use teleport::socket::{Family, HostPort, Socket, bind_tcp, connect_tcp};
use tokio::net::{TcpStream, UnixStream};

const BODY: usize = 581;

fn message(len: usize) -> Message {
    Message::new(Mtype::CALL, "/hello/say", vec![0x5a; len])
        .with_seq("Aa0")
        .with_body_codec(b'p')
}

/// One frame to bytes, and bytes to one frame.
fn proto(c: &mut Criterion) {
    let opaque = message(BODY);
    let mut json = message(0).with_body_codec(b'j');
    json.body = br#"{"name":"value","list":[1,2,3]},"#.repeat(32).into();
    let protos: [(&str, &dyn Proto); 3] =
        [("raw", &RawProto), ("json", &JsonProto), ("pb", &PbProto)];
    for (name, proto) in protos {
        one_proto(c, name, proto, &opaque);
        one_proto(c, &format!("{name}_1k_of_json"), proto, &json);
    }
}

fn one_proto(c: &mut Criterion, name: &str, proto: &dyn Proto, message: &Message) {
    let env = Env::default();
    let (pack, mut unpack) = proto.split();
    let mut group = c.benchmark_group(name);

    let mut frame = BytesMut::with_capacity(4096);
    let packed = |frame: &mut BytesMut| {
        frame.clear();
        message
            .header
            .with_head(|head| pack.pack(&env, head, Body::Bytes(&message.body), frame))
    };
    group.throughput(Throughput::Elements(1));
    group.bench_function("pack", |b| b.iter(|| packed(black_box(&mut frame))));

    packed(&mut frame).expect("the message is a good one");
    group.bench_function("unpack", |b| {
        b.iter(|| {
            let unpacked = unpack.unpack(&env, black_box(&frame), false);
            unpacked
                .ok()
                .flatten()
                .map(|(frame, used)| (frame.body.len(), used))
        });
    });
    group.finish();
}

async fn tcp_pair() -> std::io::Result<(TcpStream, TcpStream)> {
    let listener = bind_tcp(&HostPort::new("127.0.0.1", 0), Family::Any).await?;
    let target = HostPort::from(listener.local_addr()?);
    let (near, far) = tokio::join!(connect_tcp(&target, Family::Any), listener.accept());
    let (near, far) = (near?, far?.0);
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    Ok((near, far))
}

/// Answers every message with itself.
async fn echo(mut socket: Socket) {
    while let Ok(Some(message)) = socket.read_message().await {
        if socket.write_message(&message).await.is_err() {
            return;
        }
    }
}

async fn round_trip(socket: &mut Socket, message: &Message) -> usize {
    socket
        .write_message(message)
        .await
        .expect("the other end reads");
    let reply = socket
        .read_message()
        .await
        .expect("the reply is a good one");
    reply.map_or(0, |reply| reply.body.len())
}

/// A message there and back, both ends on one thread, so that no thread has to be woken.
fn round_trips(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be built");
    let env = Arc::new(Env::default());
    let sockets = runtime.block_on(async {
        let (near, far) = tcp_pair().await.expect("there is a loopback");
        let tcp = (
            Socket::new(near, &RawProto, env.clone()),
            Socket::new(far, &RawProto, env.clone()),
        );
        let (near, far) = UnixStream::pair().expect("there are unix sockets");
        let unix = (
            Socket::new(near, &RawProto, env.clone()),
            Socket::new(far, &RawProto, env.clone()),
        );
        let (near, far) = tokio::io::duplex(64 << 10);
        let memory = (
            Socket::new(near, &RawProto, env.clone()),
            Socket::new(far, &RawProto, env.clone()),
        );
        [("tcp", tcp), ("unix", unix), ("memory", memory)]
    });
    let mut group = c.benchmark_group("round_trip");
    group.throughput(Throughput::Elements(1));
    for (name, (mut socket, other)) in sockets {
        runtime.spawn(echo(other));
        for (size, len) in [("581", BODY), ("64k", 64 << 10)] {
            let message = message(len);
            group.bench_function(format!("{name}_{size}"), |b| {
                b.iter(|| runtime.block_on(round_trip(&mut socket, &message)));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, proto, round_trips);
criterion_main!(benches);
