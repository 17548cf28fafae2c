//! Every metric of the service: its name, its help and the function that moves it.
//!
//! Labels hold only what is bounded: names out of the configuration and of closed enums.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// What a metric's number means.
#[derive(Clone, Copy)]
enum Kind {
    /// Only grows.
    Counter,
    /// As it is now.
    Gauge,
    /// Seconds, counted in buckets.
    Histogram(&'static [f64]),
}

/// A metric, as its reference describes it.
#[derive(Clone, Copy)]
pub struct Metric {
    /// As scraped; of a histogram without `_bucket`, `_sum` and `_count`.
    pub name: &'static str,
    kind: Kind,
    /// With its labels.
    pub help: &'static str,
}

impl Metric {
    /// `counter`, `gauge` or `histogram`.
    pub fn kind(&self) -> &'static str {
        match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        }
    }
}

/// Every metric, in the order of their reference.
pub fn all() -> &'static [Metric] {
    ALL
}

/// Defines the metrics and the list of all of them, so that none can miss its help.
macro_rules! metrics {
    ($($metric:ident: $kind:expr, $name:literal, $help:literal;)+) => {
        $(const $metric: &str = concat!("twitter_channel_", $name);)+
        const ALL: &[Metric] = &[$(Metric { name: $metric, kind: $kind, help: $help }),+];
    };
}

/// X counts a delivery as failed after 3 s (older pages) or 10 s.
const ANSWERS: Kind = Kind::Histogram(&[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0]);
const CONFIRMS: Kind =
    Kind::Histogram(&[0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 10.0]);

metrics! {
    DELIVERIES: Kind::Counter, "deliveries_total", "Deliveries of X by app and HTTP status of the answer.";
    REFUSALS: Kind::Counter, "refusals_total", "Requests of X that were refused, by app and reason.";
    MIRRORED: Kind::Counter, "mirrored_total", "Copies of deliveries to the mirrors of an app, by app and result (`ok`, `refused`, `failed`, `dropped`).";
    REPAIRS: Kind::Counter, "setup_repairs_total", "What was done about the set-up at X, by app, what and result.";
    DELIVERY_DURATION: ANSWERS, "delivery_duration_seconds", "Time from a delivery's headers to its answer.";
    CRC: Kind::Counter, "crc_total", "Challenges (CRC) of X answered, by app.";
    CRC_LAST: Kind::Gauge, "crc_last_timestamp_seconds", "When a challenge (CRC) was last answered, by app.";
    EVENTS: Kind::Counter, "events_total", "Events written to the journal, by type and kind.";
    DUPLICATES: Kind::Counter, "duplicates_total", "Events of X that were known already.";
    UNWANTED: Kind::Counter, "unwanted_total", "Events that no filter wanted, by why.";
    IGNORED: Kind::Counter, "ignored_total", "Events of X that are not for a helpdesk, by X's name.";
    QUARANTINED: Kind::Counter, "quarantined_total", "Deliveries put into quarantine, by reason.";
    QUARANTINE: Kind::Gauge, "quarantine_deliveries", "Deliveries kept in quarantine now, by reason.";
    JOURNAL_DEPTH: Kind::Gauge, "journal_unpublished_events", "Events in the journal that the broker has not confirmed.";
    JOURNAL_AGE: Kind::Gauge, "journal_oldest_unpublished_age_seconds", "Age of the oldest of them; 0 when there is none.";
    LANE_DEPTH: Kind::Gauge, "side_lane_events", "Events that wait beside the journal's cursor, by lane.";
    PUBLISH_DURATION: CONFIRMS, "publish_duration_seconds", "Time from handing events to the broker to its confirm.";
    LEADER: Kind::Gauge, "leader", "1 while this replica leads: publishes, takes commands and acts at X.";
    BROKER_CONNECTED: Kind::Gauge, "broker_connected", "1 while the connection to the broker is up.";
    INBOX_MESSAGES: Kind::Gauge, "inbox_messages", "Messages ready in an inbox, by queue.";
    INBOX_CONSUMERS: Kind::Gauge, "inbox_consumers", "Consumers of an inbox, by queue.";
    COMMANDS: Kind::Counter, "commands_total", "Commands of the core taken in, repeats left out, by name; `command` where it had none, or two.";
    DEAD_COMMANDS: Kind::Counter, "dead_commands_total", "Commands put on the dead-letter queue, by reason.";
    CONSUMER_CONNECTED: Kind::Gauge, "consumer_connected", "1 while commands are taken from the broker.";
    CALLS: Kind::Counter, "x_calls_total", "Calls to X by call and result.";
    COST: Kind::Gauge, "cost_month_usd", "What X has charged this calendar month (UTC) by the price list, by account id and kind.";
    LEDGER_OPEN: Kind::Gauge, "ledger_open_commands", "Commands without an outcome.";
    LEDGER_RUNNING: Kind::Gauge, "ledger_running_steps", "Calls to X under way.";
    LEDGER: Kind::Gauge, "ledger_commands", "Commands without an outcome, by state and by what holds them (`none`, `files`, `stopped`, `revoked`, `person`, `restored`).";
    RESTORING: Kind::Gauge, "restoring_accounts", "Accounts that nothing is sent for until X was asked what it has of them since the backup that the store was restored from.";
    LEDGER_AGE: Kind::Gauge, "ledger_oldest_open_age_seconds", "Age of the oldest command without an outcome; 0 when there is none.";
    STORE_UP: Kind::Gauge, "store_up", "1 if the store could be read for this scrape; else the figures taken from it are old.";
    STORE_USED: Kind::Gauge, "store_used_bytes", "Bytes in use in the store.";
    STORE_LIMIT: Kind::Gauge, "store_limit_bytes", "Most bytes the store may use; ingest ends at 90 %.";
    MEDIA_REQUESTS: Kind::Counter, "media_requests_total", "Requests for files of direct messages, by HTTP status of the answer.";
    MEDIA_BYTES: Kind::Counter, "media_bytes_total", "Bytes of these files that went out.";
    COMPLIANCE_FINDINGS: Kind::Counter, "compliance_findings_total", "Events that tell of posts found to be gone at X by asking for them, by app.";
    COMPLIANCE_DONE: Kind::Gauge, "compliance_done_timestamp_seconds", "When a check of published posts last ended well, by app.";
    FAULTS: Kind::Gauge, "account_faults", "1 for each fault that an account has now, by account id and code; see account.health.";
    FEED_UNTIL: Kind::Gauge, "feed_complete_timestamp_seconds", "Until when all that a read of X beside its webhooks has to bring is here, by feed (`stream`, `search`, `mentions`) and by app or account id.";
    FEED_POSTS: Kind::Counter, "feed_posts_total", "Posts that reads of X beside its webhooks brought, those known already included, by feed.";
    DEAD_LETTERS: Kind::Gauge, "dead_letters", "Messages in a queue of dead letters, by queue: `<inbox>.dead` has what the core gave back or let expire, `twitter.dead` commands that could not be read.";
    CERTIFICATE_ENDS: Kind::Gauge, "certificate_expiry_timestamp_seconds", "When the certificate of public.url ends, as seen at the webhook of an app, by app.";
    TRACE_SPANS: Kind::Counter, "trace_spans_total", "Spans handed to the collector of traces, by result (`sent`, `lost`).";
    GAPS_OPEN: Kind::Gauge, "gaps_open", "Times not yet filled for which X may have events that we have not, by app.";
}

/// A delivery was answered.
pub fn count_delivery(app: &str, status: u16, took: Duration) {
    let labels = [("app", app.to_owned()), ("status", status.to_string())];
    counter!(DELIVERIES, &labels).increment(1);
    histogram!(DELIVERY_DURATION).record(took);
}

/// A delivery or challenge was refused.
pub fn count_refusal(app: &str, reason: &'static str) {
    counter!(REFUSALS, "app" => app.to_owned(), "reason" => reason).increment(1);
}

/// A copy of a delivery went to a mirror, or did not.
pub fn count_mirrored(app: &str, result: &'static str) {
    counter!(MIRRORED, "app" => app.to_owned(), "result" => result).increment(1);
}

/// A challenge was answered.
pub fn count_crc(app: &str, at: Timestamp) {
    counter!(CRC, "app" => app.to_owned()).increment(1);
    gauge!(CRC_LAST, "app" => app.to_owned()).set(at.as_second() as f64);
}

/// An event was written to the journal; `kind` as in its routing key.
pub fn count_event(event_type: &'static str, kind: &'static str) {
    counter!(EVENTS, "type" => event_type, "kind" => kind).increment(1);
}

/// An event of X was known already.
pub fn count_duplicate() {
    counter!(DUPLICATES).increment(1);
}

/// No filter wanted an event.
pub fn count_unwanted(why: &'static str) {
    counter!(UNWANTED, "why" => why).increment(1);
}

/// X sent what is not for a helpdesk, under this name of its own.
pub fn count_ignored(kind: &str) {
    static KINDS: BoundedLabels = BoundedLabels::new();
    counter!(IGNORED, "kind" => KINDS.label(kind)).increment(1);
}

/// A delivery went to quarantine.
pub fn count_quarantined(reason: &'static str) {
    counter!(QUARANTINED, "reason" => reason).increment(1);
}

/// Deliveries kept in quarantine now.
pub fn set_quarantine(reason: &str, deliveries: u64) {
    gauge!(QUARANTINE, "reason" => reason.to_owned()).set(deliveries as f64);
}

/// Events not confirmed yet, and how long the oldest has waited.
pub fn set_journal(unpublished: u64, oldest_age: Duration) {
    gauge!(JOURNAL_DEPTH).set(unpublished as f64);
    gauge!(JOURNAL_AGE).set(oldest_age);
}

/// Events that wait in a side lane.
pub fn set_lane(lane: &'static str, events: u64) {
    gauge!(LANE_DEPTH, "lane" => lane).set(events as f64);
}

/// The broker confirmed what was handed to it this long ago.
pub fn observe_publish(took: Duration) {
    histogram!(PUBLISH_DURATION).record(took);
}

/// This replica leads from now on, or does not any more.
pub fn set_leader(leads: bool) {
    gauge!(LEADER).set(f64::from(u8::from(leads)));
}

/// The connection to the broker came up or went away.
pub fn set_broker_connected(connected: bool) {
    gauge!(BROKER_CONNECTED).set(f64::from(u8::from(connected)));
}

/// What waits in an inbox, and how many read it.
pub fn set_inbox(queue: &str, messages: u32, consumers: u32) {
    gauge!(INBOX_MESSAGES, "queue" => queue.to_owned()).set(messages);
    gauge!(INBOX_CONSUMERS, "queue" => queue.to_owned()).set(consumers);
}

/// What lies in a queue of dead letters.
pub fn set_dead_letters(queue: &str, messages: u32) {
    gauge!(DEAD_LETTERS, "queue" => queue.to_owned()).set(messages);
}

/// The certificate that an app's webhook shows holds until then.
pub fn set_certificate_ends(app: &str, at: Timestamp) {
    gauge!(CERTIFICATE_ENDS, "app" => app.to_owned()).set(at.as_second() as f64);
}

/// Spans went to the collector, or were lost.
pub fn count_trace_spans(result: &'static str, spans: usize) {
    counter!(TRACE_SPANS, "result" => result).increment(spans as u64);
}

/// A command of the core was taken in; `command` where it has no name.
pub fn count_command(name: &'static str) {
    counter!(COMMANDS, "name" => name).increment(1);
}

/// A command was put on the dead-letter queue.
pub fn count_dead_command(reason: &'static str) {
    counter!(DEAD_COMMANDS, "reason" => reason).increment(1);
}

/// Commands are taken from the broker, or no longer.
pub fn set_consumer_connected(connected: bool) {
    gauge!(CONSUMER_CONNECTED).set(f64::from(u8::from(connected)));
}

/// A webhook or subscription at X was mended, or X refused it.
pub fn count_repair(app: &str, what: &'static str, result: &'static str) {
    counter!(REPAIRS, "app" => app.to_owned(), "what" => what, "result" => result).increment(1);
}

/// A call to X has ended.
pub fn count_call(call: &'static str, result: &'static str) {
    counter!(CALLS, "call" => call, "result" => result).increment(1);
}

/// So many accounts wait for a look at X after a restore.
pub fn set_restoring(accounts: usize) {
    gauge!(RESTORING).set(accounts as f64);
}

/// A file of a direct message was asked for.
pub fn count_media_request(status: u16) {
    counter!(MEDIA_REQUESTS, "status" => status.to_string()).increment(1);
}

/// So many bytes of such a file went out.
pub fn count_media_bytes(bytes: u64) {
    counter!(MEDIA_BYTES).increment(bytes);
}

/// So many events tell of posts that a check has found to be gone.
pub fn count_compliance_findings(app: &str, told: u64) {
    counter!(COMPLIANCE_FINDINGS, "app" => app.to_owned()).increment(told);
}

/// A check of published posts has ended well.
pub fn set_compliance_done(app: &str, at: Timestamp) {
    gauge!(COMPLIANCE_DONE, "app" => app.to_owned()).set(at.as_second() as f64);
}

/// What X has charged an account for one kind of thing this month, millionths of a USD.
pub fn set_cost(account: &str, kind: &str, micros: u64) {
    let labels = [("account", account.to_owned()), ("kind", kind.to_owned())];
    gauge!(COST, &labels).set(micros as f64 / 1e6);
}

/// How many commands wait, and how many of them have a call under way.
pub fn set_ledger_open(waiting: u64, running: u64) {
    gauge!(LEDGER_OPEN).set(waiting as f64);
    gauge!(LEDGER_RUNNING).set(running as f64);
}

/// Commands without an outcome in this state, and what holds them.
pub fn set_ledger(state: &'static str, hold: &'static str, commands: u64) {
    gauge!(LEDGER, "state" => state, "hold" => hold).set(commands as f64);
}

/// How long the oldest command without an outcome has waited.
pub fn set_ledger_age(oldest: Duration) {
    gauge!(LEDGER_AGE).set(oldest);
}

/// Whether the store could be read.
pub fn set_store_up(up: bool) {
    gauge!(STORE_UP).set(f64::from(u8::from(up)));
}

/// How full the store is.
pub fn set_store(used_bytes: u64, limit_bytes: u64) {
    gauge!(STORE_USED).set(used_bytes as f64);
    gauge!(STORE_LIMIT).set(limit_bytes as f64);
}

/// Gaps of an app that nothing has closed.
pub fn set_gaps(app: &str, open: u64) {
    gauge!(GAPS_OPEN, "app" => app.to_owned()).set(open as f64);
}

/// A feed has brought all that it has to bring until then.
pub fn set_feed(feed: &'static str, subject: &str, complete_until: Timestamp) {
    let labels = [("feed", feed.to_owned()), ("subject", subject.to_owned())];
    gauge!(FEED_UNTIL, &labels).set(complete_until.as_second() as f64);
}

/// A feed has brought posts, known already or not.
pub fn count_feed_posts(feed: &'static str, posts: usize) {
    counter!(FEED_POSTS, "feed" => feed).increment(posts as u64);
}

/// The faults that accounts have now, by account and code.
pub fn set_faults(faults: impl Iterator<Item = (String, &'static str)>) {
    static SHOWN: Mutex<BTreeSet<(String, &'static str)>> = Mutex::new(BTreeSet::new());
    let mut shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let now: BTreeSet<_> = faults.collect();
    shown.extend(now.iter().cloned());
    // Zeros too: what is over must not keep its last figure.
    for (account, code) in shown.iter() {
        let holds = now.contains(&(account.clone(), code));
        let labels = [("account", account.clone()), ("code", (*code).to_owned())];
        gauge!(FAULTS, &labels).set(f64::from(u8::from(holds)));
    }
}

/// Collects the metrics of this process; gives the same handle however often it is called.
///
/// # Errors
/// When something else in the process collects metrics already.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    static INSTALLED: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*installed {
        return Ok(handle.clone());
    }
    let handle = builder()?.install_recorder()?;
    describe();
    keep_up(handle.clone());
    *installed = Some(handle.clone());
    Ok(handle)
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    ALL.iter()
        .try_fold(PrometheusBuilder::new(), |builder, metric| {
            match metric.kind {
                Kind::Histogram(buckets) => {
                    builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), buckets)
                }
                Kind::Counter | Kind::Gauge => Ok(builder),
            }
        })
}

fn describe() {
    for metric in ALL {
        match metric.kind {
            Kind::Counter => describe_counter!(metric.name, metric.help),
            Kind::Gauge => describe_gauge!(metric.name, metric.help),
            Kind::Histogram(_) => describe_histogram!(metric.name, metric.help),
        }
    }
}

/// Folds recorded times into their buckets: where nobody scrapes they would pile up.
fn keep_up(handle: PrometheusHandle) {
    let upkeep = move || {
        loop {
            thread::sleep(Duration::from_secs(5));
            handle.run_upkeep();
        }
    };
    let thread = thread::Builder::new().name("metrics-upkeep".to_owned());
    if let Err(error) = thread.spawn(upkeep) {
        tracing::warn!(%error, "metrics are folded only when they are scraped");
    }
}

/// Label values that X chooses: the first few stand for themselves, the rest are `other`.
struct BoundedLabels(Mutex<Option<HashSet<String>>>);

impl BoundedLabels {
    const MOST: usize = 64;
    const LONGEST: usize = 64;

    const fn new() -> Self {
        Self(Mutex::new(None))
    }

    fn label(&self, value: &str) -> String {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = slot.get_or_insert_default();
        if !known.contains(value) {
            if known.len() >= Self::MOST || value.len() > Self::LONGEST {
                return "other".to_owned();
            }
            known.insert(value.to_owned());
        }
        value.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn move_all() {
        count_mirrored("acme", "ok");
        set_leader(true);
        set_restoring(1);
        count_delivery("acme", 200, Duration::from_millis(3));
        count_refusal("acme", "bad_signature");
        count_crc("acme", Timestamp::from_second(1_577_836_800).unwrap());
        count_event("message.received", "post");
        count_duplicate();
        count_unwanted("no_filter");
        count_ignored("favorite_events");
        count_quarantined("unknown_shape");
        set_quarantine("unknown_shape", 1);
        set_journal(2, Duration::from_secs(30));
        set_lane("unrouted", 4);
        observe_publish(Duration::from_millis(4));
        set_broker_connected(true);
        set_inbox("twitter.tickets", 5, 1);
        set_dead_letters("twitter.tickets.dead", 1);
        set_certificate_ends("acme", Timestamp::from_second(1_577_836_800).unwrap());
        count_trace_spans("sent", 3);
        count_command("send_post");
        count_dead_command("no-command-id");
        set_consumer_connected(true);
        count_call("create_post", "ok");
        count_media_request(206);
        count_media_bytes(512);
        count_compliance_findings("acme", 2);
        set_compliance_done("acme", Timestamp::from_second(1_577_836_800).unwrap());
        set_ledger_open(3, 1);
        set_ledger("pending", "person", 2);
        set_ledger_age(Duration::from_secs(90));
        set_cost("2975699229", "post", 15_000);
        set_store_up(true);
        set_store(6, 7);
        set_gaps("acme", 1);
        set_feed(
            "stream",
            "acme",
            Timestamp::from_second(1_577_836_800).unwrap(),
        );
        count_feed_posts("stream", 3);
        count_repair("acme", "webhook", "ok");
        set_faults([("2975699229".to_owned(), "TOKEN_REVOKED")].into_iter());
    }

    fn rendered() -> String {
        let recorder = builder().unwrap().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            describe();
            move_all();
        });
        recorder.handle().render()
    }

    #[test]
    fn every_metric_is_moved_by_a_function_and_has_a_help() {
        let text = rendered();
        for metric in ALL {
            let help = format!("# HELP {} {}", metric.name, metric.help);
            assert!(text.contains(&help), "{help}\n{text}");
        }
    }

    #[test]
    fn figures_and_labels_read_as_told() {
        let text = rendered();
        for line in [
            "twitter_channel_deliveries_total{app=\"acme\",status=\"200\"} 1",
            "twitter_channel_delivery_duration_seconds_bucket{le=\"0.005\"} 1",
            "twitter_channel_crc_last_timestamp_seconds{app=\"acme\"} 1577836800",
            "twitter_channel_journal_oldest_unpublished_age_seconds 30",
            "twitter_channel_broker_connected 1",
            "twitter_channel_commands_total{name=\"send_post\"} 1",
            "twitter_channel_ledger_commands{state=\"pending\",hold=\"person\"} 2",
            "twitter_channel_ledger_oldest_open_age_seconds 90",
            "twitter_channel_dead_commands_total{reason=\"no-command-id\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }

    /// `TWITTER_CHANNEL_WRITE_DOCS=1 cargo test --lib metrics` writes it anew.
    #[test]
    fn the_reference_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
        let reference = super::super::reference::metrics();
        if std::env::var_os("TWITTER_CHANNEL_WRITE_DOCS").is_some() {
            std::fs::write(path, &reference).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap();
        assert!(
            written == reference,
            "docs/metrics.md is old: see this test"
        );
    }

    #[test]
    fn counters_alone_end_in_total() {
        for metric in ALL {
            let counter = matches!(metric.kind, Kind::Counter);
            assert_eq!(metric.name.ends_with("_total"), counter, "{}", metric.name);
        }
    }

    #[test]
    fn values_that_x_chooses_cannot_make_labels_without_end() {
        let labels = BoundedLabels::new();
        let distinct: HashSet<_> = (0..1000).map(|n| labels.label(&format!("k{n}"))).collect();
        assert_eq!(distinct.len(), BoundedLabels::MOST + 1);
        assert_eq!(labels.label("k0"), "k0");
        assert_eq!(labels.label("k999"), "other");
        assert_eq!(BoundedLabels::new().label(&"x".repeat(65)), "other");
    }

    #[test]
    fn installing_again_gives_the_same_collector() {
        let first = install().unwrap();
        count_unwanted("seen_by_both");
        assert!(first.render().contains("seen_by_both"));
        assert!(install().unwrap().render().contains("seen_by_both"));
    }
}
