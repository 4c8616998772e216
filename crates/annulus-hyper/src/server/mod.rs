//! Servers: hyper's HTTP/1 and HTTP/2 with the limits and the orderly end of annulus' servers.
//!
//! [`serve()`] takes a listener and a service of hyper's, and is configured like a builder. The
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
//! # Hostile clients
//!
//! | what a client does           | what bounds it                                               |
//! |------------------------------|--------------------------------------------------------------|
//! | it opens connections         | [`max_connections`], [`max_connections_per_peer`]            |
//! | it sends a head slowly       | [`header_read_timeout`](Serve::header_read_timeout)          |
//! | it sends a large head        | 400 KiB and 100 fields in HTTP/1, 16 KiB in HTTP/2: then 431 |
//! | it sends a body slowly       | the service, see below                                       |
//! | it sends a large body        | the service, see below                                       |
//! | it sends nothing at all      | [`idle_timeout`], and for heads as above                     |
//! | it reads slowly, or never    | [`send_timeout`], [`min_send_rate`]                          |
//! | it floods HTTP/2 with frames | the connection ends by a GOAWAY                              |
//!
//! Those that are options of [`ServerOptions`] are off by default: [`Serve::limits`] takes them.
//!
//! Only the service knows how long a body may take: an upload of minutes may be welcome. A service
//! that wants the whole body gives it a time, in which a client that sends a byte now and then is
//! cut however often it does:
//!
//! ```
//! use std::time::Duration;
//! use annulus::time::timeout;
//! use http_body_util::{BodyExt, Full, Limited};
//! use hyper::body::{Bytes, Incoming};
//! use hyper::{Request, Response, StatusCode};
//!
//! async fn upload(request: Request<Incoming>) -> http::Result<Response<Full<Bytes>>> {
//!     let body = Limited::new(request.into_body(), 1 << 20).collect();
//!     let status = match timeout(Duration::from_secs(30), body).await {
//!         Ok(Ok(_body)) => StatusCode::OK,
//!         Ok(Err(_)) => StatusCode::PAYLOAD_TOO_LARGE,
//!         Err(_) => StatusCode::REQUEST_TIMEOUT,
//!     };
//!     Response::builder().status(status).body(Full::default())
//! }
//! ```
//!
//! [`ServerOptions`]: annulus::net::ServerOptions
//! [`idle_timeout`]: annulus::net::ServerOptions::idle_timeout
//! [`max_connections`]: annulus::net::ServerOptions::max_connections
//! [`max_connections_per_peer`]: annulus::net::ServerOptions::max_connections_per_peer
//! [`min_send_rate`]: annulus::net::ServerOptions::min_send_rate
//! [`send_timeout`]: annulus::net::ServerOptions::send_timeout

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
