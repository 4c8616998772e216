//! A server in a thread of its own, and what its clients need.

use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use annulus::Shutdown;
use annulus::net::{ListenOptions, ShutdownOptions, ShutdownReport, TcpListener};
use annulus::time::sleep;
use annulus_hyper::Io;
use annulus_hyper::server::{Counters, Listener, Server, serve};
use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::{Service, service_fn};
use hyper::{Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[path = "../../../../../tests/common/patience.rs"]
pub(crate) mod patience;

pub(crate) use patience::limit;

pub(crate) type Body = Either<Full<Bytes>, Incoming>;

thread_local! {
    /// The end of the server that [`while_serving`] runs on this thread.
    static END: RefCell<Option<Shutdown>> = const { RefCell::new(None) };
}

/// Answers what the tests ask for.
pub(crate) async fn respond(mut request: Request<Incoming>) -> Result<Response<Body>, io::Error> {
    let text = |text: &'static str| Response::new(Either::Left(Full::new(Bytes::from(text))));
    match request.uri().path() {
        "/" => Ok(text("hello\n")),
        "/slow" => {
            sleep(Duration::from_millis(300)).await;
            Ok(text("at last\n"))
        }
        // In flight when the end is requested, however long the client takes to do that.
        "/held" => {
            let end = END.with_borrow(|end| end.clone().expect("a server that ends"));
            end.requested().await;
            sleep(Duration::from_millis(50)).await;
            Ok(text("at last\n"))
        }
        "/never" => std::future::pending().await,
        "/echo" => Ok(Response::new(Either::Right(request.into_body()))),
        "/upgrade" => {
            let upgrade = hyper::upgrade::on(&mut request);
            drop(annulus::spawn(async move {
                let mut upgraded = Io::new(upgrade.await.unwrap());
                // It ends with the client, or when the server cancels it.
                let mut piece = [0; 100];
                while let Ok(read @ 1..) = upgraded.read(&mut piece).await {
                    upgraded.write_all(&piece[..read]).await.unwrap();
                }
                let _ = upgraded.write_all(b"over").await;
                let _ = upgraded.shutdown().await;
            }));
            let response = Response::builder().status(101).header("upgrade", "echo");
            let response = response.header("connection", "upgrade");
            Ok(response.body(Either::Left(Full::default())).unwrap())
        }
        "/error" => Err(io::Error::other("the service has no answer")),
        "/panic" => panic!("the service panics"),
        path => panic!("unexpected: {path}"),
    }
}

/// How a server ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) report: ShutdownReport,
    pub(crate) counters: Counters,
    /// How long its end took.
    pub(crate) took: Duration,
    /// What no caller has awaited.
    pub(crate) incidents: Vec<String>,
}

/// Serves while clients run, and then ends the server in order.
pub(crate) fn while_serving<T, L: Listener<Socket = TcpListener> + 'static>(
    start: impl FnOnce(TcpListener) -> Server<L> + Send + 'static,
    clients: impl FnOnce(SocketAddr, &Shutdown) -> T,
) -> (T, Ended) {
    let shutdown = Shutdown::new();
    let (its, (address, addresses)) = (shutdown.clone(), mpsc::channel());
    let (incident, incidents) = mpsc::channel();
    let server = thread::spawn(move || {
        END.set(Some(its.clone()));
        let builder = annulus::Runtime::builder().on_incident(move |one| {
            let _ = incident.send(one.to_string());
        });
        let runtime = builder.build().unwrap();
        runtime.block_on(async {
            let options = ListenOptions::new().backlog(4096);
            let listener = TcpListener::bind_with("127.0.0.1:0", &options).await.unwrap();
            let server = start(listener);
            address.send(*server.local_addr()).unwrap();
            its.requested().await;
            let requested = Instant::now();
            let report = server.serve_until(&its, &ShutdownOptions::new().grace(limit())).await;
            assert_eq!(server.active_connections(), 0);
            // A request of HTTP/2 is a task of its own, which learns in a later turn that its
            // connection has ended.
            for _ in 0..100 {
                annulus::yield_now().await;
            }
            assert_eq!(server.active_requests(), 0);
            (report, server.counters(), requested.elapsed())
        })
    });
    let address = addresses.recv().unwrap();
    // However the clients end, the server does.
    let requests = Requests(&shutdown);
    let outcome = clients(address, &shutdown);
    drop(requests);
    let (report, counters, took) = server.join().unwrap();
    (outcome, Ended { report, counters, took, incidents: incidents.iter().collect() })
}

struct Requests<'a>(&'a Shutdown);

impl Drop for Requests<'_> {
    fn drop(&mut self) {
        self.0.request();
    }
}

/// A service that answers what the tests ask for.
pub(crate) fn service()
-> impl Service<Request<Incoming>, Response = Response<Body>, Error = io::Error, Future: 'static>
+ 'static {
    service_fn(respond)
}

/// Starts a server of [`service`].
pub(crate) fn plain(listener: TcpListener) -> Server<TcpListener> {
    serve(listener, service()).start().unwrap()
}

/// A client by hand.
pub(crate) struct Client(BufReader<TcpStream>);

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(limit())).unwrap();
        Self(BufReader::new(stream))
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.0.get_ref().local_addr().unwrap()
    }

    pub(crate) fn send(&mut self, bytes: &str) {
        self.0.get_mut().write_all(bytes.as_bytes()).unwrap();
    }

    pub(crate) fn try_send(&mut self, bytes: &str) -> io::Result<()> {
        self.0.get_mut().write_all(bytes.as_bytes())
    }

    /// Sends `count` zeros from a separate thread.
    pub(crate) fn send_zeros(&self, count: usize) -> thread::JoinHandle<()> {
        let mut stream = self.0.get_ref().try_clone().unwrap();
        thread::spawn(move || stream.write_all(&vec![0; count]).unwrap())
    }

    pub(crate) fn get(&mut self, path: &str) -> String {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
        self.response()
    }

    /// The next response: its head, and its body as long as the head says.
    pub(crate) fn response(&mut self) -> String {
        let mut response = String::new();
        while !response.ends_with("\r\n\r\n") {
            assert_ne!(self.0.read_line(&mut response).unwrap(), 0, "EOF after {response:?}");
        }
        let length = response.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        self.0.read_exact(&mut body).unwrap();
        response.push_str(std::str::from_utf8(&body).unwrap());
        response
    }

    pub(crate) fn exact(&mut self, length: usize) -> String {
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    /// Discards what arrives until EOF or a reset.
    pub(crate) fn read_to_eof(&mut self) {
        let _ = self.0.read_to_end(&mut Vec::new());
    }

    /// What arrives until EOF.
    pub(crate) fn rest(&mut self) -> io::Result<String> {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest)?;
        Ok(rest)
    }
}

/// As much load as a test of a few seconds bears, or with `ANNULUS_FULL` as much as is of interest.
pub(crate) fn load(short: u32, full: u32) -> u32 {
    if std::env::var_os("ANNULUS_FULL").is_some() { full } else { short }
}

/// Runs a program to its end; `None`, and a printed word, if it is not installed.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Option<Output> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    match command.output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            println!("skipped: {program} is not installed");
            None
        }
        Err(error) => panic!("{program}: {error}"),
    }
}

/// Where an example is, which cargo builds with all tests.
pub(crate) fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().unwrap().parent().unwrap().join("examples").join(name);
    assert!(path.exists(), "{}: cargo builds it with all tests", path.display());
    path
}

/// The standard output of a program that must succeed.
pub(crate) fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let Output { status, stdout, stderr } = run(program, arguments)?;
    let stdout = String::from_utf8_lossy(&stdout).into_owned();
    assert!(
        status.success(),
        "{program} {arguments:?}: {status}\n{stdout}\n{}",
        String::from_utf8_lossy(&stderr)
    );
    Some(stdout)
}
