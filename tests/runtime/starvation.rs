//! Nothing that is always ready keeps the rest waiting: not a task, not a peer, not a crowd of
//! timers.
//!
//! Where it can be counted instead of measured, it is: how often others were polled while the
//! greedy one did its work. Times are bounded generously; a loop that starves does not come near
//! them.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::Write;
use std::net;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use annulus::buf::BufResult;
use annulus::join::gather;
use annulus::net::{ListenOptions, TcpListener, TcpStream};
use annulus::sync::Semaphore;
use annulus::task::JoinHandle;
use annulus::time::{interval, now, pause, resume, sleep, sleep_until};
use annulus::{metrics, spawn, yield_now};

use crate::common::conditions::until;
use crate::common::pair::{ask, echo, pair};
use crate::common::watchdog::run;
use crate::turns::processor_time;

const CONNECTIONS: usize = 100;
const ECHOES: usize = 30;

/// Has many connections echo, and says how often an interval of 5 ms ticked meanwhile.
async fn echo_on_many_connections() {
    let start = processor_time();
    let ticks = Rc::new(Cell::new(0));
    let its = Rc::clone(&ticks);
    let ticking = spawn(async move {
        let mut interval = interval(Duration::from_millis(5));
        loop {
            interval.tick().await;
            its.set(its.get() + 1);
        }
    });
    let mut clients = Vec::new();
    for number in 0..CONNECTIONS {
        let (mut near, far) = pair().await;
        spawn(echo(far));
        clients.push(spawn(async move {
            for round in 0..ECHOES {
                ask(&mut near, format!("{number}: {round}").as_bytes()).await;
            }
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
    // Of the time that this thread ran: with other programs beside it that may be a small part.
    let periods = (processor_time() - start).as_millis() / 5;
    ticking.cancel();
    // Ticks are missed where a turn takes longer than a period. Under a loop that starves them,
    // there are none.
    assert!(ticks.get() >= periods / 10, "{} ticks in {periods} periods", ticks.get());
}

/// The same, until a greedy task has done its work beside it; for ever, if that is starved. It may
/// need another thread, which may have to wait for a processor for longer than this takes.
async fn echo_on_many_connections_until(has_worked: impl Fn() -> bool) {
    loop {
        echo_on_many_connections().await;
        if has_worked() {
            return;
        }
    }
}

/// A counter of how often another task is polled.
fn count_turns() -> (Rc<Cell<usize>>, JoinHandle<()>) {
    let turns = Rc::new(Cell::new(0));
    let its = Rc::clone(&turns);
    let counting = spawn(async move {
        loop {
            its.set(its.get() + 1);
            yield_now().await;
        }
    });
    (turns, counting)
}

#[test]
fn a_task_that_always_yields_starves_neither_connections_nor_timers() {
    run(async {
        let (turns, yielding) = count_turns();
        echo_on_many_connections().await;
        assert!(turns.get() > 1000, "it was not starved either");
        yielding.cancel();
    });
}

#[test]
fn a_task_whose_timers_are_always_due_starves_neither_connections_nor_timers() {
    run(async {
        spawn(async {
            loop {
                sleep(Duration::ZERO).await;
            }
        });
        echo_on_many_connections().await;
    });
}

#[test]
fn a_task_that_is_always_woken_from_another_thread_starves_neither_connections_nor_timers() {
    run(async {
        let woken = Rc::new(Cell::new(0));
        let its = Rc::clone(&woken);
        let (sender, wakers) = mpsc::channel();
        let waking = thread::spawn(move || wakers.iter().for_each(Waker::wake));
        let always_woken = spawn(poll_fn(move |context| {
            its.set(its.get() + 1);
            sender.send(context.waker().clone()).unwrap();
            Poll::<()>::Pending
        }));
        echo_on_many_connections_until(|| woken.get() > 100).await;
        always_woken.cancel();
        always_woken.await.unwrap_err();
        waking.join().unwrap();
    });
}

#[test]
fn a_task_that_joins_finished_tasks_lets_other_tasks_run() {
    const TASKS: usize = 20_000;
    run(async {
        let tasks: Vec<_> = (0..TASKS).map(|number| spawn(async move { number })).collect();
        until(|| tasks.iter().all(JoinHandle::is_finished)).await;
        let (turns, counting) = count_turns();
        for (number, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await.unwrap(), number);
        }
        assert!(turns.get() >= TASKS / 256, "{} turns beside {TASKS} joins", turns.get());
        counting.cancel();
    });
}

/// The budget belongs to the poll of the task: the futures that it polls side by side share it.
#[test]
fn a_task_that_polls_many_futures_that_are_always_ready_lets_other_tasks_run() {
    const CHILDREN: usize = 100;
    const TIMES: usize = 1000;
    run(async {
        let (turns, counting) = count_turns();
        let semaphore = Semaphore::new(CHILDREN);
        let children = (0..CHILDREN).map(|_| async {
            for _ in 0..TIMES {
                drop(semaphore.acquire().await.unwrap());
            }
        });
        gather(children.collect::<Vec<_>>()).await;
        let fair = CHILDREN * TIMES / 256;
        assert!(turns.get() >= fair, "{} turns, and not {fair}", turns.get());
        counting.cancel();
    });
}

#[test]
fn a_task_that_accepts_waiting_connections_lets_other_tasks_run() {
    const CLIENTS: usize = 512;
    run(async {
        let options = ListenOptions::new().max_pending(CLIENTS);
        let listener = TcpListener::bind_with("127.0.0.1:0", &options).await.unwrap();
        let address = listener.local_addr().unwrap();
        let connect = |_| net::TcpStream::connect(address).unwrap();
        let mut clients = vec![connect(0)];
        let mut accepted = vec![listener.accept().await.unwrap()];
        clients.extend((1..CLIENTS).map(connect));
        // By the end of this turn, the multishot accept has accepted them all.
        sleep(Duration::from_millis(1)).await;
        let (turns, counting) = count_turns();
        while accepted.len() < CLIENTS {
            accepted.push(listener.accept().await.unwrap());
        }
        assert!(turns.get() >= CLIENTS / 256, "{} turns beside {CLIENTS} accepts", turns.get());
        counting.cancel();
    });
}

#[test]
fn a_peer_that_never_stops_sending_starves_neither_connections_nor_timers() {
    run(async {
        let (flooding, mut flooded) = std_pair().await;
        let flood = thread::spawn(move || {
            let bytes = vec![7; 1 << 16];
            while (&flooding).write_all(&bytes).is_ok() {}
        });
        let received = Rc::new(Cell::new(0));
        let its = Rc::clone(&received);
        let sink = spawn(async move {
            let mut buffer = Vec::with_capacity(512);
            loop {
                let BufResult(count, filled) = flooded.read(buffer).await;
                its.set(its.get() + count.unwrap());
                buffer = filled;
            }
        });
        echo_on_many_connections_until(|| received.get() > 1 << 16).await;
        // With the stream, the connection is gone, and so the flood ends.
        sink.cancel();
        sink.await.unwrap_err();
        until(|| flood.is_finished()).await;
        flood.join().unwrap();
    });
}

/// A connection whose near end is the standard library's.
async fn std_pair() -> (net::TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (near, listener.accept().await.unwrap().0)
}

// All tasks become ready at one time. Were they all woken and run in one turn, the connection would
// wait for all of them; a turn is bounded, so it goes on in between.
#[test]
fn ten_thousand_timers_that_fire_at_once_do_not_hold_up_a_connection() {
    const TIMERS: usize = 10_000;
    run(async {
        let (mut near, far) = pair().await;
        spawn(echo(far));
        let fired = Rc::new(Cell::new(0));
        // The clock is paused until all of them have started, however long that takes.
        pause();
        let deadline = now() + Duration::from_millis(50);
        let sleeping = (0..TIMERS).map(|_| {
            let fired = Rc::clone(&fired);
            spawn(async move {
                sleep_until(deadline).await;
                fired.set(fired.get() + 1);
            })
        });
        let sleeping: Vec<_> = sleeping.collect();
        while metrics().timers < TIMERS {
            yield_now().await;
        }
        resume();
        let mut echoes_meanwhile = 0;
        while fired.get() < TIMERS {
            ask(&mut near, b"are you there?").await;
            echoes_meanwhile += usize::from((1..TIMERS).contains(&fired.get()));
        }
        assert!(echoes_meanwhile >= 5, "{echoes_meanwhile} echoes while {TIMERS} timers fired");
        for task in sleeping {
            task.await.unwrap();
        }
    });
}
