//! Names of addresses, which the C library looks up.

use std::ffi::CStr;
use std::io;
use std::net::{IpAddr, SocketAddr};

use super::address::RawAddress;

/// The most bytes of a name, with its zero (`NI_MAXHOST`).
const MAX_NAME: usize = 1025;

/// The name of an address. Waits for name servers.
///
/// # Errors
///
/// `NotFound` if it has none, `TimedOut` if no name server answers.
pub(crate) fn name_of(ip: IpAddr) -> io::Result<String> {
    let raw = RawAddress::from(SocketAddr::new(ip, 0));
    let mut name: [libc::c_char; MAX_NAME] = [0; MAX_NAME];
    let length = name.len() as libc::socklen_t;
    let (nothing, flags) = (std::ptr::null_mut(), libc::NI_NAMEREQD);
    // SAFETY: the address and the room for the name are as long as is said.
    let error = unsafe {
        let (address, address_length) = (raw.as_ptr(), raw.length());
        libc::getnameinfo(address, address_length, name.as_mut_ptr(), length, nothing, 0, flags)
    };
    if error == 0 {
        // SAFETY: the C library has written a text and a zero; at the latest the last byte is one.
        let name = unsafe { CStr::from_ptr(name.as_ptr()) };
        return Ok(name.to_string_lossy().into_owned());
    }
    if error == libc::EAI_SYSTEM {
        return Err(io::Error::last_os_error());
    }
    let kind = match error {
        libc::EAI_AGAIN => io::ErrorKind::TimedOut,
        _ => io::ErrorKind::NotFound,
    };
    // SAFETY: the C library's texts are never freed.
    let why = unsafe { CStr::from_ptr(libc::gai_strerror(error)) };
    Err(io::Error::new(kind, why.to_string_lossy().into_owned()))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn the_c_library_knows_the_name_of_the_loopback() {
        let name = name_of(Ipv4Addr::LOCALHOST.into()).unwrap();
        assert!(name.starts_with("localhost"), "{name}");
    }

    #[test]
    fn an_address_without_a_name_is_an_error_of_its_kind() {
        // For documentation: no machine has it.
        let error = name_of(Ipv4Addr::new(192, 0, 2, 1).into()).unwrap_err();
        assert!(matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::TimedOut));
        assert!(!error.to_string().is_empty());
    }
}
