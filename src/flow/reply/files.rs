//! Attachments of commands: fetched as soon as a command is in the ledger, kept until its outcome,
//! then removed.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::accept::attachments;
use super::outcome::{Case, Verdict};
use super::plan::Plan;
use crate::attachments::fetch::FetchError;
use crate::attachments::vault::FileName;
use crate::attachments::{Attachments, Kept, TakeError};
use crate::domain::attachment::{AltText, Target, Unfit, UnfitCode, check_set};
use crate::domain::command::{Action, AttachmentSource, Failure, FailureCode};
use crate::domain::message::AttachmentKind;
use crate::flow::rules::{LiveRules, Rules};
use crate::store::{Hold, Store, StoreError, Tx};

/// Files fetched at a time.
const AT_ONCE: usize = 8;
/// Tries of one file.
const TRIES: u32 = 5;
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Commands whose files one look removes.
const CHUNK: usize = 100;

/// Fetches and removes files.
#[derive(Clone)]
pub(super) struct Files {
    pub store: Store,
    pub rules: LiveRules,
    pub attachments: Attachments,
    pub at_work: AtWork,
}

/// Commands whose files are being fetched.
#[derive(Clone)]
pub(super) struct AtWork {
    commands: Arc<Mutex<HashSet<u64>>>,
    permits: Arc<Semaphore>,
}

impl Default for AtWork {
    fn default() -> Self {
        Self {
            commands: Arc::default(),
            permits: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

impl AtWork {
    fn begin(&self, sequence: u64) -> bool {
        let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        commands.insert(sequence)
    }

    fn end(&self, sequence: u64) {
        let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        commands.remove(&sequence);
    }
}

impl Files {
    /// Removes what no command needs any more, as far as nothing is being taken in.
    pub(super) async fn sweep(&self) -> Result<(), StoreError> {
        let plans = self.store.read(|tx| tx.plans_with_files()).await?;
        let keep = plans.iter().flat_map(|plan| names(plan)).collect();
        match self.attachments.vault().sweep(&keep).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "left-over attachments were removed"),
            Err(error) => tracing::warn!(%error, "left-over attachments were not removed"),
        }
        Ok(())
    }

    /// Works until `stop`; fetches under way are dropped then, and begun again at the next start.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let tasks = TaskTracker::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = ticks.tick() => {
                    if let Err(error) = self.look(&tasks, &stop).await {
                        tracing::warn!(%error, "attachments wait for the store");
                    }
                }
            }
        }
        tasks.close();
        tasks.wait().await;
    }

    async fn look(&self, tasks: &TaskTracker, stop: &CancellationToken) -> Result<(), StoreError> {
        let read = |tx: &Tx<'_>| {
            Ok((
                tx.held_commands(Hold::Files)?,
                tx.commands_with_old_files(CHUNK)?,
            ))
        };
        let (waiting, old) = self.store.read(read).await?;
        for sequence in waiting {
            if self.at_work.begin(sequence) {
                let (files, stop) = (self.clone(), stop.clone());
                tasks.spawn(async move {
                    let fetch = files.fetch(sequence);
                    if let Some(Err(error)) = stop.run_until_cancelled(fetch).await {
                        tracing::warn!(%error, "an attachment waits for the store");
                    }
                    files.at_work.end(sequence);
                });
            }
        }
        for (sequence, plan) in old {
            self.remove(sequence, &plan).await?;
        }
        Ok(())
    }

    async fn remove(&self, sequence: u64, plan: &str) -> Result<(), StoreError> {
        for name in names(plan) {
            if let Err(error) = self.attachments.vault().remove(&name).await {
                tracing::warn!(%error, "an attachment that is no longer needed stays for now");
                return Ok(());
            }
        }
        self.store
            .write(move |tx| tx.set_has_files(sequence, false))
            .await
    }

    /// Fetches what a command lacks, file by file, until it has all or fails.
    async fn fetch(&self, sequence: u64) -> Result<(), StoreError> {
        loop {
            let case = self.store.read(move |tx| Case::open(tx, sequence)).await?;
            let Some(case) = case else { return Ok(()) };
            let places = case.plan.files.iter().enumerate();
            let lacking = places
                .filter(|(_, file)| file.kept.is_none())
                .map(|(at, _)| at);
            let Some(place) = lacking.min() else {
                return self.complete(sequence).await;
            };
            let Some(attachment) = attachments(&case.command.action).get(place) else {
                return Ok(());
            };
            let url = match &attachment.source {
                AttachmentSource::Url(url) => url.to_string(),
                AttachmentSource::Data(_) => String::new(),
            };
            let taken = {
                let _permit = self.at_work.permits.acquire().await;
                let declared = &attachment.content_type;
                self.attachments.fetch(&url, declared).await
            };
            if !self.note(sequence, place, taken).await? {
                return Ok(());
            }
        }
    }

    /// Notes what came of a fetch; whether to go on.
    async fn note(
        &self,
        sequence: u64,
        place: usize,
        taken: Result<Kept, TakeError>,
    ) -> Result<bool, StoreError> {
        let name = taken.as_ref().ok().map(|kept| kept.file.name.clone());
        let (rules, at) = (self.rules.now(), Timestamp::now());
        let noted = self
            .store
            .write(move |tx| note(tx, &rules, sequence, place, taken, at))
            .await;
        match noted {
            Ok(Noted::Kept) => Ok(true),
            Ok(Noted::Again(pause)) => {
                tokio::time::sleep(pause).await;
                Ok(true)
            }
            other => {
                if let Some(name) = name {
                    let removed = self.attachments.vault().remove(&name).await;
                    if let Err(error) = removed {
                        tracing::warn!(%error, "an attachment stays until the next start");
                    }
                }
                other.map(|_| false)
            }
        }
    }

    async fn complete(&self, sequence: u64) -> Result<(), StoreError> {
        let (rules, at) = (self.rules.now(), Timestamp::now());
        self.store
            .write(move |tx| complete(tx, &rules, sequence, at))
            .await
    }
}

/// The files that a command's plan names.
pub(crate) fn names(plan: &str) -> Vec<FileName> {
    let plan: Plan = serde_json::from_str(plan).unwrap_or_default();
    let kept = plan.files.into_iter().filter_map(|file| file.kept);
    kept.map(|kept| kept.file.name).collect()
}

enum Noted {
    Kept,
    Again(Duration),
    /// The command has its outcome.
    Ended,
}

fn note(
    tx: &mut Tx<'_>,
    rules: &Rules,
    sequence: u64,
    place: usize,
    taken: Result<Kept, TakeError>,
    at: Timestamp,
) -> Result<Noted, StoreError> {
    let Some(case) = Case::open(tx, sequence)? else {
        return Ok(Noted::Ended);
    };
    let mut plan = case.plan.clone();
    let Some(file) = plan.files.get_mut(place) else {
        return Ok(Noted::Ended);
    };
    match taken {
        Ok(kept) => {
            file.kept = Some(kept);
            tx.set_plan(sequence, &plan.to_json())?;
            tx.set_has_files(sequence, true)?;
            Ok(Noted::Kept)
        }
        Err(error) => {
            file.tries += 1;
            let tries = file.tries;
            if error.is_retryable() && tries < TRIES {
                tx.set_plan(sequence, &plan.to_json())?;
                let pause = Duration::from_secs(1) * 3u32.saturating_pow(tries - 1);
                let next = SignedDuration::try_from(pause).unwrap_or_default();
                tx.set_hold(sequence, Hold::Files, at.saturating_add(next).unwrap_or(at))?;
                return Ok(Noted::Again(pause));
            }
            let failure = failure(&case.command.action, place, &error);
            case.finish(tx, rules, failure.into(), at)?;
            tx.touch_command(sequence)?;
            Ok(Noted::Ended)
        }
    }
}

/// Why an attachment ends its command.
pub(super) fn failure(action: &Action, place: usize, error: &TakeError) -> Failure {
    let code = match error {
        TakeError::Fetch(FetchError::NotAllowed { .. }) => FailureCode::AttachmentHostNotAllowed,
        TakeError::Fetch(FetchError::TooLarge { .. }) => FailureCode::MediaTooLarge,
        TakeError::Fetch(_) | TakeError::Vault(_) => FailureCode::MediaUnreachable,
        TakeError::Unfit(unfit) => code_of(unfit),
    };
    Failure {
        code,
        field: format!("{}.attachments[{place}]", action.name()),
        detail: error.to_string(),
    }
}

fn code_of(unfit: &Unfit) -> FailureCode {
    match unfit.code() {
        UnfitCode::TooLarge => FailureCode::MediaTooLarge,
        UnfitCode::Unsupported => FailureCode::MediaUnsupported,
    }
}

/// Whether files that are all there go together, and each with its description.
pub(super) fn check(action: &Action, plan: &Plan) -> Result<(), Failure> {
    let kept = plan.files.iter().filter_map(|file| file.kept.as_ref());
    let kinds: Vec<_> = kept.map(|kept| kept.media.kind()).collect();
    check_kinds(action, &kinds)
}

/// The same of what the files are.
pub(super) fn check_kinds(action: &Action, kinds: &[AttachmentKind]) -> Result<(), Failure> {
    let name = action.name();
    let unsupported = |field: String, detail: String| Failure {
        code: FailureCode::MediaUnsupported,
        field,
        detail,
    };
    let target = match action {
        Action::SendDirectMessage(_) => Target::DirectMessage,
        _ => Target::Post,
    };
    check_set(target, kinds).map_err(|unfit| Failure {
        code: code_of(&unfit),
        field: format!("{name}.attachments"),
        detail: unfit.to_string(),
    })?;
    for (place, (kind, attachment)) in kinds.iter().zip(attachments(action)).enumerate() {
        if attachment.alt_text.is_empty() {
            continue;
        }
        let checked = AltText::parse(&attachment.alt_text).and_then(|text| text.check_kind(*kind));
        if let Err(error) = checked {
            let field = format!("{name}.attachments[{place}].alt_text");
            return Err(unsupported(field, error.to_string()));
        }
    }
    Ok(())
}

/// All files are there: the command may go.
fn complete(
    tx: &mut Tx<'_>,
    rules: &Rules,
    sequence: u64,
    at: Timestamp,
) -> Result<(), StoreError> {
    let Some(case) = Case::open(tx, sequence)? else {
        return Ok(());
    };
    if let Err(failure) = check(&case.command.action, &case.plan) {
        case.finish(tx, rules, failure.into(), at)?;
        return tx.touch_command(sequence);
    }
    let account = case.row.waiting.account;
    let Some(account) = account.and_then(|id| rules.registry.account(id.0)) else {
        let verdict = Verdict::failed(
            FailureCode::UnknownAccount,
            "account_id",
            "The account is no longer linked.",
        );
        case.finish(tx, rules, verdict, at)?;
        return tx.touch_command(sequence);
    };
    let revoked = tx.account_state(account.id)?.revoked_at.is_some();
    tx.set_hold(sequence, rules.hold(account, revoked, false), at)?;
    tx.touch_command(sequence)
}
