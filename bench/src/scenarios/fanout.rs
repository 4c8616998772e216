//! `fanout`: one writer, whose messages reach many readers.

use clap::Args;

use super::{add_latency, add_usage, bytes, size_name, unless_serves, with_server};
use crate::compare::{Cell, Settings};
use crate::contenders::{Contender, Service};
use crate::load::fanout::{self, Plan};
use crate::results::Sample;
use crate::summary::Better::{self, Higher, Lower};

const COLUMNS: &[(&str, Better)] = &[
    ("deliveries/s", Higher),
    ("p50 us", Lower),
    ("p99 us", Lower),
    ("max us", Lower),
    ("last p50 us", Lower),
    ("cpu us", Lower),
    ("user us", Lower),
    ("sys us", Lower),
    ("calls", Lower),
    ("switches", Lower),
    ("server %", Lower),
    ("waited %", Lower),
    ("load %", Lower),
];

/// One writer to many readers.
#[derive(Args, Clone, Debug)]
pub(crate) struct FanOut {
    /// Numbers of readers.
    #[arg(long, value_delimiter = ',', default_values_t = [1000])]
    readers: Vec<usize>,
    /// Sizes of messages, like 64, 1k or 256k.
    #[arg(long, value_delimiter = ',', value_parser = bytes, default_value = "64,1k")]
    sizes: Vec<usize>,
    /// How many messages may be on their way to readers.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16])]
    depths: Vec<usize>,
}

impl FanOut {
    /// A cell for each combination.
    pub(crate) fn cells(&self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for &depth in &self.depths {
            for &readers in &self.readers {
                cells.extend(self.sizes.iter().map(|&size| cell(readers, size, depth)));
            }
        }
        cells
    }
}

fn cell(readers: usize, size: usize, depth: usize) -> Cell {
    Cell {
        name: format!("one writer, {readers} readers x {}, depth {depth}", size_name(size)),
        columns: COLUMNS,
        objection: unless_serves(Service::FanOut),
        measure: Box::new(move |contender: &dyn Contender, settings: &Settings| {
            let Settings { warm_up, window, .. } = *settings;
            let plan = Plan { readers, size, depth, warm_up, window };
            with_server(contender, Service::FanOut, settings.one_core(), |server| {
                let outcome = fanout::run(&plan, server)?;
                let mut sample = Sample::default();
                let deliveries = outcome.deliveries as f64;
                let rate = deliveries / outcome.window.elapsed.as_secs_f64();
                sample.set("deliveries/s", rate);
                add_latency(&mut sample, &outcome.latency);
                let last = outcome.last.value_at_quantile(0.5) as f64 / 1e3;
                sample.set("last p50 us", last);
                add_usage(&mut sample, &outcome.window, deliveries);
                Ok(sample)
            })
        }),
    }
}
