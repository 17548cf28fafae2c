//! Commands of the core: where each stands, its story, and what people do with it.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path, Query};
use askama::Template;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::conversations::{Choice, account_id, account_of, choices};
use super::fields::Fields;
use super::page::{Refused, Shell, Visit, go, html};
use super::words::{When, command_name, command_words, handle, link};
use crate::domain::command::Failure;
use crate::domain::ids::CommandId;
use crate::flow::admin::commands::{self as ledger, ListedCommand, Release, Story, next_attempt};
use crate::flow::rules::Rules;
use crate::http::api::Api;
use crate::http::api::problem::Kind;
use crate::store::{CommandFilter, CommandQuery, CommandState, Hold, SendRow, SendState};

/// Commands on a page.
const PAGE: usize = 50;

/// Which commands.
#[derive(Debug, Deserialize)]
pub(super) struct Listing {
    #[serde(default)]
    state: String,
    #[serde(default)]
    account: String,
    after: Option<u64>,
}

/// What can be chosen: the word of the address, and as it is shown.
const STATES: [(&str, &str); 7] = [
    ("", "All"),
    ("held", "Held"),
    ("uncertain", "Uncertain"),
    ("failed", "Failed"),
    ("pending", "Waiting"),
    ("sending", "On the way"),
    ("succeeded", "Sent"),
];

fn filter(state: &str) -> CommandFilter {
    match state {
        "held" => CommandFilter::Held,
        "uncertain" => CommandFilter::In(CommandState::Uncertain),
        "failed" => CommandFilter::In(CommandState::Failed),
        "pending" => CommandFilter::In(CommandState::Pending),
        "sending" => CommandFilter::In(CommandState::Sending),
        "succeeded" => CommandFilter::In(CommandState::Succeeded),
        _ => CommandFilter::All,
    }
}

struct Row {
    path: String,
    name: String,
    account: String,
    state: &'static str,
    class: &'static str,
    code: String,
    received_at: When,
    next: Option<When>,
}

impl Row {
    fn new(rules: &Rules, it: &ListedCommand) -> Self {
        let (state, class) = command_words(&it.row);
        Self {
            path: path(&it.row.id),
            name: command_name(&it.row.name).to_owned(),
            account: it
                .row
                .waiting
                .account
                .map(|id| handle(rules, id))
                .unwrap_or_default(),
            state,
            class,
            code: it.code.clone(),
            received_at: When(it.row.waiting.received_at),
            next: next_attempt(&it.row).map(When),
        }
    }
}

/// Where a command is shown; its id is any printable text.
pub(super) fn path(id: &CommandId) -> String {
    let id = percent_encoding::utf8_percent_encode(id.as_str(), percent_encoding::NON_ALPHANUMERIC);
    format!("/commands/{id}")
}

#[derive(Template)]
#[template(path = "console/commands.html")]
struct ListPage {
    shell: Shell,
    rows: Vec<Row>,
    states: [(&'static str, &'static str); 7],
    state: String,
    account: String,
    choices: Vec<Choice>,
    next: Option<u64>,
}

impl ListPage {
    fn is_state(&self, name: &str) -> bool {
        self.state == name
    }
}

pub(super) async fn list(
    api: Data<Api>,
    visit: Visit,
    listing: Query<Listing>,
) -> Result<HttpResponse, Refused> {
    let listing = listing.into_inner();
    let query = CommandQuery {
        filter: filter(&listing.state),
        account: account_of(&listing.account)?,
        conversation: None,
        name: None,
        before: listing.after,
    };
    let found = ledger::list(&api.store, query, PAGE).await?;
    let rules = api.rules.now();
    let known = STATES.iter().find(|(word, _)| *word == listing.state);
    let page = ListPage {
        rows: found.items.iter().map(|it| Row::new(&rules, it)).collect(),
        states: STATES,
        state: known.map_or("", |(word, _)| word).to_owned(),
        choices: choices(&api, &listing.account),
        account: listing.account,
        next: found.next,
        shell: visit.shell("commands"),
    };
    Ok(html(&page))
}

/// One part of its text at X.
struct Part {
    part: u32,
    text: String,
    state: &'static str,
    started_at: When,
    message: Option<String>,
}

impl From<&SendRow> for Part {
    fn from(row: &SendRow) -> Self {
        Self {
            part: row.part,
            text: row.text.clone(),
            state: match row.state {
                SendState::Sending => "On its way",
                SendState::Uncertain => "Uncertain: X did not say",
                SendState::Absent => "Not at X",
                SendState::Done => "At X",
            },
            started_at: When(row.started_at),
            message: row.message.map(|id| id.to_string()),
        }
    }
}

/// How it ended.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Ending {
    code: String,
    field: String,
    detail: String,
    advice: String,
    cost_usd: String,
    messages: Vec<EndingMessage>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct EndingMessage {
    id: String,
    url: String,
}

#[derive(Template)]
#[template(path = "console/command.html")]
struct CommandPage {
    shell: Shell,
    path: String,
    id: String,
    row: Row,
    conversation: Option<String>,
    expires_at: When,
    finished_at: Option<When>,
    attempt: u32,
    cost: String,
    told: Option<String>,
    content: String,
    parts: Vec<Part>,
    ending: Option<Ending>,
    outcome_event: Option<String>,
    may_retry: bool,
    may_release: bool,
    may_cancel: bool,
}

pub(super) async fn show(
    api: Data<Api>,
    visit: Visit,
    id: Path<String>,
) -> Result<HttpResponse, Refused> {
    let story = find(&api, &parsed(&id)?).await?;
    Ok(html(&page(&api, &visit, &story)))
}

fn page(api: &Api, visit: &Visit, story: &Story) -> CommandPage {
    let command = &story.command.row;
    let waiting = &command.waiting;
    let content: Value = serde_json::from_str(&command.content).unwrap_or_default();
    let ending = story.outcome.as_ref().map(|outcome| {
        let mut ending: Ending = serde_json::from_slice(&outcome.body).unwrap_or_default();
        for message in &mut ending.messages {
            message.url = link(&message.url);
        }
        ending
    });
    let account = waiting.account.filter(|_| !waiting.conversation.is_empty());
    CommandPage {
        path: path(&command.id),
        id: command.id.to_string(),
        row: Row::new(&api.rules.now(), &story.command),
        conversation: account.map(|id| format!("/conversations/{id}/{}", waiting.conversation)),
        expires_at: When(waiting.expires_at),
        finished_at: command.finished_at.map(When),
        attempt: command.attempt,
        cost: command.cost.to_string(),
        told: waiting.told.as_ref().map(|told| told.code.clone()),
        content: match &content {
            Value::Null => String::new(),
            content => format!("{content:#}"),
        },
        parts: story.sends.iter().map(Part::from).collect(),
        ending,
        outcome_event: story
            .outcome
            .as_ref()
            .map(|outcome| outcome.event.to_string()),
        may_retry: waiting.state == CommandState::Failed,
        may_release: waiting.state.is_open()
            && matches!(waiting.hold, Hold::Stopped | Hold::Revoked | Hold::Person),
        may_cancel: waiting.state.is_open() && waiting.hold != Hold::Erasing,
        shell: visit.shell("commands"),
    }
}

fn parsed(id: &str) -> Result<CommandId, Refused> {
    id.parse().map_err(|_unread| Refused::not_found("command"))
}

async fn find(api: &Api, id: &CommandId) -> Result<Story, Refused> {
    let found = ledger::show(&api.store, id.clone()).await?;
    found.ok_or_else(|| Refused::not_found("command"))
}

fn refused(failure: Failure) -> Refused {
    Refused::new(Kind::Conflict, failure.detail)
}

/// Repeats a failed command under a new id.
pub(super) async fn retry(
    api: Data<Api>,
    visit: Visit,
    id: Path<String>,
    fields: Fields,
) -> Result<HttpResponse, Refused> {
    let id = parsed(&id)?;
    find(&api, &id).await?;
    let (rules, now) = (api.rules.now(), Timestamp::now());
    let (force, who) = (fields.has("force"), visit.actor);
    let again = ledger::retry(&api.store, rules, id, force, who, now).await?;
    let row = again.map_err(refused)?;
    Ok(go(&format!("{}?done=retried", path(&row.id))))
}

/// Lets a held command go.
pub(super) async fn release(
    api: Data<Api>,
    visit: Visit,
    id: Path<String>,
) -> Result<HttpResponse, Refused> {
    let id = parsed(&id)?;
    find(&api, &id).await?;
    let (rules, now) = (api.rules.now(), Timestamp::now());
    let what = Release::These(vec![id.clone()]);
    for (_, result) in ledger::release(&api.store, rules, what, visit.actor, now).await? {
        result.map_err(refused)?;
    }
    Ok(go(&format!("{}?done=released", path(&id))))
}

/// Lets all held commands of an account go.
pub(super) async fn release_all(
    api: Data<Api>,
    visit: Visit,
    fields: Fields,
) -> Result<HttpResponse, Refused> {
    let account = account_id(fields.text("account"))?;
    let (rules, now) = (api.rules.now(), Timestamp::now());
    let what = Release::AllOf(account);
    ledger::release(&api.store, rules, what, visit.actor, now).await?;
    Ok(go(&format!(
        "/commands?state=held&account={account}&done=released"
    )))
}

/// Takes a command back.
pub(super) async fn cancel(
    api: Data<Api>,
    visit: Visit,
    id: Path<String>,
) -> Result<HttpResponse, Refused> {
    let id = parsed(&id)?;
    find(&api, &id).await?;
    let (rules, now) = (api.rules.now(), Timestamp::now());
    let done = ledger::cancel(&api.store, rules, id.clone(), visit.actor, now).await?;
    done.map_err(refused)?;
    Ok(go(&format!("{}?done=cancelled", path(&id))))
}
