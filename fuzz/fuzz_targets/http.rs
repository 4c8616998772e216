//! The heads of requests in the example `http`: what is accepted has one meaning.

#![no_main]

// What the fuzzer does not use of the example.
#[allow(dead_code)]
#[path = "../../examples/http"]
mod http {
    pub(crate) mod limits;
    pub(crate) mod request;
    pub(crate) mod response;
}

use http::request::{Framing, Request};

libfuzzer_sys::fuzz_target!(|head: &[u8]| {
    let Ok(request) = Request::parse(head) else { return };
    assert!(request.path.starts_with('/') || request.path == "*", "{:?}", request.path);
    assert!(!request.path.contains(['?', '#', '\r', '\n']), "{:?}", request.path);
    assert!(!request.method.is_empty() && !request.method.contains(' '));
    // A body of two lengths is a second request for the server that takes the other one.
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let fields = |name: &str| text.lines().filter(|line| line.starts_with(name)).count();
    let (lengths, codings) = (fields("content-length:"), fields("transfer-encoding:"));
    assert!(lengths + codings <= 1, "{lengths} lengths and {codings} codings");
    match request.framing {
        Framing::Chunked => assert_eq!((lengths, codings), (0, 1)),
        Framing::Length(_) => assert_eq!(codings, 0),
    }
    // What follows the head belongs to the body.
    assert!(Request::parse(&[head, b"x"].concat()).is_err());
});
