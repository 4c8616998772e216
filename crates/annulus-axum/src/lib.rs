#![forbid(unsafe_code)]
//! axum on the annulus runtime: [`serve`](serve()) with axum's own signature, [WebSockets](ws), and
//! [server-sent events](sse).
//!
//! ```no_run
//! use annulus::net::TcpListener;
//! use axum::Router;
//! use axum::routing::get;
//!
//! #[annulus::main]
//! async fn main() -> std::io::Result<()> {
//!     let app = Router::new().route("/", get("hello\n"));
//!     let listener = TcpListener::bind("127.0.0.1:3000").await?;
//!     annulus_axum::serve(listener, app).await
//! }
//! ```
//!
//! A router is served by the thread that listens, over HTTP/1 and HTTP/2, on TCP or Unix sockets,
//! and over TLS (feature `tls`).
//! In [shards](annulus::shards) each has a listener on the same port, and a router.
//!
//! # What is different from axum on Tokio
//!
//! - Futures of annulus are not `Send`; handlers that await them are made by [`local`](local()).
//! - What of axum needs a Tokio runtime does not work without one: `axum::extract::ws`, for which
//!   there is [`ws`], and the keep-alive of `axum::response::sse`, for which there is [`sse`].
//!   Neither do layers that measure time, such as those of `tower::timeout`.
//! - A connection has limits by default: the head of a request must arrive within 30 seconds, and
//!   an idle connection is closed after 75. [`Serve::configure`] changes them.
//! - [`Serve::serve_until`] ends a server within a time, and counts what became of its connections.

#[cfg(feature = "connect-info")]
mod connect_info;
mod incoming;
mod local;
mod serve;
mod server;
mod service;
pub mod sse;
#[cfg(all(feature = "connect-info", feature = "tls"))]
mod tls;
#[cfg(feature = "ws")]
pub mod ws;

#[cfg(feature = "tls")]
pub use annulus_hyper::server::TlsListener;
#[cfg(feature = "connect-info")]
pub use connect_info::UnixConnectInfo;
pub use incoming::IncomingStream;
pub use local::{Local, local};
pub use serve::{Serve, ServeFuture, WithGracefulShutdown, serve};
pub use server::Server;
pub use service::{ConnectionService, MakeConnectionService};
#[cfg(all(feature = "connect-info", feature = "tls"))]
pub use tls::TlsConnectInfo;

#[cfg(all(doctest, feature = "tls"))]
#[doc = include_str!("../README.md")]
struct Readme;
