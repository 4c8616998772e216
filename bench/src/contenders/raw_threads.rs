//! Blocking sockets, a thread a connection: the yardstick that needs no explanation.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};
use std::thread;

use futures_util::FutureExt;
use slab::Slab;

use super::{Contender, GREETING, Scaling, Service, own_buffer, source_block};
use crate::files::{self, Block, Files, Job, Report, Span};
use crate::server::Calls;

/// What a thread here needs of a stack; the default of 2 MiB is address space for nothing.
const STACK: usize = 64 * 1024;

pub(super) struct RawThreads;

impl Contender for RawThreads {
    fn name(&self) -> &'static str {
        "raw-threads"
    }

    fn form(&self) -> &'static str {
        "standard library, blocking, a thread a connection"
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

    fn lacks_files(&self, _job: &Job) -> Option<&'static str> {
        None
    }

    fn file(&self, job: &Job) -> io::Result<Report> {
        job.measure(|workers| {
            let file = Arc::new(job.open()?);
            let mut threads = Vec::with_capacity(workers.len());
            for worker in workers {
                let work = files::work::<Self>(Arc::clone(&file), worker);
                threads.push(spawn(|| work.now_or_never().expect("it never waits"))?);
            }
            threads.into_iter().try_for_each(|one| one.join().expect("no thread panics"))
        })
    }

    fn scaling(&self) -> Scaling {
        Scaling::Workers
    }

    /// There is a thread for each connection anyway.
    fn serve_with_workers(
        &self,
        service: Service,
        listener: TcpListener,
        _workers: usize,
    ) -> io::Result<()> {
        let members = Arc::new(Members::default());
        loop {
            let (stream, _) = listener.accept()?;
            let members = Arc::clone(&members);
            // An error is the connection's alone.
            spawn(move || match service {
                Service::Echo => echo(stream),
                Service::Sink => sink(stream),
                Service::Source => source(stream),
                Service::Proxy(upstream) => proxy(&stream, upstream),
                Service::FanOut => fan_out(stream, &members),
            })?;
        }
    }
}

fn spawn(
    work: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> io::Result<thread::JoinHandle<io::Result<()>>> {
    thread::Builder::new().stack_size(STACK).spawn(work)
}

fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; own_buffer()];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..count])?;
    }
}

fn sink(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; own_buffer()];
    let mut total = 0_u64;
    loop {
        match stream.read(&mut buffer)? {
            0 => return stream.write_all(&total.to_le_bytes()),
            count => total += count as u64,
        }
    }
}

fn source(mut stream: TcpStream) -> io::Result<()> {
    let block = source_block();
    loop {
        stream.write_all(&block)?;
    }
}

fn proxy(client: &TcpStream, upstream: SocketAddrV4) -> io::Result<()> {
    let upstream = TcpStream::connect(upstream)?;
    let (other_client, other_upstream) = (client.try_clone()?, upstream.try_clone()?);
    spawn(move || copy(&other_upstream, &other_client))?;
    copy(client, &upstream)
}

fn copy(mut from: &TcpStream, mut to: &TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; own_buffer()];
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return to.shutdown(Shutdown::Write);
        }
        to.write_all(&buffer[..count])?;
    }
}

/// The connections of a fan-out.
#[derive(Default)]
struct Members(Mutex<Slab<Arc<TcpStream>>>);

fn fan_out(stream: TcpStream, members: &Members) -> io::Result<()> {
    let stream = Arc::new(stream);
    let place = {
        // Under the lock, so that no message comes before the greeting.
        let mut members = members.0.lock().expect("no panic under the lock");
        (&*stream).write_all(&GREETING)?;
        members.insert(Arc::clone(&stream))
    };
    let published = publish_from(&stream, members, place);
    members.0.lock().expect("no panic under the lock").remove(place);
    published
}

/// The thread of the one that publishes writes to all others itself.
fn publish_from(mut from: &TcpStream, members: &Members, place: usize) -> io::Result<()> {
    let mut buffer = vec![0; own_buffer()];
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        let members = members.0.lock().expect("no panic under the lock");
        for (_, member) in members.iter().filter(|&(other, _)| other != place) {
            // One that has gone is about to leave.
            let _ = (&**member).write_all(&buffer[..count]);
        }
    }
}

/// Blocking calls, a thread for each operation that is to be under way.
impl Files for RawThreads {
    type Buffer = Block;
    type File = Arc<File>;

    fn buffer(size: usize) -> Block {
        Block::new(size)
    }

    async fn read(
        file: &mut Arc<File>,
        buffer: &mut Block,
        block: Span,
        check: impl FnOnce(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        file.read_exact_at(buffer, block.offset)?;
        check(buffer)
    }

    async fn write(
        file: &mut Arc<File>,
        buffer: &mut Block,
        block: Span,
        fill: impl FnOnce(&mut [u8]),
    ) -> io::Result<()> {
        fill(buffer);
        file.write_all_at(buffer, block.offset)
    }

    async fn sync(file: &mut Arc<File>) -> io::Result<()> {
        file.sync_data()
    }
}
