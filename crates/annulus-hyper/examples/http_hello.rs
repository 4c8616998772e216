//! A server of HTTP/1 in a few lines.
//!
//! ```sh
//! cargo run -p annulus-hyper --example http_hello -- 127.0.0.1:8000
//! curl -i http://127.0.0.1:8000/
//! ```

#[path = "shared/arguments.rs"]
mod arguments;
#[path = "shared/outcome.rs"]
mod outcome;

use std::convert::Infallible;
use std::io::{self, Write};
use std::process::ExitCode;

use annulus::net::TcpListener;
use annulus_hyper::server::serve;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};

const USAGE: &str = "\
A server of HTTP/1 that answers every request with a greeting.

Usage: http_hello [ADDRESS]

ADDRESS is where to listen, like 127.0.0.1:8000 (the default), [::1]:8000 or localhost:8000.";

async fn hello(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from_static(b"hello\n"))))
}

async fn listen_and_serve(address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    writeln!(io::stdout(), "serving on http://{}", listener.local_addr()?)?;
    serve(listener, service_fn(hello)).await
}

fn main() -> ExitCode {
    let [address] = match arguments::addresses("http_hello", USAGE, ["127.0.0.1:8000"]) {
        Ok(addresses) => addresses,
        Err(code) => return code,
    };
    let outcome = annulus::run(listen_and_serve(&address)).map_err(io::Error::other);
    outcome::exit_code("http_hello", outcome.and_then(|ended| ended))
}
