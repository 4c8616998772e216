//! Who is compared: a contender is one file here.
//!
//! Each is written the way its own project's examples write it, in its best form, and is given the
//! same as all others: a listening socket whose connections have `TCP_NODELAY`, one core, and,
//! where it needs a buffer for each connection, one of 16 KiB; with another size it is a contender
//! of its own, like `tokio@256k` ([`variant`]). Nothing is tuned to the size of the messages or the
//! number of connections.

mod annulus;
#[cfg(feature = "compio")]
mod compio;
mod fio;
#[cfg(feature = "glommio")]
mod glommio;
mod hub;
#[cfg(feature = "monoio")]
mod monoio;
pub(crate) mod other_build;
mod portable;
mod python;
mod raw_epoll;
mod raw_threads;
mod raw_uring;
mod redis;
#[cfg(feature = "smol")]
mod smol;
#[cfg(feature = "tokio")]
mod tokio;
#[cfg(feature = "tokio-uring")]
mod tokio_uring;
mod variant;
#[cfg(feature = "web")]
pub(crate) mod web;

use std::fmt;
use std::io;
use std::net::{SocketAddr, SocketAddrV4, TcpListener};
use std::path::Path;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::files::{Job, Kind, Report};
use crate::scenarios::bytes;
use crate::server::Calls;
#[cfg(feature = "web")]
use crate::web::Protocol;
use crate::workloads::{Measured, Workload};

/// The buffer of a connection, for those servers whose connections have one each. A server is a
/// process of its own, so its size is the process's.
static OWN_BUFFER: AtomicUsize = AtomicUsize::new(16 * 1024);

pub(crate) fn own_buffer() -> usize {
    OWN_BUFFER.load(Ordering::Relaxed)
}

/// What memory a server receives into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memory {
    /// A buffer of each connection, which is 16 KiB unless its name says otherwise.
    Own,
    /// What connections share, as it is to be called.
    Shared(&'static str),
}

/// What a server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    /// Sends back what it receives.
    Echo,
    /// Receives to the end, then says how many bytes there were: eight bytes, the lowest first.
    Sink,
    /// Sends [`source_block`] over and over.
    Source,
    /// Passes on bytes, in both directions, to and from another server.
    Proxy(SocketAddrV4),
    /// Sends [`GREETING`] on a new connection, which from then on gets what comes on any other.
    FanOut,
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Echo => f.write_str("echo"),
            Self::Sink => f.write_str("sink"),
            Self::Source => f.write_str("source"),
            Self::Proxy(upstream) => write!(f, "proxy={upstream}"),
            Self::FanOut => f.write_str("fan-out"),
        }
    }
}

impl FromStr for Service {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            None if text == "echo" => Ok(Self::Echo),
            None if text == "sink" => Ok(Self::Sink),
            None if text == "source" => Ok(Self::Source),
            None if text == "fan-out" => Ok(Self::FanOut),
            Some(("proxy", upstream)) => {
                upstream.parse().map(Self::Proxy).map_err(|error| error.to_string())
            }
            _ => Err(format!("no service is called {text}")),
        }
    }
}

/// What a fan-out says to a new connection.
pub(crate) const GREETING: [u8; 1] = *b"+";

/// What a source sends: 64 KiB in which no two places look alike.
pub(crate) fn source_block() -> Vec<u8> {
    (0..32 * 1024_u16).flat_map(u16::to_le_bytes).collect()
}

/// How a contender uses several cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scaling {
    /// A thread a core, each with a server and a listener of its own, that share nothing.
    Shards,
    /// The same, but the contender starts the threads and makes the listeners.
    OwnShards,
    /// One server whose own threads share the work.
    Workers,
    /// It does not, for this reason.
    None(&'static str),
}

/// What a contender is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Whatever it can do.
    Any,
    /// Files alone.
    Files,
    /// The store alone.
    Store,
    /// HTTP alone.
    #[cfg(feature = "web")]
    Web,
}

/// Tells the parent at which address a server can be reached.
pub(crate) type Announce = fn(SocketAddr) -> io::Result<()>;

/// One of those who are compared.
pub(crate) trait Contender {
    /// The name on the command line and in the tables.
    fn name(&self) -> &'static str;

    /// In a few words, what it is and in which form.
    fn form(&self) -> &'static str;

    /// What it receives into.
    fn memory(&self) -> Memory {
        Memory::Own
    }

    /// The program that hosts it, if that is another build of this one.
    fn program(&self) -> Option<&Path> {
        None
    }

    /// What the program that hosts it calls it.
    fn hosted_as(&self) -> &str {
        self.name()
    }

    /// The variables that its process finds in its environment, beside those of this one.
    fn environment(&self) -> &[(&str, &str)] {
        &[]
    }

    /// Whether it has a server for this service.
    fn serves(&self, service: Service) -> bool;

    /// Serves connections until the process ends, and returns only with an error. An error of one
    /// connection ends only that one.
    fn serve(
        &self,
        service: Service,
        listener: TcpListener,
        calls: &'static Calls,
    ) -> io::Result<()>;

    /// Whether it has the store of `examples/kv`, or is one.
    fn has_store(&self) -> bool {
        false
    }

    /// Serves the store as [`serve`](Self::serve) does, on these cores; one that has only one
    /// thread runs on any of them.
    ///
    /// One that listens itself closes the listener before it announces its address: a connection
    /// that the listener had taken would be reset.
    ///
    /// # Errors
    ///
    /// `Unsupported` if it [has none](Self::has_store).
    fn serve_store(
        &self,
        _listener: TcpListener,
        _cores: &[usize],
        _announce: Announce,
    ) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "it has no store"))
    }

    /// What it is there for.
    fn purpose(&self) -> Purpose {
        Purpose::Any
    }

    /// Why it cannot serve HTTP by this protocol, if it cannot.
    #[cfg(feature = "web")]
    fn lacks_web(&self, _protocol: Protocol) -> Option<String> {
        Some("it is no server of HTTP".to_owned())
    }

    /// Serves HTTP until the process ends, on one thread, and returns only with an error.
    ///
    /// # Errors
    ///
    /// `Unsupported` if it [lacks](Self::lacks_web) that.
    #[cfg(feature = "web")]
    fn serve_web(&self, _task: web::Task<'_>) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "it is no server of HTTP"))
    }

    /// How it uses several cores.
    fn scaling(&self) -> Scaling {
        Scaling::Shards
    }

    /// Serves as [`serve`](Self::serve) does, with a thread on each of these cores, and tells the
    /// address once all listen.
    ///
    /// # Errors
    ///
    /// `Unsupported` if its [`scaling`](Self::scaling) is not by shards of its own.
    fn serve_in_shards(
        &self,
        _service: Service,
        _cores: &[usize],
        _calls: &'static Calls,
        _announce: Announce,
    ) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Serves as [`serve`](Self::serve) does, with this number of threads.
    ///
    /// # Errors
    ///
    /// `Unsupported` if its [`scaling`](Self::scaling) is not by workers.
    fn serve_with_workers(
        &self,
        _service: Service,
        _listener: TcpListener,
        _workers: usize,
    ) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "it has no workers"))
    }

    /// Does this number of operations of a workload.
    ///
    /// # Errors
    ///
    /// `Unsupported` if it has no tasks or timers of its own.
    fn work(&self, _workload: Workload, _operations: u64) -> io::Result<Measured> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "it has no tasks and timers of its own"))
    }

    /// Whether it does its workloads in the process that is asked for them.
    fn works_itself(&self) -> bool {
        true
    }

    /// Why it cannot do a job with a file, if it cannot.
    fn lacks_files(&self, _job: &Job) -> Option<&'static str> {
        Some("it has no files of its own")
    }

    /// Does a job with a file.
    ///
    /// # Errors
    ///
    /// `Unsupported` if it [lacks](Self::lacks_files) that.
    fn file(&self, _job: &Job) -> io::Result<Report> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "it has no files of its own"))
    }

    /// Whether it has a log with group commit.
    fn has_log(&self) -> bool {
        false
    }

    /// Appends to a log with group commit.
    ///
    /// # Errors
    ///
    /// `Unsupported` if it [has none](Self::has_log).
    fn log(&self, _job: &Job) -> io::Result<Report> {
        Err(io::Error::new(io::ErrorKind::Unsupported, NO_LOG))
    }

    /// Why it cannot do a workload, if it cannot.
    fn lacks_work(&self, _workload: Workload) -> Option<&'static str> {
        Some("it has no tasks and timers of its own")
    }
}

/// Why those that copy through a buffer of their own cannot go past the kernel's cache.
#[cfg(any(feature = "smol", feature = "tokio"))]
const NOT_ALIGNED: &str = "it copies through a buffer of its own, which O_DIRECT does not take";

const NO_LOG: &str = "it has no log with group commit here";

/// Why a contender cannot do a job with a file or a log, if it cannot.
pub(crate) fn lacks_job(contender: &dyn Contender, job: &Job) -> Option<&'static str> {
    if job.kind == Kind::GroupCommit {
        return (!contender.has_log()).then_some(NO_LOG);
    }
    contender.lacks_files(job)
}

/// Why those that run on one thread call no other.
const NO_CALLS: &str = "it has no calls between threads of its own";

/// All that this program was built with, in the order of the tables.
pub(crate) fn all() -> Vec<Box<dyn Contender>> {
    let mut all: Vec<Box<dyn Contender>> = annulus::forms().collect();
    all.extend(portable::forms(annulus::forms()));
    all.extend(raw_epoll::forms());
    all.extend(raw_uring::forms());
    all.push(Box::new(raw_threads::RawThreads));
    #[cfg(feature = "tokio")]
    all.extend(tokio::forms());
    #[cfg(feature = "monoio")]
    all.push(Box::new(monoio::Monoio));
    #[cfg(feature = "glommio")]
    all.push(Box::new(glommio::Glommio));
    #[cfg(feature = "compio")]
    all.push(Box::new(compio::Compio));
    #[cfg(feature = "tokio-uring")]
    all.push(Box::new(tokio_uring::TokioUring));
    #[cfg(feature = "smol")]
    all.push(Box::new(smol::Smol));
    all.extend(python::loops());
    all.push(Box::new(redis::Redis));
    all.push(Box::new(fio::Fio));
    #[cfg(feature = "web")]
    all.extend(web::forms());
    #[cfg(feature = "web")]
    all.extend(portable::forms(web::forms()));
    all
}

/// The peers that were left out when this program was built.
pub(crate) fn left_out() -> Vec<&'static str> {
    let peers = [
        ("tokio", cfg!(feature = "tokio")),
        ("monoio", cfg!(feature = "monoio")),
        ("glommio", cfg!(feature = "glommio")),
        ("compio", cfg!(feature = "compio")),
        ("tokio-uring", cfg!(feature = "tokio-uring")),
        ("smol", cfg!(feature = "smol")),
        ("web", cfg!(feature = "web")),
        ("cyper-axum", cfg!(feature = "cyper")),
        ("monoio-hyper", cfg!(feature = "monoio-hyper")),
    ];
    peers.into_iter().filter(|(_, built)| !built).map(|(name, _)| name).collect()
}

/// Whether a contender is one of the hand-written servers that say what the machine can do.
pub(crate) fn is_limit(name: &str) -> bool {
    name == "raw-epoll" || raw_uring::is_a_form(name)
}

/// The contender of a name, which may end in the size of its buffer, as in `tokio@256k`.
pub(crate) fn by_name(name: &str) -> Option<Box<dyn Contender>> {
    let (plain, size) = match name.split_once('@') {
        Some((plain, size)) => (plain, Some(bytes(size).ok()?)),
        None => (name, None),
    };
    let found = all().into_iter().find(|contender| contender.name() == plain)?;
    match size {
        None => Some(found),
        Some(size) => Some(Box::new(variant::Variant::with_buffer(found, name, size)?)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpStream};
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::os::socket;

    #[test]
    fn services_are_read_as_they_are_written() {
        let upstream = "127.0.0.1:7000".parse().unwrap();
        for service in [
            Service::Echo,
            Service::Sink,
            Service::Source,
            Service::Proxy(upstream),
            Service::FanOut,
        ] {
            assert_eq!(service.to_string().parse(), Ok(service));
        }
        assert!("proxy=nowhere".parse::<Service>().is_err());
        assert!("ech".parse::<Service>().is_err());
    }

    fn start(contender: &'static str, service: Service) -> SocketAddrV4 {
        let listener = socket::listen().unwrap();
        let address = listener.local_addr().unwrap();
        let calls = Box::leak(Box::new(Calls::new().unwrap()));
        // It serves until this process ends.
        thread::spawn(move || by_name(contender).unwrap().serve(service, listener, calls));
        address.to_string().parse().unwrap()
    }

    #[test]
    fn a_proxy_passes_on_the_end_of_each_direction() {
        let sink = start("raw-threads", Service::Sink);
        let ours = all().into_iter().map(|one| one.name());
        for name in ours.filter(|name| is_limit(name) || *name == "annulus") {
            let proxy = start(name, Service::Proxy(sink));
            // One after the other, so that places are used again.
            for length in [0, 1, 300_000] {
                let mut stream = TcpStream::connect(proxy).unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                stream.write_all(&vec![7; length]).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
                let mut answer = Vec::new();
                stream.read_to_end(&mut answer).expect(name);
                assert_eq!(answer, (length as u64).to_le_bytes(), "{name}");
            }
        }
    }

    #[test]
    fn a_name_can_say_the_size_of_the_buffer() {
        let large = by_name("raw-threads@256k").unwrap();
        assert_eq!(large.name(), "raw-threads@256k");
        assert_eq!(large.hosted_as(), "raw-threads@256k");
        assert!(by_name("raw-threads@").is_none());
        assert!(by_name("unknown@256k").is_none());
        assert!(by_name("raw-epoll@256k").is_none(), "its connections share a buffer");
    }

    #[test]
    fn portable_contenders_differ_in_the_environment_of_their_process_alone() {
        for (portable, plain) in [
            ("annulus-portable", "annulus"),
            ("annulus-owned-portable", "annulus-owned"),
            #[cfg(feature = "web")]
            ("annulus-hyper-portable", "annulus-hyper"),
        ] {
            let portable = by_name(portable).expect("it is among them");
            assert_eq!(portable.hosted_as(), plain);
            assert_eq!(portable.environment(), [("ANNULUS_RING", "portable")]);
            assert_eq!(by_name(plain).unwrap().environment(), [("ANNULUS_RING", "kernel")]);
        }
        let sized = by_name("annulus-owned-portable@4k").unwrap();
        assert_eq!(sized.environment(), [("ANNULUS_RING", "portable")]);
    }

    #[test]
    fn names_are_unique() {
        let names: std::collections::BTreeSet<_> = all().iter().map(|one| one.name()).collect();
        assert_eq!(names.len(), all().len());
    }
}
