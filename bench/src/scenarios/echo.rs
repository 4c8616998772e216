//! `echo` and `proxy`: a fixed number of messages under way on each connection.

use std::io;

use clap::Args;

use super::{add_latency, add_usage, bytes, size_name, unless_serves, with_server};
use crate::compare::{Cell, Settings};
use crate::contenders::{self, Contender, Service};
use crate::load::closed_loop::{self, Plan};
use crate::results::Sample;
use crate::server::Server;
use crate::summary::Better::{self, Higher, Lower};

pub(super) const COLUMNS: &[(&str, Better)] = &[
    ("messages/s", Higher),
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

/// Messages sent back.
#[derive(Args, Clone, Debug)]
pub(crate) struct Echo {
    /// Numbers of connections.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 64, 1000, 10_000])]
    pub(crate) connections: Vec<usize>,
    /// Sizes of messages, like 64, 1k or 256k.
    #[arg(long, value_delimiter = ',', value_parser = bytes, default_value = "64,1k,16k,256k")]
    pub(crate) sizes: Vec<usize>,
    /// Numbers of messages under way on each connection.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16])]
    pub(crate) depths: Vec<usize>,
}

impl Echo {
    /// The cell of one combination.
    pub(crate) fn cell(connections: usize, size: usize, depth: usize) -> Cell {
        Shape { connections, size, depth }.cell()
    }

    /// A cell for each combination.
    pub(crate) fn cells(&self) -> Vec<Cell> {
        self.combinations().map(Shape::cell).collect()
    }

    fn combinations(&self) -> impl Iterator<Item = Shape> + '_ {
        self.depths.iter().flat_map(move |&depth| {
            self.connections.iter().flat_map(move |&connections| {
                self.sizes.iter().map(move |&size| Shape { connections, size, depth })
            })
        })
    }
}

/// Messages sent back through a proxy.
#[derive(Args, Clone, Debug)]
pub(crate) struct Proxy {
    /// Numbers of connections.
    #[arg(long, value_delimiter = ',', default_values_t = [64])]
    connections: Vec<usize>,
    /// Sizes of messages, like 64, 1k or 256k.
    #[arg(long, value_delimiter = ',', value_parser = bytes, default_value = "64,16k")]
    sizes: Vec<usize>,
}

impl Proxy {
    /// A cell for each combination. The echo server behind the proxy is the hand-written one on
    /// epoll, on the core of the load.
    pub(crate) fn cells(&self, load_core: usize) -> Vec<Cell> {
        let Self { connections, sizes } = self.clone();
        let echo = Echo { connections, sizes, depths: vec![1] };
        let shapes = echo.combinations();
        let cells = shapes.map(|shape| Cell {
            measure: Box::new(move |contender, settings| {
                let echo = contenders::by_name("raw-epoll").expect("it is always built");
                let upstream = Server::start(echo.as_ref(), Service::Echo, &[load_core])?;
                let service = Service::Proxy(upstream.address());
                with_server(contender, service, settings.one_core(), |server| {
                    shape.measure(server, settings)
                })
            }),
            objection: unless_serves(Service::Proxy(std::net::SocketAddrV4::new(
                std::net::Ipv4Addr::LOCALHOST,
                0,
            ))),
            ..shape.cell()
        });
        cells.collect()
    }
}

/// How many messages of which size are under way.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) connections: usize,
    pub(super) size: usize,
    pub(super) depth: usize,
}

impl Shape {
    fn cell(self) -> Cell {
        Cell {
            name: self.name(),
            columns: COLUMNS,
            objection: unless_serves(Service::Echo),
            measure: Box::new(move |contender: &dyn Contender, settings: &Settings| {
                with_server(contender, Service::Echo, settings.one_core(), |server| {
                    self.measure(server, settings)
                })
            }),
        }
    }

    pub(super) fn name(self) -> String {
        let Self { connections, size, depth } = self;
        let plural = if connections == 1 { "" } else { "s" };
        format!("{connections} connection{plural} x {}, depth {depth}", size_name(size))
    }

    pub(super) fn measure(self, server: &Server, settings: &Settings) -> io::Result<Sample> {
        let Self { connections, size, depth } = self;
        let Settings { warm_up, window, .. } = *settings;
        let helpers = settings.helpers();
        let plan = Plan { connections, size, depth, warm_up, window, helpers };
        let outcome = closed_loop::run(&plan, server)?;
        let mut sample = Sample::default();
        let messages = outcome.messages as f64;
        sample.set("messages/s", messages / outcome.window.elapsed.as_secs_f64());
        add_latency(&mut sample, &outcome.latency);
        add_usage(&mut sample, &outcome.window, messages);
        Ok(sample)
    }
}
