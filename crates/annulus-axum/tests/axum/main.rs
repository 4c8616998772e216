//! The servers of this crate, driven by clients that were not written here where
//! there are any: curl.

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
mod server;
mod shards;
mod shutdown;
