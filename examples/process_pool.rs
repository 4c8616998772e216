//! A pool of worker processes behind a server: a client's line is a job, which a worker does.
//!
//! It shows children with pipes that live long, restarts of those that die, a job that is given to
//! another worker then, a limit in time, and an end in order. Workers are processes where a job may
//! crash or leak, or is in another language; here a worker is this program itself, which counts the
//! prime numbers below the number that it is given.
//!
//! ```sh
//! cargo run --example process_pool                       # on 127.0.0.1:7000, four workers
//! cargo run --example process_pool -- 127.0.0.1:7000 2
//! ```
//!
//! In another terminal type `nc 127.0.0.1 7000`, then a number. The answer begins with the worker's
//! process id, so that it can be killed meanwhile. `crash` crashes the worker. SIGTERM and ctrl-c
//! end the server when the jobs that were received are done.

#[path = "shared/outcome.rs"]
mod outcome;
#[path = "shared/parsed.rs"]
mod parsed;

use std::io::{self, BufRead, Write};
use std::num::NonZeroUsize;
use std::pin::pin;
use std::process::{ExitCode, Stdio};
use std::rc::Rc;
use std::time::Duration;
use std::{env, iter};

use annulus::Shutdown;
use annulus::io::StreamReader;
use annulus::join::TaskSet;
use annulus::net::{self, ShutdownOptions, StreamWriter, start_server};
use annulus::process::{Child, Command};
use annulus::sync::{Queue, oneshot};
use annulus::time::{now, sleep, timeout};
use futures_util::future::{Either, select};
use lexopt::prelude::{Long, Short, Value, ValueExt};

const USAGE: &str = "\
A pool of worker processes behind a server: each line of a client is a job.

Usage: process_pool [ADDRESS [WORKERS]]

  ADDRESS   where to listen (127.0.0.1:7000)
  WORKERS   how many processes do jobs (4)";

/// The argument that makes this program a worker.
const WORKER: &str = "--worker";

/// How many jobs may wait. Then clients wait, too.
const QUEUE: usize = 64;

/// How many workers a job may cost before it fails.
const ATTEMPTS: u32 = 3;

/// How long a worker may take for a job, and to end.
const JOB_LIMIT: Duration = Duration::from_secs(60);
const END_LIMIT: Duration = Duration::from_secs(5);

/// How long to wait before a worker that has died is replaced. Doubled each time, up to the second,
/// unless the worker had lived for that long.
const PAUSES: [Duration; 2] = [Duration::from_millis(10), Duration::from_secs(5)];

/// What a client wants, and where the answer goes.
struct Job {
    line: String,
    answer: oneshot::Sender<String>,
}

/// What the command line asks for.
enum Role {
    Server { address: String, workers: usize },
    Worker,
}

fn main() -> ExitCode {
    let outcome = match parsed::arguments("process_pool", USAGE, parse()) {
        Err(code) => return code,
        Ok(Role::Worker) => work(),
        Ok(Role::Server { address, workers }) => {
            annulus::run(serve(&address, workers)).unwrap_or_else(|error| Err(error.into()))
        }
    };
    outcome::exit_code("process_pool", outcome)
}

/// `None` if help was asked for.
fn parse() -> Result<Option<Role>, lexopt::Error> {
    let (mut address, mut workers) = (None, None);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("worker") => return Ok(Some(Role::Worker)),
            Value(value) if address.is_none() => address = Some(value.string()?),
            Value(value) if workers.is_none() => workers = Some(value.parse::<NonZeroUsize>()?),
            other => return Err(other.unexpected()),
        }
    }
    let address = address.unwrap_or_else(|| "127.0.0.1:7000".to_owned());
    Ok(Some(Role::Server { address, workers: workers.map_or(4, NonZeroUsize::get) }))
}

/// What a worker does: a line in, a line out, until its input ends.
fn work() -> io::Result<()> {
    for line in io::stdin().lock().lines() {
        let answer = match line?.trim() {
            "crash" => std::process::abort(),
            number => number.parse().map_or_else(|_| "no number".to_owned(), count_primes),
        };
        writeln!(io::stdout(), "{} {answer}", std::process::id())?;
    }
    Ok(())
}

fn count_primes(below: u32) -> String {
    let is_prime = |&number: &u32| {
        let factors = (2..).take_while(|factor| factor * factor <= number);
        !factors.into_iter().any(|factor| number % factor == 0)
    };
    (2..below.min(10_000_000)).filter(is_prime).count().to_string()
}

async fn serve(address: &str, workers: usize) -> io::Result<()> {
    let shutdown = Shutdown::on_signals()?;
    let queue = Rc::new(Queue::bounded(QUEUE));
    let mut pool = TaskSet::new();
    for _ in 0..workers {
        let queue = Rc::clone(&queue);
        pool.spawn(async move { keep_worker(&queue).await });
    }
    let (its, ends) = (Rc::clone(&queue), shutdown.clone());
    let handler = async move |mut reader: net::StreamReader, mut writer: StreamWriter| {
        while let Some(line) = ends.run_until_requested(reader.read_line()).await {
            let line = line?;
            if line.is_empty() {
                break;
            }
            let line = String::from_utf8_lossy(&line).trim().to_owned();
            let (answer, answered) = oneshot::channel();
            let _ = its.put(Job { line, answer }).await;
            let answer = answered.await.unwrap_or_else(|_| "the pool has ended".to_owned());
            writer.write(answer + "\n").await?;
        }
        io::Result::Ok(())
    };
    let server = start_server(handler, address).await?;
    println!("listening on {}", server.local_addrs()[0]);
    let report = server.serve_until(&shutdown, &ShutdownOptions::new()).await;
    // Jobs that were put before are still done.
    queue.close();
    while let Some(outcome) = pool.join_next().await {
        outcome.map_err(|error| io::Error::other(error.to_string()))??;
    }
    println!("{report}");
    Ok(())
}

/// Keeps one worker alive and gives it jobs, until the queue is closed and empty.
async fn keep_worker(queue: &Queue<Job>) -> io::Result<()> {
    let mut attempts = Attempts::default();
    let mut pauses = pauses();
    loop {
        let began = now();
        let mut worker = start_worker()?;
        let is_over = give_jobs(&mut worker, queue, &mut attempts).await;
        // Its input is closed, which is how a worker is told to end.
        let status = match timeout(END_LIMIT, worker.wait()).await {
            Ok(status) => status?,
            Err(_) => {
                worker.start_kill()?;
                worker.wait().await?
            }
        };
        if is_over {
            return Ok(());
        }
        eprintln!("worker {} has ended ({status}) and is replaced", worker.id());
        if now() - began >= PAUSES[1] {
            pauses = self::pauses();
        }
        sleep(pauses.next().unwrap_or(PAUSES[1])).await;
    }
}

fn pauses() -> impl Iterator<Item = Duration> {
    iter::successors(Some(PAUSES[0]), |pause| Some((*pause * 2).min(PAUSES[1])))
}

fn start_worker() -> io::Result<Child> {
    let mut command = Command::new(env::current_exe()?);
    command.arg(WORKER).stdin(Stdio::piped()).stdout(Stdio::piped());
    // Ctrl-c goes to the group of the terminal. It is for the server, which ends its workers.
    command.process_group(0).kill_on_drop(true).spawn()
}

/// The job that a worker has died of, if it is to be tried again, and how often it was.
#[derive(Default)]
struct Attempts(Option<(Job, u32)>);

/// Gives jobs to a worker, one after the other. Returns whether there will be no more; otherwise
/// the worker is to be replaced.
async fn give_jobs(worker: &mut Child, queue: &Queue<Job>, again: &mut Attempts) -> bool {
    let (Some(mut input), Some(output)) = (worker.stdin.take(), worker.stdout.take()) else {
        return false;
    };
    let mut output = StreamReader::new(output);
    loop {
        let (job, attempt) = match again.0.take() {
            Some((job, attempt)) => (job, attempt + 1),
            // One that dies between jobs is replaced before there is one.
            None => match select(pin!(queue.get()), pin!(worker.exited())).await {
                Either::Left((Ok(job), _)) => (job, 1),
                Either::Left((Err(_closed), _)) => return true,
                Either::Right(_) => return false,
            },
        };
        let answer = async {
            input.write_all(format!("{}\n", job.line)).await.0?;
            output.read_line().await.map_err(io::Error::from)
        };
        match timeout(JOB_LIMIT, answer).await {
            Ok(Ok(answer)) if answer.ends_with(b"\n") => {
                let answer = String::from_utf8_lossy(&answer).trim_end().to_owned();
                // The client may be gone.
                let _ = job.answer.send(answer);
            }
            // EOF, a broken pipe, or too late.
            _ => {
                if attempt < ATTEMPTS {
                    again.0 = Some((job, attempt));
                } else {
                    let text = format!("given up: {attempt} workers have died of it");
                    let _ = job.answer.send(text);
                }
                let _ = worker.start_kill();
                return false;
            }
        }
    }
}
