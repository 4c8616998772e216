//! A store of keys and values in memory, with the protocol of Redis.
//!
//! ```sh
//! cargo run --release --example kv                  # on 127.0.0.1:6379
//! cargo run --release --example kv -- --port 7379
//! ```
//!
//! In another terminal, any client of Redis: `redis-cli`, `redis-benchmark`, or what a program
//! uses. There are strings only, which live in memory only.
//!
//! The files, from the connection inwards: `connection` receives and sends, `session` finds the
//! requests in what was received (`protocol`), `node` executes them (`commands`) on the shard's
//! keys (`store`).

mod arguments;
mod commands;
mod connection;
mod cursor;
mod glob;
mod node;
mod protocol;
mod session;
mod store;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use annulus::Builder;
use annulus::net::TcpListener;
use annulus::time::interval;

use arguments::Arguments;
use node::{Node, Server};
use protocol::Limits;

fn main() -> ExitCode {
    let arguments = match Arguments::of_process() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let outcome = Builder::new()
        .cancel_on_ctrl_c(true)
        .build()
        .map_err(io::Error::from)
        .and_then(|runtime| runtime.block_on(serve(&arguments)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "kv: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(arguments: &Arguments) -> io::Result<()> {
    let address = SocketAddr::new(arguments.bind, arguments.port);
    let mut listener = TcpListener::bind(address).await?;
    let here = listener.local_addr()?;
    let limits =
        Limits { arguments: 1024 * 1024, request: arguments.max_request, inline: 64 * 1024 };
    let node = Rc::new(Node::new(Server::new(here.port(), limits, 1), 0));
    let _ = writeln!(io::stdout(), "listening on {here}; try `redis-cli -p {}`", here.port());
    annulus::spawn(expire(Rc::clone(&node)));
    loop {
        let (stream, peer) = listener.accept().await?;
        let node = Rc::clone(&node);
        annulus::spawn(async move {
            node.counters().accepted.add(1);
            if let Err(error) = connection::serve(stream, Rc::clone(&node)).await {
                let _ = writeln!(io::stderr(), "{peer}: {error}");
            }
            node.counters().ended.add(1);
        });
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
