//! Annulus, a task a connection: on leases, as in its `examples/echo.rs`, or with owned buffers, as
//! in `examples/echo_owned.rs`.
//!
//! - [`files`] works with files.

mod files;

use std::future::Future;
use std::io;
use std::net::{SocketAddr, SocketAddrV4, TcpListener};
use std::ops::DerefMut;
use std::rc::Rc;
use std::sync::Barrier;
use std::time::Duration;

use annulus::buf::BufResult;
use annulus::net::{ListenOptions, OwnedReadHalf, OwnedWriteHalf, TcpStream};
use annulus::shards::Shard;
use annulus::sync::{Lock, Queue, Semaphore};
use annulus::{RingKind, Shards};
use bytes::Bytes;

use super::hub::Hub;
use super::{
    Announce, Contender, GREETING, Memory, Scaling, Service, own_buffer, portable, source_block,
};
use crate::files::{Job, Report};
use crate::kv;
use crate::server::Calls;
use crate::workloads::crossing::{self, Caller};
use crate::workloads::sync::{self, Primitives};
use crate::workloads::{self, Measured, Runtime, Workload};

/// How often the count of system calls is published.
const PUBLISHING: Duration = Duration::from_millis(10);

pub(super) struct Annulus {
    receiving: Receiving,
}

/// Into whose memory it receives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Receiving {
    /// A buffer of the connection.
    Owned,
    /// The runtime's.
    OnLease,
    /// The runtime's, from direct descriptors.
    Direct,
}

/// How many connections may wait to be accepted, as for the others.
const BACKLOG: u32 = 16 * 1024;

/// How many direct descriptors there are, in that form.
const TABLE: u32 = 16 * 1024;

pub(super) fn forms() -> impl Iterator<Item = Box<dyn Contender>> {
    let forms = [Receiving::OnLease, Receiving::Owned, Receiving::Direct];
    forms.into_iter().map(|receiving| Box::new(Annulus { receiving }) as Box<dyn Contender>)
}

impl Contender for Annulus {
    fn name(&self) -> &'static str {
        match self.receiving {
            Receiving::Owned => "annulus-owned",
            Receiving::OnLease => "annulus",
            Receiving::Direct => "annulus-direct",
        }
    }

    fn form(&self) -> &'static str {
        match self.receiving {
            Receiving::Owned => "this library, owned buffers, a task a connection",
            Receiving::OnLease => "this library, leases, a task a connection",
            Receiving::Direct => {
                "as annulus, with direct descriptors; files with registered buffers, too"
            }
        }
    }

    fn environment(&self) -> &[(&str, &str)] {
        portable::KERNEL
    }

    fn serves(&self, service: Service) -> bool {
        let receives = matches!(service, Service::Echo | Service::Sink | Service::Proxy(_));
        self.receiving == Receiving::OnLease || receives
    }

    fn memory(&self) -> Memory {
        match self.receiving {
            Receiving::Owned => Memory::Own,
            Receiving::OnLease | Receiving::Direct => {
                Memory::Shared("leases: 4 KiB for small messages, 64 x 256 KiB for large ones")
            }
        }
    }

    fn serve(
        &self,
        service: Service,
        listener: TcpListener,
        calls: &'static Calls,
    ) -> io::Result<()> {
        let runtime = self.builder().build()?;
        let receiving = self.receiving;
        runtime.block_on(async move {
            let listener = annulus::net::TcpListener::from_std(listener);
            serve_all(service, receiving, listener, calls).await
        })
    }

    fn scaling(&self) -> Scaling {
        Scaling::OwnShards
    }

    fn serve_in_shards(
        &self,
        service: Service,
        cores: &[usize],
        calls: &'static Calls,
        announce: fn(SocketAddr) -> io::Result<()>,
    ) -> io::Result<()> {
        let all_listen = Barrier::new(cores.len());
        let (form, receiving) = (Self { receiving: self.receiving }, self.receiving);
        let shards = Shards::builder().cpus(cores.to_vec()).runtime(move |_| form.builder());
        let outcomes = shards.run(async |shard| {
            let options = ListenOptions::new().nodelay(true).backlog(BACKLOG);
            let listener = annulus::net::TcpListener::bind_with("127.0.0.1:0", &options).await?;
            all_listen.wait();
            if shard.index() == 0 {
                announce(listener.local_addr()?)?;
            }
            let calls = Box::leak(Box::new(calls.of_shard(shard.index())));
            serve_all(service, receiving, listener, calls).await
        });
        outcomes.map_err(io::Error::other)?.into_iter().collect()
    }

    fn has_store(&self) -> bool {
        self.receiving == Receiving::OnLease
    }

    fn serve_store(
        &self,
        listener: TcpListener,
        cores: &[usize],
        announce: Announce,
    ) -> io::Result<()> {
        let address = listener.local_addr()?;
        if cores.len() == 1 {
            announce(address)?;
            return kv::serve(listener);
        }
        // The shards listen themselves; the load tries again until they do.
        drop(listener);
        announce(address)?;
        kv::serve_sharded(address, cores)
    }

    fn work(&self, workload: Workload, operations: u64) -> io::Result<Measured> {
        if workload.crosses() {
            return cross(workload, operations);
        }
        workloads::run_all::<Self, Self>(workload, operations)
    }

    fn lacks_files(&self, _job: &Job) -> Option<&'static str> {
        (self.receiving == Receiving::Owned).then_some("it differs from annulus in receiving alone")
    }

    fn file(&self, job: &Job) -> io::Result<Report> {
        files::run(job, self.builder(), self.receiving == Receiving::Direct)
    }

    fn has_log(&self) -> bool {
        self.receiving == Receiving::OnLease
    }

    fn log(&self, job: &Job) -> io::Result<Report> {
        files::log(job, self.builder())
    }

    fn lacks_work(&self, _workload: Workload) -> Option<&'static str> {
        (self.receiving != Receiving::OnLease)
            .then_some("it differs from annulus in receiving alone")
    }
}

/// On shards, which the kernel spreads over the cores, as it does the threads of the others.
fn cross(workload: Workload, operations: u64) -> io::Result<Measured> {
    let shards = Shards::builder().count(crossing::threads(workload)).pin(false);
    let measured = shards.queue_capacity(1024).run(async |shard| match shard.index() {
        0 => vec![crossing::measure(workload, operations, shard).await],
        _ => Vec::new(),
    })?;
    Ok(measured.into_iter().flatten().next().expect("the first shard measures"))
}

impl Caller for Shard {
    async fn call(&mut self, thread: usize, times: u64) -> u64 {
        if times == 1 {
            return self.run_on(thread, crossing::work).await.expect("it is running");
        }
        let calls = (0..times).map(|_| self.run_on(thread, crossing::work)).collect::<Vec<_>>();
        let answers = annulus::join::gather(calls).await;
        answers.into_iter().map(|answer| answer.expect("it is running")).sum()
    }

    async fn broadcast(&mut self) -> u64 {
        let others = (0..self.count()).filter(|&index| index != self.index());
        let calls = others.map(|index| self.run_on(index, crossing::work)).collect::<Vec<_>>();
        let answers = annulus::join::gather(calls).await;
        answers.into_iter().map(|answer| answer.expect("it is running")).sum()
    }
}

impl Annulus {
    fn builder(&self) -> annulus::Builder {
        let table = if self.receiving == Receiving::Direct { TABLE } else { 0 };
        annulus::Runtime::builder().direct_descriptors(table)
    }
}

/// Serves the connections of a listener.
async fn serve_all(
    service: Service,
    receiving: Receiving,
    listener: annulus::net::TcpListener,
    calls: &'static Calls,
) -> io::Result<()> {
    annulus::spawn(publish(calls));
    let hub = Rc::new(Hub::new());
    loop {
        let (stream, _) = listener.accept().await?;
        match (service, receiving) {
            (Service::Echo, Receiving::Owned) => drop(annulus::spawn(echo(stream))),
            (Service::Echo, Receiving::OnLease | Receiving::Direct) => {
                drop(annulus::spawn(echo_leases(stream)));
            }
            (Service::Sink, Receiving::Owned) => drop(annulus::spawn(sink(stream))),
            (Service::Sink, Receiving::OnLease | Receiving::Direct) => {
                drop(annulus::spawn(sink_leases(stream)));
            }
            (Service::Source, _) => drop(annulus::spawn(source(stream))),
            (Service::Proxy(upstream), _) => {
                drop(annulus::spawn(proxy(stream, upstream, receiving)));
            }
            (Service::FanOut, _) => drop(annulus::spawn(fan_out(stream, Rc::clone(&hub)))),
        }
    }
}

/// The runtime knows how often it entered the kernel. The portable ring makes other calls, which it
/// does not count.
async fn publish(calls: &Calls) {
    while annulus::metrics().ring == RingKind::Kernel {
        let metrics = annulus::metrics();
        calls.publish(metrics.enter_calls + metrics.inline_calls);
        annulus::time::sleep(PUBLISHING).await;
    }
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(own_buffer());
    loop {
        let BufResult(received, filled) = stream.read(buffer).await;
        if received? == 0 {
            return Ok(());
        }
        let BufResult(sent, returned) = stream.write_all(filled).await;
        sent?;
        buffer = returned;
    }
}

async fn echo_leases(mut stream: TcpStream) -> io::Result<()> {
    loop {
        let lease = stream.recv().await?;
        if lease.is_empty() {
            return Ok(());
        }
        stream.write_all(lease).await.0?;
    }
}

async fn sink(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(own_buffer());
    let mut total = 0_u64;
    loop {
        let BufResult(received, filled) = stream.read(buffer).await;
        match received? {
            0 => return stream.write_all(total.to_le_bytes().to_vec()).await.0,
            count => total += count as u64,
        }
        buffer = filled;
    }
}

async fn sink_leases(mut stream: TcpStream) -> io::Result<()> {
    let mut total = 0_u64;
    loop {
        match stream.recv().await?.len() {
            0 => return stream.write_all(total.to_le_bytes().to_vec()).await.0,
            count => total += count as u64,
        }
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

async fn proxy(client: TcpStream, upstream: SocketAddrV4, receiving: Receiving) -> io::Result<()> {
    let upstream = TcpStream::connect(upstream).await?;
    if receiving != Receiving::Owned {
        return annulus::net::copy_bidirectional(client, upstream).await.map(drop);
    }
    let (from_client, to_client) = client.into_split();
    let (from_upstream, to_upstream) = upstream.into_split();
    let back = annulus::spawn(copy(from_upstream, to_client));
    copy(from_client, to_upstream).await?;
    back.await?
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(own_buffer());
    loop {
        let BufResult(received, filled) = from.read(buffer).await;
        if received? == 0 {
            return to.shutdown().await;
        }
        let BufResult(sent, returned) = to.write_all(filled).await;
        sent?;
        buffer = returned;
    }
}

/// What is to be sent to a member.
type Messages = Rc<Queue<Bytes>>;

async fn fan_out(stream: TcpStream, hub: Rc<Hub<Messages>>) -> io::Result<()> {
    let messages = Rc::new(Queue::unbounded());
    let place = hub.join(Rc::clone(&messages));
    let (from, to) = stream.into_split();
    annulus::spawn(deliver(messages, to));
    let published = publish_from(from, &hub, place).await;
    hub.leave(place);
    published
}

async fn deliver(messages: Messages, mut to: OwnedWriteHalf) -> io::Result<()> {
    to.write_all(Bytes::from_static(&GREETING)).await.0?;
    while let Ok(message) = messages.get().await {
        to.write_all(message).await.0?;
    }
    Ok(())
}

async fn publish_from(
    mut from: OwnedReadHalf,
    hub: &Hub<Messages>,
    place: usize,
) -> io::Result<()> {
    loop {
        let lease = from.recv().await?;
        if lease.is_empty() {
            return Ok(());
        }
        let message = Bytes::copy_from_slice(&lease);
        // A member that is about to leave may listen no more.
        hub.publish(place, |member| drop(member.try_put(message.clone())));
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

    fn gather<F>(futures: Vec<F>) -> impl Future<Output = Vec<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        annulus::join::gather(futures)
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

impl Primitives for Annulus {
    type Getter = Rc<Queue<u64>>;
    type Lock = Rc<Lock<u64>>;
    type Putter = Rc<Queue<u64>>;
    type Semaphore = Rc<Semaphore>;

    fn lock() -> Self::Lock {
        Rc::new(Lock::new(0))
    }

    fn semaphore(permits: usize) -> Self::Semaphore {
        Rc::new(Semaphore::new(permits))
    }

    fn queue(capacity: usize) -> (Self::Putter, Self::Getter) {
        let queue = Rc::new(Queue::bounded(capacity));
        (Rc::clone(&queue), queue)
    }

    async fn locked(lock: &Self::Lock) -> impl DerefMut<Target = u64> {
        lock.lock().await
    }

    async fn acquired(semaphore: &Self::Semaphore) -> impl Sized {
        semaphore.acquire().await.expect("never closed")
    }

    async fn put(putter: &mut Self::Putter, value: u64) {
        putter.put(value).await.expect("never shut down");
    }

    async fn get(getter: &mut Self::Getter) -> u64 {
        getter.get().await.expect("never shut down")
    }

    sync::starts_tasks_by!(spawn_local);
}

fn spawn_local<F: Future<Output = ()> + 'static>(future: F) -> impl Future<Output = ()> + 'static {
    let handle = annulus::spawn(future);
    async { handle.await.expect("the task does not panic") }
}
