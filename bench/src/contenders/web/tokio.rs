//! hyper and axum on Tokio, on one thread, as in hyper-util's `examples/server.rs` and axum's
//! `examples/hello-world`.

use std::io;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::Task;
use super::hyper::answer;
use super::router::router;
use crate::web::Protocol;
use crate::web::site::server_config;

pub(super) fn hyper(task: Task<'_>) -> io::Result<()> {
    let Task { protocol, listener, site, announce } = task;
    let tls = match protocol {
        Protocol::Tls => Some(TlsAcceptor::from(server_config(site)?)),
        Protocol::Http1 | Protocol::Http2 => None,
    };
    runtime()?.block_on(async {
        let listener = listen(listener)?;
        announce(listener.local_addr()?)?;
        loop {
            let (stream, _) = listener.accept().await?;
            match tls.clone() {
                None => drop(tokio::spawn(converse(stream))),
                Some(tls) => drop(tokio::spawn(async move {
                    if let Ok(stream) = tls.accept(stream).await {
                        converse(stream).await;
                    }
                })),
            }
        }
    })
}

/// Serves a connection to its end.
async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin + 'static) {
    let builder = Builder::new(TokioExecutor::new());
    // A connection that fails ends, and its client counts that.
    let _ = builder.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
}

pub(super) fn axum(task: Task<'_>) -> io::Result<()> {
    runtime()?.block_on(async {
        let listener = listen(task.listener)?;
        (task.announce)(listener.local_addr()?)?;
        axum::serve(listener, router()).await
    })
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

fn listen(listener: std::net::TcpListener) -> io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}
