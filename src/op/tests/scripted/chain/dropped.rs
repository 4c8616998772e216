//! What a dropped chain leaves, and one at the end of the runtime.

use std::time::Duration;

use super::*;
use crate::buf::IoBuf;
use crate::sys::errno::{ECANCELED, ENOENT};

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
    let links = (write(&file, b"one", 0), write(&file, b"two", 3), sync(&file));
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
fn a_chain_that_is_dropped_at_a_synchronisation_never_submits_what_follows_it() {
    let bench = Bench::new();
    let file = file(&bench);
    let mut chain = chain(&file, (sync(&file), write(&file, b"text", 0)), AfterShort::Ends);
    bench.start(&mut chain);
    bench.complete(0, 0);
    drop(chain);
    bench.turn();
    assert_eq!((bench.opcodes(), Rc::strong_count(&file)), (vec![FSYNC], 1));
}
