//! The budget of a task where there is no task, or none that returns to the loop: on executors that
//! are not this library's.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake};

use annulus::sync::{Lock, Semaphore};
use annulus::{spawn, yield_now};
use futures_util::FutureExt;

use crate::common::watchdog::run;

/// An executor such as that of the `futures` crate, which polls again when it has been woken.
fn block_on_elsewhere<F: Future>(future: F) -> F::Output {
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    let woken = Arc::new(Woken(AtomicBool::new(true)));
    let waker = Arc::clone(&woken).into();
    let mut future = pin!(future);
    while woken.0.swap(false, Ordering::SeqCst) {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
    }
    panic!("it sleeps for ever");
}

#[test]
fn outside_of_a_task_what_is_free_is_ready_at_its_first_poll() {
    let lock = Lock::new(0);
    for number in 0..1000 {
        assert!(lock.lock().now_or_never().is_some(), "number {number}");
    }
}

#[test]
fn a_foreign_loop_inside_of_a_task_comes_to_its_end() {
    run(async {
        let lock = Lock::new(0);
        block_on_elsewhere(async {
            for _ in 0..1000 {
                *lock.lock().await += 1;
            }
        });
        assert_eq!(*lock.lock().await, 1000);
    });
}

// Each of many futures that are polled together asks once, and is refused once the budget is used
// up.
#[test]
fn many_futures_of_one_task_take_little_more_than_its_budget() {
    const FUTURES: usize = 10_000;
    run(async {
        let semaphore = Rc::new(Semaphore::new(1));
        let most = Rc::new(Cell::new(0));
        let (its, counted) = (Rc::clone(&semaphore), Rc::clone(&most));
        let task = spawn(async move {
            let mut futures: Vec<_> = (0..FUTURES).map(|_| Some(Box::pin(its.acquire()))).collect();
            poll_fn(|context| {
                let mut ready = 0;
                for slot in &mut futures {
                    if slot.as_mut().is_some_and(|future| future.poll_unpin(context).is_ready()) {
                        *slot = None;
                        ready += 1;
                    }
                }
                counted.set(counted.get().max(ready));
                if futures.iter().any(Option::is_some) { Poll::Pending } else { Poll::Ready(()) }
            })
            .await;
        });
        while !task.is_finished() {
            yield_now().await;
        }
        assert!(most.get() >= 128);
        assert!(most.get() <= 128 + FUTURES / 8 + 128, "{} at once", most.get());
    });
}
