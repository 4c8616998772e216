//! Wakers on other threads: no wake is lost, and no waker touches what belongs to the loop's
//! thread.
//!
//! # The races
//!
//! The loop goes to sleep when nothing is ready. A wake that comes just before must keep it awake,
//! one that comes just after must end the sleep; one that is taken for neither is lost, and the
//! loop sleeps for ever. And a task that is being polled can be woken meanwhile: it must be polled
//! once more. Both races are run many times here, in a way in which any lost wake hangs (and a
//! watchdog then aborts): the waking thread goes on only when what it did before the wake has been
//! seen.

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::thread::{self, ThreadId};
use std::time::Duration;

use annulus::net::TcpStream;
use annulus::time::sleep;
use annulus::{Runtime, spawn, yield_now};

use crate::common::conditions::poll_once;
use crate::common::drops::{Drops, OnDrop};
use crate::common::net::pair as connection;
use crate::common::pair::pair;
use crate::common::watchdog::{block_on, run};

/// The waker of the calling task.
async fn own_waker() -> Waker {
    poll_fn(|context| Poll::Ready(context.waker().clone())).await
}

/// Stays pending and hands its waker to `sender` at each poll.
async fn send_wakers(sender: mpsc::Sender<Waker>) {
    poll_fn(|context| {
        sender.send(context.waker().clone()).unwrap();
        Poll::<()>::Pending
    })
    .await;
}

/// A number that one side raises, waking the other, which waits for it.
#[derive(Default)]
struct Bell {
    rung: AtomicU64,
    waker: Mutex<Option<Waker>>,
}

impl Bell {
    /// Sets the number and wakes the task that waits for it.
    fn ring(&self, number: u64) {
        self.rung.store(number, Ordering::Release);
        if let Some(waker) = &*self.waker.lock().unwrap() {
            waker.wake_by_ref();
        }
    }

    /// Waits, in a task, until the number is more than `seen`.
    async fn more_than(&self, seen: u64) -> u64 {
        *self.waker.lock().unwrap() = Some(own_waker().await);
        poll_fn(|_| match self.rung.load(Ordering::Acquire) {
            rung if rung > seen => Poll::Ready(rung),
            _ => Poll::Pending,
        })
        .await
    }
}

#[test]
fn none_of_a_million_wakes_from_two_threads_is_lost() {
    const WAKES: u64 = 500_000;
    const TASKS: u64 = 4;
    // After how many wakes a thread waits until they have been seen: from hand to hand up to
    // bursts.
    const BURSTS: [u64; 6] = [1, 2, 7, 50, 100, 400];

    /// Bells that wake a task each, and the last number that the task has seen.
    type Shared = [(Bell, AtomicU64); TASKS as usize];

    /// Wakes one task after the other until there have been `WAKES` wakes.
    fn wake_them(shared: &Shared) {
        let of = |wake: u64| &shared[(wake % TASKS) as usize];
        let mut wakes = 0;
        let mut bursts = BURSTS.into_iter().cycle();
        while wakes < WAKES {
            let burst = wakes + 1..=WAKES.min(wakes + bursts.next().unwrap());
            wakes = *burst.end();
            burst.clone().for_each(|wake| of(wake).0.ring(wake));
            for wake in burst.rev().take(TASKS as usize) {
                while of(wake).1.load(Ordering::Acquire) < wake {
                    thread::park();
                }
            }
        }
    }

    let threads = [(); 2].map(|()| {
        let shared = Arc::new(Shared::default());
        let (start, started) = mpsc::channel::<()>();
        let its = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            started.recv().unwrap();
            wake_them(&its);
        });
        (thread, shared, start)
    });
    run(async {
        let mut tasks = Vec::new();
        for (thread, shared, start) in &threads {
            for last in WAKES - TASKS + 1..=WAKES {
                let (shared, thread) = (Arc::clone(shared), thread.thread().clone());
                tasks.push(spawn(async move {
                    let (bell, seen) = &shared[(last % TASKS) as usize];
                    let mut rung = 0;
                    while rung < last {
                        rung = bell.more_than(rung).await;
                        seen.store(rung, Ordering::Release);
                        thread.unpark();
                    }
                }));
            }
            start.send(()).unwrap();
        }
        for task in tasks {
            task.await.unwrap();
        }
    });
    for (thread, ..) in threads {
        thread.join().unwrap();
    }
}

// Nothing else is on the loop, so it goes to sleep between any two rounds.
#[test]
fn a_hundred_thousand_wakes_race_with_going_to_sleep() {
    const ROUNDS: u64 = 100_000;
    let bell = Arc::new(Bell::default());
    let (replies, answers) = mpsc::channel();
    let its = Arc::clone(&bell);
    let peer = thread::spawn(move || {
        for round in 1..=ROUNDS {
            its.ring(round);
            assert_eq!(answers.recv(), Ok(round));
        }
    });
    run(async {
        let mut seen = 0;
        while seen < ROUNDS {
            seen = bell.more_than(seen).await;
            replies.send(seen).unwrap();
        }
    });
    peer.join().unwrap();
}

// The wake comes while the task is being polled, on another thread: it must be polled once more.
#[test]
fn a_wake_during_the_poll_is_not_lost() {
    run(async {
        for _ in 0..1000 {
            let mut polls = 0;
            poll_fn(|context| {
                polls += 1;
                if polls == 2 {
                    return Poll::Ready(());
                }
                let waker = context.waker().clone();
                thread::scope(|scope| scope.spawn(|| waker.wake()).join().unwrap());
                Poll::Pending
            })
            .await;
        }
    });
}

#[test]
fn many_wakes_before_a_turn_make_one_poll() {
    let polls = Rc::new(Cell::new(0));
    run(async {
        let (its, (sender, wakers)) = (Rc::clone(&polls), mpsc::channel());
        spawn(poll_fn(move |context| {
            its.set(its.get() + 1);
            sender.send(context.waker().clone()).unwrap();
            Poll::<()>::Pending
        }));
        yield_now().await;
        let waker = wakers.recv().unwrap();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| waker.wake_by_ref()));
            }
        });
        // A sleep takes at least a turn of the loop, in which the wakes are taken in.
        sleep(Duration::ZERO).await;
        sleep(Duration::ZERO).await;
        assert_eq!(polls.get(), 2);
    });
}

/// Uses up a waker in every way there is.
fn use_up(waker: Waker) {
    waker.wake_by_ref();
    let clone = waker.clone();
    drop(waker.clone());
    clone.wake();
    drop(waker);
}

#[test]
fn wakers_may_be_used_after_their_task_has_finished() {
    run(async {
        let (sender, wakers) = mpsc::channel();
        let task = spawn(async move { sender.send(own_waker().await).unwrap() });
        task.await.unwrap();
        let waker = wakers.recv().unwrap();
        use_up(waker.clone());
        thread::spawn(move || use_up(waker)).join().unwrap();
        spawn(yield_now()).await.unwrap();
    });
}

#[test]
fn wakers_may_be_used_after_their_runtime_has_ended() {
    let (sender, wakers) = mpsc::channel();
    run(async {
        spawn(send_wakers(sender));
        yield_now().await;
    });
    let waker = wakers.recv().unwrap();
    use_up(waker.clone());
    thread::spawn(move || use_up(waker)).join().unwrap();
}

// The threads wake, clone and drop all the time, and the runtime ends in the midst of it.
#[test]
fn wakers_may_be_used_while_their_runtime_ends() {
    let drops = Drops::default();
    for _ in 0..200 {
        let threads: Vec<_> = run(async {
            let (sender, wakers) = mpsc::channel();
            for guard in [drops.guard(), drops.guard()] {
                let sender = sender.clone();
                spawn(async move {
                    let _guard = guard;
                    send_wakers(sender).await;
                });
            }
            yield_now().await;
            let threads = wakers.try_iter().map(|waker| {
                thread::spawn(move || {
                    for _ in 0..200 {
                        use_up(waker.clone());
                    }
                })
            });
            let threads = threads.collect();
            yield_now().await;
            threads
        });
        for thread in threads {
            thread.join().unwrap();
        }
    }
    assert_eq!(drops.count(), 400);
}

/// Says on which thread it was dropped. It is not `Send`.
struct Local(mpsc::Sender<ThreadId>, #[expect(dead_code, reason = "not `Send`")] Rc<()>);

impl Drop for Local {
    fn drop(&mut self) {
        self.0.send(thread::current().id()).unwrap();
    }
}

// The last owner of a task's memory may be a waker on any thread; what the task held must be gone
// by then, dropped by the thread that it belongs to. It may not even be `Send`.
#[test]
fn a_waker_that_outlives_everything_on_another_thread_drops_nothing_of_the_tasks() {
    let (dropped, drops) = mpsc::channel();
    let local = || Local(dropped.clone(), Rc::new(()));
    let (sender, wakers) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let last = thread::spawn(move || {
        let wakers: Vec<Waker> = wakers.iter().collect();
        released.recv().unwrap_err();
        drop(wakers);
    });
    let left = run(async {
        // One whose output is taken, one whose output is dropped with its handle, one that is
        // cancelled, and one that is left.
        let task = || {
            let (sender, held, output) = (sender.clone(), local(), local());
            async move {
                let _held = held;
                sender.send(own_waker().await).unwrap();
                output
            }
        };
        let endless = || {
            let (sender, held) = (sender.clone(), local());
            async move {
                let _held = held;
                send_wakers(sender).await;
            }
        };
        drop(spawn(task()).await.unwrap());
        drop(spawn(task()));
        let cancelled = spawn(endless());
        let left = spawn(endless());
        yield_now().await;
        cancelled.cancel();
        assert!(cancelled.await.unwrap_err().is_cancelled());
        left
    });
    drop((left, sender));
    let here = thread::current().id();
    let threads: Vec<_> = drops.try_iter().collect();
    assert_eq!(threads, [here; 6], "all is gone before the wakers are");
    drop(release);
    last.join().unwrap();
    assert_eq!(drops.try_iter().count(), 0);
}

#[test]
fn a_waker_of_the_main_future_outlives_what_it_borrowed() {
    let runtime = Runtime::new().unwrap();
    let waker = {
        let borrowed = String::from("borrowed");
        block_on(&runtime, async {
            assert_eq!(borrowed.len(), 8);
            own_waker().await
        })
    };
    thread::scope(|scope| scope.spawn(|| use_up(waker.clone())).join().unwrap());
    block_on(&runtime, yield_now());
    drop(runtime);
    use_up(waker);
}

#[test]
fn a_wake_from_another_runtime_ends_the_sleep() {
    let (sender, wakers) = mpsc::channel::<Waker>();
    let woken = Arc::new(AtomicU64::new(0));
    let its = Arc::clone(&woken);
    let waking = thread::spawn(move || {
        run(async {
            let waker = wakers.recv().unwrap();
            yield_now().await;
            its.store(1, Ordering::Release);
            waker.wake();
        });
    });
    run(poll_fn(|context| match woken.load(Ordering::Acquire) {
        1 => Poll::Ready(()),
        _ => {
            sender.send(context.waker().clone()).unwrap();
            Poll::Pending
        }
    }));
    waking.join().unwrap();
}

#[test]
fn a_wake_on_the_own_thread_outside_of_the_loop_is_kept_for_the_next_one() {
    let runtime = Runtime::new().unwrap();
    let (sender, wakers) = mpsc::channel();
    let polls = Rc::new(Cell::new(0));
    let its = Rc::clone(&polls);
    let mut task = runtime.spawn(poll_fn(move |context| {
        its.set(its.get() + 1);
        sender.send(context.waker().clone()).unwrap();
        if its.get() < 2 { Poll::Pending } else { Poll::Ready(()) }
    }));
    block_on(&runtime, yield_now());
    wakers.recv().unwrap().wake();
    assert_eq!(polls.get(), 1, "nothing runs outside of block_on");
    block_on(&runtime, yield_now());
    assert_eq!(polls.get(), 2);
    assert!(poll_once(&mut (&mut task).into_future()).is_ready());
}

#[test]
fn an_operation_wakes_the_task_that_awaited_it_last() {
    run(async {
        let (mut near, mut far) = pair().await;
        let mut read = Box::pin(async move { near.read(Vec::with_capacity(16)).await.1 });
        assert!(poll_once(&mut read).is_pending());
        let reader = spawn(read);
        yield_now().await;
        far.write_all("message").await.0.unwrap();
        assert_eq!(reader.await.unwrap(), b"message");
    });
}

#[test]
fn a_waker_may_be_dropped_by_the_destructor_of_its_own_task() {
    let drops = Drops::default();
    run(async {
        let (guard, held) = (drops.guard(), Rc::new(Cell::new(None::<Waker>)));
        let its = Rc::clone(&held);
        spawn(async move {
            let _guard = guard;
            let _last = OnDrop(move || its.take().into_iter().for_each(use_up));
            held.set(Some(own_waker().await));
            pending::<()>().await;
        });
        yield_now().await;
    });
    assert_eq!(drops.count(), 1);
}

/// The first wait arms the poll that reports the bell. If the submission queue is full just then,
/// that takes an enter, which may reap all that there is to wait for: then the loop must not sleep.
#[test]
fn a_loop_that_enters_to_arm_its_bell_does_not_sleep_over_the_completions_of_that_enter() {
    const ENTRIES: u32 = 4;
    let runtime = Runtime::builder().sq_entries(ENTRIES).build().unwrap();
    let (near, _far): (Vec<_>, Vec<_>) = (0..ENTRIES).map(|_| connection()).unzip();
    block_on(&runtime, async {
        let writes = near.into_iter().map(|near| {
            let mut stream = TcpStream::from_std(near);
            spawn(async move { stream.write("x").await.0 })
        });
        for write in writes.collect::<Vec<_>>() {
            assert_eq!(write.await.unwrap().unwrap(), 1);
        }
    });
}
