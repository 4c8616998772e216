//! `scale`: the same echo on one core, on two, and so on.

use std::io;

use clap::Args;

use super::echo::{COLUMNS, Shape};
use super::{NO_SERVER, bytes, with_server};
use crate::compare::{Cell, Settings};
use crate::contenders::{Contender, Scaling, Service};

/// Messages sent back by a server on several cores.
#[derive(Args, Clone, Debug)]
pub(crate) struct Scale {
    /// Numbers of connections.
    #[arg(long, value_delimiter = ',', default_values_t = [256])]
    connections: Vec<usize>,
    /// Sizes of messages, like 64, 1k or 256k.
    #[arg(long, value_delimiter = ',', value_parser = bytes, default_value = "64,16k")]
    sizes: Vec<usize>,
}

impl Scale {
    /// For each combination, a cell for each number of cores that the server may have.
    pub(crate) fn cells(&self, server_cores: usize) -> Vec<Cell> {
        let mut cells = Vec::new();
        for &connections in &self.connections {
            for &size in &self.sizes {
                let shape = Shape { connections, size, depth: 1 };
                cells.extend((1..=server_cores).map(|cores| cell(cores, shape)));
            }
        }
        cells
    }
}

fn cell(cores: usize, shape: Shape) -> Cell {
    let plural = if cores == 1 { "" } else { "s" };
    Cell {
        name: format!("{cores} core{plural}: {}", shape.name()),
        columns: COLUMNS,
        objection: Box::new(move |contender| objection(contender, cores)),
        measure: Box::new(move |contender: &dyn Contender, settings: &Settings| -> io::Result<_> {
            let cores = &settings.server_cores[..cores];
            with_server(contender, Service::Echo, cores, |server| shape.measure(server, settings))
        }),
    }
}

fn objection(contender: &dyn Contender, cores: usize) -> Option<String> {
    match contender.scaling() {
        _ if !contender.serves(Service::Echo) => Some(NO_SERVER.to_owned()),
        Scaling::None(reason) if cores > 1 => Some(reason.to_owned()),
        _ => None,
    }
}
