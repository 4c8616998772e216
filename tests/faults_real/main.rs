//! Real faults: system calls that fail, limits that are reached, a process that is stopped, a link
//! that loses, slows and goes down. Each ends as the promises say: nothing is lost or corrupt, what
//! fails is what was hit, the loop goes on, and the end leaves nothing behind.
//!
//! Each test runs in a process of its own ([`common::child`]): it counts descriptors, and what is
//! limited belongs to the process.

#[path = "../common/mod.rs"]
mod common;

mod calls;
mod everything;
mod group;
mod host;
mod limits;
mod link;
mod network;
mod service;
mod stopped;
mod sweeps;
