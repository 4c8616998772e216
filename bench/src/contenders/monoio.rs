//! Monoio on io_uring, as in the echo server of its README.

use std::future::Future;
use std::io;
use std::net::{SocketAddrV4, TcpListener};
use std::ops::DerefMut;
use std::rc::Rc;
use std::time::Duration;

use async_lock::Mutex;
use bytes::Bytes;
use local_sync::mpsc::bounded;
use local_sync::mpsc::unbounded::{Rx, Tx, channel};
use local_sync::semaphore::Semaphore;
use monoio::fs::File;
use monoio::io::{
    AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt, OwnedReadHalf, OwnedWriteHalf, Splitable,
};
use monoio::net::TcpStream;
use monoio::{IoUringDriver, RuntimeBuilder};

use super::hub::Hub;
use super::{Contender, GREETING, NO_CALLS, Service, own_buffer, source_block};
use crate::files::{self, Block, Files, Job, Report, Span};
use crate::server::Calls;
use crate::workloads::sync;
use crate::workloads::yield_once;
use crate::workloads::{self, Measured, Primitives, Runtime, Workload};

pub(super) struct Monoio;

impl Contender for Monoio {
    fn name(&self) -> &'static str {
        "monoio"
    }

    fn form(&self) -> &'static str {
        "monoio, io_uring driver, owned buffers"
    }

    fn serves(&self, _service: Service) -> bool {
        true
    }

    fn serve(
        &self,
        service: Service,
        listener: TcpListener,
        _calls: &'static Calls,
    ) -> io::Result<()> {
        Self::run(async move {
            let hub = Rc::new(Hub::new());
            let listener = monoio::net::TcpListener::from_std(listener)?;
            loop {
                let (stream, _) = listener.accept().await?;
                match service {
                    Service::Echo => drop(monoio::spawn(echo(stream))),
                    Service::Sink => drop(monoio::spawn(sink(stream))),
                    Service::Source => drop(monoio::spawn(source(stream))),
                    Service::Proxy(upstream) => drop(monoio::spawn(proxy(stream, upstream))),
                    Service::FanOut => drop(monoio::spawn(fan_out(stream, Rc::clone(&hub)))),
                }
            }
        })?
    }

    fn work(&self, workload: Workload, operations: u64) -> io::Result<Measured> {
        workloads::run_all::<Self, Self>(workload, operations)
    }

    fn lacks_files(&self, _job: &Job) -> Option<&'static str> {
        None
    }

    fn file(&self, job: &Job) -> io::Result<Report> {
        job.measure(|workers| {
            let file = job.open()?;
            Self::run(async move {
                let file = Rc::new(File::from_std(file)?);
                let work = |worker| files::work::<Self>(Rc::clone(&file), worker);
                let tasks: Vec<_> =
                    workers.into_iter().map(|worker| monoio::spawn(work(worker))).collect();
                for task in tasks {
                    task.await?;
                }
                Ok(())
            })?
        })
    }

    fn lacks_work(&self, workload: Workload) -> Option<&'static str> {
        workload.crosses().then_some(NO_CALLS)
    }
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(own_buffer());
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
    let mut buffer = Vec::with_capacity(own_buffer());
    let mut total = 0_u64;
    loop {
        let (received, filled) = stream.read(buffer).await;
        match received? {
            0 => return stream.write_all(total.to_le_bytes().to_vec()).await.0.map(drop),
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
    let back = monoio::spawn(copy(from_upstream, to_client));
    copy(from_client, to_upstream).await?;
    back.await
}

async fn copy(
    mut from: OwnedReadHalf<TcpStream>,
    mut to: OwnedWriteHalf<TcpStream>,
) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(own_buffer());
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

async fn fan_out(stream: TcpStream, hub: Rc<Hub<Tx<Bytes>>>) -> io::Result<()> {
    let (sender, messages) = channel();
    let place = hub.join(sender);
    let (from, to) = stream.into_split();
    monoio::spawn(deliver(messages, to));
    let published = publish_from(from, &hub, place).await;
    hub.leave(place);
    published
}

async fn deliver(mut messages: Rx<Bytes>, mut to: OwnedWriteHalf<TcpStream>) -> io::Result<()> {
    to.write_all(Bytes::from_static(&GREETING)).await.0?;
    while let Some(message) = messages.recv().await {
        to.write_all(message).await.0?;
    }
    Ok(())
}

async fn publish_from(
    mut from: OwnedReadHalf<TcpStream>,
    hub: &Hub<Tx<Bytes>>,
    place: usize,
) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(own_buffer());
    loop {
        let (received, filled) = from.read(buffer).await;
        if received? == 0 {
            return Ok(());
        }
        let message = Bytes::copy_from_slice(&filled);
        // A member that is about to leave may listen no more.
        hub.publish(place, |member| {
            let _ = member.send(message.clone());
        });
        buffer = filled;
    }
}

impl Files for Monoio {
    type Buffer = Option<Block>;
    type File = Rc<File>;

    fn buffer(size: usize) -> Self::Buffer {
        Some(Block::new(size))
    }

    async fn read(
        file: &mut Rc<File>,
        buffer: &mut Self::Buffer,
        block: Span,
        check: impl FnOnce(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let own = buffer.take().expect("it was put back");
        let (read, own) = file.read_at(own, block.offset).await;
        let own = buffer.insert(own);
        check(&own[..read?])
    }

    async fn write(
        file: &mut Rc<File>,
        buffer: &mut Self::Buffer,
        block: Span,
        fill: impl FnOnce(&mut [u8]),
    ) -> io::Result<()> {
        let mut own = buffer.take().expect("it was put back");
        fill(&mut own);
        let (written, own) = file.write_at(own, block.offset).await;
        *buffer = Some(own);
        files::whole(block, written?)
    }

    async fn sync(file: &mut Rc<File>) -> io::Result<()> {
        file.sync_data().await
    }
}

impl Runtime for Monoio {
    fn run<F>(future: F) -> io::Result<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        Ok(RuntimeBuilder::<IoUringDriver>::new().enable_timer().build()?.block_on(future))
    }

    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        monoio::spawn(future)
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        yield_once()
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> {
        monoio::time::sleep(duration)
    }

    fn spawn_sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
        monoio::spawn(monoio::time::sleep(duration))
    }
}

impl Primitives for Monoio {
    type Getter = bounded::Rx<u64>;
    type Lock = Rc<Mutex<u64>>;
    type Putter = bounded::Tx<u64>;
    type Semaphore = Rc<Semaphore>;

    fn lock() -> Self::Lock {
        Rc::new(Mutex::new(0))
    }

    fn semaphore(permits: usize) -> Self::Semaphore {
        Rc::new(Semaphore::new(permits))
    }

    fn queue(capacity: usize) -> (Self::Putter, Self::Getter) {
        bounded::channel(capacity)
    }

    async fn locked(lock: &Self::Lock) -> impl DerefMut<Target = u64> {
        lock.lock().await
    }

    async fn acquired(semaphore: &Self::Semaphore) -> impl Sized {
        semaphore.acquire().await.expect("never closed")
    }

    async fn put(putter: &mut Self::Putter, value: u64) {
        putter.send(value).await.expect("the other end listens");
    }

    async fn get(getter: &mut Self::Getter) -> u64 {
        getter.recv().await.expect("the other end puts")
    }

    sync::starts_tasks_by!(monoio::spawn);
}
