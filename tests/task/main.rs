//! Tasks: their order, their handles, their values, and what becomes of their panics.

#[path = "../common/mod.rs"]
mod common;

mod context_values;
mod join_handle;
mod join_model;
mod panics;
mod tasks;
mod waker_panics;
