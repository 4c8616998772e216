//! What the listeners of stream sockets share.
//!
//! `socket` accepts connections, `from_accepted` makes streams of them, `accept_queue` has several
//! tasks share it, and `backoff` is how it waits when it cannot. `methods` offers that as methods
//! of each kind of listener, `incoming` as a stream. `options` are those of a listener.
//!
//! Shards listen on an address together: `group` finds the listeners that belong together, and
//! `spread` are the ways to spread connections over them, of which all but one are the kernel's:
//! `balance` counts and chooses, and a `seat` is one shard's part in that. A `socket_file` is what
//! a Unix listener removes at its end.

mod accept_queue;
mod backoff;
mod balance;
mod from_accepted;
mod group;
mod incoming;
mod listening;
pub(super) mod methods;
mod options;
mod seat;
mod socket;
mod socket_file;
mod spread;

pub(super) use accept_queue::AcceptQueue;
pub(super) use from_accepted::{FromAccepted, NewConnection};
pub(super) use group::{Sockets, listen};
pub use incoming::Incoming;
pub use listening::Listening;
pub(crate) use listening::SharedListener;
pub(super) use listening::sealed as listening_sealed;
pub use options::ListenOptions;
pub use socket::Listener;
pub(super) use socket::{ListenSocket, sealed};
pub(super) use socket_file::BoundFile;
pub use spread::Spread;
