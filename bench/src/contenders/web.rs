//! Servers of HTTP: each answers `/` with [`BODY`](crate::web::BODY), and those that do TLS
//! [`LARGE`](crate::web::LARGE) too.
//!
//! All that are built on hyper find out the version of HTTP for each connection by hyper-util's
//! `auto`, and set no header of their own.

mod annulus;
#[cfg(feature = "cyper")]
mod cyper;
mod epoll;
mod hyper;
#[cfg(feature = "monoio-hyper")]
mod monoio;
mod nginx;
mod router;
mod tokio;

use std::io;
use std::net::TcpListener;
use std::path::Path;

use super::{Announce, Contender, Memory, Purpose, Service, portable};
use crate::server::Calls;
use crate::web::Protocol;

/// What a server is given.
pub(crate) struct Task<'a> {
    pub(crate) protocol: Protocol,
    pub(crate) listener: TcpListener,
    /// The folder of a [`Site`](crate::web::site::Site).
    pub(crate) site: &'a Path,
    /// Is called when it listens.
    pub(crate) announce: Announce,
}

/// A server, as a row of the table of them.
struct Web {
    name: &'static str,
    form: &'static str,
    protocols: &'static [Protocol],
    /// Why it cannot be run on this machine.
    obstacle: fn() -> Option<String>,
    /// Serves until the process ends, and returns only with an error.
    serve: fn(Task<'_>) -> io::Result<()>,
}

const ALL: &[Protocol] = &[Protocol::Http1, Protocol::Http2, Protocol::Tls];
const PLAIN: &[Protocol] = &[Protocol::Http1, Protocol::Http2];

pub(super) fn forms() -> impl Iterator<Item = Box<dyn Contender>> {
    let none = || None;
    let row = |name, form, protocols, serve| Web { name, form, protocols, obstacle: none, serve };
    let mut all = vec![
        row("annulus-hyper", "hyper on this library, by annulus-hyper", ALL, annulus::hyper),
        row("annulus-axum", "axum on this library, by annulus-axum", PLAIN, annulus::axum),
        row("tokio-hyper", "hyper on tokio's current_thread", ALL, tokio::hyper),
        row("tokio-axum", "axum::serve on tokio's current_thread", PLAIN, tokio::axum),
        row(
            "annulus-httparse",
            "this library and httparse, by hand",
            &[Protocol::Http1],
            annulus::by_hand,
        ),
        row("epoll-httparse", "epoll and httparse, by hand", &[Protocol::Http1], epoll::serve),
    ];
    #[cfg(feature = "monoio-hyper")]
    all.push(row("monoio-hyper", "hyper on monoio, by monoio-compat", PLAIN, monoio::serve));
    #[cfg(feature = "cyper")]
    all.push(row("cyper-axum", "axum on compio, by cyper-axum", PLAIN, cyper::serve));
    all.push(Web {
        name: "nginx",
        form: "nginx, one process",
        protocols: ALL,
        obstacle: nginx::obstacle,
        serve: nginx::serve,
    });
    all.into_iter().map(|one| Box::new(one) as Box<dyn Contender>)
}

impl Contender for Web {
    fn name(&self) -> &'static str {
        self.name
    }

    fn form(&self) -> &'static str {
        self.form
    }

    fn memory(&self) -> Memory {
        Memory::Shared("as it chooses")
    }

    fn environment(&self) -> &[(&str, &str)] {
        if self.name.starts_with("annulus-") { portable::KERNEL } else { &[] }
    }

    fn purpose(&self) -> Purpose {
        Purpose::Web
    }

    fn serves(&self, _service: Service) -> bool {
        false
    }

    fn serve(&self, _: Service, _: TcpListener, _: &'static Calls) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "it is a server of HTTP"))
    }

    fn lacks_web(&self, protocol: Protocol) -> Option<String> {
        if !self.protocols.contains(&protocol) {
            return Some(format!("it does not serve {} here", protocol.name()));
        }
        (self.obstacle)()
    }

    fn serve_web(&self, task: Task<'_>) -> io::Result<()> {
        (self.serve)(task)
    }
}
