//! Servers whose handlers read and write through TLS.
//!
//! They are the servers of [`annulus::net`]: a handshake is part of what the handler of each
//! connection does, so it counts among the connections and is ended with them.

use std::io;

use annulus::net::{
    self, Connection, HandlerFailure, HandlerOutcome, Listener, Polled, Server, ServerOptions,
    ToAddresses,
};

use crate::acceptor::TlsAcceptor;
use crate::halves::{StreamReader, StreamWriter};
use crate::stream::TlsStream;

/// Serves TLS connections with a handler, each in a task of its own, in the background.
///
/// It is [`annulus::net::start_server`] with a handshake before the handler. A handshake counts as
/// a connection, takes no longer than [`TlsAcceptor::handshake_timeout`], and holds up no other.
/// One that fails goes to [`Builder::on_incident`](annulus::Builder::on_incident) like the error of
/// a handler, unless the client only vanished or did nothing: those are counted in
/// [`Metrics::peer_disconnects`](annulus::Metrics::peer_disconnects).
///
/// What the handler's writer holds when the handler returns is still sent, and then `close_notify`.
///
/// # Errors
///
/// Those of [`annulus::net::start_server`].
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, no server is started.
///
/// # Example
///
/// ```no_run
/// use annulus_tls::{StreamReader, StreamWriter, TlsAcceptor, server_config, start_server};
///
/// async fn shout(mut reader: StreamReader, mut writer: StreamWriter) -> std::io::Result<()> {
///     loop {
///         let line = reader.read_line().await?;
///         if line.is_empty() {
///             return Ok(());
///         }
///         writer.write(line.to_ascii_uppercase()).await?;
///     }
/// }
///
/// let acceptor = TlsAcceptor::from(server_config("fullchain.pem", "privkey.pem")?);
/// annulus::run(async {
///     start_server(shout, "localhost:7443", acceptor).await?.serve_forever().await;
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "asyncio.start_server(ssl)")]
pub async fn start_server<H, T>(
    handler: H,
    addresses: impl ToAddresses,
    acceptor: TlsAcceptor,
) -> io::Result<Server>
where
    H: AsyncFn(StreamReader, StreamWriter) -> T + 'static,
    T: HandlerOutcome + 'static,
{
    start_server_with(handler, addresses, acceptor, &ServerOptions::new()).await
}

/// Like [`start_server`], with options.
///
/// The limits of the reader and the writer are not those of TLS: a handler sets that of its reader
/// itself ([`set_limit`](annulus::io::StreamReader::set_limit)).
///
/// # Errors
///
/// As for [`start_server`].
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, no server is started.
pub async fn start_server_with<H, T>(
    handler: H,
    addresses: impl ToAddresses,
    acceptor: TlsAcceptor,
    options: &ServerOptions,
) -> io::Result<Server>
where
    H: AsyncFn(StreamReader, StreamWriter) -> T + 'static,
    T: HandlerOutcome + 'static,
{
    let handle =
        async move |reader, writer| match net::TcpStream::from_buffered(reader, writer).await {
            Ok(stream) => buffered(stream, &acceptor, &handler).await,
            Err(error) => Outcome::NoHandshake(error),
        };
    net::start_server_with(handle, addresses, options).await
}

/// Like [`start_server_with`], on listeners that exist already: of TCP or Unix sockets.
///
/// # Errors
///
/// Those of [`annulus::net::start_server_on`].
///
/// # Panics
///
/// If there is no runtime on this thread.
#[track_caller]
pub fn start_server_on<L, H, T>(
    handler: H,
    listeners: impl IntoIterator<Item = L>,
    acceptor: TlsAcceptor,
    options: &ServerOptions,
) -> io::Result<Server<L::Stream>>
where
    L: Listener,
    L::Stream: Unpin,
    H: AsyncFn(StreamReader<Polled<L::Stream>>, StreamWriter<Polled<L::Stream>>) -> T + 'static,
    T: HandlerOutcome + 'static,
{
    let handle = async move |stream| buffered(stream, &acceptor, &handler).await;
    net::start_stream_server_on(handle, listeners, options)
}

/// Like [`start_server_on`], with a handler that takes the TLS connection itself.
///
/// # Errors
///
/// Those of [`annulus::net::start_stream_server_on`].
///
/// # Panics
///
/// If there is no runtime on this thread.
#[track_caller]
pub fn start_stream_server_on<L, H, T>(
    handler: H,
    listeners: impl IntoIterator<Item = L>,
    acceptor: TlsAcceptor,
    options: &ServerOptions,
) -> io::Result<Server<L::Stream>>
where
    L: Listener,
    L::Stream: Unpin,
    H: AsyncFn(TlsStream<Polled<L::Stream>>) -> T + 'static,
    T: HandlerOutcome + 'static,
{
    let handle = async move |stream| match acceptor.accept(Polled::new(stream)).await {
        Ok(stream) => Outcome::Handled(handler(stream).await),
        Err(error) => Outcome::NoHandshake(error),
    };
    net::start_stream_server_on(handle, listeners, options)
}

/// A connection from its handshake until what the handler has written is sent.
async fn buffered<S, H, T>(stream: S, acceptor: &TlsAcceptor, handler: &H) -> Outcome<T>
where
    S: Connection + Unpin,
    H: AsyncFn(StreamReader<Polled<S>>, StreamWriter<Polled<S>>) -> T,
{
    let (read, write) = match acceptor.accept(Polled::new(stream)).await {
        Ok(stream) => stream.into_split(),
        Err(error) => return Outcome::NoHandshake(error),
    };
    let ended = write.ended();
    let outcome = handler(StreamReader::new(read), StreamWriter::new(write)).await;
    ended.await;
    Outcome::Handled(outcome)
}

/// What became of a connection.
enum Outcome<T> {
    NoHandshake(io::Error),
    Handled(T),
}

impl<T: HandlerOutcome> HandlerOutcome for Outcome<T> {
    fn failure(self) -> Option<HandlerFailure> {
        match self {
            Self::Handled(outcome) => outcome.failure(),
            // A peer that does nothing is as good as gone.
            Self::NoHandshake(error) if error.kind() == io::ErrorKind::TimedOut => {
                Some(HandlerFailure::PeerGone)
            }
            Self::NoHandshake(error) => Err::<(), _>(error).failure(),
        }
    }
}
