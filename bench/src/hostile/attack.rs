//! Hostile clients: a process for each kind, which keeps a given number of connections open. A
//! connection that the server ends is replaced, at a limited rate: what is measured is the server,
//! and not how fast hostile clients on the same machine can be.

use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use annulus::net::{ConnectOptions, TcpStream};
use annulus::time::{sleep, sleep_until};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::child::Place;
use crate::os::limits;

/// How many connections have the same source address.
pub(super) const PER_SOURCE: usize = 100;

/// How long the connections of the start take to be made, if there is no rate.
const START: Duration = Duration::from_secs(5);

/// How often a process says how far it is.
const PERIOD: Duration = Duration::from_millis(250);

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Connects and is silent.
    Silent,
    /// Sends a line that does not end, a byte every other second.
    Slow,
    /// Requests 10 MB and reads none of it.
    NeverReads,
    /// Sends half of a request, waits, and resets.
    Resets,
    /// Connects again and again from one address, of which the server takes only some.
    Flood,
}

impl Kind {
    /// The second part of its addresses, 127.N.x.x.
    fn network(self) -> u8 {
        10 + self as u8
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Slow => "slow",
            Self::NeverReads => "never-reads",
            Self::Resets => "resets",
            Self::Flood => "flood",
        }
    }

    /// How many of the hostile connections are of this kind, in percent.
    pub(super) fn percent(self) -> usize {
        match self {
            Self::Silent => 45,
            Self::Slow => 30,
            Self::NeverReads | Self::Flood => 10,
            Self::Resets => 5,
        }
    }

    /// Whether it makes connections all the time, and not only in place of those that have ended.
    pub(super) fn is_flood(self) -> bool {
        matches!(self, Self::Resets | Self::Flood)
    }
}

/// Attacks until it is killed.
#[derive(Args, Debug)]
pub(crate) struct HostileAttack {
    #[command(flatten)]
    place: Place,
    #[arg(long)]
    kind: Kind,
    #[arg(long)]
    server: SocketAddr,
    #[arg(long)]
    connections: usize,
    /// How many connections are made in a second at most.
    #[arg(long)]
    rate: Option<f64>,
}

/// What a process has done so far.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// Connections that are open.
    pub(super) open: u64,
    pub(super) connected: u64,
    /// Connects that failed.
    pub(super) failed: u64,
    /// Connections that the server has closed, by EOF.
    pub(super) closed: u64,
    /// Connections that the server has reset.
    pub(super) reset: u64,
}

/// Who has ended a connection.
enum End {
    /// The client itself.
    Own,
    /// The server, by EOF.
    Closed,
}

/// Connects take turns at it.
struct Pace {
    interval: Duration,
    next: Cell<Instant>,
}

impl Pace {
    async fn turn(&self) {
        // What was missed is not made up for.
        let turn = self.next.get().max(Instant::now() - PERIOD);
        self.next.set(turn + self.interval);
        sleep_until(turn).await;
    }
}

impl HostileAttack {
    pub(crate) fn run(self) -> io::Result<()> {
        self.place.take()?;
        let descriptors = limits::raise_descriptors_to(self.connections as u64 + 100)?;
        if descriptors < self.connections as u64 + 100 {
            return Err(io::Error::other(format!("only {descriptors} descriptors")));
        }
        annulus::run(self.attack())?
    }

    /// Prints a line now and then.
    async fn attack(self) -> io::Result<()> {
        let rate = self.rate.unwrap_or(self.connections as f64 / START.as_secs_f64());
        let interval = Duration::from_secs_f64(1.0 / rate);
        let pace = Rc::new(Pace { interval, next: Cell::new(Instant::now()) });
        let tally = Rc::new(RefCell::new(Tally::default()));
        // So long that all connections are open at the same time.
        let patience = interval * self.connections as u32;
        for client in 0..self.connections {
            let source = if self.kind == Kind::Flood { 0 } else { client / PER_SOURCE };
            let [high, low] = (source as u16).to_be_bytes();
            let source = Ipv4Addr::new(127, self.kind.network(), high, low + 1);
            let (kind, server) = (self.kind, self.server);
            let (pace, tally) = (Rc::clone(&pace), Rc::clone(&tally));
            drop(annulus::spawn(async move {
                loop {
                    pace.turn().await;
                    let Ok(stream) = connect(source, server).await else {
                        tally.borrow_mut().failed += 1;
                        continue;
                    };
                    tally.borrow_mut().connected += 1;
                    tally.borrow_mut().open += 1;
                    let end = behave(kind, stream, patience).await;
                    let mut tally = tally.borrow_mut();
                    tally.open -= 1;
                    match end {
                        Ok(End::Own) => {}
                        Ok(End::Closed) => tally.closed += 1,
                        Err(_) => tally.reset += 1,
                    }
                }
            }));
        }
        loop {
            println!("{}", serde_json::to_string(&*tally.borrow())?);
            io::stdout().flush()?;
            sleep(PERIOD).await;
        }
    }
}

async fn connect(source: Ipv4Addr, server: SocketAddr) -> io::Result<TcpStream> {
    let source = SocketAddr::new(IpAddr::V4(source), 0);
    let options = ConnectOptions::new().local_addr(source).timeout(Duration::from_secs(10));
    TcpStream::connect_with(server, &options).await
}

/// What it does with a connection, until one of both ends it.
async fn behave(kind: Kind, mut stream: TcpStream, patience: Duration) -> io::Result<End> {
    match kind {
        Kind::Silent | Kind::Flood => {
            while !stream.recv().await?.is_empty() {}
            Ok(End::Closed)
        }
        Kind::Slow => loop {
            // Of a connection that the server has closed, the second write fails.
            stream.write_all("1").await.0?;
            sleep(Duration::from_secs(2)).await;
        },
        Kind::NeverReads => {
            stream.set_recv_buffer_size(4096)?;
            loop {
                stream.write_all("10000000\n").await.0?;
                sleep(Duration::from_secs(2)).await;
            }
        }
        Kind::Resets => {
            stream.write_all("100").await.0?;
            sleep(patience).await;
            stream.set_linger(Some(Duration::ZERO))?;
            Ok(End::Own)
        }
    }
}
