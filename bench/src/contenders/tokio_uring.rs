//! Tokio-uring, as in its `examples/tcp_listener.rs`.

use std::io;
use std::net::{Shutdown, SocketAddr, SocketAddrV4, TcpListener};
use std::rc::Rc;

use bytes::Bytes;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_uring::buf::BoundedBuf;
use tokio_uring::fs::File;
use tokio_uring::net::TcpStream;

use super::hub::Hub;
use super::{BUFFER, Contender, GREETING, Service, source_block};
use crate::files::{self, Block, Files, Job, Report, Span};
use crate::server::Calls;

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
    let mut buffer = vec![0; BUFFER];
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
    let mut buffer = vec![0; BUFFER];
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
    let mut buffer = vec![0; BUFFER];
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
    let mut buffer = vec![0; BUFFER];
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
