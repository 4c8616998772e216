//! The paused clock: hours take a moment, deadlines come in order, and real waits stay real.

use std::cell::RefCell;
use std::io::Write;
use std::pin::pin;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use annulus::blocking::to_thread;
use annulus::sync::remote::oneshot;
use annulus::task::JoinHandle;
use annulus::time::{
    advance, call_later, interval, kernel_sleep, now, pause, resume, sleep, sleep_until, timeout,
};
use annulus::{Runtime, spawn, yield_now};
use futures_util::future::{Either, select};

use crate::common::bounded::bounded;
use crate::common::conditions::poll_once;
use crate::common::net::connected;
use crate::common::watchdog::run;

const HOUR: Duration = Duration::from_secs(3600);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

fn paused<T>(body: impl AsyncFnOnce() -> T) -> T {
    bounded(|| Runtime::builder().start_paused(true).build().unwrap().block_on(body()))
}

#[test]
fn hours_take_a_moment_and_deadlines_come_in_order() {
    paused(async || {
        let before = now();
        let order = Rc::new(RefCell::new(Vec::new()));
        let sleepers: Vec<_> = [3_u32, 1, 2]
            .map(|hours| {
                let order = Rc::clone(&order);
                spawn(async move {
                    sleep(HOUR * hours).await;
                    order.borrow_mut().push((hours, now()));
                })
            })
            .into();
        for sleeper in sleepers {
            sleeper.await.unwrap();
        }
        for (place, &(hours, at)) in order.borrow().iter().enumerate() {
            assert_eq!(hours as usize, place + 1);
            assert_eq!(at - before, HOUR * hours);
        }
    });
}

#[test]
fn a_paused_clock_does_not_move_by_itself() {
    paused(async || {
        let before = now();
        thread::sleep(Duration::from_millis(5));
        for _ in 0..100 {
            yield_now().await;
        }
        assert_eq!(now(), before);
        sleep_until(before).await;
        assert_eq!(now(), before);
    });
}

#[test]
fn everything_in_time_follows_the_paused_clock() {
    paused(async || {
        assert!(timeout(HOUR, std::future::pending::<()>()).await.is_err());
        assert!(timeout(HOUR, sleep(HOUR / 2)).await.is_ok());
        let mut ticks = interval(HOUR);
        let first = ticks.tick().await;
        assert_eq!(ticks.tick().await - first, HOUR);
        let called = Rc::new(RefCell::new(None));
        let its = Rc::clone(&called);
        let before = now();
        drop(call_later(HOUR, move || *its.borrow_mut() = Some(now())));
        sleep(HOUR * 2).await;
        assert_eq!(called.borrow().unwrap() - before, HOUR);
    });
}

#[test]
fn a_move_by_hand_ends_every_sleep_whose_deadline_has_come_and_no_other() {
    paused(async || {
        // Far more than fire in a turn of the loop, and of several slots of the wheel.
        let before = now();
        let early: Vec<_> = (0..2000).map(|n| spawn(sleep(HOUR * (n % 5) + HOUR / 2))).collect();
        let late: Vec<_> = (0..2000).map(|n| spawn(sleep(HOUR * (n % 5) + HOUR * 6))).collect();
        let ended = |tasks: &[JoinHandle<()>]| tasks.iter().filter(|t| t.is_finished()).count();
        advance(HOUR / 2 - Duration::from_secs(1)).await;
        assert_eq!((ended(&early), ended(&late)), (0, 0));
        advance(HOUR * 5 + Duration::from_secs(1)).await;
        assert_eq!((ended(&early), ended(&late)), (2000, 0));
        advance(HOUR / 2).await;
        assert_eq!(ended(&late), 400);
        assert_eq!(now() - before, HOUR * 6);
    });
}

#[test]
#[should_panic(expected = "only a paused clock can be moved")]
fn a_running_clock_cannot_be_advanced() {
    run(advance(HOUR));
}

#[test]
fn a_clock_can_be_paused_and_resumed_and_never_goes_back() {
    run(async {
        let before = now();
        pause();
        sleep(HOUR).await;
        resume();
        let after = now();
        assert!(after - before >= HOUR);
        let real = Instant::now();
        sleep(Duration::from_millis(20)).await;
        assert!(now() - after >= Duration::from_millis(20));
        assert!(real.elapsed() >= Duration::from_millis(20));
        pause();
        assert!(now() >= after);
        resume();
        resume();
    });
}

/// Also if it has not jumped meanwhile: then it is behind the system's clock from there on.
#[test]
fn a_resumed_clock_continues_from_where_it_was_paused() {
    run(async {
        pause();
        let paused_at = now();
        thread::sleep(Duration::from_millis(400));
        assert_eq!(now(), paused_at);
        let resumed = Instant::now();
        resume();
        let gone = now() - paused_at;
        assert!(gone <= resumed.elapsed(), "it jumped by {gone:?}");
        // And again, so that pauses add up.
        pause();
        pause();
        let paused_at = now();
        thread::sleep(Duration::from_millis(20));
        let resumed = Instant::now();
        resume();
        let gone = now() - paused_at;
        assert!(gone <= resumed.elapsed(), "it jumped by {gone:?}");
    });
}

#[test]
fn a_pause_uses_up_nothing_of_a_sleep() {
    run(async {
        let length = Duration::from_millis(100);
        let mut sleeping = sleep(length);
        assert!(poll_once(&mut sleeping).is_pending());
        pause();
        let left = sleeping.deadline().saturating_duration_since(now());
        // What a test sets up may take real time.
        thread::sleep(length * 3);
        let resumed = Instant::now();
        resume();
        sleeping.await;
        assert!(resumed.elapsed() >= left, "{:?} instead of {left:?}", resumed.elapsed());
    });
}

#[test]
fn hours_pass_also_in_hundreds_of_years() {
    paused(async || {
        for _ in 0..8 {
            advance(YEAR * 25).await;
            let before = now();
            sleep(HOUR).await;
            assert_eq!(now() - before, HOUR);
        }
        for _ in 0..8 {
            let deadline = now() + YEAR * 100;
            sleep_until(deadline).await;
            assert_eq!(now(), deadline);
        }
    });
}

#[test]
fn a_paused_clock_can_be_advanced_by_any_time_and_any_number_of_times() {
    paused(async || {
        for _ in 0..12 {
            let before = now();
            advance(Duration::MAX).await;
            assert!(now() - before > YEAR * 100);
            advance(Duration::from_secs(i64::MAX as u64 - (1 << 36))).await;
            let before = now();
            sleep(Duration::from_millis(1)).await;
            assert_eq!(now() - before, Duration::from_millis(1));
            drop(sleep(Duration::MAX));
        }
    });
}

/// Another thread wakes this one, of which the clock does not know. A limit that is none, and a
/// sleep that stands for "never", must not be over meanwhile.
#[test]
fn a_paused_clock_does_not_jump_to_a_deadline_that_means_never() {
    paused(async || {
        let before = now();
        let (sender, receiver) = oneshot::channel();
        let asleep = spawn(sleep(Duration::MAX));
        let mut ticks = interval(Duration::MAX);
        ticks.tick().await;
        let answer = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            sender.send(5).unwrap();
        });
        let tick = pin!(ticks.tick());
        let answered = timeout(Duration::MAX, select(tick, receiver)).await;
        assert!(matches!(answered, Ok(Either::Right((Ok(5), _)))), "it jumped");
        assert!(!asleep.is_finished());
        assert!(now() - before < HOUR);
        answer.join().unwrap();
        // It does not hide the deadlines that do come.
        sleep(HOUR).await;
    });
}

/// What the kernel has in hand is heard before an hour has gone by. (A peer on another thread may
/// have to wait for a processor, for longer than the clock waits for the kernel.)
#[test]
fn what_the_kernel_completes_soon_comes_before_the_deadline() {
    paused(async || {
        for _ in 0..20 {
            let answer = timeout(HOUR, kernel_sleep(Duration::from_millis(1)));
            answer.await.expect("in time").unwrap();
            let (mut stream, mut peer) = connected();
            peer.write_all(b"answer").unwrap();
            let lease = timeout(HOUR, stream.recv()).await.expect("in time").unwrap();
            assert!(!lease.is_empty());
        }
    });
}

#[test]
fn a_closure_on_a_thread_is_waited_for() {
    paused(async || {
        for _ in 0..20 {
            let outcome =
                timeout(HOUR, to_thread(|| thread::sleep(Duration::from_millis(2)))).await;
            outcome.expect("in time").unwrap();
        }
        // But for no longer than it takes in real time.
        let (release, held) = mpsc::channel::<()>();
        let slow = to_thread(move || held.recv());
        assert!(timeout(Duration::from_millis(20), slow).await.is_err());
        drop(release);
    });
}

/// A signal ends a wait in the kernel before its time.
#[test]
fn a_signal_does_not_make_a_paused_clock_jump_over_a_closure() {
    extern "C" fn nothing(_signal: libc::c_int) {}
    // SAFETY: the handler does nothing.
    unsafe { libc::signal(libc::SIGUSR1, nothing as *const () as libc::sighandler_t) };
    paused(async || {
        // SAFETY: the call has no conditions.
        let this_thread = unsafe { libc::pthread_self() };
        let mut signalling = to_thread(move || {
            for _ in 0..20 {
                thread::sleep(Duration::from_millis(5));
                // SAFETY: the thread does not end before this closure.
                assert_eq!(unsafe { libc::pthread_kill(this_thread, libc::SIGUSR1) }, 0);
            }
        });
        let in_time = timeout(HOUR, &mut signalling).await.is_ok();
        if !in_time {
            signalling.await.unwrap();
        }
        assert!(in_time);
    });
}
