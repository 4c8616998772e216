//! The box of a [`ThreadBound`](super::ThreadBound): its value, behind a header.

use std::any;
use std::ptr::NonNull;
use std::sync::Arc;

use super::returns::Link;
use crate::error::{Incident, catch_panic};
use crate::task::loom::UnsafeCell;
use crate::task::scheduler::Scheduler;
use crate::task::thread_id::ThreadId;

/// What a node is without the type of its value. The first field of a [`Node`].
///
/// A pointer to the header is made from the pointer to the whole node, never from a reference to
/// the header, so that it can be cast back.
#[repr(C)]
pub(super) struct Header {
    link: Link,
    /// Never changes.
    owner: ThreadId,
    /// Where a value that is dropped elsewhere goes. Touched by the one that has the node, and
    /// taken out before the node goes there.
    home: UnsafeCell<Option<Arc<Scheduler>>>,
    of_type: &'static Type,
}

/// What depends on the type of the value.
struct Type {
    /// Drops the node. The caller has it, on its owner's thread.
    drop: unsafe fn(NonNull<Header>),
    name: fn() -> &'static str,
}

#[repr(C)]
pub(super) struct Node<T> {
    header: Header,
    value: T,
}

impl<T: 'static> Node<T> {
    const TYPE: Type = Type {
        drop: |node| {
            // SAFETY: the caller has the node, which `new` made as a box of this type, and this is
            // its owner's thread. If the value's destructor panics, the memory is freed all the
            // same.
            drop(unsafe { Box::from_raw(node.cast::<Self>().as_ptr()) });
        },
        name: any::type_name::<T>,
    };

    /// A node of the calling thread, which owns the scheduler.
    pub(super) fn new(home: Arc<Scheduler>, value: T) -> NonNull<Self> {
        let header = Header {
            link: Link::new(),
            owner: ThreadId::current(),
            home: UnsafeCell::new(Some(home)),
            of_type: const { &Self::TYPE },
        };
        let node = Box::into_raw(Box::new(Self { header, value }));
        NonNull::new(node).expect("a box is not null")
    }

    /// Where the value is.
    ///
    /// # Safety
    ///
    /// The node has not been freed.
    #[inline]
    pub(super) unsafe fn value(this: NonNull<Self>) -> NonNull<T> {
        // SAFETY: it points into the node, by this function's contract.
        unsafe { NonNull::new_unchecked(&raw mut (*this.as_ptr()).value) }
    }
}

/// Whether this is the thread of the value.
///
/// # Safety
///
/// The node has not been freed.
#[inline]
pub(super) unsafe fn is_local(node: NonNull<Header>) -> bool {
    // SAFETY: by this function's contract, and the field never changes.
    unsafe { (*node.as_ptr()).owner }.is_current()
}

/// Takes out the reference to the scheduler.
///
/// # Safety
///
/// The caller has the node.
unsafe fn take_home(node: NonNull<Header>) -> Option<Arc<Scheduler>> {
    // SAFETY: no other code touches the field while the caller has the node.
    unsafe { node.as_ref().home.with_mut(|home| (*home).take()) }
}

/// Drops a reference to a scheduler, from any thread. The last one drops the incident hook, which
/// is foreign code.
fn release(home: Option<Arc<Scheduler>>) {
    let _ = catch_panic(|| drop(home));
}

/// Drops the value, whose panic is the caller's.
///
/// # Safety
///
/// The caller has the node, and this is the value's thread.
pub(super) unsafe fn drop_here<T: 'static>(node: NonNull<Node<T>>) {
    // SAFETY: by this function's contract.
    unsafe {
        release(take_home(node.cast()));
        drop(Box::from_raw(node.as_ptr()));
    }
}

/// Takes the value out, and frees the node.
///
/// # Safety
///
/// As for [`drop_here`].
pub(super) unsafe fn take_value<T: 'static>(node: NonNull<Node<T>>) -> T {
    // SAFETY: by this function's contract.
    unsafe {
        release(take_home(node.cast()));
        Box::from_raw(node.as_ptr()).value
    }
}

/// Sends a node to its owner's thread, from another. Never panics.
///
/// # Safety
///
/// The caller has the node, and passes it on.
pub(super) unsafe fn send_home(node: NonNull<Header>) {
    // SAFETY: the caller has the node. Its type is a constant.
    let (home, of_type) = unsafe { (take_home(node), node.as_ref().of_type) };
    let Some(home) = home else { return };
    // In a forked process the owner's thread does not exist, and the bell's mutex may be locked for
    // ever.
    if home.is_of_this_process() {
        // SAFETY: the caller passes on the node, which was made with this scheduler.
        if unsafe { home.returns.push(node.cast()) } {
            // Nothing here touches the node any more: the owner may have freed it.
            home.notify();
        } else {
            let incident = Incident::ThreadBoundLeaked { type_name: (of_type.name)() };
            let _ = catch_panic(|| home.report(&incident));
        }
    }
    release(Some(home));
}

/// Drops a node that has come home.
///
/// # Safety
///
/// The caller has the node, and this is its owner's thread.
pub(super) unsafe fn drop_returned(node: NonNull<Header>, scheduler: &Scheduler) {
    // SAFETY: by this function's contract.
    let panic = catch_panic(|| unsafe { (node.as_ref().of_type.drop)(node) });
    if let Some(message) = panic {
        scheduler.report(&Incident::CallbackPanicked { message });
    }
}
