//! The server: tonic's health service in an axum router.

use std::io::{self, Write};
use std::time::Duration;

use annulus::Shutdown;
use annulus::net::{ShutdownOptions, TcpListener};
use annulus::task::ThreadBound;
use annulus::time::{interval, timeout};
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use tonic::Status;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, health_reporter};

pub(crate) async fn serve(address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let here = listener.local_addr()?;
    let shutdown = Shutdown::on_signals()?;
    let (reporter, health) = health_reporter();
    reporter.set_service_status("clock", ServingStatus::Serving).await;
    let clock = annulus::spawn(tick(reporter.clone()));
    let app = Routes::new(health).into_axum_router().layer(from_fn(enforce_deadline));
    let _ = writeln!(io::stdout(), "listening on {here}; try `grpc check {here}`, ctrl-c to stop");

    let server = annulus_axum::serve(listener, app);
    let report = server.serve_until(&shutdown, &ShutdownOptions::new()).await?;
    clock.cancel();
    let _ = writeln!(io::stdout(), "stopped: {report}");
    Ok(())
}

/// Changes the state of the service `clock` every second.
async fn tick(reporter: HealthReporter) {
    let mut seconds = interval(Duration::from_secs(1));
    seconds.tick().await; // The first is now.
    loop {
        for status in [ServingStatus::NotServing, ServingStatus::Serving] {
            seconds.tick().await;
            reporter.set_service_status("clock", status).await;
        }
    }
}

/// Ends a call that has not begun to answer at the deadline that its client has sent.
///
/// `tonic::transport::Server` does so on a Tokio timer; a router does not. A client that is gone
/// cancels its calls without it.
async fn enforce_deadline(request: Request, next: Next) -> Response {
    match grpc_timeout(request.headers()) {
        None => next.run(request).await,
        Some(limit) => ThreadBound::new(timeout(limit, next.run(request)))
            .await
            .unwrap_or_else(|_| Status::deadline_exceeded("the deadline has passed").into_http()),
    }
}

/// The value of the header `grpc-timeout`: at most eight digits, and a unit.
fn grpc_timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}
