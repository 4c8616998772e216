//! What severs a chain, and what its links report then.

use super::*;
use crate::op::ReadAt;
use crate::sys::errno::{ECANCELED, EINTR, EPERM};

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

/// The kernel would begin it even if the synchronisation failed.
#[test]
fn what_follows_a_synchronisation_is_submitted_when_that_has_succeeded() {
    let bench = Bench::new();
    let file = file(&bench);
    let links = (write(&file, b"one", 0), sync(&file), write(&file, b"two", 3), sync(&file));
    let mut chain = chain(&file, links, AfterShort::Ends);
    bench.start(&mut chain);
    assert_eq!(bench.opcodes(), [WRITE, FSYNC]);
    assert!(!bench.taken(1).has(SubmissionFlags::IO_LINK));
    bench.complete(0, 3);
    bench.advance(&mut chain, 1, 0);
    assert_eq!(bench.opcodes(), [WRITE, FSYNC, WRITE, FSYNC]);
    assert_eq!(bench.ring.script().batches, [2, 2]);
    bench.complete(2, 3);
    bench.complete(3, 0);
    let (first, synced, second, last) = bench.end(&mut chain);
    assert_eq!((split(first).0.unwrap(), split(second).0.unwrap()), (3, 3));
    synced.and(last).unwrap();
}

#[test]
fn what_follows_a_synchronisation_that_fails_is_never_submitted() {
    let bench = Bench::new();
    let file = file(&bench);
    let links = (sync(&file), write(&file, b"one", 0), sync(&file));
    let mut chain = chain(&file, links, AfterShort::Ends);
    bench.start(&mut chain);
    bench.complete(0, -EPERM);
    let (failed, written, synced) = bench.end(&mut chain);
    assert_eq!(errno(failed), Some(EPERM));
    let (written, buffer) = split(written);
    assert_eq!((not_run(written), buffer), (Some((0, Reason::Failed)), b"one".to_vec()));
    assert_eq!(not_run(synced), Some((0, Reason::Failed)));
    bench.turn();
    assert_eq!(bench.opcodes(), [FSYNC]);
}
