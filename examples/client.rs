//! A client for the terminal: it sends what is typed and prints what comes back.
//!
//! It shows both halves of a connection in use at the same time, half-close, a time limit on
//! connecting, and a thread that reads what can only be read by blocking.
//!
//! ```sh
//! cargo run --example echo                              # in another terminal
//! cargo run --example client                            # to 127.0.0.1:7000
//! cargo run --example client -- localhost:7000 < file   # to another address
//! ```
//!
//! Type a line, and the server's answer appears below it. Ctrl-D ends the input: the client shuts
//! down its side, prints what still arrives, and ends when the server closes the connection.
//!
//! ```text
//! hello
//! hello
//! ```

#[path = "shared/arguments.rs"]
mod arguments;
#[path = "shared/outcome.rs"]
mod outcome;

use std::io::{self, Read, Write};
use std::pin::pin;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use annulus::buf::BufResult;
use annulus::net::{OwnedReadHalf, OwnedWriteHalf, TcpStream};
use async_channel::Receiver;
use futures_util::{FutureExt, select_biased};

const USAGE: &str = "\
A client for the terminal: it sends what is typed and prints what comes back.

Usage: client [ADDRESS]

ADDRESS is where to connect to, like 127.0.0.1:7000 (the default), [::1]:7000 or localhost:7000.";

/// How long an address may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How much is read or received at once, in bytes. A terminal gives a line at a time.
const CHUNK: usize = 16 * 1024;

fn main() -> ExitCode {
    match arguments::addresses("client", USAGE, ["127.0.0.1:7000"]) {
        Err(code) => code,
        // The outer error is that of making the runtime, the inner one the client's.
        Ok([address]) => {
            let outcome = annulus::run(talk(&address)).unwrap_or_else(|error| Err(error.into()));
            outcome::exit_code("client", outcome)
        }
    }
}

async fn talk(address: &str) -> io::Result<()> {
    let stream = TcpStream::connect_timeout(address, PATIENCE).await?;
    let (reader, writer) = stream.into_split();
    // Both at once: a client that sends everything before it receives deadlocks with a server that
    // does the same.
    let mut receiving = pin!(receive(reader).fuse());
    select_biased! {
        sent = send(writer).fuse() => sent?,
        received = receiving => {
            received?;
            let text = "the server closed the connection before the input had ended";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
        }
    }
    receiving.await
}

/// Sends the standard input, then shuts down the writing direction.
async fn send(mut writer: OwnedWriteHalf) -> io::Result<()> {
    let input = standard_input()?;
    while let Ok(chunk) = input.recv().await {
        writer.write_all(chunk?).await.0?;
    }
    writer.shutdown().await
}

/// Prints what arrives, until EOF.
async fn receive(mut reader: OwnedReadHalf) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(CHUNK);
    loop {
        let BufResult(received, filled) = reader.read(buffer).await;
        if received? == 0 {
            return Ok(());
        }
        print(&filled).map_err(|error| about("standard output", &error))?;
        buffer = filled;
    }
}

fn print(bytes: &[u8]) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(bytes)?;
    // A prompt has no line end.
    output.flush()
}

/// The standard input, in chunks. Reading it blocks, so a thread does it. The channel holds one
/// chunk: if the server is slow, the thread waits, and so does the program that writes to our
/// input.
fn standard_input() -> io::Result<Receiver<io::Result<Vec<u8>>>> {
    let (sender, receiver) = async_channel::bounded(1);
    thread::Builder::new().name("stdin".into()).spawn(move || {
        let mut input = io::stdin().lock();
        loop {
            let mut chunk = vec![0; CHUNK];
            let message = match input.read(&mut chunk) {
                Ok(0) => return,
                Ok(count) => {
                    chunk.truncate(count);
                    Ok(chunk)
                }
                Err(error) => Err(about("standard input", &error)),
            };
            // Fails when the receiver is gone, for example after an error.
            if sender.send_blocking(message).is_err() {
                return;
            }
        }
    })?;
    Ok(receiver)
}

/// Adds to an error what it is about.
fn about(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}
