//! The pool of worker processes: jobs, workers that die, an end that leaves none behind.

use std::path::Path;

use libc::{SIGKILL, SIGTERM};

use crate::common::line_client::LineClient;
use crate::common::program::{Echo, Program, example, listening_address, until};
use crate::programs::{complaint, run};

/// Asks for a count of prime numbers. Returns the worker's process id and the count.
fn count(client: &mut LineClient, below: u32) -> (i32, u32) {
    let answer = client.ask(&below.to_string());
    let (worker, count) = answer.split_once(' ').unwrap_or_else(|| panic!("{answer:?}"));
    (worker.parse().unwrap(), count.parse().unwrap())
}

#[test]
fn a_process_pool_replaces_workers_that_die_and_ends_in_order() {
    let mut program = Program::start(example("process_pool").args(["127.0.0.1:0", "2"]));
    let address = listening_address(&program.stdout.next().unwrap());
    let [mut first, mut second] = [(); 2].map(|()| LineClient::connect(address));
    let (worker, primes) = count(&mut first, 100);
    assert_eq!((primes, count(&mut second, 10_000).1), (25, 1229));
    assert_eq!(first.ask("some").split_once(' ').unwrap().1, "no number");
    // One that is killed while it does nothing.
    // SAFETY: the call touches no memory, and the pool has not waited for its worker yet.
    assert_eq!(unsafe { libc::kill(worker, SIGKILL) }, 0);
    let replaced = format!("worker {worker} has ended (signal: 9 (SIGKILL)) and is replaced");
    assert!(program.stderr.any(|line| line == replaced));
    // A job that kills workers is given up, and others are done.
    assert_eq!(first.ask("crash"), "given up: 3 workers have died of it");
    let workers = [count(&mut first, 100).0, count(&mut second, 100).0, count(&mut first, 100).0];
    assert!(!workers.contains(&worker));
    program.child.signal(SIGTERM);
    let ended = program.ended();
    assert!(ended.status.success(), "{ended:?}");
    for worker in workers {
        until("no worker is left", || !Path::new(&format!("/proc/{worker}")).exists());
    }
}

#[test]
fn a_process_pool_that_cannot_start_says_why_in_one_line() {
    for wrong in [&["--port"][..], &["127.0.0.1:0", "none"], &["127.0.0.1:0", "0"]] {
        assert!(complaint("process_pool", &run("process_pool", wrong), 2).contains("--help"));
    }
    let echo = Echo::start();
    let address = echo.address.to_string();
    let line = complaint("process_pool", &run("process_pool", &[&address]), 1);
    assert!(line.contains(&format!("listen on {address}: ")), "{line}");
}
