//! One connection of the load.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::time::Instant;

use super::hung_up;
use super::pattern::{Cursor, Pattern};
use crate::os::epoll::Epoll;

/// How many messages go into one system call at most.
const AT_ONCE: usize = 16;

/// Sends messages without ever blocking, and checks that they come back.
pub(crate) struct Connection {
    stream: TcpStream,
    number: usize,
    /// What the socket has taken.
    sent: Cursor,
    /// What has come back.
    received: Cursor,
    /// When each message that is under way, or waits to be sent, was due.
    due: VecDeque<Instant>,
}

impl Connection {
    /// Connects, blocking, and has epoll watch the connection under its number.
    pub(crate) fn open(address: SocketAddrV4, number: usize, epoll: &Epoll) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Self::over(stream, number, epoll)
    }

    /// Takes a non-blocking socket, which may still be connecting.
    pub(crate) fn over(stream: TcpStream, number: usize, epoll: &Epoll) -> io::Result<Self> {
        epoll.add(&stream, number as u64)?;
        let (sent, received) = (Cursor::default(), Cursor::default());
        Ok(Self { stream, number, sent, received, due: VecDeque::new() })
    }

    /// Messages that have not come back.
    pub(crate) fn under_way(&self) -> usize {
        self.due.len()
    }

    /// Messages that came back.
    pub(crate) fn completed(&self) -> u64 {
        self.received.message
    }

    /// Takes on a message. It is sent by the next [`flush`](Self::flush), as far as the socket has
    /// room.
    pub(crate) fn enqueue(&mut self, due: Instant) {
        self.due.push_back(due);
    }

    /// Sends what has been taken on until the socket is full.
    pub(crate) fn flush(&mut self, pattern: &Pattern) -> io::Result<()> {
        loop {
            let taken_on = self.received.message + self.due.len() as u64;
            let waiting = (taken_on - self.sent.message).min(AT_ONCE as u64) as usize;
            if waiting == 0 {
                return Ok(());
            }
            let mut slices = [IoSlice::new(&[]); AT_ONCE];
            for (slice, number) in slices[..waiting].iter_mut().zip(self.sent.message..) {
                *slice = IoSlice::new(pattern.message(self.number, number));
            }
            slices[0].advance(self.sent.offset);
            let written = match &slices[..waiting] {
                [one] => self.stream.write(one),
                several => self.stream.write_vectored(several),
            };
            match written {
                Ok(bytes) => self.sent.advance(bytes, pattern.size()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes in what has come, until there is no more, and calls `arrived` with the moment at which
    /// each completed message was due.
    pub(crate) fn receive(
        &mut self,
        pattern: &Pattern,
        scratch: &mut [u8],
        mut arrived: impl FnMut(Instant),
    ) -> io::Result<()> {
        loop {
            let bytes = match self.stream.read(scratch) {
                Ok(0) => return Err(hung_up()),
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let before = self.received.message;
            self.received.verify(pattern, self.number, &scratch[..bytes])?;
            for _ in before..self.received.message {
                let due = self.due.pop_front().ok_or_else(|| {
                    io::Error::new(io::ErrorKind::InvalidData, "more came back than was sent")
                })?;
                arrived(due);
            }
            // A read that does not fill the buffer has emptied the socket, and the next arrival is
            // an event of its own.
            if bytes < scratch.len() {
                return Ok(());
            }
        }
    }
}
