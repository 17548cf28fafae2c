//! From an earlier version to this one, replica by replica, on one database under load: nothing is
//! lost and X hears nothing but 200.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::faults::{Fault, Incident};
use super::findings::examine;
use super::scene::Scene;
use super::traffic::{Rates, Traffic};
use super::{report, settle};
use crate::support::broker::eventually;
use crate::support::fresh::FreshDatabase;

const RATES: Rates = Rates {
    deliveries: 50,
    commands: 4,
};
/// At most.
const SECONDS: u64 = 120;
/// What a version to come would do: only add.
const EXPAND: &str = "ALTER TABLE journal ADD COLUMN of_a_version_to_come BIGINT";

/// The newest step that the database has gone.
fn schema(database: &FreshDatabase) -> i64 {
    database.number("SELECT max(version) FROM schema_version")
}

/// Makes the database what the next version leaves: without a new step there is nothing to show.
fn expand(database: &FreshDatabase) {
    database.execute(EXPAND).unwrap();
    let noted = "INSERT INTO schema_version (version, oldest_reader)
        SELECT max(version) + 1, max(oldest_reader) FROM schema_version";
    assert_eq!(database.execute(noted), Ok(1));
}

/// Waits until the core got more.
async fn flows(traffic: &Traffic) {
    let wanted = traffic.events() + 100;
    let more = async || (traffic.events() >= wanted).then_some(());
    eventually("events go on", more).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a binary of an earlier version: `make upgrade`"]
async fn an_earlier_version_is_replaced_under_load_and_can_come_back() {
    let mut scene = Scene::set(RATES.commands_in(SECONDS), RATES.all_in(SECONDS)).await;
    for replica in &mut scene.replicas {
        replica.run_by(&previous());
    }
    let desk = scene.open().await;
    let before = schema(&scene.database);
    let traffic = Traffic::start(scene.simulator.clone(), desk, &scene.threads, RATES);
    flows(&traffic).await;
    let (began, at) = (Instant::now(), Timestamp::now());
    let this = PathBuf::from(env!("CARGO_BIN_EXE_twitter-channel"));
    for number in 0..scene.replicas.len() {
        replace(&mut scene, number, this.clone()).await;
        if number == 0 {
            let found = schema(&scene.database);
            println!("schema {before} before, {found} with the first replica of this version");
            if found == before {
                expand(&scene.database);
                println!("expanded by hand to {}", schema(&scene.database));
            }
        }
        flows(&traffic).await;
    }
    // As when the new version disappoints.
    replace(&mut scene, 0, previous()).await;
    flows(&traffic).await;
    let upgrade = Incident::ended(Fault::RollingRestart, began, at);
    let ledger = traffic.end().await;
    settle(&scene.simulator, scene.threads.len(), &ledger).await;
    let mut findings = examine(&scene.simulator, &ledger, &[upgrade]);
    findings.terms = scene.terms();
    report(&findings);
    assert!(ledger.took < Duration::from_secs(SECONDS));
}

async fn replace(scene: &mut Scene, number: usize, program: PathBuf) {
    scene.retire(number).await;
    scene.replicas[number].run_by(&program);
    scene.bring_back(number).await;
}

fn previous() -> PathBuf {
    let variable = std::env::var_os("PREVIOUS_BINARY");
    variable
        .expect("PREVIOUS_BINARY: run `make upgrade`")
        .into()
}
