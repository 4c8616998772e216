//! Passing on between two connections.
//!
//! What a connection brings little of is received on lease and sent from there. What it brings much of is
//! moved through a pipe (splice), and never enters this process's memory: that takes half of the
//! processor's time, or less. As soon as little comes again the pipe is closed.

use std::future::poll_fn;
use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;

use futures_util::future::try_join;

use super::{OwnedReadHalf, OwnedWriteHalf, TcpStream, transfer};
use crate::error::Describe;
use crate::op::{Op, Ready, Socket};
use crate::runtime::yield_now;
use crate::sys::socket::set_nonblocking;
use crate::sys::splice::Pipe;
use crate::task::budget;

/// Passes on between two connections, in both directions, until both have come to their end. Says how many
/// bytes went from the first to the second, and back.
///
/// The end of one direction is passed on, too: the other goes on. Bytes are not copied: they are sent from
/// where they were received, or do not even enter the process (splice), by what a connection brings at a
/// time.
///
/// # Errors
///
/// The first of either connection's. Then both are closed.
///
/// # Cancel safety
///
/// Dropped, both connections are closed.
///
/// # Example
///
/// ```no_run
/// use annulus::net::{TcpListener, TcpStream, copy_bidirectional};
///
/// #[annulus::main]
/// async fn main() -> std::io::Result<()> {
///     let mut listener = TcpListener::bind("127.0.0.1:7001").await?;
///     loop {
///         let (client, _) = listener.accept().await?;
///         annulus::spawn(async move {
///             let server = TcpStream::connect("127.0.0.1:7000").await?;
///             copy_bidirectional(client, server).await
///         });
///     }
/// }
/// ```
pub async fn copy_bidirectional(first: TcpStream, second: TcpStream) -> io::Result<(u64, u64)> {
    let (from_first, to_first) = first.into_split();
    let (from_second, to_second) = second.into_split();
    try_join(pass_on(from_first, to_second), pass_on(from_second, to_first)).await
}

async fn pass_on(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> io::Result<u64> {
    let (mut total, mut has_ended, mut may_splice) = (0, false, true);
    while !has_ended {
        if may_splice && from.socket().brings_much() {
            match Splice::new(&from, &to).await {
                Ok(mut splice) => {
                    has_ended = splice.go_on_while_much().await?;
                    total += splice.total;
                }
                // Descriptors have run out, or the like: leases do as well.
                Err(_) => may_splice = false,
            }
        } else {
            let lease = from.recv().await?;
            has_ended = lease.is_empty();
            total += lease.len() as u64;
            to.write_all(lease).await.0?;
        }
    }
    match to.shutdown().await {
        // Its peer is gone, after it had all.
        Err(error) if error.kind() != io::ErrorKind::NotConnected => Err(error),
        _ => Ok(total),
    }
}

/// How often in a row little may come before it is received on lease again.
const SELDOM: usize = 4;

/// A pipe between two sockets.
struct Splice<'a> {
    from: &'a Rc<Socket>,
    to: &'a Rc<Socket>,
    pipe: Pipe,
    total: u64,
}

impl<'a> Splice<'a> {
    /// # Errors
    ///
    /// If there is no pipe to be had.
    async fn new(from: &'a OwnedReadHalf, to: &'a OwnedWriteHalf) -> io::Result<Self> {
        let (from, to) = (from.socket(), to.socket());
        let pipe = Pipe::new()?;
        // What is not there must not be waited for. (Entries wait all the same.)
        set_nonblocking(from.fd())?;
        set_nonblocking(to.fd())?;
        transfer::writes_ended(to).await;
        Ok(Self { from, to, pipe, total: 0 })
    }

    /// Moves bytes until little comes, again and again, or the end. Says whether that has come.
    async fn go_on_while_much(&mut self) -> io::Result<bool> {
        let mut seldom = 0;
        while seldom < SELDOM {
            Op::new(self.from.driver(), Ready::readable(self.from)).await?;
            let before = self.total;
            while let Some(moved) = self.pipe.fill_from(self.from.as_raw_fd()) {
                let count = moved.describe("splice")?;
                if count == 0 {
                    return Ok(true);
                }
                self.total += count as u64;
                self.empty_pipe().await?;
                self.pause(count).await;
            }
            let is_much = self.from.is_much((self.total - before) as usize);
            seldom = if is_much { 0 } else { seldom + 1 };
        }
        self.from.expect_little();
        Ok(false)
    }

    async fn empty_pipe(&mut self) -> io::Result<()> {
        while !self.pipe.is_empty() {
            match self.pipe.drain_to(self.to.as_raw_fd()) {
                Some(moved) => drop(moved.describe("splice")?),
                None => Op::new(self.to.driver(), Ready::writable(self.to)).await?,
            }
        }
        Ok(())
    }

    /// What never waits must yield all the same.
    async fn pause(&self, count: usize) {
        let driver = self.from.driver();
        driver.note_spliced(count);
        poll_fn(|context| budget::poll_spend(context)).await;
        while !driver.may_go_direct() {
            yield_now().await;
        }
    }
}
