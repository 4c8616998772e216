//! What becomes of panics: of closures, destructors and wakers.

use std::future::pending;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};

use super::{Dropped, Owner, Woken, call, joined, poll, spawn, text};

#[test]
fn a_panic_of_a_destructor_reaches_the_joiner() {
    let owner = Owner::new();
    let (sender, drops) = mpsc::channel();
    let bomb = || Dropped(sender.clone(), Some("of a destructor"));
    // A closure that never begins, by a cancel and by the end; and a cancelled future.
    let closure = bomb();
    let mut unbegun = call(&owner.queue(), move || drop(closure));
    unbegun.cancel();
    let in_future = bomb();
    let mut cancelled = spawn(&owner.queue(), move || async move {
        let _bomb = in_future;
        pending::<()>().await;
    });
    owner.turn();
    cancelled.cancel();
    owner.turn();
    let closure = bomb();
    let mut left = call(&owner.queue(), move || drop(closure));
    owner.close();
    for handle in [&mut unbegun, &mut cancelled, &mut left] {
        assert_eq!(text(joined(handle)), "task panicked: of a destructor");
    }
    assert_eq!(drops.try_iter().count(), 3);
    assert_eq!(owner.incidents(), [""; 0]);
}

#[test]
fn a_panic_that_no_handle_returns_is_an_incident() {
    let owner = Owner::new();
    let (sender, drops) = mpsc::channel();
    let bomb = || Dropped(sender.clone(), Some("of a destructor"));
    let has = |expected: &[&str]| {
        let incidents = owner.incidents();
        let fits = |(incident, text): (&String, &&str)| incident.contains(text);
        assert_eq!(incidents.len(), expected.len(), "{incidents:?}");
        assert!(incidents.iter().zip(expected).all(fits), "{incidents:?}");
    };
    // The handle is dropped before the end, or after it.
    drop(call(&owner.queue(), || panic!("of a closure")));
    let seen_late = call(&owner.queue(), || panic!("seen late"));
    owner.turn();
    has(&["was not joined: of a closure"]);
    drop(seen_late);
    has(&["was not joined: seen late"]);
    // Closures that never begin, and an output.
    let (closure, output) = (bomb(), bomb());
    let cancelled = call(&owner.queue(), move || drop(closure));
    cancelled.cancel();
    drop(cancelled);
    drop(call(&owner.queue(), move || output));
    owner.turn();
    has(&["was not joined: of a destructor", "a waker or destructor panicked"]);
    let closure = bomb();
    drop(call(&owner.queue(), move || drop(closure)));
    owner.close();
    has(&["was not joined: of a destructor"]);
    assert_eq!(drops.try_iter().count(), 3);
}

/// The end of all drops a future whose destructor panics. The unwinding ends the call, whose waker
/// panics too.
#[test]
fn the_end_of_all_survives_a_destructor_and_a_waker_that_panic() {
    let owner = Owner::new();
    let (sender, drops) = mpsc::channel();
    let bomb = Dropped(sender, Some("of a destructor"));
    let mut handle = spawn(&owner.queue(), move || async move {
        let _bomb = bomb;
        pending::<()>().await;
    });
    owner.turn();
    let woken = Arc::<Woken>::default();
    woken.panics.store(true, Ordering::SeqCst);
    assert!(poll(&mut handle, &woken).is_pending());
    owner.close();
    assert_eq!((drops.iter().count(), woken.count.load(Ordering::SeqCst)), (1, 1));
    assert!(joined(&mut handle).unwrap_err().is_ended());
    let incidents = owner.incidents();
    assert!(incidents.iter().any(|it| it.contains("of a waker")), "{incidents:?}");
    assert!(incidents.iter().any(|it| it.contains("of a destructor")), "{incidents:?}");
}
