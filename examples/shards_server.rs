//! A server on all cores: one listener for each shard, on one port, until SIGTERM or ctrl-c.
//!
//! ```sh
//! cargo run --release --example shards_server
//! ```
//!
//! Type `nc 127.0.0.1 7000` in other terminals, then some lines: each comes back, after the number
//! of the shard that serves the connection. Ctrl-C stops the server, and each shard reports what
//! became of its connections; the exit code is 1 if a shard aborted some.

use std::{env, io};

use annulus::net::{ShutdownOptions, ShutdownReport, StreamReader, StreamWriter, start_server};
use annulus::shards::Shard;

async fn echo(mut reader: StreamReader, mut writer: StreamWriter) -> io::Result<()> {
    let shard = Shard::current();
    loop {
        // At the shutdown, a connection that waits for the next line ends at once.
        let Some(line) = shard.shutdown().run_until_requested(reader.read_line()).await else {
            return Ok(());
        };
        let line = line?;
        if line.is_empty() {
            return Ok(());
        }
        writer.write(format!("shard {}: ", shard.index())).await?;
        writer.write(line).await?;
    }
}

#[annulus::main(shards = "cores", signals = true)]
async fn main(shard: Shard) -> io::Result<ShutdownReport> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7000".into());
    let server = start_server(echo, address.as_str()).await?;
    println!("shard {} listens on {}", shard.index(), server.local_addrs()[0]);
    let report = server.serve_until(shard.shutdown(), &ShutdownOptions::new()).await;
    println!("shard {}: {report}", shard.index());
    Ok(report)
}
