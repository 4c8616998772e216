//! Synchronisations of one file that share a call.

use super::file::{FSYNC, WRITE, file};
use super::*;
use crate::op::chain::Linked;
use crate::op::{FileFd, SharedSync, WriteAt, WriteLink, WriteThenSync};
use crate::sys::SubmissionFlags;
use crate::sys::errno::{ECANCELED, EINTR, ENOMEM};

/// How many calls are in flight at a time.
const MOST: usize = 8;

/// The flags of an fsync of data, and of one of all.
const DATA: u32 = 1;
const ALL: u32 = 0;

fn syncs<const COUNT: usize>(file: &Rc<FileFd>) -> [SharedSync; COUNT] {
    [(); COUNT].map(|()| SharedSync::data(file))
}

fn write_and_sync(file: &Rc<FileFd>) -> WriteThenSync<WriteLink<&'static str>> {
    let write = WriteLink::new(Linked::new(WriteAt::new(file, "text", 0)));
    WriteThenSync::new(write, SharedSync::data(file))
}

/// As many synchronisations as may be in flight.
fn full(bench: &Bench, file: &Rc<FileFd>) -> [SharedSync; MOST] {
    let mut syncs = syncs(file);
    syncs.iter_mut().for_each(|sync| bench.start(sync));
    assert_eq!(bench.opcodes(), [FSYNC; MOST]);
    syncs
}

#[test]
fn syncs_that_come_while_too_many_are_in_flight_share_the_next_call_and_not_those() {
    let bench = Bench::new();
    let file = file(&bench);
    let mut first = full(&bench, &file);
    let [mut second, mut third, mut last] = syncs(&file);
    bench.start(&mut second);
    bench.start(&mut third);
    assert_eq!(bench.opcodes().len(), MOST);
    bench.complete(0, 0);
    bench.turn();
    assert_eq!(bench.opcodes().len(), MOST + 1, "submitted at once, whatever is polled");
    bench.start(&mut last);
    (1..MOST).for_each(|nth| bench.complete(nth, 0));
    assert!(bench.poll(&mut third).is_pending(), "they may have begun before its data was there");
    first.iter_mut().for_each(|sync| bench.end(sync).unwrap());
    assert_eq!(bench.opcodes().len(), MOST + 2, "one for the last");
    bench.complete(MOST, 0);
    bench.end(&mut second).unwrap();
    bench.end(&mut third).unwrap();
    assert!(bench.poll(&mut last).is_pending());
    bench.complete(MOST + 1, 0);
    bench.end(&mut last).unwrap();
    assert_eq!(bench.opcodes(), [FSYNC; MOST + 2]);
    assert_eq!(bench.taken(MOST).op_flags(), DATA);
}

#[test]
fn all_that_wait_for_a_sync_are_woken_when_it_is_over_once_each() {
    let bench = Bench::new();
    let file = file(&bench);
    let _first = full(&bench, &file);
    let tasks: [Arc<WakeCount>; 3] = Default::default();
    let mut others = syncs::<3>(&file);
    // Polled twice, and the second time on behalf of another task.
    for shift in 0..2 {
        for (at, sync) in others.iter_mut().enumerate() {
            let waker = Waker::from(Arc::clone(&tasks[(at + shift) % 3]));
            assert!(Pin::new(sync).poll(&mut Context::from_waker(&waker)).is_pending());
        }
    }
    bench.complete(0, 0);
    bench.turn();
    assert_eq!((bench.woken(), tasks.each_ref().map(|task| task.count())), (1, [0; 3]));
    bench.complete(MOST, 0);
    assert_eq!((bench.woken(), tasks.each_ref().map(|task| task.count())), (1, [0; 3]));
    (1..MOST).for_each(|nth| bench.complete(nth, 0));
    assert_eq!((bench.woken(), tasks.map(|task| task.count())), (MOST, [1; 3]));
}

#[test]
fn a_sync_that_fails_has_failed_for_all_that_waited_meanwhile_and_for_no_later_one() {
    let bench = Bench::new();
    let file = file(&bench);
    let mut first = full(&bench, &file);
    let [mut second, mut third, mut fourth, mut later] = syncs(&file);
    bench.start(&mut second);
    bench.start(&mut third);
    (0..MOST).for_each(|nth| bench.complete(nth, 0));
    bench.turn();
    bench.start(&mut fourth);
    bench.complete(MOST, -ENOMEM);
    bench.start(&mut later);
    assert_eq!(errno(bench.end(&mut second)), Some(ENOMEM));
    bench.complete(MOST + 1, 0);
    bench.complete(MOST + 2, 0);
    bench.end(&mut later).unwrap();
    assert_eq!(errno(bench.end(&mut third)), Some(ENOMEM), "also if it is polled later");
    assert_eq!(errno(bench.end(&mut fourth)), Some(ENOMEM), "its data may have been meant");
    // Its own call has succeeded, but it is polled when another has failed: the safe side.
    assert_eq!(errno(bench.end(&mut first[0])), Some(ENOMEM));
}

/// The kernel reports the loss of data to one of the calls in flight, and not to the others.
#[test]
fn a_sync_reports_no_success_while_one_that_may_fail_for_its_data_is_in_flight() {
    let bench = Bench::new();
    let file = file(&bench);
    let [mut first, mut second] = syncs(&file);
    bench.start(&mut first);
    bench.start(&mut second);
    bench.complete(1, 0);
    assert!(bench.poll(&mut second).is_pending());
    bench.complete(0, -ENOMEM);
    assert_eq!(errno(bench.end(&mut second)), Some(ENOMEM));
    assert_eq!(errno(bench.end(&mut first)), Some(ENOMEM));
}

#[test]
fn a_sync_of_all_has_the_next_call_include_the_metadata() {
    let bench = Bench::new();
    let file = file(&bench);
    let _first = full(&bench, &file);
    let ([mut second, mut last], mut all) = (syncs(&file), SharedSync::all(&file));
    bench.start(&mut second);
    bench.start(&mut all);
    (0..MOST).for_each(|nth| bench.complete(nth, 0));
    bench.turn();
    bench.start(&mut last);
    let flags = [0, MOST, MOST + 1].map(|nth| bench.taken(nth).op_flags());
    assert_eq!(flags, [DATA, ALL, DATA]);
}

#[test]
fn a_call_that_was_interrupted_or_cancelled_serves_no_one_and_the_next_is_as_complete() {
    for interruption in [EINTR, ECANCELED] {
        let bench = Bench::new();
        let file = file(&bench);
        let _first = full(&bench, &file);
        let (mut all, [mut other]) = (SharedSync::all(&file), syncs(&file));
        bench.start(&mut all);
        bench.start(&mut other);
        (0..MOST).for_each(|nth| bench.complete(nth, 0));
        bench.complete(MOST, -interruption);
        bench.turn();
        assert_eq!(bench.opcodes().len(), MOST + 2);
        assert_eq!(bench.taken(MOST + 1).op_flags(), ALL);
        assert!(bench.poll(&mut all).is_pending() && bench.poll(&mut other).is_pending());
        bench.complete(MOST + 1, 0);
        bench.end(&mut all).unwrap();
        bench.end(&mut other).unwrap();
    }
}

#[test]
fn a_sync_that_is_dropped_or_not_polled_any_more_holds_up_no_other() {
    let bench = Bench::new();
    let file = file(&bench);
    let first = full(&bench, &file);
    let [mut second, mut third, mut fourth] = syncs(&file);
    for waiting in [&mut second, &mut third, &mut fourth] {
        bench.start(waiting);
    }
    drop((first, third));
    bench.turn();
    assert_eq!(bench.opcodes(), [FSYNC; MOST], "none is cancelled: others may wait for it");
    (0..MOST).for_each(|nth| bench.complete(nth, 0));
    bench.turn();
    bench.complete(MOST, 0);
    bench.end(&mut fourth).unwrap();
    // Without a task that waits there is no call.
    assert_eq!(bench.opcodes().len(), MOST + 1);
    let mut again = syncs::<MOST>(&file);
    again.iter_mut().for_each(|sync| bench.start(sync));
    let [mut gone] = syncs(&file);
    bench.start(&mut gone);
    drop(gone);
    (MOST + 1..2 * MOST + 1).for_each(|nth| bench.complete(nth, 0));
    bench.turn();
    assert_eq!(bench.opcodes().len(), 2 * MOST + 1);
    drop((second, fourth, again));
    assert_eq!(Rc::strong_count(&file), 1);
}

#[test]
fn a_file_that_is_dropped_is_kept_until_its_sync_is_over() {
    let bench = Bench::new();
    let file = file(&bench);
    let [mut sync] = syncs(&file);
    bench.start(&mut sync);
    let closes = bench.driver.close_watch().closes();
    drop((file, sync));
    bench.turn();
    assert_eq!(bench.driver.close_watch().closes(), closes);
    bench.complete(0, 0);
    assert_eq!(bench.driver.close_watch().closes(), closes + 1);
}

#[test]
fn a_write_is_linked_to_its_sync_while_few_others_are_in_flight_and_no_task_waits() {
    let bench = Bench::new();
    let file = file(&bench);
    let mut linked: [_; MOST] = std::array::from_fn(|_| write_and_sync(&file));
    linked.iter_mut().for_each(|write| bench.start(write));
    assert_eq!(bench.opcodes(), [WRITE, FSYNC].repeat(MOST));
    assert!(bench.taken(2 * MOST - 2).has(SubmissionFlags::IO_LINK));
    let (mut alone, [mut sync]) = (write_and_sync(&file), syncs(&file));
    bench.start(&mut alone);
    assert_eq!(bench.opcodes()[2 * MOST..], [WRITE]);
    assert!(!bench.taken(2 * MOST).has(SubmissionFlags::IO_LINK));
    // The linked ones belong to futures that may not be polled any more.
    bench.advance(&mut alone, 2 * MOST, 4);
    bench.start(&mut sync);
    assert_eq!(bench.opcodes()[2 * MOST + 1..], [FSYNC], "one is in flight, and the other waits");
    for (at, write) in linked.iter_mut().take(2).enumerate() {
        bench.complete(2 * at, 4);
        bench.complete(2 * at + 1, 0);
        assert_eq!(split(bench.end(write)).0.unwrap(), 4);
    }
    bench.turn();
    assert_eq!(bench.opcodes()[2 * MOST + 2..], [FSYNC], "there is room for one more");
    let mut another = write_and_sync(&file);
    bench.start(&mut another);
    assert!(!bench.taken(2 * MOST + 3).has(SubmissionFlags::IO_LINK), "tasks wait");
    bench.ring.complete(2 * MOST + 1, 0, false);
    bench.complete(2 * MOST + 2, 0);
    assert_eq!(split(bench.end(&mut alone)).0.unwrap(), 4);
    bench.end(&mut sync).unwrap();
    bench.start(&mut write_and_sync(&file));
    assert!(bench.taken(2 * MOST + 4).has(SubmissionFlags::IO_LINK));
}

/// This is what an acknowledgement rests on.
#[test]
fn a_write_is_acknowledged_by_no_sync_that_began_before_it_had_completed() {
    let bench = Bench::new();
    let file = file(&bench);
    let _first = full(&bench, &file);
    let ([mut other], mut write) = (syncs(&file), write_and_sync(&file));
    bench.start(&mut other);
    bench.start(&mut write);
    assert_eq!(bench.opcodes()[MOST..], [WRITE]);
    (0..MOST).for_each(|nth| bench.complete(nth, 0));
    bench.turn();
    assert_eq!(bench.opcodes()[MOST + 1..], [FSYNC]);
    bench.advance(&mut write, MOST, 4);
    assert_eq!(bench.opcodes()[MOST + 2..], [FSYNC], "a call of its own, as there is room");
    bench.complete(MOST + 1, 0);
    bench.end(&mut other).unwrap();
    assert!(bench.poll(&mut write).is_pending());
    bench.complete(MOST + 2, 0);
    assert_eq!(split(bench.end(&mut write)).0.unwrap(), 4);
}

#[test]
fn a_write_that_fails_alone_is_not_synchronised() {
    let bench = Bench::new();
    let file = file(&bench);
    let _first = full(&bench, &file);
    let mut write = write_and_sync(&file);
    bench.start(&mut write);
    bench.complete(MOST, -ENOMEM);
    let (written, buffer) = split(bench.end(&mut write));
    assert_eq!((errno(written), buffer), (Some(ENOMEM), "text"));
    (0..MOST).for_each(|nth| bench.complete(nth, 0));
    bench.turn();
    assert_eq!(bench.opcodes().len(), MOST + 1);
}

#[test]
fn a_sync_waits_for_dropped_writes_before_it_waits_for_a_call() {
    let bench = Bench::new();
    let file = file(&bench);
    let (mut write, [mut sync]) = (write_and_sync(&file), syncs(&file));
    let _first = full(&bench, &file);
    bench.start(&mut write);
    drop(write);
    bench.start(&mut sync);
    (0..MOST).for_each(|nth| bench.complete(nth, 0));
    bench.turn();
    assert_eq!(bench.opcodes()[MOST..], [WRITE, CANCEL]);
    bench.complete(MOST, 4);
    bench.start(&mut sync);
    assert_eq!(bench.opcodes()[MOST + 2..], [FSYNC]);
}
