//! TCP: `listener` takes connections, `stream` is one, and `connect` opens one.

mod connect;
mod connect_options;
mod listener;
mod stream;

pub use connect_options::ConnectOptions;
pub use listener::{Incoming, TcpListener};
pub(super) use stream::expect_fd;
pub use stream::{IntoStd, TcpStream};
