//! Clients that mean harm: each costs the server a bounded amount, and then ends.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use annulus::net::{ServerOptions, TcpListener};
use annulus::time::timeout;
use annulus_hyper::server::{Server, serve};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};

use crate::common::{Client, load, output, plain, service, while_serving};
use crate::http2::{self, frame};

const SHORT: Duration = Duration::from_millis(100);

/// How long a body may take is the service's to say, as the module's documentation shows.
#[test]
fn a_body_that_drips_is_cut_by_the_time_that_the_service_gives_it() {
    let start = |listener: TcpListener| {
        let upload = async |request: Request<Incoming>| {
            let body = timeout(SHORT, request.into_body().collect()).await;
            let status = body.map_or(StatusCode::REQUEST_TIMEOUT, |_| StatusCode::OK);
            let response = Response::builder().status(status);
            Ok::<_, Infallible>(response.body(Full::<Bytes>::default()).unwrap())
        };
        // The drops come often enough for this.
        let limits = ServerOptions::new().idle_timeout(crate::common::limit());
        serve(listener, service_fn(upload)).limits(limits).start().unwrap()
    };
    let ((), ended) = while_serving(start, |address, _| {
        let mut client = Client::connect(address);
        let began = Instant::now();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
        while client.try_send("x").is_ok() {
            std::thread::sleep(SHORT / 20);
        }
        assert!(began.elapsed() >= SHORT);
        assert!(client.response().starts_with("HTTP/1.1 408 "));
        client.read_to_eof();
    });
    assert_eq!((ended.counters.requests, ended.report.aborted), (1, 0), "{ended:?}");
}

#[test]
fn heads_with_too_many_fields_or_bytes_are_answered_by_431() {
    let ((), ended) = while_serving(plain, |address, _| {
        let many = "a: b\r\n".repeat(101);
        let long = format!("a: {}\r\n", "b".repeat(420_000));
        for fields in [many, long] {
            let mut client = Client::connect(address);
            client.send(&format!("GET / HTTP/1.1\r\n{fields}"));
            client.send(if fields.len() < 1000 { "\r\n" } else { "" });
            let response = client.response();
            assert!(response.starts_with("HTTP/1.1 431 "), "{response}");
            client.read_to_eof();
        }
        let (url, field) = (format!("http://{address}/"), format!("a: {}", "b".repeat(20_000)));
        let arguments = ["-sS", "-o", "/dev/null", "-w", "%{http_code}", "-H", &field, &url];
        let arguments = [&["--http2-prior-knowledge"], &arguments[..]].concat();
        assert!(output("curl", &arguments).is_none_or(|code| code == "431"));
    });
    assert_eq!((ended.counters.requests, ended.incidents.len()), (0, 0), "{ended:?}");
}

/// How many of something there are, and were at most.
#[derive(Default)]
struct Gauge {
    now: AtomicUsize,
    most: AtomicUsize,
}

struct Counted(Arc<Gauge>);

impl Counted {
    fn new(gauge: &Arc<Gauge>) -> Self {
        let now = gauge.now.fetch_add(1, Ordering::Relaxed) + 1;
        gauge.most.fetch_max(now, Ordering::Relaxed);
        Self(Arc::clone(gauge))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Starts a server of which no request is ever answered.
fn never(gauge: &Arc<Gauge>) -> impl FnOnce(TcpListener) -> Server<TcpListener> + Send + use<> {
    let gauge = Arc::clone(gauge);
    |listener| {
        let respond = move |_: Request<Incoming>| {
            let counted = Counted::new(&gauge);
            async move {
                let _counted = counted;
                std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>().await
            }
        };
        serve(listener, service_fn(respond)).start().unwrap()
    }
}

fn request_and_reset(stream: u32) -> Vec<u8> {
    let flags = http2::END_HEADERS | http2::END_STREAM;
    let mut both = frame(http2::HEADERS, flags, stream, &http2::get("/"));
    both.extend(frame(http2::RST_STREAM, 0, stream, &http2::CANCEL.to_be_bytes()));
    both
}

#[test]
fn a_rapid_reset_is_answered_by_goaway_and_starts_few_requests() {
    let gauge = Arc::default();
    let ((), ended) = while_serving(never(&gauge), |address, _| {
        let mut client = http2::Client::connect(address);
        let flood: Vec<u8> = (0..2_000).flat_map(|n| request_and_reset(2 * n + 1)).collect();
        let _ = client.send(&flood);
        assert_eq!(client.goaway(), http2::ENHANCE_YOUR_CALM);
        while client.next().is_some() {}
    });
    assert!(ended.counters.requests <= 200, "{ended:?}");
    assert_eq!((ended.counters.protocol_errors, ended.incidents.len()), (1, 0), "{ended:?}");
    assert_eq!(gauge.now.load(Ordering::Relaxed), 0);
}

/// Each has been given to the service when it is reset, so that it is no rapid reset.
#[test]
fn a_request_that_is_reset_is_dropped_and_does_not_pile_up() {
    let gauge = Arc::default();
    let count = 300;
    let ((), ended) = while_serving(never(&gauge), |address, _| {
        let mut client = http2::Client::connect(address);
        for stream in (0..count).map(|n| 2 * n + 1) {
            client.request(stream, "/");
            client.ping();
            let reset = http2::CANCEL.to_be_bytes();
            client.send(&frame(http2::RST_STREAM, 0, stream, &reset)).unwrap();
        }
    });
    assert_eq!(ended.counters.requests, u64::from(count), "{ended:?}");
    assert!(gauge.most.load(Ordering::Relaxed) <= 10);
    assert_eq!(gauge.now.load(Ordering::Relaxed), 0);
}

#[test]
fn a_flood_of_continuation_frames_is_answered_by_goaway_and_is_no_request() {
    let ((), ended) = while_serving(plain, |address, _| {
        // Nothing in each, and 16 KiB of `accept-encoding: gzip, deflate`.
        for piece in [&[][..], &[0x90; 16_384]] {
            let mut client = http2::Client::connect(address);
            client.send(&frame(http2::HEADERS, http2::END_STREAM, 1, &http2::get("/"))).unwrap();
            let piece = frame(http2::CONTINUATION, 0, 1, piece);
            let sent = (0..10_000).find(|_| client.send(&piece).is_err());
            // What the kernel has room for may be sent before it is refused.
            assert!(sent.is_some() || piece.len() < 10);
            let mut code = None;
            while let Some(frame) = client.next() {
                if frame.kind == http2::GOAWAY {
                    code = Some(u32::from_be_bytes(frame.payload[4..8].try_into().unwrap()));
                }
            }
            assert_eq!(code, Some(http2::ENHANCE_YOUR_CALM));
        }
    });
    assert_eq!((ended.counters.requests, ended.counters.protocol_errors), (0, 2), "{ended:?}");
}

/// A body without end.
struct Endless(Arc<AtomicUsize>);

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        static PIECE: [u8; 16 << 10] = [0; 16 << 10];
        self.0.fetch_add(PIECE.len(), Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&PIECE)))))
    }
}

#[test]
fn a_client_that_reads_no_response_is_cut_by_the_send_timeout_and_holds_little() {
    let taken = Arc::new(AtomicUsize::new(0));
    let its = Arc::clone(&taken);
    let start = move |listener: TcpListener| {
        let respond = move |_: Request<Incoming>| {
            let body = Endless(Arc::clone(&its));
            async move { Ok::<_, Infallible>(Response::new(body)) }
        };
        let limits = ServerOptions::new().send_timeout(SHORT);
        serve(listener, service_fn(respond)).limits(limits).start().unwrap()
    };
    let ((), ended) = while_serving(start, |address, _| {
        let mut client = Client::connect(address);
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        // Until it is reset.
        while client.try_send("x").is_ok() {
            std::thread::sleep(SHORT / 20);
        }
    });
    // The buffers of two sockets, which the kernel lets grow to some MiB, and those of hyper.
    let taken = taken.load(Ordering::Relaxed);
    assert!(taken < 24 << 20, "{taken}");
    assert_eq!((ended.report.aborted, ended.incidents.len()), (0, 0), "{ended:?}");
}

#[test]
fn thousands_of_idle_connections_delay_the_end_by_no_more_than_the_linger() {
    let count = load(2_000, 8_000) as usize;
    // They are idle for as long as this machine takes to make them all.
    let patient = |listener: TcpListener| {
        let server = serve(listener, service()).header_read_timeout(None);
        server.keep_alive_timeout(None).start().unwrap()
    };
    let ((), ended) = while_serving(patient, |address, shutdown| {
        let mut clients: Vec<_> = (0..count).map(|_| Client::connect(address)).collect();
        for client in clients.iter_mut().step_by(8) {
            assert!(client.get("/").ends_with("hello\n"));
        }
        shutdown.request();
        for client in &mut clients {
            assert_eq!(client.rest().unwrap(), "");
        }
    });
    assert_eq!((ended.report.completed, ended.report.aborted), (count, 0), "{ended:?}");
    assert!(ended.took < crate::common::limit() / 2, "{ended:?}");
}
