//! The end of a server.

use std::future::pending;
use std::io::{Read, Write};
use std::rc::Rc;
use std::time::Duration;

use annulus::Shutdown;
use annulus::net::TcpListener;
use annulus::sync::Event;
use annulus::task::ThreadBound;
use annulus_axum::{local, serve};
use axum::Router;
use axum::routing::get;

use crate::common::bounded::bounded;
use crate::server::{Server, read_until};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn a_request_in_flight_is_answered_before_the_server_ends() {
    let (sender, began) = std::sync::mpsc::channel();
    let is_ending = Shutdown::new();
    let its = is_ending.clone();
    let server = Server::start(move || {
        let handler = local(move || {
            let (sender, its) = (sender.clone(), its.clone());
            async move {
                sender.send(()).unwrap();
                its.requested().await;
                // Longer than the server would live if it did not wait.
                annulus::time::sleep(Duration::from_millis(50)).await;
                "at last"
            }
        });
        Router::new().route("/", get(handler)).route("/idle", get("hello"))
    });
    let (mut busy, mut idle) = (server.connect(), server.connect());
    idle.write_all(b"GET /idle HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    read_until(&mut idle, "hello");
    busy.write_all(REQUEST).unwrap();
    began.recv().unwrap();
    let address = server.address;
    server.shutdown.request();
    is_ending.request();
    let report = server.end();
    assert_eq!((report.completed, report.aborted), (2, 0), "{report}");
    let mut answer = String::new();
    busy.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("at last"), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    assert_eq!(idle.read(&mut [0]).unwrap(), 0, "an idle connection ends in order");
    assert!(std::net::TcpStream::connect(address).is_err(), "the port is free");
}

#[test]
fn a_handler_without_an_end_is_aborted_after_the_grace_period() {
    let (sender, began) = std::sync::mpsc::channel();
    let server = Server::with_grace(Duration::from_millis(20), move || {
        let handler = async move || {
            sender.send(()).unwrap();
            pending::<()>().await;
        };
        Router::new().route("/", get(handler))
    });
    let mut stream = server.connect();
    stream.write_all(REQUEST).unwrap();
    began.recv().unwrap();
    assert_eq!(server.end().aborted, 1);
    assert!(!matches!(stream.read(&mut [0]), Ok(1)), "nothing is answered");
}

#[test]
fn the_future_of_a_graceful_shutdown_ends_the_server() {
    bounded(|| {
        annulus::run(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            // The signal need not be `Send`, and neither need what the handler holds.
            let asked = Rc::new(Event::new());
            let state = std::sync::Arc::new(ThreadBound::new(Rc::clone(&asked)));
            let stop = async move || {
                state.set();
                "stopping"
            };
            let app = Router::new().route("/stop", get(stop));
            let client = std::thread::spawn(move || {
                let mut stream = crate::common::program::connect(address);
                let request = b"GET /stop HTTP/1.1\r\nHost: x\r\n\r\n";
                stream.write_all(request).unwrap();
                let mut answer = String::new();
                stream.read_to_string(&mut answer).unwrap();
                answer
            });
            let served = serve(listener, app);
            assert_eq!(served.local_addr().unwrap(), address);
            served.with_graceful_shutdown(async move { asked.wait().await }).await.unwrap();
            assert!(client.join().unwrap().ends_with("stopping"));
        })
        .unwrap();
    });
}
