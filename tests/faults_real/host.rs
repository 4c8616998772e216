//! Hosts of their own for the threads of a test: namespaces of the network, which need no root
//! where users may make them.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::mem::zeroed;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// What interfaces of this kind are called here.
const NAME: &[u8] = b"link";
const PREFIX: Ipv4Addr = Ipv4Addr::new(255, 255, 255, 0);

/// Starts `command` on a host of its own, as the one that may do everything there.
pub(crate) fn on_its_own(command: &mut Command) {
    // SAFETY: the calls take no pointers.
    let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
    let files = [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("0 {user} 1")),
        ("/proc/self/gid_map", format!("0 {group} 1")),
    ];
    let files = files.map(|(path, text)| (CString::new(path).expect("no zero"), text));
    let isolate = move || {
        // SAFETY: the call takes no pointers, and this process has one thread.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } == 0 {
            return Ok(());
        }
        // SAFETY: as above.
        if unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET) } != 0 {
            return Err(io::Error::last_os_error());
        }
        for (path, text) in &files {
            // SAFETY: the calls read a string and some bytes.
            let written = unsafe {
                let file = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
                libc::write(file, text.as_ptr().cast(), text.len())
            };
            if written < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: between fork and exec it makes system calls and allocates nothing.
    unsafe { command.pre_exec(isolate) };
}

/// Takes the calling thread to another host, which is empty.
pub(crate) fn move_to_another() -> io::Result<()> {
    // SAFETY: the call takes no pointers.
    check(unsafe { libc::unshare(libc::CLONE_NEWNET) })
}

/// One end of a link: the interface of a host whose packets are read from it and written to it.
pub(crate) struct Interface {
    pub(crate) packets: File,
    /// A socket on the host, for requests about its interface.
    control: OwnedFd,
}

impl Interface {
    /// Makes one on the calling thread's host, with an address.
    pub(crate) fn new(address: Ipv4Addr) -> io::Result<Self> {
        let packets = OpenOptions::new().read(true).write(true).open("/dev/net/tun")?;
        let mut request = request();
        request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as i16;
        ask(&packets, libc::TUNSETIFF, &request)?;
        // SAFETY: the call takes no pointers.
        let control =
            unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
        check(control)?;
        // SAFETY: it was just opened, and nothing else owns it.
        let control = unsafe { OwnedFd::from_raw_fd(control) };
        for (call, address) in [(libc::SIOCSIFADDR, address), (libc::SIOCSIFNETMASK, PREFIX)] {
            request.ifr_ifru.ifru_addr = sockaddr(address);
            ask(&control, call, &request)?;
        }
        let interface = Self { packets, control };
        interface.set_up(true)?;
        Ok(interface)
    }

    /// Takes the interface up or down. While it is down the host has no way to the other one.
    pub(crate) fn set_up(&self, up: bool) -> io::Result<()> {
        let mut request = request();
        request.ifr_ifru.ifru_flags = if up { libc::IFF_UP as i16 } else { 0 };
        ask(&self.control, libc::SIOCSIFFLAGS, &request)
    }
}

fn request() -> libc::ifreq {
    // SAFETY: all zeroes is a valid request.
    let mut request: libc::ifreq = unsafe { zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(NAME) {
        *to = *from as libc::c_char;
    }
    request
}

fn sockaddr(address: Ipv4Addr) -> libc::sockaddr {
    let address = libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: 0,
        sin_addr: libc::in_addr { s_addr: u32::from(address).to_be() },
        sin_zero: [0; 8],
    };
    // SAFETY: both have the same size, and any bytes are valid in either.
    unsafe { std::mem::transmute(address) }
}

fn ask(file: &impl AsRawFd, call: libc::Ioctl, request: &libc::ifreq) -> io::Result<()> {
    // SAFETY: the call reads one request.
    check(unsafe { libc::ioctl(file.as_raw_fd(), call, std::ptr::from_ref(request)) })
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
