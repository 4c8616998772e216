//! A bounded queue between two threads: one puts items in, the other takes them out. Neither ever
//! waits for the other.
//!
//! Both sides work in batches, so that the cache lines they share move once a batch and not once an
//! item. The producer writes items and shows them all by one store ([`Producer::publish`]). The
//! consumer takes what it has seen and returns the room by one store ([`Consumer::free`]). Each
//! side keeps its own index to itself, and remembers the other's from when it last looked.
//!
//! Indices count items since the beginning and wrap round with the integer; a slot is an index
//! modulo the capacity, which is a power of two. In this order, never more than the capacity apart:
//!
//! ```text
//!   freed (consumer stores)  ≤  taken  ≤  published (producer stores)  ≤  written
//!        room again             empty        full, the consumer's          full, the producer's
//! ```
//!
//! # Why this is sound
//!
//! A slot is accessed by one side at a time. The producer writes to it only where `written` is less
//! than the capacity ahead of the `freed` that it has read: the consumer has taken what was there,
//! and its Release store of `freed`, read by Acquire, comes after that. The consumer reads it only
//! below the `published` that it has read: the producer's Release store, read by Acquire, comes
//! after its write. No slot is read twice, as `taken` only grows and belongs to one consumer.
//!
//! Each side stores its index when it is dropped, and the queue is dropped after both (the `Arc`).
//! So it finds what was written and not taken between `freed` and `published`, and drops it. A side
//! that is forgotten keeps the queue for ever.

use std::mem::MaybeUninit;
use std::ops::Deref;

use super::loom::{Arc, AtomicUsize, Ordering, UnsafeCell};

/// Makes a queue for at least `capacity` items.
pub(crate) fn spsc<T>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    let slots = (0..capacity.next_power_of_two()).map(|_| UnsafeCell::new(MaybeUninit::uninit()));
    let ring = Arc::new(Ring {
        published: Padded(AtomicUsize::new(0)),
        freed: Padded(AtomicUsize::new(0)),
        slots: slots.collect(),
    });
    let producer = Producer { ring: Arc::clone(&ring), written: 0, published: 0, freed: 0 };
    (producer, Consumer { ring, taken: 0, published: 0, freed: 0 })
}

struct Ring<T> {
    published: Padded<AtomicUsize>,
    freed: Padded<AtomicUsize>,
    slots: Box<[UnsafeCell<MaybeUninit<T>>]>,
}

/// Alone on its cache lines: two of them, as processors fetch the neighbour with a line.
#[repr(align(128))]
struct Padded<T>(T);

impl<T> Deref for Padded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

// SAFETY: the two sides never access a slot at the same time (the head of this file), so shared
// access moves items from one thread to the other and does nothing else with them.
unsafe impl<T: Send> Sync for Ring<T> {}

impl<T> Ring<T> {
    fn slot(&self, index: usize) -> &UnsafeCell<MaybeUninit<T>> {
        &self.slots[index & (self.slots.len() - 1)]
    }

    /// Takes the item out of a slot.
    ///
    /// # Safety
    ///
    /// The slot is full, the caller alone accesses it, and nothing reads the item again.
    unsafe fn read(&self, index: usize) -> T {
        // SAFETY: by this function's contract.
        self.slot(index).with(|slot| unsafe { (*slot).assume_init_read() })
    }
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        let (mut index, end) =
            (self.freed.load(Ordering::Relaxed), self.published.load(Ordering::Relaxed));
        while index != end {
            // SAFETY: both sides are gone and have stored their indices, so the slot is full; the
            // `Arc` makes their last accesses visible. Should a drop panic, the rest is leaked.
            drop(unsafe { self.read(index) });
            index = index.wrapping_add(1);
        }
    }
}

/// The side that puts items in.
pub(crate) struct Producer<T> {
    ring: Arc<Ring<T>>,
    written: usize,
    published: usize,
    /// As last read.
    freed: usize,
}

impl<T> Producer<T> {
    /// Puts an item in, which the consumer sees after the next [`publish`](Self::publish). Returns
    /// it if there is no room.
    #[inline]
    pub(crate) fn push(&mut self, item: T) -> Result<(), T> {
        if !self.has_room() {
            self.freed = self.ring.freed.load(Ordering::Acquire);
            if !self.has_room() {
                return Err(item);
            }
        }
        self.ring.slot(self.written).with_mut(|slot| {
            // SAFETY: the consumer has freed the slot, or it was never full; until `publish` it is
            // this side's.
            unsafe { (*slot).write(item) };
        });
        self.written = self.written.wrapping_add(1);
        Ok(())
    }

    fn has_room(&self) -> bool {
        self.written.wrapping_sub(self.freed) < self.ring.slots.len()
    }

    /// Shows the consumer all that was put in. Returns whether there was anything new.
    #[inline]
    pub(crate) fn publish(&mut self) -> bool {
        let is_new = self.published != self.written;
        if is_new {
            self.published = self.written;
            self.ring.published.store(self.written, Ordering::Release);
        }
        is_new
    }
}

impl<T> Drop for Producer<T> {
    fn drop(&mut self) {
        self.publish();
    }
}

/// The side that takes items out.
pub(crate) struct Consumer<T> {
    ring: Arc<Ring<T>>,
    taken: usize,
    freed: usize,
    /// As last read.
    published: usize,
}

impl<T> Consumer<T> {
    /// Takes the oldest item. Its room is the producer's after the next [`free`](Self::free).
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        // SAFETY: the slot was published and not taken. The index grows, so it is not read again.
        let item = unsafe { self.ring.read(self.taken) };
        self.taken = self.taken.wrapping_add(1);
        Some(item)
    }

    /// Whether nothing is there to be taken.
    #[inline]
    pub(crate) fn is_empty(&mut self) -> bool {
        if self.taken == self.published {
            self.published = self.ring.published.load(Ordering::Acquire);
        }
        self.taken == self.published
    }

    /// Returns the room of all that was taken.
    #[inline]
    pub(crate) fn free(&mut self) {
        if self.freed != self.taken {
            self.freed = self.taken;
            self.ring.freed.store(self.taken, Ordering::Release);
        }
    }
}

impl<T> Drop for Consumer<T> {
    fn drop(&mut self) {
        self.free();
    }
}

#[cfg(all(test, not(annulus_loom)))]
mod tests {
    use std::rc::Rc;
    use std::thread;

    use super::*;

    #[test]
    fn items_are_taken_in_order_once_they_are_published() {
        let (mut producer, mut consumer) = spsc(3);
        assert!(!producer.publish());
        producer.push(1).unwrap();
        producer.push(2).unwrap();
        assert_eq!(consumer.pop(), None);
        assert!(producer.publish() && !producer.publish());
        assert_eq!([consumer.pop(), consumer.pop(), consumer.pop()], [Some(1), Some(2), None]);
    }

    #[test]
    fn a_full_queue_returns_the_item_until_room_is_freed() {
        let (mut producer, mut consumer) = spsc(3);
        // Rounded up to four.
        assert!((0..4).all(|item| producer.push(item).is_ok()));
        producer.publish();
        assert_eq!(producer.push(4), Err(4));
        assert_eq!(consumer.pop(), Some(0));
        assert_eq!(producer.push(4), Err(4), "taken, but not freed");
        consumer.free();
        assert_eq!((producer.push(4), producer.push(5)), (Ok(()), Err(5)));
    }

    #[test]
    fn indices_wrap_round() {
        let (mut producer, mut consumer) = spsc(2);
        let almost = usize::MAX - 2;
        (producer.written, producer.published, producer.freed) = (almost, almost, almost);
        (consumer.taken, consumer.published, consumer.freed) = (almost, almost, almost);
        producer.ring.published.store(almost, Ordering::Relaxed);
        producer.ring.freed.store(almost, Ordering::Relaxed);
        for item in 0..8 {
            producer.push(item).unwrap();
            producer.publish();
            assert_eq!(consumer.pop(), Some(item));
            consumer.free();
        }
    }

    /// Each item is in one of four states: taken, freed, published, only written.
    #[test]
    fn what_is_left_is_dropped_once_with_the_later_side() {
        let item = Rc::new(());
        for producer_first in [true, false] {
            let (mut producer, mut consumer) = spsc(8);
            (0..4).for_each(|_| producer.push(Rc::clone(&item)).unwrap());
            producer.publish();
            (0..2).for_each(|_| producer.push(Rc::clone(&item)).unwrap());
            drop(consumer.pop());
            consumer.free();
            drop(consumer.pop());
            assert_eq!(Rc::strong_count(&item), 5);
            if producer_first {
                drop(producer);
                drop(consumer);
            } else {
                drop(consumer);
                drop(producer);
            }
            assert_eq!(Rc::strong_count(&item), 1);
        }
    }

    #[test]
    fn two_threads_pass_every_item_in_order() {
        let count = if cfg!(miri) { 200 } else { 20_000_u64 };
        let (mut producer, mut consumer) = spsc(16);
        let putting = thread::spawn(move || {
            for number in 0..count {
                // In memory of its own, so that Miri and the sanitizers see what the item owns.
                let mut item = Box::new(number);
                while let Err(back) = producer.push(item) {
                    producer.publish();
                    thread::yield_now();
                    item = back;
                }
                if number % 5 == 0 {
                    producer.publish();
                }
            }
        });
        for number in 0..count {
            let item = loop {
                match consumer.pop() {
                    Some(item) => break item,
                    None => thread::yield_now(),
                }
            };
            assert_eq!(*item, number);
            if number % 3 == 0 {
                consumer.free();
            }
        }
        putting.join().unwrap();
        assert!(consumer.pop().is_none());
    }
}

#[cfg(all(test, annulus_loom))]
mod loom_tests {
    use loom::thread;

    use super::*;

    /// The consumer sees each item as it was written, and the producer writes to no slot before it
    /// has been read: loom checks every access to a slot against that. Loom also finds an item that
    /// is never dropped.
    #[test]
    fn two_sides_never_access_a_slot_at_the_same_time() {
        loom::model(|| {
            let (mut producer, mut consumer) = spsc(2);
            let putting = thread::spawn(move || {
                for number in 0..3 {
                    let mut item = Arc::new(number);
                    while let Err(back) = producer.push(item) {
                        producer.publish();
                        thread::yield_now();
                        item = back;
                    }
                }
                producer.publish();
            });
            for number in 0..3 {
                let item = loop {
                    match consumer.pop() {
                        Some(item) => break item,
                        None => {
                            consumer.free();
                            thread::yield_now();
                        }
                    }
                };
                assert_eq!(*item, number);
            }
            putting.join().unwrap();
        });
    }

    /// Whichever side is dropped later drops what is left, once.
    #[test]
    fn what_is_left_is_dropped_by_the_later_side() {
        loom::model(|| {
            let (mut producer, mut consumer) = spsc(2);
            let item = Arc::new(());
            let (first, second) = (Arc::clone(&item), Arc::clone(&item));
            let putting = thread::spawn(move || {
                producer.push(first).unwrap();
                producer.publish();
                producer.push(second).unwrap();
            });
            drop(consumer.pop());
            drop(consumer);
            putting.join().unwrap();
            assert!(Arc::try_unwrap(item).is_ok());
        });
    }
}
