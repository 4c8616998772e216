//! A contender whose connections have buffers of another size.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::Ordering;

use super::{Contender, Memory, OWN_BUFFER, Scaling, Service};
use crate::scenarios::size_name;
use crate::server::Calls;

pub(super) struct WithBuffer {
    contender: Box<dyn Contender>,
    size: usize,
    name: &'static str,
    form: &'static str,
}

impl WithBuffer {
    /// `None` if it has no buffer for each connection.
    pub(super) fn of(
        contender: Box<dyn Contender>,
        name: &str,
        size: usize,
    ) -> Option<Box<dyn Contender>> {
        if contender.memory() != Memory::Own {
            return None;
        }
        let form = format!("{}, buffers of {}", contender.form(), size_name(size));
        // There are few of them in the life of this program.
        let (name, form) = (name.to_owned().leak(), form.leak());
        Some(Box::new(Self { contender, size, name, form }))
    }

    fn set_size(&self) {
        OWN_BUFFER.store(self.size, Ordering::Relaxed);
    }
}

impl Contender for WithBuffer {
    fn name(&self) -> &'static str {
        self.name
    }

    fn form(&self) -> &'static str {
        self.form
    }

    fn environment(&self) -> &[(&str, &str)] {
        self.contender.environment()
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
        self.set_size();
        self.contender.serve(service, listener, calls)
    }

    fn scaling(&self) -> Scaling {
        self.contender.scaling()
    }

    fn serve_in_shards(
        &self,
        service: Service,
        cores: &[usize],
        calls: &'static Calls,
        announce: fn(SocketAddr) -> io::Result<()>,
    ) -> io::Result<()> {
        self.set_size();
        self.contender.serve_in_shards(service, cores, calls, announce)
    }

    fn serve_with_workers(
        &self,
        service: Service,
        listener: TcpListener,
        workers: usize,
    ) -> io::Result<()> {
        self.set_size();
        self.contender.serve_with_workers(service, listener, workers)
    }
}
