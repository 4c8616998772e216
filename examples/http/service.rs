//! The server as a service: the sockets that it was started with, what it tells the service
//! manager, and how a new version of it takes over.

use std::env;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use annulus::net::{Server, TcpListener};
use annulus::service::{
    InheritedSocket, ListeningSockets, SocketKind, hand_over, listeners, ready, reloading, stopping,
};
use annulus::shards::Shard;
use annulus::signal::hangup;

/// What the sockets are called, before the index of their shard.
const NAME: &str = "http-";

/// How long a new version may take until all its shards listen.
const START: Duration = Duration::from_secs(30);

/// What the shards have in common of the service.
pub(crate) struct Service {
    /// The file as it was called at the start: later another version may have its name.
    program: PathBuf,
    /// What this process was started with; empty when all shards listen.
    inherited: Mutex<Vec<InheritedSocket>>,
    sockets: ListeningSockets,
    listening: AtomicUsize,
}

impl Service {
    pub(crate) fn new() -> io::Result<Self> {
        let mut inherited = listeners()?;
        if let Some(other) = inherited.iter().find(|it| it.kind() != SocketKind::TcpListener) {
            let text = format!("inherited socket {:?} is {}", other.name(), other.kind());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        // A predecessor has added them in any order. Those of systemd stay in theirs.
        inherited.sort_by_key(|socket| shard_of(socket).unwrap_or(usize::MAX));
        Ok(Self {
            program: env::current_exe()?,
            inherited: Mutex::new(inherited),
            sockets: ListeningSockets::new(),
            listening: AtomicUsize::new(0),
        })
    }

    /// The inherited listeners of a shard; none if this process has inherited none.
    ///
    /// Every socket has a shard, also if they are more than the shards: clients wait at each. If
    /// they are fewer, several shards listen on the same one.
    pub(crate) fn listeners(&self, shard: &Shard) -> io::Result<Vec<TcpListener>> {
        let (inherited, count) = (self.inherited(), shard.count());
        let (total, index) = (inherited.len(), shard.index());
        let mine = inherited.iter().enumerate().filter(|(at, _)| at % count == index % total);
        let duplicate = |socket: &InheritedSocket| socket.as_fd().try_clone_to_owned();
        mine.map(|(_, socket)| duplicate(socket).map(TcpListener::from)).collect()
    }

    /// Notes that a shard listens. The last one then acts for all: it tells that the service is
    /// ready, and has it replaced on SIGHUP, until the end.
    pub(crate) async fn attend(&self, shard: &Shard, server: &Server) -> io::Result<()> {
        self.sockets.add(&format!("{NAME}{}", shard.index()), server)?;
        if self.listening.fetch_add(1, Ordering::AcqRel) + 1 < shard.count() {
            return Ok(());
        }
        self.inherited().clear();
        let shutdown = shard.shutdown();
        let mut signal = hangup();
        ready()?;
        while let Some(received) = shutdown.run_until_requested(signal).await {
            received?;
            signal = hangup();
            // A SIGTERM meanwhile ends this process, and the new one as well.
            match shutdown.run_until_requested(self.replace()).await {
                Some(Ok(id)) => {
                    say(&mut io::stdout(), &format!("handed over to process {id}"));
                    shutdown.request();
                }
                Some(Err(error)) => {
                    say(&mut io::stderr(), &format!("http: {error}; going on"));
                    if let Err(error) = ready() {
                        say(&mut io::stderr(), &format!("http: {error}"));
                    }
                }
                None => {}
            }
        }
        stopping().map(drop)
    }

    /// Starts the program with the arguments of this process, and the sockets of all shards.
    async fn replace(&self) -> io::Result<u32> {
        reloading()?;
        let mut successor = Command::new(&self.program);
        successor.args(env::args_os().skip(1));
        Ok(hand_over(&self.sockets, successor, START).await?)
    }

    fn inherited(&self) -> MutexGuard<'_, Vec<InheritedSocket>> {
        self.inherited.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The shard that had a socket in a predecessor.
fn shard_of(socket: &InheritedSocket) -> Option<usize> {
    socket.name().strip_prefix(NAME)?.parse().ok()
}

/// Prints a line in one piece: two versions print at the same time.
fn say(output: &mut impl Write, line: &str) {
    let _ = output.write_all(format!("{line}\n").as_bytes());
}
