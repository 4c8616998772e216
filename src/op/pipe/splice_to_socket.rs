//! Moving the contents of a pipe to a socket. Dropped in flight, a part has been sent; the rest is
//! dropped with the pipe.
//!
//! Only an inline call does it. A splice SQE has no flag by which it fails instead of waiting for
//! room in the socket, so it would keep a kernel worker for as long as the peer reads nothing.

use std::rc::Rc;
use std::{io, mem};

use crate::driver::Driver;
use crate::error::Describe;
use crate::op::operation::{Operation, Step};
use crate::op::socket::{SocketFd, StreamSocket};
use crate::sys::bypass::Bypass;
use crate::sys::splice_pipe::SplicePipe;
use crate::sys::{Completion, Submission, opcode};

/// Moves `length` bytes, by calls that never wait.
pub(crate) struct SpliceToSocket {
    socket: Rc<StreamSocket>,
    pipe: Rc<SplicePipe>,
    left: usize,
    /// Whether more is to follow.
    more: bool,
    /// Whether the next call must wait for the next turn of the loop.
    yields: bool,
}

impl SpliceToSocket {
    /// Sees to it that a socket can be spliced to: it has a descriptor of the process from now on.
    ///
    /// # Errors
    ///
    /// `Unsupported` where the ring does not allow inline calls; and if a direct descriptor cannot
    /// be installed.
    pub(crate) fn prepare(socket: &StreamSocket) -> io::Result<()> {
        socket.fd_for(Bypass::Inline).map(drop)
    }

    /// The socket has been [prepared](Self::prepare).
    pub(crate) fn new(
        socket: &Rc<StreamSocket>,
        pipe: &Rc<SplicePipe>,
        length: usize,
        more: bool,
    ) -> Self {
        let (socket, pipe) = (Rc::clone(socket), Rc::clone(pipe));
        Self { socket, pipe, left: length, more, yields: false }
    }
}

// SAFETY: the SQE points to no memory.
unsafe impl Operation for SpliceToSocket {
    type Output = io::Result<()>;

    /// For when no more calls may be made in this turn: it completes in the next. A poll of the
    /// socket would wait there for room if there is none, and would not be counted as such a wait:
    /// neither by the metrics nor by what ends connections whose peers take nothing.
    fn submission(&mut self) -> Submission {
        self.yields = true;
        opcode::Nop::new().build()
    }

    fn prefers_inline(&self, _driver: &Driver) -> bool {
        true
    }

    fn try_inline(&mut self) -> Option<Completion> {
        Some(self.pipe.splice_to(self.socket.inline_fd()?, self.left, self.more))
    }

    fn sends_on(&self) -> Option<&SocketFd> {
        Some(&self.socket)
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        if mem::take(&mut self.yields) {
            return match completion.result().describe("wait for the next turn") {
                Ok(_) => Step::Again(self),
                Err(error) => Step::Done(Err(error)),
            };
        }
        match self.socket.sent(completion, "splice") {
            Ok(count) => self.left -= count,
            Err(error) => return Step::Done(Err(error)),
        }
        if self.left == 0 { Step::Done(Ok(())) } else { Step::Again(self) }
    }

    fn settle(self, _completion: Completion) {}
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::os::fd::{AsRawFd, OwnedFd};
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::op::Op;
    use crate::op::tests::bench::{Bench, poll};

    /// Writes until neither end of a connection has room. The far end may make some once or twice.
    fn fill(mut near: &TcpStream) {
        near.set_nonblocking(true).unwrap();
        let mut refusals = 0;
        while refusals < 50 {
            refusals = if near.write(&[7; 64 << 10]).is_ok() { 0 } else { refusals + 1 };
            thread::yield_now();
        }
    }

    /// As when a turn sends so much that its budget is spent just as the socket is full.
    #[test]
    fn a_splice_without_budget_in_one_turn_waits_for_room_from_the_next_and_is_seen_to() {
        let bench = Bench::new();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (_far, _) = listener.accept().unwrap();
        fill(&near);
        let socket = Rc::new(StreamSocket::new(Rc::clone(&bench.driver), OwnedFd::from(near)));
        let pipe = Rc::new(SplicePipe::new().unwrap());
        let file = File::open("Cargo.toml").unwrap();
        assert!(pipe.splice_from(file.as_raw_fd(), 0, 100).is_some_and(|it| it.errno().is_none()));
        bench.driver.note_inline_call(usize::MAX / 2);
        let mut splice = Op::new(&bench.driver, SpliceToSocket::new(&socket, &pipe, 100, false));
        assert!(poll(&mut splice).is_pending());
        for _ in 0..3 {
            bench.driver.turn(false);
            assert!(poll(&mut splice).is_pending());
            if bench.driver.metrics().send_stalls > 0 {
                break;
            }
        }
        assert_eq!(bench.driver.metrics().send_stalls, 1);
        assert!(socket.take_fullness());
        drop(splice);
        bench.driver.close(Duration::from_secs(5));
    }
}
