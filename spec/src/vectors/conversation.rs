//! Scripted conversations: whole connections of one side, in virtual time.

use serde::Deserialize;

use super::VectorBytes;

/// Everything that happens to one side of a connection, and what it has to do about it.
///
/// Times are in milliseconds since the transport connection was there. The peer's floor is not below `idle`, so there is no
/// jitter (PW-HB-005) and all times are exact.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conversation {
    /// The name, unique among the conversations.
    pub name: String,
    /// The ids of the requirements that decide the result.
    pub requirements: Vec<String>,
    /// What happens, in a sentence.
    pub about: String,
    /// Which side is tested.
    pub role: ConversationRole,
    /// What it is configured with.
    pub config: ConversationConfig,
    /// The sync keys of the two sides.
    pub keys: ConversationKeys,
    /// What happens, in the order of time.
    pub steps: Vec<ConversationStep>,
}

/// The side that is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConversationRole {
    /// It opened the transport connection.
    Client,
    /// It accepted the transport connection.
    Server,
}

/// The numbers of section 10, in milliseconds and bytes, and what else a side is told before it begins.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConversationConfig {
    /// Silence before the first PING.
    pub idle: u64,
    /// The shortest wait for an answer.
    pub interval: u64,
    /// Unanswered PINGs until the peer is given up.
    pub probes: u32,
    /// The most that a verdict may be put off by; `None` for the default of section 10.
    pub extension_max: Option<u64>,
    /// The longest time to detection that the side accepts; `None` for the default of section 10.
    pub detect_within: Option<u64>,
    /// The PING_FLOOR that it announces.
    pub ping_floor: u64,
    /// The longest pause of the peer.
    pub busy_max: u64,
    /// The frame limit that it announces.
    pub frame_limit: u32,
    /// The message limit that it announces.
    pub message_limit: u32,
    /// The time for the handshake.
    pub handshake_timeout: u64,
    /// The time for CLOSE_ACK.
    pub close_timeout: u64,
    /// The time in which a byte must be acknowledged.
    pub write_stall: u64,
    /// The time for any packet to be complete.
    pub assembly_base: u64,
    /// Bytes for which a packet gets one second more.
    pub assembly_rate: u32,
    /// Whether it announces RESYNC.
    pub resync: bool,
    /// Whether the application of a server judges HELLO (PW-HS-020).
    pub admission: bool,
    /// The TOKEN of a client.
    pub token: Option<VectorBytes>,
    /// Its own largest frame (PW-DAT-009).
    pub frame_sent: u32,
    /// Whether the transport can tell what the peer's host has acknowledged: then nothing is, but by
    /// [`ConversationAction::Acknowledge`]. Elsewhere what is taken counts as acknowledged.
    pub acknowledges: bool,
}

/// The two sync keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConversationKeys {
    /// What the side announces: the key of all that it receives, the first packet excepted.
    pub own: u32,
    /// What the peer announces: the key of all that the side sends, the first packet excepted.
    pub peer: u32,
}

/// One moment: what happens, and what comes of it. Between two steps nothing may be sent and no event may come.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConversationStep {
    /// The time.
    pub at: u64,
    /// The side does not look at its clock between the step before and this one (PW-HB-016).
    #[serde(default)]
    pub late: bool,
    /// What the side's clock shows, where that is not `at`: it was set back (PW-TIM-002).
    #[serde(default)]
    pub clock: Option<u64>,
    /// What happens.
    #[serde(rename = "do")]
    pub action: ConversationAction,
    /// The bytes that the transport takes in this step.
    pub out: VectorBytes,
    /// What the application is told in this step.
    pub events: Vec<ConversationEvent>,
    /// When the side must look at its clock next, at the latest; `None` where nothing waits for its time.
    pub deadline: Option<u64>,
}

/// What happens to a side.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ConversationAction {
    /// The transport connection is there. The first step of each conversation, at time 0.
    Start,
    /// These bytes come.
    Receive(VectorBytes),
    /// The application sends a message.
    Send {
        /// Its class.
        class: u8,
        /// Whether it is marked with ENCRYPTED.
        encrypted: bool,
        /// The payload.
        payload: VectorBytes,
    },
    /// The application closes.
    Close(ConversationFarewell),
    /// The application accepts HELLO (PW-HS-020).
    Accept,
    /// The application refuses HELLO.
    Refuse(ConversationFarewell),
    /// The application drains (section 9.1).
    Drain,
    /// The side stops reading (section 8.4).
    Pause,
    /// It reads again.
    Resume,
    /// The application cuts the connection.
    Abort,
    /// The transport connection ends.
    Disconnect(ConversationDisconnect),
    /// From now on the transport takes this many bytes, then no more; `None` takes whatever comes. At first it is `None`.
    Room(Option<usize>),
    /// The peer's host has acknowledged this many bytes of the side's stream in all.
    Acknowledge(u64),
    /// Time passes.
    Wait,
}

/// What the application says in CLOSE.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConversationFarewell {
    /// The reason.
    pub reason: u16,
    /// TEXT.
    pub text: Option<String>,
    /// The time to wait before connecting again in milliseconds; 0xFFFFFFFF for never.
    pub retry_after: u32,
}

/// How a transport connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConversationDisconnect {
    /// The peer's direction of the stream ended.
    EndOfStream,
    /// The peer's side reset it.
    Reset,
    /// The transport gave up.
    NetworkLost,
}

/// What the application is told.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ConversationEvent {
    /// The handshake is complete.
    Established {
        /// The peer's frame limit.
        frame_limit: u32,
        /// The peer's message limit.
        message_limit: u32,
        /// The effective `idle` of this side (section 8.2).
        idle: u64,
        /// Its effective `interval`.
        interval: u64,
        /// What the client gave; `None` on the client.
        token: Option<VectorBytes>,
    },
    /// HELLO came, and the application is to judge it.
    Admission {
        /// What the client gave.
        token: Option<VectorBytes>,
    },
    /// A message came whole.
    Message {
        /// Its class.
        class: u8,
        /// Whether its frames had ENCRYPTED.
        encrypted: bool,
        /// The payloads of its frames, joined.
        payload: VectorBytes,
    },
    /// Bytes were skipped, or a packet was dropped.
    Gap {
        /// How many bytes.
        skipped: u64,
        /// Whether a message was open that had not been refused.
        message_lost: bool,
    },
    /// This side refused a message of the peer that was too large.
    TooLarge {
        /// Its class.
        class: u8,
        /// Its number; 0 where that is unknown.
        ordinal: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The peer refused a message of this side (PW-REJ-007).
    Rejected {
        /// Its class.
        class: u8,
        /// Its number; 0 where that is unknown.
        ordinal: u64,
        /// The reason of section 11.4.
        reason: u16,
    },
    /// The first probe of a silence stayed unanswered (PW-HB-018).
    Suspect {},
    /// Evidence came after that.
    Recovered {},
    /// DRAIN came (PW-CLS-017).
    Draining {
        /// How many messages the peer has received whole.
        received: u64,
    },
    /// CLOSE came, and is going to be answered.
    Closing {
        /// The reason.
        reason: u16,
        /// TEXT.
        text: Option<String>,
        /// The time to wait before connecting again in milliseconds; 0xFFFFFFFF for never.
        retry_after: u32,
    },
    /// The connection is over: the last event.
    Closed {
        /// The reason.
        reason: u16,
        /// Who ended it.
        origin: ConversationOrigin,
        /// Whether CLOSE was answered by CLOSE_ACK.
        orderly: bool,
        /// How many messages this side has received whole.
        received: u64,
        /// TEXT of the peer's CLOSE, where the peer ended it.
        #[serde(default)]
        text: Option<String>,
        /// `retry_after` of the peer's CLOSE, where the peer ended it.
        #[serde(default)]
        retry_after: Option<u32>,
    },
}

/// Who ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConversationOrigin {
    /// This side: its application, or its judgement of the peer.
    Local,
    /// The peer's CLOSE.
    Peer,
    /// The transport connection.
    Transport,
}
