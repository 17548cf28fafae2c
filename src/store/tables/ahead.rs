//! What the works of one transaction will ask for, read for all of them at once: on an engine behind a
//! network each question by itself is a round trip.
//!
//! What was read holds until something else is written than the methods here keep up with.

use std::collections::HashMap;
use std::hash::Hash;

use super::cases::{CASES, Entered, Key, NEWEST, Touched, read_entered};
use super::journal::{SEEN, Seen, read_seen};
use super::persons::{ANY_ERASED, LAST_SEQUENCE};
use super::storms::{JOURNAL, SIZE};
use super::threads::{
    CONVERSATION, ConversationRow, POST, PostRow, account_key, read_conversation, read_post,
};
use super::tx::{number, stored};
use crate::domain::ids::{AccountId, ConversationId, EventId, TweetId, UserId};
use crate::store::StoreError;
use crate::store::sql::{Conn, Question, ToValue, Value};

/// What a work is going to ask for, as far as can be told before. Whatever it leaves out is read when
/// it is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Foresight {
    /// Whether they were decided on: [`Tx::seen`](super::tx::Tx::seen).
    pub events: Vec<EventId>,
    pub posts: Vec<(AccountId, TweetId)>,
    pub conversations: Vec<(AccountId, ConversationId)>,
    /// Whose cases are looked for: [`Tx::related`](super::tx::Tx::related).
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
    pub cases: HashMap<Key, Vec<Entered>>,
    pub any_erased: Option<bool>,
    /// Bytes of the journal's bodies.
    pub journal_bytes: Option<u64>,
}

/// What a writing transaction begins with.
pub(in crate::store) struct Beginning {
    pub(super) last_sequence: u64,
    pub(super) ahead: Ahead,
}

/// These keep up with what is stored, and tell whether it is known that nothing was there.
impl Ahead {
    pub(super) fn put_seen(&mut self, id: EventId, seen: Seen) -> bool {
        let known = self.seen.get_mut(&id);
        known.is_some_and(|known| known.replace(seen).is_none())
    }

    pub(super) fn put_post(&mut self, key: (i64, TweetId), post: &PostRow) -> bool {
        let known = self.posts.get_mut(&key);
        known.is_some_and(|known| known.replace(post.clone()).is_none())
    }

    pub(super) fn put_conversation(&mut self, key: (i64, String), row: &ConversationRow) -> bool {
        let Some(known) = self.conversations.get_mut(&key) else {
            return false;
        };
        let before = known.take();
        let is_new = before.is_none();
        *known = Some((row.clone(), before.and_then(|(_, survivor)| survivor)));
        is_new
    }

    pub(super) fn put_case(&mut self, key: Key, (conversation, at): &Touched) -> bool {
        let Some(known) = self.cases.get_mut(&key) else {
            return false;
        };
        let are_all_known = known.len() < NEWEST;
        let mut touched = known.iter_mut().map(|entered| &mut entered.touched);
        match touched.find(|(known, _)| known == conversation) {
            Some((_, newest)) => {
                *newest = (*newest).max(*at);
                false
            }
            None => {
                // What it was merged into is not known here: who asks for the customer's cases reads it.
                self.cases.remove(&key);
                are_all_known
            }
        }
    }
}

/// Keys, each once (what is found of one is added to what was found before), of none of which
/// anything is known.
fn unknown<K: Clone + Eq + Hash, T: Default>(
    keys: impl Iterator<Item = K>,
) -> (Vec<K>, HashMap<K, T>) {
    let known: HashMap<K, T> = keys.map(|key| (key, T::default())).collect();
    (known.keys().cloned().collect(), known)
}

/// The key in a place, and what is known of it.
fn at<'k, K: Eq + Hash, T>(
    keys: &'k [K],
    known: &'k mut HashMap<K, T>,
    place: usize,
) -> Result<(&'k K, &'k mut T), StoreError> {
    let key = keys.get(place);
    let found = key.and_then(|key| Some((key, known.get_mut(key)?)));
    found.ok_or_else(|| StoreError::Corrupt {
        what: "place of an answer",
        value: place.to_string(),
    })
}

impl Beginning {
    /// Reads it, with what the works of the transaction are going to ask for where each question by
    /// itself would cost a round trip.
    pub(in crate::store) fn read(conn: Conn<'_>, wanted: &Foresight) -> Result<Self, StoreError> {
        let mut last_sequence = 0;
        let first = Question {
            sql: LAST_SEQUENCE,
            sets: vec![Vec::new()],
            each: Box::new(|_, row| {
                last_sequence = row.get::<Option<i64>>(0)?.map_or(0, number);
                Ok(())
            }),
        };
        let ahead = match conn.is_shared() && *wanted != Foresight::default() {
            true => Ahead::read(conn, wanted, first)?,
            false => conn.ask(vec![first]).map(|()| Ahead::default())?,
        };
        Ok(Self {
            last_sequence,
            ahead,
        })
    }
}

impl Ahead {
    /// Reads what is wanted, and asks `first` along with it.
    fn read(conn: Conn<'_>, wanted: &Foresight, first: Question<'_>) -> Result<Self, StoreError> {
        let Foresight {
            events,
            posts,
            conversations,
            customers,
        } = wanted;
        let (events, seen) = unknown(events.iter().copied());
        let key = |(account, id): &(AccountId, TweetId)| (account_key(*account), *id);
        let (posts, known_posts) = unknown(posts.iter().map(key));
        let key = |(account, id): &(AccountId, ConversationId)| (account_key(*account), id.name());
        let (conversations, known_conversations) = unknown(conversations.iter().map(key));
        let key = |(account, id): &(AccountId, UserId)| (account_key(*account), stored(id.get()));
        let (customers, cases) = unknown(customers.iter().map(key));
        let mut ahead = Self {
            seen,
            posts: known_posts,
            conversations: known_conversations,
            cases,
            any_erased: None,
            journal_bytes: None,
        };
        conn.ask(vec![
            first,
            Question {
                sql: ANY_ERASED,
                sets: vec![Vec::new()],
                each: Box::new(|_, row| {
                    ahead.any_erased = Some(row.get(0)?);
                    Ok(())
                }),
            },
            Question {
                sql: SIZE,
                sets: vec![vec![Value::Text(JOURNAL)]],
                each: Box::new(|_, row| {
                    ahead.journal_bytes = Some(number(row.get(0)?));
                    Ok(())
                }),
            },
            Question {
                sql: SEEN,
                sets: events.iter().map(|id| vec![id.0.to_value()]).collect(),
                each: Box::new(|place, row| {
                    *at(&events, &mut ahead.seen, place)?.1 = Some(read_seen(row)?);
                    Ok(())
                }),
            },
            Question {
                sql: POST,
                sets: numbers(
                    posts
                        .iter()
                        .map(|(account, id)| (*account, stored(id.get()))),
                ),
                each: Box::new(|place, row| {
                    let ((_, id), known) = at(&posts, &mut ahead.posts, place)?;
                    *known = Some(read_post(row, *id)?);
                    Ok(())
                }),
            },
            Question {
                sql: CONVERSATION,
                sets: conversations
                    .iter()
                    .map(|(account, id)| vec![account.to_value(), id.to_value()])
                    .collect(),
                each: Box::new(|place, row| {
                    let (_, known) = at(&conversations, &mut ahead.conversations, place)?;
                    *known = Some((read_conversation(row)?, row.get(5)?));
                    Ok(())
                }),
            },
            Question {
                sql: CASES,
                sets: numbers(customers.iter().copied()),
                each: Box::new(|place, row| {
                    let (_, cases) = at(&customers, &mut ahead.cases, place)?;
                    cases.push(read_entered(row)?);
                    Ok(())
                }),
            },
        ])?;
        Ok(ahead)
    }
}

fn numbers<'q>(keys: impl Iterator<Item = (i64, i64)>) -> Vec<Vec<Value<'q>>> {
    keys.map(|(one, other)| vec![Value::Integer(one), Value::Integer(other)])
        .collect()
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
