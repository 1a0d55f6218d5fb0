//! Values to bodies and back, by each of the built-in codecs.

use std::fmt::Debug;
use std::hint::black_box;

use bytes::BytesMut;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use serde::{Deserialize, Serialize};
use teleport::codec::{BodyRef, Codecs, FORM, FromBody, JSON, PLAIN, PROTOBUF, ToBody};
use teleport::{Protobuf, Raw};
use teleport_benches::BenchmarkMessage;

#[derive(Serialize, Deserialize)]
struct Record {
    name: String,
    note: String,
    amounts: Vec<i64>,
    factor: f64,
    done: bool,
}

fn record() -> Record {
    Record {
        name: "a name of some length".to_owned(),
        note: "a text with \"quotes\", <tags> and letters such as ä, ß and 变".to_owned(),
        amounts: (0..20).map(|n| n * 1_234_567).collect(),
        factor: 2.5e-3,
        done: true,
    }
}

#[derive(Serialize, Deserialize)]
struct Form {
    name: String,
    note: String,
    amounts: Vec<i64>,
}

fn form() -> Form {
    let Record {
        name,
        note,
        amounts,
        ..
    } = record();
    Form {
        name,
        note,
        amounts,
    }
}

/// Encodes and decodes a value.
fn both<T, R>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, codec: u8, value: &T)
where
    T: ToBody,
    R: FromBody,
{
    let codecs = Codecs::default();
    let mut body = BytesMut::new();
    must(value.encode_body(&codecs, codec, &mut body));
    group.throughput(Throughput::Bytes(body.len() as u64));
    let mut room = BytesMut::with_capacity(4096);
    group.bench_function(format!("{name}_encode"), |b| {
        b.iter(|| {
            room.clear();
            black_box(value).encode_body(&codecs, codec, &mut room)
        });
    });
    group.bench_function(format!("{name}_decode"), |b| {
        b.iter(|| R::from_body(&codecs, codec, BodyRef::new(black_box(&body))).is_ok());
    });
    must(R::from_body(&codecs, codec, BodyRef::new(&body)).map(drop));
}

fn must<T, E: Debug>(result: Result<T, E>) -> T {
    result.expect("the value fits the codec")
}

fn codecs(c: &mut Criterion) {
    let mut group = c.benchmark_group("codec");
    let message = BenchmarkMessage::filled();
    both::<_, Protobuf<BenchmarkMessage>>(&mut group, "protobuf", PROTOBUF, &Protobuf(&message));
    both::<_, Record>(&mut group, "json", JSON, &record());
    both::<_, Form>(&mut group, "form", FORM, &form());
    both::<_, String>(&mut group, "plain", PLAIN, &record().note);
    both::<_, Raw<Vec<u8>>>(&mut group, "raw", JSON, &Raw(vec![0x5a; 581]));
    group.finish();
}

criterion_group!(benches, codecs);
criterion_main!(benches);
