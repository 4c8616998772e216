//! Waiting for several things at once, and what owns the tasks that it waits for.

#[path = "../common/mod.rs"]
mod common;

mod as_completed;
mod calls;
mod gather;
mod generators;
mod group_wakes;
mod outcomes;
mod shield;
mod task_group;
mod task_set;
mod wait;
