//! Links of operations on files: a write and its synchronisation, an open and what follows it.
//!
//! The driver links them so that a durable write takes one round through the ring. A caller is told
//! that it is durable by the completion of the synchronisation, which must not have begun before
//! the write was done, and must not run at all if the write was short.

use std::fs::File;
use std::os::fd::AsRawFd;

use io_uring::opcode;
use io_uring::types::{DestinationSlot, Fd, FsyncFlags};
use uring_sys_tests::completion::Errno;
use uring_sys_tests::memory::Buffer;
use uring_sys_tests::op::{Op, Slot};
use uring_sys_tests::raw::checked;
use uring_sys_tests::ring::Ring;
use uring_sys_tests::socket;

use crate::case::cases;
use crate::files::unnamed_file;

cases![
    short_write_severs @ in_own_process,
    short_write_goes_on_behind_hardlink @ in_own_process,
    linked_fsync_after_write_on_worker,
    links_ordered_on_workers,
    failed_open_severs_hardlinked_close: [EmptyTables],
    hardlinked_close_after_failed_read: [EmptyTables],
    cancel_of_head_severs,
    cancel_misses_waiting_link,
    cancelled_link_severs_rest,
];

type Outcome = Result<u32, Errno>;

const CANCELED: Outcome = Err(Errno(libc::ECANCELED));

/// The kernel's own number for a call that a signal interrupts; no header of user space has it.
const ERESTARTSYS: i32 = 512;

/// Submits `ops` together and gives their outcomes in the order of the chain.
fn outcomes<const N: usize>(ring: &mut Ring, ops: [Op; N]) -> [Outcome; N] {
    ring.start(ops.into_iter().zip(1..).map(|(op, tag)| op.tag(tag)));
    std::array::from_fn(|at| ring.next_for(at as u64 + 1).outcome())
}

fn write_at(file: &File, buffer: Buffer, offset: u64) -> Op {
    let length = u32::try_from(buffer.size()).expect("a short buffer");
    let write = opcode::Write::new(Fd(file.as_raw_fd()), buffer.as_ptr(), length).offset(offset);
    // SAFETY: the buffer is leaked.
    unsafe { Op::from_entry(write.build()) }
}

fn fsync(file: &File) -> Op {
    let fsync = opcode::Fsync::new(Fd(file.as_raw_fd())).flags(FsyncFlags::DATASYNC);
    // SAFETY: it points to no memory.
    unsafe { Op::from_entry(fsync.build()) }
}

fn open(path: &'static std::ffi::CStr, slot: u32) -> Op {
    let slot = DestinationSlot::try_from_slot_target(slot).expect("a slot");
    let open = opcode::OpenAt::new(Fd(libc::AT_FDCWD), path.as_ptr()).file_index(Some(slot));
    // SAFETY: the path is constant.
    unsafe { Op::from_entry(open.build()) }
}

fn with_slot() -> Ring {
    let ring = Ring::plain(8);
    ring.register().register_files_sparse(1).expect("register an empty table");
    ring
}

/// A file that has room for 4096 bytes, by a limit of this process: a longer write is short.
fn full_file() -> File {
    let most = libc::rlimit { rlim_cur: 4096, rlim_max: 4096 };
    // SAFETY: the call reads one `rlimit`; a process that ignores the signal is not ended by it.
    let limited = unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        libc::setrlimit(libc::RLIMIT_FSIZE, &raw const most)
    };
    checked(limited.into()).expect("limit the size of files");
    unnamed_file()
}

/// A write of fewer bytes than it was given severs the chain although it succeeded.
/// The driver reports the synchronisation behind it as not run; run, it would make a part durable
/// that the caller takes for the whole.
fn short_write_severs() {
    let mut ring = Ring::plain(8);
    let file = full_file();
    let chain = [write_at(&file, Buffer::filled(8192, 1), 0).link(), fsync(&file), Op::nop()];
    assert_eq!(outcomes(&mut ring, chain), [Ok(4096), CANCELED, Ok(0)]);
    let chain = [write_at(&file, Buffer::filled(4096, 2), 0).link(), fsync(&file), Op::nop()];
    assert_eq!(outcomes(&mut ring, chain), [Ok(4096), Ok(0), Ok(0)]);
    let chain = [write_at(&file, Buffer::zeroed(0), 0).link(), fsync(&file)];
    assert_eq!(outcomes(&mut ring, chain), [Ok(0), Ok(0)], "all of nothing is not short");
}

/// A hard link goes on after a short transfer, too.
/// The driver puts the close of a file that it has opened behind a read, which is mostly short.
fn short_write_goes_on_behind_hardlink() {
    let mut ring = Ring::plain(8);
    let file = full_file();
    let chain = [write_at(&file, Buffer::filled(8192, 1), 0).hardlink(), fsync(&file)];
    assert_eq!(outcomes(&mut ring, chain), [Ok(4096), Ok(0)]);
}

/// A synchronisation linked to a write on a worker begins after it, and completes after it.
/// Its completion is the acknowledgement that the driver passes on.
fn linked_fsync_after_write_on_worker() {
    let mut ring = Ring::plain(8);
    let file = unnamed_file();
    for round in 0..64_u8 {
        let write = write_at(&file, Buffer::filled(64 << 10, round), 0).forced_async();
        ring.start([write.link().tag(1), fsync(&file).tag(2)]);
        let order: Vec<_> =
            ring.next_all(2).iter().map(|done| (done.tag, done.outcome())).collect();
        assert_eq!(order, [(1, Ok(64 << 10)), (2, Ok(0))]);
    }
}

/// Links are carried out one after the other also where each takes a worker: each read sees the
/// write before it, and no write the read behind it.
fn links_ordered_on_workers() {
    let mut ring = Ring::plain(8);
    let file = unnamed_file();
    for round in 0..128_u8 {
        let (read, write) = (Buffer::zeroed(4096), Buffer::filled(4096, round));
        let chain = [
            write_at(&file, write, 0).forced_async().link(),
            Op::read_at(&file, read, 0).forced_async().link(),
            write_at(&file, Buffer::filled(4096, !round), 0).forced_async(),
        ];
        assert_eq!(outcomes(&mut ring, chain), [Ok(4096); 3]);
        assert_eq!(read.bytes(), write.bytes(), "round {round}");
    }
}

/// An open that fails severs all that follows, a close behind a hard link included.
/// The slot is empty then: the driver gives it to the next.
fn failed_open_severs_hardlinked_close() {
    let mut ring = with_slot();
    let chain = [
        open(c"/nowhere/at/all", 0).link(),
        Op::read_at(Slot(0), Buffer::zeroed(8), 0).hardlink(),
        Op::close_slot(Slot(0)),
    ];
    assert_eq!(outcomes(&mut ring, chain), [Err(Errno(libc::ENOENT)), CANCELED, CANCELED]);
    assert_eq!(ring.run(Op::close_slot(Slot(0))).outcome(), Err(Errno(libc::EBADF)));
}

/// A close behind a hard link empties the slot, however the read before it has ended.
/// The driver then uses the slot again without a close of its own.
fn hardlinked_close_after_failed_read() {
    let mut ring = with_slot();
    let read = |buffer| Op::read_at(Slot(0), buffer, 0).hardlink();
    let chain = |buffer| [open(c"/", 0).link(), read(buffer), Op::close_slot(Slot(0))];
    let failed = outcomes(&mut ring, chain(Buffer::zeroed(8)));
    assert_eq!(failed, [Ok(0), Err(Errno(libc::EISDIR)), Ok(0)]);
    assert_eq!(ring.run(Op::close_slot(Slot(0))).outcome(), Err(Errno(libc::EBADF)), "empty");
    let short = [open(c"/dev/null", 0).link(), read(Buffer::zeroed(8)), Op::close_slot(Slot(0))];
    assert_eq!(outcomes(&mut ring, short), [Ok(0), Ok(0), Ok(0)]);
    assert_eq!(ring.run(Op::close_slot(Slot(0))).outcome(), Err(Errno(libc::EBADF)), "empty");
}

/// A cancel of the head of a chain that waits severs the chain: nothing of the rest is run.
/// The driver cancels only the head of a chain whose future is dropped.
fn cancel_of_head_severs() {
    let mut ring = Ring::plain(8);
    let gate = socket::event_counter();
    let file = unnamed_file();
    ring.start([
        Op::poll(&gate, libc::POLLIN).link().tag(1),
        write_at(&file, Buffer::filled(8, 1), 0).link().tag(2),
        fsync(&file).tag(3),
    ]);
    ring.assert_quiet("the gate is shut");
    assert_eq!(ring.run(Op::cancel(1).tag(4)).outcome(), Ok(0));
    assert_eq!([1, 2, 3].map(|tag| ring.next_for(tag).outcome()), [CANCELED; 3]);
    assert_eq!(file.metadata().expect("its length").len(), 0, "nothing was written");
}

/// A cancel does not find a link that has not begun, and the chain goes on as if there had been
/// none. So the driver cancels a link when the one before it has completed.
fn cancel_misses_waiting_link() {
    let mut ring = Ring::plain(8);
    let gate = socket::event_counter();
    let file = unnamed_file();
    ring.start([
        Op::poll(&gate, libc::POLLIN).link().tag(1),
        write_at(&file, Buffer::filled(8, 1), 0).link().tag(2),
        fsync(&file).tag(3),
    ]);
    for tag in [2, 3] {
        let cancel = ring.run(Op::cancel(tag).tag(4)).outcome();
        assert_eq!(cancel, Err(Errno(libc::ENOENT)));
    }
    socket::signal(&gate);
    let done = [1, 2, 3].map(|tag| ring.next_for(tag).outcome());
    assert_eq!(done, [Ok(libc::POLLIN as u32), Ok(8), Ok(0)]);
}

/// A cancel of a link in the middle that has begun severs what follows it alone. Behind a link that
/// was on a worker it is on that worker, too: the cancel then interrupts it, as it would alone. How
/// the kernel says so differs: on 6.1 also by a number of its own (`ERESTARTSYS`).
fn cancelled_link_severs_rest() {
    let mut ring = Ring::plain(8);
    let (read, _write) = socket::pipe();
    let file = unnamed_file();
    let heads = [(Op::nop(), 0), (write_at(&file, Buffer::filled(8, 1), 0).forced_async(), 8)];
    for (head, count) in heads {
        ring.start([
            head.link().tag(1),
            Op::read(&read, Buffer::zeroed(8)).link().tag(2),
            write_at(&file, Buffer::filled(8, 2), 8).tag(3),
        ]);
        assert_eq!(ring.next_for(1).outcome(), Ok(count));
        ring.assert_quiet("the pipe is empty");
        let cancel = ring.run(Op::cancel(2).tag(4)).outcome();
        assert!([Ok(0), Err(Errno(libc::EALREADY))].contains(&cancel), "{cancel:?}");
        let middle = ring.next_for(2).outcome();
        let legal = [CANCELED, Err(Errno(libc::EINTR)), Err(Errno(ERESTARTSYS))];
        assert!(legal.contains(&middle), "{middle:?}");
        assert_eq!(ring.next_for(3).outcome(), CANCELED);
    }
    assert_eq!(file.metadata().expect("its length").len(), 8);
}
