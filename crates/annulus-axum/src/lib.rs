#![forbid(unsafe_code)]
//! axum on the annulus runtime: [`serve`](serve()) with axum's own signature.
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
//! A router is served by the thread that listens, over HTTP/1 and HTTP/2, on TCP or Unix sockets.
//! In [shards](annulus::shards) each has a listener on the same port, and a router.
//!
//! # What is different from axum on Tokio
//!
//! - A connection has limits by default: the head of a request must arrive within 30 seconds, and
//!   an idle connection is closed after 75. [`Serve::configure`] changes them.
//! - [`Serve::serve_until`] ends a server within a time, and counts what became of its connections.

#[cfg(feature = "connect-info")]
mod connect_info;
mod incoming;
mod serve;
mod server;
mod service;

#[cfg(feature = "connect-info")]
pub use connect_info::UnixConnectInfo;
pub use incoming::IncomingStream;
pub use serve::{Serve, ServeFuture, WithGracefulShutdown, serve};
pub use server::Server;
pub use service::{ConnectionService, MakeConnectionService};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
