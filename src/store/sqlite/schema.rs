//! Migrations, applied in order; `user_version` counts them.

use rusqlite::{Connection, TransactionBehavior};

use crate::store::migrations::{self, NEWEST};

/// A database that this version cannot bring up to date.
#[derive(Debug, thiserror::Error)]
pub(in crate::store) enum MigrateError {
    #[error("its schema {found} is newer than {NEWEST}, the newest that this version knows")]
    Newer { found: i64 },
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

/// Brings the database to the newest version, all in one transaction: another process may open it
/// for the first time too.
pub(in crate::store) fn migrate(conn: &mut Connection) -> Result<(), MigrateError> {
    let step = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = step.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > NEWEST {
        return Err(MigrateError::Newer { found });
    }
    for (version, migration) in migrations::after(found) {
        step.execute_batch(&migration.for_sqlite())?;
        step.pragma_update(None, "user_version", version)?;
    }
    Ok(step.commit()?)
}
