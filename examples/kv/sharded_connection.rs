//! A connection whose requests several shards execute: receive, plan, call, send.
//!
//! The calls to other shards are made at the same time, one to each that has keys of the pipeline.

use std::future::Future;
use std::io;
use std::mem;
use std::pin::pin;
use std::rc::Rc;

use annulus::join::gather;
use annulus::net::TcpStream;
use annulus::shards::Sharded;

use super::batch::Batch;
use super::connection::{receive, send, take_in};
use super::node::{MAX_REPLIES, Node};
use super::protocol::{Reply, Resp};
use super::router::{Plan, Router, Step, number};
use super::session::{Progress, Session};

/// Serves a connection to its end, or until the server stops and no request is left.
pub(crate) async fn serve(
    mut stream: TcpStream,
    node: Rc<Node>,
    nodes: Sharded<Node>,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let mut session = Session::new(&node);
    let mut stop = pin!(stop);
    while let Some(mut received) = receive(&mut stream, stop.as_mut()).await? {
        loop {
            let mut plan = node.take_plan();
            let progress = take_in(&mut received, |input| {
                session.advance(input, &mut Router::new(&node, &mut plan))
            });
            call_others(&nodes, &mut plan).await?;
            send_replies(&mut stream, &node, &nodes, &mut plan).await?;
            node.return_plan(plan);
            match progress {
                Progress::NeedsInput => break,
                Progress::Full => {}
                Progress::Over => return Ok(()),
            }
        }
    }
    Ok(())
}

/// Has the other shards execute their parts.
async fn call_others(nodes: &Sharded<Node>, plan: &mut Plan) -> io::Result<()> {
    let batches = plan.batches.iter_mut().enumerate().filter(|(_, batch)| !batch.is_empty());
    let calls = batches.map(|(shard, batch)| call(nodes, shard, batch));
    for outcome in gather(calls.collect::<Vec<_>>()).await {
        outcome?;
    }
    Ok(())
}

/// Has a shard execute a batch, or the next part of it.
async fn call(nodes: &Sharded<Node>, shard: usize, batch: &mut Batch) -> io::Result<()> {
    let mut sent = mem::take(batch);
    let executed = nodes.run_on(shard, move |node| {
        node.execute(&mut sent);
        sent
    });
    *batch = executed.await?;
    Ok(())
}

/// Puts the replies together and sends them, in pieces if they are many.
async fn send_replies(
    stream: &mut TcpStream,
    node: &Node,
    nodes: &Sharded<Node>,
    plan: &mut Plan,
) -> io::Result<()> {
    let mut out = node.take_buffer();
    let (mut local, mut sum) = (0, 0);
    for step in &plan.steps {
        match *step {
            Step::Local(count) => {
                out.extend_from_slice(&plan.local[local..local + count]);
                local += count;
            }
            Step::AddLocal(count) => sum += count,
            Step::Sum => Reply::new(&mut out, Resp::Two).integer(mem::take(&mut sum)),
            Step::Forward(shard) | Step::Skip(shard) | Step::Add(shard) => {
                let batch = &mut plan.batches[shard];
                if !batch.has_reply() {
                    call(nodes, shard, batch).await?;
                }
                let reply = batch.next_reply().unwrap_or_default();
                match step {
                    Step::Add(_) => sum += number(reply).unwrap_or(0),
                    Step::Forward(_) => out.extend_from_slice(reply),
                    _ => {}
                }
            }
        }
        if out.len() >= MAX_REPLIES {
            out = send(stream, out).await?;
        }
    }
    if !out.is_empty() {
        out = send(stream, out).await?;
    }
    node.return_buffer(out);
    Ok(())
}
