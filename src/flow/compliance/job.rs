//! A batch compliance job, from its ids to its results.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::noting::{self, LookedFor};
use super::{Checks, Progress, Setback};
use crate::domain::account::App;
use crate::domain::event::{DetectedBy, GoneBecause};
use crate::domain::ids::{AccountId, ComplianceJobId, TweetId};
use crate::flow::reply::result_name;
use crate::flow::rules::Rules;
use crate::store::{CheckRow, StoreError};
use crate::telemetry::metrics;
use crate::x::client::Reply;
use crate::x::client::compliance::{
    ComplianceJob, Finding, FindingReason, JobState, ResultLine, StorageError,
};

/// Most ids of one check.
const MOST_IDS: usize = 1_000_000;
/// Rows read in one go, and findings noted in one transaction.
const PAGE: usize = 10_000;
const NOTED: usize = 100;
/// How long results are there, where X does not say. Source: X's batch compliance guide.
const LONGEST: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How far back published posts are asked for.
pub(super) const LOOKED_BACK: SignedDuration = SignedDuration::from_hours(30 * 24);

impl Checks {
    /// The next step of a check by job.
    pub(super) async fn go_on_with_job(
        &self,
        rules: &Arc<Rules>,
        app: &App,
        check: &CheckRow,
        now: Timestamp,
    ) -> Result<Progress, Setback> {
        let Some(id) = check.job else {
            return self.find_or_create(rules, app, check, now).await;
        };
        let job = counted(self.client.compliance_job(app, id).await)?;
        match &job.state {
            JobState::Created if !check.uploaded => self.upload(rules, app, &job, check, now).await,
            JobState::Complete => self.read_results(rules, app, &job, now).await,
            JobState::Failed | JobState::Expired => {
                Err(Setback::Failed(format!("X ended the job: {:?}", job.state)))
            }
            JobState::Created | JobState::InProgress | JobState::Other(_) => {
                match now < expiry(&job, check) {
                    true => Ok(Progress::Waits),
                    false => Err(Setback::Failed("the job at X never ended".to_owned())),
                }
            }
        }
    }

    async fn find_or_create(
        &self,
        rules: &Arc<Rules>,
        app: &App,
        check: &CheckRow,
        now: Timestamp,
    ) -> Result<Progress, Setback> {
        if self.ids(rules, app, now, 1).await?.is_empty() {
            return Ok(Progress::Done);
        }
        // Its answer may have been lost, with us or on the way.
        let listed = counted(self.client.compliance_jobs(app).await)?;
        let known = listed.into_iter().find(|job| job.name == check.name);
        let job = match known {
            Some(job) => job,
            None => counted(self.client.create_compliance_job(app, &check.name).await)?,
        };
        Ok(step(check, job.id, false))
    }

    async fn upload(
        &self,
        rules: &Arc<Rules>,
        app: &App,
        job: &ComplianceJob,
        check: &CheckRow,
        now: Timestamp,
    ) -> Result<Progress, Setback> {
        let ids = self.ids(rules, app, now, MOST_IDS).await?;
        if ids.is_empty() {
            return Ok(Progress::Done);
        }
        self.client.upload_compliance_ids(job, &ids).await?;
        tracing::info!(
            app = app.name,
            posts = ids.len(),
            "a compliance check is with X"
        );
        Ok(step(check, job.id, true))
    }

    /// The newest published posts of others, and those that wait, each once; at most so many.
    async fn ids(
        &self,
        rules: &Rules,
        app: &App,
        now: Timestamp,
        most: usize,
    ) -> Result<Vec<TweetId>, StoreError> {
        let mut ids = Vec::new();
        for account in rules.registry.accounts_of(&app.name) {
            ids.extend(self.ids_of(account.id, now, most).await?);
        }
        ids.sort_unstable_by(|a, b| b.cmp(a));
        ids.dedup();
        ids.truncate(most);
        Ok(ids)
    }

    async fn ids_of(
        &self,
        account: AccountId,
        now: Timestamp,
        most: usize,
    ) -> Result<Vec<TweetId>, StoreError> {
        let since = now.saturating_sub(LOOKED_BACK).unwrap_or(Timestamp::MIN);
        let mut ids = self.store.read(move |tx| tx.held_posts(account)).await?;
        let (mut before, limit) = (None, PAGE.min(most));
        loop {
            let read =
                move |tx: &crate::store::Tx<'_>| tx.published_posts(account, before, since, limit);
            let page = self.store.read(read).await?;
            before = page.last().copied();
            let is_last = page.len() < limit;
            ids.extend(page);
            if is_last || ids.len() >= most {
                return Ok(ids);
            }
        }
    }

    async fn read_results(
        &self,
        rules: &Arc<Rules>,
        app: &App,
        job: &ComplianceJob,
        now: Timestamp,
    ) -> Result<Progress, Setback> {
        let looked_for = LookedFor::new(rules, app, DetectedBy::Compliance);
        let mut results = self.client.compliance_results(job).await?;
        let mut found = Vec::new();
        while let Some(line) = results.next().await? {
            match line {
                ResultLine::Finding(finding) => found.extend(gone(&finding, now)),
                ResultLine::Unreadable(rejected) => {
                    tracing::warn!(
                        app = app.name,
                        detail = rejected.detail,
                        "a compliance result tells of no post"
                    );
                }
            }
            if found.len() >= NOTED {
                let full = std::mem::take(&mut found);
                noting::note(&self.store, &looked_for, full, now).await?;
            }
        }
        noting::note(&self.store, &looked_for, found, now).await?;
        Ok(Progress::Done)
    }
}

fn step(check: &CheckRow, job: ComplianceJobId, uploaded: bool) -> Progress {
    Progress::Step(CheckRow {
        job: Some(job),
        uploaded,
        ..check.clone()
    })
}

fn expiry(job: &ComplianceJob, check: &CheckRow) -> Timestamp {
    let longest = check.started.saturating_add(LONGEST);
    let longest = longest.unwrap_or(Timestamp::MAX);
    job.download_expires_at
        .map_or(longest, |at| at.min(longest))
}

/// What has become of a post, and when. Of places nothing is kept.
fn gone(finding: &Finding, now: Timestamp) -> Option<(TweetId, GoneBecause, Timestamp)> {
    let reason = match &finding.reason {
        FindingReason::ScrubGeo => return None,
        FindingReason::Protected => GoneBecause::Protected,
        FindingReason::Suspended => GoneBecause::Suspended,
        FindingReason::Deleted | FindingReason::Deactivated | FindingReason::Bounced => {
            GoneBecause::Deleted
        }
        FindingReason::Other(word) => {
            tracing::info!(
                word,
                "X wants a post out of all copies for a reason that is new"
            );
            GoneBecause::Deleted
        }
    };
    Some((finding.id, reason, finding.redacted_at.unwrap_or(now)))
}

/// The result of a call, which is counted.
pub(super) fn counted<T>(reply: Reply<T>) -> Result<T, Setback> {
    metrics::count_call(reply.call.name(), result_name(&reply.result));
    Ok(reply.result?)
}

impl From<StorageError> for Setback {
    fn from(error: StorageError) -> Self {
        let problem = error.to_string();
        match error {
            StorageError::Unavailable(_) => Self::Later(problem),
            StorageError::NotAllowed { .. }
            | StorageError::NoAddress
            | StorageError::Count { .. }
            | StorageError::Refused { .. }
            | StorageError::Unreadable(_) => Self::Failed(problem),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(reason: FindingReason, redacted_at: Option<Timestamp>) -> Finding {
        Finding {
            id: "5".parse().unwrap(),
            reason,
            created_at: None,
            redacted_at,
        }
    }

    #[test]
    fn every_finding_but_a_scrubbed_place_is_a_post_gone() {
        let (then, now) = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
        for (reason, because) in [
            (FindingReason::Deleted, GoneBecause::Deleted),
            (FindingReason::Deactivated, GoneBecause::Deleted),
            (FindingReason::Bounced, GoneBecause::Deleted),
            (
                FindingReason::Other("withheld".to_owned()),
                GoneBecause::Deleted,
            ),
            (FindingReason::Protected, GoneBecause::Protected),
            (FindingReason::Suspended, GoneBecause::Suspended),
        ] {
            let found = gone(&finding(reason.clone(), Some(then)), now).unwrap();
            assert_eq!((found.1, found.2), (because, then), "{reason:?}");
        }
        let undated = gone(&finding(FindingReason::Deleted, None), now);
        assert_eq!(undated.unwrap().2, now);
        assert_eq!(gone(&finding(FindingReason::ScrubGeo, None), now), None);
    }
}
