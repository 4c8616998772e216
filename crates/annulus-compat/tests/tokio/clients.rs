//! Clients of the Tokio ecosystem, unmodified, in annulus tasks.

use std::env::temp_dir;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::time::Duration;

use annulus::net::{StreamReader, StreamWriter, start_server};
use annulus::spawn;
use annulus_compat::tokio::beside;
use redis::AsyncCommands;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use tonic::transport::Endpoint;
use tonic::transport::server::{Server, TcpIncoming};
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::common::patience::limit;
use crate::common::skip::skip;
use crate::common::watchdog::run;

/// Answers one request with its own path.
async fn answer(mut reader: StreamReader, mut writer: StreamWriter) -> std::io::Result<()> {
    let request = reader.read_line().await?;
    while reader.read_line().await?.len() > 2 {}
    let path = request.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", path.len());
    writer.write(head.into_bytes()).await?;
    writer.write(path.to_vec()).await
}

#[test]
fn reqwest_fetches_from_an_annulus_server_of_the_same_thread() {
    let _tokio = beside();
    run(async {
        let server = start_server(answer, "127.0.0.1:0").await.unwrap();
        let address = server.local_addrs()[0];
        let client = reqwest::Client::new();
        let fetches = (0..20).map(|number| {
            let fetch = client.get(format!("http://{address}/{number}")).send();
            spawn(async move {
                assert_eq!(fetch.await.unwrap().text().await.unwrap(), format!("/{number}"));
            })
        });
        for fetch in fetches.collect::<Vec<_>>() {
            fetch.await.unwrap();
        }
    });
}

/// A path that no other test and no other run uses.
fn unused_path(name: &str) -> PathBuf {
    temp_dir().join(format!("annulus-compat-{}-{name}", process::id()))
}

/// A Redis server, without a port, that ends with the test.
struct RedisServer {
    child: Child,
    socket: PathBuf,
}

impl RedisServer {
    /// Returns `None` if the program is missing.
    fn start() -> Option<Self> {
        let socket = unused_path("redis");
        let child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .ok()?;
        Some(Self { child, socket })
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.socket);
    }
}

#[test]
fn redis_serves_annulus_tasks_over_one_connection() {
    let Some(server) = RedisServer::start() else {
        return skip("redis-server is not installed");
    };
    let _tokio = beside();
    run(async {
        let url = format!("redis+unix://{}", server.socket.display());
        let client = redis::Client::open(url).unwrap();
        let connection = annulus::time::timeout(limit(), connect(&client)).await.unwrap();
        let tasks = (0..20).map(|number| {
            let mut connection = connection.clone();
            spawn(async move {
                let () = connection.set(number, number * number).await.unwrap();
                let square: i32 = connection.get(number).await.unwrap();
                assert_eq!(square, number * number);
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    });
}

/// Connects when the server is ready, of which there is no other sign.
async fn connect(client: &redis::Client) -> redis::aio::MultiplexedConnection {
    // By default an answer has half a second, which a server on a busy machine may exceed.
    let config = redis::AsyncConnectionConfig::new()
        .set_connection_timeout(Some(limit()))
        .set_response_timeout(Some(limit()));
    loop {
        match client.get_multiplexed_async_connection_with_config(&config).await {
            Ok(connection) => return connection,
            Err(_) => annulus::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

async fn count_rows(options: SqliteConnectOptions) -> i64 {
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    sqlx::query("CREATE TABLE squares (number, square)").execute(&pool).await.unwrap();
    let inserts = (0..20_i64).map(|number| {
        let pool = pool.clone();
        spawn(async move {
            let insert = sqlx::query("INSERT INTO squares VALUES (?, ?)");
            insert.bind(number).bind(number * number).execute(&pool).await.unwrap();
        })
    });
    for insert in inserts.collect::<Vec<_>>() {
        insert.await.unwrap();
    }
    let sum = sqlx::query_scalar("SELECT sum(square) FROM squares").fetch_one(&pool).await;
    pool.close().await;
    sum.unwrap()
}

const SUM_OF_SQUARES: i64 = 19 * 20 * 39 / 6;

#[test]
fn sqlx_stores_in_memory_what_annulus_tasks_insert() {
    let _tokio = beside();
    run(async {
        let options = "sqlite::memory:".parse().unwrap();
        assert_eq!(count_rows(options).await, SUM_OF_SQUARES);
    });
}

#[test]
fn sqlx_stores_in_a_file_what_annulus_tasks_insert() {
    struct Removed(PathBuf);
    impl Drop for Removed {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }
    let _tokio = beside();
    let file = Removed(unused_path("sqlite"));
    run(async {
        let options = SqliteConnectOptions::new().filename(&file.0).create_if_missing(true);
        assert_eq!(count_rows(options.clone()).await, SUM_OF_SQUARES);
        let file: &Path = &file.0;
        assert!(file.metadata().unwrap().len() > 0, "nothing is in the file");
    });
}

#[test]
fn a_channel_of_tonic_calls_a_server_on_tokios_thread() {
    let _tokio = beside();
    run(async {
        let (reporter, service) = tonic_health::server::health_reporter();
        reporter.set_service_status("annulus", ServingStatus::Serving).await;
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = incoming.local_addr().unwrap();
        let server = Server::builder().add_service(service).serve_with_incoming(incoming);
        let server = tokio::spawn(server);
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let channel = endpoint.timeout(limit()).connect().await.unwrap();
        let calls = (0..20).map(|_| {
            let mut client = HealthClient::new(channel.clone());
            spawn(async move {
                let request = HealthCheckRequest { service: "annulus".into() };
                let response = client.check(request).await.unwrap().into_inner();
                assert_eq!(response.status, ServingStatus::Serving as i32);
            })
        });
        for call in calls.collect::<Vec<_>>() {
            call.await.unwrap();
        }
        server.abort();
    });
}

#[test]
fn a_timeout_of_tokios_ends_a_wait_of_annulus() {
    let _tokio = beside();
    run(async {
        let event = annulus::sync::Event::new();
        let wait = tokio::time::timeout(Duration::from_millis(5), event.wait());
        wait.await.unwrap_err();
    });
}

#[test]
fn a_panic_in_a_task_of_tokios_reaches_the_annulus_task_that_joins_it() {
    let _tokio = beside();
    run(async {
        let error = tokio::spawn(async { panic!("expected in this test") }).await.unwrap_err();
        assert!(error.is_panic());
    });
}
