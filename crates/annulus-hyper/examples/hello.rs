//! A server of HTTP/1 in a few lines.
//!
//! ```sh
//! cargo run -p annulus-hyper --example hello -- 127.0.0.1:8000
//! curl -i http://127.0.0.1:8000/
//! ```

use std::convert::Infallible;
use std::process::ExitCode;
use std::{env, io};

use annulus::net::TcpListener;
use annulus_hyper::server::serve;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};

async fn hello(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from_static(b"hello\n"))))
}

async fn listen_and_serve(address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    println!("serving on http://{}", listener.local_addr()?);
    serve(listener, service_fn(hello)).await
}

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8000".to_owned());
    if address.starts_with('-') || arguments.next().is_some() {
        eprintln!("hello: expected an address such as 127.0.0.1:8000, and nothing else");
        return ExitCode::FAILURE;
    }
    match annulus::run(listen_and_serve(&address)).map_err(io::Error::other).and_then(|ended| ended)
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hello: {error}");
            ExitCode::FAILURE
        }
    }
}
