//! Of `annulus::net`: addresses, listeners and servers.

use annulus::net::{TcpListener, lookup, start_server};

use super::Trials;
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
