//! Redis itself, on its one thread: what a store with its protocol is compared with.

use std::io;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use super::{Announce, Contender, Memory, Purpose, Scaling, Service};
use crate::server::Calls;

pub(super) struct Redis;

impl Contender for Redis {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn form(&self) -> &'static str {
        "redis-server, without persistence"
    }

    fn memory(&self) -> Memory {
        Memory::Shared("a buffer that its connections share")
    }

    fn serves(&self, _service: Service) -> bool {
        false
    }

    fn serve(&self, _: Service, _: TcpListener, _: &'static Calls) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "it is a store"))
    }

    fn has_store(&self) -> bool {
        true
    }

    fn purpose(&self) -> Purpose {
        Purpose::Store
    }

    fn scaling(&self) -> Scaling {
        Scaling::None("its commands run on one thread")
    }

    fn serve_store(
        &self,
        listener: TcpListener,
        _cores: &[usize],
        announce: Announce,
    ) -> io::Result<()> {
        // It takes no listening socket; the load tries again until it listens itself.
        let address = listener.local_addr()?;
        drop(listener);
        announce(address)?;
        // This process becomes the server; it returns only if there is none.
        let error = Command::new("redis-server")
            .args(["--port", &address.port().to_string(), "--bind", "127.0.0.1", "--save", ""])
            .args(["--appendonly", "no", "--daemonize", "no", "--loglevel", "warning"])
            .args(["--tcp-backlog", "4096", "--databases", "1", "--dir", "/"])
            .stdout(Stdio::null())
            .exec();
        Err(io::Error::new(error.kind(), format!("redis-server: {error}")))
    }
}
