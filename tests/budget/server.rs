//! Of `annulus::net`: addresses, listeners and servers.

use std::future::poll_fn;
use std::net::TcpStream as Peer;

use annulus::net::{ListenOptions, TcpListener, lookup, start_server};

use super::{TIMES, Trials};
use crate::common::watchdog::run;

#[test]
fn looking_up_what_is_known_takes_budget() {
    run(async {
        let mut trials = Trials::default();
        let known = ["127.0.0.1:80".parse().unwrap()];
        trials.ready("lookup of text", async || lookup("127.0.0.1:80").await).await;
        trials.ready("lookup of addresses", async || lookup(&known[..]).await).await;
        trials.ready("lookup of what is none", async || lookup("127.0.0.1").await).await;
    });
}

#[test]
fn waiting_for_a_server_that_is_closed_takes_budget() {
    run(async {
        let mut trials = Trials::default();
        let server = start_server(async |_, _| (), "127.0.0.1:0").await.unwrap();
        server.close();
        server.wait_closed().await;
        trials.ready("Server::wait_closed", async || server.wait_closed().await).await;
        trials.ready("Server::serve_forever", async || server.serve_forever().await).await;
        let none = std::time::Duration::ZERO;
        trials.ready("Server::shutdown", async || server.shutdown(none).await).await;
    });
}

#[test]
fn listening_and_closing_takes_budget() {
    run(async {
        let mut trials = Trials::default();
        trials.ready("TcpListener::bind", async || TcpListener::bind("127.0.0.1:0").await).await;
        let bind = async || TcpListener::bind("127.0.0.1:0").await.unwrap().close().await;
        trials.ready("TcpListener::close", bind).await;
        let start = async || start_server(async |_, _| (), "127.0.0.1:0").await.map(drop);
        trials.ready("start_server", start).await;
    });
}

#[test]
fn accepting_what_has_arrived_takes_budget() {
    run(async {
        let mut trials = Trials::default();
        let options = ListenOptions::new().backlog(2 * TIMES as u32);
        let listener = TcpListener::bind_with("127.0.0.1:0", &options).await.unwrap();
        let address = listener.local_addr().unwrap();
        let connect = || (0..TIMES).for_each(|_| drop(Peer::connect(address).unwrap()));
        connect();
        trials.ready("TcpListener::accept", async || listener.accept().await.unwrap()).await;
        connect();
        let poll = async || poll_fn(|context| listener.poll_accept(context)).await.unwrap();
        trials.ready("TcpListener::poll_accept", poll).await;
    });
}
