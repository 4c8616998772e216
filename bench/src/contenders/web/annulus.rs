//! HTTP on this library: hyper, axum, and neither.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::rc::Rc;

use annulus::net::{TcpListener, TcpStream};
use annulus_hyper::server::{TlsListener, serve};
use annulus_tls::TlsAcceptor;
use hyper::service::service_fn;

use super::Task;
use super::hyper::answer;
use super::router::router;
use crate::web::Protocol;
use crate::web::answers::{Date, Requests};
use crate::web::site::server_config;

pub(super) fn hyper(task: Task<'_>) -> io::Result<()> {
    run(async {
        let listener = TcpListener::from_std(task.listener);
        (task.announce)(listener.local_addr()?)?;
        match task.protocol {
            Protocol::Http1 | Protocol::Http2 => serve(listener, service_fn(answer)).await,
            Protocol::Tls => {
                let acceptor = TlsAcceptor::new(server_config(task.site)?);
                serve(TlsListener::new(listener, acceptor), service_fn(answer)).await
            }
        }
    })
}

pub(super) fn axum(task: Task<'_>) -> io::Result<()> {
    run(async {
        let listener = TcpListener::from_std(task.listener);
        (task.announce)(listener.local_addr()?)?;
        annulus_axum::serve(listener, router()).await
    })
}

/// Answers without hyper.
pub(super) fn by_hand(task: Task<'_>) -> io::Result<()> {
    run(async {
        let listener = TcpListener::from_std(task.listener);
        (task.announce)(listener.local_addr()?)?;
        let date = Rc::new(RefCell::new(Date::new()));
        loop {
            let (stream, _) = listener.accept().await?;
            drop(annulus::spawn(converse(stream, Rc::clone(&date))));
        }
    })
}

/// Runs until there is an error.
fn run(serving: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    annulus::Runtime::builder().build()?.block_on(serving)
}

/// Serves a connection to its end.
async fn converse(mut stream: TcpStream, date: Rc<RefCell<Date>>) -> io::Result<()> {
    let (mut requests, mut out) = (Requests::default(), Vec::new());
    loop {
        let lease = stream.recv().await?;
        if lease.is_empty() {
            return Ok(());
        }
        {
            let mut date = date.borrow_mut();
            date.refresh();
            requests.answer(&lease, &mut date, &mut out)?;
        }
        drop(lease);
        let (sent, returned) = stream.write_all(out).await.into();
        sent?;
        out = returned;
        out.clear();
        if requests.closes {
            return Ok(());
        }
    }
}
