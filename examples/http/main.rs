//! An HTTP/1.1 server on all cores: files, an echo, and what the server counts.
//!
//! ```sh
//! cargo run --release --example http
//! cargo run --release --example http -- '[::]:80' --root /srv/www --shards 4
//! curl -i http://127.0.0.1:8080/files/README.md
//! curl -i --data hello http://127.0.0.1:8080/echo
//! ```
//!
//! Without arguments it serves the current directory on 127.0.0.1:8080.
//!
//! Each shard serves the connections that the kernel gives to its listener. SIGTERM or ctrl-c ends
//! the server: requests that have begun are answered, and idle connections closed.
//!
//! The files, from the connection inwards: `connection` reads requests and answers them in order.
//! `request` parses a head and refuses what two servers could understand differently, `body` reads
//! what follows it. `routes` and `files` make the responses, which `response` writes.

mod arguments;
mod body;
mod connection;
mod files;
mod limits;
mod request;
mod response;
mod routes;

use std::cell::Cell;
use std::io::{self, Write};
use std::process::ExitCode;
use std::rc::Rc;

use annulus::net::{
    ServerOptions, ShutdownOptions, ShutdownReport, StreamReader, StreamWriter, start_server_with,
};
use annulus::shards::Shard;
use annulus::{Shards, Shutdown};

use arguments::Arguments;
use files::Root;
use limits::Limits;

/// What the connections of a shard share.
struct Context {
    root: Root,
    limits: Limits,
    shard: Shard,
    requests: Cell<u64>,
}

fn main() -> ExitCode {
    let outcome = match Arguments::of_process() {
        Ok(arguments) => run(&arguments),
        Err(code) => return code,
    };
    match outcome {
        Ok(report) => {
            let _ = writeln!(io::stdout(), "stopped: {report}");
            report.exit_code()
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "http: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> io::Result<ShutdownReport> {
    let root = Root::new(&arguments.root)?;
    let mut shards = Shards::builder().shutdown(Shutdown::on_signals()?);
    if let Some(count) = arguments.shards {
        shards = shards.count(count);
    }
    // A shard that fails has the others end in order; the first error is that of the server.
    let reports = shards.run(async |shard| serve(&shard, arguments, &root).await)?;
    reports.into_iter().sum()
}

async fn serve(shard: &Shard, arguments: &Arguments, root: &Root) -> io::Result<ShutdownReport> {
    let context = Rc::new(Context {
        root: root.clone(),
        limits: arguments.limits,
        shard: shard.clone(),
        requests: Cell::new(0),
    });
    let handler = async move |reader: StreamReader, writer: StreamWriter| {
        connection::serve(reader, writer, &context).await
    };
    let options = ServerOptions::new()
        .max_connections(arguments.limits.connections)
        .send_timeout(arguments.limits.send)
        .reader_limit(limits::HEAD);
    let server = start_server_with(handler, arguments.address.as_str(), &options).await;
    let server = server.map_err(with_remedy)?;
    if shard.index() == 0 {
        let here = server.local_addrs()[0];
        let count = shard.count();
        let hint = format!("{count} shards; try `curl http://{here}/info`");
        let _ = writeln!(io::stdout(), "listening on {here}; {hint}");
    }
    let options = ShutdownOptions::new().grace(arguments.limits.grace);
    Ok(server.serve_until(shard.shutdown(), &options).await)
}

/// Adds a remedy to an error of listening.
fn with_remedy(error: io::Error) -> io::Error {
    let remedy = match error.kind() {
        io::ErrorKind::AddrInUse => "stop what listens there, or give another port",
        io::ErrorKind::AddrNotAvailable => "give an address of this machine, or 0.0.0.0 for all",
        io::ErrorKind::PermissionDenied => "give a port above 1023, or run it with privileges",
        _ => return error,
    };
    io::Error::new(error.kind(), format!("{error}; {remedy}"))
}
