//! The readers-writer lock: readers together, a writer alone, all in one queue.

use std::mem;
use std::rc::Rc;
use std::task::Poll;

use annulus::sync::{ReadGuard, RwLock, WriteGuard};

use crate::common::manual_executor::{Polled, now, waiting, waker_that};
use crate::common::panics::panic_of;
use crate::common::random::seeded;
use crate::common::rounds::rounds;

#[test]
fn readers_read_together_and_a_writer_writes_alone() {
    let lock = RwLock::new(1);
    let readers = [(); 3].map(|()| now(lock.read()));
    assert!(readers.iter().all(|reader| **reader == 1) && lock.try_write().is_none());
    assert!(format!("{lock:?}").contains("written: false, readers: 3"));
    drop(readers);
    let mut writer = lock.try_write().unwrap();
    *writer += 1;
    assert!(lock.try_read().is_none() && lock.try_write().is_none());
    assert!(format!("{lock:?}").contains("written: true, readers: 0"));
    drop(writer);
    assert_eq!(*lock.try_read().unwrap(), 2);
    assert_eq!(lock.into_inner(), 2);
}

#[test]
fn a_reader_does_not_pass_a_writer_that_waits() {
    let lock = RwLock::new(0);
    let reader = now(lock.read());
    let mut writer = waiting(lock.write());
    assert!(lock.try_read().is_none());
    let mut readers = [(); 2].map(|()| waiting(lock.read()));
    drop(reader);
    assert!(writer.is_woken() && !readers[0].is_woken());
    *writer.now() += 1;
    assert_eq!(readers.each_mut().map(|reader| *reader.now()), [1, 1]);
}

#[test]
fn readers_go_on_when_the_writer_before_them_is_dropped() {
    let lock = RwLock::new(0);
    let _reader = now(lock.read());
    let writer = waiting(lock.write());
    let mut second = waiting(lock.read());
    drop(writer);
    drop(second.now());
}

#[test]
fn a_writer_that_is_dropped_with_the_lock_passes_it_on() {
    let lock = RwLock::new(0);
    let reader = now(lock.read());
    let writer = waiting(lock.write());
    let mut next = waiting(lock.write());
    drop(reader);
    drop(writer);
    *next.now() += 1;
}

#[test]
fn a_writer_can_go_on_as_a_reader() {
    let lock = RwLock::new(0);
    let writer = now(lock.write());
    let mut reader = waiting(lock.read());
    let next = waiting(lock.write());
    let guard = WriteGuard::downgrade(writer);
    assert_eq!((*guard, *reader.now()), (0, 0));
    assert!(!next.is_woken());
    drop(guard);
    assert!(next.is_woken());
}

#[test]
fn forgotten_guards_and_waits_keep_the_lock_and_the_value_stays() {
    let mut lock = RwLock::from(3);
    mem::forget(now(lock.read()));
    mem::forget(waiting(lock.write()));
    assert!(lock.try_read().is_none());
    assert_eq!(*lock.get_mut(), 3);
    let lock = RwLock::new(4);
    mem::forget(now(lock.write()));
    assert!(lock.try_read().is_none());
    assert_eq!(lock.into_inner(), 4);
}

#[test]
fn a_panic_unlocks() {
    let lock = RwLock::<u32>::default();
    let write = || {
        let _guard = now(lock.write());
        panic!("while it writes");
    };
    assert_eq!(panic_of(write), "while it writes");
    assert_eq!(*now(lock.read()), 0);
}

#[test]
fn wakers_may_use_the_lock_and_panic() {
    let lock = Rc::new(RwLock::new(0));
    let writer = now(lock.write());
    let its = Rc::clone(&lock);
    let waker = waker_that(move || {
        assert!(its.try_read().is_some_and(|value| *value == 0));
        panic!("woken");
    });
    let mut readers = [(); 2].map(|()| Polled::new(lock.read()));
    for reader in &mut readers {
        assert!(reader.poll_with(&waker).is_pending());
    }
    drop(writer);
    readers.iter_mut().for_each(|reader| drop(reader.now()));
    assert!(lock.try_write().is_some());
}

enum Guard<'a> {
    Read(#[expect(dead_code, reason = "holds the lock")] ReadGuard<'a, u32>),
    Write(#[expect(dead_code, reason = "holds the lock")] WriteGuard<'a, u32>),
}

async fn take(lock: &RwLock<u32>, write: bool) -> Guard<'_> {
    if write { Guard::Write(lock.write().await) } else { Guard::Read(lock.read().await) }
}

#[test]
fn random_reads_writes_and_cancels_agree_with_a_plain_queue() {
    let mut random = seeded();
    let lock = RwLock::new(0);
    let mut locking: Vec<(usize, Polled<'_, Guard<'_>>)> = Vec::new();
    let mut held: Vec<(usize, Guard<'_>)> = Vec::new();
    // Who waits, and who has the lock, with whether it is to write.
    let (mut queue, mut owners) = (Vec::<(usize, bool)>::new(), Vec::<(usize, bool)>::new());
    for number in 0..rounds(20_000) {
        match random.u8(..4) {
            0 if locking.len() < 10 => {
                let write = random.u8(..3) == 0;
                queue.push((number, write));
                let mut future = Polled::new(take(&lock, write));
                match future.poll() {
                    Poll::Ready(guard) => held.push((number, guard)),
                    Poll::Pending => locking.push((number, future)),
                }
            }
            1 if !held.is_empty() => {
                let (number, guard) = held.swap_remove(random.usize(..held.len()));
                drop(guard);
                owners.retain(|(owner, _)| *owner != number);
            }
            2 if !locking.is_empty() => {
                let (number, future) = locking.swap_remove(random.usize(..locking.len()));
                drop(future);
                queue.retain(|(waiting, _)| *waiting != number);
                owners.retain(|(owner, _)| *owner != number);
            }
            3 if !locking.is_empty() => {
                let (number, mut future) = locking.swap_remove(random.usize(..locking.len()));
                match future.poll() {
                    Poll::Ready(guard) => held.push((number, guard)),
                    Poll::Pending => locking.push((number, future)),
                }
            }
            _ => {}
        }
        while let Some((_, write)) = queue.first() {
            let free = if *write { owners.is_empty() } else { !owners.iter().any(|owner| owner.1) };
            if !free {
                break;
            }
            owners.push(queue.remove(0));
        }
        let owns = |number| owners.iter().any(|(owner, _)| *owner == number);
        assert!(held.iter().all(|(number, _)| owns(*number)));
        assert!(locking.iter().all(|(number, future)| future.is_woken() == owns(*number)));
        assert_eq!(lock.try_write().is_some(), owners.is_empty());
    }
}
