//! What is counted for the whole process: open descriptors, and processor time.
//!
//! Every test holds [`common::descriptors::alone`] from before it opens, closes or starts the first
//! thing, its directory included, until it has removed the last: another test may be counting.

#[path = "../common/mod.rs"]
mod common;

mod async_fd;
mod chains;
mod connect;
mod copy;
mod direct_descriptors;
mod direct_files;
mod direct_listeners;
mod direct_shortage;
mod directories;
mod dropped_accepts;
mod fd_passing;
mod files;
mod full_sends;
mod hostile_datagrams;
mod multishot_recv_ends;
mod passing;
mod send_file;
mod seqpacket;
mod teardown;
