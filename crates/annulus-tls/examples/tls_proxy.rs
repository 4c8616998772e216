//! A TLS proxy on all cores: ends TLS, and passes the plaintext to a TCP server, and back.
//!
//! ```sh
//! cargo run --example echo                                     # a server, in another terminal
//! cargo run -p annulus-tls --example tls_proxy -- --self-signed
//! openssl s_client -quiet -connect localhost:7443              # type some lines
//! ```
//!
//! With a certificate of its own, in front of a web server:
//!
//! ```sh
//! cargo run --release -p annulus-tls --example tls_proxy -- --alpn http/1.1 \
//!     --certificate fullchain.pem --key privkey.pem '[::]:443' 127.0.0.1:8080
//! ```
//!
//! Each shard accepts on the same port; they share the certificate and the sessions that clients
//! resume. SIGTERM or ctrl-c stops listening and lets connections end for ten seconds.

#[path = "shared/identity.rs"]
mod identity;
#[path = "shared/outcome.rs"]
mod outcome;
#[path = "shared/parsed.rs"]
mod parsed;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use annulus::io::{AsyncWrite, copy};
use annulus::join::try_gather;
use annulus::net::{
    ListenOptions, ServerOptions, ShutdownOptions, ShutdownReport, TcpListener, TcpStream,
};
use annulus::shards::Shard;
use annulus::time::timeout;
use annulus::{Shards, Shutdown};
use annulus_tls::{TlsAcceptor, TlsStream};
use lexopt::prelude::{Long, Short, Value, ValueExt};

use crate::identity::{Identity, IdentityOptions};

const USAGE: &str = "\
A TLS proxy: ends TLS, and passes the plaintext to a TCP server, and back.

Usage: tls_proxy (--certificate FILE --key FILE | --self-signed) [options] [ADDRESS [TARGET]]

  ADDRESS              where to listen (127.0.0.1:7443)
  TARGET               where to connect to (127.0.0.1:7000)
  --certificate FILE   the certificates in PEM, the server's own first
  --key FILE           its private key in PEM
  --self-signed        makes a certificate for localhost, which no client trusts: for trying it out
  --alpn PROTOCOL      what the target speaks, such as http/1.1; may be given more than once
  --max-connections N  how many connections a shard serves at a time; 10000, if not given";

/// How long the target may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

struct Arguments {
    address: String,
    target: String,
    identity: Identity,
    alpn: Vec<String>,
    max_connections: usize,
}

fn main() -> ExitCode {
    let parsed = parse(std::env::args_os().skip(1));
    let arguments = match parsed::arguments("tls_proxy", USAGE, parsed) {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    outcome::exit_code("tls_proxy", run(&arguments))
}

/// `None` if help was asked for.
fn parse(
    arguments: impl Iterator<Item = OsString> + 'static,
) -> Result<Option<Arguments>, lexopt::Error> {
    let (mut addresses, mut alpn, mut max_connections) = (Vec::new(), Vec::new(), 10_000);
    let mut identity = IdentityOptions::default();
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("certificate") => identity.certificate = Some(parser.value()?.into()),
            Long("key") => identity.key = Some(parser.value()?.into()),
            Long("self-signed") => identity.is_self_signed = true,
            Long("alpn") => alpn.push(parser.value()?.string()?),
            Long("max-connections") => max_connections = parser.value()?.parse()?,
            Value(address) if addresses.len() < 2 => addresses.push(address.string()?),
            other => return Err(other.unexpected()),
        }
    }
    let identity = identity.choose()?;
    if max_connections == 0 {
        return Err("--max-connections must be at least 1".into());
    }
    let mut addresses = addresses.into_iter();
    let address = addresses.next().unwrap_or_else(|| "127.0.0.1:7443".into());
    let target = addresses.next().unwrap_or_else(|| "127.0.0.1:7000".into());
    Ok(Some(Arguments { address, target, identity, alpn, max_connections }))
}

fn run(arguments: &Arguments) -> io::Result<ShutdownReport> {
    let mut config = arguments.identity.server_config()?;
    // All suites of rustls are strong, and clients know best which are fast for them. But scanners
    // such as testssl.sh report a server without an order of its own.
    config.ignore_client_order = true;
    config.alpn_protocols = annulus_tls::alpn(arguments.alpn.iter().map(String::as_str));
    let acceptor = TlsAcceptor::from(config);
    let shards = Shards::builder().shutdown(Shutdown::on_signals()?);
    let reports = shards.run(async |shard| serve(&shard, arguments, acceptor.clone()).await)?;
    let report = reports.into_iter().sum::<io::Result<ShutdownReport>>()?;
    let _ = writeln!(io::stdout(), "stopped: {report}");
    Ok(report)
}

async fn serve(
    shard: &Shard,
    arguments: &Arguments,
    acceptor: TlsAcceptor,
) -> io::Result<ShutdownReport> {
    let options = ServerOptions::new()
        .max_connections(arguments.max_connections)
        .idle_timeout(Duration::from_secs(600))
        .send_timeout(Duration::from_secs(30));
    let nodelay = ListenOptions::new().nodelay(true);
    let listener = TcpListener::bind_with(arguments.address.as_str(), &nodelay).await?;
    let (address, target) = (listener.local_addr()?, arguments.target.clone());
    let handler = async move |stream: TlsStream| pass_on(stream, &target).await;
    let server = annulus_tls::start_stream_server_on(handler, [listener], acceptor, &options)?;
    if shard.index() == 0 {
        let _ = writeln!(io::stdout(), "listening on {address}; to {}", arguments.target);
    }
    let options = ShutdownOptions::new().grace(Duration::from_secs(10));
    Ok(server.serve_until(shard.shutdown(), &options).await)
}

async fn pass_on(stream: TlsStream, target: &str) -> io::Result<()> {
    let target = timeout(CONNECT_TIMEOUT, TcpStream::connect(target)).await??;
    target.set_nodelay(true)?;
    let (mut from_target, mut to_target) = target.into_split();
    let (mut from_client, mut to_client) = stream.into_split();
    let there = async {
        copy(&mut from_client, &mut to_target).await?;
        to_target.shutdown().await
    };
    let back = async {
        copy(&mut from_target, &mut to_client).await?;
        to_client.shutdown().await
    };
    try_gather((there, back)).await.map(drop)
}
