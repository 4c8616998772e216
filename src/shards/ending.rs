//! How the closure of a shard has ended, and what becomes of all the endings.

use std::any::Any;
use std::panic::resume_unwind;

use super::error::ShardsError;
use super::outcome::ShardOutcome;
use crate::error::{SetupError, catch_panic, discard, panic_message};

/// How the closure of a shard has ended.
pub(super) enum Ending<T> {
    Returned(T),
    Panicked(Box<dyn Any + Send>),
    /// By `Handle::stop`, or by ctrl-c.
    Cancelled,
    /// It has failed, with this message, and was not called again as the shard was stopped.
    Stopped(String),
    /// After a failure no new runtime could be created.
    NotRestarted(SetupError),
}

impl<T: ShardOutcome> Ending<T> {
    /// Why the shard has failed, if it has.
    pub(super) fn failure(&self) -> Option<String> {
        match self {
            Self::Returned(value) => value.failure(),
            Self::Panicked(payload) => Some(format!("panicked: {}", panic_message(&**payload))),
            Self::Cancelled | Self::Stopped(_) => None,
            Self::NotRestarted(error) => Some(error.to_string()),
        }
    }

    /// Replaces a failure after which the shard was not called again, as it was stopped.
    pub(super) fn stopped(self, message: String) -> Self {
        self.discard();
        Self::Stopped(message)
    }

    /// Drops a failure. What it drops is foreign: it may panic.
    pub(super) fn discard(self) {
        let _ = catch_panic(|| drop(self));
    }

    /// Why the closure has failed, also if that was not the end of the shard.
    fn message(&self) -> Option<String> {
        match self {
            Self::Stopped(message) => Some(message.clone()),
            other => other.failure(),
        }
    }
}

/// The values of all shards, if each has one. The first panic is resumed instead.
pub(super) fn values<T: ShardOutcome>(endings: Vec<Ending<T>>) -> Result<Vec<T>, ShardsError> {
    let first = endings.iter().enumerate().find_map(|(shard, it)| Some((shard, it.message()?)));
    let (mut values, mut cancelled) = (Vec::with_capacity(endings.len()), Vec::new());
    let (mut panic, mut error) = (None, None);
    for (shard, ending) in endings.into_iter().enumerate() {
        match ending {
            Ending::Returned(value) => values.push(value),
            Ending::Panicked(payload) if panic.is_none() => panic = Some(payload),
            // Its message was printed by the panic hook.
            Ending::Panicked(payload) => discard(payload),
            Ending::Cancelled | Ending::Stopped(_) => cancelled.push(shard),
            Ending::NotRestarted(cause) => {
                error.get_or_insert(ShardsError::Setup { shard, error: cause });
            }
        }
    }
    if let Some(payload) = panic {
        resume_unwind(payload);
    }
    match error {
        Some(error) => Err(error),
        None if cancelled.is_empty() => Ok(values),
        None => Err(ShardsError::Cancelled { shards: cancelled, failure: first }),
    }
}
