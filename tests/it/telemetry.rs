//! What ops see: traces as a collector gets them, metrics as they are scraped, alerts and dashboard
//! that ask for them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;

use actix_web::web::{Bytes, Data, post};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, LongString};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::{Value, json};
use simulator::{Clock, Form, NewPost, PostId, RawSignature, Simulator, UserId};
use tokio::process::Command;
use tokio::task::JoinSet;
use twitter_channel::telemetry::metrics;

use crate::support::broker::{TestBroker, client, eventually};
use crate::support::process::ServiceProcess;
use crate::support::service::{ACME, APP, INBOX, Setup};

const SENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const WORDS: &str = "the parcel of Rumpelstiltskin";
const AUTHORIZATION: &str = "Bearer collector-0123456789";

/// A collector of traces.
struct Collector {
    url: String,
    requests: Data<Mutex<Vec<Bytes>>>,
    _server: JoinSet<std::io::Result<()>>,
}

impl Collector {
    async fn start() -> Self {
        let requests = Data::new(Mutex::new(Vec::new()));
        let kept = requests.clone();
        let server = HttpServer::new(move || {
            App::new()
                .app_data(kept.clone())
                .route("/v1/traces", post().to(take))
        });
        let server = server.workers(1).disable_signals();
        let server = server.bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", server.addrs()[0]);
        let mut running = JoinSet::new();
        running.spawn(server.run());
        Self {
            url,
            requests,
            _server: running,
        }
    }

    fn bodies(&self) -> Vec<Bytes> {
        self.requests.lock().unwrap().clone()
    }

    /// All that came, with the attributes of who sent it.
    fn exports(&self) -> (Vec<Span>, BTreeMap<String, String>) {
        let (mut spans, mut resource) = (Vec::new(), BTreeMap::new());
        for body in self.bodies() {
            let request = ExportTraceServiceRequest::decode(body).unwrap();
            for of in request.resource_spans {
                resource.extend(attributes(&of.resource.unwrap().attributes));
                spans.extend(of.scope_spans.into_iter().flat_map(|it| it.spans));
            }
        }
        (spans, resource)
    }
}

async fn take(request: HttpRequest, body: Bytes, kept: Data<Mutex<Vec<Bytes>>>) -> HttpResponse {
    let header = |name| request.headers().get(name).unwrap().to_str().unwrap();
    assert_eq!(header("content-type"), "application/x-protobuf");
    assert_eq!(header("authorization"), AUTHORIZATION);
    kept.lock().unwrap().push(body);
    HttpResponse::Ok().finish()
}

fn attributes(of: &[KeyValue]) -> BTreeMap<String, String> {
    let shown = of.iter().map(|it| {
        let value = it.value.as_ref().and_then(|it| it.value.as_ref());
        let value = match value.unwrap() {
            any_value::Value::StringValue(text) => text.clone(),
            any_value::Value::IntValue(number) => number.to_string(),
            other => panic!("{}: {other:?}", it.key),
        };
        (it.key.clone(), value)
    });
    shown.collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The spans of a trace as a tree, for people.
fn tree(spans: &[&Span], parent: &[u8], depth: usize) -> String {
    let mut below: Vec<_> = spans
        .iter()
        .filter(|span| span.parent_span_id == parent)
        .collect();
    below.sort_by_key(|span| span.start_time_unix_nano);
    let lines = below.into_iter().map(|span| {
        let took = span.end_time_unix_nano - span.start_time_unix_nano;
        format!(
            "{:indent$}{} ({}, {:.1} ms) span {} {:?}\n{}",
            "",
            span.name,
            span.kind().as_str_name(),
            took as f64 / 1e6,
            hex(&span.span_id),
            attributes(&span.attributes),
            tree(spans, &span.span_id, depth + 1),
            indent = depth * 2,
        )
    });
    lines.collect()
}

/// The service as a process, with X and a collector.
struct Traced {
    simulator: Simulator,
    broker: TestBroker,
    collector: Collector,
    service: ServiceProcess,
}

async fn start(setup: Setup) -> Traced {
    let (broker, collector) = (TestBroker::vhost().await, Collector::start().await);
    // The service, a process of its own, tells time by the wall.
    let simulator = simulator::Settings {
        clock: Clock::Wall,
        ..simulator::Settings::default()
    };
    let simulator = Simulator::start(simulator).await.unwrap();
    let setup = setup
        .set("X_API__BASE_URL", simulator.url())
        .set("TELEMETRY__OTLP_ENDPOINT", &collector.url)
        .set("TELEMETRY__OTLP_AUTHORIZATION", AUTHORIZATION)
        .set("TELEMETRY__INSTANCE", "pod-1");
    let mut service = ServiceProcess::stopped(&setup, &broker.url(), None);
    setup.tell(&simulator, |app| service.webhook_of(app));
    service.start_again().await;
    service.wait_for_part("broker: connected").await;
    Traced {
        simulator,
        broker,
        collector,
        service,
    }
}

/// A message of the inbox: its body and its `traceparent`.
struct Came {
    body: Value,
    traceparent: String,
    tracestate: Option<String>,
}

impl Traced {
    /// Waits for an event of this type.
    async fn event(&self, event_type: &str) -> Came {
        let came = async || {
            let message = self.broker.get(INBOX).await?;
            let body: Value = serde_json::from_slice(&message.data).unwrap();
            let headers = message.properties.headers().clone().unwrap();
            let header = |name: &str| match headers.inner().get(name)? {
                AMQPValue::LongString(text) => Some(text.to_string()),
                other => panic!("{name}: {other:?}"),
            };
            if body["event"]["type"] != event_type {
                eprintln!("beside {event_type} came {body}");
                return None;
            }
            Some(Came {
                traceparent: header("traceparent").unwrap(),
                tracestate: header("tracestate"),
                body,
            })
        };
        eventually(event_type, came).await
    }

    /// The core answers, in a trace of its own.
    async fn answer(&self, received: &Came, id: &str) {
        let mut command = received.body["reply"]["command"].clone();
        command["command_id"] = json!(id);
        command["send_post"]["text"] = json!(format!("About {WORDS}"));
        let mut headers = FieldTable::default();
        for (name, value) in [("traceparent", SENT), ("tracestate", "vendor=1")] {
            let value = AMQPValue::LongString(LongString::from(value));
            headers.insert(name.into(), value);
        }
        let properties = BasicProperties::default().with_headers(headers);
        let (queue, body) = ("twitter.commands", command.to_string());
        let published = self
            .broker
            .publish_with(queue, queue, body.as_bytes(), properties);
        published.await;
    }
}

/// Names of the spans on the way from the root to this one.
fn way<'a>(spans: &[&'a Span], mut span: &'a Span) -> Vec<&'a str> {
    let mut names = vec![&*span.name];
    while let Some(parent) = spans
        .iter()
        .copied()
        .find(|it| it.span_id == span.parent_span_id)
    {
        names.insert(0, &parent.name);
        span = parent;
    }
    names
}

fn of_trace<'a>(spans: &'a [Span], trace: &str) -> Vec<&'a Span> {
    let spans = spans.iter();
    spans.filter(|span| hex(&span.trace_id) == trace).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_leads_from_xs_request_to_the_core_and_another_from_a_command_to_its_post() {
    let mut traced = start(Setup::new()).await;
    let zebulon = simulator::NewUser::named("zebulon");
    let zebulon = traced.simulator.add_user(zebulon).unwrap();
    let post = NewPost::by(zebulon, &format!("@acme where is {WORDS}?"));
    traced.simulator.post(post).unwrap();
    let received = traced.event("message.received").await;
    traced.answer(&received, "c1").await;
    let outcome = traced.event("command.succeeded").await;
    assert!(traced.service.terminate().await.success());

    let (spans, resource) = traced.collector.exports();
    for (name, value) in [
        ("service.name", "twitter-channel"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("service.instance.id", "pod-1"),
    ] {
        assert_eq!(resource[name], value);
    }
    let parts: Vec<_> = received.traceparent.split('-').collect();
    assert_eq!(parts[1], received.body["event"]["id"]);
    assert_eq!(parts[3], "01");
    let incoming = of_trace(&spans, parts[1]);
    println!("{}", tree(&incoming, &[], 0));
    let named = |span: &&&Span| hex(&span.span_id) == parts[2];
    let publishing = incoming.iter().find(named).unwrap();
    let expected = ["POST /webhooks/twitter/{app}", "publish twitter.events"];
    assert_eq!(way(&incoming, publishing), expected);
    assert_eq!(incoming.len(), 3, "{incoming:#?}");
    let of_webhook = attributes(&incoming_root(&incoming).attributes);
    assert_eq!(of_webhook["http.response.status_code"], "200");

    let outgoing = of_trace(&spans, "0af7651916cd43dd8448eb211c80319c");
    println!(
        "{}",
        tree(
            &outgoing,
            &[0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31],
            0
        )
    );
    let parts: Vec<_> = outcome.traceparent.split('-').collect();
    assert_eq!(parts[1], "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(outcome.tracestate.as_deref(), Some("vendor=1"));
    let ways: BTreeSet<_> = outgoing.iter().map(|span| way(&outgoing, span)).collect();
    let process = "process twitter.commands";
    let expected = [
        vec![process],
        vec![process, "POST /2/tweets"],
        vec![process, "publish twitter.events"],
    ];
    assert_eq!(ways, BTreeSet::from(expected));
    let taken = outgoing.iter().find(|span| span.name == process).unwrap();
    assert_eq!(hex(&taken.parent_span_id), "b7ad6b7169203331");

    let sent = traced.collector.bodies().concat();
    let sent = String::from_utf8_lossy(&sent);
    for word in [
        WORDS,
        "zebulon",
        "token-of-acme",
        "secret of acme",
        "Bearer",
    ] {
        assert!(!sent.contains(word), "{word} is in the spans");
    }
}

fn incoming_root<'a>(spans: &[&'a Span]) -> &'a Span {
    let mut roots = spans
        .iter()
        .copied()
        .filter(|span| span.parent_span_id.is_empty());
    let root = roots.next().unwrap();
    assert!(roots.next().is_none(), "a trace has one root");
    root
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_collector_costs_nothing_but_the_traces_and_is_told_of() {
    let broker = TestBroker::vhost().await;
    // The service, a process of its own, tells time by the wall.
    let simulator = simulator::Settings {
        clock: Clock::Wall,
        ..simulator::Settings::default()
    };
    let simulator = Simulator::start(simulator).await.unwrap();
    let setup = Setup::new()
        .set("X_API__BASE_URL", simulator.url())
        .set("TELEMETRY__OTLP_ENDPOINT", "http://127.0.0.1:9")
        .set("TELEMETRY__OTLP_TIMEOUT", "1s");
    let mut service = ServiceProcess::stopped(&setup, &broker.url(), None);
    setup.tell(&simulator, |app| service.webhook_of(app));
    service.start_again().await;
    service.wait_for_part("broker: connected").await;
    let ann = simulator::NewUser::named("ann");
    let ann = simulator.add_user(ann).unwrap();
    simulator.post(NewPost::by(ann, "@acme help")).unwrap();
    simulator.settled().await;
    let lost = "twitter_channel_trace_spans_total{result=\"lost\"}";
    let told = async || (service.metric(lost).await >= 1.0).then_some(());
    eventually("lost spans are counted", told).await;
    assert!(service.terminate().await.success());
    let log = fs::read_to_string(service.folder().join("log")).unwrap();
    assert!(log.contains("traces are lost"), "{log}");
}

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(project(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

async fn promtool(arguments: &[&str]) {
    let mut command = Command::new("promtool");
    command.args(arguments).stdin(Stdio::null());
    let output = command.output().await;
    let output = output.expect("promtool is missing: run scripts/bootstrap tests");
    assert!(
        output.status.success(),
        "promtool {arguments:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

const ALERTS: &str = "helm/twitter-channel/files/alerts.yaml";
const DASHBOARD: &str = "helm/twitter-channel/files/dashboard.json";

/// Expressions of the alert rules: each stands in one line, in quotes.
fn alert_queries() -> Vec<String> {
    let lines = read(ALERTS);
    let queries = lines.lines().filter_map(|line| {
        let quoted = line.trim().strip_prefix("expr: '")?;
        Some(quoted.trim_end_matches('\'').replace("''", "'"))
    });
    queries.collect()
}

/// What the dashboard's panels ask for, and what its variables do.
fn dashboard_queries() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let queries = targets.map(|target| target["expr"].as_str().unwrap().to_owned());
    let queries: Vec<_> = queries
        .map(|query| query.replace("$__rate_interval", "5m"))
        .collect();
    assert!(queries.len() > 20, "{queries:#?}");
    queries
}

#[tokio::test]
async fn prometheus_takes_the_alerts_each_fires_on_its_fault_and_the_dashboards_queries_parse() {
    promtool(&["check", "rules", project(ALERTS).to_str().unwrap()]).await;
    let tests = project("tests/alerts/alerts_test.yaml");
    let tested = fs::read_to_string(&tests).unwrap();
    let rules = read(ALERTS);
    for line in rules.lines() {
        if let Some(name) = line.trim().strip_prefix("- alert: ") {
            let fires = format!("alertname: {name}\n        exp_alerts:");
            assert!(tested.contains(&fires), "no test lets {name} fire");
        }
    }
    promtool(&["test", "rules", tests.to_str().unwrap()]).await;
    let queries = dashboard_queries().into_iter().enumerate();
    let rules: Vec<_> = queries
        .map(|(n, query)| json!({"record": format!("panel_{n}"), "expr": query}))
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("panels.yaml");
    let groups = json!({"groups": [{"name": "panels", "rules": rules}]});
    fs::write(&file, groups.to_string()).unwrap();
    promtool(&["check", "rules", file.to_str().unwrap()]).await;
}

/// The metrics that a query names, each with the labels it asks for.
fn asked_for(query: &str) -> Vec<(String, Vec<String>)> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (at, _) in query.match_indices("twitter_channel_") {
        let rest = &query[at..];
        let end = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        let selector = rest.strip_prefix('{').and_then(|it| it.split_once('}'));
        let labels = selector.map_or("", |(labels, _)| labels).split(',');
        let labels = labels.filter_map(|label| label.split(['=', '!']).next());
        let labels = labels.map(str::trim);
        let labels = labels.filter(|label| !label.is_empty() && !TARGET.contains(label));
        found.push((name.to_owned(), labels.map(str::to_owned).collect()));
    }
    found
}

/// Labels that Prometheus itself puts on what it scrapes.
const TARGET: [&str; 3] = ["namespace", "job", "pod"];

/// What this test cannot bring about: X's deliveries come without TLS here.
const NOT_SHOWN: [&str; 1] = ["twitter_channel_certificate_expiry_timestamp_seconds"];

/// Labels of each metric that is scraped.
fn scraped(page: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in page
        .lines()
        .filter(|line| line.starts_with("twitter_channel_"))
    {
        let name = line.split(['{', ' ']).next().unwrap();
        let labels = line.split_once('{').and_then(|(_, it)| it.rsplit_once('}'));
        let labels = labels.map_or("", |(labels, _)| labels);
        let names = labels.split("\",").filter_map(|it| it.split('=').next());
        let names = names.filter(|name| !name.is_empty()).map(str::to_owned);
        found.entry(name.to_owned()).or_default().extend(names);
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_alerts_and_dashboard_ask_for_is_what_a_running_service_shows() {
    // The one wants nothing, the other has spent its budget with a single answer.
    let setup = Setup::new()
        .account(APP, UserId(42), "other", "")
        .account_keys("monthly_budget_usd = \"0.001\"");
    let traced = start(setup).await;
    let ann = simulator::NewUser::named("ann");
    let ann = traced.simulator.add_user(ann).unwrap();
    let post = |text: &str| traced.simulator.post(NewPost::by(ann, text)).unwrap();
    let (help, _unwanted) = (post("@acme help"), post("@other hello"));
    let received = traced.event("message.received").await;
    traced.answer(&received, "c1").await;
    traced.event("command.succeeded").await;
    for body in bodies(&traced, help) {
        let again = traced.simulator.deliver(APP, body, RawSignature::Correct);
        again.await.unwrap();
    }
    let webhook = traced.service.webhook();
    let unsigned = client().post(&webhook).body("{}").send().await.unwrap();
    assert_eq!(unsigned.status(), 401);

    let known: BTreeSet<_> = metrics::all().iter().map(|metric| metric.name).collect();
    let wanted: Vec<_> = alert_queries()
        .iter()
        .chain(&dashboard_queries())
        .flat_map(|query| asked_for(query))
        .collect();
    let shown = async || {
        let page = client()
            .get(traced.service.private("/metrics"))
            .send()
            .await;
        let page = page.unwrap().text().await.unwrap();
        let shown = scraped(&page);
        let missing: Vec<_> = wanted
            .iter()
            .filter(|(name, _)| !NOT_SHOWN.contains(&&**name) && !shown.contains_key(name))
            .collect();
        if missing.is_empty() {
            return Some(shown);
        }
        eprintln!("not shown yet: {missing:?}");
        None
    };
    let shown = eventually("all metrics", shown).await;
    for (name, labels) in &wanted {
        if NOT_SHOWN.contains(&&**name) {
            continue;
        }
        for label in labels {
            assert!(shown[name].contains(label), "{name} has no label {label}");
        }
    }
    // And all that it shows stands in the reference.
    for name in shown.keys() {
        let parts = ["_bucket", "_sum", "_count"];
        let base = parts.iter().find_map(|part| name.strip_suffix(part));
        let base = base
            .filter(|base| known.contains(base))
            .unwrap_or(name.as_str());
        assert!(known.contains(base), "{name} is not described");
    }
}

/// What X tells of a post.
fn bodies(traced: &Traced, post: PostId) -> Vec<Bytes> {
    let told = traced
        .simulator
        .bodies_of(post, APP, ACME, Form::AccountActivity);
    told.unwrap()
        .into_iter()
        .map(|signed| signed.body)
        .collect()
}

#[test]
fn each_alert_has_its_section_in_the_runbook() {
    let runbook = read("docs/runbook.md");
    let sections: BTreeSet<_> = runbook
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(str::to_lowercase)
        .collect();
    let alerts = read(ALERTS);
    let links: BTreeSet<_> = alerts
        .lines()
        .filter_map(|line| line.trim().strip_prefix("runbook: \"#"))
        .map(|anchor| anchor.trim_end_matches('"').to_owned())
        .collect();
    assert_eq!(links, sections);
    let names: BTreeSet<_> = alerts
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .map(str::to_lowercase)
        .collect();
    assert_eq!(links, names);
    for link in runbook
        .match_indices("](#")
        .map(|(at, _)| &runbook[at + 3..])
    {
        let anchor = link.split(')').next().unwrap();
        assert!(sections.contains(anchor), "no section #{anchor}");
    }
}
