//! What needs a process of its own: signals, forks, limits, exits, a full standard error.
//!
//! Tests of one binary share a process, so each of these runs its body in a child that runs only
//! this test ([`common::child`]). Nothing else is here, because a child that has not yet called
//! `exec` holds every descriptor of its parent: a connection that a test beside has closed would
//! still be open.

#[path = "../common/mod.rs"]
mod common;

mod activation;
mod address_space;
mod children;
mod children_left;
mod closing;
mod ctrl_c;
mod descriptor_limits;
mod diagnostics;
mod exhaustion;
mod fork;
mod forked_threads;
mod hand_over;
mod hand_over_load;
mod large_futures;
mod many_connections;
mod no_threads;
mod notify;
mod shutdown_load;
mod shutdown_signals;
mod signal_streams;
mod signals;
mod signals_in_transfers;
mod sockets;
