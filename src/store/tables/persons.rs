//! What is held of a person, found and erased; and what has to go once it may.
//!
//! Reads go through a table part by part, writes change few rows: deliveries must not wait behind
//! either.

use std::collections::HashSet;

use jiff::Timestamp;

use super::journal::{JournalRow, Seen};
use super::threads::{PostRow, account_key};
use super::tx::{Tx, count, millis, number, stored, timestamp};
use crate::domain::ids::{AccountId, ConversationId, EventId, MessageNumber, TweetId, UserId};
use crate::store::sql::params;
use crate::store::{CommandRow, StoreError};

/// Of a part of a table, the rows that were looked for.
#[derive(Clone, Debug)]
pub struct Page<T> {
    pub rows: Vec<T>,
    /// Where the next part begins; `None`: there is none.
    pub last: Option<u64>,
}

/// A place among the posts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostKey(i64, i64);

/// Posts that a person wrote, or that are of the person's case, from a part of the table.
#[derive(Clone, Debug)]
pub struct PostsOf {
    pub posts: Vec<(AccountId, TweetId, PostRow)>,
    /// Where the next part begins; `None`: there is none.
    pub last: Option<PostKey>,
}

/// A decision on an event of a person's case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenOf {
    pub seen: Seen,
    pub id: EventId,
}

/// Where deliveries are kept whole, as rows with `id` and `body`. Whatever else comes to keep words of
/// people has to be named here (or be told of in `flow::person` and `flow::deletion`): handing out,
/// erasing and deleting go through all of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deliveries {
    Quarantine,
    Echoes,
    /// Messages that a storm holds back.
    Held,
}

/// A kept delivery.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub id: u64,
    pub body: Vec<u8>,
}

/// What goes once it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Leaving {
    /// An event, by its sequence, once it is published.
    Event,
    /// The texts of a command, by its sequence, once it has its outcome.
    Command,
    /// Kept deliveries of a message, by X's id.
    Message,
}

/// A line of the proof of what was erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    pub at: Timestamp,
    /// Keyed hash of the person's id.
    pub person: Vec<u8>,
    /// Who asked for it.
    pub asked_by: String,
    /// How much of each kind, as JSON.
    pub counts: String,
}

impl Deliveries {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Quarantine, Self::Echoes, Self::Held];

    fn table(self) -> &'static str {
        match self {
            Self::Quarantine => "quarantine",
            Self::Echoes => "echoes",
            Self::Held => "held",
        }
    }
}

impl Leaving {
    fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Command => "command",
            Self::Message => "message",
        }
    }
}

/// Whether a text of X holds one of these numbers by itself, not as a part of a longer one.
fn names_number(text: &[u8], numbers: &HashSet<&[u8]>) -> bool {
    let mut runs = text.split(|byte| !byte.is_ascii_digit());
    runs.any(|run| numbers.contains(run))
}

/// Whether a text of ours names this id, by itself or in the name of a conversation: ids are strings
/// in it, and other numbers are not.
fn names_id(text: &[u8], digits: &str) -> bool {
    let digits = digits.as_bytes();
    let byte = |at: Option<usize>| at.and_then(|at| text.get(at)).copied();
    let found = text.windows(digits.len().max(1)).enumerate();
    found
        .filter(|(_, window)| *window == digits)
        .any(|(at, _)| {
            let before = byte(at.checked_sub(1));
            let after = byte(at.checked_add(digits.len()));
            before.is_none_or(|it| matches!(it, b'"' | b':' | b'-'))
                && after.is_none_or(|it| matches!(it, b'"' | b'-'))
        })
}

fn page<T>(looked: Vec<(u64, Option<T>)>, limit: usize) -> Page<T> {
    let last = looked.last().map(|(sequence, _)| *sequence);
    Page {
        last: last.filter(|_| looked.len() == limit),
        rows: looked.into_iter().filter_map(|(_, row)| row).collect(),
    }
}

pub(super) const LAST_SEQUENCE: &str = "SELECT max(sequence) FROM seen";
pub(super) const ANY_ERASED: &str = "SELECT EXISTS (SELECT 1 FROM erased_events)";

impl Tx<'_> {
    /// The last sequence that was given out.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn last_sequence(&self) -> Result<u64, StoreError> {
        let last = self.row(LAST_SEQUENCE, [], |row| row.get::<Option<i64>>(0))?;
        Ok(last.flatten().map_or(0, number))
    }

    /// Events among the next `limit` after `after`, up to `until`, whose body holds this number.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn events_naming(
        &self,
        digits: &str,
        after: u64,
        until: u64,
        limit: usize,
    ) -> Result<Page<JournalRow>, StoreError> {
        let looked = self.rows(
            "SELECT sequence, instr(body, ?4) > 0 FROM journal
             WHERE sequence > ?1 AND sequence <= ?2 ORDER BY sequence LIMIT ?3",
            params![
                stored(after),
                stored(until),
                count(limit),
                digits.as_bytes()
            ],
            |row| Ok((number(row.get(0)?), row.get::<bool>(1)?)),
        )?;
        let mut rows = Vec::with_capacity(looked.len());
        for (sequence, holds) in looked {
            let row = match holds {
                true => self.journal_row(sequence)?,
                false => None,
            };
            rows.push((sequence, row.filter(|row| names_id(&row.body, digits))));
        }
        Ok(page(rows, limit))
    }

    /// Whether the broker has an event for sure, and no lane holds it to be published first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn is_published(&self, sequence: u64) -> Result<bool, StoreError> {
        Ok(sequence <= self.cursor()? && self.waits_in(sequence)?.is_none())
    }

    /// Removes the body of an event; that it was decided on is still known.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn erase_event(&self, sequence: u64) -> Result<(), StoreError> {
        self.run(
            "DELETE FROM journal WHERE sequence = ?1",
            [stored(sequence)],
        )?;
        self.run("DELETE FROM lane WHERE sequence = ?1", [stored(sequence)])?;
        self.bodies_changed.set(true);
        Ok(())
    }

    /// Puts another body in the place of an event's.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn replace_body(&self, sequence: u64, body: &[u8]) -> Result<(), StoreError> {
        self.bodies_changed.set(true);
        self.run(
            "UPDATE journal SET body = ?2 WHERE sequence = ?1",
            params![stored(sequence), body],
        )
    }

    /// The next `limit` decisions after `after`, up to `until`: those on events of the person's
    /// cases.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn seen_of(
        &self,
        person: UserId,
        after: u64,
        until: u64,
        limit: usize,
    ) -> Result<Page<SeenOf>, StoreError> {
        let looked = self.rows(
            "SELECT sequence, wanted, id, customer IS NOT DISTINCT FROM ?4 FROM seen
             WHERE sequence > ?1 AND sequence <= ?2 ORDER BY sequence LIMIT ?3",
            params![
                stored(after),
                stored(until),
                count(limit),
                stored(person.get())
            ],
            |row| {
                let sequence = number(row.get(0)?);
                let wanted = row.get(1)?;
                let id = EventId(row.get(2)?);
                let seen = Seen { sequence, wanted };
                let of_person: bool = row.get(3)?;
                Ok((sequence, of_person.then_some(SeenOf { seen, id })))
            },
        )?;
        Ok(page(looked, limit))
    }

    /// Puts a keyed hash in the place of an event's id, and forgets whose case it was.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn forget_seen(&self, sequence: u64, hash: EventId) -> Result<(), StoreError> {
        self.run(
            "UPDATE seen SET id = ?2, account = NULL, customer = NULL, conversation = NULL
             WHERE sequence = ?1 AND NOT EXISTS (
               SELECT 1 FROM seen AS other WHERE other.id = ?2 AND other.sequence <> ?1)",
            params![stored(sequence), hash.0],
        )
    }

    /// Remembers the keyed hash of an event's id: it must not come again.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn remember_erased(&self, hash: EventId, at: Timestamp) -> Result<(), StoreError> {
        self.run(
            "INSERT INTO erased_events (id, at) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            params![hash.0, millis(at)],
        )
    }

    /// Whether anything was ever erased: most never need a keyed hash.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn any_erased(&self) -> Result<bool, StoreError> {
        if let Some(known) = self.ahead.borrow().any_erased {
            return Ok(known);
        }
        let any = self.row(ANY_ERASED, [], |row| row.get(0))?;
        Ok(any.unwrap_or(false))
    }

    /// Whether the event with this keyed hash was erased.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn is_erased(&self, hash: EventId) -> Result<bool, StoreError> {
        let found = self.row(
            "SELECT 1 FROM erased_events WHERE id = ?1",
            [hash.0],
            |row| row.get::<i64>(0),
        )?;
        Ok(found.is_some())
    }

    /// The person's among the next `limit` posts.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn posts_of(
        &self,
        person: UserId,
        after: Option<PostKey>,
        limit: usize,
    ) -> Result<PostsOf, StoreError> {
        let PostKey(account, id) = after.unwrap_or(PostKey(i64::MIN, i64::MIN));
        let looked = self.rows(
            "SELECT account, id,
                    author IS NOT DISTINCT FROM ?4 OR customer IS NOT DISTINCT FROM ?4 FROM posts
             WHERE (account, id) > (?1, ?2) ORDER BY account, id LIMIT ?3",
            params![account, id, count(limit), stored(person.get())],
            |row| Ok((PostKey(row.get(0)?, row.get(1)?), row.get::<bool>(2)?)),
        )?;
        let last = looked.last().map(|(key, _)| *key);
        let mut posts = Vec::new();
        for (PostKey(account, id), _) in looked.iter().filter(|(_, of_person)| *of_person) {
            let account = UserId::from_number(number(*account)).map(AccountId);
            let (Some(account), Some(id)) = (account, TweetId::from_number(number(*id))) else {
                continue;
            };
            if let Some(row) = self.post(account, id)? {
                posts.push((account, id, row));
            }
        }
        Ok(PostsOf {
            posts,
            last: last.filter(|_| looked.len() == limit),
        })
    }

    /// Forgets a post.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn forget_post(&self, account: AccountId, id: TweetId) -> Result<(), StoreError> {
        self.run(
            "DELETE FROM posts WHERE account = ?1 AND id = ?2",
            [account_key(account), stored(id.get())],
        )
    }

    /// Forgets whose case a post belongs to.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn forget_customer(&self, account: AccountId, id: TweetId) -> Result<(), StoreError> {
        self.run(
            "UPDATE posts SET customer = NULL WHERE account = ?1 AND id = ?2",
            [account_key(account), stored(id.get())],
        )
    }

    /// Forgets a conversation; true when there was one.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn forget_conversation(
        &self,
        account: AccountId,
        id: &ConversationId,
    ) -> Result<bool, StoreError> {
        let forgotten = self.execute(
            "DELETE FROM conversations WHERE account = ?1 AND id = ?2",
            params![account_key(account), id.name()],
        )?;
        Ok(forgotten > 0)
    }

    /// Commands among the next `limit` after `after` that hold this number.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn commands_naming(
        &self,
        digits: &str,
        after: u64,
        limit: usize,
    ) -> Result<Page<CommandRow>, StoreError> {
        let looked = self.rows(
            "SELECT sequence, instr(content, ?3) > 0 OR instr(plan, ?3) > 0
                              OR instr(conversation, ?3) > 0
                              OR coalesce(instr(outcome, ?4), 0) > 0
             FROM commands WHERE sequence > ?1 ORDER BY sequence LIMIT ?2",
            params![stored(after), count(limit), digits, digits.as_bytes()],
            |row| Ok((number(row.get(0)?), row.get::<bool>(1)?)),
        )?;
        let mut rows = Vec::with_capacity(looked.len());
        for (sequence, holds) in looked {
            let row = match holds {
                true => self.command(sequence)?,
                false => None,
            };
            let row = match row {
                Some(row) if self.command_names(&row, digits)? => Some(row),
                _ => None,
            };
            rows.push((sequence, row));
        }
        Ok(page(rows, limit))
    }

    fn command_names(&self, row: &CommandRow, digits: &str) -> Result<bool, StoreError> {
        let texts = [&row.content, &row.plan, &row.waiting.conversation];
        if texts.iter().any(|text| names_id(text.as_bytes(), digits)) {
            return Ok(true);
        }
        let outcome = self.outcome(row.waiting.sequence)?;
        Ok(outcome.is_some_and(|outcome| names_id(&outcome.body, digits)))
    }

    /// Blanks an ended command with what it sent and its outcome: nothing but ids is left of it.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn erase_command(&self, sequence: u64) -> Result<(), StoreError> {
        self.run(
            "UPDATE sends SET text = '', target = '' WHERE command = ?1",
            [stored(sequence)],
        )?;
        self.run(
            "UPDATE commands SET content = '', plan = '{}', conversation = '', outcome = NULL,
                                 has_files = 0
             WHERE sequence = ?1 AND finished_at IS NOT NULL",
            [stored(sequence)],
        )
    }

    /// Blanks what an ended command was asked for, and leaves its outcome.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn blank_command(&self, sequence: u64) -> Result<(), StoreError> {
        self.run(
            "UPDATE commands SET content = '' WHERE sequence = ?1 AND finished_at IS NOT NULL",
            [stored(sequence)],
        )
    }

    /// The event of a command's outcome.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn outcome_event(&self, sequence: u64) -> Result<Option<EventId>, StoreError> {
        let sql = "SELECT outcome_event FROM commands WHERE sequence = ?1";
        let event = self.row(sql, [stored(sequence)], |row| {
            row.get::<Option<[u8; 16]>>(0)
        })?;
        Ok(event.flatten().map(EventId))
    }

    /// Kept deliveries among the next `limit` after `after` that hold one of these numbers.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn deliveries_naming(
        &self,
        kept: Deliveries,
        numbers: &[String],
        after: u64,
        limit: usize,
    ) -> Result<Page<Delivery>, StoreError> {
        let table = kept.table();
        let numbers: HashSet<&[u8]> = numbers.iter().map(|digits| digits.as_bytes()).collect();
        let sql = format!("SELECT id, body FROM {table} WHERE id > ?1 ORDER BY id LIMIT ?2");
        let looked = self.rows(&sql, [stored(after), count(limit)], |row| {
            let id = number(row.get(0)?);
            let body: Vec<u8> = row.get(1)?;
            let names = names_number(&body, &numbers);
            Ok((id, names.then_some(Delivery { id, body })))
        })?;
        Ok(page(looked, limit))
    }

    /// Lets a kept delivery go.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn erase_delivery(&self, kept: Deliveries, id: u64) -> Result<(), StoreError> {
        match kept {
            Deliveries::Quarantine => self.release_quarantined(id),
            Deliveries::Echoes => self.release_echo(id),
            Deliveries::Held => self.release_held(id),
        }
    }

    /// What is remembered of messages nobody wanted, among the next `limit` after `after`, that names
    /// this id; each under its sequence.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn sightings_naming(
        &self,
        digits: &str,
        after: u64,
        limit: usize,
    ) -> Result<Page<Delivery>, StoreError> {
        let looked = self.rows(
            "SELECT sequence, body FROM sightings WHERE sequence > ?1 ORDER BY sequence LIMIT ?2",
            [stored(after), count(limit)],
            |row| {
                let id = number(row.get(0)?);
                let body: Vec<u8> = row.get(1)?;
                let names = names_id(&body, digits);
                Ok((id, names.then_some(Delivery { id, body })))
            },
        )?;
        Ok(page(looked, limit))
    }

    /// Forgets what is remembered of a message nobody wanted.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn forget_sighting(&self, sequence: u64) -> Result<(), StoreError> {
        self.run(
            "DELETE FROM sightings WHERE sequence = ?1",
            [stored(sequence)],
        )
    }

    /// Forgets in which of a customer's cases an account has written.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn forget_answered(&self, customer: UserId) -> Result<(), StoreError> {
        self.run(
            "DELETE FROM answered WHERE customer = ?1",
            [stored(customer.get())],
        )
    }

    /// Puts another body in the place of a kept delivery's.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn replace_delivery(
        &self,
        kept: Deliveries,
        id: u64,
        body: &[u8],
    ) -> Result<(), StoreError> {
        let sql = format!("UPDATE {} SET body = ?2 WHERE id = ?1", kept.table());
        self.run(&sql, params![stored(id), body])
    }

    /// The number of the newest line of the proof; 0: there is none.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn newest_proof(&self) -> Result<u64, StoreError> {
        let newest = self.row("SELECT max(id) FROM erasures", [], |row| {
            row.get::<Option<i64>>(0)
        })?;
        Ok(number(newest.flatten().unwrap_or(0)))
    }

    /// Has something go once it may, but not before `not_before`. `hash` takes the place of an
    /// event's id then.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn let_go(
        &self,
        kind: Leaving,
        what: u64,
        not_before: Timestamp,
        hash: Option<EventId>,
    ) -> Result<(), StoreError> {
        self.run(
            "INSERT INTO leaving (kind, number, not_before, hash) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (kind, number) DO UPDATE SET hash = coalesce(excluded.hash, leaving.hash)",
            params![
                kind.name(),
                stored(what),
                millis(not_before),
                hash.map(|hash| hash.0)
            ],
        )
    }

    /// As [`Tx::let_go`], of the kept deliveries of a message.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn let_deliveries_go(&self, of: MessageNumber, at: Timestamp) -> Result<(), StoreError> {
        self.let_go(Leaving::Message, of.get(), at, None)
    }

    /// X's ids of messages whose kept deliveries have to go.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn leaving_messages(&self, limit: usize) -> Result<Vec<u64>, StoreError> {
        self.rows(
            "SELECT number FROM leaving WHERE kind = 'message' ORDER BY number LIMIT ?1",
            [count(limit)],
            |row| Ok(number(row.get(0)?)),
        )
    }

    /// It has gone.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn has_left(&self, kind: Leaving, what: u64) -> Result<(), StoreError> {
        self.run(
            "DELETE FROM leaving WHERE kind = ?1 AND number = ?2",
            params![kind.name(), stored(what)],
        )
    }

    /// Removes events that were to go, as far as they are published by now: at most `limit` of
    /// them, how many.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn erase_leaving_events(&self, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let due = self.rows(
            "SELECT number, hash FROM leaving
             WHERE kind = 'event' AND not_before <= ?1
               AND number <= ?3
               AND NOT EXISTS (SELECT 1 FROM lane WHERE lane.sequence = leaving.number)
             ORDER BY number LIMIT ?2",
            [millis(now), count(limit), stored(self.cursor()?)],
            |row| Ok((number(row.get(0)?), row.get::<Option<[u8; 16]>>(1)?)),
        )?;
        for (sequence, hash) in &due {
            self.erase_event(*sequence)?;
            if let Some(hash) = hash {
                self.forget_seen(*sequence, EventId(*hash))?;
            }
            self.has_left(Leaving::Event, *sequence)?;
        }
        Ok(due.len())
    }

    /// Commands that were to go, and have their outcome and no files any more.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn leaving_commands(&self, limit: usize) -> Result<Vec<u64>, StoreError> {
        self.rows(
            "SELECT sequence, plan FROM leaving JOIN commands ON sequence = number
             WHERE kind = 'command' AND finished_at IS NOT NULL AND has_files = 0
             ORDER BY number LIMIT ?1",
            [count(limit)],
            |row| row.get(0).map(number),
        )
    }

    /// Adds a line to the proof of what was erased.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn prove_erasure(&self, proof: &Proof) -> Result<(), StoreError> {
        self.run(
            "INSERT INTO erasures (at, person, asked_by, counts) VALUES (?1, ?2, ?3, ?4)",
            params![millis(proof.at), proof.person, proof.asked_by, proof.counts],
        )
    }

    /// The newest lines of the proof, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn proofs(&self, limit: usize) -> Result<Vec<Proof>, StoreError> {
        self.rows(
            "SELECT at, person, asked_by, counts FROM erasures ORDER BY id DESC LIMIT ?1",
            [count(limit)],
            |row| {
                Ok(Proof {
                    at: timestamp(row.get(0)?),
                    person: row.get(1)?,
                    asked_by: row.get(2)?,
                    counts: row.get(3)?,
                })
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_counts_only_by_itself() {
        let five = HashSet::from([b"5".as_slice()]);
        for text in ["5", "\"5\"", "dm:2-5", "5-7", "15, 5"] {
            assert!(names_number(text.as_bytes(), &five), "{text}");
        }
        for text in ["", "15", "51", "2515"] {
            assert!(!names_number(text.as_bytes(), &five), "{text}");
        }
    }

    #[test]
    fn an_id_is_a_string_or_in_the_name_of_a_conversation() {
        for text in ["{\"id\":\"5\"}", "dm:2-5", "chat:5-7", "\"dm:2-5\""] {
            assert!(names_id(text.as_bytes(), "5"), "{text}");
        }
        for text in [
            "{\"tries\":5}",
            "[5]",
            "5 o'clock",
            "\"15\"",
            "2026-05-05T5:5Z",
        ] {
            assert!(!names_id(text.as_bytes(), "5"), "{text}");
        }
    }
}
