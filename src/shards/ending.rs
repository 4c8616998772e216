//! How the closure of a shard has ended, and what becomes of all the endings.

use std::any::Any;
use std::panic::resume_unwind;

use super::error::ShardsError;
use super::outcome::ShardOutcome;
use crate::error::{SetupError, discard, panic_message};

/// How the closure of a shard has ended.
pub(super) enum Ending<T> {
    Returned(T),
    Panicked(Box<dyn Any + Send>),
    /// By `Handle::stop`, or by ctrl-c.
    Cancelled,
    /// After a failure no new runtime could be created.
    NotRestarted(SetupError),
}

impl<T: ShardOutcome> Ending<T> {
    /// Why the shard has failed, if it has.
    pub(super) fn failure(&self) -> Option<String> {
        match self {
            Self::Returned(value) => value.failure(),
            Self::Panicked(payload) => Some(format!("panicked: {}", panic_message(&**payload))),
            Self::Cancelled => None,
            Self::NotRestarted(error) => Some(error.to_string()),
        }
    }
}

/// The values of all shards, if each has one. The first panic is resumed instead.
pub(super) fn values<T: ShardOutcome>(endings: Vec<Ending<T>>) -> Result<Vec<T>, ShardsError> {
    let first = endings.iter().enumerate().find_map(|(shard, it)| Some((shard, it.failure()?)));
    let (mut values, mut cancelled) = (Vec::with_capacity(endings.len()), Vec::new());
    let (mut panic, mut error) = (None, None);
    for (shard, ending) in endings.into_iter().enumerate() {
        match ending {
            Ending::Returned(value) => values.push(value),
            Ending::Panicked(payload) if panic.is_none() => panic = Some(payload),
            // Its message was printed by the panic hook.
            Ending::Panicked(payload) => discard(payload),
            Ending::Cancelled => cancelled.push(shard),
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
