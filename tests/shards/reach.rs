//! How shards reach each other.

use std::thread;

use annulus::shards::Shard;
use annulus::{Shards, Shutdown};

use crate::common::bounded::bounded;
use crate::common::panics::panic_of;

#[test]
fn each_shard_has_the_handles_of_all_from_the_beginning() {
    let run = || {
        Shards::builder().count(4).run(async |shard| {
            let mut found = Vec::new();
            for index in 0..shard.count() {
                let task = shard.handle(index).spawn(|| async {
                    annulus::yield_now().await;
                    Shard::current().index()
                });
                found.push(task.unwrap().await.unwrap());
            }
            found
        })
    };
    assert_eq!(bounded(run).unwrap(), vec![vec![0, 1, 2, 3]; 4]);
}

/// Shard 0 returns at once. Shard 1 asks it afterwards, and awaits a task of it.
#[test]
fn a_shard_that_has_returned_answers_those_that_have_not() {
    let run = || {
        Shards::builder().count(2).run(async |shard| {
            if shard.index() == 0 {
                return 0;
            }
            // Each answer is a wake-up of a shard that sleeps.
            let mut sum = 0;
            for number in 1..=100 {
                sum += shard.handle(0).call(move || number).unwrap().await.unwrap();
            }
            sum
        })
    };
    assert_eq!(bounded(run).unwrap(), [0, 5050]);
}

#[test]
fn a_handle_says_that_its_shard_has_ended_when_all_have() {
    let handles = Shards::builder().count(2).run(async |shard| Some(shard.handle(0).clone()));
    for handle in handles.unwrap().into_iter().flatten() {
        assert!(handle.is_ended());
        assert!(handle.call(|| ()).unwrap_err().is_ended());
    }
}

#[test]
fn the_handle_of_a_shard_that_there_is_not_panics() {
    let run = || Shards::builder().count(2).run(async |shard| drop(shard.handle(2).clone()));
    assert_eq!(bounded(|| panic_of(run)), "there is no shard 2: the last of 2 shards is 1");
}

#[test]
fn a_shutdown_of_the_caller_reaches_all_shards() {
    let shutdown = Shutdown::new();
    let shards = Shards::builder().count(3).shutdown(shutdown.clone());
    let run = || {
        thread::scope(|scope| {
            let ended =
                scope.spawn(|| shards.run(async |shard| shard.shutdown().requested().await));
            shutdown.request();
            ended.join().unwrap()
        })
    };
    bounded(run).unwrap();
}
