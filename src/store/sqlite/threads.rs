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
            "INSERT OR REPLACE INTO posts
               (account, id, thread, author, customer, original, latest, event, at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                account_key(account),
                stored(id.get()),
                stored(post.thread.get()),
                post.author.map(|id| stored(id.get())),
                post.customer.map(|id| stored(id.get())),
                post.original.map(|id| stored(id.get())),
                post.latest.map(|id| stored(id.get())),
                post.event.map(|id| id.0),
                millis(at),
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
               (account, id, first_sequence, received_at, route_group, route_filter, route_tags, at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (account, id) DO UPDATE SET
               first_sequence = excluded.first_sequence, received_at = excluded.received_at,
               route_group = excluded.route_group, route_filter = excluded.route_filter,
               route_tags = excluded.route_tags, at = excluded.at",
            params![
                account_key(account),
                id.to_string(),
                row.first_sequence.map(stored),
                row.received_at.map(millis),
                row.group,
                row.filter,
                serde_json::Value::from(row.tags.clone()).to_string(),
                millis(at),
            ],
        )
        .map(drop)
    }

    /// Makes `merged` a part of `survivor`, with all that was merged into it before.
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
        let names = (merged.to_string(), survivor.to_string());
        self.execute(
            "UPDATE conversations SET survivor = ?3 WHERE account = ?1 AND survivor = ?2",
            params![account_key(account), names.0, names.1],
        )?;
        self.execute(
            "INSERT INTO conversations (account, id, survivor, at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (account, id) DO UPDATE SET survivor = excluded.survivor",
            params![account_key(account), names.0, names.1, millis(at)],
        )?;
        self.execute(
            "UPDATE OR REPLACE cases SET conversation = ?3
             WHERE account = ?1 AND conversation = ?2",
            params![account_key(account), names.0, names.1],
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
            "INSERT OR REPLACE INTO cases (account, customer, conversation, at)
             VALUES (?1, ?2, ?3, ?4)",
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
        let names: Vec<String> = self.rows(
            "SELECT conversation FROM cases
             WHERE account = ?1 AND customer = ?2 AND at >= ?3 AND conversation <> ?4
             ORDER BY at DESC, conversation LIMIT 20",
            params![
                account_key(account),
                stored(customer.get()),
                millis(since),
                but.to_string(),
            ],
            |row| row.get(0),
        )?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Forgets at most `limit` posts, conversations and cases untouched since `before`; how many.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn prune_threads(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let mut removed = 0;
        for table in ["posts", "conversations", "cases"] {
            let keys = match table {
                "posts" => "account, id",
                "conversations" => "account, id",
                _ => "account, customer, conversation",
            };
            let sql = format!(
                "DELETE FROM {table} WHERE ({keys}) IN
                   (SELECT {keys} FROM {table} WHERE at < ?1 LIMIT ?2)"
            );
            removed += self.execute(&sql, params![millis(before), stored(limit as u64)])?;
        }
        Ok(removed)
    }
}
