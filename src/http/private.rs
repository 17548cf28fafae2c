//! The private listener: probes and metrics for ops are open; console and API need a credential.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::http::header::ContentType;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::future::BoxFuture;
use metrics_exporter_prometheus::PrometheusHandle;

use super::api::{self, Api};
use super::console;
use super::forward::{self, Forward};

/// Work that a request asks of the rest of the service.
pub type Hook<T> = Box<dyn Fn() -> BoxFuture<'static, T> + Send + Sync>;

/// What the private listener shows, and to whom.
pub struct Private {
    /// Who gets in, and what they find there.
    pub api: Arc<Api>,
    pub readiness: Readiness,
    /// The parts of the service for `/readyz?verbose`, which is open: no secrets.
    pub parts: Hook<Vec<Part>>,
    pub metrics: PrometheusHandle,
    /// Who answers what is neither a probe nor metrics.
    pub forward: Arc<Forward>,
    /// Brings gauges up to date before they are shown.
    pub refresh: Hook<()>,
}

/// Whether traffic may come: from the first complete start until the service is told to stop.
///
/// Neither a lost broker nor a lost store changes it: all replicas share them, and challenges of X
/// must be answered all the same.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Opens or ends it.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Relaxed);
    }

    fn is_ready(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A part of the service in one line for a person: `broker: away since 12:00`.
#[derive(Clone, Debug)]
pub struct Part {
    pub name: &'static str,
    pub state: String,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.state)
    }
}

/// The routes of the private listener.
pub fn routes(private: Arc<Private>) -> impl Fn(&mut ServiceConfig) + Clone + Send + 'static {
    move |config| {
        config
            .app_data(Data::from(Arc::clone(&private)))
            .service(web::resource("/livez").get(livez))
            .service(web::resource("/readyz").get(readyz))
            .service(web::resource("/metrics").get(metrics));
        forward::routes(&private.forward, config);
        api::routes(config, &private.api);
        console::routes(config, &private.api);
    }
}

async fn livez() -> &'static str {
    "ok\n"
}

async fn readyz(request: HttpRequest, private: Data<Private>) -> HttpResponse {
    let (mut response, word) = if private.readiness.is_ready() {
        (HttpResponse::Ok(), "ready")
    } else {
        (HttpResponse::ServiceUnavailable(), "not ready")
    };
    let mut text = format!("{word}\n");
    if is_verbose(request.query_string()) {
        for part in (private.parts)().await {
            text.push_str(&format!("{part}\n"));
        }
    }
    response.insert_header(ContentType::plaintext()).body(text)
}

fn is_verbose(query: &str) -> bool {
    query
        .split('&')
        .any(|parameter| parameter.split('=').next() == Some("verbose"))
}

async fn metrics(private: Data<Private>) -> HttpResponse {
    (private.refresh)().await;
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(private.metrics.render())
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;
    use actix_web::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
    use actix_web::http::{Method, StatusCode};
    use actix_web::test::{TestRequest, call_service, init_service};
    use actix_web::{App, dev::ServiceResponse};

    use super::*;
    use crate::http::api::testing;

    fn private(token: Option<&str>) -> Arc<Private> {
        Arc::new(Private {
            api: testing::api(token),
            readiness: Readiness::default(),
            parts: Box::new(|| {
                Box::pin(async {
                    let state = "away since noon".to_owned();
                    vec![Part {
                        name: "broker",
                        state,
                    }]
                })
            }),
            metrics: crate::telemetry::metrics::install().unwrap(),
            forward: Arc::new(Forward {
                leads: Box::new(|| true),
                leader: Box::new(|| None),
                http: crate::x::client::http_client(
                    &"http://replica".parse().unwrap(),
                    std::time::Duration::from_secs(1),
                )
                .unwrap(),
            }),
            refresh: Box::new(|| {
                Box::pin(async { crate::telemetry::metrics::set_gaps("refreshed", 7) })
            }),
        })
    }

    async fn send(private: &Arc<Private>, request: TestRequest) -> ServiceResponse {
        let app = init_service(App::new().configure(routes(Arc::clone(private)))).await;
        call_service(&app, request.to_request()).await
    }

    async fn get(private: &Arc<Private>, uri: &str) -> (StatusCode, String) {
        let response = send(private, TestRequest::get().uri(uri)).await;
        let status = response.status();
        let body = to_bytes(response.into_body()).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[actix_web::test]
    async fn readiness_follows_start_and_stop_and_liveness_does_not() {
        let private = private(None);
        for ready in [false, true, false] {
            private.readiness.set(ready);
            let expected = if ready { 200 } else { 503 };
            assert_eq!(get(&private, "/readyz").await.0, expected);
            assert_eq!(get(&private, "/livez").await.0, 200);
        }
    }

    #[actix_web::test]
    async fn only_verbose_readiness_tells_of_the_parts() {
        let private = private(None);
        private.readiness.set(true);
        assert_eq!(get(&private, "/readyz").await.1, "ready\n");
        for uri in ["/readyz?verbose", "/readyz?x=1&verbose=true"] {
            let text = get(&private, uri).await.1;
            assert_eq!(text, "ready\nbroker: away since noon\n");
        }
    }

    #[actix_web::test]
    async fn gauges_are_refreshed_before_they_are_shown() {
        let (status, text) = get(&private(None), "/metrics").await;
        assert_eq!(status, 200);
        assert!(text.contains("twitter_channel_gaps_open{app=\"refreshed\"} 7"));
    }

    #[actix_web::test]
    async fn console_and_api_are_closed_without_the_token() {
        let private = private(Some("s3cret"));
        for uri in ["/", "/api", "/api/v1/commands"] {
            for header in [
                None,
                Some("Bearer wrong"),
                Some("Bearer "),
                Some("Basic s3cret"),
            ] {
                let method = if uri == "/" {
                    Method::GET
                } else {
                    Method::POST
                };
                let mut request = TestRequest::default().method(method).uri(uri);
                if let Some(header) = header {
                    request = request.insert_header((AUTHORIZATION, header));
                }
                let response = send(&private, request).await;
                assert_eq!(response.status(), 401, "{uri} {header:?}");
                assert_eq!(response.headers().get(WWW_AUTHENTICATE).unwrap(), "Bearer");
            }
            let request = TestRequest::get().uri(uri);
            let request = request.insert_header((AUTHORIZATION, "bearer s3cret"));
            let expected = if uri == "/api" { 404 } else { 200 };
            assert_eq!(send(&private, request).await.status(), expected, "{uri}");
        }
    }

    #[actix_web::test]
    async fn without_a_configured_token_nobody_gets_in() {
        let request = TestRequest::get().uri("/api/v1/x");
        let request = request.insert_header((AUTHORIZATION, "Bearer "));
        assert_eq!(send(&private(None), request).await.status(), 401);
    }

    #[actix_web::test]
    async fn what_is_not_there_is_not_found() {
        assert_eq!(get(&private(None), "/nothing").await.0, 404);
        let post = TestRequest::post().uri("/livez");
        assert_eq!(send(&private(None), post).await.status(), 405);
    }
}
