//! Datagrams, and messages with control data.

use std::io::IoSlice;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::{mem, ptr};

use super::buffers::Group;
use super::{Bench, compare, fd};
use crate::sys::opcode;

fn pair() -> (UdpSocket, UdpSocket) {
    let bound = || UdpSocket::bind("127.0.0.1:0").unwrap();
    let (near, far) = (bound(), bound());
    near.connect(far.local_addr().unwrap()).unwrap();
    far.connect(near.local_addr().unwrap()).unwrap();
    (near, far)
}

fn header() -> libc::msghdr {
    // SAFETY: `msghdr` is plain data, for which all zeroes is the empty message.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_namelen = 112;
    header.msg_controllen = 64 as _;
    header
}

/// Sends bytes and a descriptor in one message.
pub(super) fn send_with_descriptor(socket: &UnixStream, bytes: &[u8], passed: &impl AsRawFd) {
    let mut segments = [IoSlice::new(bytes)];
    let mut control = [0_u64; 4];
    let mut header = header();
    header.msg_namelen = 0;
    header.msg_iov = segments.as_mut_ptr().cast();
    header.msg_iovlen = 1 as _;
    header.msg_control = control.as_mut_ptr().cast();
    // SAFETY: the control memory has room for one message of one descriptor, and the calls read
    // what the header points to.
    unsafe {
        header.msg_controllen = libc::CMSG_SPACE(4) as _;
        let message = libc::CMSG_FIRSTHDR(&header);
        (*message).cmsg_level = libc::SOL_SOCKET;
        (*message).cmsg_type = libc::SCM_RIGHTS;
        (*message).cmsg_len = libc::CMSG_LEN(4) as _;
        ptr::write_unaligned(libc::CMSG_DATA(message).cast(), passed.as_raw_fd());
        assert_eq!(libc::sendmsg(socket.as_raw_fd(), &header, 0), bytes.len() as isize);
    }
}

#[test]
fn a_multishot_recvmsg_writes_a_header_name_control_and_bytes_into_each_buffer() {
    let written = std::cell::RefCell::new(Vec::new());
    compare(|bench| {
        let mut group = Group::full(bench, 1, 8, 16 + 112 + 64 + 100);
        let (near, far) = pair();
        // A control message with each datagram: the time to live.
        let on: libc::c_int = 1;
        // SAFETY: the call reads an integer.
        let result = unsafe {
            let value = ptr::from_ref(&on).cast();
            libc::setsockopt(near.as_raw_fd(), libc::IPPROTO_IP, libc::IP_RECVTTL, value, 4)
        };
        assert_eq!(result, 0);
        let header = header();
        let receive = || {
            let receive = opcode::RecvMsgMulti::new(fd(&near), ptr::from_ref(&header), 1);
            receive.flags(libc::MSG_TRUNC as u32).build()
        };
        bench.submit([(1, receive())]);
        let mut buffers = Vec::new();
        // One that fits, one that fits just so, one that is cut.
        for length in [1, 100, 101, 5000] {
            far.send(&vec![7; length]).unwrap();
            let arrived = bench.collect(1)[0];
            let mut bytes = group.take(arrived);
            // The port of the sender is not the same twice.
            bytes[16 + 2..16 + 4].fill(0);
            buffers.push(bytes);
        }
        written.borrow_mut().push(buffers);
        // An empty one ends it.
        far.send(b"").unwrap();
        let end = bench.collect(1)[0];
        assert!(!end.more());
        group.take(end);
        bench.submit([(2, receive())]);
        drop(far);
        // The refusal of a datagram ends it, too.
        near.send(b"lost").unwrap();
        bench.collect(1);
        group.release(bench);
    });
    let written = written.into_inner();
    assert!(written.iter().all(|buffers| *buffers == written[0]));
}

#[test]
fn a_multishot_recvmsg_without_buffers_takes_no_datagram() {
    compare(|bench| {
        let group = Group::empty(bench, 1, 8);
        let (near, far) = pair();
        let header = header();
        let receive = opcode::RecvMsgMulti::new(fd(&near), ptr::from_ref(&header), 1).build();
        far.send(b"kept").unwrap();
        bench.run([(1, receive)]);
        assert_eq!(near.recv(&mut [0; 10]).unwrap(), 4);
        group.release(bench);
    });
}

#[test]
fn messages_are_received_and_sent_with_addresses() {
    compare(|bench| {
        let (near, far) = pair();
        let (mut bytes, mut name) = ([0_u8; 8], [0_u64; 16]);
        let mut segment = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
        let mut header = header();
        header.msg_name = name.as_mut_ptr().cast();
        header.msg_controllen = 0 as _;
        header.msg_iov = &raw mut segment;
        header.msg_iovlen = 1 as _;
        let receive = opcode::RecvMsg::new(fd(&near), &raw mut header).build();
        bench.submit([(1, receive)]);
        bench.assert_quiet();
        far.send(b"longer than eight").unwrap();
        bench.collect(1);
        assert_eq!((&bytes, header.msg_flags), (b"longer t", libc::MSG_TRUNC));
        assert_eq!(header.msg_namelen as usize, size_of::<libc::sockaddr_in>());
        // Back to where it came from.
        let send = opcode::SendMsg::new(fd(&near), &raw const header).build();
        bench.run([(2, send)]);
        let mut back = [0; 20];
        assert_eq!(far.recv(&mut back).unwrap(), 8);
    });
}

#[test]
fn a_send_to_a_full_unix_socket_is_refused_or_waits() {
    compare(|bench: &mut Bench| {
        let (near, far) = UnixDatagram::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let mut queued = 0;
        while near.send(b"fill").is_ok() {
            queued += 1;
        }
        let send = |flags| opcode::Send::new(fd(&near), b"late".as_ptr(), 4).flags(flags).build();
        bench.run([(1, send(libc::MSG_DONTWAIT))]);
        let mut segment = libc::iovec { iov_base: b"wait".as_ptr().cast_mut().cast(), iov_len: 4 };
        let mut waiting = Box::new(header());
        (waiting.msg_namelen, waiting.msg_controllen) = (0, 0 as _);
        (waiting.msg_iov, waiting.msg_iovlen) = (&raw mut segment, 1 as _);
        bench.submit([(2, opcode::SendMsg::new(fd(&near), &raw const *waiting).build())]);
        bench.assert_quiet();
        // The header is read at submission.
        waiting.msg_iovlen = 77 as _;
        drop(waiting);
        segment.iov_len = 1 << 40;
        std::hint::black_box(&segment);
        let mut bytes = [0; 10];
        for _ in 0..queued {
            assert_eq!(far.recv(&mut bytes).unwrap(), 4);
        }
        bench.collect(1);
        // Some kernels send it empty: `a_unix_datagram_that_waits_in_the_kernel_may_be_sent_empty`.
        bench.seen.pop();
    });
}
