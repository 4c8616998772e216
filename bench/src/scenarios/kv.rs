//! `kv`: the store of `examples/kv`, with the protocol of Redis.

use std::io;

use clap::Args;

use super::{add_latency, add_usage};
use crate::compare::{Cell, Settings};
use crate::contenders::Contender;
use crate::load::kv::{self, MAX_KEYS, Plan, Request};
use crate::results::Sample;
use crate::server::Server;
use crate::summary::Better::{self, Higher, Lower};

const COLUMNS: &[(&str, Better)] = &[
    ("requests/s", Higher),
    ("p50 us", Lower),
    ("p99 us", Lower),
    ("p99.9 us", Lower),
    ("max us", Lower),
    ("cpu us", Lower),
    ("user us", Lower),
    ("sys us", Lower),
    ("calls", Lower),
    ("switches", Lower),
    ("server %", Lower),
    ("waited %", Lower),
    ("load %", Lower),
];

/// Requests to a store with the protocol of Redis.
#[derive(Args, Clone, Debug)]
pub(crate) struct Kv {
    /// Numbers of connections.
    #[arg(long, value_delimiter = ',', default_values_t = [50, 500])]
    connections: Vec<usize>,
    /// Numbers of requests that a connection sends at once.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16])]
    pipelines: Vec<usize>,
    /// What is asked for.
    #[arg(long, value_delimiter = ',', default_value = "get,set")]
    requests: Vec<Request>,
    /// Numbers of the server's cores: annulus has a shard on each, and the others one thread.
    #[arg(long, value_delimiter = ',', default_values_t = [1])]
    cores: Vec<usize>,
    /// How many keys there are.
    #[arg(long, default_value_t = 100_000, value_parser = keys)]
    keys: usize,
}

/// A number of keys.
fn keys(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(keys) if (1..=MAX_KEYS).contains(&keys) => Ok(keys),
        _ => Err(format!("there are between 1 and {MAX_KEYS} keys")),
    }
}

impl Kv {
    /// A cell for each combination.
    pub(crate) fn cells(&self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for &cores in &self.cores {
            for &pipeline in &self.pipelines {
                for &connections in &self.connections {
                    for &request in &self.requests {
                        let shape = Shape { connections, pipeline, request, keys: self.keys };
                        cells.push(cell(shape, cores));
                    }
                }
            }
        }
        cells
    }
}

/// How many requests of which kind are under way.
#[derive(Clone, Copy)]
struct Shape {
    connections: usize,
    pipeline: usize,
    request: Request,
    keys: usize,
}

fn cell(shape: Shape, cores: usize) -> Cell {
    let Shape { connections, pipeline, request, keys } = shape;
    let plural = if connections == 1 { "" } else { "s" };
    let on = if cores == 1 { String::new() } else { format!("{cores} cores: ") };
    Cell {
        name: format!("{on}{connections} connection{plural}, pipeline {pipeline}, {request:?}"),
        columns: COLUMNS,
        objection: Box::new(|contender| {
            (!contender.has_store()).then(|| "it has no store here".to_owned())
        }),
        measure: Box::new(move |contender: &dyn Contender, settings: &Settings| {
            let Settings { warm_up, window, .. } = *settings;
            let plan = Plan { connections, pipeline, request, keys, warm_up, window };
            let cores = settings.server_cores.get(..cores).ok_or_else(|| {
                let text = format!("name {cores} cores with --server-cores");
                io::Error::new(io::ErrorKind::InvalidInput, text)
            })?;
            let mut server = Server::start_store(contender, cores)?;
            let outcome = kv::run(&plan, &server).map_err(|error| server.explain(error))?;
            let mut sample = Sample::default();
            let requests = outcome.requests as f64;
            sample.set("requests/s", requests / outcome.window.elapsed.as_secs_f64());
            add_latency(&mut sample, &outcome.latency);
            add_usage(&mut sample, &outcome.window, requests);
            Ok(sample)
        }),
    }
}
