//! The side of the child: it prepares the process and hands over to the contender.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
#[cfg(feature = "web")]
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use clap::Args;

use super::{Calls, LIFETIME};
#[cfg(feature = "web")]
use crate::contenders::web::Task;
use crate::contenders::{self, Contender, Scaling, Service};
use crate::files::{Job, Kind};
use crate::os::{affinity, lifetime, socket};
#[cfg(feature = "web")]
use crate::web::{Protocol, allocations};
use crate::workloads::Workload;

/// What every child is told.
#[derive(Args, Debug)]
pub(crate) struct Origin {
    /// The cores to run on, one for each thread of a server that has several.
    #[arg(long, value_delimiter = ',', required = true)]
    cores: Vec<usize>,
    /// The process to end with.
    #[arg(long)]
    parent: u32,
}

impl Origin {
    fn settle(&self) -> io::Result<()> {
        lifetime::bound(self.parent, LIFETIME)?;
        affinity::pin(&self.cores)
    }
}

/// Serves until the parent ends this process.
#[derive(Args, Debug)]
pub(crate) struct Serve {
    contender: String,
    service: Service,
    /// The descriptor of the page in which system calls are counted.
    #[arg(long)]
    calls: i32,
    #[command(flatten)]
    origin: Origin,
}

/// Serves the store of `examples/kv` until the parent ends this process.
#[derive(Args, Debug)]
pub(crate) struct ServeStore {
    contender: String,
    #[command(flatten)]
    origin: Origin,
}

/// Serves HTTP until the parent ends this process.
#[cfg(feature = "web")]
#[derive(Args, Debug)]
pub(crate) struct ServeWeb {
    contender: String,
    protocol: Protocol,
    /// The folder of the certificate and of the large body.
    #[arg(long)]
    site: PathBuf,
    /// The descriptor of the page in which allocations are counted, if they are to be.
    #[arg(long)]
    allocations: Option<i32>,
    #[command(flatten)]
    origin: Origin,
}

#[cfg(feature = "web")]
impl ServeWeb {
    pub(crate) fn run(&self) -> io::Result<()> {
        self.origin.settle()?;
        let contender = find(&self.contender)?;
        if let Some(fd) = self.allocations {
            // SAFETY: the parent opened it for this process, which has opened nothing yet.
            let count = unsafe { Calls::inherited(fd)? };
            allocations::count_in(Box::leak(Box::new(count)));
        }
        let (protocol, site) = (self.protocol, &*self.site);
        let listener = socket::listen()?;
        contender.serve_web(Task { protocol, listener, site, announce: announce_address })
    }
}

impl ServeStore {
    pub(crate) fn run(&self) -> io::Result<()> {
        self.origin.settle()?;
        let contender = find(&self.contender)?;
        contender.serve_store(socket::listen()?, &self.origin.cores, announce_address)
    }
}

impl Serve {
    pub(crate) fn run(&self) -> io::Result<()> {
        self.origin.settle()?;
        let contender = find(&self.contender)?;
        // SAFETY: the parent opened it for this process, which has opened nothing yet.
        let calls = unsafe { Calls::inherited(self.calls)? };
        match (self.origin.cores.len(), contender.scaling()) {
            (1, _) => {
                let listener = socket::listen()?;
                announce(&listener)?;
                contender.serve(self.service, listener, Box::leak(Box::new(calls)))
            }
            (_, Scaling::Shards) => self.serve_in_shards(&calls),
            (_, Scaling::OwnShards) => {
                let (cores, calls) = (&self.origin.cores, Box::leak(Box::new(calls)));
                contender.serve_in_shards(self.service, cores, calls, announce_address)
            }
            (workers, Scaling::Workers) => {
                let listener = socket::listen()?;
                announce(&listener)?;
                contender.serve_with_workers(self.service, listener, workers)
            }
            (_, Scaling::None(reason)) => Err(io::Error::new(io::ErrorKind::Unsupported, reason)),
        }
    }

    /// A thread for each core, each a server of its own, with a listener of its own.
    fn serve_in_shards(&self, calls: &Calls) -> io::Result<()> {
        let cores = &self.origin.cores;
        let listeners = socket::listen_together(cores.len())?;
        announce(&listeners[0])?;
        let (failure, failures) = mpsc::channel();
        for (shard, (&core, listener)) in cores.iter().zip(listeners).enumerate() {
            let calls: &'static Calls = Box::leak(Box::new(calls.of_shard(shard)));
            let (name, service, failure) = (self.contender.clone(), self.service, failure.clone());
            thread::spawn(move || {
                let served = affinity::pin(&[core])
                    .and_then(|()| find(&name)?.serve(service, listener, calls));
                // If the receiver is gone, another shard was the first to fail.
                let _ = failure.send(served);
            });
        }
        drop(failure);
        // A shard returns only with an error, and then all end with this process.
        failures.recv().unwrap_or_else(|_| Err(io::Error::other("a thread of the server panicked")))
    }
}

/// Tells the parent where this server listens.
fn announce(listener: &TcpListener) -> io::Result<()> {
    announce_address(listener.local_addr()?)
}

fn announce_address(address: SocketAddr) -> io::Result<()> {
    println!("{address}");
    io::stdout().flush()
}

/// Does a workload that needs no peer, and says how long it took.
#[derive(Args, Debug)]
pub(crate) struct Work {
    contender: String,
    workload: Workload,
    /// How many operations to do. Without it, as many as fill the seconds.
    #[arg(long)]
    operations: Option<u64>,
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    #[command(flatten)]
    origin: Origin,
}

impl Work {
    pub(crate) fn run(&self) -> io::Result<()> {
        self.origin.settle()?;
        let contender = find(&self.contender)?;
        let operations = match self.operations {
            Some(operations) => operations,
            None => {
                let budget = Duration::from_secs_f64(self.seconds);
                calibrate(contender.as_ref(), self.workload, budget)?
            }
        };
        let measured = contender.work(self.workload, operations)?;
        println!("{}", serde_json::to_string(&measured)?);
        Ok(())
    }
}

/// Does a job with a file, and says what was measured.
#[derive(Args, Debug)]
pub(crate) struct WorkFile {
    contender: String,
    #[command(flatten)]
    job: Job,
    #[command(flatten)]
    origin: Origin,
}

impl WorkFile {
    pub(crate) fn run(&self) -> io::Result<()> {
        self.origin.settle()?;
        let contender = find(&self.contender)?;
        let report = match self.job.kind {
            Kind::GroupCommit => contender.log(&self.job)?,
            _ => contender.file(&self.job)?,
        };
        println!("{}", serde_json::to_string(&report)?);
        Ok(())
    }
}

/// How many operations fill the budget.
fn calibrate(contender: &dyn Contender, workload: Workload, budget: Duration) -> io::Result<u64> {
    const ENOUGH_TO_JUDGE: Duration = Duration::from_millis(20);
    let mut operations = 1;
    loop {
        let elapsed = contender.work(workload, operations)?.elapsed();
        if elapsed >= ENOUGH_TO_JUDGE.min(budget) {
            let scale = budget.as_secs_f64() / elapsed.as_secs_f64();
            return Ok(((operations as f64 * scale) as u64).max(1));
        }
        operations *= 4;
    }
}

fn find(name: &str) -> io::Result<Box<dyn Contender>> {
    contenders::by_name(name).ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, format!("there is no contender called {name}"))
    })
}
