//! What the listeners of stream sockets share.
//!
//! `socket` accepts connections, and `backoff` is how it waits when it cannot. `methods` offers
//! that as methods of each kind of listener, `incoming` as a stream. `options` are those of a
//! listener.

mod backoff;
mod incoming;
mod listening;
pub(super) mod methods;
mod options;
mod socket;

pub use incoming::Incoming;
pub use listening::Listening;
pub(super) use listening::sealed as listening_sealed;
pub use options::ListenOptions;
pub use socket::Listener;
pub(super) use socket::{ListenSocket, sealed};
