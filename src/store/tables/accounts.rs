//! What was learnt of our accounts, and what X has charged for them.

use std::ops::RangeInclusive;

use jiff::civil::Date;
use jiff::{Span, Timestamp};

use super::tx::{Tx, count, millis, number, stored, timestamp};
use crate::domain::ids::{AccountId, UserId};
use crate::domain::money::Usd;
use crate::store::StoreError;
use crate::store::sql::{params, unreadable_id};

/// What is known of an account beside its settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountState {
    /// Fingerprint of the credential that it was linked with.
    pub credential: Option<Vec<u8>>,
    /// Since when X does not accept it.
    pub revoked_at: Option<Timestamp>,
    /// The newest pair of OAuth 2.0 tokens, sealed.
    pub tokens: Option<Vec<u8>>,
    /// Longest post, weighted characters, by its plan at X.
    pub post_limit: Option<u32>,
}

/// What X charged for one kind of thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cost {
    pub account: AccountId,
    /// As the price list names it.
    pub kind: String,
    pub count: u64,
    pub amount: Usd,
}

/// What X charged for one kind of thing on one UTC day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayCost {
    pub day: Date,
    pub cost: Cost,
}

/// The day that stands for a number of days since 1970; `None` outside of jiff's years.
fn date(day: i64) -> Option<Date> {
    let since = Span::new().try_days(day).ok()?;
    date_of_1970().checked_add(since).ok()
}

fn day_of(date: Date) -> i64 {
    date_of_1970()
        .until(date)
        .map_or(0, |span| span.get_days().into())
}

fn date_of_1970() -> Date {
    Date::constant(1970, 1, 1)
}

/// UTC days since 1970, by which X counts.
fn day(at: Timestamp) -> i64 {
    at.as_second().div_euclid(24 * 3600)
}

/// What X charged in a transaction, of one account, day and kind.
pub(super) struct Charged {
    account: i64,
    day: i64,
    kind: String,
    count: i64,
    micros: i64,
}

impl Tx<'_> {
    /// What is known of an account; nothing, for one never heard of.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn account_state(&self, account: AccountId) -> Result<AccountState, StoreError> {
        let known = self.row(
            "SELECT credential, revoked_at, tokens, post_limit FROM account_states
             WHERE account = ?1",
            [stored(account.0.get())],
            |row| {
                Ok(AccountState {
                    credential: row.get(0)?,
                    revoked_at: row.get::<Option<i64>>(1)?.map(timestamp),
                    tokens: row.get(2)?,
                    post_limit: row.get(3)?,
                })
            },
        )?;
        Ok(known.unwrap_or_default())
    }

    /// How long the posts of accounts may be, where X has told: weighted characters.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn post_limits(&self) -> Result<Vec<(AccountId, u32)>, StoreError> {
        self.rows(
            "SELECT account, post_limit FROM account_states
             WHERE account <> 0 AND post_limit IS NOT NULL",
            [],
            |row| {
                let account = UserId::from_number(number(row.get(0)?));
                Ok((AccountId(account.ok_or_else(unreadable_id)?), row.get(1)?))
            },
        )
    }

    /// Stores what is known of an account, in place of what was.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn put_account_state(
        &self,
        account: AccountId,
        state: &AccountState,
    ) -> Result<(), StoreError> {
        self.run(
            "INSERT INTO account_states (account, credential, revoked_at, tokens, post_limit)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (account) DO UPDATE SET
               credential = excluded.credential, revoked_at = excluded.revoked_at,
               tokens = excluded.tokens, post_limit = excluded.post_limit",
            params![
                stored(account.0.get()),
                state.credential,
                state.revoked_at.map(millis),
                state.tokens,
                state.post_limit,
            ],
        )
    }

    /// Counts what X charges.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn add_cost(
        &self,
        account: AccountId,
        at: Timestamp,
        kind: &str,
        count: u64,
        amount: Usd,
    ) -> Result<(), StoreError> {
        let (account, day) = (stored(account.0.get()), day(at));
        let (count, micros) = (stored(count), stored(amount.micros()));
        self.pending.set(self.pending.get() + 1);
        let mut charged = self.charged.borrow_mut();
        let of = |it: &&mut Charged| (it.account, it.day, &*it.kind) == (account, day, kind);
        match charged.iter_mut().find(of) {
            Some(known) => {
                known.count += count;
                known.micros += micros;
            }
            None => charged.push(Charged {
                account,
                day,
                kind: kind.to_owned(),
                count,
                micros,
            }),
        }
        Ok(())
    }

    /// Writes what was charged in this transaction: once for all of its works, most of which add to
    /// the same row.
    pub(in crate::store) fn write_costs(&self) -> Result<(), StoreError> {
        for charged in self.charged.take() {
            self.run(
                "INSERT INTO costs (account, day, kind, count, micros) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (account, day, kind) DO UPDATE SET
                   count = costs.count + excluded.count, micros = costs.micros + excluded.micros",
                params![
                    charged.account,
                    charged.day,
                    charged.kind,
                    charged.count,
                    charged.micros,
                ],
            )?;
        }
        Ok(())
    }

    /// What X has charged since the day of `since`, by account and kind.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn costs_since(&self, since: Timestamp) -> Result<Vec<Cost>, StoreError> {
        self.write_costs()?;
        self.rows(
            "SELECT account, kind, CAST(sum(count) AS BIGINT), CAST(sum(micros) AS BIGINT)
             FROM costs WHERE day >= ?1
             GROUP BY account, kind ORDER BY account, kind",
            [day(since)],
            |row| {
                let account = UserId::from_number(number(row.get(0)?));
                Ok(Cost {
                    account: AccountId(account.ok_or_else(unreadable_id)?),
                    kind: row.get(1)?,
                    count: number(row.get(2)?),
                    amount: Usd::from_micros(number(row.get(3)?)),
                })
            },
        )
    }

    /// What X has charged on these UTC days, of one account where given; by day, account and kind.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn costs_of(
        &self,
        account: Option<AccountId>,
        days: RangeInclusive<Date>,
    ) -> Result<Vec<DayCost>, StoreError> {
        self.write_costs()?;
        self.rows(
            "SELECT account, day, kind, count, micros FROM costs
             WHERE day BETWEEN ?1 AND ?2 AND (account = ?3 OR ?3 IS NULL)
             ORDER BY day, account, kind",
            params![
                day_of(*days.start()),
                day_of(*days.end()),
                account.map(|account| stored(account.0.get()))
            ],
            |row| {
                let account = UserId::from_number(number(row.get(0)?));
                Ok(DayCost {
                    day: date(row.get(1)?).ok_or_else(unreadable_id)?,
                    cost: Cost {
                        account: AccountId(account.ok_or_else(unreadable_id)?),
                        kind: row.get(2)?,
                        count: number(row.get(3)?),
                        amount: Usd::from_micros(number(row.get(4)?)),
                    },
                })
            },
        )
    }

    /// Forgets what X charged on days before that of `before`; how many rows.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn prune_costs(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        self.write_costs()?;
        self.execute(
            "DELETE FROM costs WHERE (account, day, kind) IN
               (SELECT account, day, kind FROM costs WHERE day < ?1 LIMIT ?2)",
            params![day(before), count(limit)],
        )
    }
}
