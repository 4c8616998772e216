//! A store of keys and values in memory, with the protocol of Redis, on all CPUs.
//!
//! ```sh
//! cargo run --release --example kv                                # on 127.0.0.1:6379
//! cargo run --release --example kv -- --port 7379 --shards 2
//! ```
//!
//! In another terminal, any client of Redis: `redis-cli`, `redis-benchmark`, or what a program
//! uses. There are strings only, and they live in memory only. Ctrl-C or SIGTERM stops it: it
//! serves what has arrived, and then ends.
//!
//! Each shard has a part of the keys, and connections of its own. `connection` receives and sends,
//! `session` finds the requests in what was received (`protocol`), and `node` executes them
//! (`commands`) on the keys of its shard (`store`). If there are several shards, `router` plans
//! which shard executes which request, and `sharded_connection` has them do so: all requests of a
//! pipeline for another shard go there in one message (`batch`).

mod arguments;
mod batch;
mod commands;
mod connection;
mod cursor;
mod glob;
mod node;
#[path = "../shared/outcome.rs"]
mod outcome;
#[path = "../shared/parsed.rs"]
mod parsed;
mod protocol;
mod router;
mod session;
mod sharded_connection;
mod store;

use std::future::Future;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::pin::pin;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use annulus::join::TaskSet;
use annulus::net::{TcpListener, TcpStream};
use annulus::shards::{Shard, Sharded};
use annulus::task::JoinError;
use annulus::time::{interval, sleep};
use annulus::{Shards, Shutdown};
use futures_util::{FutureExt, StreamExt, select};

use arguments::Arguments;
use node::{Node, Server};
use protocol::Limits;

/// How long connections may take to end after the server was asked to stop. They end when they
/// have no request left; so this is for clients that do not read their replies.
const GRACE: Duration = Duration::from_secs(5);

// Messages are written with `writeln!`, and a failure is ignored: `println!` panics when the reader
// is gone (`kv | head -1`), and a server should continue without its log.

fn main() -> ExitCode {
    match Arguments::of_process() {
        Ok(arguments) => outcome::exit_code("kv", run(&arguments)),
        Err(code) => code,
    }
}

fn run(arguments: &Arguments) -> io::Result<()> {
    let limits =
        Limits { arguments: 1024 * 1024, request: arguments.max_request, inline: 64 * 1024 };
    let server = OnceLock::new();
    let nodes = Sharded::new(async move |shard| {
        let server = server.get_or_init(|| Server::new(limits, shard.count()));
        Node::new(Arc::clone(server), shard.index())
    });
    let mut shards = Shards::builder().name("kv").shutdown(Shutdown::on_signals()?);
    if let Some(count) = arguments.shards {
        shards = shards.count(count.get());
    }
    let address = SocketAddr::new(arguments.bind, arguments.port);
    // A shard that fails stops the others, since a store without a part of its keys is none.
    let ended = shards.run(async |shard| serve(&shard, &nodes, address).await)?;
    ended.into_iter().collect()
}

async fn serve(shard: &Shard, nodes: &Sharded<Node>, address: SocketAddr) -> io::Result<()> {
    let node = nodes.get().await?;
    // The shards share the port; the kernel spreads the connections.
    let listener = TcpListener::bind(address).await?;
    let here = listener.local_addr()?;
    node.server.listens(here.port());
    if shard.index() == 0 {
        let hint = format!("try `redis-cli -p {}`, ctrl-c stops it", here.port());
        let _ = writeln!(io::stdout(), "listening on {here}; {hint}");
    }
    let _expiring = annulus::spawn(expire(Rc::clone(&node)));

    let mut connections = TaskSet::new();
    let mut stop = pin!(shard.shutdown().requested().fuse());
    loop {
        select! {
            accepted = listener.accept().fuse() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(converse(stream, peer, shard, &node, nodes));
                }
                Err(error) => {
                    // Such as a lack of descriptors, which passes.
                    let _ = writeln!(io::stderr(), "kv: {error}");
                    sleep(Duration::from_millis(100)).await;
                }
            },
            ended = connections.select_next_some() => report_panic(ended),
            () = stop => break,
        }
    }
    for (stream, peer) in listener.close().await {
        connections.spawn(converse(stream, peer, shard, &node, nodes));
    }
    let all_ended = connections.by_ref().map(report_panic).collect::<()>();
    select! {
        () = all_ended.fuse() => {}
        () = sleep(GRACE).fuse() => {}
        () = shard.shutdown().forced().fuse() => {}
    }
    // Dropping the set cancels the others.
    Ok(())
}

/// Serves one connection to its end.
fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    shard: &Shard,
    node: &Rc<Node>,
    nodes: &Sharded<Node>,
) -> impl Future<Output = ()> + use<> {
    let (shard, node, nodes) = (shard.clone(), Rc::clone(node), nodes.clone());
    async move {
        node.counters().accepted.add(1);
        let stop = shard.shutdown().requested();
        let served = if shard.count() == 1 {
            connection::serve(stream, Rc::clone(&node), stop).await
        } else {
            sharded_connection::serve(stream, Rc::clone(&node), nodes, stop).await
        };
        node.counters().ended.add(1);
        if let Err(error) = served {
            let _ = writeln!(io::stderr(), "{peer}: {error}");
        }
    }
}

fn report_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        let _ = writeln!(io::stderr(), "a connection's {error}");
    }
}

/// Removes expired keys that no client asks for.
async fn expire(node: Rc<Node>) {
    let mut often = interval(Duration::from_millis(100));
    loop {
        often.tick().await;
        while node.remove_expired() {
            annulus::yield_now().await;
        }
    }
}
