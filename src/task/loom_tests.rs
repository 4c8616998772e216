//! Models of what threads share, checked by loom in every order that the memory model allows.
//!
//! Run with `LOOM_MAX_PREEMPTIONS=3 RUSTFLAGS="--cfg annulus_loom" \
//! cargo test --release --lib loom_tests`.

use std::future::{Future, poll_fn};
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Poll, Waker};

use loom::sync::Notify;
use loom::sync::atomic::{AtomicBool, AtomicUsize};
use loom::thread;

use super::{Executor, JoinHandle, Origin, RuntimeId};
use crate::trace::SlowPolls;

/// The owner of an executor, with an event loop that sleeps when no task is ready.
struct Owner {
    executor: Executor,
    bell: Arc<Notify>,
    rings: Arc<AtomicUsize>,
}

impl Owner {
    fn new() -> Self {
        let bell = Arc::new(Notify::new());
        let rings = Arc::new(AtomicUsize::new(0));
        let (its_bell, its_rings) = (Arc::clone(&bell), Arc::clone(&rings));
        let ring = move || {
            its_rings.fetch_add(1, Relaxed);
            its_bell.notify();
        };
        Self {
            executor: Executor::new(
                RuntimeId::of(&Rc::new(())),
                Arc::new(ring),
                Arc::new(|_| {}),
                SlowPolls::default(),
            ),
            bell,
            rings,
        }
    }

    fn spawn<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        let origin = Origin { name: None, parent: None, spawned_at: Location::caller() };
        self.executor.spawn(future, origin)
    }

    /// A task that has been polled once and waits for ever, and its waker.
    fn spawn_waiting(&self) -> (JoinHandle<()>, Waker) {
        let (sent, received) = std::sync::mpsc::channel();
        let never = Arc::new(AtomicBool::new(false));
        let handle = self.spawn(until_set(never, move |waker| sent.send(waker).unwrap()));
        self.executor.pop().expect("it is ready").run();
        (handle, received.recv().expect("its first poll sent it"))
    }

    /// Runs tasks until this one has ended. Sleeps whenever the handshake allows it.
    fn run<T>(&self, task: &JoinHandle<T>) {
        while !task.is_finished() {
            while let Some(ready) = self.executor.pop() {
                ready.run();
                if task.is_finished() {
                    return;
                }
            }
            if self.executor.park() {
                // A lost wake-up shows as a model that never ends here.
                self.bell.wait();
            }
            let _ = self.executor.receive();
        }
    }
}

/// A future that passes its waker to `publish` once, and completes when `flag` is set.
fn until_set(
    flag: Arc<AtomicBool>,
    publish: impl FnOnce(Waker) + 'static,
) -> impl Future<Output = ()> {
    let mut publish = Some(publish);
    poll_fn(move |context| {
        if let Some(publish) = publish.take() {
            publish(context.waker().clone());
        }
        // Relaxed: the wake must make the flag visible.
        if flag.load(Relaxed) { Poll::Ready(()) } else { Poll::Pending }
    })
}

/// The poll that follows a wake sees what was done before it, and no wake is lost, even one that
/// races with the owner's going to sleep.
#[test]
fn a_wake_from_another_thread_is_never_lost() {
    loom::model(|| {
        let owner = Owner::new();
        let flag = Arc::new(AtomicBool::new(false));
        let set = Arc::clone(&flag);
        let task = owner.spawn(until_set(flag, move |waker| {
            thread::spawn(move || {
                set.store(true, Relaxed);
                waker.wake();
            });
        }));
        owner.run(&task);
        owner.executor.close();
    });
}

/// Two threads wake the same task. The second may find it in the inbox already, and then relies on
/// the first one's push.
#[test]
fn a_wake_that_finds_its_task_in_the_inbox_is_not_lost() {
    loom::model(|| {
        let owner = Owner::new();
        let count = Arc::new(AtomicUsize::new(0));
        let (counted, mut publish) = (Arc::clone(&count), true);
        let task = owner.spawn(poll_fn(move |context| {
            if std::mem::take(&mut publish) {
                for _ in 0..2 {
                    let (count, waker) = (Arc::clone(&counted), context.waker().clone());
                    thread::spawn(move || {
                        count.fetch_add(1, Relaxed);
                        waker.wake();
                    });
                }
            }
            if counted.load(Relaxed) == 2 { Poll::Ready(()) } else { Poll::Pending }
        }));
        owner.run(&task);
        owner.executor.close();
    });
}

/// Two threads push tasks into the inbox at once. The owner finds both: it sees the link from the
/// newer to the older.
#[test]
fn tasks_woken_at_once_are_all_received() {
    loom::model(|| {
        let owner = Owner::new();
        let tasks = [(); 2].map(|()| {
            let flag = Arc::new(AtomicBool::new(false));
            let set = Arc::clone(&flag);
            owner.spawn(until_set(flag, move |waker| {
                thread::spawn(move || {
                    set.store(true, Relaxed);
                    waker.wake();
                });
            }))
        });
        for task in &tasks {
            owner.run(task);
        }
        owner.executor.close();
    });
}

/// The last reference frees the memory once, and not while there is another.
#[test]
fn the_last_reference_frees_the_task_on_any_thread() {
    loom::model(|| {
        let owner = Owner::new();
        let (handle, waker) = owner.spawn_waiting();
        let other = thread::spawn(move || {
            let clone = waker.clone();
            waker.wake();
            drop(clone);
        });
        owner.executor.end_all();
        drop(handle);
        let _ = owner.executor.receive();
        other.join().unwrap();
        owner.executor.close();
        // A task that was not freed keeps the scheduler, and would show here.
        assert_eq!(owner.executor.scheduler_references(), 1);
    });
}

/// A runtime that ends while other threads wake its tasks frees every one of them.
#[test]
fn a_wake_that_meets_the_end_of_the_runtime_leaks_nothing() {
    loom::model(|| {
        let owner = Owner::new();
        let (handle, waker) = owner.spawn_waiting();
        let other = thread::spawn(move || waker.wake());
        owner.executor.end_all();
        owner.executor.close();
        drop(handle);
        other.join().unwrap();
        assert_eq!(owner.executor.scheduler_references(), 1);
    });
}

/// Two threads fill queues that are not the inbox, and one wakes a task. The owner is told of each
/// queue after it was filled, whether it runs, is about to sleep, or has just taken a notification
/// of the other: the store to a queue is relaxed, so only the notification makes it visible.
#[test]
fn a_queue_that_was_filled_before_a_notification_is_seen_before_the_owner_sleeps() {
    loom::model(|| {
        let owner = Owner::new();
        let queues = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        for queue in &queues {
            let (queue, notifier) = (Arc::clone(queue), owner.executor.notifier());
            thread::spawn(move || {
                queue.store(true, Relaxed);
                notifier.notify();
            });
        }
        let are_filled = || queues.iter().all(|queue| queue.load(Relaxed));
        loop {
            if owner.executor.receive() && are_filled() {
                break;
            }
            if owner.executor.park() {
                // A lost notification shows as a model that never ends here.
                owner.bell.wait();
            }
        }
        owner.executor.close();
    });
}

/// A notification and a wake meet in one word. Neither hides the other.
#[test]
fn a_notification_and_a_wake_at_once_both_arrive() {
    loom::model(|| {
        let owner = Owner::new();
        let flag = Arc::new(AtomicBool::new(false));
        let (set, notifier) = (Arc::clone(&flag), owner.executor.notifier());
        thread::spawn(move || notifier.notify());
        let task = owner.spawn(until_set(flag, move |waker| {
            thread::spawn(move || {
                set.store(true, Relaxed);
                waker.wake();
            });
        }));
        let mut is_notified = false;
        while !(task.is_finished() && is_notified) {
            while let Some(ready) = owner.executor.pop() {
                ready.run();
            }
            if task.is_finished() && is_notified {
                break;
            }
            if owner.executor.park() {
                owner.bell.wait();
            }
            is_notified |= owner.executor.receive();
        }
        owner.executor.close();
    });
}

/// A notification of an owner that is awake makes no system call, nor does one of an owner that is
/// gone, and one sleep is ended by one ring.
#[test]
fn a_notification_rings_only_for_an_owner_that_sleeps_and_once() {
    loom::model(|| {
        let owner = Owner::new();
        let notifier = owner.executor.notifier();
        let other = thread::spawn(move || notifier.notify());
        let _ = owner.executor.receive();
        other.join().unwrap();
        assert_eq!(owner.rings.load(Relaxed), 0);
        let _ = owner.executor.receive();

        assert!(owner.executor.park());
        let others = [(); 2].map(|()| {
            let notifier = owner.executor.notifier();
            thread::spawn(move || notifier.notify())
        });
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(owner.rings.load(Relaxed), 1);
        assert!(owner.executor.receive());

        owner.executor.close();
        owner.executor.notifier().notify();
        assert_eq!(owner.rings.load(Relaxed), 1);
    });
}

/// No thread rings for an owner that is awake: that would cost a system call for each wake.
#[test]
fn no_thread_rings_for_an_owner_that_is_awake() {
    loom::model(|| {
        let owner = Owner::new();
        let (handle, waker) = owner.spawn_waiting();
        let other = thread::spawn(move || waker.wake());
        let _ = owner.executor.receive();
        other.join().unwrap();
        assert_eq!(owner.rings.load(Relaxed), 0);
        owner.executor.end_all();
        owner.executor.close();
        drop(handle);
    });
}

/// Records when it is dropped. The count is the owner's alone: loom sees an access by another
/// thread that nothing orders.
struct CountsDrop(Rc<loom::cell::UnsafeCell<u32>>);

impl Drop for CountsDrop {
    fn drop(&mut self) {
        // SAFETY: it is dropped on its owner's thread.
        self.0.with_mut(|count| unsafe { *count += 1 });
    }
}

fn count(drops: &loom::cell::UnsafeCell<u32>) -> u32 {
    // SAFETY: for the owner's thread.
    drops.with(|count| unsafe { *count })
}

/// Two threads drop a thread-bound value each, while the owner goes to sleep. The owner is woken,
/// and drops both.
#[test]
fn thread_bound_values_dropped_elsewhere_are_dropped_by_an_owner_that_was_about_to_sleep() {
    loom::model(|| {
        let owner = Owner::new();
        let drops = Rc::new(loom::cell::UnsafeCell::new(0));
        for _ in 0..2 {
            let bound = owner.executor.bind(CountsDrop(Rc::clone(&drops)));
            thread::spawn(move || drop(bound));
        }
        while count(&drops) < 2 {
            if owner.executor.receive() {
                // As few as possible, so that one waits in the owner's list while another arrives.
                while owner.executor.drop_returned(1) {}
            } else if owner.executor.park() {
                // A lost value shows as a model that never ends here.
                owner.bell.wait();
            }
        }
        owner.executor.close();
    });
}

/// A thread drops a thread-bound value while the runtime ends. The value is dropped by its owner,
/// or leaked and reported: one of both, and once.
#[test]
fn a_thread_bound_value_that_meets_the_end_of_its_runtime_is_dropped_at_home_or_reported() {
    loom::model(|| {
        let leaks = Arc::new(AtomicUsize::new(0));
        let its_leaks = Arc::clone(&leaks);
        let hook = move |_: &crate::error::Incident| {
            its_leaks.fetch_add(1, Relaxed);
        };
        let id = RuntimeId::of(&Rc::new(()));
        let executor = Executor::new(id, Arc::new(|| {}), Arc::new(hook), SlowPolls::default());
        let drops = Rc::new(loom::cell::UnsafeCell::new(0));
        let bound = executor.bind(CountsDrop(Rc::clone(&drops)));
        let other = thread::spawn(move || drop(bound));
        executor.drop_returned(1);
        executor.close();
        other.join().unwrap();
        assert_eq!(count(&drops) as usize + leaks.load(Relaxed), 1);
        // A reference that was not dropped would keep the scheduler and its hook.
        assert_eq!(executor.scheduler_references(), 1);
    });
}
