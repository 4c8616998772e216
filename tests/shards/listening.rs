//! Shards that listen, under the control of a test: it tells each when to listen, to accept and to
//! end.

use std::future::pending;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use annulus::Shards;
use annulus::net::{ListenOptions, TcpListener, TcpStream};
use annulus::shards::ShardsBuilder;
use annulus::sync::remote;
use futures_util::future::{Either, select};

use crate::common::bounded::bounded;
use crate::common::patience::limit;

/// What a shard does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Accepts this many connections from now on, and keeps them open.
    Accept(usize),
    /// Drops the connections that it has kept.
    DropConnections,
    /// Closes the listener, and keeps the connections that had arrived.
    Close,
    DropListener,
    /// Listens again, on the address that it had.
    Rebind,
}

/// The shards, as the test sees them.
pub(crate) struct Listening<'a> {
    /// The address of all listeners.
    pub(crate) address: SocketAddr,
    commands: Vec<remote::Sender<Command>>,
    done: mpsc::Receiver<usize>,
    kept: &'a [AtomicUsize],
}

impl Listening<'_> {
    /// Has a shard do something. To accept is done in the background.
    pub(crate) fn run(&self, shard: usize, command: Command) {
        self.commands[shard].send_blocking(command).unwrap();
        assert_eq!(self.done.recv_timeout(limit()), Ok(shard));
    }

    pub(crate) fn all(&self, command: Command) {
        (0..self.commands.len()).for_each(|shard| self.run(shard, command));
    }

    /// How many connections a shard has accepted and keeps.
    pub(crate) fn kept(&self, shard: usize) -> usize {
        self.kept[shard].load(Ordering::Relaxed)
    }

    pub(crate) fn all_kept(&self) -> Vec<usize> {
        (0..self.kept.len()).map(|shard| self.kept(shard)).collect()
    }

    /// Waits until the shards keep `total` connections in all.
    pub(crate) fn wait_for(&self, total: usize) {
        let started = Instant::now();
        while self.all_kept().iter().sum::<usize>() != total {
            assert!(started.elapsed() < limit(), "{:?} instead of {total}", self.all_kept());
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Starts shards that listen on a common port, and runs a test beside them.
pub(crate) fn listening(
    count: usize,
    options: impl Fn(usize) -> ListenOptions + Sync,
    test: impl FnOnce(&Listening<'_>) + Send,
) {
    listening_by(Shards::builder(), count, options, test);
}

/// Like [`listening`], with shards that are configured otherwise.
pub(crate) fn listening_by(
    builder: ShardsBuilder,
    count: usize,
    options: impl Fn(usize) -> ListenOptions + Sync,
    test: impl FnOnce(&Listening<'_>) + Send,
) {
    let (commands, receivers): (Vec<_>, Vec<_>) =
        (0..count).map(|_| remote::channel::<Command>(8)).unzip();
    let receivers: Vec<_> = receivers.into_iter().map(|one| Mutex::new(Some(one))).collect();
    let (address_to, addresses) = mpsc::sync_channel(count);
    let (done_to, done) = mpsc::sync_channel(count);
    let kept: Vec<_> = (0..count).map(|_| AtomicUsize::new(0)).collect();
    let kept = &*kept;
    bounded(|| {
        thread::scope(|scope| {
            scope.spawn(move || {
                let bound: Vec<SocketAddr> = addresses.iter().take(count).collect();
                assert!(bound.iter().all(|address| *address == bound[0]), "{bound:?}");
                test(&Listening { address: bound[0], commands, done, kept });
            });
            let run = builder.count(count).run(async |shard| {
                let index = shard.index();
                let receiver = receivers[index].lock().unwrap().take().expect("one each");
                let options = options(index);
                let listener = TcpListener::bind_with("127.0.0.1:0", &options).await.unwrap();
                address_to.send(listener.local_addr().unwrap()).unwrap();
                obey(receiver, listener, &options, &kept[index], || done_to.send(index).unwrap())
                    .await;
            });
            run.unwrap();
        });
    });
}

/// Obeys a test until it ends.
async fn obey(
    mut commands: remote::Receiver<Command>,
    listener: TcpListener,
    options: &ListenOptions,
    kept: &AtomicUsize,
    done: impl Fn(),
) {
    let address = listener.local_addr().unwrap();
    let (mut listener, mut streams) = (Some(listener), Vec::<TcpStream>::new());
    let mut to_accept = 0;
    loop {
        let accepting = listener.as_ref().filter(|_| to_accept > 0);
        let command = match next(&mut commands, accepting).await {
            Next::Command(command) => command,
            Next::Connection(stream, peer) => {
                assert_eq!(stream.peer_addr().unwrap(), peer);
                assert!(peer.ip().is_loopback() && peer.port() != 0);
                streams.push(stream);
                to_accept -= 1;
                kept.store(streams.len(), Ordering::Relaxed);
                continue;
            }
            Next::End => return,
        };
        match command {
            Command::Accept(connections) => to_accept = connections,
            Command::DropConnections => streams.clear(),
            Command::Close => {
                let rest = listener.take().unwrap().close().await;
                streams.extend(rest.into_iter().map(|(stream, _)| stream));
            }
            Command::DropListener => listener = None,
            Command::Rebind => {
                listener = Some(TcpListener::bind_with(address, options).await.unwrap());
            }
        }
        kept.store(streams.len(), Ordering::Relaxed);
        done();
    }
}

enum Next {
    Command(Command),
    Connection(TcpStream, SocketAddr),
    End,
}

async fn next(commands: &mut remote::Receiver<Command>, accepting: Option<&TcpListener>) -> Next {
    let accept = async {
        match accepting {
            Some(listener) => listener.accept().await.unwrap(),
            None => pending().await,
        }
    };
    match select(pin!(commands.recv()), pin!(accept)).await {
        Either::Left((Some(command), _)) => Next::Command(command),
        Either::Left((None, _)) => Next::End,
        Either::Right(((stream, peer), _)) => Next::Connection(stream, peer),
    }
}
