//! What can be seen of a runtime: by subscribers of the crate `tracing`, by tokio-console, and by
//! exporters of the crate `metrics`.
//!
//! `cargo test --features console,metrics,tracing --test trace`

// Not compiled without them: they are off in most builds.
#![cfg(all(feature = "console", feature = "metrics", feature = "tracing"))]

#[path = "../common/mod.rs"]
mod common;

mod console;
mod metrics;
mod recorder;
mod spans;
