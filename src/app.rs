//! Wiring: who gets which handle, and in which order things start and stop.

pub mod backup;
pub mod key_file;
mod lead;
mod stop;
mod term;
mod webhook_secrets;

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use jiff::Timestamp;
use metrics_exporter_prometheus::BuildError;
use secrecy::ExposeSecret;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::attachments::fetch::SetupError;
use crate::attachments::vault::{Vault, VaultError};
use crate::broker::consumer::ConsumerState;
use crate::broker::publisher::Publisher;
use crate::broker::settings::BrokerSettings;
use crate::config::Settings;
use crate::domain::registry::Registry;
use crate::flow::enrich::Enrichment;
use crate::flow::gaps::GapSettings;
use crate::flow::ingest::Ingest;
use crate::flow::link::{LinkSettings, Linker, Unlinking, Unsubscribe};
use crate::flow::media::Media;
use crate::flow::media_link::MediaLinks;
use crate::flow::person::Persons;
use crate::flow::plan_check::PostLimits;
use crate::flow::pseudonyms::Pseudonyms;
use crate::flow::registry::{Declared, Directory};
use crate::flow::relay::RelayState;
use crate::flow::restored::{self, Restore};
use crate::flow::rules::{LiveRules, Rules};
use crate::flow::setup::{Keeper, KeeperParts, Setup, Signatures};
use crate::flow::test_event::TestEvents;
use crate::flow::tokens::StoredTokens;
use crate::flow::upkeep::Doubt;
use crate::flow::watch::{Board, HealthView};
use crate::flow::{typing, upkeep};
use crate::http::api::{Api, ApiParts};
use crate::http::forward::Forward;
use crate::http::private::{Part, Private, Readiness};
use crate::http::public::{LinkPages, Mirror, Webhooks};
use crate::http::{Farewell, Server, ServerSettings, media, private, public};
use crate::sealing::Sealer;
use crate::store::{CommandState, Hold, Lane, Leadership, QuarantineReason, Store, StoreError, Tx};
use crate::telemetry::metrics;
use crate::x::challenge::NoChallenger;
use crate::x::client::{BadRefusalTable, Client, ClientSettings, NoHttpClient, http_client};
use key_file::KeyFileError;
use lead::{Candidate, Leader};
use term::Shared;
use webhook_secrets::WebhookSecrets;

/// How often events that nobody had bound are tried again.
const LANE_RETRY: Duration = Duration::from_secs(2);
/// Of ops, administrators and the core at a time.
const PRIVATE_CONNECTIONS: usize = 1024;
/// For a connection to the replica that leads.
const REPLICA_TIMEOUT: Duration = Duration::from_secs(2);
/// For a connection to X.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For one part of a file on its way to X.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(60);

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot listen on {listener} {address}: {source}")]
    Listen {
        listener: &'static str,
        address: SocketAddr,
        source: io::Error,
    },
    #[error("metrics cannot be collected: {0}")]
    Metrics(#[from] BuildError),
    #[error(transparent)]
    Key(#[from] KeyFileError),
    #[error(transparent)]
    Attachments(#[from] VaultError),
    #[error("attachments cannot be fetched: {0}")]
    Fetching(#[from] SetupError),
    #[error(transparent)]
    Http(#[from] NoHttpClient),
    #[error(transparent)]
    Refusals(#[from] BadRefusalTable),
    #[error(transparent)]
    Challenger(#[from] NoChallenger),
    #[error("the address of the private listener makes no URL: {0}")]
    Address(#[from] url::ParseError),
}

/// The running service.
pub struct App {
    /// Where X reaches it; tells the port where 0 was asked for.
    pub public_address: SocketAddr,
    /// Where ops reach it.
    pub private_address: SocketAddr,
    base: Arc<Base>,
    readiness: Readiness,
    public: ServerHandle,
    farewell: Farewell,
    private: ServerHandle,
    servers: TaskTracker,
    /// For all of the stop.
    grace: Duration,
}

/// What every replica has, whoever leads.
struct Base {
    settings: Settings,
    store: Store,
    sealer: Sealer,
    directory: Arc<Directory>,
    rules: LiveRules,
    client: Arc<Client>,
    vault: Vault,
    broker: Arc<BrokerSettings>,
    board: Board,
    health: HealthView,
    enrichment: Enrichment,
    relay: RelayState,
    consumer: ConsumerState,
    /// Whether this replica leads.
    leadership: Leadership,
    /// Which other one does.
    leader: Leader,
    downtime: Mutex<Option<Doubt>>,
    tasks: TaskTracker,
    stop: CancellationToken,
    fallen: CancellationToken,
}

impl Base {
    /// Opens the store, and notes since when nobody has.
    async fn open(settings: Settings, restore: Restore) -> Result<Self, StartError> {
        let store = Store::open_exclusive(settings.store.clone())?;
        let sealer = key_file::sealer(&settings, &store).await?;
        let directory = Arc::new(directory(&settings, &store, sealer.clone()).await?);
        let rules = directory.rules().clone();
        restored::begin(&store, rules.now(), restore, Timestamp::now()).await?;
        let downtime = note_downtime(&store, &rules).await?;
        let (tasks, leadership) = (TaskTracker::new(), Leadership::default());
        let asked = leadership.clone();
        let client = client(&settings, &store, sealer.clone(), &tasks)?;
        let client = client.with_leave(Arc::new(move || asked.holds()));
        let board = Board::default();
        metrics::set_leader(false);
        Ok(Self {
            vault: Vault::open(&key_file::attachments_folder(&settings), sealer.clone()).await?,
            broker: Arc::new(settings.broker.clone()),
            settings,
            store,
            sealer,
            directory,
            rules,
            client: Arc::new(client),
            health: HealthView::new(board.clone()),
            board,
            enrichment: Enrichment::default(),
            relay: RelayState::default(),
            consumer: ConsumerState::default(),
            leadership,
            leader: Leader::default(),
            downtime: Mutex::new(downtime),
            tasks,
            stop: CancellationToken::new(),
            fallen: CancellationToken::new(),
        })
    }

    /// Runs a part of the service, whose end ends the service.
    fn spawn(&self, part: impl Future<Output = ()> + Send + 'static) {
        let part = telling_of_its_end(part, self.until(), self.fallen.clone());
        self.tasks.spawn(part);
    }

    fn until(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// At most once.
    fn take_downtime(&self) -> Option<Doubt> {
        let downtime = self.downtime.lock();
        downtime.unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The way of deliveries into the journal.
    fn ingest(&self) -> Arc<Ingest> {
        let links = media_links(&self.settings, &self.sealer);
        let (store, rules) = (self.store.clone(), self.rules.clone());
        let (ingest, notices) = Ingest::new(store, rules, links, self.enrichment.clone());
        let ingest = Arc::new(ingest);
        self.spawn(Arc::clone(&ingest).keep_notes(self.until()));
        let publisher = Publisher::new(Arc::clone(&self.broker));
        self.spawn(typing::run(publisher, notices, self.until()));
        ingest
    }

    fn setup(&self) -> Result<Arc<Setup>, StartError> {
        let client = Arc::clone(&self.client);
        setup(&self.settings, &self.store, client).map(Arc::new)
    }

    fn linker(&self, setup: &Arc<Setup>) -> Arc<Linker> {
        let linker = Linker::new(
            self.store.clone(),
            self.sealer.clone(),
            Arc::clone(&self.directory),
            Arc::clone(&self.client),
            link_settings(&self.settings),
            self.tasks.clone(),
        );
        Arc::new(match self.settings.x_api.manage_webhooks {
            true => linker.unsubscribing(unsubscribing(Arc::clone(setup))),
            false => linker,
        })
    }

    /// What the JSON API works with.
    fn api(&self, linker: Arc<Linker>, setup: Arc<Setup>) -> Arc<Api> {
        let (store, rules) = (self.store.clone(), self.rules.clone());
        let persons = Persons::new(store.clone(), rules.clone(), self.vault.clone());
        let url = self.settings.private.url.as_ref();
        Arc::new(Api::new(ApiParts {
            store: store.clone(),
            directory: Arc::clone(&self.directory),
            linker,
            health: self.health.clone(),
            persons: persons.forgetting(self.enrichment.clone()),
            setup,
            public_url: self.settings.public.url.clone(),
            tests: TestEvents::new(store, rules, Arc::clone(&self.broker)),
            token: self.settings.private.token.clone(),
            secure_cookies: url.is_some_and(|url| url.as_str().starts_with("https:")),
        }))
    }

    /// API, console, files and probes.
    fn serve_private(
        self: &Arc<Self>,
        api: Arc<Api>,
        readiness: Readiness,
    ) -> Result<Server, StartError> {
        let media = Media::new(
            media_links(&self.settings, &self.sealer),
            self.store.clone(),
            self.rules.clone(),
            Arc::clone(&self.client),
            self.settings.media_max_bytes,
        );
        serve_private(self, api, Arc::new(media), readiness)
    }

    /// Where other replicas reach the private listener.
    fn advertised(&self, listens: SocketAddr) -> String {
        let advertised = self.settings.private.advertise.as_ref();
        let address = advertised.map(|url| url.as_str().to_owned());
        if address.is_none() && listens.ip().is_unspecified() && !self.store.is_exclusive() {
            tracing::warn!(
                "private.advertise is not set: other replicas do not find this one when it leads"
            );
        }
        address.unwrap_or_else(|| format!("http://{listens}"))
    }

    /// Webhooks, for the apps in force, and the pages of those who link accounts.
    async fn serve_public(
        &self,
        listener: TcpListener,
        linker: Arc<Linker>,
        ingest: &Arc<Ingest>,
        signatures: Signatures,
    ) -> Result<Server, StartError> {
        let mut secrets = WebhookSecrets::new(self.store.clone(), self.tasks.clone());
        let webhooks = secrets.of(&self.rules.now().registry).await?;
        let webhooks = Webhooks::new(webhooks, self.settings.public.max_body_bytes);
        let webhooks = webhooks
            .counting(signatures)
            .limiting(self.settings.public.sources.clone())
            .mirroring(Mirror::new(self.tasks.clone()), self.rules.clone());
        let webhooks = Arc::new(webhooks);
        let linking = LinkPages::new(linker, self.settings.x_api.base_url.as_url());
        let linking = public::link_routes(Arc::new(linking));
        let receiving = public::routes(Arc::clone(&webhooks), Arc::clone(ingest));
        let public = serve_public(listener, &self.settings, move |config| {
            receiving(config);
            linking(config);
        })?;
        self.spawn(secrets.follow(self.rules.clone(), webhooks, self.until()));
        Ok(public)
    }
}

impl App {
    /// Starts everything, and leads at once where nobody else does. The broker may be away; the
    /// store may not.
    ///
    /// # Errors
    /// [`StartError`], with nothing left running.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        Self::start_restored(settings, Restore::default()).await
    }

    /// The same on a store that may have been restored from a backup; see [`Restore`].
    ///
    /// # Errors
    /// [`StartError`], with nothing left running.
    pub async fn start_restored(settings: Settings, restore: Restore) -> Result<Self, StartError> {
        let base = Arc::new(Base::open(settings, restore).await?);
        // What has begun when something fails ends with it.
        let unless_started = base.stop.clone().drop_guard();
        let (setup, signatures) = (base.setup()?, Signatures::default());
        let linker = base.linker(&setup);
        let readiness = Readiness::default();
        let api = base.api(Arc::clone(&linker), Arc::clone(&setup));
        let private = base.serve_private(api, readiness.clone())?;
        let ingest = base.ingest();
        let shared = Shared {
            base: Arc::clone(&base),
            ingest: Arc::clone(&ingest),
            setup,
            signatures: signatures.clone(),
        };
        let candidate = Candidate::new(shared, base.advertised(private.address));
        // The leader asks at once whether our address answers: until it is served, its question waits.
        let listener = listen("public.listen", base.settings.public.listen)?;
        let begun = candidate.begin().await?;
        let public = base
            .serve_public(listener, linker, &ingest, signatures)
            .await?;

        let servers = TaskTracker::new();
        servers.spawn(public.running);
        servers.spawn(private.running);
        base.spawn(candidate.run(begun));
        base.spawn(Arc::clone(&base.directory).run(base.until()));
        readiness.set(true);
        unless_started.disarm();
        let grace = base.settings.stop.grace;
        Ok(Self {
            public_address: public.address,
            private_address: private.address,
            base,
            readiness,
            public: public.handle,
            farewell: public.farewell,
            private: private.handle,
            servers,
            grace,
        })
    }

    /// Waits until a part of the service has ended by itself, which none should: without it events
    /// would pile up unseen.
    pub async fn fallen(&self) {
        self.base.fallen.cancelled().await;
    }
}

/// Since when nobody ran, noted where that is sure.
async fn note_downtime(store: &Store, rules: &LiveRules) -> Result<Option<Doubt>, StoreError> {
    let (registry, now) = (&rules.now().registry, Timestamp::now());
    match store.is_exclusive() {
        true => upkeep::note_downtime(store, registry, now)
            .await
            .map(|()| None),
        false => upkeep::note_downtime_of_all(store, registry, now).await,
    }
}

/// What is linked, and what makes tickets: by these settings and by what administrators made.
///
/// # Errors
/// When the store cannot be used.
pub async fn directory(
    settings: &Settings,
    store: &Store,
    sealer: Sealer,
) -> Result<Directory, StoreError> {
    let declared = Declared {
        apps: settings.apps.clone(),
        accounts: settings.accounts.clone(),
        filters: settings.filters.clone(),
    };
    let rules = LiveRules::new(rules(settings, store, &sealer).await?);
    Directory::open(store.clone(), sealer, declared, rules).await
}

/// What holds for all commands by these settings, before anything is linked.
async fn rules(settings: &Settings, store: &Store, sealer: &Sealer) -> Result<Rules, StoreError> {
    Ok(Rules {
        post_limits: Arc::new(PostLimits::load(store).await?),
        registry: Arc::default(),
        revoked: Arc::default(),
        pseudonyms: Pseudonyms::of(sealer),
        prices: settings.prices.clone(),
        sending: settings.commands.sending,
        expire_after: settings.commands.expire_after,
        first_read: settings.reconcile.first_read,
        second_read: settings.reconcile.second_read,
    })
}

/// What links accounts, beside a running service; `tasks` has to be waited for.
///
/// # Errors
/// When store, key or client cannot be used.
pub async fn linker(
    settings: &Settings,
    store: &Store,
    tasks: &TaskTracker,
) -> Result<Linker, StartError> {
    let sealer = key_file::sealer(settings, store).await?;
    let directory = directory(settings, store, sealer.clone()).await?;
    let client = client(settings, store, sealer.clone(), tasks)?;
    Ok(Linker::new(
        store.clone(),
        sealer,
        Arc::new(directory),
        Arc::new(client),
        link_settings(settings),
        tasks.clone(),
    ))
}

/// Ends an account's subscriptions while its credential still works.
fn unsubscribing(setup: Arc<Setup>) -> Unsubscribe {
    Arc::new(move |it: Unlinking<'_>| {
        let setup = Arc::clone(&setup);
        Box::pin(async move { setup.end_subscriptions(it.app, it.account.id).await })
    })
}

fn link_settings(settings: &Settings) -> LinkSettings {
    LinkSettings {
        public_url: settings.public.url.clone(),
        private_url: settings.private.url.clone(),
    }
}

/// What sets things up at X, for the command line beside a service too.
///
/// # Errors
/// [`StartError`].
pub fn setup_of(
    settings: &Settings,
    store: &Store,
    sealer: Sealer,
    tasks: &TaskTracker,
) -> Result<Setup, StartError> {
    let client = Arc::new(client(settings, store, sealer, tasks)?);
    setup(settings, store, client)
}

fn setup(settings: &Settings, store: &Store, client: Arc<Client>) -> Result<Setup, StartError> {
    let public = settings.public.url.clone();
    let x = &settings.x_api.base_url;
    Ok(Setup::new(store.clone(), client, public, x)?)
}

/// What keeps webhooks and subscriptions right; `None` where somebody else does.
fn keeper(
    settings: &Settings,
    store: &Store,
    rules: &LiveRules,
    client: Arc<Client>,
    (setup, board, signatures): (&Arc<Setup>, &Board, &Signatures),
) -> Option<Keeper> {
    let private_url = settings.private.url.as_ref();
    let is_wanted = settings.x_api.manage_webhooks && setup.has_public_url();
    is_wanted.then(|| {
        Keeper::new(KeeperParts {
            store: store.clone(),
            rules: rules.clone(),
            client,
            setup: Arc::clone(setup),
            board: board.clone(),
            signatures: signatures.clone(),
            every: settings.x_api.keep_every,
            private_url: private_url.map_or_else(String::new, |url| url.as_str().to_owned()),
        })
    })
}

/// X's API.
fn client(
    settings: &Settings,
    store: &Store,
    sealer: Sealer,
    tasks: &TaskTracker,
) -> Result<Client, StartError> {
    let base_url = settings.x_api.base_url.as_url();
    let call_timeout = settings.x_api.call_timeout;
    Ok(Client::new(
        ClientSettings {
            base_url: base_url.clone(),
            call_timeout,
            upload_timeout: UPLOAD_TIMEOUT,
        },
        // Shorter than the call: only so it is known that nothing was sent.
        http_client(base_url, (call_timeout / 2).min(CONNECT_TIMEOUT))?,
        Arc::new(StoredTokens::new(store.clone(), sealer).renewing_within(call_timeout)),
        Arc::new(Timestamp::now),
        tasks.clone(),
    )?)
}

/// What is held of people, for the command line.
///
/// # Errors
/// [`StartError`]: of the store, the keys or the folder of attachments.
pub async fn persons(settings: &Settings, store: &Store) -> Result<Persons, StartError> {
    let sealer = key_file::sealer(settings, store).await?;
    let directory = directory(settings, store, sealer.clone()).await?;
    let vault = Vault::open(&key_file::attachments_folder(settings), sealer).await?;
    Ok(Persons::new(
        store.clone(),
        directory.rules().clone(),
        vault,
    ))
}

fn gap_settings(settings: &Settings) -> GapSettings {
    let url = settings.public.url.as_ref();
    GapSettings {
        public_url: url.map(|url| url.as_str().to_owned()),
        replay_end_within: settings.gaps.replay_end_within,
    }
}

/// Runs a part of the service; if it ends before it is to, `fallen` hears of it.
async fn telling_of_its_end(
    part: impl Future<Output = ()>,
    until: CancellationToken,
    fallen: CancellationToken,
) {
    let end = fallen.drop_guard();
    part.await;
    if until.is_cancelled() {
        end.disarm();
    }
}

fn listen(listener: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).map_err(|source| StartError::Listen {
        listener,
        address,
        source,
    })
}

fn server(
    name: &'static str,
    listener: TcpListener,
    settings: ServerSettings,
    routes: impl Fn(&mut actix_web::web::ServiceConfig) + Clone + Send + 'static,
) -> Result<Server, StartError> {
    let address = listener
        .local_addr()
        .unwrap_or_else(|_| ([0, 0, 0, 0], 0).into());
    Server::start(listener, &settings, routes).map_err(|source| StartError::Listen {
        listener: name,
        address,
        source,
    })
}

fn serve_public(
    listener: TcpListener,
    settings: &Settings,
    routes: impl Fn(&mut actix_web::web::ServiceConfig) + Clone + Send + 'static,
) -> Result<Server, StartError> {
    let cores = available_parallelism().map_or(1, usize::from);
    let workers = settings.public.workers.map_or(cores, usize::from);
    let settings = ServerSettings {
        workers,
        grace: settings.stop.grace,
        max_connections: settings.public.max_connections,
    };
    server("public.listen", listener, settings, routes)
}

fn serve_private(
    base: &Arc<Base>,
    api: Arc<Api>,
    files: Arc<Media>,
    readiness: Readiness,
) -> Result<Server, StartError> {
    let (shown, gauged) = (Arc::clone(base), Arc::clone(base));
    let private = Private {
        api,
        readiness,
        parts: Box::new(move || Box::pin(parts(Arc::clone(&shown)))),
        metrics: metrics::install()?,
        forward: Arc::new(forward(base)?),
        refresh: Box::new(move || Box::pin(refresh(gauged.store.clone(), gauged.rules.now()))),
    };
    let listener = listen("private.listen", base.settings.private.listen)?;
    let (pages, files) = (private::routes(Arc::new(private)), media::routes(files));
    let settings = ServerSettings {
        workers: 1,
        grace: base.settings.stop.grace,
        max_connections: PRIVATE_CONNECTIONS,
    };
    server("private.listen", listener, settings, move |config| {
        pages(config);
        files(config);
    })
}

/// The way to the replica that leads.
fn forward(base: &Arc<Base>) -> Result<Forward, StartError> {
    let (own, others) = (base.leadership.clone(), Arc::clone(base));
    // Http as all replicas are: the client may go there and to no other kind of place.
    let replica = Url::parse(&format!("http://{}", base.settings.private.listen))?;
    Ok(Forward {
        leads: Box::new(move || own.holds()),
        leader: Box::new(move || others.leader.address()),
        http: http_client(&replica, REPLICA_TIMEOUT)?,
    })
}

/// The lines of `/readyz?verbose`.
async fn parts(base: Arc<Base>) -> Vec<Part> {
    let part = |name, state| Part { name, state };
    let leads = base.leadership.holds();
    let mut parts = vec![part("replica", role(&base, leads))];
    let links = [
        ("broker", base.relay.is_connected()),
        ("consumer", base.consumer.is_connected()),
    ];
    parts.extend(links.into_iter().map(|(name, connected)| {
        let state = match (connected, leads) {
            (true, _) => "connected",
            (false, true) => "away",
            (false, false) => "not used",
        };
        part(name, state.to_owned())
    }));
    let faults = [
        ("broker fault", base.relay.fault()),
        ("consumer fault", base.consumer.fault()),
    ];
    let faults = faults.into_iter().filter(|(_, fault)| !fault.is_empty());
    parts.extend(faults.map(|(name, fault)| part(name, fault)));
    let read = base.store.read(|tx| parts_of_store(tx, Timestamp::now()));
    match read.await {
        Err(error) => parts.push(part("store", error.to_string())),
        Ok(more) => parts.extend(more),
    }
    parts
}

fn role(base: &Base, leads: bool) -> String {
    match (leads, base.leader.address()) {
        (true, _) => "leads".to_owned(),
        (false, Some(leader)) => format!("follows {leader}"),
        (false, None) => "follows; nobody leads".to_owned(),
    }
}

fn parts_of_store(tx: &Tx<'_>, now: Timestamp) -> Result<Vec<Part>, StoreError> {
    let part = |name, state| Part { name, state };
    let kept: u64 = tx.quarantine_counts()?.iter().map(|(_, count)| count).sum();
    let unpublished = tx.journal_summary()?.unpublished;
    let mut parts = vec![
        part("store", "open".to_owned()),
        part("journal", format!("{unpublished} unpublished")),
        part("ledger", ledger_line(&Ledger::read(tx)?, now)),
        part("quarantine", format!("{kept} kept")),
    ];
    for gap in tx.open_gaps()? {
        let reason = gap.reason.name();
        let state = format!("{} {} to {} ({reason})", gap.app, gap.from, gap.until);
        parts.push(part("gap", state));
    }
    Ok(parts)
}

/// The commands without an outcome.
struct Ledger {
    counts: HashMap<(CommandState, Hold), u64>,
    /// When the oldest was received.
    oldest: Option<Timestamp>,
}

impl Ledger {
    fn read(tx: &Tx<'_>) -> Result<Self, StoreError> {
        let rows = tx.ledger_summary()?;
        Ok(Self {
            oldest: rows.iter().map(|row| row.3).min(),
            counts: rows
                .into_iter()
                .map(|row| ((row.0, row.1), row.2))
                .collect(),
        })
    }

    fn age(&self, now: Timestamp) -> Duration {
        let waits = |at| Duration::try_from(now.duration_since(at)).unwrap_or_default();
        self.oldest.map(waits).unwrap_or_default()
    }

    /// Zeros too: what has vanished must not keep its last figure.
    fn set_gauges(&self, now: Timestamp) {
        let open = CommandState::ALL.iter().filter(|state| state.is_open());
        for (state, hold) in open.flat_map(|state| Hold::ALL.iter().map(move |hold| (state, hold)))
        {
            // Only what is pending is held, but after a restore.
            let may_be_held = *state == CommandState::Pending || *hold == Hold::Restored;
            if may_be_held || *hold == Hold::None {
                let name = if *hold == Hold::None {
                    "none"
                } else {
                    hold.name()
                };
                let count = self.counts.get(&(*state, *hold)).copied().unwrap_or(0);
                metrics::set_ledger(state.name(), name, count);
            }
        }
        metrics::set_ledger_age(self.age(now));
    }
}

fn ledger_line(ledger: &Ledger, now: Timestamp) -> String {
    let open: u64 = ledger.counts.values().sum();
    let held = ledger
        .counts
        .iter()
        .filter(|((_, hold), _)| *hold != Hold::None);
    let held: u64 = held.map(|(_, count)| count).sum();
    match open {
        0 => "0 open".to_owned(),
        _ => format!(
            "{open} open, {held} held, oldest {} s",
            ledger.age(now).as_secs()
        ),
    }
}

/// Brings the gauges of the store up to date; a store that cannot be read keeps the last ones.
async fn refresh(store: Store, rules: Arc<Rules>) {
    let limit = store.settings().max_bytes;
    let read = store
        .read(move |tx| set_gauges(tx, limit, &rules.registry))
        .await;
    metrics::set_store_up(read.is_ok());
    if let Err(error) = read {
        tracing::warn!(%error, "the store cannot be read: its metrics are old");
    }
}

fn set_gauges(tx: &Tx<'_>, limit: u64, registry: &Registry) -> Result<(), StoreError> {
    metrics::set_store(tx.used_bytes()?, limit);
    let summary = tx.journal_summary()?;
    let waits = |at| Timestamp::now().duration_since(at).unsigned_abs();
    let age = summary.oldest.map(waits).unwrap_or_default();
    metrics::set_journal(summary.unpublished, age);
    Ledger::read(tx)?.set_gauges(Timestamp::now());
    for lane in Lane::ALL {
        metrics::set_lane(lane.name(), tx.lane_depth(lane)?);
    }
    // Zeros too: what has vanished must not keep its last figure.
    let kept: HashMap<_, _> = tx.quarantine_counts()?.into_iter().collect();
    for reason in QuarantineReason::ALL {
        let count = kept.get(reason.name()).copied().unwrap_or(0);
        metrics::set_quarantine(reason.name(), count);
    }
    let gaps = tx.open_gaps()?;
    for app in registry.apps() {
        let open = gaps.iter().filter(|gap| gap.app == app.name).count();
        metrics::set_gaps(&app.name, open as u64);
    }
    Ok(())
}

/// Links to media outlive a restart, and a new `secrets.key`.
fn media_links(settings: &Settings, sealer: &Sealer) -> MediaLinks {
    let default = format!("http://{}", settings.private.listen);
    let base = settings
        .private
        .url
        .as_ref()
        .map_or(default.as_str(), |url| url.as_str());
    let key = sealer.subkey("media links");
    MediaLinks::new(base, key.expose_secret().to_vec().into())
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn the_panic_of_a_part_is_noticed() {
        let (tasks, fallen) = (TaskTracker::new(), CancellationToken::new());
        tasks.spawn(telling_of_its_end(
            async { panic!("a bug") },
            CancellationToken::new(),
            fallen.clone(),
        ));
        timeout(Duration::from_secs(10), fallen.cancelled())
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn a_part_that_ends_when_it_is_told_to_is_no_fault() {
        let (until, fallen) = (CancellationToken::new(), CancellationToken::new());
        until.cancel();
        telling_of_its_end(until.clone().cancelled_owned(), until, fallen.clone()).await;
        assert!(!fallen.is_cancelled());
    }
}
