//! What synchronises the tasks of one thread: one module for each primitive, with its model where
//! it has one. `remote`, which other threads use, is in `threads`.

#[path = "../common/mod.rs"]
mod common;

mod barrier;
mod broadcast;
mod condition;
mod event;
mod lock;
mod oneshot;
mod queue;
mod rw_lock;
mod semaphore;
mod watch;
