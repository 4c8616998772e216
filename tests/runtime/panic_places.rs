//! A panic about a wrong argument or a wrong place points at the caller, not into the library.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::time::Duration;

use annulus::Builder;
use annulus::blocking::{ThreadPool, to_thread};
use annulus::join::shield;
use annulus::net::{ConnectOptions, ServerOptions};
use annulus::sync::{
    Barrier, BoundedSemaphore, LifoQueue, PriorityQueue, Queue, Semaphore, broadcast, remote,
};
use annulus::time::{self, call_at, call_later, call_soon, interval, sleep};

use crate::common::manual_executor::now;
use crate::common::watchdog::run;

thread_local! {
    /// Where the newest panic of this thread was.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Expects a panic that points into this file.
#[track_caller]
fn points_here<T>(call: impl FnOnce() -> T) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        // The tests of this binary share the hook, so what it did before, it still does.
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PLACE.set(info.location().expect("a place").file().to_owned());
            others(info);
        }));
    });
    assert!(catch_unwind(AssertUnwindSafe(call)).is_err(), "it panics");
    assert_eq!(PLACE.take(), file!(), "where the panic points");
}

#[test]
fn what_has_room_for_nothing_panics_at_its_caller() {
    points_here(|| Queue::<u8>::bounded(0));
    points_here(|| LifoQueue::<u8>::bounded(0));
    points_here(|| PriorityQueue::<u8>::bounded(0));
    points_here(|| remote::channel::<u8>(0));
    points_here(|| broadcast::channel::<u8>(0));
    points_here(|| Barrier::new(0));
    points_here(|| ThreadPool::new(0, Duration::ZERO));
}

#[test]
fn options_that_make_no_runtime_panic_at_their_caller() {
    points_here(|| Builder::new().min_wait(0, Duration::ZERO));
    points_here(|| Builder::new().max_kernel_workers(0));
    points_here(|| Builder::new().large_buffers(0, 1));
    points_here(|| Builder::new().small_buffers(1, 0));
    points_here(|| Builder::new().direct_descriptors(u32::MAX));
    points_here(|| Builder::new().max_polls_per_turn(0));
    points_here(|| Builder::new().max_remote_calls(0));
    points_here(|| ServerOptions::new().reader_limit(0));
    points_here(|| ConnectOptions::new().reader_limit(0));
}

#[test]
fn too_many_permits_panic_at_their_caller() {
    points_here(|| Semaphore::new(usize::MAX));
    points_here(|| BoundedSemaphore::new(usize::MAX));
    points_here(|| Semaphore::new(1).add_permits(usize::MAX));
}

#[test]
fn what_is_given_back_too_often_panics_at_its_caller() {
    points_here(|| BoundedSemaphore::new(1).release());
    points_here(|| Queue::<u8>::unbounded().task_done());
}

#[test]
fn what_needs_a_runtime_panics_at_its_caller_without_one() {
    points_here(|| to_thread(|| ()));
    points_here(|| ThreadPool::new(1, Duration::ZERO).spawn(|| ()));
    points_here(|| call_soon(|| ()));
    points_here(|| annulus::Handle::current());
    points_here(|| call_later(Duration::ZERO, || ()));
    points_here(|| call_at(std::time::Instant::now(), || ()));
    points_here(|| shield(async {}));
    points_here(|| annulus::join::TaskSet::new().spawn(async {}));
    points_here(|| annulus::join::TaskSet::new().spawn_named("named", async {}));
}

#[test]
fn what_needs_a_clock_panics_at_its_caller_without_one() {
    points_here(|| now(async { sleep(Duration::ZERO).await }));
    points_here(|| time::pause());
    points_here(|| time::resume());
}

#[test]
fn an_interval_without_a_period_panics_at_its_caller() {
    points_here(|| interval(Duration::ZERO));
    points_here(|| time::interval_at(std::time::Instant::now(), Duration::ZERO));
}

#[test]
fn what_blocks_panics_at_its_caller_in_a_task() {
    run(async {
        let (sender, mut receiver) = remote::channel(1);
        points_here(|| sender.send_blocking(1));
        sender.try_send(1).unwrap();
        points_here(|| receiver.recv_blocking());
        let call = annulus::Handle::current().call(|| ()).unwrap();
        points_here(|| call.join_blocking());
    });
}
