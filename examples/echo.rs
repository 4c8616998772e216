//! An echo server: it sends back what it receives.
//!
//! It shows leases, a task for each connection, half-close, errors that stay with their connection,
//! and a graceful end. `echo_owned` is a shorter one, whose connections have a buffer each.
//!
//! ```sh
//! cargo run --example echo                    # on 127.0.0.1:7000
//! cargo run --example echo -- '[::1]:7000'    # on another address
//! ```
//!
//! In another terminal type `nc 127.0.0.1 7000`, then some lines: each comes back. Ctrl-C stops the
//! server, which gives open connections a few seconds to finish:
//!
//! ```text
//! listening on 127.0.0.1:7000; type `nc 127.0.0.1 7000` to see it answer, ctrl-c to stop
//! ^Cstopping: connections have 5 s to finish, ctrl-c again cancels them now (2 open)
//! stopped: 1 finished, 1 cancelled
//! ```

#[path = "shared/arguments.rs"]
mod arguments;
#[path = "shared/outcome.rs"]
mod outcome;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use annulus::Shutdown;
use annulus::buf::BufResult;
use annulus::join::TaskSet;
use annulus::net::{TcpListener, TcpStream};
use annulus::task::JoinError;
use annulus::time::sleep;
use futures_util::{FutureExt, StreamExt, select};

const USAGE: &str = "\
An echo server: it sends back what it receives.

Usage: echo [ADDRESS]

ADDRESS is where to listen, like 127.0.0.1:7000 (the default), [::1]:7000 or localhost:7000.";

/// How long connections may continue after the server was asked to stop.
const GRACE: Duration = Duration::from_secs(5);

// Messages are written with `writeln!`, and a failure is ignored: `println!` panics when the reader
// is gone (`echo | head -1`), and a server should continue without its log.

fn main() -> ExitCode {
    match arguments::addresses("echo", USAGE, ["127.0.0.1:7000"]) {
        Err(code) => code,
        // The outer error is that of making the runtime, the inner one the server's.
        Ok([address]) => {
            let outcome = annulus::run(serve(&address)).unwrap_or_else(|error| Err(error.into()));
            outcome::exit_code("echo", outcome)
        }
    }
}

async fn serve(address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address).await.map_err(with_remedy)?;
    let here = listener.local_addr()?;
    // Ctrl-c or SIGTERM requests the end; a second one forces it.
    let shutdown = Shutdown::on_signals()?;
    let nc = format!("nc {} {}", here.ip(), here.port());
    let hint = format!("type `{nc}` to see it answer, ctrl-c to stop");
    let _ = writeln!(io::stdout(), "listening on {here}; {hint}");

    let mut connections = TaskSet::new();
    loop {
        // Takes what is ready first and drops the others, which loses nothing: a connection that
        // has arrived meanwhile is returned by the next `accept`.
        select! {
            accepted = listener.accept().fuse() => {
                let (stream, peer) = accepted?;
                connections.spawn(converse(stream, peer));
            }
            ended = connections.select_next_some() => report_panic(ended),
            () = shutdown.requested().fuse() => break,
        }
    }
    for (stream, peer) in listener.close().await {
        connections.spawn(converse(stream, peer));
    }
    finish(connections, &shutdown).await;
    Ok(())
}

/// Waits for connections to end, for at most `GRACE` or until the end is forced.
async fn finish(mut connections: TaskSet<()>, shutdown: &Shutdown) {
    let open = connections.len();
    if open > 0 {
        let hint = format!("have {} s to finish, ctrl-c again cancels them now", GRACE.as_secs());
        let _ = writeln!(io::stdout(), "stopping: connections {hint} ({open} open)");
    }
    let all_ended = connections.by_ref().map(report_panic).collect::<()>();
    select! {
        () = all_ended.fuse() => {}
        () = sleep(GRACE).fuse() => {}
        () = shutdown.forced().fuse() => {}
    }
    let cancelled = connections.len();
    let finished = open - cancelled;
    let _ = writeln!(io::stdout(), "stopped: {finished} finished, {cancelled} cancelled");
    // Dropping the set cancels the others.
}

/// Serves one connection to its end.
async fn converse(stream: TcpStream, peer: SocketAddr) {
    if let Err(error) = echo(stream).await {
        let _ = writeln!(io::stderr(), "{peer}: {error}");
    }
}

/// Sends back what it receives, until EOF. That may be a half-close, so the stream is dropped,
/// which closes the connection, only after the last byte was sent back.
async fn echo(mut stream: TcpStream) -> io::Result<()> {
    loop {
        // The lease is a runtime-owned buffer with the received bytes. A connection that waits
        // holds none, and the few in use stay in the processor's cache. Dropping the lease returns
        // it.
        let lease = stream.recv().await?;
        if lease.is_empty() {
            return Ok(());
        }
        let BufResult(sent, _lease) = stream.write_all(lease).await;
        sent?;
    }
}

fn report_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        let _ = writeln!(io::stderr(), "a connection's {error}");
    }
}

/// Adds a remedy to an error of listening.
fn with_remedy(error: io::Error) -> io::Error {
    let remedy = match error.kind() {
        io::ErrorKind::AddrInUse => "stop what listens there, or give another port",
        io::ErrorKind::AddrNotAvailable => "give an address of this machine, or 0.0.0.0 for all",
        io::ErrorKind::PermissionDenied => "give a port above 1023, or run it with privileges",
        _ => return error,
    };
    io::Error::new(error.kind(), format!("{error}; {remedy}"))
}
