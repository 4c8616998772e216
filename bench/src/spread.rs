//! `spread`: how evenly connections are spread over shards, for each way to spread.
//!
//! The shards run in this process and keep what they accept. Another process connects, all at once,
//! so that each has descriptors enough for ten thousand connections. Nothing is measured in time.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::{env, thread};

use annulus::net::{ListenOptions, Spread, TcpListener};
use annulus::{Shards, Shutdown};
use clap::{Args, ValueEnum};

use crate::os::limits;

/// How connections are spread over the shards of a server.
#[derive(Args, Debug)]
pub(crate) struct SpreadTable {
    /// Numbers of shards.
    #[arg(long, value_delimiter = ',', default_values_t = [2, 4])]
    shards: Vec<usize>,
    /// Numbers of connections, which are open at the same time.
    #[arg(long, value_delimiter = ',', default_values_t = [10, 100, 10_000])]
    connections: Vec<usize>,
    /// The ways to spread them.
    #[arg(long, value_delimiter = ',', default_values_t = [Way::Hash, Way::Cpu, Way::LeastLoaded])]
    ways: Vec<Way>,
    /// How often each is done; the worst is shown.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Way {
    Hash,
    Cpu,
    LeastLoaded,
}

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.to_possible_value().expect("no variant is skipped").get_name().fmt(f)
    }
}

impl SpreadTable {
    /// Prints a table.
    pub(crate) fn run(&self) -> io::Result<()> {
        limits::raise_descriptors()?;
        println!(
            "| way | shards | connections | most to mean | most apart | shards of one round |"
        );
        println!("|---|---|---|---|---|---|");
        for &way in &self.ways {
            for &shards in &self.shards {
                for &connections in &self.connections {
                    let rounds = (0..self.rounds.max(1)).map(|_| spread(way, shards, connections));
                    let rounds = rounds.collect::<io::Result<Vec<_>>>()?;
                    println!("{}", row(way, shards, connections, &rounds));
                }
            }
        }
        Ok(())
    }
}

fn row(way: Way, shards: usize, connections: usize, rounds: &[Vec<usize>]) -> String {
    let most = |round: &[usize]| round.iter().copied().max().unwrap_or(0);
    let apart = |round: &[usize]| most(round) - round.iter().copied().min().unwrap_or(0);
    let worst = rounds.iter().map(|round| most(round)).max().unwrap_or(0);
    let ratio = worst as f64 * shards as f64 / connections as f64;
    let apart = rounds.iter().map(|round| apart(round)).max().unwrap_or(0);
    let last = rounds.last().map(|round| format!("{round:?}")).unwrap_or_default();
    format!("| {way} | {shards} | {connections} | {ratio:.3} | {apart} | {last} |")
}

/// How many connections each shard has got.
fn spread(way: Way, shards: usize, connections: usize) -> io::Result<Vec<usize>> {
    let way = match way {
        Way::Hash => Spread::Hash,
        Way::Cpu => Spread::Cpu,
        Way::LeastLoaded => Spread::LeastLoaded,
    };
    let options = ListenOptions::new().spread(way).backlog(16 * 1024);
    let counts: Vec<_> = (0..shards).map(|_| AtomicUsize::new(0)).collect();
    let all = || counts.iter().map(|count| count.load(Ordering::Relaxed)).collect::<Vec<_>>();
    let shutdown = Shutdown::new();
    let (bound_to, bound) = mpsc::sync_channel(shards);
    thread::scope(|scope| {
        let (all, shutdown) = (&all, &shutdown);
        let clients = scope.spawn(move || {
            let connected =
                bound.iter().take(shards).last().ok_or(io::ErrorKind::BrokenPipe.into());
            let clients = connected.and_then(|address| Clients::start(address, connections));
            while clients.is_ok() && all().iter().sum::<usize>() < connections {
                thread::yield_now();
            }
            shutdown.request();
            clients.map(drop)
        });
        let run = Shards::builder().count(shards).pin(true).run(async |shard| {
            let listener = TcpListener::bind_with("127.0.0.1:0", &options).await?;
            // The receiver is there until all have bound.
            let _ = bound_to.send(listener.local_addr()?);
            let accepting = async {
                let mut streams = Vec::new();
                loop {
                    streams.push(listener.accept().await?);
                    counts[shard.index()].fetch_add(1, Ordering::Relaxed);
                }
            };
            shutdown.run_until_requested(accepting).await.unwrap_or(Ok::<(), io::Error>(()))
        });
        let outcomes = run.map_err(io::Error::other)?;
        outcomes.into_iter().collect::<io::Result<()>>()?;
        clients.join().expect("the clients' thread does not panic")
    })?;
    Ok(all())
}

/// A process that holds connections until it is told to end.
struct Clients(Child);

impl Clients {
    fn start(address: SocketAddr, connections: usize) -> io::Result<Self> {
        let mut child = Command::new(env::current_exe()?)
            .args(["spread-clients", &address.to_string(), &connections.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let told = child.stdout.take().map(BufReader::new).map(|out| out.lines().next());
        match told.flatten() {
            Some(line) => line.map(|_| Self(child)),
            None => Err(io::Error::other(format!("the clients failed: {}", child.wait()?))),
        }
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        // The end of its input ends it.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Connects, and holds the connections until the end of its input.
#[derive(Args, Debug)]
pub(crate) struct SpreadClients {
    address: SocketAddr,
    connections: usize,
}

impl SpreadClients {
    pub(crate) fn run(&self) -> io::Result<()> {
        limits::raise_descriptors()?;
        let connect = |_| TcpStream::connect(self.address);
        let connections = (0..self.connections).map(connect).collect::<io::Result<Vec<_>>>()?;
        println!("connected");
        io::stdout().flush()?;
        io::stdin().read_to_end(&mut Vec::new())?;
        drop(connections);
        Ok(())
    }
}
