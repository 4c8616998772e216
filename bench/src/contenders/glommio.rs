//! Glommio, as in its `examples/echo.rs`: one executor, a detached task a connection.

use std::future::Future;
use std::io;
use std::net::{SocketAddrV4, TcpListener};
use std::ops::DerefMut;
use std::os::fd::{FromRawFd, IntoRawFd};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use futures_util::io::{AsyncReadExt, AsyncWriteExt, copy};
use futures_util::{AsyncRead, AsyncWrite, try_join};
use glommio::channels::local_channel::{LocalReceiver, LocalSender, new_bounded, new_unbounded};
use glommio::channels::shared_channel::{self, ConnectedReceiver, ConnectedSender};
use glommio::io::{BufferedFile, DmaFile, OpenOptions};
use glommio::net::TcpStream;
use glommio::sync::{RwLock, Semaphore};
use glommio::{LocalExecutorBuilder, Placement};

use super::hub::Hub;
use super::{Contender, GREETING, Service, own_buffer, source_block};
use crate::files::{self, Files, Job, Report, Span};
use crate::server::Calls;
use crate::workloads::crossing::{self, Caller};
use crate::workloads::sync;
use crate::workloads::yield_once;
use crate::workloads::{self, Measured, Primitives, Runtime, Workload};

/// Memory that the executor locks for its own buffers. The default of 10 MiB is more than many
/// machines allow, and none of it is used here.
const LOCKED_MEMORY: usize = 1024 * 1024;

pub(super) struct Glommio;

impl Contender for Glommio {
    fn name(&self) -> &'static str {
        "glommio"
    }

    fn form(&self) -> &'static str {
        "glommio, one executor, futures' I/O traits"
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
            // SAFETY: the descriptor is a listening socket's, and given away.
            let listener =
                unsafe { glommio::net::TcpListener::from_raw_fd(listener.into_raw_fd()) };
            loop {
                let stream = listener.accept().await?;
                match service {
                    Service::Echo => glommio::spawn_local(echo(stream)).detach(),
                    Service::Sink => glommio::spawn_local(sink(stream)).detach(),
                    Service::Source => glommio::spawn_local(source(stream)).detach(),
                    Service::Proxy(upstream) => {
                        glommio::spawn_local(proxy(stream, upstream)).detach()
                    }
                    Service::FanOut => {
                        glommio::spawn_local(fan_out(stream, Rc::clone(&hub))).detach()
                    }
                };
            }
        })?
    }

    fn work(&self, workload: Workload, operations: u64) -> io::Result<Measured> {
        if workload.crosses() {
            return cross(workload, operations);
        }
        workloads::run_all::<Self, Self>(workload, operations)
    }

    fn lacks_files(&self, _job: &Job) -> Option<&'static str> {
        None
    }

    fn file(&self, job: &Job) -> io::Result<Report> {
        job.measure(|workers| {
            let (reads, direct, path) = (job.kind.reads(), job.direct, job.path.clone());
            Self::run(async move {
                let mut options = OpenOptions::new();
                options.read(true).write(!reads);
                let file = Rc::new(if direct {
                    File::Direct(options.dma_open(path).await?)
                } else {
                    File::Buffered(options.buffered_open(path).await?)
                });
                let work = |worker| files::work::<Self>(Rc::clone(&file), worker);
                let spawn = |worker| glommio::spawn_local(work(worker));
                let tasks: Vec<_> = workers.into_iter().map(spawn).collect();
                for task in tasks {
                    task.await?;
                }
                match Rc::into_inner(file).expect("the workers have ended") {
                    File::Direct(file) => Ok(file.close().await?),
                    File::Buffered(file) => Ok(file.close().await?),
                }
            })?
        })
    }

    fn lacks_work(&self, _workload: Workload) -> Option<&'static str> {
        None
    }
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; own_buffer()];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..count]).await?;
    }
}

async fn sink(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; own_buffer()];
    let mut total = 0_u64;
    loop {
        match stream.read(&mut buffer).await? {
            0 => return stream.write_all(&total.to_le_bytes()).await,
            count => total += count as u64,
        }
    }
}

async fn source(mut stream: TcpStream) -> io::Result<()> {
    let block = source_block();
    loop {
        stream.write_all(&block).await?;
    }
}

async fn proxy(client: TcpStream, upstream: SocketAddrV4) -> io::Result<()> {
    let upstream = TcpStream::connect(upstream).await?;
    let (from_client, to_client) = client.split();
    let (from_upstream, to_upstream) = upstream.split();
    try_join!(pass(from_client, to_upstream), pass(from_upstream, to_client))?;
    Ok(())
}

async fn pass(from: impl AsyncRead, mut to: impl AsyncWrite + Unpin) -> io::Result<()> {
    copy(from, &mut to).await?;
    to.close().await
}

async fn fan_out(stream: TcpStream, hub: Rc<Hub<LocalSender<Bytes>>>) -> io::Result<()> {
    let (sender, messages) = new_unbounded();
    let place = hub.join(sender);
    let (from, to) = stream.split();
    glommio::spawn_local(deliver(messages, to)).detach();
    let published = publish_from(from, &hub, place).await;
    hub.leave(place);
    published
}

async fn deliver(
    messages: LocalReceiver<Bytes>,
    mut to: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    to.write_all(&GREETING).await?;
    while let Some(message) = messages.recv().await {
        to.write_all(&message).await?;
    }
    Ok(())
}

async fn publish_from(
    mut from: impl AsyncRead + Unpin,
    hub: &Hub<LocalSender<Bytes>>,
    place: usize,
) -> io::Result<()> {
    let mut buffer = vec![0; own_buffer()];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        let message = Bytes::copy_from_slice(&buffer[..count]);
        // A member that is about to leave may listen no more.
        hub.publish(place, |member| drop(member.try_send(message.clone())));
    }
}

/// The two kinds of files have nothing in common.
pub(super) enum File {
    Direct(DmaFile),
    Buffered(BufferedFile),
}

/// A read makes its own buffer, and a write takes one.
impl Files for Glommio {
    type Buffer = ();
    type File = Rc<File>;

    fn buffer(_size: usize) {}

    async fn read(
        file: &mut Rc<File>,
        (): &mut (),
        block: Span,
        check: impl FnOnce(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        match &**file {
            File::Direct(file) => check(&file.read_at_aligned(block.offset, block.size).await?),
            File::Buffered(file) => check(&file.read_at(block.offset, block.size).await?),
        }
    }

    async fn write(
        file: &mut Rc<File>,
        (): &mut (),
        block: Span,
        fill: impl FnOnce(&mut [u8]),
    ) -> io::Result<()> {
        let written = match &**file {
            File::Direct(file) => {
                let mut buffer = file.alloc_dma_buffer(block.size);
                fill(buffer.as_bytes_mut());
                file.write_at(buffer, block.offset).await?
            }
            File::Buffered(file) => {
                let mut buffer = vec![0; block.size];
                fill(&mut buffer);
                file.write_at(buffer, block.offset).await?
            }
        };
        files::whole(block, written)
    }

    async fn sync(file: &mut Rc<File>) -> io::Result<()> {
        match &**file {
            File::Direct(file) => Ok(file.fdatasync().await?),
            File::Buffered(file) => Ok(file.fdatasync().await?),
        }
    }
}

/// Executors with a pair of shared channels to each other thread: closures go out through one, and
/// their answers come back, in order, through the other.
fn cross(workload: Workload, operations: u64) -> io::Result<Measured> {
    let executor = || LocalExecutorBuilder::new(Placement::Unbound).io_memory(LOCKED_MEMORY);
    let mut ends = Vec::new();
    let mut threads = Vec::new();
    for _ in 1..crossing::threads(workload) {
        let (queue, calls) = shared_channel::new_bounded::<Call>(1024);
        let (answers, answered) = shared_channel::new_bounded::<u64>(1024);
        ends.push((queue, answered));
        threads.push(thread::spawn(move || {
            let executor = executor().make().expect("an executor starts here");
            executor.run(async move {
                let (calls, answers) = (calls.connect().await, answers.connect().await);
                while let Some(call) = calls.recv().await {
                    answers.send(call()).await.expect("the caller waits");
                }
            });
        }));
    }
    let measured = executor().make()?.run(async move {
        let mut others = Vec::new();
        for (queue, answered) in ends {
            others.push((queue.connect().await, answered.connect().await));
        }
        crossing::measure(workload, operations, Channels(others)).await
    });
    for thread in threads {
        thread.join().expect("no call panics");
    }
    Ok(measured)
}

type Call = Box<dyn FnOnce() -> u64 + Send>;

/// To and from the other threads.
struct Channels(Vec<(ConnectedSender<Call>, ConnectedReceiver<u64>)>);

impl Caller for Channels {
    async fn call(&mut self, thread: usize, times: u64) -> u64 {
        let (queue, answered) = &self.0[thread - 1];
        for _ in 0..times {
            queue.send(Box::new(crossing::work)).await.expect("the other thread listens");
        }
        let mut sum = 0;
        for _ in 0..times {
            sum += answered.recv().await.expect("the other thread answers");
        }
        sum
    }

    async fn broadcast(&mut self) -> u64 {
        for (queue, _) in &self.0 {
            queue.send(Box::new(crossing::work)).await.expect("the other thread listens");
        }
        let mut sum = 0;
        for (_, answered) in &self.0 {
            sum += answered.recv().await.expect("the other thread answers");
        }
        sum
    }
}

impl Runtime for Glommio {
    fn run<F>(future: F) -> io::Result<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let builder = LocalExecutorBuilder::new(Placement::Unbound).io_memory(LOCKED_MEMORY);
        Ok(builder.make()?.run(future))
    }

    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        glommio::spawn_local(future)
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        yield_once()
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> {
        glommio::timer::sleep(duration)
    }

    fn spawn_sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
        glommio::spawn_local(glommio::timer::sleep(duration))
    }
}

impl Primitives for Glommio {
    type Getter = LocalReceiver<u64>;
    type Lock = Rc<RwLock<u64>>;
    type Putter = LocalSender<u64>;
    type Semaphore = Rc<Semaphore>;

    fn lock() -> Self::Lock {
        Rc::new(RwLock::new(0))
    }

    fn semaphore(permits: usize) -> Self::Semaphore {
        Rc::new(Semaphore::new(permits as u64))
    }

    fn queue(capacity: usize) -> (Self::Putter, Self::Getter) {
        new_bounded(capacity)
    }

    async fn locked(lock: &Self::Lock) -> impl DerefMut<Target = u64> {
        lock.write().await.expect("never closed")
    }

    async fn acquired(semaphore: &Self::Semaphore) -> impl Sized {
        semaphore.acquire_permit(1).await.expect("never closed")
    }

    async fn put(putter: &mut Self::Putter, value: u64) {
        putter.send(value).await.expect("the other end listens");
    }

    async fn get(getter: &mut Self::Getter) -> u64 {
        getter.recv().await.expect("the other end puts")
    }

    sync::starts_tasks_by!(glommio::spawn_local);
}
