//! A runtime as a whole: how it is set up, what a turn of its loop costs, whom it lets run, and
//! where its arguments are refused.

#[path = "../common/mod.rs"]
mod common;

#[cfg(feature = "macros")]
mod attributes;
mod other_runtimes;
mod panic_places;
mod ring_kind;
mod ring_options;
mod setup;
mod starvation;
mod turns;
