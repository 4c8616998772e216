//! Multishot receives of datagrams: where the kernel puts what, and what ends them.
//!
//! A datagram that is cut or taken for an end is lost: nothing sends it again.

use std::net::UdpSocket;
use std::os::fd::AsRawFd;
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
