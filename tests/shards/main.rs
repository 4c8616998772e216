//! Shards: their start, their end, and what each knows of the others.

#[path = "../common/mod.rs"]
mod common;

mod cpus;
mod start;
