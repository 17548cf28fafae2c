//! Three replicas before a database of their own and a cluster of three brokers, behind a balancer.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use simulator::{Clock, Disturbances, Endpoint, Limits, NewPost, NewUser, Simulator, UserId};
use tempfile::TempDir;

use super::traffic::Thread;
use crate::support::balancer::Balancer;
use crate::support::broker::{TestBroker, client, eventually};
use crate::support::desk::Desk;
use crate::support::fresh::FreshDatabase;
use crate::support::process::{Cluster, PrivatePostgres, ServiceProcess};
use crate::support::service::Setup;

/// Of the deployment: replicas seal with the same one.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const REPLICAS: usize = 3;
/// Conversations of an account.
const THREADS: usize = 3;
/// X's table has 100 posts of an account in 15 minutes.
const COMMANDS_OF_ACCOUNT: u64 = 60;

/// All of it. The order of the fields is that of their ends.
pub(super) struct Scene {
    pub(super) replicas: Vec<ServiceProcess>,
    pub(super) balancer: Balancer,
    pub(super) simulator: Arc<Simulator>,
    pub(super) threads: Vec<Thread>,
    pub(super) database: FreshDatabase,
    pub(super) postgres: PrivatePostgres,
    pub(super) broker: TestBroker,
    pub(super) cluster: Arc<Cluster>,
    _files: TempDir,
}

impl Scene {
    /// Replicas are there, but do not run yet. There are accounts enough for so many commands.
    pub(super) async fn set(commands: u64, deliveries: usize) -> Self {
        let (cluster, postgres) = tokio::join!(Cluster::start(), PrivatePostgres::start());
        let database = FreshDatabase::on(postgres.url());
        let simulator = simulator(deliveries).await;
        let (url, management) = (cluster.url("node1"), cluster.management("node1"));
        let broker = TestBroker::vhost_on(&url, management).await;
        let files = tempfile::tempdir().unwrap();
        let accounts = accounts_for(commands);
        let hosts = ["node2", "node3"].map(|node| format!("{:?}", cluster.address(node)));
        let setup = town(accounts, "")
            .set("BROKER__HOSTS", &format!("[{}]", hosts.join(", ")))
            .set("STORE__URL", &database.url())
            .set("SECRETS__KEY", KEY)
            .set("ATTACHMENTS__FOLDER", &files.path().display().to_string())
            .set("X_API__BASE_URL", simulator.url());
        let replica = |_| ServiceProcess::stopped(&setup, &broker.url(), None);
        let replicas: Vec<_> = (0..REPLICAS).map(replica).collect();
        let balancer = Balancer::before(&replicas).await;
        setup.tell(&simulator, |app| balancer.webhook_of(app));
        let threads = threads(&simulator, accounts);
        Self {
            replicas,
            balancer,
            simulator: Arc::new(simulator),
            threads,
            database,
            postgres,
            broker,
            cluster: Arc::new(cluster),
            _files: files,
        }
    }

    /// Starts the replicas and waits until they take deliveries, one leads and the core hears of
    /// every conversation.
    pub(super) async fn open(&mut self) -> Desk {
        for replica in &mut self.replicas {
            replica.start_again().await;
        }
        self.leader().await;
        let urls = Cluster::NODES.map(|node| self.broker.url_through(&self.cluster.address(node)));
        let desk = Desk::at_any(urls.into());
        begin(&mut self.threads, &self.simulator, &desk).await;
        desk
    }

    /// Which replica leads; waits until exactly one does.
    pub(super) async fn leader(&self) -> usize {
        let http = client();
        let leads = async || {
            let mut leaders = Vec::new();
            for (number, replica) in self.replicas.iter().enumerate() {
                let asked = http.get(replica.private("/metrics")).send().await.ok();
                let page = asked?.text().await.ok()?;
                if page.lines().any(|line| line == "twitter_channel_leader 1") {
                    leaders.push(number);
                }
            }
            match leaders[..] {
                [leader] => Some(leader),
                _ => None,
            }
        };
        eventually("exactly one replica leads", leads).await
    }

    /// How often a replica began to lead.
    pub(super) fn terms(&self) -> usize {
        let said = self.replicas.iter().map(ServiceProcess::said);
        said.map(|log| log.matches("this replica leads").count())
            .sum()
    }

    /// Ends a replica as Kubernetes does: no more connections for it, then, some time later, SIGTERM.
    pub(super) async fn retire(&mut self, number: usize) {
        self.balancer.set_leaving(number, true);
        tokio::time::sleep(super::PRE_STOP).await;
        self.replicas[number].signal_end().await;
        let status = self.replicas[number].ended().await;
        assert!(status.success(), "{status}");
    }

    /// Starts it again.
    pub(super) async fn bring_back(&mut self, number: usize) {
        self.replicas[number].start_again().await;
        self.balancer.set_leaving(number, false);
    }
}

impl Drop for Scene {
    /// Leaves the replicas' logs to whoever looks for what went wrong.
    fn drop(&mut self) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".run/soak");
        let _there = fs::create_dir_all(&folder);
        for (number, replica) in self.replicas.iter().enumerate() {
            let log = folder.join(format!("replica{number}.log"));
            let _kept = fs::copy(replica.folder().join("log"), log);
        }
    }
}

/// Customers begin their conversations, and are heard.
pub(super) async fn begin(threads: &mut [Thread], simulator: &Simulator, desk: &Desk) {
    for thread in &mut *threads {
        let text = format!("@{} question {}", thread.username, thread.number);
        let mention = simulator.post(NewPost::by(thread.customer, &text));
        thread.mention = Some(mention.unwrap());
    }
    let heard = desk.sees(super::PATIENCE, |noted| {
        noted.of_type("message.received").count() >= threads.len()
    });
    assert!(heard.await, "the customers are not heard");
}

/// How many accounts it takes.
pub(super) fn accounts_for(commands: u64) -> u64 {
    commands.div_ceil(COMMANDS_OF_ACCOUNT).max(2)
}

pub(super) async fn simulator(deliveries: usize) -> Simulator {
    let settings = simulator::Settings {
        clock: Clock::Wall,
        // X delivers again after 0.3, 2.7 and 24 s.
        time_scale: 0.1,
        kept_deliveries: deliveries,
        // With a delay, however short, they do not wait for each other.
        disturbances: Disturbances {
            delay_ms: 1,
            ..Disturbances::default()
        },
        ..simulator::Settings::default()
    };
    let simulator = Simulator::start(settings).await.unwrap();
    for endpoint in Endpoint::ALL {
        simulator.limit(endpoint, Limits::of(Some(100_000), Some(100_000)));
    }
    simulator
}

fn account(place: u64) -> (UserId, String) {
    (UserId(7_000_000 + place), format!("brand{place}"))
}

/// Two accounts for each app, whose table has these keys.
pub(super) fn town(accounts: u64, keys: &str) -> Setup {
    let empty = Setup::unfiltered().app_keys(keys);
    (0..accounts).fold(empty, |setup, place| {
        let (app, (id, name)) = (format!("app{}", place / 2), account(place));
        let setup = match place % 2 {
            0 => setup.app(&app, keys),
            _ => setup,
        };
        let filter = format!("account = \"{name}\"\nmatch = \"mentions\"\ngroup = \"support\"");
        setup.account(&app, id, &name, "").filter(&filter)
    })
}

pub(super) fn threads(simulator: &Simulator, accounts: u64) -> Vec<Thread> {
    let person = |number| simulator.add_user(NewUser::named(&format!("customer{number}")));
    let people: Vec<_> = (0..THREADS).map(|number| person(number).unwrap()).collect();
    let thread = |place, number: usize| {
        let (account, username) = account(place);
        Thread {
            account,
            username,
            customer: people[number],
            number,
            mention: None,
        }
    };
    let all = (0..THREADS).flat_map(|number| (0..accounts).map(move |place| thread(place, number)));
    all.collect()
}
