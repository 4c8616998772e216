//! Attempts at the operations of sockets, and polls.

use super::PortableRing;
use super::keep::keep;
use super::poller::Waits;
use super::polls;
use super::requests::{State, Token};
use super::sockets::{self, Connecting};
use super::timeouts::time_after;
use crate::sys::errno::{EAGAIN, ENOBUFS};
use crate::sys::opcode;
use crate::sys::poll::{READABLE, WRITABLE};

/// `IORING_CQE_F_MORE`.
const MORE: u32 = 1 << 1;
/// `IORING_CQE_F_SOCK_NONEMPTY`.
const NONEMPTY: u32 = 1 << 2;
/// `IORING_CQE_F_NOTIF`.
const NOTIFICATION: u32 = 1 << 3;
/// `IORING_NOTIF_USAGE_ZC_COPIED`.
const COPIED: i32 = i32::MIN;
/// `IORING_SEND_ZC_REPORT_USAGE`.
const REPORT_USAGE: u16 = 1 << 3;
/// `IORING_RECV_MULTISHOT`.
const RECV_MULTISHOT: u16 = 1 << 1;
/// `IORING_ACCEPT_MULTISHOT`.
const ACCEPT_MULTISHOT: u16 = 1 << 0;

/// How many completions one request gives in a row before others are served: the kernel's number
/// (`uring-sys-tests`, multishot_fairness_bound).
const MOST_IN_A_ROW: u32 = 32;

/// The first pause before a connect to a full backlog is tried again, in nanoseconds. Each is twice
/// as long as the one before, up to the longest.
const SHORTEST_PAUSE: u64 = 1_000_000;
const LONGEST_PAUSE: u64 = 32 * SHORTEST_PAUSE;

impl PortableRing {
    pub(super) fn attempt_recv(&mut self, token: Token) {
        for _ in 0..MOST_IN_A_ROW {
            let request = &self.requests[token];
            let (call, moved) = (request.call, request.moved);
            let is_multishot = call.sqe.ioprio() & RECV_MULTISHOT != 0;
            let group = call.sqe.buffer_group();
            let buffer = group.and_then(|group| self.buffers.peek(group));
            if group.is_some() && buffer.is_none() {
                return self.end(token, -ENOBUFS, 0);
            }
            if !self.poller.may_be_ready(call.fd, READABLE) {
                return self.wait_for(token, call.fd, READABLE, Waits::OnSocket);
            }
            let (start, length) = sockets::target(&call, moved, buffer);
            let received = match sockets::recv(&call, start, length) {
                Ok(received) => received,
                Err(errno) => return self.fail_unless_blocked(token, READABLE, errno),
            };
            let is_peek = call.sqe.op_flags() & libc::MSG_PEEK as u32 != 0;
            let is_short = (received as usize) < length;
            if is_short && !is_peek {
                self.poller.note_short_receive(call.fd);
            }
            let mut flags = if is_short { 0 } else { NONEMPTY };
            if received > 0 {
                if let (Some(group), Some(buffer)) = (group, buffer) {
                    self.buffers.take(group);
                    flags |= buffer.flags();
                }
            }
            let is_for_all = call.sqe.op_flags() & libc::MSG_WAITALL as u32 != 0;
            if is_for_all && is_short && received > 0 && group.is_none() {
                self.requests[token].moved += received;
                continue;
            }
            let result = (moved + received) as i32;
            if !is_multishot || received == 0 {
                return self.end(token, result, flags);
            }
            self.post(call.sqe.user_data(), result, flags | MORE);
            if is_short && self.goes_on_waiting(token, call.fd) {
                return;
            }
        }
        self.go_on_later(token);
    }

    /// Whether a receive that has waited would find nothing now.
    fn goes_on_waiting(&self, token: Token, fd: i32) -> bool {
        self.requests[token].state == State::Waiting && !self.poller.may_be_ready(fd, READABLE)
    }

    pub(super) fn attempt_recvmsg(&mut self, token: Token) {
        for _ in 0..MOST_IN_A_ROW {
            let call = self.requests[token].call;
            let Some(group) = call.sqe.buffer_group() else {
                let outcome = if self.poller.may_be_ready(call.fd, READABLE) {
                    sockets::recvmsg(&call)
                } else {
                    Err(EAGAIN)
                };
                return self.end_unless_blocked(token, READABLE, outcome);
            };
            let Some(buffer) = self.buffers.peek(group) else {
                return self.end(token, -ENOBUFS, 0);
            };
            if !self.poller.may_be_ready(call.fd, READABLE) {
                return self.wait_for(token, call.fd, READABLE, Waits::OnSocket);
            }
            let datagram = match sockets::recvmsg_into(&call, buffer) {
                Ok(datagram) => datagram,
                Err(errno) => return self.fail_unless_blocked(token, READABLE, errno),
            };
            self.buffers.take(group);
            let (result, flags) = (datagram.used as i32, buffer.flags());
            if datagram.is_empty || call.sqe.ioprio() & RECV_MULTISHOT == 0 {
                return self.end(token, result, flags);
            }
            self.post(call.sqe.user_data(), result, flags | MORE);
        }
        self.go_on_later(token);
    }

    pub(super) fn attempt_send(&mut self, token: Token) {
        for _ in 0..MOST_IN_A_ROW {
            let request = &self.requests[token];
            let (call, moved) = (request.call, request.moved);
            let sent = match sockets::send(&call, moved) {
                Ok(sent) => sent,
                Err(errno) => return self.fail_unless_blocked(token, WRITABLE, errno),
            };
            let whole = moved + sent;
            let is_for_all = call.sqe.op_flags() & libc::MSG_WAITALL as u32 != 0;
            if is_for_all && whole < call.sqe.length() && sent > 0 {
                self.requests[token].moved = whole;
                continue;
            }
            if call.sqe.opcode() == opcode::SendZc::CODE {
                // The bytes are copied already.
                self.post(call.sqe.user_data(), whole as i32, MORE);
                let reports = call.sqe.ioprio() & REPORT_USAGE != 0;
                return self.end(token, if reports { COPIED } else { 0 }, NOTIFICATION);
            }
            return self.end(token, whole as i32, 0);
        }
        self.go_on_later(token);
    }

    pub(super) fn attempt_accept(&mut self, token: Token) {
        let call = self.requests[token].call;
        // An accept that waits would stop the loop. Each time: another holder of the listener may
        // have made it block again.
        if let Err(errno) = sockets::set_nonblocking(call.fd) {
            return self.end(token, -errno, 0);
        }
        let is_multishot = call.sqe.ioprio() & ACCEPT_MULTISHOT != 0;
        for _ in 0..MOST_IN_A_ROW {
            match sockets::accept(&call) {
                Ok(fd) if is_multishot => self.post(call.sqe.user_data(), fd as i32, MORE),
                Ok(fd) => return self.end(token, fd as i32, 0),
                Err(EAGAIN) => {
                    let waits = if is_multishot { Waits::OnEdges } else { Waits::Once };
                    return self.wait_for(token, call.fd, READABLE, waits);
                }
                Err(errno) => return self.end(token, -errno, 0),
            }
        }
        self.go_on_later(token);
    }

    pub(super) fn attempt_connect(&mut self, token: Token) {
        let request = &mut self.requests[token];
        if request.kept.is_none() {
            match sockets::set_nonblocking(request.call.fd) {
                Ok(was_blocking) => request.was_blocking |= was_blocking,
                Err(errno) => return self.end(token, -errno, 0),
            }
        }
        match sockets::connect(&request.call) {
            Connecting::Over(outcome) => {
                let result = outcome.map_or_else(|errno| -errno, |_| 0);
                self.end(token, result, 0);
            }
            Connecting::UnderWay => {
                // The operation may close the socket without a word to the ring: not `OnSocket`.
                let fd = request.call.fd;
                self.wait_for(token, fd, WRITABLE, Waits::Once);
            }
            Connecting::BacklogIsFull => {
                if request.kept.is_none() {
                    request.kept = keep(&mut request.call);
                }
                request.nanos = (2 * request.nanos).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
                let time = time_after(request.nanos);
                self.set_state(token, State::Timed(time));
                self.timeouts.insert(time, token);
            }
        }
    }

    pub(super) fn attempt_poll(&mut self, token: Token, events: u32) {
        let request = &self.requests[token];
        let (fd, user_data) = (request.call.fd, request.call.sqe.user_data());
        let wanted = polls::wanted(&request.call);
        let is_multishot = polls::is_multishot(&request.call);
        let is_first = request.state == State::Runnable;
        let ready = if !is_first {
            Ok(events & wanted)
        } else if self.poller.has_to_ask(fd, wanted) {
            polls::poll_now(fd, wanted)
        } else {
            // Either the last attempt has found that nothing is ready, or the descriptor is about
            // to be registered, which reports in this enter what is ready now.
            Ok(0)
        };
        match ready {
            Err(errno) => return self.end(token, -errno, 0),
            Ok(ready) if ready != 0 && !is_multishot => return self.end(token, ready as i32, 0),
            Ok(ready) if ready != 0 => self.post(user_data, ready as i32, MORE),
            Ok(_) => {}
        }
        if is_first {
            let waits = self.poller.waits_of_poll(fd, is_multishot);
            self.wait_for(token, fd, wanted, waits);
        }
    }

    pub(super) fn end_unless_blocked(
        &mut self,
        token: Token,
        events: u32,
        outcome: sockets::Outcome,
    ) {
        match outcome {
            Ok(count) => self.end(token, count as i32, 0),
            Err(errno) => self.fail_unless_blocked(token, events, errno),
        }
    }

    /// An operation of a socket has failed. If it would have had to wait, it waits, unless it asks
    /// not to.
    fn fail_unless_blocked(&mut self, token: Token, events: u32, errno: i32) {
        let request = &self.requests[token];
        let (call, moved) = (request.call, request.moved);
        let sqe = call.sqe;
        let may_wait =
            sqe.opcode() == opcode::Accept::CODE || sqe.op_flags() & libc::MSG_DONTWAIT as u32 == 0;
        if errno == EAGAIN {
            self.poller.note_blocked(call.fd, events);
            if may_wait {
                return self.wait_for(token, call.fd, events, Waits::OnSocket);
            }
        }
        // What was moved is not taken back.
        self.end(token, if moved > 0 { moved as i32 } else { -errno }, 0);
    }

    /// A request has had its share, and goes on in the next enter.
    fn go_on_later(&mut self, token: Token) {
        self.set_state(token, State::Runnable);
        self.deferred.push(self.requests.due(token));
    }
}
