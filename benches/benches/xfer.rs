//! Bytes through the transfer filters and back.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use prost::Message;
use teleport::xfer::{Filters, XferPipe};
use teleport_benches::BenchmarkMessage;

const NO_LIMIT: usize = usize::MAX;

fn filters(c: &mut Criterion) {
    let filters = Filters::default();
    let message = BenchmarkMessage::filled().encode_to_vec();
    let many = message.repeat(100);
    let mut group = c.benchmark_group("xfer");
    for (size, bytes) in [("581", &message), ("58k", &many)] {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        for (name, ids) in [("gzip", &b"g"[..]), ("md5", b"m"), ("gzip_md5", b"gm")] {
            let pipe = XferPipe::from_ids(ids).expect("three filters are not too many");
            let packed = pipe
                .on_pack(&filters, bytes)
                .expect("the filters are registered");
            group.bench_function(format!("{name}_pack_{size}"), |b| {
                b.iter(|| pipe.on_pack(&filters, black_box(bytes)));
            });
            group.bench_function(format!("{name}_unpack_{size}"), |b| {
                b.iter(|| pipe.on_unpack(&filters, black_box(&packed), NO_LIMIT));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, filters);
criterion_main!(benches);
