//! Conversations, and one of them as a thread of what was received and sent.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path, Query};
use askama::Template;
use jiff::Timestamp;
use serde::Deserialize;

use super::guard::PICTURES;
use super::page::{Refused, Shell, Visit, go, html};
use super::words::{When, ago, command_name, command_words, handle, link, plural};
use crate::domain::ids::{AccountId, ConversationId, UserId};
use crate::flow::admin::commands::ListedCommand;
use crate::flow::admin::conversations::{self as threads, Line, SaidAuthor, Thread};
use crate::http::api::Api;
use crate::http::api::problem::Kind;
use crate::store::ConversationPlace;

/// Conversations on a page.
const PAGE: usize = 30;
/// Messages on a page.
const LINES: usize = 50;

/// Which part of the list.
#[derive(Debug, Deserialize)]
pub(super) struct Listing {
    #[serde(default)]
    account: String,
    /// `<milliseconds>~<account>~<id>`.
    #[serde(default)]
    behind: String,
}

struct Row {
    path: String,
    who: String,
    account: String,
    group: String,
    summary: String,
    ours: bool,
    at: When,
}

/// A storm, or what is left of one.
struct StormRow {
    path: String,
    id: String,
    account: String,
    words: String,
}

/// An account to choose.
pub(super) struct Choice {
    pub id: String,
    pub handle: String,
    pub chosen: bool,
}

#[derive(Template)]
#[template(path = "console/conversations.html")]
struct ListPage {
    shell: Shell,
    rows: Vec<Row>,
    storms: Vec<StormRow>,
    choices: Vec<Choice>,
    next: Option<String>,
}

/// The accounts to choose from.
pub(super) fn choices(api: &Api, chosen: &str) -> Vec<Choice> {
    let rules = api.rules.now();
    let mut choices: Vec<_> = rules
        .registry
        .accounts()
        .map(|account| Choice {
            id: account.id.to_string(),
            handle: format!("@{}", account.username),
            chosen: account.id.to_string() == chosen,
        })
        .collect();
    choices.sort_by(|a, b| a.handle.cmp(&b.handle));
    choices
}

/// An account of an address; none where it is empty.
pub(super) fn account_of(raw: &str) -> Result<Option<AccountId>, Refused> {
    match raw {
        "" => Ok(None),
        raw => Ok(Some(account_id(raw)?)),
    }
}

/// The same, which has to be there.
pub(super) fn account_id(raw: &str) -> Result<AccountId, Refused> {
    let id = raw.parse::<UserId>();
    id.map(AccountId)
        .map_err(|_unread| Refused::not_found("account"))
}

fn place(raw: &str) -> Option<ConversationPlace> {
    let mut parts = raw.splitn(3, '~');
    let at = Timestamp::from_millisecond(parts.next()?.parse().ok()?).ok()?;
    let account: UserId = parts.next()?.parse().ok()?;
    Some(ConversationPlace {
        received_at: at,
        account: AccountId(account),
        id: parts.next()?.to_owned(),
    })
}

fn written(place: &ConversationPlace) -> String {
    let at = place.received_at.as_millisecond();
    format!("{at}~{}~{}", place.account, place.id)
}

fn path(account: AccountId, id: &str) -> String {
    format!("/conversations/{account}/{id}")
}

pub(super) async fn list(
    api: Data<Api>,
    visit: Visit,
    listing: Query<Listing>,
) -> Result<HttpResponse, Refused> {
    let listing = listing.into_inner();
    let account = account_of(&listing.account)?;
    let found = threads::list(&api.store, account, place(&listing.behind), PAGE).await?;
    let rules = api.rules.now();
    let rows = found.items.into_iter().map(|it| {
        let account = it.row.place.account;
        let (who, summary, ours) = match &it.last {
            Some(line) => (
                name_of(it.with.as_ref().unwrap_or(&line.said.message.author)),
                line.said.message.summary.clone(),
                line.is_ours(),
            ),
            None => (
                String::new(),
                "Its text is no longer kept.".to_owned(),
                false,
            ),
        };
        Row {
            path: path(account, &it.row.place.id),
            account: handle(&rules, account),
            at: When(it.row.place.received_at),
            group: it.row.group,
            who,
            summary,
            ours,
        }
    });
    let page = ListPage {
        rows: rows.collect(),
        storms: storms(&api).await?,
        choices: choices(&api, &listing.account),
        next: found.next.as_ref().map(written),
        shell: visit.shell("conversations"),
    };
    Ok(html(&page))
}

fn name_of(author: &SaidAuthor) -> String {
    match (author.name.as_str(), author.username.as_str()) {
        ("", "") => "Somebody".to_owned(),
        ("", username) => format!("@{username}"),
        (name, "") => name.to_owned(),
        (name, username) => format!("{name} (@{username})"),
    }
}

async fn storms(api: &Api) -> Result<Vec<StormRow>, Refused> {
    let (stormy, held) = threads::storms(&api.store).await?;
    let rules = api.rules.now();
    let now = Timestamp::now();
    let mut rows: Vec<_> = stormy
        .into_iter()
        .map(|it| {
            let id = it.conversation.name();
            let waits = held
                .iter()
                .find(|one| one.account == it.account && one.conversation == id);
            let words = storm_words(&it.row, waits.map_or(0, |one| one.messages), now);
            StormRow {
                path: path(it.account, &id),
                account: handle(&rules, it.account),
                words: words.unwrap_or_default(),
                id,
            }
        })
        .collect();
    for one in held {
        if rows
            .iter()
            .all(|row| row.path != path(one.account, &one.conversation))
        {
            rows.push(StormRow {
                path: path(one.account, &one.conversation),
                account: handle(&rules, one.account),
                words: format!(
                    "{} held back, the oldest for {}; the storm is over.",
                    plural(one.messages, "message"),
                    ago(one.oldest, now)
                ),
                id: one.conversation,
            });
        }
    }
    Ok(rows)
}

/// What a storm is, in a sentence; none where there is none.
fn storm_words(row: &crate::store::StormRow, held: u64, now: Timestamp) -> Option<String> {
    let drawn = row.storm.as_ref()?;
    Some(format!(
        "{} in {} ({} USD at X); {held} held back.",
        plural(drawn.messages.into(), "message"),
        ago(drawn.since, now),
        drawn.cost
    ))
}

/// Which part of a thread.
#[derive(Debug, Deserialize)]
pub(super) struct Part {
    before: Option<u64>,
}

/// A message or a command of a thread.
struct Entry {
    /// `received`, `sent`, `changed` or `command`.
    class: &'static str,
    who: String,
    username: String,
    avatar: String,
    what: &'static str,
    text: String,
    files: Vec<String>,
    at: When,
    url: String,
    event: String,
    command: String,
    /// Of a command: where it stands.
    state: &'static str,
    state_class: &'static str,
    marks: Vec<&'static str>,
    route: String,
}

#[derive(Template)]
#[template(path = "console/conversation.html")]
struct ThreadPage {
    shell: Shell,
    path: String,
    id: String,
    account: String,
    group: String,
    filter: String,
    storm: Option<String>,
    held: u64,
    entries: Vec<Entry>,
    older: Option<u64>,
}

pub(super) async fn show(
    api: Data<Api>,
    visit: Visit,
    key: Path<(String, String)>,
    part: Query<Part>,
) -> Result<HttpResponse, Refused> {
    let (account, id) = parsed(&key)?;
    let name = id.name();
    let found = threads::thread(&api.store, account, id, part.before, LINES).await?;
    let thread = found.ok_or_else(|| Refused::not_found("conversation"))?;
    let storm = thread.storm.as_ref();
    let page = ThreadPage {
        path: path(account, &name),
        id: name,
        account: handle(&api.rules.now(), account),
        storm: storm.and_then(|row| storm_words(row, thread.held, Timestamp::now())),
        held: thread.held,
        group: thread.group.clone(),
        filter: thread.filter.clone(),
        older: thread.older,
        entries: entries(thread, part.before.is_none()),
        shell: visit.shell("conversations"),
    };
    Ok(html(&page))
}

fn parsed((account, id): &(String, String)) -> Result<(AccountId, ConversationId), Refused> {
    let id = id
        .parse()
        .map_err(|_unread| Refused::not_found("conversation"))?;
    Ok((account_id(account)?, id))
}

/// Messages and, on the first page, commands, by time. A command whose messages X has delivered
/// back stands with them.
fn entries(thread: Thread, with_commands: bool) -> Vec<Entry> {
    let sent: Vec<_> = thread
        .lines
        .iter()
        .map(|it| it.said.command_id.clone())
        .collect();
    let mut entries: Vec<_> = thread.lines.into_iter().map(entry).collect();
    if with_commands {
        let alone = thread.commands.into_iter();
        let alone = alone.filter(|it| !sent.iter().any(|id| *id == it.row.id.as_str()));
        entries.extend(alone.map(command_entry));
        entries.sort_by_key(|entry| entry.at.0);
    }
    entries
}

fn entry(line: Line) -> Entry {
    let ours = line.is_ours();
    let (class, what) = match line.event_type.as_str() {
        "message.edited" => ("changed", "edited"),
        "message.deleted" => ("changed", "deleted"),
        _ if ours => ("sent", "sent"),
        _ => ("received", "received"),
    };
    let Line {
        event, time, said, ..
    } = line;
    let message = said.message;
    let marks = [
        (said.event.backfilled, "came late"),
        (said.event.test, "test"),
    ];
    Entry {
        class,
        what,
        who: match (
            message.author.name.as_str(),
            message.author.username.as_str(),
        ) {
            ("", "") => "Somebody".to_owned(),
            ("", username) => format!("@{username}"),
            (name, _) => name.to_owned(),
        },
        avatar: Some(message.author.avatar_url)
            .filter(|url| url.starts_with(PICTURES))
            .unwrap_or_default(),
        username: message.author.username,
        text: match (what, message.text.is_empty()) {
            ("deleted", _) => format!("Deleted at X ({}).", said.reason),
            (_, true) => message.summary,
            (_, false) => message.text,
        },
        files: message
            .attachments
            .into_iter()
            .map(|it| file_words(&it.kind, &it.alt_text))
            .collect(),
        at: When(time),
        url: link(&message.url),
        event: event.to_string(),
        command: said.command_id,
        state: "",
        state_class: "",
        marks: marks
            .into_iter()
            .filter_map(|(set, word)| set.then_some(word))
            .collect(),
        route: said
            .route
            .map(|it| format!("{} by {}", it.group, it.filter))
            .unwrap_or_default(),
    }
}

fn file_words(kind: &str, alt: &str) -> String {
    let kind = kind.to_lowercase().replace('_', " ");
    if alt.is_empty() {
        kind
    } else {
        format!("{kind}: {alt}")
    }
}

fn command_entry(command: ListedCommand) -> Entry {
    let (state, state_class) = command_words(&command.row);
    let content: serde_json::Value = serde_json::from_str(&command.row.content).unwrap_or_default();
    let text = content.pointer(&format!("/{}/text", command.row.name));
    let text = text.and_then(serde_json::Value::as_str).unwrap_or_default();
    Entry {
        class: "command",
        what: "command",
        who: command_name(&command.row.name).to_owned(),
        username: String::new(),
        avatar: String::new(),
        text: text.to_owned(),
        files: Vec::new(),
        at: When(command.row.waiting.received_at),
        url: String::new(),
        event: String::new(),
        command: command.row.id.to_string(),
        state,
        state_class,
        marks: Vec::new(),
        route: command.code,
    }
}

/// Lets what a storm held back through.
pub(super) async fn release(
    api: Data<Api>,
    visit: Visit,
    key: Path<(String, String)>,
) -> Result<HttpResponse, Refused> {
    let (account, id) = parsed(&key)?;
    let name = id.name();
    let by = visit.actor.clone();
    let count = threads::release(&api.store, account, id, by, Timestamp::now()).await?;
    match count {
        0 => Err(Refused::new(
            Kind::Conflict,
            "Nothing is held back in this conversation.",
        )),
        _ => Ok(go(&format!("{}?done=storm-released", path(account, &name)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_the_list_is_read_as_it_is_written() {
        let there = ConversationPlace {
            received_at: Timestamp::from_millisecond(1_700_000_000_123).unwrap(),
            account: account_id("7").unwrap(),
            id: "dm:1-2".to_owned(),
        };
        assert_eq!(place(&written(&there)), Some(there));
        for bad in ["", "x", "1~2", "1~x~post:1"] {
            assert_eq!(place(bad), None);
        }
    }
}
