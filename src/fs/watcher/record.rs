//! An event on its way from the kernel's form to ours.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::event::{WatchEvent, WatchId, Watched};
use super::watches::Watches;
use crate::sys::inotify::{self, Record};

/// An event as the kernel has reported it, with the id of its watch.
pub(super) struct Event {
    pub(super) watched: Watched,
    pub(super) mask: u32,
    pub(super) cookie: u32,
}

impl Event {
    pub(super) fn new(record: Record<'_>, watches: &mut Watches) -> Self {
        let Record { watch, mask, cookie, name } = record;
        let id = if mask & inotify::IN_Q_OVERFLOW != 0 {
            WatchId { serial: 0, number: watch }
        } else {
            watches.id(watch)
        };
        if mask & inotify::IN_IGNORED != 0 {
            watches.end(watch);
        }
        let name = (!name.is_empty()).then(|| OsString::from_vec(name.to_vec()));
        let is_dir = mask & inotify::IN_ISDIR != 0;
        Self { watched: Watched { watch: id, name, is_dir }, mask, cookie }
    }

    pub(super) fn into_public(self) -> WatchEvent {
        let Self { watched, mask, .. } = self;
        match mask & !inotify::IN_ISDIR {
            inotify::IN_CREATE => WatchEvent::Created(watched),
            inotify::IN_MODIFY => WatchEvent::Modified(watched),
            inotify::IN_ATTRIB => WatchEvent::Attributes(watched),
            inotify::IN_CLOSE_WRITE => WatchEvent::ClosedAfterWrite(watched),
            inotify::IN_CLOSE_NOWRITE => WatchEvent::ClosedUnwritten(watched),
            inotify::IN_OPEN => WatchEvent::Opened(watched),
            inotify::IN_ACCESS => WatchEvent::Accessed(watched),
            inotify::IN_MOVED_FROM => WatchEvent::MovedAway(watched),
            inotify::IN_MOVED_TO => WatchEvent::MovedHere(watched),
            inotify::IN_DELETE => WatchEvent::Deleted(watched),
            inotify::IN_DELETE_SELF => WatchEvent::SelfDeleted(watched.watch),
            inotify::IN_MOVE_SELF => WatchEvent::SelfMoved(watched.watch),
            inotify::IN_UNMOUNT => WatchEvent::Unmounted(watched.watch),
            inotify::IN_IGNORED => WatchEvent::Unwatched(watched.watch),
            // `IN_Q_OVERFLOW`; and what a later kernel may report is not known, so look anew.
            _ => WatchEvent::Overflow,
        }
    }
}
