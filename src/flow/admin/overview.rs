//! How things stand, in figures.

use jiff::{SignedDuration, Timestamp};

use crate::domain::ids::AccountId;
use crate::flow::watch::month_of;
use crate::store::{CommandState, Cost, Gap, Hold, Store, StoreError, Traffic, Tx, hour_of};

/// Time that the plot shows.
const SHOWN: SignedDuration = SignedDuration::from_hours(24);
/// Conversations with held messages that are counted.
const MOST_HELD: usize = 1000;

/// How things stand.
#[derive(Clone, Debug)]
pub struct Overview {
    /// Since the first of the month, UTC.
    pub costs: Vec<Cost>,
    /// The hour of now, since 1970.
    pub hour: i64,
    /// The last day, by account and hour.
    pub traffic: Vec<(AccountId, i64, Traffic)>,
    /// Deliveries in quarantine, by reason.
    pub quarantine: Vec<(String, u64)>,
    /// Times for which X may have events that we have not.
    pub gaps: Vec<Gap>,
    /// Open commands, by state and what holds them, and when the oldest came.
    pub commands: Vec<(CommandState, Hold, u64, Timestamp)>,
    /// Messages held back in storms.
    pub held: u64,
    /// Events that the broker does not have yet.
    pub unpublished: u64,
}

/// Looks at all of it.
///
/// # Errors
/// When the store cannot be read.
pub async fn overview(store: &Store, now: Timestamp) -> Result<Overview, StoreError> {
    let since = now.saturating_sub(SHOWN).unwrap_or(now);
    let read = move |tx: &Tx<'_>| {
        let held = tx.held_conversations(MOST_HELD)?;
        Ok(Overview {
            costs: tx.costs_since(month_of(now))?,
            hour: hour_of(now),
            traffic: tx.traffic_since(hour_of(since) + 1)?,
            quarantine: tx.quarantine_counts()?,
            gaps: tx.open_gaps()?,
            commands: tx.ledger_summary()?,
            held: held.iter().map(|it| it.messages).sum(),
            unpublished: tx.journal_summary()?.unpublished,
        })
    };
    store.read(read).await
}
