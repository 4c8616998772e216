#![forbid(unsafe_code)]
//! TLS by rustls on the annulus runtime.
//!
//! A [`TlsAcceptor`] or [`TlsConnector`] completes a handshake on a connection, and returns a
//! [`TlsStream`]. It implements the I/O traits of Tokio and of futures, and those of
//! [`annulus::io`], so buffered readers and writers work over it:
//! [`TlsStream::into_buffered`].
//!
//! [`server_config`] and [`client_config`] make configurations as most programs need them; all else
//! is a configuration of [`rustls`].
//!
//! # How it works
//!
//! rustls does no I/O. `engine` moves bytes between it and a [`Transport`], which has poll methods:
//! received bytes go to rustls from the memory that they were received into, and the records that
//! wait to be sent go to the transport by one vectored write. `stream` owns an engine, `halves`
//! share one, and `access` implements the I/O traits for both. `handshake` bounds handshakes, for
//! `acceptor`, `lazy` and `connector`. `config` reads PEM.

mod acceptor;
mod access;
mod config;
mod connector;
mod engine;
mod error;
mod halves;
mod handshake;
mod lazy;
mod server;
mod stream;
mod transport;

pub use acceptor::TlsAcceptor;
#[cfg(feature = "native-roots")]
pub use config::native_roots;
#[cfg(feature = "webpki-roots")]
pub use config::webpki_roots;
pub use config::{
    alpn, client_config, crypto_provider, mutual_client_config, mutual_server_config,
    roots_from_pem_file, server_config, server_config_from_pem,
};
pub use connector::TlsConnector;
pub use error::tls_error;
pub use halves::{ReadHalf, StreamReader, StreamWriter, WriteHalf};
pub use lazy::{LazyAcceptor, StartedHandshake};
pub use rustls;
pub use server::{start_server, start_server_on, start_server_with, start_stream_server_on};
pub use stream::{TlsInfo, TlsStream};
pub use transport::{IntoTransport, Transport, Upgrade};
