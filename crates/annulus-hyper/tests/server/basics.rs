//! What a server does with good and bad requests, services and clients.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;

use annulus::net::{ServerOptions, TcpListener};
use annulus_hyper::server::{Protocol, make_service_fn, serve, serve_with};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::{Service, service_fn};
use hyper::{Request, Response};

use crate::common::{Client, plain, service, while_serving};

#[test]
fn requests_of_one_connection_are_answered_in_order() {
    let ((), ended) = while_serving(plain, |address, _| {
        let mut client = Client::connect(address);
        for _ in 0..3 {
            assert!(client.get("/").ends_with("\r\n\r\nhello\n"));
        }
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(10).as_str());
        for _ in 0..10 {
            assert!(client.response().ends_with("\r\n\r\nhello\n"));
        }
    });
    assert_eq!(ended.counters.requests, 13);
    assert_eq!((ended.report.aborted, ended.incidents.len()), (0, 0), "{ended:?}");
}

#[test]
fn a_head_that_arrives_byte_by_byte_is_a_request() {
    let ((), ended) = while_serving(plain, |address, _| {
        // The second begins as HTTP/2 does.
        for method in ["GET", "PRINT"] {
            let mut client = Client::connect(address);
            for byte in format!("{method} / HTTP/1.1\r\nHost: test\r\n\r\n").chars() {
                client.send(&byte.to_string());
            }
            assert!(client.response().ends_with("\r\n\r\nhello\n"));
        }
    });
    assert_eq!((ended.counters.requests, ended.report.aborted), (2, 0));
}

#[test]
fn a_malformed_head_is_answered_by_400_and_counted() {
    let ((), ended) = while_serving(plain, |address, _| {
        let mut client = Client::connect(address);
        client.send("no request\r\n\r\n");
        assert!(client.response().starts_with("HTTP/1.1 400 "));
        assert_eq!(client.rest().unwrap(), "");
        assert!(Client::connect(address).get("/").ends_with("hello\n"));
    });
    assert_eq!((ended.counters.protocol_errors, ended.counters.requests), (1, 1));
    assert_eq!(ended.incidents, [""; 0]);
}

#[test]
fn clients_that_leave_at_any_moment_are_no_incident() {
    let ((), ended) = while_serving(plain, |address, _| {
        let beginnings = [
            "",
            "G",
            "GET / HTTP/1.1\r\n",
            "POST /echo HTTP/1.1\r\nContent-Length: 10\r\n\r\nfive ",
            "GET /never HTTP/1.1\r\nHost: test\r\n\r\n",
        ];
        for beginning in beginnings {
            Client::connect(address).send(beginning);
        }
        assert!(Client::connect(address).get("/").ends_with("hello\n"));
    });
    assert_eq!(ended.incidents, [""; 0]);
    assert_eq!(ended.report.aborted, 0);
}

#[test]
fn errors_and_panics_of_the_service_are_reported_and_the_server_lives() {
    let ((), ended) = while_serving(plain, |address, _| {
        for path in ["/error", "/panic"] {
            let mut client = Client::connect(address);
            client.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
            assert_eq!(client.rest().unwrap_or_default(), "");
        }
        assert!(Client::connect(address).get("/").ends_with("hello\n"));
    });
    assert_eq!(ended.counters.service_failures, 1);
    let [error, panic] = ended.incidents.as_slice() else { panic!("{ended:?}") };
    assert!(error.contains("the service has no answer"), "{error}");
    assert!(panic.contains("the service panics"), "{panic}");
}

#[test]
fn a_service_is_made_for_each_connection_and_need_not_be_send() {
    let start = |listener: TcpListener| {
        let make = make_service_fn(async |peer: &SocketAddr| {
            let peer = Rc::new(*peer);
            Ok::<_, Infallible>(service_fn(move |_: Request<Incoming>| {
                let peer = Rc::clone(&peer);
                async move {
                    annulus::yield_now().await;
                    let body = Full::new(Bytes::from(peer.port().to_string()));
                    Ok::<_, Infallible>(Response::new(body))
                }
            }))
        });
        serve_with(listener, make).start().unwrap()
    };
    while_serving(start, |address, _| {
        let mut clients = [Client::connect(address), Client::connect(address)];
        for client in &mut clients {
            let port = client.local_addr().port();
            assert!(client.get("/").ends_with(&format!("\r\n\r\n{port}")));
        }
    });
}

#[test]
fn a_service_that_cannot_be_made_closes_the_connection_and_is_reported() {
    let start = |listener: TcpListener| {
        let make = make_service_fn(async |_: &SocketAddr| {
            Err::<Rc<Never>, _>(std::io::Error::other("no database"))
        });
        serve_with(listener, make).start().unwrap()
    };
    let ((), ended) = while_serving(start, |address, _| {
        assert_eq!(Client::connect(address).rest().unwrap_or_default(), "");
    });
    assert_eq!(ended.counters.setup_failures, 1);
    assert!(ended.incidents[0].contains("no database"), "{ended:?}");
}

#[test]
fn a_server_of_one_version_refuses_the_other() {
    let only = |listener: TcpListener| {
        serve(listener, service()).protocol(Protocol::Http2).start().unwrap()
    };
    let ((), ended) = while_serving(only, |address, _| {
        let mut client = Client::connect(address);
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        client.read_to_eof();
    });
    assert_eq!((ended.counters.requests, ended.counters.protocol_errors), (0, 1), "{ended:?}");
}

#[test]
fn the_limits_of_connections_are_those_of_the_runtimes_servers() {
    let start = |listener: TcpListener| {
        let limits = ServerOptions::new().max_connections_per_peer(1);
        serve(listener, service()).limits(limits).start().unwrap()
    };
    while_serving(start, |address, _| {
        let mut first = Client::connect(address);
        assert!(first.get("/").ends_with("hello\n"));
        let refused = Client::connect(address).rest();
        assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
        assert!(first.get("/").ends_with("hello\n"));
    });
}

/// A service that is never made.
struct Never;

impl Service<Request<Incoming>> for Never {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Pending<Result<Self::Response, Infallible>>;

    fn call(&self, _: Request<Incoming>) -> Self::Future {
        std::future::pending()
    }
}
