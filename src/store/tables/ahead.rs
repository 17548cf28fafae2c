//! What the works of one transaction will ask for, read for all of them at once: on an engine behind a
//! network each question by itself is a round trip.
//!
//! What was read holds until something else is written than the methods here keep up with.

use std::collections::HashMap;

use super::cases::{Key, Touched};
use super::journal::Seen;
use super::threads::{ConversationRow, PostRow, account_key, read_conversation, read_post};
use super::tx::{Tx, number, stored};
use crate::domain::ids::{AccountId, ConversationId, EventId, TweetId, UserId};
use crate::store::StoreError;
use crate::store::sql::{ToValue, Value};

/// What a work is going to ask for, as far as can be told before. Whatever it leaves out is read when
/// it is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Foresight {
    /// Whether they were decided on: [`Tx::seen`].
    pub events: Vec<EventId>,
    pub posts: Vec<(AccountId, TweetId)>,
    pub conversations: Vec<(AccountId, ConversationId)>,
    /// Whose cases are looked for: [`Tx::related`].
    pub customers: Vec<(AccountId, UserId)>,
}

/// A conversation, and what it was merged into.
type Conversation = (ConversationRow, Option<String>);

/// What was read ahead; `None` for what is not there.
#[derive(Default)]
pub(super) struct Ahead {
    pub seen: HashMap<EventId, Option<Seen>>,
    pub posts: HashMap<(i64, TweetId), Option<PostRow>>,
    pub conversations: HashMap<(i64, String), Option<Conversation>>,
    pub cases: HashMap<Key, Vec<Touched>>,
    pub any_erased: Option<bool>,
}

impl Ahead {
    /// Keeps up with a conversation that was stored.
    pub(super) fn put_conversation(&mut self, account: i64, id: String, row: &ConversationRow) {
        if let Some(known) = self.conversations.get_mut(&(account, id)) {
            let survivor = known.take().and_then(|(_, survivor)| survivor);
            *known = Some((row.clone(), survivor));
        }
    }
}

impl Tx<'_> {
    /// Reads what works are going to ask for.
    pub(in crate::store) fn look_ahead(&self, wanted: &Foresight) -> Result<(), StoreError> {
        if !self.conn.is_shared() || *wanted == Foresight::default() {
            return Ok(());
        }
        let ahead = Ahead {
            seen: self.seen_ahead(&wanted.events)?,
            posts: self.posts_ahead(&wanted.posts)?,
            conversations: self.conversations_ahead(&wanted.conversations)?,
            cases: self.cases_ahead(&wanted.customers)?,
            any_erased: Some(self.any_erased()?),
        };
        self.ahead.replace(ahead);
        Ok(())
    }

    fn seen_ahead(&self, events: &[EventId]) -> Result<HashMap<EventId, Option<Seen>>, StoreError> {
        let mut found: HashMap<_, _> = events.iter().map(|id| (*id, None)).collect();
        let sets: Vec<_> = events.iter().map(|id| vec![id.0.to_value()]).collect();
        let sql = "SELECT sequence, wanted FROM seen WHERE id = ?1";
        self.conn.query_each(sql, &sets, &mut |place, row| {
            let seen = Seen {
                sequence: number(row.get(0)?),
                wanted: row.get(1)?,
            };
            if let Some(id) = events.get(place) {
                found.insert(*id, Some(seen));
            }
            Ok(())
        })?;
        Ok(found)
    }

    fn posts_ahead(
        &self,
        posts: &[(AccountId, TweetId)],
    ) -> Result<HashMap<(i64, TweetId), Option<PostRow>>, StoreError> {
        let key = |(account, id): &(AccountId, TweetId)| (account_key(*account), *id);
        let mut found: HashMap<_, _> = posts.iter().map(|post| (key(post), None)).collect();
        let numbers = posts.iter().map(key);
        let sets: Vec<_> = numbers
            .map(|(account, id)| [account, stored(id.get())].map(Value::Integer).to_vec())
            .collect();
        let sql = "SELECT thread, author, customer, original, latest, event FROM posts
             WHERE account = ?1 AND id = ?2";
        self.conn.query_each(sql, &sets, &mut |place, row| {
            if let Some(post) = posts.get(place) {
                found.insert(key(post), Some(read_post(row, post.1)?));
            }
            Ok(())
        })?;
        Ok(found)
    }

    fn conversations_ahead(
        &self,
        conversations: &[(AccountId, ConversationId)],
    ) -> Result<HashMap<(i64, String), Option<Conversation>>, StoreError> {
        let keys: Vec<(i64, String)> = conversations
            .iter()
            .map(|(account, id)| (account_key(*account), id.name()))
            .collect();
        let mut found: HashMap<_, _> = keys.iter().map(|key| (key.clone(), None)).collect();
        let sets: Vec<_> = keys
            .iter()
            .map(|(account, id)| vec![account.to_value(), id.to_value()])
            .collect();
        let sql =
            "SELECT first_sequence, received_at, route_group, route_filter, route_tags, survivor
             FROM conversations WHERE account = ?1 AND id = ?2";
        self.conn.query_each(sql, &sets, &mut |place, row| {
            if let Some(key) = keys.get(place) {
                found.insert(key.clone(), Some((read_conversation(row)?, row.get(5)?)));
            }
            Ok(())
        })?;
        Ok(found)
    }

    fn cases_ahead(
        &self,
        customers: &[(AccountId, UserId)],
    ) -> Result<HashMap<Key, Vec<Touched>>, StoreError> {
        let keys: Vec<Key> = customers
            .iter()
            .map(|(account, customer)| (account_key(*account), stored(customer.get())))
            .collect();
        let mut found: HashMap<Key, Vec<Touched>> =
            keys.iter().map(|key| (*key, Vec::new())).collect();
        // Each once: what is found is added to what was found before.
        let keys: Vec<Key> = found.keys().copied().collect();
        let sets: Vec<_> = keys
            .iter()
            .map(|(account, customer)| [*account, *customer].map(Value::Integer).to_vec())
            .collect();
        let sql = "SELECT conversation, at FROM cases WHERE account = ?1 AND customer = ?2";
        self.conn.query_each(sql, &sets, &mut |place, row| {
            if let Some(cases) = keys.get(place).and_then(|key| found.get_mut(key)) {
                cases.push((row.get(0)?, row.get(1)?));
            }
            Ok(())
        })?;
        Ok(found)
    }
}

impl Foresight {
    /// Adds what another work is going to ask for.
    pub(in crate::store) fn extend(&mut self, other: &Self) {
        self.events.extend(&other.events);
        self.posts.extend(&other.posts);
        self.conversations.extend_from_slice(&other.conversations);
        self.customers.extend(&other.customers);
    }
}
