//! The metrics of runtimes, as exporters of the crate `metrics` receive them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use annulus::{Metrics, MetricsPublisher};
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString,
    Unit, with_local_recorder,
};

use crate::common::poll::until_bell_is_polled;
use crate::recorder;

/// Values by name and label.
#[derive(Clone, Default)]
struct Recording(Arc<Mutex<HashMap<String, f64>>>);

struct Value(String, Recording);

impl Value {
    fn change(&self, change: impl FnOnce(f64) -> f64) {
        let mut all = self.1.0.lock().unwrap();
        let value = all.entry(self.0.clone()).or_default();
        *value = change(*value);
    }
}

impl CounterFn for Value {
    fn increment(&self, count: u64) {
        self.change(|value| value + count as f64);
    }

    fn absolute(&self, count: u64) {
        self.change(|_| count as f64);
    }
}

impl GaugeFn for Value {
    fn increment(&self, amount: f64) {
        self.change(|value| value + amount);
    }

    fn decrement(&self, amount: f64) {
        self.change(|value| value - amount);
    }

    fn set(&self, value: f64) {
        self.change(|_| value);
    }
}

impl Recording {
    fn value(&self, key: &Key) -> Arc<Value> {
        let label = key.labels().next().unwrap();
        assert_eq!(label.key(), "runtime");
        Arc::new(Value(format!("{} {}", key.name(), label.value()), self.clone()))
    }

    fn get(&self, name: &str) -> f64 {
        self.0.lock().unwrap()[name]
    }
}

impl Recorder for Recording {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.value(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.value(key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        unreachable!("there are no histograms")
    }
}

fn counted(submitted: u64, timers: usize) -> Metrics {
    let mut metrics = Metrics::default();
    metrics.submitted = submitted;
    metrics.timers = timers;
    metrics
}

/// Under a subscriber, as all runtimes here: while there is no more than one, `tracing` asks only
/// that of the thread which comes to an event first, and one without a subscriber would hide the
/// event from the tests on other threads.
#[test]
fn every_number_of_a_runtime_is_published() {
    let recording = Recording::default();
    with_local_recorder(&recording, || {
        recorder::Recorder::default().watch(async {
            until_bell_is_polled().await;
            MetricsPublisher::new("0").publish(&annulus::metrics());
        });
    });
    let names = recording.0.lock().unwrap().len();
    // As many as fields are printed.
    let fields = format!("{:?}", Metrics::default()).matches(": ").count();
    assert_eq!(names, fields);
    assert!(recording.get("annulus_enter_calls_total 0") > 0.0);
}

#[test]
fn counters_add_up_over_publications_and_restarts_and_gauges_are_set() {
    let recording = Recording::default();
    with_local_recorder(&recording, || {
        let mut publisher = MetricsPublisher::new("7");
        publisher.publish(&counted(5, 3));
        publisher.publish(&counted(9, 2));
        assert_eq!(recording.get("annulus_submitted_total 7"), 9.0);
        assert_eq!(recording.get("annulus_timers 7"), 2.0);
        // The runtime's successor.
        publisher.publish(&counted(4, 0));
        assert_eq!(recording.get("annulus_submitted_total 7"), 13.0);
        assert_eq!(recording.get("annulus_timers 7"), 0.0);
        MetricsPublisher::new("8").publish(&counted(1, 0));
        assert_eq!(recording.get("annulus_submitted_total 7"), 13.0);
        assert_eq!(recording.get("annulus_submitted_total 8"), 1.0);
    });
}
