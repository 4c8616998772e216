//! Options of a socket: their numbers, and their values as the kernel reads and writes them.

use std::os::fd::{AsRawFd, OwnedFd};
use std::{fmt, io};

use super::socket::check;

pub(crate) use libc::{
    IP_FREEBIND, IP_TOS, IP_TRANSPARENT, IPV6_TCLASS, SO_BINDTODEVICE, SO_MARK, SO_PRIORITY,
    TCP_CONGESTION, TCP_CORK, TCP_DEFER_ACCEPT, TCP_FASTOPEN, TCP_FASTOPEN_CONNECT, TCP_MAXSEG,
    TCP_NOTSENT_LOWAT, TCP_QUICKACK,
};

/// The most bytes of a name: `IFNAMSIZ` for an interface, `TCP_CA_NAME_MAX` for a way to control
/// congestion. The last is a zero.
const NAME_SIZE: usize = 16;

/// The value of an option: an integer or a name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct OptionValue {
    bytes: [u8; NAME_SIZE],
    length: u8,
}

impl OptionValue {
    /// Room for an integer.
    pub(crate) const NUMBER: Self = Self { bytes: [0; NAME_SIZE], length: size_of::<i32>() as u8 };
    /// Room for a name.
    pub(crate) const NAME: Self = Self { bytes: [0; NAME_SIZE], length: NAME_SIZE as u8 };

    pub(crate) fn number(value: i32) -> Self {
        let mut number = Self::NUMBER;
        number.bytes[..size_of::<i32>()].copy_from_slice(&value.to_ne_bytes());
        number
    }

    /// A name; `None` if it is too long. The kernel would cut it short.
    pub(crate) fn name(name: &str) -> Option<Self> {
        let mut value = Self { length: u8::try_from(name.len()).ok()?, ..Self::NAME };
        value.bytes[..NAME_SIZE - 1].get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        Some(value)
    }

    pub(crate) fn as_number(&self) -> i32 {
        let bytes = self.bytes.first_chunk().expect("a value has room for an integer");
        i32::from_ne_bytes(*bytes)
    }

    /// The name, without the zero behind it.
    pub(crate) fn as_name(&self) -> String {
        let bytes = &self.bytes[..self.length.into()];
        let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    }

    pub(crate) fn as_ptr(&self) -> *const u8 {
        self.bytes.as_ptr()
    }

    pub(crate) fn length(&self) -> u32 {
        self.length.into()
    }
}

impl fmt::Debug for OptionValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes[..self.length.into()].fmt(f)
    }
}

/// Sets an option.
pub(crate) fn set(socket: &OwnedFd, level: i32, name: i32, value: &OptionValue) -> io::Result<()> {
    let (fd, pointer, length) = (socket.as_raw_fd(), value.as_ptr().cast(), value.length());
    // SAFETY: the kernel reads `length` bytes, which the value has.
    check(unsafe { libc::setsockopt(fd, level, name, pointer, length) }).map(drop)
}

/// Reads an option; `room` is [`OptionValue::NUMBER`] or [`OptionValue::NAME`].
pub(crate) fn get(
    socket: &OwnedFd,
    level: i32,
    name: i32,
    room: OptionValue,
) -> io::Result<OptionValue> {
    let (mut value, mut length) = (room, room.length());
    let target = value.bytes.as_mut_ptr().cast();
    // SAFETY: the kernel writes at most `length` bytes, which the value has.
    check(unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, target, &mut length) })?;
    value.length = value.length.min(u8::try_from(length).unwrap_or(u8::MAX));
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_room_for_its_final_zero() {
        let longest = "fifteen-bytes..";
        assert_eq!(OptionValue::name(longest).unwrap().as_name(), longest);
        assert_eq!(OptionValue::name("sixteen-bytes..."), None);
        assert_eq!(OptionValue::name("").unwrap().length(), 0);
    }

    #[test]
    fn a_number_survives_the_round_trip() {
        for number in [0, 1, -1, i32::MAX, i32::MIN] {
            assert_eq!(OptionValue::number(number).as_number(), number);
        }
    }
}
