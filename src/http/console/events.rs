//! The journal: what the core was told, and telling it again.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path, Query};
use askama::Template;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::conversations::{Choice, account_of, choices};
use super::fields::Fields;
use super::page::{Refused, Shell, Visit, go, html};
use super::quarantine::shown;
use super::words::When;
use crate::domain::ids::EventId;
use crate::flow::admin::events::{self as journal, EventState, StoredEvent};
use crate::http::api::Api;
use crate::http::api::problem::Problem;
use crate::store::EventQuery;

/// Events on a page.
const PAGE: usize = 50;

/// Which events.
#[derive(Debug, Deserialize)]
pub(super) struct Listing {
    after: Option<u64>,
    #[serde(default)]
    account: String,
    #[serde(default, rename = "type")]
    event_type: String,
}

struct Row {
    id: String,
    sequence: u64,
    event_type: String,
    routing_key: String,
    subject: String,
    written_at: When,
    state: &'static str,
    class: &'static str,
}

impl From<&StoredEvent> for Row {
    fn from(stored: &StoredEvent) -> Self {
        let (state, class) = match stored.state {
            EventState::Published => ("Published", "good"),
            EventState::Waiting => ("Waits for the broker", "warn"),
            EventState::Unrouted => ("No queue is bound for it", "bad"),
        };
        Self {
            id: stored.row.id.to_string(),
            sequence: stored.row.sequence,
            event_type: stored.row.event_type.clone(),
            routing_key: stored.row.routing_key.clone(),
            subject: stored.row.subject.clone(),
            written_at: When(stored.row.at),
            state,
            class,
        }
    }
}

/// The types to choose from.
const TYPES: [&str; 14] = [
    "message.received",
    "message.sent",
    "message.edited",
    "message.deleted",
    "conversation.read",
    "conversation.typing",
    "conversation.merged",
    "conversation.storm",
    "account.linked",
    "account.revoked",
    "account.health",
    "command.succeeded",
    "command.failed",
    "command.deferred",
];

#[derive(Template)]
#[template(path = "console/events.html")]
struct ListPage {
    shell: Shell,
    rows: Vec<Row>,
    types: [&'static str; 14],
    event_type: String,
    account: String,
    choices: Vec<Choice>,
    next: Option<u64>,
    newest: bool,
}

impl ListPage {
    fn is_type(&self, name: &str) -> bool {
        self.event_type == name
    }
}

pub(super) async fn list(
    api: Data<Api>,
    visit: Visit,
    listing: Query<Listing>,
) -> Result<HttpResponse, Refused> {
    let listing = listing.into_inner();
    let account = account_of(&listing.account)?;
    let known = TYPES.into_iter().find(|name| *name == listing.event_type);
    let newest = listing.after.is_none() && account.is_none() && known.is_none();
    let (rows, next) = if newest {
        let found = journal::newest(&api.store, PAGE).await?;
        (found.iter().map(Row::from).collect(), None)
    } else {
        let query = EventQuery {
            after: listing.after.unwrap_or(0),
            event_type: known.map(str::to_owned),
            account,
        };
        let found = journal::list(&api.store, query, PAGE).await?;
        (found.items.iter().map(Row::from).collect(), found.next)
    };
    let page = ListPage {
        rows,
        types: TYPES,
        event_type: known.unwrap_or_default().to_owned(),
        choices: choices(&api, &listing.account),
        account: listing.account,
        next,
        newest,
        shell: visit.shell("events"),
    };
    Ok(html(&page))
}

#[derive(Template)]
#[template(path = "console/event.html")]
struct EventPage {
    shell: Shell,
    row: Row,
    correlation: String,
    time: When,
    body: String,
    cut: bool,
}

pub(super) async fn show(
    api: Data<Api>,
    visit: Visit,
    id: Path<String>,
) -> Result<HttpResponse, Refused> {
    let found = journal::show(&api.store, parsed(&id)?).await?;
    let stored = found.ok_or_else(|| Refused::not_found("event"))?;
    let (body, cut) = shown(&stored.row.body);
    let page = EventPage {
        row: Row::from(&stored),
        correlation: stored.row.correlation_id.clone(),
        time: When(stored.row.time),
        body,
        cut,
        shell: visit.shell("events"),
    };
    Ok(html(&page))
}

fn parsed(id: &str) -> Result<EventId, Refused> {
    id.parse().map_err(|_unread| Refused::not_found("event"))
}

/// Has one published again.
pub(super) async fn republish(
    api: Data<Api>,
    visit: Visit,
    id: Path<String>,
) -> Result<HttpResponse, Refused> {
    let id = parsed(&id)?;
    journal::republish(&api.store, vec![id], visit.actor, Timestamp::now()).await?;
    Ok(go(&format!("/events/{id}?done=republished")))
}

/// Has those of a time published again.
pub(super) async fn republish_range(
    api: Data<Api>,
    visit: Visit,
    fields: Fields,
) -> Result<HttpResponse, Refused> {
    let (from, to) = (moment(&fields, "from")?, moment(&fields, "to")?);
    if from >= to {
        let value = from.to_string();
        return Err(Problem::field("from", &value, "a time before the end").into());
    }
    let account = account_of(fields.text("account"))?;
    let (who, now) = (visit.actor, Timestamp::now());
    journal::republish_range(&api.store, account, from..to, who, now).await?;
    Ok(go("/events?done=republished"))
}

/// As a browser sends a date and time, which our forms say is UTC.
fn moment(fields: &Fields, name: &str) -> Result<Timestamp, Refused> {
    let raw = fields.text(name);
    let read = raw.parse::<DateTime>().ok();
    let at = read.and_then(|it| TimeZone::UTC.to_timestamp(it).ok());
    let bad = || Problem::field(name, raw, "a day and a time, e.g. 2026-11-25T14:05");
    Ok(at.ok_or_else(bad)?)
}
