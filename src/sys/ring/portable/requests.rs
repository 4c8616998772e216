//! What has not completed.

use slab::Slab;

use super::call::Call;

pub(super) struct Request {
    pub(super) call: Call,
    /// Whether the workers have it.
    pub(super) is_job: bool,
}

#[derive(Default)]
pub(super) struct Requests(Slab<Request>);

impl Requests {
    pub(super) fn insert(&mut self, request: Request) -> usize {
        self.0.insert(request)
    }

    pub(super) fn remove(&mut self, token: usize) -> Request {
        self.0.remove(token)
    }

    pub(super) fn get(&self, token: usize) -> &Request {
        &self.0[token]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn waiting(&self) -> Vec<usize> {
        self.0.iter().filter(|(_, request)| !request.is_job).map(|(token, _)| token).collect()
    }
}
