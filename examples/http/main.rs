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
//! the server: requests that have begun are answered, and idle connections closed; one that is new
//! gets a moment for its first request.
//!
//! # As a service
//!
//! It takes the sockets of systemd, if there are any, and then needs neither an address nor
//! privileges. SIGHUP replaces it by the program that has its name by then, with the same arguments
//! and sockets: no client is refused meanwhile, and requests that have begun are answered by the
//! old process. Without systemd, too: `kill -HUP "$(pidof http)"`.
//!
//! ```ini
//! # /etc/systemd/system/http.socket
//! [Socket]
//! ListenStream=80
//!
//! [Install]
//! WantedBy=sockets.target
//! ```
//!
//! ```ini
//! # /etc/systemd/system/http.service
//! [Unit]
//! Requires=http.socket
//!
//! [Service]
//! Type=notify-reload
//! ExecStart=/usr/local/bin/http --root /srv/www
//! DynamicUser=yes
//! LimitNOFILE=65536
//! ```
//!
//! After a new version was installed (`install http /usr/local/bin/http`, which makes a new file),
//! `systemctl reload http` sends the signal, and waits until the new process is ready.
//!
//! # The files
//!
//! From the connection inwards: `connection` reads requests and answers them in order.
//! `request` parses a head and refuses what two servers could understand differently, `body` reads
//! what follows it. `routes` and `files` make the responses, which `response` writes. `service` is
//! about the process.

mod arguments;
mod body;
mod connection;
mod files;
mod limits;
#[path = "../shared/outcome.rs"]
mod outcome;
#[path = "../shared/parsed.rs"]
mod parsed;
mod request;
mod response;
mod routes;
mod service;

use std::cell::Cell;
use std::io::{self, Write};
use std::process::ExitCode;
use std::rc::Rc;

use annulus::net::{
    ServerOptions, ShutdownOptions, ShutdownReport, StreamReader, StreamWriter, start_server_on,
    start_server_with,
};
use annulus::shards::Shard;
use annulus::{Shards, Shutdown};
use futures_util::{FutureExt, try_join};

use arguments::Arguments;
use files::Root;
use limits::Limits;
use service::Service;

/// What the connections of a shard share.
struct Context {
    root: Root,
    limits: Limits,
    shard: Shard,
    requests: Cell<u64>,
}

fn main() -> ExitCode {
    match Arguments::of_process() {
        Ok(arguments) => outcome::exit_code("http", run(&arguments)),
        Err(code) => code,
    }
}

fn run(arguments: &Arguments) -> io::Result<ShutdownReport> {
    let root = Root::new(&arguments.root)?;
    let service = Service::new()?;
    let mut shards = Shards::builder().shutdown(Shutdown::on_signals()?);
    if let Some(count) = arguments.shards {
        shards = shards.count(count);
    }
    // A shard that fails has the others end in order; the first error is that of the server.
    let reports = shards.run(async |shard| serve(&shard, arguments, &root, &service).await)?;
    let report = reports.into_iter().sum::<io::Result<ShutdownReport>>()?;
    let _ = writeln!(io::stdout(), "stopped: {report}");
    Ok(report)
}

async fn serve(
    shard: &Shard,
    arguments: &Arguments,
    root: &Root,
    service: &Service,
) -> io::Result<ShutdownReport> {
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
    let inherited = service.listeners(shard)?;
    let server = if inherited.is_empty() {
        let server = start_server_with(handler, arguments.address.as_str(), &options).await;
        server.map_err(with_remedy)?
    } else {
        start_server_on(handler, inherited, &options)?
    };
    if shard.index() == 0 {
        let here = server.local_addrs()[0];
        let count = shard.count();
        let hint = format!("{count} shards; try `curl http://{here}/info`");
        let _ = writeln!(io::stdout(), "listening on {here}; {hint}");
    }
    let options = ShutdownOptions::new().grace(arguments.limits.grace);
    let serving = server.serve_until(shard.shutdown(), &options).map(Ok);
    let (report, ()) = try_join!(serving, service.attend(shard, &server))?;
    Ok(report)
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
