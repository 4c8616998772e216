//! Faults of the kernel on purpose, to test a program (feature `faults`).
//!
//! The kernel may answer in many ways that a test on an idle machine never sees. It may receive 3
//! bytes where 100 have arrived, complete an accept although it was cancelled, complete operations
//! in another order, take some SQEs and refuse others. A program that depends on what the kernel
//! usually does fails once a month, on the busiest machine. With the feature `faults` a runtime
//! answers in these ways all the time, as a seed decides: see [`Faults`] and [`FaultKind`].
//!
//! # How to test a program
//!
//! Enable the feature for tests only:
//!
//! ```toml
//! [dev-dependencies]
//! annulus = { version = "0.1", features = ["faults"] }
//! ```
//!
//! Then either run the tests that there are with a seed, which every runtime takes from the
//! environment:
//!
//! ```sh
//! for seed in $(seq 100); do ANNULUS_FAULTS=$seed cargo test || break; done
//! ```
//!
//! Or give a seed to a runtime by [`Builder::faults`](crate::Builder::faults), and run a scenario
//! with many of them in one test. A scenario is worth most if it knows what must come out: every
//! request is answered once, no byte is lost or out of order, nothing is left in the kernel at the
//! end ([`Metrics::in_kernel`](crate::Metrics::in_kernel)).
//!
//! When a test panics, the thread prints the seed and the last faults. For a test that hangs, a
//! watchdog can print them with [`FaultLog::print_all`]. The seed makes the same faults
//! again, as far as the program submits the same operations; peers and other threads do not come in
//! the same order each time, so try a seed more than once.
//!
//! # What it does not do
//!
//! Operations do not fail that would succeed: no connection is reset, no disk is full, no
//! descriptor is refused. Those are errors that a program sees, and a test makes them itself.
//! Faults cost time, so this is no place to measure.

pub use crate::sys::{FaultKind, FaultLog, Faults};
