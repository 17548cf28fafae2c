//! Posts known by id, the conversations they make, and whose cases those are.

use std::iter;

use jiff::Timestamp;

use super::tx::{Put, Tx, millis, number, put, stored, timestamp};
use crate::domain::ids::{AccountId, ConversationId, EventId, TweetId, UserId};
use crate::store::StoreError;
use crate::store::sql::{self, Owned, Row, ToValue, params};

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

/// A table whose old rows are found by going through it.
struct Swept {
    table: &'static str,
    /// The columns of its key.
    key: &'static str,
    /// Which rows are old: ?1 is a day, see `day`.
    old: &'static str,
}

const SWEPT: [Swept; 3] = [
    Swept {
        table: "posts",
        key: "account, id",
        old: "day < ?1",
    },
    Swept {
        table: "conversations",
        key: "account, id",
        old: "day < ?1 AND NOT EXISTS
          (SELECT 1 FROM conversations AS kept
           WHERE kept.account = conversations.account AND kept.id = conversations.survivor
             AND kept.day >= ?1)",
    },
    Swept {
        table: "cases",
        key: "account, customer, conversation",
        old: "at < CAST(?1 AS BIGINT) * 86400000",
    },
];

/// How far a clean-up has gone through the tables of threads; at first it has not begun.
#[derive(Clone, Debug, Default)]
pub struct ThreadsSweep {
    /// Index of the table it is in, and the last key it has looked at there.
    table: usize,
    after: Vec<Owned>,
    /// Rows that went since it began.
    pub removed: usize,
    /// How often it has been through all of them.
    pub passes: usize,
}

pub(super) fn day(at: Timestamp) -> i64 {
    at.as_second().div_euclid(24 * 3600)
}

fn user(stored: Option<i64>) -> Option<UserId> {
    stored.and_then(|id| UserId::from_number(number(id)))
}

fn tweet(stored: Option<i64>) -> Option<TweetId> {
    stored.and_then(|id| TweetId::from_number(number(id)))
}

pub(super) fn account_key(account: AccountId) -> i64 {
    stored(account.0.get())
}

/// Not REPLACE: beside indexes that copies each page it touches, for a roll-back.
const PUT_POST: Put = put!(
    "INSERT INTO posts (account, id, thread, author, customer, original, latest, event, day)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    "ON CONFLICT (account, id) DO UPDATE SET
       thread = excluded.thread, author = excluded.author, customer = excluded.customer,
       original = excluded.original, latest = excluded.latest, event = excluded.event,
       day = excluded.day"
);
const PUT_CONVERSATION: Put = put!(
    "INSERT INTO conversations
       (account, id, first_sequence, received_at, route_group, route_filter, route_tags, day)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    "ON CONFLICT (account, id) DO UPDATE SET
       first_sequence = excluded.first_sequence, received_at = excluded.received_at,
       route_group = excluded.route_group, route_filter = excluded.route_filter,
       route_tags = excluded.route_tags, day = excluded.day"
);

pub(super) const POST: &str = "SELECT thread, author, customer, original, latest, event FROM posts
    WHERE account = ?1 AND id = ?2";
/// Its last column is what it was merged into.
pub(super) const CONVERSATION: &str =
    "SELECT first_sequence, received_at, route_group, route_filter, route_tags, survivor
     FROM conversations WHERE account = ?1 AND id = ?2";

pub(super) fn read_post(row: &Row<'_>, id: TweetId) -> sql::Result<PostRow> {
    Ok(PostRow {
        thread: tweet(row.get(0)?).unwrap_or(id),
        author: user(row.get(1)?),
        customer: user(row.get(2)?),
        original: tweet(row.get(3)?),
        latest: tweet(row.get(4)?),
        event: row.get::<Option<[u8; 16]>>(5)?.map(EventId),
    })
}

pub(super) fn read_conversation(row: &Row<'_>) -> sql::Result<ConversationRow> {
    Ok(ConversationRow {
        first_sequence: row.get::<Option<i64>>(0)?.map(number),
        received_at: row.get::<Option<i64>>(1)?.map(timestamp),
        group: row.get(2)?,
        filter: row.get(3)?,
        tags: serde_json::from_str(&row.get::<String>(4)?).unwrap_or_default(),
    })
}

/// What a conversation was merged into, or itself.
pub(super) fn survivor_or(survivor: Option<&str>, itself: ConversationId) -> ConversationId {
    let survivor = survivor.and_then(|name| name.parse().ok());
    survivor.unwrap_or(itself)
}

impl Tx<'_> {
    /// What is known of a post.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn post(&self, account: AccountId, id: TweetId) -> Result<Option<PostRow>, StoreError> {
        if let Some(known) = self.ahead.borrow().posts.get(&(account_key(account), id)) {
            return Ok(known.clone());
        }
        let key = [account_key(account), stored(id.get())];
        self.row(POST, key, |row| read_post(row, id))
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
        let is_new = self
            .ahead
            .borrow_mut()
            .put_post((account_key(account), id), post);
        self.put(
            &PUT_POST,
            is_new,
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
        let key = (account_key(account), id.name());
        let known = self.ahead.borrow().conversations.get(&key).cloned();
        let survivor = match known {
            Some(known) => known.and_then(|(_, survivor)| survivor),
            None => self
                .row(
                    "SELECT survivor FROM conversations WHERE account = ?1 AND id = ?2",
                    params![key.0, key.1],
                    |row| row.get::<Option<String>>(0),
                )?
                .flatten(),
        };
        Ok(survivor_or(survivor.as_deref(), id.clone()))
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
        let key = (account_key(account), id.name());
        if let Some(known) = self.ahead.borrow().conversations.get(&key) {
            return Ok(known.as_ref().map(|(row, _)| row.clone()));
        }
        self.row(CONVERSATION, params![key.0, key.1], read_conversation)
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
        let key = (account_key(account), id.name());
        let is_new = self.ahead.borrow_mut().put_conversation(key, row);
        self.put(
            &PUT_CONVERSATION,
            is_new,
            params![
                account_key(account),
                id.name(),
                row.first_sequence.map(stored),
                row.received_at.map(millis),
                row.group,
                row.filter,
                serde_json::Value::from(row.tags.clone()).to_string(),
                day(at),
            ],
        )
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
        let names = (merged.name(), survivor.name());
        self.run(
            "UPDATE conversations SET survivor = ?3 WHERE account = ?1 AND survivor = ?2",
            params![account_key(account), names.0, names.1],
        )?;
        self.run(
            "INSERT INTO conversations (account, id, survivor, day) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (account, id) DO UPDATE SET survivor = excluded.survivor",
            params![account_key(account), names.0, names.1, day(at)],
        )?;
        Ok(())
    }

    /// Looks at the next `limit` rows of posts, conversations and cases, and forgets those untouched
    /// since the day of `before`. A merged conversation stays as long as its survivor: posts still
    /// name it.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn prune_threads(
        &self,
        before: Timestamp,
        mut sweep: ThreadsSweep,
        limit: usize,
    ) -> Result<ThreadsSweep, StoreError> {
        let Some(swept) = SWEPT.get(sweep.table) else {
            return Ok(ThreadsSweep {
                table: 0,
                passes: sweep.passes + 1,
                ..sweep
            });
        };
        let last = self.key_after(swept, &sweep.after, limit)?;
        sweep.removed += self.delete_old(swept, day(before), &sweep.after, last.as_deref())?;
        if last.is_none() {
            sweep.table += 1;
        }
        sweep.after = last.unwrap_or_default();
        Ok(sweep)
    }

    /// The key `limit` rows after another one; none where the table ends before.
    fn key_after(
        &self,
        swept: &Swept,
        after: &[Owned],
        limit: usize,
    ) -> Result<Option<Vec<Owned>>, StoreError> {
        let Swept { table, key, .. } = swept;
        let (beyond, offset) = (beyond(key, after, 1), limit.saturating_sub(1));
        let sql = format!(
            "SELECT {key} FROM {table} WHERE {beyond} ORDER BY {key} LIMIT 1 OFFSET {offset}"
        );
        let columns = key.split(", ").count();
        let after: Vec<&dyn ToValue> = after.iter().map(|value| value as &dyn ToValue).collect();
        self.row(&sql, after.as_slice(), |row| {
            (0..columns).map(|column| row.get(column)).collect()
        })
    }

    fn delete_old(
        &self,
        swept: &Swept,
        day: i64,
        after: &[Owned],
        last: Option<&[Owned]>,
    ) -> Result<usize, StoreError> {
        let Swept { table, key, old } = swept;
        let (last, beyond) = (last.unwrap_or_default(), beyond(key, after, 2));
        let within = match last {
            [] => "true".to_owned(),
            last => format!("({key}) <= ({})", marks(after.len() + 2, last.len())),
        };
        let sql = format!("DELETE FROM {table} WHERE {old} AND {beyond} AND {within}");
        let day = Owned::Integer(day);
        let params: Vec<&dyn ToValue> = iter::once(&day)
            .chain(after)
            .chain(last)
            .map(|value| value as &dyn ToValue)
            .collect();
        self.execute(&sql, params.as_slice())
    }
}

/// The condition that a key comes after another one, which is bound from `first` on; none comes
/// before all.
fn beyond(key: &str, after: &[Owned], first: usize) -> String {
    match after {
        [] => "true".to_owned(),
        after => format!("({key}) > ({})", marks(first, after.len())),
    }
}

fn marks(first: usize, count: usize) -> String {
    let marks: Vec<_> = (first..first + count).map(|n| format!("?{n}")).collect();
    marks.join(", ")
}
