//! The servers of this crate and its examples, driven by clients that were not written here where
//! there are any: curl, and Python's `websockets` and `grpcio`.

#[path = "../../../../tests/common"]
#[allow(dead_code, reason = "these tests use a part of it")]
mod common {
    pub(crate) mod bounded;
    pub(crate) mod child;
    pub(crate) mod patience;
    pub(crate) mod program;
    pub(crate) mod skip;
    pub(crate) mod watchdog;
}

mod clients;
mod connect_info;
mod http;
mod local;
mod programs;
mod server;
mod shards;
mod shutdown;
mod sse;
mod static_files;
mod tls;
mod websocket;
