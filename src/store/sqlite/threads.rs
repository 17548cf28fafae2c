//! Posts known by id, the conversations they make, and whose cases those are.

use jiff::Timestamp;
use rusqlite::params;

use super::tx::{Tx, millis, number, stored, timestamp};
use crate::domain::ids::{AccountId, ConversationId, EventId, TweetId, UserId};
use crate::store::StoreError;

/// What is known of a post, for one account.
#[derive(Clone, Debug, PartialEq)]
pub struct PostRow {
    /// Root id as first resolved; its conversation may have been merged since.
    pub thread: TweetId,
    /// `None`: only pointed to by another post.
    pub author: Option<UserId>,
    /// Whose case it belongs to.
    pub customer: Option<UserId>,
    /// The first version, where this is a later one.
    pub original: Option<TweetId>,
    /// On a first version: the newest version published, and the event that did.
    pub latest: Option<TweetId>,
    pub event: Option<EventId>,
}

/// A conversation of an account.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConversationRow {
    /// Sequence of the first event published in it; `None` while nothing was.
    pub first_sequence: Option<u64>,
    /// When the last `message.received` was published in it.
    pub received_at: Option<Timestamp>,
    pub group: String,
    pub filter: String,
    pub tags: Vec<String>,
}

/// Most conversations of a customer that are told of.
const RELATED: usize = 20;

/// ?1 is a day, see `day`.
const PRUNE: [&str; 3] = [
    "DELETE FROM posts WHERE (account, id) IN
       (SELECT account, id FROM posts WHERE day < ?1 LIMIT ?2)",
    "DELETE FROM conversations WHERE (account, id) IN
       (SELECT account, id FROM conversations AS old
        WHERE day < ?1 AND NOT EXISTS
          (SELECT 1 FROM conversations AS kept
           WHERE kept.account = old.account AND kept.id = old.survivor AND kept.day >= ?1)
        LIMIT ?2)",
    "DELETE FROM cases WHERE (account, customer, conversation) IN
       (SELECT account, customer, conversation FROM cases WHERE at < ?1 * 86400000 LIMIT ?2)",
];

fn day(at: Timestamp) -> i64 {
    at.as_second().div_euclid(24 * 3600)
}

fn user(stored: Option<i64>) -> Option<UserId> {
    stored.and_then(|id| UserId::from_number(number(id)))
}

fn tweet(stored: Option<i64>) -> Option<TweetId> {
    stored.and_then(|id| TweetId::from_number(number(id)))
}

fn account_key(account: AccountId) -> i64 {
    stored(account.0.get())
}

impl Tx<'_> {
    /// What is known of a post.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn post(&self, account: AccountId, id: TweetId) -> Result<Option<PostRow>, StoreError> {
        self.row(
            "SELECT thread, author, customer, original, latest, event FROM posts
             WHERE account = ?1 AND id = ?2",
            [account_key(account), stored(id.get())],
            |row| {
                Ok(PostRow {
                    thread: tweet(row.get(0)?).unwrap_or(id),
                    author: user(row.get(1)?),
                    customer: user(row.get(2)?),
                    original: tweet(row.get(3)?),
                    latest: tweet(row.get(4)?),
                    event: row.get::<_, Option<[u8; 16]>>(5)?.map(EventId),
                })
            },
        )
    }

    /// Stores what is known of a post, in place of what was.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn put_post(
        &self,
        account: AccountId,
        id: TweetId,
        post: &PostRow,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.execute(
            // Not REPLACE: beside indexes that copies each page it touches, for a roll-back.
            "INSERT INTO posts
               (account, id, thread, author, customer, original, latest, event, day)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (account, id) DO UPDATE SET
               thread = excluded.thread, author = excluded.author, customer = excluded.customer,
               original = excluded.original, latest = excluded.latest, event = excluded.event,
               day = excluded.day",
            params![
                account_key(account),
                stored(id.get()),
                stored(post.thread.get()),
                post.author.map(|id| stored(id.get())),
                post.customer.map(|id| stored(id.get())),
                post.original.map(|id| stored(id.get())),
                post.latest.map(|id| stored(id.get())),
                post.event.map(|id| id.0),
                day(at),
            ],
        )
        .map(drop)
    }

    /// The conversation that `id` has become by merging; itself when it was not merged.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn survivor(
        &self,
        account: AccountId,
        id: &ConversationId,
    ) -> Result<ConversationId, StoreError> {
        let name = id.to_string();
        let survivor: Option<Option<String>> = self.row(
            "SELECT survivor FROM conversations WHERE account = ?1 AND id = ?2",
            params![account_key(account), name],
            |row| row.get(0),
        )?;
        Ok(survivor
            .flatten()
            .and_then(|name| name.parse().ok())
            .unwrap_or_else(|| id.clone()))
    }

    /// A conversation as stored.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn conversation(
        &self,
        account: AccountId,
        id: &ConversationId,
    ) -> Result<Option<ConversationRow>, StoreError> {
        self.row(
            "SELECT first_sequence, received_at, route_group, route_filter, route_tags
             FROM conversations WHERE account = ?1 AND id = ?2",
            params![account_key(account), id.to_string()],
            |row| {
                Ok(ConversationRow {
                    first_sequence: row.get::<_, Option<i64>>(0)?.map(number),
                    received_at: row.get::<_, Option<i64>>(1)?.map(timestamp),
                    group: row.get(2)?,
                    filter: row.get(3)?,
                    tags: serde_json::from_str(&row.get::<_, String>(4)?).unwrap_or_default(),
                })
            },
        )
    }

    /// Stores a conversation in place of what was; a merge it took part in stays.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn put_conversation(
        &self,
        account: AccountId,
        id: &ConversationId,
        row: &ConversationRow,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO conversations
               (account, id, first_sequence, received_at, route_group, route_filter, route_tags, day)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (account, id) DO UPDATE SET
               first_sequence = excluded.first_sequence, received_at = excluded.received_at,
               route_group = excluded.route_group, route_filter = excluded.route_filter,
               route_tags = excluded.route_tags, day = excluded.day",
            params![
                account_key(account),
                id.to_string(),
                row.first_sequence.map(stored),
                row.received_at.map(millis),
                row.group,
                row.filter,
                serde_json::Value::from(row.tags.clone()).to_string(),
                day(at),
            ],
        )
        .map(drop)
    }

    /// Makes `merged` a part of `survivor` (or of what that was merged into), with all that was
    /// merged into it before.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn merge_conversation(
        &self,
        account: AccountId,
        merged: &ConversationId,
        survivor: &ConversationId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let survivor = self.survivor(account, survivor)?;
        if *merged == survivor {
            return Ok(());
        }
        let names = (merged.to_string(), survivor.to_string());
        self.execute(
            "UPDATE conversations SET survivor = ?3 WHERE account = ?1 AND survivor = ?2",
            params![account_key(account), names.0, names.1],
        )?;
        self.execute(
            "INSERT INTO conversations (account, id, survivor, day) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (account, id) DO UPDATE SET survivor = excluded.survivor",
            params![account_key(account), names.0, names.1, day(at)],
        )?;
        self.move_cases(account, &names.0, &names.1)
    }

    fn move_cases(&self, account: AccountId, from: &str, to: &str) -> Result<(), StoreError> {
        // A customer of both keeps the newer time.
        self.execute(
            "INSERT INTO cases (account, customer, conversation, at)
             SELECT account, customer, ?3, at FROM cases WHERE account = ?1 AND conversation = ?2
             ON CONFLICT (account, customer, conversation) DO UPDATE SET at = max(at, excluded.at)",
            params![account_key(account), from, to],
        )?;
        self.execute(
            "DELETE FROM cases WHERE account = ?1 AND conversation = ?2",
            params![account_key(account), from],
        )
        .map(drop)
    }

    /// Remembers that a customer takes part in a conversation.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn touch_case(
        &self,
        account: AccountId,
        customer: UserId,
        conversation: &ConversationId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO cases (account, customer, conversation, at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (account, customer, conversation) DO UPDATE SET at = excluded.at",
            params![
                account_key(account),
                stored(customer.get()),
                conversation.to_string(),
                millis(at),
            ],
        )
        .map(drop)
    }

    /// Other conversations of the same customer and account since `since`, newest first, at most
    /// twenty.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn related(
        &self,
        account: AccountId,
        customer: UserId,
        but: &ConversationId,
        since: Timestamp,
    ) -> Result<Vec<ConversationId>, StoreError> {
        // A bound in the statement has SQLite plan it anew for each value, an order with a limit
        // has it build a table.
        let mut found: Vec<(i64, String)> = self.rows(
            "SELECT at, conversation FROM cases WHERE account = ?1 AND customer = ?2",
            params![account_key(account), stored(customer.get())],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let but = but.to_string();
        found.retain(|(at, name)| *at >= millis(since) && *name != but);
        found.sort_by(|(at, name), (other_at, other)| other_at.cmp(at).then(name.cmp(other)));
        found.truncate(RELATED);
        Ok(found
            .iter()
            .filter_map(|(_, name)| name.parse().ok())
            .collect())
    }

    /// Forgets at most `limit` each of posts, conversations and cases untouched since the day of
    /// `before`; how many in all. A merged conversation stays as long as its survivor: posts still
    /// name it.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn prune_threads(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        PRUNE.iter().try_fold(0, |removed, sql| {
            let more = self.execute(sql, [day(before), stored(limit as u64)])?;
            Ok(removed + more)
        })
    }
}
