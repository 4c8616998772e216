//! The server, by clients that were not written here and by a few lines on sockets.

mod arguments;
mod basics;
mod common;
mod hostile;
mod http2;
mod limits;
mod programs;
mod shards;
mod shutdown;
