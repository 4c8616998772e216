//! The server that is attacked. A request is a line with a number, the answer that many bytes.

use std::io::{self, Write};
use std::ops::Sub;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use annulus::blocking::to_thread;
use annulus::net::{
    Keepalive, ListenOptions, ServerOptions, StreamReader, StreamWriter, start_server_with,
};
use annulus::time::timeout;
use clap::Args;
use serde::{Deserialize, Serialize};

use super::child::Place;
use super::group;
use crate::os::limits;

/// How long a request may take to arrive, in full.
const REQUEST: Duration = Duration::from_secs(20);

/// How long nothing may be transferred.
const IDLE: Duration = Duration::from_secs(15);

/// How long a peer may take nothing of what is sent.
const SEND: Duration = Duration::from_secs(10);

/// What the server counts.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Report {
    pub(super) active: u64,
    /// Connections that the limits have ended.
    pub(super) idle: u64,
    pub(super) too_slow: u64,
    /// Connections that were refused, as their peer had too many.
    pub(super) refused: u64,
    /// Handlers whose peer had gone.
    pub(super) gone: u64,
    /// Times an accept had to wait because descriptors or memory had run out.
    pub(super) stalls: u64,
}

/// Serves until its standard input ends, and prints its counters for each line of it.
#[derive(Args, Debug)]
pub(crate) struct HostileServer {
    #[command(flatten)]
    place: Place,
    /// The control group to be in.
    #[arg(long)]
    group: Option<PathBuf>,
    /// The memory that it may have, in bytes, if there is no group.
    #[arg(long)]
    data_limit: Option<u64>,
    /// How many descriptors it needs.
    #[arg(long)]
    descriptors: u64,
    #[arg(long)]
    max_connections: usize,
    #[arg(long)]
    max_connections_per_peer: usize,
    /// Whether it has no limits but those two.
    #[arg(long)]
    no_timeouts: bool,
}

impl HostileServer {
    pub(crate) fn run(self) -> io::Result<()> {
        self.place.take()?;
        limits::raise_descriptors_to(self.descriptors)?;
        if let Some(group) = &self.group {
            group::join(group)?;
        } else if let Some(bytes) = self.data_limit {
            limits::limit_data(bytes)?;
        }
        annulus::run(self.serve())?
    }

    fn options(&self) -> ServerOptions {
        let keepalive = Keepalive::new().idle(Duration::from_secs(60));
        let listen = ListenOptions::new().backlog(4096).keepalive(keepalive);
        let options = ServerOptions::new()
            .max_connections(self.max_connections)
            .max_connections_per_peer(self.max_connections_per_peer);
        if self.no_timeouts {
            return options.listen(listen);
        }
        options
            .listen(listen.send_buffer_size(4 * 1024).recv_buffer_size(16 * 1024))
            .writer_limit(1024)
            .reader_limit(1024)
            .idle_timeout(IDLE)
            .send_timeout(SEND)
            .min_send_rate(1024)
    }

    async fn serve(self) -> io::Result<()> {
        let server = start_server_with(handle, "127.0.0.1:0", &self.options()).await?;
        println!("{}", server.local_addrs()[0]);
        io::stdout().flush()?;
        while to_thread(|| io::stdin().read_line(&mut String::new())).await?? > 0 {
            let metrics = annulus::metrics();
            let report = Report {
                active: server.active_connections() as u64,
                idle: metrics.idle_timeouts,
                too_slow: metrics.send_timeouts,
                refused: metrics.refused_peer_connections,
                gone: metrics.peer_disconnects,
                stalls: metrics.accept_stalls,
            };
            println!("{}", serde_json::to_string(&report)?);
            io::stdout().flush()?;
        }
        Ok(())
    }
}

impl Sub for Report {
    type Output = Self;

    /// What was counted between two looks; what is active, at the later one.
    fn sub(self, earlier: Self) -> Self {
        Self {
            active: self.active,
            idle: self.idle - earlier.idle,
            too_slow: self.too_slow - earlier.too_slow,
            refused: self.refused - earlier.refused,
            gone: self.gone - earlier.gone,
            stalls: self.stalls - earlier.stalls,
        }
    }
}

async fn handle(mut reader: StreamReader, mut writer: StreamWriter) -> io::Result<()> {
    const CHUNK: [u8; 1024] = [b'x'; 1024];
    loop {
        let line = {
            // Given by value it would be in this future twice, for each connection.
            let line = pin!(reader.read_line());
            timeout(REQUEST, line).await
        };
        let Ok(line) = line else { return Ok(()) };
        let line = line?;
        let number = std::str::from_utf8(&line).ok().and_then(|line| line.trim().parse().ok());
        let Some(mut left) = number.map(|bytes: usize| bytes.min(16 << 20)) else { return Ok(()) };
        drop(line);
        while left > 0 {
            let count = left.min(CHUNK.len());
            writer.write(&CHUNK[..count]).await?;
            left -= count;
        }
    }
}
