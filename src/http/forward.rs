//! What a replica that follows does with requests to its private listener, but for probes and
//! metrics: the leader answers them, and they go there and back unchanged.

use std::sync::Arc;
use std::time::Duration;

use actix_web::body::SizedStream;
use actix_web::guard::fn_guard;
use actix_web::http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{self, BytesMut, Data, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use bytes::Bytes;
use futures_util::StreamExt;

use super::api::problem::{Kind, Problem};
use crate::telemetry::chain;

/// Marks what was forwarded: a second time would be a loop.
const FORWARDED: &str = "x-twitter-channel-forwarded";
/// Longest body that is passed on; no route takes more.
const MAX_BODY: usize = 64 << 20;
/// Until then there is mostly a leader again.
const RETRY: Duration = Duration::from_secs(2);
/// Of the connection, each with its own (RFC 9110, 7.6.1).
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Who leads, and the way there.
pub struct Forward {
    /// Whether this replica answers itself.
    pub leads: Box<dyn Fn() -> bool + Send + Sync>,
    /// `http://host:port` of another replica that leads.
    pub leader: Box<dyn Fn() -> Option<String> + Send + Sync>,
    /// Repeats nothing and follows no redirect.
    pub http: reqwest::Client,
}

/// Takes every request that no route before these took, while another replica leads.
pub fn routes(forward: &Arc<Forward>, config: &mut ServiceConfig) {
    let asked = Arc::clone(forward);
    let scope = web::scope("")
        .guard(fn_guard(move |_request| !(asked.leads)()))
        .app_data(Data::from(Arc::clone(forward)))
        .default_service(web::to(pass_on));
    config.service(scope);
}

async fn pass_on(request: HttpRequest, body: Payload, forward: Data<Forward>) -> HttpResponse {
    match try_pass_on(&request, body, &forward).await {
        Ok(response) => response,
        Err(problem) => problem.error_response(),
    }
}

async fn try_pass_on(
    request: &HttpRequest,
    body: Payload,
    forward: &Forward,
) -> Result<HttpResponse, Problem> {
    if request.headers().contains_key(FORWARDED) {
        return Err(unavailable("The replica that was asked does not lead."));
    }
    let leader = (forward.leader)().ok_or_else(|| unavailable("No replica leads just now."))?;
    let body = whole(body).await?;
    let answer = asked(request, &leader, body, forward).await;
    let answer = answer.map_err(|error| {
        tracing::warn!(error = %chain(&error), leader, "a request did not reach the leader");
        unavailable("The replica that leads cannot be reached.")
    })?;
    Ok(passed_back(request.method(), answer))
}

fn unavailable(detail: &str) -> Problem {
    Problem::new(Kind::Unavailable, detail).after(RETRY)
}

async fn whole(mut body: Payload) -> Result<Bytes, Problem> {
    let mut whole = BytesMut::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| Problem::new(Kind::Invalid, error.to_string()))?;
        if whole.len() + chunk.len() > MAX_BODY {
            let detail = format!("A body has at most {MAX_BODY} bytes.");
            return Err(Problem::new(Kind::TooLarge, detail));
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.freeze())
}

async fn asked(
    request: &HttpRequest,
    leader: &str,
    body: Bytes,
    forward: &Forward,
) -> reqwest::Result<reqwest::Response> {
    let method = reqwest::Method::from_bytes(request.method().as_str().as_bytes());
    let target = request.uri().path_and_query().map_or("/", |it| it.as_str());
    let url = format!("{}{target}", leader.trim_end_matches('/'));
    let mut asking = forward.http.request(method.unwrap_or_default(), url);
    let has_length = request.headers().contains_key(CONTENT_LENGTH);
    for (name, value) in request.headers() {
        if is_end_to_end(name.as_str()) && *name != CONTENT_LENGTH {
            asking = asking.header(name.as_str(), value.as_bytes());
        }
    }
    if has_length || !body.is_empty() {
        asking = asking.body(body);
    }
    asking.header(FORWARDED, "1").send().await
}

fn passed_back(method: &Method, answer: reqwest::Response) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status().as_u16());
    let status = status.unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = HttpResponse::build(status);
    let mut length = None;
    for (name, value) in answer.headers() {
        if name == "content-length" {
            length = value.to_str().ok().and_then(|it| it.parse::<u64>().ok());
        } else if is_end_to_end(name.as_str())
            && let Ok(name) = HeaderName::from_bytes(name.as_str().as_bytes())
            && let Ok(value) = HeaderValue::from_bytes(value.as_bytes())
        {
            response.append_header((name, value));
        }
    }
    // Nothing has a length of its own, and must not get one.
    if *method != Method::HEAD && matches!(length, Some(0)) {
        return response.finish();
    }
    let stream = answer.bytes_stream();
    match length {
        Some(length) => response.body(SizedStream::new(length, stream)),
        None if matches!(status.as_u16(), 204 | 304) => response.finish(),
        None => response.streaming(stream),
    }
}

fn is_end_to_end(name: &str) -> bool {
    !HOP_BY_HOP.contains(&name)
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener};
    use std::sync::atomic::{AtomicBool, Ordering};

    use actix_web::dev::ServerHandle;
    use serde_json::{Value, json};

    use super::*;
    use crate::http::{Server, ServerSettings};
    use crate::x::client::http_client;

    fn http() -> reqwest::Client {
        let url = "http://replica".parse().unwrap();
        http_client(&url, Duration::from_secs(2)).unwrap()
    }

    fn serve(
        routes: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
    ) -> (SocketAddr, ServerHandle) {
        let settings = ServerSettings {
            workers: 1,
            grace: Duration::from_secs(1),
            max_connections: 64,
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Server::start(listener, &settings, routes).unwrap();
        actix_web::rt::spawn(server.running);
        (server.address, server.handle)
    }

    /// Tells what it was asked.
    async fn echo(request: HttpRequest, body: Bytes) -> HttpResponse {
        let header = |name| {
            let value = request.headers().get(name);
            value.map(|value| value.to_str().unwrap().to_owned())
        };
        let told = json!({
            "method": request.method().as_str(),
            "target": request.uri().to_string(),
            "host": header("host"),
            "cookie": header("cookie"),
            "authorization": header("authorization"),
            "body": String::from_utf8(body.to_vec()).unwrap(),
        });
        HttpResponse::Created()
            .append_header(("set-cookie", "a=1"))
            .append_header(("set-cookie", "b=2"))
            .body(told.to_string())
    }

    struct Replica {
        leads: Arc<AtomicBool>,
        address: SocketAddr,
        _handle: ServerHandle,
    }

    fn replica(leader: Option<String>) -> Replica {
        let leads = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&leads);
        let forward = Arc::new(Forward {
            leads: Box::new(move || asked.load(Ordering::Relaxed)),
            leader: Box::new(move || leader.clone()),
            http: http(),
        });
        let (address, handle) = serve(move |config| {
            config.route("/livez", web::get().to(HttpResponse::Ok));
            routes(&forward, config);
            config.default_service(web::to(echo));
        });
        Replica {
            leads,
            address,
            _handle: handle,
        }
    }

    #[actix_web::test]
    async fn a_request_goes_to_the_leader_and_back_unchanged() {
        let (leader, _handle) = serve(|config| {
            config.default_service(web::to(echo));
        });
        let follower = replica(Some(format!("http://{leader}")));
        let url = format!("http://{}/api/v1/a%2Fb?c=%20d", follower.address);
        let asked = http().patch(url).header("cookie", "s=1").body("{\"a\": 1}");
        let answer = asked.header("authorization", "Bearer t").send().await;
        let answer = answer.unwrap();
        assert_eq!(answer.status(), 201);
        assert_eq!(answer.headers().get_all("set-cookie").iter().count(), 2);
        let told: Value = answer.json().await.unwrap();
        let expected = json!({
            "method": "PATCH",
            "target": "/api/v1/a%2Fb?c=%20d",
            "host": follower.address.to_string(),
            "cookie": "s=1",
            "authorization": "Bearer t",
            "body": "{\"a\": 1}",
        });
        assert_eq!(told, expected);
    }

    #[actix_web::test]
    async fn a_replica_that_leads_and_probes_answer_themselves() {
        let replica = replica(None);
        let get = |path: &str| {
            http()
                .get(format!("http://{}{path}", replica.address))
                .send()
        };
        assert_eq!(get("/livez").await.unwrap().status(), 200);
        assert_eq!(get("/api").await.unwrap().status(), 503);
        replica.leads.store(true, Ordering::Relaxed);
        assert_eq!(get("/api").await.unwrap().status(), 201);
    }

    #[actix_web::test]
    async fn without_a_leader_within_reach_it_says_so_and_when_to_come_again() {
        let gone = "http://127.0.0.1:9".to_owned();
        for leader in [None, Some(gone)] {
            let follower = replica(leader);
            let url = format!("http://{}/api/v1/health", follower.address);
            let answer = http().get(url).send().await.unwrap();
            assert_eq!(answer.status(), 503);
            assert_eq!(answer.headers()["retry-after"], "2");
            assert_eq!(answer.headers()["content-type"], "application/problem+json");
        }
    }

    #[actix_web::test]
    async fn two_that_take_each_other_for_the_leader_make_no_loop() {
        let second = replica(Some("http://127.0.0.1:9".to_owned()));
        let first = replica(Some(format!("http://{}", second.address)));
        let url = format!("http://{}/", first.address);
        let answer = http().get(url).send().await.unwrap();
        assert_eq!(answer.status(), 503);
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(
            problem["detail"],
            "The replica that was asked does not lead."
        );
    }
}
