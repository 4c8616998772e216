//! An append-only log: what is acknowledged is on the disk, and survives any crash.
//!
//! ```sh
//! cargo run --release --example log_store -- events.log                # on 127.0.0.1:7070
//! cargo run --release --example log_store -- events.log --load 64      # how fast is it?
//! ```
//!
//! In another terminal type `nc 127.0.0.1 7070`, then some lines: the answer to each is its offset
//! in the file, once it is durable. Stop it in any way, also by `kill -9`, and start it again: it
//! counts the records that are whole, and cuts off the one that a crash has torn.
//!
//! `log` has the group commit, which is a write with a synchronisation linked to it
//! (`write_all_at(..).then_sync_data()`); `record` the form of a record in the file.

mod arguments;
mod log;
#[path = "../shared/outcome.rs"]
mod outcome;
#[path = "../shared/parsed.rs"]
mod parsed;
mod record;

use std::io::{self, Write};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use annulus::join::TaskSet;
use annulus::net::{TcpListener, TcpStream};
use annulus::{Shutdown, spawn};
use futures_util::{FutureExt, StreamExt, select};

use arguments::{Arguments, Task};
use log::{Log, Recovered};

// Messages are written with `writeln!`, and a failure is ignored: `println!` panics when the reader
// is gone (`log_store events.log | head -1`).

fn main() -> ExitCode {
    let arguments = match Arguments::of_process() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    // The outer error is that of making the runtime.
    let outcome = annulus::run(run(arguments)).unwrap_or_else(|error| Err(error.into()));
    outcome::exit_code("log_store", outcome)
}

async fn run(arguments: Arguments) -> io::Result<()> {
    let Recovered { log, whole, torn } = Log::open(arguments.path).await?;
    let found = format!("{} records in {} bytes", whole.records, whole.end);
    let cut = if torn == 0 { String::new() } else { format!("; {torn} torn bytes are cut off") };
    let _ = writeln!(io::stdout(), "found {found}{cut}");
    let log = Rc::new(log);
    let _committer = spawn(Rc::clone(&log).commit());
    match arguments.task {
        Task::Serve { address } => serve(&log, &address).await,
        Task::Load { clients, size, duration } => load(&log, clients, size, duration).await,
    }
}

/// Serves clients until ctrl-c or SIGTERM. What has not been answered then may be in the log or
/// not.
async fn serve(log: &Rc<Log>, address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let shutdown = Shutdown::on_signals()?;
    let _ = writeln!(io::stdout(), "listening on {}; ctrl-c stops it", listener.local_addr()?);
    let mut connections = TaskSet::new();
    loop {
        select! {
            accepted = listener.accept().fuse() => {
                let (stream, peer) = accepted?;
                let log = Rc::clone(log);
                connections.spawn(async move {
                    if let Err(error) = converse(&log, stream).await {
                        let _ = writeln!(io::stderr(), "{peer}: {error}");
                    }
                });
            }
            _ = connections.select_next_some() => {}
            () = shutdown.requested().fuse() => return Ok(()),
        }
    }
}

/// Appends each line, and answers with its offset. A line that the client has not ended is none.
async fn converse(log: &Log, stream: TcpStream) -> io::Result<()> {
    let (mut reader, mut writer) = stream.into_buffered();
    loop {
        let line = reader.read_line().await?;
        let Some(record) = line.strip_suffix(b"\n") else { break };
        let offset = log.append(record).await?;
        writer.write(format!("{offset}\n")).await?;
    }
    writer.close();
    writer.wait_closed().await
}

/// Appends from many tasks, each of which waits until its record is durable.
async fn load(log: &Rc<Log>, clients: usize, size: usize, duration: Duration) -> io::Result<()> {
    let (start, commits) = (Instant::now(), log.commits());
    let mut tasks = TaskSet::new();
    for client in 0..clients {
        let log = Rc::clone(log);
        tasks.spawn(async move {
            let payload = vec![client as u8; size];
            let mut appended = 0_u64;
            while start.elapsed() < duration {
                log.append(&payload).await?;
                appended += 1;
            }
            io::Result::Ok(appended)
        });
    }
    let mut records = 0;
    while let Some(appended) = tasks.next().await {
        records += appended.map_err(|error| io::Error::other(error.to_string()))??;
    }
    let (seconds, commits) = (start.elapsed().as_secs_f64(), log.commits() - commits);
    let (rate, each) = (records as f64 / seconds, records as f64 / commits.max(1) as f64);
    let _ = writeln!(
        io::stdout(),
        "{records} records in {seconds:.2} s: {rate:.0} a second, {:.0} commits a second of \
         {each:.1} records",
        commits as f64 / seconds
    );
    Ok(())
}
