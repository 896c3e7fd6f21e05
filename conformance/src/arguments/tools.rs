//! What the tools beside the suite can be told.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Args)]
pub(crate) struct TalkArguments {
    /// Where the server listens
    #[arg(value_name = "HOST:PORT")]
    pub(crate) address: String,

    /// Show each packet as a JSON object in a line, for scripts
    #[arg(long)]
    pub(crate) json: bool,

    /// Announce RESYNC, so that the server sends trailers
    #[arg(long)]
    pub(crate) resync: bool,
}

#[derive(Args)]
pub(crate) struct ProxyArguments {
    /// Where to listen; port 0 is any that is free
    #[arg(value_name = "HOST:PORT")]
    pub(crate) listen: String,

    /// Where the server listens
    #[arg(value_name = "TARGET")]
    pub(crate) target: String,

    /// Show each packet as a JSON object in a line
    #[arg(long)]
    pub(crate) json: bool,

    /// Show no packets, only connections
    #[arg(long, short)]
    pub(crate) quiet: bool,

    #[command(flatten)]
    pub(crate) faults: FaultArguments,
}

/// What is done to what passes.
#[derive(Args)]
pub(crate) struct FaultArguments {
    /// Do what the options below say in this direction alone
    #[arg(long, value_enum)]
    pub(crate) to: Option<Towards>,

    /// Everything takes this much longer
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
    pub(crate) delay: u64,

    /// And up to this much more, by chance
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
    pub(crate) jitter: u64,

    /// No more than this goes through
    #[arg(long, value_name = "BYTES/S", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rate: Option<u64>,

    /// Writes have so many bytes at most
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) split: Option<u64>,

    /// What comes within this time goes out in one write
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
    pub(crate) join: u64,

    /// Of so many bytes, one has a bit flipped, on average
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) corrupt: Option<u64>,

    /// Of so many pieces, as they were read, one comes twice
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) duplicate: Option<u64>,

    /// Of so many pieces, as they were read, one is dropped without a word
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) drop: Option<u64>,

    /// Reset the connection behind so many bytes
    #[arg(long, value_name = "BYTES")]
    pub(crate) cut_after: Option<u64>,

    /// Reset each connection when it is so old
    #[arg(long, value_name = "MILLISECONDS")]
    pub(crate) cut_at: Option<u64>,

    /// Pass nothing on behind so many bytes, and tell nobody, as a dead network does
    #[arg(long, value_name = "BYTES")]
    pub(crate) silent_after: Option<u64>,

    /// The same, when the connection is so old
    #[arg(long, value_name = "MILLISECONDS")]
    pub(crate) silent_at: Option<u64>,

    /// What is done to which packet, in TOML
    #[arg(long, value_name = "FILE")]
    pub(crate) script: Option<PathBuf>,

    /// What everything random is drawn from
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: Option<u64>,
}

/// A direction through the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Towards {
    /// What the client sends.
    Server,
    /// What the server sends.
    Client,
}

#[derive(Args)]
pub(crate) struct LoadArguments {
    /// Where the echo server listens
    #[arg(value_name = "HOST:PORT")]
    pub(crate) address: String,

    /// What is done to the server; the options below change parts of it
    #[arg(long, value_enum, default_value_t = LoadProfile::Busy)]
    pub(crate) profile: LoadProfile,

    /// Connections at a time
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) connections: Option<u32>,

    /// Messages under way on each connection: each answer brings the next message (closed loop)
    #[arg(long, value_name = "COUNT", conflicts_with = "rate", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) depth: Option<u32>,

    /// Messages a second on all connections together, whether they are answered or not (open loop); an answer's time counts from when
    /// its message was due
    #[arg(long, value_name = "MESSAGES/S", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rate: Option<u64>,

    /// Bytes in each message
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(..16_777_216))]
    pub(crate) payload: Option<u32>,

    /// How long it takes
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = seconds)]
    pub(crate) duration: f64,

    /// Threads; one does as a rule, as the server is asked, not this program
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) threads: u32,

    /// Announce RESYNC, so that both sides send checksums
    #[arg(long)]
    pub(crate) resync: bool,

    /// Show the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is done to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LoadProfile {
    /// 1,000 connections that say nothing.
    Idle,
    /// 8 connections with 16 messages of 64 bytes under way on each.
    Busy,
    /// 32 at a time that connect, ask once and close in order.
    Churn,
    /// 50 connections that ask for much and take long to read it.
    Slow,
    /// 8 connections that send messages of a byte as fast as they can.
    Flood,
}

impl LoadProfile {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Busy => "busy",
            Self::Churn => "churn",
            Self::Slow => "slow",
            Self::Flood => "flood",
        }
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds: &f64| (0.01..=1e6).contains(seconds));
    seconds.ok_or_else(|| "it takes from 0.01 s to a million".into())
}
