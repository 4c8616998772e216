#![forbid(unsafe_code)]
//! hyper's servers and clients on the annulus runtime.
//!
//! [`server::serve`] serves a service of hyper's, with limits and an orderly end. Below it are
//! hyper's traits of a runtime ([`rt`]): with [`Io`], [`Executor`] and [`Timer`], the builders of
//! hyper and hyper-util run in annulus tasks. Nothing need be `Send`.
//!
//! # Features
//!
//! | feature              | what it adds                                                       |
//! |----------------------|--------------------------------------------------------------------|
//! | `server` (default)   | [`server`], for the versions of HTTP that are enabled              |
//! | `http1` (default)    | HTTP/1.0 and 1.1                                                   |
//! | `http2`              | HTTP/2: with `http1`, a server finds out what its clients speak    |
//! | `client`             | a client with a pool of connections, by hyper-util                 |
//! | `tls`                | `server::TlsListener` and `client::Connector::tls`, by `annulus-tls` |
//! | `ring`               | ring as the cryptography of `tls`; `annulus-tls` has others        |
//! | `native-roots`, `webpki-roots` | roots that clients may trust, of `annulus-tls`           |

#[cfg(all(feature = "client", any(feature = "http1", feature = "http2")))]
pub mod client;
pub mod rt;
#[cfg(all(feature = "server", any(feature = "http1", feature = "http2")))]
pub mod server;

#[cfg(all(doctest, feature = "server", feature = "http1"))]
#[doc = include_str!("../README.md")]
mod readme {}

pub use rt::{Executor, Io, Timer};
