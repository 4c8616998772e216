//! What the stream sockets share: `ops` is how bytes go either way, `halves` are a stream for two
//! tasks, `buffered` puts `io`'s readers and writers on them, `copy_bidirectional` passes on between two
//! connections, and `send_file` sends a file.

mod buffered;
mod copy_bidirectional;
mod halves;
pub(super) mod ops;
mod send_file;

pub use buffered::{StreamReader, StreamWriter, open_connection, open_connection_with};
pub use copy_bidirectional::copy_bidirectional;
pub use halves::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};
