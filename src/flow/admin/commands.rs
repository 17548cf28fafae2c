//! The ledger: each command's story, and what people do with it.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Page, write};
use crate::domain::access::Actor;
use crate::domain::command::Failure;
use crate::domain::ids::{AccountId, CommandId};
use crate::flow::reply::{self, Checked};
use crate::flow::rules::Rules;
use crate::store::{CommandQuery, CommandRow, Hold, OutcomeRow, SendRow, Store, StoreError, Tx};

/// A command without its texts.
#[derive(Clone, Debug)]
pub struct ListedCommand {
    pub row: CommandRow,
    /// Why it failed, or what its wait was announced with; empty where neither.
    pub code: String,
}

impl ListedCommand {
    /// Reads what the row does not tell.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn read(row: CommandRow, tx: &Tx<'_>) -> Result<Self, StoreError> {
        let code = match row.waiting.state.is_open() {
            true => row.waiting.told.as_ref().map(|told| told.code.clone()),
            false => tx.outcome(row.waiting.sequence)?.map(|it| code_of(&it)),
        };
        Ok(Self {
            code: code.unwrap_or_default(),
            row,
        })
    }
}

/// When a step is due; `None` for one that is held or ended.
pub fn next_attempt(row: &CommandRow) -> Option<Timestamp> {
    let waits = row.waiting.state.is_open() && matches!(row.waiting.hold, Hold::None | Hold::Files);
    waits.then_some(row.waiting.next_attempt_at)
}

/// The code of a failure; empty for a success.
fn code_of(outcome: &OutcomeRow) -> String {
    let body: Value = serde_json::from_slice(&outcome.body).unwrap_or_default();
    let code = body.get("code").and_then(Value::as_str);
    code.unwrap_or_default().to_owned()
}

/// A command with all that is known of it.
#[derive(Clone, Debug)]
pub struct Story {
    pub command: ListedCommand,
    /// What is or may be at X.
    pub sends: Vec<SendRow>,
    pub outcome: Option<OutcomeRow>,
}

/// Commands, newest first.
///
/// # Errors
/// When the store cannot be read.
pub async fn list(
    store: &Store,
    query: CommandQuery,
    limit: usize,
) -> Result<Page<ListedCommand>, StoreError> {
    let read = move |tx: &Tx<'_>| {
        let rows = tx.commands_page(&query, limit + 1)?;
        let page = Page::cut(rows, limit, |row| row.waiting.sequence);
        page.try_map(|row| ListedCommand::read(row, tx))
    };
    store.read(read).await
}

/// One command.
///
/// # Errors
/// When the store cannot be read.
pub async fn show(store: &Store, id: CommandId) -> Result<Option<Story>, StoreError> {
    store.read(move |tx| story(tx, &id)).await
}

fn story(tx: &Tx<'_>, id: &CommandId) -> Result<Option<Story>, StoreError> {
    let Some(row) = tx.command_by_id(id)? else {
        return Ok(None);
    };
    let sequence = row.waiting.sequence;
    Ok(Some(Story {
        command: ListedCommand::read(row, tx)?,
        sends: tx.sends(sequence)?,
        outcome: tx.outcome(sequence)?,
    }))
}

/// What would become of a command; see [`reply::check`].
///
/// # Errors
/// When the store cannot be read.
pub async fn check(
    store: &Store,
    rules: Arc<Rules>,
    body: bytes::Bytes,
    now: Timestamp,
) -> Result<Checked, StoreError> {
    let check = move |tx: &Tx<'_>| reply::check(tx, &rules, &body, now);
    store.read(check).await
}

/// Repeats a failed command under a new id; see [`reply::retry`].
///
/// # Errors
/// Inside, why it cannot be repeated; outside, when the store cannot be used.
pub async fn retry(
    store: &Store,
    rules: Arc<Rules>,
    id: CommandId,
    force: bool,
    who: Actor,
    now: Timestamp,
) -> Result<Result<CommandRow, Failure>, StoreError> {
    let again = move |tx: &mut Tx<'_>| {
        let new = CommandId::of_retry(rand::random());
        let retried = reply::retry(tx, &rules, &id, new, force, now)?;
        if let Ok(row) = &retried {
            let detail = json!({"new_id": row.id.as_str(), "force": force});
            tx.audit(&who, "command.retry", id.as_str(), &detail, now)?;
        }
        Ok(retried)
    };
    write(store, again).await
}

/// Takes a command back; see [`reply::cancel`].
///
/// # Errors
/// Inside, why it cannot be taken back; outside, when the store cannot be used.
pub async fn cancel(
    store: &Store,
    rules: Arc<Rules>,
    id: CommandId,
    who: Actor,
    now: Timestamp,
) -> Result<Result<(), Failure>, StoreError> {
    let cancel = move |tx: &mut Tx<'_>| {
        let cancelled = reply::cancel(tx, &rules, &id, now)?;
        if cancelled.is_ok() {
            tx.audit(&who, "command.cancel", id.as_str(), &Value::Null, now)?;
        }
        Ok(cancelled)
    };
    write(store, cancel).await
}

/// What to release.
#[derive(Clone, Debug)]
pub enum Release {
    These(Vec<CommandId>),
    /// All held commands of an account.
    AllOf(AccountId),
}

/// Each command with what will hold it again, or why it was not let go.
pub type Released = Vec<(CommandId, Result<Hold, Failure>)>;

/// Lets held commands go; see [`reply::release`].
///
/// # Errors
/// When the store cannot be used.
pub async fn release(
    store: &Store,
    rules: Arc<Rules>,
    what: Release,
    who: Actor,
    now: Timestamp,
) -> Result<Released, StoreError> {
    let release = move |tx: &mut Tx<'_>| {
        let ids = match what {
            Release::These(ids) => ids,
            Release::AllOf(account) => tx.held_commands_of(account)?,
        };
        let mut released = Vec::with_capacity(ids.len());
        for id in ids {
            let result = reply::release(tx, &rules, &id, now)?;
            if result.is_ok() {
                tx.audit(&who, "command.release", id.as_str(), &Value::Null, now)?;
            }
            released.push((id, result));
        }
        Ok(released)
    };
    write(store, release).await
}
