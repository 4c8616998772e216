//! Servers: hyper's HTTP/1 and HTTP/2 with the limits and the orderly end of annulus' servers.
//!
//! [`serve`] takes a listener and a service of hyper's, and is configured like a builder. The
//! runtime's [`Server`](annulus::net::Server) accepts, counts and bounds connections, as
//! [`ServerOptions`] say; each is served in a task of its own. No service, body or future need be
//! `Send`.
//!
//! A connection that waits for its client is ended after a while
//! ([`header_read_timeout`](Serve::header_read_timeout),
//! [`keep_alive_timeout`](Serve::keep_alive_timeout)). What has gone wrong is
//! [counted](Server::counters); what is no client's doing goes to
//! [`Builder::on_incident`](annulus::Builder::on_incident), too.
//!
//! [`ServerOptions`]: annulus::net::ServerOptions

mod connection;
mod connections;
mod counters;
mod listener;
mod make;
mod options;
mod outcome;
mod running;
mod serve;
mod socket;
mod state;
#[cfg(feature = "tls")]
mod tls;
mod tracked;
mod version;

pub use counters::Counters;
pub use hyper_util::service::TowerToHyperService;
pub use listener::{Establish, Listener, Plain};
pub use make::{HttpService, MakeService, MakeServiceFn, Shared, make_service_fn};
pub use running::Server;
pub use serve::{Serve, serve, serve_with};
#[cfg(feature = "tls")]
pub use tls::TlsListener;
pub use version::Protocol;
