//! Servers with buffered streams: each request is answered once, and a shutdown finishes.

use std::time::Duration;

use annulus::net::{StreamReader, StreamWriter, open_connection, start_server};
use annulus::spawn;
use annulus::time::timeout;

use crate::common::poll::yield_times;
use crate::with_each_seed;

async fn echo(mut reader: StreamReader, mut writer: StreamWriter) -> std::io::Result<()> {
    loop {
        let line = reader.read_line().await?;
        if line.is_empty() {
            return Ok(());
        }
        writer.write(line).await?;
    }
}

#[test]
fn each_line_is_answered_once_and_in_order() {
    with_each_seed(async |random| {
        let server = start_server(echo, "127.0.0.1:0").await.unwrap();
        let address = server.local_addrs()[0];
        let mut clients = Vec::new();
        for _ in 0..3 {
            let mut random = random.fork();
            clients.push(spawn(async move {
                let (mut reader, mut writer) = open_connection(address).await.unwrap();
                let (mut asked, mut answered) = (0, 0);
                while answered < 10 {
                    while asked < 10 && asked < answered + random.usize(1..5) {
                        let length = random.usize(0..2000);
                        writer.write(format!("{asked} {}\n", "x".repeat(length))).await.unwrap();
                        asked += 1;
                    }
                    // A line that has come in part stays for the next read.
                    let limit = Duration::from_micros(random.u64(0..300));
                    let Ok(line) = timeout(limit, reader.read_line()).await else { continue };
                    let line = line.unwrap();
                    let number = line.split(|&byte| byte == b' ').next().unwrap();
                    assert_eq!(number, answered.to_string().as_bytes());
                    assert_eq!(line.last(), Some(&b'\n'));
                    answered += 1;
                }
                yield_times(random.usize(0..4)).await;
            }));
        }
        for client in clients {
            client.await.unwrap();
        }
        let report = server.shutdown(Duration::from_secs(60)).await;
        assert_eq!((report.soft_cancelled, report.aborted), (0, 0), "{report:?}");
    });
}
