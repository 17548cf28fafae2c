//! Housekeeping of the store: retention, the size cap, kept deliveries.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::ingest::Ingest;
use super::{deletion, person};
use crate::domain::registry::Registry;
use crate::store::{GapReason, LeaseRow, Leaving, Store, StoreError, ThreadsSweep, Tx, hour_of};

const PRUNE_EVERY: Duration = Duration::from_secs(30);
const RETRY_EVERY: Duration = Duration::from_secs(2);
/// Where any replica runs, there was a sign of life within this.
const SIGN_OF_LIFE: SignedDuration = SignedDuration::from_secs(20);
/// Rows removed in one transaction: others must not wait long behind it.
const CHUNK: usize = 1000;
/// The same of rows that may be as large as a delivery.
const FEW: usize = 100;
/// Rows of threads looked at in one clean-up: some ten millions a day.
const SWEPT_CHUNKS: usize = 5;
/// Threads outlive bodies: a customer may come back to an old post.
const THREADS_KEPT: SignedDuration = SignedDuration::from_hours(365 * 24);
/// A repeat of a command is known for so long (contract 5).
const COMMANDS_KEPT: SignedDuration = SignedDuration::from_hours(90 * 24);
/// More than a year, to compare with the year before.
const COSTS_KEPT: SignedDuration = SignedDuration::from_hours(400 * 24);
/// A month to look at; two weeks tell what is usual.
const TRAFFIC_KEPT: SignedDuration = SignedDuration::from_hours(31 * 24);
/// Ends of replays that nobody here ordered.
const REPLAY_ENDS_KEPT: SignedDuration = SignedDuration::from_hours(24);
/// Share of the cap, in percent, above which confirmed bodies go, oldest first.
const PRUNE_ABOVE: u64 = 80;

/// How long what holds words of people is kept; bodies for `StoreSettings::retention`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Texts of commands, from their outcome.
    pub commands: Duration,
    /// Deliveries that were not understood, or wait for their account.
    pub quarantine: Duration,
    /// Who changed what.
    pub audit: Duration,
}

/// Opens a gap for each app over the time since the service last ran.
///
/// # Errors
/// When the store cannot be used.
pub async fn note_downtime(
    store: &Store,
    registry: &Registry,
    now: Timestamp,
) -> Result<(), StoreError> {
    if let Some(since) = store.read(|tx| tx.alive_at()).await? {
        open_gaps(store, registry, since, now).await?;
    }
    store.write(move |tx| tx.note_alive(now)).await
}

/// A time in which nobody ran, unless the leader of then did.
#[derive(Clone, Debug)]
pub struct Doubt {
    pub since: Timestamp,
    pub until: Timestamp,
    lease: LeaseRow,
}

impl Doubt {
    /// Whether that leader was dead: it has not renewed its lease since, nor given it back.
    pub fn is_certain(&self, last: &LeaseRow) -> bool {
        (last.epoch, last.ends_at) == (self.lease.epoch, self.lease.ends_at)
    }
}

/// The same for one of several replicas. Where a leader may be at work, others may have been, too;
/// then nothing is noted but returned, to be noted should that leader prove to be dead.
///
/// # Errors
/// When the store cannot be used.
pub async fn note_downtime_of_all(
    store: &Store,
    registry: &Registry,
    now: Timestamp,
) -> Result<Option<Doubt>, StoreError> {
    let read = move |tx: &Tx<'_>| Ok((tx.alive_at()?, tx.lease(now)?));
    let (Some(since), lease) = store.read(read).await? else {
        return Ok(None);
    };
    if lease.over_for().is_none() && now.duration_since(since) <= SIGN_OF_LIFE {
        return Ok(Some(Doubt {
            since,
            until: now,
            lease,
        }));
    }
    open_gaps(store, registry, since, now).await.map(|()| None)
}

/// Opens a gap for each app because nobody ran.
///
/// # Errors
/// When the store cannot be used.
pub async fn open_gaps(
    store: &Store,
    registry: &Registry,
    since: Timestamp,
    until: Timestamp,
) -> Result<(), StoreError> {
    let apps: Vec<String> = registry.apps().iter().map(|app| app.name.clone()).collect();
    store
        .write(move |tx| {
            for app in &apps {
                tx.open_gap(app, since, until, GapReason::Downtime)?;
            }
            Ok(())
        })
        .await
}

/// Keeps the store in order until `stop`. What nobody wanted is remembered for `unwanted_for`.
pub async fn run(
    store: Store,
    ingest: Arc<Ingest>,
    (retention, unwanted_for): (Retention, Duration),
    stop: CancellationToken,
) {
    let [mut prune_due, mut retry] = [PRUNE_EVERY, RETRY_EVERY].map(|period| {
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    });
    report(
        "look at what waits for accounts",
        retry_unlinked(&store).await,
    );
    let mut sweep = ThreadsSweep::default();
    let mut erasures = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = prune_due.tick() => {
                report("clean-up", prune(&store, &retention, Timestamp::now()).await);
                report("clean-up of what is gone", let_go(&store, Timestamp::now()).await);
                let swept = prune_threads(&store, &mut sweep, Timestamp::now()).await;
                report("clean-up of threads", swept);
                let pruned = prune_sightings(&store, unwanted_for, Timestamp::now()).await;
                report("clean-up of what nobody wanted", pruned);
            }
            _ = retry.tick() => {
                if let Err(error) = ingest.retry_quarantined().await {
                    tracing::warn!(%error, "kept deliveries were not tried again");
                }
                let newest = ingest.forget_after_erasures(erasures).await;
                report("forgetting whom others erased", newest.map(|it| erasures = Some(it)));
                report("telling of storms", ingest.watch_storms(Timestamp::now()).await);
                if let Err(error) = ingest.release_held().await {
                    tracing::warn!(%error, "messages held back were not let through");
                }
            }
        }
    }
}

fn report(what: &str, result: Result<(), StoreError>) {
    if let Err(error) = result {
        tracing::warn!(%error, what, "the store's upkeep failed");
    }
}

/// Where a delivery does not tell for which account it is, that may be linked since the last start.
async fn retry_unlinked(store: &Store) -> Result<(), StoreError> {
    let asked = store.write(|tx| tx.request_retry_of_unlinked()).await;
    asked.map(drop)
}

/// Removes what is older than the retention, and confirmed bodies above the size cap.
///
/// # Errors
/// When the store cannot be used.
pub async fn prune(store: &Store, retention: &Retention, now: Timestamp) -> Result<(), StoreError> {
    let settings = store.settings();
    let bodies = since(now, settings.retention);
    let quarantine = since(now, retention.quarantine);
    let quarantine_limit = settings.quarantine_limit();
    let limit = settings.max_bytes / 100 * PRUNE_ABOVE;
    chunks(store, move |tx| {
        tx.prune_quarantine(quarantine, quarantine_limit, FEW)
    })
    .await?;
    chunks(store, move |tx| tx.prune_bodies(bodies, CHUNK)).await?;
    chunks(store, move |tx| tx.prune_seen(bodies, CHUNK)).await?;
    chunks(store, move |tx| tx.prune_held(bodies, FEW)).await?;
    chunks(store, move |tx| tx.prune_gaps(bodies, CHUNK)).await?;
    let ends_since = before(now, REPLAY_ENDS_KEPT);
    store
        .write(move |tx| tx.prune_replay_ends(ends_since))
        .await?;
    chunks(store, move |tx| tx.prune_storms(now, bodies, CHUNK)).await?;
    chunks(store, move |tx| tx.prune_echoes(bodies, FEW)).await?;
    let audit = since(now, retention.audit);
    chunks(store, move |tx| tx.prune_audit(audit, CHUNK)).await?;
    prune_replies(store, since(now, retention.commands), now).await?;
    chunks(store, move |tx| {
        if tx.used_bytes()? > limit {
            tx.prune_bodies(now, CHUNK)
        } else {
            Ok(0)
        }
    })
    .await
    .map(drop)
}

/// Removes what is left of commands; their texts go earlier.
async fn prune_replies(
    store: &Store,
    texts_since: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    let commands_since = before(now, COMMANDS_KEPT);
    let costs_since = before(now, COSTS_KEPT);
    chunks(store, move |tx| tx.prune_commands(commands_since, CHUNK)).await?;
    chunks(store, move |tx| tx.blank_commands(texts_since, CHUNK)).await?;
    chunks(store, move |tx| tx.prune_costs(costs_since, CHUNK)).await?;
    let hours_since = hour_of(before(now, TRAFFIC_KEPT));
    chunks(store, move |tx| tx.prune_traffic(hours_since, CHUNK))
        .await
        .map(drop)
}

/// Removes what was to go and may by now: events that are published, texts of commands with their
/// outcome, kept deliveries of messages that are gone.
///
/// # Errors
/// When the store cannot be used.
pub async fn let_go(store: &Store, now: Timestamp) -> Result<(), StoreError> {
    let events = chunks(store, move |tx| tx.erase_leaving_events(now, CHUNK)).await?;
    let commands = chunks(store, move |tx| {
        let commands = tx.leaving_commands(CHUNK)?;
        for command in &commands {
            person::erase_ended(tx, *command, now)?;
            tx.has_left(Leaving::Command, *command)?;
        }
        Ok(commands.len())
    })
    .await?;
    let messages = deletion::erase_kept_deliveries(store).await?;
    match events + commands > 0 || messages {
        true => store.purge_log().await,
        false => Ok(()),
    }
}

/// Forgets what filters looked at in messages that nobody wanted: what is older than `kept`, and the
/// oldest while there is too much of it.
///
/// # Errors
/// When the store cannot be used.
pub async fn prune_sightings(
    store: &Store,
    kept: Duration,
    now: Timestamp,
) -> Result<(), StoreError> {
    let kept = kept.min(store.settings().retention);
    let limit = store.settings().sightings_limit();
    let since = since(now, kept);
    chunks(store, move |tx| tx.prune_sightings(since, limit, CHUNK))
        .await
        .map(drop)
}

fn since(now: Timestamp, kept: Duration) -> Timestamp {
    before(now, SignedDuration::try_from(kept).unwrap_or_default())
}

/// Goes on with the search for threads that nobody has come back to.
async fn prune_threads(
    store: &Store,
    sweep: &mut ThreadsSweep,
    now: Timestamp,
) -> Result<(), StoreError> {
    let since = before(now, THREADS_KEPT);
    for _ in 0..SWEPT_CHUNKS {
        let from = sweep.clone();
        *sweep = store
            .write(move |tx| tx.prune_threads(since, from, CHUNK))
            .await?;
    }
    Ok(())
}

fn before(now: Timestamp, age: SignedDuration) -> Timestamp {
    now.saturating_sub(age).unwrap_or(Timestamp::MIN)
}

async fn chunks(
    store: &Store,
    step: impl Fn(&mut crate::store::Tx<'_>) -> Result<usize, StoreError> + Copy + Send + 'static,
) -> Result<usize, StoreError> {
    let mut count = 0;
    loop {
        match store.write(move |tx| step(tx)).await? {
            0 => return Ok(count),
            changed => count += changed,
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn retention() -> Retention {
        let month = Duration::from_hours(30 * 24);
        Retention {
            commands: month,
            quarantine: month,
            audit: month,
        }
    }
    use crate::domain::ids::{AccountId, CommandId, EventId};
    use crate::domain::money::Usd;
    use crate::store::{
        CommandState, Hold, NewCommand, OutcomeRow, SendKind, SendRow, SendState, StoreSettings, Tx,
    };

    const HOUR: SignedDuration = SignedDuration::from_hours(1);

    fn account() -> AccountId {
        AccountId("2975699229".parse().unwrap())
    }

    fn now() -> Timestamp {
        "2026-09-01T12:00:00Z".parse().unwrap()
    }

    fn store(folder: &TempDir) -> Store {
        Store::open(StoreSettings {
            place: folder.path().join("store.db").into(),
            max_bytes: 1 << 30,
            retention: Duration::from_hours(30 * 24),
        })
        .unwrap()
    }

    /// A command with its send that ended so long ago.
    fn ended(tx: &Tx<'_>, id: &str, ago: SignedDuration) -> Result<u64, StoreError> {
        let at = before(now(), ago);
        let sequence = tx.insert_command(&NewCommand {
            id: id.parse().unwrap(),
            fingerprint: [0; 32],
            account: Some(account()),
            name: "send_post",
            conversation: String::new(),
            call: "create_post",
            hold: Hold::None,
            received_at: at,
            expires_at: at,
            content: "{\"text\":\"Hello\"}".to_owned(),
            plan: "{\"parts\":[\"Hello\"],\"prices\":[15000],\"customer\":{\"id\":\"1\"}}"
                .to_owned(),
        })?;
        tx.put_send(&SendRow {
            command: sequence,
            part: 1,
            account: account(),
            kind: SendKind::Post,
            state: SendState::Done,
            text: "Hello".to_owned(),
            target: String::new(),
            has_media: false,
            started_at: at,
            ended_at: Some(at),
            doubted: false,
            empty_reads: 0,
            message: None,
            sent_at: Some(at),
        })?;
        let outcome = OutcomeRow {
            event: EventId::new("1", "command.succeeded", id, 1),
            event_type: "command.succeeded".to_owned(),
            body: b"{}".to_vec(),
            finished_at: at,
        };
        tx.finish_command(sequence, CommandState::Succeeded, &outcome)?;
        Ok(sequence)
    }

    fn content(tx: &Tx<'_>, id: &str) -> Option<(String, String)> {
        let id: CommandId = id.parse().unwrap();
        let row = tx.command_by_id(&id).unwrap();
        row.map(|row| (row.content, row.plan))
    }

    #[tokio::test]
    async fn commands_lose_their_texts_with_the_retention_and_are_forgotten_after_90_days() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder);
        let days = |days: i64| SignedDuration::from_hours(days * 24);
        let fill = move |tx: &mut Tx<'_>| {
            ended(tx, "forgotten", days(90) + HOUR)?;
            let young = ended(tx, "young", days(30) - HOUR)?;
            Ok((ended(tx, "blank", days(90) - HOUR)?, young))
        };
        let (blank, young) = store.write(fill).await.unwrap();
        prune(&store, &retention(), now()).await.unwrap();
        let read = move |tx: &Tx<'_>| {
            assert_eq!(content(tx, "forgotten"), None);
            let plan = "{\"prices\":[15000]}".to_owned();
            assert_eq!(content(tx, "blank"), Some((String::new(), plan)));
            assert!(content(tx, "young").unwrap().1.contains("Hello"));
            let texts = [blank, young].map(|sequence| tx.sends(sequence).unwrap()[0].text.clone());
            assert_eq!(texts, ["", "Hello"]);
            assert!(tx.outcome(blank)?.is_some(), "a repeat is answered");
            tx.sends_since(Timestamp::MIN)
        };
        let sends = store.read(read).await.unwrap();
        assert_eq!(sends, [(account(), SendKind::Post, 2)]);
    }

    #[tokio::test]
    async fn open_commands_stay_whatever_their_age() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder);
        let at = before(now(), SignedDuration::from_hours(200 * 24));
        let open = NewCommand {
            id: "open".parse().unwrap(),
            fingerprint: [0; 32],
            account: None,
            name: "send_post",
            conversation: String::new(),
            call: "create_post",
            hold: Hold::Person,
            received_at: at,
            expires_at: Timestamp::MAX,
            content: "text".to_owned(),
            plan: "{}".to_owned(),
        };
        let insert = move |tx: &mut Tx<'_>| tx.insert_command(&open);
        store.write(insert).await.unwrap();
        prune(&store, &retention(), now()).await.unwrap();
        let kept = store.read(|tx| Ok(content(tx, "open"))).await.unwrap();
        assert_eq!(kept.unwrap().0, "text");
    }

    #[tokio::test]
    async fn old_echoes_and_costs_go() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder);
        let fill = |tx: &mut Tx<'_>| {
            for (days, body) in [(31, "old"), (29, "young")] {
                let at = before(now(), SignedDuration::from_hours(days * 24));
                tx.keep_echo("acme", account(), at, at, body.as_bytes())?;
            }
            for (days, count) in [(401, 7), (400, 5), (0, 3)] {
                let at = before(now(), SignedDuration::from_hours(days * 24));
                tx.add_cost(account(), at, "post", count, Usd::from_micros(count))?;
            }
            Ok(())
        };
        store.write(fill).await.unwrap();
        prune(&store, &retention(), now()).await.unwrap();
        let read = |tx: &Tx<'_>| Ok((tx.due_echoes(now(), 9)?, tx.costs_since(Timestamp::MIN)?));
        let (echoes, costs) = store.read(read).await.unwrap();
        let bodies: Vec<_> = echoes.iter().map(|echo| echo.body.as_slice()).collect();
        assert_eq!(bodies, [b"young"]);
        assert_eq!((costs.len(), costs[0].count), (1, 8));
    }
}
