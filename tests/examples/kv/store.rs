//! The files of the example, without those that do I/O.
#![allow(dead_code, reason = "tests use their own part of this")]
#![allow(clippy::module_inception, reason = "a file of the example has the name of its subject")]

#[path = "../../../examples/kv/batch.rs"]
mod batch;
#[path = "../../../examples/kv/commands/mod.rs"]
mod commands;
#[path = "../../../examples/kv/cursor.rs"]
mod cursor;
#[path = "../../../examples/kv/glob.rs"]
pub(super) mod glob;
#[path = "../../../examples/kv/node.rs"]
pub(super) mod node;
#[path = "../../../examples/kv/protocol/mod.rs"]
pub(super) mod protocol;
#[path = "../../../examples/kv/router.rs"]
pub(super) mod router;
#[path = "../../../examples/kv/session.rs"]
pub(super) mod session;
#[path = "../../../examples/kv/store.rs"]
mod store;
