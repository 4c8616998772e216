//! What a peak has made grow gives its memory back: a server does not pay for ever for one crowd.
//!
//! The allocator counts for each thread, and a test is one thread's.

use std::future::{Future, ready};
use std::pin::Pin;
use std::task::{Context, Waker};

use annulus::join::{CancelToken, TaskSet, as_completed};
use annulus::sync::{Event, LifoQueue, PriorityQueue, Queue, Semaphore, broadcast, remote};
use futures_util::StreamExt;

use crate::allocator;
use crate::common::watchdog::run;

/// How many come at once.
const CROWD: usize = 50_000;
/// The bytes that may stay: of each collection, sixteen KiB.
const MAY_STAY: isize = 64 << 10;

/// Does something whose peak takes memory, and expects that it has been given back when that is
/// over.
#[track_caller]
fn gives_back<T>(peak: impl FnOnce() -> T, end: impl FnOnce(T)) {
    let before = allocator::held();
    let crowd = peak();
    let most = allocator::held() - before;
    assert!(most > 8 * MAY_STAY, "at the peak, {most} bytes are in use");
    end(crowd);
    let left = allocator::held() - before;
    assert!(left <= MAY_STAY, "{left} bytes are in use after a peak of {most}");
}

type Waiting<'a> = Vec<Pin<Box<dyn Future<Output = ()> + 'a>>>;

/// Polls many futures that wait.
fn crowd<'a, F: Future + 'a>(wait: impl Fn() -> F) -> Waiting<'a> {
    let mut crowd: Waiting<'_> = Vec::new();
    for _ in 0..CROWD {
        let future = wait();
        let mut future: Pin<Box<dyn Future<Output = ()>>> = Box::pin(async { drop(future.await) });
        // One that only yields, since a budget is used up, waits with the next poll.
        for _ in 0..2 {
            let mut context = Context::from_waker(Waker::noop());
            assert!(future.as_mut().poll(&mut context).is_pending());
        }
        crowd.push(future);
    }
    crowd
}

#[test]
fn queues_that_were_long_give_memory_back() {
    macro_rules! queue {
        ($queue:ident) => {
            let queue = $queue::unbounded();
            gives_back(
                || (0..CROWD).for_each(|item| queue.try_put([item; 8]).unwrap()),
                |()| while queue.try_get().is_ok() {},
            );
        };
    }
    queue!(Queue);
    queue!(LifoQueue);
    queue!(PriorityQueue);
    let (sender, mut receiver) = remote::channel(CROWD);
    gives_back(
        || (0..CROWD).for_each(|item| sender.try_send([item; 8]).unwrap()),
        |()| while receiver.try_recv().is_ok() {},
    );
    let (sender, mut receiver) = broadcast::channel(CROWD);
    gives_back(
        || (0..CROWD).for_each(|item| assert_eq!(sender.send([item; 8]), Ok(1))),
        |()| while receiver.try_recv().is_ok() {},
    );
}

#[test]
fn what_a_crowd_has_waited_for_gives_memory_back() {
    let event = Event::new();
    let all_go_on = |waiting| {
        event.set();
        drop::<Waiting<'_>>(waiting);
    };
    gives_back(|| crowd(|| event.wait()), all_go_on);
    let semaphore = Semaphore::new(0);
    let all_go_on = |waiting| {
        semaphore.close();
        drop::<Waiting<'_>>(waiting);
    };
    gives_back(|| crowd(|| semaphore.acquire()), all_go_on);
    let token = CancelToken::new();
    gives_back(|| crowd(|| token.cancelled()), drop);
    gives_back(|| (0..CROWD).map(|_| token.child()).collect(), drop::<Vec<CancelToken>>);
}

#[test]
fn sets_that_were_large_give_memory_back() {
    run(async {
        let mut completed = None;
        let before = allocator::held();
        let completed = completed.insert(as_completed((0..CROWD).map(ready)));
        while completed.next().await.is_some() {}
        assert!(allocator::held() - before <= MAY_STAY, "{} bytes", allocator::held() - before);

        // The memory of the tasks is the runtime's, which keeps some for the next ones.
        let mut tasks = TaskSet::new();
        let mut left = [0; 2];
        for left in &mut left {
            for _ in 0..CROWD {
                tasks.spawn(async {});
            }
            while tasks.join_next().await.is_some() {}
            *left = allocator::held();
        }
        drop(tasks);
        assert!(left[1] - allocator::held() <= MAY_STAY, "{} bytes", left[1] - allocator::held());
    });
}

#[test]
fn a_queue_that_shrinks_keeps_its_order() {
    let queue = Queue::unbounded();
    let (mut put, mut taken) = (0..usize::MAX, 0..usize::MAX);
    for (more, fewer) in [(CROWD, CROWD - 10), (100, 60), (CROWD, CROWD), (0, 50)] {
        put.by_ref().take(more).for_each(|item| queue.try_put(item).unwrap());
        for item in taken.by_ref().take(fewer) {
            assert_eq!(queue.try_get(), Ok(item));
        }
    }
    assert!(queue.is_empty());
}
