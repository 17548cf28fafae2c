//! Storms of conversations, and what is held back in them.

use std::num::NonZeroU32;
use std::time::Duration;

use jiff::Timestamp;

use super::threads::account_key;
use super::tx::{Tx, count, millis, number, stored, timestamp};
use crate::domain::ids::{AccountId, ConversationId, EventId, TweetId, UserId};
use crate::domain::money::Usd;
use crate::domain::storm::{Drawn, StormLimit, Tally};
use crate::store::StoreError;
use crate::store::sql::{self, Row, params};

/// What came of late in a conversation, and its storm.
#[derive(Clone, Debug, PartialEq)]
pub struct StormRow {
    /// The filter's, as of the last message.
    pub limit: StormLimit,
    pub tally: Tally,
    /// When the last message came.
    pub at: Timestamp,
    /// What came since it began, held back or not; `None`: there is no storm.
    pub storm: Option<Drawn>,
    /// When the core was last told, and how many messages there were.
    pub told: Option<(Timestamp, u32)>,
    /// Some of its messages may be held back.
    pub waiting: bool,
}

impl StormRow {
    /// A conversation in which nothing has come yet.
    pub fn new(limit: StormLimit, at: Timestamp) -> Self {
        Self {
            limit,
            tally: Tally::default(),
            at,
            storm: None,
            told: None,
            waiting: false,
        }
    }
}

/// A message to hold back, with the delivery that brought it.
#[derive(Clone, Copy, Debug)]
pub struct NewHeld<'a> {
    pub account: AccountId,
    pub post: TweetId,
    pub conversation: &'a ConversationId,
    pub app: &'a str,
    /// When the delivery came in.
    pub received_at: Timestamp,
    pub body: &'a [u8],
    /// Now.
    pub at: Timestamp,
}

/// A message held back.
#[derive(Clone, Debug)]
pub struct Held {
    pub id: u64,
    pub account: AccountId,
    pub post: TweetId,
    pub app: String,
    pub received_at: Timestamp,
    pub body: Vec<u8>,
}

/// A conversation of which messages are held back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldConversation {
    pub account: AccountId,
    pub conversation: String,
    /// How many wait.
    pub messages: u64,
    /// Since when the first of them waits.
    pub oldest: Timestamp,
}

/// Bytes of the bodies of a table.
pub(super) const SIZE: &str = "SELECT bytes FROM sizes WHERE name = ?1";
/// The journal, where its bodies are counted.
pub(super) const JOURNAL: &str = "journal";

const STORM: &str = "messages, per, tally, at, since, drawn, cost, told_at, told, waiting";

fn read_storm(row: &Row<'_>, from: usize) -> sql::Result<StormRow> {
    let messages = NonZeroU32::new(row.get(from)?).unwrap_or(NonZeroU32::MIN);
    let per = Duration::from_millis(number(row.get(from + 1)?));
    let since: Option<i64> = row.get(from + 4)?;
    let (drawn, cost) = (row.get(from + 5)?, number(row.get(from + 6)?));
    let told_at: Option<i64> = row.get(from + 7)?;
    let told = row.get(from + 8)?;
    Ok(StormRow {
        limit: StormLimit { messages, per },
        // Of a later version it would be: then it is counted anew.
        tally: serde_json::from_str(&row.get::<String>(from + 2)?).unwrap_or_default(),
        at: timestamp(row.get(from + 3)?),
        storm: since.map(|since| Drawn {
            since: timestamp(since),
            messages: drawn,
            cost: Usd::from_micros(cost),
        }),
        told: told_at.map(|at| (timestamp(at), told)),
        waiting: row.get(from + 9)?,
    })
}

fn corrupt(what: &'static str, value: impl ToString) -> StoreError {
    StoreError::Corrupt {
        what,
        value: value.to_string(),
    }
}

pub(super) fn account(stored: i64) -> Result<AccountId, StoreError> {
    let id = UserId::from_number(number(stored));
    id.map(AccountId).ok_or_else(|| corrupt("account", stored))
}

impl Tx<'_> {
    /// What came of late in a conversation.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn storm(
        &self,
        account: AccountId,
        conversation: &ConversationId,
    ) -> Result<Option<StormRow>, StoreError> {
        let sql = format!("SELECT {STORM} FROM storms WHERE account = ?1 AND conversation = ?2");
        let key = params![account_key(account), conversation.name()];
        self.row(&sql, key, |row| read_storm(row, 0))
    }

    /// Stores it in place of what was.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn put_storm(
        &self,
        account: AccountId,
        conversation: &ConversationId,
        row: &StormRow,
    ) -> Result<(), StoreError> {
        let tally = serde_json::to_string(&row.tally).map_err(|e| corrupt("tally", e))?;
        let storm = row.storm.as_ref();
        self.run(
            "INSERT INTO storms (account, conversation, messages, per, tally, at, since, drawn,
                                 cost, told_at, told, waiting)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
             ON CONFLICT (account, conversation) DO UPDATE SET
               messages = excluded.messages, per = excluded.per, tally = excluded.tally,
               at = excluded.at, since = excluded.since, drawn = excluded.drawn,
               cost = excluded.cost, told_at = excluded.told_at, told = excluded.told,
               waiting = excluded.waiting",
            params![
                account_key(account),
                conversation.name(),
                row.limit.messages.get(),
                i64::try_from(row.limit.per.as_millis()).unwrap_or(i64::MAX),
                tally,
                millis(row.at),
                storm.map(|storm| millis(storm.since)),
                storm.map_or(0, |storm| storm.messages),
                storm.map_or(0, |storm| stored(storm.cost.micros())),
                row.told.map(|(at, _)| millis(at)),
                row.told.map_or(0, |(_, told)| told),
                row.waiting,
            ],
        )
    }

    /// Conversations in storm.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn storms(
        &self,
        limit: usize,
    ) -> Result<Vec<(AccountId, ConversationId, StormRow)>, StoreError> {
        let sql = format!(
            "SELECT account, conversation, {STORM} FROM storms WHERE since IS NOT NULL LIMIT ?1"
        );
        let rows = self.rows(&sql, [count(limit)], |row| {
            let key: (i64, String) = (row.get(0)?, row.get(1)?);
            Ok((key, read_storm(row, 2)?))
        })?;
        let typed = rows
            .into_iter()
            .map(|((id, name), row)| match name.parse() {
                Ok(conversation) => Ok((account(id)?, conversation, row)),
                Err(_unreadable) => Err(corrupt("conversation", name)),
            });
        typed.collect()
    }

    /// Holds a message back; false when it is held back already.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn hold_message(&self, new: NewHeld<'_>) -> Result<bool, StoreError> {
        let added = self.execute(
            "INSERT INTO held (account, post, conversation, app, received_at, body, at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
            params![
                account_key(new.account),
                stored(new.post.get()),
                new.conversation.name(),
                new.app,
                millis(new.received_at),
                new.body,
                millis(new.at),
            ],
        )?;
        Ok(added > 0)
    }

    /// Whether a message is held back.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn is_held(&self, account: AccountId, post: TweetId) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM held WHERE account = ?1 AND post = ?2";
        let key = [account_key(account), stored(post.get())];
        Ok(self.row(sql, key, |_row| Ok(()))?.is_some())
    }

    /// How many messages of a conversation wait that were held back since then.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn held_count(
        &self,
        account: AccountId,
        conversation: &ConversationId,
        since: Timestamp,
    ) -> Result<u64, StoreError> {
        let count = self.row(
            "SELECT count(*) FROM held
             WHERE account = ?1 AND conversation = ?2 AND at >= ?3",
            params![account_key(account), conversation.name(), millis(since)],
            |row| row.get(0),
        )?;
        Ok(count.map_or(0, number))
    }

    /// Bytes of all deliveries held back.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn held_bytes(&self) -> Result<u64, StoreError> {
        self.size("held")
    }

    pub(super) fn size(&self, table: &str) -> Result<u64, StoreError> {
        Ok(self.row(SIZE, [table], |row| row.get(0))?.map_or(0, number))
    }

    /// Conversations of which messages are held back, those with the oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn held_conversations(&self, limit: usize) -> Result<Vec<HeldConversation>, StoreError> {
        let rows = self.rows(
            "SELECT account, conversation, count(*), min(at) AS oldest FROM held
             GROUP BY account, conversation ORDER BY oldest LIMIT ?1",
            [count(limit)],
            |row| {
                let (account, conversation) = (row.get::<i64>(0)?, row.get(1)?);
                let (messages, oldest) = (number(row.get(2)?), timestamp(row.get(3)?));
                Ok((account, conversation, messages, oldest))
            },
        )?;
        let typed = rows
            .into_iter()
            .map(|(id, conversation, messages, oldest)| {
                Ok(HeldConversation {
                    account: account(id)?,
                    conversation,
                    messages,
                    oldest,
                })
            });
        typed.collect()
    }

    /// Lets through what is held back in a conversation, or in the one it has become a part of, of
    /// one account where given; how many.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn request_release(
        &self,
        account: Option<AccountId>,
        conversation: &ConversationId,
    ) -> Result<u64, StoreError> {
        let asked = self.execute(
            "UPDATE held SET released = 1
             WHERE released = 0 AND (account = ?1 OR ?1 IS NULL)
               AND (conversation = ?2 OR conversation = (
                 SELECT survivor FROM conversations
                 WHERE conversations.account = held.account AND conversations.id = ?2))",
            params![account.map(account_key), conversation.name()],
        )?;
        Ok(asked as u64)
    }

    /// Messages that were let through and are not published yet, in the order in which they came.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn released(&self, limit: usize) -> Result<Vec<Held>, StoreError> {
        let rows = self.rows(
            "SELECT id, account, post, app, received_at, body FROM held
             WHERE released = 1 ORDER BY id LIMIT ?1",
            [count(limit)],
            |row| {
                let (id, account, post) = (row.get::<i64>(0)?, row.get(1)?, row.get(2)?);
                let rest: (String, i64, Vec<u8>) = (row.get(3)?, row.get(4)?, row.get(5)?);
                Ok((id, account, post, rest))
            },
        )?;
        let typed = rows.into_iter().map(|(id, of, post, (app, at, body))| {
            let post: i64 = post;
            Ok(Held {
                id: number(id),
                account: account(of)?,
                post: TweetId::from_number(number(post)).ok_or_else(|| corrupt("post", post))?,
                app,
                received_at: timestamp(at),
                body,
            })
        });
        typed.collect()
    }

    /// Forgets a message that was not published, held back or not: it is gone at X. `event` is the id
    /// that its event would have. How many rows told of it.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn forget_unpublished(
        &self,
        account: AccountId,
        post: TweetId,
        event: EventId,
    ) -> Result<usize, StoreError> {
        let held = self.execute(
            "DELETE FROM held WHERE account = ?1 AND post = ?2",
            [account_key(account), stored(post.get())],
        )?;
        let seen = self.execute(
            "DELETE FROM sightings WHERE sequence = (SELECT sequence FROM seen WHERE id = ?1)",
            [event.0],
        )?;
        Ok(held + seen)
    }

    /// Ends the wait of a message held back.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn release_held(&self, id: u64) -> Result<(), StoreError> {
        self.run("DELETE FROM held WHERE id = ?1", [stored(id)])
    }

    /// The account has written in a customer's case.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn note_answered(
        &self,
        account: AccountId,
        conversation: &ConversationId,
        customer: UserId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.run(
            "INSERT INTO answered (account, conversation, customer, at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (account, conversation, customer) DO UPDATE SET at = excluded.at",
            params![
                account_key(account),
                conversation.name(),
                stored(customer.get()),
                millis(at)
            ],
        )
    }

    /// Whether the account has written in a customer's case.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn is_answered(
        &self,
        account: AccountId,
        conversation: &ConversationId,
        customer: UserId,
    ) -> Result<bool, StoreError> {
        let found = self.row(
            "SELECT 1 FROM answered WHERE account = ?1 AND conversation = ?2 AND customer = ?3",
            params![
                account_key(account),
                conversation.name(),
                stored(customer.get())
            ],
            |_row| Ok(()),
        )?;
        Ok(found.is_some())
    }

    /// A conversation has become part of another one: so have its storm, what is held back in it,
    /// and its answers.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn merge_storms(
        &self,
        account: AccountId,
        merged: &ConversationId,
        survivor: &ConversationId,
    ) -> Result<(), StoreError> {
        let names = params![account_key(account), merged.name(), survivor.name()];
        let held = self.execute(
            "UPDATE held SET conversation = ?3 WHERE account = ?1 AND conversation = ?2",
            names,
        )?;
        for (table, same) in [
            ("storms", ""),
            ("answered", " AND other.customer = answered.customer"),
        ] {
            // Where both have one, that of the survivor goes on.
            let sql = format!(
                "UPDATE {table} SET conversation = ?3 WHERE account = ?1 AND conversation = ?2
                   AND NOT EXISTS (SELECT 1 FROM {table} AS other
                                   WHERE other.account = ?1 AND other.conversation = ?3{same})"
            );
            self.run(&sql, names)?;
            let sql = format!("DELETE FROM {table} WHERE account = ?1 AND conversation = ?2");
            self.run(&sql, params![account_key(account), merged.name()])?;
        }
        if held > 0 {
            self.run(
                "UPDATE storms SET waiting = 1 WHERE account = ?1 AND conversation = ?2",
                params![account_key(account), survivor.name()],
            )?;
        }
        Ok(())
    }

    /// Forgets at most `limit` messages held back since before `before`; how many.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn prune_held(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        // In the order in which they came: the first that is young ends the search.
        self.execute(
            "DELETE FROM held WHERE id IN (
               SELECT id FROM (SELECT id, at FROM held ORDER BY id LIMIT ?2) AS oldest
               WHERE at < ?1)",
            params![millis(before), count(limit)],
        )
    }

    /// Forgets at most `limit` conversations that are calm by `now` and have nothing held back, and
    /// as many answers from before `before`; how many.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn prune_storms(
        &self,
        now: Timestamp,
        before: Timestamp,
        limit: usize,
    ) -> Result<usize, StoreError> {
        let calm = self.execute(
            "DELETE FROM storms WHERE (account, conversation) IN (
               SELECT account, conversation FROM storms AS calm
               WHERE since IS NULL AND at + per < ?1
                 AND (waiting = 0 OR NOT EXISTS (
                   SELECT 1 FROM held WHERE held.account = calm.account
                     AND held.conversation = calm.conversation))
               LIMIT ?2)",
            params![millis(now), count(limit)],
        )?;
        let answers = self.execute(
            "DELETE FROM answered WHERE (account, conversation, customer) IN (
               SELECT account, conversation, customer FROM answered WHERE at < ?1 LIMIT ?2)",
            params![millis(before), count(limit)],
        )?;
        Ok(calm + answers)
    }
}
