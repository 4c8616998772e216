//! The client: a tonic channel over a connection of annulus.

use std::error::Error;
use std::io::{self, Write};
use std::time::Duration;

use annulus::time::timeout;
use annulus_hyper::Executor;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::connector::Connector;

/// How long connecting and a call may take. The limits of tonic's own builder need a Tokio runtime.
const LIMIT: Duration = Duration::from_secs(10);

/// Prints the state of a service.
pub(crate) async fn check(address: &str, service: &str) -> io::Result<()> {
    let mut client = timeout(LIMIT, connect(address)).await??;
    let call = client.check(HealthCheckRequest { service: service.to_owned() });
    let answer = timeout(LIMIT, call).await?.map_err(other)?;
    writeln!(io::stdout(), "{}", answer.into_inner().status().as_str_name())
}

/// Prints each state of a service, until the server ends.
pub(crate) async fn watch(address: &str, service: &str) -> io::Result<()> {
    let mut client = timeout(LIMIT, connect(address)).await??;
    let call = client.watch(HealthCheckRequest { service: service.to_owned() });
    let mut states = timeout(LIMIT, call).await?.map_err(other)?.into_inner();
    while let Some(state) = states.message().await.map_err(other)? {
        writeln!(io::stdout(), "{}", state.status().as_str_name())?;
    }
    Ok(())
}

async fn connect(address: &str) -> io::Result<HealthClient<Channel>> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(other)?;
    let endpoint = endpoint.executor(Executor);
    let channel = endpoint.connect_with_connector(Connector).await.map_err(other)?;
    Ok(HealthClient::new(channel))
}

/// An error of tonic's, with its cause.
fn other(error: impl Error) -> io::Error {
    let cause = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    io::Error::other(format!("{error}{cause}"))
}
