//! Signals to this process, sent by a program: each listener of all shards sees that it came.

use std::process;
use std::time::Duration;

use annulus::process::Command;
use annulus::signal::{SignalKind, signal};
use annulus::time::timeout;

use super::Outcome;
use crate::cancel::insist;
use crate::chance::Chance;
use crate::failure::{Failure, expect};
use crate::site::Site;
use crate::tally::Work;

pub(super) async fn round(site: &Site, chance: &Chance) -> Outcome {
    let _permit = site.processes.acquire().await.expect("it is not closed");
    let (name, kind) = *chance.pick(&[
        ("-USR1", SignalKind::user_defined1()),
        ("-USR2", SignalKind::user_defined2()),
        ("-WINCH", SignalKind::window_change()),
    ]);
    let mut first = signal(kind)?;
    let mut second = signal(kind)?;
    let status = Command::new("kill").arg(name).arg(process::id().to_string()).status().await?;
    expect("the status of `kill`", &status.code(), &Some(0))?;
    for listener in [&mut first, &mut second] {
        let received = insist(chance, async || listener.recv().await);
        timeout(Duration::from_secs(30), received)
            .await
            .map_err(|_| Failure::Corruption(format!("no signal after `kill {name}`")))?;
    }
    annulus::time::sleep(chance.shorter_than(Duration::from_millis(200))).await;
    Ok(Work::new(3, 0))
}
