//! The whole service between a simulated X and a virtual host of the real broker.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use lapin::BasicProperties;
use lapin::message::BasicGetMessage;
use lapin::types::AMQPValue;
use serde_json::Value;
use simulator::{
    AttemptResult, Clock, Form, MediaBase, NewApp, NewPost, NewUser, PostId, RawSignature,
    Simulator, UserId,
};
use tempfile::TempDir;
use twitter_channel::app::App;
use twitter_channel::config::Settings;
use twitter_channel::store::{Quarantined, Store, Tx};

use super::address::free_address;
use super::broker::{TestBroker, client, eventually};
use super::fresh::FreshDatabase;
use crate::contract::check_event;
use crate::schemas::check_envelope;

/// The inbox that the service declares by default.
pub(crate) const INBOX: &str = "twitter.tickets";
/// App and account that every setup begins with.
pub(crate) const APP: &str = "acme";
pub(crate) const ACME: UserId = UserId(2_975_699_229);

/// One of our accounts.
#[derive(Clone)]
struct OurAccount {
    app: String,
    id: UserId,
    username: String,
    /// OAuth 1.0a, with its secret.
    token: (String, String),
    /// More keys of its table, as TOML.
    more: String,
}

/// What a service and the X before it are set up with: an app and an account, both `acme`, which
/// wants direct messages, mentions, replies and quotes.
#[derive(Clone)]
pub(crate) struct Setup {
    apps: Vec<(String, String)>,
    accounts: Vec<OurAccount>,
    filters: Vec<String>,
    pub(super) variables: Vec<(String, String)>,
    forms: Vec<Form>,
    clock: Clock,
    asks_for_plans: bool,
    /// Where X may send browsers back to.
    callbacks: Vec<String>,
    media_base: MediaBase,
    /// X has no webhook and no subscription of ours.
    bare: bool,
    replies_to_replies: bool,
    on_server: bool,
}

impl Setup {
    /// App and account, filters for all that names the account, Account Activity, the wall clock.
    pub(crate) fn new() -> Self {
        let wants = |word| format!("account = \"acme\"\nmatch = \"{word}\"\ngroup = \"support\"");
        Self {
            filters: ["direct_messages", "mentions", "replies", "quotes"]
                .map(wants)
                .into(),
            ..Self::unfiltered()
        }
    }

    /// The same without filters.
    pub(crate) fn unfiltered() -> Self {
        Self::empty().app(APP, "").account(APP, ACME, "acme", "")
    }

    /// Nothing is configured, and X knows nobody.
    pub(crate) fn empty() -> Self {
        Self {
            apps: Vec::new(),
            accounts: Vec::new(),
            filters: Vec::new(),
            variables: Vec::new(),
            forms: vec![Form::AccountActivity],
            clock: Clock::Wall,
            asks_for_plans: false,
            callbacks: Vec::new(),
            media_base: MediaBase::X,
            bare: false,
            replies_to_replies: true,
            on_server: false,
        }
    }

    /// One more app, with more keys of its table; its secret is [`secret_of`] it.
    #[must_use]
    pub(crate) fn app(mut self, name: &str, more: &str) -> Self {
        self.apps.push((name.to_owned(), more.to_owned()));
        self
    }

    /// The first app with other keys in its table.
    #[must_use]
    pub(crate) fn app_keys(mut self, more: &str) -> Self {
        self.apps[0].1 = more.to_owned();
        self
    }

    /// One more account, with more keys of its table.
    #[must_use]
    pub(crate) fn account(mut self, app: &str, id: UserId, username: &str, more: &str) -> Self {
        self.accounts.push(OurAccount {
            app: app.to_owned(),
            id,
            username: username.to_owned(),
            token: access_token_of(username),
            more: more.to_owned(),
        });
        self
    }

    /// The first account with other keys in its table.
    #[must_use]
    pub(crate) fn account_keys(mut self, more: &str) -> Self {
        self.accounts[0].more = more.to_owned();
        self
    }

    /// The first account with another access token: it was linked again.
    #[must_use]
    pub(crate) fn access_token(mut self, token: &str, secret: &str) -> Self {
        self.accounts[0].token = (token.to_owned(), secret.to_owned());
        self
    }

    /// Without the accounts behind the first one.
    #[must_use]
    pub(crate) fn first_account_only(mut self) -> Self {
        self.accounts.truncate(1);
        self
    }

    /// Without the filters behind the first so many.
    #[must_use]
    pub(crate) fn first_filters(mut self, count: usize) -> Self {
        self.filters.truncate(count);
        self
    }

    /// Accounts have the limits of their plans at X, unless their keys say otherwise. Without this
    /// their posts have 280 characters and X is not asked: its calls and bill are the test's own.
    #[must_use]
    pub(crate) fn asking_for_plans(mut self) -> Self {
        self.asks_for_plans = true;
        self
    }

    /// Files of direct messages lie with the simulator, to be fetched; else their addresses are X's.
    #[must_use]
    pub(crate) fn files_within_reach(mut self) -> Self {
        self.media_base = MediaBase::Simulator;
        self
    }

    /// One more filter, behind the others: the keys of its table, as TOML.
    #[must_use]
    pub(crate) fn filter(mut self, keys: &str) -> Self {
        self.filters.push(keys.to_owned());
        self
    }

    /// Sets a key by its environment variable, such as `PUBLIC__MAX_BODY_BYTES`.
    #[must_use]
    pub(crate) fn set(mut self, key: &str, value: &str) -> Self {
        let variable = format!("TWITTER_CHANNEL__{key}");
        self.variables.push((variable, value.to_owned()));
        self
    }

    /// Where X may send browsers back to, for every app.
    #[must_use]
    pub(crate) fn callback(mut self, url: &str) -> Self {
        self.callbacks.push(url.to_owned());
        self
    }

    /// X knows our apps and accounts, and their tokens, from before the service starts; webhooks
    /// and subscriptions are the service's own to keep.
    #[must_use]
    pub(crate) fn bare(self) -> Self {
        let bare = Self { bare: true, ..self };
        bare.set("X_API__KEEP_EVERY", "500ms")
    }

    /// The forms in which X delivers.
    #[must_use]
    pub(crate) fn forms(mut self, forms: &[Form]) -> Self {
        self.forms = forms.to_vec();
        self
    }

    /// X Activity tells nobody of replies to replies.
    #[must_use]
    pub(crate) fn without_replies_to_replies(mut self) -> Self {
        self.replies_to_replies = false;
        self
    }

    /// The store is PostgreSQL.
    #[must_use]
    pub(crate) fn on_server(mut self) -> Self {
        self.on_server = true;
        self
    }

    /// X's time.
    #[must_use]
    pub(crate) fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// An X hears of the apps and accounts that it does not know yet.
    pub(crate) fn tell(&self, simulator: &Simulator, webhook: impl Fn(&str) -> String) {
        for (name, _) in &self.apps {
            let callbacks: Vec<_> = self.callbacks.iter().map(String::as_str).collect();
            let webhook = if self.bare {
                String::new()
            } else {
                webhook(name)
            };
            let app = NewApp {
                replies_to_replies: self.replies_to_replies,
                ..NewApp::new(name, &secret_of(name), &webhook).with_callbacks(&callbacks)
            };
            let _known = simulator.add_app(app);
        }
        for account in &self.accounts {
            let user = NewUser::named(&account.username).with_id(account.id.0);
            let _known = simulator.add_user(user);
            let (app, forms) = (&account.app, &self.forms);
            if !self.bare {
                simulator.subscribe(app, account.id, forms).unwrap();
            }
            let (token, secret) = &account.token;
            if token.is_empty() {
                continue;
            }
            let known = simulator.set_access_token(app, account.id, token, secret);
            known.unwrap();
        }
    }

    /// What the configuration file says, without a service.
    pub(crate) fn settings(&self) -> Settings {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SETTINGS);
        std::fs::write(&path, self.file()).unwrap();
        Settings::load(Some(&path), self.variables.clone().into_iter())
            .unwrap_or_else(|faults| panic!("{faults}"))
    }

    /// The configuration file.
    pub(super) fn file(&self) -> String {
        let mut file = String::new();
        for (name, more) in &self.apps {
            let secret = secret_of(name);
            writeln!(
                file,
                "\n[[apps]]\nname = \"{name}\"\nconsumer_key = \"{name}-key\"\n\
                 consumer_secret = \"{secret}\"\n{more}"
            )
            .unwrap();
        }
        for account in &self.accounts {
            let (token, secret) = &account.token;
            writeln!(
                file,
                "\n[[accounts]]\napp = \"{}\"\nid = \"{}\"\nusername = \"{}\"\n\
                 access_token = \"{token}\"\naccess_token_secret = \"{secret}\"\n{}",
                account.app, account.id, account.username, account.more
            )
            .unwrap();
            if !self.asks_for_plans {
                writeln!(file, "max_post_length = 280").unwrap();
            }
        }
        for filter in &self.filters {
            writeln!(file, "\n[[filters]]\n{filter}").unwrap();
        }
        file
    }
}

/// The consumer secret of an app.
pub(crate) fn secret_of(app: &str) -> String {
    format!("secret of {app}")
}

/// The OAuth 1.0a token of an account, and its secret.
pub(crate) fn access_token_of(username: &str) -> (String, String) {
    (
        format!("token-of-{username}"),
        format!("token-secret-of-{username}"),
    )
}

/// An event as the core gets it; its body was found to be exactly the contract's.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) body: Value,
    pub(crate) routing_key: String,
    pub(crate) properties: BasicProperties,
}

impl Event {
    fn read(message: BasicGetMessage) -> Self {
        let routing_key = message.delivery.routing_key.to_string();
        let body: Value = serde_json::from_slice(&message.delivery.data).unwrap();
        let event = Self {
            routing_key,
            properties: message.delivery.properties.clone(),
            body,
        };
        if let Err(fault) = check_event(event.event_type(), &message.delivery.data) {
            panic!("not the contract's: {fault}");
        }
        let envelope = check_envelope(event.event_type(), &event.routing_key, &event.properties);
        assert_eq!(envelope, Ok(()), "{event:?}");
        event
    }

    pub(crate) fn event_type(&self) -> &str {
        self.text("/event/type")
    }

    /// What stands at this place of the body.
    pub(crate) fn at(&self, pointer: &str) -> &Value {
        let found = self.body.pointer(pointer);
        found.unwrap_or_else(|| panic!("no {pointer} in {:#}", self.body))
    }

    /// The text at this place of the body.
    pub(crate) fn text(&self, pointer: &str) -> &str {
        let found = self.at(pointer).as_str();
        found.unwrap_or_else(|| panic!("no text at {pointer} in {:#}", self.body))
    }

    /// An AMQP header that is a text.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        match self.properties.headers().as_ref()?.inner().get(name)? {
            AMQPValue::LongString(text) => Some(text.to_string()),
            other => panic!("header {name} is {other:?}"),
        }
    }
}

/// The running service with its neighbours.
pub(crate) struct TestService {
    pub(crate) simulator: Simulator,
    pub(crate) broker: TestBroker,
    /// A handle beside the service's own, as the command line has it.
    pub(crate) store: Store,
    setup: Setup,
    public: SocketAddr,
    private: SocketAddr,
    app: Option<App>,
    folder: Place,
}

impl TestService {
    /// Starts everything; X knows of our apps and accounts, and delivers.
    pub(crate) async fn start(setup: Setup) -> Self {
        let (broker, folder) = (TestBroker::vhost().await, Place::new(&setup));
        let simulator = simulator::Settings {
            clock: setup.clock.clone(),
            time_scale: 0.01,
            media_base: setup.media_base.clone(),
            ..simulator::Settings::default()
        };
        let simulator = Simulator::start(simulator).await.unwrap();
        let mut setup = setup.set("X_API__BASE_URL", simulator.url());
        let public = free_address();
        if setup.bare {
            setup = setup.set("PUBLIC__URL", &format!("http://{public}"));
            // A look each half second is more than X allows.
            simulator.change_api(|api| api.enforce_limits = false);
            setup.tell(&simulator, |_app| String::new());
        }
        let settings = load(&setup, &folder, &broker, public);
        let app = App::start(settings).await.unwrap();
        let service = Self {
            store: open_store(&setup, &folder, &broker),
            simulator,
            public,
            private: app.private_address,
            app: Some(app),
            setup,
            broker,
            folder,
        };
        service.tell_x();
        service
    }

    /// X hears of the apps and accounts that it does not know yet.
    fn tell_x(&self) {
        self.setup.tell(&self.simulator, |app| self.webhook(app));
    }

    /// Stops the service alone, in order.
    pub(crate) async fn stop(&mut self) {
        self.app.take().unwrap().stop().await;
    }

    /// Starts the stopped service on the same store and address, with what `change` makes of its
    /// setup.
    pub(crate) async fn start_again(&mut self, change: impl FnOnce(Setup) -> Setup) {
        self.setup = change(self.setup.clone());
        let settings = load(&self.setup, &self.folder, &self.broker, self.public);
        let app = App::start(settings).await.unwrap();
        self.private = app.private_address;
        self.app = Some(app);
        self.tell_x();
    }

    /// The database of the service, where it is a file; beside it lies what else is kept.
    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join("channel.db")
    }

    /// Runs a statement in the database; how many rows it changed, or why it was refused.
    pub(crate) fn execute(&self, sql: &str) -> Result<u64, String> {
        match &self.folder.server {
            Some(server) => server.execute(sql),
            None => {
                let changed = self.connection().execute(sql, []);
                changed
                    .map(|rows| rows as u64)
                    .map_err(|error| error.to_string())
            }
        }
    }

    /// A column of bytes of the database.
    pub(crate) fn bytes(&self, sql: &str) -> Vec<Vec<u8>> {
        if let Some(server) = &self.folder.server {
            return server.bytes(sql);
        }
        let connection = self.connection();
        let mut rows = connection.prepare(sql).unwrap();
        let rows = rows.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    fn connection(&self) -> rusqlite::Connection {
        let connection = rusqlite::Connection::open(self.database()).unwrap();
        connection.busy_timeout(Duration::from_secs(5)).unwrap();
        connection
    }

    /// Where X reaches the service.
    pub(crate) fn public_url(&self) -> String {
        format!("http://{}", self.public)
    }

    /// Where ops reach the service.
    pub(crate) fn private_url(&self) -> String {
        format!("http://{}", self.private)
    }

    /// Where X delivers to an app.
    pub(crate) fn webhook(&self, app: &str) -> String {
        format!("{}/webhooks/twitter/{app}", self.public_url())
    }

    /// A page of the private listener.
    pub(crate) async fn page(&self, path: &str) -> String {
        let url = self.private_url() + path;
        let response = client().get(url).send().await.unwrap();
        response.error_for_status().unwrap().text().await.unwrap()
    }

    /// A sample of `/metrics` by its whole name, labels included; 0 where there is none yet. The
    /// counters are of the whole process, which runs other tests too.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let page = self.page("/metrics").await;
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Somebody at X.
    pub(crate) fn user(&self, username: &str) -> UserId {
        let known = self.simulator.user_id(username);
        known.unwrap_or_else(|| self.add_user(NewUser::named(username)))
    }

    /// Somebody at X with a profile.
    pub(crate) fn add_user(&self, user: NewUser) -> UserId {
        self.simulator.add_user(user).unwrap()
    }

    /// Somebody posts; X tells of it as it is subscribed to.
    pub(crate) fn post(&self, post: NewPost) -> PostId {
        self.simulator.post(post).unwrap()
    }

    /// What X tells our account of a post in this form, unsent.
    pub(crate) fn bodies_of(&self, post: PostId, form: Form) -> Vec<Bytes> {
        let bodies = self.simulator.bodies_of(post, APP, ACME, form).unwrap();
        assert!(!bodies.is_empty(), "nothing is told of {post}");
        bodies.into_iter().map(|signed| signed.body).collect()
    }

    /// The first of them as JSON, to be changed.
    pub(crate) fn delivery_of(&self, post: PostId, form: Form) -> Value {
        serde_json::from_slice(&self.bodies_of(post, form)[0]).unwrap()
    }

    /// Delivers a post in this form, whatever is subscribed to.
    pub(crate) async fn deliver_post(&self, post: PostId, form: Form) {
        for body in self.bodies_of(post, form) {
            assert_eq!(self.deliver(body).await, 200);
        }
    }

    /// Delivers a body to [`APP`], signed; the status of the answer.
    pub(crate) async fn deliver(&self, body: impl Into<Bytes>) -> u16 {
        let answer = self.simulator.deliver(APP, body, RawSignature::Correct);
        match answer.await.unwrap() {
            AttemptResult::Answered(status) => status,
            other => panic!("no answer: {other:?}"),
        }
    }

    /// Delivers a body of JSON that has to be taken.
    pub(crate) async fn take(&self, body: &Value) {
        assert_eq!(self.deliver(body.to_string()).await, 200, "{body:#}");
    }

    /// Runs a command of the command line beside the service: its exit status, and what it says on
    /// stdout or, where it failed, on stderr.
    pub(crate) async fn run(&self, arguments: &[&str]) -> (i32, String) {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_twitter-channel"));
        command
            .args(arguments)
            .arg("--config")
            .arg(self.folder.path().join(SETTINGS))
            .envs(self.folder.variables())
            .env("TWITTER_CHANNEL__BROKER__URL", self.broker.url())
            .envs(self.setup.variables.clone());
        let output = command.output().await.unwrap();
        let said = match output.status.success() {
            true => output.stdout,
            false => output.stderr,
        };
        let code = output.status.code().unwrap();
        (code, String::from_utf8(said).unwrap())
    }

    /// The core puts a command on the queue.
    pub(crate) async fn command(&self, command: &Value) {
        let body = command.to_string();
        self.broker
            .publish("twitter.commands", "twitter.commands", body.as_bytes())
            .await;
    }

    /// Waits for the outcome of a command; what else came meanwhile goes into `others`.
    pub(crate) async fn outcome(&self, id: &str, others: &mut Vec<Event>) -> Event {
        let came = async || {
            let mut found = None;
            let mut aside = Vec::new();
            for event in self.take_events().await {
                let is_outcome =
                    matches!(event.event_type(), "command.succeeded" | "command.failed");
                if is_outcome && event.text("/command_id") == id && found.is_none() {
                    found = Some(event);
                } else {
                    aside.push(event);
                }
            }
            (found.is_some() || !aside.is_empty()).then_some((found, aside))
        };
        loop {
            let (found, aside) = eventually("an outcome", came).await;
            others.extend(aside);
            if let Some(found) = found {
                return found;
            }
        }
    }

    /// Waits until X has delivered everything and all of it lies in the queues.
    pub(crate) async fn settled(&self) {
        self.simulator.settled().await;
        let published = async || {
            let read = |tx: &Tx<'_>| Ok((tx.journal_summary()?, tx.cursor()?));
            let (summary, cursor) = self.store.read(read).await.unwrap();
            // The first event of all tells that the service has started.
            (summary.unpublished == 0 && cursor > 0).then_some(())
        };
        eventually("everything published", published).await;
    }

    /// All that came into the inbox since the last look, once everything is published; without
    /// `account.health`, which tells of the service.
    pub(crate) async fn events(&self) -> Vec<Event> {
        self.settled().await;
        self.take_events().await
    }

    /// The only event since the last look.
    pub(crate) async fn only_event(&self) -> Event {
        let mut events = self.events().await;
        assert_eq!(events.len(), 1, "{events:#?}");
        events.remove(0)
    }

    /// Waits for an event, whatever else is still on its way.
    pub(crate) async fn next_event(&self) -> Event {
        let came = async || self.take_events().await.into_iter().next();
        eventually("an event", came).await
    }

    /// All that came into the inbox since the last look; without `account.health`.
    pub(crate) async fn take_events(&self) -> Vec<Event> {
        let mut events = self.take_events_of(INBOX).await;
        events.retain(|event| event.event_type() != "account.health");
        events
    }

    /// All that is in a queue.
    pub(crate) async fn take_events_of(&self, queue: &str) -> Vec<Event> {
        let messages = self.broker.drain(queue).await.into_iter();
        messages.map(Event::read).collect()
    }

    /// What lies in quarantine, oldest first.
    pub(crate) async fn quarantine(&self) -> Vec<Quarantined> {
        let kept = self.store.read(|tx| tx.quarantined(0, 1000)).await;
        kept.unwrap()
    }

    /// Waits until so many deliveries lie in quarantine.
    pub(crate) async fn wait_for_quarantine(&self, count: usize) {
        let reached = async || (self.quarantine().await.len() == count).then_some(());
        eventually(&format!("{count} deliveries in quarantine"), reached).await;
    }
}

/// The configuration file, in the service's folder.
const SETTINGS: &str = "twitter-channel.toml";

/// A key of the deployment, for a store on a server.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// With `postgres`, every service of the tests has its store on a server.
const STORE: &str = "TWITTER_CHANNEL_TEST_STORE";

/// The folder of a service, and its database where that is on a server.
pub(super) struct Place {
    folder: TempDir,
    pub(super) server: Option<FreshDatabase>,
}

impl Place {
    pub(super) fn new(setup: &Setup) -> Self {
        let all = std::env::var_os(STORE).is_some_and(|store| store == "postgres");
        Self {
            server: (setup.on_server || all).then(FreshDatabase::new),
            ..Self::of_files()
        }
    }

    pub(super) fn of_files() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            server: None,
        }
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What the store needs of the settings, by its variable.
    pub(super) fn variables(&self) -> Vec<(String, String)> {
        let Some(server) = &self.server else {
            return file_variables(self.path());
        };
        let files = self.path().join("channel.db.files");
        named([
            ("STORE__URL", server.url()),
            ("SECRETS__KEY", KEY.to_owned()),
            ("ATTACHMENTS__FOLDER", files.display().to_string()),
        ])
    }
}

/// The same for a file in this folder.
pub(super) fn file_variables(folder: &Path) -> Vec<(String, String)> {
    let file = folder.join("channel.db");
    named([("STORE__URL", format!("sqlite://{}", file.display()))])
}

fn named<const N: usize>(keys: [(&str, String); N]) -> Vec<(String, String)> {
    let named = keys.map(|(key, value)| (format!("TWITTER_CHANNEL__{key}"), value));
    named.into()
}

fn load(setup: &Setup, folder: &Place, broker: &TestBroker, public: SocketAddr) -> Settings {
    let path = folder.path().join(SETTINGS);
    std::fs::write(&path, setup.file()).unwrap();
    let own = [
        ("PUBLIC__LISTEN", public.to_string()),
        ("PUBLIC__WORKERS", "1".to_owned()),
        ("PRIVATE__LISTEN", "127.0.0.1:0".to_owned()),
        ("BROKER__URL", broker.url()),
        // Clients of tests keep idle connections.
        ("STOP__FAREWELL", "100ms".to_owned()),
    ];
    let own = own.map(|(key, value)| (format!("TWITTER_CHANNEL__{key}"), value));
    let variables = folder.variables().into_iter().chain(own);
    let variables = variables.chain(setup.variables.clone());
    Settings::load(Some(&path), variables).unwrap_or_else(|faults| panic!("{faults}"))
}

fn open_store(setup: &Setup, folder: &Place, broker: &TestBroker) -> Store {
    let settings = load(setup, folder, broker, ([127, 0, 0, 1], 0).into());
    Store::open(settings.store).unwrap()
}
