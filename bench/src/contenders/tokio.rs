//! Tokio, in its two flavours, as in its `examples/echo-tcp.rs` and `examples/proxy.rs`.

mod files;

use std::future::Future;
use std::io;
use std::net::{SocketAddrV4, TcpListener};
use std::ops::DerefMut;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::runtime::Builder;
use tokio::sync::{Mutex, Semaphore, broadcast, mpsc, oneshot};
use tokio::task::{JoinSet, LocalSet};

use super::{
    Announce, Contender, GREETING, NOT_ALIGNED, Scaling, Service, own_buffer, source_block,
};
use crate::files::{Job, Report};
use crate::kv;
use crate::server::Calls;
use crate::workloads::crossing::{self, Caller};
use crate::workloads::sync;
use crate::workloads::{self, Measured, Primitives, Runtime, Workload};

pub(super) fn forms() -> [Box<dyn Contender>; 2] {
    [Box::new(CurrentThread), Box::new(MultiThread)]
}

struct CurrentThread;

impl Contender for CurrentThread {
    fn name(&self) -> &'static str {
        "tokio"
    }

    fn form(&self) -> &'static str {
        "tokio, current_thread"
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
        Self::builder().build()?.block_on(serve(service, listener))
    }

    fn has_store(&self) -> bool {
        true
    }

    fn serve_store(
        &self,
        listener: TcpListener,
        _cores: &[usize],
        announce: Announce,
    ) -> io::Result<()> {
        announce(listener.local_addr()?)?;
        Self::builder().build()?.block_on(LocalSet::new().run_until(kv::tokio::serve(listener)))
    }

    fn work(&self, workload: Workload, operations: u64) -> io::Result<Measured> {
        if workload.crosses() {
            return cross(workload, operations);
        }
        workloads::run_all::<Self, TokioSync>(workload, operations)
    }

    fn lacks_files(&self, job: &Job) -> Option<&'static str> {
        job.direct.then_some(NOT_ALIGNED)
    }

    fn file(&self, job: &Job) -> io::Result<Report> {
        let runtime = Self::builder().build()?;
        job.measure(|workers| runtime.block_on(files::work(job, workers)))
    }

    fn has_log(&self) -> bool {
        true
    }

    fn log(&self, job: &Job) -> io::Result<Report> {
        let runtime = Self::builder().build()?;
        job.measure_log(|log, workers| runtime.block_on(files::append(job, log, workers)))
    }

    fn lacks_work(&self, _workload: Workload) -> Option<&'static str> {
        None
    }
}

struct MultiThread;

impl Contender for MultiThread {
    fn name(&self) -> &'static str {
        "tokio-multi"
    }

    fn form(&self) -> &'static str {
        "tokio, multi_thread, a worker for each core it is given"
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
        self.serve_with_workers(service, listener, 1)
    }

    fn scaling(&self) -> Scaling {
        Scaling::Workers
    }

    fn serve_with_workers(
        &self,
        service: Service,
        listener: TcpListener,
        workers: usize,
    ) -> io::Result<()> {
        // The future of `block_on` does not run on a worker: as `#[tokio::main]` users are told to,
        // the accepting goes to one.
        let runtime = Self::builder().worker_threads(workers).build()?;
        runtime.block_on(async { tokio::spawn(serve(service, listener)).await? })
    }

    fn work(&self, workload: Workload, operations: u64) -> io::Result<Measured> {
        if workload.crosses() {
            return spawn_across(workload, operations);
        }
        workloads::run_all::<Self, TokioSync>(workload, operations)
    }

    fn lacks_files(&self, job: &Job) -> Option<&'static str> {
        job.direct.then_some(NOT_ALIGNED)
    }

    fn file(&self, job: &Job) -> io::Result<Report> {
        let runtime = Self::builder().build()?;
        job.measure(|workers| runtime.block_on(files::work(job, workers)))
    }

    fn has_log(&self) -> bool {
        true
    }

    fn log(&self, job: &Job) -> io::Result<Report> {
        let runtime = Self::builder().build()?;
        job.measure_log(|log, workers| runtime.block_on(files::append(job, log, workers)))
    }

    fn lacks_work(&self, workload: Workload) -> Option<&'static str> {
        (workload == Workload::CrossBroadcast).then_some("its tasks cannot be sent to a thread")
    }
}

/// Threads with a runtime each, called through a queue of closures and answering through oneshots:
/// what users write who have no work stealing.
fn cross(workload: Workload, operations: u64) -> io::Result<Measured> {
    let mut queues = Vec::new();
    let mut threads = Vec::new();
    for _ in 1..crossing::threads(workload) {
        let (queue, mut calls) = mpsc::channel::<Call>(1024);
        let runtime = CurrentThread::builder().build()?;
        queues.push(queue);
        threads.push(thread::spawn(move || {
            runtime.block_on(async {
                while let Some(call) = calls.recv().await {
                    call();
                }
            });
        }));
    }
    let runtime = CurrentThread::builder().build()?;
    let measured = runtime.block_on(crossing::measure(workload, operations, Queues(queues)));
    for thread in threads {
        thread.join().expect("no call panics");
    }
    Ok(measured)
}

type Call = Box<dyn FnOnce() + Send>;

/// Of the other threads.
struct Queues(Vec<mpsc::Sender<Call>>);

impl Queues {
    async fn call_once(&self, thread: usize) -> u64 {
        let (answer, answered) = oneshot::channel();
        let call = Box::new(move || answer.send(crossing::work()).expect("the caller waits"));
        let sent = self.0[thread - 1].send(call).await;
        assert!(sent.is_ok(), "the other thread listens");
        answered.await.expect("the other thread answers")
    }
}

impl Caller for Queues {
    async fn call(&mut self, thread: usize, times: u64) -> u64 {
        if times == 1 {
            return self.call_once(thread).await;
        }
        join_all((0..times).map(|_| self.call_once(thread))).await.into_iter().sum()
    }

    async fn broadcast(&mut self) -> u64 {
        join_all((1..=self.0.len()).map(|thread| self.call_once(thread))).await.into_iter().sum()
    }
}

/// A pool of workers, to which tasks are spawned: which of them runs a task is not said, and it may
/// be the one that spawned it.
fn spawn_across(workload: Workload, operations: u64) -> io::Result<Measured> {
    let runtime = MultiThread::builder().worker_threads(crossing::threads(workload)).build()?;
    // The future of `block_on` runs on no worker, so that each task crosses threads.
    Ok(runtime.block_on(crossing::measure(workload, operations, Pool)))
}

struct Pool;

impl Caller for Pool {
    async fn call(&mut self, _thread: usize, times: u64) -> u64 {
        if times == 1 {
            return spawn(async { crossing::work() }).await;
        }
        let tasks: Vec<_> = (0..times).map(|_| spawn(async { crossing::work() })).collect();
        let mut sum = 0;
        for task in tasks {
            sum += task.await;
        }
        sum
    }

    async fn broadcast(&mut self) -> u64 {
        unreachable!("it lacks this")
    }
}

async fn serve(service: Service, listener: TcpListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let (messages, _) = broadcast::channel(BACKLOG);
    for place in 0.. {
        let (stream, _) = listener.accept().await?;
        match service {
            Service::Echo => drop(tokio::spawn(echo(stream))),
            Service::Sink => drop(tokio::spawn(sink(stream))),
            Service::Source => drop(tokio::spawn(source(stream))),
            Service::Proxy(upstream) => drop(tokio::spawn(proxy(stream, upstream))),
            Service::FanOut => drop(tokio::spawn(fan_out(stream, messages.clone(), place))),
        }
    }
    unreachable!("there are fewer connections than numbers")
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

async fn proxy(mut client: TcpStream, upstream: SocketAddrV4) -> io::Result<()> {
    let mut upstream = TcpStream::connect(upstream).await?;
    copy_bidirectional(&mut client, &mut upstream).await?;
    Ok(())
}

/// What is published, and by whom.
type Message = (u64, Bytes);

/// How many messages may wait for the slowest member of a fan-out.
const BACKLOG: usize = 1024;

async fn fan_out(
    stream: TcpStream,
    messages: broadcast::Sender<Message>,
    place: u64,
) -> io::Result<()> {
    let (from, to) = stream.into_split();
    tokio::spawn(deliver(messages.subscribe(), to, place));
    publish_from(from, messages, place).await
}

async fn deliver(
    mut messages: broadcast::Receiver<Message>,
    mut to: OwnedWriteHalf,
    place: u64,
) -> io::Result<()> {
    to.write_all(&GREETING).await?;
    while let Ok((from, message)) = messages.recv().await {
        if from != place {
            to.write_all(&message).await?;
        }
    }
    Ok(())
}

async fn publish_from(
    mut from: OwnedReadHalf,
    messages: broadcast::Sender<Message>,
    place: u64,
) -> io::Result<()> {
    let mut buffer = vec![0; own_buffer()];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        // Its own receiver listens at least.
        let _ = messages.send((place, Bytes::copy_from_slice(&buffer[..count])));
    }
}

/// The two flavours differ only in their builder.
trait Flavour: 'static {
    fn builder() -> Builder;
}

impl Flavour for CurrentThread {
    fn builder() -> Builder {
        let mut builder = Builder::new_current_thread();
        builder.enable_all();
        builder
    }
}

impl Flavour for MultiThread {
    fn builder() -> Builder {
        // The number of workers follows the cores that the process may use.
        let mut builder = Builder::new_multi_thread();
        builder.enable_all();
        builder
    }
}

impl<T: Flavour> Runtime for T {
    fn run<F>(future: F) -> io::Result<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        Ok(T::builder().build()?.block_on(future))
    }

    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        spawn(future)
    }

    fn gather<F>(futures: Vec<F>) -> impl Future<Output = Vec<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        futures.into_iter().collect::<JoinSet<_>>().join_all()
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        tokio::task::yield_now()
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> {
        tokio::time::sleep(duration)
    }

    fn spawn_sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
        Self::spawn(tokio::time::sleep(duration))
    }
}

/// What `tokio::sync` has, for tasks of either flavour.
struct TokioSync;

impl Primitives for TokioSync {
    type Getter = mpsc::Receiver<u64>;
    type Lock = Arc<Mutex<u64>>;
    type Putter = mpsc::Sender<u64>;
    type Semaphore = Arc<Semaphore>;

    fn lock() -> Self::Lock {
        Arc::new(Mutex::new(0))
    }

    fn semaphore(permits: usize) -> Self::Semaphore {
        Arc::new(Semaphore::new(permits))
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

    sync::starts_tasks_by!(spawn);
}

fn spawn<F>(future: F) -> impl Future<Output = F::Output> + 'static
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let handle = tokio::spawn(future);
    async { handle.await.expect("the task does not panic") }
}
