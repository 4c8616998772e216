//! What is behind each path.

use super::Context;
use super::files::Found;
use super::request::{Framing, Request};
use super::response::{Body, Response, Status};

/// Answers a request.
pub(crate) async fn answer(request: &Request, body: Vec<u8>, context: &Context) -> Response {
    if !is_known(&request.method) {
        return Response::of(Status::NotImplemented);
    }
    let reads = matches!(request.method.as_str(), "GET" | "HEAD");
    match request.path.as_str() {
        "/" | "/info" if reads => info(context),
        "/echo" if request.method == "POST" => {
            let chunked = request.framing == Framing::Chunked;
            let body = if chunked { Body::Chunks(body) } else { Body::Bytes(body) };
            Response::ok("application/octet-stream", body)
        }
        "/echo" => Response::not_allowed("POST"),
        path => match path.strip_prefix("/files/") {
            Some(name) if reads => match context.root.open(name).await {
                Found::File { file, length, content_type } => {
                    Response::ok(content_type, Body::File(file, length))
                }
                Found::Refused => Response::of(Status::Forbidden),
                Found::Missing => Response::of(Status::NotFound),
                Found::Failed => Response::of(Status::Internal),
            },
            Some(_) => Response::not_allowed("GET, HEAD"),
            None if matches!(path, "/" | "/info") => Response::not_allowed("GET, HEAD"),
            None => Response::of(Status::NotFound),
        },
    }
}

fn is_known(method: &str) -> bool {
    let methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE"];
    methods.contains(&method)
}

fn info(context: &Context) -> Response {
    let (index, count) = (context.shard.index(), context.shard.count());
    let requests = context.requests.get();
    let text = format!("shard: {index} of {count}\nrequests of this shard: {requests}\n");
    Response::ok("text/plain", Body::Bytes(text.into_bytes()))
}
