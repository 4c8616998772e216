//! Looking names up. Only names that need no server on the network.

use annulus::net::{lookup, reverse_lookup};

use super::Outcome;
use crate::cancel::{insist, perhaps};
use crate::chance::Chance;
use crate::failure::expect;
use crate::site::Site;
use crate::tally::Work;

pub(super) async fn round(_site: &Site, chance: &Chance) -> Outcome {
    match chance.below(3) {
        0 => {
            let found = insist(chance, async || lookup("localhost:80").await).await?;
            let are_local = found.iter().all(|it| it.ip().is_loopback() && it.port() == 80);
            expect("the addresses of localhost", &(!found.is_empty() && are_local), &true)?;
        }
        1 => {
            let found = insist(chance, async || lookup("127.0.0.1:7").await).await?;
            expect("an address as a name", &found, &vec!["127.0.0.1:7".parse().expect("valid")])?;
        }
        _ => {
            // Goes to a thread. What it finds depends on the machine.
            let address = std::net::IpAddr::from([127, 0, 0, 1]);
            drop(perhaps(chance, reverse_lookup(address)).await);
        }
    }
    annulus::time::sleep(chance.shorter_than(std::time::Duration::from_millis(5))).await;
    Ok(Work::new(1, 0))
}
