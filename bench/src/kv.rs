//! The store of `examples/kv`, once on Annulus and once on Tokio: protocol, commands and keys are
//! the same files, and only the loop of a connection differs.
#![allow(dead_code, reason = "the example has more than its servers")]
#![allow(unreachable_pub, reason = "the files are an example's")]

#[path = "../../examples/kv/commands/mod.rs"]
mod commands;
#[path = "../../examples/kv/connection.rs"]
pub(crate) mod connection;
#[path = "../../examples/kv/cursor.rs"]
mod cursor;
#[path = "../../examples/kv/glob.rs"]
mod glob;
#[path = "../../examples/kv/node.rs"]
mod node;
#[path = "../../examples/kv/protocol/mod.rs"]
mod protocol;
#[path = "../../examples/kv/session.rs"]
mod session;
#[path = "../../examples/kv/store.rs"]
mod store;
#[cfg(feature = "tokio")]
pub(crate) mod tokio;

use std::rc::Rc;

pub(crate) use node::Node;

/// The state of a server that has one shard.
pub(crate) fn one_node() -> Rc<Node> {
    let limits =
        protocol::Limits { arguments: 1024 * 1024, request: 64 * 1024 * 1024, inline: 64 * 1024 };
    Rc::new(Node::new(node::Server::new(0, limits, 1), 0))
}
