//! What users and the server say to each other, as JSON: the same as in the chat of the tokio transport, whose client talks to this server.

use serde::{Deserialize, Serialize};

/// From a user, about a room: `{"room": "tea", "do": "say", "text": "hello"}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Command {
    pub(crate) room: String,
    #[serde(flatten)]
    pub(crate) action: Action,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(crate) enum Action {
    Join,
    Leave,
    Say { text: String },
    // These are the owner's.
    Kick { member: String },
    HandOver { to: String },
    Dissolve,
}

/// To a user: `{"event": "said", "room": "tea", "by": "anna.1", "text": "hello"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event {
    // What others call this user. Nobody else is ever called so.
    Welcome { you: String },
    // Who is in a room of this user's now. The first one is its owner.
    Members { room: String, members: Vec<String> },
    Said { room: String, by: String, text: String },
    // Nothing more comes from this room. Why: left, kicked, or dissolved.
    Out { room: String, why: String },
    Refused { why: String },
}
