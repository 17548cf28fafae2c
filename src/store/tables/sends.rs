//! What may be at X because of a command. A row is on disk before the first byte of a call goes out.

use jiff::Timestamp;

use super::ledger::stored_words;
use super::tx::{Tx, millis, number, stored, timestamp};
use crate::domain::ids::{AccountId, MessageNumber, UserId};
use crate::store::StoreError;
use crate::store::sql::{self, FromValue, Row, ToValue, Value, params, unreadable_id};

stored_words! {
    /// What is known of a send.
    SendState {
        /// The call is on its way, or was when the process ended.
        Sending = "sending",
        /// The call ended without telling.
        Uncertain = "uncertain",
        /// X has not done it.
        Absent = "absent",
        /// It is at X.
        Done = "done",
    }
}

stored_words! {
    /// What a send makes at X.
    SendKind {
        Post = "post",
        DirectMessage = "direct_message",
    }
}

/// A part of a command's text on its way to X.
#[derive(Clone, Debug, PartialEq)]
pub struct SendRow {
    /// Sequence of the command.
    pub command: u64,
    /// From 1.
    pub part: u32,
    pub account: AccountId,
    pub kind: SendKind,
    pub state: SendState,
    pub text: String,
    /// The post replied to, the conversation written to; empty for a post that replies to nothing.
    pub target: String,
    pub has_media: bool,
    /// Of the first attempt.
    pub started_at: Timestamp,
    /// Of the last one; `None` while it is on its way.
    pub ended_at: Option<Timestamp>,
    /// An attempt has ended without an answer that tells.
    pub doubted: bool,
    /// Look-ups since then that found nothing.
    pub empty_reads: u32,
    /// X's id of it.
    pub message: Option<MessageNumber>,
    pub sent_at: Option<Timestamp>,
}

const COLUMNS: &str = "command, part, account, kind, state, text, target, media, started_at, \
                       ended_at, doubted, empty_reads, message, sent_at";

fn read(row: &Row<'_>) -> sql::Result<SendRow> {
    let account = UserId::from_number(number(row.get(2)?));
    Ok(SendRow {
        command: number(row.get(0)?),
        part: row.get(1)?,
        account: AccountId(account.ok_or_else(unreadable_id)?),
        kind: row.get(3)?,
        state: row.get(4)?,
        text: row.get(5)?,
        target: row.get(6)?,
        has_media: row.get(7)?,
        started_at: timestamp(row.get(8)?),
        ended_at: row.get::<Option<i64>>(9)?.map(timestamp),
        doubted: row.get(10)?,
        empty_reads: row.get(11)?,
        message: row
            .get::<Option<i64>>(12)?
            .and_then(|id| MessageNumber::from_number(number(id))),
        sent_at: row.get::<Option<i64>>(13)?.map(timestamp),
    })
}

impl Tx<'_> {
    /// The sends of a command, by part.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn sends(&self, command: u64) -> Result<Vec<SendRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM sends WHERE command = ?1 ORDER BY part");
        self.rows(&sql, [stored(command)], read)
    }

    /// Stores a send, in place of what was known of it.
    ///
    /// # Errors
    /// When the store cannot be written; also when another send has the same message.
    pub fn put_send(&self, send: &SendRow) -> Result<(), StoreError> {
        let sql = format!(
            "INSERT INTO sends ({COLUMNS})
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
             ON CONFLICT (command, part) DO UPDATE SET
               state = excluded.state, text = excluded.text, target = excluded.target,
               media = excluded.media, ended_at = excluded.ended_at, doubted = excluded.doubted,
               empty_reads = excluded.empty_reads, message = excluded.message,
               sent_at = excluded.sent_at"
        );
        self.run(
            &sql,
            params![
                stored(send.command),
                send.part,
                stored(send.account.0.get()),
                send.kind,
                send.state,
                send.text,
                send.target,
                send.has_media,
                millis(send.started_at),
                send.ended_at.map(millis),
                send.doubted,
                send.empty_reads,
                send.message.map(|id| stored(id.get())),
                send.sent_at.map(millis),
            ],
        )
    }

    /// The send that made this message.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn send_of(
        &self,
        account: AccountId,
        kind: SendKind,
        message: MessageNumber,
    ) -> Result<Option<SendRow>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM sends WHERE account = ?1 AND kind = ?2 AND message = ?3"
        );
        let key = params![stored(account.0.get()), kind, stored(message.get())];
        self.row(&sql, key, read)
    }

    /// Sends of an account that may be at X: those of which nothing is settled, oldest first, then
    /// those that were looked up in vain. The latter may have the words of one that is on its way.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn unsettled_sends(
        &self,
        account: AccountId,
        kind: SendKind,
    ) -> Result<Vec<SendRow>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM sends
             WHERE account = ?1 AND kind = ?2 AND message IS NULL
               AND (state IN ('sending', 'uncertain') OR doubted = 1)
             ORDER BY state NOT IN ('sending', 'uncertain'), started_at"
        );
        self.rows(&sql, params![stored(account.0.get()), kind], read)
    }

    /// Hands what a command has at X, or may have, to another one that repeats it.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn move_sends(&self, from: u64, to: u64) -> Result<(), StoreError> {
        self.run(
            "UPDATE sends SET command = ?2 WHERE command = ?1",
            [stored(from), stored(to)],
        )
    }

    /// How many sends of each account and kind were begun since `since`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn sends_since(
        &self,
        since: Timestamp,
    ) -> Result<Vec<(AccountId, SendKind, u32)>, StoreError> {
        self.rows(
            "SELECT account, kind, count(*) FROM sends WHERE started_at >= ?1
             GROUP BY account, kind",
            [millis(since)],
            |row| {
                let account = UserId::from_number(number(row.get(0)?));
                let account = AccountId(account.ok_or_else(unreadable_id)?);
                Ok((account, row.get(1)?, row.get(2)?))
            },
        )
    }
}
