//! A part of a file as the payload of a message.

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io;

use bytes::Bytes;
use pulsewire_protocol::SendRefused;

/// A part of a file, to be sent with [`Sender::try_send_file`](crate::Sender::try_send_file). The position of the file does not matter,
/// and on Windows is changed by sending.
#[derive(Debug)]
pub struct FilePart {
    file: File,
    offset: u64,
    length: usize,
}

impl FilePart {
    /// `length` bytes from `offset` on. Whether the file has them is found out when they are sent.
    #[must_use]
    pub fn new(file: File, offset: u64, length: usize) -> Self {
        Self { file, offset, length }
    }

    /// All that the file holds now.
    ///
    /// # Errors
    ///
    /// What the system reports; [`io::ErrorKind::FileTooLarge`] if it does not fit into memory.
    pub fn whole(file: File) -> io::Result<Self> {
        let length = usize::try_from(file.metadata()?.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        Ok(Self::new(file, 0, length))
    }

    /// How many bytes it is.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether it is no byte at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Reads it whole.
    pub(crate) fn read(&self) -> io::Result<Bytes> {
        let mut bytes = vec![0; self.length];
        let mut read = 0;
        while read < bytes.len() {
            match read_at(&self.file, &mut bytes[read..], self.offset + read as u64) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => read += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(bytes.into())
    }
}

#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

/// Why a part of a file was not accepted for sending.
#[derive(Debug)]
#[non_exhaustive]
pub enum SendFileError {
    /// It could not be read; [`io::ErrorKind::UnexpectedEof`] if the file ends before.
    Read(io::Error),
    /// The connection does not take it.
    Refused(SendRefused),
}

impl fmt::Display for SendFileError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => write!(formatter, "the file could not be read: {error}"),
            Self::Refused(reason) => reason.fmt(formatter),
        }
    }
}

impl Error for SendFileError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Read(error) => Some(error),
            Self::Refused(_) => None,
        }
    }
}
