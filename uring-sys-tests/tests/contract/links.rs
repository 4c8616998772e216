//! Linked submissions: their order, what severs a chain, and the race of a linked timeout.
//!
//! The driver links an operation to its kernel-side deadline, and a close behind a last write. It
//! must know for each kind of short result whether the rest of the chain still runs.

use std::fs::File;
use std::io::{Seek, Write};
use std::time::{Duration, Instant};

use uring_sys_tests::completion::{Completion, Errno};
use uring_sys_tests::memory::Buffer;
use uring_sys_tests::op::{Op, Slot};
use uring_sys_tests::ring::{Ring, patience};
use uring_sys_tests::socket;

use crate::case::cases;
use crate::files::unnamed_file;

cases![
    linked_run_in_order,
    failing_link_cancels_rest,
    hardlink_survives_failure,
    chain_ends_with_its_batch,
    bad_entry_fails_whole_chain: [SubmitAll],
    short_file_read_severs,
    short_pipe_read_severs,
    short_recv_keeps_chain,
    short_waitall_recv_severs,
    link_timeout_fires,
    link_timeout_is_called_off,
    link_timeout_race,
];

type Outcome = Result<u32, Errno>;

const CANCELED: Outcome = Err(Errno(libc::ECANCELED));

/// Submits `ops` together and gives their outcomes in the order of the chain.
fn outcomes<const N: usize>(ring: &mut Ring, ops: [Op; N]) -> [Outcome; N] {
    ring.start(ops.into_iter().zip(1..).map(|(op, tag)| op.tag(tag)));
    std::array::from_fn(|at| ring.next_for(at as u64 + 1).outcome())
}

/// A linked SQE starts only when the one before it has completed, and they complete in order.
/// The driver puts a close behind the last write; started early, it would cut the write off.
fn linked_run_in_order() {
    let mut ring = Ring::plain(8);
    let gate = socket::event_counter();
    let (read, write) = socket::pipe();
    let received = Buffer::zeroed(4);
    ring.start([
        Op::poll(&gate, libc::POLLIN).link().tag(1),
        Op::write(&write, Buffer::holding(b"next")).link().tag(2),
        Op::read(&read, received).tag(3),
    ]);
    ring.assert_quiet("the gate is shut");
    socket::signal(&gate);
    let order: Vec<_> = ring.next_all(3).iter().map(|completion| completion.tag).collect();
    assert_eq!(order, [1, 2, 3]);
    assert_eq!(received.bytes(), b"next");
}

/// When a linked SQE fails, the rest of its chain completes with `ECANCELED`, none of it run.
/// Each still completes: the driver frees one slot for each SQE, so none may vanish.
fn failing_link_cancels_rest() {
    let mut ring = Ring::plain(8);
    let (read, write) = socket::pipe();
    let chain = [
        Op::read(Slot(0), Buffer::zeroed(1)).link(),
        Op::write(&write, Buffer::holding(b"x")).link(),
        Op::nop(),
    ];
    assert_eq!(outcomes(&mut ring, chain), [Err(Errno(libc::EBADF)), CANCELED, CANCELED]);
    ring.start([Op::poll(&read, libc::POLLIN)]);
    ring.assert_quiet("nothing was written to the pipe");
}

/// A hard link goes on after a failure.
/// The driver puts a close behind a write that may fail; severed, the descriptor would leak.
fn hardlink_survives_failure() {
    let mut ring = Ring::plain(8);
    // One that fails when it runs: before 5.19 one that is refused earlier fails the whole chain.
    let (pipe, _write) = socket::pipe();
    let chain = [Op::recv(&pipe, Buffer::zeroed(1)).hardlink(), Op::nop()];
    assert_eq!(outcomes(&mut ring, chain), [Err(Errno(libc::ENOTSOCK)), Ok(0)]);
}

/// A link flag on the last SQE of a batch does not reach into the next batch.
/// The queue may fill in the middle of a chain; the driver must then not expect it to hold.
fn chain_ends_with_its_batch() {
    let mut ring = Ring::plain(8);
    let gate = socket::event_counter();
    ring.start([Op::poll(&gate, libc::POLLIN).link().tag(1)]);
    assert_eq!(ring.run(Op::nop().tag(2)).outcome(), Ok(0), "it did not wait for the gate");
}

/// A malformed SQE fails the whole chain that it is in, the SQEs before it included.
/// The driver learns it from their completions: `ECANCELED` may come to one that never started.
fn bad_entry_fails_whole_chain() {
    let mut ring = Ring::with(8, |builder| {
        builder.setup_submit_all();
    });
    // SAFETY: the opcode is unknown, so the kernel reads no address from the SQE.
    let bad = unsafe { Op::nop().with_field(0, u32::from(u8::MAX)) };
    let chain = [Op::nop().link(), bad.link(), Op::nop()];
    assert_eq!(outcomes(&mut ring, chain), [CANCELED, Err(Errno(libc::EINVAL)), CANCELED]);
}

/// A read that ends at the end of its file severs the chain although it succeeded.
/// The driver must not put a close behind a read of unknown length with a plain link.
fn short_file_read_severs() {
    let mut file = unnamed_file();
    file.write_all(b"four").expect("write the file");
    file.rewind().expect("rewind the file");
    let read = |file: &File, length| Op::read_at(file, Buffer::zeroed(length), 0).link();
    let mut ring = Ring::plain(8);
    assert_eq!(outcomes(&mut ring, [read(&file, 4), Op::nop()]), [Ok(4), Ok(0)]);
    assert_eq!(outcomes(&mut ring, [read(&file, 8), Op::nop()]), [Ok(4), CANCELED]);
}

/// A pipe read that gets less than its buffer severs the chain.
/// It is the same rule as for files, and unlike the one for sockets.
fn short_pipe_read_severs() {
    let mut ring = Ring::plain(8);
    let (read, write) = socket::pipe();
    socket::write_all(&write, b"part");
    let chain = [Op::read(&read, Buffer::zeroed(8)).link(), Op::nop()];
    assert_eq!(outcomes(&mut ring, chain), [Ok(4), CANCELED]);
}

/// A receive that gets less than its buffer does not sever the chain.
/// The driver may link behind a receive; severed, each short packet would cancel what follows.
fn short_recv_keeps_chain() {
    let mut ring = Ring::plain(8);
    let (near, far) = socket::tcp_pair();
    socket::write_all(&far, b"part");
    let chain = [Op::recv(&near, Buffer::zeroed(8)).link(), Op::nop()];
    assert_eq!(outcomes(&mut ring, chain), [Ok(4), Ok(0)]);
}

/// A receive for all of its buffer that ends early does sever the chain.
/// What is linked behind an exact read runs only when the read was exact.
fn short_waitall_recv_severs() {
    let mut ring = Ring::plain(8);
    let (near, far) = socket::tcp_pair();
    socket::write_all(&far, b"part");
    drop(far);
    let recv = Op::recv_with(&near, Buffer::zeroed(8), libc::MSG_WAITALL);
    assert_eq!(outcomes(&mut ring, [recv.link(), Op::nop()]), [Ok(4), CANCELED]);
}

/// A linked timeout that fires cancels its operation: `ECANCELED` and `ETIME`.
/// The driver offers it as a deadline inside the kernel; without the pair a slot would leak.
fn link_timeout_fires() {
    let mut ring = Ring::plain(8);
    let (near, _far) = socket::tcp_pair();
    let recv = Op::recv(&near, Buffer::zeroed(8)).link();
    let pair = [recv, Op::link_timeout(Duration::from_millis(1))];
    assert_eq!(outcomes(&mut ring, pair), [CANCELED, Err(Errno(libc::ETIME))]);
}

/// A linked timeout whose operation completes in time completes too, with `ECANCELED`.
/// The driver waits for both before it frees the slot; a silent timeout would hold it for ever.
fn link_timeout_is_called_off() {
    let mut ring = Ring::plain(8);
    let (near, far) = socket::tcp_pair();
    ring.start([
        Op::recv(&near, Buffer::zeroed(8)).link().tag(1),
        Op::link_timeout(2 * patience()).tag(2),
    ]);
    socket::write_all(&far, b"soon");
    assert_eq!(ring.next_for(1).outcome(), Ok(4));
    assert_eq!(ring.next_for(2).outcome(), CANCELED);
}

/// When bytes and deadline come together, the receive's own completion says who won, and the bytes
/// are where it says. A late receive may succeed beside `ETIME`: the timeout's word is mere advice.
fn link_timeout_race() {
    const DEADLINE: Duration = Duration::from_micros(200);
    let mut ring = Ring::plain(8);
    let (near, far) = socket::tcp_pair();
    for round in 0..150_u32 {
        let buffer = Buffer::zeroed(4);
        let sent = round.to_ne_bytes();
        let start = Instant::now();
        ring.start([Op::recv(&near, buffer).link().tag(1), Op::link_timeout(DEADLINE).tag(2)]);
        // From well before the deadline to well after it, in small steps.
        while start.elapsed() < DEADLINE / 75 * round {
            std::hint::spin_loop();
        }
        socket::write_all(&far, &sent);
        let (recv, timeout) = (ring.next_for(1), ring.next_for(2));
        let mut got = received(&recv, &timeout, buffer);
        got.extend(socket::drain(&near, sent.len() - got.len()));
        assert_eq!(got, sent, "round {round}");
    }
}

/// What a receive under a linked timeout put into its buffer, if the two outcomes go together: a
/// cancelled receive was cancelled by its timeout, and a timeout called off had a receive to thank.
fn received(recv: &Completion, timeout: &Completion, buffer: Buffer) -> Vec<u8> {
    let fired = Errno(libc::ETIME);
    let lost = [libc::ECANCELED, libc::ENOENT, libc::EALREADY].map(Errno);
    match (recv.outcome(), timeout.outcome()) {
        (Ok(count), Err(said)) if said == fired || lost.contains(&said) => {
            buffer.prefix(count as usize).bytes()
        }
        (CANCELED, Err(said)) if said == fired => Vec::new(),
        _ => panic!("{recv:?} and {timeout:?} do not go together"),
    }
}
