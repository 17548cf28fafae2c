//! Optional reads of X on the way in: the posts above a reply whose thread is not known, and the
//! profile of an author of whom the delivery shows none.
//!
//! X has its 200 by then: the delivery waits in the store, three seconds at most, and goes on with
//! what has been found. Its wish lies there too, for the leader, whichever replica took the delivery.
//! Found is what lies in a cache of the leader's process; after a restart an event that waited is
//! published without.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::reads;
use super::reply::result_name;
use super::rules::LiveRules;
use crate::domain::account::Account;
use crate::domain::ids::{AccountId, TweetId, UserId};
use crate::domain::message::{Person, Post};
use crate::store::{Store, StoreError};
use crate::telemetry::metrics;
use crate::x::client::{Auth, CallError, Client, Detail, Reply};

/// How long an event waits at most.
pub(crate) const WAIT: SignedDuration = SignedDuration::from_secs(3);
/// Posts above a reply that are read at most.
const DEPTH: usize = 5;
/// Reads under way at a time, and requests that wait for one; more go on without.
const AT_ONCE: usize = 16;
const QUEUE: usize = 1024;
/// What the cache holds of each kind, and for how long.
const HELD: usize = 4096;
const FRESH: SignedDuration = SignedDuration::from_hours(1);

/// What a delivery waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    pub account: AccountId,
    /// The post that is answered.
    pub parent: Option<TweetId>,
    /// Whose profile is missing.
    pub author: Option<UserId>,
}

/// A wish of a delivery that waits.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Under which the delivery waits.
    pub wait: u64,
    pub wish: Wish,
}

/// What was found; cheap to clone.
#[derive(Clone, Default)]
pub struct Enrichment {
    found: Arc<Found>,
}

/// The way to ask for more; cheap to clone.
#[derive(Clone)]
pub struct Wishes(mpsc::Sender<Request>);

impl Wishes {
    /// Asks for what a delivery waits for; one too many goes on without it.
    pub(crate) fn ask(&self, request: Request) {
        if self.0.try_send(request).is_err() {
            tracing::debug!("an event goes on without context: too many wait");
        }
    }
}

#[derive(Default)]
struct Found {
    posts: Mutex<Fifo<TweetId, Option<Post>>>,
    people: Mutex<Fifo<UserId, Option<Person>>>,
}

/// The newest entries, each with its time.
struct Fifo<K, V> {
    entries: HashMap<K, (V, Timestamp)>,
    order: VecDeque<K>,
}

impl<K, V> Default for Fifo<K, V> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            order: VecDeque::new(),
        }
    }
}

impl<K: Copy + Eq + Hash, V: Clone> Fifo<K, V> {
    fn put(&mut self, key: K, value: V, now: Timestamp) {
        if self.entries.insert(key, (value, now)).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > HELD
            && let Some(oldest) = self.order.pop_front()
        {
            self.entries.remove(&oldest);
        }
    }

    fn retain(&mut self, stays: impl Fn(&K, &V) -> bool) {
        self.entries.retain(|key, (value, _)| stays(key, value));
        self.order.retain(|key| self.entries.contains_key(key));
    }

    fn get(&self, key: K, now: Timestamp) -> Option<V> {
        let (value, at) = self.entries.get(&key)?;
        (now.duration_since(*at) <= FRESH).then(|| value.clone())
    }
}

impl Enrichment {
    /// A post that was read; `Some(None)` where X does not show it.
    pub(crate) fn post(&self, id: TweetId, now: Timestamp) -> Option<Option<Post>> {
        let posts = self.found.posts.lock();
        posts.unwrap_or_else(PoisonError::into_inner).get(id, now)
    }

    /// A profile that was read.
    pub(crate) fn person(&self, id: UserId, now: Timestamp) -> Option<Option<Person>> {
        let people = self.found.people.lock();
        people.unwrap_or_else(PoisonError::into_inner).get(id, now)
    }

    /// What stands above a post that answers `parent`, oldest first, as far as it was read.
    pub(crate) fn above(&self, parent: TweetId, now: Timestamp) -> Vec<Post> {
        let mut above = Vec::new();
        let mut next = Some(parent);
        while let Some(id) = next
            && above.len() < DEPTH
            && let Some(Some(post)) = self.post(id, now)
        {
            next = post.replied_to.as_ref().map(|parent| parent.id);
            above.push(post);
        }
        above.reverse();
        above
    }

    /// Forgets a person: the profile, and the posts that tell of the person.
    pub(crate) fn forget(&self, person: UserId) {
        let people = self.found.people.lock();
        let mut people = people.unwrap_or_else(PoisonError::into_inner);
        people.retain(|id, _| *id != person);
        let posts = self.found.posts.lock();
        let mut posts = posts.unwrap_or_else(PoisonError::into_inner);
        posts.retain(|_, post| !post.as_ref().is_some_and(|post| post.names(person)));
    }

    /// Forgets everything: another process may have erased anybody.
    pub fn forget_all(&self) {
        let people = self.found.people.lock();
        *people.unwrap_or_else(PoisonError::into_inner) = Fifo::default();
        let posts = self.found.posts.lock();
        *posts.unwrap_or_else(PoisonError::into_inner) = Fifo::default();
    }

    fn keep_post(&self, id: TweetId, post: Option<Post>, now: Timestamp) {
        let posts = self.found.posts.lock();
        let mut posts = posts.unwrap_or_else(PoisonError::into_inner);
        posts.put(id, post, now);
    }

    fn keep_person(&self, id: UserId, person: Option<Person>, now: Timestamp) {
        let people = self.found.people.lock();
        let mut people = people.unwrap_or_else(PoisonError::into_inner);
        people.put(id, person, now);
    }
}

/// Reads what is asked for.
pub struct Enricher {
    store: Store,
    rules: LiveRules,
    client: Arc<Client>,
    enrichment: Enrichment,
    requests: mpsc::Receiver<Request>,
}

impl Enricher {
    /// Also returns where it is asked.
    pub fn new(
        store: Store,
        rules: LiveRules,
        client: Arc<Client>,
        enrichment: Enrichment,
    ) -> (Self, Wishes) {
        let (sender, requests) = mpsc::channel(QUEUE);
        let enricher = Self {
            store,
            rules,
            client,
            enrichment,
            requests,
        };
        (enricher, Wishes(sender))
    }

    /// Reads until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let (tasks, permits) = (TaskTracker::new(), Arc::new(Semaphore::new(AT_ONCE)));
        while let Some(Some(request)) = stop.run_until_cancelled(self.requests.recv()).await {
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
                break;
            };
            let reader = Reader {
                store: self.store.clone(),
                rules: self.rules.clone(),
                client: Arc::clone(&self.client),
                enrichment: self.enrichment.clone(),
            };
            let stop = stop.clone();
            tasks.spawn(async move {
                let _permit = permit;
                stop.run_until_cancelled(reader.fulfil(request)).await
            });
        }
        tasks.close();
        tasks.wait().await;
    }
}

/// Reads for one delivery.
struct Reader {
    store: Store,
    rules: LiveRules,
    client: Arc<Client>,
    enrichment: Enrichment,
}

impl Reader {
    async fn fulfil(&self, request: Request) {
        let limit = Duration::try_from(WAIT).unwrap_or_default();
        let reading = tokio::time::timeout(limit, self.read(&request.wish));
        // Out of time, it goes on with what there is.
        if let Ok(Err(error)) = reading.await {
            tracing::warn!(%error, "an event goes on without context");
        }
        let now = Timestamp::now();
        let ended = self.store.write(move |tx| tx.end_wait(request.wait, now));
        if let Err(error) = ended.await {
            tracing::warn!(%error, "an event waits until its time is up");
        }
    }

    async fn read(&self, wish: &Wish) -> Result<(), StoreError> {
        let rules = self.rules.now();
        let Some(auth @ Auth::Account { account, .. }) = rules.auth(Some(wish.account)) else {
            return Ok(());
        };
        if reads::is_over_budget(&self.store, account, Timestamp::now()).await? {
            return Ok(());
        }
        if let Some(author) = wish.author {
            self.read_person(auth, account, author).await?;
        }
        let mut next = wish.parent;
        for _ in 0..DEPTH {
            let Some(id) = next else { break };
            next = self.read_post(auth, account, id).await?;
        }
        Ok(())
    }

    /// Reads a post; which one it answers.
    async fn read_post(
        &self,
        auth: Auth<'_>,
        account: &Account,
        id: TweetId,
    ) -> Result<Option<TweetId>, StoreError> {
        let now = Timestamp::now();
        let known = match self.enrichment.post(id, now) {
            Some(known) => known,
            None => {
                let reply = self.client.posts(auth, &[id], Detail::Whole).await;
                self.bill(account, &reply).await?;
                match reply.result {
                    Ok(found) => {
                        let post = found.posts.into_iter().find(|post| post.id == id);
                        self.enrichment.keep_post(id, post.clone(), now);
                        post
                    }
                    Err(error) => {
                        note(&error);
                        None
                    }
                }
            }
        };
        Ok(known.and_then(|post| post.replied_to.map(|parent| parent.id)))
    }

    async fn read_person(
        &self,
        auth: Auth<'_>,
        account: &Account,
        id: UserId,
    ) -> Result<(), StoreError> {
        let now = Timestamp::now();
        if self.enrichment.person(id, now).is_some() {
            return Ok(());
        }
        let reply = self.client.users(auth, &[id]).await;
        self.bill(account, &reply).await?;
        match reply.result {
            Ok(found) => {
                let mut people = found.users.into_iter().map(|profile| profile.person);
                let person = people.find(|person| person.id == id);
                self.enrichment.keep_person(id, person, now);
            }
            Err(error) => note(&error),
        }
        Ok(())
    }

    async fn bill<T>(&self, account: &Account, reply: &Reply<T>) -> Result<(), StoreError> {
        metrics::count_call(reply.call.name(), result_name(&reply.result));
        let (id, read, now) = (account.id, reply.resources, Timestamp::now());
        let prices = self.rules.now().prices.calls.clone();
        self.store
            .write(move |tx| reads::charge(tx, &prices, id, read, now).map(drop))
            .await
    }
}

fn note(error: &CallError) {
    tracing::info!(%error, "X did not tell what an event was to be filled with");
}
