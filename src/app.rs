//! Wiring: who gets which handle, and in which order things start and stop.

pub mod key_file;
mod webhook_secrets;

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use jiff::Timestamp;
use metrics_exporter_prometheus::BuildError;
use secrecy::ExposeSecret;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::attachments::Attachments;
use crate::attachments::fetch::{Fetcher, SetupError};
use crate::attachments::vault::{Vault, VaultError};
use crate::broker::consumer::{Consumer, ConsumerState};
use crate::broker::inbox::InboxMonitor;
use crate::broker::publisher::Publisher;
use crate::broker::settings::BrokerSettings;
use crate::config::{ComplianceCheck, Settings};
use crate::domain::registry::Registry;
use crate::flow::compliance::{CheckSettings, Checks};
use crate::flow::enrich::Enricher;
use crate::flow::feeds::{FeedParts, Feeds};
use crate::flow::gaps::{GapSettings, Gaps};
use crate::flow::ingest::Ingest;
use crate::flow::link::{LinkSettings, Linker, Unlinking, Unsubscribe};
use crate::flow::media::Media;
use crate::flow::media_link::MediaLinks;
use crate::flow::person::Persons;
use crate::flow::plan_check::{PlanCheck, PostLimits};
use crate::flow::pseudonyms::Pseudonyms;
use crate::flow::registry::{Declared, Directory};
use crate::flow::relay::{Relay, RelaySettings, RelayState};
use crate::flow::reply::Replies;
use crate::flow::rules::{LiveRules, Rules};
use crate::flow::setup::{Keeper, KeeperParts, Setup, Signatures};
use crate::flow::test_event::TestEvents;
use crate::flow::tokens::StoredTokens;
use crate::flow::upkeep;
use crate::flow::watch::{Board, HealthView, Watch, Watched};
use crate::http::api::{Api, ApiParts};
use crate::http::private::{Part, Private, Readiness};
use crate::http::public::{LinkPages, Webhooks};
use crate::http::{Server, ServerSettings, media, private, public};
use crate::sealing::Sealer;
use crate::store::{CommandState, Hold, Lane, QuarantineReason, Store, StoreError, Tx};
use crate::telemetry::metrics;
use crate::x::challenge::NoChallenger;
use crate::x::client::{BadRefusalTable, Client, ClientSettings, NoHttpClient, http_client};
use key_file::KeyFileError;
use webhook_secrets::WebhookSecrets;

/// How long requests under way may take once the service stops.
const GRACE: Duration = Duration::from_secs(10);
/// How often events that nobody had bound are tried again.
const LANE_RETRY: Duration = Duration::from_secs(2);
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
}

/// The running service.
pub struct App {
    /// Where X reaches it; tells the port where 0 was asked for.
    pub public_address: SocketAddr,
    /// Where ops reach it.
    pub private_address: SocketAddr,
    store: Store,
    readiness: Readiness,
    public: ServerHandle,
    private: ServerHandle,
    servers: TaskTracker,
    tasks: TaskTracker,
    stop: CancellationToken,
    fallen: CancellationToken,
}

/// What all parts of the service are made of.
struct Base {
    settings: Settings,
    store: Store,
    sealer: Sealer,
    directory: Arc<Directory>,
    rules: LiveRules,
    client: Arc<Client>,
    broker: Arc<BrokerSettings>,
    board: Board,
    tasks: TaskTracker,
    stop: CancellationToken,
    fallen: CancellationToken,
}

impl Base {
    /// Opens the store, and notes since when nobody has.
    async fn open(settings: Settings) -> Result<Self, StartError> {
        let store = Store::open_exclusive(settings.store.clone())?;
        let sealer = key_file::sealer(&settings, &store).await?;
        let directory = directory(&settings, &store, sealer.clone()).await?;
        let directory = Arc::new(directory.serving());
        let rules = directory.rules().clone();
        upkeep::note_downtime(&store, &rules.now().registry, Timestamp::now()).await?;
        let tasks = TaskTracker::new();
        let client = Arc::new(client(&settings, &store, sealer.clone(), &tasks)?);
        Ok(Self {
            broker: Arc::new(settings.broker.clone()),
            settings,
            store,
            sealer,
            directory,
            rules,
            client,
            board: Board::default(),
            tasks,
            stop: CancellationToken::new(),
            fallen: CancellationToken::new(),
        })
    }

    /// Runs a part of the service, whose end ends the service.
    fn spawn(&self, part: impl Future<Output = ()> + Send + 'static) {
        let part = telling_of_its_end(part, self.fallen.clone());
        self.tasks.spawn(part);
    }

    fn until(&self) -> CancellationToken {
        self.stop.clone()
    }

    fn enricher(&self) -> Enricher {
        let client = Arc::clone(&self.client);
        Enricher::new(self.store.clone(), self.rules.clone(), client)
    }

    /// The way of deliveries into the journal, and that from there to the broker.
    async fn incoming(&self, enricher: &Enricher) -> Result<(Arc<Ingest>, Relay), StartError> {
        let links = media_links(&self.settings, &self.sealer);
        let (store, rules) = (self.store.clone(), self.rules.clone());
        let (ingest, typing) = Ingest::new(store, rules, links, enricher.enrichment());
        let settings = RelaySettings {
            window: self.broker.publish_window,
            lane_retry: LANE_RETRY,
        };
        let publisher = Publisher::new(Arc::clone(&self.broker));
        let relay = Relay::new(self.store.clone(), publisher, settings, typing);
        Ok((Arc::new(ingest), relay.await?))
    }

    /// The way of commands to X.
    async fn replies(&self, enricher: &Enricher) -> Result<Replies, StartError> {
        let (client, sealer) = (Arc::clone(&self.client), self.sealer.clone());
        let rules = self.rules.clone();
        let replies = replies(&self.settings, &self.store, rules, client, sealer).await?;
        Ok(replies.forgetting(enricher.enrichment()))
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

    fn watch(&self, replies: &Replies, ingest: &Ingest) -> Watch {
        let watched = Watched {
            inboxes: InboxMonitor::new(Arc::clone(&self.broker)),
            paused: replies.paused(),
            board: self.board.clone(),
            traffic: ingest.traffic(),
        };
        Watch::new(self.store.clone(), self.rules.clone(), watched)
    }

    /// What keeps X's side of the set-up right, reads beside its webhooks and fills what they did
    /// not bring.
    fn spawn_reads(&self, ingest: &Arc<Ingest>, setup: &Arc<Setup>, signatures: &Signatures) {
        let (store, rules) = (self.store.clone(), self.rules.clone());
        let (client, board) = (Arc::clone(&self.client), self.board.clone());
        let plans = PlanCheck::new(store.clone(), rules.clone(), Arc::clone(&client));
        self.spawn(plans.run(self.until()));
        let with = (setup, &board, signatures);
        let keeper = keeper(&self.settings, &store, &rules, Arc::clone(&client), with);
        if let Some(keeper) = keeper {
            self.spawn(keeper.run(self.until()));
        }
        let gaps = Gaps::new(
            store.clone(),
            rules.clone(),
            Arc::clone(&client),
            Arc::clone(ingest),
            board.clone(),
            gap_settings(&self.settings),
        );
        self.spawn(gaps.run(self.until()));
        let settings = CheckSettings {
            auto: self.settings.compliance.check == ComplianceCheck::Auto,
            look_up: self.settings.compliance.look_up,
        };
        let (reading, told) = (Arc::clone(&client), board.clone());
        let checks = Checks::new(store.clone(), rules.clone(), reading, told, settings);
        self.spawn(checks.run(self.until()));
        let feeds = Feeds::new(FeedParts {
            store,
            rules,
            client,
            ingest: Arc::clone(ingest),
            board,
            search_lag: self.settings.x_api.search_lag,
        });
        self.spawn(feeds.run(self.until()));
    }

    /// What lets waiting deliveries go, and keeps store and registry in order.
    fn spawn_upkeep(&self, ingest: &Arc<Ingest>) {
        let (echoes, until) = (Arc::clone(ingest), self.until());
        self.spawn(async move { echoes.release_echoes(until).await });
        self.spawn(Arc::clone(&self.directory).run(self.until()));
        let kept = (self.settings.retention.clone(), self.settings.unwanted);
        let (store, ingest) = (self.store.clone(), Arc::clone(ingest));
        self.spawn(upkeep::run(store, ingest, kept, self.until()));
    }

    /// API, console, files and probes.
    fn serve_private(
        &self,
        api: Arc<Api>,
        states: (RelayState, ConsumerState),
        readiness: Readiness,
    ) -> Result<Server, StartError> {
        let media = Media::new(
            media_links(&self.settings, &self.sealer),
            self.store.clone(),
            self.rules.clone(),
            Arc::clone(&self.client),
            self.settings.media_max_bytes,
        );
        let served = (api, Arc::new(media));
        let rules = self.rules.clone();
        serve_private(
            &self.settings,
            &self.store,
            served,
            states,
            readiness,
            rules,
        )
    }

    /// Webhooks, for the apps in force, and the pages of those who link accounts.
    async fn serve_public(
        &self,
        linker: Arc<Linker>,
        ingest: &Arc<Ingest>,
        signatures: Signatures,
    ) -> Result<Server, StartError> {
        let mut secrets = WebhookSecrets::new(self.store.clone(), self.tasks.clone());
        let webhooks = secrets.of(&self.rules.now().registry).await?;
        let webhooks = Webhooks::new(webhooks, self.settings.public.max_body_bytes);
        let webhooks = Arc::new(webhooks.counting(signatures));
        let linking = LinkPages::new(linker, self.settings.x_api.base_url.as_url());
        let linking = public::link_routes(Arc::new(linking));
        let receiving = public::routes(Arc::clone(&webhooks), Arc::clone(ingest));
        let public = serve_public(&self.settings, move |config| {
            receiving(config);
            linking(config);
        })?;
        self.spawn(secrets.follow(self.rules.clone(), webhooks, self.until()));
        Ok(public)
    }
}

impl App {
    /// Starts everything. The broker may be away; the store may not.
    ///
    /// # Errors
    /// [`StartError`], with nothing left running.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        let base = Base::open(settings).await?;
        let enricher = base.enricher();
        let (ingest, relay) = base.incoming(&enricher).await?;
        let replies = base.replies(&enricher).await?;
        let consumer = Consumer::new(Arc::clone(&base.broker));
        let (setup, signatures) = (base.setup()?, Signatures::default());
        let linker = base.linker(&setup);
        let watch = base.watch(&replies, &ingest);
        let readiness = Readiness::default();
        let api = api(
            &base.settings,
            &base.store,
            &base.broker,
            Arc::clone(&base.directory),
            (Arc::clone(&linker), Arc::clone(&setup)),
            (watch.view(), replies.persons()),
        );
        let states = (relay.state(), consumer.state());
        let private = base.serve_private(api, states, readiness.clone())?;
        let public = base.serve_public(linker, &ingest, signatures.clone());
        let public = public.await?;

        let servers = TaskTracker::new();
        servers.spawn(public.running);
        servers.spawn(private.running);
        base.spawn(relay.run(base.until()));
        base.spawn(consumer.run(replies.intake(), base.until()));
        base.spawn(replies.run(base.until()));
        base.spawn(enricher.run(base.until()));
        base.spawn(watch.run(base.until()));
        base.spawn_reads(&ingest, &setup, &signatures);
        base.spawn_upkeep(&ingest);
        readiness.set(true);
        Ok(Self {
            public_address: public.address,
            private_address: private.address,
            store: base.store,
            readiness,
            public: public.handle,
            private: private.handle,
            servers,
            tasks: base.tasks,
            stop: base.stop,
            fallen: base.fallen,
        })
    }

    /// Waits until a part of the service has ended by itself, which none should: without it events
    /// would pile up unseen.
    pub async fn fallen(&self) {
        self.fallen.cancelled().await;
    }

    /// Stops in order: no more traffic, what is held is finished, flushed and closed.
    pub async fn stop(self) {
        self.readiness.set(false);
        self.public.stop(true).await;
        self.stop.cancel();
        self.tasks.close();
        if timeout(GRACE, self.tasks.wait()).await.is_err() {
            tracing::warn!("background work was cut off after {GRACE:?}");
        }
        self.private.stop(true).await;
        self.servers.close();
        self.servers.wait().await;
        // The threads of the listeners let go of their handles a little later.
        self.store.release();
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
        Arc::new(StoredTokens::new(store.clone(), sealer)),
        Arc::new(Timestamp::now),
        tasks.clone(),
    )?)
}

/// The way of commands to X, with a place for their attachments.
async fn replies(
    settings: &Settings,
    store: &Store,
    rules: LiveRules,
    client: Arc<Client>,
    sealer: Sealer,
) -> Result<Replies, StartError> {
    let folder = key_file::attachments_folder(settings);
    let vault = Vault::open(&folder, sealer).await?;
    let attachments = Attachments::new(Fetcher::new(settings.attachments.clone())?, vault);
    Ok(Replies::new(store.clone(), rules, client, attachments).await?)
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

/// Runs a part of the service; however it ends, `fallen` hears of it.
async fn telling_of_its_end(part: impl Future<Output = ()>, fallen: CancellationToken) {
    let _end = fallen.drop_guard();
    part.await;
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
    workers: usize,
    routes: impl Fn(&mut actix_web::web::ServiceConfig) + Clone + Send + 'static,
) -> Result<Server, StartError> {
    let address = listener
        .local_addr()
        .unwrap_or_else(|_| ([0, 0, 0, 0], 0).into());
    let settings = ServerSettings {
        workers,
        grace: GRACE,
    };
    Server::start(listener, &settings, routes).map_err(|source| StartError::Listen {
        listener: name,
        address,
        source,
    })
}

fn serve_public(
    settings: &Settings,
    routes: impl Fn(&mut actix_web::web::ServiceConfig) + Clone + Send + 'static,
) -> Result<Server, StartError> {
    let listener = listen("public.listen", settings.public.listen)?;
    let cores = available_parallelism().map_or(1, usize::from);
    let workers = settings.public.workers.map_or(cores, usize::from);
    server("public.listen", listener, workers, routes)
}

/// What the JSON API works with.
fn api(
    settings: &Settings,
    store: &Store,
    broker: &Arc<BrokerSettings>,
    directory: Arc<Directory>,
    (linker, setup): (Arc<Linker>, Arc<Setup>),
    (health, persons): (HealthView, Persons),
) -> Arc<Api> {
    let url = settings.private.url.as_ref();
    let rules = directory.rules().clone();
    Arc::new(Api::new(ApiParts {
        store: store.clone(),
        directory,
        linker,
        health,
        persons,
        setup,
        public_url: settings.public.url.clone(),
        tests: TestEvents::new(store.clone(), rules, Arc::clone(broker)),
        token: settings.private.token.clone(),
        secure_cookies: url.is_some_and(|url| url.as_str().starts_with("https:")),
    }))
}

fn serve_private(
    settings: &Settings,
    store: &Store,
    (api, files): (Arc<Api>, Arc<Media>),
    (relay, consumer): (RelayState, ConsumerState),
    readiness: Readiness,
    rules: LiveRules,
) -> Result<Server, StartError> {
    let (shown, gauged) = (store.clone(), store.clone());
    let private = Private {
        api,
        readiness,
        parts: Box::new(move || {
            let links = [
                ("broker", relay.is_connected()),
                ("consumer", consumer.is_connected()),
            ];
            Box::pin(parts(shown.clone(), links))
        }),
        metrics: metrics::install()?,
        refresh: Box::new(move || Box::pin(refresh(gauged.clone(), rules.now()))),
    };
    let listener = listen("private.listen", settings.private.listen)?;
    let (pages, files) = (private::routes(Arc::new(private)), media::routes(files));
    server("private.listen", listener, 1, move |config| {
        pages(config);
        files(config);
    })
}

/// The lines of `/readyz?verbose`.
async fn parts(store: Store, links: [(&'static str, bool); 2]) -> Vec<Part> {
    let part = |name, state| Part { name, state };
    let links = links.into_iter().map(|(name, connected)| {
        let state = if connected { "connected" } else { "away" };
        part(name, state.to_owned())
    });
    let mut parts: Vec<_> = links.collect();
    match store.read(|tx| parts_of_store(tx, Timestamp::now())).await {
        Err(error) => parts.push(part("store", error.to_string())),
        Ok(more) => parts.extend(more),
    }
    parts
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
            // Only what is pending is held.
            if *state == CommandState::Pending || *hold == Hold::None {
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
    if let Err(error) = read {
        tracing::warn!(%error, "the store's gauges are old");
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
    use super::*;

    #[tokio::test]
    async fn the_panic_of_a_part_is_noticed() {
        let (tasks, fallen) = (TaskTracker::new(), CancellationToken::new());
        tasks.spawn(telling_of_its_end(
            async { panic!("a bug") },
            fallen.clone(),
        ));
        timeout(GRACE, fallen.cancelled()).await.unwrap();
    }
}
