//! Sleeps, timeouts and intervals: never early, hardly late, in order, and gone when they are over.
//!
//! Lateness is judged beside that of a thread which sleeps, and by the lower quartile, so that a
//! machine that is busy elsewhere proves nothing.

mod common;

use std::future::{pending, ready};
use std::io;
use std::pin::pin;
use std::thread;
use std::time::{Duration, Instant};

use annulus::net::{TcpListener, TcpStream};
use annulus::time::{
    Elapsed, interval, interval_at, kernel_sleep, sleep, sleep_until, timeout, timeout_at,
};
use annulus::{metrics, spawn, yield_now};

use common::conditions::{Log, poll_once, until};
use common::drops::Drops;
use common::panics::panic_of;
use common::patience::patient;
use common::watchdog::{Watchdog, run};

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
    assert!(lower_quartile(&mut late) < lower_quartile(&mut system_late) + MS, "{late:?}");
}

fn lower_quartile(durations: &mut [Duration]) -> Duration {
    durations.sort_unstable();
    durations[durations.len() / 4]
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
        // Steps of 10 µs: many share a tick of the wheel, and many fire in one turn. All are started
        // long before the first is due.
        let start = Instant::now() + 500 * MS;
        let mut numbers: Vec<u32> = (0..2000).collect();
        fastrand::Rng::with_seed(7).shuffle(&mut numbers);
        let sleeping = numbers.into_iter().map(|number| {
            let log = log.clone();
            spawn(async move {
                sleep_until(start + number * Duration::from_micros(10)).await;
                log.push(number);
            })
        });
        for task in sleeping.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    });
    assert!(log.take().into_iter().eq(0..2000));
}

#[test]
fn a_sleep_of_no_duration_gives_every_ready_task_its_turn() {
    run(async {
        let others = [(); 100].map(|()| spawn(async {}));
        sleep(Duration::ZERO).await;
        assert!(others.iter().all(annulus::JoinHandle::is_finished));
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
        sleeping.retain_mut(|sleep| poll_once(sleep).is_pending());
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
        // When the loop has its turn, this sleep and the time are both over.
        let busy = async {
            let mut sleep = sleep(Duration::ZERO);
            assert!(poll_once(&mut sleep).is_pending());
            thread::sleep(3 * MS);
            sleep.await;
        };
        assert_eq!(timeout(MS, busy).await, Ok(()));
    });
}

#[test]
fn of_nested_timeouts_the_nearest_deadline_counts() {
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
    assert_eq!(Elapsed.to_string(), "the time was up");
    assert_eq!(io::Error::from(Elapsed).kind(), io::ErrorKind::TimedOut);
}

// Intervals

#[test]
fn an_interval_ticks_on_its_grid() {
    run(async {
        let start = Instant::now() + MS;
        let mut interval = interval_at(start, 2 * MS);
        assert_eq!(interval.period(), 2 * MS);
        for _ in 0..10 {
            let due = interval.tick().await;
            assert!(due <= Instant::now(), "early");
            assert_eq!((due - start).as_nanos() % (2 * MS).as_nanos(), 0, "off the grid");
        }
    });
}

#[test]
fn an_interval_skips_the_ticks_that_nobody_waited_for() {
    run(async {
        let mut interval = interval(10 * MS);
        let first = interval.tick().await;
        thread::sleep(35 * MS);
        // The one that is due comes at once, late; those that were missed behind it do not.
        assert_eq!(interval.tick().await, first + 10 * MS);
        let next = interval.tick().await;
        assert!(next >= first + 40 * MS, "{:?}", next - first);
        assert_eq!((next - first).as_nanos() % (10 * MS).as_nanos(), 0, "off the grid");
    });
}

#[test]
fn a_dropped_tick_is_not_lost() {
    run(async {
        let start = Instant::now() + 5 * MS;
        let mut interval = interval_at(start, HOUR);
        assert!(poll_once(&mut Box::pin(interval.tick())).is_pending());
        assert_eq!(interval.tick().await, start);
    });
}

#[test]
fn an_interval_without_a_period_panics() {
    assert_eq!(panic_of(|| interval(Duration::ZERO)), "an interval needs a period");
}

// The longest period is how one says "never again"; a sleep of that length is allowed too.
#[test]
fn an_interval_may_have_the_longest_period() {
    run(async {
        let mut interval = interval(Duration::MAX);
        interval.tick().await;
        assert!(timeout(MS, interval.tick()).await.is_err());
    });
}

// The kernel's own timeouts

#[test]
fn a_sleep_in_the_kernel_is_less_than_a_millisecond_late() {
    run(assert_punctual(async |length| kernel_sleep(length).await.unwrap()));
}

#[test]
fn a_dropped_sleep_in_the_kernel_leaves_nothing_there() {
    run(async {
        let bell = {
            sleep(MS).await;
            metrics().in_kernel
        };
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
