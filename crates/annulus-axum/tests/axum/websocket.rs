//! WebSockets, with Python's `websockets` where messages are exchanged.

use std::cell::Cell;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use annulus::task::ThreadBound;
use annulus::time::sleep;
use annulus_axum::ws::{CloseCode, CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::any;
use tower_service::Service;

use crate::clients::{output, python};
use crate::common::bounded::bounded;
use crate::server::{Server, read_until};

/// Sends back what it receives. It holds an `Rc` and sleeps, so it is not `Send`.
async fn echo(mut socket: WebSocket) {
    let first_pause = Rc::new(Duration::ZERO);
    sleep(*first_pause).await;
    while let Some(Ok(message)) = socket.recv().await {
        if matches!(message, Message::Text(_) | Message::Binary(_)) {
            socket.send(message).await.unwrap();
        }
    }
}

fn router() -> Router {
    let protocols = async |request: WebSocketUpgrade| {
        request.protocols(["first", "second"]).on_upgrade(async |socket| {
            assert_eq!(socket.protocol().unwrap(), "first");
        })
    };
    let short = async |request: WebSocketUpgrade| request.max_message_size(1000).on_upgrade(echo);
    // Each ends after one message.
    let returns = async |request: WebSocketUpgrade| {
        request.on_upgrade(async |mut socket| drop(socket.recv().await))
    };
    let panics = async |request: WebSocketUpgrade| {
        request.on_upgrade(async |mut socket| {
            socket.recv().await;
            panic!("on purpose");
        })
    };
    let closes = async |request: WebSocketUpgrade| {
        request.on_upgrade(async |mut socket| {
            socket.recv().await;
            let frame = CloseFrame { code: CloseCode::Library(4321), reason: "so".into() };
            socket.send(Message::Close(Some(frame))).await.unwrap();
        })
    };
    Router::new()
        .route("/", any(async |request: WebSocketUpgrade| request.on_upgrade(echo)))
        .route("/protocols", any(protocols))
        .route("/short", any(short))
        .route("/returns", any(returns))
        .route("/panics", any(panics))
        .route("/closes", any(closes))
}

/// Runs a test of the Python client.
fn client(server: &Server, path: &str, arguments: &[&str]) {
    let Some(mut client) = python("websocket_client.py", "websockets") else { return };
    let url = format!("ws://{}{path}", server.address);
    output(client.arg(arguments[0]).arg(url).args(&arguments[1..]));
}

#[test]
fn messages_of_all_lengths_pings_fragments_and_fifty_clients_are_echoed() {
    let server = Server::start(router);
    client(&server, "/", &["all"]);
    let report = server.end_when_idle();
    assert_eq!((report.completed, report.aborted), (0, 0), "{report}");
}

#[test]
fn the_first_known_protocol_is_chosen() {
    client(&Server::start(router), "/protocols", &["protocol"]);
}

#[test]
fn a_message_beyond_the_limit_and_the_end_of_a_callback_end_the_connection_with_a_code() {
    let server = Server::start(router);
    let codes = [
        ("/short", "1001", "1009"),
        // Far more than the kernel's buffers hold: a reset would overtake the code.
        ("/short", "8000000", "1009"),
        ("/returns", "1", "1000"),
        ("/panics", "1", "1011"),
        ("/closes", "1", "4321"),
    ];
    let codes: Vec<_> = codes.iter().flat_map(|&(path, size, code)| [path, size, code]).collect();
    client(&server, "", &[&["codes"], &codes[..]].concat());
}

#[test]
fn a_websocket_is_told_that_the_server_ends_and_is_waited_for() {
    let Some(mut client) = python("websocket_client.py", "websockets") else { return };
    let server = Server::start(router);
    client.arg("wait_for_close").arg(format!("ws://{}/", server.address));
    let mut client = client.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(client.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "connected");
    let report = server.end();
    assert_eq!((report.completed, report.aborted), (1, 0), "{report}");
    assert_eq!(lines.next().unwrap().unwrap(), "1001");
    assert!(client.wait().unwrap().success());
}

/// The handshake of RFC 6455, with a header replaced.
fn handshake(replaced: &str, with: &str) -> String {
    let request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\n\
                   Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    assert!(request.contains(replaced));
    request.replacen(replaced, with, 1)
}

#[test]
fn the_handshake_of_rfc_6455_is_answered_as_it_says() {
    let server = Server::start(router);
    let mut stream = server.connect();
    stream.write_all(handshake("", "").as_bytes()).unwrap();
    let head = read_until(&mut stream, "\r\n\r\n").to_lowercase();
    assert!(head.starts_with("http/1.1 101 switching protocols\r\n"), "{head}");
    assert!(head.contains("\r\nsec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"), "{head}");
    // Frames that are not masked are refused, with code 1002.
    stream.write_all(b"\x81\x01x").unwrap();
    let mut close = Vec::new();
    stream.read_to_end(&mut close).unwrap();
    assert_eq!(close, b"\x88\x02\x03\xea");
}

#[test]
fn a_request_that_is_no_handshake_is_told_why() {
    let server = Server::start(router);
    let upgrade = "upgrade: websocket\r\n";
    for (replaced, with, status, header) in [
        ("Version: 13", "Version: 12", 426, "sec-websocket-version: 13\r\n"),
        ("Version: 13", "Version: 13, 8", 426, "sec-websocket-version: 13\r\n"),
        ("Sec-WebSocket-Version: 13\r\n", "", 426, "sec-websocket-version: 13\r\n"),
        ("Upgrade: websocket", "Upgrade: h2c", 426, upgrade),
        ("keep-alive, Upgrade", "keep-alive", 426, upgrade),
        ("GET", "POST", 405, "allow: GET\r\n"),
        ("dGhlIHNhbXBsZSBub25jZQ==", "short", 400, ""),
        ("Sec-WebSocket-Key: ", "Sec-WebSocket-Key: x\r\nSec-WebSocket-Key: ", 400, ""),
        ("HTTP/1.1", "HTTP/1.0", 426, upgrade),
    ] {
        let mut stream = server.connect();
        stream.write_all(handshake(replaced, with).as_bytes()).unwrap();
        let head = read_until(&mut stream, "\r\n\r\n");
        let version = if with == "HTTP/1.0" { "HTTP/1.0" } else { "HTTP/1.1" };
        assert!(head.starts_with(&format!("{version} {status} ")), "{replaced} {with}: {head}");
        assert!(head.contains(header), "{replaced} {with}: {head}");
    }
}

#[test]
fn a_connection_that_cannot_be_upgraded_is_reported_to_the_handler() {
    bounded(|| {
        annulus::run(async {
            let (sender, receiver) = annulus::sync::oneshot::channel();
            let sender = Arc::new(ThreadBound::new(Cell::new(Some(sender))));
            let upgrade = async move |request: WebSocketUpgrade| {
                let callback = async |_| panic!("it is not upgraded");
                request.on_upgrade_or(callback, move |error| {
                    sender.take().unwrap().send(error.to_string()).unwrap();
                })
            };
            let mut request = Request::builder()
                .header("Connection", "Upgrade")
                .header("Upgrade", "websocket")
                .header("Sec-WebSocket-Version", "13")
                .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
                .body(Body::empty())
                .unwrap();
            // An upgrade that has no connection.
            let upgrade_of_none = hyper::upgrade::on(Request::new(()));
            request.extensions_mut().insert(upgrade_of_none);
            let mut router: Router = Router::new().route("/", any(upgrade));
            let response = Service::call(&mut router, request).await.unwrap();
            assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
            assert!(receiver.await.unwrap().contains("upgrade"));
        })
        .unwrap();
    });
}
