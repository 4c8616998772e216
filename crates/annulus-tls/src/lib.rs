#![forbid(unsafe_code)]
//! TLS by rustls on the annulus runtime.
//!
//! A [`TlsAcceptor`] or [`TlsConnector`] completes a handshake on a connection and returns a
//! [`TlsStream`]. It implements the I/O traits of Tokio and of futures, and those of
//! [`annulus::io`], so buffered readers and writers work over it: [`TlsStream::into_buffered`].
//! [`start_server`] is [`annulus::net::start_server`] with TLS.
//!
//! [`server_config`] and [`client_config`] make configurations as most programs need them; all else
//! is a configuration of [`rustls`], which this crate re-exports.
//!
//! ```no_run
//! use annulus::net::TcpStream;
//! use annulus_tls::rustls::pki_types::ServerName;
//! use annulus_tls::{TlsConnector, client_config, roots_from_pem_file};
//!
//! async fn head() -> Result<(), Box<dyn std::error::Error>> {
//!     let connector = TlsConnector::from(client_config(roots_from_pem_file("roots.pem")?)?);
//!     let stream = TcpStream::connect("example.org:443").await?;
//!     let stream = connector.connect(ServerName::try_from("example.org")?, stream).await?;
//!     let (mut reader, mut writer) = stream.into_buffered();
//!     writer.write("HEAD / HTTP/1.1\r\nhost: example.org\r\nconnection: close\r\n\r\n").await?;
//!     let status = reader.read_line().await?;
//!     println!("{}", String::from_utf8_lossy(&status));
//!     Ok(())
//! }
//! ```
//!
//! # How it works
//!
//! rustls does no I/O. `engine` moves bytes between it and a [`Transport`], which has poll methods:
//! received bytes go to rustls from the memory that they were received into, and the records that
//! wait to be sent go to the transport by one vectored write. Over a socket the transport is a
//! [`Polled`](annulus::net::Polled), so small records of one turn of the event loop are sent by one
//! system call, and large ones without another copy.
//!
//! `stream` owns an engine, `halves` share one, and `access` implements the I/O traits for both.
//! `handshake` bounds handshakes, for `acceptor`, `lazy` and `connector`. `server` puts them before
//! the handlers of the core's servers, and `config` reads PEM.

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

/// The examples of the README run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
