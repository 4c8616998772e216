//! A server that echoes in every way there is, and clients that check each byte.
//!
//! The server runs on a thread that faults meet. The clients are threads with blocking sockets of
//! the standard library, which none meets: they are started before, since a thread inherits the
//! filter of the one that starts it.

use std::future::pending;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream as Peer};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread;

use annulus::buf::BufResult;
use annulus::net::{
    ListenOptions, Server, ServerOptions, StreamReader, StreamWriter, TcpListener, TcpStream,
    start_server_with,
};
use annulus::task::JoinHandle;
use annulus::{Builder, Incident, Metrics, RingKind, SetupError, metrics, spawn};

use crate::common::conditions::until;
use crate::common::descriptors::open;
use crate::common::incidents::Incidents;
use crate::common::patience::limit;
use crate::common::pattern::pattern;
use crate::common::program::Program;

/// How many times as much is done as in a run of the whole suite: `ANNULUS_FAULT_ROUNDS`.
pub(crate) fn rounds() -> usize {
    let rounds = std::env::var("ANNULUS_FAULT_ROUNDS");
    rounds.map_or(1, |text| text.parse().expect("ANNULUS_FAULT_ROUNDS is a number"))
}

/// The ring that the tests run on. None may change to the other because of a fault.
pub(crate) fn ring() -> RingKind {
    match std::env::var("ANNULUS_RING").as_deref() {
        Ok("portable") => RingKind::Portable,
        _ => RingKind::Kernel,
    }
}

/// How many bytes say how many follow.
const LENGTH: usize = 4;

/// How many clients there are, and what each of them does.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) clients: usize,
    pub(crate) exchanges: usize,
    /// The most bytes of one message.
    pub(crate) most: usize,
}

/// What the clients have met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Messages that have come back as they were sent.
    pub(crate) echoed: usize,
    /// Messages that have come back otherwise.
    pub(crate) corrupt: usize,
    /// Connections that the server has ended before the client had.
    pub(crate) ended: usize,
    /// Connections that could not be made.
    pub(crate) refused: usize,
}

/// What a run has come to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) tally: Tally,
    /// Before the runtime has ended.
    pub(crate) metrics: Metrics,
    pub(crate) incidents: Vec<Incident>,
    /// How many descriptors were open before.
    pub(crate) before: usize,
}

/// Why there was no run.
#[derive(Debug)]
pub(crate) enum NotServed {
    Setup(SetupError),
    /// The listeners could not be made.
    Listen(io::Error),
}

/// Serves the clients on a new runtime, on this machine.
pub(crate) fn serve(clients: Clients) -> Result<Outcome, NotServed> {
    serve_at(Ipv4Addr::LOCALHOST, clients)
}

/// Serves the clients on a new runtime, at an address.
pub(crate) fn serve_at(host: Ipv4Addr, clients: Clients) -> Result<Outcome, NotServed> {
    let (before, incidents) = (clients.before, Incidents::default());
    let its = incidents.clone();
    let builder = Builder::new().ring(ring());
    let builder = builder.on_incident(move |incident| its.report(incident));
    let runtime = builder.build().map_err(NotServed::Setup)?;
    let (tally, metrics) = runtime.block_on(serve_all(host, clients)).map_err(NotServed::Listen)?;
    drop(runtime);
    Ok(Outcome { tally, metrics, incidents: incidents.take(), before })
}

async fn serve_all(host: Ipv4Addr, clients: Clients) -> io::Result<(Tally, Metrics)> {
    let servers = Servers::start(host).await?;
    let tally = clients.go(servers.addresses);
    // Timers have to go on, too.
    until(|| tally.is_finished()).await;
    let metrics = metrics();
    servers.end().await;
    Ok((tally.join().expect("no client panics"), metrics))
}

/// Serves those to whom standard error tells the addresses, to the end of the process.
pub(crate) fn serve_others() {
    let runtime = match Builder::new().ring(ring()).build() {
        Ok(runtime) => runtime,
        Err(error) => return eprintln!("refused: {error}"),
    };
    runtime.block_on(async {
        match Servers::start(Ipv4Addr::LOCALHOST).await {
            Ok(servers) => {
                let [first, second, third] = servers.addresses;
                eprintln!("listening: {first} {second} {third}");
                pending::<()>().await;
            }
            Err(error) => eprintln!("refused: {error}"),
        }
    });
}

/// The addresses that [`serve_others`] tells, or why there are none.
pub(crate) fn told(program: &mut Program) -> Result<[SocketAddr; 3], String> {
    for line in &mut program.stderr {
        if let Some(list) = line.strip_prefix("listening: ") {
            let addresses = list.split(' ').map(|text| text.parse().expect("an address"));
            let addresses: Vec<_> = addresses.collect();
            return Ok(addresses.try_into().expect("three"));
        }
        if let Some(error) = line.strip_prefix("refused: ") {
            return Err(error.to_owned());
        }
    }
    panic!("the server has ended: {:?}", program.ended());
}

/// A server for each way to echo.
struct Servers {
    addresses: [SocketAddr; 3],
    buffered: Server,
    accepting: [JoinHandle<()>; 2],
}

impl Servers {
    async fn start(host: Ipv4Addr) -> io::Result<Self> {
        // What is echoed in parts would wait for acknowledgements otherwise.
        let listen = ListenOptions::new().nodelay(true);
        let options = ServerOptions::new().listen(listen.clone());
        let buffered = start_server_with(by_reader, (host, 0), &options).await?;
        let owned = TcpListener::bind_with((host, 0), &listen).await?;
        let leased = TcpListener::bind_with((host, 0), &listen).await?;
        let addresses = [buffered.local_addrs()[0], owned.local_addr()?, leased.local_addr()?];
        let accepting = [
            spawn(async move {
                while let Ok((stream, _)) = owned.accept().await {
                    spawn(by_owned_buffer(stream));
                }
            }),
            spawn(async move {
                while let Ok((stream, _)) = leased.accept().await {
                    spawn(by_lease(stream));
                }
            }),
        ];
        Ok(Self { addresses, buffered, accepting })
    }

    async fn end(self) {
        // No fault of a moment ends a listener.
        assert!(self.buffered.is_serving(), "a server has stopped");
        assert!(self.accepting.iter().all(|task| !task.is_finished()), "a listener has ended");
        self.buffered.close();
        self.buffered.wait_closed().await;
        for task in self.accepting {
            task.cancel();
        }
    }
}

async fn by_reader(mut reader: StreamReader, mut writer: StreamWriter) -> io::Result<()> {
    while !reader.fill().await?.is_empty() {
        let length = reader.read_exact(LENGTH).await?;
        let count = u32::from_be_bytes(length[..].try_into().expect("four bytes"));
        writer.write(length).await?;
        writer.write(reader.read_exact(count as usize).await?).await?;
    }
    Ok(())
}

async fn by_owned_buffer(mut stream: TcpStream) {
    let mut buffer = Vec::with_capacity(16 * 1024);
    loop {
        let BufResult(result, filled) = stream.read(buffer).await;
        if !matches!(result, Ok(1..)) {
            return;
        }
        let BufResult(result, filled) = stream.write_all(filled).await;
        if result.is_err() {
            return;
        }
        buffer = filled;
    }
}

async fn by_lease(mut stream: TcpStream) {
    while let Ok(lease) = stream.recv().await {
        if lease.is_empty() || stream.write_all(lease).await.0.is_err() {
            return;
        }
    }
}

/// Clients that wait for the addresses of their server.
pub(crate) struct Clients {
    addresses: Sender<[SocketAddr; 3]>,
    tally: thread::JoinHandle<Tally>,
    /// How many messages have come back.
    progress: Arc<AtomicUsize>,
    /// How many descriptors were open.
    before: usize,
}

impl Clients {
    pub(crate) fn new(load: Load) -> Self {
        let before = open();
        let (addresses, known) = mpsc::channel::<[SocketAddr; 3]>();
        let progress = Arc::new(AtomicUsize::new(0));
        let its = Arc::clone(&progress);
        let run = move || {
            // Without a server there is nothing to do.
            let Ok(addresses) = known.recv() else { return Tally::default() };
            let start = |number: usize| {
                let address = addresses[number % addresses.len()];
                let progress = Arc::clone(&its);
                let client = Client { address, load, progress, tally: Tally::default() };
                thread::spawn(move || client.run(number))
            };
            let clients: Vec<_> = (0..load.clients).map(start).collect();
            let tallies = clients.into_iter().map(|client| client.join().expect("it has run"));
            tallies.fold(Tally::default(), Tally::plus)
        };
        Self { addresses, tally: thread::spawn(run), progress, before }
    }

    /// What counts the messages that have come back.
    pub(crate) fn progress(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.progress)
    }

    /// Lets them begin.
    pub(crate) fn go(self, addresses: [SocketAddr; 3]) -> thread::JoinHandle<Tally> {
        self.addresses.send(addresses).expect("it waits for them");
        self.tally
    }
}

impl Tally {
    fn plus(self, other: Self) -> Self {
        Self {
            echoed: self.echoed + other.echoed,
            corrupt: self.corrupt + other.corrupt,
            ended: self.ended + other.ended,
            refused: self.refused + other.refused,
        }
    }
}

struct Client {
    address: SocketAddr,
    load: Load,
    progress: Arc<AtomicUsize>,
    tally: Tally,
}

impl Client {
    /// Exchanges as many messages as it is to, on as many connections as that takes.
    fn run(mut self, seed: usize) -> Tally {
        let mut number = 0;
        while number < self.load.exchanges {
            let Ok(mut peer) = self.connect() else {
                self.tally.refused += 1;
                number += 1;
                continue;
            };
            match self.converse(&mut peer, seed, &mut number) {
                Ok(()) => {}
                Err(error) => {
                    // A server that does not answer at all is no fault that a client may meet.
                    assert_ne!(error.kind(), io::ErrorKind::WouldBlock, "{:?}", self.tally);
                    self.tally.ended += 1;
                }
            }
        }
        self.tally
    }

    fn connect(&self) -> io::Result<Peer> {
        let peer = Peer::connect_timeout(&self.address, limit())?;
        peer.set_nodelay(true)?;
        peer.set_read_timeout(Some(limit()))?;
        peer.set_write_timeout(Some(limit()))?;
        Ok(peer)
    }

    /// Sends messages and reads them back, to the end; then the connection has to end without
    /// another byte.
    fn converse(&mut self, peer: &mut Peer, seed: usize, number: &mut usize) -> io::Result<()> {
        while *number < self.load.exchanges {
            // Short and long ones, in an order that differs between clients.
            let length = ((*number + seed) * 7919) % self.load.most + 1;
            *number += 1;
            let mut message = (length as u32).to_be_bytes().to_vec();
            message.extend(pattern((*number + seed) as u8, length));
            peer.write_all(&message)?;
            let mut back = vec![0; message.len()];
            peer.read_exact(&mut back)?;
            if back == message {
                self.tally.echoed += 1;
            } else {
                self.tally.corrupt += 1;
            }
            self.progress.fetch_add(1, Ordering::Relaxed);
        }
        peer.shutdown(Shutdown::Write)?;
        let mut rest = Vec::new();
        peer.read_to_end(&mut rest)?;
        self.tally.corrupt += rest.len();
        Ok(())
    }
}
