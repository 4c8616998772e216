//! Registered buffers: until when the kernel uses the memory, and what their table may do to
//! operations in flight.
//!
//! A pipe without bytes holds an operation in flight for as long as a test needs.

use std::ffi::c_int;
use std::io::Write;
use std::mem::ManuallyDrop;
use std::os::fd::AsRawFd;
use std::ptr;

use io_uring::opcode;
use io_uring::types::Fd;
use uring_sys_tests::child::Verdict;
use uring_sys_tests::completion::Errno;
use uring_sys_tests::memory::{Pages, page_size};
use uring_sys_tests::op::Op;
use uring_sys_tests::raw::checked;
use uring_sys_tests::ring::{Ring, patience};
use uring_sys_tests::socket;

use crate::case::cases;
use crate::files::memory_file;
use crate::limits::{become_unprivileged, set_limit};

cases![
    registered_slot_filled_and_emptied,
    registered_slot_used_until_completion,
    unregistered_memory_kept_until_completion,
    registered_pages_outlive_their_mapping,
    fork_leaves_registered_pages_to_the_parent @ in_own_process,
    registered_memory_charged @ in_own_process,
];

const FAULT: Result<u32, Errno> = Err(Errno(libc::EFAULT));

/// A ring with a table of two empty slots.
fn with_table() -> Ring {
    let ring = Ring::plain(8);
    let empty = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
    // SAFETY: the slots name no memory.
    unsafe { ring.register().register_buffers2(&[empty; 2], &[0; 2]) }.expect("an empty table");
    ring
}

/// Registers pages. They are leaked, unless a test unmaps them.
fn fill(ring: &Ring, slot: u32, pages: &Pages) -> Result<(), Errno> {
    let memory = libc::iovec { iov_base: pages.as_ptr().cast(), iov_len: pages.size() };
    // SAFETY: what the pages' end means is the subject of these tests.
    let filled = unsafe { ring.register().register_buffers_update(slot, &[memory], None) };
    filled.map_err(|error| Errno::of(&error))
}

fn empty(ring: &Ring, slot: u32) {
    let empty = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
    // SAFETY: the slot names no memory then.
    let emptied = unsafe { ring.register().register_buffers_update(slot, &[empty], None) };
    emptied.expect("empty a slot");
}

/// A read of `length` bytes to the start of pages.
fn read(from: &impl AsRawFd, pages: &Pages, length: u32, slot: u16) -> Op {
    let fd = Fd(from.as_raw_fd());
    let read = opcode::ReadFixed::new(fd, pages.as_ptr(), length, slot).offset(u64::MAX);
    // SAFETY: the pages are registered, or the kernel refuses.
    unsafe { Op::from_entry(read.build()) }
}

fn first(pages: &Pages, count: usize) -> Vec<u8> {
    // SAFETY: within the pages, which are mapped; volatile, as the kernel writes to them.
    (0..count).map(|at| unsafe { pages.as_ptr().add(at).read_volatile() }).collect()
}

/// A slot of an empty table is filled and emptied by itself; an SQE may name any part of what is in
/// it, and nothing else. So the driver has one slot for a set of buffers; were an address beyond it
/// let through, the kernel would write to other memory.
fn registered_slot_filled_and_emptied() {
    let mut ring = with_table();
    let pages = ManuallyDrop::new(Pages::new(2 * page_size()));
    let (mut file, length) = (memory_file(), pages.size() as u32);
    file.write_all(b"in the middle").expect("write a file");
    let read = |shift: usize, length: u32, slot: u16| {
        // SAFETY: only compared by the kernel with what is registered.
        let start = unsafe { pages.as_ptr().add(shift) };
        let read = opcode::ReadFixed::new(Fd(file.as_raw_fd()), start, length, slot);
        // SAFETY: the pages are leaked.
        unsafe { Op::from_entry(read.build()) }
    };
    assert_eq!(ring.run(read(0, 5, 1)).outcome(), FAULT, "an empty slot");
    fill(&ring, 1, &pages).expect("fill a slot");
    let shift = page_size() - 3;
    assert_eq!(ring.run(read(shift, 13, 1)).outcome(), Ok(13), "across two pages");
    assert_eq!(&first(&pages, shift + 13)[shift..], b"in the middle");
    assert_eq!(ring.run(read(1, length, 1)).outcome(), FAULT, "one byte beyond");
    assert_eq!(ring.run(read(0, 5, 0)).outcome(), FAULT, "another slot");
    empty(&ring, 1);
    assert_eq!(ring.run(read(0, 5, 1)).outcome(), FAULT, "an emptied slot");
    fill(&ring, 1, &pages).expect("fill a slot again");
    assert_eq!(ring.run(read(0, 5, 1)).outcome(), Ok(5));
}

/// The kernel writes to a registered buffer as late as at the completion. So a registered buffer is
/// owned by its operation like any other; checked out again before, it would be written to twice.
fn registered_slot_used_until_completion() {
    let mut ring = with_table();
    let pages = ManuallyDrop::new(Pages::new(1));
    fill(&ring, 0, &pages).expect("fill a slot");
    let (from, to) = socket::pipe();
    ring.start([read(&from, &pages, 4, 0).tag(1)]);
    assert_eq!(first(&pages, 4), [0; 4]);
    write(&to, b"late");
    assert_eq!(ring.next_for(1).outcome(), Ok(4));
    assert_eq!(first(&pages, 4), b"late");
}

/// An operation in flight keeps the memory that was in its slot when it began: emptying the slot or
/// filling it with other memory waits for nothing, and changes nothing for it. The driver gives a
/// slot to the next set at once; else that set's buffers would get this one's bytes.
fn unregistered_memory_kept_until_completion() {
    let mut ring = with_table();
    let [old, new] = [1, 1].map(|length| ManuallyDrop::new(Pages::new(length)));
    fill(&ring, 0, &old).expect("fill a slot");
    let (from, to) = socket::pipe();
    ring.start([read(&from, &old, 3, 0).tag(1)]);
    empty(&ring, 0);
    fill(&ring, 0, &new).expect("fill the slot again");
    write(&to, b"old");
    assert_eq!(ring.next_for(1).outcome(), Ok(3));
    assert_eq!((first(&old, 3), first(&new, 3)), (b"old".to_vec(), vec![0; 3]));
    write(&to, b"new");
    assert_eq!(ring.run(read(&from, &new, 3, 0)).outcome(), Ok(3));
    assert_eq!(first(&new, 3), b"new");
}

/// Registered pages belong to the kernel until they are unregistered and no operation uses them,
/// whatever is mapped at their address. So an early unmapping, where a ring is closed with
/// operations in flight, is sound; if the kernel used the address, it would write to what is there.
fn registered_pages_outlive_their_mapping() {
    let mut ring = with_table();
    let pages = Pages::new(page_size());
    let start = pages.as_ptr();
    fill(&ring, 0, &pages).expect("fill a slot");
    let (from, to) = socket::pipe();
    ring.start([read(&from, &pages, 5, 0).tag(1)]);
    // SAFETY: replaces the mapping that this test owns by one of the same size.
    let again = unsafe {
        libc::mmap(
            start.cast(),
            pages.size(),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
            -1,
            0,
        )
    };
    assert_eq!(again.cast(), start);
    write(&to, b"ghost");
    assert_eq!(ring.next_for(1).outcome(), Ok(5));
    assert_eq!(first(&pages, 5), [0; 5], "the mapping that came later");
    drop(ring);
}

/// A fork copies pinned pages for the child, and leaves them to the parent. The driver does not
/// keep registered memory from children; if the parent got the copies, what the kernel reads into
/// its buffers would be lost from then on.
fn fork_leaves_registered_pages_to_the_parent() {
    let mut ring = with_table();
    let pages = ManuallyDrop::new(Pages::new(page_size()));
    fill(&ring, 0, &pages).expect("fill a slot");
    let (from, to) = socket::pipe();
    let (until, end) = socket::pipe();
    // SAFETY: the child makes system calls only.
    let child = checked(unsafe { libc::fork() }.into()).expect("fork");
    if child == 0 {
        // It has the pages too, until the parent is done.
        drop(end);
        let mut byte = 0_u8;
        // SAFETY: the call writes one byte.
        unsafe {
            libc::read(until.as_raw_fd(), (&raw mut byte).cast(), 1);
            libc::_exit(0);
        }
    }
    // The parent writes first, so that a page that both had would be copied for it.
    // SAFETY: the page is mapped, and no operation is in flight.
    unsafe { pages.as_ptr().write_volatile(b'!') };
    write(&to, b"parent");
    assert_eq!(ring.run(read(&from, &pages, 6, 0)).outcome(), Ok(6));
    assert_eq!(first(&pages, 6), b"parent");
    drop(end);
    let mut status: c_int = 0;
    // SAFETY: the call writes one number.
    checked(unsafe { libc::waitpid(child as c_int, &mut status, 0) }.into()).expect("wait");
}

/// Registered memory beyond the limit of locked memory is `ENOMEM`, and leaves the slot empty; what
/// is unregistered can be registered again, some time after. The driver names the limit, and goes
/// on without registration.
fn registered_memory_charged() -> Verdict {
    let limit = 64 * page_size();
    set_limit(libc::RLIMIT_MEMLOCK, limit as u64);
    if let Err(reason) = become_unprivileged() {
        return Verdict::Skipped(format!("needs to change its user: {reason}"));
    }
    let mut ring = with_table();
    let large = ManuallyDrop::new(Pages::new(limit + page_size()));
    assert_eq!(fill(&ring, 0, &large), Err(Errno(libc::ENOMEM)));
    let file = memory_file();
    assert_eq!(ring.run(read(&file, &large, 1, 0)).outcome(), FAULT, "the slot is empty");
    // Half of the limit: rings are charged, too, by some kernels.
    let half = ManuallyDrop::new(Pages::new(limit / 2));
    let deadline = std::time::Instant::now() + patience();
    for _ in 0..4 {
        while let Err(error) = fill(&ring, 0, &half) {
            assert_eq!(error, Errno(libc::ENOMEM));
            assert!(std::time::Instant::now() < deadline, "what was unregistered is charged");
        }
        empty(&ring, 0);
    }
    Verdict::Held
}

fn write(to: &impl AsRawFd, bytes: &[u8]) {
    // SAFETY: the call reads the bytes.
    let written = unsafe { libc::write(to.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
    assert_eq!(usize::try_from(written), Ok(bytes.len()));
}
