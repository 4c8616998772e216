//! The side of the child: it prepares the process and hands over to the contender.

use std::io::{self, Write};
use std::time::Duration;

use clap::Args;

use super::{Calls, LIFETIME};
use crate::contenders::{self, Contender, Service};
use crate::os::{affinity, lifetime, socket};
use crate::workloads::Workload;

/// What every child is told.
#[derive(Args, Debug)]
pub(crate) struct Origin {
    /// The core to run on.
    #[arg(long)]
    core: usize,
    /// The process to end with.
    #[arg(long)]
    parent: u32,
}

impl Origin {
    fn settle(&self) -> io::Result<()> {
        lifetime::bound(self.parent, LIFETIME)?;
        affinity::pin(self.core)
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

impl Serve {
    pub(crate) fn run(&self) -> io::Result<()> {
        self.origin.settle()?;
        let contender = find(&self.contender)?;
        // SAFETY: the parent opened it for this process, which has opened nothing yet.
        let calls = unsafe { Calls::inherited(self.calls)? };
        let listener = socket::listen()?;
        println!("{}", listener.local_addr()?);
        io::stdout().flush()?;
        contender.serve(self.service, listener, Box::leak(Box::new(calls)))
    }
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
