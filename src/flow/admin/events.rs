//! The journal: what was told, where it is on its way, and telling it again.

use std::ops::Range;

use jiff::Timestamp;
use serde_json::json;

use super::{AdminError, Page, write};
use crate::domain::access::Actor;
use crate::domain::ids::{AccountId, EventId};
use crate::flow::reply;
use crate::store::{EventQuery, JournalRow, Lane, Store, StoreError, Tx};

/// Where an event is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventState {
    /// The broker has it.
    Published,
    /// Not yet handed to the broker, or refused by it for now.
    Waiting,
    /// Nobody has bound its routing key.
    Unrouted,
}

impl EventState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Published, Self::Waiting, Self::Unrouted];

    /// As listed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Waiting => "waiting",
            Self::Unrouted => "unrouted",
        }
    }

    /// Of a stored event.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn of(sequence: u64, tx: &Tx<'_>) -> Result<Self, StoreError> {
        Ok(match tx.waits_in(sequence)? {
            Some(Lane::Unrouted) => Self::Unrouted,
            Some(Lane::Nacked) => Self::Waiting,
            Some(Lane::Republish) | None if sequence > tx.cursor()? => Self::Waiting,
            Some(Lane::Republish) | None => Self::Published,
        })
    }
}

/// A stored event.
#[derive(Clone, Debug)]
pub struct StoredEvent {
    pub row: JournalRow,
    pub state: EventState,
}

impl StoredEvent {
    fn read(row: JournalRow, tx: &Tx<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            state: EventState::of(row.sequence, tx)?,
            row,
        })
    }
}

/// Events after a sequence, oldest first; a part may be empty and have a next one.
///
/// # Errors
/// When the store cannot be read.
pub async fn list(
    store: &Store,
    query: EventQuery,
    limit: usize,
) -> Result<Page<StoredEvent>, StoreError> {
    let read = move |tx: &Tx<'_>| {
        let found = tx.journal_page(&query, limit)?;
        let page = Page {
            items: found.rows,
            next: found.next,
        };
        page.try_map(|row| StoredEvent::read(row, tx))
    };
    store.read(read).await
}

/// One event, while its body is kept.
///
/// # Errors
/// When the store cannot be read.
pub async fn show(store: &Store, id: EventId) -> Result<Option<StoredEvent>, StoreError> {
    let read = move |tx: &Tx<'_>| {
        let row = tx.event(id)?;
        row.map(|row| StoredEvent::read(row, tx)).transpose()
    };
    store.read(read).await
}

/// Has the running service publish these events again: all of them or, where one is not kept, none.
/// How many.
///
/// # Errors
/// [`AdminError::NotFound`], and when the store cannot be used.
pub async fn republish(
    store: &Store,
    ids: Vec<EventId>,
    who: Actor,
    now: Timestamp,
) -> Result<u64, AdminError> {
    let enter = move |tx: &mut Tx<'_>| {
        let mut rows = Vec::with_capacity(ids.len());
        for id in &ids {
            match tx.event(*id)? {
                Some(row) => rows.push((row.sequence, row.routing_key)),
                None => return Ok(Err(*id)),
            }
        }
        for (sequence, key) in &rows {
            tx.enter_lane(Lane::Republish, *sequence, key, now)?;
        }
        let named: Vec<_> = ids.iter().take(20).map(ToString::to_string).collect();
        let detail = json!({"count": ids.len(), "ids": named});
        tx.audit(&who, "event.republish", "", &detail, now)?;
        Ok(Ok(rows.len() as u64))
    };
    let missing =
        |id: EventId| AdminError::NotFound(format!("no event {id}, or its body is no longer kept"));
    write(store, enter).await?.map_err(missing)
}

/// The same of all events written in this time, of one account where given.
///
/// # Errors
/// When the store cannot be used; a part may be entered then.
pub async fn republish_range(
    store: &Store,
    account: Option<AccountId>,
    written: Range<Timestamp>,
    who: Actor,
    now: Timestamp,
) -> Result<u64, AdminError> {
    let detail = json!({
        "from": written.start.to_string(),
        "to": written.end.to_string(),
        "account": account.map(|account| account.to_string()),
    });
    write(store, move |tx| {
        tx.audit(&who, "event.republish", "", &detail, now)
    })
    .await?;
    Ok(reply::republish(store, account, written, now).await?)
}

/// The newest events, the newest first.
///
/// # Errors
/// When the store cannot be read.
pub async fn newest(store: &Store, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
    let read = move |tx: &Tx<'_>| {
        let rows = tx.newest_events(limit)?.into_iter();
        let mut events = rows.map(|row| StoredEvent::read(row, tx));
        events.by_ref().collect()
    };
    store.read(read).await
}
