//! One thread writes. It commits whatever has queued up as one transaction: one fsync for many.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::StoreError;
use super::sql::Conn;
use super::tables::ahead::{Beginning, Foresight};
use super::tables::cases::Recent;
use super::tables::tx::{Changes, Tx, Written};
use super::tail::Tail;

/// Writes that may wait; more wait in their callers, who give up after their own limit.
const QUEUE: usize = 4096;
/// Most writes in one transaction: bounds what one disk fault refuses.
const BATCH: usize = 512;
/// How long a transaction may go on taking writes in: it holds up the writers of other replicas, and
/// callers give up after seconds.
const BATCH_TIME: Duration = Duration::from_millis(200);
/// How soon a database that is away is tried again for those who may wait for it.
const AGAIN: Duration = Duration::from_millis(50);

/// Asks for what a transaction begins with.
pub(super) type Open<'o> = dyn Fn(Conn<'_>) -> Result<Beginning, StoreError> + 'o;
/// Does the work of one.
pub(super) type Work<'w> = dyn FnMut(Conn<'_>, Beginning) -> Result<Changes, StoreError> + 'w;

/// Where the writer's transactions run.
pub(super) trait Engine: Send {
    /// Runs `open` and then `work` in a transaction that no other writer is in at the same time, and
    /// commits it: on return it is on disk, and who listens hears of the changes that it tells of.
    /// After an error nothing of it is stored (or it is not known), and the next transaction may be
    /// tried. `open` only asks; it may be run again, on another connection.
    fn transact(&mut self, open: &Open<'_>, work: &mut Work<'_>) -> Result<(), StoreError>;
}

/// A queued write: runs inside the transaction, answers after the commit.
trait Job: Send {
    /// What it is going to ask for.
    fn foresight(&self) -> &Foresight;
    /// Whether it is to run at all: nobody hears any more of what was given up.
    fn is_wanted(&self) -> bool;
    /// Whether it may still run, and its caller gives up by himself if that takes too long.
    fn may_wait(&self) -> bool;
    /// After an error what it wrote must be undone.
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError>;
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Write<T, F> {
    work: Option<F>,
    foresight: Foresight,
    /// Whether it need not run once its caller has stopped waiting.
    may_lapse: bool,
    /// What the work returned; [`StoreError::Closed`] until it has run.
    result: Result<T, StoreError>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Job for Write<T, F>
where
    T: Send,
    F: FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send,
{
    fn foresight(&self) -> &Foresight {
        &self.foresight
    }

    fn is_wanted(&self) -> bool {
        !(self.may_lapse && self.reply.is_closed())
    }

    fn may_wait(&self) -> bool {
        self.may_lapse && self.work.is_some()
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let Some(work) = self.work.take() else {
            return Ok(());
        };
        // A panic (its hook has told of it) is the end of this work, not of the writer.
        self.result =
            catch_unwind(AssertUnwindSafe(|| work(tx))).unwrap_or(Err(StoreError::Closed));
        self.result.as_ref().map(drop).map_err(StoreError::again)
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let Self {
            work,
            result,
            reply,
            ..
        } = *self;
        let answer = match work {
            // Its turn did not come.
            Some(_) => Err(committed.err().unwrap_or(StoreError::Closed)),
            None => result.and_then(|value| committed.map(|()| value)),
        };
        // The caller may have stopped waiting; the write stands all the same.
        let _gone = reply.send(answer);
    }
}

/// Handle to the writer thread, which ends when the last handle is dropped.
#[derive(Clone)]
pub(crate) struct Writer {
    queue: mpsc::Sender<Box<dyn Job>>,
}

impl Writer {
    /// Starts the thread, over an engine that is open.
    pub(crate) fn start(
        engine: impl Engine + 'static,
        tail: Arc<Tail>,
    ) -> Result<Self, StoreError> {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let thread = WriterThread {
            engine,
            tail,
            known_sequence: None,
            recent: None,
            is_away: false,
        };
        spawn("store-writer", move || thread.run(jobs))?;
        Ok(Self { queue })
    }

    /// Puts it into the queue. One that `may_lapse` does not run where its caller has stopped waiting
    /// before its turn came.
    pub(crate) async fn submit<T, F>(
        &self,
        work: F,
        (foresight, may_lapse): (Foresight, bool),
        reply: oneshot::Sender<Result<T, StoreError>>,
    ) -> Result<(), StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let job = Box::new(Write {
            work: Some(work),
            foresight,
            may_lapse,
            result: Err(StoreError::Closed),
            reply,
        });
        self.queue
            .send(job)
            .await
            .map_err(|_closed| StoreError::Closed)
    }
}

pub(super) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), StoreError> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map(drop)
        .map_err(|error| StoreError::Open {
            place: name.to_owned(),
            reason: error.to_string(),
        })
}

struct WriterThread<E> {
    engine: E,
    tail: Arc<Tail>,
    /// Next sequence after our last commit; another process may have moved on since.
    known_sequence: Option<u64>,
    /// As of our last commit.
    recent: Option<Recent>,
    /// The database could not be reached when it was last tried.
    is_away: bool,
}

impl<E: Engine> WriterThread<E> {
    fn run(mut self, mut jobs: mpsc::Receiver<Box<dyn Job>>) {
        let mut batch: Vec<Box<dyn Job>> = Vec::new();
        while !batch.is_empty() || jobs.blocking_recv_many(&mut batch, BATCH) > 0 {
            batch.retain(|job| job.is_wanted());
            let tried = batch.len().min(BATCH);
            match self.commit(&mut batch) {
                Ok(taken) => batch.drain(..taken).for_each(|job| job.answer(Ok(()))),
                Err(error) => {
                    self.note_failure(&error, tried);
                    let is_away = self.is_away;
                    let failed = batch.extract_if(..tried, |job| !(is_away && job.may_wait()));
                    failed.for_each(|job| job.answer(Err(error.again())));
                }
            }
            if self.is_away && !batch.is_empty() {
                // X asks again after 3 s, then after 27: better it waits a little for its answer.
                thread::sleep(AGAIN);
                while batch.len() < QUEUE
                    && let Ok(job) = jobs.try_recv()
                {
                    batch.push(job);
                }
            }
        }
    }

    fn note_failure(&mut self, error: &StoreError, writes: usize) {
        let was_away = self.is_away;
        self.is_away = matches!(error, StoreError::Unreachable { .. });
        match (was_away, self.is_away) {
            (true, true) => tracing::debug!(%error, writes, "the database is still away"),
            (false, true) => tracing::error!(%error, writes, "the database is away"),
            (_, false) => tracing::error!(%error, writes, "a commit failed"),
        }
    }

    /// Commits the first of them, [`BATCH`] at most and as many as there is time for; how many.
    fn commit(&mut self, batch: &mut [Box<dyn Job>]) -> Result<usize, StoreError> {
        if batch.is_empty() {
            return Ok(0);
        }
        let Self {
            engine,
            tail,
            known_sequence,
            recent,
            is_away,
        } = self;
        let mut foresight = Foresight::default();
        let jobs = batch.iter().take(BATCH);
        jobs.for_each(|job| foresight.extend(job.foresight()));
        let open = |conn: Conn<'_>| Beginning::read(conn, &foresight);
        let (mut written, mut taken) = (None, 0);
        let mut work = |conn: Conn<'_>, beginning: Beginning| {
            let began = Instant::now();
            let mut tx = Tx::begin(conn, beginning);
            let first = tx.next_sequence();
            // Taken: should the commit fail, the next one reads again what is on disk.
            let known = recent.take();
            let is_ours = known_sequence.is_none_or(|known| known == first);
            if !is_ours {
                tail.skip_to(first);
            }
            let holds = is_ours || tx.holds_nothing();
            tx.hold_cases(known.filter(|_| holds))?;
            for job in batch.iter_mut().take(BATCH) {
                tx.share(|tx| job.run(tx))?;
                taken += 1;
                if began.elapsed() > BATCH_TIME {
                    break;
                }
            }
            tx.write_costs()?;
            tx.enter_cases()?;
            let end = tx.written();
            let changes = end.changes;
            written = Some((first, end));
            Ok(changes)
        };
        engine.transact(&open, &mut work)?;
        if std::mem::take(is_away) {
            tracing::info!("the database is there again");
        }
        if let Some((first, written)) = written {
            self.committed(first, written);
        }
        Ok(taken)
    }

    fn committed(&mut self, first: u64, written: Written) {
        let Written {
            next_sequence,
            appended,
            changes,
            recent,
        } = written;
        self.known_sequence = Some(next_sequence);
        self.recent = recent;
        match changes.bodies {
            // What is in memory may be as it was before.
            true => self.tail.skip_to(next_sequence),
            false => self.tail.push(first, next_sequence, appended),
        }
        if changes.ledger {
            self.tail.ledger_changed().notify_one();
        }
        if changes.echoes {
            self.tail.echoes_changed().notify_one();
        }
    }
}
