//! The pool of worker processes: jobs, workers that die, an end that leaves none behind.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;

use libc::{SIGKILL, SIGTERM};

use crate::common::program::{Program, connect, example, listening_address, until};

/// A client that types lines.
struct Client(BufReader<TcpStream>);

impl Client {
    fn ask(&mut self, line: &str) -> String {
        self.0.get_mut().write_all(format!("{line}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        self.0.read_line(&mut answer).unwrap();
        answer.trim_end().to_owned()
    }

    /// Asks for a count of prime numbers. Returns the worker's process id and the count.
    fn count(&mut self, below: u32) -> (i32, u32) {
        let answer = self.ask(&below.to_string());
        let (worker, count) = answer.split_once(' ').unwrap_or_else(|| panic!("{answer:?}"));
        (worker.parse().unwrap(), count.parse().unwrap())
    }
}

#[test]
fn a_process_pool_replaces_workers_that_die_and_ends_in_order() {
    let mut program = Program::start(example("process_pool").args(["127.0.0.1:0", "2"]));
    let address = listening_address(&program.stdout.next().unwrap());
    let client = || Client(BufReader::new(connect(address)));
    let (mut first, mut second) = (client(), client());
    let (worker, count) = first.count(100);
    assert_eq!((count, second.count(10_000).1), (25, 1229));
    assert_eq!(first.ask("some").split_once(' ').unwrap().1, "no number");
    // One that is killed while it does nothing.
    // SAFETY: the call touches no memory, and the pool has not waited for its worker yet.
    assert_eq!(unsafe { libc::kill(worker, SIGKILL) }, 0);
    let replaced = format!("worker {worker} has ended (signal: 9 (SIGKILL)) and is replaced");
    assert!(program.stderr.any(|line| line == replaced));
    // A job that kills workers is given up, and others are done.
    assert_eq!(first.ask("crash"), "given up: 3 workers have died of it");
    let workers = [first.count(100).0, second.count(100).0, first.count(100).0];
    assert!(!workers.contains(&worker));
    program.child.signal(SIGTERM);
    let ended = program.ended();
    assert!(ended.status.success(), "{ended:?}");
    for worker in workers {
        until("no worker is left", || !Path::new(&format!("/proc/{worker}")).exists());
    }
}
