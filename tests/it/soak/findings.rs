//! What became of it all, by X's own record and by what the core heard.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;
use simulator::{AttemptResult, Delivery, DeliveryState, PostSeen, Simulator, UserId};

use super::faults::{Fault, Incident};
use super::traffic::{Ledger, Sent};
use crate::support::desk::Noted;

/// After a fault answers may still tell of it.
const AFTERMATH: Duration = Duration::from_secs(10);

/// The table, and what is against the promise.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) wrong: Vec<String>,
    incidents: Vec<Row>,
    answers: BTreeMap<String, usize>,
    outcomes: BTreeMap<String, usize>,
    delivered: usize,
    events: usize,
    repeats: usize,
    commands: usize,
    at_x: usize,
    took: Duration,
    waits: Waits,
    command_waits: Waits,
    pub(super) terms: usize,
}

/// One kind of fault.
struct Row {
    kind: String,
    times: usize,
    recovered: Waits,
    message: Waits,
    command: Waits,
}

/// Times, sorted.
#[derive(Default)]
struct Waits(Vec<Duration>);

impl Waits {
    fn of(times: impl Iterator<Item = Duration>) -> Self {
        let mut times: Vec<_> = times.collect();
        times.sort_unstable();
        Self(times)
    }

    fn at(&self, percent: usize) -> Duration {
        let last = self.0.len().saturating_sub(1);
        self.0
            .get(last * percent / 100)
            .copied()
            .unwrap_or_default()
    }
}

/// Everything held against the promise.
pub(super) fn examine(simulator: &Simulator, ledger: &Ledger, incidents: &[Incident]) -> Findings {
    let noted = ledger.desk.noted();
    let mut findings = Findings {
        wrong: noted.faults.clone(),
        repeats: noted.repeats.values().sum(),
        events: noted.events.len(),
        commands: ledger.sent.len(),
        took: ledger.took,
        ..Findings::default()
    };
    let deliveries = simulator.deliveries();
    check_answers(&mut findings, &deliveries, incidents);
    check_events(&mut findings, &deliveries, &noted, ledger);
    check_commands(&mut findings, simulator, &noted, ledger);
    measure(&mut findings, &noted, ledger, incidents);
    findings
}

/// X hears 200, and 503 while the database is away. Where a connection broke, a replica did too.
fn check_answers(findings: &mut Findings, deliveries: &[Delivery], incidents: &[Incident]) {
    for delivery in deliveries {
        for attempt in &delivery.attempts {
            let during = during(incidents, attempt.at, attempt.took);
            let (told, fits) = match &attempt.result {
                AttemptResult::Answered(200) => ("200".to_owned(), true),
                AttemptResult::Answered(status) => {
                    let fits = *status == 503 && during.contains(&Fault::Database);
                    (status.to_string(), fits)
                }
                AttemptResult::Failed(_) | AttemptResult::Cut => {
                    let fits = during.iter().any(|fault| fault.ends_replicas());
                    ("no answer".to_owned(), fits)
                }
            };
            if !fits {
                let text = format!("delivery {}: {attempt:?} during {during:?}", delivery.id);
                findings.wrong.push(text);
            }
            *findings.answers.entry(told).or_default() += 1;
        }
        match delivery.state {
            DeliveryState::Delivered => findings.delivered += 1,
            state => {
                let text = format!("delivery {} is {state:?}", delivery.id);
                findings.wrong.push(text);
            }
        }
    }
}

/// What was wrong at this time, or shortly before.
fn during(incidents: &[Incident], at: Timestamp, took: Duration) -> Vec<Fault> {
    let meets = |it: &&Incident| at + took >= it.at && at <= it.until + AFTERMATH;
    let found = incidents.iter().filter(meets);
    found.map(|incident| incident.fault).collect()
}

/// Ids of the events about each message.
fn by_message<'a>(noted: &'a Noted, event_type: &'a str) -> HashMap<&'a str, Vec<&'a str>> {
    let mut found = HashMap::<_, Vec<_>>::new();
    for event in noted.of_type(event_type) {
        let message = event["message"]["id"].as_str().unwrap();
        let id = event["event"]["id"].as_str().unwrap();
        found.entry(message).or_default().push(id);
    }
    found
}

/// Each delivery that was answered 200 is one event, and no event is without a delivery.
fn check_events(findings: &mut Findings, deliveries: &[Delivery], noted: &Noted, ledger: &Ledger) {
    let (received, ours) = (
        by_message(noted, "message.received"),
        by_message(noted, "message.sent"),
    );
    let mut told = HashSet::new();
    for delivery in deliveries {
        let answered = |it: &simulator::Attempt| it.result == AttemptResult::Answered(200);
        for id in posts_in(delivery) {
            let events = received.get(id.as_str()).or_else(|| ours.get(id.as_str()));
            let count = events.map_or(0, Vec::len);
            if delivery.attempts.iter().any(answered) && count != 1 {
                let text = format!("post {id} was answered 200 and is {count} events");
                findings.wrong.push(text);
            }
            told.insert(id);
        }
    }
    let unknown = received.keys().filter(|id| !told.contains(**id));
    findings
        .wrong
        .extend(unknown.map(|id| format!("nobody delivered {id}")));
    let lost = ledger.written.iter().filter(|it| !told.contains(&it.id));
    findings
        .wrong
        .extend(lost.map(|it| format!("X did not deliver {}", it.id)));
}

fn posts_in(delivery: &Delivery) -> Vec<String> {
    let body: Value = serde_json::from_slice(&delivery.body).unwrap();
    let posts = body["tweet_create_events"].as_array();
    let ids = posts.into_iter().flatten().map(|post| &post["id_str"]);
    ids.map(|id| id.as_str().unwrap().to_owned()).collect()
}

/// Each command has one outcome, and what that says stands at X: once, in order.
fn check_commands(findings: &mut Findings, simulator: &Simulator, noted: &Noted, ledger: &Ledger) {
    let accounts: HashSet<UserId> = ledger.sent.iter().map(|sent| sent.account).collect();
    let posts: Vec<_> = accounts
        .iter()
        .flat_map(|account| simulator.posts_by(*account))
        .collect();
    findings.at_x = posts.len();
    let mut by_text = HashMap::<&str, Vec<&PostSeen>>::new();
    for post in &posts {
        by_text.entry(&post.text).or_default().push(post);
    }
    let mut last = HashMap::new();
    for sent in &ledger.sent {
        let there = by_text.remove(sent.text.as_str()).unwrap_or_default();
        check_outcome(findings, noted, sent, &there);
        for post in there {
            let before = last.insert((sent.account, sent.parent), post.id);
            if before.is_some_and(|before| before > post.id) {
                findings.wrong.push(format!("{} is out of order", sent.id));
            }
        }
    }
    let unasked = by_text.values().flatten();
    findings
        .wrong
        .extend(unasked.map(|post| format!("nobody asked for {post:?}")));
}

fn check_outcome(findings: &mut Findings, noted: &Noted, sent: &Sent, there: &[&PostSeen]) {
    let outcomes = noted.outcomes.get(&sent.id).map_or(0, |ids| ids.len());
    let outcome = noted.outcome(&sent.id);
    let code = outcome.map(|outcome| outcome["code"].as_str().unwrap_or("succeeded"));
    let right = match (code, there) {
        (Some("succeeded"), [post]) => {
            outcome.is_some_and(|it| it["messages"][0]["id"] == post.id.to_string())
        }
        (Some("UNCERTAIN"), [] | [_]) => true,
        _ => false,
    };
    if outcomes != 1 || !right {
        findings.wrong.push(format!(
            "{} has {outcomes} outcomes: {outcome:?}; at X: {there:?}",
            sent.id
        ));
    }
    let code = code.unwrap_or("none").to_owned();
    *findings.outcomes.entry(code).or_default() += 1;
}

/// What a customer's post or a command waited for, beside when it began.
type Served = Vec<(Instant, Duration)>;

fn measure(findings: &mut Findings, noted: &Noted, ledger: &Ledger, incidents: &[Incident]) {
    let received = by_message(noted, "message.received");
    let arrival = |id: &str| noted.arrivals.get(id).copied();
    let served = ledger.written.iter().filter_map(|written| {
        let came = arrival(received.get(written.id.as_str())?.first()?)?;
        Some((written.at, came.duration_since(written.at)))
    });
    let messages: Served = served.collect();
    let served = ledger.sent.iter().filter_map(|sent| {
        let came = arrival(noted.outcomes.get(&sent.id)?.first()?)?;
        Some((sent.at, came.duration_since(sent.at)))
    });
    let commands: Served = served.collect();
    findings.waits = Waits::of(messages.iter().map(|it| it.1));
    findings.command_waits = Waits::of(commands.iter().map(|it| it.1));
    for fault in Fault::ALL {
        let of_kind: Vec<_> = incidents.iter().filter(|it| it.fault == fault).collect();
        let longest = |served: &Served| {
            let of = |it: &&Incident| {
                let meanwhile = served.iter().filter(|(at, _)| it.spans(*at));
                meanwhile.map(|(_, wait)| *wait).max()
            };
            Waits::of(of_kind.iter().filter_map(of))
        };
        findings.incidents.push(Row {
            kind: fault.to_string(),
            times: of_kind.len(),
            recovered: Waits::of(of_kind.iter().filter_map(|it| recovery(it, &messages))),
            message: longest(&messages),
            command: longest(&commands),
        });
    }
}

/// From the fault until something is at the core that was written after it.
fn recovery(incident: &Incident, served: &Served) -> Option<Duration> {
    let later = served.iter().filter(|(at, _)| *at >= incident.began);
    let came = later.map(|(at, wait)| *at + *wait).min()?;
    Some(came.duration_since(incident.began))
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:20} {:>5} {:>25} {:>25} {:>25}",
            "fault", "times", "first event after", "longest wait of a message", "of a command"
        )?;
        for row in self.incidents.iter().filter(|row| row.times > 0) {
            let times = [&row.recovered, &row.message, &row.command];
            let [recovered, message, command] =
                times.map(|waits| format!("{:.2?}, at most {:.2?}", waits.at(50), waits.at(100)));
            let (kind, times) = (&row.kind, row.times);
            writeln!(
                f,
                "{kind:20} {times:5} {recovered:>25} {message:>25} {command:>25}"
            )?;
        }
        let seconds = self.took.as_secs_f64();
        writeln!(
            f,
            "{seconds:.0} s: {} deliveries ({:.1}/s), {} events ({} came again), {} commands \
             ({:.1}/s), {} posts at X, {} changes of leader",
            self.delivered,
            self.delivered as f64 / seconds,
            self.events,
            self.repeats,
            self.commands,
            self.commands as f64 / seconds,
            self.at_x,
            self.terms.saturating_sub(1)
        )?;
        writeln!(
            f,
            "answers to X {:?}; outcomes {:?}",
            self.answers, self.outcomes
        )?;
        write!(
            f,
            "from X to core {}; from command to outcome {}; {} faults against the promise",
            self.waits,
            self.command_waits,
            self.wrong.len()
        )
    }
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [half, most, all] = [50, 99, 100].map(|percent| self.at(percent));
        write!(f, "{half:.1?} (50 %), {most:.1?} (99 %), {all:.1?} (all)")
    }
}
