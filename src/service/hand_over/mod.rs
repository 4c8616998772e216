//! Handing over to a successor.
//!
//! `successor` is the process that has been started, `error` why it did not take over. What the
//! successor does is in `inherited` and `predecessor`, beside this directory.

mod error;
mod successor;

use std::io;
use std::os::unix::net::UnixStream;
use std::process::{self, Command};
use std::time::Duration;

pub use error::HandOverError;

use super::notify::send;
use super::predecessor::{LONGEST_WORD, parse};
use super::role::{HandingOver, Refused};
use super::sockets::ListeningSockets;
use crate::blocking::to_thread;
use crate::net;
use crate::time::{sleep, timeout};
use successor::Successor;

/// How long to wait until the service manager has read some of its messages.
const PAUSE: Duration = Duration::from_millis(10);

/// Starts a successor of this process, and waits until it is ready to take over.
///
/// The successor inherits the listening sockets, with all connections that wait there: it takes
/// them by [`listeners`](super::listeners) and reports by [`ready`](super::ready). From then on
/// both processes accept, whichever comes first, until this one stops: after this function has
/// returned, shut down the servers as at any other end. So no connection is refused, reset or cut,
/// however long the successor takes to start.
///
/// If the successor has not reported after `within`, or has ended before, this process goes on as
/// before, and the error says why. The successor should not accept connections before it reports,
/// since one that is not ready in time is killed. It should report once it accepts.
///
/// `successor` may have any arguments, environment and standard streams. It may be a script that
/// runs the program, as long as that does not close the descriptors. Variables that mean this
/// process (`LISTEN_FDS` and its like, `WATCHDOG_PID`) are removed. The file of a Unix socket
/// stays: do not remove it when this process ends.
///
/// With systemd the main process of the service changes: this process says so (`MAINPID=`) when the
/// successor is ready, and is silent from then on ([`notify`](fn@super::notify)). Where the end of
/// this process ends everything else, as that of the first process in a container does, there can
/// be no successor.
///
/// The program is started on another thread, as that blocks. Returns the id of the successor's
/// process, which is a child of this one and goes on when this one has ended.
///
/// # Errors
///
/// See [`HandOverError`]. After an error it can be tried again; after success it cannot.
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, the successor is killed, and this process goes on as before.
///
/// # Example
///
/// On SIGHUP, replaces the process by one that runs the program anew:
///
/// ```no_run
/// use std::env;
/// use std::process::Command;
/// use std::time::Duration;
/// use annulus::net::Server;
/// use annulus::service::{self, ListeningSockets};
///
/// /// `program` is `env::current_exe()` at the start: later the file may have been replaced.
/// async fn replace(
///     program: &std::path::Path,
///     sockets: &ListeningSockets,
///     server: &Server,
/// ) -> std::io::Result<()> {
///     service::reloading()?;
///     let mut successor = Command::new(program);
///     successor.args(env::args_os().skip(1));
///     match service::hand_over(sockets, successor, Duration::from_secs(30)).await {
///         Ok(_) => {
///             server.shutdown(Duration::from_secs(30)).await;
///         }
///         Err(error) => {
///             eprintln!("{error}; going on");
///             service::ready()?;
///         }
///     }
///     Ok(())
/// }
/// ```
///
/// A process with shards hands over once, when all shards have added their sockets; then all of
/// them end:
///
/// ```no_run
/// use std::env;
/// use std::process::Command;
/// use std::time::Duration;
/// use annulus::service::{self, ListeningSockets};
/// use annulus::shards::Shard;
///
/// /// Each shard is in `server.serve_until(shard.shutdown(), ..)`; one of them calls this.
/// async fn replace(
///     program: &std::path::Path,
///     sockets: &ListeningSockets,
///     shard: &Shard,
/// ) -> std::io::Result<()> {
///     let mut successor = Command::new(program);
///     successor.args(env::args_os().skip(1));
///     service::hand_over(sockets, successor, Duration::from_secs(30)).await?;
///     shard.shutdown().request();
///     Ok(())
/// }
/// ```
///
/// The example `http` is such a server, with the successor's side.
pub async fn hand_over(
    sockets: &ListeningSockets,
    successor: Command,
    within: Duration,
) -> Result<u32, HandOverError> {
    let role = HandingOver::begin().map_err(|refused| match refused {
        Refused::InProgress => HandOverError::InProgress,
        Refused::Done => HandOverError::HandedOver,
    })?;
    let program = successor.get_program().to_owned();
    let not_started = |cause| HandOverError::NotStarted { program, cause };
    let sockets = match sockets.duplicate() {
        Ok(sockets) if sockets.is_empty() => return Err(HandOverError::NoSockets),
        Ok(sockets) => sockets,
        Err(error) => return Err(not_started(error)),
    };
    // Changes nothing, and shows that the service manager can be told later.
    let main = format!("MAINPID={}", process::id());
    tell(&main).await.map_err(HandOverError::ServiceManager)?;
    let started = to_thread(move || Successor::start(successor, sockets)).await;
    let (successor, channel) = match started.map_err(io::Error::from).and_then(|started| started) {
        Ok(started) => started,
        Err(error) => return Err(not_started(error)),
    };
    match timeout(within, report(channel)).await {
        Ok(Report::Ready(id)) => {
            let told = tell(&format!("MAINPID={id}\nREADY=1")).await;
            told.map_err(HandOverError::ServiceManager)?;
            role.complete();
            successor.keep();
            Ok(id)
        }
        Ok(Report::Closed) => match successor.ended().await {
            Ok(Some(status)) => Err(HandOverError::Ended { status }),
            Ok(None) | Err(_) => Err(HandOverError::NoReport),
        },
        Ok(Report::Other) => {
            successor.kill().await;
            Err(HandOverError::NoReport)
        }
        Err(_) => {
            successor.kill().await;
            Err(HandOverError::NotReady { after: within })
        }
    }
}

/// What a successor has sent.
enum Report {
    /// It is ready, and this is its process.
    Ready(u32),
    /// Nothing, and it has closed the socket, probably by its end.
    Closed,
    /// Something else.
    Other,
}

/// Waits for the report of a successor.
async fn report(channel: UnixStream) -> Report {
    let mut channel = net::UnixStream::from_std(channel);
    let mut word = Vec::new();
    while word.len() < LONGEST_WORD {
        match channel.recv().await {
            Ok(part) if !part.is_empty() => word.extend_from_slice(&part),
            _ => return Report::Closed,
        }
        if word.contains(&b'\n') {
            return parse(&word).map_or(Report::Other, Report::Ready);
        }
    }
    Report::Other
}

/// Tells the service manager something. Waits while it has too many messages to read.
async fn tell(text: &str) -> io::Result<()> {
    loop {
        match send(text) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(PAUSE).await,
            told => return told.map(drop),
        }
    }
}
