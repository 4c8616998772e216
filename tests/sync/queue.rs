//! Queues: the order of items and of waiters, closing, and what becomes of items when a future is
//! dropped.

use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::mem;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use annulus::sync::{
    LifoQueue, PriorityQueue, PutError, Queue, QueueClosed, QueuePermit, TryGetError, TryPutError,
};
use futures_util::stream::FusedStream;
use futures_util::{Stream, StreamExt};

use crate::common::conditions::Log;
use crate::common::drops::{Drops, OnDrop};
use crate::common::manual_executor::{Polled, Task, Tasks, now, waiting, waker_that};
use crate::common::panics::panic_of;
use crate::common::random::seeded;
use crate::common::rounds::rounds;
use crate::common::watchdog::run;

// The order of items

#[test]
fn items_come_in_the_order_of_each_queue() {
    let (first_in, smallest, last_in) =
        (Queue::unbounded(), PriorityQueue::unbounded(), LifoQueue::unbounded());
    for item in [1, 3, 2] {
        now(first_in.put(item)).unwrap();
        now(smallest.put(item)).unwrap();
        now(last_in.put(item)).unwrap();
    }
    assert_eq!([(); 3].map(|()| now(first_in.get()).unwrap()), [1, 3, 2]);
    assert_eq!([(); 3].map(|()| now(smallest.get()).unwrap()), [1, 2, 3]);
    assert_eq!([(); 3].map(|()| now(last_in.get()).unwrap()), [2, 3, 1]);
}

/// Compared by its rank alone.
#[derive(Debug)]
struct Ranked(u32, &'static str);

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Ranked {}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        assert!(self.1 != "panic" && other.1 != "panic", "compared");
        self.0.cmp(&other.0)
    }
}

#[test]
fn equal_items_come_in_the_order_in_which_they_were_put() {
    let queue = PriorityQueue::unbounded();
    for (rank, name) in [(1, "a"), (1, "b"), (0, "c"), (1, "d")] {
        now(queue.put(Ranked(rank, name))).unwrap();
    }
    assert_eq!([(); 4].map(|()| queue.try_get().unwrap().1), ["c", "a", "b", "d"]);
}

#[test]
fn a_comparison_that_panics_leaves_the_counts_right() {
    let queue = PriorityQueue::bounded(2);
    queue.try_put(Ranked(1, "a")).unwrap();
    assert_eq!(panic_of(|| queue.try_put(Ranked(0, "panic"))), "compared");
    assert_eq!((queue.len(), queue.is_full()), (2, true));
    let taken = [(); 2].map(|()| queue.try_get().unwrap().1);
    assert!(taken.contains(&"a") && taken.contains(&"panic"));
    assert_eq!(queue.try_get().unwrap_err(), TryGetError::Empty);
    queue.try_put(Ranked(1, "a")).unwrap();
    queue.try_put(Ranked(1, "b")).unwrap();
    assert!(queue.is_full());
}

// Room and content

#[test]
fn a_queue_says_how_full_it_is() {
    let queue = Queue::bounded(2);
    assert!(queue.is_empty() && !queue.is_full() && queue.capacity() == Some(2));
    queue.try_put(1).unwrap();
    queue.try_put(2).unwrap();
    assert!(queue.is_full() && queue.len() == 2);
    assert_eq!(queue.try_put(3), Err(TryPutError::Full(3)));
    assert_eq!(TryPutError::Full(3).into_inner(), 3);
    let unbounded = Queue::<u32>::unbounded();
    assert!(!unbounded.is_full() && unbounded.capacity().is_none());
    assert_eq!(unbounded.try_get(), Err(TryGetError::Empty));
    assert!(panic_of(|| Queue::<u32>::bounded(0)).contains("room"));
}

#[test]
fn a_queue_that_was_closed_is_full_only_of_items() {
    let queue = Queue::bounded(1);
    queue.close();
    now(queue.put(1)).unwrap_err();
    assert!(queue.is_empty() && !queue.is_full());

    let queue = Queue::bounded(1);
    queue.try_put(1).unwrap();
    queue.close();
    assert!(queue.is_full());
    queue.close_now();
    assert!(queue.is_empty() && !queue.is_full());
}

#[test]
fn a_put_waits_for_room_and_a_get_for_an_item() {
    let (queue, put) = (Queue::bounded(2), Log::default());
    let tasks = Tasks::default();
    let putting = tasks.spawn(async {
        for item in 0..3 {
            queue.put(item).await.unwrap();
            put.push(item);
        }
    });
    tasks.settle();
    assert_eq!(put.take(), [0, 1]);
    assert_eq!(now(queue.get()), Ok(0));
    tasks.settle();
    assert_eq!(put.take(), [2]);
    assert!(putting.is_done());
    assert_eq!([(); 2].map(|()| now(queue.get()).unwrap()), [1, 2]);
    let getting = tasks.spawn(queue.get());
    tasks.settle();
    assert!(!getting.is_done());
    queue.try_put(3).unwrap();
    tasks.settle();
    assert_eq!(getting.output(), Ok(3));
}

#[test]
fn producer_and_consumer_make_progress_through_room_for_one() {
    let (queue, got) = (Queue::bounded(1), Log::default());
    let tasks = Tasks::default();
    let producer = tasks.spawn(async {
        for item in 0..500 {
            queue.put(item).await.unwrap();
        }
    });
    let consumer = tasks.spawn(async {
        for _ in 0..500 {
            got.push(queue.get().await.unwrap());
        }
    });
    tasks.settle();
    assert!(producer.is_done() && consumer.is_done());
    assert_eq!(got.take(), (0..500).collect::<Vec<_>>());
}

// Turns

#[test]
fn a_put_in_the_same_poll_does_not_pass_a_waiter_for_room() {
    let queue = Queue::bounded(1);
    queue.try_put(1).unwrap();
    let mut first = waiting(queue.put(2));
    assert_eq!(now(queue.get()), Ok(1));
    assert!(first.is_woken() && queue.is_empty() && queue.is_full());
    assert_eq!(queue.try_put(3), Err(TryPutError::Full(3)));
    let mut second = waiting(queue.put(3));
    first.now().unwrap();
    assert_eq!(now(queue.get()), Ok(2));
    second.now().unwrap();
    assert_eq!(now(queue.get()), Ok(3));
}

#[test]
fn a_get_in_the_same_poll_does_not_pass_a_waiter_for_an_item() {
    let queue = Queue::unbounded();
    let mut first = waiting(queue.get());
    queue.try_put(1).unwrap();
    assert!(first.is_woken() && queue.len() == 1);
    assert_eq!(queue.try_get(), Err(TryGetError::Empty));
    let mut second = waiting(queue.get());
    queue.try_put(2).unwrap();
    assert_eq!((first.now(), second.now()), (Ok(1), Ok(2)));
}

// Cancellation

#[test]
fn a_get_that_is_dropped_while_it_waits_takes_no_item() {
    let queue = Queue::unbounded();
    let first = waiting(queue.get());
    let mut second = waiting(queue.get());
    drop(first);
    queue.try_put("a").unwrap();
    assert_eq!(second.now(), Ok("a"));
}

#[test]
fn a_get_that_is_dropped_with_its_item_gives_it_to_the_next() {
    let queue = Queue::unbounded();
    let [first, second, third] = [(); 3].map(|()| waiting(queue.get()));
    queue.try_put(1).unwrap();
    queue.try_put(2).unwrap();
    assert!(!third.is_woken());
    drop(first);
    assert!(third.is_woken());
    let mut got = [second, third].map(|mut getting| getting.now().unwrap());
    got.sort_unstable();
    assert_eq!(got, [1, 2]);
}

#[test]
fn an_item_that_a_dropped_get_was_promised_is_still_the_first() {
    let queue = Queue::unbounded();
    let getting = waiting(queue.get());
    queue.try_put(1).unwrap();
    queue.try_put(2).unwrap();
    drop(getting);
    assert_eq!(now(queue.get()), Ok(1));
}

#[test]
fn a_put_that_is_dropped_has_put_nothing() {
    for with_room in [true, false] {
        let (queue, drops) = (Queue::bounded(1), Drops::default());
        queue.try_put(None).unwrap();
        let putting = waiting(queue.put(Some(drops.guard())));
        if with_room {
            queue.try_get().unwrap();
            drop(putting);
            assert!(queue.is_empty() && !queue.is_full());
        } else {
            drop(putting);
            assert_eq!(queue.len(), 1);
        }
        assert_eq!(drops.count(), 1, "the item goes with the future");
        assert!(format!("{queue:?}").contains("putting: 0"));
    }
}

#[test]
fn room_that_a_dropped_put_was_given_goes_to_the_next() {
    let queue = Queue::bounded(1);
    queue.try_put("a").unwrap();
    let b = waiting(queue.put("b"));
    let x = waiting(queue.put("x"));
    let mut c = waiting(queue.put("c"));
    drop(x);
    assert_eq!(queue.try_get(), Ok("a"));
    drop(b);
    c.now().unwrap();
    assert_eq!(queue.try_get(), Ok("c"));
}

#[test]
fn a_forgotten_get_loses_no_item_and_blocks_no_other() {
    let queue = Queue::unbounded();
    mem::forget(waiting(queue.get()));
    let mut second = waiting(queue.get());
    queue.try_put(1).unwrap();
    queue.try_put(2).unwrap();
    assert_eq!(second.now(), Ok(1));
    assert_eq!(queue.len(), 1, "one item stays for the one that was forgotten");
    queue.try_put(3).unwrap();
    assert_eq!(now(queue.get()), Ok(2));
}

// Reserved room

#[test]
fn a_slot_keeps_room_until_it_is_used_or_dropped() {
    let queue = Queue::bounded(1);
    let slot = now(queue.reserve()).unwrap();
    assert!(queue.is_full() && queue.is_empty());
    assert_eq!(queue.try_put(1), Err(TryPutError::Full(1)));
    let mut next = waiting(queue.reserve());
    drop(slot);
    let slot = next.now().unwrap();
    slot.put(2).unwrap();
    assert_eq!((queue.try_get(), queue.is_full()), (Ok(2), false));
}

#[test]
fn a_permit_of_a_queue_that_was_closed_returns_the_item() {
    let queue = Queue::bounded(2);
    let slot: QueuePermit<'_, i32> = now(queue.reserve()).unwrap();
    queue.close();
    assert_eq!(slot.put(1), Err(PutError(1)));
    assert_eq!(now(queue.reserve()).unwrap_err(), QueueClosed);
}

// As a stream

#[test]
fn a_stream_gives_items_until_the_queue_is_closed() {
    let (queue, got) = (Queue::bounded(2), Log::default());
    let tasks = Tasks::default();
    let consumer = tasks.spawn(async {
        let mut items = queue.items();
        while let Some(item) = items.next().await {
            got.push(item);
        }
    });
    let producer = tasks.spawn(async {
        for item in 0..200 {
            queue.put(item).await.unwrap();
        }
        queue.close();
    });
    tasks.settle();
    assert!(producer.is_done() && consumer.is_done());
    assert_eq!(got.take(), (0..200).collect::<Vec<_>>());
}

#[test]
fn a_stream_keeps_its_place_in_the_wait_queue_and_gives_its_item_on_when_it_is_dropped() {
    let queue = Queue::unbounded();
    let mut items = queue.items();
    let mut context = Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut items).poll_next(&mut context).is_pending());
    let mut second = waiting(queue.get());
    queue.try_put(1).unwrap();
    assert!(!second.is_woken());
    drop(items);
    assert_eq!(second.now(), Ok(1));
}

#[test]
fn a_stream_of_items_has_terminated_once_it_has_returned_none() {
    let queue = Queue::unbounded();
    let mut items = queue.items();
    queue.try_put(1).unwrap();
    queue.close();
    assert_eq!((now(items.next()), items.is_terminated()), (Some(1), false));
    assert_eq!((now(items.next()), items.is_terminated()), (None, true));
}

// Work that is done, and closing: the same for each order

macro_rules! for_each_order {
    ($($name:ident($new:ident) $test:block)*) => {
        for_each_order! { fifo Queue $($name($new) $test)* }
        for_each_order! { priority PriorityQueue $($name($new) $test)* }
        for_each_order! { lifo LifoQueue $($name($new) $test)* }
    };
    ($order:ident $queue:ident $($name:ident($new:ident) $test:block)*) => {
        mod $order {
            use super::*;

            $(
                #[test]
                fn $name() {
                    /// A queue of this order.
                    macro_rules! $new {
                        ($call:ident($value:tt)) => { $queue::$call($value) };
                        ($call:ident()) => { $queue::$call() };
                    }
                    $test
                }
            )*
        }
    };
}

for_each_order! {
    one_task_done_too_many_panics(new) {
        let queue = new!(unbounded());
        assert!(panic_of(|| queue.task_done()).contains("more items than were put"));
        queue.try_put(1).unwrap();
        queue.task_done();
        assert!(panic_of(|| queue.task_done()).contains("more items than were put"));
    }

    a_join_waits_until_the_work_on_all_items_is_done(new) {
        let (queue, sum) = (new!(unbounded()), Cell::new(0));
        let tasks = Tasks::default();
        now(queue.join());
        for item in 0..100 {
            queue.try_put(item).unwrap();
        }
        let work = || async {
            while let Ok(item) = queue.get().await {
                sum.set(sum.get() + item);
                queue.task_done();
            }
        };
        let workers = [tasks.spawn(work()), tasks.spawn(work())];
        let joining = tasks.spawn(queue.join());
        let cancelled = tasks.spawn(queue.join());
        tasks.turn();
        cancelled.cancel();
        tasks.settle();
        assert!(joining.is_done() && !workers.iter().any(Task::is_done));
        assert_eq!((sum.get(), queue.unfinished()), ((0..100).sum(), 0));
        queue.close();
        tasks.settle();
        assert!(workers.iter().all(Task::is_done));
    }

    a_join_ends_though_an_item_is_put_before_it_runs(new) {
        let queue = new!(unbounded());
        queue.try_put(1).unwrap();
        let mut joining = waiting(queue.join());
        queue.task_done();
        queue.try_put(2).unwrap();
        joining.now();
    }

    closing_an_empty_queue_fails_all_waits(new) {
        let queue = new!(unbounded());
        let mut getting = waiting(queue.get());
        queue.close();
        assert_eq!(getting.now(), Err(QueueClosed));
        now(queue.join());
        assert_eq!(now(queue.put(1)), Err(PutError(1)));
        assert_eq!(queue.try_put(1), Err(TryPutError::Closed(1)));
        assert_eq!(now(queue.get()), Err(QueueClosed));
        assert_eq!(queue.try_get(), Err(TryGetError::Closed));
        assert!(queue.is_closed());
    }

    closing_leaves_the_items_to_be_taken(new) {
        let queue = new!(bounded(1));
        queue.try_put(1).unwrap();
        let mut joining = waiting(queue.join());
        let mut putting = waiting(queue.put(2));
        queue.close();
        assert_eq!((queue.len(), putting.now()), (1, Err(PutError(2))));
        assert_eq!(now(queue.get()), Ok(1));
        assert!(!joining.is_woken());
        assert_eq!(now(queue.put(3)), Err(PutError(3)));
        assert_eq!(queue.try_put(3), Err(TryPutError::Closed(3)));
        assert_eq!(now(queue.get()), Err(QueueClosed));
        assert_eq!(queue.try_get(), Err(TryGetError::Closed));
        queue.task_done();
        joining.now();
        assert!(panic_of(|| queue.task_done()).contains("more items"));
    }

    closing_at_once_drops_the_items_and_ends_joins(new) {
        let queue = new!(unbounded());
        queue.try_put(1).unwrap();
        let mut joining = waiting(queue.join());
        queue.close_now();
        assert_eq!((queue.len(), queue.unfinished()), (0, 0));
        joining.now();
        assert_eq!(now(queue.put(1)), Err(PutError(1)));
        assert_eq!(now(queue.get()), Err(QueueClosed));
        assert_eq!(queue.try_get(), Err(TryGetError::Closed));
        assert!(panic_of(|| queue.task_done()).contains("more items"));
    }

    closing_at_once_leaves_work_that_has_begun_to_be_done(new) {
        let queue = new!(unbounded());
        queue.try_put(1).unwrap();
        queue.try_put(1).unwrap();
        let mut joining = waiting(queue.join());
        assert_eq!(now(queue.get()), Ok(1));
        queue.close_now();
        assert!(!joining.is_woken());
        queue.task_done();
        joining.now();
        assert!(panic_of(|| queue.task_done()).contains("more items"));
    }

    closing_reaches_getters_that_were_notified_and_not_polled(new) {
        let queue = new!(bounded(1));
        let mut getting = waiting(queue.get());
        queue.try_put(1).unwrap();
        let mut putting = waiting(queue.put(2));
        queue.close();
        assert_eq!(getting.now(), Ok(1), "the item is there");
        assert_eq!(putting.now(), Err(PutError(2)));

        let queue = new!(bounded(1));
        let mut getting = waiting(queue.get());
        queue.try_put(1).unwrap();
        queue.close_now();
        assert_eq!(getting.now(), Err(QueueClosed), "the item is gone");

        let queue = new!(bounded(1));
        queue.try_put(1).unwrap();
        let mut putting = waiting(queue.put(2));
        queue.try_get().unwrap();
        queue.close();
        assert_eq!(putting.now(), Err(PutError(2)), "as a put that comes now");
    }
}

// Foreign code

#[test]
fn items_whose_destructors_use_the_queue_are_no_trouble() {
    type Item = OnDrop<Box<dyn FnMut()>>;
    let (queue, dropped) = (Rc::new(Queue::<Item>::unbounded()), Rc::new(Cell::new(0)));
    for _ in 0..3 {
        let (its, counted) = (Rc::clone(&queue), Rc::clone(&dropped));
        let item = OnDrop(Box::new(move || {
            counted.set(counted.get() + 1);
            assert!(its.is_closed() && its.is_empty() && its.try_get().is_err());
            now(its.join());
        }) as Box<dyn FnMut()>);
        queue.try_put(item).unwrap_or_else(|_| panic!("there is room"));
    }
    queue.close_now();
    assert_eq!(dropped.get(), 3);
}

#[test]
fn an_item_whose_destructor_panics_leaves_the_queue_closed() {
    let (queue, drops) = (Queue::unbounded(), Drops::default());
    queue.try_put(Some(drops.bomb("dropped"))).unwrap();
    queue.try_put(None).unwrap();
    let mut joining = waiting(queue.join());
    assert_eq!(panic_of(|| queue.close_now()), "dropped");
    joining.now();
    assert!(queue.is_empty() && queue.try_get().is_err());
}

#[test]
fn wakers_that_use_the_queue_and_panic_lose_no_item() {
    let queue = Rc::new(Queue::bounded(1));
    let its = Rc::clone(&queue);
    let waker = waker_that(move || {
        assert_eq!(its.try_get(), Err(TryGetError::Empty), "it is promised");
        assert_eq!(its.try_put(9), Err(TryPutError::Full(9)));
        panic!("woken");
    });
    let mut getting = Polled::new(queue.get());
    assert!(getting.poll_with(&waker).is_pending());
    queue.try_put(1).unwrap();
    let its = Rc::clone(&queue);
    let waker = waker_that(move || {
        assert_eq!((its.try_put(9), its.len()), (Err(TryPutError::Full(9)), 0));
        panic!("woken");
    });
    let mut putting = Polled::new(queue.put(2));
    assert!(putting.poll_with(&waker).is_pending());
    assert_eq!(getting.now(), Ok(1));
    putting.now().unwrap();
    assert_eq!(queue.try_get(), Ok(2));
}

#[test]
#[cfg_attr(miri, ignore = "a budget is of a task, and so of a runtime")]
fn a_loop_over_a_queue_that_is_never_empty_yields() {
    run(async {
        let (queue, taken, seen) = (Queue::unbounded(), Cell::new(0), Cell::new(0));
        (0..1000).for_each(|item| queue.try_put(item).unwrap());
        let tasks = Tasks::default();
        tasks.spawn(async {
            let mut items = pin!(queue.items());
            while items.next().await.is_some() {
                taken.set(taken.get() + 1);
            }
        });
        tasks.spawn(async { seen.set(taken.get()) });
        tasks.turn();
        assert!((1..=128).contains(&seen.get()), "{} items in one turn", seen.get());
        tasks.settle();
        assert_eq!(taken.get(), 1000);
    });
}

/// A plain queue: those that wait are numbers, and so are items.
#[derive(Default)]
struct Model {
    items: VecDeque<u32>,
    /// How many items are not promised, and how much room.
    content: usize,
    room: usize,
    getting: VecDeque<usize>,
    putting: VecDeque<usize>,
    called: Vec<usize>,
}

impl Model {
    fn serve(&mut self) {
        while self.content > 0 && !self.getting.is_empty() {
            self.content -= 1;
            self.called.extend(self.getting.pop_front());
        }
        while self.room > 0 && !self.putting.is_empty() {
            self.room -= 1;
            self.called.extend(self.putting.pop_front());
        }
    }

    fn is_called(&mut self, number: usize) -> bool {
        let position = self.called.iter().position(|called| *called == number);
        position.map(|position| self.called.remove(position)).is_some()
    }

    fn put(&mut self, item: u32) {
        self.items.push_back(item);
        self.content += 1;
    }

    fn get(&mut self) -> u32 {
        self.room += 1;
        self.items.pop_front().expect("an item that was promised")
    }
}

type Putting<'a> = Polled<'a, Result<(), PutError<u32>>>;
type Getting<'a> = Polled<'a, Result<u32, QueueClosed>>;

enum Doing<'a> {
    Putting(u32, Putting<'a>),
    Getting(Getting<'a>),
}

#[test]
fn random_puts_gets_and_cancels_agree_with_a_plain_queue() {
    let mut random = seeded();
    let queue = Queue::bounded(3);
    let mut model = Model { room: 3, ..Model::default() };
    let mut doing: Vec<(usize, Doing<'_>)> = Vec::new();
    for number in 0..rounds(40_000) {
        let item = number as u32;
        match random.u8(..5) {
            0 if doing.len() < 20 => {
                let mut putting = Polled::new(queue.put(item));
                model.putting.push_back(number);
                model.serve();
                if putting.poll().is_ready() {
                    assert!(model.is_called(number));
                    model.put(item);
                } else {
                    doing.push((number, Doing::Putting(item, putting)));
                }
            }
            1 if doing.len() < 20 => {
                let mut getting = Polled::new(queue.get());
                model.getting.push_back(number);
                model.serve();
                if let Poll::Ready(got) = getting.poll() {
                    assert!(model.is_called(number));
                    assert_eq!(got, Ok(model.get()));
                } else {
                    doing.push((number, Doing::Getting(getting)));
                }
            }
            2 if random.bool() => {
                let room = model.room > 0;
                assert_eq!(queue.try_put(item).is_ok(), room);
                if room {
                    model.room -= 1;
                    model.put(item);
                }
            }
            2 => {
                let expected = if model.content > 0 {
                    model.content -= 1;
                    Ok(model.get())
                } else {
                    Err(TryGetError::Empty)
                };
                assert_eq!(queue.try_get(), expected);
            }
            3 if !doing.is_empty() => {
                let (number, cancelled) = doing.swap_remove(random.usize(..doing.len()));
                let called = model.is_called(number);
                match &cancelled {
                    Doing::Putting(..) if called => model.room += 1,
                    Doing::Getting(_) if called => model.content += 1,
                    Doing::Putting(..) => model.putting.retain(|waiting| *waiting != number),
                    Doing::Getting(_) => model.getting.retain(|waiting| *waiting != number),
                }
                drop(cancelled);
            }
            4 if !doing.is_empty() => {
                let (number, polled) = doing.swap_remove(random.usize(..doing.len()));
                let called = model.is_called(number);
                match polled {
                    Doing::Putting(item, mut putting) => {
                        assert_eq!(putting.is_woken(), called);
                        if called {
                            putting.now().unwrap();
                            model.put(item);
                        } else {
                            doing.push((number, Doing::Putting(item, putting.waits())));
                        }
                    }
                    Doing::Getting(mut getting) => {
                        assert_eq!(getting.is_woken(), called);
                        if called {
                            assert_eq!(getting.now(), Ok(model.get()));
                        } else {
                            doing.push((number, Doing::Getting(getting.waits())));
                        }
                    }
                }
            }
            _ => {}
        }
        model.serve();
        assert_eq!((queue.len(), queue.is_full()), (model.items.len(), model.room == 0));
    }
}
