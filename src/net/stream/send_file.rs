//! Sending a file.
//!
//! Its pages go through a pipe (splice) and are not copied. A kernel worker moves them from the
//! file into the pipe, since that may wait for a disk, or an inline call if they are in memory. An
//! inline call, which never waits, moves them from the pipe to the socket.

use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::rc::Rc;

use super::ops;
use crate::error::Describe;
use crate::op::{Op, SpliceFromFile, SpliceToSocket, StreamSocket};
use crate::sys::splice_pipe::SplicePipe;
use crate::task::coop;

/// Sends a range of a file on a socket; see
/// [`TcpStream::send_file`](crate::net::TcpStream::send_file).
pub(in crate::net) async fn send_file(
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
    ops::drain_writes(socket).await;
    let file = Rc::new(file.as_fd().try_clone_to_owned().describe("duplicate the file")?);
    SpliceToSocket::prepare(socket)?;
    let pipe = Rc::new(SplicePipe::new().describe("pipe")?);
    let mut offset = start;
    while offset < end {
        let length = (end - offset).min(SplicePipe::CAPACITY.into()) as u32;
        let splice = SpliceFromFile::new(&file, &pipe, offset, length);
        let filled = Op::new(socket.driver(), splice).await?;
        if filled == 0 {
            // The file has become shorter.
            break;
        }
        offset += filled as u64;
        // Without a known size this may be the end: the kernel must not hold bytes back for more.
        let more = size.is_some() && offset < end;
        Op::new(socket.driver(), SpliceToSocket::new(socket, &pipe, filled, more)).await?;
    }
    Ok(offset - start)
}

/// How many bytes a file has, if that is known: for files of /proc it is not.
fn size_of(file: &File) -> io::Result<Option<u64>> {
    let size = file.metadata()?.size();
    Ok(Some(size).filter(|&size| size > 0))
}

/// Where a range begins and ends in a file of `size` bytes.
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
