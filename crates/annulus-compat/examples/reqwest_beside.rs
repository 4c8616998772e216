//! Fetches web pages with reqwest, which needs Tokio, in annulus tasks.
//!
//! It shows the one line that starts Tokio beside, and that a server of annulus and a client of
//! Tokio's may be on one thread.
//!
//! ```sh
//! cargo run -p annulus-compat --example reqwest_beside                          # from itself
//! cargo run -p annulus-compat --example reqwest_beside -- http://example.com/   # from elsewhere
//! ```
//!
//! It prints the status and the length of each page:
//!
//! ```text
//! http://127.0.0.1:40123/1: 200 OK, 22 bytes
//! http://127.0.0.1:40123/2: 200 OK, 22 bytes
//! ```
//!
//! `https` needs a feature of reqwest's, such as `rustls`.

#[path = "shared/outcome.rs"]
mod outcome;

use std::env;
use std::error::Error;
use std::io;
use std::process::ExitCode;

use annulus::join::TaskSet;
use annulus::net::{Server, StreamReader, StreamWriter, start_server};

const USAGE: &str = "\
Fetches web pages, and prints the status and the length of each.

Usage: reqwest_beside [URL]...

Without a URL it fetches two pages from a server of its own.";

fn main() -> ExitCode {
    let urls: Vec<String> =
        env::args_os().skip(1).map(|url| url.to_string_lossy().into()).collect();
    if let [help] = urls.as_slice() {
        if help == "-h" || help == "--help" {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
    }
    // Before the annulus runtime, and so dropped after it.
    let _tokio = annulus_compat::tokio::beside();
    let outcome = annulus::run(fetch_all(urls)).unwrap_or_else(|error| Err(error.into()));
    outcome::exit_code("reqwest_beside", outcome)
}

async fn fetch_all(mut urls: Vec<String>) -> io::Result<()> {
    let _server: Option<Server> = if urls.is_empty() {
        let server = start_server(answer, "127.0.0.1:0").await?;
        let address = server.local_addrs()[0];
        urls.extend([1, 2].map(|number| format!("http://{address}/{number}")));
        Some(server)
    } else {
        None
    };
    let client = reqwest::Client::new();
    let mut fetches = TaskSet::new();
    for url in urls {
        let client = client.clone();
        fetches.spawn(async move { fetch(&client, &url).await });
    }
    while let Some(fetched) = fetches.join_next().await {
        println!("{}", fetched??);
    }
    Ok(())
}

async fn fetch(client: &reqwest::Client, url: &str) -> io::Result<String> {
    let response = client.get(url).send().await.map_err(|error| failed(url, &error))?;
    let status = response.status();
    let length = response.bytes().await.map_err(|error| failed(url, &error))?.len();
    Ok(format!("{url}: {status}, {length} bytes"))
}

/// The URL, and the innermost cause: what reqwest prints names neither a refusal nor a bad URL.
fn failed(url: &str, error: &reqwest::Error) -> io::Error {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    io::Error::other(format!("{url}: {cause}"))
}

/// A server for one request a connection, on annulus's own sockets.
async fn answer(mut reader: StreamReader, mut writer: StreamWriter) -> io::Result<()> {
    let request = reader.read_line().await?;
    while reader.read_line().await?.len() > 2 {}
    let path = request.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
    let page = format!("You have asked for {}.", String::from_utf8_lossy(path));
    let head =
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", page.len());
    writer.write((head + &page).into_bytes()).await
}
