//! Whose cases the conversations are.
//!
//! Customers come in no order. To enter each one into the table by customer as they come would write
//! a page of it for nearly every event: half of all that a commit writes. So a case is written once
//! with its event, in the order of events, and the newest cases are held in memory; they are entered
//! customer after customer, those that share a page together.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use jiff::Timestamp;

use super::threads::{account_key, survivor_or};
use super::tx::{Put, Tx, millis, number, put, stored};
use crate::domain::ids::{AccountId, ConversationId, UserId};
use crate::store::StoreError;
use crate::store::sql::{self, Row, params};

/// Cases held in memory, some 150 bytes each; after a start up to twice as many.
const HELD: usize = 16 * 1024;
/// Most conversations of a customer that are told of.
const RELATED: usize = 20;
/// Where [`entered`] is kept.
const ENTERED: &str = "cases_entered";

const ENTER: Put = put!(
    "INSERT INTO cases (account, customer, conversation, at) VALUES (?1, ?2, ?3, ?4)",
    "ON CONFLICT (account, customer, conversation) DO UPDATE SET
       at = CASE WHEN excluded.at > cases.at THEN excluded.at ELSE cases.at END"
);

/// Most cases of a customer that [`CASES`] finds: some may be one conversation by now.
pub(super) const NEWEST: usize = 40;

/// Somebody may have tens of thousands of cases: a bot that mentions us for a year. What each was
/// merged into comes along: behind a network a question for each would be as many round trips, for as
/// long as nobody else can write. Not by a join: a plan that PostgreSQL makes while there are few
/// conversations reads all of them for each customer, and is kept. The limit is [`NEWEST`].
pub(super) const CASES: &str = "SELECT conversation, at,
      (SELECT survivor FROM conversations WHERE account = ?1 AND id = newest.conversation)
    FROM (SELECT conversation, at FROM cases WHERE account = ?1 AND customer = ?2
          ORDER BY at DESC LIMIT 40) AS newest";

/// What makes a conversation a customer's case.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    pub account: AccountId,
    pub customer: UserId,
    pub conversation: ConversationId,
}

/// Account and customer.
pub(super) type Key = (i64, i64);
/// A conversation's id, and when something was last published in it.
pub(super) type Touched = (String, i64);

/// A case as it is in the table.
#[derive(Clone, Debug)]
pub(super) struct Entered {
    pub touched: Touched,
    /// What the conversation was merged into.
    pub survivor: Option<String>,
}

pub(super) fn read_entered(row: &Row<'_>) -> sql::Result<Entered> {
    Ok(Entered {
        touched: (row.get(0)?, row.get(1)?),
        survivor: row.get(2)?,
    })
}

/// The cases that the table may lack.
#[derive(Default)]
pub(in crate::store) struct Recent {
    /// Most customers have one.
    cases: BTreeMap<Key, Vec<Touched>>,
    count: usize,
    /// Newest event with a case.
    newest: u64,
    /// Who was entered last, going through all customers again and again.
    last: Option<Key>,
    /// What `newest` was when that began.
    entered_after_pass: u64,
}

impl Recent {
    fn load(tx: &Tx<'_>) -> Result<Self, StoreError> {
        let mut recent = Self::default();
        tx.each_row(
            "SELECT sequence, account, customer, conversation, at FROM seen
             WHERE sequence > ?1 AND customer IS NOT NULL ORDER BY sequence",
            [tx.entered()?],
            |row| {
                let key = (row.get(1)?, row.get(2)?);
                recent.touch(key, row.get(3)?, row.get(4)?, number(row.get(0)?));
                Ok(true)
            },
        )?;
        recent.entered_after_pass = recent.newest;
        Ok(recent)
    }

    fn touch(&mut self, key: Key, conversation: String, at: i64, sequence: u64) {
        let cases = self
            .cases
            .entry(key)
            .or_insert_with(|| Vec::with_capacity(1));
        match cases.iter_mut().find(|(known, _)| *known == conversation) {
            Some((_, newest)) => *newest = at.max(*newest),
            None => {
                cases.push((conversation, at));
                self.count += 1;
            }
        }
        self.newest = sequence;
    }

    /// Drops what is held of a customer.
    fn forget(&mut self, customer: i64) {
        self.cases.retain(|(_, held), _| *held != customer);
        self.count = self.cases.values().map(Vec::len).sum();
    }

    /// The next customer, with what to enter. None where all have been gone through.
    fn take_next(&mut self) -> Option<(Key, Vec<Touched>)> {
        let after = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        let (key, _) = self.cases.range((after, Bound::Unbounded)).next()?;
        let key = *key;
        let cases = self.cases.remove(&key)?;
        self.count -= cases.len();
        self.last = Some(key);
        Some((key, cases))
    }

    /// Begins again at the first customer; up to which event all cases are entered by now.
    fn begin_again(&mut self) -> u64 {
        self.last = None;
        std::mem::replace(&mut self.entered_after_pass, self.newest)
    }
}

impl Tx<'_> {
    /// Sequence up to which all cases are in the table.
    pub(super) fn entered(&self) -> Result<i64, StoreError> {
        if self.conn.is_shared() {
            // See [`Tx::enter_all`].
            return Ok(i64::MAX);
        }
        let stored = self.meta(ENTERED)?;
        Ok(stored.and_then(|value| value.parse().ok()).unwrap_or(0))
    }

    /// Holds the newest cases for this writing transaction: those of the one before, unless another
    /// process has moved on since.
    pub(in crate::store) fn hold_cases(&mut self, known: Option<Recent>) -> Result<(), StoreError> {
        let recent = known.map_or_else(|| Recent::load(self), Ok)?;
        self.recent = Some(recent);
        Ok(())
    }

    /// Holds the case of an event that is appended with it.
    pub(super) fn hold_case(&mut self, case: &Case, sequence: u64, at: Timestamp) {
        let key = (account_key(case.account), stored(case.customer.get()));
        let conversation = case.conversation.to_string();
        if let Some(recent) = &mut self.recent {
            recent.touch(key, conversation, millis(at), sequence);
        }
    }

    /// Enters cases into the table until no more than [`HELD`] are left in memory.
    pub(in crate::store) fn enter_cases(&mut self) -> Result<(), StoreError> {
        let Some(mut recent) = self.recent.take() else {
            return Ok(());
        };
        if self.conn.is_shared() {
            return self.enter_all(recent);
        }
        while recent.count > HELD {
            match recent.take_next() {
                Some((key, cases)) => self.enter(key, &cases)?,
                None => self.set_meta(ENTERED, &recent.begin_again().to_string())?,
            }
        }
        self.recent = Some(recent);
        Ok(())
    }

    /// Where others write too, nothing is held: each would have to read what the others hold.
    fn enter_all(&mut self, mut recent: Recent) -> Result<(), StoreError> {
        for (key, cases) in std::mem::take(&mut recent.cases) {
            self.enter(key, &cases)?;
        }
        recent.count = 0;
        self.recent = Some(recent);
        Ok(())
    }

    /// Whether what this writer holds stays true when another one has written.
    pub(in crate::store) fn holds_nothing(&self) -> bool {
        self.conn.is_shared()
    }

    fn enter(&self, key: Key, cases: &[Touched]) -> Result<(), StoreError> {
        cases.iter().try_for_each(|case| {
            let is_new = self.ahead.borrow_mut().put_case(key, case);
            self.put(&ENTER, is_new, params![key.0, key.1, case.0, case.1])
        })
    }

    /// Forgets which conversations a customer has.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn forget_cases(&mut self, customer: UserId) -> Result<usize, StoreError> {
        let customer = stored(customer.get());
        if let Some(recent) = &mut self.recent {
            recent.forget(customer);
        }
        // The key begins with the account.
        let next = "SELECT min(account) FROM cases WHERE account > ?1 OR ?1 IS NULL";
        let (mut account, mut forgotten) = (None, 0);
        loop {
            let found = self.row(next, [account], |row| row.get::<Option<i64>>(0))?;
            let Some(found) = found.flatten() else {
                return Ok(forgotten);
            };
            forgotten += self.execute(
                "DELETE FROM cases WHERE account = ?1 AND customer = ?2",
                [found, customer],
            )?;
            account = Some(found);
        }
    }

    /// Makes a conversation a customer's case without an event in it: a rare thing, entered at once.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn touch_case(&self, case: &Case, at: Timestamp) -> Result<(), StoreError> {
        let key = (account_key(case.account), stored(case.customer.get()));
        self.enter(key, &[(case.conversation.name(), millis(at))])
    }

    /// Other conversations of the same customer and account since `since`, newest first, at most
    /// twenty, looked for in the newest forty. Merged ones count as what they were merged into.
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
        let key = (account_key(account), stored(customer.get()));
        let (mut found, mut survivors) = (self.recent_cases(key)?, HashMap::new());
        for Entered { touched, survivor } in self.entered_cases(key)? {
            survivors.insert(touched.0.clone(), survivor);
            found.push(touched);
        }
        found.retain(|(_, at)| *at >= millis(since));
        found.sort_by(|(one, one_at), (other, other_at)| other_at.cmp(one_at).then(one.cmp(other)));
        let mut related = Vec::new();
        for (name, _) in found {
            let Ok(conversation) = name.parse() else {
                continue;
            };
            let conversation = match survivors.get(&name) {
                Some(survivor) => survivor_or(survivor.as_deref(), conversation),
                None => self.survivor(account, &conversation)?,
            };
            if conversation != *but && !related.contains(&conversation) {
                related.push(conversation);
            }
            if related.len() == RELATED {
                break;
            }
        }
        Ok(related)
    }

    fn entered_cases(&self, (account, customer): Key) -> Result<Vec<Entered>, StoreError> {
        if let Some(known) = self.ahead.borrow().cases.get(&(account, customer)) {
            return Ok(known.clone());
        }
        self.rows(CASES, [account, customer], read_entered)
    }

    fn recent_cases(&self, key: Key) -> Result<Vec<Touched>, StoreError> {
        if let Some(recent) = &self.recent {
            return Ok(recent.cases.get(&key).cloned().unwrap_or_default());
        }
        self.rows(
            "SELECT conversation, at FROM seen
             WHERE sequence > ?1 AND account = ?2 AND customer = ?3",
            [self.entered()?, key.0, key.1],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_has_the_limit_that_is_known_of_it() {
        assert!(CASES.contains(&format!("LIMIT {NEWEST})")), "{CASES}");
    }
}
