//! A server that ends while clients talk to it in lines.

use std::rc::Rc;
use std::time::Duration;

use annulus::join::gather;
use annulus::net::{ServerOptions, StreamReader, StreamWriter, open_connection, start_server_with};

use super::{Outcome, own_port};
use crate::bytes::Bytes;
use crate::cancel::insist;
use crate::chance::Chance;
use crate::failure::{Failure, expect, is_gone};
use crate::site::Site;
use crate::tally::Work;

/// Answers each line with itself.
async fn serve(mut reader: StreamReader, mut writer: StreamWriter) -> std::io::Result<()> {
    loop {
        let line = reader.read_line().await?;
        if line.is_empty() {
            return Ok(());
        }
        writer.write(line).await?;
    }
}

pub(super) async fn round(_site: &Site, chance: &Chance) -> Outcome {
    let options = ServerOptions::new().listen(own_port());
    let server = Rc::new(start_server_with(serve, "127.0.0.1:0", &options).await?);
    let address = server.local_addrs()[0];
    let is_ended_early = chance.one_in(2);
    let clients = (0..chance.size(8)).map(|_| {
        let chance = chance.fork();
        async move { talk(address, &chance, is_ended_early).await }
    });
    let clients: Vec<_> = clients.collect();
    if is_ended_early {
        let ending = async {
            annulus::time::sleep(chance.shorter_than(Duration::from_millis(30))).await;
            let grace = chance.shorter_than(Duration::from_millis(20));
            server.shutdown(grace).await;
        };
        let (outcomes, ()) = gather((gather(clients), ending)).await;
        return sum(outcomes);
    }
    let work = sum(gather(clients).await)?;
    let report = server.shutdown(Duration::from_secs(60)).await;
    expect("connections aborted by a server that has no clients", &report.aborted, &0)?;
    Ok(work)
}

fn sum(outcomes: Vec<Outcome>) -> Outcome {
    outcomes.into_iter().try_fold(Work::default(), |sum, outcome| {
        outcome.map(|work| Work {
            operations: sum.operations + work.operations,
            bytes: sum.bytes + work.bytes,
        })
    })
}

async fn talk(address: std::net::SocketAddr, chance: &Chance, is_ended_early: bool) -> Outcome {
    let mut work = Work::default();
    match lines(address, chance, &mut work).await {
        // The server ends the connection; what it has answered was right.
        Err(Gone::Peer(_)) if is_ended_early => Ok(work),
        Err(Gone::Peer(text)) => Err(Failure::Error(text)),
        Err(Gone::Failed(failure)) => Err(failure),
        Ok(()) => Ok(work),
    }
}

/// Why a client has ended before it was done.
enum Gone {
    Peer(String),
    Failed(Failure),
}

impl From<std::io::Error> for Gone {
    fn from(error: std::io::Error) -> Self {
        let is_peer = is_gone(&error) || error.kind() == std::io::ErrorKind::ConnectionRefused;
        if is_peer { Self::Peer(error.to_string()) } else { Self::Failed(error.into()) }
    }
}

async fn lines(
    address: std::net::SocketAddr,
    chance: &Chance,
    work: &mut Work,
) -> Result<(), Gone> {
    let stream = Bytes { seed: chance.seed() };
    let (mut reader, mut writer) = open_connection(address).await?;
    for number in 0..chance.size(100) as u64 {
        let mut line = stream.at(number * 7, chance.size(3000));
        line.retain(|&byte| byte != b'\n');
        line.push(b'\n');
        insist(chance, async || writer.write(&line).await).await?;
        let answer = insist(chance, async || reader.read_line().await).await;
        let answer = answer.map_err(std::io::Error::from)?;
        if answer.is_empty() || !answer.ends_with(b"\n") {
            return Err(Gone::Peer("EOF before the answer to a line".to_owned()));
        }
        expect("the answer to a line", &&*answer, &&*line).map_err(Gone::Failed)?;
        work.operations += 2;
        work.bytes += line.len() as u64;
    }
    Ok(())
}
