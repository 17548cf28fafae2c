//! A backup made at load, minutes more of it, and the start on that backup, at load too: nothing
//! comes twice to X, and all that is in the queue keeps its id.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use simulator::Simulator;
use tokio::time::sleep;

use super::faults::{Fault, Incident};
use super::findings::examine;
use super::scene::{accounts_for, begin, simulator, threads, town};
use super::traffic::{Rates, Sent, Thread, Traffic};
use super::{number, report, settle};
use crate::support::broker::{TestBroker, within};
use crate::support::desk::{Desk, Noted};
use crate::support::fresh::FreshDatabase;
use crate::support::process::ServiceProcess;

const RATES: Rates = Rates {
    deliveries: 50,
    commands: 4,
};
/// X replays no sooner than after half an hour: what is missing is read from its lists.
const WITHOUT_REPLAY: &str = "delivery = \"account_activity_v1\"\nenvironment = \"prod\"";
/// Before the backup, and again once sending goes on.
const A_WHILE: Duration = Duration::from_secs(20);
/// X is asked a minute after the start, and gaps take their time.
const PATIENCE: Duration = Duration::from_secs(240);
/// What the contract lets differ between what came before a restore and what comes again.
const MAY_DIFFER: &[(&str, &str)] = &[
    ("", "/event/sequence"),
    ("", "/conversation/related"),
    ("message.", "/event/backfilled"),
    ("message.", "/delivery"),
    ("message.", "/message/source_app"),
    ("message.sent", "/command_id"),
    ("command.", "/event/time"),
    ("command.", "/messages/0/created_at"),
    ("command.", "/cost_usd"),
];

/// One replica, X and a broker. The order of the fields is that of their ends.
struct Scene {
    service: ServiceProcess,
    simulator: Arc<Simulator>,
    threads: Vec<Thread>,
    accounts: usize,
    broker: TestBroker,
    on_server: bool,
    copy: Option<FreshDatabase>,
}

impl Scene {
    /// Runs, and the core hears of every conversation.
    async fn start(seconds: u64, on_server: bool) -> (Self, Desk) {
        let accounts = accounts_for(RATES.commands_in(seconds));
        // What X delivers again is on its record as well.
        let (x, broker) = tokio::join!(simulator(3 * RATES.all_in(seconds)), TestBroker::vhost());
        let setup = town(accounts, WITHOUT_REPLAY).set("X_API__BASE_URL", x.url());
        let setup = match on_server {
            true => setup.on_server(),
            false => setup,
        };
        let service = ServiceProcess::stopped(&setup, &broker.url(), None);
        setup.tell(&x, |app| service.webhook_of(app));
        let mut scene = Self {
            service,
            threads: threads(&x, accounts),
            simulator: Arc::new(x),
            accounts: usize::try_from(accounts).unwrap(),
            broker,
            on_server,
            copy: None,
        };
        scene.service.start_again().await;
        let desk = Desk::at(&scene.broker.url());
        begin(&mut scene.threads, &scene.simulator, &desk).await;
        (scene, desk)
    }

    /// As the documents tell people to, while it runs.
    async fn back_up(&self) -> PathBuf {
        let file = self.service.folder().join("backup");
        let began = Instant::now();
        let told = match self.on_server {
            true => {
                self.service.server().dump(&file).await;
                "pg_dump".to_owned()
            }
            false => {
                let name = file.to_str().unwrap();
                self.service.run(&["store", "backup", name]).await
            }
        };
        let (took, size) = (began.elapsed(), fs::metadata(&file).unwrap().len());
        println!("backup: {took:.2?}, {size} bytes: {}", told.trim());
        file
    }

    /// Puts the backup in the place of the store, and starts on it.
    async fn restore(&mut self, backup: &PathBuf) {
        if self.on_server {
            let copy = FreshDatabase::of_dump(backup).await;
            self.service.set("STORE__URL", &copy.url());
            self.copy = Some(copy);
        } else {
            let database = self.service.database();
            for suffix in ["-wal", "-shm"] {
                let _absent = fs::remove_file(format!("{}{suffix}", database.display()));
            }
            fs::copy(backup, database).unwrap();
        }
        self.service.start_with(&["--restored"]).await;
    }

    /// A core that does not know whether it has sent them sends them again.
    async fn repeat(&self, commands: std::ops::Range<usize>) {
        for number in commands {
            let thread = &self.threads[number % self.threads.len()];
            let body = Sent::of(number, thread).body().to_string();
            let queue = "twitter.commands";
            self.broker.publish(queue, queue, body.as_bytes()).await;
        }
    }

    /// For how many accounts X was asked what it has.
    fn looked_up(&self) -> usize {
        let said = self.service.said();
        said.matches("is looked up: sending goes on").count()
    }

    async fn whole(&self) {
        let whole = async || {
            let parts = self.service.parts().await;
            let unpublished = "twitter_channel_journal_unpublished_events";
            let calm = !parts.contains("gap:") && parts.contains("ledger: 0 open");
            (calm && self.service.metric(unpublished).await == 0.0).then_some(())
        };
        within(PATIENCE, "no gap, no open command, all published", whole).await;
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".run/restore");
        let _there = fs::create_dir_all(&folder);
        let store = if self.on_server { "server" } else { "file" };
        let log = folder.join(format!("{store}.log"));
        let _kept = fs::copy(self.service.folder().join("log"), log);
    }
}

fn again(noted: &Noted, event_type: &str) -> usize {
    let ids = noted.repeats.keys();
    let events = ids.filter_map(|id| noted.events.get(id));
    let of_type = events.filter(|event| event["event"]["type"] == event_type);
    of_type.count()
}

async fn is_restored(on_server: bool) {
    let seconds = number("RESTORE_SECONDS", 120);
    let all = seconds + PATIENCE.as_secs();
    let (mut scene, desk) = Scene::start(all, on_server).await;
    println!(
        "RESTORE_SECONDS={seconds} {RATES:?} {} accounts",
        scene.accounts
    );
    let traffic = Traffic::start(scene.simulator.clone(), desk, &scene.threads, RATES);
    sleep(A_WHILE).await;
    let known = (traffic.events(), traffic.outcomes());
    let backup = scene.back_up().await;
    sleep(Duration::from_secs(seconds)).await;
    let (began, at) = (Instant::now(), Timestamp::now());
    scene.service.kill().await;
    let last = (traffic.events(), traffic.outcomes());
    // Those without an outcome, too: what was taken from the queue is lost with the store.
    let lost = known.1..traffic.sent();
    println!(
        "before the backup {known:?} events and outcomes, at the end {last:?}; the core repeats {}",
        lost.len()
    );
    traffic.noted().may_differ = MAY_DIFFER;
    scene.restore(&backup).await;
    let restored = Incident::ended(Fault::Leader, began, at);
    println!("{:.1?} from the kill to ready", began.elapsed());
    scene.repeat(lost).await;
    for wanted in [1, scene.accounts] {
        let looked_up = async || (scene.looked_up() >= wanted).then_some(());
        within(PATIENCE, "X is asked what it has", looked_up).await;
        let took = began.elapsed();
        println!("{took:.1?} from the kill until sending goes on for {wanted} accounts");
    }
    sleep(A_WHILE).await;
    let ledger = traffic.end().await;
    settle(&scene.simulator, scene.threads.len(), &ledger).await;
    scene.whole().await;
    println!("{:.1?} from the kill until all is whole", began.elapsed());
    scene.simulator.settled().await;
    let findings = examine(&scene.simulator, &ledger, &[restored]);
    {
        let noted = ledger.desk.noted();
        println!(
            "came again under their old id: {} events: {} received, {} sent, {} outcomes",
            noted.repeats.len(),
            again(&noted, "message.received"),
            again(&noted, "message.sent"),
            again(&noted, "command.succeeded"),
        );
        assert!(again(&noted, "message.received") > 0, "nothing came again");
    }
    report(&findings);
    let said = scene.service.said();
    assert_eq!(said.matches("the store was restored:").count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: `make restore`"]
async fn a_backup_of_a_file_is_gone_on_with_minutes_later() {
    is_restored(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: `make restore`"]
async fn a_backup_of_a_server_is_gone_on_with_minutes_later() {
    is_restored(true).await;
}
