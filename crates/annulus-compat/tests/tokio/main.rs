//! Tokio beside: libraries that need it, in annulus tasks, and its start and end.

#[path = "../../../../tests/common"]
#[allow(dead_code, reason = "the tests of the core use more of it")]
mod common {
    pub(crate) mod bounded;
    pub(crate) mod child;
    pub(crate) mod patience;
    pub(crate) mod skip;
    pub(crate) mod watchdog;
}

mod clients;
mod compat;
mod ends;
mod example;
mod guards;
mod processes;
