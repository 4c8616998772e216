//! What differs under gVisor, whose kernel is no Linux.
//!
//! - It does not always report, with the last bytes of a TCP connection, that its peer has ended it
//!   (`EPOLLRDHUP`; never before July 2023). Behind a receive that gets less than it wants there
//!   may be an EOF then, of which no later event tells.
//! - A socket that is bound shares its port (`SO_REUSEPORT`) only if it did when it was bound.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::sync::OnceLock;

/// Whether this process runs under gVisor.
pub(crate) fn is_gvisor() -> bool {
    static IS: OnceLock<bool> = OnceLock::new();
    *IS.get_or_init(|| {
        let mut names = MaybeUninit::<libc::utsname>::zeroed();
        // SAFETY: the call fills the names, and ends each with a zero.
        let release = unsafe {
            libc::uname(names.as_mut_ptr());
            CStr::from_ptr(names.assume_init_ref().release.as_ptr()).to_bytes()
        };
        is_its_release(release)
    })
}

/// It says `4.4.0`, which the library does not run on, and since April 2026 that it is gVisor.
fn is_its_release(release: &[u8]) -> bool {
    release == b"4.4.0" || release.ends_with(b"-gvisor")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gvisor_is_known_by_its_release() {
        assert!([&b"4.4.0"[..], b"4.19.0-gvisor"].into_iter().all(is_its_release));
        assert!(
            ![&b"4.18.0-553.el8.x86_64"[..], b"6.18.44", b"5.4.0"].into_iter().any(is_its_release)
        );
    }
}
