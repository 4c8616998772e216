//! What there is to measure, and what is missing.

use clap::ValueEnum;

use crate::contenders::{self, Contender, Purpose, Scaling};
use crate::files::{Job, Kind};
use crate::results::Skipped;
use crate::scenarios;
use crate::table;
use crate::workloads::Workload;

/// Prints the scenarios and the contenders, and what each of them lacks.
pub(crate) fn list() {
    println!("scenarios:");
    for (name, what) in scenarios::ALL {
        println!("  {name:<22} {what}");
    }
    println!("\ncontenders:");
    for contender in contenders::all() {
        println!("  {:<22} {}", contender.name(), contender.form());
    }
    for name in contenders::left_out() {
        println!("  {name:<22} left out: built without the feature {name}");
    }
    println!("\nmissing:");
    for line in table::absent(&missing()) {
        println!("  {line}");
    }
}

/// What contenders cannot do, and why.
fn missing() -> Vec<Skipped> {
    let all = contenders::all();
    let mut missing = Vec::new();
    let mut note = |scenario: &str, contender: &dyn Contender, reason: Option<&str>| {
        missing.extend(reason.map(|reason| Skipped {
            contender: contender.name().to_owned(),
            reason: format!("{scenario}: {reason}"),
            failed: false,
        }));
    };
    for one in all.iter().map(AsRef::as_ref).filter(|one| one.purpose() == Purpose::Any) {
        for (scenario, service) in scenarios::SERVICES {
            note(scenario, one, (!one.serves(service)).then_some(scenarios::NO_SERVER));
        }
        if let Scaling::None(reason) = one.scaling() {
            note("scale", one, Some(reason));
        }
        for workload in Workload::value_variants() {
            note(workload.scenario(), one, one.lacks_work(*workload));
        }
    }
    for one in &all {
        for kind in Kind::value_variants() {
            for direct in [false, true] {
                let job = Job::example(*kind, direct);
                note("file", one.as_ref(), contenders::lacks_job(one.as_ref(), &job));
            }
        }
    }
    missing.sort_by(|one, other| {
        (&one.reason, &one.contender).cmp(&(&other.reason, &other.contender))
    });
    missing.dedup_by(|one, other| one.reason == other.reason && one.contender == other.contender);
    missing
}
