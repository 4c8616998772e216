//! A ring by hand, on the io-uring crate: the other one that says what the machine can do, in
//! several forms, since none is the fastest everywhere.
//!
//! - [`server`] is the loop and the connections.
//! - [`files`] is the loop for files, in two forms.
//! - [`buffers`] is the ring of buffers from which the kernel takes one for each arrival.

mod buffers;
mod files;
mod server;

use std::io;
use std::net::TcpListener;

use self::server::Server;
use super::{Contender, Memory, Service};
use crate::files::{Job, Report};
use crate::server::Calls;

/// The plain form; for files, too.
const ONE_SHOT: &str = "raw-uring-oneshot";

/// The form with what is registered: for files that is the file and the buffers.
const DIRECT: &str = "raw-uring-direct";

pub(super) fn forms() -> Vec<Box<dyn Contender>> {
    let small =
        Receiving::Provided { size: 4 * 1024, count: 4096, bundles: false, shared: "4096 x 4 KiB" };
    let large = Receiving::Provided {
        size: 16 * 1024,
        count: 1024,
        bundles: false,
        shared: "1024 x 16 KiB",
    };
    let huge =
        Receiving::Provided { size: 64 * 1024, count: 256, bundles: false, shared: "256 x 64 KiB" };
    let bundles =
        Receiving::Provided { size: 4 * 1024, count: 4096, bundles: true, shared: "4096 x 4 KiB" };
    // So few that they stay in the cache, and too few for a thousand busy connections.
    let large_bundles =
        Receiving::Provided { size: 16 * 1024, count: 128, bundles: true, shared: "128 x 16 KiB" };
    vec![
        Box::new(Form {
            name: ONE_SHOT,
            form: "by hand, one-shot receive into a buffer of the connection",
            receiving: Receiving::OneShot,
            direct: false,
        }),
        Box::new(Form {
            name: "raw-uring-4k",
            form: "by hand, multishot receive, provided buffers of 4 KiB",
            receiving: small,
            direct: false,
        }),
        Box::new(Form {
            name: "raw-uring-16k",
            form: "by hand, multishot receive, provided buffers of 16 KiB",
            receiving: large,
            direct: false,
        }),
        Box::new(Form {
            name: DIRECT,
            form: "as raw-uring-16k, with direct descriptors",
            receiving: large,
            direct: true,
        }),
        Box::new(Form {
            name: "raw-uring-direct-64k",
            form: "as raw-uring-direct, with provided buffers of 64 KiB",
            receiving: huge,
            direct: true,
        }),
        Box::new(Form {
            name: "raw-uring-bundle",
            form: "as raw-uring-4k, with receive bundles and direct descriptors",
            receiving: bundles,
            direct: true,
        }),
        Box::new(Form {
            name: "raw-uring-bundle-16k",
            form: "as raw-uring-bundle, with only 128 provided buffers, of 16 KiB",
            receiving: large_bundles,
            direct: true,
        }),
    ]
}

/// Whether a contender is one of those that say what the machine can do.
pub(super) fn is_a_form(name: &str) -> bool {
    forms().iter().any(|form| form.name() == name)
}

/// How connections receive.
#[derive(Clone, Copy, Debug)]
enum Receiving {
    /// Each receive is an entry of its own, into the connection's buffer.
    OneShot,
    /// One entry receives for ever, into buffers that all connections share.
    Provided { size: usize, count: u16, bundles: bool, shared: &'static str },
}

struct Form {
    name: &'static str,
    form: &'static str,
    receiving: Receiving,
    /// Whether connections live in the ring's table and have no descriptor.
    direct: bool,
}

impl Contender for Form {
    fn name(&self) -> &'static str {
        self.name
    }

    fn form(&self) -> &'static str {
        self.form
    }

    fn memory(&self) -> Memory {
        match self.receiving {
            Receiving::OneShot => Memory::Own,
            Receiving::Provided { shared, .. } => Memory::Shared(shared),
        }
    }

    fn serves(&self, service: Service) -> bool {
        // A buffer of one connection is not what many others can send from.
        service != Service::FanOut || !matches!(self.receiving, Receiving::OneShot)
    }

    fn serve(
        &self,
        service: Service,
        listener: TcpListener,
        calls: &'static Calls,
    ) -> io::Result<()> {
        let (mut server, completions) = Server::new(self, service, listener, calls)?;
        server.run(completions)
    }

    fn lacks_files(&self, _job: &Job) -> Option<&'static str> {
        (!matches!(self.name, ONE_SHOT | DIRECT))
            .then_some("its way to receive means nothing to a file")
    }

    fn file(&self, job: &Job) -> io::Result<Report> {
        files::run(job, self.direct)
    }
}
