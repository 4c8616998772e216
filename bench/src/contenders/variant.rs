//! A contender that is another one but for its name and what its process is given: other variables
//! in its environment, or another size of its connections' buffers.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::Ordering;

use super::{Announce, Contender, Memory, OWN_BUFFER, Purpose, Scaling, Service};
use crate::files::Job;
use crate::scenarios::size_name;
use crate::server::Calls;
#[cfg(feature = "web")]
use crate::web::Protocol;
use crate::workloads::Workload;

/// Why one with buffers of another size does nothing without connections.
const CONNECTIONS_ALONE: &str = "its name says the size of connections' buffers";

pub(super) struct Variant {
    contender: Box<dyn Contender>,
    name: &'static str,
    form: &'static str,
    differs_by: Difference,
}

enum Difference {
    /// The process that is started runs the contender itself, with these variables.
    Environment(&'static [(&'static str, &'static str)]),
    /// The connections have buffers of this size. It is measured with those alone.
    Buffer(usize),
}

impl Variant {
    /// Runs a contender in a process with these variables, which `how` tells of.
    pub(super) fn in_environment(
        contender: Box<dyn Contender>,
        name: &'static str,
        how: &str,
        variables: &'static [(&'static str, &'static str)],
    ) -> Self {
        Self::of(contender, name, how, Difference::Environment(variables))
    }

    /// Runs a contender with buffers of this size. `None` if it has no buffer for each connection.
    pub(super) fn with_buffer(
        contender: Box<dyn Contender>,
        name: &str,
        size: usize,
    ) -> Option<Self> {
        if contender.memory() != Memory::Own {
            return None;
        }
        let how = format!("buffers of {}", size_name(size));
        // There are few of them in the life of this program.
        let name = name.to_owned().leak();
        Some(Self::of(contender, name, &how, Difference::Buffer(size)))
    }

    fn of(
        contender: Box<dyn Contender>,
        name: &'static str,
        how: &str,
        differs_by: Difference,
    ) -> Self {
        // As above.
        let form = format!("{}, {how}", contender.form()).leak();
        Self { contender, name, form, differs_by }
    }

    /// The contender, to serve.
    fn server(&self) -> &dyn Contender {
        if let Difference::Buffer(size) = self.differs_by {
            OWN_BUFFER.store(size, Ordering::Relaxed);
        }
        &*self.contender
    }

    /// The contender, for what has no connections.
    fn without_connections(&self) -> Option<&dyn Contender> {
        match self.differs_by {
            Difference::Environment(_) => Some(&*self.contender),
            Difference::Buffer(_) => None,
        }
    }
}

impl Contender for Variant {
    fn name(&self) -> &'static str {
        self.name
    }

    fn form(&self) -> &'static str {
        self.form
    }

    fn hosted_as(&self) -> &str {
        match self.differs_by {
            Difference::Environment(_) => self.contender.hosted_as(),
            Difference::Buffer(_) => self.name,
        }
    }

    fn environment(&self) -> &[(&str, &str)] {
        match self.differs_by {
            Difference::Environment(variables) => variables,
            Difference::Buffer(_) => self.contender.environment(),
        }
    }

    fn memory(&self) -> Memory {
        self.contender.memory()
    }

    fn purpose(&self) -> Purpose {
        self.without_connections().map_or(Purpose::Any, Contender::purpose)
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
        self.server().serve(service, listener, calls)
    }

    fn serve_in_shards(
        &self,
        service: Service,
        cores: &[usize],
        calls: &'static Calls,
        announce: fn(SocketAddr) -> io::Result<()>,
    ) -> io::Result<()> {
        self.server().serve_in_shards(service, cores, calls, announce)
    }

    fn serve_with_workers(
        &self,
        service: Service,
        listener: TcpListener,
        workers: usize,
    ) -> io::Result<()> {
        self.server().serve_with_workers(service, listener, workers)
    }

    fn has_store(&self) -> bool {
        self.without_connections().is_some_and(Contender::has_store)
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
        self.without_connections()
            .map_or(Some(CONNECTIONS_ALONE), |contender| contender.lacks_files(job))
    }

    fn has_log(&self) -> bool {
        self.without_connections().is_some_and(Contender::has_log)
    }

    fn lacks_work(&self, workload: Workload) -> Option<&'static str> {
        self.without_connections()
            .map_or(Some(CONNECTIONS_ALONE), |contender| contender.lacks_work(workload))
    }

    #[cfg(feature = "web")]
    fn lacks_web(&self, protocol: Protocol) -> Option<String> {
        let lacks = |contender: &dyn Contender| contender.lacks_web(protocol);
        self.without_connections().map_or_else(|| Some(CONNECTIONS_ALONE.to_owned()), lacks)
    }
}
