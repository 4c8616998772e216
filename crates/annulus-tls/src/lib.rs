#![forbid(unsafe_code)]
//! TLS by rustls on the annulus runtime.

mod acceptor;
mod access;
mod config;
mod connector;
mod engine;
mod error;
mod halves;
mod handshake;
mod lazy;
mod stream;
mod transport;

pub use acceptor::TlsAcceptor;
pub use config::{
    alpn, client_config, crypto_provider, mutual_client_config, mutual_server_config,
    roots_from_pem_file, server_config, server_config_from_pem,
};
#[cfg(feature = "native-roots")]
pub use config::native_roots;
#[cfg(feature = "webpki-roots")]
pub use config::webpki_roots;
pub use connector::TlsConnector;
pub use error::tls_error;
pub use halves::{ReadHalf, StreamReader, StreamWriter, WriteHalf};
pub use lazy::{LazyAcceptor, StartedHandshake};
pub use rustls;
pub use stream::{TlsInfo, TlsStream};
pub use transport::{IntoTransport, Transport};
