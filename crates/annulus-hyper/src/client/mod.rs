//! Clients: connections for hyper's clients, and hyper-util's client with a pool of them.
//!
//! [`client`] is the client with a pool. For one connection without a pool, hyper's
//! [`handshake`](hyper::client::conn::http1::handshake) takes an [`Io`](crate::Io) on a
//! [`Polled`](annulus::net::Polled) stream; spawn the connection that it returns.
//!
//! There is no TLS here yet: an `https` address is an error.

mod connection;
mod connector;

use http_body::Body;
use hyper_util::client::legacy;

pub use connection::Connection;
pub use connector::{Connecting, Connector};

use crate::rt::{Executor, Timer};

/// hyper-util's client, which keeps connections for further requests.
pub type Client<B> = legacy::Client<Connector, B>;

/// Makes a client with a pool of connections.
///
/// Clones share the pool, whose idle connections are closed after 90 seconds. It may be used on the
/// thread of one runtime only: elsewhere its requests fail. hyper-util demands that bodies are
/// `Send`.
///
/// # Example
///
/// ```no_run
/// use annulus_hyper::client::client;
/// use http_body_util::{BodyExt, Empty};
/// use hyper::body::Bytes;
///
/// annulus::run(async {
///     let client = client::<Empty<Bytes>>();
///     let response = client.get("http://127.0.0.1:8000/".parse()?).await?;
///     println!("{:?}", response.into_body().collect().await?.to_bytes());
///     Ok::<_, Box<dyn std::error::Error>>(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn client<B: Body<Data: Send> + Send>() -> Client<B> {
    legacy::Client::builder(Executor).timer(Timer).pool_timer(Timer).build(Connector::new())
}
