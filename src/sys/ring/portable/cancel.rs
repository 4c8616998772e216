//! Cancels: what they find, and what they answer.
//!
//! The answer is a hint; the target's own completion says what became of it. Zero: it was ended.
//! `EALREADY`: a worker has begun it. `ENOENT`: there is none, or it is over, or it is a link that
//! has not begun.

use super::PortableRing;
use super::requests::{Request, State, Token};
use super::workers::Found;
use crate::sys::Sqe;
use crate::sys::errno::{EALREADY, ECANCELED, ENOENT};

/// `IORING_ASYNC_CANCEL_ALL`, `_FD`, `_ANY`, `_FD_FIXED`, `_USERDATA` and `_OP`.
const ALL: u32 = 1 << 0;
const BY_FILE: u32 = 1 << 1;
const ANY: u32 = 1 << 2;
const BY_FILE_SLOT: u32 = 1 << 3;
const BY_USER_DATA: u32 = 1 << 4;
const BY_OPCODE: u32 = 1 << 5;

impl PortableRing {
    /// Carries a cancel out. Returns its result.
    pub(super) fn carry_out_cancel(&mut self, sqe: &Sqe) -> i32 {
        let flags = sqe.op_flags();
        if flags & (ALL | BY_FILE | ANY | BY_OPCODE) == 0 {
            return self.requests.find(sqe.address()).map_or(-ENOENT, |token| self.cancel(token));
        }
        let mut count = 0;
        loop {
            // An end may begin the next link, which is to be cancelled, too.
            let is_meant_still =
                |request: &Request| is_meant(request, sqe) && !request.was_cancelled;
            let found = self.requests.cancellable().filter(|(_, request)| is_meant_still(request));
            let found: Vec<_> = found.map(|(token, _)| token).collect();
            if found.is_empty() {
                return if flags & ALL != 0 { count } else { -ENOENT };
            }
            for token in found {
                if !self.requests.get(token).is_some_and(is_meant_still) {
                    continue;
                }
                let result = self.cancel(token);
                if flags & ALL == 0 {
                    return result;
                }
                count += 1;
            }
            self.run();
        }
    }

    /// Cancels a request that has begun.
    pub(super) fn cancel(&mut self, token: Token) -> i32 {
        let request = &mut self.requests[token];
        if request.state == State::Job {
            request.was_cancelled = true;
            if self.workers.cancel(token as usize) != Found::Queued {
                return -EALREADY;
            }
        }
        // What was transferred stays so (`uring-sys-tests`, waitall_recv_cancel_reports_part).
        let moved = self.requests[token].moved as i32;
        self.end(token, if moved > 0 { moved } else { -ECANCELED }, 0);
        0
    }
}

/// Whether a cancel that goes by more than user data means a request.
fn is_meant(request: &Request, sqe: &Sqe) -> bool {
    let (flags, call) = (sqe.op_flags(), &request.call);
    if flags & ANY != 0 {
        return true;
    }
    let is_of_file = || {
        let by_slot = flags & BY_FILE_SLOT != 0;
        call.sqe.file() == sqe.cancelled_file(by_slot) && request.state != State::Lost
    };
    let by_user_data = flags & (BY_FILE | BY_OPCODE) == 0 || flags & BY_USER_DATA != 0;
    (flags & BY_FILE == 0 || is_of_file())
        && (flags & BY_OPCODE == 0 || u32::from(call.sqe.opcode()) == sqe.length())
        && (!by_user_data || call.sqe.user_data() == sqe.address())
}
