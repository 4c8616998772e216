//! A connection of a client.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use annulus::net::{Polled, TcpStream, UnixStream};
use annulus::task::ThreadBound;
#[cfg(feature = "tls")]
use annulus_tls::TlsStream;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection as PooledConnection};

use crate::rt::Io;

/// A connection of a client, made by a [`Connector`](super::Connector).
///
/// It is `Send`, since hyper-util demands that, and can be used on its own thread only: elsewhere
/// its operations fail.
#[derive(Debug)]
pub struct Connection(Transport);

#[derive(Debug)]
enum Transport {
    Tcp(Io<ThreadBound<Polled<TcpStream>>>),
    Unix(Io<ThreadBound<Polled<UnixStream>>>),
    #[cfg(feature = "tls")]
    TcpTls(Io<ThreadBound<TlsStream<Polled<TcpStream>>>>),
    #[cfg(feature = "tls")]
    UnixTls(Io<ThreadBound<TlsStream<Polled<UnixStream>>>>),
}

/// Calls a method of the transport, whichever it is.
macro_rules! transport {
    ($connection:expr, $io:ident => $call:expr) => {
        match $connection {
            Transport::Tcp($io) => $call,
            Transport::Unix($io) => $call,
            #[cfg(feature = "tls")]
            Transport::TcpTls($io) => $call,
            #[cfg(feature = "tls")]
            Transport::UnixTls($io) => $call,
        }
    };
}

impl From<TcpStream> for Connection {
    fn from(stream: TcpStream) -> Self {
        Self(Transport::Tcp(Io::new(ThreadBound::new(Polled::new(stream)))))
    }
}

impl From<UnixStream> for Connection {
    fn from(stream: UnixStream) -> Self {
        Self(Transport::Unix(Io::new(ThreadBound::new(Polled::new(stream)))))
    }
}

#[cfg(feature = "tls")]
impl From<TlsStream<Polled<TcpStream>>> for Connection {
    fn from(stream: TlsStream<Polled<TcpStream>>) -> Self {
        Self(Transport::TcpTls(Io::new(ThreadBound::new(stream))))
    }
}

#[cfg(feature = "tls")]
impl From<TlsStream<Polled<UnixStream>>> for Connection {
    fn from(stream: TlsStream<Polled<UnixStream>>) -> Self {
        Self(Transport::UnixTls(Io::new(ThreadBound::new(stream))))
    }
}

impl Connection {
    /// Whether HTTP/2 was agreed upon, which is possible over TLS only.
    fn is_http2(&self) -> bool {
        match &self.0 {
            Transport::Tcp(_) | Transport::Unix(_) => false,
            #[cfg(feature = "tls")]
            Transport::TcpTls(io) => agreed_on_http2(io),
            #[cfg(feature = "tls")]
            Transport::UnixTls(io) => agreed_on_http2(io),
        }
    }
}

#[cfg(feature = "tls")]
fn agreed_on_http2<T: annulus_tls::Transport>(io: &Io<ThreadBound<TlsStream<T>>>) -> bool {
    io.get_ref().get().is_some_and(|stream| stream.alpn_protocol() == Some(b"h2"))
}

impl PooledConnection for Connection {
    fn connected(&self) -> Connected {
        let connected = Connected::new();
        if self.is_http2() { connected.negotiated_h2() } else { connected }
    }
}

impl Read for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        transport!(&mut self.0, io => Pin::new(io).poll_read(context, buf))
    }
}

impl Write for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        transport!(&mut self.0, io => Pin::new(io).poll_write(context, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        transport!(&mut self.0, io => Pin::new(io).poll_write_vectored(context, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        transport!(&self.0, io => io.is_write_vectored())
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        transport!(&mut self.0, io => Pin::new(io).poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        transport!(&mut self.0, io => Pin::new(io).poll_shutdown(context))
    }
}
