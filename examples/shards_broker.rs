//! A broker on all cores: a client subscribes to a topic, and receives what any client publishes,
//! whichever shard serves either.
//!
//! ```sh
//! cargo run --release --example shards_broker
//! ```
//!
//! Type `nc 127.0.0.1 7000` in two other terminals: `SUBSCRIBE news` in one, and `PUBLISH news
//! hello` in the other, which returns how many have received it. Ctrl-C ends the broker, which
//! reports what became of the connections.
//!
//! Each shard has the subscribers of its own connections. What a client publishes goes to each
//! shard once, and there to the subscribers that the shard has.

#[path = "shared/arguments.rs"]
mod arguments;
#[path = "shared/outcome.rs"]
mod outcome;

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::pin::pin;
use std::process::ExitCode;
use std::rc::Rc;

use annulus::net::{
    ServerOptions, ShutdownOptions, ShutdownReport, StreamReader, StreamWriter, start_server_with,
};
use annulus::shards::{Shard, Sharded};
use annulus::sync::broadcast::{self, Receiver, RecvError, Sender};
use annulus::{Shards, Shutdown};
use futures_util::{FutureExt, select};

const USAGE: &str = "\
A broker on all cores: what a client publishes reaches the subscribers of all shards.

Usage: shards_broker [ADDRESS]

ADDRESS is where to listen, like 127.0.0.1:7000 (the default), [::1]:7000 or localhost:7000.";

/// How many messages of a topic wait for a slow subscriber until it loses the oldest.
const BACKLOG: usize = 256;

/// How many connections of one peer each shard serves.
const MAX_PER_PEER: usize = 100;

/// The topics that connections of this shard have subscribed to.
#[derive(Default)]
struct Topics(RefCell<HashMap<String, Sender<Rc<str>>>>);

impl Topics {
    fn subscribe(&self, topic: &str) -> Receiver<Rc<str>> {
        let mut topics = self.0.borrow_mut();
        topics.retain(|_, sender| sender.receivers() > 0);
        let sender = topics.entry(topic.to_owned());
        sender.or_insert_with(|| broadcast::channel(BACKLOG).0).subscribe()
    }

    /// Returns how many subscribers there are on this shard.
    fn publish(&self, topic: &str, message: &str) -> usize {
        let topics = self.0.borrow();
        topics.get(topic).map_or(0, |sender| sender.send(message.into()).unwrap_or(0))
    }
}

/// Serves one connection.
async fn serve(
    topics: &Sharded<Topics>,
    mut reader: StreamReader,
    mut writer: StreamWriter,
) -> io::Result<()> {
    let shard = Shard::current();
    let mut subscription: Option<Receiver<Rc<str>>> = None;
    loop {
        let line = {
            let mut line = pin!(shard.shutdown().run_until_requested(reader.read_line()).fuse());
            let mut message = pin!(next(subscription.as_mut()).fuse());
            select! {
                line = line => line,
                message = message => {
                    writer.write(message.as_bytes()).await?;
                    continue;
                }
            }
        };
        // Of a broker that ends, or of a client that has gone.
        let Some(line) = line.transpose()?.filter(|line| !line.is_empty()) else { return Ok(()) };
        let line = String::from_utf8_lossy(&line);
        let mut words = line.trim_end().splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some("SUBSCRIBE"), Some(topic), None) => {
                subscription = Some(topics.local().subscribe(topic));
                writer.write("OK\n").await?;
            }
            (Some("PUBLISH"), Some(topic), Some(text)) => {
                let (topic, message) = (topic.to_owned(), format!("{topic} {text}\n"));
                let each = topics.run_on_all(move |topics| topics.publish(&topic, &message));
                let count: usize = each.await?.into_iter().sum();
                writer.write(format!("OK {count}\n")).await?;
            }
            _ => writer.write("expected SUBSCRIBE topic, or PUBLISH topic text\n").await?,
        }
    }
}

/// The next message of a subscription. Without one, waits for ever.
async fn next(subscription: Option<&mut Receiver<Rc<str>>>) -> Rc<str> {
    let received = match subscription {
        Some(subscription) => subscription.recv().await,
        None => std::future::pending().await,
    };
    match received {
        Ok(message) => message,
        Err(RecvError::Lagged(lost)) => format!("({lost} messages were lost)\n").into(),
        // The sender is dropped when it has no receiver.
        Err(_) => std::future::pending().await,
    }
}

/// Serves the connections of one shard until the shutdown.
async fn serve_shard(
    shard: Shard,
    topics: Sharded<Topics>,
    address: &str,
) -> io::Result<ShutdownReport> {
    topics.get().await?;
    let options = ServerOptions::new().max_connections_per_peer(MAX_PER_PEER);
    let handler = async move |reader: StreamReader, writer: StreamWriter| {
        serve(&topics, reader, writer).await
    };
    let server = start_server_with(handler, address, &options).await?;
    if shard.index() == 0 {
        println!("listening on {}", server.local_addrs()[0]);
    }
    Ok(server.serve_until(shard.shutdown(), &ShutdownOptions::new()).await)
}

fn run(address: &str) -> io::Result<ShutdownReport> {
    let topics = Sharded::new(async |_| Topics::default());
    let shards = Shards::builder().shutdown(Shutdown::on_signals()?);
    let reports = shards.run(async |shard| serve_shard(shard, topics.clone(), address).await)?;
    let report = reports.into_iter().sum::<io::Result<ShutdownReport>>()?;
    println!("{report}");
    Ok(report)
}

fn main() -> ExitCode {
    match arguments::addresses("shards_broker", USAGE, ["127.0.0.1:7000"]) {
        Err(code) => code,
        Ok([address]) => outcome::exit_code("shards_broker", run(&address)),
    }
}
