//! The end of a cable inside a namespace: packets of a TUN device, each behind its length, from and to standard input and output.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::thread;

use super::namespaces::Outcome;

/// The device's name.
pub(crate) const DEVICE: &str = "cable";

/// The longest packet.
const LONGEST: usize = 65_536;

/// Opens the device, which exists, says so, and carries packets until standard input ends.
pub(crate) fn run() -> Outcome {
    let device = open()?;
    let mut output = io::stdout();
    output.write_all(b"open\n")?;
    output.flush()?;
    let mut from = device.try_clone()?;
    thread::spawn(move || {
        let mut packet = vec![0; LONGEST];
        while let Ok(size) = from.read(&mut packet) {
            if write_packet(&mut output, &packet[..size]).is_err() {
                break;
            }
        }
        std::process::exit(0);
    });
    let (mut input, mut to) = (BufReader::new(io::stdin()), device);
    while let Some(packet) = read_packet(&mut input)? {
        // A device that is down takes nothing.
        let _ = to.write(&packet);
    }
    Ok(())
}

pub(crate) fn write_packet(to: &mut impl Write, packet: &[u8]) -> io::Result<()> {
    let length = u32::try_from(packet.len()).map_err(io::Error::other)?;
    to.write_all(&length.to_be_bytes())?;
    to.write_all(packet)?;
    to.flush()
}

/// `None` at the end.
pub(crate) fn read_packet(from: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        result => result?,
    }
    let mut packet = vec![0; u32::from_be_bytes(length) as usize];
    from.read_exact(&mut packet)?;
    Ok(Some(packet))
}

/// What `TUNSETIFF` takes: a name, flags, and room for what other calls have there.
#[repr(C)]
struct Request {
    name: [u8; libc::IFNAMSIZ],
    flags: libc::c_short,
    rest: [u8; 22],
}

fn open() -> Outcome<File> {
    let device = OpenOptions::new().read(true).write(true).open("/dev/net/tun")?;
    let flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    let mut request = Request { name: [0; libc::IFNAMSIZ], flags, rest: [0; 22] };
    request.name[..DEVICE.len()].copy_from_slice(DEVICE.as_bytes());
    // SAFETY: the descriptor is open, and the request is as large as the system's own, with a name that ends with a zero.
    let failed = unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF, &raw mut request) } < 0;
    if failed { Err(format!("no TUN device: {}", io::Error::last_os_error()).into()) } else { Ok(device) }
}
