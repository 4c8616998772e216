//! `stream`: bulk through one connection.

use std::time::Duration;

use super::{unless_serves, with_server};
use crate::compare::{Cell, Settings};
use crate::contenders::{Contender, Service};
use crate::load::bulk::{self, Outcome};
use crate::results::Sample;
use crate::server::Server;
use crate::summary::Better::{self, Higher, Lower};

const COLUMNS: &[(&str, Better)] = &[
    ("GB/s", Higher),
    ("cpu s/GB", Lower),
    ("user s/GB", Lower),
    ("sys s/GB", Lower),
    ("calls/GB", Lower),
    ("server %", Lower),
    ("load %", Lower),
];

type Load = fn(&Server, Duration, Duration) -> std::io::Result<Outcome>;

/// A cell for each direction.
pub(crate) fn stream() -> Vec<Cell> {
    let receiving = cell("the server receives", Service::Sink, bulk::send);
    let sending = cell("the server sends", Service::Source, bulk::receive);
    vec![receiving, sending]
}

fn cell(name: &str, service: Service, load: Load) -> Cell {
    Cell {
        name: name.to_owned(),
        columns: COLUMNS,
        objection: unless_serves(service),
        measure: Box::new(move |contender: &dyn Contender, settings: &Settings| {
            let Settings { warm_up, window, .. } = *settings;
            let outcome = with_server(contender, service, settings.one_core(), |server| {
                load(server, warm_up, window)
            })?;
            Ok(sample(&outcome))
        }),
    }
}

fn sample(outcome: &Outcome) -> Sample {
    let Outcome { bytes, window } = outcome;
    let gigabytes = *bytes as f64 / 1e9;
    let mut sample = Sample::default();
    sample.set("GB/s", gigabytes / window.elapsed.as_secs_f64());
    sample.set("cpu s/GB", window.server.cpu.as_secs_f64() / gigabytes);
    sample.set("user s/GB", window.server.user.as_secs_f64() / gigabytes);
    sample.set("sys s/GB", window.server.system.as_secs_f64() / gigabytes);
    if window.calls > 0 {
        sample.set("calls/GB", window.calls as f64 / gigabytes);
    }
    sample.set("server %", window.server_share() * 100.0);
    sample.set("load %", window.load_share() * 100.0);
    sample.load_bound = window.load_was_the_bottleneck();
    sample
}
