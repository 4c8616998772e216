//! What a shard has: its part of the keys, its counters, and what all shards know of the server.

use std::cell::{RefCell, RefMut};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use super::batch::Batch;
use super::commands::{self, Run};
use super::protocol::{Limits, Reply, Request, Resp};
use super::router::Plan;
use super::session::{Client, Connection, Target};
use super::store::Store;

/// Replies that wait to be sent, in bytes. Beyond it requests wait, so a client that sends and
/// never reads makes the server hold this much and one reply more.
pub(crate) const MAX_REPLIES: usize = 64 * 1024;

/// How many buffers and plans a shard keeps for the next pipelines.
const KEPT: usize = 256;

/// What all shards know of the server.
pub(crate) struct Server {
    port: OnceLock<u16>,
    /// Which shard has a key depends on this, which no client knows.
    spread: RandomState,
    pub(crate) started: Instant,
    pub(crate) limits: Limits,
    pub(crate) shards: Vec<Counters>,
    client_ids: AtomicU64,
}

/// What a shard has counted. Only that shard writes, so it needs no atomic addition; others read.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct Counters {
    pub(crate) commands: Counter,
    pub(crate) accepted: Counter,
    pub(crate) ended: Counter,
    pub(crate) keys: Counter,
    pub(crate) expiring: Counter,
    pub(crate) expired: Counter,
}

#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(crate) fn add(&self, more: u64) {
        self.set(self.get() + more);
    }
}

impl Server {
    pub(crate) fn new(limits: Limits, shards: usize) -> Arc<Self> {
        Arc::new(Self {
            port: OnceLock::new(),
            spread: RandomState::new(),
            started: Instant::now(),
            limits,
            shards: std::iter::repeat_with(Counters::default).take(shards).collect(),
            client_ids: AtomicU64::new(1),
        })
    }

    /// Notes where the server listens.
    pub(crate) fn listens(&self, port: u16) {
        // All shards share the port.
        self.port.get_or_init(|| port);
    }

    pub(crate) fn port(&self) -> u16 {
        self.port.get().copied().unwrap_or(0)
    }
}

/// A shard of the server.
pub(crate) struct Node {
    pub(crate) server: Arc<Server>,
    pub(crate) shard: usize,
    store: RefCell<Store>,
    /// Buffers for replies. One is taken for as long as there are replies to send, so a connection
    /// that waits has none, and those in use stay in the cache.
    buffers: RefCell<Vec<Vec<u8>>>,
    /// Likewise, for connections whose requests other shards execute, too.
    plans: RefCell<Vec<Plan>>,
}

impl Node {
    pub(crate) fn new(server: Arc<Server>, shard: usize) -> Self {
        let store = Store::new(shard + 1 == server.shards.len());
        Self {
            server,
            shard,
            store: RefCell::new(store),
            buffers: RefCell::default(),
            plans: RefCell::default(),
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        self.server.limits
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.server.shards[self.shard]
    }

    pub(crate) fn next_client_id(&self) -> u64 {
        self.server.client_ids.fetch_add(1, Ordering::Relaxed)
    }

    /// The keys, with the present time. No await may come while they are borrowed.
    pub(crate) fn store(&self) -> RefMut<'_, Store> {
        let mut store = self.store.borrow_mut();
        store.read_clock();
        store
    }

    /// The shard that has a key.
    pub(crate) fn shard_of(&self, key: &[u8]) -> usize {
        let hash = u128::from(self.server.spread.hash_one(key));
        let shards = self.server.shards.len() as u128;
        ((hash * shards) >> 64) as usize
    }

    /// Executes a batch of another shard's clients.
    pub(crate) fn execute(&self, batch: &mut Batch) {
        batch.execute(&mut self.store());
    }

    pub(crate) fn take_plan(&self) -> Plan {
        let plan = self.plans.borrow_mut().pop();
        plan.unwrap_or_else(|| Plan::new(self.server.shards.len()))
    }

    pub(crate) fn return_plan(&self, mut plan: Plan) {
        let mut plans = self.plans.borrow_mut();
        if plans.len() < KEPT {
            plan.clear();
            plans.push(plan);
        }
    }

    /// An empty buffer for replies.
    pub(crate) fn take_buffer(&self) -> Vec<u8> {
        self.buffers.borrow_mut().pop().unwrap_or_default()
    }

    /// Returns a buffer, unless it is unusually large or there are enough.
    pub(crate) fn return_buffer(&self, mut buffer: Vec<u8>) {
        let mut buffers = self.buffers.borrow_mut();
        if buffer.capacity() <= 2 * MAX_REPLIES && buffers.len() < KEPT {
            buffer.clear();
            buffers.push(buffer);
        }
    }

    /// Removes keys that have expired, a bounded number of them. Returns whether more may be left.
    pub(crate) fn remove_expired(&self) -> bool {
        const AT_ONCE: usize = 1000;
        let mut store = self.store();
        let is_more = store.remove_expired(AT_ONCE);
        self.publish(&store);
        is_more
    }

    /// Lets other shards see how many keys there are.
    pub(super) fn publish(&self, store: &Store) {
        let counters = self.counters();
        counters.keys.set(store.len() as u64);
        counters.expiring.set(store.expiring() as u64);
        counters.expired.set(store.expired());
    }
}

/// Executes requests on this shard, which has all keys.
pub(crate) struct Local<'a> {
    node: &'a Node,
    store: RefMut<'a, Store>,
    out: &'a mut Vec<u8>,
    executed: u64,
}

impl<'a> Local<'a> {
    #[inline]
    pub(crate) fn new(node: &'a Node, out: &'a mut Vec<u8>) -> Self {
        Self { node, store: node.store(), out, executed: 0 }
    }
}

impl Target for Local<'_> {
    #[inline]
    fn execute(&mut self, client: &mut Client, request: Request<'_>) {
        self.executed += 1;
        let mut reply = Reply::new(self.out, client.resp);
        match commands::find(request.get(0)) {
            Some(command) if command.takes(request.len()) => match command.run {
                Run::Keyed(run) => run(&mut self.store, request, &mut reply),
                Run::Connection(run) => {
                    self.node.publish(&self.store);
                    run(&mut Connection { client, node: self.node }, request, &mut reply);
                }
            },
            other => commands::refuse(request, other, &mut reply),
        }
    }

    fn reply_error(&mut self, text: &str) {
        Reply::new(self.out, Resp::Two).error(text);
    }

    #[inline]
    fn is_full(&self) -> bool {
        self.out.len() >= MAX_REPLIES
    }
}

impl Drop for Local<'_> {
    fn drop(&mut self) {
        self.node.counters().commands.add(self.executed);
    }
}
