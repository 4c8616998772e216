//! Smol, as in its `examples/tcp-server.rs`, on one `LocalExecutor`: its global executor would run
//! on a thread of its own.

use std::future::Future;
use std::io::{self, SeekFrom};
use std::net::{Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::ops::DerefMut;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use smol::channel::{Receiver, Sender, bounded, unbounded};
use smol::fs::File;
use smol::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, copy};
use smol::lock::{Mutex, Semaphore};
use smol::{Async, Executor, LocalExecutor, Timer, future};

use super::hub::Hub;
use super::{
    Contender, GREETING, NO_CALLS, NOT_ALIGNED, Scaling, Service, own_buffer, source_block,
};
use crate::files::{self, Files, Job, Report, Span};
use crate::server::Calls;
use crate::workloads::sync;
use crate::workloads::{self, Measured, Primitives, Runtime, Workload};

thread_local! {
    static EXECUTOR: &'static LocalExecutor<'static> = Box::leak(Box::new(LocalExecutor::new()));
}

pub(super) struct Smol;

impl Contender for Smol {
    fn name(&self) -> &'static str {
        "smol"
    }

    fn form(&self) -> &'static str {
        "smol, one LocalExecutor, Async<TcpStream>"
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
            let listener = Async::new(listener)?;
            let hub = Rc::new(Hub::new());
            let executor = EXECUTOR.with(|executor| *executor);
            loop {
                let (stream, _) = listener.accept().await?;
                match service {
                    Service::Echo => executor.spawn(echo(stream)).detach(),
                    Service::Sink => executor.spawn(sink(stream)).detach(),
                    Service::Source => executor.spawn(source(stream)).detach(),
                    Service::Proxy(upstream) => executor.spawn(proxy(stream, upstream)).detach(),
                    Service::FanOut => executor.spawn(fan_out(stream, Rc::clone(&hub))).detach(),
                }
            }
        })?
    }

    fn scaling(&self) -> Scaling {
        Scaling::Workers
    }

    /// An executor that several threads run, as smol's own does with `SMOL_THREADS`.
    fn serve_with_workers(
        &self,
        service: Service,
        listener: TcpListener,
        workers: usize,
    ) -> io::Result<()> {
        if service != Service::Echo {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "it only echoes with workers"));
        }
        let executor: &'static Executor<'static> = Box::leak(Box::new(Executor::new()));
        for _ in 1..workers {
            thread::spawn(|| smol::block_on(executor.run(future::pending::<()>())));
        }
        smol::block_on(executor.run(async {
            let listener = Async::new(listener)?;
            loop {
                let (stream, _) = listener.accept().await?;
                executor.spawn(echo(stream)).detach();
            }
        }))
    }

    fn work(&self, workload: Workload, operations: u64) -> io::Result<Measured> {
        workloads::run_all::<Self, Self>(workload, operations)
    }

    fn lacks_files(&self, job: &Job) -> Option<&'static str> {
        job.direct.then_some(NOT_ALIGNED)
    }

    fn file(&self, job: &Job) -> io::Result<Report> {
        job.measure(|workers| {
            let files = workers.iter().map(|_| job.open()).collect::<io::Result<Vec<_>>>()?;
            Self::run(async move {
                let work = |(file, worker)| files::work::<Self>(File::from(file), worker);
                let spawn = |pair| EXECUTOR.with(|executor| executor.spawn(work(pair)));
                let tasks: Vec<_> = files.into_iter().zip(workers).map(spawn).collect();
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

async fn echo(mut stream: Async<TcpStream>) -> io::Result<()> {
    let mut buffer = vec![0; own_buffer()];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..count]).await?;
    }
}

async fn sink(mut stream: Async<TcpStream>) -> io::Result<()> {
    let mut buffer = vec![0; own_buffer()];
    let mut total = 0_u64;
    loop {
        match stream.read(&mut buffer).await? {
            0 => return stream.write_all(&total.to_le_bytes()).await,
            count => total += count as u64,
        }
    }
}

async fn source(mut stream: Async<TcpStream>) -> io::Result<()> {
    let block = source_block();
    loop {
        stream.write_all(&block).await?;
    }
}

async fn proxy(client: Async<TcpStream>, upstream: SocketAddrV4) -> io::Result<()> {
    let upstream = Async::<TcpStream>::connect(upstream).await?;
    future::try_zip(pass(&client, &upstream), pass(&upstream, &client)).await?;
    Ok(())
}

async fn pass(from: &Async<TcpStream>, mut to: &Async<TcpStream>) -> io::Result<()> {
    copy(from, &mut to).await?;
    to.get_ref().shutdown(Shutdown::Write)
}

async fn fan_out(stream: Async<TcpStream>, hub: Rc<Hub<Sender<Bytes>>>) -> io::Result<()> {
    let (sender, messages) = unbounded();
    let place = hub.join(sender);
    let stream = Rc::new(stream);
    EXECUTOR.with(|executor| executor.spawn(deliver(messages, Rc::clone(&stream))).detach());
    let published = publish_from(&stream, &hub, place).await;
    hub.leave(place);
    published
}

async fn deliver(messages: Receiver<Bytes>, to: Rc<Async<TcpStream>>) -> io::Result<()> {
    let mut to = &*to;
    to.write_all(&GREETING).await?;
    while let Ok(message) = messages.recv().await {
        to.write_all(&message).await?;
    }
    Ok(())
}

async fn publish_from(
    mut from: &Async<TcpStream>,
    hub: &Hub<Sender<Bytes>>,
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

/// A file has one position, so that each worker opens it for itself.
impl Files for Smol {
    type Buffer = Vec<u8>;
    type File = File;

    fn buffer(size: usize) -> Vec<u8> {
        vec![0; size]
    }

    async fn read(
        file: &mut File,
        buffer: &mut Vec<u8>,
        block: Span,
        check: impl FnOnce(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        file.seek(SeekFrom::Start(block.offset)).await?;
        file.read_exact(buffer).await?;
        check(buffer)
    }

    async fn write(
        file: &mut File,
        buffer: &mut Vec<u8>,
        block: Span,
        fill: impl FnOnce(&mut [u8]),
    ) -> io::Result<()> {
        fill(buffer);
        file.seek(SeekFrom::Start(block.offset)).await?;
        file.write_all(buffer).await?;
        // Until then the data may be in the file's own buffer.
        file.flush().await
    }

    async fn sync(file: &mut File) -> io::Result<()> {
        file.sync_data().await
    }
}

impl Runtime for Smol {
    fn run<F>(future: F) -> io::Result<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        Ok(smol::block_on(EXECUTOR.with(|executor| executor.run(future))))
    }

    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        EXECUTOR.with(|executor| executor.spawn(future))
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        future::yield_now()
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> {
        let timer = Timer::after(duration);
        async {
            timer.await;
        }
    }

    fn spawn_sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
        let timer = Timer::after(duration);
        Self::spawn(async {
            timer.await;
        })
    }
}

impl Primitives for Smol {
    type Getter = Receiver<u64>;
    type Lock = Arc<Mutex<u64>>;
    type Putter = Sender<u64>;
    type Semaphore = Arc<Semaphore>;

    fn lock() -> Self::Lock {
        Arc::new(Mutex::new(0))
    }

    fn semaphore(permits: usize) -> Self::Semaphore {
        Arc::new(Semaphore::new(permits))
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

    sync::starts_tasks_by!(Self::spawn);
}
