//! Tests of what all operations share.

pub(super) mod bench;
mod io_wq;
#[path = "../../../tests/common/memory.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
pub(super) mod memory;
mod scripted;
mod steps;
