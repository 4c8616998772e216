//! Large futures are moved to the heap before they are copied from function to function: the stack
//! of a thread is enough for them without optimizations, too.

use std::thread;

use annulus::{Runtime, run, spawn, spawn_named, yield_now};

use crate::common::child::{command, role};
use crate::this_test;

/// Fills an array over an await, so that the future is as large.
async fn large<const N: usize>() -> u8 {
    let mut bytes = [0_u8; N];
    yield_now().await;
    bytes[N - 1] = 1;
    bytes[0] + bytes[N - 1]
}

const N: usize = 256 << 10;

type Way = fn() -> u8;

/// The ways to start one, each a function with a frame of its own.
const WAYS: [(&str, Way); 7] = [
    ("run", || run(large::<N>()).unwrap()),
    ("block_on", || Runtime::new().unwrap().block_on(large::<N>())),
    ("try_block_on", || Runtime::new().unwrap().try_block_on(large::<N>()).unwrap()),
    ("spawn", || run(async { spawn(large::<N>()).await.unwrap() }).unwrap()),
    ("spawn_named", || run(async { spawn_named("large", large::<N>()).await.unwrap() }).unwrap()),
    ("Runtime::spawn", || {
        let runtime = Runtime::new().unwrap();
        let task = runtime.spawn(large::<N>());
        runtime.block_on(task).unwrap()
    }),
    ("Runtime::spawn_named", || {
        let runtime = Runtime::new().unwrap();
        let task = runtime.spawn_named("large", large::<N>());
        runtime.block_on(task).unwrap()
    }),
];

#[test]
fn a_future_of_256_kib_runs_on_a_stack_of_2_mib() {
    if let Some(role) = role() {
        let (_, way) = WAYS.into_iter().find(|(name, _)| *name == role).unwrap();
        let thread = thread::Builder::new().stack_size(2 << 20).spawn(way).unwrap();
        assert_eq!(thread.join().unwrap(), 1);
        return;
    }
    for (way, _) in WAYS {
        let output = command(this_test!(), way).output().unwrap();
        assert!(output.status.success(), "{way}: {}", output.status);
    }
}
