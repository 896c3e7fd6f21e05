//! From bytes to packets, for day-to-day work: `cargo bench -p pulsewire-protocol --bench decode`.
//! How that compares with others is for `ratios` to say.

mod workload;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pulsewire_protocol::Damage;
use workload::decoders::{ConnectionDecoder, HeaderLoop};
use workload::{BATCH, SIZES, Source, packets, streams};

fn decode(criterion: &mut Criterion) {
    for (name, damage) in [("plain", Damage::Close), ("checksums", Damage::Resynchronise)] {
        let mut group = criterion.benchmark_group(format!("decode/{name}"));
        for size in SIZES {
            let stream = streams::pulsewire(size, packets(size), damage);
            group.throughput(Throughput::Bytes(stream.len() as u64));
            let source = Source::new(stream, BATCH);
            let mut headers = HeaderLoop::new(source.clone());
            group.bench_function(BenchmarkId::new("Header::verify", size), |bencher| bencher.iter(|| headers.pass()));
            let mut connection = ConnectionDecoder::new(source, damage);
            group.bench_function(BenchmarkId::new("Connection", size), |bencher| bencher.iter(|| connection.pass()));
        }
        group.finish();
    }
}

fn resynchronise(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("resync");
    let stream = streams::garbage(60_000);
    group.throughput(Throughput::Bytes(stream.len() as u64));
    let mut connection = ConnectionDecoder::new(Source::new(stream, BATCH), Damage::Resynchronise);
    group.bench_function("Connection", |bencher| bencher.iter(|| connection.pass()));
    group.finish();
}

criterion_group!(benches, decode, resynchronise);
criterion_main!(benches);
