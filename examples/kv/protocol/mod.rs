//! The Redis protocol: requests (RESP arrays of bulk strings, and inline commands) and replies in
//! both versions, RESP2 and RESP3.
//!
//! It is parsed here and not by a crate, because a pipeline of small requests is what a server of
//! this kind mostly receives: [`Parser`] reads it where it was received, and gives the places of
//! the arguments in a vector that all requests of a connection share. The crates for this protocol
//! return a tree of frames, which is an allocation for each request.

mod inline;
mod parser;
mod reply;

pub(crate) use parser::{Limits, Parser, Request};
pub(crate) use reply::{Reply, Resp};
