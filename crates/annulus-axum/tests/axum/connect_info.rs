//! What handlers learn of their connection.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::thread;

use annulus::Shutdown;
use annulus::net::{ShutdownOptions, UnixListener};
use annulus_axum::{UnixConnectInfo, serve};
use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get;

use crate::clients::{curl, printed};
use crate::common::bounded::bounded;
use crate::server::{Server, read_until};

#[test]
fn a_handler_sees_the_address_of_its_client() {
    let server = Server::start(|| {
        let who = async |ConnectInfo(peer): ConnectInfo<SocketAddr>| format!("it is {peer}.");
        Router::new().route("/", get(who))
    });
    let mut stream = server.connect();
    // Two requests on one connection: the address is the connection's.
    for _ in 0..2 {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let wanted = format!("\r\n\r\nit is {}.", stream.local_addr().unwrap());
        read_until(&mut stream, &wanted);
    }
}

#[test]
fn a_router_is_served_on_a_unix_socket() {
    let path = format!("{}/axum-{}.sock", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    let _ = fs::remove_file(&path);
    let Some(mut curl) = curl(&["--unix-socket", &path, "http://localhost/"]) else { return };
    let who = async |ConnectInfo(peer): ConnectInfo<UnixConnectInfo>| {
        format!("unnamed: {}", peer.peer_addr.is_unnamed())
    };
    let app = Router::new().route("/", get(who));
    let shutdown = Shutdown::new();
    let its = shutdown.clone();
    bounded(|| {
        let run = async {
            let listener = UnixListener::bind(&path)?;
            let client = thread::spawn(move || {
                let answer = printed(&mut curl);
                shutdown.request();
                answer
            });
            let service = app.into_make_service_with_connect_info::<UnixConnectInfo>();
            serve(listener, service).serve_until(&its, &ShutdownOptions::new()).await?;
            std::io::Result::Ok(client.join().unwrap())
        };
        assert_eq!(annulus::run(run).unwrap().unwrap(), "unnamed: true");
    });
}
