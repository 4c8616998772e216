//! Taking over a pipe that was made elsewhere.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use crate::error::Describe;
use crate::op::PipeEnd;
use crate::runtime::context;
use crate::sys::pipe::{self as sys_pipe, Kind};

/// The direction of an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Read,
    Write,
}

/// Takes over one end of a pipe, which others may share.
#[track_caller]
pub(super) fn adopt(fd: OwnedFd, direction: Direction) -> io::Result<PipeEnd> {
    let end = PipeEnd::adopted(&context::driver(), fd)?;
    if end.kind() != Kind::Pipe {
        let text = "the descriptor is no pipe: use `annulus::net` for sockets, `annulus::fs` for \
                    files, `annulus::io::AsyncFd` for others";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let (reads, writes) = sys_pipe::directions(end.fd().as_fd()).describe("fcntl")?;
    let text = match direction {
        Direction::Read if !reads => "the descriptor is the end of a pipe that is written to",
        Direction::Write if !writes => "the descriptor is the end of a pipe that is read from",
        _ => return Ok(end),
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, text))
}
