//! Streams whose items an async body emits.
//!
//! [`generate`](fn@generate) is what an asynchronous generator is in Python: a body that awaits,
//! and emits items between its awaits. For streams of items that exist already, see
//! `futures_util::stream`.

mod generate;

pub use generate::{Emitter, Generator, generate, try_generate};
