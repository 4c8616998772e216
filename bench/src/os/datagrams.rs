//! Datagrams in batches: recvmmsg(2) and sendmmsg(2) with memory that is used again and again.

use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::time::Duration;
use std::{io, mem, ptr};

use super::check;

/// How many datagrams a batch has at most.
pub(crate) const BATCH: usize = 32;

/// Memory for a batch of datagrams and their addresses.
pub(crate) struct Datagrams {
    bytes: Vec<u8>,
    room: usize,
    addresses: Vec<libc::sockaddr_in>,
    segments: Vec<libc::iovec>,
    messages: Vec<libc::mmsghdr>,
}

impl Datagrams {
    /// Each of `room` bytes.
    pub(crate) fn new(room: usize) -> Self {
        // SAFETY: all of these are plain data, for which all zeroes are a value.
        let (address, message) = unsafe { (mem::zeroed(), mem::zeroed()) };
        let empty = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
        Self {
            bytes: vec![7; room * BATCH],
            room,
            addresses: vec![address; BATCH],
            segments: vec![empty; BATCH],
            messages: vec![message; BATCH],
        }
    }

    /// Points the headers at the memory, of which each datagram has as many bytes as `length` says.
    fn prepare(&mut self, count: usize, length: impl Fn(&libc::mmsghdr) -> usize, named: bool) {
        for index in 0..count {
            let length = length(&self.messages[index]);
            let start = self.bytes[index * self.room..].as_mut_ptr();
            self.segments[index] = libc::iovec { iov_base: start.cast(), iov_len: length };
            let header = &mut self.messages[index].msg_hdr;
            header.msg_iov = &raw mut self.segments[index];
            header.msg_iovlen = 1;
            // An address that no receive has filled is none to send to.
            (header.msg_name, header.msg_namelen) = if named {
                let length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
                ((&raw mut self.addresses[index]).cast(), length)
            } else {
                (ptr::null_mut(), 0)
            };
        }
    }

    /// Waits for one datagram and receives as many as there are. None after the socket's timeout.
    pub(crate) fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        let room = self.room;
        self.prepare(BATCH, |_| room, true);
        let (messages, flags) = (self.messages.as_mut_ptr(), libc::MSG_WAITFORONE);
        // SAFETY: the headers point to memory of this, which is borrowed for the call.
        let received = unsafe {
            libc::recvmmsg(socket.as_raw_fd(), messages, BATCH as u32, flags, ptr::null_mut())
        };
        match check(received) {
            Ok(count) => Ok(count as usize),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Sends what the last receive has received back to where it came from.
    pub(crate) fn send_back(&mut self, socket: &UdpSocket, count: usize) -> io::Result<()> {
        self.prepare(count, |message| message.msg_len as usize, true);
        self.send_prepared(socket, count)
    }

    /// Sends datagrams of `length` bytes to the socket's peer.
    pub(crate) fn send(
        &mut self,
        socket: &UdpSocket,
        count: usize,
        length: usize,
    ) -> io::Result<()> {
        self.prepare(count, |_| length, false);
        self.send_prepared(socket, count)
    }

    fn send_prepared(&mut self, socket: &UdpSocket, count: usize) -> io::Result<()> {
        let mut sent = 0;
        while sent < count {
            let messages = &mut self.messages[sent..count];
            // SAFETY: the headers point to memory of this, which is borrowed for the call.
            let more = unsafe {
                let (start, count) = (messages.as_mut_ptr(), messages.len() as u32);
                libc::sendmmsg(socket.as_raw_fd(), start, count, 0)
            };
            sent += check(more)? as usize;
        }
        Ok(())
    }
}

/// Has the kernel cut what is sent into datagrams of this size (GSO).
pub(crate) fn set_segment_size(socket: &UdpSocket, bytes: usize) -> io::Result<()> {
    super::socket::set_option(socket, libc::IPPROTO_UDP, libc::UDP_SEGMENT, bytes as i32)
}

/// Prepares a socket: room for bursts, and a receive that ends.
pub(crate) fn prepare(socket: &UdpSocket) -> io::Result<()> {
    super::socket::set_option(socket, libc::SOL_SOCKET, libc::SO_RCVBUF, 4 << 20)?;
    socket.set_read_timeout(Some(Duration::from_millis(50)))
}
