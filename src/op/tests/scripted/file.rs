//! Files: what a dropped operation leaves, and what waits for it.

use std::io::{ErrorKind, Read};
use std::os::fd::IntoRawFd;
use std::os::unix::net::UnixStream;

use super::*;
use crate::op::{FileFd, Fsync, Open, ReadAt, WriteAt};
use crate::sys::SubmissionFlags;
use crate::sys::errno::{ECANCELED, EINTR, ENOENT, ENOMEM, ENXIO};
use crate::sys::fs::O_DIRECT;

pub(super) const OPEN: u8 = opcode::OpenAt::CODE;
pub(super) const READ: u8 = opcode::Read::CODE;
pub(super) const WRITE: u8 = opcode::Write::CODE;
pub(super) const FSYNC: u8 = opcode::Fsync::CODE;

pub(super) fn file(bench: &Bench) -> Rc<FileFd> {
    Rc::new(FileFd::new(&bench.driver, some_fd()))
}

fn open(bench: &Bench) -> Op<Open> {
    Op::new(&bench.driver, Open::new(c"name".into(), 0, 0))
}

fn write(file: &Rc<FileFd>) -> Op<WriteAt<&'static str>> {
    Op::new(file.driver(), WriteAt::new(file, "text", 0))
}

pub(super) fn fsync(file: &Rc<FileFd>) -> Op<Fsync> {
    Op::new(file.driver(), Fsync::all(file))
}

#[test]
fn an_fsync_is_submitted_after_the_last_dropped_write_has_completed() {
    let bench = Bench::new();
    let file = file(&bench);
    let (mut first, mut second, mut sync) = (write(&file), write(&file), fsync(&file));
    bench.start(&mut first);
    bench.start(&mut second);
    drop((first, second));
    bench.start(&mut sync);
    assert_eq!(bench.opcodes(), [WRITE, WRITE, CANCEL, CANCEL]);
    bench.advance(&mut sync, 0, 4);
    assert_eq!(bench.opcodes().len(), 4, "a write is in the kernel still");
    bench.advance(&mut sync, 1, -ECANCELED);
    assert_eq!(bench.opcodes()[4..], [FSYNC]);
    bench.ring.complete(4, 0, false);
    bench.end(&mut sync).unwrap();
}

/// The dropped write would overwrite what the second writes, and change what the read has found.
#[test]
fn a_read_and_a_write_are_submitted_after_the_dropped_write_has_completed() {
    let bench = Bench::new();
    let file = file(&bench);
    let mut first = write(&file);
    bench.start(&mut first);
    drop(first);
    let mut second = write(&file);
    let mut read = Op::new(&bench.driver, ReadAt::new(&file, vec![0; 8], 0));
    bench.start(&mut second);
    bench.start(&mut read);
    assert_eq!(bench.opcodes(), [WRITE, CANCEL]);
    bench.advance(&mut second, 0, 4);
    bench.start(&mut read);
    assert_eq!(bench.opcodes()[2..], [WRITE, READ]);
}

#[test]
fn a_write_of_all_goes_on_behind_what_has_been_written_until_the_file_takes_no_more() {
    let bench = Bench::new();
    let file = file(&bench);
    let mut write = Op::new(file.driver(), WriteAt::all(&file, "text", 10));
    bench.start(&mut write);
    bench.advance(&mut write, 0, 3);
    bench.advance(&mut write, 1, -EINTR);
    assert_eq!((bench.taken(2).offset(), bench.taken(2).length()), (13, 1));
    bench.ring.complete(2, 0, false);
    let (result, buffer) = split(bench.end(&mut write));
    assert_eq!((result.unwrap_err().kind(), buffer), (ErrorKind::WriteZero, "text"));
}

#[test]
fn an_exact_read_goes_on_behind_what_has_been_read_until_the_file_ends() {
    let bench = Bench::new();
    let file = file(&bench);
    let mut read = Op::new(file.driver(), ReadAt::exact(&file, Vec::with_capacity(8), 10));
    bench.start(&mut read);
    bench.ring.receive(0, b"abc");
    bench.turn();
    bench.start(&mut read);
    assert_eq!((bench.taken(1).offset(), bench.taken(1).length()), (13, 5));
    bench.ring.receive(1, b"de");
    bench.turn();
    bench.start(&mut read);
    bench.ring.complete(2, 0, false);
    let (result, buffer) = split(bench.end(&mut read));
    assert_eq!((result.unwrap_err().kind(), &*buffer), (ErrorKind::UnexpectedEof, &b"abcde"[..]));
}

#[test]
fn an_open_that_finds_no_reader_of_a_fifo_waits_for_one_on_a_worker() {
    let bench = Bench::new();
    let mut open = open(&bench);
    bench.start(&mut open);
    assert!(!bench.taken(0).has(SubmissionFlags::ASYNC));
    bench.advance(&mut open, 0, -ENXIO);
    assert!(bench.taken(1).has(SubmissionFlags::ASYNC));
    bench.ring.complete(1, -ENXIO, false);
    assert_eq!(errno(bench.end(&mut open)), Some(ENXIO), "the file is another");
}

/// Tasks share a file: the one that begins to wait last must not take the place of the others.
#[test]
fn every_fsync_that_waits_for_a_dropped_write_is_woken() {
    let bench = Bench::new();
    let file = file(&bench);
    let mut write = write(&file);
    bench.start(&mut write);
    drop(write);
    let tasks: [Arc<WakeCount>; 3] = Default::default();
    let mut syncs = tasks.each_ref().map(|_| fsync(&file));
    for _ in 0..2 {
        for (sync, task) in syncs.iter_mut().zip(&tasks) {
            let waker = Waker::from(Arc::clone(task));
            assert!(Pin::new(sync).poll(&mut Context::from_waker(&waker)).is_pending());
        }
    }
    bench.turn();
    bench.complete(0, 4);
    assert_eq!(tasks.map(|task| task.count()), [1; 3]);
}

/// The kernel does not find it while the device is at work. Each further cancel would end the
/// loop's wait, again and again until the device is done.
#[test]
fn a_cancel_that_does_not_find_a_transfer_of_a_file_is_not_repeated() {
    let bench = Bench::new();
    let file = file(&bench);
    let mut read = Op::new(&bench.driver, ReadAt::new(&file, vec![0; 8], 0));
    let mut write = write(&file);
    bench.start(&mut read);
    bench.start(&mut write);
    drop((read, write));
    bench.turn();
    assert_eq!(bench.opcodes(), [READ, WRITE, CANCEL, CANCEL]);
    bench.ring.complete(2, -ENOENT, false);
    bench.complete(3, -ENOENT);
    bench.turn();
    assert_eq!(bench.opcodes().len(), 4);
    assert_eq!(Rc::strong_count(&file), 4, "the kernel may still use it: two, and a drain");
    bench.ring.complete(0, 8, false);
    bench.complete(1, 4);
    assert_eq!(Rc::strong_count(&file), 1);
}

#[test]
fn an_fsync_repeats_an_interrupted_step_and_reports_an_error_once() {
    let bench = Bench::new();
    let mut sync = fsync(&file(&bench));
    bench.start(&mut sync);
    bench.advance(&mut sync, 0, -EINTR);
    bench.ring.complete(1, -ENOMEM, false);
    assert_eq!(errno(bench.end(&mut sync)), Some(ENOMEM));
    assert_eq!(bench.opcodes(), [FSYNC, FSYNC]);
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no sockets that answer at once")]
fn a_file_that_was_opened_for_a_dropped_future_is_closed() {
    let bench = Bench::new();
    for is_completed in [true, false] {
        let (near, mut far) = UnixStream::pair().unwrap();
        far.set_nonblocking(true).unwrap();
        let fd = near.into_raw_fd();
        let mut open = open(&bench);
        bench.start(&mut open);
        let nth = bench.opcodes().iter().rposition(|&opcode| opcode == OPEN).unwrap();
        if is_completed {
            bench.complete(nth, fd);
            drop(open);
        } else {
            drop(open);
            bench.turn();
            let kind = far.read(&mut [0]).unwrap_err().kind();
            assert_eq!(kind, ErrorKind::WouldBlock, "it has not been opened yet");
            bench.complete(nth, fd);
        }
        assert_eq!(far.read(&mut [0]).unwrap(), 0, "it is closed");
    }
}

#[test]
fn a_read_names_its_offset_and_a_short_one_fills_a_part_of_the_buffer() {
    let bench = Bench::new();
    let file = file(&bench);
    let mut read = Op::new(&bench.driver, ReadAt::new(&file, Vec::with_capacity(8), 1 << 40));
    bench.start(&mut read);
    assert_eq!((bench.opcodes(), bench.taken(0).offset()), (vec![READ], 1 << 40));
    bench.ring.receive(0, b"short");
    let (result, buffer) = split(bench.end(&mut read));
    assert_eq!((result.unwrap(), &*buffer), (5, &b"short"[..]));
}

#[test]
fn a_file_dropped_under_an_operation_is_closed_after_its_completion() {
    let bench = Bench::new();
    let file = file(&bench);
    let mut write = write(&file);
    bench.start(&mut write);
    let closes = bench.driver.close_watch().closes();
    drop((file, write));
    bench.turn();
    assert_eq!(bench.driver.close_watch().closes(), closes, "the kernel may still use it");
    bench.complete(0, 4);
    assert_eq!(bench.driver.close_watch().closes(), closes + 1);
}

/// What is submitted, turn by turn, by tasks that each read again as soon as they have read.
fn batches_of_reads(flags: i32) -> Vec<usize> {
    const READS: usize = 8;
    let bench = Bench::new();
    let file = file(&bench);
    file.note_flags(flags);
    let reads = || (0..READS).map(|_| Op::new(&bench.driver, ReadAt::new(&file, vec![0; 8], 0)));
    let mut first: Vec<_> = reads().collect();
    first.iter_mut().for_each(|read| assert!(bench.poll(read).is_pending()));
    bench.turn();
    (0..READS).for_each(|nth| bench.ring.complete(nth, 8, false));
    bench.turn();
    let mut second: Vec<_> = reads().collect();
    for (first, second) in first.iter_mut().zip(&mut second) {
        assert!(bench.poll(first).is_ready() && bench.poll(second).is_pending());
    }
    bench.turn();
    bench.ring.script().batches.clone()
}

#[test]
fn direct_reads_that_follow_many_completions_are_submitted_before_the_turn_is_over() {
    assert_eq!(batches_of_reads(O_DIRECT), [8, 2, 6]);
    assert_eq!(batches_of_reads(0), [8, 8]);
}
