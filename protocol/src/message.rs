//! What the application sends and gets.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Deref;

use bytes::Bytes;

use crate::wire::Class;
use crate::wire::printing::Length;

/// Bytes of a message: borrowed from the driver's buffer, or owned (large, or joined from fragments). `Debug` prints how many.
#[derive(Clone)]
pub enum Payload<'b> {
    /// Lives in somebody else's buffer.
    Borrowed(&'b [u8]),
    /// Owned; cloning it copies nothing.
    Owned(Bytes),
}

impl fmt::Debug for Payload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Length(self.len()).fmt(f)
    }
}

impl Payload<'_> {
    /// Keeps the payload. Copies it where it is borrowed.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
            Self::Owned(bytes) => bytes,
        }
    }
}

impl Deref for Payload<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Owned(bytes) => bytes,
        }
    }
}

impl PartialEq for Payload<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Payload<'_> {}

impl<'b> From<&'b [u8]> for Payload<'b> {
    fn from(bytes: &'b [u8]) -> Self {
        Self::Borrowed(bytes)
    }
}

impl<'b, const N: usize> From<&'b [u8; N]> for Payload<'b> {
    fn from(bytes: &'b [u8; N]) -> Self {
        Self::Borrowed(bytes)
    }
}

impl From<Bytes> for Payload<'_> {
    fn from(bytes: Bytes) -> Self {
        Self::Owned(bytes)
    }
}

impl From<Vec<u8>> for Payload<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Owned(bytes.into())
    }
}

/// A message, sent or received (section 6 of the specification).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Message<'b> {
    /// What it is about; order is kept within a class.
    pub class: Class,
    /// The application sealed the payload. The protocol only carries this mark (PW-DAT-012).
    pub encrypted: bool,
    /// The bytes; may be empty.
    pub payload: Payload<'b>,
}

impl<'b> Message<'b> {
    /// A message that the application did not seal.
    ///
    /// ```
    /// use pulsewire_protocol::{Class, Message};
    /// let message = Message::new(Class::BUSINESS, b"hello");
    /// assert_eq!(&*message.payload, b"hello");
    /// ```
    #[must_use]
    pub fn new(class: Class, payload: impl Into<Payload<'b>>) -> Self {
        Self { class, encrypted: false, payload: payload.into() }
    }

    /// Keeps the message. Copies the payload where it is borrowed.
    #[must_use]
    pub fn into_owned(self) -> Message<'static> {
        Message { class: self.class, encrypted: self.encrypted, payload: Payload::Owned(self.payload.into_bytes()) }
    }
}
