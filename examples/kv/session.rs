//! One connection's side of the conversation: from received bytes to requests, in any pieces.
//!
//! It does no I/O, so the same session serves under any runtime, and a test can cut the input where
//! it likes.

use super::node::Node;
use super::protocol::{Parser, Request, Resp};

/// What is known of a client.
#[derive(Default)]
pub(crate) struct Client {
    pub(crate) id: u64,
    pub(crate) name: Vec<u8>,
    pub(crate) resp: Resp,
    /// The connection ends when the replies so far have been sent.
    pub(crate) is_closing: bool,
}

/// What a command sees that is about the connection or the server.
pub(crate) struct Connection<'a> {
    pub(crate) client: &'a mut Client,
    pub(crate) node: &'a Node,
}

/// What executes requests and collects the replies.
pub(crate) trait Target {
    fn execute(&mut self, client: &mut Client, request: Request<'_>);

    /// Replies with an error that no command has given.
    fn reply_error(&mut self, text: &str);

    /// Whether the replies must be sent before it takes more requests.
    fn is_full(&self) -> bool;
}

/// Why [`Session::advance`] has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// All complete requests have been executed.
    NeedsInput,
    /// There are more; the replies so far are to be sent first.
    Full,
    /// The connection ends when the replies so far have been sent.
    Over,
}

pub(crate) struct Session {
    parser: Parser,
    /// A request that has not arrived in full, and what follows it.
    pending: Vec<u8>,
    /// How much of that has been executed.
    executed: usize,
    client: Client,
}

/// The memory that a session keeps for the next incomplete request.
const KEPT: usize = 4096;

impl Session {
    pub(crate) fn new(node: &Node) -> Self {
        let client = Client { id: node.next_client_id(), ..Client::default() };
        Self { parser: Parser::new(node.limits()), pending: Vec::new(), executed: 0, client }
    }

    /// Executes the requests in `input`, which is what was received, and moves its start behind
    /// what is not needed any more. Requests are read where they were received; only one that is
    /// incomplete is copied.
    #[inline]
    pub(crate) fn advance(&mut self, input: &mut &[u8], target: &mut impl Target) -> Progress {
        if self.pending.is_empty() {
            let (used, progress) = self.parser.run(&mut self.client, input, target);
            *input = &input[used..];
            if progress == Progress::NeedsInput && !input.is_empty() {
                self.pending.extend_from_slice(input);
                *input = &[];
            }
            return progress;
        }
        self.pending.extend_from_slice(input);
        *input = &[];
        let rest = &self.pending[self.executed..];
        let (used, progress) = self.parser.run(&mut self.client, rest, target);
        self.executed += used;
        if progress == Progress::NeedsInput {
            self.pending.drain(..self.executed);
            self.executed = 0;
            if self.pending.is_empty() {
                self.pending.shrink_to(KEPT);
                self.parser.shrink();
            }
        }
        progress
    }
}

impl Parser {
    /// Executes all complete requests, until the target is full or the conversation over. Returns
    /// how many bytes they had.
    #[inline]
    fn run(
        &mut self,
        client: &mut Client,
        bytes: &[u8],
        target: &mut impl Target,
    ) -> (usize, Progress) {
        let mut used = 0;
        loop {
            let rest = &bytes[used..];
            match self.parse(rest) {
                Ok(None) => return (used, Progress::NeedsInput),
                Ok(Some(length)) => {
                    used += length;
                    let request = self.request(rest);
                    if request.len() > 0 {
                        target.execute(client, request);
                    }
                    if client.is_closing {
                        return (used, Progress::Over);
                    }
                    if target.is_full() {
                        return (used, Progress::Full);
                    }
                }
                Err(fault) => {
                    target.reply_error(&fault.text());
                    return (used, Progress::Over);
                }
            }
        }
    }
}
