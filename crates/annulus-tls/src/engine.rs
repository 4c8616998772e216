//! rustls between plaintext and a transport: the state of a connection, and how bytes move.
//!
//! Received bytes are lent by the transport, copied by rustls into its record buffer, decrypted
//! there, and lent from there: `Engine::poll_plaintext`. rustls is given more only when all
//! plaintext has been read, so it holds one record, and what a peer sends beyond that stays in the
//! socket.
//!
//! Written bytes are encrypted into records of rustls's own, of which all that wait go to the
//! transport by one vectored write: [`Engine::poll_write`]. rustls takes no more plaintext once its
//! limit of unsent records is reached (64 KiB by default), and then the caller waits for the
//! transport.
//!
//! Reading may have something to send, too: an alert, an answer to a key update. The read itself
//! sends it. The transport has one waker for its writing direction, so if a writer waits there, the
//! read polls in its name (`waiting_writer`) and takes no wake-up from it.

use std::io::{self, BufRead, IoSlice, Write};
use std::task::{Context, Poll, Waker, ready};
use std::thread;

use rustls::{Connection, ProtocolVersion};

use crate::error::{Kept, aborted, failed, shut_down};
use crate::transport::Transport;

/// A TLS connection over a transport.
pub(crate) struct Engine<T> {
    pub(crate) connection: Connection,
    pub(crate) transport: T,
    /// The waker that waits in the transport's writing direction, if any.
    waiting_writer: Option<Waker>,
    /// A writer that the transport will not wake any more, since a read has polled in its name.
    unblocked_writer: Option<Waker>,
    /// Whether the transport has come to EOF.
    is_at_eof: bool,
    /// Whether the peer has sent `close_notify`.
    peer_has_closed: bool,
    writing: Writing,
    /// Whether reads return EOF, whatever the peer sends.
    is_reading_over: bool,
    /// Why reading has failed. rustls may be at any state then, and is given no more.
    read_failure: Option<Kept>,
    write_failure: Option<Kept>,
}

/// What may still be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    Open,
    /// `close_notify` has been written, and then the transport is shut down.
    Closing,
    Closed,
    /// Nothing more is written, and the peer is not to take that for an orderly end.
    Abandoned,
    Aborted,
}

impl<T: Transport> Engine<T> {
    pub(crate) fn new(connection: Connection, transport: T) -> Self {
        Self {
            connection,
            transport,
            waiting_writer: None,
            unblocked_writer: None,
            is_at_eof: false,
            peer_has_closed: false,
            writing: Writing::Open,
            is_reading_over: false,
            read_failure: None,
            write_failure: None,
        }
    }

    /// Completes the handshake. If it fails, rustls may have an alert to send.
    pub(crate) fn poll_handshake(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let flushed = self.poll_flush(context)?;
            let has_handshaked = !self.connection.is_handshaking();
            if flushed.is_pending() && !(has_handshaked && self.has_only_tickets_to_send()) {
                return Poll::Pending;
            }
            if has_handshaked {
                return Poll::Ready(Ok(()));
            }
            if self.is_at_eof {
                let text = "the peer closed the connection during the handshake";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, text)));
            }
            ready!(self.poll_read_records(context))?;
        }
    }

    /// Whether the client needs nothing of what follows the handshake. It goes with the reads and
    /// writes that follow: a client may read only once its own request is sent.
    fn has_only_tickets_to_send(&self) -> bool {
        let is_server = matches!(self.connection, Connection::Server(_));
        is_server && self.connection.protocol_version() == Some(ProtocolVersion::TLSv1_3)
    }

    /// Waits until there is plaintext, or the peer has sent `close_notify`.
    pub(crate) fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_reading_over {
            return Poll::Ready(Ok(()));
        }
        let mut is_pending = false;
        while self.read_failure.is_none() && !self.is_at_eof && self.connection.wants_read() {
            match self.poll_read_records(context) {
                Poll::Ready(Ok(())) => {}
                // What was decrypted before is returned first.
                Poll::Ready(Err(error)) => self.read_failure = Some(Kept::new(error)),
                Poll::Pending => {
                    is_pending = true;
                    break;
                }
            }
        }
        if self.connection.wants_write() {
            self.send_while_reading(context);
        }
        match self.connection.reader().into_first_chunk() {
            Ok(_) => Poll::Ready(Ok(())),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => match &self.read_failure {
                Some(failure) => Poll::Ready(Err(failure.again())),
                None => {
                    debug_assert!(is_pending, "rustls waits for bytes, and so does the transport");
                    Poll::Pending
                }
            },
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// The writer that is to be woken after a read.
    pub(crate) fn take_unblocked(&mut self) -> Option<Waker> {
        self.unblocked_writer.take()
    }

    /// Decrypted bytes that have not been consumed. Once it is readable, none mean EOF.
    pub(crate) fn plaintext(&mut self) -> &[u8] {
        if self.is_reading_over {
            return &[];
        }
        self.connection.reader().into_first_chunk().unwrap_or_default()
    }

    pub(crate) fn consume(&mut self, count: usize) {
        if count > 0 {
            self.connection.reader().consume(count);
        }
    }

    /// Takes plaintext, as much as there is and `room` allows, piece by piece.
    pub(crate) fn take_plaintext(&mut self, mut room: usize, mut take: impl FnMut(&[u8])) {
        loop {
            let bytes = self.plaintext();
            let count = bytes.len().min(room);
            if count == 0 {
                return;
            }
            take(&bytes[..count]);
            self.consume(count);
            room -= count;
        }
    }

    /// From now on reads return EOF.
    pub(crate) fn end_reading(&mut self) {
        self.is_reading_over = true;
    }

    /// Gives rustls bytes of the transport, and has it process them.
    fn poll_read_records(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut bytes = ready!(self.transport.poll_fill(context))?;
        let offered = bytes.len();
        let count = self.connection.read_tls(&mut bytes)?;
        self.transport.consume(count);
        if offered == 0 {
            self.is_at_eof = true;
        } else if count == 0 {
            // Otherwise this would never end.
            let text = "rustls takes no more bytes of the peer";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, text)));
        }
        let what = if self.connection.is_handshaking() { "TLS handshake" } else { "TLS" };
        let state = self.connection.process_new_packets().map_err(|error| failed(what, error))?;
        self.peer_has_closed = state.peer_has_closed();
        Poll::Ready(Ok(()))
    }

    /// Sends what rustls has to send, as far as the transport has room, on behalf of a read. An
    /// error is kept for the next write.
    fn send_while_reading(&mut self, context: &mut Context<'_>) {
        let Some(writer) = self.waiting_writer.take() else {
            // If there is no room, this read waits for it, too.
            let _ = self.poll_flush(context);
            return;
        };
        if self.poll_flush(&mut Context::from_waker(&writer)).is_ready() {
            self.unblocked_writer = Some(writer);
        }
    }

    /// Accepts plaintext, at least a byte of what is not empty.
    pub(crate) fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.expect_open()?;
        if buffers.iter().all(|buffer| buffer.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        loop {
            let count = match buffers {
                [buffer] => self.connection.writer().write(buffer)?,
                _ => self.connection.writer().write_vectored(buffers)?,
            };
            match self.poll_send_records(context) {
                Poll::Pending if count == 0 => return Poll::Pending,
                // What was accepted is not reported as failed: the next call returns the error.
                Poll::Ready(Err(error)) if count == 0 => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) if count == 0 => {}
                _ => return Poll::Ready(Ok(count)),
            }
        }
    }

    fn expect_open(&self) -> io::Result<()> {
        match (&self.write_failure, self.writing) {
            (Some(failure), _) => Err(failure.again()),
            (None, Writing::Open) => Ok(()),
            (None, Writing::Aborted) => Err(aborted()),
            (None, Writing::Closing | Writing::Closed | Writing::Abandoned) => Err(shut_down()),
        }
    }

    /// Gives the transport all records, and has it send them.
    pub(crate) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send_records(context))?;
        let flushed = self.transport.poll_flush(context);
        self.note_waiting(flushed.is_pending(), context);
        flushed
    }

    /// Gives the transport all records, and waits until it has sent them.
    pub(crate) fn poll_sent(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send_records(context))?;
        let sent = self.transport.poll_sent(context);
        self.note_waiting(sent.is_pending(), context);
        sent
    }

    /// Writes `close_notify` after all that was written, and then shuts down the transport's
    /// writing direction.
    pub(crate) fn poll_close(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.writing {
            Writing::Open => self.write_close_notify(),
            Writing::Closing => {}
            Writing::Closed => return Poll::Ready(Ok(())),
            Writing::Abandoned => return Poll::Ready(Err(shut_down())),
            Writing::Aborted => return Poll::Ready(Err(aborted())),
        }
        ready!(self.poll_send_records(context))?;
        let shut_down = self.transport.poll_shutdown(context);
        self.note_waiting(shut_down.is_pending(), context);
        match ready!(shut_down) {
            // The peer was faster.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => {}
            result => result?,
        }
        self.writing = Writing::Closed;
        Poll::Ready(Ok(()))
    }

    fn write_close_notify(&mut self) {
        self.connection.send_close_notify();
        self.writing = Writing::Closing;
    }

    /// Writes `close_notify` for a writing direction that is dropped. Returns whether the direction
    /// is to be closed in order: not while a panic unwinds, for the peer must not take a part for
    /// the whole.
    pub(crate) fn begin_close(&mut self) -> bool {
        if self.writing == Writing::Open {
            if thread::panicking() || self.connection.is_handshaking() {
                self.writing = Writing::Abandoned;
            } else {
                self.write_close_notify();
            }
        }
        matches!(self.writing, Writing::Closing | Writing::Closed) && self.write_failure.is_none()
    }

    /// Whether the peer will send nothing more.
    pub(crate) fn peer_has_ended(&self) -> bool {
        self.peer_has_closed || self.is_at_eof || self.read_failure.is_some()
    }

    pub(crate) fn abort(&mut self) {
        self.writing = Writing::Aborted;
        self.end_reading();
        self.transport.abort();
        self.unblocked_writer = self.waiting_writer.take();
    }

    /// Gives the transport the records of rustls. An error is final.
    fn poll_send_records(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(failure) = &self.write_failure {
            return Poll::Ready(Err(failure.again()));
        }
        while self.connection.wants_write() {
            let mut sink = Sink { transport: &mut self.transport, context };
            match self.connection.write_tls(&mut sink) {
                Ok(count) if count > 0 => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.note_waiting(true, context);
                    return Poll::Pending;
                }
                result => {
                    let error = result.err().unwrap_or(io::ErrorKind::WriteZero.into());
                    let failure = self.write_failure.insert(Kept::new(error));
                    return Poll::Ready(Err(failure.again()));
                }
            }
        }
        self.note_waiting(false, context);
        Poll::Ready(Ok(()))
    }

    /// Notes whether the context's waker waits in the transport's writing direction.
    fn note_waiting(&mut self, is_waiting: bool, context: &Context<'_>) {
        match &mut self.waiting_writer {
            waiting if !is_waiting => *waiting = None,
            Some(waiting) => waiting.clone_from(context.waker()),
            waiting => *waiting = Some(context.waker().clone()),
        }
    }
}

/// The transport as rustls writes to it.
struct Sink<'a, 'b, T> {
    transport: &'a mut T,
    context: &'a mut Context<'b>,
}

impl<T: Transport> Write for Sink<'_, '_, T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.transport.poll_write_vectored(self.context, buffers) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
