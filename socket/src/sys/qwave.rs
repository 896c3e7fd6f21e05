//! `qwave.dll`, loaded at run time: a program that links it does not start where it is missing.

use std::ffi::CStr;
use std::mem::transmute;
use std::net::SocketAddr;
use std::ptr;

use socket2::SockAddr;
use windows_sys::Win32::Foundation::{FARPROC, FreeLibrary, GetLastError, HANDLE, HMODULE};
use windows_sys::Win32::NetworkManagement::QoS::{
    QOS_SET_FLOW, QOS_TRAFFIC_TYPE, QOS_VERSION, QOSSetOutgoingDSCPValue,
};
use windows_sys::Win32::Networking::WinSock::{SOCKADDR, SOCKET};
use windows_sys::Win32::System::IO::OVERLAPPED;
use windows_sys::Win32::System::LibraryLoader::{GetProcAddress, LOAD_LIBRARY_SEARCH_SYSTEM32, LoadLibraryExW};
use windows_sys::core::{BOOL, w};

use crate::qos_flow::{QosError, QosHandle, QosLibrary, SocketNumber, TrafficType};

type CreateHandle = unsafe extern "system" fn(*const QOS_VERSION, *mut HANDLE) -> BOOL;
type CloseHandle = unsafe extern "system" fn(HANDLE) -> BOOL;
type AddSocketToFlow =
    unsafe extern "system" fn(HANDLE, SOCKET, *const SOCKADDR, QOS_TRAFFIC_TYPE, u32, *mut u32) -> BOOL;
type SetFlow =
    unsafe extern "system" fn(HANDLE, u32, QOS_SET_FLOW, u32, *const core::ffi::c_void, u32, *mut OVERLAPPED) -> BOOL;
type RemoveSocketFromFlow = unsafe extern "system" fn(HANDLE, SOCKET, u32, u32) -> BOOL;

/// The loaded library. Its functions are valid while it is.
#[derive(Debug)]
pub(crate) struct Qwave {
    create_handle: CreateHandle,
    close_handle: CloseHandle,
    add_socket_to_flow: AddSocketToFlow,
    set_flow: SetFlow,
    remove_socket_from_flow: RemoveSocketFromFlow,
    _module: Module,
}

#[derive(Debug)]
struct Module(HMODULE);

// SAFETY: it is a number of the process, which any thread may use and free.
unsafe impl Send for Module {}
// SAFETY: as above; nothing is changed through it.
unsafe impl Sync for Module {}

impl Drop for Module {
    fn drop(&mut self) {
        // SAFETY: it was loaded, and is freed once. The functions are gone with the struct that it is the last field of.
        let _still_loaded = unsafe { FreeLibrary(self.0) };
    }
}

impl Module {
    fn function(&self, name: &'static CStr) -> Result<unsafe extern "system" fn() -> isize, QosError> {
        // SAFETY: the library is loaded, and the name ends with a zero byte.
        let function: FARPROC = unsafe { GetProcAddress(self.0, name.as_ptr().cast()) };
        function.ok_or_else(|| QosError::Absent { what: name.to_str().unwrap_or("qwave.dll"), code: last_error() })
    }
}

fn last_error() -> u32 {
    // SAFETY: it has no arguments, and reads a value of this thread.
    unsafe { GetLastError() }
}

fn outcome(succeeded: BOOL) -> Result<(), u32> {
    if succeeded == 0 { Err(last_error()) } else { Ok(()) }
}

impl Qwave {
    pub(crate) fn load() -> Result<Self, QosError> {
        // Of the system's folder alone, so that no file beside the program takes its place.
        // SAFETY: the name ends with a zero, and the reserved handle is null as it must be.
        let module = unsafe { LoadLibraryExW(w!("qwave.dll"), ptr::null_mut(), LOAD_LIBRARY_SEARCH_SYSTEM32) };
        if module.is_null() {
            return Err(QosError::Absent { what: "qwave.dll", code: last_error() });
        }
        let module = Module(module);
        let create_handle = module.function(c"QOSCreateHandle")?;
        let close_handle = module.function(c"QOSCloseHandle")?;
        let add_socket_to_flow = module.function(c"QOSAddSocketToFlow")?;
        let set_flow = module.function(c"QOSSetFlow")?;
        let remove_socket_from_flow = module.function(c"QOSRemoveSocketFromFlow")?;
        Ok(Self {
            // SAFETY: the function of this name has this signature, by qos2.h.
            create_handle: unsafe { transmute::<unsafe extern "system" fn() -> isize, CreateHandle>(create_handle) },
            // SAFETY: as above.
            close_handle: unsafe { transmute::<unsafe extern "system" fn() -> isize, CloseHandle>(close_handle) },
            // SAFETY: as above.
            add_socket_to_flow: unsafe {
                transmute::<unsafe extern "system" fn() -> isize, AddSocketToFlow>(add_socket_to_flow)
            },
            // SAFETY: as above.
            set_flow: unsafe { transmute::<unsafe extern "system" fn() -> isize, SetFlow>(set_flow) },
            // SAFETY: as above.
            remove_socket_from_flow: unsafe {
                transmute::<unsafe extern "system" fn() -> isize, RemoveSocketFromFlow>(remove_socket_from_flow)
            },
            _module: module,
        })
    }
}

impl QosLibrary for Qwave {
    fn create_handle(&self, (major, minor): (u16, u16)) -> Result<QosHandle, u32> {
        let version = QOS_VERSION { MajorVersion: major, MinorVersion: minor };
        let mut handle: HANDLE = ptr::null_mut();
        // SAFETY: both point to values that live through the call.
        outcome(unsafe { (self.create_handle)(&raw const version, &raw mut handle) })?;
        Ok(QosHandle(handle as usize))
    }

    fn close_handle(&self, handle: QosHandle) -> Result<(), u32> {
        // SAFETY: the handle was created by this library, and its session closes it once.
        outcome(unsafe { (self.close_handle)(handle.0 as HANDLE) })
    }

    fn add_socket_to_flow(
        &self,
        handle: QosHandle,
        socket: SocketNumber,
        peer: Option<SocketAddr>,
        traffic: TrafficType,
        flags: u32,
    ) -> Result<u32, u32> {
        let peer = peer.map(SockAddr::from);
        let address = peer.as_ref().map_or(ptr::null(), |peer| peer.as_ptr().cast::<SOCKADDR>());
        // As it must be on input.
        let mut flow = 0;
        // SAFETY: handle and socket are open while their owners call this; address and number live through the call.
        outcome(unsafe {
            (self.add_socket_to_flow)(
                handle.0 as HANDLE,
                socket.0 as SOCKET,
                address,
                traffic as QOS_TRAFFIC_TYPE,
                flags,
                &raw mut flow,
            )
        })?;
        Ok(flow)
    }

    fn set_outgoing_dscp(&self, handle: QosHandle, flow: u32, dscp: u8) -> Result<(), u32> {
        let value = u32::from(dscp);
        // SAFETY: the value lives through the call, which is complete when it returns, as no OVERLAPPED is given.
        outcome(unsafe {
            (self.set_flow)(
                handle.0 as HANDLE,
                flow,
                QOSSetOutgoingDSCPValue,
                size_of::<u32>() as u32,
                (&raw const value).cast(),
                0,
                ptr::null_mut(),
            )
        })
    }

    fn remove_socket_from_flow(&self, handle: QosHandle, socket: SocketNumber, flow: u32) -> Result<(), u32> {
        // SAFETY: handle and socket are open while the registration lives, which calls this once.
        outcome(unsafe { (self.remove_socket_from_flow)(handle.0 as HANDLE, socket.0 as SOCKET, flow, 0) })
    }
}
