//! A TLS connection as a stream, and what is known of it.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use annulus::Handle;
use annulus::net::{Polled, TcpStream};
use annulus::time::timeout;
use rustls::pki_types::CertificateDer;
use rustls::{CipherSuite, Connection, HandshakeKind, ProtocolVersion};

use crate::access::{Access, impl_read, impl_write};
use crate::engine::Engine;
use crate::error::failed;
use crate::halves::{ReadHalf, StreamReader, StreamWriter, WriteHalf, split};
use crate::handshake::discard_rest;
use crate::transport::Transport;

/// For how long a dropped stream discards what its peer still sends.
const DISCARD_LIMIT: Duration = Duration::from_secs(2);

/// How long a dropped stream may take to send what was written.
pub(crate) const LINGER: Duration = Duration::from_secs(10);

/// A TLS connection: without a parameter, over TCP.
///
/// It implements `AsyncRead`, `AsyncBufRead` and `AsyncWrite` of Tokio and of futures, and
/// [`annulus::io::AsyncRead`] and [`annulus::io::AsyncWrite`]. [`into_buffered`] puts a
/// [`StreamReader`](annulus::io::StreamReader) and a [`StreamWriter`](annulus::io::StreamWriter) on
/// it, [`into_split`] makes halves for two tasks.
///
/// # The end
///
/// Shutting down the stream sends `close_notify`, by which the peer knows that it has received
/// everything, and then shuts down the writing direction below. Dropping the stream does the same:
/// what was written is sent before, in the background, for at most ten seconds. If the peer has not
/// ended its direction, what it still sends is then discarded for at most two seconds: a connection
/// that is closed with unread bytes is reset, and the peer would lose what has not arrived.
/// A stream that is dropped by a panic is closed without `close_notify`, so that the peer does not
/// take a part for the whole.
///
/// Reading returns EOF only if the peer has sent `close_notify`. Without it the connection may have
/// been truncated on its way, and reading fails with
/// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof). Some peers omit it all the same; protocols that
/// know the length of their messages may ignore the error between two of them.
///
/// # Cancel safety
///
/// A read that is dropped loses nothing. Written bytes that were accepted are sent by the next
/// write, flush, read or shutdown, or by the drop.
///
/// [`into_buffered`]: Self::into_buffered
/// [`into_split`]: Self::into_split
pub struct TlsStream<T: Transport = Polled<TcpStream>> {
    /// `None` only while the stream is taken apart.
    engine: Option<Box<Engine<T>>>,
}

impl<T: Transport> TlsStream<T> {
    pub(crate) fn new(engine: Box<Engine<T>>) -> Self {
        Self { engine: Some(engine) }
    }

    pub(crate) fn engine(&self) -> &Engine<T> {
        self.engine.as_ref().expect("the engine is taken out only when the stream is consumed")
    }

    pub(crate) fn engine_mut(&mut self) -> &mut Engine<T> {
        self.engine.as_mut().expect("the engine is taken out only when the stream is consumed")
    }

    pub(crate) fn into_engine(mut self) -> Box<Engine<T>> {
        self.engine.take().expect("the engine is taken out only when the stream is consumed")
    }

    /// The stream below.
    pub fn get_ref(&self) -> &T {
        &self.engine().transport
    }

    /// The connection of rustls.
    pub fn connection(&self) -> &Connection {
        &self.engine().connection
    }

    /// Changes how many bytes of unsent records are kept: 64 KiB by default.
    ///
    /// A writer waits while there are more. See
    /// [`set_buffer_limit`](rustls::ConnectionCommon::set_buffer_limit); at most one record more is
    /// kept than it says.
    ///
    /// # Panics
    ///
    /// If the limit is zero: no byte could be written.
    #[track_caller]
    pub fn set_buffer_limit(&mut self, bytes: usize) {
        assert!(bytes > 0, "the limit of unsent records must be at least one byte");
        self.engine_mut().connection.set_buffer_limit(Some(bytes));
    }

    /// Requests new keys for both directions (TLS 1.3).
    ///
    /// The request is sent with what is written next, or by a flush. rustls renews keys itself
    /// where a cipher suite needs it.
    ///
    /// # Errors
    ///
    /// If the connection is one of TLS 1.2.
    pub fn refresh_traffic_keys(&mut self) -> io::Result<()> {
        let refreshed = self.engine_mut().connection.refresh_traffic_keys();
        refreshed.map_err(|error| failed("TLS key update", error))
    }

    /// What was negotiated in the handshake.
    pub fn info(&self) -> TlsInfo {
        TlsInfo::of(self.connection())
    }

    /// The protocol that was negotiated by ALPN, if any.
    pub fn alpn_protocol(&self) -> Option<&[u8]> {
        self.connection().alpn_protocol()
    }

    /// The name of the server that the client has asked for by SNI; `None` on the client's side.
    pub fn server_name(&self) -> Option<&str> {
        match self.connection() {
            Connection::Server(connection) => connection.server_name(),
            Connection::Client(_) => None,
        }
    }

    /// The certificates of the peer, its own first, if it has sent any.
    pub fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        self.connection().peer_certificates()
    }

    /// Splits the stream into halves for two tasks of one thread.
    pub fn into_split(self) -> (ReadHalf<T>, WriteHalf<T>) {
        split(self.into_engine())
    }

    /// Puts a buffered reader and a buffered writer on the stream.
    pub fn into_buffered(self) -> (StreamReader<T>, StreamWriter<T>) {
        let (read, write) = self.into_split();
        (StreamReader::new(read), StreamWriter::new(write))
    }

    /// Aborts the connection in both directions, without `close_notify`: over TCP by a reset.
    pub fn abort(mut self) {
        self.engine_mut().abort();
    }

    /// Returns the stream below and the connection of rustls, without sending anything.
    ///
    /// The connection may have received bytes that have not been read, and records that have not
    /// been sent.
    pub fn into_parts(self) -> (T, Connection) {
        let engine = *self.into_engine();
        (engine.transport, engine.connection)
    }
}

impl<T: Transport> Drop for TlsStream<T> {
    fn drop(&mut self) {
        if let Some(engine) = self.engine.take() {
            finish(engine);
        }
    }
}

/// Closes a connection that is dropped, after what was written and `close_notify`.
///
/// The peer may still send something: a server of TLS 1.3 sends tickets behind the handshake. The
/// kernel resets a connection that is closed with unread bytes, and discards what it has not yet
/// sent. So until the peer has ended, too, what it sends is discarded, for a while.
pub(crate) fn finish<T: Transport>(mut engine: Box<Engine<T>>) {
    if !engine.begin_close() {
        return;
    }
    let flushed = engine.poll_flush(&mut Context::from_waker(Waker::noop()));
    if Handle::try_current().is_none() || (engine.peer_has_ended() && flushed.is_ready()) {
        return;
    }
    drop(annulus::spawn(async move {
        let closed = timeout(LINGER, poll_fn(|context| engine.poll_close(context))).await;
        if matches!(closed, Ok(Ok(()))) && !engine.peer_has_ended() {
            discard_rest(&mut engine.transport, DISCARD_LIMIT).await;
        }
    }));
}

impl<T: Transport> fmt::Debug for TlsStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream")
            .field("protocol_version", &self.connection().protocol_version())
            .finish_non_exhaustive()
    }
}

/// What a handshake has negotiated.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TlsInfo {
    /// The protocol that was negotiated by ALPN, if any.
    pub alpn_protocol: Option<Vec<u8>>,
    /// The name of the server that the client has asked for by SNI; `None` on the client's side.
    pub server_name: Option<String>,
    /// The certificates of the peer, its own first, if it has sent any.
    pub peer_certificates: Option<Vec<CertificateDer<'static>>>,
    /// The version of TLS.
    pub protocol_version: Option<ProtocolVersion>,
    /// The cipher suite.
    pub cipher_suite: Option<CipherSuite>,
    /// Whether the handshake was a full one or resumed a session.
    pub handshake_kind: Option<HandshakeKind>,
}

impl TlsInfo {
    pub(crate) fn of(connection: &Connection) -> Self {
        let server_name = match connection {
            Connection::Server(connection) => connection.server_name().map(str::to_owned),
            Connection::Client(_) => None,
        };
        Self {
            alpn_protocol: connection.alpn_protocol().map(<[u8]>::to_vec),
            server_name,
            peer_certificates: connection.peer_certificates().map(<[_]>::to_vec),
            protocol_version: connection.protocol_version(),
            cipher_suite: connection.negotiated_cipher_suite().map(|suite| suite.suite()),
            handshake_kind: connection.handshake_kind(),
        }
    }
}

impl<T: Transport> Access for TlsStream<T> {
    type Transport = T;

    fn with<R>(&mut self, run: impl FnOnce(&mut Engine<T>) -> R) -> R {
        run(self.engine_mut())
    }
}

impl_read! { TlsStream }
impl_write! { TlsStream {
    fn abort(&mut self) {
        self.engine_mut().abort();
    }

    fn close(&mut self) {
        self.engine_mut().end_reading();
    }
} }

impl<T: Transport> tokio::io::AsyncBufRead for TlsStream<T> {
    fn poll_fill_buf(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let stream = self.get_mut();
        ready!(stream.poll_readable(context))?;
        Poll::Ready(Ok(stream.engine_mut().plaintext()))
    }

    fn consume(self: Pin<&mut Self>, count: usize) {
        self.get_mut().engine_mut().consume(count);
    }
}

impl<T: Transport> futures_io::AsyncBufRead for TlsStream<T> {
    fn poll_fill_buf(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        tokio::io::AsyncBufRead::poll_fill_buf(self, context)
    }

    fn consume(self: Pin<&mut Self>, count: usize) {
        tokio::io::AsyncBufRead::consume(self, count);
    }
}

/// TLS within TLS.
impl<T: Transport> Transport for TlsStream<T> {
    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        ready!(self.poll_readable(context))?;
        Poll::Ready(Ok(self.engine_mut().plaintext()))
    }

    fn consume(&mut self, count: usize) {
        self.engine_mut().consume(count);
    }

    fn poll_write_vectored(
        &mut self,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.engine_mut().poll_write(context, buffers)
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.engine_mut().poll_flush(context)
    }

    fn poll_sent(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.engine_mut().poll_sent(context)
    }

    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.engine_mut().poll_close(context)
    }

    fn abort(&mut self) {
        self.engine_mut().abort();
    }
}
