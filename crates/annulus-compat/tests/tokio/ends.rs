//! When the runtime beside stops, and what is left of it.

use std::fs;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use annulus::Shards;
use annulus_compat::Compat;
use annulus_compat::tokio::{Builder, beside, spawn};

use crate::common::bounded::bounded;
use crate::common::child::{command, isolated, role};
use crate::common::patience::limit;
use crate::this_test;

/// Set when a task of Tokio's has been dropped.
#[derive(Clone, Default)]
struct Flag(Arc<AtomicBool>);

impl Flag {
    fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// A future that never completes and sets the flag when it is dropped.
    fn set_when_dropped(&self) -> impl Future<Output = ()> + Send + use<> {
        struct Setter(Flag);
        impl Drop for Setter {
            fn drop(&mut self) {
                self.0.0.store(true, Ordering::SeqCst);
            }
        }
        let setter = Setter(self.clone());
        async move {
            let _setter = setter;
            pending::<()>().await;
        }
    }
}

#[test]
fn tokio_stops_after_the_shards() {
    isolated(this_test!(), || {
        let tokio = beside();
        let (of_shard, of_main) = (Flag::default(), Flag::default());
        drop(tokio::spawn(of_main.set_when_dropped()));
        let in_shards = Shards::builder().count(2).run(async |_| {
            let _tokio = beside();
            drop(tokio::spawn(of_shard.set_when_dropped()));
            tokio::spawn(async {}).await.unwrap();
        });
        in_shards.unwrap();
        assert!(!of_shard.is_set() && !of_main.is_set(), "it has stopped too early");
        drop(tokio);
        assert!(of_shard.is_set() && of_main.is_set(), "it has not stopped");
    });
}

#[test]
fn tokio_stops_with_the_last_shard_that_entered_it() {
    isolated(this_test!(), || {
        let flag = Flag::default();
        let in_shards = Shards::builder().count(2).run(async |_| {
            let _tokio = beside();
            drop(tokio::spawn(flag.set_when_dropped()));
        });
        in_shards.unwrap();
        // A thread may still be ending when the shards have.
        let deadline = Instant::now() + limit();
        while !flag.is_set() {
            assert!(Instant::now() < deadline, "it has not stopped");
            std::thread::yield_now();
        }
    });
}

#[test]
fn tokio_stops_when_main_panics() {
    isolated(this_test!(), || {
        let flag = Flag::default();
        let main = catch_unwind(AssertUnwindSafe(|| {
            let _tokio = beside();
            drop(tokio::spawn(flag.set_when_dropped()));
            annulus::run(async { panic!("expected in this test") }).unwrap()
        }));
        let () = main.unwrap_err().downcast_ref::<&str>().map(drop).unwrap();
        assert!(flag.is_set(), "it has not stopped");
    });
}

#[test]
fn a_stop_does_not_wait_longer_than_configured() {
    if role().is_none() {
        let output = command(this_test!(), "child").output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
        assert!(text.contains("beside did not stop within 20ms"), "{text}");
        return;
    }
    bounded(|| {
        let timeout = Duration::from_millis(20);
        let tokio = Builder::new().stop_timeout(timeout).beside().unwrap();
        let (end, ended) = mpsc::channel::<()>();
        let (begin, begun) = mpsc::channel::<()>();
        drop(tokio::task::spawn_blocking(move || {
            begin.send(()).unwrap();
            let _ = ended.recv();
        }));
        begun.recv().unwrap();
        let start = Instant::now();
        drop(tokio);
        assert!(start.elapsed() >= timeout, "it has not waited");
        drop(end);
    });
}

fn entries(directory: &str) -> usize {
    fs::read_dir(directory).unwrap().count()
}

#[test]
fn runtimes_that_have_stopped_leave_no_descriptor_and_no_thread() {
    isolated(this_test!(), || {
        let start_and_stop = || {
            let _tokio = beside();
            annulus::run(async { tokio::time::sleep(Duration::from_millis(1)).await }).unwrap();
        };
        start_and_stop();
        let count = || (entries("/proc/self/fd"), entries("/proc/self/task"));
        let before = count();
        for _ in 0..20 {
            start_and_stop();
        }
        // A thread that is joined no more may still be ending, also when they were counted first.
        let deadline = Instant::now() + limit();
        let are_more = |(fds, threads): (usize, usize)| fds > before.0 || threads > before.1;
        while are_more(count()) {
            assert!(Instant::now() < deadline, "{before:?} have become {:?}", count());
            std::thread::yield_now();
        }
    });
}

#[test]
fn a_wrapped_future_on_a_thread_without_a_guard_outlives_the_guards_of_others() {
    isolated(this_test!(), || {
        let (begin, begun) = mpsc::channel();
        let (end, ended) = mpsc::channel::<()>();
        let other = std::thread::spawn(move || {
            let tokio = beside();
            begin.send(()).unwrap();
            ended.recv().unwrap();
            drop(tokio);
        });
        begun.recv().unwrap();
        annulus::run(Compat::new(async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            end.send(()).unwrap();
            other.join().unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }))
        .unwrap();
    });
}

#[test]
fn a_runtime_that_no_guard_has_started_outlives_the_guards() {
    isolated(this_test!(), || {
        let flag = Flag::default();
        drop(spawn(flag.set_when_dropped()));
        drop(beside());
        assert!(!flag.is_set(), "it has stopped");
        assert!(Builder::new().beside().is_err());
    });
}

#[test]
fn tokios_threads_may_run_on_every_cpu_although_a_pinned_shard_starts_them() {
    isolated(this_test!(), || {
        let allowed = |task: &str| {
            let status = fs::read_to_string(format!("/proc/{task}/status")).unwrap();
            let line = status.lines().find(|line| line.starts_with("Cpus_allowed:")).unwrap();
            line.to_owned()
        };
        let of_process = allowed("self");
        let (of_shard, of_tokio) = Shards::builder()
            .count(1)
            .pin(true)
            .run(async |_| {
                let _tokio = beside();
                let of_tokio = tokio::spawn(async move { allowed("thread-self") }).await.unwrap();
                (allowed("thread-self"), of_tokio)
            })
            .unwrap()
            .remove(0);
        assert_eq!(of_tokio, of_process);
        let cpus = std::thread::available_parallelism().unwrap();
        assert!(cpus.get() == 1 || of_shard != of_process, "the shard is not pinned");
    });
}
