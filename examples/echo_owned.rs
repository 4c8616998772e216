//! An echo server whose connections each own a buffer.
//!
//! A read takes the buffer, since the kernel may write to it at any time until the read completes,
//! and returns it with the result. `echo` receives into runtime-owned buffers, which takes less
//! memory and, with many connections, less time.
//!
//! ```sh
//! cargo run --example echo_owned                    # on 127.0.0.1:7000
//! cargo run --example echo_owned -- '[::1]:7000'    # on another address
//! ```
//!
//! In another terminal type `nc 127.0.0.1 7000`, then some lines: each comes back. Ctrl-C stops it.

#[path = "shared/arguments.rs"]
mod arguments;
#[path = "shared/outcome.rs"]
mod outcome;

use std::io::{self, Write};
use std::process::ExitCode;

use annulus::Builder;
use annulus::buf::BufResult;
use annulus::net::{TcpListener, TcpStream};

const USAGE: &str = "\
An echo server whose connections each own a buffer.

Usage: echo_owned [ADDRESS]

ADDRESS is where to listen, like 127.0.0.1:7000 (the default), [::1]:7000 or localhost:7000.";

fn main() -> ExitCode {
    match arguments::addresses("echo_owned", USAGE, ["127.0.0.1:7000"]) {
        Err(code) => code,
        Ok([address]) => outcome::exit_code("echo_owned", run(&address)),
    }
}

fn run(address: &str) -> io::Result<()> {
    Builder::new().cancel_on_ctrl_c(true).build()?.block_on(serve(address))
}

async fn serve(address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let _ = writeln!(io::stdout(), "listening on {}", listener.local_addr()?);
    loop {
        let (stream, peer) = listener.accept().await?;
        annulus::spawn(async move {
            if let Err(error) = echo(stream).await {
                let _ = writeln!(io::stderr(), "{peer}: {error}");
            }
        });
    }
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(16 * 1024);
    loop {
        let BufResult(received, filled) = stream.read(buffer).await;
        if received? == 0 {
            return Ok(());
        }
        let BufResult(sent, returned) = stream.write_all(filled).await;
        sent?;
        buffer = returned;
    }
}
