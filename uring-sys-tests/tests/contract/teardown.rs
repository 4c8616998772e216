//! The end of a ring: what stops by itself, what does not, and what makes it stop.
//!
//! Teardown frees memory and ports, and hopes for nothing: it cancels, reaps to zero and only then
//! closes, because of what these tests show of the alternatives.
//!
//! Those that bind a port again run in their own process: where other tests start children, a child
//! holds every descriptor, and so the port, between its fork and its exec.

use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::os::fd::AsRawFd;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use io_uring::types::Fd;
use io_uring::{EnterFlags, opcode};
use uring_sys_tests::child::Verdict;
use uring_sys_tests::completion::Errno;
use uring_sys_tests::memory::Buffer;
use uring_sys_tests::op::Op;
use uring_sys_tests::raw::checked;
use uring_sys_tests::ring::{Ring, patience};
use uring_sys_tests::socket;

use crate::case::cases;
use crate::files::memory_file;
use crate::trap::Trap;

cases![
    thread_exit_cancels,
    close_is_no_barrier @ in_own_process,
    worker_writes_after_close,
    cancel_any_then_close_frees_port: [CancelFlags] @ in_own_process,
    fork_child_refused: [SingleIssuer] @ in_own_process,
];

/// What a thread had submitted outlives it on a plain ring, and ends with `ECANCELED` only when its
/// event comes, consuming nothing. So a shard's thread reaps to zero before it ends: no other
/// thread can.
fn thread_exit_cancels() {
    let (near, far) = socket::tcp_pair();
    let mut ring = thread::scope(|scope| {
        let submitter = scope.spawn(|| {
            let mut ring = Ring::plain(8);
            ring.start([Op::recv(&near, Buffer::zeroed(8)).tag(1)]);
            ring
        });
        submitter.join().expect("the submitting thread")
    });
    ring.assert_quiet("the receive outlives its thread");
    socket::write_all(&far, b"kept");
    assert_eq!(ring.next_for(1).outcome(), Err(Errno(libc::ECANCELED)));
    assert_eq!(socket::drain(&near, 4), b"kept");
}

/// Closing a ring does not wait for its operations: a port that one of them uses stays taken.
/// So the driver reaps to zero before it closes. Skipped, not passed, when the port was always
/// free: then the kernel may have changed for the better.
fn close_is_no_barrier() -> Verdict {
    const TRIES: usize = 200;
    let still_taken = |_| {
        let listener = TcpListener::bind((Ipv4Addr::new(127, 77, 0, 2), 0)).expect("bind");
        let address = socket::address_of(&listener);
        let mut ring = Ring::plain(8);
        ring.start([Op::accept(&listener)]);
        drop((listener, ring));
        TcpListener::bind(address).is_err_and(|e| e.kind() == ErrorKind::AddrInUse)
    };
    if (0..TRIES).any(still_taken) {
        return Verdict::Held;
    }
    Verdict::Skipped(format!("the port was free after each of {TRIES} closes"))
}

/// A worker that is in the middle of an operation goes on writing to its buffer after its ring is
/// closed. So the driver leaks what it cannot reap; freed, the memory would be another's by then.
fn worker_writes_after_close() -> Verdict {
    let trap = match Trap::new() {
        Ok(trap) => trap,
        Err(error) => return Verdict::Skipped(format!("needs userfaultfd: {error}")),
    };
    // Leaked: should the test fail, a worker may write to it at any time.
    let trap: &'static Trap = Box::leak(Box::new(trap));
    let mut file = memory_file();
    file.write_all(&vec![1; trap.size()]).expect("fill the file");
    let length = u32::try_from(trap.size()).expect("a length fits the entry");
    let read = opcode::Read::new(Fd(file.as_raw_fd()), trap.as_ptr(), length).build();
    let mut ring = Ring::plain(8);
    // SAFETY: the pages are leaked.
    ring.start([unsafe { Op::from_entry(read) }.forced_async()]);
    trap.await_caught();
    let (closed, on_close) = mpsc::channel();
    let closing = thread::spawn(move || {
        drop(ring);
        closed.send(()).expect("the test waits");
    });
    let returned = on_close.recv_timeout(patience());
    trap.release();
    closing.join().expect("the closing thread");
    assert_eq!(returned, Ok(()), "the close waited for the worker");
    let deadline = Instant::now() + patience();
    while !trap.is_written() {
        assert!(Instant::now() < deadline, "the worker wrote nothing after the close");
        thread::yield_now();
    }
    Verdict::Held
}

/// A ring that is cancelled and reaped to zero releases its sockets at once: its port can be bound
/// again. A server that restarts in one process rests on it; after a bare close the bind often
/// fails.
fn cancel_any_then_close_frees_port() {
    // An address of its own, so that no other test is given the port in between.
    let address = Ipv4Addr::new(127, 77, 0, 1);
    let mut listener = TcpListener::bind((address, 0)).expect("bind a listener");
    let port = listener.local_addr().expect("the listener's address").port();
    for round in 0..50 {
        let mut ring = Ring::plain(8);
        ring.start([Op::accept_multi(&listener).tag(1), Op::accept(&listener).tag(2)]);
        assert_eq!(ring.run(Op::cancel_everything().tag(3)).outcome(), Ok(2));
        assert_eq!(ring.next_for(1).outcome(), Err(Errno(libc::ECANCELED)));
        assert_eq!(ring.next_for(2).outcome(), Err(Errno(libc::ECANCELED)));
        drop(listener);
        drop(ring);
        let again = TcpListener::bind(SocketAddrV4::new(address, port));
        listener = again.unwrap_or_else(|e| panic!("bind the port again in round {round}: {e}"));
    }
}

/// A forked child that inherits a single-issuer ring cannot enter it: `EEXIST`.
/// Queues are shared memory; were the child let in, both processes would run each other's SQEs.
fn fork_child_refused() {
    const REFUSED: i32 = 0;
    let mut ring = Ring::with(8, |builder| {
        builder.setup_single_issuer();
    });
    ring.push(&Op::nop());
    // SAFETY: this process has one thread, and the child does nothing but enter and exit.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let entered = ring.enter(1, 0, EnterFlags::empty(), None);
        let errno = entered.map_or_else(|e| e.raw_os_error().unwrap_or(-1), |_| -2);
        let status = if errno == libc::EEXIST { REFUSED } else { 1 };
        // SAFETY: ends the child without running what belongs to the parent.
        unsafe { libc::_exit(status) };
    }
    checked(child.into()).expect("fork");
    let mut status = -1;
    // SAFETY: writes the status of the child that was just made.
    let waited = unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!(waited, child);
    assert!(libc::WIFEXITED(status), "the child ended with {status:#x}");
    assert_eq!(libc::WEXITSTATUS(status), REFUSED, "the child's enter was not EEXIST");
    ring.submit();
    assert_eq!(ring.next_any().outcome(), Ok(0), "the parent's entry was left alone");
}
