//! Clients: connections for hyper's clients, and hyper-util's client with a pool of them.
//!
//! [`client`] is the client with a pool, and [`client_with`] the one whose [`Connector`] speaks TLS
//! or goes to a Unix socket.
//!
//! For one connection without a pool, hyper's handshake takes an [`Io`](crate::Io) on a
//! [`Polled`](annulus::net::Polled) stream, or on one of TLS. Spawn the connection that it returns:
//!
#![cfg_attr(all(feature = "http1", feature = "server"), doc = "```")]
#![cfg_attr(not(all(feature = "http1", feature = "server")), doc = "```ignore")]
//! use annulus::net::{Polled, TcpListener, TcpStream};
//! use annulus_hyper::Io;
//! use http_body_util::{BodyExt, Empty};
//! use hyper::Request;
//! use hyper::body::{Bytes, Incoming};
//! use hyper::client::conn::http1::handshake;
//! # use annulus_hyper::server::serve;
//! # use hyper::{Response, service::service_fn};
//! # use http_body_util::Full;
//!
//! # async fn respond(_: Request<Incoming>) -> http::Result<Response<Full<Bytes>>> {
//! #     Ok(Response::new(Full::new(Bytes::from("hello\n"))))
//! # }
//! annulus::run(async {
//!     # let listener = TcpListener::bind("127.0.0.1:0").await?;
//!     # let server = serve(listener, service_fn(respond)).start()?;
//!     # let address = *server.local_addr();
//!     let stream = TcpStream::connect(address).await?;
//!     let (mut sender, connection) = handshake(Io::new(Polled::new(stream))).await?;
//!     let connection = annulus::spawn(connection);
//!
//!     let request = Request::get("/").header("host", "example.org").body(Empty::<Bytes>::new())?;
//!     let response = sender.send_request(request).await?;
//!     assert_eq!(response.into_body().collect().await?.to_bytes(), "hello\n");
//!     // It ends once nothing more can be sent.
//!     drop(sender);
//!     connection.await??;
//!     Ok::<_, Box<dyn std::error::Error>>(())
//! })??;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
    client_with(Connector::new())
}

/// Like [`client`], with a connector of one's own.
///
/// See [`Connector::tls`] for an example.
pub fn client_with<B: Body<Data: Send> + Send>(connector: Connector) -> Client<B> {
    legacy::Client::builder(Executor).timer(Timer).pool_timer(Timer).build(connector)
}
