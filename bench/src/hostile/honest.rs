//! Honest clients: established connections that ask now and then, and newcomers that connect anew
//! for each request.

use std::cell::RefCell;
use std::fmt::{self, Display};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process;
use std::time::{Duration, Instant};

use annulus::join::gather;
use annulus::net::{ConnectOptions, TcpStream};
use annulus::time::{sleep, timeout};
use clap::Args;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::attack::PER_SOURCE;
use super::child::Place;
use crate::server::Usage;

/// How long a client thinks between two requests.
const THINKS: Duration = Duration::from_millis(25);

/// One client of this many is a newcomer.
const NEWCOMERS: usize = 10;

/// How long a request may take, with its connect, until it has failed.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

/// Asks for so long, and prints the latencies.
#[derive(Args, Debug)]
pub(crate) struct HostileHonest {
    #[command(flatten)]
    place: Place,
    #[arg(long)]
    server: SocketAddr,
    #[arg(long)]
    connections: usize,
    #[arg(long)]
    seconds: f64,
}

/// Latencies of requests, in microseconds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) requests: u64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Latency {
    fn of(histogram: &Histogram<u64>) -> Self {
        let microseconds = |nanoseconds: u64| nanoseconds as f64 / 1e3;
        Self {
            requests: histogram.len(),
            p50: microseconds(histogram.value_at_quantile(0.5)),
            p99: microseconds(histogram.value_at_quantile(0.99)),
            max: microseconds(histogram.max()),
        }
    }
}

impl Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, p50, p99, max } = self;
        write!(f, "{requests} | {p50:.0} | {p99:.0} | {max:.0}")
    }
}

/// What honest clients have met.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Met {
    pub(crate) established: Latency,
    pub(crate) newcomers: Latency,
    /// Errors, of which there should be none.
    pub(crate) failures: Vec<String>,
    /// How much of the time these clients could have run, but others had their core.
    pub(crate) waited: f64,
}

impl HostileHonest {
    pub(crate) fn run(self) -> io::Result<()> {
        self.place.take()?;
        let (began, before) = (Instant::now(), Usage::of(process::id())?);
        let mut met = annulus::run(self.ask())?;
        let used = Usage::of(process::id())? - before;
        met.waited = used.waited.as_secs_f64() / began.elapsed().as_secs_f64();
        println!("{}", serde_json::to_string(&met)?);
        Ok(())
    }

    async fn ask(self) -> Met {
        let histogram = || RefCell::new(Histogram::<u64>::new(3).expect("a valid size"));
        let (established, newcomers) = (histogram(), histogram());
        let failures = RefCell::new(Vec::new());
        let until = Instant::now() + Duration::from_secs_f64(self.seconds);
        let clients = (0..self.connections).map(|client| {
            let is_newcomer = client % NEWCOMERS == 0;
            let latencies = if is_newcomer { &newcomers } else { &established };
            let source = Ipv4Addr::new(127, 0, 0, 2 + (client / (PER_SOURCE / 2)) as u8);
            // They do not all ask at the same time.
            let begin = THINKS.mul_f64(client as f64 / self.connections as f64);
            let (server, failures) = (self.server, &failures);
            async move {
                sleep(begin).await;
                let mut kept = None;
                loop {
                    let began = Instant::now();
                    let asked = timeout(LIMIT, ask(kept.take(), source, server)).await;
                    match asked.map_err(io::Error::from).and_then(|answered| answered) {
                        Ok(stream) => {
                            let took = began.elapsed().as_nanos() as u64;
                            latencies.borrow_mut().record(took).expect("it grows");
                            kept = (!is_newcomer).then_some(stream);
                        }
                        Err(error) => failures.borrow_mut().push(error.to_string()),
                    }
                    if Instant::now() >= until {
                        return;
                    }
                    sleep(THINKS).await;
                }
            }
        });
        gather(clients).await;
        let (established, newcomers) = (established.into_inner(), newcomers.into_inner());
        let (established, newcomers) = (Latency::of(&established), Latency::of(&newcomers));
        Met { established, newcomers, failures: failures.into_inner(), waited: 0.0 }
    }
}

/// Sends a request, on a new connection if none is kept, and takes the answer.
async fn ask(
    kept: Option<TcpStream>,
    source: Ipv4Addr,
    server: SocketAddr,
) -> io::Result<TcpStream> {
    let mut stream = match kept {
        Some(stream) => stream,
        None => {
            let source = SocketAddr::new(IpAddr::V4(source), 0);
            let options = ConnectOptions::new().local_addr(source);
            TcpStream::connect_with(server, &options).await?
        }
    };
    stream.write_all("64\n").await.0?;
    stream.read_exact(vec![0; 64].into_boxed_slice()).await.0?;
    Ok(stream)
}
