//! Clients that are slow, silent or many.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use annulus::net::TcpListener;
use annulus_hyper::server::{Listener, Server, serve};

use crate::common::{Client, output, service, while_serving};

const SHORT: Duration = Duration::from_millis(100);

/// A client whose request is there before the server starts: it meets a short limit of heads,
/// however seldom this thread gets a processor.
fn with_a_request<L: Listener>(
    start: impl FnOnce(TcpListener) -> Server<L> + Send + 'static,
) -> (impl FnOnce(TcpListener) -> Server<L> + Send + 'static, mpsc::Receiver<Client>) {
    let (sender, early) = mpsc::channel();
    let start = move |listener: TcpListener| {
        let mut client = Client::connect(listener.local_addr().unwrap());
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        sender.send(client).unwrap();
        start(listener)
    };
    (start, early)
}

/// It sends a byte of a head now and then: each arrives in time, the head does not.
#[test]
fn a_head_that_never_ends_is_cut_however_much_arrives() {
    let (start, early) = with_a_request(|listener: TcpListener| {
        serve(listener, service()).header_read_timeout(SHORT).start().unwrap()
    });
    let ((), ended) = while_serving(start, |address, _| {
        let (mut silent, mut kept) = (Client::connect(address), early.recv().unwrap());
        assert!(kept.response().ends_with("hello\n"));
        let began = Instant::now();
        for client in [&mut Client::connect(address), &mut kept] {
            client.send("GET / HTTP/1.1\r\n");
            while client.try_send("X-Slow: yes\r\n").is_ok() {
                std::thread::sleep(SHORT / 20);
            }
            client.read_to_eof();
        }
        assert!(began.elapsed() >= 2 * SHORT);
        silent.read_to_eof();
    });
    assert_eq!((ended.counters.header_timeouts, ended.counters.requests), (3, 1), "{ended:?}");
    assert_eq!(ended.incidents, [""; 0]);
}

#[test]
fn a_connection_without_a_next_request_is_closed_and_one_with_a_slow_answer_is_not() {
    let start = |listener: TcpListener| {
        serve(listener, service()).keep_alive_timeout(SHORT).start().unwrap()
    };
    let ((), ended) = while_serving(start, |address, _| {
        let mut client = Client::connect(address);
        // Its answer takes three times as long.
        assert!(client.get("/slow").ends_with("at last\n"));
        assert_eq!(client.rest().unwrap(), "");
    });
    assert_eq!((ended.counters.idle_timeouts, ended.counters.requests), (1, 1), "{ended:?}");
}

#[test]
fn a_client_that_reads_slowly_what_was_answered_is_not_idle() {
    let start = |listener: TcpListener| {
        serve(listener, service()).keep_alive_timeout(SHORT).start().unwrap()
    };
    let ((), ended) = while_serving(start, |address, _| {
        const LENGTH: usize = 20 << 20;
        let mut client = Client::connect(address);
        client.send(&format!("POST /echo HTTP/1.1\r\nContent-Length: {LENGTH}\r\n\r\n"));
        let sender = client.send_zeros(LENGTH);
        std::thread::sleep(4 * SHORT);
        let echoed = client.response();
        sender.join().unwrap();
        assert!(echoed.len() > LENGTH);
    });
    assert_eq!(ended.counters.departed_peers, 0, "{ended:?}");
}

#[test]
fn slow_heads_of_slowhttptest_are_cut_and_others_are_served_meanwhile() {
    let (start, early) = with_a_request(|listener: TcpListener| {
        serve(listener, service()).header_read_timeout(5 * SHORT).start().unwrap()
    });
    let (ran, ended) = while_serving(start, |address, _| {
        let mut other = early.recv().unwrap();
        assert!(other.response().ends_with("hello\n"));
        let url = format!("http://{address}/");
        let attack = std::thread::spawn(move || {
            let arguments = ["-H", "-c", "200", "-r", "200", "-i", "1", "-l", "60", "-p", "60"];
            output("slowhttptest", &[&arguments[..], &["-u", &url]].concat())
        });
        for _ in 0..15 {
            let began = Instant::now();
            assert!(other.get("/").ends_with("hello\n"));
            assert!(began.elapsed() < crate::common::limit());
            std::thread::sleep(SHORT);
        }
        attack.join().unwrap().is_some()
    });
    if ran {
        assert!(ended.counters.header_timeouts >= 100, "{ended:?}");
    }
}
