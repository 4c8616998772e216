//! A TCP proxy: passes the bytes of each connection to another address, and back.
//!
//! ```sh
//! cargo run --example echo                                    # in another terminal
//! cargo run --example proxy                                   # 127.0.0.1:7001 to 127.0.0.1:7000
//! cargo run --example proxy -- '[::]:8080' server.example:80  # other addresses
//! ```
//!
//! Then `nc 127.0.0.1 7001` talks to the echo server. Ctrl-c stops it.

#[path = "shared/arguments.rs"]
mod arguments;
#[path = "shared/outcome.rs"]
mod outcome;

use std::io::{self, Write};
use std::process::ExitCode;

use annulus::Builder;
use annulus::net::{TcpListener, TcpStream, copy_bidirectional};

const USAGE: &str = "\
A TCP proxy: passes the bytes of each connection to another address, and back.

Usage: proxy [ADDRESS [TARGET]]

ADDRESS is where to listen (127.0.0.1:7001), TARGET where to connect to (127.0.0.1:7000).";

fn main() -> ExitCode {
    match arguments::addresses("proxy", USAGE, ["127.0.0.1:7001", "127.0.0.1:7000"]) {
        Err(code) => code,
        Ok([address, target]) => outcome::exit_code("proxy", run(&address, &target)),
    }
}

fn run(address: &str, target: &str) -> io::Result<()> {
    Builder::new().cancel_on_ctrl_c(true).build()?.block_on(serve(address, target))
}

async fn serve(address: &str, target: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let _ = writeln!(io::stdout(), "listening on {}; to {target}", listener.local_addr()?);
    loop {
        let (client, peer) = listener.accept().await?;
        let target = target.to_owned();
        annulus::spawn(async move {
            if let Err(error) = pass_on(client, &target).await {
                let _ = writeln!(io::stderr(), "{peer}: {error}");
            }
        });
    }
}

async fn pass_on(client: TcpStream, target: &str) -> io::Result<(u64, u64)> {
    let server = TcpStream::connect(target).await?;
    copy_bidirectional(client, server).await
}
