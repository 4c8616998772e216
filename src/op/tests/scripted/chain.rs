//! Chains: what is submitted together, what severs, and what a dropped chain leaves.

use std::io::Read;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::file::{FSYNC, OPEN, READ, WRITE, file, fsync};
use super::*;
use crate::buf::IoBuf;
use crate::op::chain::{AfterShort, ChainOp, Linked, Links, NotRun, Reason};
use crate::op::{CloseLast, Descriptor, FileFd, Fsync, Open, OpenFirst, ReadAt, WriteAt};
use crate::sys::errno::{EBUSY, ECANCELED, EINTR, ENOENT, EPERM};
use crate::sys::{SqeFile, SubmissionFlags};

type Write = Linked<WriteAt<Vec<u8>>>;
type Sync = Linked<Fsync>;

fn write(file: &Rc<FileFd>, bytes: &[u8], offset: u64) -> Write {
    Linked::new(WriteAt::new(file, bytes.to_vec(), offset))
}

fn sync(file: &Rc<FileFd>) -> Sync {
    Linked::new(Fsync::data(file))
}

/// A write of `text`, and a synchronisation.
fn write_and_sync(file: &Rc<FileFd>, after_short: AfterShort) -> ChainOp<(Write, Sync)> {
    chain(file, (write(file, b"text", 0), sync(file)), after_short)
}

fn chain<L: Links>(file: &Rc<FileFd>, links: L, after_short: AfterShort) -> ChainOp<L> {
    ChainOp::new(file.driver(), links, after_short)
}

/// Why it was not carried out.
fn not_run<T>(result: io::Result<T>) -> Option<(usize, Reason)> {
    let not_run = NotRun::of(&result.err()?)?;
    Some((not_run.link(), not_run.reason()))
}

#[test]
fn a_chain_is_one_submission_and_is_woken_once_by_its_last_completion() {
    let bench = Bench::new();
    let file = file(&bench);
    let mut chain = write_and_sync(&file, AfterShort::Ends);
    bench.start(&mut chain);
    assert_eq!(
        (bench.opcodes(), bench.ring.script().batches.clone()),
        (vec![WRITE, FSYNC], vec![2])
    );
    assert!(bench.taken(0).has(SubmissionFlags::IO_LINK));
    assert!(!bench.taken(1).has(SubmissionFlags::IO_LINK));
    bench.complete(0, 4);
    assert_eq!(bench.woken(), 0);
    // This is what an acknowledgement rests on.
    assert!(bench.poll(&mut chain).is_pending(), "the synchronisation has not completed");
    bench.complete(1, 0);
    assert_eq!(bench.woken(), 1);
    let (written, synced) = bench.end(&mut chain);
    let (written, buffer) = split(written);
    assert_eq!((written.unwrap(), buffer), (4, b"text".to_vec()));
    synced.unwrap();
}

#[test]
fn a_failed_link_is_reported_and_what_follows_says_that_it_was_not_run() {
    let bench = Bench::new();
    let file = file(&bench);
    let links = (write(&file, b"one", 0), write(&file, b"two", 3), sync(&file));
    let mut chain = chain(&file, links, AfterShort::Ends);
    bench.start(&mut chain);
    bench.complete(0, 3);
    bench.complete(1, -EPERM);
    let (first, second, synced) = bench.end(&mut chain);
    assert_eq!(split(first).0.unwrap(), 3);
    assert_eq!(errno(split(second).0), Some(EPERM));
    assert_eq!(not_run(synced), Some((1, Reason::Failed)));
}

#[test]
fn a_short_write_severs_the_chain_and_says_how_much_was_written() {
    let bench = Bench::new();
    let file = file(&bench);
    let links = (write(&file, b"first", 0), write(&file, b"second", 5), sync(&file));
    let mut chain = chain(&file, links, AfterShort::Ends);
    bench.start(&mut chain);
    bench.complete(0, 2);
    let (first, second, synced) = bench.end(&mut chain);
    assert_eq!(split(first).0.unwrap(), 2);
    let (second, buffer) = split(second);
    assert_eq!((not_run(second), buffer), (Some((0, Reason::Short)), b"second".to_vec()));
    assert_eq!(not_run(synced), Some((0, Reason::Short)));
    bench.turn();
    assert_eq!(bench.opcodes().len(), 3, "nothing is submitted after that");
}

#[test]
fn a_short_write_whose_caller_expects_that_is_synchronised_all_the_same() {
    let bench = Bench::new();
    let mut chain = write_and_sync(&file(&bench), AfterShort::GoesOn);
    bench.start(&mut chain);
    bench.advance(&mut chain, 0, 2);
    assert_eq!(bench.opcodes(), [WRITE, FSYNC, FSYNC]);
    bench.complete(2, 0);
    let (written, synced) = bench.end(&mut chain);
    assert_eq!(split(written).0.unwrap(), 2);
    synced.unwrap();
}

#[test]
fn an_interrupted_link_is_submitted_again_with_what_follows_it() {
    let bench = Bench::new();
    let file = file(&bench);
    let links = (write(&file, b"one", 0), write(&file, b"two", 3), sync(&file));
    let mut chain = chain(&file, links, AfterShort::Ends);
    bench.start(&mut chain);
    bench.complete(0, 3);
    bench.advance(&mut chain, 1, -EINTR);
    assert_eq!(bench.opcodes(), [WRITE, WRITE, FSYNC, WRITE, FSYNC]);
    assert_eq!(bench.taken(3).offset(), 3);
    bench.complete(3, 3);
    bench.complete(4, 0);
    let (first, second, synced) = bench.end(&mut chain);
    assert_eq!((split(first).0.unwrap(), split(second).0.unwrap()), (3, 3));
    synced.unwrap();
}

/// The kernel may find something bad in an SQE: then it cancels the links before it, too.
#[test]
fn a_chain_that_is_refused_as_a_whole_reports_what_the_kernel_said() {
    let bench = Bench::new();
    let mut chain = write_and_sync(&file(&bench), AfterShort::Ends);
    bench.start(&mut chain);
    bench.complete(0, -ECANCELED);
    let (written, synced) = bench.end(&mut chain);
    let (written, buffer) = split(written);
    assert_eq!((errno(written), buffer), (Some(ECANCELED), b"text".to_vec()));
    assert_eq!(not_run(synced), Some((0, Reason::Failed)));
}

#[test]
fn a_link_that_is_refused_without_the_kernel_severs_the_chain_where_it_is() {
    let bench = Bench::new();
    let file = file(&bench);
    let error = io::Error::from(io::ErrorKind::InvalidInput);
    let refused = Write::refused(BufResult(Err(error), b"two".to_vec()));
    let links = (write(&file, b"one", 0), refused, sync(&file));
    let mut chain = chain(&file, links, AfterShort::Ends);
    bench.start(&mut chain);
    assert_eq!(bench.opcodes(), [WRITE]);
    bench.complete(0, 3);
    let (first, second, synced) = bench.end(&mut chain);
    assert_eq!(split(first).0.unwrap(), 3);
    assert_eq!(split(second).0.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    assert_eq!(not_run(synced), Some((1, Reason::Failed)));
}

#[test]
fn a_chain_that_is_longer_than_the_submission_queue_goes_in_parts() {
    let bench = Bench::with_capacity(2);
    let file = file(&bench);
    let links = (write(&file, b"one", 0), write(&file, b"two", 3), sync(&file));
    let mut whole = chain(&file, links, AfterShort::Ends);
    bench.start(&mut whole);
    assert_eq!(bench.opcodes(), [WRITE, WRITE]);
    bench.complete(0, 3);
    bench.advance(&mut whole, 1, 3);
    assert_eq!(bench.opcodes(), [WRITE, WRITE, FSYNC]);
    bench.complete(2, 0);
    bench.end(&mut whole).2.unwrap();
    // What is short at the end of a part severs, too, though the kernel has nothing to cancel.
    let links = (write(&file, b"one", 0), write(&file, b"two", 3), sync(&file));
    let mut severed = chain(&file, links, AfterShort::Ends);
    bench.start(&mut severed);
    bench.complete(3, 3);
    bench.complete(4, 1);
    assert_eq!(not_run(bench.end(&mut severed).2), Some((1, Reason::Short)));
    assert_eq!(bench.opcodes().len(), 5);
}

/// Bytes that are never read.
struct Huge(Box<[u8]>);

// SAFETY: no SQE that points there reaches a kernel.
unsafe impl IoBuf for Huge {
    fn stable_ptr(&self) -> *const u8 {
        self.0.as_ptr()
    }

    fn bytes_init(&self) -> usize {
        3 << 30
    }
}

#[test]
fn what_follows_a_transfer_that_one_sqe_cannot_do_is_not_linked_to_its_first_step() {
    const STEP: i32 = 0x7fff_f000;
    let bench = Bench::new();
    let file = file(&bench);
    let huge = Linked::new(WriteAt::new(&file, Huge(Box::new([])), 0));
    let mut short = chain(&file, (huge, sync(&file)), AfterShort::Ends);
    bench.start(&mut short);
    assert_eq!(bench.opcodes(), [WRITE]);
    bench.complete(0, STEP);
    let (written, synced) = bench.end(&mut short);
    assert_eq!(written.0.unwrap(), STEP as usize);
    assert_eq!(not_run(synced), Some((0, Reason::Short)));
}

#[test]
fn a_chain_waits_in_the_backlog_as_a_whole_and_is_published_at_once() {
    let bench = Bench::with_capacity(3);
    let file = file(&bench);
    let mut others = [fsync(&file), fsync(&file)];
    for other in &mut others {
        assert!(bench.poll(other).is_pending());
    }
    bench.ring.script().refusals.push_back(EBUSY);
    let mut chain = write_and_sync(&file, AfterShort::Ends);
    assert!(bench.poll(&mut chain).is_pending());
    assert_eq!(bench.opcodes(), [], "the kernel took nothing, and there is room for one");
    bench.turn();
    bench.turn();
    assert_eq!(bench.opcodes(), [FSYNC, FSYNC, WRITE, FSYNC]);
    assert_eq!(bench.ring.script().batches, [2, 2]);
    for (nth, result) in [(0, 0), (1, 0), (2, 4), (3, 0)] {
        bench.complete(nth, result);
    }
    bench.end(&mut chain).1.unwrap();
    others.iter_mut().for_each(|other| bench.end(other).unwrap());
}

#[test]
fn a_kernel_thread_that_submits_sees_a_chain_as_a_whole() {
    let bench = Bench::new();
    bench.ring.script().has_thread = true;
    let mut chain = write_and_sync(&file(&bench), AfterShort::Ends);
    bench.start(&mut chain);
    assert_eq!(bench.ring.script().batches, [2]);
    bench.complete(0, 4);
    bench.complete(1, 0);
    bench.end(&mut chain).1.unwrap();
}

/// The kernel has no memory for the second SQE. The next enter takes it as a chain of its own: it
/// runs beside the write, and its success says nothing of it.
#[test]
fn a_synchronisation_that_the_kernel_took_apart_from_its_write_is_repeated() {
    let bench = Bench::new();
    let file = file(&bench);
    bench.ring.script().limits.push_back(1);
    let mut chain = write_and_sync(&file, AfterShort::Ends);
    bench.start(&mut chain);
    bench.turn();
    assert_eq!(bench.ring.script().batches, [1, 1]);
    bench.complete(1, 0);
    bench.start(&mut chain);
    bench.advance(&mut chain, 0, 4);
    assert_eq!(bench.opcodes(), [WRITE, FSYNC, FSYNC]);
    bench.complete(2, 0);
    let (written, synced) = bench.end(&mut chain);
    assert_eq!(split(written).0.unwrap(), 4);
    synced.unwrap();
    assert_eq!(bench.driver.take_split(crate::driver::Key::NONE), None);
}

#[test]
fn a_chain_behind_other_sqes_is_known_to_be_apart_only_if_it_is() {
    for (limit, repeats) in [(2, 0), (3, 1), (4, 0)] {
        let bench = Bench::new();
        let file = file(&bench);
        bench.ring.script().limits.push_back(limit);
        let mut others = [fsync(&file), fsync(&file)];
        for other in &mut others {
            assert!(bench.poll(other).is_pending());
        }
        let mut chain = write_and_sync(&file, AfterShort::Ends);
        bench.start(&mut chain);
        bench.turn();
        bench.complete(2, 4);
        bench.complete(3, 0);
        let _ = bench.poll(&mut chain);
        bench.turn();
        assert_eq!(bench.opcodes().len(), 4 + repeats, "{limit}");
    }
}

#[test]
fn a_chain_waits_for_a_dropped_write_and_a_synchronisation_for_a_dropped_chain() {
    let bench = Bench::new();
    let file = file(&bench);
    bench.start_and_drop(Op::new(&bench.driver, WriteAt::new(&file, "old", 0)));
    let mut dropped = write_and_sync(&file, AfterShort::Ends);
    bench.start(&mut dropped);
    assert_eq!(bench.opcodes(), [WRITE, CANCEL], "the old write is in the kernel");
    bench.advance(&mut dropped, 0, 3);
    assert_eq!(bench.opcodes()[2..], [WRITE, FSYNC]);
    drop(dropped);
    let mut later = fsync(&file);
    bench.start(&mut later);
    assert_eq!(bench.opcodes()[4..], [CANCEL]);
    bench.complete(4, -ENOENT);
    bench.advance(&mut later, 2, 4);
    // The rest of the chain is cancelled, as the kernel has begun it, and the later one goes on.
    assert_eq!(bench.opcodes()[5..], [CANCEL, FSYNC]);
    bench.complete(6, 0);
    bench.end(&mut later).unwrap();
}

#[test]
fn a_chain_that_is_dropped_before_it_is_polled_submits_nothing() {
    let bench = Bench::new();
    let file = file(&bench);
    drop(write_and_sync(&file, AfterShort::Ends));
    bench.turn();
    assert_eq!((bench.opcodes(), Rc::strong_count(&file)), (vec![], 1));
}

#[test]
fn a_dropped_chain_is_severed_by_the_cancel_of_its_first_link() {
    for is_taken in [false, true] {
        let bench = Bench::new();
        let file = file(&bench);
        let mut chain = write_and_sync(&file, AfterShort::Ends);
        assert!(bench.poll(&mut chain).is_pending());
        if is_taken {
            bench.turn();
        }
        drop(chain);
        bench.turn();
        assert_eq!(bench.opcodes(), [WRITE, FSYNC, CANCEL]);
        assert_eq!(Rc::strong_count(&file), 4, "two links, and a drain");
        bench.ring.carry_out_cancel(2);
        bench.turn();
        bench.turn();
        assert_eq!(bench.opcodes().len(), 3, "nothing is left to cancel");
        assert_eq!(Rc::strong_count(&file), 1);
    }
}

/// The kernel does not find a link that it has not begun, so a cancel of it would be repeated for
/// as long as the first one takes.
#[test]
fn a_dropped_chain_cancels_each_link_when_the_one_before_it_has_completed() {
    let bench = Bench::new();
    let file = file(&bench);
    let links = (write(&file, b"one", 0), sync(&file), sync(&file));
    bench.start_and_drop(chain(&file, links, AfterShort::Ends));
    assert_eq!(bench.opcodes()[3..], [CANCEL]);
    bench.complete(3, -ENOENT);
    bench.turn();
    assert_eq!(bench.opcodes().len(), 4);
    bench.complete(0, 3);
    bench.turn();
    assert_eq!(bench.opcodes()[4..], [CANCEL]);
    assert_eq!(bench.taken(4).address(), bench.taken(1).user_data());
    bench.ring.carry_out_cancel(4);
    bench.turn();
    bench.turn();
    assert_eq!(bench.opcodes().len(), 5);
    assert_eq!(Rc::strong_count(&file), 1);
}

#[test]
fn a_chain_that_is_dropped_in_its_middle_cancels_the_link_that_is_carried_out() {
    let bench = Bench::new();
    let file = file(&bench);
    let mut chain = write_and_sync(&file, AfterShort::Ends);
    bench.start(&mut chain);
    bench.complete(0, 4);
    drop(chain);
    bench.turn();
    assert_eq!(bench.opcodes(), [WRITE, FSYNC, CANCEL]);
    assert_eq!(bench.taken(2).address(), bench.taken(1).user_data());
    bench.complete(1, 0);
    assert_eq!(Rc::strong_count(&file), 1);
}

/// A buffer whose destructor panics.
struct Panics(Vec<u8>);

// SAFETY: the vector's memory does not move with it.
unsafe impl IoBuf for Panics {
    fn stable_ptr(&self) -> *const u8 {
        self.0.as_ptr()
    }

    fn bytes_init(&self) -> usize {
        self.0.len()
    }
}

impl Drop for Panics {
    fn drop(&mut self) {
        panic!("the destructor of a buffer");
    }
}

/// The first link has completed, and disposing of it panics in the middle of the drop. The kernel
/// still has the second.
#[test]
fn a_buffer_that_panics_when_a_chain_is_dropped_does_not_free_the_memory_of_other_links() {
    let incidents = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&incidents);
    let hook = Arc::new(move |_: &_| {
        counter.fetch_add(1, Relaxed);
    });
    let bench = Bench::with_hook(Bypasses::default(), hook);
    let file = file(&bench);
    let panics = Linked::new(WriteAt::new(&file, Panics(b"one".to_vec()), 0));
    let mut chain = chain(&file, (panics, write(&file, b"two", 3)), AfterShort::Ends);
    bench.start(&mut chain);
    bench.complete(0, 3);
    drop(chain);
    assert_eq!(incidents.load(Relaxed), 1);
    assert_eq!(bench.ring.outgoing(1), b"two");
    assert_eq!(Rc::strong_count(&file), 3, "a link, and a drain");
    bench.complete(1, 3);
    assert_eq!(Rc::strong_count(&file), 1);
}

#[test]
fn a_chain_on_a_closed_driver_is_cancelled_and_keeps_its_order() {
    let bench = Bench::new();
    let file = file(&bench);
    bench.driver.close(Duration::ZERO);
    let (written, synced) = match bench.poll(&mut write_and_sync(&file, AfterShort::Ends)) {
        Poll::Ready(outputs) => outputs,
        Poll::Pending => panic!("the driver is closed"),
    };
    assert_eq!(errno(split(written).0), Some(ECANCELED));
    assert_eq!(not_run(synced), Some((0, Reason::Failed)));
}

#[test]
fn a_chain_in_flight_at_the_end_of_the_runtime_is_cancelled_and_reaped() {
    let bench = Bench::new();
    bench.ring.script().answers_cancels = true;
    let file = file(&bench);
    let mut chain = write_and_sync(&file, AfterShort::Ends);
    bench.start(&mut chain);
    bench.ring.complete(0, -ECANCELED, false);
    bench.driver.close(Duration::from_secs(5));
    drop(chain);
    assert_eq!(Rc::strong_count(&file), 1);
}

#[test]
fn a_read_in_a_chain_fills_its_buffer_and_severs_at_the_end_of_the_file() {
    let bench = Bench::new();
    let file = file(&bench);
    let read = Linked::new(ReadAt::new(&file, Vec::with_capacity(8), 4));
    let mut chain = chain(&file, (read, write(&file, b"text", 0)), AfterShort::Ends);
    bench.start(&mut chain);
    assert_eq!(bench.opcodes(), [READ, WRITE]);
    bench.ring.receive(0, b"end");
    let (read, written) = bench.end(&mut chain);
    let (count, buffer) = split(read);
    assert_eq!((count.unwrap(), &*buffer), (3, &b"end"[..]));
    assert_eq!(not_run(split(written).0), Some((0, Reason::Short)));
}

type OpenReadClose = (Linked<OpenFirst>, Linked<ReadAt<Vec<u8>>>, Linked<CloseLast>);

/// A chain that opens its file into a slot, reads, and closes it.
fn open_read_close(bench: &Bench) -> ChainOp<OpenReadClose> {
    let file = FileFd::new(&bench.driver, Descriptor::direct(bench.file_slot()));
    let file = Rc::new(file);
    let open = Linked::new(OpenFirst::new(Open::new(c"name".into(), 0, 0), &file));
    let read = Linked::new(ReadAt::new(&file, Vec::with_capacity(8), 0));
    chain(&file, (open, read, Linked::new(CloseLast::new(&file))), AfterShort::Ends)
}

#[test]
fn a_file_is_opened_read_and_closed_in_one_submission_and_its_slot_needs_no_other_close() {
    let bench = Bench::new();
    let mut chain = open_read_close(&bench);
    bench.start(&mut chain);
    assert_eq!(bench.opcodes(), [OPEN, READ, CLOSE]);
    let flags = [0, 1, 2].map(|nth| {
        let sqe = bench.taken(nth);
        [SubmissionFlags::IO_LINK, SubmissionFlags::IO_HARDLINK].map(|flag| sqe.has(flag))
    });
    assert_eq!(flags, [[true, false], [false, true], [false, false]]);
    assert_eq!(bench.taken(0).file_index(), bench.taken(2).file_index());
    bench.complete(0, 0);
    bench.ring.receive(1, b"short");
    bench.complete(2, 0);
    let (opened, read, closed) = bench.end(&mut chain);
    opened.unwrap();
    assert_eq!(split(read).1, b"short");
    closed.unwrap();
    bench.turn();
    assert_eq!(bench.opcodes().len(), 3);
    drop([bench.file_slot(), bench.file_slot()]);
}

#[test]
fn an_open_that_fails_severs_its_chain_and_frees_the_slot() {
    let bench = Bench::new();
    let mut chain = open_read_close(&bench);
    bench.start(&mut chain);
    bench.complete(0, -ENOENT);
    let (opened, read, closed) = bench.end(&mut chain);
    let error = opened.unwrap_err();
    assert!(error.to_string().starts_with("open name: "), "{error}");
    assert_eq!(not_run(split(read).0), Some((0, Reason::Failed)));
    assert_eq!(not_run(closed), Some((0, Reason::Failed)));
    // Whether it is empty is not known here: the kernel says that it was.
    bench.turn();
    assert_eq!(bench.opcodes()[3..], [CLOSE]);
}

/// The kernel cancels the close with the rest: it is submitted again, alone.
#[test]
fn a_chain_that_is_severed_after_its_open_closes_the_file_all_the_same() {
    let bench = Bench::new();
    let slot = Descriptor::direct(bench.file_slot());
    let file = Rc::new(FileFd::new(&bench.driver, slot));
    let open = Linked::new(OpenFirst::new(Open::new(c"name".into(), 0, 0), &file));
    let links = (open, write(&file, b"text", 0), sync(&file), Linked::new(CloseLast::new(&file)));
    let mut chain = chain(&file, links, AfterShort::Ends);
    drop(file);
    bench.start(&mut chain);
    bench.complete(0, 0);
    bench.advance(&mut chain, 1, 2);
    assert_eq!(bench.opcodes()[3..], [CLOSE, CLOSE]);
    bench.complete(4, 0);
    let (opened, written, synced, closed) = bench.end(&mut chain);
    opened.unwrap();
    assert_eq!(split(written).0.unwrap(), 2);
    assert_eq!(not_run(synced), Some((1, Reason::Short)));
    closed.unwrap();
    bench.turn();
    assert_eq!(bench.opcodes().len(), 5);
}

#[test]
fn a_dropped_chain_that_opens_its_file_never_cancels_the_close() {
    let bench = Bench::new();
    let mut chain = open_read_close(&bench);
    bench.start(&mut chain);
    bench.complete(0, 0);
    drop(chain);
    bench.turn();
    assert_eq!(bench.opcodes()[3..], [CANCEL]);
    assert_eq!(bench.taken(3).address(), bench.taken(1).user_data());
    bench.ring.receive(1, b"late");
    bench.turn();
    bench.complete(2, 0);
    bench.turn();
    assert_eq!(bench.opcodes().len(), 4, "neither a cancel of the close nor another close");
    drop([bench.file_slot(), bench.file_slot()]);
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no sockets that answer at once")]
fn a_chain_without_a_file_slot_opens_first_and_closes_what_it_has_opened_once() {
    for is_dropped in [false, true] {
        let bench = Bench::new();
        let file = Rc::new(FileFd::new(&bench.driver, Descriptor::unopened()));
        let open = Linked::new(OpenFirst::new(Open::new(c"name".into(), 0, 0), &file));
        let links = (open, write(&file, b"text", 0), Linked::new(CloseLast::new(&file)));
        let mut chain = chain(&file, links, AfterShort::Ends);
        drop(file);
        bench.start(&mut chain);
        assert_eq!(bench.opcodes(), [OPEN]);
        let (near, mut far) = UnixStream::pair().unwrap();
        far.set_nonblocking(true).unwrap();
        let fd = near.into_raw_fd();
        bench.advance(&mut chain, 0, fd);
        assert_eq!(bench.opcodes(), [OPEN, WRITE, CLOSE]);
        assert!(bench.taken(1).has(SubmissionFlags::IO_HARDLINK));
        assert_eq!(
            (bench.taken(1).file(), bench.taken(2).file()),
            (SqeFile::Fd(fd), SqeFile::Fd(fd))
        );
        bench.complete(1, 4);
        if is_dropped {
            drop(chain);
        } else {
            bench.complete(2, 0);
            bench.end(&mut chain).2.unwrap();
            drop(chain);
            // The scripted close has closed nothing, and the chain does not close it again.
            assert_eq!(far.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
            // SAFETY: the descriptor is open, and nothing else owns it.
            drop(unsafe { OwnedFd::from_raw_fd(fd) });
            continue;
        }
        bench.turn();
        assert_eq!(far.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        bench.complete(2, -ECANCELED);
        assert_eq!(far.read(&mut [0]).unwrap(), 0, "it was not closed by the kernel");
    }
}
