//! A server on a thread of its own.

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::pin::pin;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use annulus::Shutdown;
use annulus::net::{ShutdownOptions, ShutdownReport, TcpListener};
use annulus::time::sleep;
use annulus_axum::{IncomingStream, serve};
use annulus_hyper::server::Listener;
use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use futures_util::future::{Either, select};
use tower_service::Service;

use crate::common::bounded::bounded;
use crate::common::patience::limit;
use crate::common::program::connect;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: Shutdown,
    /// Requested, the end is requested as soon as no connection is left.
    idle: Shutdown,
    thread: Option<JoinHandle<ShutdownReport>>,
}

impl Server {
    /// Serves a router, which is made on the server's thread.
    pub(crate) fn start(router: impl FnOnce() -> Router + Send + 'static) -> Self {
        Self::with_grace(limit(), router)
    }

    /// Likewise, with a grace period at its end.
    pub(crate) fn with_grace(
        grace: Duration,
        router: impl FnOnce() -> Router + Send + 'static,
    ) -> Self {
        let service = || router().into_make_service_with_connect_info::<SocketAddr>();
        Self::serving(grace, |listener| listener, service)
    }

    /// Serves what a make-service makes, on what is made of a listener.
    pub(crate) fn with_listener<L, M, S>(
        listener: impl FnOnce(TcpListener) -> L + Send + 'static,
        make_service: impl FnOnce() -> M + Send + 'static,
    ) -> Self
    where
        L: Listener + 'static,
        M: for<'a> Service<IncomingStream<'a, L>, Error = Infallible, Response = S> + 'static,
        S: Service<Request, Response = Response, Error = Infallible> + Clone + 'static,
    {
        Self::serving(limit(), listener, make_service)
    }

    fn serving<L, M, S>(
        grace: Duration,
        listener: impl FnOnce(TcpListener) -> L + Send + 'static,
        make_service: impl FnOnce() -> M + Send + 'static,
    ) -> Self
    where
        L: Listener + 'static,
        M: for<'a> Service<IncomingStream<'a, L>, Error = Infallible, Response = S> + 'static,
        S: Service<Request, Response = Response, Error = Infallible> + Clone + 'static,
    {
        let (shutdown, idle) = (Shutdown::new(), Shutdown::new());
        let (its, when_idle) = (shutdown.clone(), idle.clone());
        let (sender, receiver) = mpsc::channel();
        let main = async move || {
            let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send(tcp.local_addr().unwrap()).unwrap();
            let options = ShutdownOptions::new().grace(grace).soft_grace(Duration::ZERO);
            let server = serve(listener(tcp), make_service()).start().unwrap();
            let ends_when_idle = pin!(async {
                when_idle.requested().await;
                while server.get_ref().active_connections() > 0 {
                    sleep(Duration::from_millis(1)).await;
                }
                its.request();
            });
            match select(pin!(server.serve_until(&its, &options)), ends_when_idle).await {
                Either::Left((report, _)) => report,
                Either::Right(((), serving)) => serving.await,
            }
        };
        let thread = thread::spawn(|| bounded(|| annulus::run(main()).unwrap()));
        let address = receiver.recv().expect("the server listens");
        Self { address, shutdown, idle, thread: Some(thread) }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn connect(&self) -> TcpStream {
        connect(self.address)
    }

    /// Sends bytes, and returns all that comes until EOF.
    pub(crate) fn exchange(&self, request: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("the server ends the connection in order");
        String::from_utf8(answer).unwrap()
    }

    /// Gets a path over a connection of its own.
    pub(crate) fn get(&self, path: &str) -> String {
        self.exchange(&format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
    }

    /// Requests the end, waits for it, and returns the report.
    pub(crate) fn end(mut self) -> ShutdownReport {
        self.shutdown.request();
        self.join()
    }

    /// Waits until every connection has ended without being told to, and then [ends](Self::end).
    pub(crate) fn end_when_idle(mut self) -> ShutdownReport {
        self.idle.request();
        self.join()
    }

    fn join(&mut self) -> ShutdownReport {
        self.thread.take().expect("it runs").join().expect("the server does not panic")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.force();
        if self.thread.is_some() && !thread::panicking() {
            self.join();
        }
    }
}

/// Reads until what was read contains `wanted`, and returns it.
#[track_caller]
pub(crate) fn read_until(stream: &mut TcpStream, wanted: &str) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(wanted.as_bytes()) {
        let read = stream.read(&mut byte).expect("the server sends");
        assert_eq!(read, 1, "EOF after {:?}", String::from_utf8_lossy(&text));
        text.push(byte[0]);
    }
    String::from_utf8(text).unwrap()
}
