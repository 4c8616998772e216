//! `churn`: connections that live for one message.

use clap::Args;

use super::{add_latency, add_usage, bytes, size_name, unless_serves, with_server};
use crate::compare::{Cell, Settings};
use crate::contenders::{Contender, Service};
use crate::load::churn::{self, Plan};
use crate::results::Sample;
use crate::summary::Better::{self, Higher, Lower};

const COLUMNS: &[(&str, Better)] = &[
    ("connections/s", Higher),
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

/// Connect, one message, close.
#[derive(Args, Clone, Debug)]
pub(crate) struct Churn {
    /// How many connections are open at any moment.
    #[arg(long, value_delimiter = ',', default_values_t = [64])]
    concurrent: Vec<usize>,
    /// The size of the message.
    #[arg(long, value_parser = bytes, default_value = "64")]
    size: usize,
}

impl Churn {
    /// A cell for each number of connections.
    pub(crate) fn cells(&self) -> Vec<Cell> {
        let size = self.size;
        let cells = self.concurrent.iter().map(|&concurrent| Cell {
            name: format!("{concurrent} at a time, one message of {}", size_name(size)),
            columns: COLUMNS,
            objection: unless_serves(Service::Echo),
            measure: Box::new(move |contender: &dyn Contender, settings: &Settings| {
                let Settings { warm_up, window, .. } = *settings;
                let plan = Plan { concurrent, size, warm_up, window };
                with_server(contender, Service::Echo, settings.one_core(), |server| {
                    let outcome = churn::run(&plan, server)?;
                    let mut sample = Sample::default();
                    let connections = outcome.connections as f64;
                    let rate = connections / outcome.window.elapsed.as_secs_f64();
                    sample.set("connections/s", rate);
                    add_latency(&mut sample, &outcome.latency);
                    add_usage(&mut sample, &outcome.window, connections);
                    Ok(sample)
                })
            }),
        });
        cells.collect()
    }
}
