//! Times for which X may have events that we have not: refusals, our own downtime, and what people
//! ask for. How far each is filled, and what became of it.

use jiff::Timestamp;

use super::threads::account_key;
use super::tx::{Tx, count, millis, number, stored, timestamp};
use crate::domain::ids::{AccountId, UserId};
use crate::store::StoreError;
use crate::store::sql::{Params, Row, params};

const ALIVE_AT: &str = "alive_at";
/// Gaps nearer to each other than this are one: a refusal each second is one outage.
const TOUCHING_MILLIS: i64 = 60_000;

/// What opened a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapReason {
    /// Deliveries were answered 503.
    Refused,
    /// The service did not run.
    Downtime,
    /// Somebody asked for it.
    ByHand,
    /// What came before an account was linked was asked for at its linking.
    Linking,
    /// X did not deliver: the webhook was invalid or gone, or a subscription lost.
    Undelivered,
}

impl GapReason {
    const ALL: [Self; 5] = [
        Self::Refused,
        Self::Downtime,
        Self::ByHand,
        Self::Linking,
        Self::Undelivered,
    ];

    /// As stored and listed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Downtime => "downtime",
            Self::ByHand => "by_hand",
            Self::Linking => "linking",
            Self::Undelivered => "undelivered",
        }
    }
}

/// By what a gap is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapMethod {
    /// X delivers again.
    Replay,
    /// Its lists are read.
    Reads,
}

impl GapMethod {
    const ALL: [Self; 2] = [Self::Replay, Self::Reads];

    /// As stored and listed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Reads => "reads",
        }
    }
}

/// How a gap ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapEnd {
    Filled(GapMethod),
    /// A part of it at least cannot be had any more.
    Lost,
}

impl GapEnd {
    /// As stored and listed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Filled(method) => method.name(),
            Self::Lost => "lost",
        }
    }

    fn parse(stored: &str) -> Option<Self> {
        let filled = GapMethod::ALL.map(Self::Filled).into_iter();
        filled.chain([Self::Lost]).find(|it| it.name() == stored)
    }
}

/// A replay that X was told to make, or is being told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayOrder {
    /// Empty while X's id of it is not known.
    pub job: String,
    pub from: Timestamp,
    pub until: Timestamp,
    pub at: Timestamp,
}

/// A gap to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewGap {
    pub app: String,
    /// Of this account alone; `None`: of all that are linked through the app.
    pub account: Option<AccountId>,
    pub from: Timestamp,
    pub until: Timestamp,
    pub reason: GapReason,
    /// Now.
    pub at: Timestamp,
}

/// A gap of one app, open or closed.
#[derive(Clone, Debug, PartialEq)]
pub struct Gap {
    pub id: u64,
    pub app: String,
    /// Of this account alone; `None`: of all that are linked through the app.
    pub account: Option<AccountId>,
    pub from: Timestamp,
    pub until: Timestamp,
    pub reason: GapReason,
    pub noted: Timestamp,
    /// `None`: nothing was begun.
    pub method: Option<GapMethod>,
    /// Replayed up to here.
    pub filled: Option<Timestamp>,
    pub order: Option<ReplayOrder>,
    /// Of the replay of one span.
    pub attempts: u32,
    pub next_at: Option<Timestamp>,
    pub closed: Option<(Timestamp, GapEnd)>,
    /// What it waits for, or how it ended; may be empty.
    pub note: String,
    /// That of it which is lost was seen by somebody.
    pub acknowledged: bool,
    /// For whom nothing more of it is sought.
    pub settled: Vec<AccountId>,
}

impl Gap {
    /// Since when something is missing.
    pub fn rest(&self) -> Timestamp {
        self.filled
            .map_or(self.from, |filled| filled.max(self.from))
    }

    /// Whether something of it may still be missing for an account of its app.
    pub fn is_open_for(&self, account: AccountId) -> bool {
        let concerns = self.account.is_none_or(|only| only == account);
        concerns && self.closed.is_none() && !self.settled.contains(&account)
    }
}

/// The end of a replay job, as it came to the webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayEnd {
    pub app: String,
    pub job: String,
    pub complete: bool,
    pub at: Timestamp,
}

/// How far the reading of a list has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadState {
    /// The next page; empty for the first.
    Open {
        page: String,
    },
    Done,
    /// It cannot be read, and why.
    Lost {
        why: String,
    },
}

/// A list of X that is read to fill a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GapRead {
    pub account: AccountId,
    /// Empty: the account as a whole.
    pub source: String,
    pub since: Timestamp,
    pub state: ReadState,
}

const GAP: &str = "id, app, account, opened, until, reason, noted, method, filled, job, job_from, \
                   job_until, job_at, attempts, next_at, closed, how, note, acknowledged";

impl Tx<'_> {
    /// Opens a gap of an app over a time that ends now.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn open_gap(
        &self,
        app: &str,
        from: Timestamp,
        until: Timestamp,
        reason: GapReason,
    ) -> Result<(), StoreError> {
        let (app, account, at) = (app.to_owned(), None, until);
        self.add_gap(&NewGap {
            app,
            account,
            from,
            until,
            reason,
            at,
        })
        .map(drop)
    }

    /// Opens a gap; its id. Open ones of the same app, account and reason that it touches, or misses
    /// by less than a minute, become one with it, unless they are being filled.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn add_gap(&self, gap: &NewGap) -> Result<u64, StoreError> {
        let (mut opened, mut closes) = (millis(gap.from), millis(gap.until));
        let mut noted = millis(gap.at);
        let account = gap.account.map(account_key);
        let touching = self.rows(
            "SELECT id, opened, until, noted FROM gaps
             WHERE app = ?1 AND reason = ?2 AND account IS NOT DISTINCT FROM ?5
               AND closed IS NULL AND method = '' AND opened <= ?4 AND until >= ?3 ORDER BY id",
            params![
                gap.app,
                gap.reason.name(),
                opened.saturating_sub(TOUCHING_MILLIS),
                closes.saturating_add(TOUCHING_MILLIS),
                account
            ],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )?;
        let id: Option<i64> = touching.first().map(|(id, ..)| *id);
        let touching: Vec<(i64, i64, i64, i64)> = touching;
        for (id, from, until, since) in touching {
            (opened, closes) = (opened.min(from), closes.max(until));
            noted = noted.min(since);
            self.run("DELETE FROM gaps WHERE id = ?1", [id])?;
        }
        let reason = gap.reason.name();
        // The last one is for a gap that takes the place of others, under the id of the first.
        let values = params![gap.app, reason, opened, closes, account, noted, id];
        let (column, value) = id.map_or(("", ""), |_| (", id", ", ?7"));
        let sql = format!(
            "INSERT INTO gaps (app, reason, opened, until, account, noted{column})
             VALUES (?1, ?2, ?3, ?4, ?5, ?6{value}) RETURNING id"
        );
        let values = values.get(..if id.is_some() { 7 } else { 6 });
        self.inserted(&sql, values.unwrap_or_default())
    }

    /// Gaps that nothing has closed yet, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn open_gaps(&self) -> Result<Vec<Gap>, StoreError> {
        self.gaps(
            &format!("SELECT {GAP} FROM gaps WHERE closed IS NULL ORDER BY opened, id"),
            params![],
        )
    }

    /// Gaps, newest first; those before an id where given. `open`: those that nothing has closed.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn gap_page(
        &self,
        open: bool,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Gap>, StoreError> {
        let sql = format!(
            "SELECT {GAP} FROM gaps WHERE id < ?1 AND (closed IS NULL OR ?2 = 0)
             ORDER BY id DESC LIMIT ?3"
        );
        let before = before.map_or(i64::MAX, stored);
        self.gaps(&sql, params![before, open, count(limit)])
    }

    /// One gap.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn gap(&self, id: u64) -> Result<Option<Gap>, StoreError> {
        let sql = format!("SELECT {GAP} FROM gaps WHERE id = ?1");
        Ok(self.gaps(&sql, params![stored(id)])?.pop())
    }

    /// Gaps closed since then of which something is lost and that nobody has acknowledged.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn lost_gaps(&self, since: Timestamp) -> Result<Vec<Gap>, StoreError> {
        let sql = format!(
            "SELECT {GAP} FROM gaps
             WHERE closed >= ?1 AND how = 'lost' AND acknowledged IS NULL ORDER BY id"
        );
        self.gaps(&sql, params![millis(since)])
    }

    fn gaps(&self, sql: &str, params: impl Params) -> Result<Vec<Gap>, StoreError> {
        let read = self.rows(sql, params, |row| Ok(gap(row)))?;
        let mut gaps = read.into_iter().collect::<Result<Vec<_>, _>>()?;
        for gap in &mut gaps {
            let settled = self.rows(
                "SELECT account FROM gap_reads WHERE gap = ?1 AND source = '' AND state != 'open'",
                [stored(gap.id)],
                |row| row.get(0),
            )?;
            gap.settled = settled.into_iter().map(account).collect::<Result<_, _>>()?;
        }
        Ok(gaps)
    }

    /// Makes two gaps of one: the second begins at `at`; its id. Nothing may run for it.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn split_gap(&self, id: u64, at: Timestamp) -> Result<u64, StoreError> {
        let second = self.inserted(
            "INSERT INTO gaps (app, reason, opened, until, account, noted, filled, attempts, next_at)
             SELECT app, reason, CAST(?2 AS BIGINT), until, account, noted, filled, attempts, next_at
             FROM gaps WHERE id = ?1 RETURNING id",
            params![stored(id), millis(at)],
        )?;
        self.run(
            "UPDATE gaps SET until = ?2 WHERE id = ?1",
            params![stored(id), millis(at)],
        )?;
        Ok(second)
    }

    /// How it is filled from now on; `None`: that is to be decided again.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn set_gap_method(&self, id: u64, method: Option<GapMethod>) -> Result<(), StoreError> {
        self.run(
            "UPDATE gaps SET method = ?2, attempts = 0 WHERE id = ?1",
            params![stored(id), method.map_or("", GapMethod::name)],
        )
    }

    /// Notes what a gap waits for, and until when at least.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn delay_gap(
        &self,
        id: u64,
        next_at: Option<Timestamp>,
        note: &str,
    ) -> Result<(), StoreError> {
        self.run(
            "UPDATE gaps SET next_at = ?2, note = ?3 WHERE id = ?1",
            params![stored(id), next_at.map(millis), note],
        )
    }

    /// Notes that X is told to replay a span, before it is; or, with the job's id, that it was.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn put_replay(&self, id: u64, order: &ReplayOrder) -> Result<(), StoreError> {
        self.run(
            "UPDATE gaps SET job = ?2, job_from = ?3, job_until = ?4, job_at = ?5, note = ''
             WHERE id = ?1",
            params![
                stored(id),
                order.job,
                millis(order.from),
                millis(order.until),
                millis(order.at)
            ],
        )
    }

    /// No replay runs any more for a gap: all of its span has come, or it is to be ordered again.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn end_replay(&self, id: u64, complete: bool) -> Result<(), StoreError> {
        let sql = match complete {
            true => {
                "UPDATE gaps SET filled = job_until, attempts = 0, job = NULL, job_at = NULL
                 WHERE id = ?1"
            }
            false => {
                "UPDATE gaps SET attempts = attempts + 1, job = NULL, job_at = NULL WHERE id = ?1"
            }
        };
        self.run(sql, [stored(id)])
    }

    /// X did not begin the replay that it was told to make; this is no attempt.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn drop_replay(&self, id: u64) -> Result<(), StoreError> {
        let sql = "UPDATE gaps SET job = NULL, job_at = NULL WHERE id = ?1";
        self.run(sql, [stored(id)])
    }

    /// Whether something that happened then may be delivered to an app by a replay that runs.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn is_replayed(&self, app: &str, at: Timestamp) -> Result<bool, StoreError> {
        let found = self.row(
            "SELECT 1 FROM gaps WHERE closed IS NULL AND app = ?1 AND job_at IS NOT NULL
               AND ?2 BETWEEN job_from AND job_until LIMIT 1",
            params![app, millis(at)],
            |_| Ok(()),
        )?;
        Ok(found.is_some())
    }

    /// Keeps the end of a replay job until whoever ordered it looks at it.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn keep_replay_end(&self, end: &ReplayEnd) -> Result<(), StoreError> {
        self.run(
            "INSERT INTO replay_ends (app, job, complete, at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO NOTHING",
            params![end.app, end.job, end.complete, millis(end.at)],
        )
    }

    /// Ends of jobs that nobody has looked at, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn replay_ends(&self) -> Result<Vec<ReplayEnd>, StoreError> {
        self.rows(
            "SELECT app, job, complete, at FROM replay_ends ORDER BY at",
            [],
            |row| {
                Ok(ReplayEnd {
                    app: row.get(0)?,
                    job: row.get(1)?,
                    complete: row.get(2)?,
                    at: timestamp(row.get(3)?),
                })
            },
        )
    }

    /// The end of a job was looked at.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn forget_replay_end(&self, app: &str, job: &str) -> Result<(), StoreError> {
        let sql = "DELETE FROM replay_ends WHERE app = ?1 AND job = ?2";
        self.run(sql, [app, job])
    }

    /// Ends of jobs of others, or from before they were known.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn prune_replay_ends(&self, before: Timestamp) -> Result<usize, StoreError> {
        self.execute("DELETE FROM replay_ends WHERE at < ?1", [millis(before)])
    }

    /// Where the reading of lists for a gap stands.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn gap_reads(&self, gap: u64) -> Result<Vec<GapRead>, StoreError> {
        let read = self.rows(
            "SELECT account, source, since, page, state, note FROM gap_reads WHERE gap = ?1",
            [stored(gap)],
            |row| Ok(gap_read(row)),
        )?;
        read.into_iter().collect()
    }

    /// Notes how far a list was read.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn put_gap_read(&self, gap: u64, read: &GapRead) -> Result<(), StoreError> {
        let (state, page, why) = match &read.state {
            ReadState::Open { page } => ("open", page.as_str(), ""),
            ReadState::Done => ("done", "", ""),
            ReadState::Lost { why } => ("lost", "", why.as_str()),
        };
        self.run(
            "INSERT INTO gap_reads (gap, account, source, since, page, state, note)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (gap, account, source) DO UPDATE SET
               since = excluded.since, page = excluded.page, state = excluded.state,
               note = excluded.note",
            params![
                stored(gap),
                account_key(read.account),
                read.source,
                millis(read.since),
                page,
                state,
                why
            ],
        )
    }

    /// Closes a gap, with a sentence on it.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn close_gap(
        &self,
        id: u64,
        end: GapEnd,
        note: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.run(
            "UPDATE gaps SET closed = ?2, how = ?3, note = ?4, next_at = NULL, job = NULL,
               job_at = NULL
             WHERE id = ?1",
            params![stored(id), millis(at), end.name(), note],
        )?;
        self.run("DELETE FROM gap_reads WHERE gap = ?1", [stored(id)])
    }

    /// Notes that somebody knows what is lost: `false` where this is no gap of which something is.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn acknowledge_gap(&self, id: u64, at: Timestamp) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE gaps SET acknowledged = coalesce(acknowledged, ?2)
             WHERE id = ?1 AND how = 'lost'",
            params![stored(id), millis(at)],
        )?;
        Ok(changed > 0)
    }

    /// Forgets gaps that were closed before; how many.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn prune_gaps(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        self.execute(
            "DELETE FROM gaps WHERE id IN (SELECT id FROM gaps WHERE closed < ?1 LIMIT ?2)",
            params![millis(before), count(limit)],
        )
    }

    /// Notes that the service runs.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn note_alive(&self, at: Timestamp) -> Result<(), StoreError> {
        self.set_meta(ALIVE_AT, &millis(at).to_string())
    }

    /// When the service was last known to run; `None` on its first start.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn alive_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let stored = self.meta(ALIVE_AT)?;
        Ok(stored.and_then(|value| value.parse().ok()).map(timestamp))
    }
}

fn gap(row: &Row<'_>) -> Result<Gap, StoreError> {
    let corrupt = |what, value: &str| StoreError::Corrupt {
        what,
        value: value.to_owned(),
    };
    let reason: String = row.get(5)?;
    let known = GapReason::ALL.into_iter().find(|it| it.name() == reason);
    let method: String = row.get(7)?;
    let (how, until): (String, i64) = (row.get(16)?, row.get(4)?);
    let closed: Option<i64> = row.get(15)?;
    let noted: Option<i64> = row.get(6)?;
    Ok(Gap {
        id: number(row.get(0)?),
        app: row.get(1)?,
        account: row.get::<Option<i64>>(2)?.map(account).transpose()?,
        from: timestamp(row.get(3)?),
        until: timestamp(until),
        reason: known.ok_or_else(|| corrupt("reason of a gap", &reason))?,
        noted: timestamp(noted.unwrap_or(until)),
        method: GapMethod::ALL.into_iter().find(|it| it.name() == method),
        filled: row.get::<Option<i64>>(8)?.map(timestamp),
        order: order(row)?,
        attempts: row.get(13)?,
        next_at: row.get::<Option<i64>>(14)?.map(timestamp),
        closed: match closed {
            Some(at) => {
                let end = GapEnd::parse(&how).ok_or_else(|| corrupt("end of a gap", &how))?;
                Some((timestamp(at), end))
            }
            None => None,
        },
        note: row.get(17)?,
        acknowledged: row.get::<Option<i64>>(18)?.is_some(),
        settled: Vec::new(),
    })
}

fn gap_read(row: &Row<'_>) -> Result<GapRead, StoreError> {
    let state: String = row.get(4)?;
    Ok(GapRead {
        account: account(row.get(0)?)?,
        source: row.get(1)?,
        since: timestamp(row.get(2)?),
        state: match state.as_str() {
            "done" => ReadState::Done,
            "lost" => ReadState::Lost { why: row.get(5)? },
            _ => ReadState::Open { page: row.get(3)? },
        },
    })
}

fn order(row: &Row<'_>) -> Result<Option<ReplayOrder>, StoreError> {
    let at: Option<i64> = row.get(12)?;
    let Some(at) = at else {
        return Ok(None);
    };
    Ok(Some(ReplayOrder {
        job: row.get::<Option<String>>(9)?.unwrap_or_default(),
        from: timestamp(row.get(10)?),
        until: timestamp(row.get(11)?),
        at: timestamp(at),
    }))
}

fn account(key: i64) -> Result<AccountId, StoreError> {
    let id = UserId::from_number(number(key)).map(AccountId);
    id.ok_or_else(|| StoreError::Corrupt {
        what: "account of a gap",
        value: key.to_string(),
    })
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::store::Store;

    #[tokio::test]
    async fn a_gap_of_each_reason_is_read_as_it_was_opened() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_in(folder.path());
        let at = |hour: i64| Timestamp::from_second(hour * 3600).unwrap();
        let reasons = [
            GapReason::Refused,
            GapReason::Downtime,
            GapReason::ByHand,
            GapReason::Linking,
            GapReason::Undelivered,
        ];
        let open = move |tx: &mut Tx<'_>| {
            for (place, reason) in (0..).zip(reasons) {
                tx.add_gap(&NewGap {
                    app: "acme".to_owned(),
                    account: None,
                    from: at(3 * place),
                    until: at(3 * place + 1),
                    reason,
                    at: at(30),
                })?;
            }
            Ok(())
        };
        store.write(open).await.unwrap();
        let gaps = store.read(|tx| tx.open_gaps()).await.unwrap();
        let read: Vec<_> = gaps.iter().map(|gap| gap.reason).collect();
        assert_eq!(read, reasons);
    }
}
