//! The end of a server: requests in flight are answered, and connections without any end.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use annulus::Shutdown;
use annulus::net::{ShutdownOptions, TcpListener};
use annulus_hyper::server::serve;

use crate::common::{Client, example, limit, output, plain, run, service, while_serving};
use crate::http2;

#[test]
fn a_request_in_flight_is_answered_and_its_connection_closed() {
    let ((), ended) = while_serving(plain, |address, shutdown| {
        let mut client = Client::connect(address);
        // In flight, since the server answers in order.
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /held HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(client.response().ends_with("hello\n"));
        shutdown.request();
        let last = client.response();
        assert!(last.contains("connection: close\r\n"), "{last}");
        assert!(last.ends_with("at last\n"), "{last}");
        assert_eq!(client.rest().unwrap(), "");
    });
    assert_eq!((ended.report.completed, ended.report.aborted), (1, 0), "{ended:?}");
}

#[test]
fn connections_without_a_request_are_closed_long_before_the_grace_is_over() {
    let ((), ended) = while_serving(plain, |address, shutdown| {
        let (mut unused, mut kept) = (Client::connect(address), Client::connect(address));
        assert!(kept.get("/").ends_with("hello\n"));
        shutdown.request();
        assert_eq!((unused.rest().unwrap(), kept.rest().unwrap()), (String::new(), String::new()));
    });
    assert_eq!((ended.report.completed, ended.report.aborted), (2, 0), "{ended:?}");
    assert!(ended.took < limit() / 2, "{ended:?}");
}

/// The client sends its next request when the server has already begun to end.
#[test]
fn a_request_that_meets_the_end_is_answered() {
    let patient = |listener: TcpListener| {
        serve(listener, service()).keep_alive_linger(limit()).start().unwrap()
    };
    let ((), ended) = while_serving(patient, |address, shutdown| {
        let (mut unused, mut kept) = (Client::connect(address), Client::connect(address));
        assert!(kept.get("/").ends_with("hello\n"));
        shutdown.request();
        // The listener is closed first.
        while std::net::TcpStream::connect(address).is_ok() {}
        for client in [&mut unused, &mut kept] {
            let last = client.get("/");
            assert!(last.contains("connection: close\r\n") && last.ends_with("hello\n"), "{last}");
            assert_eq!(client.rest().unwrap(), "");
        }
    });
    assert_eq!(ended.report.aborted, 0, "{ended:?}");
}

#[test]
fn a_request_of_http2_in_flight_is_answered_after_a_goaway() {
    let ((), ended) = while_serving(plain, |address, shutdown| {
        let mut client = http2::Client::connect(address);
        client.request(1, "/held");
        client.ping();
        shutdown.request();
        assert_eq!(client.goaway(), http2::NO_ERROR);
        // The client had sent it when it did not know yet.
        client.request(3, "/");
        let (mut bodies, mut ended) = (Vec::new(), 0);
        while let Some(frame) = client.next() {
            if frame.kind == http2::DATA {
                bodies.extend(frame.payload);
                ended += usize::from(frame.flags & http2::END_STREAM != 0);
            }
        }
        let bodies = String::from_utf8(bodies).unwrap();
        assert!(["hello\nat last\n", "at last\nhello\n"].contains(&&*bodies), "{bodies}");
        assert_eq!(ended, 2);
    });
    assert_eq!((ended.report.completed, ended.report.aborted), (1, 0), "{ended:?}");
    assert_eq!(ended.counters.requests, 2);
}

/// What it is afterwards the server does not know: it counts it, and ends it after the grace.
#[test]
fn an_upgraded_connection_is_counted_until_it_ends_and_soft_cancelled_at_the_end() {
    annulus::run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = plain(listener);
        let address = *server.local_addr();
        let mut client = annulus::blocking::to_thread(move || {
            let mut client = Client::connect(address);
            client
                .send("GET /upgrade HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nearly");
            assert!(client.response().starts_with("HTTP/1.1 101 "));
            assert_eq!(client.exact(5), "early");
            client.send("later");
            assert_eq!(client.exact(5), "later");
            client
        })
        .await
        .unwrap();
        assert_eq!((server.active_connections(), server.counters().upgrades), (1, 1));
        let options = ShutdownOptions::new().grace(Duration::from_millis(10)).soft_grace(limit());
        let shutdown = Shutdown::new();
        shutdown.request();
        let report = server.serve_until(&shutdown, &options).await;
        assert_eq!((report.soft_cancelled, report.aborted), (1, 0), "{report}");
        let rest = annulus::blocking::to_thread(move || client.rest()).await.unwrap();
        assert_eq!(rest.unwrap(), "over");
    })
    .unwrap();
}

/// The example, which is killed when the test is over, however it ends.
struct Example(Child);

impl Example {
    fn start() -> (Self, BufReader<std::process::ChildStdout>, String) {
        let mut command = Command::new(example("graceful"));
        let mut child = command.arg("127.0.0.1:0").stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("serving on ").unwrap().to_owned();
        (Self(child), stdout, url)
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_server_that_ends_under_the_load_of_wrk_cuts_no_response_and_prints_its_counts() {
    let (mut example, mut stdout, url) = Example::start();
    let id = example.0.id().to_string();
    let descriptors = || std::fs::read_dir(format!("/proc/{id}/fd")).unwrap().count();
    let load = std::thread::spawn(move || {
        let arguments = ["-t", "1", "-c", "200", "-d", "2", "--timeout", "60", &url];
        run("wrk", &arguments)
    });
    while descriptors() < 200 && !load.is_finished() {
        std::thread::sleep(Duration::from_millis(1));
    }
    output("kill", &["-TERM", &id]).unwrap();
    let signalled = Instant::now();
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert!(example.0.wait().unwrap().success(), "{line}");
    assert!(signalled.elapsed() < limit());
    assert!(line.contains(" completed, 0 soft-cancelled, 0 aborted; "), "{line}");
    let Some(loaded) = load.join().unwrap() else { return };
    let loaded = String::from_utf8_lossy(&loaded.stdout).into_owned();
    // It counts refused connections as errors of writing: of these there are many afterwards,
    // unless its time was over.
    let errors = loaded.lines().find_map(|line| line.trim().strip_prefix("Socket errors: "));
    let is_cut = |errors: &str| !errors.contains("read 0, ") || !errors.ends_with("timeout 0");
    assert!(!errors.is_some_and(is_cut), "{loaded}");
    assert!(!loaded.contains("Non-2xx"), "{loaded}");
}
