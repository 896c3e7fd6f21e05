//! The two sides of a connection, as a subject plays them.

/// The role that the subject plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It accepts connections.
    Server,
    /// It opens them.
    Client,
}

impl Role {
    /// The word for reports and test names.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
        }
    }
}
