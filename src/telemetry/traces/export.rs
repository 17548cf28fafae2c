//! Spans to a collector: OTLP, protobuf over HTTP, by our own client.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry::KeyValue;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{
    ExporterBuildError, Protocol, SpanExporter, WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{self, BatchSpanProcessor, SpanData, SpanProcessor};
use reqwest::redirect;
use rustls::crypto::{CryptoProvider, ring};
use secrecy::ExposeSecret;
use tokio::runtime::Handle;
use url::Url;

use super::TraceSettings;
use crate::telemetry::metrics;

/// Why no traces can be sent.
#[derive(Debug, thiserror::Error)]
pub enum NoTraces {
    #[error("cannot make an HTTP client for telemetry.otlp_endpoint")]
    Client(#[source] reqwest::Error),
    #[error("cannot export to telemetry.otlp_endpoint")]
    Exporter(#[source] ExporterBuildError),
    #[error("the process sends traces already")]
    Twice,
}

/// What collects spans and sends them from a thread of its own.
pub(super) fn processor(
    endpoint: &Url,
    settings: &TraceSettings,
) -> Result<BatchSpanProcessor, NoTraces> {
    let timeout = settings.otlp_timeout;
    let client = Client {
        http: http_client(endpoint, timeout)?,
        runtime: Handle::current(),
    };
    let authorization = settings.otlp_authorization.as_ref();
    let headers =
        authorization.map(|it| ("authorization".to_owned(), it.expose_secret().to_owned()));
    let base = endpoint.as_str().trim_end_matches('/');
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_headers(HashMap::from_iter(headers))
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{base}/v1/traces"))
        .with_timeout(timeout)
        .build()
        .map_err(NoTraces::Exporter)?;
    let mut spans = BatchSpanProcessor::builder(Telling::new(exporter)).build();
    spans.set_resource(&resource(settings));
    Ok(spans)
}

/// Who we are; `OTEL_RESOURCE_ATTRIBUTES` may add to it, as operators of Kubernetes set it.
fn resource(settings: &TraceSettings) -> Resource {
    let made_up = || format!("{:032x}", rand::random::<u128>());
    let instance = settings.instance.clone().unwrap_or_else(made_up);
    Resource::builder()
        .with_service_name(settings.service_name.clone())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", instance))
        .build()
}

fn http_client(endpoint: &Url, timeout: Duration) -> Result<reqwest::Client, NoTraces> {
    if CryptoProvider::get_default().is_none() {
        // An error only says that another thread was faster.
        let _ = ring::default_provider().install_default();
    }
    let builder = reqwest::Client::builder()
        .user_agent(concat!("twitter-channel/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .no_proxy()
        .timeout(timeout);
    let builder = match endpoint.scheme() {
        "https" => builder.tls_backend_rustls().https_only(true),
        _ => builder.tls_certs_only([]),
    };
    builder.build().map_err(NoTraces::Client)
}

/// Our client for the exporter, whose thread has no runtime.
#[derive(Debug)]
struct Client {
    http: reqwest::Client,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let request = reqwest::Request::try_from(request)?;
        let http = self.http.clone();
        let answered = self.runtime.spawn(async move {
            // Only in here: its time limit needs a runtime from the first on.
            let answer = http.execute(request).await?;
            let mut response = Response::builder().status(answer.status());
            if let Some(headers) = response.headers_mut() {
                *headers = answer.headers().clone();
            }
            Ok::<_, reqwest::Error>((response, answer.bytes().await?))
        });
        let (response, body) = answered.await?.map_err(reqwest::Error::without_url)?;
        Ok(response.body(body)?)
    }
}

/// Counts what was sent and lost, and says so once each time it begins.
#[derive(Debug)]
struct Telling {
    exporter: SpanExporter,
    failing: AtomicBool,
}

impl Telling {
    fn new(exporter: SpanExporter) -> Self {
        let failing = AtomicBool::new(false);
        Self { exporter, failing }
    }
}

impl trace::SpanExporter for Telling {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let sent = self.exporter.export(batch).await;
        metrics::count_trace_spans(if sent.is_ok() { "sent" } else { "lost" }, spans);
        let failed_before = self.failing.swap(sent.is_err(), Ordering::Relaxed);
        match &sent {
            Err(error) if !failed_before => {
                tracing::warn!(%error, spans, "traces are lost: telemetry.otlp_endpoint does not take them");
            }
            Ok(()) if failed_before => tracing::info!("traces are taken again"),
            _ => {}
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
