//! `latency`: messages at a fixed rate.

use std::io;
use std::time::Duration;

use clap::Args;

use super::{add_latency, bytes, size_name, unless_serves, with_server};
use crate::compare::{Cell, Settings};
use crate::contenders::{Contender, Service};
use crate::load::closed_loop;
use crate::load::open_loop::{self, Plan};
use crate::results::Sample;
use crate::summary::Better::{self, Lower};

const COLUMNS: &[(&str, Better)] = &[
    ("p99 us", Lower),
    ("p50 us", Lower),
    ("p99.9 us", Lower),
    ("max us", Lower),
    ("load lag p99 us", Lower),
    ("server %", Lower),
];

/// Messages at a fixed rate.
#[derive(Args, Clone, Debug)]
pub(crate) struct Latency {
    /// Over how many connections the messages go in turn.
    #[arg(long, default_value_t = 64)]
    pub(crate) connections: usize,
    /// The size of a message.
    #[arg(long, value_parser = bytes, default_value = "64")]
    pub(crate) size: usize,
    /// Rates, as percentages of the best contender's throughput with one message under way on each
    /// connection.
    #[arg(long, value_delimiter = ',', default_values_t = [10, 50, 80])]
    pub(crate) percentages: Vec<u32>,
}

impl Latency {
    /// A cell for each rate. It finds out first what the best contender can do.
    ///
    /// # Errors
    ///
    /// If no contender can be measured.
    pub(crate) fn cells(
        &self,
        contenders: &[Box<dyn Contender>],
        settings: &Settings,
    ) -> io::Result<Vec<Cell>> {
        let capacities = contenders
            .iter()
            .filter(|one| one.serves(Service::Echo))
            .filter_map(|one| self.capacity(one.as_ref(), settings).ok());
        let best = capacities
            .max_by(f64::total_cmp)
            .ok_or_else(|| io::Error::other("no contender can be measured"))?;
        let cell = |&percentage| self.cell(percentage, best * f64::from(percentage) / 100.0);
        Ok(self.percentages.iter().map(cell).collect())
    }

    fn capacity(&self, contender: &dyn Contender, settings: &Settings) -> io::Result<f64> {
        let plan = closed_loop::Plan {
            connections: self.connections,
            size: self.size,
            depth: 1,
            warm_up: settings.warm_up,
            window: settings.window.min(Duration::from_secs(1)),
            helpers: &[],
        };
        with_server(contender, Service::Echo, settings.one_core(), |server| {
            let outcome = closed_loop::run(&plan, server)?;
            Ok(outcome.messages as f64 / outcome.window.elapsed.as_secs_f64())
        })
    }

    fn cell(&self, percentage: u32, rate: f64) -> Cell {
        let (connections, size) = (self.connections, self.size);
        let name = size_name(size);
        Cell {
            name: format!("{connections} connections x {name}, {percentage} %: {rate:.0}/s"),
            columns: COLUMNS,
            objection: unless_serves(Service::Echo),
            measure: Box::new(move |contender: &dyn Contender, settings: &Settings| {
                let Settings { warm_up, window, .. } = *settings;
                let plan = Plan { connections, size, rate, warm_up, window };
                with_server(contender, Service::Echo, settings.one_core(), |server| {
                    let outcome = open_loop::run(&plan, server)?;
                    let mut sample = Sample::default();
                    add_latency(&mut sample, &outcome.latency);
                    let lag = outcome.lag.value_at_quantile(0.99) as f64 / 1e3;
                    sample.set("load lag p99 us", lag);
                    sample.set("server %", outcome.window.server_share() * 100.0);
                    Ok(sample)
                })
            }),
        }
    }
}
