//! Conversations: who wrote last, and the whole of one as a thread.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::commands::ListedCommand;
use super::write;
use crate::domain::access::Actor;
use crate::domain::ids::{AccountId, ConversationId, EventId};
use crate::store::{
    CommandFilter, CommandQuery, ConversationPlace, HeldConversation, JournalRow, ListedRow,
    MessageQuery, Store, StoreError, StormRow, Tx,
};

/// Commands shown beside a thread.
const COMMANDS: usize = 50;
/// Messages of a conversation that are looked at for whoever it is with.
const NEWEST: usize = 5;
/// Conversations with held messages, or in storm, that are listed.
const STORMS: usize = 50;

/// A part of the list of conversations.
#[derive(Clone, Debug)]
pub struct Conversations {
    pub items: Vec<ListedConversation>,
    /// Where the next part begins; `None`: there is none.
    pub next: Option<ConversationPlace>,
}

/// A conversation of the list.
#[derive(Clone, Debug)]
pub struct ListedConversation {
    pub row: ListedRow,
    /// Its newest message; `None` where its body is no longer kept.
    pub last: Option<Line>,
    /// Whoever wrote to us last, as far as the newest messages tell.
    pub with: Option<SaidAuthor>,
}

/// A message in a thread.
#[derive(Clone, Debug)]
pub struct Line {
    pub event: EventId,
    pub sequence: u64,
    /// `message.received`, `message.sent`, `message.edited` or `message.deleted`.
    pub event_type: String,
    /// When it was written at X.
    pub time: Timestamp,
    pub said: Said,
}

/// What is read of the body of a message's event; what is missing is empty.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Said {
    pub event: SaidEvent,
    pub message: SaidMessage,
    pub route: Option<SaidRoute>,
    /// Of a message that a command sent.
    pub command_id: String,
    /// Of a deleted one: why.
    pub reason: String,
}

/// Marks of an event.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SaidEvent {
    pub backfilled: bool,
    pub test: bool,
}

/// Where a message went.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SaidRoute {
    pub group: String,
    pub filter: String,
}

/// A message.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SaidMessage {
    pub id: String,
    pub kind: String,
    pub url: String,
    pub summary: String,
    pub text: String,
    pub author: SaidAuthor,
    pub attachments: Vec<SaidAttachment>,
}

/// Whoever wrote it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SaidAuthor {
    pub id: String,
    pub username: String,
    pub name: String,
    pub avatar_url: String,
    pub own: bool,
}

/// A file of a message.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SaidAttachment {
    pub kind: String,
    pub alt_text: String,
}

impl Line {
    fn read(row: JournalRow) -> Self {
        Self {
            // Only what another version wrote cannot be read; its place in the thread is shown.
            said: serde_json::from_slice(&row.body).unwrap_or_default(),
            event: row.id,
            sequence: row.sequence,
            event_type: row.event_type,
            time: row.time,
        }
    }

    /// Whether the account wrote it.
    pub fn is_ours(&self) -> bool {
        self.event_type == "message.sent" || self.said.message.author.own
    }
}

/// Conversations in which something was received, the newest first.
///
/// # Errors
/// When the store cannot be read.
pub async fn list(
    store: &Store,
    account: Option<AccountId>,
    behind: Option<ConversationPlace>,
    limit: usize,
) -> Result<Conversations, StoreError> {
    let read = move |tx: &Tx<'_>| {
        let mut rows = tx.conversations_page(account, behind.as_ref(), limit + 1)?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|row| row.place.clone());
        let items = rows.into_iter().map(|row| listed(tx, row));
        let items = items.collect::<Result<_, StoreError>>()?;
        Ok(Conversations { items, next })
    };
    store.read(read).await
}

fn listed(tx: &Tx<'_>, row: ListedRow) -> Result<ListedConversation, StoreError> {
    let query = MessageQuery {
        account: row.place.account,
        conversation: row.place.id.clone(),
        before: None,
    };
    let newest = tx.messages_page(&query, NEWEST)?;
    let newest: Vec<_> = newest.into_iter().map(Line::read).collect();
    let theirs = newest.iter().find(|line| !line.is_ours());
    Ok(ListedConversation {
        with: theirs.map(|line| line.said.message.author.clone()),
        last: newest.into_iter().next(),
        row,
    })
}

/// One conversation.
#[derive(Clone, Debug)]
pub struct Thread {
    /// Oldest first.
    pub lines: Vec<Line>,
    /// The sequence before which there are older ones.
    pub older: Option<u64>,
    /// Its commands, newest first.
    pub commands: Vec<ListedCommand>,
    pub storm: Option<StormRow>,
    /// Messages held back in it.
    pub held: u64,
    pub group: String,
    pub filter: String,
}

/// A conversation as a thread; `None` where nothing is known of it.
///
/// # Errors
/// When the store cannot be read.
pub async fn thread(
    store: &Store,
    account: AccountId,
    id: ConversationId,
    before: Option<u64>,
    limit: usize,
) -> Result<Option<Thread>, StoreError> {
    let read = move |tx: &Tx<'_>| {
        let row = tx.conversation(account, &id)?;
        let query = MessageQuery {
            account,
            conversation: id.name(),
            before,
        };
        let mut rows = tx.messages_page(&query, limit + 1)?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let older = rows.last().filter(|_| more).map(|row| row.sequence);
        let commands = commands(tx, account, id.name())?;
        let held = tx.held_count(account, &id, Timestamp::UNIX_EPOCH)?;
        if row.is_none() && rows.is_empty() && commands.is_empty() && held == 0 {
            return Ok(None);
        }
        let row = row.unwrap_or_default();
        Ok(Some(Thread {
            lines: rows.into_iter().rev().map(Line::read).collect(),
            older,
            commands,
            storm: tx.storm(account, &id)?,
            held,
            group: row.group,
            filter: row.filter,
        }))
    };
    store.read(read).await
}

fn commands(
    tx: &Tx<'_>,
    account: AccountId,
    conversation: String,
) -> Result<Vec<ListedCommand>, StoreError> {
    let query = CommandQuery {
        filter: CommandFilter::All,
        account: Some(account),
        conversation: Some(conversation),
        name: None,
        before: None,
    };
    let rows = tx.commands_page(&query, COMMANDS)?.into_iter();
    rows.map(|row| ListedCommand::read(row, tx)).collect()
}

/// A conversation in storm.
#[derive(Clone, Debug)]
pub struct Stormy {
    pub account: AccountId,
    pub conversation: ConversationId,
    pub row: StormRow,
}

/// Conversations in storm, and those of which messages are held back.
///
/// # Errors
/// When the store cannot be read.
pub async fn storms(store: &Store) -> Result<(Vec<Stormy>, Vec<HeldConversation>), StoreError> {
    let read = |tx: &Tx<'_>| {
        let storms = tx.storms(STORMS)?.into_iter();
        let storms = storms.map(|(account, conversation, row)| Stormy {
            account,
            conversation,
            row,
        });
        Ok((storms.collect(), tx.held_conversations(STORMS)?))
    };
    store.read(read).await
}

/// Has the running service let through what is held back in a conversation; how many messages.
///
/// # Errors
/// When the store cannot be written.
pub async fn release(
    store: &Store,
    account: AccountId,
    id: ConversationId,
    who: Actor,
    now: Timestamp,
) -> Result<u64, StoreError> {
    write(store, move |tx| {
        let count = tx.request_release(Some(account), &id)?;
        if count > 0 {
            let detail = json!({"account": account.to_string(), "messages": count});
            tx.audit(&who, "storm.release", &id.name(), &detail, now)?;
        }
        Ok(count)
    })
    .await
}
