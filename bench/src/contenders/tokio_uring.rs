//! Tokio-uring, as in its `examples/tcp_listener.rs`.

use std::future::Future;
use std::io;
use std::net::{Shutdown, SocketAddr, SocketAddrV4, TcpListener};
use std::ops::DerefMut;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Mutex, Semaphore};
use tokio_uring::buf::BoundedBuf;
use tokio_uring::fs::File;
use tokio_uring::net::TcpStream;

use super::hub::Hub;
use super::{Contender, GREETING, NO_CALLS, Service, own_buffer, source_block};
use crate::files::{self, Block, Files, Job, Report, Span};
use crate::server::Calls;
use crate::workloads::sync;
use crate::workloads::{self, Measured, Primitives, Runtime, Workload};

pub(super) struct TokioUring;

impl Contender for TokioUring {
    fn name(&self) -> &'static str {
        "tokio-uring"
    }

    fn form(&self) -> &'static str {
        "tokio-uring, owned buffers"
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
        tokio_uring::start(async move {
            let hub = Rc::new(Hub::new());
            let listener = tokio_uring::net::TcpListener::from_std(listener);
            loop {
                let (stream, _) = listener.accept().await?;
                match service {
                    Service::Echo => drop(tokio_uring::spawn(echo(stream))),
                    Service::Sink => drop(tokio_uring::spawn(sink(stream))),
                    Service::Source => drop(tokio_uring::spawn(source(stream))),
                    Service::Proxy(upstream) => drop(tokio_uring::spawn(proxy(stream, upstream))),
                    Service::FanOut => drop(tokio_uring::spawn(fan_out(stream, Rc::clone(&hub)))),
                }
            }
        })
    }

    fn work(&self, workload: Workload, operations: u64) -> io::Result<Measured> {
        workloads::run_all::<Self, Self>(workload, operations)
    }

    fn lacks_work(&self, workload: Workload) -> Option<&'static str> {
        workload.crosses().then_some(NO_CALLS)
    }

    fn lacks_files(&self, _job: &Job) -> Option<&'static str> {
        None
    }

    fn file(&self, job: &Job) -> io::Result<Report> {
        job.measure(|workers| {
            let file = job.open()?;
            tokio_uring::start(async move {
                let file = Rc::new(File::from_std(file));
                let work = |worker| files::work::<Self>(Rc::clone(&file), worker);
                let tasks: Vec<_> =
                    workers.into_iter().map(|worker| tokio_uring::spawn(work(worker))).collect();
                for task in tasks {
                    task.await.expect("the task does not panic")?;
                }
                Ok(())
            })
        })
    }
}

impl Files for TokioUring {
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
        let (written, own) = file.write_at(own, block.offset).submit().await;
        *buffer = Some(own);
        files::whole(block, written?)
    }

    async fn sync(file: &mut Rc<File>) -> io::Result<()> {
        file.sync_data().await
    }
}

async fn echo(stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; own_buffer()];
    loop {
        let (received, filled) = stream.read(buffer).await;
        let count = received?;
        if count == 0 {
            return Ok(());
        }
        let (sent, slice) = stream.write_all(filled.slice(..count)).await;
        sent?;
        buffer = slice.into_inner();
    }
}

async fn sink(stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; own_buffer()];
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

async fn source(stream: TcpStream) -> io::Result<()> {
    let mut block = source_block();
    loop {
        let (sent, returned) = stream.write_all(block).await;
        sent?;
        block = returned;
    }
}

async fn proxy(client: TcpStream, upstream: SocketAddrV4) -> io::Result<()> {
    let upstream = Rc::new(TcpStream::connect(SocketAddr::V4(upstream)).await?);
    let client = Rc::new(client);
    let back = tokio_uring::spawn(copy(Rc::clone(&upstream), Rc::clone(&client)));
    copy(client, upstream).await?;
    back.await?
}

async fn copy(from: Rc<TcpStream>, to: Rc<TcpStream>) -> io::Result<()> {
    let mut buffer = vec![0; own_buffer()];
    loop {
        let (received, filled) = from.read(buffer).await;
        let count = received?;
        if count == 0 {
            return to.shutdown(Shutdown::Write);
        }
        let (sent, slice) = to.write_all(filled.slice(..count)).await;
        sent?;
        buffer = slice.into_inner();
    }
}

async fn fan_out(stream: TcpStream, hub: Rc<Hub<UnboundedSender<Bytes>>>) -> io::Result<()> {
    let (sender, messages) = unbounded_channel();
    let place = hub.join(sender);
    let stream = Rc::new(stream);
    tokio_uring::spawn(deliver(messages, Rc::clone(&stream)));
    let published = publish_from(&stream, &hub, place).await;
    hub.leave(place);
    published
}

async fn deliver(mut messages: UnboundedReceiver<Bytes>, to: Rc<TcpStream>) -> io::Result<()> {
    to.write_all(Bytes::from_static(&GREETING)).await.0?;
    while let Some(message) = messages.recv().await {
        to.write_all(message).await.0?;
    }
    Ok(())
}

async fn publish_from(
    from: &TcpStream,
    hub: &Hub<UnboundedSender<Bytes>>,
    place: usize,
) -> io::Result<()> {
    let mut buffer = vec![0; own_buffer()];
    loop {
        let (received, filled) = from.read(buffer).await;
        let count = received?;
        if count == 0 {
            return Ok(());
        }
        let message = Bytes::copy_from_slice(&filled[..count]);
        // A member that is about to leave may listen no more.
        hub.publish(place, |member| drop(member.send(message.clone())));
        buffer = filled;
    }
}

impl Runtime for TokioUring {
    fn run<F>(future: F) -> io::Result<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        Ok(tokio_uring::start(future))
    }

    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        spawn_local(future)
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        tokio::task::yield_now()
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> {
        tokio::time::sleep(duration)
    }

    fn spawn_sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
        spawn_local(tokio::time::sleep(duration))
    }
}

fn spawn_local<F>(future: F) -> impl Future<Output = F::Output> + 'static
where
    F: Future + 'static,
    F::Output: 'static,
{
    let handle = tokio_uring::spawn(future);
    async { handle.await.expect("the task does not panic") }
}

impl Primitives for TokioUring {
    type Getter = mpsc::Receiver<u64>;
    type Lock = Rc<Mutex<u64>>;
    type Putter = mpsc::Sender<u64>;
    type Semaphore = Rc<Semaphore>;

    fn lock() -> Self::Lock {
        Rc::new(Mutex::new(0))
    }

    fn semaphore(permits: usize) -> Self::Semaphore {
        Rc::new(Semaphore::new(permits))
    }

    fn queue(capacity: usize) -> (Self::Putter, Self::Getter) {
        mpsc::channel(capacity)
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

    sync::starts_tasks_by!(spawn_local);
}
