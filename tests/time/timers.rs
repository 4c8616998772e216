//! Sleeps and timeouts: never early, hardly late, in order, and gone when they are over.
//!
//! Lateness is judged beside that of a thread which sleeps, and by the best of many, so that a
//! machine that is busy elsewhere proves nothing. That the loop waits hardly longer than to a
//! deadline, whatever the machine makes of it, is tested where it waits, in `src/driver/tests/`.

use std::cell::Cell;
use std::future::{pending, poll_fn, ready};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant};
use std::{io, mem, thread};

use annulus::net::{TcpListener, TcpStream};
use annulus::sync::{Queue, Semaphore};
use annulus::time::{
    Elapsed, advance, interval, kernel_sleep, now, pause, sleep, sleep_until, timeout, timeout_at,
    timeout_scope, wait_for,
};
use annulus::{Runtime, metrics, spawn, yield_now};
use futures_util::future::{Either, select};

use crate::common::bounded::bounded;
use crate::common::conditions::{Log, poll_once, until};
use crate::common::drops::Drops;
use crate::common::panics::panic_of;
use crate::common::patience::patient;
use crate::common::poll::{once, until_bell_is_polled};
use crate::common::watchdog::{Watchdog, run};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Sleeps for many durations in one way and in the system's own, and checks that the one is never
/// early and hardly later than the other.
async fn assert_punctual(sleep_for: impl AsyncFn(Duration)) {
    let lateness = |start: Instant, length| start.elapsed().checked_sub(length).expect("early");
    let (mut late, mut system_late) = (Vec::new(), Vec::new());
    for micros in (100..6000).step_by(100) {
        let length = Duration::from_micros(micros);
        let start = Instant::now();
        sleep_for(length).await;
        late.push(lateness(start, length));
        let start = Instant::now();
        thread::sleep(length);
        system_late.push(lateness(start, length));
    }
    let best = |lateness: &[Duration]| *lateness.iter().min().unwrap();
    let (best, of_the_system) = (best(&late), best(&system_late));
    assert!(best < of_the_system + patient(MS / 4), "{best:?} beside {of_the_system:?}");
}

// Sleeping

#[test]
fn no_sleep_ends_early() {
    run(async {
        let mut random = fastrand::Rng::with_seed(7);
        let sleeping = (0..5000).map(|_| {
            let length = Duration::from_nanos(random.u64(..60_000_000));
            spawn(async move {
                let start = Instant::now();
                sleep(length).await;
                (length, start.elapsed())
            })
        });
        for task in sleeping.collect::<Vec<_>>() {
            let (length, slept) = task.await.unwrap();
            assert!(slept >= length, "{slept:?} instead of {length:?}");
        }
    });
}

#[test]
fn a_sleep_on_an_idle_loop_is_less_than_a_millisecond_late() {
    run(assert_punctual(sleep));
}

#[test]
fn sleeps_end_in_the_order_of_their_deadlines() {
    let log = Log::default();
    run(async {
        // Steps of 10 µs: many share a tick of the wheel, and many fire in one turn. The clock is
        // paused until all are started.
        pause();
        let start = now();
        let mut numbers: Vec<u32> = (0..2000).collect();
        fastrand::Rng::with_seed(7).shuffle(&mut numbers);
        let sleeping = numbers.into_iter().map(|number| {
            let log = log.clone();
            spawn(async move {
                sleep_until(start + number * Duration::from_micros(10)).await;
                log.push(number);
            })
        });
        let sleeping: Vec<_> = sleeping.collect();
        for _ in 0..20 {
            advance(MS).await;
        }
        for task in sleeping {
            task.await.unwrap();
        }
    });
    assert!(log.take().into_iter().eq(0..2000));
}

#[test]
fn a_sleep_of_no_duration_lets_every_ready_task_run() {
    run(async {
        let others = [(); 100].map(|()| spawn(async {}));
        sleep(Duration::ZERO).await;
        assert!(others.iter().all(annulus::task::JoinHandle::is_finished));
    });
}

#[test]
fn a_sleep_until_a_time_that_has_passed_ends_at_the_next_turn() {
    run(async {
        let passed = Instant::now();
        thread::sleep(MS);
        let mut sleep = sleep_until(passed);
        assert!(sleep.is_elapsed() && sleep.deadline() == passed);
        assert!(poll_once(&mut sleep).is_pending());
        sleep.await;
    });
}

#[test]
fn a_sleep_may_be_longer_than_any_clock() {
    run(async {
        let longest = Duration::from_secs(i64::MAX as u64 / 2);
        for length in [100 * 365 * 24 * HOUR, longest, Duration::MAX] {
            assert_eq!(timeout(MS, sleep(length)).await, Err(Elapsed));
        }
        assert_eq!(metrics().timers, 0);
    });
}

#[test]
fn a_sleep_wakes_the_task_that_awaited_it_last() {
    run(async {
        let mut sleep = sleep(2 * MS);
        assert!(poll_once(&mut sleep).is_pending());
        spawn(sleep).await.unwrap();
    });
}

#[test]
fn a_million_live_timers_are_no_trouble() {
    let _watchdog = Watchdog::new(patient(Duration::from_secs(40)));
    run(async {
        let mut random = fastrand::Rng::with_seed(7);
        let last = Instant::now() + Duration::from_secs(1);
        let mut sleeping: Vec<_> = (0..1_000_000)
            .map(|number| match number % 2 {
                0 => sleep_until(last - random.u32(..1000) * MS),
                _ => sleep(random.u32(1..1000) * HOUR),
            })
            .collect();
        assert!(sleeping.iter_mut().all(|sleep| poll_once(sleep).is_pending()));
        assert_eq!(metrics().timers, 1_000_000);

        // Everything up to here has fired, as this has; the others are dropped.
        sleep_until(last).await;
        // For want of budget one may yield, once.
        sleeping.retain_mut(|sleep| poll_once(sleep).is_pending() && poll_once(sleep).is_pending());
        assert_eq!((sleeping.len(), metrics().timers), (500_000, 500_000));
        drop(sleeping);
        assert_eq!(metrics().timers, 0);
    });
}

#[test]
fn dropped_sleeps_leave_nothing_behind() {
    run(async {
        let sleeping: Vec<_> = (0..1000).map(|_| spawn(sleep(HOUR))).collect();
        yield_now().await;
        assert_eq!(metrics().timers, 1000);
        for task in &sleeping {
            task.cancel();
        }
        yield_now().await;
        assert_eq!(metrics().timers, 0);

        let mut never_looked_at_again = sleep(MS);
        assert!(poll_once(&mut never_looked_at_again).is_pending());
        sleep(2 * MS).await;
        assert_eq!(metrics().timers, 1);
        drop(never_looked_at_again);
        assert_eq!(metrics().timers, 0);
    });
}

#[test]
fn a_sleep_may_be_dropped_after_its_runtime_has_ended() {
    let mut sleep = sleep(HOUR);
    run(async { assert!(poll_once(&mut sleep).is_pending()) });
    drop(sleep);
}

#[test]
fn a_sleep_outside_of_a_runtime_panics_when_it_is_polled() {
    let mut sleep = sleep(MS);
    let message = panic_of(|| poll_once(&mut sleep));
    assert!(message.starts_with("there is no runtime on this thread"), "{message}");
}

/// Its own does not run, and would never end it.
#[test]
fn a_sleep_that_was_begun_in_one_runtime_ends_in_another_one() {
    bounded(|| {
        let (first, second) = (Runtime::new().unwrap(), Runtime::new().unwrap());
        let mut begun = sleep(5 * MS);
        let mut limit = Box::pin(timeout(5 * MS, pending::<()>()));
        let mut ticks = interval(HOUR);
        first.block_on(async {
            assert!(poll_once(&mut begun).is_pending() && poll_once(&mut limit).is_pending());
            assert!(poll_once(&mut Box::pin(ticks.tick())).is_pending());
        });
        assert_eq!(first.metrics().timers, 3);
        second.block_on(async {
            begun.await;
            assert_eq!(limit.await, Err(Elapsed));
            ticks.tick().await;
        });
        assert_eq!((first.metrics().timers, second.metrics().timers), (0, 0));
        // And nowhere, without one that runs.
        let mut begun = sleep(5 * MS);
        first.block_on(async { assert!(poll_once(&mut begun).is_pending()) });
        let message = panic_of(|| poll_once(&mut begun));
        assert!(message.starts_with("there is no runtime on this thread"), "{message}");
    });
}

#[test]
fn a_sleep_can_be_moved_while_a_task_awaits_it_and_after_it_has_ended() {
    run(async {
        // Earlier, when this task waits for it already; it is not polled again before it is over.
        let mut far = sleep(HOUR);
        let start = Instant::now();
        assert!(once(Pin::new(&mut far)).await.is_pending());
        far.reset(start + 3 * MS);
        assert_eq!((far.deadline(), metrics().timers), (start + 3 * MS, 1));
        pending_until_woken().await;
        assert!(start.elapsed() >= 3 * MS && poll_once(&mut far).is_ready());
        assert_eq!(metrics().timers, 0);

        // Later, before and after its end.
        far.reset(Instant::now() + 2 * MS);
        assert!(poll_once(&mut far).is_pending());
        let later = Instant::now() + 5 * MS;
        far.reset(later);
        (&mut far).await;
        assert!(Instant::now() >= later);
        let again = Instant::now() + 2 * MS;
        far.reset(again);
        far.await;
        assert!(Instant::now() >= again);
        assert_eq!(metrics().timers, 0);
    });
}

/// Pending once: its task goes on when something else wakes it.
async fn pending_until_woken() {
    let mut is_woken = false;
    poll_fn(|_| if mem::replace(&mut is_woken, true) { Poll::Ready(()) } else { Poll::Pending })
        .await;
}

// Timeouts

#[test]
fn a_timeout_gives_the_output_of_a_future_that_ends_in_time() {
    run(async {
        assert_eq!(timeout(HOUR, async { sleep(MS).await }).await, Ok(()));
        assert_eq!(timeout(HOUR, ready(5)).await, Ok(5));
        assert_eq!(timeout(Duration::ZERO, ready(5)).await, Ok(5), "ready is in time");
        assert_eq!(timeout(Duration::MAX, sleep(MS)).await, Ok(()));
        assert_eq!(metrics().timers, 0);
    });
}

#[test]
fn a_timeout_drops_its_future_once_when_the_time_is_up() {
    let drops = Drops::default();
    run(async {
        for limit in [Duration::ZERO, MS] {
            let guard = drops.guard();
            let start = Instant::now();
            let late = timeout(limit, async move {
                let _guard = guard;
                pending::<()>().await;
            });
            assert_eq!(late.await, Err(Elapsed));
            assert!(start.elapsed() >= limit);
        }
        assert_eq!((drops.count(), metrics().timers), (2, 0));
    });
    assert_eq!(drops.count(), 2);
}

#[test]
fn a_timeout_that_is_dropped_drops_its_future_once() {
    let drops = Drops::default();
    run(async {
        let guard = drops.guard();
        let mut late = Box::pin(timeout(HOUR, async move {
            let _guard = guard;
            pending::<()>().await;
        }));
        assert!(poll_once(&mut late).is_pending());
        assert_eq!((drops.count(), metrics().timers), (0, 1));
        drop(late);
        assert_eq!((drops.count(), metrics().timers), (1, 0));
    });
}

#[test]
fn a_future_that_is_ready_when_the_time_is_up_counts_as_in_time() {
    run(async {
        // When the loop runs next, this sleep and the time are both over.
        let busy = async {
            let mut sleep = sleep(Duration::ZERO);
            assert!(poll_once(&mut sleep).is_pending());
            thread::sleep(3 * MS);
            sleep.await;
        };
        assert_eq!(timeout(MS, busy).await, Ok(()));
    });
}

/// As if it were cancelled on the spot: it cannot go on for as long as it only yields.
#[test]
fn a_timeout_of_zero_ends_a_future_where_it_first_waits() {
    run(async {
        let passed = Instant::now();
        let polls = Cell::new(0);
        let yields = async || {
            polls.set(polls.get() + 1);
            yield_now().await;
            polls.set(polls.get() + 1);
        };
        assert_eq!(timeout(Duration::ZERO, yields()).await, Err(Elapsed));
        assert_eq!(timeout_at(passed, yields()).await, Err(Elapsed));
        assert_eq!(wait_for(yields(), Duration::ZERO).await, Err(Elapsed));
        assert_eq!(timeout_scope(passed, async |_| yields().await).await, Err(Elapsed));
        let moved = timeout_scope(None, async |scope| {
            scope.reschedule(passed);
            yields().await;
        });
        assert_eq!(moved.await, Err(Elapsed));
        assert_eq!((polls.get(), metrics().timers), (5, 0));
        // But it may take as long as it likes without.
        assert_eq!(timeout_at(passed, async { thread::sleep(MS) }).await, Ok(()));
    });
}

/// What its task has done before it in this poll is not its fault.
#[test]
fn a_future_that_was_not_tried_for_want_of_budget_is_in_time() {
    run(async {
        let queue = Queue::unbounded();
        let free = Semaphore::new(1);
        let use_up = || while poll_once(&mut Box::pin(free.acquire())).is_ready() {};
        // A limit that is over before its first poll has another outcome.
        pause();
        let passed = now();
        // Begun, with a limit that is up when the item is there.
        type Limited<'a> = Pin<Box<dyn Future<Output = Result<u8, Elapsed>> + 'a>>;
        let get = async || {
            yield_now().await;
            queue.get().await.unwrap()
        };
        for number in 0..4 {
            let deadline = now() + MS;
            let mut limited: Limited<'_> = match number {
                0 => Box::pin(timeout(MS, get())),
                1 => Box::pin(timeout_at(deadline, get())),
                2 => Box::pin(wait_for(get(), MS)),
                _ => Box::pin(timeout_scope(deadline, async |_| get().await)),
            };
            assert_eq!(poll_once(&mut limited), Poll::Pending, "{number}");
            sleep(2 * MS).await;
            queue.try_put(5).unwrap();
            use_up();
            assert_eq!(limited.await, Ok(5), "{number}");
        }
        // Without any time, the budget used up before it is polled, or by itself.
        queue.try_put(5).unwrap();
        use_up();
        assert_eq!(timeout(Duration::ZERO, queue.get()).await, Ok(Ok(5)));
        queue.try_put(5).unwrap();
        use_up();
        assert_eq!(timeout_at(passed, queue.get()).await, Ok(Ok(5)));
        queue.try_put(5).unwrap();
        let long = timeout_at(passed, async {
            use_up();
            queue.get().await
        });
        assert_eq!(long.await, Ok(Ok(5)));
        // Beside a sleep that is over.
        let mut over = sleep(MS);
        assert!(poll_once(&mut over).is_pending());
        let mut item = Box::pin(get());
        assert!(poll_once(&mut item).is_pending());
        sleep(2 * MS).await;
        queue.try_put(5).unwrap();
        use_up();
        assert!(matches!(select(item, over).await, Either::Left((5, _))));
    });
}

#[test]
fn a_limit_ends_a_future_that_uses_up_its_budget_again_and_again() {
    run(async {
        let free = Semaphore::new(1);
        let busy = async || loop {
            drop(free.acquire().await.unwrap());
        };
        assert_eq!(timeout(MS, busy()).await, Err(Elapsed));
        assert_eq!(timeout(Duration::ZERO, busy()).await, Err(Elapsed));
        let scope = timeout_scope(Instant::now() + MS, async |_| busy().await);
        assert_eq!(scope.await, Err(Elapsed));
        let select = select(Box::pin(busy()), sleep(MS));
        assert!(matches!(select.await, Either::Right(_)));
    });
}

#[test]
fn the_nearest_deadline_of_nested_timeouts_counts() {
    run(async {
        let outer = timeout(MS, timeout(HOUR, pending::<()>()));
        assert_eq!(outer.await, Err(Elapsed));
        let inner = timeout(HOUR, timeout(MS, pending::<()>()));
        assert_eq!(inner.await, Ok(Err(Elapsed)));
        let deadline = Instant::now() + MS;
        let deepest = timeout_at(deadline, timeout(HOUR, timeout_at(deadline, ready(5))));
        assert_eq!(deepest.await, Ok(Ok(Ok(5))));
        assert_eq!(metrics().timers, 0);
    });
}

#[test]
fn elapsed_is_an_error_like_any_other() {
    assert_eq!(Elapsed.to_string(), "deadline elapsed");
    assert_eq!(io::Error::from(Elapsed).kind(), io::ErrorKind::TimedOut);
}

// The kernel's own timeouts

#[test]
fn a_sleep_in_the_kernel_is_less_than_a_millisecond_late() {
    run(assert_punctual(async |length| kernel_sleep(length).await.unwrap()));
}

#[test]
fn a_dropped_sleep_in_the_kernel_leaves_nothing_there() {
    run(async {
        until_bell_is_polled().await;
        let bell = metrics().in_kernel;
        let mut sleeping: Vec<_> = (0..100).map(|_| Box::pin(kernel_sleep(HOUR))).collect();
        assert!(sleeping.iter_mut().all(|sleep| poll_once(sleep).is_pending()));
        until(|| metrics().queued == 0).await;
        assert_eq!(metrics().in_kernel, bell + 100);
        drop(sleeping);
        until(|| metrics().in_kernel == bell && metrics().queued == 0).await;
    });
}

#[test]
fn a_sleep_in_the_kernel_may_be_longer_than_any_clock() {
    run(async {
        let mut longest = pin!(kernel_sleep(Duration::MAX));
        assert!(timeout(5 * MS, longest.as_mut()).await.is_err(), "it has not ended");
    });
}

#[test]
fn the_limit_of_a_connect_may_be_longer_than_any_clock() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        TcpStream::connect_timeout(address, Duration::MAX).await.unwrap();
    });
}
