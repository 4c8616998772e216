//! A runtime as the guest of another event loop: here one on `poll(2)` that waits for nothing else.

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Poll, Waker};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use annulus::blocking::to_thread;
use annulus::join::shield;
use annulus::net::{Polled, TcpListener};
use annulus::task::ThreadBound;
use annulus::time::sleep;
use annulus::{Guest, Runtime, Turn, is_running};
use futures_util::FutureExt;

use crate::common::bounded::bounded;
use crate::common::drops::Drops;
use crate::common::net::connected;
use crate::common::panics::panic_of;
use crate::common::patience::{limit, patient};
use crate::common::polled;

const HOUR: Duration = Duration::from_secs(3600);

/// Long enough for another thread to find this one asleep, mostly.
const QUIET: Duration = Duration::from_millis(20);

fn guest() -> Guest {
    Runtime::new().unwrap().into_guest().unwrap()
}

fn turn(guest: &Guest) -> Turn {
    guest.turn(Some(Duration::ZERO))
}

/// Waits for the guest's descriptor, for ever if there is no limit. Returns whether it is readable.
fn is_readable(guest: &Guest, limit: Option<Duration>) -> bool {
    let millis = limit.map_or(-1, |limit| limit.as_micros().div_ceil(1000).try_into().unwrap());
    let mut poll = libc::pollfd { fd: guest.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: the call reads and writes one `pollfd`.
    unsafe { libc::poll(&mut poll, 1, millis) > 0 }
}

/// Makes turns until it is over, and sleeps between them for as long as they allow. Returns how
/// many there were.
fn run_until(guest: &Guest, is_over: impl Fn() -> bool) -> usize {
    let mut turns = 0;
    while !is_over() {
        turns += 1;
        let turn = turn(guest);
        if !is_over() {
            is_readable(guest, turn.longest_wait());
        }
    }
    turns
}

fn run<T: 'static>(guest: &Guest, future: impl Future<Output = T> + 'static) -> T {
    let output = Rc::new(RefCell::new(None));
    let its = Rc::clone(&output);
    drop(guest.spawn(async move {
        let output = future.await;
        its.replace(Some(output));
    }));
    run_until(guest, || output.borrow().is_some());
    output.take().unwrap()
}

/// Makes turns until a thread has ended, and returns how many there were. Its end wakes the guest.
fn join<T: Send + 'static>(guest: &Guest, thread: JoinHandle<T>) -> (T, usize) {
    let joining = guest.spawn(async { to_thread(|| thread.join().unwrap()).await.unwrap() });
    let turns = run_until(guest, || joining.is_finished());
    let output = joining.into_future().now_or_never().expect("it is finished");
    (output.unwrap(), turns)
}

/// Makes turns until the outer event loop may wait. Returns for how long, because of timers.
fn settle(guest: &Guest) -> Option<Duration> {
    loop {
        let turn = turn(guest);
        if !turn.is_ready && !is_readable(guest, Some(Duration::ZERO)) {
            return turn.next_timer;
        }
    }
}

/// Whether the descriptor is not readable for a while, after a turn or two: where the ring polls
/// the bell, the kernel signals late what it cannot signal inside of a ring.
fn comes_to_rest(guest: &Guest) -> bool {
    (0..4).any(|_| {
        settle(guest);
        !is_readable(guest, Some(patient(QUIET)))
    })
}

#[test]
fn a_guest_echoes_over_tcp() {
    const MESSAGES: u64 = 500;
    bounded(|| {
        let guest = guest();
        let address = run(&guest, async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            annulus::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                loop {
                    let received = stream.recv().await.unwrap();
                    if received.is_empty() {
                        break;
                    }
                    stream.write_all(received).await.0.unwrap();
                }
            });
            address
        });
        let client = thread::spawn(move || {
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            for number in 0..MESSAGES {
                stream.write_all(&number.to_ne_bytes()).unwrap();
                let mut echo = [0; 8];
                stream.read_exact(&mut echo).unwrap();
                assert_eq!(u64::from_ne_bytes(echo), number);
            }
        });
        let ((), turns) = join(&guest, client);
        assert!(turns < 20 * MESSAGES as usize, "{turns} turns for {MESSAGES} messages");
    });
}

#[test]
fn timers_of_a_guest_bound_the_outer_wait() {
    bounded(|| {
        let guest = guest();
        assert_eq!(settle(&guest), None);
        let sleeping = guest.spawn(sleep(QUIET));
        let before = Instant::now();
        let turns = run_until(&guest, || sleeping.is_finished());
        assert!(before.elapsed() >= QUIET);
        assert!(turns < 20, "{turns} turns");
    });
}

#[test]
fn a_guest_with_nothing_to_do_lets_the_outer_loop_sleep() {
    bounded(|| {
        let guest = guest();
        let (mut stream, mut peer) = run(&guest, async { connected() });
        drop(guest.spawn(sleep(HOUR)));
        let receiving = guest.spawn(async move { stream.recv().await.unwrap().len() });
        let next_timer = settle(&guest).unwrap();
        assert!(next_timer > Duration::from_secs(1), "{next_timer:?}");
        assert!(!is_readable(&guest, Some(QUIET)), "nothing has happened");
        peer.write_all(b"hello").unwrap();
        assert!(is_readable(&guest, Some(limit())), "bytes have arrived");
        // Each message costs a few turns, and then it sleeps again.
        let turns = run_until(&guest, || receiving.is_finished());
        assert!(turns <= 3, "{turns} turns");
        settle(&guest);
        assert!(!is_readable(&guest, Some(QUIET)), "nothing has happened");
    });
}

#[test]
fn what_a_task_writes_or_closes_is_sent_before_the_outer_loop_sleeps() {
    bounded(|| {
        let guest = guest();
        let ((stream, mut peer), (dropped, closed)) =
            run(&guest, async { (connected(), connected()) });
        settle(&guest);
        drop(guest.spawn(async move {
            let mut stream = Polled::new(stream);
            polled::write(&mut stream, b"hello").await.unwrap();
            pending::<()>().await;
        }));
        drop(guest.spawn(async move { drop(dropped) }));
        while turn(&guest).is_ready {}
        peer.set_read_timeout(Some(limit())).unwrap();
        let mut bytes = [0; 5];
        peer.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"hello");
        closed.set_read_timeout(Some(limit())).unwrap();
        assert_eq!((&closed).read(&mut bytes).unwrap(), 0);
    });
}

#[test]
fn code_between_the_turns_starts_and_wakes_tasks_and_the_descriptor_tells() {
    bounded(|| {
        let guest = guest();
        assert!(is_readable(&guest, Some(Duration::ZERO)), "the first turn is due");
        settle(&guest);
        let (waker, is_woken) = (Rc::new(Cell::new(None::<Waker>)), Rc::new(Cell::new(false)));
        let (its_waker, its_sign) = (Rc::clone(&waker), Rc::clone(&is_woken));
        let task = guest.spawn(poll_fn(move |context| {
            assert!(is_running());
            its_waker.set(Some(context.waker().clone()));
            if its_sign.get() { Poll::Ready(()) } else { Poll::Pending }
        }));
        assert!(is_readable(&guest, Some(Duration::ZERO)), "a task was spawned");
        settle(&guest);
        assert!(!is_running());
        is_woken.set(true);
        waker.take().unwrap().wake();
        assert!(is_readable(&guest, Some(Duration::ZERO)), "a task was woken");
        settle(&guest);
        assert!(task.is_finished());
    });
}

#[test]
fn other_threads_end_the_sleep_of_the_outer_loop() {
    bounded(|| {
        let guest = guest();
        settle(&guest);
        let handle = guest.handle();
        let answer = thread::spawn(move || {
            thread::sleep(QUIET);
            handle.spawn(|| async { 6 * 7 }).unwrap().join_blocking().unwrap()
        });
        assert_eq!(join(&guest, answer).0, 42);

        let drops = Drops::default();
        let guard = drops.guard();
        let bound = run(&guest, async move { ThreadBound::new((guard, Rc::new(()))) });
        let dropping = thread::spawn(move || {
            thread::sleep(QUIET);
            drop(bound);
        });
        join(&guest, dropping);
        run_until(&guest, || drops.count() == 1);

        // Without an outer loop that waits.
        let handle = guest.handle();
        settle(&guest);
        let calling = thread::spawn(move || {
            thread::sleep(QUIET);
            handle.call(|| ()).unwrap().join_blocking().unwrap();
        });
        while !calling.is_finished() {
            let _ = guest.turn(Some(patient(QUIET)));
        }
        calling.join().unwrap();
        assert!(comes_to_rest(&guest));
    });
}

#[test]
fn no_wake_of_another_thread_that_races_with_the_sleep_is_lost() {
    const WAKES: u32 = 1000;
    bounded(|| {
        let guest = guest();
        let (handle, (sender, wakers)) = (guest.handle(), mpsc::channel::<Waker>());
        let waking = thread::spawn(move || {
            for (number, waker) in wakers.iter().enumerate() {
                // Sometimes before the loop sleeps, sometimes while it goes to sleep or does.
                (0..(number % 50) * 40).for_each(|_| std::hint::spin_loop());
                waker.wake();
                if number % 10 == 0 {
                    drop(handle.call(|| ()).unwrap());
                }
            }
        });
        let task = guest.spawn(async move {
            for _ in 0..WAKES {
                let mut is_sent = false;
                poll_fn(|context| {
                    if is_sent {
                        return Poll::Ready(());
                    }
                    is_sent = true;
                    sender.send(context.waker().clone()).unwrap();
                    Poll::Pending
                })
                .await;
            }
        });
        // A lost wake leaves it asleep for ever.
        run_until(&guest, || task.is_finished());
        waking.join().unwrap();
    });
}

#[test]
fn a_turn_inside_of_a_runtime_panics_and_says_so() {
    bounded(|| {
        let guest = Rc::new(guest());
        let text = panic_of(|| annulus::run(async { turn(&guest) }));
        assert!(text.contains("running a runtime already"), "{text}");
        let its = Rc::clone(&guest);
        let text = run(&guest, async move { panic_of(|| turn(&its)) });
        assert!(text.contains("running a runtime already"), "{text}");
        // It has no effect on the turns outside.
        run(&guest, sleep(Duration::from_millis(1)));
    });
}

#[test]
fn dropping_a_guest_completes_what_other_threads_work_for_and_ends_the_rest() {
    bounded(|| {
        let drops = Drops::default();
        let runtime = Runtime::builder().shield_timeout(limit()).build().unwrap();
        let guest = runtime.into_guest().unwrap();
        let guard = drops.guard();
        drop(guest.spawn(async move {
            let _guard = guard;
            pending::<()>().await;
        }));
        let is_saved = Rc::new(Cell::new(false));
        let its = Rc::clone(&is_saved);
        drop(guest.spawn(async move {
            let saving = shield(async move {
                to_thread(|| thread::sleep(QUIET)).await.unwrap();
                its.set(true);
            });
            saving.await.unwrap();
        }));
        settle(&guest);
        let (handle, before) = (guest.handle(), Instant::now());
        drop(guest);
        assert!(is_saved.get() && before.elapsed() < limit() / 2);
        assert_eq!(drops.count(), 1);
        assert!(handle.is_ended());
    });
}

#[test]
fn a_guest_with_a_paused_clock_does_not_sleep_its_hours_out() {
    bounded(|| {
        let guest = Runtime::builder().start_paused(true).build().unwrap().into_guest().unwrap();
        let sleeping = guest.spawn(sleep(HOUR));
        run_until(&guest, || sleeping.is_finished());
    });
}

#[test]
fn a_runtime_that_has_run_on_its_own_becomes_a_guest_that_sleeps() {
    bounded(|| {
        let runtime = Runtime::new().unwrap();
        // Its ring polls the bell from now on.
        runtime.block_on(sleep(Duration::from_millis(1)));
        let guest = runtime.into_guest().unwrap();
        let handle = guest.handle();
        settle(&guest);
        let calling = thread::spawn(move || {
            for _ in 0..10 {
                handle.call(|| ()).unwrap().join_blocking().unwrap();
            }
        });
        join(&guest, calling);
        assert!(comes_to_rest(&guest));
    });
}
