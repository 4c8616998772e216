//! Annulus, with owned buffers: a task a connection, as in its `examples/echo.rs`.

use std::future::Future;
use std::io;
use std::net::{SocketAddrV4, TcpListener};
use std::rc::Rc;
use std::time::Duration;

use annulus::net::{OwnedReadHalf, OwnedWriteHalf, TcpStream};
use async_channel::{Receiver, Sender, unbounded};
use bytes::Bytes;
use futures_util::future::join_all;

use super::hub::Hub;
use super::{BUFFER, Contender, GREETING, Service, source_block};
use crate::files::Job;
use crate::server::Calls;
use crate::workloads::{self, Measured, Runtime, Workload};

/// How often the count of system calls is published.
const PUBLISHING: Duration = Duration::from_millis(10);

pub(super) struct Annulus;

impl Contender for Annulus {
    fn name(&self) -> &'static str {
        "annulus"
    }

    fn form(&self) -> &'static str {
        "this library, owned buffers, a task a connection"
    }

    fn serves(&self, _service: Service) -> bool {
        true
    }

    fn serve(
        &self,
        service: Service,
        listener: TcpListener,
        calls: &'static Calls,
    ) -> io::Result<()> {
        annulus::run(async move {
            annulus::spawn(publish(calls));
            let hub = Rc::new(Hub::new());
            let mut listener = annulus::net::TcpListener::from_std(listener);
            loop {
                let (stream, _) = listener.accept().await?;
                match service {
                    Service::Echo => drop(annulus::spawn(echo(stream))),
                    Service::Sink => drop(annulus::spawn(sink(stream))),
                    Service::Source => drop(annulus::spawn(source(stream))),
                    Service::Proxy(upstream) => drop(annulus::spawn(proxy(stream, upstream))),
                    Service::FanOut => drop(annulus::spawn(fan_out(stream, Rc::clone(&hub)))),
                }
            }
        })?
    }

    fn work(&self, workload: Workload, operations: u64) -> io::Result<Measured> {
        workloads::run::<Self>(workload, operations)
    }

    fn lacks_files(&self, _job: &Job) -> Option<&'static str> {
        Some("the library has no files yet")
    }

    fn lacks_work(&self, workload: Workload) -> Option<&'static str> {
        workload.needs_primitives().then_some("the library has no locks, semaphores and queues yet")
    }
}

/// The runtime knows how often it entered the kernel.
async fn publish(calls: &Calls) {
    loop {
        let metrics = annulus::metrics();
        calls.publish(metrics.enters + metrics.direct);
        annulus::time::sleep(PUBLISHING).await;
    }
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(BUFFER);
    loop {
        let (received, filled) = stream.read(buffer).await;
        if received? == 0 {
            return Ok(());
        }
        let (sent, returned) = stream.write_all(filled).await;
        sent?;
        buffer = returned;
    }
}

async fn sink(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(BUFFER);
    let mut total = 0_u64;
    loop {
        let (received, filled) = stream.read(buffer).await;
        match received? {
            0 => return stream.write_all(total.to_le_bytes().to_vec()).await.0,
            count => total += count as u64,
        }
        buffer = filled;
    }
}

async fn source(mut stream: TcpStream) -> io::Result<()> {
    let mut block = source_block();
    loop {
        let (sent, returned) = stream.write_all(block).await;
        sent?;
        block = returned;
    }
}

async fn proxy(client: TcpStream, upstream: SocketAddrV4) -> io::Result<()> {
    let upstream = TcpStream::connect(upstream).await?;
    let (from_client, to_client) = client.into_split();
    let (from_upstream, to_upstream) = upstream.into_split();
    let back = annulus::spawn(copy(from_upstream, to_client));
    copy(from_client, to_upstream).await?;
    back.await?
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(BUFFER);
    loop {
        let (received, filled) = from.read(buffer).await;
        if received? == 0 {
            return to.shutdown().await;
        }
        let (sent, returned) = to.write_all(filled).await;
        sent?;
        buffer = returned;
    }
}

async fn fan_out(stream: TcpStream, hub: Rc<Hub<Sender<Bytes>>>) -> io::Result<()> {
    let (sender, messages) = unbounded();
    let place = hub.join(sender);
    let (from, to) = stream.into_split();
    annulus::spawn(deliver(messages, to));
    let published = publish_from(from, &hub, place).await;
    hub.leave(place);
    published
}

async fn deliver(messages: Receiver<Bytes>, mut to: OwnedWriteHalf) -> io::Result<()> {
    to.write_all(Bytes::from_static(&GREETING)).await.0?;
    while let Ok(message) = messages.recv().await {
        to.write_all(message).await.0?;
    }
    Ok(())
}

async fn publish_from(
    mut from: OwnedReadHalf,
    hub: &Hub<Sender<Bytes>>,
    place: usize,
) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(BUFFER);
    loop {
        let (received, filled) = from.read(buffer).await;
        if received? == 0 {
            return Ok(());
        }
        let message = Bytes::copy_from_slice(&filled);
        // A member that is about to leave may listen no more.
        hub.publish(place, |member| drop(member.try_send(message.clone())));
        buffer = filled;
    }
}

impl Runtime for Annulus {
    fn run<F>(future: F) -> io::Result<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        Ok(annulus::run(future)?)
    }

    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let handle = annulus::spawn(future);
        async { handle.await.expect("the task does not panic") }
    }

    // To become the library's own gather.
    fn gather<F>(futures: Vec<F>) -> impl Future<Output = Vec<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        join_all(futures)
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        annulus::yield_now()
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> {
        annulus::time::sleep(duration)
    }

    fn spawn_sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
        let handle = annulus::spawn(annulus::time::sleep(duration));
        async { handle.await.expect("the task does not panic") }
    }
}
