//! The client with a pool, against the server.

use std::convert::Infallible;

use annulus::net::{TcpListener, UnixListener};
use annulus_hyper::client::{Connector, client, client_with};
use annulus_hyper::server::serve;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};

async fn respond(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    Ok(Response::new(Full::new(request.into_body().collect().await?.to_bytes())))
}

async fn body(response: Response<Incoming>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

#[test]
fn a_client_uses_a_connection_again() {
    annulus::run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = serve(listener, service_fn(respond)).start().unwrap();
        let client = client::<Full<Bytes>>();
        for length in [0, 10, 1_900_000] {
            let sent = Bytes::from(vec![b'x'; length]);
            let request = Request::post(format!("http://{}/", server.local_addr()));
            let request = request.body(Full::new(sent.clone())).unwrap();
            assert!(body(client.request(request).await.unwrap()).await == sent, "{length} bytes");
        }
        assert_eq!((server.active_connections(), server.counters().requests), (1, 3));
    })
    .unwrap();
}

#[test]
fn a_client_connects_to_a_unix_socket_whatever_the_host() {
    annulus::run(async {
        let name = format!("\0annulus-hyper-{}", std::process::id());
        let listener = UnixListener::bind(&name).unwrap();
        let hello = async |_: Request<Incoming>| {
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"hello"))))
        };
        let _server = serve(listener, service_fn(hello)).start().unwrap();
        let client = client_with::<Full<Bytes>>(Connector::unix(name));
        let response = client.get("http://any/".parse().unwrap()).await.unwrap();
        assert_eq!(body(response).await, "hello");
    })
    .unwrap();
}

#[test]
fn https_without_a_configuration_and_other_schemes_are_refused_and_sent_nowhere() {
    annulus::run(async {
        let name = format!("\0annulus-hyper-https-{}", std::process::id());
        let listener = UnixListener::bind(&name).unwrap();
        let server = serve(listener, service_fn(respond)).start().unwrap();
        for connector in [Connector::new(), Connector::unix(name)] {
            for (url, why) in [
                ("https://127.0.0.1/", "TLS is not configured"),
                ("ftp://127.0.0.1/", "its scheme is neither http nor https"),
            ] {
                let client = client_with::<Full<Bytes>>(connector.clone());
                let error = client.get(url.parse().unwrap()).await.unwrap_err();
                let error = std::error::Error::source(&error).unwrap().to_string();
                assert!(error.starts_with(&format!("connect to {url}: {why}")), "{error}");
            }
        }
        assert_eq!(server.counters().requests, 0);
    })
    .unwrap();
}
