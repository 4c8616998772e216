//! What the integration tests share, one subject a file.
#![allow(dead_code, reason = "each test file uses its own part of this")]

pub(crate) mod bounded;
pub(crate) mod child;
pub(crate) mod conditions;
pub(crate) mod descriptors;
pub(crate) mod directory;
pub(crate) mod drops;
pub(crate) mod incidents;
pub(crate) mod line_client;
pub(crate) mod manual_executor;
pub(crate) mod memory;
pub(crate) mod multishot_recv;
pub(crate) mod net;
pub(crate) mod pair;
pub(crate) mod panics;
pub(crate) mod patience;
pub(crate) mod pattern;
pub(crate) mod poll;
pub(crate) mod polled;
pub(crate) mod program;
pub(crate) mod random;
pub(crate) mod rounds;
pub(crate) mod seccomp;
pub(crate) mod skip;
pub(crate) mod threads;
pub(crate) mod watchdog;
