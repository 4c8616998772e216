//! Making a ring: what the set-up call answers, who owns the ring, and what a ring keeps out.
//!
//! The driver asks for the fastest ring, steps down flag by flag, moves the ring to its thread and
//! then trusts that no other thread can touch it.

use std::os::fd::AsRawFd;
use std::thread;

use io_uring::register::Restriction;
use io_uring::{EnterFlags, Probe, opcode};
use uring_sys_tests::completion::Errno;
use uring_sys_tests::memory::Buffer;
use uring_sys_tests::op::{Op, Slot};
use uring_sys_tests::raw;
use uring_sys_tests::ring::Ring;
use uring_sys_tests::socket;

use crate::case::cases;

cases![
    unknown_setup_flag_einval,
    required_features_reported,
    driver_flags_accepted: [DeferTaskrun, SubmitAll],
    no_sqarray_with_defer_taskrun: [NoSqArray, DeferTaskrun],
    completion_queue_size_honoured,
    oversize_ring_clamped,
    probe_matches_submission,
    foreign_thread_eexist: [SingleIssuer],
    disabled_ring_owned_by_enabler: [SingleIssuer],
    ring_fd_cloexec,
    restrictions_hold: [DeferTaskrun],
    registered_ring_enters: [DeferTaskrun],
    registered_ring_is_per_thread: [RegisteredRing],
];

/// The driver drops set-up flags one at a time on `EINVAL`, and on nothing else.
/// Another errno would end the step-down, and the runtime would not start on an older kernel.
fn unknown_setup_flag_einval() {
    let error = raw::setup(8, 1 << 31).expect_err("no kernel knows the highest flag");
    assert_eq!(Errno::of(&error), Errno(libc::EINVAL));
}

/// The driver relies on these without a fallback and refuses to start when a bit is missing.
/// If one were not reported, completions could be dropped or arguments read after their end.
fn required_features_reported() {
    let mut ring = Ring::plain(8);
    let params = ring.uring().params();
    assert!(params.is_feature_nodrop(), "completions survive a full queue");
    assert!(params.is_feature_submit_stable(), "arguments are read at submission");
    assert!(params.is_feature_ext_arg(), "a wait takes a timeout");
    assert!(params.is_feature_fast_poll(), "sockets need no worker");
    assert!(params.is_feature_rw_cur_pos(), "offset -1 means the current position");
}

/// The driver's flags go together in one set-up call.
/// If two excluded each other, each start would silently fall back to a slower ring.
fn driver_flags_accepted() {
    let mut ring = Ring::with(8, |builder| {
        builder
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_clamp()
            .setup_cqsize(64)
            .setup_r_disabled();
    });
    ring.register().register_enable_rings().expect("enable the ring");
    assert_eq!(ring.run(Op::nop()).outcome(), Ok(0));
}

/// Without the index array, SQEs are taken in the order of the queue, wrap-around included.
/// If an index were still read, the kernel would run stale SQEs after the first lap.
fn no_sqarray_with_defer_taskrun() {
    let mut ring = Ring::with(4, |builder| {
        builder.setup_single_issuer().setup_defer_taskrun().setup_no_sqarray();
    });
    for lap in 0..5 {
        let tags = [3 * lap, 3 * lap + 1, 3 * lap + 2];
        ring.start(tags.map(|tag| Op::nop().tag(tag)));
        assert_eq!(ring.next_all(3).iter().map(|c| c.tag).collect::<Vec<_>>(), tags);
    }
}

/// The driver asks for a completion queue larger than its submission queue.
/// If it got less, multishot operations would overflow it in ordinary load.
fn completion_queue_size_honoured() {
    let mut ring = Ring::with(8, |builder| {
        builder.setup_cqsize(128);
    });
    let params = ring.uring().params();
    assert_eq!((params.sq_entries(), params.cq_entries()), (8, 128));
    ring.start((0..8).map(|tag| Op::nop().tag(tag)));
    assert_eq!(ring.next_all(8).len(), 8);
}

/// A configuration may ask for more entries than the kernel allows: `CLAMP` makes it the most.
/// Without the flag the same wish is `EINVAL`, which the step-down would take for an old kernel.
fn oversize_ring_clamped() {
    const TOO_MANY: u32 = 1 << 20;
    let refused = raw::setup(TOO_MANY, 0).expect_err("more than the kernel allows");
    assert_eq!(Errno::of(&refused), Errno(libc::EINVAL));
    let mut ring = Ring::with(TOO_MANY, |builder| {
        builder.setup_clamp();
    });
    let entries = ring.uring().params().sq_entries();
    assert!((1024..TOO_MANY).contains(&entries), "clamped to {entries}");
}

/// The driver asks the probe once and then submits only what it named.
/// If the probe promised too much, the error would come from a live connection instead.
fn probe_matches_submission() {
    let mut ring = Ring::plain(8);
    let mut probe = Probe::new();
    ring.register().register_probe(&mut probe).expect("probe the operations");
    assert!(probe.is_supported(opcode::Nop::CODE));
    assert!(!probe.is_supported(u8::MAX), "the highest opcode exists nowhere");
    // SAFETY: the opcode is unknown, so the kernel reads no address from the SQE.
    let unknown = unsafe { Op::nop().with_field(0, u32::from(u8::MAX)) };
    assert_eq!(ring.run(unknown).outcome(), Err(Errno(libc::EINVAL)));
}

/// A single-issuer ring belongs to the thread that made it: others get `EEXIST`, never through.
/// The driver keeps its queues without locks on that promise; a second thread would tear them.
fn foreign_thread_eexist() {
    let mut ring = Ring::with(8, |builder| {
        builder.setup_single_issuer();
    });
    ring.push(&Op::nop());
    let (enter, register) = thread::scope(|scope| {
        scope
            .spawn(|| {
                let enter = ring.enter(1, 0, EnterFlags::empty(), None);
                (enter, ring.register().register_files_sparse(1))
            })
            .join()
            .expect("the foreign thread")
    });
    assert_eq!(enter.map_err(|e| Errno::of(&e)), Err(Errno(libc::EEXIST)));
    assert_eq!(register.map_err(|e| Errno::of(&e)), Err(Errno(libc::EEXIST)));
    ring.submit();
    assert_eq!(ring.next_any().outcome(), Ok(0), "the owner's entry was left alone");
}

/// A ring made disabled is owned by the thread that enables it, and runs nothing before.
/// The driver makes rings on one thread and gives each to its shard that way.
fn disabled_ring_owned_by_enabler() {
    let mut ring = Ring::with(8, |builder| {
        builder.setup_single_issuer().setup_r_disabled();
    });
    ring.push(&Op::nop());
    let early = ring.enter(1, 0, EnterFlags::empty(), None);
    assert_eq!(early.map_err(|e| Errno::of(&e)), Err(Errno(libc::EBADFD)));
    let mut ring = thread::spawn(move || {
        ring.register().register_enable_rings().expect("enable the ring");
        ring.submit();
        assert_eq!(ring.next_any().outcome(), Ok(0));
        ring
    })
    .join()
    .expect("the owning thread");
    ring.push(&Op::nop());
    let maker = ring.enter(1, 0, EnterFlags::empty(), None);
    assert_eq!(maker.map_err(|e| Errno::of(&e)), Err(Errno(libc::EEXIST)));
}

/// The ring's descriptor is close-on-exec from its birth, without a call in between.
/// Else a subprocess would hold the ring, and every operation and port in it, open.
fn ring_fd_cloexec() {
    let ring = Ring::plain(8);
    // SAFETY: the call takes no pointer.
    let flags = unsafe { libc::fcntl(ring.as_raw_fd(), libc::F_GETFD) };
    assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC, "flags {flags:#x}");
}

/// Restrictions go with the driver's flags: what is not allowed is `EACCES`, for SQEs and for
/// register calls. A sandboxed shard rests on it; if one got through, the sandbox would be
/// decoration.
fn restrictions_hold() {
    let mut ring = Ring::with(8, |builder| {
        builder.setup_single_issuer().setup_defer_taskrun().setup_r_disabled();
    });
    let enable = u8::try_from(raw::REGISTER_ENABLE_RINGS).expect("a register opcode is a byte");
    let mut allowed = [Restriction::sqe_op(opcode::Nop::CODE), Restriction::register_op(enable)];
    ring.register().register_restrictions(&mut allowed).expect("restrict the ring");
    ring.register().register_enable_rings().expect("enable the ring");
    let (near, _far) = socket::tcp_pair();
    assert_eq!(ring.run(Op::nop().tag(1)).outcome(), Ok(0));
    let recv = Op::recv(&near, Buffer::zeroed(1)).tag(2);
    assert_eq!(ring.run(recv).outcome(), Err(Errno(libc::EACCES)));
    let fixed = Op::recv(Slot(0), Buffer::zeroed(1)).tag(3);
    assert_eq!(ring.run(fixed).outcome(), Err(Errno(libc::EACCES)));
    let register = ring.register().register_files_sparse(1);
    assert_eq!(register.map_err(|e| Errno::of(&e)), Err(Errno(libc::EACCES)));
}

/// Entering by a registered ring index submits and waits as the descriptor does.
/// The driver enters no other way; a difference would show only in its own loop.
fn registered_ring_enters() {
    let mut ring = Ring::deferred(8);
    ring.push(&Op::nop().tag(7));
    let mut submitter = ring.register();
    submitter.register_ring_fd().expect("register the ring's descriptor");
    // SAFETY: no argument is passed.
    let entered =
        unsafe { submitter.enter::<libc::sigset_t>(1, 1, EnterFlags::GETEVENTS.bits(), None) };
    assert_eq!(entered.map_err(|e| Errno::of(&e)), Ok(1));
    submitter.unregister_ring_fd().expect("unregister the ring's descriptor");
    assert_eq!(ring.peek().iter().map(|c| c.tag).collect::<Vec<_>>(), [7]);
}

/// A registered ring index means something only on the thread that registered it.
/// So the driver registers after it has moved to its thread; elsewhere the index must not enter.
fn registered_ring_is_per_thread() {
    let by_index = EnterFlags::REGISTERED_RING.bits();
    let registering = thread::spawn(move || {
        let ring = Ring::plain(8);
        let mut submitter = ring.register();
        submitter.register_ring_fd().expect("register the ring's descriptor");
        let own = raw::enter(0, 0, 0, by_index);
        let foreign = thread::spawn(move || raw::enter(0, 0, 0, by_index));
        (own, foreign.join().expect("the foreign thread"))
    });
    let (own, foreign) = registering.join().expect("the registering thread");
    assert_eq!(own.map_err(|e| Errno::of(&e)), Ok(0), "a thread's first index is 0");
    let refusal = Errno::of(&foreign.expect_err("the index is another thread's"));
    assert!([Errno(libc::EINVAL), Errno(libc::EBADF)].contains(&refusal), "{refusal:?}");
}
