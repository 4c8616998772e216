//! A server of HTTP/1 and HTTP/2 with limits, which ends in order at SIGTERM or ctrl-c.
//!
//! ```sh
//! cargo run -p annulus-hyper --features http2 --example graceful -- 127.0.0.1:8000
//! curl -i http://127.0.0.1:8000/
//! curl -i --http2-prior-knowledge http://127.0.0.1:8000/
//! curl --data-binary @Cargo.lock http://127.0.0.1:8000/echo
//! curl http://127.0.0.1:8000/slow & kill -TERM $(pidof graceful)
//! ```

use std::process::ExitCode;
use std::time::Duration;
use std::{env, io};

use annulus::Shutdown;
use annulus::net::{ListenOptions, ServerOptions, ShutdownOptions, ShutdownReport, TcpListener};
use annulus::time::sleep;
use annulus_hyper::server::serve;
use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};

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
    println!("serving on http://{}", listener.local_addr()?);
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
    println!("stopped: {report}; {} requests", counters.requests);
    Ok(report)
}

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8000".to_owned());
    if address.starts_with('-') || arguments.next().is_some() {
        eprintln!("graceful: expected an address such as 127.0.0.1:8000, and nothing else");
        return ExitCode::FAILURE;
    }
    match annulus::run(listen_and_serve(&address)).map_err(io::Error::other).and_then(|ended| ended)
    {
        Ok(report) => report.exit_code(),
        Err(error) => {
            eprintln!("graceful: {error}");
            ExitCode::FAILURE
        }
    }
}
