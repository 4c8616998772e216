//! Deadlines, intervals, timeouts, and the clock that can be paused.

#[path = "../common/mod.rs"]
mod common;

mod intervals;
mod paused_clock;
mod timeouts;
mod timers;
