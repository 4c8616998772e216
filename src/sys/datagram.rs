//! The message headers of datagrams, and what a multishot receive puts before each.

use std::net::SocketAddr;
use std::ptr;

use io_uring::types::RecvMsgOut;

use super::address::{Address, RawAddress};
use super::control::{CONTROL_ROOM, ControlBuffer, ReceivedControl, SentControl};

/// Everything about a received datagram but its bytes.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    /// Where it comes from; `None` if that is an address of an unknown family.
    pub(crate) address: Option<Address>,
    /// How many bytes it has.
    pub(crate) length: usize,
    /// How many of them were received.
    pub(crate) received: usize,
    pub(crate) control: ReceivedControl,
    /// Whether the kernel had any control message for it, be there room for that or not.
    pub(crate) is_marked: bool,
}

/// The header of one receive, with room for what is asked of a datagram. It lives in a box, where
/// the kernel reads and writes it.
pub(crate) struct RecvHeader {
    header: libc::msghdr,
    segment: libc::iovec,
    address: RawAddress,
    control: ControlBuffer,
    asks: Asks,
}

/// What a receive asks the kernel for, beside a datagram's bytes.
///
/// Of a Unix socket no control messages are asked for. With room for a descriptor, the kernel would
/// install what the peer passes: one descriptor of this process for each, which nothing would
/// close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    /// The sender's address, and all control messages that are read here.
    All,
    Address,
    Nothing,
}

impl Asks {
    /// How many of `room` bytes are for the address.
    fn of_address(self, room: u32) -> u32 {
        if self == Self::Nothing { 0 } else { room }
    }

    const fn control(self) -> usize {
        match self {
            Self::All => CONTROL_ROOM,
            Self::Address | Self::Nothing => 0,
        }
    }
}

fn empty_header() -> libc::msghdr {
    // SAFETY: `msghdr` is plain data, for which all zeroes is the empty message.
    unsafe { std::mem::zeroed() }
}

impl RecvHeader {
    pub(crate) fn new(asks: Asks) -> Box<Self> {
        Box::new(Self {
            header: empty_header(),
            segment: libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 },
            address: RawAddress::empty(),
            control: ControlBuffer::new(),
            asks,
        })
    }

    /// Points the header at the memory for one datagram and returns it for the kernel.
    pub(crate) fn prepare(&mut self, start: *mut u8, length: usize) -> *mut libc::msghdr {
        self.segment = libc::iovec { iov_base: start.cast(), iov_len: length };
        self.address = RawAddress::empty();
        self.header.msg_namelen = self.asks.of_address(self.address.length());
        let has_name = self.header.msg_namelen > 0;
        self.header.msg_name =
            if has_name { self.address.as_mut_ptr().cast() } else { ptr::null_mut() };
        self.header.msg_iov = &raw mut self.segment;
        self.header.msg_iovlen = 1;
        self.header.msg_control = self.control.start().cast();
        self.header.msg_controllen = self.asks.control() as _;
        self.header.msg_flags = 0;
        &raw mut self.header
    }

    /// What the kernel has written, for a datagram of `length` bytes.
    pub(crate) fn envelope(&self, length: usize) -> Envelope {
        let mut address = self.address;
        *address.length_mut() = self.header.msg_namelen;
        #[allow(clippy::unnecessary_cast, reason = "an integer of 32 bits in some C libraries")]
        let control_length = self.header.msg_controllen as usize;
        Envelope {
            address: sender(&address),
            length,
            received: length.min(self.segment.iov_len),
            control: self.control.received(control_length),
            is_marked: control_length > 0 || self.header.msg_flags & libc::MSG_CTRUNC != 0,
        }
    }
}

/// The address of a sender, which of a Unix socket may have no name, or was not asked for.
fn sender(address: &RawAddress) -> Option<Address> {
    if address.length() == 0 {
        return Some(Address::Unix(Box::default()));
    }
    address.decode().ok()
}

/// The header of one send: one segment, an address, control messages.
pub(crate) struct SendHeader {
    header: libc::msghdr,
    segment: libc::iovec,
    address: RawAddress,
    control: ControlBuffer,
}

impl SendHeader {
    pub(crate) fn new() -> Box<Self> {
        Box::new(Self {
            header: empty_header(),
            segment: libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 },
            address: RawAddress::empty(),
            control: ControlBuffer::new(),
        })
    }

    /// Sets the address, without which a datagram goes to the socket's peer, and the control
    /// messages. `is_ipv4` tells the family of the socket.
    pub(crate) fn set(
        &mut self,
        address: Option<&RawAddress>,
        control: &SentControl,
        is_ipv4: bool,
    ) {
        self.header.msg_namelen = 0;
        if let Some(address) = address {
            self.address = *address;
            self.header.msg_namelen = self.address.length();
        }
        let is_mapped = address.is_some_and(is_mapped_ipv4);
        self.control.write(control, is_ipv4 || is_mapped);
    }

    /// Points the header at a datagram's bytes and returns it for the kernel.
    pub(crate) fn prepare(&mut self, bytes: (*const u8, usize)) -> *const libc::msghdr {
        self.segment = libc::iovec { iov_base: bytes.0.cast_mut().cast(), iov_len: bytes.1 };
        self.header.msg_iov = &raw mut self.segment;
        self.header.msg_iovlen = 1;
        let has_address = self.header.msg_namelen > 0;
        self.header.msg_name =
            if has_address { self.address.as_mut_ptr().cast() } else { ptr::null_mut() };
        self.header.msg_controllen = self.control.length() as _;
        let has_control = self.control.length() > 0;
        self.header.msg_control =
            if has_control { self.control.start().cast() } else { ptr::null_mut() };
        &raw const self.header
    }
}

/// Whether an IPv6 socket sends to this address by IPv4, whose control messages it then needs.
fn is_mapped_ipv4(address: &RawAddress) -> bool {
    match address.decode() {
        Ok(Address::Ip(SocketAddr::V6(address))) => address.ip().to_ipv4_mapped().is_some(),
        _ => false,
    }
}

/// How much room the sender's address has in a buffer of a multishot receive.
const NAME_ROOM: usize = 112;

/// The header of a multishot receive: it says how much room address and control messages have in
/// each provided buffer.
pub(crate) struct MultishotHeader(libc::msghdr);

impl MultishotHeader {
    /// How many bytes of each provided buffer come before a datagram's own, at most.
    pub(crate) const OVERHEAD: usize = 16 + NAME_ROOM + CONTROL_ROOM;

    pub(crate) fn new(asks: Asks) -> Box<Self> {
        let mut header = empty_header();
        header.msg_namelen = asks.of_address(NAME_ROOM as u32);
        header.msg_controllen = asks.control() as _;
        Box::new(Self(header))
    }

    pub(crate) fn as_ptr(&self) -> *const libc::msghdr {
        &raw const self.0
    }

    /// Reads what the kernel has put into a provided buffer. Returns it, and how many bytes of the
    /// datagram are at the buffer's end.
    pub(crate) fn parse(&self, buffer: &[u8]) -> Option<(Envelope, usize)> {
        let message = RecvMsgOut::parse(buffer, &self.0).ok()?;
        let envelope = Envelope {
            address: sender(&RawAddress::from_bytes(message.name_data())),
            length: message.incoming_payload_len() as usize,
            received: message.payload_data().len(),
            control: ReceivedControl::parse(message.control_data()),
            is_marked: !message.control_data().is_empty() || message.is_control_data_truncated(),
        };
        Some((envelope, message.payload_data().len()))
    }
}

// The kernel's header is `struct io_uring_recvmsg_out`, of four integers.
const _: () = assert!(MultishotHeader::OVERHEAD % 64 == 0);
