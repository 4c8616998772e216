//! A pipeline's requests, each on the shard that has its key.
//!
//! What this shard has is executed at once. The rest is put into a [`Batch`] for each other shard.
//! The steps say how the replies of all are put together, in the order of the requests: those of a
//! request for keys of several shards are added, or listed.
//!
//! Requests on one key are executed in their order, since they go to one shard. Between keys of
//! different shards there is no order, as between the nodes of a Redis cluster: `MSET` sets the
//! keys of each shard together, and another client may see some shards' keys before the others'.

use std::cell::RefMut;

use super::batch::Batch;
use super::commands::{self, Command, Keys, Run};
use super::cursor::Cursor;
use super::node::{MAX_REPLIES, Node};
use super::protocol::{Reply, Request, Resp};
use super::session::{Client, Connection, Target};
use super::store::Store;

/// How many requests, and how many bytes of them, are executed before their replies are sent.
const MAX_STEPS: usize = 4096;
const MAX_BYTES: usize = 256 * 1024;

/// How the next part of the replies is made.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// This many bytes of the shard's own replies.
    Local(usize),
    /// The next reply of a shard.
    Forward(usize),
    /// The next reply of a shard is not sent: it says only that the request was executed.
    Skip(usize),
    /// A number is added to the sum: this shard's, or that which is a shard's next reply.
    AddLocal(i64),
    Add(usize),
    /// The sum is sent, and is zero again.
    Sum,
}

/// What is known of the replies before the other shards have executed their part.
pub(crate) struct Plan {
    pub(crate) batches: Vec<Batch>,
    pub(crate) steps: Vec<Step>,
    /// The replies of this shard.
    pub(crate) local: Vec<u8>,
    scratch: Vec<u8>,
}

impl Plan {
    pub(crate) fn new(shards: usize) -> Self {
        let batches = std::iter::repeat_with(Batch::default).take(shards).collect();
        Self { batches, steps: Vec::new(), local: Vec::new(), scratch: Vec::new() }
    }

    /// Empties it, for the next pipeline.
    pub(crate) fn clear(&mut self) {
        self.batches.iter_mut().for_each(Batch::clear);
        self.steps.clear();
        self.steps.shrink_to(MAX_STEPS);
        self.local.clear();
        self.local.shrink_to(2 * MAX_REPLIES);
    }

    /// The end of `local` is a part of the replies.
    fn extended(&mut self, from: usize) {
        let more = self.local.len() - from;
        match self.steps.last_mut() {
            Some(Step::Local(count)) => *count += more,
            _ => self.steps.push(Step::Local(more)),
        }
    }

    /// Adds a reply of this shard.
    fn reply(&mut self, resp: Resp, write: impl FnOnce(&mut Reply<'_>)) {
        let from = self.local.len();
        write(&mut Reply::new(&mut self.local, resp));
        self.extended(from);
    }
}

/// Executes requests on this shard, and plans what others have to execute.
pub(crate) struct Router<'a> {
    node: &'a Node,
    store: RefMut<'a, Store>,
    plan: &'a mut Plan,
    executed: u64,
}

impl<'a> Router<'a> {
    pub(crate) fn new(node: &'a Node, plan: &'a mut Plan) -> Self {
        Self { node, store: node.store(), plan, executed: 0 }
    }

    /// Executes a command here.
    fn run(&mut self, run: KeyedRun, request: Request<'_>, resp: Resp) {
        let store = &mut self.store;
        self.plan.reply(resp, |reply| run(store, request, reply));
    }

    /// Executes a command here, and returns its reply, which is not sent.
    fn run_aside(&mut self, run: KeyedRun, request: Request<'_>) -> &[u8] {
        self.plan.scratch.clear();
        let mut reply = Reply::new(&mut self.plan.scratch, Resp::Two);
        run(&mut self.store, request, &mut reply);
        &self.plan.scratch
    }

    fn forward<'b>(
        &mut self,
        shard: usize,
        command: &'static Command,
        arguments: impl Iterator<Item = &'b [u8]>,
        resp: Resp,
        step: Step,
    ) {
        self.plan.batches[shard].push(command, arguments, resp);
        self.plan.steps.push(step);
    }

    fn is_here(&self, shard: usize) -> bool {
        shard == self.node.shard
    }

    fn others(&self) -> impl Iterator<Item = usize> + use<> {
        let here = self.node.shard;
        (0..self.node.server.shards.len()).filter(move |&shard| shard != here)
    }

    fn execute_keyed(
        &mut self,
        command: &'static Command,
        run: KeyedRun,
        request: Request<'_>,
        resp: Resp,
    ) {
        match command.keys {
            Keys::None => self.run(run, request, resp),
            Keys::First => match self.node.shard_of(request.get(1)) {
                shard if self.is_here(shard) => self.run(run, request, resp),
                shard => {
                    self.forward(shard, command, request.from(0), resp, Step::Forward(shard));
                }
            },
            Keys::Cursor => {
                let last = self.node.server.shards.len() - 1;
                match Cursor::parse(request.get(1)).map(|cursor| cursor.shard.min(last)) {
                    Some(shard) if !self.is_here(shard) => {
                        self.forward(shard, command, request.from(0), resp, Step::Forward(shard));
                    }
                    _ => self.run(run, request, resp),
                }
            }
            Keys::EachSummed => {
                for key in request.from(1) {
                    let shard = self.node.shard_of(key);
                    let one = [request.get(0), key];
                    if self.is_here(shard) {
                        let count = Self::with(&one, |one| number(self.run_aside(run, one)));
                        self.plan.steps.push(Step::AddLocal(count.unwrap_or(0)));
                    } else {
                        self.forward(shard, command, one.into_iter(), resp, Step::Add(shard));
                    }
                }
                self.plan.steps.push(Step::Sum);
            }
            Keys::EachListed(single) => {
                let (single, run_one) = keyed(single);
                self.plan.reply(resp, |reply| reply.array(request.len() - 1));
                for key in request.from(1) {
                    let shard = self.node.shard_of(key);
                    let one = [single.name.as_bytes(), key];
                    if self.is_here(shard) {
                        Self::with(&one, |one| self.run(run_one, one, resp));
                    } else {
                        self.forward(shard, single, one.into_iter(), resp, Step::Forward(shard));
                    }
                }
            }
            Keys::Pairs(_) if request.len() % 2 == 0 => self.run(run, request, resp),
            Keys::Pairs(single) => {
                let (single, run_one) = keyed(single);
                let mut arguments = request.from(1);
                while let (Some(key), Some(value)) = (arguments.next(), arguments.next()) {
                    let shard = self.node.shard_of(key);
                    let one = [single.name.as_bytes(), key, value];
                    if self.is_here(shard) {
                        Self::with(&one, |one| self.run_aside(run_one, one).len());
                    } else {
                        self.forward(shard, single, one.into_iter(), resp, Step::Skip(shard));
                    }
                }
                self.plan.reply(resp, |reply| reply.simple("OK"));
            }
            Keys::AllSummed => {
                let count = number(self.run_aside(run, request));
                self.plan.steps.push(Step::AddLocal(count.unwrap_or(0)));
                for shard in self.others() {
                    self.forward(shard, command, request.from(0), resp, Step::Add(shard));
                }
                self.plan.steps.push(Step::Sum);
            }
            Keys::All => {
                // Wrong arguments are wrong everywhere.
                if self.run_aside(run, request).starts_with(b"-") {
                    return self.run(run, request, resp);
                }
                for shard in self.others() {
                    self.forward(shard, command, request.from(0), resp, Step::Skip(shard));
                }
                self.plan.reply(resp, |reply| reply.simple("OK"));
            }
        }
    }

    /// Calls a function with a request of these arguments.
    fn with<T>(arguments: &[&[u8]], call: impl FnOnce(Request<'_>) -> T) -> T {
        let bytes = arguments.concat();
        let mut start = 0;
        let places: Vec<_> = arguments
            .iter()
            .map(|argument| {
                let place = start..start + argument.len();
                start = place.end;
                place
            })
            .collect();
        call(Request::new(&bytes, &places))
    }
}

type KeyedRun = fn(&mut Store, Request<'_>, &mut Reply<'_>);

/// The command of a name, which works on keys.
fn keyed(name: &str) -> (&'static Command, KeyedRun) {
    match commands::find(name.as_bytes()) {
        Some(command @ &Command { run: Run::Keyed(run), .. }) => (command, run),
        _ => unreachable!("the table names a command on keys"),
    }
}

/// The number of an integer reply; `None` if it is another.
pub(crate) fn number(reply: &[u8]) -> Option<i64> {
    let digits = reply.strip_prefix(b":")?.strip_suffix(b"\r\n")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

impl Target for Router<'_> {
    fn execute(&mut self, client: &mut Client, request: Request<'_>) {
        self.executed += 1;
        let resp = client.resp;
        match commands::find(request.get(0)) {
            Some(command) if command.takes(request.len()) => match command.run {
                Run::Keyed(run) => self.execute_keyed(command, run, request, resp),
                Run::Connection(run) => {
                    self.node.publish(&self.store);
                    let mut connection = Connection { client, node: self.node };
                    self.plan.reply(resp, |reply| run(&mut connection, request, reply));
                }
            },
            other => self.plan.reply(resp, |reply| commands::refuse(request, other, reply)),
        }
    }

    fn reply_error(&mut self, text: &str) {
        self.plan.reply(Resp::Two, |reply| reply.error(text));
    }

    fn is_full(&self) -> bool {
        self.plan.local.len() >= MAX_REPLIES
            || self.plan.steps.len() >= MAX_STEPS
            || self.plan.batches.iter().any(|batch| batch.len() >= MAX_BYTES)
    }
}

impl Drop for Router<'_> {
    fn drop(&mut self) {
        self.node.counters().commands.add(self.executed);
    }
}
