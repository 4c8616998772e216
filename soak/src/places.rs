//! Where tasks, rounds, readers and writers are: what a run says of those that do not end.
//!
//! Each has a [`Place`], which knows whose it is, and the line of this program that it reached last.
//! The list is one for each thread, as a shard is a thread. An owner that has parts, such as a round
//! with a reader and a writer, waits where its parts do, and only those are told.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::panic::Location;
use std::rc::Rc;
use std::time::{Duration, Instant};

thread_local! {
    static PLACES: RefCell<BTreeMap<u64, Rc<Record>>> = RefCell::default();
    static NEXT: Cell<u64> = const { Cell::new(0) };
}

const TASK: &str = "task of ";

#[derive(Debug)]
struct Record {
    whose: String,
    at: Cell<&'static Location<'static>>,
    since: Cell<Instant>,
}

/// Is listed until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    number: u64,
    record: Rc<Record>,
}

impl Place {
    #[track_caller]
    pub(crate) fn new(whose: impl Into<String>) -> Self {
        let number = NEXT.replace(NEXT.get() + 1);
        let record = Rc::new(Record {
            whose: whose.into(),
            at: Cell::new(Location::caller()),
            since: Cell::new(Instant::now()),
        });
        PLACES.with_borrow_mut(|places| places.insert(number, Rc::clone(&record)));
        Self { number, record }
    }

    /// The place of a task as such. It is told only if its owner has no other.
    #[track_caller]
    pub(crate) fn of_task(whose: &str) -> Self {
        Self::new(format!("{TASK}{whose}"))
    }

    /// Whose place it is.
    pub(crate) fn whose(&self) -> &str {
        &self.record.whose
    }

    /// The caller's line has been reached.
    #[track_caller]
    pub(crate) fn here(&self) {
        self.record.at.set(Location::caller());
        self.record.since.set(Instant::now());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // The thread may be ending.
        let _ = PLACES.try_with(|places| places.borrow_mut().remove(&self.number));
    }
}

/// When a place of this thread was last reached.
pub(crate) fn latest() -> Option<Instant> {
    PLACES.with_borrow(|places| places.values().map(|it| it.since.get()).max())
}

/// Whether an owner or a part of it has reached a place within a time.
pub(crate) fn has_moved(whose: &str, within: Duration) -> bool {
    let is_of = |it: &Record| {
        it.whose.strip_prefix(whose).is_some_and(|rest| rest.is_empty() || rest.starts_with(", "))
    };
    PLACES.with_borrow(|places| {
        places.values().any(|it| is_of(it) && it.since.get().elapsed() < within)
    })
}

/// The places of this thread that were reached at least so long ago, that of the longest first.
pub(crate) fn older_than(age: Duration) -> Vec<String> {
    let now = Instant::now();
    let all: Vec<_> = PLACES.with_borrow(|places| places.values().map(Rc::clone).collect());
    let has_parts = |it: &Record| {
        let (whole, is_task) = match it.whose.strip_prefix(TASK) {
            Some(whole) => (whole, true),
            None => (&*it.whose, false),
        };
        all.iter().any(|other| match other.whose.strip_prefix(whole) {
            Some("") => is_task,
            Some(rest) => rest.starts_with(", "),
            None => false,
        })
    };
    let with_age =
        |it: &'_ Rc<Record>| (now.saturating_duration_since(it.since.get()), Rc::clone(it));
    let mut found: Vec<_> = all.iter().filter(|it| !has_parts(it)).map(with_age).collect();
    found.retain(|(since, _)| *since >= age);
    found.sort_by_key(|(since, _)| std::cmp::Reverse(*since));
    let line = |(since, it): &(Duration, Rc<Record>)| {
        let at = it.at.get();
        format!("{}, at {}:{} for {:.1} s", it.whose, at.file(), at.line(), since.as_secs_f64())
    };
    found.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_listed_with_the_line_that_it_reached_last_until_it_is_dropped() {
        let place = Place::new("a writer");
        place.here();
        let line = line!() - 1;
        let listed = older_than(Duration::ZERO);
        assert_eq!(listed.len(), 1);
        assert!(
            listed[0].starts_with(&format!("a writer, at {}:{line} for", file!())),
            "{listed:?}"
        );
        assert!(older_than(Duration::from_secs(3600)).is_empty());
        drop(place);
        assert!(older_than(Duration::ZERO).is_empty());
    }

    #[test]
    fn an_owner_is_listed_only_if_it_has_no_parts_and_its_task_only_if_it_is_alone() {
        let listed = || {
            let lines = older_than(Duration::ZERO);
            let mut whose: Vec<_> =
                lines.iter().map(|line| line.split_once(", at ").unwrap().0.to_owned()).collect();
            whose.sort();
            whose
        };
        let task = Place::of_task("a round");
        assert_eq!(listed(), ["task of a round"]);
        let whole = Place::new("a round");
        assert_eq!(listed(), ["a round"]);
        let parts = ["a round, a reader", "a round, a writer"].map(Place::new);
        assert_eq!(listed(), ["a round, a reader", "a round, a writer"]);
        let hour = Duration::from_secs(3600);
        assert!(has_moved("a round", hour) && !has_moved("a round", Duration::ZERO));
        assert!(!has_moved("a r", hour) && latest().is_some());
        drop((whole, parts, task));
        assert!(listed().is_empty());
    }
}
