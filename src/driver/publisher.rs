//! Publishing a runtime's metrics through the crate `metrics`, to whichever exporter is installed.
//!
//! Only the runtime's own thread can read its counters, which are no atomics. So nothing is
//! published unasked: the metrics are collected when a caller asks, at the price of one call
//! of each runtime, and between two of these it costs nothing.

use metrics::{Label, SharedString, counter, gauge};

use super::counters::Metrics;

/// Publishes the [`Metrics`] of a runtime through the crate `metrics` (feature `metrics`).
///
/// Counters are called `annulus_NAME_total` and gauges `annulus_NAME`, where `NAME` is the field of
/// [`Metrics`]: `annulus_submitted_total`, `annulus_enter_calls_total`, `annulus_timers`. The names
/// are part of the interface. `annulus_portable_ring` is 1 if the runtime is on the portable ring,
/// and 0 if it is on the kernel's. All have the label `runtime`.
///
/// One publisher is kept for each runtime, as it adds what has been counted since the last time. If
/// a counter is lower than last time, a new runtime has taken the place of the former (a shard has
/// restarted), and all that it has counted is added.
///
/// # Example
///
/// Before a scrape, for all shards; the example `prometheus` of `annulus-axum` serves them.
///
/// ```
/// use annulus::{MetricsPublisher, Shards};
///
/// Shards::builder().count(2).run(async |shard| {
///     if shard.index() == 0 {
///         let names = (0..shard.count()).map(|index| index.to_string());
///         let mut publishers: Vec<_> = names.map(MetricsPublisher::new).collect();
///         let all = shard.run_on_all(|_| annulus::metrics()).await.unwrap();
///         for (publisher, metrics) in publishers.iter_mut().zip(&all) {
///             publisher.publish(metrics);
///         }
///     }
/// })?;
/// # Ok::<(), annulus::shards::ShardsError>(())
/// ```
#[derive(Debug)]
#[doc(alias = "prometheus")]
pub struct MetricsPublisher {
    label: Label,
    last: Metrics,
}

impl MetricsPublisher {
    /// Creates a publisher for the runtime that is called this, which has published nothing.
    pub fn new(runtime: impl Into<SharedString>) -> Self {
        Self { label: Label::new("runtime", runtime), last: Metrics::default() }
    }

    /// Publishes these metrics, to the recorder that is installed.
    pub fn publish(&mut self, metrics: &Metrics) {
        let is_new =
            metrics.counters().zip(self.last.counters()).any(|((_, new), (_, old))| new < old);
        if is_new {
            self.last = Metrics::default();
        }
        for ((name, new), (_, old)) in metrics.counters().zip(self.last.counters()) {
            counter!(name, [self.label.clone()].iter()).increment(new - old);
        }
        for (name, value) in metrics.gauges() {
            gauge!(name, [self.label.clone()].iter()).set(value);
        }
        self.last = *metrics;
    }
}
