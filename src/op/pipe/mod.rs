//! Operations on pipes and what is used like them ([`end`]): [`read`], [`read_lease`],
//! [`write`](mod@write), and the wait for readiness ([`ready`]). Those that move pages into one
//! ([`splice_pipes`], [`splice_file`]). And those on a pipe that pages pass through on their way
//! from a file to a socket ([`splice_from_file`], [`splice_to_socket`]).

mod end;
mod read;
mod read_lease;
mod ready;
mod splice_file;
mod splice_from_file;
mod splice_pipes;
mod splice_to_socket;
mod write;

pub(crate) use end::PipeEnd;
pub(crate) use read::{ReadPipe, try_read};
pub(crate) use read_lease::ReadPipeLease;
pub(crate) use ready::PipeReady;
pub(crate) use splice_file::SpliceFile;
pub(crate) use splice_from_file::SpliceFromFile;
pub(crate) use splice_pipes::{SplicePipes, transfer_unread};
pub(crate) use splice_to_socket::SpliceToSocket;
pub(crate) use write::{WritePipe, try_write};
