//! `Shutdown`: a request that tasks of every runtime see, made on any thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use annulus::{Shutdown, spawn};

use crate::common::bounded::bounded;
use crate::common::rounds::rounds;
use crate::common::watchdog::run;

/// Tasks of several runtimes begin to wait while a plain thread requests and forces: a wake-up that
/// is lost between the look at the token and the wait would leave one waiting for ever.
#[test]
fn no_task_misses_a_request_that_another_thread_makes_while_it_begins_to_wait() {
    bounded(|| {
        for round in 0..rounds(100) {
            let shutdown = Shutdown::new();
            let woken = Arc::new(AtomicUsize::new(0));
            let runtimes: Vec<_> = (0..3)
                .map(|_| {
                    let (shutdown, woken) = (shutdown.clone(), Arc::clone(&woken));
                    thread::spawn(move || run(wait_in_tasks(shutdown, woken)))
                })
                .collect();
            for _ in 0..round * 20 {
                std::hint::spin_loop();
            }
            shutdown.request();
            shutdown.force();
            for runtime in runtimes {
                runtime.join().unwrap();
            }
            assert_eq!(woken.load(Ordering::SeqCst), 3 * 8);
        }
    });
}

async fn wait_in_tasks(shutdown: Shutdown, woken: Arc<AtomicUsize>) {
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (shutdown, woken) = (shutdown.clone(), Arc::clone(&woken));
            spawn(async move {
                shutdown.requested().await;
                assert!(shutdown.is_requested());
                shutdown.forced().await;
                assert!(shutdown.is_forced());
                woken.fetch_add(1, Ordering::SeqCst);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}
