//! The set-up: the manual's eight steps, each tested as it is entered. Where one stands is read off
//! what is there, so it goes on wherever somebody left it.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Query};
use askama::Template;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::accounts::{AccountCard, cards};
use super::apps::AppForm;
use super::conversations::account_id;
use super::fields::Fields;
use super::page::{Refused, Shell, Visit, go, html, html_with};
use super::webhooks::{List, Said};
use super::words::{Shown, When, plural};
use crate::domain::account::{App, Delivery, Keywords};
use crate::flow::admin::events::EventState;
use crate::flow::admin::gaps;
use crate::flow::feeds;
use crate::flow::gaps::Estimate;
use crate::flow::setup::{CHECKED, Finding, UNCHECKED};
use crate::flow::test_event::{Arrival, Sent, TestKind, Wanted};
use crate::flow::watch::Subject;
use crate::http::api::Api;
use crate::settings::BaseUrl;
use crate::store::{GapReason, Tx};

/// How long the broker's word on a test is waited for.
const TEST_WAIT: Duration = Duration::from_secs(5);

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Done,
    Open,
    Faulty,
}

impl Standing {
    fn of(done: bool, faulty: bool) -> Self {
        match (done, faulty) {
            (_, true) => Self::Faulty,
            (true, false) => Self::Done,
            (false, false) => Self::Open,
        }
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Open => "to do",
            Self::Faulty => "has a fault",
        }
    }

    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Done => "good",
            Self::Open => "plain",
            Self::Faulty => "bad",
        }
    }
}

/// A step of the list.
struct Step {
    number: usize,
    title: &'static str,
    path: String,
    standing: Standing,
}

/// Names and titles, in order.
const STEPS: [(&str, &str); 8] = [
    ("address", "The address at which X reaches us"),
    ("keys", "An app at X, and its keys"),
    ("permissions", "Permissions and callback address"),
    ("delivery", "How X delivers"),
    ("webhook", "The webhook"),
    ("account", "Link the account"),
    ("filters", "What becomes a ticket"),
    ("test", "A test ticket"),
];

/// What the set-up is about, from the address.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct About {
    pub app: String,
    pub account: String,
    pub linked: String,
}

/// What is there already.
struct State {
    app: Option<App>,
    account: Option<AccountCard>,
    faults: Vec<(&'static str, Shown)>,
    filters: usize,
    /// Why X cannot use our address, as far as that is seen in it.
    address: Option<Said>,
    /// When the app's keys were tested last, and what is wrong with them.
    tested: Option<Timestamp>,
    findings: Vec<Finding>,
    /// X lists our webhook, and as valid.
    stands: bool,
    /// The broker has confirmed a test of the account.
    arrived: bool,
}

impl State {
    async fn read(api: &Api, about: About) -> Result<Self, Refused> {
        let rules = api.rules.now();
        let apps = rules.registry.apps();
        let app = match about.app.as_str() {
            "" => apps.first(),
            name => apps.iter().find(|app| app.name == name),
        };
        let name = app.map(|app| app.name.clone()).unwrap_or_default();
        let wanted = [about.linked.as_str(), about.account.as_str()];
        let wanted = wanted.into_iter().find(|id| !id.is_empty());
        let mut own = cards(api)
            .await?
            .into_iter()
            .filter(|card| card.app == name);
        let account = match wanted {
            Some(id) => own.find(|card| card.id == id),
            None => own.next(),
        };
        let filters = match account.as_ref().map(|card| account_id(&card.id)) {
            Some(Ok(id)) => {
                let declared = api.directory.declared().filters.iter();
                let declared = declared.filter(|filter| filter.account == id).count();
                declared + api.directory.made_filters(id).await?.len()
            }
            _ => 0,
        };
        let last = api.setup.last_seen(&name);
        let (tested, findings) = last.keys.unzip();
        let findings = findings.unwrap_or_default();
        let decided = tested.is_some() && !findings.iter().any(|it| it.code == UNCHECKED);
        let address = api.setup.check_address(&name).err();
        Ok(Self {
            app: app.cloned(),
            faults: faults(api, &name, account.as_ref(), decided),
            arrived: arrived(api, account.as_ref()).await?,
            account,
            filters,
            address: address.map(Said::refusal).transpose()?,
            tested,
            findings,
            stands: last.stands == Some(true),
        })
    }

    /// The faults that a step mends.
    fn faults_at(&self, step: &str) -> Vec<Shown> {
        let own = self.faults.iter();
        let own = own.filter(|(code, _)| is_mended_at(step, code));
        own.map(|(_, fault)| fault.clone()).collect()
    }

    fn is_faulty(&self, step: &str) -> bool {
        let found = self.findings.iter().map(|it| it.code);
        let mut codes = self.faults.iter().map(|(code, _)| *code).chain(found);
        codes.any(|code| is_mended_at(step, code))
    }

    fn standing(&self, step: &str) -> Standing {
        let has_app = self.app.is_some();
        let linked = self.account.is_some();
        let confirmed = self.account.as_ref().is_some_and(|card| !card.unconfirmed);
        let done = match step {
            "address" => self.address.is_none(),
            "keys" => has_app && self.findings.iter().all(|it| it.code != UNCHECKED),
            "delivery" => has_app,
            // A linked account shows that its callback is allowed.
            "permissions" => linked,
            "webhook" => self.stands,
            "account" => confirmed,
            "filters" => self.filters > 0,
            "test" => self.arrived,
            _ => false,
        };
        Standing::of(done, self.is_faulty(step))
    }

    fn steps(&self) -> Vec<Step> {
        let query = self.query();
        let steps = STEPS.iter().enumerate().map(|(place, (name, title))| Step {
            number: place + 1,
            title,
            path: format!("/setup/{name}{query}"),
            standing: self.standing(name),
        });
        steps.collect()
    }

    /// What the set-up is about, for addresses.
    fn query(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        if let Some(app) = &self.app {
            query.append_pair("app", &app.name);
        }
        if let Some(account) = &self.account {
            query.append_pair("account", &account.id);
        }
        match query.finish() {
            query if query.is_empty() => query,
            query => format!("?{query}"),
        }
    }
}

/// Whether a step mends a fault, by how its code begins.
fn is_mended_at(step: &str, code: &str) -> bool {
    let starts: &[&str] = match step {
        "address" => &["PUBLIC_URL", "CERTIFICATE"],
        "keys" => &["KEYS_", "APP_", "CLOCK"],
        "permissions" => &["PERMISSION", "SCOPE"],
        "delivery" => &["PRODUCT", "ENVIRONMENT"],
        "webhook" => &["WEBHOOK", "SIGNATURES", "SUBSCRIPTION"],
        "account" => &["TOKEN", "ACCOUNT"],
        "test" => &["BROKER", "INBOX", "UNROUTED"],
        _ => &[],
    };
    starts.iter().any(|start| code.starts_with(start))
}

async fn arrived(api: &Api, account: Option<&AccountCard>) -> Result<bool, Refused> {
    let Some(card) = account else {
        return Ok(false);
    };
    let id = account_id(&card.id)?;
    let at = api.store.read(move |tx| tx.tested_at(id)).await?;
    Ok(at.is_some())
}

/// All that is wrong with an app, an account and the service. Of what a test of the keys decides,
/// the test tells: the board may be older.
fn faults(
    api: &Api,
    app: &str,
    account: Option<&AccountCard>,
    tested: bool,
) -> Vec<(&'static str, Shown)> {
    let (mut found, mut older) = (Vec::new(), Vec::new());
    for (subject, fault) in api.health.faults() {
        match subject {
            Subject::App(name) if name != app => {}
            Subject::App(_) if tested && CHECKED.contains(&fault.code) => {
                older.push(fault.sentence);
            }
            Subject::Account(id) if account.is_none_or(|card| card.id != id.to_string()) => {}
            _ => found.push((fault.code, Shown::from(&fault))),
        }
    }
    let health = api.health.accounts();
    let own = health.iter().filter(|it| {
        let id = it.account.id.map(|id| id.to_string());
        account.is_some_and(|card| Some(&card.id) == id.as_ref())
    });
    for fault in own.flat_map(|it| &it.health.faults) {
        let known = found.iter().any(|(code, _)| *code == fault.code);
        if !known && !older.contains(&fault.sentence) {
            found.push((fault.code, Shown::from(fault)));
        }
    }
    found
}

#[derive(Template)]
#[template(path = "console/setup.html")]
struct SetupPage {
    shell: Shell,
    steps: Vec<Step>,
    apps: Vec<String>,
    app: String,
    account: String,
    go_on: String,
}

pub(super) async fn show(
    api: Data<Api>,
    visit: Visit,
    about: Query<About>,
) -> Result<HttpResponse, Refused> {
    let state = State::read(&api, about.into_inner()).await?;
    let steps = state.steps();
    let open = steps.iter().find(|step| step.standing != Standing::Done);
    let rules = api.rules.now();
    let page = SetupPage {
        go_on: open.map(|step| step.path.clone()).unwrap_or_default(),
        apps: rules
            .registry
            .apps()
            .iter()
            .map(|app| app.name.clone())
            .collect(),
        app: state
            .app
            .as_ref()
            .map(|app| app.name.clone())
            .unwrap_or_default(),
        account: state
            .account
            .as_ref()
            .map(|it| format!("@{}", it.username))
            .unwrap_or_default(),
        steps,
        shell: visit.shell("setup"),
    };
    Ok(html(&page))
}

#[derive(Template)]
#[template(path = "console/step.html")]
struct StepPage {
    shell: Shell,
    name: &'static str,
    number: usize,
    title: &'static str,
    steps: Vec<Step>,
    before: Option<String>,
    after: Option<String>,
    /// What stands in the way of this step, as far as it was found out.
    faults: Vec<Shown>,
    public_url: String,
    address: Option<Said>,
    /// Only what runs on this machine reaches the address.
    local: bool,
    /// When the keys were tested, and what was found.
    tested: Option<When>,
    findings: Vec<Finding>,
    webhooks: List,
    said: Option<Said>,
    webhook_url: String,
    callback_url: String,
    form: AppForm,
    app: String,
    apps: Vec<String>,
    delivery: &'static str,
    account: Option<AccountCard>,
    /// Where the account's page comes back to.
    here: String,
    filters: usize,
    past: Vec<Past>,
    /// How posts with a term are looked for.
    terms: String,
    test: Option<TestView>,
}

/// What a form of a step led to, shown there.
pub(super) enum Outcome {
    Nothing,
    Said(Said),
    Test(TestView),
}

/// What became of a test.
pub(super) struct TestView {
    sentence: String,
    class: &'static str,
    event: String,
    inboxes: Vec<String>,
}

/// How much of what came before the linking may be read, and what X charges for it.
struct Past {
    days: i64,
    words: &'static str,
    price: String,
}

async fn past(api: &Api, step: &str, account: Option<&AccountCard>) -> Result<Vec<Past>, Refused> {
    let confirmed = account.filter(|card| step == "filters" && !card.unconfirmed);
    let Some(card) = confirmed else {
        return Ok(Vec::new());
    };
    let (id, now) = (account_id(&card.id)?, Timestamp::now());
    let mut past = Vec::new();
    for (days, words) in [(1, "the last day"), (7, "the last 7 days")] {
        let span = SignedDuration::from_hours(24 * days);
        let price = gaps::price(&api.store, api.rules.now(), id, span, now).await?;
        past.push(Past {
            days,
            words,
            price: price_words(&price),
        });
    }
    Ok(past)
}

fn price_words(price: &Estimate) -> String {
    let each = format!(
        "{} USD for each post, {} USD for each direct message",
        price.per_post, price.per_direct_message
    );
    match price.expected {
        Some(expected) => format!("about {expected} USD by the traffic of late ({each})"),
        None => format!(
            "{each}; the first pages cost {} USD at most, all posts {} USD at most",
            price.first_pages, price.posts_at_most
        ),
    }
}

/// Has what came before an account was linked read from X.
pub(super) async fn fetch_past(
    api: Data<Api>,
    visit: Visit,
    fields: Fields,
) -> Result<HttpResponse, Refused> {
    let account = account_id(fields.text("account"))?;
    let rules = api.rules.now();
    let linked = rules.registry.account(account.0);
    let linked = linked.ok_or_else(|| Refused::not_found("account"))?;
    let (app, keywords) = (linked.app.clone(), linked.feeds.keywords);
    let next = format!("/setup/test?app={app}&account={account}");
    let days = match fields.text("days") {
        "1" => 1,
        "7" => 7,
        _ => return Ok(go(&next)),
    };
    let now = Timestamp::now();
    let from = now - SignedDuration::from_hours(24 * days);
    let wanted = gaps::Wanted {
        app,
        account: Some(account),
        from,
        until: now,
        reason: GapReason::Linking,
    };
    gaps::fill(&api.store, &rules.registry, wanted, visit.actor, now).await?;
    // Gaps are filled by what names the account; posts with a term are found by search alone.
    if keywords == Keywords::Search {
        let begin = move |tx: &mut Tx<'_>| feeds::begin_at(tx, account, from);
        api.store.write(begin).await?;
    }
    Ok(go(&format!("{next}&done=past")))
}

fn position(name: &str) -> Result<usize, Refused> {
    let found = STEPS.iter().position(|(known, _)| *known == name);
    found.ok_or_else(|| Refused::not_found("step"))
}

/// Shows a step after one of its forms.
pub(super) async fn answer(
    api: &Api,
    visit: &Visit,
    step: &str,
    about: About,
    outcome: Outcome,
    status: StatusCode,
) -> Result<HttpResponse, Refused> {
    let page = page(api, visit, position(step)?, about, outcome).await?;
    Ok(html_with(status, &page))
}

async fn page(
    api: &Api,
    visit: &Visit,
    step: usize,
    about: About,
    outcome: Outcome,
) -> Result<StepPage, Refused> {
    let (name, title) = STEPS.get(step).copied().unwrap_or_default();
    let mut state = State::read(api, about).await?;
    let mut webhooks = List::default();
    if let Some(app) = state.app.as_ref().filter(|_| name == "webhook") {
        webhooks = List::read(api, app).await?;
        state.stands = webhooks.stand();
    }
    let steps = state.steps();
    let path = |place: usize| steps.get(place).map(|step| step.path.clone());
    let app = state.app.as_ref();
    // Another app is made by opening the step of the keys with a name that no app has: `new`.
    let next = match name {
        "keys" => "/setup/permissions?app={app}",
        _ => "/setup/webhook?app={app}",
    };
    let (said, test) = match outcome {
        Outcome::Nothing => (None, None),
        Outcome::Said(said) => (Some(said), None),
        Outcome::Test(test) => (None, Some(test)),
    };
    let url = api.public_url.as_ref();
    Ok(StepPage {
        name,
        number: step + 1,
        title,
        before: step.checked_sub(1).and_then(path),
        after: path(step + 1),
        faults: state.faults_at(name),
        public_url: url.map(ToString::to_string).unwrap_or_default(),
        local: url.is_some_and(BaseUrl::is_loopback),
        webhook_url: app
            .map(|app| api.webhook_url(&app.name))
            .unwrap_or_default(),
        callback_url: api.callback_url(),
        form: AppForm::new(api, app, next),
        apps: app.map(|app| app.name.clone()).into_iter().collect(),
        app: app.map(|app| app.name.clone()).unwrap_or_default(),
        delivery: app.map_or("", |app| delivery_words(&app.delivery)),
        here: format!("/setup/account{}", state.query()),
        past: past(api, name, state.account.as_ref()).await?,
        terms: terms(api, state.account.as_ref()),
        address: state.address,
        tested: state.tested.map(When),
        findings: state.findings,
        filters: state.filters,
        account: state.account,
        webhooks,
        said,
        test,
        steps,
        shell: visit.shell("setup"),
    })
}

/// How posts with a term are looked for; empty without an account.
fn terms(api: &Api, account: Option<&AccountCard>) -> String {
    let rules = api.rules.now();
    let id = account.and_then(|card| account_id(&card.id).ok());
    let Some(account) = id.and_then(|id| rules.registry.account(id.0)) else {
        return String::new();
    };
    match account.feeds.keywords {
        Keywords::None => "are not looked for".to_owned(),
        Keywords::Stream => "come by the filtered stream".to_owned(),
        Keywords::Search => {
            let every = account.feeds.search_every.as_secs();
            format!("are searched for every {every} s")
        }
    }
}

fn delivery_words(delivery: &Delivery) -> &'static str {
    match delivery {
        Delivery::Activity => "X Activity",
        Delivery::AccountActivity => "Account Activity v2",
        Delivery::AccountActivityV1 { .. } => "Account Activity v1.1 premium",
    }
}

/// One step.
pub(super) async fn step(
    api: Data<Api>,
    visit: Visit,
    name: Path<String>,
    about: Query<About>,
) -> Result<HttpResponse, Refused> {
    let step = page(
        &api,
        &visit,
        position(&name)?,
        about.into_inner(),
        Outcome::Nothing,
    );
    Ok(html(&step.await?))
}

/// Sends a test through the account's filters to the core.
pub(super) async fn test(
    api: Data<Api>,
    visit: Visit,
    fields: Fields,
) -> Result<HttpResponse, Refused> {
    let account = account_id(fields.text("account"))?;
    let wanted = Wanted {
        account,
        kind: match fields.text("kind") {
            "direct_message" => TestKind::DirectMessage,
            _ => TestKind::Mention,
        },
        text: None,
    };
    let sent = api
        .tests
        .send(wanted, visit.actor.clone(), Timestamp::now())
        .await?;
    let arrival = api.tests.arrival(&sent, TEST_WAIT).await?;
    let about = About {
        app: fields.text("app").to_owned(),
        account: account.to_string(),
        ..About::default()
    };
    let outcome = Outcome::Test(test_view(&sent, arrival));
    answer(&api, &visit, "test", about, outcome, StatusCode::OK).await
}

fn test_view(sent: &Sent, arrival: Arrival) -> TestView {
    let inboxes = arrival.inboxes.unwrap_or_default();
    let consumers: u32 = inboxes
        .iter()
        .filter_map(|it| it.seen)
        .map(|it| it.consumers)
        .sum();
    let route = format!("filter {}, group {}", sent.route.filter, sent.route.group);
    let (sentence, class) = match arrival.state {
        EventState::Published if consumers == 0 => (
            format!(
                "Confirmed by the broker, 0 consumers ({route}). The ticket waits in the queue \
                 until the helpdesk reads it."
            ),
            "warn",
        ),
        EventState::Published => {
            let who = plural(consumers.into(), "consumer");
            (format!("Confirmed by the broker, {who} ({route})."), "good")
        }
        EventState::Unrouted => (
            format!(
                "The broker has no queue bound for {}. Bind one and try again.",
                sent.routing_key
            ),
            "bad",
        ),
        EventState::Waiting => (
            "The broker has not confirmed it within 5 s. It goes out once the broker is back; see \
             the overview."
                .to_owned(),
            "bad",
        ),
    };
    let inboxes = inboxes.into_iter().map(|inbox| match inbox.seen {
        Some(seen) => format!(
            "{}: {}, {} waiting",
            inbox.queue,
            plural(seen.consumers.into(), "consumer"),
            plural(seen.messages.into(), "message")
        ),
        None => format!("{}: there is no such queue", inbox.queue),
    });
    TestView {
        sentence,
        class,
        event: sent.event.to_string(),
        inboxes: inboxes.collect(),
    }
}
