//! Buffered reading and writing, and the errors that operations report.

#[path = "../common/mod.rs"]
mod common;

#[cfg(feature = "codec")]
mod codec;
mod errors;
mod event_fd;
mod last_words;
mod pipes;
mod splice;
mod standard_streams;
mod stream_reader;
mod stream_writer;
mod watcher;
