//! What each shard serves to the clients of all: echoes over TCP, Unix sockets and UDP.
//!
//! The first byte of a connection says what is done with the rest: [`ECHO`] it, or be a [`PROXY`]
//! to the echo of another shard.

use std::io;
use std::net;
use std::os::unix;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;

use annulus::net::{
    Connection, OwnedReadHalf, OwnedWriteHalf, TcpListener, TcpStream, UdpSocket, UnixListener,
    copy_bidirectional,
};
use annulus::task::JoinHandle;

use crate::cancel::insist;
use crate::chance::Chance;
use crate::failure::is_gone;
use crate::site::Site;
use crate::stream::{Sink, Source};

pub(crate) const ECHO: u8 = 1;
pub(crate) const PROXY: u8 = 2;

/// The sockets of a shard's services: over TCP, Unix sockets and UDP. They are made before the
/// shards start, so that each knows all.
pub(crate) type Sockets = (net::TcpListener, unix::net::UnixListener, net::UdpSocket);

/// The tasks that serve. They end when they are cancelled.
pub(crate) struct Services(Vec<JoinHandle<io::Result<()>>>);

/// Starts the services of a shard on its sockets.
pub(crate) fn start(site: &Rc<Site>, (tcp, unix, udp): Sockets, chance: &Chance) -> Services {
    let (tcp, udp) = (TcpListener::from_std(tcp), UdpSocket::from_std(udp));
    let unix = UnixListener::from_std(unix);
    let [of_tcp, of_unix, of_udp] = ["service of TCP", "service of Unix sockets", "service of UDP"]
        .map(|it| chance.fork_as(it));
    let whose = chance.whose();
    Services(vec![
        site.spawn(whose, accept_tcp(Rc::clone(site), tcp, of_tcp)),
        site.spawn(whose, accept_unix(Rc::clone(site), unix, of_unix)),
        site.spawn(whose, echo_datagrams(udp, of_udp)),
    ])
}

impl Services {
    /// Ends them, and returns what went wrong.
    pub(crate) async fn stop(self) -> Vec<String> {
        let mut failures = Vec::new();
        for service in self.0 {
            service.cancel();
            match service.await {
                Ok(Err(error)) => failures.push(format!("a service ended: {error}")),
                Err(error) if !error.is_cancelled() => failures.push(error.to_string()),
                _ => {}
            }
        }
        failures
    }
}

async fn accept_tcp(site: Rc<Site>, listener: TcpListener, chance: Chance) -> io::Result<()> {
    loop {
        let (mut stream, peer) = insist(&chance, async || listener.accept().await).await?;
        let (chance, of_task) = (chance.fork_as(&format!("client {peer}")), Rc::clone(&site));
        let whose = chance.whose().to_owned();
        site.spawn(&whose, async move {
            let served: io::Result<()> = async {
                let first = stream.read_exact(Vec::with_capacity(1)).await.into_result()?.1;
                if first == [PROXY] {
                    let shard = chance.below(of_task.shard.count());
                    chance.here();
                    let mut other = TcpStream::connect(of_task.shared.tcp[shard]).await?;
                    chance.here();
                    other.write_all(vec![ECHO]).await.0?;
                    copy_bidirectional(stream, other).await?;
                    return Ok(());
                }
                echo(stream.into_split(), &of_task, &chance).await
            }
            .await;
            report(served, &of_task);
        });
    }
}

async fn accept_unix(site: Rc<Site>, listener: UnixListener, chance: Chance) -> io::Result<()> {
    loop {
        let (mut stream, _) = insist(&chance, async || listener.accept().await).await?;
        let (chance, of_task) = (chance.fork_as("a client"), Rc::clone(&site));
        let whose = chance.whose().to_owned();
        site.spawn(&whose, async move {
            let served: io::Result<()> = async {
                stream.read_exact(Vec::with_capacity(1)).await.0?;
                echo(stream.into_split(), &of_task, &chance).await
            }
            .await;
            report(served, &of_task);
        });
    }
}

/// A client that goes away is not an error of the service; the client's side finds what is lost.
fn report(served: io::Result<()>, site: &Site) {
    if let Err(error) = served
        && !is_gone(&error)
        && error.kind() != io::ErrorKind::UnexpectedEof
    {
        site.shared.tallies.note(format!("a connection of a service ended: {error}"));
    }
}

async fn echo<S: Connection + Unpin>(
    (read, write): (OwnedReadHalf<S>, OwnedWriteHalf<S>),
    site: &Site,
    chance: &Chance,
) -> io::Result<()> {
    let mut source = Source::new(read, chance, site);
    let mut sink = Sink::new(write, chance, site);
    loop {
        let mut bytes = source.next(usize::MAX).await?;
        if bytes.is_empty() {
            return sink.finish().await;
        }
        if site.shared.breaks_byte.swap(false, Relaxed) {
            bytes[0] ^= 1;
        }
        sink.put(bytes).await?;
    }
}

async fn echo_datagrams(socket: UdpSocket, chance: Chance) -> io::Result<()> {
    loop {
        let (bytes, address) = if chance.one_in(2) {
            let datagram = insist(&chance, async || socket.recv_msg().await).await?;
            let address = *datagram.address();
            (datagram.into_lease().to_vec(), address)
        } else {
            let received =
                insist(&chance, async || socket.recv_from(Vec::with_capacity(64 * 1024)).await);
            let ((_, address), bytes) = received.await.into_result()?;
            (bytes, address)
        };
        chance.here();
        // That a client is gone is reported to this socket, which is not connected, by no error.
        socket.send_to(bytes, address).await.0?;
    }
}
