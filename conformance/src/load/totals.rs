//! What came out of a load.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::plan::Plan;
use super::processor;

/// The counts of some connections.
#[derive(Debug)]
pub(crate) struct Totals {
    /// Of answers, in nanoseconds.
    pub(crate) latencies: Histogram<u64>,
    /// From the first SYN to the end of the handshake, in nanoseconds.
    pub(crate) connects: Histogram<u64>,
    /// Of PINGs, in nanoseconds.
    pub(crate) round_trips: Histogram<u64>,
    pub(crate) sent: u64,
    pub(crate) answered: u64,
    pub(crate) rejected: u64,
    /// Answers that were not what was asked.
    pub(crate) wrong: u64,
    /// Messages to which no answer came before their connection was over.
    pub(crate) unanswered: u64,
    /// Messages that the server did not receive, by its own count at the end of a connection.
    pub(crate) lost: u64,
    /// Connections of which the server told its count.
    pub(crate) counted: u64,
    pub(crate) reconnects: u64,
    /// Connections that were closed as they should be.
    pub(crate) orderly: u64,
    /// How others ended, or did not begin.
    pub(crate) failures: BTreeMap<String, u64>,
}

impl Totals {
    pub(crate) fn new() -> Self {
        let histogram = || Histogram::new(3).expect("three digits are allowed");
        Self {
            latencies: histogram(),
            connects: histogram(),
            round_trips: histogram(),
            sent: 0,
            answered: 0,
            rejected: 0,
            wrong: 0,
            unanswered: 0,
            lost: 0,
            counted: 0,
            reconnects: 0,
            orderly: 0,
            failures: BTreeMap::new(),
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (all, of_other) in [
            (&mut self.latencies, &other.latencies),
            (&mut self.connects, &other.connects),
            (&mut self.round_trips, &other.round_trips),
        ] {
            all.add(of_other).expect("histograms that grow take everything");
        }
        self.sent += other.sent;
        self.answered += other.answered;
        self.rejected += other.rejected;
        self.wrong += other.wrong;
        self.unanswered += other.unanswered;
        self.lost += other.lost;
        self.counted += other.counted;
        self.reconnects += other.reconnects;
        self.orderly += other.orderly;
        for (failure, count) in &other.failures {
            *self.failures.entry(failure.clone()).or_default() += count;
        }
    }

    pub(crate) fn fail(&mut self, how: String) {
        *self.failures.entry(how).or_default() += 1;
    }
}

/// Records a time.
pub(crate) fn record(histogram: &mut Histogram<u64>, time: Duration) {
    let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    histogram.record(nanoseconds).expect("a histogram grows");
}

/// Times in milliseconds.
#[derive(Debug, Serialize)]
struct Percentiles {
    count: u64,
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
    mean: f64,
}

impl Percentiles {
    fn of(histogram: &Histogram<u64>) -> Option<Self> {
        let milliseconds = |nanoseconds: f64| (nanoseconds / 1e3).round() / 1e3;
        let at = |quantile| milliseconds(histogram.value_at_quantile(quantile) as f64);
        (!histogram.is_empty()).then(|| Self {
            count: histogram.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: milliseconds(histogram.max() as f64),
            mean: milliseconds(histogram.mean()),
        })
    }
}

impl Display for Percentiles {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let Self { p50, p90, p99, p999, max, mean, .. } = self;
        write!(
            formatter,
            "p50 {p50:.3} ms, p90 {p90:.3}, p99 {p99:.3}, p99.9 {p999:.3}, longest {max:.3}, mean {mean:.3}"
        )
    }
}

/// What a load comes to, for people and programs.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    profile: &'static str,
    pace: String,
    connections: usize,
    payload_bytes: usize,
    threads: usize,
    /// Until the last connection was closed.
    seconds: f64,
    sent: u64,
    answered: u64,
    messages_per_second: f64,
    megabytes_per_second: f64,
    latency_ms: Option<Percentiles>,
    connect_ms: Option<Percentiles>,
    ping_ms: Option<Percentiles>,
    reconnects: u64,
    closed_in_order: u64,
    rejected: u64,
    wrong: u64,
    unanswered: u64,
    /// `None` if the server told no count.
    lost: Option<u64>,
    failures: BTreeMap<String, u64>,
    /// What this program used of a processor; `None` where the system does not tell.
    processor_seconds: Option<f64>,
}

impl Summary {
    pub(crate) fn new(plan: &Plan, totals: Totals, took: Duration) -> Self {
        let seconds = took.as_secs_f64();
        let messages_per_second = totals.answered as f64 / seconds;
        Self {
            profile: plan.profile.name(),
            pace: plan.pace(),
            connections: plan.connections,
            payload_bytes: plan.payload,
            threads: plan.threads,
            seconds,
            sent: totals.sent,
            answered: totals.answered,
            messages_per_second,
            megabytes_per_second: messages_per_second * plan.payload as f64 / 1e6,
            latency_ms: Percentiles::of(&totals.latencies),
            connect_ms: Percentiles::of(&totals.connects),
            ping_ms: Percentiles::of(&totals.round_trips),
            reconnects: totals.reconnects,
            closed_in_order: totals.orderly,
            rejected: totals.rejected,
            wrong: totals.wrong,
            unanswered: totals.unanswered,
            lost: (totals.counted > 0).then_some(totals.lost),
            failures: totals.failures,
            processor_seconds: processor::seconds(),
        }
    }

    /// Whether every message was answered rightly, and every connection was closed in order.
    pub(crate) fn is_good(&self) -> bool {
        let missing = self.wrong + self.unanswered + self.lost.unwrap_or_default();
        missing == 0 && self.failures.is_empty() && self.connect_ms.is_some()
    }

    pub(crate) fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("strings and numbers always make JSON") + "\n"
    }
}

impl Display for Summary {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let Self { profile, pace, connections, payload_bytes, threads, seconds, .. } = self;
        let threads = if *threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
        writeln!(
            formatter,
            "{profile}: {connections} connections, {pace}, {payload_bytes} bytes each, {threads}, {seconds:.1} s"
        )?;
        writeln!(
            formatter,
            "  answered     {} of {} messages, {:.0}/s, {:.1} MB/s of payload",
            self.answered, self.sent, self.messages_per_second, self.megabytes_per_second
        )?;
        let times = [("latency", &self.latency_ms), ("connecting", &self.connect_ms), ("PING", &self.ping_ms)];
        for (what, times) in times {
            if let Some(times) = times {
                writeln!(formatter, "  {what:<12} {times}")?;
            }
        }
        let lost = self.lost.map_or_else(|| "unknown (no count was told)".into(), |lost| lost.to_string());
        writeln!(
            formatter,
            "  missing      {} unanswered, {} wrong, {} rejected; lost by the server's counts: {lost}",
            self.unanswered, self.wrong, self.rejected
        )?;
        writeln!(formatter, "  connections  {} closed in order, {} reconnects", self.closed_in_order, self.reconnects)?;
        if let Some(processor) = self.processor_seconds.filter(|seconds| *seconds > 0.0 && self.answered > 0) {
            let each = self.answered as f64 / processor;
            writeln!(
                formatter,
                "  this program {processor:.2} s of a processor: {each:.0} messages for each second of it"
            )?;
        }
        for (failure, count) in &self.failures {
            writeln!(formatter, "  {count} times    {failure}")?;
        }
        Ok(())
    }
}
