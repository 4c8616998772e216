//! `http` and `tls`: servers of HTTP that answer each request with the same few bytes.

use std::error::Error;
use std::io;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{add_latency, add_usage};
use crate::compare::{Cell, Objection, Settings};
use crate::contenders::Contender;
use crate::load::tools::Tool;
use crate::load::web::{self, Clients, Plan};
use crate::results::Sample;
use crate::server::Server;
use crate::summary::Better::{self, Higher, Lower};
use crate::web::site::Site;
use crate::web::{LARGE, Protocol};

/// The contender that ratios are to.
pub(crate) const BASE: &str = "tokio-hyper";

/// The contender whose rounds ahead of others are counted.
pub(crate) const OURS: &str = "annulus-hyper";

const COLUMNS: &[(&str, Better)] = &[
    ("cpu us", Lower),
    ("requests/s", Higher),
    ("p50 us", Lower),
    ("p99 us", Lower),
    ("failed", Lower),
    ("user us", Lower),
    ("sys us", Lower),
    ("switches", Lower),
    ("server %", Lower),
    ("waited %", Lower),
    ("load %", Lower),
];

const LATENCY: &[(&str, Better)] = &[
    ("p99 us", Lower),
    ("p50 us", Lower),
    ("p99.9 us", Lower),
    ("max us", Lower),
    ("cpu us", Lower),
    ("server %", Lower),
];

const MEMORY: &[(&str, Better)] = &[("bytes", Lower)];
const ALLOCATIONS: &[(&str, Better)] = &[("allocations", Lower)];

/// Requests and responses of HTTP, without TLS.
#[derive(Args, Clone, Debug)]
pub(crate) struct Http {
    /// Which clients; all, if none is named.
    #[arg(long, value_delimiter = ',')]
    scenarios: Vec<HttpScenario>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum HttpScenario {
    /// 64 connections, one request at a time on each.
    #[value(name = "wrk-64")]
    Wrk64,
    /// 1,000 connections.
    #[value(name = "wrk-1000")]
    Wrk1000,
    /// 64 connections, 16 requests at a time on each.
    Pipelined,
    /// A connection for each request, 64 at a time.
    Close,
    /// HTTP/2 without TLS: 10 connections with 32 streams each.
    H2c,
    /// Latency at half of what hyper on Tokio can do.
    Half,
    /// Memory of a connection that has sent a request and is idle.
    Idle,
    /// How many allocations a request takes.
    Allocations,
}

/// Requests and responses of HTTP over TLS 1.3.
#[derive(Args, Clone, Debug)]
pub(crate) struct Tls {
    /// Which clients; all, if none is named.
    #[arg(long, value_delimiter = ',')]
    scenarios: Vec<TlsScenario>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TlsScenario {
    /// 64 connections, one request at a time on each.
    H1,
    /// HTTP/2: 10 connections with 32 streams each.
    H2,
    /// Bodies of 1 MiB, on 8 connections.
    Bulk,
    /// A connection with a new handshake for each request, 64 at a time.
    Handshakes,
}

/// How wrk asks for the small body, without anything special.
fn wrk(connections: usize) -> Tool {
    Tool::Wrk { connections, pipeline: 1, closes: false, path: "/" }
}

const CLOSING: Tool = Tool::Wrk { connections: 64, pipeline: 1, closes: true, path: "/" };
const H2: Tool = Tool::H2load { connections: 10, streams: 32 };

impl Http {
    /// A cell for each scenario whose program is there.
    ///
    /// # Errors
    ///
    /// If the files that servers share cannot be written, or no contender can be measured.
    pub(crate) fn cells(
        &self,
        contenders: &[Box<dyn Contender>],
        settings: &Settings,
    ) -> Result<Vec<Cell>, Box<dyn Error>> {
        let site = Rc::new(Site::new()?);
        let cell = |scenario: &HttpScenario| {
            let plain = Protocol::Http1;
            let pipelined = Tool::Wrk { connections: 64, pipeline: 16, closes: false, path: "/" };
            Ok(match scenario {
                HttpScenario::Wrk64 => asked("64 connections", wrk(64), plain, &site),
                HttpScenario::Wrk1000 => asked("1000 connections", wrk(1000), plain, &site),
                HttpScenario::Pipelined => {
                    asked("64 connections, 16 requests at once", pipelined, plain, &site)
                }
                HttpScenario::Close => asked("a connection a request", CLOSING, plain, &site),
                HttpScenario::H2c => {
                    asked("HTTP/2, 10 connections x 32 streams", H2, Protocol::Http2, &site)
                }
                HttpScenario::Half => Some(half(contenders, settings, &site)?),
                HttpScenario::Idle => Some(idle(&site)),
                HttpScenario::Allocations => Some(allocations(&site)),
            })
        };
        let cells = chosen(&self.scenarios).iter().map(cell).collect::<io::Result<Vec<_>>>()?;
        Ok(cells.into_iter().flatten().collect())
    }
}

impl Tls {
    /// A cell for each scenario whose program is there.
    ///
    /// # Errors
    ///
    /// If the files that servers share cannot be written.
    pub(crate) fn cells(&self) -> Result<Vec<Cell>, Box<dyn Error>> {
        let site = Rc::new(Site::new()?);
        let cell = |scenario: &TlsScenario| {
            let bulk = Tool::Wrk { connections: 8, pipeline: 1, closes: false, path: LARGE };
            let (name, tool) = match scenario {
                TlsScenario::H1 => ("64 connections", wrk(64)),
                TlsScenario::H2 => ("HTTP/2, 10 connections x 32 streams", H2),
                TlsScenario::Bulk => ("1 MiB, 8 connections", bulk),
                TlsScenario::Handshakes => ("a handshake a request", CLOSING),
            };
            asked(&format!("TLS: {name}"), tool, Protocol::Tls, &site)
        };
        Ok(chosen(&self.scenarios).iter().filter_map(cell).collect())
    }
}

/// Those that were named, or all.
fn chosen<T: ValueEnum + Copy>(named: &[T]) -> Vec<T> {
    if named.is_empty() { T::value_variants().to_vec() } else { named.to_vec() }
}

fn unless_serves(protocol: Protocol) -> Box<Objection> {
    Box::new(move |contender| contender.lacks_web(protocol))
}

/// A cell in which a program asks; `None` if the program is missing, which is said then.
fn asked(name: &str, tool: Tool, protocol: Protocol, site: &Rc<Site>) -> Option<Cell> {
    let (program, package) = tool.program();
    if !tool.is_installed() {
        eprintln!("\"{name}\" is left out: {program} is missing: apt-get install {package}");
        return None;
    }
    let site = Rc::clone(site);
    Some(Cell {
        name: name.to_owned(),
        columns: COLUMNS,
        objection: unless_serves(protocol),
        measure: Box::new(move |contender: &dyn Contender, settings: &Settings| {
            let cores = settings.one_core();
            let mut server = Server::start_web(contender, protocol, site.folder(), false, cores)?;
            let (told, window) = warm_up(&server, protocol, settings.warm_up)
                .and_then(|()| tool.run(&server, protocol, settings.window))
                .map_err(|error| server.explain(error))?;
            let mut sample = Sample::default();
            let requests = told.requests as f64;
            sample.set("requests/s", requests / told.seconds);
            sample.set("failed", told.failed as f64);
            if let Some((median, high)) = told.latencies {
                sample.set("p50 us", median);
                sample.set("p99 us", high);
            }
            add_usage(&mut sample, &window, requests);
            Ok(sample)
        }),
    })
}

/// Has a server answer for some time, where the harness itself can ask; elsewhere waits until it
/// listens.
fn warm_up(server: &Server, protocol: Protocol, time: Duration) -> io::Result<()> {
    if protocol == Protocol::Http1 {
        Clients::connect(server, 8)?.ask_for(time).map(drop)
    } else {
        web::await_start(server.address()).map(drop)
    }
}

/// Latency at a rate that is the same for all.
fn half(
    contenders: &[Box<dyn Contender>],
    settings: &Settings,
    site: &Rc<Site>,
) -> io::Result<Cell> {
    const CONNECTIONS: usize = 64;
    let mut serving = contenders.iter().filter(|one| one.lacks_web(Protocol::Http1).is_none());
    let base = contenders.iter().find(|one| one.name() == BASE);
    let base = base.or_else(|| serving.next());
    let base = base.ok_or_else(|| io::Error::other("no contender can be measured"))?;
    let capacity = {
        let (folder, cores) = (site.folder(), settings.one_core());
        let server = Server::start_web(base.as_ref(), Protocol::Http1, folder, false, cores)?;
        Clients::connect(&server, CONNECTIONS)?.ask_for(settings.window)?
    };
    let (rate, site) = (capacity / 2.0, Rc::clone(site));
    Ok(Cell {
        name: format!("{CONNECTIONS} connections, {rate:.0} requests a second"),
        columns: LATENCY,
        objection: unless_serves(Protocol::Http1),
        measure: Box::new(move |contender: &dyn Contender, settings: &Settings| {
            let Settings { warm_up, window, .. } = *settings;
            let plan = Plan { connections: CONNECTIONS, rate, warm_up, window };
            let (folder, cores) = (site.folder(), settings.one_core());
            let mut server = Server::start_web(contender, Protocol::Http1, folder, false, cores)?;
            let outcome = web::run(&plan, &server).map_err(|error| server.explain(error))?;
            let mut sample = Sample::default();
            add_latency(&mut sample, &outcome.latency);
            add_usage(&mut sample, &outcome.window, rate * window.as_secs_f64());
            Ok(sample)
        }),
    })
}

/// Memory of connections that have sent a request and stay open.
fn idle(site: &Rc<Site>) -> Cell {
    const CONNECTIONS: usize = 800;
    let site = Rc::clone(site);
    Cell {
        name: format!("{CONNECTIONS} idle connections, memory of each"),
        columns: MEMORY,
        objection: unless_serves(Protocol::Http1),
        measure: Box::new(move |contender: &dyn Contender, settings: &Settings| {
            let (folder, cores) = (site.folder(), settings.one_core());
            let mut server = Server::start_web(contender, Protocol::Http1, folder, false, cores)?;
            let memory = (|| {
                // What the first requests cost is not theirs.
                Clients::connect(&server, 1)?.ask(100)?;
                let before = server.private_memory()?;
                let mut clients = Clients::connect(&server, CONNECTIONS)?;
                clients.ask(CONNECTIONS)?;
                thread::sleep(settings.warm_up);
                Ok(server.private_memory()?.saturating_sub(before))
            })();
            let memory = memory.map_err(|error| server.explain(error))?;
            let mut sample = Sample::default();
            sample.set("bytes", memory as f64 / CONNECTIONS as f64);
            Ok(sample)
        }),
    }
}

/// The allocations of a request, on connections that are there already.
fn allocations(site: &Rc<Site>) -> Cell {
    const REQUESTS: usize = 2000;
    let site = Rc::clone(site);
    Cell {
        name: "allocations of a request".to_owned(),
        columns: ALLOCATIONS,
        objection: Box::new(|contender| {
            let elsewhere = contender.name() == "nginx";
            let reason = || "it is not a program of this allocator".to_owned();
            contender.lacks_web(Protocol::Http1).or_else(|| elsewhere.then(reason))
        }),
        measure: Box::new(move |contender: &dyn Contender, settings: &Settings| {
            let (folder, cores) = (site.folder(), settings.one_core());
            let mut server = Server::start_web(contender, Protocol::Http1, folder, true, cores)?;
            let counted = (|| {
                let mut clients = Clients::connect(&server, 8)?;
                clients.ask(REQUESTS)?;
                let before = server.calls();
                clients.ask(REQUESTS)?;
                Ok(server.calls() - before)
            })();
            let counted = counted.map_err(|error| server.explain(error))?;
            let mut sample = Sample::default();
            sample.set("allocations", counted as f64 / REQUESTS as f64);
            Ok(sample)
        }),
    }
}
