//! A clock that stands still: hours take a moment, deadlines come in order, and what is real stays so.

mod common;

use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use annulus::join::{call_later, to_thread};
use annulus::time::{advance, interval, now, pause, resume, sleep, sleep_until, timeout};
use annulus::{Runtime, spawn, yield_now};
use common::bounded::bounded;
use common::net::connected;
use common::watchdog::run;

const HOUR: Duration = Duration::from_secs(3600);

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
            let late = at - before - HOUR * hours;
            assert!(late < Duration::from_millis(1), "{late:?}");
        }
    });
}

#[test]
fn it_does_not_move_by_itself() {
    paused(async || {
        let before = now();
        thread::sleep(Duration::from_millis(5));
        for _ in 0..100 {
            yield_now().await;
        }
        assert_eq!(now(), before);
        sleep_until(before).await;
        assert!(now() - before < Duration::from_millis(1));
    });
}

#[test]
fn everything_of_time_goes_by_it() {
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
        assert!(called.borrow().unwrap() - before < HOUR + Duration::from_millis(1));
    });
}

#[test]
fn it_is_moved_by_hand() {
    paused(async || {
        let task = spawn(sleep(HOUR));
        advance(HOUR - Duration::from_secs(1)).await;
        assert!(!task.is_finished());
        advance(Duration::from_secs(2)).await;
        assert!(task.is_finished());
    });
}

#[test]
#[should_panic(expected = "only a paused clock can be moved")]
fn one_that_goes_cannot_be_moved() {
    run(advance(HOUR));
}

#[test]
fn it_can_be_paused_and_go_on_and_never_goes_back() {
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

/// A peer that answers at once is heard before an hour has gone by.
#[test]
fn bytes_on_their_way_come_before_the_deadline() {
    paused(async || {
        for _ in 0..20 {
            let (mut stream, mut peer) = connected();
            let answer = thread::spawn(move || {
                peer.write_all(b"answer").unwrap();
                peer
            });
            let lease = timeout(HOUR, stream.recv()).await.expect("in time").unwrap();
            assert!(!lease.is_empty());
            drop(answer.join().unwrap());
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
        let slow = to_thread(|| thread::sleep(Duration::from_millis(300)));
        assert!(timeout(Duration::from_millis(20), slow).await.is_err());
    });
}

/// A signal ends a wait in the kernel before its time.
#[test]
fn a_signal_does_not_make_it_jump_over_a_closure() {
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
