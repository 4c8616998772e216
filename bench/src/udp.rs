//! `udp`: packets a second and processor time a packet, of a socket that echoes or only receives.
//!
//! The server and the load each have a thread with a core of its own. The load is a loop with
//! sendmmsg(2) and recvmmsg(2). An echo is closed: a number of datagrams is on its way, so none is
//! dropped. Receive-only is open: the load sends as fast as it can, and what the server does not
//! receive the kernel drops; what counts there is the processor time of a received packet. Rounds
//! of all servers are interleaved, and the median is shown; ratios are of processor time, pair by
//! pair.

use std::io;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use annulus::RingKind;
use annulus::net::SendOptions;
use annulus::time::timeout;
use clap::{Args, ValueEnum};

use crate::machine::{self, Machine};
use crate::os::affinity::{allowed, pin};
use crate::os::clock::thread_cpu_time;
use crate::os::datagrams::{BATCH, Datagrams, prepare, set_segment_size};
use crate::summary::Spread;

/// Datagrams: packets a second and processor time a packet.
#[derive(Args, Debug)]
pub(crate) struct Udp {
    /// Sizes of datagrams in bytes.
    #[arg(long, value_delimiter = ',', default_values_t = [64, 1200])]
    sizes: Vec<usize>,
    /// What the server does.
    #[arg(long, value_delimiter = ',', default_values_t = [Service::Echo, Service::Receive])]
    services: Vec<Service>,
    /// The servers.
    #[arg(long, value_delimiter = ',', default_values_t = Server::ALL)]
    servers: Vec<Server>,
    /// How long one measurement takes, in seconds.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// How often each is measured.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How many datagrams of an echo are on their way.
    #[arg(long, default_value_t = 64)]
    depth: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Service {
    Echo,
    Receive,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Server {
    /// A hand-written loop with recvmmsg and sendmmsg.
    Mmsg,
    /// Leases of a multishot receive.
    Annulus,
    /// An owned buffer for each receive.
    AnnulusOwned,
    /// Leases, and the kernel puts datagrams together (GRO) and cuts them (GSO).
    AnnulusOffload,
    /// Leases, on the portable ring.
    AnnulusPortable,
    #[cfg(feature = "tokio")]
    Tokio,
}

impl Server {
    const ALL: &[Self] = &[
        Self::Mmsg,
        Self::Annulus,
        Self::AnnulusOwned,
        Self::AnnulusOffload,
        Self::AnnulusPortable,
        #[cfg(feature = "tokio")]
        Self::Tokio,
    ];
}

macro_rules! named {
    ($($type:ty),+) => {$(
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.to_possible_value().expect("no variant is skipped").get_name().fmt(f)
            }
        }
    )+};
}

named!(Service, Server);

/// What a server reports, and when it is to end.
#[derive(Default)]
struct Run {
    packets: AtomicU64,
    is_over: AtomicBool,
}

impl Run {
    fn add(&self, packets: usize) {
        self.packets.fetch_add(packets as u64, Relaxed);
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Relaxed)
    }
}

/// Packets a second, and the server's processor time of each in nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Measured {
    rate: f64,
    cost: f64,
}

impl Udp {
    /// Prints a table.
    pub(crate) fn run(&self) -> io::Result<()> {
        println!("{}; load {}", Machine::this().line(), machine::load());
        println!("| service | bytes | server | packets/s | CPU ns a packet | to mmsg | to tokio |");
        println!("|---|---|---|---|---|---|---|");
        for &service in &self.services {
            for &size in &self.sizes {
                let mut all = vec![Vec::new(); self.servers.len()];
                for _ in 0..self.rounds.max(1) {
                    for (rounds, &server) in all.iter_mut().zip(&self.servers) {
                        rounds.push(self.measure(service, size, server)?);
                    }
                }
                for (rounds, server) in all.iter().zip(&self.servers) {
                    let rate = median(rounds.iter().map(|round| round.rate));
                    let cost = median(rounds.iter().map(|round| round.cost));
                    let to = |name| {
                        let place = self.servers.iter().position(|it| it.to_string() == name);
                        place.map_or_else(String::new, |place| ratio(rounds, &all[place]))
                    };
                    let (by_hand, peer) = (to("mmsg"), to("tokio"));
                    print!("| {service} | {size} | {server} | {rate:.0} | {cost:.0} ");
                    println!("| {by_hand} | {peer} |");
                }
            }
        }
        println!("load at the end {}", machine::load());
        Ok(())
    }

    fn measure(&self, service: Service, size: usize, server: Server) -> io::Result<Measured> {
        let cores = allowed()?;
        let (first, last) = (cores[0], cores[cores.len() - 1]);
        let (near, far) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
        far.connect(near.local_addr()?)?;
        prepare(&near)?;
        prepare(&far)?;
        let (run, length) = (Run::default(), Duration::from_secs_f64(self.seconds));
        thread::scope(|scope| {
            let run = &run;
            let serving = scope.spawn(move || {
                pin(&[first])?;
                let begin = (Instant::now(), thread_cpu_time());
                serve(server, near, run, service)?;
                io::Result::Ok((begin.0.elapsed(), thread_cpu_time() - begin.1))
            });
            let loading = scope.spawn(move || {
                pin(&[last])?;
                let offload = server == Server::AnnulusOffload;
                match service {
                    Service::Echo => echo_load(&far, size, self.depth, length, offload),
                    Service::Receive => flood(&far, size, length, offload),
                }
            });
            let loaded = loading.join().expect("the load does not panic");
            run.is_over.store(true, Relaxed);
            let (elapsed, cpu) = serving.join().expect("the server does not panic")?;
            loaded?;
            let packets = run.packets.load(Relaxed) as f64;
            let cost = cpu.as_nanos() as f64 / packets;
            Ok(Measured { rate: packets / elapsed.min(length).as_secs_f64(), cost })
        })
    }
}

/// The processor time of a packet to another server's, round by round.
fn ratio(rounds: &[Measured], others: &[Measured]) -> String {
    let pairs = rounds.iter().zip(others).map(|(own, other)| own.cost / other.cost);
    Spread::of(pairs).map_or_else(String::new, |Spread { median, minimum, maximum }| {
        format!("{median:.2} ({minimum:.2}..{maximum:.2})")
    })
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// How many datagrams one call of GSO sends: they must fit into 64 KiB.
fn segments(size: usize) -> usize {
    (60_000 / size).clamp(1, BATCH)
}

/// Keeps a number of datagrams on their way for a while. What is lost is replaced after a timeout.
fn echo_load(
    socket: &UdpSocket,
    size: usize,
    depth: usize,
    length: Duration,
    offload: bool,
) -> io::Result<()> {
    let mut datagrams = Datagrams::new(64 * 1024);
    let deadline = Instant::now() + length;
    if offload {
        set_segment_size(socket, size)?;
    }
    let send = |datagrams: &mut Datagrams, mut count: usize| {
        while count > 0 {
            // With GSO one message of the batch is many datagrams.
            let once = if offload { count.min(segments(size)) } else { count.min(BATCH) };
            let (messages, bytes) = if offload { (1, once * size) } else { (once, size) };
            datagrams.send(socket, messages, bytes)?;
            count -= once;
        }
        io::Result::Ok(())
    };
    send(&mut datagrams, depth)?;
    while Instant::now() < deadline {
        let received = datagrams.receive(socket)?;
        send(&mut datagrams, if received == 0 { depth } else { received })?;
    }
    Ok(())
}

/// Sends as fast as it can for a while.
fn flood(socket: &UdpSocket, size: usize, length: Duration, offload: bool) -> io::Result<()> {
    let mut datagrams = Datagrams::new(64 * 1024);
    let deadline = Instant::now() + length;
    if offload {
        set_segment_size(socket, size)?;
    }
    while Instant::now() < deadline {
        if offload {
            datagrams.send(socket, 1, segments(size) * size)?;
        } else {
            datagrams.send(socket, BATCH, size)?;
        }
    }
    Ok(())
}

fn serve(server: Server, socket: UdpSocket, run: &Run, service: Service) -> io::Result<()> {
    match server {
        Server::Mmsg => {
            let mut datagrams = Datagrams::new(2048);
            while !run.is_over() {
                let count = datagrams.receive(&socket)?;
                if service == Service::Echo {
                    datagrams.send_back(&socket, count)?;
                }
                run.add(count);
            }
            Ok(())
        }
        Server::Annulus => annulus(socket, run, service, false, RingKind::Kernel),
        Server::AnnulusOffload => annulus(socket, run, service, true, RingKind::Kernel),
        Server::AnnulusPortable => annulus(socket, run, service, false, RingKind::Portable),
        Server::AnnulusOwned => annulus_owned(socket, run, service),
        #[cfg(feature = "tokio")]
        Server::Tokio => tokio_server(socket, run, service),
    }
}

/// Ends a server that waits for a datagram.
const TICK: Duration = Duration::from_millis(50);

fn annulus(
    socket: UdpSocket,
    run: &Run,
    service: Service,
    offload: bool,
    ring: RingKind,
) -> io::Result<()> {
    annulus::Runtime::builder().ring(ring).build()?.block_on(async {
        let socket = annulus::net::UdpSocket::from_std(socket);
        if offload {
            socket.set_gro(true)?;
        }
        let mut stream = socket.recv_many();
        while !run.is_over() {
            let Ok(received) = timeout(TICK, stream.recv()).await else { continue };
            let (bytes, meta) = received?.into_parts();
            run.add(meta.len.div_ceil(meta.stride.max(1)).max(1));
            if service == Service::Echo {
                let options = SendOptions::to(meta.address);
                let is_cut = meta.stride < meta.len;
                let options =
                    if is_cut { options.segment_size(meta.stride as u16) } else { options };
                socket.send_msg(bytes, &options).await.0?;
            }
        }
        Ok(())
    })
}

fn annulus_owned(socket: UdpSocket, run: &Run, service: Service) -> io::Result<()> {
    annulus::Runtime::builder().ring(RingKind::Kernel).build()?.block_on(async {
        let socket = annulus::net::UdpSocket::from_std(socket);
        let mut buffer = vec![0; 2048];
        while !run.is_over() {
            let Ok(received) = timeout(TICK, socket.recv_from(buffer)).await else {
                buffer = vec![0; 2048];
                continue;
            };
            let ((_, from), filled) = received.into_result()?;
            run.add(1);
            buffer = match service {
                Service::Echo => socket.send_to(filled, from).await.into_result()?.1,
                Service::Receive => filled,
            };
        }
        Ok(())
    })
}

#[cfg(feature = "tokio")]
fn tokio_server(socket: UdpSocket, run: &Run, service: Service) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let socket = tokio::net::UdpSocket::from_std(socket)?;
        let mut buffer = vec![0; 2048];
        while !run.is_over() {
            let receive = socket.recv_from(&mut buffer);
            let Ok(received) = tokio::time::timeout(TICK, receive).await else { continue };
            let (count, from) = received?;
            run.add(1);
            if service == Service::Echo {
                socket.send_to(&buffer[..count], from).await?;
            }
        }
        Ok(())
    })
}
