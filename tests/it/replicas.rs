//! Several replicas on one database: each takes deliveries, one leads, and whoever leads next goes on
//! where the last one stopped.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use reqwest::{Method, redirect};
use serde_json::{Value, json};
use simulator::{
    ApiCall, Clock, Decision, Echo, Endpoint, Fault, FaultKind, NewUser, Simulator, UserId,
};
use tempfile::TempDir;

use crate::support::broker::{TestBroker, client, eventually};
use crate::support::core::Core;
use crate::support::desk::Desk;
use crate::support::fresh::FreshDatabase;
use crate::support::load::Load;
use crate::support::process::ServiceProcess;
use crate::support::service::{ACME, APP, INBOX, Setup};

/// Of the deployment: replicas seal with the same one.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const TOKEN: &str = "for-the-api-of-replicas";
/// How browsers reach whichever replica is in turn.
const PUBLIC: &str = "https://channel.example";
const BRAND: UserId = UserId(77);
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
async fn an_account_is_linked_at_replicas_that_do_not_lead_and_the_leader_sends_for_it() {
    let settings = simulator::Settings {
        clock: Clock::Wall,
        ..simulator::Settings::default()
    };
    let simulator = Simulator::start(settings).await.unwrap();
    let oauth2 = format!("client_id = \"{APP}-client\"\nclient_secret = \"{APP}-client-secret\"");
    let setup = quick()
        .app_keys(&oauth2)
        .callback(&format!("{PUBLIC}/oauth/twitter/callback"))
        .set("PUBLIC__URL", PUBLIC)
        .set("X_API__BASE_URL", simulator.url());
    setup.tell(&simulator, |_app| "http://127.0.0.1:9/".to_owned());
    simulator
        .add_user(NewUser::named("brand").with_id(BRAND.0))
        .unwrap();
    let fleet = Fleet::start(setup).await;
    let leader = fleet.leader().await;
    let [begins, ends] = [1, 2].map(|next| &fleet.replicas[(leader + next) % 3]);

    let said = begins
        .run(&["account", "link", "--app", APP, "--oauth2"])
        .await;
    let page = browse(Method::POST, begins, said.lines().next().unwrap(), "").await;
    assert_eq!(page.status(), 303);
    let header = |name: &str| page.headers()[name].to_str().unwrap().to_owned();
    let (cookie, at_x) = (header("set-cookie"), header("location"));
    let back = simulator.consent(&at_x, BRAND, Decision::Allow).unwrap();
    let (cookie, _) = cookie.split_once(';').unwrap();
    let page = browse(Method::GET, ends, &back, cookie).await;
    assert_eq!(page.status(), 200);
    let page = page.text().await.unwrap();
    assert!(page.contains("@brand is linked"), "{page}");
    ends.run(&["account", "confirm", &BRAND.to_string()]).await;

    // The leader asks for the plan of an account that is new to it.
    let known = async || {
        let calls = simulator.calls();
        let is_own = |it: &&ApiCall| it.endpoint == Endpoint::Me && it.account == Some(BRAND);
        (calls.iter().filter(is_own).count() > 1).then_some(())
    };
    eventually("the leader knows the account", known).await;
    let mut desk = Desk::at(&fleet.broker.url());
    let mut command = post("c1", "Hello from here");
    command["account_id"] = json!(BRAND.to_string());
    desk.send(&command).await;
    let outcome = desk.outcome("c1", GOES_ON).await;
    assert_eq!(outcome["event"]["type"], "command.succeeded", "{outcome:#}");
    assert_eq!(simulator.count_posts(BRAND, "Hello from here"), 1);
}

/// What a browser gets of the public listener of a replica.
async fn browse(
    method: Method,
    replica: &ServiceProcess,
    url: &str,
    cookie: &str,
) -> reqwest::Response {
    let builder = reqwest::Client::builder().redirect(redirect::Policy::none());
    let url = url.replace(PUBLIC, &replica.public(""));
    let request = builder.build().unwrap().request(method, url);
    request.header("cookie", cookie).send().await.unwrap()
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
