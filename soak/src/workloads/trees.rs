//! Directories: entries that are made, renamed, linked, listed and removed, and a watcher.

use std::collections::BTreeSet;
use std::time::Duration;

use annulus::fs::{self, Dir, WatchEvent, WatchFor, Watcher};
use annulus::time::timeout;
use futures_util::StreamExt;

use super::Outcome;
use crate::cancel::insist;
use crate::chance::Chance;
use crate::failure::{Failure, expect};
use crate::site::Site;
use crate::tally::Work;

pub(super) async fn round(site: &Site, chance: &Chance) -> Outcome {
    let path = site.new_path("tree");
    fs::create_dir_all(path.join("a/b")).await?;
    let dir = Dir::open(&path).await?;
    let mut names = BTreeSet::new();
    let mut operations = 0;
    for number in 0..chance.size(60) {
        operations += 1;
        chance.here();
        let name = format!("file-{number}");
        let old: Option<String> = names.iter().nth(chance.below(names.len().max(1))).cloned();
        match (chance.below(6), old) {
            (0, Some(old)) => {
                dir.rename(&old, &dir, &name).await?;
                names.remove(&old);
                names.insert(name);
            }
            (1, Some(old)) => {
                dir.hard_link(&old, &dir, &name).await?;
                names.insert(name);
            }
            (2, Some(old)) => {
                dir.remove_file(&old).await?;
                names.remove(&old);
            }
            (3, Some(old)) => {
                let content = insist(chance, async || dir.read(&old).await).await?;
                expect("the length of a small file", &(content.len() <= 1000), &true)?;
            }
            (4, _) => {
                dir.symlink("a", &name).await?;
                expect("a link", &dir.read_link(&name).await?, &"a".into())?;
                dir.remove_file(&name).await?;
            }
            _ => {
                dir.write(&name, vec![b'x'; chance.size(1000)]).await?;
                names.insert(name);
            }
        }
    }

    let mut listed = BTreeSet::new();
    let mut entries = dir.read_dir(".").await?;
    while let Some(entry) = insist(chance, async || entries.next_entry().await).await? {
        if entry.file_type().await?.is_file() {
            listed.insert(entry.file_name().to_string_lossy().into_owned());
        }
    }
    drop(entries);
    expect("the names in a directory", &listed, &names)?;
    insist(chance, async || fs::metadata(&path).await).await?;
    // A dropped removal goes on where it was, or is repeated.
    insist(chance, async || match fs::remove_dir_all(&path).await {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    })
    .await?;
    expect("a removed directory", &fs::try_exists(&path).await?, &false)?;
    Ok(Work::new(operations + names.len(), 0))
}

/// Each event of a directory arrives once and in order, however many waits are dropped.
pub(super) async fn watched(site: &Site, chance: &Chance) -> Outcome {
    let path = site.new_path("watched");
    fs::create_dir(&path).await?;
    let mut watcher = Watcher::new()?;
    let what = WatchFor::CREATED | WatchFor::MOVED | WatchFor::DELETED;
    watcher.watch(&path, what).await?;

    let mut expected = Vec::new();
    for number in 0..chance.size(40) {
        chance.here();
        let name = format!("{number}");
        let entry = path.join(&name);
        fs::write(&entry, vec![0; 10]).await?;
        expected.push(format!("created {name}"));
        if chance.one_in(3) {
            let renamed = format!("{number}-renamed");
            fs::rename(&entry, path.join(&renamed)).await?;
            expected.push(format!("moved {name} {renamed}"));
        } else {
            fs::remove_file(&entry).await?;
            expected.push(format!("deleted {name}"));
        }
    }
    let count = expected.len();
    for expected in expected {
        let next = insist(chance, async || watcher.next().await);
        let event = timeout(Duration::from_secs(30), next).await;
        let event = event.map_err(|_| Failure::Corruption(format!("no event of {expected}")))?;
        let found = match event.expect("a watcher does not end")? {
            WatchEvent::Created(it) => format!("created {}", it.name().to_string_lossy()),
            WatchEvent::Deleted(it) => format!("deleted {}", it.name().to_string_lossy()),
            WatchEvent::Moved { from, to } => {
                let [from, to] = [&from, &to].map(|it| it.name().to_string_lossy());
                format!("moved {from} {to}")
            }
            event => format!("{event:?}"),
        };
        expect("an event", &found, &expected)?;
    }
    drop(watcher);
    fs::remove_dir_all(&path).await?;
    Ok(Work::new(2 * count, 0))
}
