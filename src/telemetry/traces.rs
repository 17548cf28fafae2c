//! Traces: what happened to a delivery of X or to a command, as spans over OTLP. Off by default.
//!
//! Where a trace stands is never kept in memory only: an event's id is its trace, and the span that
//! all others hang on follows from it; a command's follow from its id, and from the `traceparent` of
//! its sender, which is kept with it. So a trace goes on after a restart and in another replica, and
//! all of them agree on which ones are sampled.
//!
//! Spans are written down once their work is over, with attributes named here: none of them holds a
//! secret or what people wrote. While traces are off nothing is made of all this.

mod context;
mod export;

use std::borrow::Cow;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanProcessor};
use secrecy::SecretString;
use tokio::task::spawn_blocking;
use url::Url;

use crate::domain::ids::{CommandId, EventId};
pub use context::{CommandTrace, SenderTrace, TraceContext};
pub use export::NoTraces;

/// Where spans go, and how many.
#[derive(Clone, Debug)]
pub struct TraceSettings {
    /// Base address of a collector's OTLP over HTTP, without `/v1/traces`; `None`: no traces.
    pub otlp_endpoint: Option<Url>,
    /// Sent as the `Authorization` header.
    pub otlp_authorization: Option<SecretString>,
    /// Longest export.
    pub otlp_timeout: Duration,
    /// Share of the traces that begin here, 0 to 1; those that a core begins follow its own mark.
    pub sample_ratio: f64,
    /// `service.name`.
    pub service_name: String,
    /// `service.instance.id`; made up where it is not set.
    pub instance: Option<String>,
}

/// Collects spans for the exporter.
struct Tracer {
    spans: BatchSpanProcessor,
    scope: InstrumentationScope,
    sample_ratio: f64,
}

/// One for the process, as its logs and metrics are.
static TRACER: OnceLock<Tracer> = OnceLock::new();

tokio::task_local! {
    /// What calls to X are made for.
    static CURRENT: TraceContext;
}

/// Ends the export in order.
pub struct Flush(());

impl Flush {
    /// Sends what is left, within the time limit of an export.
    pub async fn close(self) {
        let ended = spawn_blocking(|| TRACER.get().map(|tracer| tracer.spans.shutdown())).await;
        if let Ok(Some(Err(error))) = ended {
            tracing::warn!(%error, "the last traces were not exported");
        }
    }
}

/// Starts traces for the whole process, where the settings ask for them.
///
/// # Errors
/// When the exporter cannot be made, or the process has one.
pub fn start(settings: &TraceSettings) -> Result<Option<Flush>, NoTraces> {
    let Some(endpoint) = &settings.otlp_endpoint else {
        return Ok(None);
    };
    let tracer = Tracer {
        spans: export::processor(endpoint, settings)?,
        scope: InstrumentationScope::builder("twitter-channel")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build(),
        sample_ratio: settings.sample_ratio,
    };
    TRACER.set(tracer).map_err(|_second| NoTraces::Twice)?;
    Ok(Some(Flush(())))
}

/// Whether there is anything to trace for.
pub fn is_on() -> bool {
    TRACER.get().is_some()
}

/// Whether a trace that begins here is recorded; each replica says the same.
fn samples(trace: u128) -> bool {
    TRACER
        .get()
        .is_some_and(|tracer| is_sampled(trace, tracer.sample_ratio))
}

/// By the last 63 bits, as OpenTelemetry's own sampler by ratio.
fn is_sampled(trace: u128, ratio: f64) -> bool {
    let bits = trace as u64 & (u64::MAX >> 1);
    // The limit is exact for 0 and 1; between them rounding moves it by a few of 2^63.
    bits < (ratio * (1_u64 << 63) as f64) as u64
}

/// A span that is over.
struct Done {
    name: Cow<'static, str>,
    kind: SpanKind,
    context: TraceContext,
    parent: Option<TraceContext>,
    began: SystemTime,
    attributes: Vec<KeyValue>,
    /// `error.type`.
    error: Option<String>,
}

impl Done {
    fn new(name: impl Into<Cow<'static, str>>, kind: SpanKind, context: TraceContext) -> Self {
        Self {
            name: name.into(),
            kind,
            context,
            parent: None,
            began: SystemTime::now(),
            attributes: Vec::new(),
            error: None,
        }
    }

    /// Hands it to the exporter, unless its trace is not recorded.
    fn record(self) {
        let Some(tracer) = TRACER.get().filter(|_| self.context.sampled) else {
            return;
        };
        let mut attributes = self.attributes;
        let error = self.error.map(|error| KeyValue::new("error.type", error));
        let status = match error.is_some() {
            true => Status::error(""),
            false => Status::Unset,
        };
        attributes.extend(error);
        tracer.spans.on_end(SpanData {
            span_context: exported(self.context),
            parent_span_id: self.parent.map_or(SpanId::INVALID, |parent| {
                SpanId::from_bytes(parent.span.to_be_bytes())
            }),
            parent_span_is_remote: self.parent.is_some_and(|parent| parent.remote),
            span_kind: self.kind,
            name: self.name,
            start_time: self.began,
            end_time: SystemTime::now(),
            attributes,
            dropped_attributes_count: 0,
            events: Default::default(),
            links: Default::default(),
            status,
            instrumentation_scope: tracer.scope.clone(),
        });
    }
}

fn exported(context: TraceContext) -> SpanContext {
    SpanContext::new(
        TraceId::from_bytes(context.trace.to_be_bytes()),
        SpanId::from_bytes(context.span.to_be_bytes()),
        TraceFlags::SAMPLED,
        false,
        TraceState::NONE,
    )
}

/// A delivery of X was answered; it brought these events, of which each has a trace of its own.
pub fn delivered(app: &str, status: u16, began: SystemTime, events: &[EventId]) {
    if !is_on() {
        return;
    }
    let count = i64::try_from(events.len()).unwrap_or(i64::MAX);
    let contexts = match events {
        [] => vec![TraceContext::random()],
        events => events.iter().copied().map(TraceContext::of_event).collect(),
    };
    for context in contexts {
        let name = "POST /webhooks/twitter/{app}";
        Done {
            began,
            attributes: vec![
                KeyValue::new("http.request.method", "POST"),
                KeyValue::new("http.route", "/webhooks/twitter/{app}"),
                KeyValue::new("http.response.status_code", i64::from(status)),
                KeyValue::new("twitter_channel.app", app.to_owned()),
                KeyValue::new("twitter_channel.delivery.events", count),
            ],
            error: (status >= 500).then(|| status.to_string()),
            ..Done::new(name, SpanKind::Server, context)
        }
        .record();
    }
}

/// An event was written to the journal, in work that took so long. Of one that we read ourselves no
/// delivery tells: the trace begins here.
pub fn journaled(event: EventId, event_type: &'static str, took: Duration, is_read: bool) {
    if !is_on() {
        return;
    }
    let root = TraceContext::of_event(event);
    let (context, parent) = match is_read {
        true => (root, None),
        false => (root.child(), Some(root)),
    };
    let now = SystemTime::now();
    Done {
        began: now.checked_sub(took).unwrap_or(now),
        parent,
        attributes: vec![
            KeyValue::new("twitter_channel.event.id", event.to_string()),
            KeyValue::new("twitter_channel.event.type", event_type),
        ],
        ..Done::new("journal event", SpanKind::Internal, context)
    }
    .record();
}

/// What is known of a message that goes to the broker.
pub struct Publishing<'a> {
    /// Its own place, as its header tells.
    pub context: TraceContext,
    /// What it hangs on.
    pub parent: TraceContext,
    pub exchange: &'a str,
    pub routing_key: &'a str,
    pub event: EventId,
    pub bytes: usize,
    pub began: SystemTime,
    /// Why it waits for another try.
    pub error: Option<&'static str>,
}

/// The broker has answered for a message.
pub fn published(it: &Publishing<'_>) {
    if !it.context.sampled {
        return;
    }
    let bytes = i64::try_from(it.bytes).unwrap_or(i64::MAX);
    Done {
        began: it.began,
        parent: Some(it.parent),
        attributes: vec![
            KeyValue::new("messaging.system", "rabbitmq"),
            KeyValue::new("messaging.operation.name", "publish"),
            KeyValue::new("messaging.operation.type", "send"),
            KeyValue::new("messaging.destination.name", it.exchange.to_owned()),
            KeyValue::new(
                "messaging.rabbitmq.destination.routing_key",
                it.routing_key.to_owned(),
            ),
            KeyValue::new("messaging.message.id", it.event.to_string()),
            KeyValue::new("messaging.message.body.size", bytes),
        ],
        error: it.error.map(str::to_owned),
        ..Done::new(
            format!("publish {}", it.exchange),
            SpanKind::Producer,
            it.context,
        )
    }
    .record();
}

/// A command was taken from the queue into the ledger.
pub fn took_command(
    queue: &str,
    id: &CommandId,
    name: &'static str,
    from: (&CommandTrace, SystemTime),
) {
    let (trace, began) = from;
    Done {
        began,
        parent: trace.sender,
        attributes: vec![
            KeyValue::new("messaging.system", "rabbitmq"),
            KeyValue::new("messaging.operation.name", "consume"),
            KeyValue::new("messaging.operation.type", "process"),
            KeyValue::new("messaging.destination.name", queue.to_owned()),
            KeyValue::new("messaging.message.id", id.as_str().to_owned()),
            KeyValue::new("twitter_channel.command.name", name),
        ],
        ..Done::new(format!("process {queue}"), SpanKind::Consumer, trace.own)
    }
    .record();
}

/// Has the calls to X that `work` makes recorded as made for `context`.
pub async fn within<T>(context: Option<TraceContext>, work: impl Future<Output = T>) -> T {
    match context.filter(|context| context.sampled) {
        Some(context) => CURRENT.scope(context, work).await,
        None => work.await,
    }
}

/// A request to X under way.
pub struct CallSpan {
    context: TraceContext,
    parent: TraceContext,
    method: String,
    template: String,
    host: String,
    began: SystemTime,
}

impl CallSpan {
    /// `None` where it is made for nothing that is traced.
    pub fn begin(method: &str, url: &Url) -> Option<Self> {
        let parent = CURRENT.try_with(|context| *context).ok()?;
        Some(Self {
            context: parent.child(),
            parent,
            method: method.to_owned(),
            template: template(url.path()),
            host: url.host_str().unwrap_or_default().to_owned(),
            began: SystemTime::now(),
        })
    }

    /// X answered with a status, or not at all.
    pub fn end(self, status: Option<u16>) {
        let failed = status.is_none_or(|status| status >= 400);
        let error = failed.then(|| status.map_or("no_answer".to_owned(), |it| it.to_string()));
        let status = status.map(|it| KeyValue::new("http.response.status_code", i64::from(it)));
        let name = format!("{} {}", self.method, self.template);
        Done {
            began: self.began,
            parent: Some(self.parent),
            attributes: [
                KeyValue::new("http.request.method", self.method),
                KeyValue::new("url.template", self.template),
                KeyValue::new("server.address", self.host),
            ]
            .into_iter()
            .chain(status)
            .collect(),
            error,
            ..Done::new(name, SpanKind::Client, self.context)
        }
        .record();
    }
}

/// A path without the ids of people and posts in it.
fn template(path: &str) -> String {
    let is_id = |part: &str| part.starts_with(|c: char| c.is_ascii_digit()) && part.len() > 1;
    let parts = path.split('/');
    let parts = parts.map(|part| match is_id(part) && part != "1.1" {
        true => "{id}",
        false => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_no_part_of_a_spans_name() {
        for (path, expected) in [
            ("/2/tweets", "/2/tweets"),
            ("/2/users/2975699229/hidden", "/2/users/{id}/hidden"),
            (
                "/2/dm_conversations/12-34/messages",
                "/2/dm_conversations/{id}/messages",
            ),
            ("/1.1/statuses/update.json", "/1.1/statuses/update.json"),
        ] {
            assert_eq!(template(path), expected);
        }
    }

    #[test]
    fn a_ratio_samples_its_share_of_the_traces() {
        let traces = (0..10_000_u64).map(|n| u128::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let sampled = traces.filter(|trace| is_sampled(*trace, 0.25)).count();
        assert!((2_400..2_600).contains(&sampled), "{sampled}");
        assert!(!is_sampled(1, 0.0));
        assert!(is_sampled(u128::MAX, 1.0));
    }

    #[test]
    fn nothing_is_recorded_while_traces_are_off() {
        assert!(!is_on());
        assert!(!TraceContext::of_event(EventId([7; 16])).sampled);
        let url = "https://api.x.com/2/tweets".parse().unwrap();
        assert!(CallSpan::begin("POST", &url).is_none());
    }
}
