//! What filters would make of the messages that came, before they are saved; and what was made of
//! one message, and why.
//!
//! Both go by what is kept: the events of what was published, and, for as long as `store.unwanted`
//! says, what filters look at in what was not.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::sighting::{Published, Sighting};
use crate::domain::account::Account;
use crate::domain::event::message_event_id;
use crate::domain::filter::{Decision, FOLLOWED_FOR, Filter, Refusal, Route, Why, decide};
use crate::domain::ids::{AccountId, ConversationId, EventId, MessageId};
use crate::domain::text::summary;
use crate::store::{Decided, Store, StoreError, Tx};

/// Messages looked at in one dry run.
const MOST: usize = 100_000;
/// Messages read at a time.
const PAGE: usize = 1000;

/// What filters would make of the messages of a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// In the order in which they came; of a long time the newest ones only.
    pub messages: Vec<Tried>,
    /// Messages that each filter would take, by its name; those that take none too.
    pub taken: BTreeMap<String, u64>,
    /// Messages that none would take, by the reason.
    pub left: BTreeMap<&'static str, u64>,
    /// False: there are more messages than one dry run looks at; it ends before them.
    pub complete: bool,
    /// Since when what nobody wanted is remembered; `None`: there is nothing of it.
    pub remembered_since: Option<Timestamp>,
}

/// One message of a dry run.
#[derive(Clone, Debug, PartialEq)]
pub struct Tried {
    /// X's id.
    pub message_id: String,
    pub conversation: String,
    pub created_at: Timestamp,
    /// Handle of its author, empty where X did not show it.
    pub username: String,
    /// One line, never empty.
    pub summary: String,
    /// It was published at the time.
    pub published: bool,
    pub verdict: Verdict,
}

/// What filters make of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Taken(Taker),
    Left(Reason),
}

/// The filter that takes a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taker {
    /// Its name.
    pub filter: String,
    pub group: String,
    /// Because the message's conversation is followed.
    pub followed: bool,
}

/// Why a message is not published, or not yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    pub why: Why,
    /// Name of the filter that fits all the same.
    pub filter: Option<String>,
    /// In words for an administrator.
    pub sentence: String,
}

impl Reason {
    fn of(refusal: Refusal<'_>) -> Self {
        Self {
            why: refusal.why,
            filter: refusal.filter.map(str::to_owned),
            sentence: refusal.sentence(),
        }
    }
}

/// What the filters would make of what an account received since then: the first match wins, as when
/// they are in force. Of `filters` those of the account count. At most `list` messages are given one
/// by one. Storms are left out of account: what they hold back was wanted.
///
/// # Errors
/// When the store cannot be read.
pub async fn dry_run(
    store: &Store,
    account: &Account,
    filters: &[Filter],
    since: Timestamp,
    list: usize,
) -> Result<Trial, StoreError> {
    let names = filters.iter().filter(|filter| filter.account == account.id);
    let mut run = Run {
        account: account.clone(),
        filters: filters.to_vec(),
        since,
        list,
        looked_at: 0,
        after: 0,
        routes: HashMap::new(),
        trial: Trial {
            messages: Vec::new(),
            taken: names.map(|it| (it.route.filter.clone(), 0)).collect(),
            left: BTreeMap::new(),
            complete: true,
            remembered_since: store.read(|tx| tx.remembered_since()).await?,
        },
    };
    loop {
        let (next, more) = store.read(move |tx| run.page(tx)).await?;
        run = next;
        if !more {
            return Ok(run.trial);
        }
        if run.looked_at >= MOST {
            run.trial.complete = false;
            return Ok(run.trial);
        }
    }
}

/// A dry run on its way.
struct Run {
    account: Account,
    filters: Vec<Filter>,
    since: Timestamp,
    list: usize,
    looked_at: usize,
    /// The last sequence looked at.
    after: u64,
    /// Where conversations go, as far as the filters tried have decided; `None`: nowhere yet.
    routes: HashMap<String, Option<Route>>,
    trial: Trial,
}

impl Run {
    /// Whether there may be more.
    fn page(mut self, tx: &Tx<'_>) -> Result<(Self, bool), StoreError> {
        let page = tx.decided_since(self.account.id, self.since, self.after, PAGE)?;
        let more = page.len() == PAGE;
        for decided in page {
            self.after = decided.sequence;
            self.looked_at += 1;
            self.message(tx, &decided)?;
        }
        let excess = self.trial.messages.len().saturating_sub(self.list);
        self.trial.messages.drain(..excess);
        Ok((self, more))
    }

    fn message(&mut self, tx: &Tx<'_>, decided: &Decided) -> Result<(), StoreError> {
        let sighting = Sighting::read(decided, self.account.id);
        let message = sighting.as_ref().and_then(Sighting::message);
        let (Some(sighting), Some(message)) = (sighting, message) else {
            return Ok(());
        };
        let followed = self.route(tx, &sighting.conversation)?;
        let blocked = self.account.blocked.contains(&message.author.id);
        let candidate = sighting.candidate(
            self.account.id,
            &message,
            followed.as_ref(),
            blocked,
            decided.at,
        );
        let (verdict, route) = judge(decide(&self.filters, &candidate));
        self.count(&verdict);
        if route.is_some() {
            self.routes.insert(sighting.conversation.clone(), route);
        }
        self.trial.messages.push(Tried {
            summary: summary(&message),
            created_at: message.created_at,
            username: message.author.username,
            message_id: sighting.id,
            conversation: sighting.conversation,
            published: decided.wanted,
            verdict,
        });
        Ok(())
    }

    fn count(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Taken(taker) => {
                *self.trial.taken.entry(taker.filter.clone()).or_default() += 1;
            }
            Verdict::Left(reason) => {
                *self.trial.left.entry(reason.why.name()).or_default() += 1;
            }
        }
    }

    /// Where the conversation goes: by what was tried so far, else by what was published before.
    fn route(&mut self, tx: &Tx<'_>, conversation: &str) -> Result<Option<Route>, StoreError> {
        if let Some(known) = self.routes.get(conversation) {
            return Ok(known.clone());
        }
        let before = self.route_before(tx, conversation)?;
        self.routes.insert(conversation.to_owned(), before.clone());
        Ok(before)
    }

    fn route_before(&self, tx: &Tx<'_>, conversation: &str) -> Result<Option<Route>, StoreError> {
        let Ok(id) = conversation.parse::<ConversationId>() else {
            return Ok(None);
        };
        let Some(row) = tx.conversation(self.account.id, &id)? else {
            return Ok(None);
        };
        let Some(first) = row.first_sequence else {
            return Ok(None);
        };
        // What is forgotten of its decision is old.
        let began = tx.decided_at(first)?.unwrap_or(Timestamp::MIN);
        let oldest = self.since.saturating_sub(FOLLOWED_FOR);
        let recent = row.received_at >= oldest.ok();
        Ok(
            (began < self.since && row.received_at.is_some() && recent).then_some(Route {
                group: row.group,
                filter: row.filter,
                tags: row.tags,
            }),
        )
    }
}

fn judge(decision: Decision<'_>) -> (Verdict, Option<Route>) {
    match decision {
        Decision::Wanted {
            route, by_thread, ..
        } => {
            let taker = Taker {
                filter: route.filter.clone(),
                group: route.group.clone(),
                followed: by_thread,
            };
            (Verdict::Taken(taker), Some(route.clone()))
        }
        Decision::Unwanted(refusal) => (Verdict::Left(Reason::of(refusal)), None),
    }
}

/// What was made of a message, for one account.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    pub event: EventId,
    /// When it was decided.
    pub at: Timestamp,
    pub finding: Finding,
}

/// What was made of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// A filter took it, or its conversation was followed.
    Taken(Taker),
    /// The account wrote it: that needs no filter.
    Sent,
    /// It was published; its body is no longer kept.
    Published,
    /// A filter wants it, but it is held back in a storm.
    Held(Reason),
    /// No filter took it.
    Left(Reason),
    /// It was not published; why is no longer remembered.
    Unwanted,
}

impl Finding {
    /// In words for an administrator.
    pub fn sentence(&self) -> String {
        match self {
            Self::Taken(taker) => {
                let how = match taker.followed {
                    true => "It followed its conversation, which",
                    false => "It",
                };
                let Taker { filter, group, .. } = taker;
                format!("{how} was taken by filter {filter} for group {group}.")
            }
            Self::Held(reason) | Self::Left(reason) => reason.sentence.clone(),
            Self::Sent => "The account wrote it: that needs no filter.".to_owned(),
            Self::Published => "It was published; its body is no longer kept.".to_owned(),
            Self::Unwanted => {
                "It was not published, and why is no longer remembered (store.unwanted).".to_owned()
            }
        }
    }
}

/// What was made of a message, for each of these accounts that has decided on it: `id` is that of the
/// event (32 hex digits) or X's of the message. None where nothing is known of it: then it never
/// came, waits in quarantine, or is older than `store.retention`.
///
/// # Errors
/// When the store cannot be read.
pub async fn explain(
    store: &Store,
    accounts: Vec<AccountId>,
    id: &str,
) -> Result<Vec<Explanation>, StoreError> {
    let id = id.to_owned();
    store
        .read(move |tx| {
            let mut found = Vec::new();
            for (account, event) in events(tx, &accounts, &id)? {
                if let Some(decided) = tx.decided(event)? {
                    found.push(Explanation {
                        event,
                        at: decided.at,
                        finding: finding(tx, account, &decided)?,
                    });
                }
            }
            Ok(found)
        })
        .await
}

/// The ids that events of a message may have.
fn events(
    tx: &Tx<'_>,
    accounts: &[AccountId],
    id: &str,
) -> Result<Vec<(Option<AccountId>, EventId)>, StoreError> {
    if let Ok(event) = id.parse() {
        return Ok(vec![(None, event)]);
    }
    let mut events = Vec::new();
    for account in accounts {
        for message in messages(tx, *account, id)? {
            let ids = ["message.received", "message.sent"]
                .map(|event_type| message_event_id(*account, event_type, &message));
            events.extend(ids.map(|event| (Some(*account), event)));
        }
    }
    // X's ids of posts and of messages are written alike.
    events.sort_unstable();
    events.dedup();
    Ok(events)
}

/// The messages that an id may be of; posts by their first version.
fn messages(tx: &Tx<'_>, account: AccountId, id: &str) -> Result<Vec<MessageId>, StoreError> {
    let mut messages = Vec::new();
    if let Ok(post) = id.parse() {
        let original = tx.post(account, post)?.and_then(|row| row.original);
        messages.push(MessageId::Post(original.unwrap_or(post)));
    }
    messages.extend(id.parse().map(MessageId::DirectMessage).ok());
    messages.push(MessageId::Encrypted(id.to_owned()));
    Ok(messages)
}

fn finding(
    tx: &Tx<'_>,
    account: Option<AccountId>,
    decided: &Decided,
) -> Result<Finding, StoreError> {
    if decided.wanted {
        let event = decided.event.as_deref().and_then(Published::read);
        return Ok(event.map_or(Finding::Published, |event| published(&event)));
    }
    let sighting: Option<Sighting> = decided
        .sighting
        .as_deref()
        .and_then(|kept| serde_json::from_slice(kept).ok());
    let Some((sighting, why)) = sighting.and_then(|it| it.why.map(|why| (it, why))) else {
        return Ok(Finding::Unwanted);
    };
    let reason = Reason::of(Refusal {
        why,
        filter: sighting.filter.as_deref(),
    });
    Ok(match why {
        Why::Storm if is_held(tx, account, &sighting)? => Finding::Held(reason),
        // It waited longer than bodies are kept, or its person was erased.
        Why::Storm => Finding::Unwanted,
        _ => Finding::Left(reason),
    })
}

fn is_held(
    tx: &Tx<'_>,
    account: Option<AccountId>,
    sighting: &Sighting,
) -> Result<bool, StoreError> {
    match (account, sighting.id.parse()) {
        (Some(account), Ok(post)) => tx.is_held(account, post),
        _ => Ok(true),
    }
}

fn published(event: &Published) -> Finding {
    match (&event.route, event.event.event_type.as_str()) {
        (Some(route), "message.received") => Finding::Taken(Taker {
            filter: route.filter.clone(),
            group: route.group.clone(),
            followed: event.followed(),
        }),
        (_, "message.sent") => Finding::Sent,
        _ => Finding::Published,
    }
}
