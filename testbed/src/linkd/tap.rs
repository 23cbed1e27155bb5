//! TAP devices: the one system call of the testbed that no maintained crate wraps without an async runtime of its own.

use std::ffi::c_void;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, ioctl};

use super::Error;

/// Makes a TAP device in this network namespace; it lives as long as the descriptor, wherever it is moved.
pub(super) fn open(device: &str) -> Result<OwnedFd, Error> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let tun = rustix::fs::open("/dev/net/tun", flags, Mode::empty())
        .map_err(|error| Error::Tun(error.into()))?;
    attach(&tun, device).map_err(|source| Error::Device {
        device: device.to_owned(),
        source,
    })?;
    Ok(tun)
}

fn attach(tun: &OwnedFd, device: &str) -> io::Result<()> {
    if device.is_empty() || device.len() >= NAME {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut name = [0; NAME];
    name[..device.len()].copy_from_slice(device.as_bytes());
    let request = Request {
        name,
        flags: TAP | NO_INFORMATION,
        rest: [0; 22],
    };
    // SAFETY: the descriptor is /dev/net/tun, and the request is what its TUNSETIFF reads and writes: a `struct ifreq`.
    #[allow(unsafe_code)]
    unsafe {
        ioctl(tun, Attach(request))?;
    }
    Ok(())
}

/// `struct ifreq` of linux/if.h: a name, then a union of 24 bytes that begins with the flags.
#[repr(C, align(8))]
struct Request {
    name: [u8; NAME],
    flags: u16,
    rest: [u8; 22],
}

struct Attach(Request);

// SAFETY: TUNSETIFF takes a pointer to a `struct ifreq`, which `Request` is in size, alignment and layout; it may be
// written to, and is owned by the call.
#[allow(unsafe_code)]
unsafe impl Ioctl for Attach {
    type Output = ();

    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        rustix::ioctl::opcode::write::<i32>(b'T', 202)
    }

    fn as_ptr(&mut self) -> *mut c_void {
        (&raw mut self.0).cast()
    }

    unsafe fn output_from_ptr(_: IoctlOutput, _: *mut c_void) -> rustix::io::Result<()> {
        Ok(())
    }
}

/// `IFNAMSIZ`: a name and the zero that ends it.
const NAME: usize = 16;
/// `IFF_TAP`: whole Ethernet frames.
const TAP: u16 = 0x0002;
/// `IFF_NO_PI`: nothing before them.
const NO_INFORMATION: u16 = 0x1000;
