//! A server of static files over TLS, on all cores.
//!
//! ```sh
//! cargo run -p annulus-axum --features tls,http2 --example https_static -- \
//!     --self-signed target/doc
//! curl --insecure https://localhost:8443/annulus/index.html
//! curl --insecure --range 0-99 https://localhost:8443/annulus/index.html
//! ```
//!
//! With a certificate, on the port of HTTPS:
//!
//! ```sh
//! cargo run --release -p annulus-axum --features tls,http2 --example https_static -- \
//!     --certificate fullchain.pem --key privkey.pem /srv/www '[::]:443'
//! ```
//!
//! The site is that of `static_files`, in whose directory its sources are.
//!
//! Each shard accepts on the same port; they share the certificate and the sessions that clients
//! resume. SIGTERM or ctrl-c stops listening, and what is being sent has ten seconds to end.

#[path = "../shared/identity.rs"]
mod identity;
#[path = "../shared/outcome.rs"]
mod outcome;
#[path = "../shared/parsed.rs"]
mod parsed;
#[path = "../static_files/site/mod.rs"]
mod site;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use annulus::net::{ListenOptions, ShutdownReport, TcpListener};
use annulus::{Shards, Shutdown};
use annulus_axum::TlsListener;
use annulus_tls::TlsAcceptor;
use lexopt::prelude::{Long, Short, Value, ValueExt};

use crate::identity::{Identity, IdentityOptions};
use crate::site::Directory;

const USAGE: &str = "\
A server of static files over TLS, on all cores.

Usage: https_static (--certificate FILE --key FILE | --self-signed) DIRECTORY [ADDRESS]

  DIRECTORY            what to serve
  ADDRESS              where to listen (127.0.0.1:8443)
  --certificate FILE   the certificates in PEM, the server's own first
  --key FILE           its private key in PEM
  --self-signed        makes a certificate for localhost, which no client trusts: for trying it out";

struct Arguments {
    directory: PathBuf,
    address: String,
    identity: Identity,
}

fn main() -> ExitCode {
    let parsed = parse(std::env::args_os().skip(1));
    let arguments = match parsed::arguments("https_static", USAGE, parsed) {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    outcome::exit_code("https_static", run(&arguments))
}

/// `None` if help was asked for.
fn parse(
    arguments: impl Iterator<Item = OsString> + 'static,
) -> Result<Option<Arguments>, lexopt::Error> {
    let (mut directory, mut address) = (None, None);
    let mut identity = IdentityOptions::default();
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("certificate") => identity.certificate = Some(parser.value()?.into()),
            Long("key") => identity.key = Some(parser.value()?.into()),
            Long("self-signed") => identity.is_self_signed = true,
            Value(value) if directory.is_none() => directory = Some(value.into()),
            Value(value) if address.is_none() => address = Some(value.string()?),
            other => return Err(other.unexpected()),
        }
    }
    let identity = identity.choose()?;
    let directory = directory.ok_or("expected the DIRECTORY to serve")?;
    let address = address.unwrap_or_else(|| "127.0.0.1:8443".into());
    Ok(Some(Arguments { directory, address, identity }))
}

fn run(arguments: &Arguments) -> io::Result<ShutdownReport> {
    // Before the shards, so that what is wrong with a file is said once.
    let directory = Directory::open(&arguments.directory)?;
    let mut config = arguments.identity.server_config()?;
    config.alpn_protocols = annulus_tls::alpn(alpn_protocols());
    let acceptor = TlsAcceptor::from(config);
    let shards = Shards::builder().shutdown(Shutdown::on_signals()?);
    let reports = shards.run(async |shard| {
        let nodelay = ListenOptions::new().nodelay(true);
        let listener = TcpListener::bind_with(&arguments.address, &nodelay).await?;
        let address = listener.local_addr()?;
        let listener = TlsListener::new(listener, acceptor.clone());
        site::serve_shard(&shard, address, listener, directory.clone()).await
    })?;
    site::report(reports)
}

/// The versions of HTTP that are compiled in, the preferred one first.
fn alpn_protocols() -> impl Iterator<Item = &'static str> {
    let http2 = cfg!(feature = "http2").then_some("h2");
    http2.into_iter().chain(["http/1.1"])
}
