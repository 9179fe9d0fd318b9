//! HTTP/1.1: whether the server is alive, its members and its figures, for those who look after it.

use crate::grpc::Surroundings;
use crate::kurrent::{figures, instance_id};
use crate::limits::{HTTP1_HEAD_BYTES_MAX, HTTP1_HEADERS_MAX};
use serde_json::json;

/// What was done with received bytes.
pub struct Answered {
    /// How many were whole requests.
    pub consumed: usize,
    /// Whether the connection is over.
    pub is_over: bool,
}

/// An answer.
struct Answer {
    status: u16,
    body: Option<String>,
}

/// Answers the whole requests at the beginning of these bytes.
pub fn answer(received: &[u8], out: &mut Vec<u8>, around: &Surroundings<'_>) -> Answered {
    let mut consumed = 0;
    loop {
        let mut headers = [httparse::EMPTY_HEADER; HTTP1_HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        let rest = &received[consumed..];
        let length = match request.parse(rest) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if rest.len() <= HTTP1_HEAD_BYTES_MAX => {
                return Answered { consumed, is_over: false };
            }
            Ok(httparse::Status::Partial) => {
                write(out, &Answer { status: 431, body: None }, true, true);
                return Answered { consumed: received.len(), is_over: true };
            }
            Err(_) => {
                write(out, &Answer { status: 400, body: None }, true, true);
                return Answered { consumed: received.len(), is_over: true };
            }
        };
        consumed += length;
        let header = |name: &str| {
            let found = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
            found.map(|header| header.value.trim_ascii())
        };
        // Nothing here takes a body, so what follows the head could not be told from the next request.
        let has_body =
            header("content-length").is_some_and(|length| length != b"0") || header("transfer-encoding").is_some();
        let wants_end = header("connection").is_some_and(|value| value.eq_ignore_ascii_case(b"close"));
        let is_over = has_body || wants_end || request.version == Some(0);
        let (method, path) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
        let answer = match method {
            "GET" | "HEAD" => page(path, around),
            _ => Answer { status: 405, body: None },
        };
        write(out, &answer, method != "HEAD", is_over);
        if is_over {
            return Answered { consumed: received.len(), is_over };
        }
    }
}

/// The page at a path.
fn page(target: &str, around: &Surroundings<'_>) -> Answer {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    // Whether it lives everybody may know; its figures are for those who may do everything.
    let may_look = around.user.is_some_and(|user| user.is_unlimited());
    match path {
        "/health/live" => {
            let code = query.split('&').find_map(|part| part.strip_prefix("liveCode="));
            let code = code.and_then(|code| code.parse().ok()).filter(|code| (200..600).contains(code));
            Answer { status: code.unwrap_or(204), body: None }
        }
        "/gossip" => Answer { status: 200, body: Some(gossip(around)) },
        "/stats" if may_look => Answer { status: 200, body: Some(json!(figures(around.server)).to_string()) },
        "/stats" => Answer { status: 401, body: None },
        "/info" => Answer {
            status: 200,
            body: Some(json!({ "esVersion": env!("CARGO_PKG_VERSION"), "state": "leader" }).to_string()),
        },
        _ => Answer { status: 404, body: None },
    }
}

fn gossip(around: &Surroundings<'_>) -> String {
    let (address, port) =
        around.local.map_or((String::new(), 0), |local| (local.ip().to_canonical().to_string(), local.port()));
    json!({
        "members": [{
            "instanceId": instance_id(&around.server.history_id),
            "state": "Leader",
            "isAlive": true,
            "httpEndPointIp": address,
            "httpEndPointPort": port,
        }],
        "serverIp": address,
        "serverPort": port,
    })
    .to_string()
}

fn write(out: &mut Vec<u8>, answer: &Answer, has_body: bool, is_over: bool) {
    let reason = match answer.status {
        200 => "OK",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        405 => "Method Not Allowed",
        431 => "Request Header Fields Too Large",
        _ => "",
    };
    let body = answer.body.as_deref().unwrap_or_default();
    out.extend_from_slice(format!("HTTP/1.1 {} {reason}\r\n", answer.status).as_bytes());
    if answer.status != 204 {
        out.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    if answer.body.is_some() {
        out.extend_from_slice(b"Content-Type: application/json\r\n");
    }
    if is_over {
        out.extend_from_slice(b"Connection: close\r\n");
    }
    out.extend_from_slice(b"\r\n");
    if has_body {
        out.extend_from_slice(body.as_bytes());
    }
}
