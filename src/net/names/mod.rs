//! Looking up names (`lookup`) and addresses (`reverse`); `net::address` says what can be looked
//! up.
//!
//! Literal addresses need no look-up. A name that is in the file of hosts is found there, read by
//! the ring: `sources` reads, `hosts` understands the file, and `order` sorts what has several
//! addresses. Everything else takes a thread (`threads`), where the C library reads the system's
//! configuration and waits for name servers.
//!
//! The file counts only where nsswitch.conf(5) has it first. Otherwise the C library is asked,
//! which knows what comes before.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod hosts;
mod lookup;
mod order;
mod reverse;
mod sources;
mod threads;

pub use lookup::{LookupOptions, lookup, lookup_with};
pub use reverse::reverse_lookup;
