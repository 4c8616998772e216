//! Sockets through the ring: what a result means, and what a peer can do to it.
//!
//! Every stream of the driver is built on these readings of receive, send and connect.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::net::UnixStream;
use std::thread;

use uring_sys_tests::completion::Errno;
use uring_sys_tests::memory::Buffer;
use uring_sys_tests::op::Op;
use uring_sys_tests::raw::checked;
use uring_sys_tests::ring::Ring;
use uring_sys_tests::socket;

use crate::case::cases;

cases![
    recv_takes_what_is_there,
    end_of_stream_is_zero,
    zero_length_recv_waits_and_takes_nothing,
    peek_leaves_bytes,
    nonempty_flag_tells_of_more: [SocketFlags],
    nonblock_still_polls,
    short_send_reports_part,
    dontwait_send_reports_part,
    waitall_send_complete,
    connect_refused,
    connect_unreachable,
    peer_reset_codes,
    shutdown_wakes: [MultishotAccept],
    write_sigpipe_vs_send @ in_own_process,
    a_worker_raises_no_sigpipe @ in_own_process,
    zero_copy_two_completions: [SendZc],
    zero_copy_errors_notify_too: [SendZc],
    dontwait_zero_copy_send_never_waits: [SendZc],
];

/// A receive completes with what is there, be it less than the buffer holds.
/// A reader waits for a first byte, not for a full buffer; else each short request would hang.
fn recv_takes_what_is_there() {
    let mut ring = Ring::plain(8);
    let (near, far) = socket::tcp_pair();
    let buffer = Buffer::filled(16, 0xee);
    ring.start([Op::recv(&near, buffer)]);
    socket::write_all(&far, b"short");
    assert_eq!(ring.next_any().outcome(), Ok(5));
    assert_eq!(buffer.bytes(), b"short\xee\xee\xee\xee\xee\xee\xee\xee\xee\xee\xee");
}

/// At the end of the stream a receive gives 0, after all the bytes, and again each time.
/// The driver's streams end on it; an error there would turn each orderly close into a failure.
fn end_of_stream_is_zero() {
    let mut ring = Ring::plain(8);
    let (near, far) = socket::tcp_pair();
    socket::write_all(&far, b"last");
    drop(far);
    for expected in [4, 0, 0] {
        assert_eq!(ring.run(Op::recv(&near, Buffer::zeroed(16))).outcome(), Ok(expected));
    }
}

/// A receive into nothing waits for bytes, then gives 0 and leaves them.
/// So the driver never submits one for an empty buffer: its 0 would read as the end of the stream.
fn zero_length_recv_waits_and_takes_nothing() {
    let mut ring = Ring::plain(8);
    let (near, far) = socket::tcp_pair();
    ring.start([Op::recv(&near, Buffer::zeroed(0))]);
    ring.assert_quiet("nothing has arrived");
    socket::write_all(&far, b"kept");
    assert_eq!(ring.next_any().outcome(), Ok(0));
    assert_eq!(socket::drain(&near, 4), b"kept");
}

/// A receive with `MSG_PEEK` waits like any other, and leaves the bytes for the next.
/// The driver's peek rests on it; bytes taken by a peek would be lost to the reader.
fn peek_leaves_bytes() {
    let mut ring = Ring::plain(8);
    let (near, far) = socket::tcp_pair();
    let peeked = Buffer::zeroed(4);
    ring.start([Op::recv_with(&near, peeked, libc::MSG_PEEK)]);
    socket::write_all(&far, b"kept");
    assert_eq!(ring.next_any().outcome(), Ok(4));
    assert_eq!(peeked.bytes(), b"kept");
    assert_eq!(socket::drain(&near, 4), b"kept");
}

/// A flag of a receive's completion tells whether the socket holds more.
/// The driver asks again at once when it does, and saves the arming of a poll.
fn nonempty_flag_tells_of_more() {
    let mut ring = Ring::plain(8);
    let (near, far) = socket::tcp_pair();
    socket::write_all(&far, b"12345678");
    let first = ring.run(Op::recv(&near, Buffer::zeroed(4)));
    assert!(first.socket_nonempty(), "four bytes are left: {first:?}");
    let second = ring.run(Op::recv(&near, Buffer::zeroed(16)));
    assert!(!second.socket_nonempty(), "nothing is left: {second:?}");
}

/// A receive on a non-blocking socket waits as well; only `MSG_DONTWAIT` makes it `EAGAIN`. The
/// driver takes sockets in either mode; with `EAGAIN` it would need a readiness loop of its own.
fn nonblock_still_polls() {
    let mut ring = Ring::plain(8);
    let (near, far) = socket::tcp_pair();
    near.set_nonblocking(true).expect("make the socket non-blocking");
    let at_once = Op::recv_with(&near, Buffer::zeroed(8), libc::MSG_DONTWAIT);
    assert_eq!(ring.run(at_once).outcome(), Err(Errno(libc::EAGAIN)));
    ring.start([Op::recv(&near, Buffer::zeroed(8))]);
    ring.assert_quiet("nothing has arrived");
    socket::write_all(&far, b"late");
    assert_eq!(ring.next_any().outcome(), Ok(4));
}

/// A send that does not fit completes with the part that did; exactly that part is on its way.
/// The driver's `write_all` goes on behind it; a wrong count would lose or repeat bytes.
fn short_send_reports_part() {
    const LENGTH: usize = 8 << 20;
    let mut ring = Ring::plain(8);
    let (near, far) = socket::tcp_pair();
    socket::set_option(&near, libc::SOL_SOCKET, libc::SO_SNDBUF, 16 << 10);
    let sent = ring.run(Op::send(&near, Buffer::filled(LENGTH, 7))).outcome().expect("a part");
    assert!((1..LENGTH).contains(&(sent as usize)), "sent {sent} of {LENGTH}");
    drop(near);
    let mut got = 0;
    while got < sent as usize {
        let part = ring.run(Op::recv(&far, Buffer::zeroed(1 << 20))).outcome().expect("bytes");
        assert!(part > 0, "the stream ended after {got} of {sent} bytes");
        got += part as usize;
    }
    assert_eq!(got, sent as usize);
    assert_eq!(ring.run(Op::recv(&far, Buffer::zeroed(1))).outcome(), Ok(0), "and no more");
}

/// A send with `MSG_WAITALL` completes once, when all of it is taken, however often it had to wait.
/// The driver sends large responses so: one completion instead of one for each part.
fn waitall_send_complete() {
    const LENGTH: usize = 4 << 20;
    let mut ring = Ring::plain(8);
    let (near, far) = socket::tcp_pair();
    let sent: Vec<u8> = (0..LENGTH).map(|at| (at % 251) as u8).collect();
    let flags = libc::MSG_WAITALL | libc::MSG_NOSIGNAL;
    ring.start([Op::send_with(&near, Buffer::holding(&sent), flags)]);
    ring.assert_quiet("the peer does not read yet");
    let reader = thread::spawn(move || {
        let mut got = Vec::new();
        std::io::Read::read_to_end(&mut { far }, &mut got).map(|_| got)
    });
    assert_eq!(ring.next_any().outcome(), Ok(LENGTH as u32));
    drop(near);
    let got = reader.join().expect("the reading thread").expect("read the stream");
    assert!(got == sent, "{} bytes came, not those that were sent", got.len());
}

/// With `MSG_DONTWAIT` a send completes at once: with the part that fitted, and then with `EAGAIN`.
/// The driver sends so, and goes on behind the part; a lost count would send bytes twice.
fn dontwait_send_reports_part() {
    let mut ring = Ring::plain(8);
    let (near, far) = socket::tcp_pair();
    let mut sent = 0;
    loop {
        match ring.run(Op::send_with(&near, Buffer::filled(1 << 20, 0x5a), AT_ONCE)).outcome() {
            Ok(count) => sent += count as usize,
            Err(full) => break assert_eq!(full, Errno(libc::EAGAIN)),
        }
    }
    // What has fitted may move on to the peer and leave room again, but no byte is counted twice.
    drop(near);
    let mut got = Vec::new();
    std::io::Read::read_to_end(&mut { far }, &mut got).expect("read the stream");
    assert_eq!(got.len(), sent);
}

/// The flags of a send that does not wait.
const AT_ONCE: i32 = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

/// A connect to a port without a listener completes with `ECONNREFUSED`, not with a late socket
/// error. The driver reports the connect's own result and does not ask the socket again.
fn connect_refused() {
    let mut ring = Ring::plain(8);
    // Bound but not listening: the port is this test's, and nothing answers on it.
    let bound = socket::tcp_socket();
    let address = socket::bind_loopback(&bound);
    let client = socket::tcp_socket();
    let refused = ring.run(Op::connect(&client, address));
    assert_eq!(refused.outcome(), Err(Errno(libc::ECONNREFUSED)));
}

/// A connect to where no route leads completes with `ENETUNREACH`, at once.
/// The driver passes it on, and a caller tries its next address without waiting for a timeout.
fn connect_unreachable() {
    let mut ring = Ring::plain(8);
    let client = socket::tcp_socket();
    // TCP has no route to a broadcast address, whatever the network of the machine.
    let broadcast = SocketAddrV4::new(Ipv4Addr::BROADCAST, 9);
    let unreachable = ring.run(Op::connect(&client, broadcast));
    assert_eq!(unreachable.outcome(), Err(Errno(libc::ENETUNREACH)));
}

/// After a reset, a pending receive ends with `ECONNRESET`, and a send is refused in plain words.
/// The driver tells a broken peer from an orderly end by it.
fn peer_reset_codes() {
    let mut ring = Ring::plain(8);
    let (near, far) = socket::tcp_pair();
    ring.start([Op::recv(&near, Buffer::zeroed(8))]);
    socket::reset_on_close(&far);
    drop(far);
    assert_eq!(ring.next_any().outcome(), Err(Errno(libc::ECONNRESET)));
    let refused = ring.run(Op::send(&near, Buffer::filled(8, 1))).outcome();
    let legal = [Err(Errno(libc::EPIPE)), Err(Errno(libc::ECONNRESET))];
    assert!(legal.contains(&refused), "a send to a peer that has reset gave {refused:?}");
}

/// `shutdown(2)` wakes a pending receive with 0 and ends a listener's multishot accept with
/// `EINVAL`. The driver stops a server with it; what it did not wake would hold the stop up.
fn shutdown_wakes() {
    let mut ring = Ring::plain(8);
    let (near, _far) = socket::tcp_pair();
    let listener = socket::listener();
    ring.start([Op::recv(&near, Buffer::zeroed(8)).tag(1), Op::accept_multi(&listener).tag(2)]);
    ring.assert_quiet("both are pending");
    socket::shut_down(&near);
    assert_eq!(ring.next_for(1).outcome(), Ok(0));
    socket::shut_down(&listener);
    let ended = ring.next_for(2);
    assert_eq!((ended.outcome(), ended.more()), (Err(Errno(libc::EINVAL)), false));
}

/// A send through the ring to a broken connection is `EPIPE` and never a signal, with
/// `MSG_NOSIGNAL` or without. A write to a broken pipe may raise SIGPIPE, so that is no way to
/// send.
fn write_sigpipe_vs_send() {
    let mut ring = Ring::plain(8);
    block_sigpipe();
    let (near, far) = UnixStream::pair().expect("a pair of sockets");
    drop(far);
    for flags in [libc::MSG_NOSIGNAL, 0] {
        let broken = ring.run(Op::send_with(&near, Buffer::filled(8, 1), flags));
        assert_eq!(broken.outcome(), Err(Errno(libc::EPIPE)));
        assert!(!sigpipe_pending(), "a send with flags {flags:#x} raised SIGPIPE");
    }
    let (read, write) = socket::pipe();
    drop(read);
    let broken = ring.run(Op::write(&write, Buffer::filled(8, 1)));
    assert_eq!(broken.outcome(), Err(Errno(libc::EPIPE)));
    let system_call = std::fs::File::from(write).write(b"x");
    assert!(system_call.is_err() && sigpipe_pending(), "the check for the signal works");
}

/// A write to a broken pipe that a kernel worker makes is `EPIPE` and never a signal: a worker has
/// all signals blocked. What has no other way to be written is written so.
fn a_worker_raises_no_sigpipe() {
    let mut ring = Ring::plain(8);
    block_sigpipe();
    let (read, write) = socket::pipe();
    drop(read);
    for _ in 0..3 {
        let broken = ring.run(Op::write(&write, Buffer::filled(8, 1)).forced_async());
        assert_eq!(broken.outcome(), Err(Errno(libc::EPIPE)));
        assert!(!sigpipe_pending(), "a worker raised SIGPIPE");
    }
}

/// Keeps SIGPIPE pending instead of delivered.
fn block_sigpipe() {
    // SAFETY: the calls read and write one local set.
    let blocked = unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigaddset(&mut set, libc::SIGPIPE);
        libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut())
    };
    checked(blocked.into()).expect("block SIGPIPE");
}

fn sigpipe_pending() -> bool {
    // SAFETY: the calls read and write one local set.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigpending(&mut set) == 0 && libc::sigismember(&set, libc::SIGPIPE) == 1
    }
}

/// A zero-copy send completes twice: its result with the more-flag, then the notification. The
/// future ends on the first, the buffer is free on the second; mixed up, bytes change under TCP.
fn zero_copy_two_completions() {
    let mut ring = Ring::plain(8);
    let (near, far) = socket::tcp_pair();
    let buffer = Buffer::filled(4096, 0x5a);
    let result = ring.run(Op::send_zero_copy(&near, buffer).tag(1));
    assert_eq!(result.outcome(), Ok(4096));
    assert!(result.more() && !result.is_notification(), "the result first: {result:?}");
    assert_eq!(socket::drain(&far, 4096), [0x5a; 4096]);
    let notification = ring.next_for(1);
    assert!(notification.is_notification() && !notification.more(), "{notification:?}");
    ring.assert_quiet("two completions, no more");
}

/// A zero-copy send that fails notifies too, if and only if its result carries the more-flag.
/// The driver keeps the buffer exactly as long; Unix sockets, which cannot do it, say `EOPNOTSUPP`.
fn zero_copy_errors_notify_too() {
    let mut ring = Ring::plain(8);
    let (near, _far) = socket::tcp_pair();
    socket::shut_down(&near);
    let (unix, _unix_far) = UnixStream::pair().expect("a pair of sockets");
    let buffer = Buffer::zeroed(64);
    let sends = [
        (Op::send_zero_copy(&near, buffer), libc::EPIPE),
        (Op::send_zero_copy(&unix, buffer), libc::EOPNOTSUPP),
    ];
    for (send, errno) in sends {
        let result = ring.run(send.tag(1));
        assert_eq!(result.outcome(), Err(Errno(errno)));
        if result.more() {
            let notification = ring.next_for(1);
            assert!(notification.is_notification() && !notification.more(), "{notification:?}");
        }
        ring.assert_quiet("nothing after the completion without the more-flag");
    }
}

/// Nor does a zero-copy send wait with `MSG_DONTWAIT`: its result comes although the peer reads
/// nothing. Only the notification waits for the peer, so a dropped send holds up nothing but its
/// memory.
fn dontwait_zero_copy_send_never_waits() {
    let mut ring = Ring::plain(8);
    let (near, _far) = socket::tcp_pair();
    let buffer = Buffer::filled(1 << 20, 0x5a);
    loop {
        ring.start([Op::send_zero_copy_with(&near, buffer, AT_ONCE).tag(1)]);
        // Notifications of those before come between.
        let result =
            std::iter::repeat_with(|| ring.next_for(1)).find(|next| !next.is_notification());
        if let Err(full) = result.expect("a result").outcome() {
            break assert_eq!(full, Errno(libc::EAGAIN));
        }
    }
}
