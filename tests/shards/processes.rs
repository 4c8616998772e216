//! Shards and the end of their process: each test has a process of its own.

use std::future::pending;
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use annulus::shards::{OnFailure, RestartOptions, Shard, ShardsError};
use annulus::{Builder, Incident, Shards};
use libc::SIGINT;

use crate::common::child::{command, role};
use crate::common::drops::OnDrop;
use crate::common::program::Program;
use crate::this_test;

fn wait_for(program: &mut Program, line: &str) {
    assert!(program.stderr.any(|said| said == line), "it never said {line:?}");
}

/// Says that the closure of a shard waits, and waits until it is cancelled. The last one says
/// "ready".
async fn wait(shard: Shard) {
    static WAITING: AtomicUsize = AtomicUsize::new(0);
    let _says = OnDrop(|| eprintln!("shard {} is cancelled", shard.index()));
    // The listener listens from the first poll of its task on.
    annulus::time::sleep(Duration::from_millis(1)).await;
    if WAITING.fetch_add(1, Ordering::SeqCst) + 1 == shard.count() {
        eprintln!("ready");
    }
    pending::<()>().await;
}

#[annulus::main(shards = 2, ctrl_c = true)]
async fn main_that_waits(shard: Shard) {
    wait(shard).await;
}

/// Shard 1 does not heed ctrl-c, and ends when shard 0 was cancelled.
fn heeds_on_one_shard() {
    let heeds = |index| Builder::new().cancel_on_ctrl_c(index == 0);
    let result = Shards::builder().count(2).runtime(heeds).run(async |shard| {
        if shard.index() == 0 {
            wait(shard).await;
        } else {
            eprintln!("ready");
        }
    });
    match result.unwrap_err() {
        ShardsError::Interrupted(interrupted) => {
            eprintln!("{interrupted}");
            interrupted.exit();
        }
        other => panic!("{other}"),
    }
}

/// Shard 0 fails, and waits for an hour before it restarts. Shard 1 waits to be cancelled.
fn fails_and_waits() {
    let hour = Duration::from_secs(3600);
    let restarts = RestartOptions::new().backoff(hour, hour);
    let says = |_: &Incident| eprintln!("ready");
    let builder = move |_| Builder::new().cancel_on_ctrl_c(true).on_incident(says);
    let shards = Shards::builder().count(2).runtime(builder);
    let result = shards.on_failure(OnFailure::Restart(restarts)).run(async |shard| {
        if shard.index() == 0 { Err("fails") } else { pending::<Result<(), _>>().await }
    });
    eprintln!("{}", result.unwrap_err());
}

#[test]
fn ctrl_c_ends_the_wait_for_a_restart() {
    if role().is_some() {
        return fails_and_waits();
    }
    let mut program = Program::start(&mut command(this_test!(), "fails"));
    wait_for(&mut program, "ready");
    program.child.signal(SIGINT);
    wait_for(&mut program, "interrupted by ctrl-c");
    assert_eq!(program.ended().status.code(), Some(0));
}

#[test]
fn ctrl_c_cancels_all_closures_and_the_process_ends_as_killed_by_it() {
    if role().is_some() {
        return main_that_waits();
    }
    let mut program = Program::start(&mut command(this_test!(), "waits"));
    wait_for(&mut program, "ready");
    program.child.signal(SIGINT);
    let said = [program.stderr.next().unwrap(), program.stderr.next().unwrap()];
    assert!(said.contains(&"shard 0 is cancelled".to_owned()), "{said:?}");
    assert!(said.contains(&"shard 1 is cancelled".to_owned()), "{said:?}");
    assert_eq!(program.ended().status.signal(), Some(SIGINT));
}

#[test]
fn ctrl_c_cancels_the_closures_of_the_shards_whose_builder_says_so() {
    if role().is_some() {
        return heeds_on_one_shard();
    }
    let mut program = Program::start(&mut command(this_test!(), "one heeds"));
    wait_for(&mut program, "ready");
    program.child.signal(SIGINT);
    wait_for(&mut program, "shard 0 is cancelled");
    wait_for(&mut program, "interrupted by ctrl-c");
    assert_eq!(program.ended().status.signal(), Some(SIGINT));
}

/// The other shards are in their event loop, and in the middle of a computation.
#[test]
fn a_shard_may_exit_the_process() {
    if role().is_some() {
        let run = Shards::builder().count(3).run(async |shard| match shard.index() {
            0 => pending().await,
            1 => loop {
                thread::yield_now();
            },
            _ => {
                let exits = || -> () { std::process::exit(7) };
                shard.handle(2).call(exits).unwrap().await.unwrap();
            }
        });
        unreachable!("{run:?}");
    }
    let mut program = Program::start(&mut command(this_test!(), "exits"));
    assert_eq!(program.ended().status.code(), Some(7));
}

/// The child goes on in the closure of its shard, whose event loop is that of the parent. Its
/// status is that of a panic, 101.
#[test]
fn a_forked_child_that_goes_on_awaiting_in_a_shard_ends_as_after_a_panic() {
    if role().is_some() {
        Shards::builder()
            .count(2)
            .run(async |shard| {
                if shard.index() == 1 {
                    return shard.shutdown().requested().await;
                }
                // SAFETY: the child makes calls that are not safe after the fork of a process with
                // threads, as allocations; with glibc those work, and this is what is tested.
                let child = unsafe { libc::fork() };
                assert!(child >= 0);
                if child == 0 {
                    eprintln!("child {}", std::process::id());
                    annulus::time::sleep(Duration::from_secs(3600)).await;
                    unreachable!();
                }
                let waits = move || {
                    let mut status = 0;
                    // SAFETY: the call writes one status.
                    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
                    status
                };
                let status = annulus::blocking::to_thread(waits).await.unwrap();
                eprintln!("the child's status: {status}");
                shard.shutdown().request();
            })
            .unwrap();
        return;
    }
    let mut program = Program::start(&mut command(this_test!(), "forks"));
    wait_for(&mut program, "the child's status: 25856");
    assert_eq!(program.ended().status.code(), Some(0));
}
