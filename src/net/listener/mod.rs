//! What the listeners of stream sockets share.

pub(super) mod backoff;
mod options;

pub use options::ListenOptions;
