//! What a service has to do with its service manager, and with the process that replaces it.
//!
//! # Sockets from the service manager
//!
//! With socket activation systemd binds the sockets and starts the service when a client comes. A
//! service that crashes or restarts loses no client that waits there. [`listeners`] takes them:
//!
//! ```ini
//! # /etc/systemd/system/hello.socket
//! [Socket]
//! ListenStream=80
//! ListenStream=/run/hello.sock
//! FileDescriptorName=hello
//!
//! [Install]
//! WantedBy=sockets.target
//! ```
//!
//! ```ini
//! # /etc/systemd/system/hello.service
//! [Unit]
//! Requires=hello.socket
//!
//! [Service]
//! Type=notify-reload
//! ExecStart=/usr/local/bin/hello
//! WatchdogSec=30
//! TimeoutStopSec=60
//! ```
//!
//! # Telling the service manager
//!
//! [`ready`] when the service accepts connections, [`stopping`] when it begins to shut down,
//! [`status`] for what `systemctl status` shows, [`answer_watchdog`] so that a loop that hangs is
//! noticed. All of them do nothing where there is no service manager.
//!
//! # Restarts that drop no connection
//!
//! [`hand_over`](fn@hand_over) starts the next version of the program, which inherits the listening
//! sockets, and waits until it is ready. Then this process stops to accept, serves its connections
//! to their end, and exits. `systemctl reload`, which sends SIGHUP, can so replace a program that
//! has changed. It needs no socket activation, and works without a service manager, too.
//!
//! # How it works
//!
//! `environment` reads and writes the variables that give descriptors to a process, `inherited`
//! takes those over. `notify` and `watchdog` send to the service manager. `sockets` knows what this
//! process listens on, and `hand_over` starts a successor with it; `predecessor` is the other side:
//! what a successor reports to the process that has started it. `role` tells whether this process
//! is still the service.

mod environment;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod hand_over;
mod inherited;
mod notify;
mod predecessor;
mod role;
mod sockets;
mod watchdog;

pub use hand_over::{HandOverError, hand_over};
pub use inherited::{InheritedSocket, SocketKind, listeners};
pub use notify::{notify, ready, reloading, status, stopping};
pub use sockets::ListeningSockets;
pub use watchdog::{answer_watchdog, watchdog_interval};
