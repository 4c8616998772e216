//! Shards: their start, their end, and what each knows of the others.

#[path = "../common/mod.rs"]
mod common;

mod attribute;
mod cpus;
mod failures;
mod listening;
mod placed;
mod processes;
mod reach;
mod spread;
mod start;
