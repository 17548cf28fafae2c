//! Several replicas on one database: each takes deliveries, one leads, and whoever leads next goes on
//! where the last one stopped.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use simulator::{Clock, Echo, Endpoint, Fault, FaultKind, Simulator};
use tempfile::TempDir;

use crate::support::broker::{TestBroker, client, eventually};
use crate::support::core::Core;
use crate::support::desk::Desk;
use crate::support::fresh::FreshDatabase;
use crate::support::load::Load;
use crate::support::process::ServiceProcess;
use crate::support::service::{ACME, INBOX, Setup};

/// Of the deployment: replicas seal with the same one.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const TOKEN: &str = "for-the-api-of-replicas";
/// Short enough for a test.
const LEASE: &str = "3s";
/// The promises are for a lease of 15 s and calls of 20 s; here both are shorter.
const GOES_ON: Duration = Duration::from_secs(30);
const DECIDED: Duration = Duration::from_secs(120);

/// Replicas beside each other.
struct Fleet {
    replicas: Vec<ServiceProcess>,
    broker: TestBroker,
    database: FreshDatabase,
    _files: TempDir,
}

impl Fleet {
    async fn start(setup: Setup) -> Self {
        let (database, files) = (FreshDatabase::new(), tempfile::tempdir().unwrap());
        let setup = setup
            .set("STORE__URL", &database.url())
            .set("SECRETS__KEY", KEY)
            .set("ATTACHMENTS__FOLDER", &files.path().display().to_string())
            .set("PRIVATE__TOKEN", TOKEN);
        let broker = TestBroker::vhost().await;
        let mut replicas = Vec::new();
        for _ in 0..3 {
            replicas.push(ServiceProcess::start(&setup, &broker.url()).await);
        }
        Self {
            replicas,
            broker,
            database,
            _files: files,
        }
    }

    /// Which one leads; waits until exactly one does.
    async fn leader(&self) -> usize {
        let leads = async || {
            let mut leaders = Vec::new();
            for (place, replica) in self.replicas.iter().enumerate() {
                if replica.metric("twitter_channel_leader").await == 1.0 {
                    leaders.push(place);
                }
            }
            match leaders[..] {
                [leader] => Some(leader),
                _ => None,
            }
        };
        eventually("exactly one replica leads", leads).await
    }

    /// Another replica than that.
    fn follower(&self, leader: usize) -> &ServiceProcess {
        &self.replicas[(leader + 1) % self.replicas.len()]
    }

    /// What so many deliveries to each replica tell; ids go on after `sent`.
    async fn deliver(&self, sent: u64, to_each: u64) -> HashSet<String> {
        let mut told = HashSet::new();
        for (replica, first) in self.replicas.iter().zip((sent..).step_by(to_each as usize)) {
            let mut load = Load::start_after(first, replica.webhook(), to_each);
            told.extend(load.all_told().await);
            assert_eq!(load.refusals(), 0);
        }
        told
    }
}

fn quick() -> Setup {
    Setup::new().set("REPLICAS__LEASE", LEASE)
}

async fn ask(replica: &ServiceProcess, path: &str) -> reqwest::Response {
    let asked = client().get(replica.private(path)).bearer_auth(TOKEN);
    asked.send().await.unwrap()
}

fn post(id: &str, text: &str) -> Value {
    let account = ACME.0.to_string();
    json!({"command_id": id, "account_id": account, "send_post": {"text": text}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_replica_takes_deliveries_and_one_publishes_each_of_them_once() {
    let fleet = Fleet::start(quick()).await;
    let leader = fleet.leader().await;
    for replica in &fleet.replicas {
        replica.answers_challenges().await;
    }
    let told = fleet.deliver(0, 100).await;
    assert_eq!(told.len(), 300);
    let mut core = Core::default();
    core.gets(&fleet.broker, INBOX, &told).await;
    let replica = fleet.follower(leader);
    replica.wait_for_part("journal: 0 unpublished").await;
    core.read(&fleet.broker, INBOX).await;
    assert_eq!(core.repeats(), 0);
    assert!(!replica.has_gap("downtime").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_passes_on_what_only_the_leader_answers() {
    let mut fleet = Fleet::start(quick()).await;
    let leader = fleet.leader().await;
    let address = fleet.replicas[leader].private("");
    let follower = fleet.follower(leader);
    let follows = format!("replica: follows {address}");
    follower.wait_for_part(&follows).await;

    assert_eq!(ask(follower, "/api/v1/health").await.status(), 200);
    let nobody = client().get(follower.private("/api/v1/health")).send();
    assert_eq!(nobody.await.unwrap().status(), 401);
    let marked = client().get(follower.private("/api/v1/health"));
    let marked = marked.header("x-twitter-channel-forwarded", "1");
    let refused = marked.send().await.unwrap();
    assert_eq!(refused.status(), 503);

    fleet.replicas.remove(leader).kill().await;
    let survivor = &fleet.replicas[0];
    let gone = async || {
        let answer = ask(survivor, "/api/v1/health").await;
        (answer.status() == 503).then_some(answer)
    };
    // Only as long as the lease of the dead one runs: if the next one was faster, that is right too.
    let answer = tokio::time::timeout(Duration::from_secs(2), eventually("503", gone)).await;
    if let Ok(answer) = answer {
        assert!(answer.headers().contains_key("retry-after"));
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["status"], 503);
    }
    fleet.leader().await;
    for replica in &fleet.replicas {
        let answers = async || {
            let answer = ask(replica, "/api/v1/health").await;
            (answer.status() == 200).then_some(())
        };
        eventually("the next leader answers", answers).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_leader_was_sending_is_looked_up_and_all_else_goes_on() {
    let settings = simulator::Settings {
        clock: Clock::Wall,
        ..simulator::Settings::default()
    };
    let simulator = Simulator::start(settings).await.unwrap();
    let setup = quick()
        .set("X_API__BASE_URL", simulator.url())
        .set("X_API__CALL_TIMEOUT", "6s")
        .set("RECONCILE__FIRST_READ", "500ms")
        .set("RECONCILE__SECOND_READ", "1s");
    setup.tell(&simulator, |_app| "http://127.0.0.1:9/".to_owned());
    let mut fleet = Fleet::start(setup).await;
    let leader = fleet.leader().await;
    let mut desk = Desk::at(&fleet.broker.url());

    let hangs = Fault::new(FaultKind::AnswerLost)
        .on(Endpoint::CreatePost)
        .slow(0, 60_000)
        .with_echo(Echo::NEVER);
    simulator.order(hangs);
    desk.send(&post("c1", "On its way")).await;
    let sent = async || (simulator.posts_by(ACME).len() == 1).then_some(());
    eventually("X has the post", sent).await;
    fleet.replicas.remove(leader).kill().await;
    let killed = Instant::now();
    desk.send(&post("c2", "Waits")).await;

    let outcome = desk.outcome("c2", GOES_ON).await;
    assert_eq!(outcome["event"]["type"], "command.succeeded", "{outcome:#}");
    let went_on = killed.elapsed();
    let outcome = desk.outcome("c1", DECIDED).await;
    assert_eq!(outcome["event"]["type"], "command.succeeded", "{outcome:#}");
    println!(
        "went on after {went_on:?}, decided after {:?}",
        killed.elapsed()
    );
    let posts = simulator.posts_by(ACME);
    let mut texts: Vec<_> = posts.iter().map(|post| post.text.as_str()).collect();
    texts.sort_unstable();
    assert_eq!(texts, ["On its way", "Waits"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_slept_past_its_lease_ends_its_term_and_writes_nothing() {
    let mut fleet = Fleet::start(quick()).await;
    let leader = fleet.leader().await;
    let sleeper = fleet.replicas.remove(leader);
    sleeper.signal("STOP").await;
    fleet.leader().await;
    let told = fleet.deliver(0, 50).await;
    let mut core = Core::default();
    core.gets(&fleet.broker, INBOX, &told).await;
    fleet.replicas[0]
        .wait_for_part("journal: 0 unpublished")
        .await;

    sleeper.signal("CONT").await;
    let deposed = async || {
        let leads = sleeper.metric("twitter_channel_leader").await == 1.0;
        (!leads).then_some(())
    };
    eventually("the sleeper does not lead", deposed).await;
    fleet.replicas.push(sleeper);
    fleet.leader().await;
    let more = fleet.deliver(1000, 50).await;
    let all = told.union(&more).cloned().collect();
    core.gets(&fleet.broker, INBOX, &all).await;
    fleet.replicas[0]
        .wait_for_part("journal: 0 unpublished")
        .await;
    core.read(&fleet.broker, INBOX).await;
    assert_eq!(core.repeats(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_stops_in_order_hands_over_at_once() {
    // Were it not, the others would wait for the end of the lease.
    let mut fleet = Fleet::start(Setup::new().set("REPLICAS__LEASE", "10m")).await;
    let leader = fleet.leader().await;
    let status = fleet.replicas.remove(leader).terminate().await;
    assert!(status.success(), "{status}");
    fleet.leader().await;
    let told = fleet.deliver(0, 20).await;
    Core::default().gets(&fleet.broker, INBOX, &told).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leads_leads_on_when_connections_to_the_database_are_lost() {
    let fleet = Fleet::start(quick()).await;
    fleet.leader().await;
    let told = fleet.deliver(0, 20).await;
    fleet.database.cut();
    fleet.leader().await;
    // Refused ones are delivered again, as X does.
    let mut load = Load::start_after(500, fleet.replicas[0].webhook(), 20);
    let more = load.all_told().await;
    let all = told.union(&more).cloned().collect();
    Core::default().gets(&fleet.broker, INBOX, &all).await;
}
