//! Operations: one a file, each with the SQE it writes, what its completion means, and what becomes
//! of a completion that no future takes.
//!
//! # Two kinds
//!
//! - **One completion**, or several steps of one completion each: [`Op`] is the future of an
//!   [`Operation`](operation::Operation). A send without a copy is one, too: its steps complete
//!   once more with a notification, for which the memory is kept
//!   ([`NOTIFIES`](operation::Operation::NOTIFIES)).
//! - **A stream of completions**: [`Multishot`](multishot::Multishot) belongs to an object (a
//!   listener, a stream socket), whose futures take completions from it.
//!
//! Operations of the first kind on files can be links of a [`chain`].
//!
//! # The life of an operation
//!
//! 1. [`Op::new`] holds the operation, and with it every resource that the kernel will use: the
//!    buffer, the descriptor, an address.
//! 2. The first poll waits for what must come first, such as orphaned operations on the same
//!    object, or finds the output known already ([`poll_ready`](operation::Operation::poll_ready)).
//! 3. Then it writes the SQE and submits it. The kernel may now use the resources; the future still
//!    holds them. It may move: what the SQE points to lives on the heap. (Or an inline call does
//!    the work at once, if it is not expected to wait; see `driver::inline`.)
//! 4. The completion comes: the operation turns it into the output and returns the resources, or
//!    takes another step.
//! 5. Or the future is dropped first, and the operation becomes an orphan: it moves into the
//!    driver's slot, the kernel is asked to cancel it, and when the last completion comes the
//!    operation disposes of it ([`orphan`]).
//!    What follows on the same object waits for that, if the order matters (`drain`).
//!
//! Two outcomes are the same for all and are handled in `future`: a step that a signal has
//! interrupted is repeated (unless it has been cancelled), and a send that found no room waits for
//! it (`socket::send_room`) and goes on. While it waits the kernel has nothing of it but a poll.
//!
//! A future that is forgotten keeps its resources for ever, which is sound.
//!
//! # What becomes of an orphaned completion
//!
//! The table in docs/architecture.md ("What becomes of an orphaned completion") says it of every
//! operation, and what waits for the orphan.
//!
//! # Adding one
//!
//! A new operation is a file here, with its row in that table, a row in the capability table
//! (`sys::capabilities`), and the method that offers it; docs/adding-an-operation.md shows it step
//! by step.

mod chain;
mod check_loop;
mod descriptor;
mod drain;
mod file;
mod future;
mod multishot;
mod operation;
mod orphan;
mod orphaned_bytes;
mod orphaned_fds;
mod path;
mod pipe;
mod poll;
mod poll_events;
mod process;
mod socket;
#[cfg(test)]
mod tests;
mod timeout;

pub(crate) use chain::{AfterShort, ChainOp, Linked};
pub use chain::{Links, NotRun, Part, Push, Reason};
pub(crate) use descriptor::Descriptor;
pub(crate) use file::{
    Advise, Allocate, Close, CloseLast, FileFd, Fsync, LeaseBuffer, Open, OpenDirect, OpenFirst,
    ReadAt, ReadStream, ReadVectoredAt, SetLen, SharedSync, WriteAt, WriteThenSync,
    WriteVectoredAt,
};
pub use file::{
    CloseLink, OpenLink, ReadExactLink, ReadExactVectoredLink, ReadLink, ReadVectoredLink,
    SyncLink, WriteAllLink, WriteAllVectoredLink, WriteLink, WriteVectoredLink,
};
pub(crate) use future::Op;
pub(crate) use path::{Change, OpenWithin, Stat};
pub(crate) use pipe::{
    PipeEnd, PipeReady, ReadPipe, ReadPipeLease, SpliceFile, SpliceFromFile, SplicePipes,
    SpliceToSocket, WritePipe, transfer_unread, try_read, try_write,
};
pub(crate) use poll::{PollOnce, PolledFd};
pub(crate) use poll_events::PollEvents;
pub(crate) use process::{ChildProcess, WaitChild, reap_child, reap_left_children};
pub(crate) use socket::{
    Accepted, Acceptor, Arrived, Connect, DatagramSocket, Family, Heir, Holders, ListeningFd, One,
    OpenCount, OpenGuard, Outbox, Peek, Readable, Recv, RecvDatagram, RecvDatagramFds, RecvFds,
    RecvLease, SendBytes, SendDatagram, SendDatagramFds, SendZeroCopy, Several, SharedListener,
    SocketParts, StreamSocket, Unsent, WithFds, open_socket, set_option,
};
pub(crate) use timeout::KernelTimeout;
