//! Routers, layers and bodies, over HTTP/1 and HTTP/2.

use std::fs;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::HeaderValue;
use axum::middleware::{Next, from_fn};
use axum::routing::{get, post};

use crate::clients::{curl, output, printed};
use crate::server::Server;

const VERSIONS: [&str; 2] = ["--http1.1", "--http2-prior-knowledge"];

#[test]
fn a_router_with_a_layer_answers_over_both_versions_of_http() {
    let server = Server::start(|| {
        let mark = from_fn(async |request: Request, next: Next| {
            let version = format!("{:?}", request.version());
            let mut response = next.run(request).await;
            response.headers_mut().insert("x-seen", HeaderValue::try_from(version).unwrap());
            response
        });
        Router::new().route("/", get("hello")).layer(mark)
    });
    for (version, seen) in VERSIONS.into_iter().zip(["HTTP/1.1", "HTTP/2.0"]) {
        let Some(mut curl) = curl(&[version, "-w", "|%header{x-seen}", &server.url("/")]) else {
            return;
        };
        assert_eq!(printed(&mut curl), format!("hello|{seen}"));
    }
}

#[test]
fn a_body_of_two_megabytes_comes_back_equal() {
    let server = Server::start(|| {
        let echo = async |body: Bytes| body;
        Router::new().route("/", post(echo)).layer(DefaultBodyLimit::disable())
    });
    let body: Vec<u8> = (0..2_000_000_u32).map(|number| (number / 251 + number) as u8).collect();
    let directory = env!("CARGO_TARGET_TMPDIR");
    let file = format!("{directory}/body-{}", std::process::id());
    fs::write(&file, &body).unwrap();
    let data = format!("@{file}");
    let chunked = ["-H", "Transfer-Encoding: chunked", "-H", "Expect: 100-continue"];
    for options in [&VERSIONS[..1], &VERSIONS[1..], &chunked[..]] {
        let url = server.url("/");
        let arguments = [options, &["--data-binary", &data, &url]].concat();
        let Some(mut curl) = curl(&arguments) else { return };
        assert!(output(&mut curl).stdout == body, "{options:?}");
    }
    fs::remove_file(file).unwrap();
}

#[test]
fn a_request_that_is_split_into_bytes_is_answered() {
    use std::io::Write;

    let server = Server::start(|| Router::new().route("/", get("hello")));
    let mut stream = server.connect();
    stream.set_nodelay(true).unwrap();
    for byte in b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" {
        stream.write_all(&[*byte]).unwrap();
    }
    let answer = crate::server::read_until(&mut stream, "hello");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}
