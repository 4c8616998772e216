//! Multishot receives of datagrams: where the kernel puts what, and what ends them.
//!
//! A datagram that is cut or taken for an end is lost: nothing sends it again.

use std::net::UdpSocket;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::ptr;

use io_uring::opcode;
use io_uring::types::{Fd, RecvMsgOut};
use uring_sys_tests::buffer_ring::BufferRing;
use uring_sys_tests::completion::{Completion, Errno};
use uring_sys_tests::memory::Buffer;
use uring_sys_tests::op::Op;
use uring_sys_tests::ring::Ring;

use crate::case::cases;

cases![
    multishot_recvmsg_layout: [MultishotRecv],
    a_datagram_too_long_for_its_buffer_tells_its_length: [MultishotRecv],
    an_empty_datagram_ends_a_multishot_recvmsg: [MultishotRecv],
    a_multishot_recvmsg_without_buffers_takes_no_datagram: [MultishotRecv],
    a_refusal_ends_a_multishot_recvmsg_once: [MultishotRecv],
    a_unix_datagram_that_waits_in_the_kernel_may_be_sent_empty,
    the_end_of_a_seqpacket_connection_has_no_timestamp_and_an_empty_message_has_one,
    a_multishot_recvmsg_has_a_timestamp_for_an_empty_message_and_none_for_the_end: [MultishotRecv],
];

const GROUP: u16 = 9;
const NAME_ROOM: u32 = 112;
const CONTROL_ROOM: usize = 64;
/// Of `struct io_uring_recvmsg_out`, and both rooms.
const BEFORE: u32 = 16 + NAME_ROOM + CONTROL_ROOM as u32;

/// Two sockets that are connected to each other.
fn pair() -> (UdpSocket, UdpSocket) {
    let bound = || UdpSocket::bind("127.0.0.1:0").expect("bind a socket");
    let (near, far) = (bound(), bound());
    near.connect(far.local_addr().expect("an address")).expect("connect");
    far.connect(near.local_addr().expect("an address")).expect("connect");
    (near, far)
}

fn header() -> libc::msghdr {
    // SAFETY: `msghdr` is plain data, for which all zeroes is the empty message.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_namelen = NAME_ROOM;
    header.msg_controllen = CONTROL_ROOM as _;
    header
}

/// A multishot receive that also tells how long a datagram is which it cuts.
fn receive(socket: &UdpSocket) -> Op {
    let header = Box::leak(Box::new(header()));
    let receive = opcode::RecvMsgMulti::new(Fd(socket.as_raw_fd()), ptr::from_ref(header), GROUP);
    // SAFETY: the header is leaked, and the buffers are those of a ring that is never unmapped.
    unsafe { Op::from_entry(receive.flags(libc::MSG_TRUNC as u32).build()) }
}

/// The bytes of a datagram, its length, and how many bytes its sender's address has.
fn parsed(buffers: &BufferRing, arrived: Completion) -> (Vec<u8>, u32, usize) {
    let id = arrived.buffer_id().expect("a buffer was selected");
    let bytes = buffers.bytes(id, arrived.outcome().expect("a datagram"));
    let message = RecvMsgOut::parse(&bytes, &header()).expect("room for the header");
    let (length, name) = (message.incoming_payload_len(), message.name_data().len());
    (message.payload_data().to_vec(), length, name)
}

/// A datagram's bytes come behind a header of 16 bytes and the room for the sender's address and
/// the control messages, however little of that is used; the result counts all of it. The driver
/// lends out the bytes from there on, without a copy.
fn multishot_recvmsg_layout() {
    let mut ring = Ring::plain(8);
    let buffers = BufferRing::full(&ring, GROUP, 8, 2048);
    let (near, far) = pair();
    ring.start([receive(&near)]);
    for text in [&b"a"[..], b"two", &[7; 1200]] {
        far.send(text).expect("send a datagram");
        let arrived = ring.next_any();
        assert!(arrived.more(), "still armed: {arrived:?}");
        assert_eq!(arrived.outcome(), Ok(BEFORE + text.len() as u32));
        let (bytes, length, name) = parsed(&buffers, arrived);
        assert_eq!((&bytes[..], length), (text, text.len() as u32));
        assert_eq!(name, size_of::<libc::sockaddr_in>());
    }
}

/// With `MSG_TRUNC` the header tells the whole length of a datagram that was cut.
/// Without that, a datagram that fills its buffer could not be told from one that was cut.
fn a_datagram_too_long_for_its_buffer_tells_its_length() {
    let mut ring = Ring::plain(8);
    let buffers = BufferRing::full(&ring, GROUP, 8, BEFORE as usize + 100);
    let (near, far) = pair();
    ring.start([receive(&near)]);
    for length in [100, 101, 5000] {
        far.send(&vec![7; length]).expect("send a datagram");
        let arrived = ring.next_any();
        assert_eq!(arrived.outcome(), Ok(BEFORE + 100));
        assert_eq!(parsed(&buffers, arrived).1, length as u32);
    }
}

/// A datagram without bytes is received as such, and ends the multishot receive.
/// The driver arms it again; were it to take the end for that of a stream, the socket would be
/// deaf.
fn an_empty_datagram_ends_a_multishot_recvmsg() {
    let mut ring = Ring::plain(8);
    let buffers = BufferRing::full(&ring, GROUP, 8, 2048);
    let (near, far) = pair();
    ring.start([receive(&near)]);
    far.send(b"").expect("send a datagram");
    let arrived = ring.next_any();
    assert_eq!((arrived.outcome(), arrived.more()), (Ok(BEFORE), false));
    assert_eq!(parsed(&buffers, arrived).1, 0);
    ring.assert_quiet("nothing follows the end");
}

/// Without a buffer the receive ends with `ENOBUFS`, and the datagram stays in the socket.
/// The driver provides more buffers, or receives into other memory.
fn a_multishot_recvmsg_without_buffers_takes_no_datagram() {
    let mut ring = Ring::plain(8);
    let _buffers = BufferRing::empty(&ring, GROUP, 8, 2048);
    let (near, far) = pair();
    far.send(b"kept").expect("send a datagram");
    ring.start([receive(&near)]);
    let end = ring.next_any();
    assert_eq!((end.outcome(), end.more()), (Err(Errno(libc::ENOBUFS)), false));
    let mut bytes = [0; 10];
    assert_eq!(near.recv(&mut bytes).expect("receive the datagram"), 4);
}

/// The refusal of an earlier datagram ends the receive with `ECONNREFUSED`, and is not reported
/// again. The driver keeps the error if no task takes it.
fn a_refusal_ends_a_multishot_recvmsg_once() {
    let mut ring = Ring::plain(8);
    let _buffers = BufferRing::full(&ring, GROUP, 8, 2048);
    let (near, far) = pair();
    drop(far);
    ring.start([receive(&near)]);
    near.send(b"lost").expect("send a datagram");
    let end = ring.next_any();
    assert_eq!((end.outcome(), end.more()), (Err(Errno(libc::ECONNREFUSED)), false));
    assert!(near.take_error().expect("read the option").is_none(), "reported once");
}

/// A send to a full Unix datagram socket that may wait uses up its bytes at the first try; where
/// the kernel tries again, an empty datagram is sent, and the result says so. Some kernels start
/// anew. So the driver lets no datagram wait in the kernel: `MSG_DONTWAIT` fails, and nothing is
/// sent.
fn a_unix_datagram_that_waits_in_the_kernel_may_be_sent_empty() {
    let mut ring = Ring::plain(8);
    let (near, far) = UnixDatagram::pair().expect("make a pair");
    near.set_nonblocking(true).expect("set an option");
    let mut queued = 0;
    while near.send(b"fill").is_ok() {
        queued += 1;
    }
    near.set_nonblocking(false).expect("set an option");
    let refused = ring.run(Op::send_with(&near, Buffer::holding(b"late"), libc::MSG_DONTWAIT));
    assert_eq!(refused.outcome(), Err(Errno(libc::EAGAIN)));
    ring.start([Op::send(&near, Buffer::holding(b"late")).tag(1)]);
    let mut bytes = [0; 10];
    for _ in 0..queued {
        assert_eq!(far.recv(&mut bytes).expect("receive a datagram"), 4);
    }
    let sent = ring.next_for(1).outcome().expect("it is sent");
    assert!(sent == 0 || sent == 4, "{sent} bytes");
    assert_eq!(far.recv(&mut bytes).expect("receive a datagram"), sent as usize);
}

/// Two connected sockets with messages. The near one gives each message the time.
fn seqpacket() -> (OwnedFd, OwnedFd) {
    let mut fds = [0; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: the call writes two integers.
    assert_eq!(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, fds.as_mut_ptr()) }, 0);
    // SAFETY: the kernel has just made them.
    fds.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).into()
}

fn mark_messages(socket: &OwnedFd) {
    let (on, length) = (1_i32, size_of::<i32>() as libc::socklen_t);
    let (level, name, value) = (libc::SOL_SOCKET, libc::SO_TIMESTAMP, (&raw const on).cast());
    // SAFETY: the call reads one integer.
    assert_eq!(unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, value, length) }, 0);
}

/// A receive into four bytes, without room for an address or control messages.
fn receive_message(socket: &OwnedFd) -> (Op, &'static libc::msghdr) {
    let buffer = Buffer::holding(&[0; 4]);
    let part = libc::iovec { iov_base: buffer.as_ptr().cast(), iov_len: buffer.size() };
    // SAFETY: `msghdr` is plain data, for which all zeroes is the empty message.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    (header.msg_iov, header.msg_iovlen) = (Box::leak(Box::new(part)), 1);
    let header = Box::leak(Box::new(header));
    let entry = opcode::RecvMsg::new(Fd(socket.as_raw_fd()), ptr::from_mut(header)).build();
    // SAFETY: the header and what it points to are leaked.
    (unsafe { Op::from_entry(entry) }, header)
}

fn send_message(socket: &OwnedFd, bytes: &[u8]) {
    let (fd, flags) = (socket.as_raw_fd(), libc::MSG_EOR);
    // SAFETY: the bytes are those of a slice.
    let sent = unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), flags) };
    assert_eq!(sent, bytes.len() as isize);
}

/// `SO_TIMESTAMP` gives each message of a Unix socket a control message, also one that was sent
/// before; for want of room the receive says `MSG_CTRUNC`. The end of the connection has none.
/// `MSG_EOR` is not reported. So the driver tells an empty message from the end.
fn the_end_of_a_seqpacket_connection_has_no_timestamp_and_an_empty_message_has_one() {
    let mut ring = Ring::plain(8);
    let (near, far) = seqpacket();
    send_message(&far, b"");
    mark_messages(&near);
    send_message(&far, b"text");
    send_message(&far, b"");
    drop(far);
    for length in [0, 4, 0] {
        let (receive, header) = receive_message(&near);
        assert_eq!(ring.run(receive).outcome(), Ok(length));
        assert_eq!(header.msg_flags, libc::MSG_CTRUNC);
    }
    for _ in 0..2 {
        let (receive, header) = receive_message(&near);
        assert_eq!(ring.run(receive).outcome(), Ok(0));
        assert_eq!(header.msg_flags, 0);
    }
}

/// With `SO_TIMESTAMP` a multishot recvmsg has `MSG_CTRUNC` among the flags in the header of each
/// message, an empty one included, and not in that of the end of the connection.
fn a_multishot_recvmsg_has_a_timestamp_for_an_empty_message_and_none_for_the_end() {
    let mut ring = Ring::plain(8);
    let buffers = BufferRing::full(&ring, GROUP, 8, 2048);
    let (near, far) = seqpacket();
    mark_messages(&near);
    // SAFETY: `msghdr` is plain data, for which all zeroes is the empty message.
    let header: &'static libc::msghdr = Box::leak(Box::new(unsafe { std::mem::zeroed() }));
    let receive = |ring: &mut Ring| {
        let receive = opcode::RecvMsgMulti::new(Fd(near.as_raw_fd()), header, GROUP).build();
        // SAFETY: the header is leaked, and the buffers are those of a ring that is never unmapped.
        ring.start([unsafe { Op::from_entry(receive) }]);
    };
    let flags = |arrived: Completion| {
        let id = arrived.buffer_id().expect("a buffer was selected");
        let bytes = buffers.bytes(id, arrived.outcome().expect("a message"));
        let message = RecvMsgOut::parse(&bytes, header).expect("room for the header");
        (message.payload_data().len(), message.flags() as i32)
    };
    receive(&mut ring);
    send_message(&far, b"text");
    let arrived = ring.next_any();
    assert_eq!((flags(arrived), arrived.more()), ((4, libc::MSG_CTRUNC), true));
    send_message(&far, b"");
    let arrived = ring.next_any();
    assert_eq!((flags(arrived), arrived.more()), ((0, libc::MSG_CTRUNC), false));
    receive(&mut ring);
    send_message(&far, b"last");
    drop(far);
    let arrived = ring.next_any();
    assert_eq!((flags(arrived), arrived.more()), ((4, libc::MSG_CTRUNC), true));
    let arrived = ring.next_any();
    assert_eq!((flags(arrived), arrived.more()), ((0, 0), false));
}
