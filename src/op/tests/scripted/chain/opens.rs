//! Chains that open their file and close it.

use std::io::Read;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use super::*;
use crate::op::{CloseLast, Descriptor, Open, OpenFirst, ReadAt};
use crate::sys::SqeFile;
use crate::sys::errno::{ECANCELED, ENOENT, EPERM};

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

#[test]
fn a_file_whose_synchronisation_fails_is_closed_by_the_same_submission() {
    let bench = Bench::new();
    let slot = Descriptor::direct(bench.file_slot());
    let file = Rc::new(FileFd::new(&bench.driver, slot));
    let open = Linked::new(OpenFirst::new(Open::new(c"name".into(), 0, 0), &file));
    let links = (open, write(&file, b"text", 0), sync(&file), Linked::new(CloseLast::new(&file)));
    let mut chain = chain(&file, links, AfterShort::Ends);
    drop(file);
    bench.start(&mut chain);
    assert_eq!(bench.opcodes(), [OPEN, WRITE, FSYNC, CLOSE]);
    for (nth, result) in [(0, 0), (1, 4), (2, -EPERM), (3, 0)] {
        bench.complete(nth, result);
    }
    let (_, written, synced, closed) = bench.end(&mut chain);
    assert_eq!((split(written).0.unwrap(), errno(synced)), (4, Some(EPERM)));
    closed.unwrap();
    assert_eq!(bench.opcodes().len(), 4);
}

/// The close would have been in the next submission.
#[test]
fn a_chain_that_is_dropped_at_a_synchronisation_closes_the_file_that_it_has_opened() {
    for result in [0, -EPERM] {
        let bench = Bench::new();
        let slot = Descriptor::direct(bench.file_slot());
        let file = Rc::new(FileFd::new(&bench.driver, slot));
        let open = Linked::new(OpenFirst::new(Open::new(c"name".into(), 0, 0), &file));
        let close = Linked::new(CloseLast::new(&file));
        let links = (open, sync(&file), write(&file, b"text", 0), close);
        let mut chain = chain(&file, links, AfterShort::Ends);
        drop(file);
        bench.start(&mut chain);
        assert_eq!(bench.opcodes(), [OPEN, FSYNC]);
        bench.complete(0, 0);
        bench.complete(1, result);
        drop(chain);
        bench.turn();
        assert_eq!(bench.opcodes(), [OPEN, FSYNC, CLOSE]);
    }
}
