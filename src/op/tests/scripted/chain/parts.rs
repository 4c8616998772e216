//! Chains that are submitted, or taken by the kernel, in parts.

use super::*;
use crate::buf::IoBuf;
use crate::sys::errno::EBUSY;

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
