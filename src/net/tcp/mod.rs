//! TCP: `listener` takes connections, `stream` is one, and `connect` opens one.

mod connect;
mod listener;
mod stream;

pub use connect::ConnectOptions;
pub use listener::{Incoming, ListenOptions, TcpListener};
pub(super) use stream::expect_fd;
pub use stream::{Detached, TcpStream};
