//! How a runtime comes to its end: by ctrl-c, in a process of its own for each test, and with
//! shielded work that it waits for.

use std::future::pending;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use annulus::join::shield;
use annulus::signal::ctrl_c;
use annulus::time::{sleep, timeout};
use annulus::{Incident, Runtime, spawn, yield_now};
use libc::SIGINT;

use crate::common::bounded::bounded;
use crate::common::child;
use crate::common::drops::{Drops, Guard};
use crate::common::incidents::Incidents;
use crate::common::program::Program;
use crate::this_test;

/// Says so when it is dropped.
struct Says(&'static str);

impl Drop for Says {
    fn drop(&mut self) {
        eprintln!("{}", self.0);
    }
}

fn interruptible() -> Runtime {
    Runtime::builder().cancel_on_ctrl_c(true).build().unwrap()
}

async fn ready() {
    // A listener listens from its first poll on.
    yield_now().await;
    eprintln!("ready");
}

/// What a child does.
fn play(role: &str) {
    match role {
        "cancelled" => {
            let runtime = interruptible();
            let outcome = runtime.try_block_on(async {
                let _says = Says("main is dropped");
                ready().await;
                pending::<()>().await;
            });
            eprintln!("{}", outcome.unwrap_err());
            assert_eq!(runtime.try_block_on(async { 42 }), Ok(42), "and it can go on");
            outcome.unwrap_err().exit();
        }
        "killed in order" => {
            interruptible().block_on(async {
                let says = Says("task is dropped");
                drop(spawn(async move {
                    let _says = says;
                    pending::<()>().await;
                }));
                ready().await;
                pending::<()>().await;
            });
        }
        "cleans up for ever" => {
            struct Slow;
            impl Drop for Slow {
                fn drop(&mut self) {
                    eprintln!("cleaning up");
                    thread::sleep(Duration::from_secs(600));
                }
            }
            interruptible().block_on(async {
                let _slow = Slow;
                ready().await;
                pending::<()>().await;
            });
        }
        "listens" => annulus::run(async {
            for _ in 0..3 {
                let interrupt = ctrl_c();
                eprintln!("ready");
                interrupt.await.unwrap();
                eprintln!("heard");
            }
            assert!(timeout(Duration::from_millis(1), ctrl_c()).await.is_err());
            eprintln!("ready");
            pending::<()>().await;
        })
        .unwrap(),
        "listens on threads" => {
            static LISTENING: Barrier = Barrier::new(9);
            let listen = async || {
                let interrupt = ctrl_c();
                LISTENING.wait();
                interrupt.await.unwrap();
            };
            let listen = move || annulus::run(listen()).unwrap();
            let threads: Vec<_> = (0..8).map(|_| thread::spawn(listen)).collect();
            LISTENING.wait();
            // Most of them wait in the kernel then.
            thread::sleep(Duration::from_millis(50));
            eprintln!("ready");
            for thread in threads {
                thread.join().unwrap();
            }
            eprintln!("all heard");
        }
        "is over" => {
            interruptible().block_on(yield_now());
            eprintln!("ready");
            thread::sleep(Duration::from_secs(600));
        }
        "ignores" => {
            interruptible().block_on(async {
                ready().await;
                sleep(Duration::from_millis(300)).await;
            });
            eprintln!("not interrupted");
        }
        other => panic!("there is no role {other}"),
    }
}

/// Plays a role in a child, which runs the test `name`.
fn start(name: &str, role: &str) -> Program {
    let mut program = Program::start(&mut child::command(name, role));
    wait_for(&mut program, "ready");
    program
}

fn wait_for(program: &mut Program, line: &str) {
    let mut others = Vec::new();
    for said in program.stderr.by_ref() {
        if said == line {
            return;
        }
        others.push(said);
    }
    panic!("it never said {line:?}, but {others:?}");
}

/// Whether this process is a child, and has played its role.
fn is_child() -> bool {
    let role = child::role();
    role.as_deref().map(play).is_some()
}

#[test]
fn ctrl_c_cancels_the_main_task_and_the_process_ends_as_killed_by_it() {
    if is_child() {
        return;
    }
    let mut program = start(this_test!(), "cancelled");
    program.child.signal(SIGINT);
    let ended = program.ended();
    assert_eq!(ended.stderr, ["main is dropped", "interrupted by ctrl-c"]);
    assert_eq!(ended.status.signal(), Some(SIGINT));
    let mut program = start(this_test!(), "killed in order");
    program.child.signal(SIGINT);
    let ended = program.ended();
    assert_eq!(ended.stderr, ["task is dropped"]);
    assert_eq!(ended.status.signal(), Some(SIGINT));
}

#[test]
fn the_second_ctrl_c_is_hard() {
    if is_child() {
        return;
    }
    let mut program = start(this_test!(), "cleans up for ever");
    program.child.signal(SIGINT);
    wait_for(&mut program, "cleaning up");
    program.child.signal(SIGINT);
    assert_eq!(program.ended().status.signal(), Some(SIGINT));
}

#[test]
fn each_ctrl_c_that_is_waited_for_is_heard_and_then_it_kills_again() {
    if is_child() {
        return;
    }
    let mut program = start(this_test!(), "listens");
    for _ in 0..3 {
        program.child.signal(SIGINT);
        wait_for(&mut program, "heard");
        wait_for(&mut program, "ready");
    }
    program.child.signal(SIGINT);
    assert_eq!(program.ended().status.signal(), Some(SIGINT));
    let mut program = start(this_test!(), "is over");
    program.child.signal(SIGINT);
    assert_eq!(program.ended().status.signal(), Some(SIGINT));
}

#[test]
fn every_thread_that_listens_is_told() {
    if is_child() {
        return;
    }
    let mut program = start(this_test!(), "listens on threads");
    program.child.signal(SIGINT);
    let ended = program.ended();
    assert_eq!(ended.stderr, ["all heard"]);
    assert!(ended.status.success());
}

/// As a shell has it for what it starts in the background.
#[test]
fn a_ctrl_c_that_was_ignored_before_stays_ignored() {
    if is_child() {
        return;
    }
    let child = child::command(this_test!(), "ignores");
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' INT; exec \"$@\"", "sh"]).arg(child.get_program());
    shell.args(child.get_args());
    shell.envs(child.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut program = Program::start(&mut shell);
    wait_for(&mut program, "ready");
    program.child.signal(SIGINT);
    let ended = program.ended();
    assert_eq!(ended.stderr, ["not interrupted"]);
    assert!(ended.status.success());
}

#[test]
fn the_end_of_a_runtime_waits_for_shielded_work() {
    bounded(|| {
        let drops = Drops::default();
        let runtime = Runtime::new().unwrap();
        let done = std::rc::Rc::new(std::cell::Cell::new(false));
        let its = std::rc::Rc::clone(&done);
        runtime.block_on(async {
            drop(spawn(hold(drops.guard())));
            drop(shield(async move {
                sleep(Duration::from_millis(20)).await;
                // What it still starts is there for it, too.
                spawn(sleep(Duration::from_millis(1))).await.unwrap();
                its.set(true);
            }));
        });
        drop(runtime);
        assert!(done.get());
        assert_eq!(drops.count(), 1, "others do not keep it");
    });
}

async fn hold(guard: Guard) {
    let _guard = guard;
    pending::<()>().await;
}

#[test]
fn a_runtimes_end_waits_for_shielded_work_no_longer_than_its_bound_and_reports_what_it_cancels() {
    bounded(|| {
        let heard = Incidents::default();
        let its = heard.clone();
        let runtime = Runtime::builder()
            .shield_timeout(Duration::from_millis(5))
            .on_incident(move |incident| its.report(incident))
            .build()
            .unwrap();
        let drops = Drops::default();
        runtime.block_on(async {
            drop(shield(hold(drops.guard())));
            drop(shield(hold(drops.guard())));
            drop(shield(async {}));
        });
        drop(runtime);
        assert_eq!(drops.count(), 2);
        let cut: Vec<_> = heard.take();
        assert!(matches!(cut[..], [Incident::ShieldedWorkLost { count: 2 }]), "{cut:?}");
    });
}

/// A runtime that ends inside another's loop cannot let its own go on.
#[test]
fn a_runtime_that_ends_inside_of_another_cuts_at_once() {
    bounded(|| {
        let heard = Incidents::default();
        let inner = heard.runtime();
        let drops = Drops::default();
        inner.block_on(async { drop(shield(hold(drops.guard()))) });
        annulus::run(async { drop(inner) }).unwrap();
        assert_eq!((drops.count(), heard.count()), (1, 1));
    });
}
