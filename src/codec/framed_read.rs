//! Reading frames.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::future::{FutureExt, LocalBoxFuture};
use futures_util::stream::{FusedStream, Stream};

use super::reader_home::ReaderHome;
use super::{Decoder, FrameTooLong};
use crate::io::{AsyncRead, StreamReader};
use crate::task::coop;

/// Reads frames from a reader.
///
/// It is a `Stream`, too, which ends after an error. As a stream it allocates for each wait;
/// [`next`](Self::next) does not.
///
/// # Example
///
/// ```
/// use annulus::codec::{FramedRead, Lines};
/// use annulus::net::StreamReader;
///
/// async fn longest(reader: StreamReader) -> std::io::Result<usize> {
///     let mut lines = FramedRead::new(reader, Lines::new());
///     let mut longest = 0;
///     while let Some(line) = lines.next().await {
///         longest = longest.max(line?.len());
///     }
///     Ok(longest)
/// }
/// ```
#[must_use = "streams do nothing unless polled"]
pub struct FramedRead<R, D> {
    reader: ReaderHome<R>,
    decoder: D,
    /// A receive that the stream waits for. It has the reader.
    receiving: Option<LocalBoxFuture<'static, io::Result<bool>>>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// No more bytes come, but perhaps frames.
    Eof,
    /// No more frames come.
    Ended,
}

impl<R: AsyncRead, D: Decoder> FramedRead<R, D> {
    /// Reads frames from a reader. What it has received already is read first.
    pub fn new(reader: StreamReader<R>, decoder: D) -> Self {
        Self { reader: ReaderHome::new(reader), decoder, receiving: None, state: State::Open }
    }

    /// Reads the next frame; `None` at EOF and after an error.
    ///
    /// # Errors
    ///
    /// Those of the decoder; [`FrameTooLong`] as an [`io::Error`], if more bytes wait for the rest
    /// of a frame than [`Decoder::max_buffered`] allows; and those of the reader.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it loses nothing: received bytes stay in the reader.
    pub async fn next(&mut self) -> Option<Result<D::Item, D::Error>> {
        poll_fn(|context| coop::poll_spend(context)).await;
        // Dropped, a receive loses nothing, and returns the reader.
        self.receiving = None;
        loop {
            if let Some(outcome) = self.decode_next() {
                return outcome;
            }
            let received = self.reader.take().get().receive_more().await;
            if let Err(error) = self.note(received) {
                return Some(Err(error));
            }
        }
    }

    /// The next frame of what has been received; the inner `None` if no more frames come.
    #[expect(clippy::option_option, reason = "waiting, and the end")]
    fn decode_next(&mut self) -> Option<Option<Result<D::Item, D::Error>>> {
        if self.state == State::Ended {
            return Some(None);
        }
        let mut reader = self.reader.take();
        let mut received = reader.get().received();
        let is_eof = self.state == State::Eof;
        // In case the decoder panics.
        self.state = State::Ended;
        let decoded = if is_eof {
            self.decoder.decode_eof(&mut received)
        } else {
            self.decoder.decode(&mut received)
        };
        let buffered = received.len() + self.decoder.buffered();
        let max = self.decoder.max_buffered();
        match decoded {
            Ok(None) if is_eof => Some(None),
            Ok(None) if buffered > max => {
                Some(Some(Err(io::Error::from(FrameTooLong::new(max, None)).into())))
            }
            Ok(frame) => {
                self.state = if is_eof { State::Eof } else { State::Open };
                frame.map(|frame| Some(Ok(frame)))
            }
            Err(error) => Some(Some(Err(error))),
        }
    }

    /// Notes the outcome of a receive.
    fn note(&mut self, received: io::Result<bool>) -> Result<(), D::Error> {
        match received {
            Ok(true) => {}
            Ok(false) => self.state = State::Eof,
            Err(error) => {
                self.state = State::Ended;
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// The decoder.
    pub fn decoder(&self) -> &D {
        &self.decoder
    }

    /// The decoder, to change what the next frame is.
    ///
    /// Bytes that it has been shown and not taken are shown to it again.
    pub fn decoder_mut(&mut self) -> &mut D {
        &mut self.decoder
    }

    /// Continues with another decoder, from the bytes that have been received and not been taken.
    pub fn map_decoder<E: Decoder>(self, map: impl FnOnce(D) -> E) -> FramedRead<R, E> {
        let Self { reader, decoder, receiving, state } = self;
        FramedRead { reader, decoder: map(decoder), receiving, state }
    }

    /// Returns the reader, with the bytes that have not been taken, and the decoder.
    pub fn into_parts(mut self) -> (StreamReader<R>, D) {
        self.receiving = None;
        (self.reader.into_inner(), self.decoder)
    }
}

impl<R, D> Unpin for FramedRead<R, D> {}

impl<R: AsyncRead + 'static, D: Decoder> Stream for FramedRead<R, D> {
    type Item = Result<D::Item, D::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.receiving.is_none() {
            ready!(coop::poll_spend(context));
        }
        loop {
            if let Some(receiving) = &mut self.receiving {
                let received = ready!(receiving.as_mut().poll(context));
                self.receiving = None;
                if let Err(error) = self.note(received) {
                    return Poll::Ready(Some(Err(error)));
                }
            }
            if let Some(outcome) = self.decode_next() {
                return Poll::Ready(outcome);
            }
            let mut reader = self.reader.take();
            let receiving = async move { reader.get().receive_more().await };
            self.receiving = Some(receiving.boxed_local());
        }
    }
}

impl<R: AsyncRead + 'static, D: Decoder> FusedStream for FramedRead<R, D> {
    fn is_terminated(&self) -> bool {
        self.state == State::Ended
    }
}

impl<R, D: fmt::Debug> fmt::Debug for FramedRead<R, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FramedRead")
            .field("decoder", &self.decoder)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
