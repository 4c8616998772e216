//! A contender of this library on the portable ring: the same program, in a process whose
//! environment chooses the ring. That of the others chooses io_uring, so that no contender is on
//! the portable ring where this machine has no other, or the harness's environment says so.

use std::io;
use std::net::{SocketAddr, TcpListener};

use super::{Announce, Contender, Memory, Purpose, Scaling, Service};
use crate::files::Job;
use crate::server::Calls;
#[cfg(feature = "web")]
use crate::web::Protocol;
use crate::workloads::Workload;

/// What the library reads where a program leaves the choice of the ring to it.
const PORTABLE: &[(&str, &str)] = &[("ANNULUS_RING", "portable")];

/// The same, for io_uring.
pub(super) const KERNEL: &[(&str, &str)] = &[("ANNULUS_RING", "kernel")];

/// Those contenders of this library that are measured on the portable ring too.
const FORMS: &[(&str, &str)] = &[
    ("annulus", "annulus-portable"),
    ("annulus-owned", "annulus-owned-portable"),
    #[cfg(feature = "web")]
    ("annulus-hyper", "annulus-hyper-portable"),
];

struct Portable {
    /// Runs in the process that is started.
    contender: Box<dyn Contender>,
    name: &'static str,
    form: &'static str,
}

/// The portable forms of contenders.
pub(super) fn forms(
    of: impl Iterator<Item = Box<dyn Contender>>,
) -> impl Iterator<Item = Box<dyn Contender>> {
    let portable = |contender: Box<dyn Contender>| {
        let (_, name) = *FORMS.iter().find(|(plain, _)| *plain == contender.name())?;
        // There are few of them in the life of this program.
        let form = format!("{}, on the portable ring", contender.form()).leak();
        Some(Box::new(Portable { contender, name, form }) as Box<dyn Contender>)
    };
    of.filter_map(portable)
}

impl Contender for Portable {
    fn name(&self) -> &'static str {
        self.name
    }

    fn form(&self) -> &'static str {
        self.form
    }

    fn hosted_as(&self) -> &str {
        self.contender.hosted_as()
    }

    fn environment(&self) -> &[(&str, &str)] {
        PORTABLE
    }

    fn memory(&self) -> Memory {
        self.contender.memory()
    }

    fn purpose(&self) -> Purpose {
        self.contender.purpose()
    }

    fn scaling(&self) -> Scaling {
        self.contender.scaling()
    }

    fn serves(&self, service: Service) -> bool {
        self.contender.serves(service)
    }

    fn serve(
        &self,
        service: Service,
        listener: TcpListener,
        calls: &'static Calls,
    ) -> io::Result<()> {
        self.contender.serve(service, listener, calls)
    }

    fn serve_in_shards(
        &self,
        service: Service,
        cores: &[usize],
        calls: &'static Calls,
        announce: fn(SocketAddr) -> io::Result<()>,
    ) -> io::Result<()> {
        self.contender.serve_in_shards(service, cores, calls, announce)
    }

    fn has_store(&self) -> bool {
        self.contender.has_store()
    }

    fn serve_store(
        &self,
        listener: TcpListener,
        cores: &[usize],
        announce: Announce,
    ) -> io::Result<()> {
        self.contender.serve_store(listener, cores, announce)
    }

    fn lacks_files(&self, job: &Job) -> Option<&'static str> {
        self.contender.lacks_files(job)
    }

    fn lacks_work(&self, workload: Workload) -> Option<&'static str> {
        self.contender.lacks_work(workload)
    }

    #[cfg(feature = "web")]
    fn lacks_web(&self, protocol: Protocol) -> Option<String> {
        self.contender.lacks_web(protocol)
    }
}
