//! hyper on monoio, as in its `examples/hyper_server.rs`: by readiness, which its ring watches.

use std::io;

use hyper::service::service_fn;
use hyper_util::server::conn::auto::Builder;
use monoio::io::IntoPollIo;
use monoio::{IoUringDriver, RuntimeBuilder};
use monoio_compat::hyper::{MonoioExecutor, MonoioIo};

use super::Task;
use super::hyper::answer;

pub(super) fn serve(task: Task<'_>) -> io::Result<()> {
    let (listener, announce) = (task.listener, task.announce);
    RuntimeBuilder::<IoUringDriver>::new().enable_timer().build()?.block_on(async move {
        let listener = monoio::net::TcpListener::from_std(listener)?;
        announce(listener.local_addr()?)?;
        loop {
            let (stream, _) = listener.accept().await?;
            let io = MonoioIo::new(stream.into_poll_io()?);
            drop(monoio::spawn(async move {
                let builder = Builder::new(MonoioExecutor);
                // A connection that fails ends, and its client counts that.
                let _ = builder.serve_connection(io, service_fn(answer)).await;
            }));
        }
    })
}
