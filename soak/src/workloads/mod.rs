//! What is done in rounds, each workload several times at once on each shard.

mod cancels;
mod children;
mod churn;
mod datagrams;
mod echo;
mod files;
mod messages;
mod names;
mod pipes;
mod servers;
mod signals;
mod sync;
mod timers;
mod trees;

use std::io;
use std::rc::Rc;

use annulus::net::{ListenOptions, Spread, TcpListener};
use futures_util::future::{FutureExt, LocalBoxFuture};

use crate::chance::Chance;
use crate::failure::Failure;
use crate::site::Site;
use crate::tally::Work;

/// Options of a listener that the other shards do not share.
fn own_port() -> ListenOptions {
    ListenOptions::new().spread(Spread::Private)
}

async fn own_listener() -> io::Result<TcpListener> {
    TcpListener::bind_with("127.0.0.1:0", &own_port()).await
}

pub(crate) type Outcome = Result<Work, Failure>;

pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// How many of its rounds run at the same time on each shard.
    pub(crate) at_once: usize,
    pub(crate) round: fn(Rc<Site>, Chance) -> LocalBoxFuture<'static, Outcome>,
}

/// A list of workloads: the name, how many at once, the round.
macro_rules! workloads {
    ($($name:literal, $at_once:literal, $round:path;)*) => {
        pub(crate) const WORKLOADS: &[Workload] = &[$(Workload {
            name: $name,
            at_once: $at_once,
            round: |site, chance| async move { $round(&site, &chance).await }.boxed_local(),
        },)*];
    };
}

workloads! {
    "echo-bulk", 4, echo::bulk;
    "echo-messages", 6, echo::messages;
    "echo-aborted", 3, echo::aborted;
    "servers", 2, servers::round;
    "churn", 3, churn::round;
    "udp", 3, datagrams::udp;
    "unix-datagrams", 2, datagrams::unix;
    "cancels", 4, cancels::round;
    "file", 3, files::round;
    "trees", 2, trees::round;
    "watcher", 1, trees::watched;
    "pipes", 3, pipes::round;
    "splices", 2, pipes::splices;
    "children", 1, children::round;
    "timers", 2, timers::round;
    "queues", 2, sync::queues;
    "locks", 2, sync::locks;
    "shards", 3, messages::round;
    "handed", 2, messages::handed;
    "names", 1, names::round;
    "signals", 1, signals::round;
}
