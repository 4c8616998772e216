//! Compio on io_uring, as in its `examples/net.rs`.

use std::future::Future;
use std::io;
use std::net::{SocketAddrV4, TcpListener};
use std::num::NonZeroUsize;
use std::ops::DerefMut;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_channel::{Receiver, Sender, bounded, unbounded};
use async_lock::{Mutex, Semaphore};
use bytes::Bytes;
use compio::BufResult;
use compio::dispatcher::Dispatcher;
use compio::fs::{File, OpenOptions};
use compio::io::{
    AsyncRead, AsyncReadAt, AsyncWrite, AsyncWriteAt, AsyncWriteAtExt, AsyncWriteExt,
};
use compio::net::TcpStream;

use super::hub::Hub;
use super::{Contender, GREETING, Service, own_buffer, source_block};
use crate::files::{self, Block, Commit, Files, Job, Report, Span};
use crate::server::Calls;
use crate::workloads::crossing::{self, Caller};
use crate::workloads::sync;
use crate::workloads::yield_once;
use crate::workloads::{self, Measured, Primitives, Runtime, Workload};

pub(super) struct Compio;

impl Contender for Compio {
    fn name(&self) -> &'static str {
        "compio"
    }

    fn form(&self) -> &'static str {
        "compio, io_uring driver, owned buffers"
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
            let listener = compio::net::TcpListener::from_std(listener)?;
            loop {
                let (stream, _) = listener.accept().await?;
                match service {
                    Service::Echo => compio::runtime::spawn(echo(stream)).detach(),
                    Service::Sink => compio::runtime::spawn(sink(stream)).detach(),
                    Service::Source => compio::runtime::spawn(source(stream)).detach(),
                    Service::Proxy(upstream) => {
                        compio::runtime::spawn(proxy(stream, upstream)).detach();
                    }
                    Service::FanOut => {
                        compio::runtime::spawn(fan_out(stream, Rc::clone(&hub))).detach();
                    }
                }
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
            let (reads, path, flags) = (job.kind.reads(), job.path.clone(), job.flags());
            Self::run(async move {
                let mut options = OpenOptions::new();
                let options = options.read(true).write(!reads).custom_flags(flags);
                let file = options.open(path).await?;
                let work = |worker| files::work::<Self>(file.clone(), worker);
                let spawn = |worker| compio::runtime::spawn(work(worker));
                let tasks: Vec<_> = workers.into_iter().map(spawn).collect();
                for task in tasks {
                    task.await.expect("the task does not panic")?;
                }
                Ok(())
            })?
        })
    }

    fn has_log(&self) -> bool {
        true
    }

    fn log(&self, job: &Job) -> io::Result<Report> {
        job.measure_log(|log, workers| {
            let path = job.path.clone();
            Self::run(async move {
                let file = OpenOptions::new().read(true).write(true).open(path).await?;
                let committer = compio::runtime::spawn(Arc::clone(&log).commit_all(Disk(file)));
                let append = |worker| compio::runtime::spawn(Arc::clone(&log).append_all(worker));
                let tasks: Vec<_> = workers.into_iter().map(append).collect();
                for task in tasks {
                    task.await.expect("the task does not panic")?;
                }
                log.close();
                committer.await.expect("the task does not panic")
            })?
        })
    }

    fn lacks_work(&self, workload: Workload) -> Option<&'static str> {
        (workload == Workload::CrossBroadcast).then_some("its dispatcher chooses the thread")
    }
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(own_buffer());
    loop {
        let BufResult(received, filled) = stream.read(buffer).await;
        if received? == 0 {
            return Ok(());
        }
        let BufResult(sent, mut returned) = stream.write_all(filled).await;
        sent?;
        returned.clear();
        buffer = returned;
    }
}

async fn sink(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(own_buffer());
    let mut total = 0_u64;
    loop {
        let BufResult(received, mut filled) = stream.read(buffer).await;
        match received? {
            0 => return stream.write_all(total.to_le_bytes()).await.0,
            count => total += count as u64,
        }
        filled.clear();
        buffer = filled;
    }
}

async fn source(mut stream: TcpStream) -> io::Result<()> {
    let mut block = source_block();
    loop {
        let BufResult(sent, returned) = stream.write_all(block).await;
        sent?;
        block = returned;
    }
}

async fn proxy(client: TcpStream, upstream: SocketAddrV4) -> io::Result<()> {
    let upstream = TcpStream::connect(upstream).await?;
    let (from_client, to_client) = client.into_split();
    let (from_upstream, to_upstream) = upstream.into_split();
    let back = compio::runtime::spawn(copy(from_upstream, to_client));
    copy(from_client, to_upstream).await?;
    back.await.expect("the task does not panic")
}

async fn copy(mut from: TcpStream, mut to: TcpStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(own_buffer());
    loop {
        let BufResult(received, filled) = from.read(buffer).await;
        if received? == 0 {
            return to.shutdown().await;
        }
        let BufResult(sent, mut returned) = to.write_all(filled).await;
        sent?;
        returned.clear();
        buffer = returned;
    }
}

async fn fan_out(stream: TcpStream, hub: Rc<Hub<Sender<Bytes>>>) -> io::Result<()> {
    let (sender, messages) = unbounded();
    let place = hub.join(sender);
    let (from, to) = stream.into_split();
    compio::runtime::spawn(deliver(messages, to)).detach();
    let published = publish_from(from, &hub, place).await;
    hub.leave(place);
    published
}

async fn deliver(messages: Receiver<Bytes>, mut to: TcpStream) -> io::Result<()> {
    to.write_all(GREETING).await.0?;
    while let Ok(message) = messages.recv().await {
        to.write_all(message).await.0?;
    }
    Ok(())
}

async fn publish_from(
    mut from: TcpStream,
    hub: &Hub<Sender<Bytes>>,
    place: usize,
) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(own_buffer());
    loop {
        let BufResult(received, mut filled) = from.read(buffer).await;
        if received? == 0 {
            return Ok(());
        }
        let message = Bytes::copy_from_slice(&filled);
        // A member that is about to leave may listen no more.
        hub.publish(place, |member| drop(member.try_send(message.clone())));
        filled.clear();
        buffer = filled;
    }
}

impl Files for Compio {
    type Buffer = Option<Block>;
    type File = File;

    fn buffer(size: usize) -> Self::Buffer {
        Some(Block::new(size))
    }

    async fn read(
        file: &mut File,
        buffer: &mut Self::Buffer,
        block: Span,
        check: impl FnOnce(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let own = buffer.take().expect("it was put back");
        let BufResult(read, own) = file.read_at(own, block.offset).await;
        let own = buffer.insert(own);
        check(&own[..read?])
    }

    async fn write(
        file: &mut File,
        buffer: &mut Self::Buffer,
        block: Span,
        fill: impl FnOnce(&mut [u8]),
    ) -> io::Result<()> {
        let mut own = buffer.take().expect("it was put back");
        fill(&mut own);
        let BufResult(written, own) = file.write_at(own, block.offset).await;
        *buffer = Some(own);
        files::whole(block, written?)
    }

    async fn sync(file: &mut File) -> io::Result<()> {
        file.sync_data().await
    }
}

struct Disk(File);

impl Commit for Disk {
    async fn commit(&mut self, batch: Vec<u8>, offset: u64) -> io::Result<Vec<u8>> {
        let BufResult(written, batch) = self.0.write_all_at(batch, offset).await;
        written?;
        self.0.sync_data().await?;
        Ok(batch)
    }
}

/// A dispatcher of one thread.
fn cross(workload: Workload, operations: u64) -> io::Result<Measured> {
    let one = NonZeroUsize::new(crossing::threads(workload) - 1).expect("there is another");
    let dispatcher = Dispatcher::builder().worker_threads(one).build()?;
    Compio::run(async move {
        let measured = crossing::measure(workload, operations, Dispatched(&dispatcher)).await;
        dispatcher.join().await?;
        Ok(measured)
    })?
}

struct Dispatched<'a>(&'a Dispatcher);

impl Caller for Dispatched<'_> {
    async fn call(&mut self, _thread: usize, times: u64) -> u64 {
        let dispatch = || self.0.dispatch(|| async { crossing::work() }).expect("it is running");
        if times == 1 {
            return dispatch().await.expect("the other thread answers");
        }
        let answers: Vec<_> = (0..times).map(|_| dispatch()).collect();
        let mut sum = 0;
        for answer in answers {
            sum += answer.await.expect("the other thread answers");
        }
        sum
    }

    async fn broadcast(&mut self) -> u64 {
        unreachable!("it lacks this")
    }
}

impl Runtime for Compio {
    fn run<F>(future: F) -> io::Result<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        Ok(compio::runtime::Runtime::new()?.block_on(future))
    }

    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let handle = compio::runtime::spawn(future);
        async { handle.await.expect("the task does not panic") }
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        yield_once()
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> {
        compio::runtime::time::sleep(duration)
    }

    fn spawn_sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
        let handle = compio::runtime::spawn(compio::runtime::time::sleep(duration));
        async { handle.await.expect("the task does not panic") }
    }
}

impl Primitives for Compio {
    type Getter = Receiver<u64>;
    type Lock = Rc<Mutex<u64>>;
    type Putter = Sender<u64>;
    type Semaphore = Rc<Semaphore>;

    fn lock() -> Self::Lock {
        Rc::new(Mutex::new(0))
    }

    fn semaphore(permits: usize) -> Self::Semaphore {
        Rc::new(Semaphore::new(permits))
    }

    fn queue(capacity: usize) -> (Self::Putter, Self::Getter) {
        bounded(capacity)
    }

    async fn locked(lock: &Self::Lock) -> impl DerefMut<Target = u64> {
        lock.lock().await
    }

    async fn acquired(semaphore: &Self::Semaphore) -> impl Sized {
        semaphore.acquire().await
    }

    async fn put(putter: &mut Self::Putter, value: u64) {
        putter.send(value).await.expect("the other end listens");
    }

    async fn get(getter: &mut Self::Getter) -> u64 {
        getter.recv().await.expect("the other end puts")
    }

    sync::starts_tasks_by!(spawn_local);
}

fn spawn_local<F: Future<Output = ()> + 'static>(future: F) -> impl Future<Output = ()> + 'static {
    let handle = compio::runtime::spawn(future);
    async { handle.await.expect("the task does not panic") }
}
