//! Streams made of async code.
//!
//! [`generate`](fn@generate) is what an asynchronous generator is in Python: a body that awaits, and
//! emits items as it goes. Streams of items that exist already are in `futures_util::stream`.

mod generate;

pub use generate::{Emitter, Generator, generate, try_generate};
