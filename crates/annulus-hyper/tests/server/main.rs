//! The server, by clients that were not written here and by a few lines on sockets.

mod basics;
mod common;
mod limits;
mod programs;
mod shutdown;
