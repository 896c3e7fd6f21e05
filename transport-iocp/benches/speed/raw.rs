//! The least that echoes on a completion port: one receive under way on each connection, then one send of what came.

use std::io;
use std::mem::{self, MaybeUninit};
use std::net::{TcpListener, TcpStream};
use std::os::windows::io::{AsRawHandle, AsRawSocket, FromRawHandle, OwnedHandle};
use std::ptr;
use std::sync::Arc;
use std::thread;

use windows_sys::Win32::Foundation::{FALSE, INVALID_HANDLE_VALUE};
use windows_sys::Win32::Networking::WinSock::{
    SOCKET, SOCKET_ERROR, WSA_IO_PENDING, WSABUF, WSAGetLastError, WSARecv, WSASend,
};
use windows_sys::Win32::System::IO::{
    CreateIoCompletionPort, GetQueuedCompletionStatusEx, OVERLAPPED, OVERLAPPED_ENTRY,
};
use windows_sys::Win32::System::Threading::INFINITE;

const BUFFER: usize = 64 << 10;
const AT_ONCE: usize = 64;

/// A connection, which belongs to the kernel while an operation is under way.
#[repr(C)]
struct Link {
    overlapped: OVERLAPPED,
    stream: TcpStream,
    buffer: Vec<u8>,
    /// The operation that is under way sends; else it receives.
    sends: bool,
}

/// Accepts on this thread, and echoes on another one.
pub(crate) fn serve() -> io::Result<()> {
    // SAFETY: without a file this makes a port.
    let port = unsafe { CreateIoCompletionPort(INVALID_HANDLE_VALUE, ptr::null_mut(), 0, 0) };
    if port.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was made just now, and nobody else has it.
    let port = Arc::new(unsafe { OwnedHandle::from_raw_handle(port) });
    let echoed = Arc::clone(&port);
    thread::spawn(move || echo(&echoed));
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        // SAFETY: both handles are open.
        let joined = unsafe { CreateIoCompletionPort(stream.as_raw_socket() as _, port.as_raw_handle(), 0, 0) };
        if joined.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it is a structure of numbers and pointers, for which zero is a value.
        let overlapped = unsafe { mem::zeroed() };
        let link = Link { overlapped, stream, buffer: vec![0; BUFFER], sends: false };
        begin(Box::new(link), BUFFER);
    }
}

fn echo(port: &OwnedHandle) {
    let mut entries = [MaybeUninit::<OVERLAPPED_ENTRY>::uninit(); AT_ONCE];
    loop {
        let mut count = 0;
        // SAFETY: there is room for as many entries as it says, and `count` is valid.
        let came = unsafe {
            let room = entries.as_mut_ptr().cast();
            GetQueuedCompletionStatusEx(port.as_raw_handle(), room, AT_ONCE as u32, &raw mut count, INFINITE, FALSE)
        };
        assert!(came != 0, "{}", io::Error::last_os_error());
        for entry in &entries[..count as usize] {
            // SAFETY: so many entries were written.
            let entry = unsafe { entry.assume_init() };
            // SAFETY: each operation is of a link that `begin` leaked, and it is over, so that nobody else has it. `overlapped` is
            // its first field.
            let mut link = unsafe { Box::from_raw(entry.lpOverlapped.cast::<Link>()) };
            let length = entry.dwNumberOfBytesTransferred as usize;
            if length == 0 {
                continue;
            }
            link.sends = !link.sends;
            let most = if link.sends { length } else { BUFFER };
            begin(link, most);
        }
    }
}

/// Sends or receives so many bytes, and leaves the link to the kernel. One that has ended is dropped.
fn begin(mut link: Box<Link>, length: usize) {
    let buffer = WSABUF { len: length as u32, buf: link.buffer.as_mut_ptr() };
    let socket = link.stream.as_raw_socket() as SOCKET;
    let sends = link.sends;
    let link = Box::into_raw(link);
    let overlapped = link.cast::<OVERLAPPED>();
    let result = if sends {
        // SAFETY: buffer and structure belong to the link, which lives until the completion is taken from the port.
        unsafe { WSASend(socket, &raw const buffer, 1, ptr::null_mut(), 0, overlapped, None) }
    } else {
        // SAFETY: as for sending.
        unsafe { WSARecv(socket, &raw const buffer, 1, ptr::null_mut(), &mut 0, overlapped, None) }
    };
    // SAFETY: this asks for a number of the thread.
    if result == SOCKET_ERROR && unsafe { WSAGetLastError() } != WSA_IO_PENDING {
        // SAFETY: nothing was begun, so that no completion comes.
        drop(unsafe { Box::from_raw(link) });
    }
}
