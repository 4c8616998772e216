//! The examples as programs, and the echo server with clients that this project did not write.

#[path = "../common/mod.rs"]
mod common;

mod cat;
mod cp;
mod dns_forward;
mod http;
mod http_service;
mod kv;
mod log_store;
mod process_pool;
mod programs;
mod real_clients;
mod sandboxed;
mod shards;
mod tail;
