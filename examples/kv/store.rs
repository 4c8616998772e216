//! The keys and values of one shard, and when they expire.
//!
//! A key that has expired is gone for every reader, whether it has been removed or not: a look-up
//! removes it (lazily), and [`Store::remove_expired`], which runs a few times a second, removes
//! those that no reader asks for (actively). The second needs no sampling, since the deadlines are
//! in order.
//!
//! Entries are in a vector with an index of hashes beside it (`indexmap`), and the last one moves
//! to the place of one that is removed. So a scan that goes from the end to the front needs no
//! more than the place where it was: an entry that it has not seen yet only moves to a place that
//! it has not seen yet.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::time::{SystemTime, UNIX_EPOCH};

use indexmap::IndexMap;
use smallvec::SmallVec;

/// Short keys and values are stored in the entry itself, so a look-up waits for memory twice (the
/// index, the entry) and not four times. With many keys that is most of its time.
type Key = SmallVec<[u8; 24]>;
type Value = SmallVec<[u8; 40]>;

/// Milliseconds since 1970.
pub(crate) type Deadline = NonZeroU64;

/// How long a value may be.
pub(crate) const MAX_VALUE: usize = 512 * 1024 * 1024;

struct Entry {
    value: Value,
    deadline: Option<Deadline>,
}

/// The part of all keys that one shard has.
pub(crate) struct Store {
    entries: IndexMap<Key, Entry>,
    /// The keys that expire, in the order of their deadlines.
    deadlines: BTreeSet<(Deadline, Key)>,
    now: Deadline,
    expired: u64,
    is_last_shard: bool,
}

/// What becomes of a key's deadline when its value is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// The key does not expire.
    #[default]
    Unlimited,
    /// The deadline stays as it is.
    Kept,
    Until(Deadline),
}

/// Why a value cannot be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    NoInteger,
    Overflow,
    TooLong,
}

impl Store {
    pub(crate) fn new(is_last_shard: bool) -> Self {
        let mut store = Self {
            entries: IndexMap::new(),
            deadlines: BTreeSet::new(),
            now: Deadline::MIN,
            expired: 0,
            is_last_shard,
        };
        store.read_clock();
        store
    }

    /// Looks at the clock, once for a batch of requests.
    pub(crate) fn read_clock(&mut self) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let milliseconds = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        self.now = Deadline::new(milliseconds).unwrap_or(Deadline::MIN);
    }

    /// The time at the last look at the clock.
    pub(crate) fn now(&self) -> u64 {
        self.now.get()
    }

    /// Whether the last of all shards has it, with which a scan ends.
    pub(crate) fn is_last_shard(&self) -> bool {
        self.is_last_shard
    }

    /// How many keys there are, of which some may have expired.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many keys expire.
    pub(crate) fn expiring(&self) -> usize {
        self.deadlines.len()
    }

    /// How many keys have expired so far.
    pub(crate) fn expired(&self) -> u64 {
        self.expired
    }

    #[inline]
    pub(crate) fn get(&mut self, key: &[u8]) -> Option<&[u8]> {
        self.live(key).map(|entry| &*entry.value)
    }

    pub(crate) fn contains(&mut self, key: &[u8]) -> bool {
        self.live(key).is_some()
    }

    /// The deadline of a key: `None` if there is no such key.
    pub(crate) fn deadline(&mut self, key: &[u8]) -> Option<Option<Deadline>> {
        self.live(key).map(|entry| entry.deadline)
    }

    #[inline]
    pub(crate) fn set(&mut self, key: &[u8], value: &[u8], lifetime: Lifetime) {
        let Some(entry) = self.live(key) else {
            let entry = Entry { value: Value::from_slice(value), deadline: None };
            self.entries.insert(Key::from_slice(key), entry);
            if let Lifetime::Until(deadline) = lifetime {
                self.set_deadline(key, Some(deadline));
            }
            return;
        };
        replace(&mut entry.value, value);
        let had = entry.deadline.is_some();
        match lifetime {
            Lifetime::Unlimited if !had => {}
            Lifetime::Unlimited => self.set_deadline(key, None),
            Lifetime::Kept => {}
            Lifetime::Until(deadline) => self.set_deadline(key, Some(deadline)),
        }
    }

    /// Removes a key; returns whether there was one.
    pub(crate) fn remove(&mut self, key: &[u8]) -> bool {
        let was_live = self.live(key).is_some();
        if was_live {
            self.forget(key);
        }
        was_live
    }

    /// Removes all keys.
    pub(crate) fn clear(&mut self) {
        self.entries = IndexMap::new();
        self.deadlines = BTreeSet::new();
    }

    /// Sets a key's deadline, or removes it. One that has passed removes the key. Returns whether
    /// there is such a key.
    pub(crate) fn expire(&mut self, key: &[u8], deadline: Option<Deadline>) -> bool {
        if !self.contains(key) {
            return false;
        }
        if deadline.is_some_and(|deadline| deadline <= self.now) {
            self.forget(key);
        } else {
            self.set_deadline(key, deadline);
        }
        true
    }

    /// Adds to a number, and returns the sum.
    pub(crate) fn add(&mut self, key: &[u8], amount: i64) -> Result<i64, Refusal> {
        let Some(entry) = self.live(key) else {
            self.set(key, amount.to_string().as_bytes(), Lifetime::Unlimited);
            return Ok(amount);
        };
        let number = integer(&entry.value).ok_or(Refusal::NoInteger)?;
        let sum = number.checked_add(amount).ok_or(Refusal::Overflow)?;
        replace(&mut entry.value, sum.to_string().as_bytes());
        Ok(sum)
    }

    /// Appends to a value, and returns the new length.
    pub(crate) fn append(&mut self, key: &[u8], more: &[u8]) -> Result<usize, Refusal> {
        let Some(entry) = self.live(key) else {
            self.set(key, more, Lifetime::Unlimited);
            return Ok(more.len());
        };
        if entry.value.len() + more.len() > MAX_VALUE {
            return Err(Refusal::TooLong);
        }
        entry.value.extend_from_slice(more);
        Ok(entry.value.len())
    }

    /// Shows at most `count` keys below a place, or below the end, from there to the front. Returns
    /// the place to go on below; zero at the end of the scan.
    pub(crate) fn scan<'a>(
        &'a self,
        below: u64,
        count: usize,
        mut show: impl FnMut(&'a [u8]),
    ) -> u64 {
        let end = usize::try_from(below).unwrap_or(usize::MAX).min(self.entries.len());
        let start = end.saturating_sub(count.max(1));
        for place in (start..end).rev() {
            let Some((key, entry)) = self.entries.get_index(place) else { continue };
            if entry.deadline.is_none_or(|deadline| deadline > self.now) {
                show(key);
            }
        }
        start as u64
    }

    /// Removes at most `limit` keys that have expired. Returns whether more may be left.
    pub(crate) fn remove_expired(&mut self, limit: usize) -> bool {
        for _ in 0..limit {
            match self.deadlines.first() {
                Some((deadline, key)) if *deadline <= self.now => {
                    let key = key.clone();
                    self.forget(&key);
                    self.expired += 1;
                }
                _ => return false,
            }
        }
        true
    }

    /// The entry of a key that has not expired.
    #[inline]
    fn live(&mut self, key: &[u8]) -> Option<&mut Entry> {
        let place = self.entries.get_index_of(key)?;
        let is_over = self.entries[place].deadline.is_some_and(|deadline| deadline <= self.now);
        if is_over {
            self.forget(key);
            self.expired += 1;
            return None;
        }
        self.entries.get_index_mut(place).map(|(_, entry)| entry)
    }

    /// Removes a key and its deadline.
    fn forget(&mut self, key: &[u8]) {
        if let Some((key, Entry { deadline: Some(deadline), .. })) =
            self.entries.swap_remove_entry(key)
        {
            self.deadlines.remove(&(deadline, key));
        }
    }

    /// Changes the deadline of a key that there is.
    fn set_deadline(&mut self, key: &[u8], deadline: Option<Deadline>) {
        let Some((_, key, entry)) = self.entries.get_full_mut(key) else { return };
        let key = key.clone();
        let before = std::mem::replace(&mut entry.deadline, deadline);
        if let Some(before) = before {
            self.deadlines.remove(&(before, key.clone()));
        }
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, key));
        }
    }
}

/// Replaces a value in the memory that it has, unless that is far too much.
fn replace(value: &mut Value, with: &[u8]) {
    if value.capacity() > 2 * with.len() + 64 {
        *value = Value::from_slice(with);
    } else {
        value.clear();
        value.extend_from_slice(with);
    }
}

/// A number as Redis writes them: without a plus sign, leading zeros or blanks.
pub(crate) fn integer(bytes: &[u8]) -> Option<i64> {
    let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let is_canonical = match digits {
        [b'0'] => bytes.len() == 1,
        [b'1'..=b'9', ..] => true,
        _ => false,
    };
    is_canonical.then(|| std::str::from_utf8(bytes).ok()?.parse().ok()).flatten()
}
