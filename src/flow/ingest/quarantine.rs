//! Kept deliveries get another chance: when their account is linked, or when a person asks.

use bytes::Bytes;
use jiff::Timestamp;

use super::work::{Arrival, Report, store_delivery};
use super::{Ingest, IngestError};
use crate::store::{Quarantined, StoreError};
use crate::x::normalize::normalize;

/// Most deliveries of one round.
const BATCH: usize = 100;

impl Ingest {
    /// Processes kept deliveries of accounts that are linked now, and those a person asked for.
    /// What is understood is published unless it was already; what is not stays kept.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn retry_quarantined(&self) -> Result<usize, IngestError> {
        let context = self.context();
        let kept = self
            .store
            .read(move |tx| {
                let mut kept = tx.retry_requested(BATCH)?;
                for account in context.registry().accounts() {
                    kept.extend(tx.waiting_for(account.id, BATCH)?);
                }
                kept.sort_by_key(|kept| kept.id);
                kept.dedup_by_key(|kept| kept.id);
                Ok(kept)
            })
            .await?;
        let mut done = 0;
        for delivery in kept {
            let report = self.retry(delivery).await?;
            self.note(report);
            done += 1;
        }
        Ok(done)
    }

    async fn retry(&self, kept: Quarantined) -> Result<Report, StoreError> {
        let context = self.context();
        self.store
            .write(move |tx| {
                tx.release_quarantined(kept.id)?;
                let body = Bytes::from(kept.body);
                // It was an object when it was kept, and still is.
                let Ok(delivery) = normalize(&body) else {
                    return Ok(Report::default());
                };
                let arrival = Arrival {
                    app: &kept.app,
                    body: &body,
                    received_at: kept.at,
                    waited: false,
                    released: None,
                };
                let mut report =
                    store_delivery(tx, &context, arrival, &delivery, Timestamp::now())?;
                tracing::info!(
                    quarantine.id = kept.id,
                    published = report.published.len(),
                    "a kept delivery was tried again"
                );
                report.new = false;
                Ok(report)
            })
            .await
    }
}
