//! What a request costs, besides what hyper itself does: nothing is allocated, and what is written
//! in one turn is sent at once.
//!
//! The allocator counts for each thread, and a server tells what its thread has counted.

#[path = "../../../../tests/memory/allocator.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod allocator;
#[path = "../server/common/mod.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod common;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;

use annulus::net::TcpListener;
use annulus_hyper::server::{Server, serve};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

use common::{Client, while_serving};

/// What a server's thread has counted.
#[derive(Clone, Copy)]
struct Counted {
    allocations: u64,
    /// SQEs and system calls that send or receive.
    transfers: u64,
}

async fn respond(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = match request.uri().path() {
        "/counted" => {
            // None on Tokio.
            let is_ours = annulus::task::current_task().is_some();
            let metrics = is_ours.then(annulus::metrics).unwrap_or_default();
            let transfers = metrics.submitted + metrics.inline_calls;
            Bytes::from(format!("{} {transfers}", allocator::allocations()))
        }
        _ => Bytes::from_static(b"hello\n"),
    };
    Ok(Response::new(Full::new(body)))
}

fn start(listener: TcpListener) -> Server<TcpListener> {
    serve(listener, service_fn(respond)).start().unwrap()
}

fn counted(client: &mut Client) -> Counted {
    let response = client.get("/counted");
    let (_, body) = response.split_once("\r\n\r\n").unwrap();
    let (allocations, transfers) = body.split_once(' ').unwrap();
    Counted { allocations: allocations.parse().unwrap(), transfers: transfers.parse().unwrap() }
}

/// What `exchanges` exchanges of `requests` pipelined requests cost on a server.
fn cost(address: SocketAddr, exchanges: u64, requests: usize) -> Counted {
    let mut client = Client::connect(address);
    let pipelined = "GET / HTTP/1.1\r\nHost: test\r\n\r\n".repeat(requests);
    let mut exchange = |count| {
        for _ in 0..count {
            client.send(&pipelined);
            (0..requests).for_each(|_| drop(client.response()));
        }
        counted(&mut client)
    };
    // Everything grows to its size.
    exchange(50);
    let nothing = exchange(0);
    let before = exchange(0);
    let after = exchange(exchanges);
    // What it costs to ask for the counts is subtracted.
    Counted {
        allocations: after.allocations - 2 * before.allocations + nothing.allocations,
        transfers: after.transfers - 2 * before.transfers + nothing.transfers,
    }
}

/// Serves one connection by hyper alone, on Tokio's runtime.
fn with_tokio<T>(client: impl FnOnce(SocketAddr) -> T) -> T {
    let (sender, address) = mpsc::channel();
    let server = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send(listener.local_addr().unwrap()).unwrap();
            let io = TokioIo::new(listener.accept().await.unwrap().0);
            http1::Builder::new().serve_connection(io, service_fn(respond)).await.unwrap();
        });
    });
    let outcome = client(address.recv().unwrap());
    server.join().unwrap();
    outcome
}

/// Under the same requests of the same client. hyper allocates at least twice for each.
#[test]
fn a_request_allocates_as_often_as_with_hyper_on_tokio_and_no_more() {
    let exchanges = 1000;
    let here = |address| cost(address, exchanges, 1).allocations;
    let (ours, _) = while_serving(start, |address, _| here(address));
    let tokios = with_tokio(here);
    println!("in {exchanges} requests: {ours} allocations, and {tokios} on Tokio");
    assert!(tokios >= 2 * exchanges, "{tokios}");
    assert!(ours <= tokios + exchanges / 100, "{ours}, and {tokios} on Tokio");
}

#[test]
fn pipelined_requests_are_answered_in_one_send() {
    let exchanges = 200;
    let (cost, _) = while_serving(start, |address, _| cost(address, exchanges, 16));
    println!("{} transfers for {exchanges} times 16 requests", cost.transfers);
    // A client may be scheduled between two parts, or receive them apart.
    assert!(cost.transfers < 3 * exchanges, "{}", cost.transfers);
}
