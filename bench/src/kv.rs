//! The store of `examples/kv`, once on Annulus and once on Tokio: protocol, commands and keys are
//! the same files, and only the loop of a connection differs.
#![allow(dead_code, reason = "the example has more than its servers")]
#![allow(unreachable_pub, reason = "the files are an example's")]

#[path = "../../examples/kv/batch.rs"]
mod batch;
#[path = "../../examples/kv/commands/mod.rs"]
mod commands;
#[path = "../../examples/kv/connection.rs"]
mod connection;
#[path = "../../examples/kv/cursor.rs"]
mod cursor;
#[path = "../../examples/kv/glob.rs"]
mod glob;
#[path = "../../examples/kv/node.rs"]
mod node;
#[path = "../../examples/kv/protocol/mod.rs"]
mod protocol;
#[path = "../../examples/kv/router.rs"]
mod router;
#[path = "../../examples/kv/session.rs"]
mod session;
#[path = "../../examples/kv/sharded_connection.rs"]
mod sharded_connection;
#[path = "../../examples/kv/store.rs"]
mod store;
#[cfg(feature = "tokio")]
pub(crate) mod tokio;

use std::future::pending;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use annulus::Shards;
use annulus::shards::{Shard, Sharded};

use node::{Node, Server};

const LIMITS: protocol::Limits =
    protocol::Limits { arguments: 1024 * 1024, request: 64 * 1024 * 1024, inline: 64 * 1024 };

/// The state of a server that has one shard.
fn one_node() -> Rc<Node> {
    Rc::new(Node::new(Server::new(LIMITS, 1), 0))
}

/// Serves on Annulus, on this thread alone. Returns only with an error.
pub(crate) fn serve(listener: TcpListener) -> io::Result<()> {
    annulus::Runtime::builder().build()?.block_on(async {
        let node = one_node();
        let listener = annulus::net::TcpListener::from_std(listener);
        loop {
            let (stream, _) = listener.accept().await?;
            drop(annulus::spawn(connection::serve(stream, Rc::clone(&node), pending())));
        }
    })
}

/// Serves on Annulus, with a shard on each of these cores. Returns only with an error.
pub(crate) fn serve_sharded(address: SocketAddr, cores: &[usize]) -> io::Result<()> {
    let server = OnceLock::new();
    let nodes = Sharded::new(async move |shard: Shard| {
        let server = server.get_or_init(|| Server::new(LIMITS, shard.count()));
        Node::new(Arc::clone(server), shard.index())
    });
    let ended = Shards::builder().cpus(cores.to_vec()).run(async |_| -> io::Result<()> {
        let node = nodes.get().await?;
        let listener = annulus::net::TcpListener::bind(address).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            let (node, nodes) = (Rc::clone(&node), nodes.clone());
            drop(annulus::spawn(sharded_connection::serve(stream, node, nodes, pending())));
        }
    });
    ended.map_err(io::Error::other)?.into_iter().collect()
}
