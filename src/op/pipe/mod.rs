//! Operations on a pipe that pages pass through on their way from a file to a socket (splice).

mod splice_from_file;
mod splice_to_socket;

pub(crate) use splice_from_file::SpliceFromFile;
pub(crate) use splice_to_socket::SpliceToSocket;
