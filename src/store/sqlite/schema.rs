//! Migrations, applied in order; `user_version` counts them.

use rusqlite::{Connection, TransactionBehavior};

const MIGRATIONS: [(i64, &str); 13] = [
    (1, include_str!("migrations/0001_journal.sql")),
    (2, include_str!("migrations/0002_ledger.sql")),
    (3, include_str!("migrations/0003_registry.sql")),
    (4, include_str!("migrations/0004_storm.sql")),
    (5, include_str!("migrations/0005_person.sql")),
    (6, include_str!("migrations/0006_api.sql")),
    (7, include_str!("migrations/0007_linking.sql")),
    (8, include_str!("migrations/0008_watch.sql")),
    (9, include_str!("migrations/0009_keeper.sql")),
    (10, include_str!("migrations/0010_gaps.sql")),
    (11, include_str!("migrations/0011_feeds.sql")),
    (12, include_str!("migrations/0012_comply.sql")),
    (13, include_str!("migrations/0013_console.sql")),
];
const NEWEST: i64 = MIGRATIONS.len() as i64;

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
    for (version, sql) in MIGRATIONS.iter().filter(|(version, _)| *version > found) {
        step.execute_batch(sql)?;
        step.pragma_update(None, "user_version", version)?;
    }
    Ok(step.commit()?)
}
