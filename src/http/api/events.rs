//! Events: what the core was told, telling it again, and a try of the way to it.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::Data;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::auth::Who;
use super::extract::{Body, Limit, Page, Params, Segment, one, parsed, parsed_all};
use super::problem::Problem;
use crate::broker::inbox::InboxState;
use crate::domain::ids::{AccountId, EventId, UserId};
use crate::flow::admin::events::{self as journal, EventState, StoredEvent};
use crate::flow::test_event::{Arrival, Sent, TestKind, Wanted};
use crate::store::EventQuery;

/// Ids that are taken at once.
const MOST_IDS: usize = 1000;
/// Longest text of a test, characters.
const LONGEST_TEXT: usize = 2000;
/// How long the broker's word on a test is waited for.
const TEST_WAIT: Duration = Duration::from_secs(5);
/// The same, at most.
const LONGEST_TEST_WAIT: Duration = Duration::from_secs(30);

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Listing {
    /// Those after this sequence (`event.sequence` of an event, or `next`).
    #[serde(default, deserialize_with = "parsed")]
    #[param(value_type = Option<String>, pattern = "^[0-9]{0,18}$")]
    after: Option<u64>,
    /// How many at most: 1 to 200, 50 where absent. A part may be shorter and have a next one.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Limit,
    /// Of this type: `message.received`.
    #[serde(default, rename = "type")]
    event_type: Option<String>,
    /// Of this account.
    #[serde(default, deserialize_with = "parsed")]
    #[param(value_type = Option<String>, pattern = "^([1-9][0-9]{0,18})?$")]
    account: Option<UserId>,
}

/// An event, as it is or will be published.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventView {
    id: String,
    sequence: String,
    #[serde(rename = "type")]
    event_type: String,
    routing_key: String,
    correlation_id: String,
    subject: String,
    /// When it happened at X.
    #[schema(format = DateTime)]
    time: String,
    /// When it was written.
    #[schema(format = DateTime)]
    written_at: String,
    /// `published`: the broker has it. `waiting`: not yet. `unrouted`: no queue is bound for it.
    #[schema(value_type = String)]
    state: &'static str,
    /// The event itself.
    #[schema(value_type = Object)]
    body: Option<Box<RawValue>>,
}

impl From<StoredEvent> for EventView {
    fn from(stored: StoredEvent) -> Self {
        let StoredEvent { row, state } = stored;
        let body = String::from_utf8_lossy(&row.body).into_owned();
        Self {
            id: row.id.to_string(),
            sequence: row.sequence.to_string(),
            event_type: row.event_type,
            routing_key: row.routing_key,
            correlation_id: row.correlation_id,
            subject: row.subject,
            time: row.time.to_string(),
            written_at: row.at.to_string(),
            state: state.name(),
            // What was written is JSON.
            body: RawValue::from_string(body).ok(),
        }
    }
}

/// Events in the order in which they were written.
#[utoipa::path(get, path = "/events", operation_id = "list_events", tag = "events",
    params(Listing),
    responses((status = 200, description = "A part of the list", body = Page<EventView>))
)]
pub(super) async fn list(
    api: Data<Api>,
    listing: Params<Listing>,
) -> Result<HttpResponse, Problem> {
    let listing = listing.0;
    let query = EventQuery {
        after: listing.after.unwrap_or(0),
        event_type: listing.event_type,
        account: listing.account.map(AccountId),
    };
    let page = journal::list(&api.store, query, listing.limit.get()).await?;
    Ok(HttpResponse::Ok().json(Page::of(page, EventView::from)))
}

/// One event.
#[utoipa::path(get, path = "/events/{id}", operation_id = "show_event", tag = "events",
    params(("id" = String, Path, description = "`event.id`: 32 hex digits")),
    responses((status = 200, description = "The event", body = EventView))
)]
pub(super) async fn show(api: Data<Api>, id: Segment<EventId>) -> Result<HttpResponse, Problem> {
    let found = journal::show(&api.store, id.0).await?;
    let missing = || Problem::not_found("There is no such event, or it is no longer kept.");
    Ok(HttpResponse::Ok().json(EventView::from(found.ok_or_else(missing)?)))
}

/// What to publish again: `ids`, or all that was written from `from` on and before `to`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Republish {
    #[serde(default, deserialize_with = "parsed_all")]
    #[schema(value_type = Vec<String>, max_items = 1000)]
    ids: Vec<EventId>,
    #[serde(default, deserialize_with = "parsed")]
    #[schema(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    #[serde(default, deserialize_with = "parsed")]
    #[schema(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// With `from` and `to`: of this account only.
    #[serde(default, deserialize_with = "parsed")]
    #[schema(value_type = Option<String>, pattern = "^([1-9][0-9]{0,18})?$")]
    account_id: Option<UserId>,
}

/// How many things a request was about.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Count {
    pub count: u64,
}

/// Have events published again, with the same ids and `x-republished`.
#[utoipa::path(post, path = "/events/republish", operation_id = "republish_events", tag = "events",
    request_body = Republish,
    responses((status = 202, description = "They will be published again", body = Count))
)]
pub(super) async fn republish(
    api: Data<Api>,
    who: Who,
    body: Body<Republish>,
) -> Result<HttpResponse, Problem> {
    let (what, who, now) = (body.0, who.0.actor(), Timestamp::now());
    let count = match (what.from, what.to, what.ids.as_slice()) {
        (Some(from), Some(to), []) if from < to => {
            let account = what.account_id.map(AccountId);
            journal::republish_range(&api.store, account, from..to, who, now).await?
        }
        (Some(from), Some(_), []) => {
            return Err(Problem::field(
                "from",
                &from.to_string(),
                "a time before `to`",
            ));
        }
        (None, None, [_, ..]) if what.account_id.is_none() => {
            if what.ids.len() > MOST_IDS {
                let found = what.ids.len().to_string();
                return Err(Problem::field("ids", &found, format!("at most {MOST_IDS}")));
            }
            journal::republish(&api.store, what.ids, who, now).await?
        }
        _ => {
            let expected = "either ids, or from and to (and account_id)";
            return Err(Problem::field("ids", "", expected));
        }
    };
    Ok(HttpResponse::Accepted().json(Count { count }))
}

/// A test to send.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTest {
    #[serde(deserialize_with = "one")]
    #[schema(value_type = String, pattern = "^[1-9][0-9]{0,18}$")]
    account_id: UserId,
    #[serde(default)]
    kind: Kind,
    /// At most 2,000 characters; a text that says what it is where absent.
    #[serde(default)]
    #[schema(max_length = 2000)]
    text: Option<String>,
    /// How long to wait for the broker's word, seconds: up to 30, 5 where absent.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 30)]
    wait_seconds: Option<u32>,
}

/// As what the test comes.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// A post that names the account.
    #[default]
    Mention,
    DirectMessage,
}

/// What became of a test.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TestView {
    event_id: String,
    sequence: String,
    routing_key: String,
    /// The filter that wanted it.
    filter: String,
    /// The group of the helpdesk it goes to.
    group: String,
    /// The broker has it.
    confirmed: bool,
    /// It is in a queue; absent while the broker has said nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    routed: Option<bool>,
    /// The inboxes of the settings; absent where the broker could not be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    inboxes: Option<Vec<InboxView>>,
}

/// An inbox of the core.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InboxView {
    queue: String,
    exists: bool,
    /// Messages that wait in it.
    messages: u32,
    /// Who reads it.
    consumers: u32,
}

impl From<InboxState> for InboxView {
    fn from(inbox: InboxState) -> Self {
        Self {
            queue: inbox.queue,
            exists: inbox.seen.is_some(),
            messages: inbox.seen.map_or(0, |seen| seen.messages),
            consumers: inbox.seen.map_or(0, |seen| seen.consumers),
        }
    }
}

impl TestView {
    fn new(sent: Sent, arrival: Arrival) -> Self {
        let inboxes = arrival.inboxes.map(|inboxes| inboxes.into_iter());
        Self {
            event_id: sent.event.to_string(),
            sequence: sent.sequence.to_string(),
            routing_key: sent.routing_key,
            filter: sent.route.filter,
            group: sent.route.group,
            confirmed: arrival.state != EventState::Waiting,
            routed: match arrival.state {
                EventState::Published => Some(true),
                EventState::Unrouted => Some(false),
                EventState::Waiting => None,
            },
            inboxes: inboxes.map(|inboxes| inboxes.map(InboxView::from).collect()),
        }
    }
}

/// Send a `message.received` with `event.test` through the account's filters, the journal and the
/// broker. Answers once the broker has confirmed it, or when the wait is over. Nobody at X hears of
/// it, and it is not to be answered.
#[utoipa::path(post, path = "/events/test", operation_id = "test_events", tag = "events",
    request_body = NewTest,
    responses((status = 200, description = "What became of it", body = TestView))
)]
pub(super) async fn test(
    api: Data<Api>,
    who: Who,
    body: Body<NewTest>,
) -> Result<HttpResponse, Problem> {
    let body = body.0;
    let wait = wait_of(body.wait_seconds)?;
    let wanted = Wanted {
        account: AccountId(body.account_id),
        kind: match body.kind {
            Kind::Mention => TestKind::Mention,
            Kind::DirectMessage => TestKind::DirectMessage,
        },
        text: body.text.map(check_text).transpose()?,
    };
    let sent = api
        .tests
        .send(wanted, who.0.actor(), Timestamp::now())
        .await?;
    let arrival = api.tests.arrival(&sent, wait).await?;
    Ok(HttpResponse::Ok().json(TestView::new(sent, arrival)))
}

fn wait_of(seconds: Option<u32>) -> Result<Duration, Problem> {
    let wait = seconds.map_or(TEST_WAIT, |seconds| Duration::from_secs(seconds.into()));
    if wait > LONGEST_TEST_WAIT {
        let found = wait.as_secs().to_string();
        return Err(Problem::field("wait_seconds", &found, "0 to 30"));
    }
    Ok(wait)
}

fn check_text(text: String) -> Result<String, Problem> {
    let length = text.chars().count();
    if !(1..=LONGEST_TEXT).contains(&length) {
        let found = format!("{length} characters");
        return Err(Problem::field(
            "text",
            &found,
            format!("1 to {LONGEST_TEXT} characters"),
        ));
    }
    Ok(text)
}
