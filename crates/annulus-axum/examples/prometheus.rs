//! The metrics of all shards' runtimes, as Prometheus reads them.
//!
//! ```sh
//! cargo run -p annulus-axum --example prometheus
//! curl http://127.0.0.1:3000/metrics
//! ```
//!
//! It listens on 127.0.0.1:3000 unless told otherwise, on all cores. Whichever shard is asked
//! collects the metrics of all, by one message each; between two requests nothing is collected.

#[path = "shared/arguments.rs"]
mod arguments;
#[path = "shared/outcome.rs"]
mod outcome;

use std::io;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use annulus::net::{ShutdownOptions, ShutdownReport, TcpListener};
use annulus::shards::Shard;
use annulus::{MetricsPublisher, Shards, Shutdown};
use annulus_axum::{local, serve};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

const USAGE: &str = "\
The metrics of all shards' runtimes, as Prometheus reads them.

Usage: prometheus [ADDRESS]

ADDRESS is where to listen, like 127.0.0.1:3000 (the default), [::1]:3000 or localhost:3000.";

/// What collects and prints the metrics; one for the process, as counters are added up.
#[derive(Clone)]
struct Exporter {
    /// One for each shard.
    publishers: Arc<Mutex<Vec<MetricsPublisher>>>,
    recorder: PrometheusHandle,
}

impl Exporter {
    fn install() -> io::Result<Self> {
        let recorder = PrometheusBuilder::new().install_recorder().map_err(io::Error::other)?;
        Ok(Self { publishers: Arc::default(), recorder })
    }

    /// The text that Prometheus reads.
    async fn collect(&self, shard: &Shard) -> Result<String, StatusCode> {
        let all = shard.run_on_all(|_| annulus::metrics()).await;
        // A shard that has ended cannot be asked.
        let all = all.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
        let mut publishers = self.publishers.lock().unwrap_or_else(PoisonError::into_inner);
        for index in publishers.len()..all.len() {
            publishers.push(MetricsPublisher::new(index.to_string()));
        }
        for (publisher, metrics) in publishers.iter_mut().zip(&all) {
            publisher.publish(metrics);
        }
        Ok(self.recorder.render())
    }
}

fn main() -> ExitCode {
    match arguments::addresses("prometheus", USAGE, ["127.0.0.1:3000"]) {
        Err(code) => code,
        Ok([address]) => outcome::exit_code("prometheus", run(&address)),
    }
}

fn run(address: &str) -> io::Result<()> {
    let exporter = Exporter::install()?;
    let shards = Shards::builder().shutdown(Shutdown::on_signals()?);
    let reports = shards.run(async |shard| serve_shard(&shard, address, exporter.clone()).await)?;
    let report = reports.into_iter().sum::<io::Result<ShutdownReport>>()?;
    println!("stopped: {report}");
    Ok(())
}

async fn serve_shard(
    shard: &Shard,
    address: &str,
    exporter: Exporter,
) -> io::Result<ShutdownReport> {
    let listener = TcpListener::bind(address).await?;
    if shard.index() == 0 {
        println!("listening on {}", listener.local_addr()?);
    }
    let metrics = local(async move || {
        let shard = Shard::current();
        exporter.collect(&shard).await
    });
    let app = Router::new().route("/metrics", get(metrics));
    serve(listener, app).serve_until(shard.shutdown(), &ShutdownOptions::new()).await
}
