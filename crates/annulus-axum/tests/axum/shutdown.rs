//! The end of a server.

use std::future::pending;
use std::io::{Read, Write};
use std::time::Duration;

use axum::Router;
use axum::routing::get;

use crate::server::Server;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

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
