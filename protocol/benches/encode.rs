//! From messages to bytes, for day-to-day work: `cargo bench -p pulsewire-protocol --bench encode`.
//! How that compares with others is for `ratios` to say.

mod workload;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pulsewire_protocol::Damage;
use workload::encoders::{ConnectionEncoder, Nowhere};
use workload::{SIZES, per_batch};

fn encode(criterion: &mut Criterion) {
    for (name, damage) in [("plain", Damage::Close), ("checksums", Damage::Resynchronise)] {
        let mut group = criterion.benchmark_group(format!("encode/{name}"));
        for size in SIZES {
            group.throughput(Throughput::Elements(per_batch(size) as u64));
            let mut borrowed = ConnectionEncoder::new(size, damage, Nowhere);
            group.bench_function(BenchmarkId::new("borrowed", size), |bencher| {
                bencher.iter(|| borrowed.pass_borrowed());
            });
            let mut owned = ConnectionEncoder::new(size, damage, Nowhere);
            group.bench_function(BenchmarkId::new("owned", size), |bencher| bencher.iter(|| owned.pass_owned()));
        }
        group.finish();
    }
}

criterion_group!(benches, encode);
criterion_main!(benches);
