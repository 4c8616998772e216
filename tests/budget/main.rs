//! No operation that is ready at once keeps other tasks from running: each takes a unit of its
//! task's budget. The modules enumerate them, by the room that they are in.
//!
//! A new asynchronous operation gets its line here.

#[path = "../common/mod.rs"]
mod common;

mod io;
mod join;
mod net;
mod outside;
mod server;
mod sync;
mod time;

use std::cell::Cell;
use std::rc::Rc;

use annulus::{spawn, yield_now};

/// How many operations may follow each other without another task running between them. A task's
/// budget is 128; a second one is left for what an operation does before it looks at the budget.
const BOUND: usize = 256;
/// How often each operation is done.
const TIMES: usize = 4 * BOUND;

/// Operations that are ready at once, and which of them starve other tasks.
#[derive(Default)]
struct Trials {
    starving: Vec<(&'static str, usize)>,
}

impl Trials {
    /// Does `operation`, which is always ready at once, in a loop, beside a task that always
    /// yields.
    async fn ready<T>(&mut self, name: &'static str, mut operation: impl AsyncFnMut() -> T) {
        let (turns, done) = (Rc::new(Cell::new(0_usize)), Rc::new(Cell::new(false)));
        let its = (Rc::clone(&turns), Rc::clone(&done));
        let other = spawn(async move {
            let (turns, done) = its;
            while !done.get() {
                turns.set(turns.get() + 1);
                yield_now().await;
            }
        });
        yield_now().await;
        let (mut most, mut in_a_row, mut seen) = (0, 0, turns.get());
        for _ in 0..TIMES {
            operation().await;
            in_a_row = if turns.get() == seen { in_a_row + 1 } else { 0 };
            seen = turns.get();
            most = most.max(in_a_row);
        }
        done.set(true);
        other.await.unwrap();
        if most > BOUND {
            self.starving.push((name, most));
        }
    }
}

impl Drop for Trials {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let starving = &self.starving;
            assert!(starving.is_empty(), "of {TIMES}, without another task between: {starving:?}");
        }
    }
}

/// Otherwise the tests of this file could not fail.
#[test]
fn an_operation_without_a_budget_is_found_to_starve_others() {
    common::watchdog::run(async {
        let mut trials = Trials::default();
        trials.ready("nothing", async || {}).await;
        trials.ready("a yield", async || yield_now().await).await;
        assert_eq!(std::mem::take(&mut trials.starving), [("nothing", TIMES)]);
    });
}
