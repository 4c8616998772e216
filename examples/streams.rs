//! An echo server and its client on buffered streams, as in asyncio.
//!
//! ```sh
//! cargo run --example streams
//! ```

use std::io;
use std::time::Duration;

use annulus::net::{StreamReader, StreamWriter, open_connection, start_server};

async fn echo(mut reader: StreamReader, mut writer: StreamWriter) -> io::Result<()> {
    loop {
        let line = reader.read_line().await?;
        if line.is_empty() {
            return Ok(());
        }
        writer.write(line).await?;
    }
}

#[annulus::main]
async fn main() -> io::Result<()> {
    let server = start_server(echo, "127.0.0.1:0").await?;
    let (mut reader, mut writer) = open_connection(server.local_addrs()[0]).await?;
    for message in ["Hello", "wonderful", "world"] {
        println!("send: {message}");
        writer.write(format!("{message}\n")).await?;
        let line = reader.read_line().await?;
        println!("received: {}", String::from_utf8_lossy(&line).trim_end());
    }
    writer.close();
    writer.wait_closed().await?;
    let outcome = server.shutdown(Duration::from_secs(5)).await;
    println!("{} completed, {} aborted", outcome.completed, outcome.aborted);
    Ok(())
}
