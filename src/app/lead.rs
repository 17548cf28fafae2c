//! Who leads: each replica asks for the lease until it gets it, leads for as long as it has it, and
//! then asks again.
//!
//! What is left: a leader that is stopped by the system between its last look at the lease and the
//! first byte of a request to X sends that request when it goes on, however late. The next leader
//! looks up only what stood as `sending` once the lease and the longest call were over.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::StartError;
use super::term::{Parts, Shared};
use crate::flow::upkeep::{self, Doubt};
use crate::store::{Claim, LeaseRow, Store, StoreError, Term, Won};
use crate::telemetry::metrics;

/// How often a replica that follows looks whether the lease is over.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Renewals within a lease.
const RENEWALS: u32 = 3;
/// Until a renewal is tried again that the store did not take.
const RENEW_AGAIN: Duration = Duration::from_millis(500);
/// How long the parts of a lost term may take to end: calls to X are cut off before.
const LOST_GRACE: Duration = Duration::from_secs(12);

/// The replica that leads, as this one last heard; empty where none does.
#[derive(Default)]
pub(super) struct Leader(Mutex<String>);

impl Leader {
    /// Where its private listener is; `None` where nobody leads.
    pub(super) fn address(&self) -> Option<String> {
        let address = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Some(address.clone()).filter(|address| !address.is_empty())
    }

    fn set(&self, address: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        address.clone_into(&mut known);
    }
}

/// This replica's part in who leads.
pub(super) struct Candidate {
    shared: Shared,
    claim: Claim,
}

/// A term that has begun.
pub(super) struct Begun {
    term: Term,
    parts: Parts,
    /// Ends the renewals with it.
    renewing: DropGuard,
}

impl Candidate {
    /// One whose private listener others reach at `address`.
    pub(super) fn new(shared: Shared, address: String) -> Self {
        let claim = Claim {
            holder: format!("{:016x}", rand::random::<u64>()),
            address,
            lasts: shared.base.settings.replicas.lease,
            is_only: shared.base.store.is_exclusive(),
        };
        Self { shared, claim }
    }

    fn store(&self) -> &Store {
        &self.shared.base.store
    }

    /// Leads whenever nobody else does, until the service stops. `begun` is a first term.
    pub(super) async fn run(self, begun: Option<Begun>) {
        let stop = self.shared.base.stop.clone();
        let mut begun = begun;
        loop {
            if let Some(begun) = begun.take() {
                self.lead(begun).await;
            }
            if stop.is_cancelled() {
                return;
            }
            begun = self.begin().await.unwrap_or_else(|error| {
                tracing::warn!(%error, "this replica cannot lead");
                None
            });
            if begun.is_none() {
                stop.run_until_cancelled(sleep(LOOK_EVERY)).await;
            }
        }
    }

    /// Begins a term, if nobody else leads.
    ///
    /// # Errors
    /// [`StartError`]; the lease is given back then.
    pub(super) async fn begin(&self) -> Result<Option<Begun>, StartError> {
        let asked_at = Instant::now();
        let Some(won) = self.win().await? else {
            return Ok(None);
        };
        let lasts = (!self.claim.is_only).then_some(self.claim.lasts);
        let term = Term::new(won.epoch, asked_at, lasts);
        let renewing = CancellationToken::new();
        if let Some(lasts) = lasts {
            let renewals = renew(self.store().clone(), term.clone(), lasts);
            let until = renewing.clone();
            tokio::spawn(async move { until.run_until_cancelled(renewals).await });
        }
        let renewing = renewing.drop_guard();
        let parts = match self.start(&term, &won).await {
            Ok(parts) => parts,
            Err(error) => {
                drop(renewing);
                self.release(&term).await;
                return Err(error);
            }
        };
        self.shared.base.leadership.set(Some(term.clone()));
        metrics::set_leader(true);
        tracing::info!(epoch = won.epoch, "this replica leads");
        Ok(Some(Begun {
            term,
            parts,
            renewing,
        }))
    }

    /// Asks for the lease; `None` while it is another's.
    async fn win(&self) -> Result<Option<Won>, StoreError> {
        let row = self.store().read(|tx| tx.lease(Timestamp::now())).await?;
        let leader = &self.shared.base.leader;
        let runs = row.over_for().is_none();
        let by_another = runs && row.holder != self.claim.holder;
        leader.set(if by_another { &row.address } else { "" });
        if runs && !self.claim.is_only {
            return Ok(None);
        }
        let claim = self.claim.clone();
        let won = self
            .store()
            .write(move |tx| tx.claim_lease(&claim, Timestamp::now()))
            .await?;
        if won.is_some() {
            leader.set("");
        }
        Ok(won)
    }

    async fn start(&self, term: &Term, won: &Won) -> Result<Parts, StartError> {
        let base = &self.shared.base;
        let downtime = base.take_downtime();
        if let Some(Doubt { since, until, .. }) = downtime.filter(|it| it.is_certain(&won.former)) {
            let registry = &base.rules.now().registry;
            upkeep::open_gaps(&base.store, registry, since, until).await?;
        }
        let settle_in = match self.claim.is_only {
            true => Duration::ZERO,
            false => settle_in(&won.former, base.settings.x_api.call_timeout),
        };
        Parts::start(&self.shared, term, settle_in).await
    }

    /// Leads until the term or the service is over, and ends all that belongs to it.
    async fn lead(&self, begun: Begun) {
        let Begun {
            term,
            parts,
            renewing,
        } = begun;
        let base = &self.shared.base;
        let lost = tokio::select! {
            () = base.stop.cancelled() => false,
            () = term.over() => true,
        };
        if lost {
            tracing::warn!(epoch = term.epoch(), "this replica does not lead any more");
            base.leadership.set(None);
        }
        let limit = match lost {
            true => LOST_GRACE,
            false => self.shared.base.settings.stop.grace,
        };
        let ended = parts.end(limit).await;
        base.leadership.set(None);
        metrics::set_leader(false);
        drop(renewing);
        match ended {
            // Nothing of it goes on: the next one may begin at once.
            true => self.release(&term).await,
            // Better no replica than one that goes on as if it led.
            false => {
                tracing::error!("a part of the leader does not end: the process has to");
                base.fallen.cancel();
            }
        }
    }

    async fn release(&self, term: &Term) {
        let epoch = term.epoch();
        let release =
            move |tx: &mut crate::store::Tx<'_>| tx.release_lease(epoch, Timestamp::now());
        if let Err(error) = self.store().write(release).await {
            tracing::warn!(%error, "the lease is not given back, and ends by itself");
        }
    }
}

/// Calls that the former leader began before its lease was over have ended by then.
fn settle_in(former: &LeaseRow, call_timeout: Duration) -> Duration {
    let over_for = former.over_for().unwrap_or_default();
    call_timeout.saturating_sub(over_for)
}

/// Renews a term until it is over.
async fn renew(store: Store, term: Term, lasts: Duration) {
    let mut pause = lasts / RENEWALS;
    while term.holds(Instant::now()) {
        sleep(pause).await;
        let (asked_at, epoch) = (Instant::now(), term.epoch());
        let renewal = store.write(move |tx| tx.renew_lease(epoch, lasts, Timestamp::now()));
        pause = lasts / RENEWALS;
        match renewal.await {
            Ok(true) => term.renewed(asked_at, lasts),
            Ok(false) => term.depose(),
            Err(error) => {
                tracing::warn!(%error, "the lease is not renewed yet");
                pause = RENEW_AGAIN.min(pause);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_successor_waits_for_the_longest_call_from_the_end_of_the_lease_on() {
        let second = |second| Timestamp::from_second(second).unwrap();
        let former = |ended| LeaseRow {
            holder: "one".to_owned(),
            epoch: 1,
            ends_at: second(ended),
            address: String::new(),
            now: second(100),
        };
        let call = Duration::from_secs(20);
        assert_eq!(settle_in(&former(98), call), Duration::from_secs(18));
        assert_eq!(settle_in(&former(100), call), Duration::from_secs(20));
        assert_eq!(settle_in(&former(0), call), Duration::ZERO);
    }
}
