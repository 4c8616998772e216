//! Why a ring could not be created, and what to do about it.

use std::{fmt, io};

use super::raw_os_error;

// The numbers are the same on every architecture.
const EPERM: i32 = 1;
const ENOMEM: i32 = 12;
const EINVAL: i32 = 22;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
const EOPNOTSUPP: i32 = 95;

/// Why a runtime could not be created. Each message is one line that names the remedy.
///
/// Where io_uring is unavailable a runtime is created on the portable ring. So the variants that
/// say why it is are returned by [`probe`](fn@crate::probe), and where
/// [`RingKind::Kernel`](crate::RingKind::Kernel) was chosen.
///
/// # Example
///
/// ```
/// match annulus::probe() {
///     Ok(_) => println!("io_uring works here"),
///     Err(annulus::SetupError::Forbidden) => println!("a seccomp profile is in the way"),
///     Err(other) => println!("{other}"),
/// }
/// ```
// `Debug` prints the message: it is what a `main` that returns this error shows.
#[non_exhaustive]
pub enum SetupError {
    /// `ENOSYS`: the kernel was built without io_uring, or hides it.
    NotInKernel,
    /// The sysctl `kernel.io_uring_disabled` is 1 (for unprivileged processes) or 2 (for all).
    Disabled {
        /// The value of the sysctl.
        level: u8,
    },
    /// `EPERM` or `EACCES` although the sysctl allows it: a seccomp filter or a security module.
    Forbidden,
    /// `ENOMEM` even for the smallest ring: the limit of locked memory is used up.
    LockedMemory {
        /// The soft `RLIMIT_MEMLOCK` in bytes, if it is limited.
        limit: Option<u64>,
    },
    /// `ENOMEM` even for the smallest ring: the process cannot map more memory, because its address
    /// space is limited, or it has the maximum number of mappings.
    AddressSpace {
        /// The soft `RLIMIT_AS` in bytes, if it is limited.
        limit: Option<u64>,
    },
    /// The kernel's io_uring lacks a feature that this crate requires.
    TooOld {
        /// The missing feature.
        feature: &'static str,
        /// The first kernel release that has it.
        since: &'static str,
    },
    /// The kernel does not support an option of the [`Builder`](crate::Builder).
    OptionUnsupported {
        /// The option's name.
        option: &'static str,
        /// The first kernel release that does.
        since: &'static str,
    },
    /// An environment variable that configures a runtime has a value without a meaning.
    InvalidVariable {
        /// The variable's name.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// Any other error, such as `EMFILE`.
    Other(io::Error),
}

impl SetupError {
    /// Whether io_uring is unavailable, by an error of making the kernel's ring: another time it
    /// would not be there either. A shortage may be over by then, and is none of these.
    pub(crate) fn is_unavailable(&self) -> bool {
        match self {
            Self::NotInKernel | Self::Disabled { .. } | Self::Forbidden | Self::TooOld { .. } => {
                true
            }
            // A sandbox answers so where the kernel would not.
            Self::Other(error) => matches!(raw_os_error(error), Some(EINVAL | EOPNOTSUPP)),
            Self::LockedMemory { .. }
            | Self::AddressSpace { .. }
            | Self::OptionUnsupported { .. }
            | Self::InvalidVariable { .. } => false,
        }
    }

    /// Returns the message without the advice to choose another ring.
    ///
    /// For programs that run on the portable ring, and say why.
    ///
    /// # Example
    ///
    /// ```
    /// if let Err(error) = annulus::probe() {
    ///     println!("the portable ring is used: {}", error.reason());
    /// }
    /// ```
    pub fn reason(&self) -> impl fmt::Display {
        Reason(self)
    }
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Reason(self).fmt(f)?;
        if self.is_unavailable() {
            f.write_str("; or choose RingKind::Portable, which does without io_uring")?;
        }
        Ok(())
    }
}

/// The message of an error, without the remedy that is another ring.
struct Reason<'a>(&'a SetupError);

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use SetupError::{
            AddressSpace, Disabled, Forbidden, InvalidVariable, LockedMemory, NotInKernel,
            OptionUnsupported, Other, TooOld,
        };
        match self.0 {
            NotInKernel => f.write_str(
                "this kernel has no io_uring (ENOSYS): use Linux 6.1 or later built with \
                 CONFIG_IO_URING, or, on Enterprise Linux 9, enable it with \
                 `sysctl kernel.io_uring_disabled=0`",
            ),
            Disabled { level: 1 } => f.write_str(
                "io_uring is switched off for unprivileged processes \
                 (kernel.io_uring_disabled = 1): run `sysctl kernel.io_uring_disabled=0`, or add \
                 the user to the group in kernel.io_uring_group",
            ),
            Disabled { level } => write!(
                f,
                "io_uring is switched off (kernel.io_uring_disabled = {level}): run \
                 `sysctl kernel.io_uring_disabled=0`",
            ),
            Forbidden => f.write_str(
                "io_uring is forbidden here (EPERM or EACCES), most likely by a container's seccomp \
                 profile or by a security module: allow io_uring_setup, io_uring_enter and \
                 io_uring_register there",
            ),
            LockedMemory { limit } => {
                f.write_str("not even the smallest ring fits in the locked-memory limit")?;
                if let Some(bytes) = limit {
                    write!(f, " of {} KiB", bytes / 1024)?;
                }
                f.write_str(
                    " (ENOMEM): raise it with `ulimit -l` or LimitMEMLOCK=, or run fewer rings",
                )
            }
            AddressSpace { limit } => {
                f.write_str("the process cannot map the memory of even the smallest ring (ENOMEM): ")?;
                match limit {
                    Some(bytes) => write!(
                        f,
                        "its address space is limited to {} KiB; raise that with `ulimit -v` or \
                         LimitAS=",
                        bytes / 1024
                    ),
                    None => f.write_str(
                        "if it has many mappings raise `sysctl vm.max_map_count`, else free memory",
                    ),
                }
            }
            TooOld { feature, since } => write!(
                f,
                "this kernel's io_uring lacks {feature} (Linux {since}): use Linux 6.1 or later",
            ),
            OptionUnsupported { option, since } => write!(
                f,
                "this kernel does not support Builder::{option} (Linux {since}): leave the option out",
            ),
            InvalidVariable { name, value, expected } => {
                write!(f, "the environment variable {name} is {value:?}: set it to {expected}, or unset it")
            }
            Other(error) => {
                write!(f, "cannot set up the ring: {error}")?;
                match raw_os_error(error) {
                    Some(EMFILE) => f.write_str("; raise the limit of open files with `ulimit -n`"),
                    Some(ENFILE) => f.write_str(
                        "; the machine has reached its limit of open files: raise \
                         `sysctl fs.file-max`, or find the process that holds them",
                    ),
                    Some(EINVAL) => f.write_str(
                        "; the kernel supports this, so a sandbox probably refuses it: allow \
                         io_uring_setup, io_uring_enter and io_uring_register there",
                    ),
                    _ => Ok(()),
                }
            }
        }
    }
}

impl SetupError {
    /// The error number, if a system call has failed.
    pub(super) fn code(&self) -> Option<i32> {
        match self {
            Self::Disabled { .. } | Self::Forbidden => Some(EPERM),
            Self::LockedMemory { .. } | Self::AddressSpace { .. } => Some(ENOMEM),
            Self::Other(error) => raw_os_error(error),
            // `ENOSYS` differs between architectures, and the others are found without a failed
            // call.
            Self::NotInKernel
            | Self::TooOld { .. }
            | Self::OptionUnsupported { .. }
            | Self::InvalidVariable { .. } => None,
        }
    }
}

impl fmt::Debug for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for SetupError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Other(error) => Some(error),
            _ => None,
        }
    }
}

impl SetupError {
    /// The kind of the [`io::Error`] that this becomes.
    pub(crate) fn kind(&self) -> io::ErrorKind {
        match self {
            Self::NotInKernel | Self::TooOld { .. } | Self::OptionUnsupported { .. } => {
                io::ErrorKind::Unsupported
            }
            Self::Disabled { .. } | Self::Forbidden => io::ErrorKind::PermissionDenied,
            Self::LockedMemory { .. } | Self::AddressSpace { .. } => io::ErrorKind::OutOfMemory,
            Self::InvalidVariable { .. } => io::ErrorKind::InvalidInput,
            Self::Other(inner) => inner.kind(),
        }
    }
}

impl From<SetupError> for io::Error {
    fn from(error: SetupError) -> Self {
        io::Error::new(error.kind(), error)
    }
}
