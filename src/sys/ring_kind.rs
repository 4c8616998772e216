//! Which ring a runtime is on, or is to be on.

/// Which ring a runtime uses: io_uring, or the portable one.
///
/// Both do the same, with the same promises; `docs/portable.md` says what they cost. It is chosen
/// with [`Builder::ring`](crate::Builder::ring), or, where that says [`Auto`](Self::Auto), by the
/// environment variable `ANNULUS_RING`: `auto`, `kernel` or `portable`.
/// [`Metrics::ring`](crate::Metrics::ring) tells which it is.
///
/// # Example
///
/// ```
/// use annulus::{RingKind, Runtime};
///
/// let runtime = Runtime::builder().ring(RingKind::Portable).build()?;
/// assert_eq!(runtime.metrics().ring, RingKind::Portable);
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RingKind {
    /// io_uring, or the portable ring where io_uring is unavailable: missing in the kernel,
    /// switched off, forbidden by a seccomp profile or a security module, or too old.
    ///
    /// A shortage (of descriptors, of memory) is an error and no reason for the portable ring. The
    /// first runtime of a process that falls back reports it, as an
    /// [`Incident::PortableRing`](crate::Incident::PortableRing).
    #[default]
    Auto,
    /// io_uring, or the [`SetupError`](crate::SetupError) that says why it is unavailable.
    Kernel,
    /// The portable ring, on epoll and a few threads, also where there is io_uring.
    Portable,
}
