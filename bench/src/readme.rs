//! The figures of the project's README: what is measured for it, and the Markdown.

use std::io;

use crate::compare::{Cell, Settings};
use crate::contenders::Contender;
use crate::results::{self, Entry, Results};
use crate::scenarios::{Echo, Idle, Latency};
use crate::summary::Spread;
use crate::table;

const KIB: usize = 1024;

/// A run that the README has figures of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Messages that fit the buffers of all.
    Echo,
    /// Messages that fit only large buffers.
    Large,
    /// At a fixed rate.
    Latency,
    /// Memory of connections that sent little.
    SmallIdle,
    /// Memory of connections that sent much at once.
    LargeIdle,
}

impl Part {
    pub(crate) fn scenario(self) -> &'static str {
        match self {
            Self::Echo => "readme-echo",
            Self::Large => "readme-large",
            Self::Latency => "readme-latency",
            Self::SmallIdle => "readme-idle",
            Self::LargeIdle => "readme-idle-large",
        }
    }

    pub(crate) fn contenders(self) -> &'static [&'static str] {
        match self {
            Self::Echo => &[
                "annulus",
                "annulus-owned",
                "raw-epoll",
                "raw-uring-16k",
                "raw-uring-direct-64k",
                "tokio",
                "monoio",
                "glommio",
                "compio",
            ],
            Self::Large | Self::LargeIdle => &[
                "annulus",
                "annulus-owned@256k",
                "raw-epoll",
                "raw-uring-direct-64k",
                "tokio",
                "tokio@256k",
                "monoio",
                "monoio@256k",
                "glommio",
                "glommio@256k",
                "compio",
                "compio@256k",
            ],
            Self::Latency | Self::SmallIdle => &[
                "annulus",
                "annulus-owned",
                "raw-epoll",
                "raw-uring-16k",
                "tokio",
                "monoio",
                "glommio",
                "compio",
            ],
        }
    }

    /// # Errors
    ///
    /// If no contender can be measured.
    pub(crate) fn cells(
        self,
        contenders: &[Box<dyn Contender>],
        settings: &Settings,
    ) -> io::Result<Vec<Cell>> {
        match self {
            Self::Echo => Ok(vec![
                Echo::cell(64, 64, 1),
                Echo::cell(1000, KIB, 1),
                Echo::cell(64, KIB, 16),
                Echo::cell(64, 16 * KIB, 1),
            ]),
            Self::Large => Ok(vec![Echo::cell(64, 256 * KIB, 1)]),
            Self::Latency => {
                let latency = Latency { connections: 64, size: 64, percentages: vec![50] };
                latency.cells(contenders, settings)
            }
            Self::SmallIdle => Ok(Idle { connections: vec![10_000], size: 64 }.cells()),
            Self::LargeIdle => Ok(Idle { connections: vec![1000], size: 256 * KIB }.cells()),
        }
    }
}

/// All runs.
pub(crate) struct Figures {
    pub(crate) echo: Results,
    pub(crate) large: Results,
    pub(crate) latency: Results,
    pub(crate) small_idle: Results,
    pub(crate) large_idle: Results,
}

/// The peers, by the columns of the first table.
const PEERS: [&str; 4] = ["tokio", "monoio", "glommio", "compio"];

/// The place of the cell of many connections among those of the echo.
const MANY: usize = 1;

impl Figures {
    /// The tables, with what they were measured on.
    pub(crate) fn markdown(&self) -> String {
        [self.conditions(), self.ratios(), self.servers()].join("\n")
    }

    fn conditions(&self) -> String {
        let Results { machine, rounds, window, .. } = &self.echo;
        let day = machine.when.split(['T', ' ']).next().unwrap_or_default();
        format!(
            "Measured on {day}: {}, {} cores, Linux {}; {}.\nThe server has one core and the load \
             another; medians of {rounds} interleaved rounds of {window} s, with the\nleast and the \
             greatest.\n",
            machine.processor,
            machine.cores,
            machine.kernel,
            table::versions(&self.echo)
        )
    }

    /// Messages a second of annulus to those of each peer, a row for each cell and size of buffers.
    fn ratios(&self) -> String {
        let mut lines = vec![
            format!(
                "| connections x size, depth | buffers of the peers | {} | best by hand |",
                PEERS.join(" | ")
            ),
            "|---|---|---|---|---|---|---|".to_owned(),
        ];
        lines.extend(self.echo.cells.iter().map(|cell| row(cell, "16 KiB", "")));
        for cell in &self.large.cells {
            lines.push(row(cell, "16 KiB", ""));
            lines.push(row(cell, "256 KiB", "@256k"));
        }
        lines.join("\n") + "\n"
    }

    /// What a message and a connection cost each server.
    fn servers(&self) -> String {
        let mut lines = vec![
            "| server | receives into | CPU a message, us | latency p50, us | p99, us | bytes of an \
             idle connection | after a message of 256 KiB |"
                .to_owned(),
            "|---|---|---|---|---|---|---|".to_owned(),
        ];
        for entry in self.listed() {
            let name = &entry.contender;
            let columns = [
                figure(&self.echo, MANY, name, "cpu us"),
                figure(&self.latency, 0, name, "p50 us"),
                figure(&self.latency, 0, name, "p99 us"),
                figure(&self.small_idle, 0, name, "user bytes"),
                figure(&self.large_idle, 0, name, "user bytes"),
            ];
            lines.push(format!("| {name} | {} | {} |", entry.memory, columns.join(" | ")));
        }
        lines.join("\n") + "\n"
    }

    /// Each server once: those of the echo, and those that only take part with large messages.
    fn listed(&self) -> Vec<&Entry> {
        let mut listed: Vec<&Entry> = Vec::new();
        let runs = [&self.echo, &self.large_idle];
        for entry in runs.into_iter().flat_map(|run| &run.cells).flat_map(|cell| &cell.entries) {
            if !listed.iter().any(|one| one.contender == entry.contender) {
                listed.push(entry);
            }
        }
        listed
    }
}

fn entry_of<'a>(cell: &'a results::Cell, name: &str) -> Option<&'a Entry> {
    cell.entries.iter().find(|entry| entry.contender == name)
}

/// A server's figure in a cell of a run: the median, the least and the greatest.
fn figure(run: &Results, cell: usize, name: &str, column: &str) -> String {
    let cell = run.cells.get(cell);
    let summary = cell.and_then(|cell| entry_of(cell, name)?.summary.get(column));
    summary.map_or_else(
        || "-".to_owned(),
        |&Spread { median, minimum, maximum }| {
            let [median, minimum, maximum] = [median, minimum, maximum].map(table::number);
            format!("{median} ({minimum}..{maximum})")
        },
    )
}

/// A row of ratios to the peers whose names end so.
fn row(cell: &results::Cell, buffers: &str, suffix: &str) -> String {
    let ratio = |name: &str| {
        let lead = entry_of(cell, name).and_then(|entry| entry.lead);
        lead.map_or_else(
            || "-".to_owned(),
            |Spread { median, minimum, maximum }| {
                format!("{median:.2} ({minimum:.2}..{maximum:.2})")
            },
        )
    };
    let mut columns = PEERS.map(|peer| ratio(&format!("{peer}{suffix}"))).to_vec();
    columns.push(cell.limit.as_deref().map_or_else(|| "-".to_owned(), ratio));
    format!("| {} | {buffers} | {} |", cell.name, columns.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contenders;

    #[test]
    fn all_that_the_readme_compares_can_be_had() {
        let parts = [Part::Echo, Part::Large, Part::Latency, Part::SmallIdle, Part::LargeIdle];
        for name in parts.iter().flat_map(|part| part.contenders()) {
            let plain = name.split('@').next().unwrap();
            let is_left_out = contenders::left_out().contains(&plain);
            assert!(is_left_out || contenders::by_name(name).is_some(), "{name}");
        }
    }

    #[test]
    fn a_row_has_the_peers_with_the_buffers_that_it_names() {
        let entry = |name: &str, lead| Entry {
            contender: name.to_owned(),
            lead: Some(Spread { median: lead, minimum: 0.5, maximum: 2.0 }),
            ..Entry::default()
        };
        let cell = results::Cell {
            name: "64 connections x 256 KiB, depth 1".to_owned(),
            entries: vec![entry("tokio", 2.0), entry("tokio@256k", 1.0), entry("raw-epoll", 0.9)],
            limit: Some("raw-epoll".to_owned()),
            ..results::Cell::default()
        };
        let expected = "| 64 connections x 256 KiB, depth 1 | 256 KiB | 1.00 (0.50..2.00) | - | - | - \
                        | 0.90 (0.50..2.00) |";
        assert_eq!(row(&cell, "256 KiB", "@256k"), expected);
        assert!(row(&cell, "16 KiB", "").contains("| 16 KiB | 2.00 (0.50..2.00) |"));
    }
}
