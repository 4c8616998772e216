//! Sending a file.
//!
//! Its pages go through a pipe (splice) and are not copied: from the file into the pipe by a kernel worker, as
//! that may wait for a disk, or at once if they are in memory; and from there to the socket by a call that
//! never waits.

use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::rc::Rc;

use super::{OwnedWriteHalf, ops};
use crate::error::Describe;
use crate::net::tcp::TcpStream;
use crate::op::{Op, SpliceFromFile, SpliceToSocket, StreamSocket};
use crate::sys::splice_pipe::SplicePipe;
use crate::task::coop;

impl TcpStream {
    /// Sends a part of a file, without a copy, and says how many bytes that were: fewer than asked for if
    /// the file has fewer. All of it is `..`.
    ///
    /// The file's own position is neither used nor changed.
    ///
    /// # Errors
    ///
    /// As for [`write`](Self::write); `InvalidInput` for what cannot be read from any place of it, such as a
    /// directory; and `EMFILE`, as the transfer takes three descriptors.
    ///
    /// # Cancel safety
    ///
    /// As for [`write`](Self::write).
    ///
    /// # Example
    ///
    /// ```
    /// # use annulus::net::{TcpListener, TcpStream};
    /// # annulus::run(async {
    /// # let mut listener = TcpListener::bind("127.0.0.1:0").await?;
    /// # let mut peer = TcpStream::connect(listener.local_addr()?).await?;
    /// # let (mut stream, _) = listener.accept().await?;
    /// let file = std::fs::File::open("README.md")?;
    /// let sent = stream.send_file(&file, ..9).await?;
    /// assert_eq!(sent, 9);
    /// # let ((), received) = peer.read_exact(Box::new([0; 9])).await.into_result()?;
    /// # assert_eq!(&*received, b"# Annulus");
    /// # std::io::Result::Ok(())
    /// # })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "sendfile")]
    pub async fn send_file(
        &mut self,
        file: &File,
        range: impl RangeBounds<u64>,
    ) -> io::Result<u64> {
        send_file(self.socket(), file, range).await
    }
}

impl OwnedWriteHalf {
    /// See [`TcpStream::send_file`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn send_file(
        &mut self,
        file: &File,
        range: impl RangeBounds<u64>,
    ) -> io::Result<u64> {
        send_file(self.socket(), file, range).await
    }
}

/// Sends a part of a file on a socket; see [`TcpStream::send_file`].
pub(super) async fn send_file(
    socket: &Rc<StreamSocket>,
    file: &File,
    range: impl RangeBounds<u64>,
) -> io::Result<u64> {
    let size = size_of(file).describe("fstat")?;
    let (start, end) = bounds(range, size.unwrap_or(u64::MAX));
    if start >= end {
        poll_fn(|context| coop::poll_spend(context)).await;
        return Ok(0);
    }
    ops::writes_ended(socket).await;
    let file = Rc::new(file.as_fd().try_clone_to_owned().describe("duplicate the file")?);
    let pipe = Rc::new(SplicePipe::new().describe("pipe")?);
    // The calls take a descriptor of the process.
    socket.fd()?;
    let mut offset = start;
    while offset < end {
        let length = (end - offset).min(SplicePipe::CAPACITY.into()) as u32;
        let fill = SpliceFromFile::new(&file, &pipe, offset, length);
        let filled = Op::new(socket.driver(), fill).await?;
        if filled == 0 {
            // It has become shorter.
            break;
        }
        offset += filled as u64;
        // Without a size it may be over, and nothing must wait for more.
        let more = size.is_some() && offset < end;
        Op::new(socket.driver(), SpliceToSocket::new(socket, &pipe, filled, more)).await?;
    }
    Ok(offset - start)
}

/// How many bytes a file has, if it knows: those of /proc do not.
fn size_of(file: &File) -> io::Result<Option<u64>> {
    let size = file.metadata()?.size();
    Ok(Some(size).filter(|&size| size > 0))
}

/// Where a range begins and ends in a file of so many bytes.
fn bounds(range: impl RangeBounds<u64>, size: u64) -> (u64, u64) {
    let start = match range.start_bound() {
        Bound::Included(&start) => start,
        Bound::Excluded(&before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(&last) => last.saturating_add(1),
        Bound::Excluded(&end) => end,
        Bound::Unbounded => size,
    };
    (start, end.min(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_to_the_file() {
        assert_eq!(bounds(.., 10), (0, 10));
        assert_eq!(bounds(2..5, 10), (2, 5));
        assert_eq!(bounds(2..=5, 10), (2, 6));
        assert_eq!(bounds(..u64::MAX, 10), (0, 10));
        assert_eq!(bounds((Bound::Excluded(3), Bound::Included(u64::MAX)), 10), (4, 10));
        assert_eq!(bounds(20.., 10), (20, 10));
    }
}
