//! Migrations, applied in order; `user_version` counts them.

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use crate::store::migrations::{self, TooNew};

/// As in PostgreSQL. A file of a version that refused every newer one lacks it until its next step.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_version (
    version INTEGER PRIMARY KEY,
    oldest_reader INTEGER NOT NULL) -- versions below it cannot use the database";

/// A database that this version cannot bring up to date.
#[derive(Debug, thiserror::Error)]
pub(in crate::store) enum MigrateError {
    #[error(transparent)]
    TooNew(#[from] TooNew),
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

/// Brings the database to the newest version, all in one transaction: another process may open it
/// for the first time too. A newer database is left as it is, and used, unless it says that versions
/// like this one cannot.
pub(in crate::store) fn migrate(conn: &mut Connection) -> Result<(), MigrateError> {
    let step = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = step.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    step.execute_batch(TABLE)?;
    migrations::may_use(found, oldest_reader(&step, found)?)?;
    for (version, migration) in migrations::after(found) {
        step.execute_batch(&migration.for_sqlite())?;
        step.pragma_update(None, "user_version", version)?;
        step.execute(
            "INSERT INTO schema_version (version, oldest_reader) VALUES (?1, ?2)",
            params![version, migrations::oldest_reader(version)],
        )?;
    }
    Ok(step.commit()?)
}

/// Where nobody has said so, those that know all of it.
fn oldest_reader(step: &Transaction<'_>, found: i64) -> rusqlite::Result<i64> {
    let sql = "SELECT coalesce(max(oldest_reader), ?1) FROM schema_version";
    step.query_row(sql, [found], |row| row.get(0))
}
