//! Socket addresses of every family: [`RawAddress`] as the kernel reads and writes them,
//! [`Address`] as the library keeps them.

use std::ffi::{CString, OsStr};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr as UnixAddr;
use std::path::Path;
use std::{io, mem};

/// A socket address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Ip(SocketAddr),
    /// The bytes of a Unix socket's name: none if it has no name, a path without its final zero, or
    /// an abstract name, which begins with a zero.
    Unix(Box<[u8]>),
}

/// A socket address as the kernel reads and writes it.
#[derive(Clone, Copy)]
pub(crate) struct RawAddress {
    storage: libc::sockaddr_storage,
    length: libc::socklen_t,
}

impl RawAddress {
    /// Room for an address that the kernel will fill in.
    pub(crate) fn empty() -> Self {
        // SAFETY: `sockaddr_storage` is plain data, for which all zeroes is valid.
        let storage = unsafe { std::mem::zeroed() };
        Self { storage, length: size_of::<libc::sockaddr_storage>() as libc::socklen_t }
    }

    pub(crate) fn as_ptr(&self) -> *const libc::sockaddr {
        std::ptr::from_ref(&self.storage).cast()
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut libc::sockaddr {
        std::ptr::from_mut(&mut self.storage).cast()
    }

    pub(crate) fn length(&self) -> libc::socklen_t {
        self.length
    }

    pub(crate) fn length_mut(&mut self) -> &mut libc::socklen_t {
        &mut self.length
    }

    /// An address that the kernel has written elsewhere. What exceeds the longest address is cut.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        let mut raw = Self::empty();
        let length = bytes.len().min(size_of::<libc::sockaddr_storage>());
        // SAFETY: the storage has room for `length` bytes, and any bytes are valid in it.
        unsafe { raw.as_mut_ptr().cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), length) };
        raw.length = length as libc::socklen_t;
        raw
    }

    /// What the kernel has written.
    ///
    /// # Errors
    ///
    /// `InvalidData` if it is of a family that [`Address`] does not have.
    pub(crate) fn decode(&self) -> io::Result<Address> {
        match i32::from(self.storage.ss_family) {
            libc::AF_INET => {
                // SAFETY: the family says that the storage, which is large and aligned enough for
                // any address, holds a `sockaddr_in`.
                let raw = unsafe { &*self.as_ptr().cast::<libc::sockaddr_in>() };
                let ip = Ipv4Addr::from(u32::from_be(raw.sin_addr.s_addr));
                Ok(Address::Ip(SocketAddrV4::new(ip, u16::from_be(raw.sin_port)).into()))
            }
            libc::AF_INET6 => {
                // SAFETY: as above, with a `sockaddr_in6`.
                let raw = unsafe { &*self.as_ptr().cast::<libc::sockaddr_in6>() };
                let ip = Ipv6Addr::from(raw.sin6_addr.s6_addr);
                let (port, flow) = (u16::from_be(raw.sin6_port), raw.sin6_flowinfo);
                Ok(Address::Ip(SocketAddrV6::new(ip, port, flow, raw.sin6_scope_id).into()))
            }
            libc::AF_UNIX => {
                // SAFETY: as above, with a `sockaddr_un`, of which the kernel has written `length`
                // bytes; the rest is zero.
                let raw = unsafe { &*self.as_ptr().cast::<libc::sockaddr_un>() };
                let length = (self.length as usize).saturating_sub(UNIX_NAME_OFFSET);
                // The length may count a final zero, and the zero may be missing if the path fills
                // the array. The kernel also reports a length for it beyond the array then.
                let name: Vec<u8> =
                    raw.sun_path.iter().map(|&byte| byte as u8).take(length).collect();
                let end = match name.first() {
                    None | Some(0) => name.len(),
                    Some(_) => name.iter().position(|&byte| byte == 0).unwrap_or(name.len()),
                };
                Ok(Address::Unix(name[..end].into()))
            }
            family => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("socket address of family {family}, which is neither IPv4, IPv6 nor Unix"),
            )),
        }
    }

    fn encode<T>(address: T) -> Self {
        const { assert!(size_of::<T>() <= size_of::<libc::sockaddr_storage>()) };
        let mut raw = Self::empty();
        raw.length = size_of::<T>() as libc::socklen_t;
        // SAFETY: the storage is at least as large as `T` (asserted above) and aligned for any
        // socket address.
        unsafe { raw.as_mut_ptr().cast::<T>().write(address) };
        raw
    }
}

impl From<SocketAddr> for RawAddress {
    fn from(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(v4) => Self::encode(libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from(*v4.ip()).to_be() },
                sin_zero: [0; 8],
            }),
            SocketAddr::V6(v6) => Self::encode(libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: v6.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                sin6_scope_id: v6.scope_id(),
            }),
        }
    }
}

/// Where the name of a Unix socket begins in its address.
const UNIX_NAME_OFFSET: usize = mem::offset_of!(libc::sockaddr_un, sun_path);

/// The longest path that the standard library's address holds: its array has 108 bytes.
const LONGEST_STD_PATH: usize = 107;

impl From<&UnixAddr> for RawAddress {
    fn from(address: &UnixAddr) -> Self {
        let (path, name) = (address.as_pathname(), address.as_abstract_name());
        let bytes = path.map_or(name.unwrap_or_default(), |path| path.as_os_str().as_bytes());
        // A path ends with a zero, an abstract name begins with one.
        let (start, end) = (usize::from(name.is_some()), usize::from(path.is_some()));
        let mut raw = libc::sockaddr_un {
            sun_family: libc::AF_UNIX as libc::sa_family_t,
            sun_path: [0; 108],
        };
        for (to, &from) in raw.sun_path[start..].iter_mut().zip(bytes) {
            *to = from as libc::c_char;
        }
        let mut encoded = Self::encode(raw);
        encoded.length = (UNIX_NAME_OFFSET + start + bytes.len() + end) as libc::socklen_t;
        encoded
    }
}

/// The form that the addresses of one family have in the standard library. It is refused
/// (`InvalidData`) to addresses of another family.
pub trait FromAddress: TryFrom<Address, Error = io::Error> {}

impl FromAddress for SocketAddr {}

impl FromAddress for UnixAddr {}

impl TryFrom<Address> for SocketAddr {
    type Error = io::Error;

    fn try_from(address: Address) -> io::Result<Self> {
        match address {
            Address::Ip(address) => Ok(address),
            Address::Unix(_) => {
                Err(wrong_family("the socket has a Unix address, not an IP address"))
            }
        }
    }
}

impl TryFrom<Address> for UnixAddr {
    type Error = io::Error;

    fn try_from(address: Address) -> io::Result<Self> {
        match address {
            Address::Ip(_) => Err(wrong_family("the socket has an IP address, not a Unix address")),
            Address::Unix(name) => match name.split_first() {
                Some((0, name)) => Self::from_abstract_name(name),
                // A path of no bytes is no name. One that fills the kernel's array has no place for
                // the final zero that the standard library wants: it is cut, as that does itself.
                // An error would let any peer with such a path fail this socket's receives.
                _ => {
                    let length = name.len().min(LONGEST_STD_PATH);
                    Self::from_pathname(Path::new(OsStr::from_bytes(&name[..length])))
                }
            },
        }
    }
}

fn wrong_family(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// The domain of a socket for an address, as socket(2) takes it.
pub(crate) fn domain(address: &SocketAddr) -> i32 {
    match address {
        SocketAddr::V4(_) => libc::AF_INET,
        SocketAddr::V6(_) => libc::AF_INET6,
    }
}

/// The number of a network interface.
pub(crate) fn interface_index(name: &str) -> Option<u32> {
    let name = CString::new(name).ok()?;
    // SAFETY: the call reads a string that ends with zero.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    (index != 0).then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unix(address: &UnixAddr) -> UnixAddr {
        RawAddress::from(address).decode().unwrap().try_into().unwrap()
    }

    #[test]
    fn an_ip_address_survives_the_round_trip() {
        let scoped = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 7000, 5, 3);
        for address in
            ["127.0.0.1:80".parse().unwrap(), "[::1]:65535".parse().unwrap(), scoped.into()]
        {
            assert_eq!(RawAddress::from(address).decode().unwrap(), Address::Ip(address));
        }
    }

    #[test]
    fn a_unix_path_survives_the_round_trip() {
        for length in [1, 50, 107] {
            let path = "p".repeat(length);
            let address = UnixAddr::from_pathname(&path).unwrap();
            assert_eq!(unix(&address).as_pathname(), Some(Path::new(&path)));
        }
    }

    #[test]
    fn an_abstract_unix_name_survives_the_round_trip() {
        for name in [&b"name"[..], b"with\0zero", b"", &[7; 107]] {
            let address = UnixAddr::from_abstract_name(name).unwrap();
            assert_eq!(unix(&address).as_abstract_name(), Some(name));
        }
    }

    #[test]
    fn a_unix_socket_without_a_name_is_unnamed() {
        let (socket, _peer) = std::os::unix::net::UnixDatagram::pair().unwrap();
        assert!(unix(&socket.local_addr().unwrap()).is_unnamed());
    }

    #[test]
    fn a_path_that_fills_the_address_is_read_without_its_final_zero() {
        let path = "p".repeat(107);
        let mut raw = RawAddress::from(&UnixAddr::from_pathname(&path).unwrap());
        // So the kernel reports a path of 108 bytes, with a zero behind it.
        raw.length += 1;
        assert_eq!(raw.decode().unwrap(), Address::Unix(path.as_bytes().into()));
    }

    #[test]
    fn a_path_without_a_final_zero_is_cut_and_not_refused() {
        let full = Address::Unix("p".repeat(108).into_bytes().into());
        let cut = UnixAddr::try_from(full).unwrap();
        assert_eq!(cut.as_pathname(), Some(Path::new(&"p".repeat(107))));
    }

    #[test]
    fn an_address_of_an_unknown_family_is_refused() {
        assert_eq!(RawAddress::empty().decode().unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn an_address_is_not_taken_for_one_of_another_family() {
        let ip = Address::Ip("127.0.0.1:80".parse().unwrap());
        assert_eq!(UnixAddr::try_from(ip).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let unix = Address::Unix(Box::default());
        assert_eq!(SocketAddr::try_from(unix).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
