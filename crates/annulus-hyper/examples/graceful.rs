//! A server of HTTP/1 and HTTP/2 with limits, which ends in order at SIGTERM or ctrl-c.
//!
//! ```sh
//! cargo run -p annulus-hyper --features http2 --example graceful -- 127.0.0.1:8000
//! curl -i http://127.0.0.1:8000/
//! curl -i --http2-prior-knowledge http://127.0.0.1:8000/
//! curl --data-binary @Cargo.lock http://127.0.0.1:8000/echo
//! curl http://127.0.0.1:8000/slow & kill -TERM $(pidof graceful)
//! ```

#[path = "shared/arguments.rs"]
mod arguments;
#[path = "shared/outcome.rs"]
mod outcome;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use annulus::Shutdown;
use annulus::net::{ListenOptions, ServerOptions, ShutdownOptions, ShutdownReport, TcpListener};
use annulus::time::sleep;
use annulus_hyper::server::serve;
use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};

const USAGE: &str = "\
A server of HTTP/1 and HTTP/2 with limits, which ends in order at SIGTERM or ctrl-c.

Usage: graceful [ADDRESS]

ADDRESS is where to listen, like 127.0.0.1:8000 (the default), [::1]:8000 or localhost:8000.

It answers GET of / and of /slow, which takes a second, and POST to /echo.";

type Body = Either<Full<Bytes>, Incoming>;

/// Answers a request. Its future need not be `Send`, so it may hold an `Rc` over an await.
async fn respond(request: Request<Incoming>) -> hyper::Result<Response<Body>> {
    let text = |text: &'static str| Either::Left(Full::new(Bytes::from_static(text.as_bytes())));
    Ok(match (request.method(), request.uri().path()) {
        (&Method::GET, "/") => Response::new(text("hello\n")),
        (&Method::GET, "/slow") => {
            sleep(Duration::from_secs(1)).await;
            Response::new(text("at last\n"))
        }
        // The body of the request is that of the response, piece by piece as it arrives.
        (&Method::POST, "/echo") => Response::new(Either::Right(request.into_body())),
        _ => {
            let mut response = Response::new(text("not found\n"));
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        }
    })
}

async fn listen_and_serve(address: &str) -> io::Result<ShutdownReport> {
    let shutdown = Shutdown::on_signals()?;
    let listener = TcpListener::bind_with(address, &ListenOptions::new().backlog(4096)).await?;
    writeln!(io::stdout(), "serving on http://{}", listener.local_addr()?)?;
    let limits = ServerOptions::new()
        .max_connections(10_000)
        .idle_timeout(Duration::from_secs(120))
        .send_timeout(Duration::from_secs(30));
    let server = serve(listener, service_fn(respond))
        .limits(limits)
        .header_read_timeout(Duration::from_secs(10))
        // Clients that are busy may take a while to send their next request.
        .keep_alive_linger(Duration::from_secs(1))
        .start()?;
    let report = server.serve_until(&shutdown, &ShutdownOptions::new()).await;
    let counters = server.counters();
    writeln!(io::stdout(), "stopped: {report}; {} requests", counters.requests)?;
    Ok(report)
}

fn main() -> ExitCode {
    let [address] = match arguments::addresses("graceful", USAGE, ["127.0.0.1:8000"]) {
        Ok(addresses) => addresses,
        Err(code) => return code,
    };
    let outcome = annulus::run(listen_and_serve(&address)).map_err(io::Error::other);
    outcome::exit_code("graceful", outcome.and_then(|ended| ended))
}
