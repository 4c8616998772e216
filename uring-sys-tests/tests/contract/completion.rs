//! Getting completions: none is lost, deferred ones come when asked for, and a wait ends.
//!
//! The driver sleeps in one place, the enter with a deadline. What wakes it there, and what it can
//! read off the ring without a system call, is its whole notion of progress.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use io_uring::EnterFlags;
use uring_sys_tests::completion::Errno;
use uring_sys_tests::memory::Buffer;
use uring_sys_tests::op::Op;
use uring_sys_tests::raw::checked;
use uring_sys_tests::ring::{QUIET, Ring, patience};
use uring_sys_tests::socket;

use crate::case::cases;

cases![
    overflow_keeps_all,
    overflow_keeps_all_deferred: [DeferTaskrun],
    defer_is_silent_until_getevents: [DeferTaskrun],
    taskrun_flag_shows_pending_work: [DeferTaskrun],
    deferred_work_makes_the_ring_readable: [DeferTaskrun],
    deferred_work_wakes_a_registered_counter: [DeferTaskrun],
    taskrun_flag_stays_while_backlog: [DeferTaskrun],
    wait_ends_with_etime,
    wait_ends_early_with_a_completion,
    zero_timeout_does_not_block,
    etime_hidden_by_a_submission,
    eintr_with_sa_restart @ in_own_process,
    no_iowait_accepted: [NoIowait],
];

const WAIT: EnterFlags = EnterFlags::GETEVENTS;

/// Completions that find the queue full are kept aside, in order, and a flag says so.
/// The driver's queue may fill at any time; a dropped completion is a task that never wakes.
fn overflow_keeps_all() {
    overflow(Ring::plain(8));
}

/// The same holds on a ring with deferred work.
/// It is the driver's own kind of ring, and the kernel posts to it on another path.
fn overflow_keeps_all_deferred() {
    overflow(Ring::deferred(8));
}

fn overflow(mut ring: Ring) {
    const POSTED: u64 = 64;
    let room = u64::from(ring.uring().params().cq_entries());
    assert!(room < POSTED, "a queue of {room} overflows");
    for first in (0..POSTED).step_by(8) {
        ring.start((first..first + 8).map(|tag| Op::nop().tag(tag)));
    }
    assert!(ring.uring().submission().cq_overflow(), "the overflow is flagged");
    assert_eq!(ring.uring().completion().overflow(), 0, "nothing is counted as dropped");
    let mut tags = Vec::new();
    while ring.uring().submission().cq_overflow() {
        tags.extend(ring.reap().iter().map(|completion| completion.tag));
        ring.get_events();
    }
    tags.extend(ring.peek().iter().map(|completion| completion.tag));
    assert_eq!(tags, (0..POSTED).collect::<Vec<_>>());
}

/// On a deferred ring, what arrives from the network is posted only by an enter with `GETEVENTS`.
/// The driver passes the flag each turn; without it, a busy loop would see no completion ever.
fn defer_is_silent_until_getevents() {
    let mut ring = Ring::deferred(8);
    let (near, mut far) = socket::tcp_pair();
    ring.start([Op::recv(&near, Buffer::zeroed(8)).tag(1)]);
    far.write_all(b"there").expect("send to the receiver");
    assert_eq!(ring.peek(), [], "nothing without an enter");
    ring.start([Op::nop().tag(2)]);
    let tags: Vec<_> = ring.peek().iter().map(|completion| completion.tag).collect();
    assert_eq!(tags, [2], "nothing but the nop by an enter without GETEVENTS");
    assert_eq!(ring.next_for(1).outcome(), Ok(5));
}

/// Deferred work that waits shows as a flag in the ring, and the flag goes when the work is done.
/// The driver reads it to learn for free whether an enter is worth its system call.
fn taskrun_flag_shows_pending_work() {
    let mut ring = Ring::deferred(8);
    let counter = socket::event_counter();
    ring.start([Op::poll(&counter, libc::POLLIN).tag(1)]);
    assert!(!ring.uring().submission().taskrun(), "no work yet");
    socket::signal(&counter);
    assert!(ring.uring().submission().taskrun(), "work is pending");
    assert_eq!(ring.reap().len(), 1);
    assert!(!ring.uring().submission().taskrun(), "the work is done");
}

/// Deferred work makes the ring's descriptor readable, before any completion is posted, and the
/// enter that runs it ends that.
/// An outer event loop that polls the ring learns so that a turn has something to do.
fn deferred_work_makes_the_ring_readable() {
    let mut ring = Ring::deferred(8);
    let counter = socket::event_counter();
    ring.start([Op::poll(&counter, libc::POLLIN).tag(1)]);
    assert!(!is_readable(ring.as_raw_fd(), 0), "no work yet");
    socket::signal(&counter);
    assert!(is_readable(ring.as_raw_fd(), 0), "work is pending");
    assert_eq!(ring.reap().len(), 1);
    assert!(!is_readable(ring.as_raw_fd(), 0), "the work is done");
}

/// Deferred work signals a registered event counter, and so ends a wait for it that has begun.
/// An outer event loop must sleep on such a counter: on 6.18 the work does not end a wait for the
/// ring's own descriptor, though that is readable afterwards.
fn deferred_work_wakes_a_registered_counter() {
    let mut ring = Ring::deferred(8);
    let (counter, registered) = (socket::event_counter(), socket::event_counter());
    ring.register().register_eventfd(registered.as_raw_fd()).expect("register a counter");
    ring.start([Op::poll(&counter, libc::POLLIN).tag(1)]);
    let started = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(QUIET);
            socket::signal(&counter);
        });
        let limit = i32::try_from(patience().as_millis()).expect("a short time");
        assert!(is_readable(registered.as_raw_fd(), limit), "the counter is signalled");
    });
    assert!(started.elapsed() < patience(), "readable, but the wait was not ended");
    assert_eq!(ring.reap().len(), 1);
}

fn is_readable(fd: RawFd, limit: i32) -> bool {
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: the call reads and writes one `pollfd`.
    let ready = unsafe { libc::poll(&mut poll, 1, limit) };
    checked(ready.into()).expect("poll the ring") > 0
}

/// The flag stays as long as any deferred work is left, for an enter may run only a part of it.
/// Since 6.16 that part is about 20: a driver that entered once a turn would leave tasks behind.
fn taskrun_flag_stays_while_backlog() {
    const WORKS: u64 = 64;
    let mut ring = Ring::deferred(64);
    let counters: Vec<_> = (0..WORKS).map(|_| socket::event_counter()).collect();
    ring.start(counters.iter().zip(0..).map(|(c, tag)| Op::poll(c, libc::POLLIN).tag(tag)));
    for counter in &counters {
        socket::signal(counter);
    }
    let mut done = BTreeSet::new();
    while ring.uring().submission().taskrun() {
        done.extend(ring.reap().iter().map(|completion| completion.tag));
    }
    assert_eq!(done, (0..WORKS).collect(), "the flag fell while work was left");
}

/// A wait with a timespec ends with `ETIME`, not before its time.
/// The driver sleeps that way until its next timer; an early end would fire timers early.
fn wait_ends_with_etime() {
    const LIMIT: Duration = Duration::from_millis(5);
    let ring = Ring::plain(8);
    let start = Instant::now();
    let ended = ring.enter(0, 1, WAIT, Some(LIMIT));
    assert_eq!(ended.map_err(|e| Errno::of(&e)), Err(Errno(libc::ETIME)));
    assert!(start.elapsed() >= LIMIT, "ended after {:?}", start.elapsed());
}

/// A wait with a timespec ends as soon as a completion comes, with success.
/// The driver sleeps until a far timer; if only the time woke it, each request would take hours.
fn wait_ends_early_with_a_completion() {
    let mut ring = Ring::plain(8);
    ring.start([Op::timeout(Duration::from_millis(2)).tag(1)]);
    let start = Instant::now();
    let ended = ring.enter(0, 1, WAIT, Some(2 * patience()));
    assert_eq!(ended.map_err(|e| Errno::of(&e)), Ok(0));
    assert_eq!(ring.peek().len(), 1);
    assert!(start.elapsed() < patience(), "ended after {:?}", start.elapsed());
}

/// A wait with a zero timespec looks and returns: `ETIME` when nothing is there.
/// The driver polls so while tasks are ready; were zero "for ever", a busy loop would freeze.
fn zero_timeout_does_not_block() {
    let mut ring = Ring::plain(8);
    let nothing = ring.enter(0, 1, WAIT, Some(Duration::ZERO));
    assert_eq!(nothing.map_err(|e| Errno::of(&e)), Err(Errno(libc::ETIME)));
    ring.start([Op::nop()]);
    let something = ring.enter(0, 1, WAIT, Some(Duration::ZERO));
    assert_eq!(something.map_err(|e| Errno::of(&e)), Ok(0));
}

/// An enter that both submits and waits tells how many it submitted, even when the wait timed out.
/// Taking "no `ETIME`" for "a completion is there", or `ETIME` for "not submitted", would be wrong.
fn etime_hidden_by_a_submission() {
    let mut ring = Ring::plain(8);
    let counter = socket::event_counter();
    ring.push(&Op::poll(&counter, libc::POLLIN).tag(1));
    let ended = ring.enter(1, 1, WAIT, Some(Duration::from_millis(1)));
    assert_eq!(ended.map_err(|e| Errno::of(&e)), Ok(1));
    assert_eq!(ring.peek(), [], "the wait had timed out");
}

/// A signal ends the wait with `EINTR`, although its handler asks for restarts.
/// The driver must expect it on any enter, and can rely on it to notice a signal at once.
fn eintr_with_sa_restart() {
    extern "C" fn ignore(_signal: libc::c_int) {}
    let ring = Ring::plain(8);
    // SAFETY: an all-zero action is valid, and the handler touches nothing.
    let installed = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = ignore as *const () as usize;
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut())
    };
    checked(installed.into()).expect("install the handler");
    let period = libc::timeval { tv_sec: 0, tv_usec: 5_000 };
    let every = libc::itimerval { it_interval: period, it_value: period };
    // SAFETY: reads `every`, which lives for the call.
    let armed = unsafe { libc::setitimer(libc::ITIMER_REAL, &every, std::ptr::null_mut()) };
    checked(armed.into()).expect("arm the timer");
    let ended = ring.enter(0, 1, WAIT, Some(patience()));
    assert_eq!(ended.map_err(|e| Errno::of(&e)), Err(Errno(libc::EINTR)));
}

/// The flag that keeps an idle wait out of the I/O-wait account is accepted and changes no result.
/// The driver passes it on every wait; an idle server would otherwise look fully busy in `top`.
fn no_iowait_accepted() {
    let mut ring = Ring::plain(8);
    let flags = WAIT | EnterFlags::NO_IOWAIT;
    let nothing = ring.enter(0, 1, flags, Some(Duration::from_millis(1)));
    assert_eq!(nothing.map_err(|e| Errno::of(&e)), Err(Errno(libc::ETIME)));
    ring.push(&Op::nop());
    let something = ring.enter(1, 1, flags, Some(patience()));
    assert_eq!(something.map_err(|e| Errno::of(&e)), Ok(1));
}
