//! Counters that other threads add to.

use std::thread;

use annulus::io::EventFd;

use crate::common::watchdog::run;

/// How many threads add, and how often each.
const THREADS: u64 = 4;
const ADDITIONS: u64 = 250;

/// The task waits time and again, so that additions come at any moment of a wait.
#[test]
fn what_several_threads_add_is_taken_to_the_last() {
    run(async {
        let counter = EventFd::new(0).unwrap();
        let adding: Vec<_> = (0..THREADS)
            .map(|_| {
                let handle = counter.handle();
                thread::spawn(move || (0..ADDITIONS).for_each(|_| handle.add(1).unwrap()))
            })
            .collect();
        let mut sum = 0;
        while sum < THREADS * ADDITIONS {
            sum += counter.take().await.unwrap();
        }
        assert_eq!(sum, THREADS * ADDITIONS);
        adding.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn a_handle_on_another_thread_outlives_its_counter_and_its_runtime() {
    let handle = run(async { EventFd::new(0).unwrap().handle() });
    thread::spawn(move || handle.add(1).unwrap()).join().unwrap();
}
