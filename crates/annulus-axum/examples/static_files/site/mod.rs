//! The site: a directory, how it is served, and what its requests are answered.

mod conditions;
mod files;
mod response;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use annulus::net::{ServerOptions, ShutdownOptions, ShutdownReport};
use annulus::shards::Shard;
use annulus_axum::{local, serve};
use annulus_hyper::server::Listener;
use axum::routing::get;

pub(crate) use files::Directory;

/// Serves the site until the shards are to stop.
pub(crate) async fn serve_shard<L: Listener + 'static>(
    shard: &Shard,
    address: SocketAddr,
    listener: L,
    directory: Directory,
) -> io::Result<ShutdownReport> {
    let app = get(local(response::answer)).with_state(directory);
    // A peer that does not read what is sent holds a file, a chunk of it, and a connection.
    let limits = ServerOptions::new()
        .max_connections(10_000)
        .idle_timeout(Duration::from_secs(600))
        .send_timeout(Duration::from_secs(30));
    let server = serve(listener, app).configure(|server| server.limits(limits)).start()?;
    if shard.index() == 0 {
        let _ = writeln!(io::stdout(), "listening on {address}; ctrl-c to stop");
    }
    let options = ShutdownOptions::new().grace(Duration::from_secs(10));
    Ok(server.serve_until(shard.shutdown(), &options).await)
}

/// Adds the reports of the shards, and prints the sum.
pub(crate) fn report(shards: Vec<io::Result<ShutdownReport>>) -> io::Result<ShutdownReport> {
    let report = shards.into_iter().sum::<io::Result<ShutdownReport>>()?;
    let _ = writeln!(io::stdout(), "stopped: {report}");
    Ok(report)
}
