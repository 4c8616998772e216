//! Programs that are started, talked to, awaited and killed.

use std::process::Stdio;

use annulus::process::Command;

use super::Outcome;
use crate::bytes::Bytes;
use crate::cancel::{insist, perhaps};
use crate::chance::Chance;
use crate::failure::expect;
use crate::site::Site;
use crate::tally::Work;

pub(super) async fn round(site: &Site, chance: &Chance) -> Outcome {
    let _permit = site.processes.acquire().await.expect("it is not closed");
    let mut checked = 0;
    match chance.below(6) {
        0 => {
            let status = Command::new("true").status().await?;
            expect("the status of `true`", &status.code(), &Some(0))?;
        }
        1 => {
            let mut child = Command::new("false").spawn()?;
            let status = insist(chance, async || child.wait().await).await?;
            expect("the status of `false`", &status.code(), &Some(1))?;
        }
        2 => {
            let input = Bytes { seed: chance.seed() }.at(0, chance.size(300_000));
            let mut cat = Command::new("cat");
            let mut cat = cat.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
            let output = cat.communicate(input.clone()).await?;
            expect("the length of what `cat` returned", &output.stdout.len(), &input.len())?;
            expect("what `cat` returned", &(output.stdout == input), &true)?;
            checked = input.len();
        }
        3 => {
            let mut child = Command::new("sleep").arg("1000").spawn()?;
            let waited = perhaps(chance, async {
                annulus::time::timeout(std::time::Duration::from_millis(5), child.wait()).await
            });
            drop(waited.await);
            child.kill().await?;
            let status = insist(chance, async || child.wait().await).await?;
            expect("the status of a killed program", &status.code(), &None)?;
        }
        4 => {
            // Reaped by the runtime.
            drop(Command::new("sleep").arg("1000").kill_on_drop(true).spawn()?);
        }
        _ => {
            let mut echo = Command::new("echo");
            let output = echo.arg("hello").output().await?;
            expect("what `echo` printed", &output.stdout, &b"hello\n".to_vec())?;
        }
    }
    Ok(Work::new(1, checked))
}
