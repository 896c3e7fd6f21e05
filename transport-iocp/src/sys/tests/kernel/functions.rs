//! The functions by their names.

use super::{FINISHED, SUCCESS, Socket, Work, kernel, port_of, write_address};
use std::ffi::c_void;
use std::os::windows::io::IntoRawHandle;
use std::ptr;
use std::thread;
use std::time::{Duration, Instant};
use windows_sys::Win32::Foundation::{GetLastError, HANDLE, SetLastError, WAIT_TIMEOUT};
use windows_sys::Win32::Networking::WinSock::{
    AF_INET, SO_PROTOCOL_INFOW, SOCKADDR, SOCKET, SOL_SOCKET, WSABUF, WSAID_ACCEPTEX, WSAID_CONNECTEX,
    WSAPROTOCOL_INFOW, XP1_IFS_HANDLES,
};
use windows_sys::Win32::System::IO::{OVERLAPPED, OVERLAPPED_ENTRY};
use windows_sys::Win32::System::WindowsProgramming::FILE_SKIP_COMPLETION_PORT_ON_SUCCESS;
use windows_sys::core::{BOOL, GUID};

/// 0, or -1 with the error where it is looked for.
fn outcome(result: Result<(), i32>) -> i32 {
    match result {
        Ok(()) => 0,
        Err(code) => {
            // SAFETY: it takes any number.
            unsafe { SetLastError(code.cast_unsigned()) };
            -1
        }
    }
}

#[unsafe(no_mangle)]
extern "system" fn CreateIoCompletionPort(file: HANDLE, existing: HANDLE, _key: usize, _threads: u32) -> HANDLE {
    if existing.is_null() {
        // Miri closes only handles that it knows: this is one of a thread that is over.
        return thread::spawn(|| ()).into_raw_handle();
    }
    match outcome(kernel().associate(file.addr(), existing.addr())) {
        0 => existing,
        _ => ptr::null_mut(),
    }
}

#[unsafe(no_mangle)]
extern "system" fn GetQueuedCompletionStatusEx(
    port: HANDLE,
    entries: *mut OVERLAPPED_ENTRY,
    room: u32,
    count: *mut u32,
    milliseconds: u32,
    _alertable: BOOL,
) -> BOOL {
    let deadline = Instant::now() + Duration::from_millis(milliseconds.into());
    let mut kernel = kernel();
    loop {
        kernel.work();
        let queue = kernel.queues.entry(port.addr()).or_default();
        if !queue.is_empty() {
            let taken = queue.len().min(room as usize);
            for (index, (overlapped, status, bytes)) in queue.drain(..taken).enumerate() {
                let (internal, bytes) = (status as usize, bytes as u32);
                let entry = OVERLAPPED_ENTRY {
                    lpCompletionKey: 0,
                    lpOverlapped: overlapped,
                    Internal: internal,
                    dwNumberOfBytesTransferred: bytes,
                };
                // SAFETY: there is room for as many entries as was said.
                unsafe { entries.add(index).write(entry) };
            }
            // SAFETY: an out parameter.
            unsafe { *count = taken as u32 };
            return 1;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            // SAFETY: it takes any number.
            unsafe { SetLastError(WAIT_TIMEOUT) };
            return 0;
        }
        kernel = FINISHED.wait_timeout(kernel, left).unwrap().0;
    }
}

#[unsafe(no_mangle)]
extern "system" fn PostQueuedCompletionStatus(port: HANDLE, bytes: u32, _key: usize, what: *const OVERLAPPED) -> BOOL {
    kernel().queues.entry(port.addr()).or_default().push_back((what.cast_mut(), SUCCESS, bytes as usize));
    FINISHED.notify_all();
    1
}

#[unsafe(no_mangle)]
extern "system" fn CancelIoEx(socket: HANDLE, _all: *const OVERLAPPED) -> BOOL {
    kernel().cancel(socket.addr());
    1
}

#[unsafe(no_mangle)]
extern "system" fn SetFileCompletionNotificationModes(socket: HANDLE, modes: u8) -> BOOL {
    assert_eq!(u32::from(modes), FILE_SKIP_COMPLETION_PORT_ON_SUCCESS);
    1 + outcome(kernel().skip(socket.addr()))
}

#[unsafe(no_mangle)]
extern "system" fn WSAStartup(_version: u16, _data: *mut c_void) -> i32 {
    0
}

#[unsafe(no_mangle)]
extern "system" fn WSAGetLastError() -> i32 {
    // SAFETY: it takes nothing.
    unsafe { GetLastError() }.cast_signed()
}

#[unsafe(no_mangle)]
extern "system" fn WSASocketW(family: i32, _: i32, _: i32, _: *const c_void, _group: u32, _flags: u32) -> SOCKET {
    let mut kernel = kernel();
    kernel.made += 1;
    let number = kernel.made;
    kernel.sockets.insert(number, Socket { family: family as u16, ..Socket::default() });
    number
}

#[unsafe(no_mangle)]
extern "system" fn closesocket(number: SOCKET) -> i32 {
    let mut kernel = kernel();
    kernel.cancel(number);
    let closed = kernel.sockets.remove(&number).expect("it is closed once");
    if let Some(peer) = closed.peer.and_then(|peer| kernel.sockets.get_mut(&peer)) {
        peer.ended = true;
    }
    0
}

#[unsafe(no_mangle)]
extern "system" fn bind(socket: SOCKET, address: *const SOCKADDR, _length: i32) -> i32 {
    outcome(kernel().bind(socket, port_of(address)))
}

#[unsafe(no_mangle)]
extern "system" fn listen(socket: SOCKET, _backlog: i32) -> i32 {
    kernel().sockets.entry(socket).and_modify(|it| it.listens = true);
    0
}

#[unsafe(no_mangle)]
extern "system" fn shutdown(socket: SOCKET, _how: i32) -> i32 {
    let mut kernel = kernel();
    let Some(ours) = kernel.sockets.get_mut(&socket) else { return outcome(Err(10038)) };
    ours.shut = true;
    if let Some(peer) = ours.peer.and_then(|peer| kernel.sockets.get_mut(&peer)) {
        peer.ended = true;
    }
    0
}

#[unsafe(no_mangle)]
extern "system" fn setsockopt(_: SOCKET, _level: i32, _option: i32, _value: *const u8, _length: i32) -> i32 {
    0
}

#[unsafe(no_mangle)]
extern "system" fn getsockopt(_: SOCKET, level: i32, option: i32, value: *mut u8, length: *mut i32) -> i32 {
    assert_eq!((level, option), (SOL_SOCKET, SO_PROTOCOL_INFOW), "nothing else is asked for");
    // SAFETY: whoever asks says how much room there is.
    assert_eq!(unsafe { *length }, size_of::<WSAPROTOCOL_INFOW>() as i32);
    let flags = if kernel().is_layered { 0 } else { XP1_IFS_HANDLES };
    let provider = WSAPROTOCOL_INFOW { dwServiceFlags1: flags, ..WSAPROTOCOL_INFOW::default() };
    // SAFETY: so there is room for one, which may be written.
    unsafe { value.cast::<WSAPROTOCOL_INFOW>().write(provider) };
    0
}

fn tell_address(socket: SOCKET, to: *mut SOCKADDR, length: *mut i32, port: impl Fn(&Socket) -> u16) -> i32 {
    const NOT_CONNECTED: i32 = 10057;
    let kernel = kernel();
    match kernel.sockets.get(&socket).map(|it| (it.family, port(it))) {
        None | Some((_, 0)) => outcome(Err(NOT_CONNECTED)),
        Some((family, port)) => {
            let written = write_address(to.cast(), family, port);
            // SAFETY: an out parameter.
            unsafe { *length = written as i32 };
            0
        }
    }
}

#[unsafe(no_mangle)]
extern "system" fn getsockname(socket: SOCKET, to: *mut SOCKADDR, length: *mut i32) -> i32 {
    tell_address(socket, to, length, |it| it.local)
}

#[unsafe(no_mangle)]
extern "system" fn getpeername(socket: SOCKET, to: *mut SOCKADDR, length: *mut i32) -> i32 {
    tell_address(socket, to, length, |it| it.remote)
}

#[unsafe(no_mangle)]
extern "system" fn WSARecv(
    socket: SOCKET,
    buffers: *const WSABUF,
    _one: u32,
    _received: *mut u32,
    flags: *mut u32,
    overlapped: *mut OVERLAPPED,
    _routine: *const c_void,
) -> i32 {
    // SAFETY: there is one, valid during the call.
    let WSABUF { len, buf } = unsafe { *buffers };
    outcome(kernel().start(socket, overlapped, Work::Receive { buffer: buf, room: len as usize, flags }))
}

#[unsafe(no_mangle)]
extern "system" fn WSASend(
    socket: SOCKET,
    buffers: *const WSABUF,
    count: u32,
    _sent: *mut u32,
    _flags: u32,
    overlapped: *mut OVERLAPPED,
    _routine: *const c_void,
) -> i32 {
    // SAFETY: there are so many, valid during the call.
    let buffers = unsafe { std::slice::from_raw_parts(buffers, count as usize) };
    let slices = buffers.iter().map(|it| (it.buf.cast_const(), it.len as usize)).collect();
    outcome(kernel().start(socket, overlapped, Work::Send { slices }))
}

extern "system" fn accept_ex(
    listener: SOCKET,
    accepted: SOCKET,
    addresses: *mut c_void,
    _data: u32,
    room: u32,
    _remote_room: u32,
    _received: *mut u32,
    overlapped: *mut OVERLAPPED,
) -> BOOL {
    let work = Work::Accept { accepted, addresses: addresses.cast(), room: room as usize };
    1 + outcome(kernel().start(listener, overlapped, work))
}

extern "system" fn connect_ex(
    socket: SOCKET,
    address: *const SOCKADDR,
    _length: i32,
    _data: *const c_void,
    _data_length: u32,
    _sent: *mut u32,
    overlapped: *mut OVERLAPPED,
) -> BOOL {
    1 + outcome(kernel().start(socket, overlapped, Work::Connect { to: port_of(address) }))
}

extern "system" fn accept_ex_addresses(
    addresses: *const c_void,
    _data: u32,
    room: u32,
    _remote_room: u32,
    local: *mut *mut SOCKADDR,
    local_length: *mut i32,
    remote: *mut *mut SOCKADDR,
    remote_length: *mut i32,
) {
    let first = addresses.cast::<SOCKADDR>().cast_mut();
    // SAFETY: the accept left the second one there.
    let second = unsafe { first.byte_add(room as usize) };
    for (to, length, address) in [(local, local_length, first), (remote, remote_length, second)] {
        // SAFETY: the accept wrote an address there, which begins with its family.
        let family = unsafe { address.cast::<u16>().read_unaligned() };
        // SAFETY: an out parameter.
        unsafe { *to = address };
        // SAFETY: an out parameter.
        unsafe { *length = if family == AF_INET { 16 } else { 28 } };
    }
}

#[unsafe(no_mangle)]
extern "system" fn WSAIoctl(
    _socket: SOCKET,
    _code: u32,
    asked: *const c_void,
    _asked_length: u32,
    answer: *mut c_void,
    _room: u32,
    _written: *mut u32,
    _overlapped: *mut OVERLAPPED,
    _routine: *const c_void,
) -> i32 {
    // SAFETY: only extension functions are asked for, by their GUID.
    let function = match unsafe { (*asked.cast::<GUID>()).data1 } {
        it if it == WSAID_ACCEPTEX.data1 => accept_ex as *const c_void,
        it if it == WSAID_CONNECTEX.data1 => connect_ex as *const c_void,
        _ => accept_ex_addresses as *const c_void,
    };
    // SAFETY: there is room for the pointer.
    unsafe { answer.cast::<*const c_void>().write(function) };
    0
}
