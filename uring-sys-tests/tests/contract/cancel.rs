//! Cancelling: what is found, what is answered, and who is told.
//!
//! Every dropped future becomes a cancel. The driver acts on the target's own completion alone and
//! takes the cancel's answer for advice, so both must be what they are taken for.

use std::collections::BTreeSet;
use std::net::TcpStream;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::thread;
use std::time::Duration;

use io_uring::types::{CancelBuilder, Fd};
use uring_sys_tests::completion::Errno;
use uring_sys_tests::memory::Buffer;
use uring_sys_tests::op::Op;
use uring_sys_tests::raw::{checked, owned};
use uring_sys_tests::ring::{QUIET, Ring, patience};
use uring_sys_tests::socket;

use crate::case::cases;

cases![
    cancel_by_user_data,
    cancel_by_descriptor: [CancelFlags],
    cancel_by_descriptor_all: [CancelFlags],
    duplicate_user_data_cancels_one,
    double_cancel_completes_once,
    double_cancel_completes_once_deferred: [DeferTaskrun],
    cancelled_multishot_ends_without_more: [MultishotAccept],
    cancel_everything_leaves_nothing: [CancelFlags],
    cancel_everything_stays_in_its_ring: [CancelFlags],
    synchronous_cancel_waits: [SyncCancel],
    late_cancel_is_harmless,
    close_does_not_complete,
    fd_reuse_not_matched: [CancelFlags],
    waitall_recv_cancel_reports_part: [SocketFlags],
    freed_buffer_never_written,
];

const TARGET: u64 = 1;
const CANCEL: u64 = 2;
const CANCELED: Result<u32, Errno> = Err(Errno(libc::ECANCELED));
const NOT_FOUND: Result<u32, Errno> = Err(Errno(libc::ENOENT));

/// A cancel by user data ends a pending operation, and says so; without one it says `ENOENT`.
/// Each dropped future rests on it: an operation that stayed would hold its buffer for ever.
fn cancel_by_user_data() {
    let mut ring = Ring::plain(8);
    let (near, _far) = socket::tcp_pair();
    assert_eq!(ring.run(Op::cancel(TARGET).tag(CANCEL)).outcome(), NOT_FOUND);
    ring.start([Op::recv(&near, Buffer::zeroed(8)).tag(TARGET)]);
    assert_eq!(ring.run(Op::cancel(TARGET).tag(CANCEL)).outcome(), Ok(0));
    assert_eq!(ring.next_for(TARGET).outcome(), CANCELED);
    ring.assert_quiet("one completion each");
}

/// A cancel by descriptor ends an operation on it and no operation on another.
/// The driver uses it to end what a socket has pending before it closes the socket.
fn cancel_by_descriptor() {
    let mut ring = Ring::plain(8);
    let (near, _far) = socket::tcp_pair();
    let (other, _other_far) = socket::tcp_pair();
    ring.start([Op::recv(&other, Buffer::zeroed(8)).tag(9)]);
    let cancel = || Op::cancel_matching(CancelBuilder::fd(Fd(near.as_raw_fd()))).tag(CANCEL);
    assert_eq!(ring.run(cancel()).outcome(), NOT_FOUND);
    ring.start([Op::recv(&near, Buffer::zeroed(8)).tag(TARGET)]);
    assert_eq!(ring.run(cancel()).outcome(), Ok(0));
    assert_eq!(ring.next_for(TARGET).outcome(), CANCELED);
    ring.assert_quiet("the other socket's receive is still pending");
}

/// With `ALL`, a cancel by descriptor ends each of its operations and answers how many.
/// A connection has a read and a write pending; one left behind would keep its socket open.
fn cancel_by_descriptor_all() {
    let mut ring = Ring::plain(8);
    let (near, _far) = socket::tcp_pair();
    ring.start((10..13).map(|tag| Op::recv(&near, Buffer::zeroed(8)).tag(tag)));
    let cancel = CancelBuilder::fd(Fd(near.as_raw_fd())).all();
    assert_eq!(ring.run(Op::cancel_matching(cancel).tag(CANCEL)).outcome(), Ok(3));
    for tag in 10..13 {
        assert_eq!(ring.next_for(tag).outcome(), CANCELED);
    }
}

/// Of two operations with one user data, a cancel ends one, and does not say which.
/// So the driver must never use a slot's number twice at a time: it carries a generation.
fn duplicate_user_data_cancels_one() {
    let mut ring = Ring::plain(8);
    let (near, _far) = socket::tcp_pair();
    ring.start((0..2).map(|_| Op::recv(&near, Buffer::zeroed(8)).tag(TARGET)));
    assert_eq!(ring.run(Op::cancel(TARGET).tag(CANCEL)).outcome(), Ok(0));
    assert_eq!(ring.next_for(TARGET).outcome(), CANCELED);
    ring.assert_quiet("the second operation is still pending");
    assert_eq!(ring.run(Op::cancel(TARGET).tag(CANCEL)).outcome(), Ok(0));
    assert_eq!(ring.next_for(TARGET).outcome(), CANCELED);
}

/// Two cancels of one operation: it completes once, and each cancel gets a known answer.
/// A task's cancel and a runtime's teardown may meet; a second completion would hit a reused slot.
fn double_cancel_completes_once() {
    double_cancel(Ring::plain(8));
}

/// The same on a ring with deferred work, where the second cancel finds a target not yet ended.
/// It is the driver's own kind of ring.
fn double_cancel_completes_once_deferred() {
    double_cancel(Ring::deferred(8));
}

fn double_cancel(mut ring: Ring) {
    let (near, _far) = socket::tcp_pair();
    ring.start([Op::recv(&near, Buffer::zeroed(8)).tag(TARGET)]);
    ring.start([Op::cancel(TARGET).tag(CANCEL), Op::cancel(TARGET).tag(CANCEL)]);
    assert_eq!(ring.next_for(TARGET).outcome(), CANCELED);
    for _ in 0..2 {
        let answer = ring.next_for(CANCEL).outcome();
        let legal = [Ok(0), NOT_FOUND, Err(Errno(libc::EALREADY))];
        assert!(legal.contains(&answer), "a cancel answered {answer:?}");
    }
    ring.assert_quiet("the target completes once");
}

/// A cancelled multishot gives one last completion, `ECANCELED` without the more-flag.
/// The driver frees the slot on that completion and on no other.
fn cancelled_multishot_ends_without_more() {
    let mut ring = Ring::plain(8);
    let listener = socket::listener();
    ring.start([Op::accept_multi(&listener).tag(TARGET)]);
    let client = TcpStream::connect(socket::address_of(&listener)).expect("connect");
    let accepted = ring.next_for(TARGET);
    assert!(accepted.more(), "still armed: {accepted:?}");
    let server = TcpStream::from(owned(accepted.outcome().expect("a connection")));
    assert_eq!(server.peer_addr().ok(), client.local_addr().ok());
    ring.start([Op::cancel(TARGET).tag(CANCEL)]);
    let last = ring.next_for(TARGET);
    assert_eq!((last.outcome(), last.more()), (CANCELED, false));
}

/// Cancel `ANY | ALL` ends everything: reads, multishots, timers, links and what a worker runs. One
/// may miss an operation (on Linux 6.1 a timeout was seen to go on), and a later one does not.
/// Teardown repeats it until nothing is left: one operation is memory that is never safe to free.
fn cancel_everything_leaves_nothing() {
    let mut ring = Ring::plain(32);
    let (near, _far) = socket::tcp_pair();
    let listener = socket::listener();
    let counter = socket::event_counter();
    let (pipe, _write_end) = socket::pipe();
    let pending = [
        Op::recv(&near, Buffer::zeroed(8)),
        Op::recv_with(&near, Buffer::zeroed(8), libc::MSG_WAITALL),
        Op::poll(&counter, libc::POLLIN),
        Op::poll_multi(&counter, libc::POLLIN),
        Op::accept_multi(&listener),
        Op::timeout(2 * patience()),
        Op::read(&pipe, Buffer::zeroed(8)),
        Op::read(&pipe, Buffer::zeroed(8)).forced_async(),
        Op::recv(&near, Buffer::zeroed(8)).link(),
        Op::nop(),
        Op::recv(&near, Buffer::zeroed(8)).link(),
        Op::link_timeout(2 * patience()),
    ];
    let count = pending.len();
    ring.start(pending.into_iter().zip(10..).map(|(op, tag)| op.tag(tag)));
    ring.assert_quiet("all of it is pending");
    let mut ended = Vec::new();
    for round in 0..100 {
        let cancelled = ring.run(Op::cancel_everything().tag(CANCEL)).outcome();
        assert!(
            round > 0 || matches!(cancelled, Ok(1..)),
            "something was cancelled: {cancelled:?}"
        );
        thread::sleep(QUIET);
        ended.extend(ring.reap());
        if ended.len() >= count {
            break;
        }
    }
    for last in &ended {
        assert!(!last.more(), "the last one: {last:?}");
        let legal = [CANCELED, Err(Errno(libc::EINTR))];
        assert!(legal.contains(&last.outcome()), "{last:?}");
    }
    let tags: BTreeSet<_> = ended.iter().map(|done| done.tag).collect();
    assert_eq!((tags.len(), ended.len()), (count, count), "each ends once: {ended:?}");
    assert_eq!(ring.run(Op::cancel_everything().tag(CANCEL)).outcome(), Ok(0), "nothing is left");
    ring.assert_quiet("nothing completes twice");
}

/// Cancel `ANY | ALL` does not reach the operations of another ring of the same thread.
/// A program may run two runtimes; one that ends must not take the other's connections with it.
fn cancel_everything_stays_in_its_ring() {
    let (mut ring, mut other) = (Ring::plain(8), Ring::plain(8));
    let (near, far) = socket::tcp_pair();
    other.start([Op::recv(&near, Buffer::zeroed(8)).tag(TARGET)]);
    assert_eq!(ring.run(Op::cancel_everything().tag(CANCEL)).outcome(), Ok(0));
    socket::write_all(&far, b"alive");
    assert_eq!(other.next_for(TARGET).outcome(), Ok(5));
}

/// The synchronous cancel returns when the target has completed: its completion is in the ring.
/// It is the driver's last resort when no SQE can be queued any more.
fn synchronous_cancel_waits() {
    let mut ring = Ring::plain(8);
    let (near, _far) = socket::tcp_pair();
    let cancel = |ring: &Ring| {
        let done = ring.register().register_sync_cancel(None, CancelBuilder::user_data(TARGET));
        done.map_err(|e| Errno::of(&e))
    };
    assert_eq!(cancel(&ring), Err(Errno(libc::ENOENT)));
    ring.start([Op::recv(&near, Buffer::zeroed(8)).tag(TARGET)]);
    assert_eq!(cancel(&ring), Ok(()));
    let done: Vec<_> = ring.reap().iter().map(|c| (c.tag, c.outcome())).collect();
    assert_eq!(done, [(TARGET, CANCELED)]);
}

/// A cancel that comes after its target has succeeded finds nothing and takes nothing back.
/// The driver hands over such a late success; were it retracted, the bytes would be gone.
fn late_cancel_is_harmless() {
    let mut ring = Ring::plain(8);
    let (near, far) = socket::tcp_pair();
    let buffer = Buffer::zeroed(8);
    ring.start([Op::recv(&near, buffer).tag(TARGET)]);
    socket::write_all(&far, b"first");
    ring.enter(0, 1, io_uring::EnterFlags::GETEVENTS, Some(patience()))
        .expect("wait for the bytes");
    assert_eq!(ring.run(Op::cancel(TARGET).tag(CANCEL)).outcome(), NOT_FOUND);
    assert_eq!(ring.next_for(TARGET).outcome(), Ok(5));
    assert_eq!(&buffer.bytes()[..5], b"first");
}

/// Closing a descriptor ends nothing: what is pending on it stays armed and keeps the socket alive.
/// So the driver cancels before it closes; a bare close would leave the peer without its end.
fn close_does_not_complete() {
    let mut ring = Ring::plain(8);
    let (near, far) = socket::tcp_pair();
    let buffer = Buffer::zeroed(8);
    ring.start([Op::recv(&near, buffer).tag(TARGET)]);
    drop(near);
    ring.assert_quiet("the receive is still pending");
    socket::write_all(&far, b"alive");
    assert_eq!(ring.next_for(TARGET).outcome(), Ok(5));
}

/// A cancel by descriptor looks at the file, not at the number: after a close it is `EBADF`, and
/// when the number is another file's, `ENOENT`. So what outlives its descriptor is cancelled by
/// tag.
fn fd_reuse_not_matched() {
    let mut ring = Ring::plain(8);
    let (near, _far) = socket::tcp_pair();
    let fd = near.as_raw_fd();
    // A number far above those that other threads get, so that only this test reuses it.
    // SAFETY: the call takes no pointer.
    let high = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 900) };
    let high = owned(checked(high.into()).expect("duplicate the descriptor"));
    let number = high.as_raw_fd();
    ring.start([Op::recv(&high, Buffer::zeroed(8)).tag(TARGET)]);
    let cancel = || Op::cancel_matching(CancelBuilder::fd(Fd(number))).tag(CANCEL);
    drop(high);
    assert_eq!(ring.run(cancel()).outcome(), Err(Errno(libc::EBADF)));
    let counter = socket::event_counter();
    // SAFETY: the number is free; what is duplicated onto it is owned just below.
    let reused = unsafe {
        let reused = libc::dup3(counter.as_raw_fd(), number, libc::O_CLOEXEC);
        OwnedFd::from_raw_fd(reused)
    };
    assert_eq!(reused.as_raw_fd(), number, "the number is used again");
    assert_eq!(ring.run(cancel()).outcome(), NOT_FOUND);
    assert_eq!(ring.run(Op::cancel(TARGET).tag(CANCEL)).outcome(), Ok(0));
    assert_eq!(ring.next_for(TARGET).outcome(), CANCELED);
}

/// A receive for all of a buffer that is cancelled half-way reports the part that had arrived.
/// The driver gives that part to the next read; reported as cancelled, the bytes would be lost.
fn waitall_recv_cancel_reports_part() {
    let mut ring = Ring::plain(8);
    let (near, far) = socket::tcp_pair();
    let buffer = Buffer::zeroed(8);
    ring.start([Op::recv_with(&near, buffer, libc::MSG_WAITALL).tag(TARGET)]);
    socket::write_all(&far, b"part");
    ring.assert_quiet("it waits for the rest");
    ring.start([Op::cancel(TARGET).tag(CANCEL)]);
    assert_eq!(ring.next_for(TARGET).outcome(), Ok(4));
    assert_eq!(&buffer.bytes()[..4], b"part");
    socket::write_all(&far, b"rest");
    assert_eq!(socket::drain(&near, 4), b"rest", "nothing is lost, nothing comes twice");
}

/// After its last completion, an operation's buffer is never written again.
/// The driver frees it at that moment; a later write would corrupt the memory's next owner.
fn freed_buffer_never_written() {
    let mut ring = Ring::plain(8);
    let (near, far) = socket::tcp_pair();
    let buffer = Buffer::zeroed(64);
    ring.start([Op::recv(&near, buffer).tag(TARGET)]);
    ring.start([Op::cancel(TARGET).tag(CANCEL)]);
    assert_eq!(ring.next_for(TARGET).outcome(), CANCELED);
    buffer.fill(0xa5);
    socket::write_all(&far, b"for the next reader");
    ring.start([Op::timeout(Duration::from_millis(2)).tag(3)]);
    assert_eq!(ring.next_for(3).outcome(), Err(Errno(libc::ETIME)));
    assert_eq!(buffer.bytes(), [0xa5; 64], "the kernel released the buffer");
    assert_eq!(socket::drain(&near, 19), b"for the next reader");
}
