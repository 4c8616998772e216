//! A source of bytes that arrive in pieces, with waits between them.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use crate::buf::{BufResult, IoBufMut, Lease};
use crate::io::AsyncRead;

/// What comes behind the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Eof,
    Error,
}

/// Bytes, and a script that says in which pieces they arrive.
pub(crate) struct Source {
    content: Vec<u8>,
    position: usize,
    script: std::vec::IntoIter<u8>,
    end: End,
}

impl Source {
    pub(crate) fn new(content: Vec<u8>, script: Vec<u8>, end: End) -> Self {
        Self { content, position: 0, script: script.into_iter(), end }
    }

    /// The next piece, of at most `most` bytes. A step of the script is a wait, or a size.
    fn poll_piece(&mut self, most: usize) -> Poll<io::Result<&[u8]>> {
        let step = self.script.next().unwrap_or(u8::MAX);
        if step % 4 == 0 {
            return Poll::Pending;
        }
        let left = self.content.len() - self.position;
        if left == 0 && self.end == End::Error {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let length = left.min(most).min(1 + usize::from(step / 4));
        let start = self.position;
        self.position += length;
        Poll::Ready(Ok(&self.content[start..self.position]))
    }
}

impl AsyncRead for Source {
    async fn recv(&mut self) -> io::Result<Lease> {
        poll_fn(|_| self.poll_piece(usize::MAX).map_ok(|bytes| Lease::from(bytes.to_vec()))).await
    }

    async fn read<B: IoBufMut>(&mut self, mut buffer: B) -> BufResult<usize, B> {
        let most = buffer.bytes_total();
        let piece = poll_fn(|_| self.poll_piece(most).map_ok(<[u8]>::to_vec)).await;
        match piece {
            Ok(piece) => BufResult(Ok(buffer.fill_from(&piece)), buffer),
            Err(error) => BufResult(Err(error), buffer),
        }
    }
}
