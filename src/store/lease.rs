//! Terms: one replica leads, for as long as the lease names it. What the leader writes carries the
//! epoch of its term, and is refused once another term has begun.
//!
//! Two clocks: by the database's, the same for all, a lease ends and another may be won; by this
//! process's own, which never jumps, the leader knows without a question how long it still may act.
//! It counts from before it asked, so it stops before the database lets another begin.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Store, StoreError, Tx};

/// Who wants to lead.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Of one process: made at random.
    pub holder: String,
    /// Where others reach the private listener.
    pub address: String,
    /// How long a term lasts that is not renewed.
    pub lasts: Duration,
    /// No other process can serve from this store: the term of whoever did is over.
    pub is_only: bool,
}

/// What the store says of the leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRow {
    pub holder: String,
    pub epoch: u64,
    pub ends_at: Timestamp,
    /// Empty where nobody leads.
    pub address: String,
    /// The time by the clock that `ends_at` is of.
    pub now: Timestamp,
}

impl LeaseRow {
    /// How long it has been over; `None` while it runs.
    pub fn over_for(&self) -> Option<Duration> {
        Duration::try_from(self.now.duration_since(self.ends_at)).ok()
    }
}

/// A term that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Won {
    pub epoch: u64,
    /// The one before it.
    pub former: LeaseRow,
}

/// A term, as the leader's parts hold it; cheap to clone.
#[derive(Clone, Debug)]
pub struct Term {
    epoch: u64,
    /// Until when by our own clock; none: for as long as the process holds the store.
    until: watch::Sender<Option<Instant>>,
    deposed: watch::Sender<bool>,
}

impl Term {
    /// A term that was asked for at `asked_at`.
    pub fn new(epoch: u64, asked_at: Instant, lasts: Option<Duration>) -> Self {
        Self {
            epoch,
            until: watch::Sender::new(lasts.map(|lasts| asked_at + lasts)),
            deposed: watch::Sender::new(false),
        }
    }

    /// Which one it is.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether it goes on for sure, by what is known here: no question to the store.
    pub fn holds(&self, now: Instant) -> bool {
        let in_time = self.until.borrow().is_none_or(|until| now < until);
        in_time && !*self.deposed.borrow()
    }

    /// It goes on, as the store says who was asked at `asked_at`.
    pub fn renewed(&self, asked_at: Instant, lasts: Duration) {
        self.until.send_replace(Some(asked_at + lasts));
    }

    /// Another one has begun.
    pub fn depose(&self) {
        self.deposed.send_replace(true);
    }

    /// Returns when it is over: another has begun, or it was not renewed in time.
    pub async fn over(&self) {
        let (mut until, mut deposed) = (self.until.subscribe(), self.deposed.subscribe());
        loop {
            let end = *until.borrow_and_update();
            let at_end = async {
                match end {
                    Some(end) => tokio::time::sleep_until(end).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = at_end => return,
                _ = deposed.wait_for(|deposed| *deposed) => return,
                _ = until.changed() => {}
            }
        }
    }
}

/// Which term this process is in, for those who only ask; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Leadership(Arc<watch::Sender<Option<Term>>>);

impl Leadership {
    /// A term begins, or the last one is over.
    pub fn set(&self, term: Option<Term>) {
        self.0.send_replace(term);
    }

    /// Whether this process leads now, for sure.
    pub fn holds(&self) -> bool {
        let now = Instant::now();
        self.0.borrow().as_ref().is_some_and(|term| term.holds(now))
    }
}

impl Store {
    /// The same store for what the leader does in a term: each write fails with
    /// [`StoreError::Deposed`] once another term has begun, each read once this one may be over.
    #[must_use]
    pub fn in_term(&self, term: &Term) -> Self {
        Self {
            term: Some(term.clone()),
            ..self.clone()
        }
    }

    /// Whether no other process can serve from it.
    pub fn is_exclusive(&self) -> bool {
        self.lock.is_some()
    }

    /// What a term that is over would read leads to nothing, or to what another leader does too: it
    /// is refused by our own clock, without a question.
    pub(super) fn check_term(&self) -> Result<(), StoreError> {
        let holds = |term: &Term| term.holds(Instant::now());
        match self.term.as_ref().is_none_or(holds) {
            true => Ok(()),
            false => Err(StoreError::Deposed),
        }
    }

    /// Lets work be done only in the term of this handle, if it has one.
    pub(super) fn guarded<T, F>(
        &self,
        work: F,
    ) -> impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + use<T, F>
    where
        F: FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let term = self.term.clone();
        move |tx| {
            if let Some(term) = term
                && let Err(error) = tx.check_epoch(term.epoch)
            {
                if matches!(error, StoreError::Deposed) {
                    term.depose();
                }
                return Err(error);
            }
            work(tx)
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const LASTS: Duration = Duration::from_secs(15);

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn open(folder: &TempDir) -> Store {
        Store::open_in(folder.path())
    }

    fn claim(holder: &str) -> Claim {
        Claim {
            holder: holder.to_owned(),
            address: format!("http://{holder}:8081"),
            lasts: LASTS,
            is_only: false,
        }
    }

    async fn won(store: &Store, holder: &str, at: i64) -> Option<Won> {
        let claim = claim(holder);
        let won = store.write(move |tx| tx.claim_lease(&claim, second(at)));
        won.await.unwrap()
    }

    fn term(won: &Won) -> Term {
        Term::new(won.epoch, Instant::now(), Some(LASTS))
    }

    #[tokio::test]
    async fn one_leads_until_its_lease_is_over() {
        let folder = TempDir::new().unwrap();
        let (one, other) = (open(&folder), open(&folder));
        let first = won(&one, "one", 100).await.unwrap();
        assert_eq!(won(&other, "other", 114).await, None);
        assert_eq!(won(&one, "one", 114).await, None);
        let renew = move |tx: &mut Tx<'_>| tx.renew_lease(first.epoch, LASTS, second(110));
        assert!(one.write(renew).await.unwrap());
        assert_eq!(won(&other, "other", 124).await, None);
        let row = other.read(|tx| tx.lease(second(124))).await.unwrap();
        assert_eq!((&*row.address, row.over_for()), ("http://one:8081", None));

        let second_term = won(&other, "other", 126).await.unwrap();
        assert_eq!(second_term.epoch, first.epoch + 1);
        assert_eq!(second_term.former.ends_at, second(125));
        assert_eq!(second_term.former.over_for(), Some(Duration::from_secs(1)));
        let renew = move |tx: &mut Tx<'_>| tx.renew_lease(first.epoch, LASTS, second(127));
        assert!(!one.write(renew).await.unwrap());
    }

    #[tokio::test]
    async fn a_released_lease_is_there_at_once_and_only_its_holder_releases_it() {
        let folder = TempDir::new().unwrap();
        let (one, other) = (open(&folder), open(&folder));
        let first = won(&one, "one", 100).await.unwrap();
        let epoch = first.epoch;
        one.write(move |tx| tx.release_lease(epoch, second(101)))
            .await
            .unwrap();
        let next = won(&other, "other", 101).await.unwrap();
        one.write(move |tx| tx.release_lease(epoch, second(102)))
            .await
            .unwrap();
        let row = one.read(|tx| tx.lease(second(102))).await.unwrap();
        assert_eq!((row.epoch, row.over_for()), (next.epoch, None));
    }

    #[tokio::test]
    async fn what_a_deposed_leader_writes_is_refused_and_ends_its_term() {
        let folder = TempDir::new().unwrap();
        let (one, other) = (open(&folder), open(&folder));
        let term = term(&won(&one, "one", 100).await.unwrap());
        let leader = one.in_term(&term);
        leader.write(|tx| tx.set_meta("a", "1")).await.unwrap();
        assert!(term.holds(Instant::now()));

        won(&other, "other", 200).await.unwrap();
        let refused = leader.write(|tx| tx.set_meta("a", "2")).await;
        assert!(matches!(refused, Err(StoreError::Deposed)), "{refused:?}");
        assert!(!term.holds(Instant::now()));
        term.over().await;
        // Others who share the commit are not concerned.
        let (refused, taken) = tokio::join!(
            leader.write(|tx| tx.set_meta("a", "3")),
            one.write(|tx| tx.set_meta("b", "1")),
        );
        assert!(matches!(refused, Err(StoreError::Deposed)), "{refused:?}");
        taken.unwrap();
        let kept = one.read(|tx| Ok((tx.meta("a")?, tx.meta("b")?))).await;
        assert_eq!(kept.unwrap(), (Some("1".to_owned()), Some("1".to_owned())));
    }

    #[tokio::test]
    async fn a_term_is_over_by_our_own_clock_unless_it_is_renewed() {
        let begun = Instant::now();
        let term = Term::new(1, begun, Some(LASTS));
        let leadership = Leadership::default();
        assert!(!leadership.holds());
        leadership.set(Some(term.clone()));
        assert!(leadership.holds());
        assert!(!term.holds(begun + LASTS));
        term.renewed(begun + Duration::from_secs(5), LASTS);
        assert!(term.holds(begun + LASTS));
        assert!(!term.holds(begun + LASTS + Duration::from_secs(5)));
        // The answer to a renewal that was asked for long ago.
        term.renewed(begun, Duration::from_millis(1));
        term.over().await;
        assert!(!leadership.holds());
    }

    #[tokio::test]
    async fn the_only_process_leads_at_once_and_for_as_long_as_it_lives() {
        let folder = TempDir::new().unwrap();
        let store = open(&folder);
        won(&store, "killed", 100).await.unwrap();
        let claim = Claim {
            is_only: true,
            ..claim("next")
        };
        let claimed = store.write(move |tx| tx.claim_lease(&claim, second(101)));
        let won = claimed.await.unwrap().unwrap();
        assert!(Term::new(won.epoch, Instant::now(), None).holds(Instant::now()));
    }
}
