#![forbid(unsafe_code)]
//! hyper's servers and clients on the annulus runtime.

pub mod rt;
#[cfg(all(feature = "server", any(feature = "http1", feature = "http2")))]
pub mod server;

pub use rt::{Executor, Io};
