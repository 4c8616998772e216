//! `idle`: what a connection costs that does nothing.

use std::io;
use std::time::Instant;
use std::{fs, thread};

use clap::Args;

use super::{bytes, size_name, unless_serves, with_server};
use crate::compare::{Cell, Settings};
use crate::contenders::{Contender, Service};
use crate::load::clients::Clients;
use crate::results::Sample;
use crate::server::{Server, kilobytes_of};
use crate::summary::Better::{self, Lower};

const COLUMNS: &[(&str, Better)] = &[("user bytes", Lower), ("kernel bytes", Lower)];

/// Memory of an idle connection.
#[derive(Args, Clone, Debug)]
pub(crate) struct Idle {
    /// Numbers of connections.
    #[arg(long, value_delimiter = ',', default_values_t = [10_000])]
    pub(crate) connections: Vec<usize>,
    /// The size of the one message that each connection has sent back before it idles.
    #[arg(long, value_parser = bytes, default_value = "64")]
    pub(crate) size: usize,
}

impl Idle {
    /// A cell for each number of connections.
    pub(crate) fn cells(&self) -> Vec<Cell> {
        let size = self.size;
        let cells = self.connections.iter().map(|&connections| Cell {
            name: format!(
                "{connections} idle connections after a message of {}, memory of each",
                size_name(size)
            ),
            columns: COLUMNS,
            objection: unless_serves(Service::Echo),
            measure: Box::new(move |contender: &dyn Contender, settings: &Settings| {
                with_server(contender, Service::Echo, settings.one_core(), |server| {
                    measure(server, connections, size, settings)
                })
            }),
        });
        cells.collect()
    }
}

/// What the server's own memory and the kernel's grow by with the connections. The kernel's is the
/// machine's, and so holds the load's end of each connection too.
fn measure(
    server: &Server,
    connections: usize,
    size: usize,
    settings: &Settings,
) -> io::Result<Sample> {
    let (own, kernels) = (server.private_memory()?, kernel_memory()?);
    let mut clients = Clients::connect(server, connections, size)?;
    for connection in 0..connections {
        clients.send(connection, 1, Instant::now())?;
    }
    clients.drain(|_| ())?;
    thread::sleep(settings.warm_up);
    let own = server.private_memory()?.saturating_sub(own);
    let kernels = kernel_memory()?.saturating_sub(kernels);
    let mut sample = Sample::default();
    sample.set("user bytes", own as f64 / connections as f64);
    sample.set("kernel bytes", kernels as f64 / connections as f64);
    Ok(sample)
}

/// The kernel's objects and stacks, in bytes.
fn kernel_memory() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let kilobytes = |key| {
        kilobytes_of(&text, key)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("no {key} is told")))
    };
    Ok((kilobytes("Slab:")? + kilobytes("KernelStack:")?) * 1024)
}
