//! What the driver assumes of the kernel's io_uring, each assumption one named test.
//!
//! The tests rest on the `io-uring` crate and `libc` alone, so that what fails here is the kernel,
//! or our picture of it, and never the runtime. Each says above itself what the driver rests on
//! and what breaks if it is false; a new kernel that breaks an assumption is caught by name.
//!
//! # Running
//!
//! ```text
//! cargo test -p uring-sys-tests                                 # all of them
//! cargo test -p uring-sys-tests -- enobufs_loses_no_bytes       # one
//! cargo test -p uring-sys-tests -- --list                       # their names
//! ```
//!
//! # Reading a skip
//!
//! A test that this kernel cannot run is reported as ignored, never as passed. A feature that is
//! missing is named before the test starts, as `[skipped: needs send_zc (6.0)]`, with the version
//! of Linux that introduced it; features are probed, since distribution kernels carry backports. A
//! test that finds only while it runs that it cannot say anything, for instance for want of a
//! privilege, gives its reason in parentheses behind `ignored`. Where io_uring is missing or
//! forbidden altogether, the runner says which in one line and fails.
//!
//! # On another kernel
//!
//! The test binary needs nothing but `/proc` and a directory for temporary files. Built with
//! `-C target-feature=+crt-static`, it runs as it is in a virtual machine of that kernel.
//!
//! # What is where
//!
//! This library is what the tests are written with: a [`ring::Ring`] that never waits for ever,
//! [`op::Op`]s whose memory is always valid, [`feature::Feature`]s that are probed, and
//! [`child::run`] for tests that change their process. The tests are in `tests/contract`, one
//! file a subject.

pub mod buffer_ring;
pub mod child;
pub mod completion;
pub mod feature;
pub mod memory;
pub mod op;
pub mod raw;
pub mod ring;
pub mod socket;
