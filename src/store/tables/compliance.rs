//! What is asked of X about published posts, and how far it has come.

use jiff::Timestamp;

use super::threads::{account_key, day};
use super::tx::{Tx, count, millis, number, stored, timestamp};
use crate::domain::ids::{AccountId, ComplianceJobId, TweetId, UserId};
use crate::store::StoreError;
use crate::store::sql::{self, Row, params};

/// The checks of an app.
#[derive(Clone, Debug, PartialEq)]
pub struct ComplianceRow {
    /// Name of the app.
    pub app: String,
    /// When the next check begins by itself.
    pub due: Timestamp,
    /// Somebody wants one now.
    pub requested: bool,
    /// When the last one ended well.
    pub last_done: Option<Timestamp>,
    /// The first failure after that.
    pub failing_since: Option<Timestamp>,
    /// What fails is that the app may not.
    pub refused: bool,
    /// The last failure in words; empty where nothing fails.
    pub problem: String,
    /// The one under way.
    pub check: Option<CheckRow>,
}

/// A check under way.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckRow {
    /// Of the job at X.
    pub name: String,
    pub started: Timestamp,
    /// Once X has told it.
    pub job: Option<ComplianceJobId>,
    /// The ids are with X.
    pub uploaded: bool,
    /// Posts are looked up by id instead.
    pub look_up: Option<LookUp>,
}

/// How far looking up has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookUp {
    /// Whose posts.
    pub account: AccountId,
    /// Those older than this one come next; at first the newest.
    pub before: Option<TweetId>,
}

const COLUMNS: &str = "app, due, requested, last_done, failing_since, refused, problem,
   name, started, job, uploaded, account, looked_up";

fn read(row: &Row<'_>) -> sql::Result<ComplianceRow> {
    Ok(ComplianceRow {
        app: row.get(0)?,
        due: timestamp(row.get(1)?),
        requested: row.get(2)?,
        last_done: time(row, 3)?,
        failing_since: time(row, 4)?,
        refused: row.get(5)?,
        problem: row.get(6)?,
        check: check(row)?,
    })
}

fn time(row: &Row<'_>, place: usize) -> sql::Result<Option<Timestamp>> {
    let stored: Option<i64> = row.get(place)?;
    Ok(stored.map(timestamp))
}

fn id(row: &Row<'_>, place: usize) -> sql::Result<Option<u64>> {
    let stored: Option<i64> = row.get(place)?;
    Ok(stored.map(number))
}

fn check(row: &Row<'_>) -> sql::Result<Option<CheckRow>> {
    let name: Option<String> = row.get(7)?;
    let (Some(name), Some(started)) = (name, time(row, 8)?) else {
        return Ok(None);
    };
    let account = id(row, 11)?.and_then(UserId::from_number).map(AccountId);
    let before = id(row, 12)?.and_then(TweetId::from_number);
    Ok(Some(CheckRow {
        name,
        started,
        job: id(row, 9)?.and_then(ComplianceJobId::from_number),
        uploaded: row.get(10)?,
        look_up: account.map(|account| LookUp { account, before }),
    }))
}

impl Tx<'_> {
    /// The checks of every app that had some, by name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn compliance(&self) -> Result<Vec<ComplianceRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM compliance ORDER BY app");
        self.rows(&sql, [], read)
    }

    /// The checks of an app.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn compliance_of(&self, app: &str) -> Result<Option<ComplianceRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM compliance WHERE app = ?1");
        self.row(&sql, [app], read)
    }

    /// Stores the checks of an app in place of what was.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn put_compliance(&self, row: &ComplianceRow) -> Result<(), StoreError> {
        let check = row.check.as_ref();
        let look_up = check.and_then(|check| check.look_up);
        let before = look_up.and_then(|it| it.before);
        let sql = format!(
            "INSERT INTO compliance ({COLUMNS})
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
             ON CONFLICT (app) DO UPDATE SET
               due = excluded.due, requested = excluded.requested, last_done = excluded.last_done,
               failing_since = excluded.failing_since, refused = excluded.refused,
               problem = excluded.problem, name = excluded.name, started = excluded.started,
               job = excluded.job, uploaded = excluded.uploaded, account = excluded.account,
               looked_up = excluded.looked_up"
        );
        self.run(
            &sql,
            params![
                row.app,
                millis(row.due),
                row.requested,
                row.last_done.map(millis),
                row.failing_since.map(millis),
                row.refused,
                row.problem,
                check.map(|check| &check.name),
                check.map(|check| millis(check.started)),
                check.and_then(|check| check.job).map(|id| stored(id.get())),
                check.is_some_and(|check| check.uploaded),
                look_up.map(|it| account_key(it.account)),
                before.map(|id| stored(id.get())),
            ],
        )
    }

    /// Posts held back for an account.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn held_posts(&self, account: AccountId) -> Result<Vec<TweetId>, StoreError> {
        let sql = "SELECT post FROM held WHERE account = ?1";
        let rows = self.rows(sql, [account_key(account)], |row| row.get::<i64>(0))?;
        Ok(tweets(rows))
    }

    /// Posts of others that were published for an account and touched since, the newest first: at
    /// most `limit` that are older than `before`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn published_posts(
        &self,
        account: AccountId,
        before: Option<TweetId>,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<TweetId>, StoreError> {
        let before = before.map_or(i64::MAX, |id| stored(id.get()));
        let rows = self.rows(
            "SELECT id FROM posts
             WHERE account = ?1 AND id < ?2 AND event IS NOT NULL AND day >= ?3
               AND (author IS NULL OR author <> ?1)
             ORDER BY id DESC LIMIT ?4",
            params![account_key(account), before, day(since), count(limit)],
            |row| row.get::<i64>(0),
        )?;
        Ok(tweets(rows))
    }
}

fn tweets(rows: Vec<i64>) -> Vec<TweetId> {
    let ids = rows.into_iter();
    ids.filter_map(|id| TweetId::from_number(number(id)))
        .collect()
}
