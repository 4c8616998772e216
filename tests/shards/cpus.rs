//! The CPUs that shards run on.

use std::thread;

use annulus::Shards;
use annulus::blocking::to_thread;
use annulus::shards::{CpuList, ShardsError};

use crate::common::bounded::bounded;

fn allowed() -> CpuList {
    CpuList::allowed().expect("this is no sandbox")
}

/// Runs `test` on a thread that may use one CPU only.
fn on_one_cpu(test: impl FnOnce(usize) + Send) {
    let pinned = || {
        let cpu = *allowed().as_slice().last().expect("this thread runs on a CPU");
        let mut mask = [0_u64; 1024];
        mask[cpu / 64] |= 1 << (cpu % 64);
        // SAFETY: the call reads the mask.
        let set = unsafe { libc::sched_setaffinity(0, size_of_val(&mask), mask.as_ptr().cast()) };
        assert_eq!(set, 0);
        test(cpu);
    };
    bounded(|| thread::scope(|scope| scope.spawn(pinned).join().unwrap()));
}

#[test]
fn shards_run_on_the_cpus_of_the_list_in_order() {
    let cpus: CpuList = allowed().into_iter().rev().take(2).collect();
    let shards = Shards::builder().cpus(cpus.clone());
    let places = bounded(|| shards.run(async |shard| (shard.cpu(), allowed()))).unwrap();
    assert_eq!(places.len(), cpus.as_slice().len());
    for (&cpu, (its, may_use)) in cpus.as_slice().iter().zip(places) {
        assert_eq!((its, may_use), (Some(cpu), CpuList::from([cpu])));
    }
}

#[test]
fn more_shards_than_cpus_share_them() {
    let cpu = allowed().as_slice()[0];
    let shards = Shards::builder().cpus([cpu]).count(3);
    assert_eq!(bounded(|| shards.run(async |shard| shard.cpu())).unwrap(), [Some(cpu); 3]);
}

#[test]
fn shards_that_are_not_pinned_run_anywhere_or_on_the_given_cpus() {
    let shards = || Shards::builder().count(2).pin(false);
    let places = bounded(|| shards().run(async |shard| (shard.cpu(), allowed()))).unwrap();
    assert_eq!(places, [(None, allowed()), (None, allowed())]);
    let given = CpuList::from([allowed().as_slice()[0]]);
    let shards = shards().cpus(given.clone());
    let places = bounded(|| shards.run(async |shard| (shard.cpu(), allowed()))).unwrap();
    assert_eq!(places, [(None, given.clone()), (None, given)]);
}

#[test]
fn by_default_there_are_no_more_shards_than_cpus_that_the_caller_may_use() {
    on_one_cpu(|cpu| {
        let places = Shards::builder().run(async |shard| shard.cpu());
        assert_eq!(places.unwrap(), [Some(cpu)]);
    });
}

#[test]
fn a_cpu_that_the_machine_does_not_have_is_reported_with_the_shard_and_no_closure_is_called() {
    let cpus = CpuList::from([allowed().as_slice()[0], 60_000]);
    let run = || Shards::builder().cpus(cpus).run(async |_| unreachable!("no shard runs"));
    let error = bounded::<Result<Vec<()>, _>>(run).unwrap_err();
    assert!(matches!(error, ShardsError::Pin { shard: 1, .. }), "{error}");
    let text = error.to_string();
    let usable = format!("this process may use CPUs {}", allowed());
    assert!(text.starts_with("cannot pin shard 1 to CPU 60000: Invalid argument"), "{text}");
    assert!(text.ends_with(&usable), "{text}");
}

/// The pool starts a thread when a pinned shard needs one, and that thread works for all shards.
#[test]
fn the_threads_of_the_blocking_pool_are_not_pinned_with_the_shard_that_starts_them() {
    let cpu = allowed().as_slice()[0];
    let shards = Shards::builder().cpus([cpu]);
    let places = bounded(|| shards.run(async |_| to_thread(allowed).await.unwrap().to_string()));
    assert_eq!(places.unwrap(), [allowed().to_string()]);
}
