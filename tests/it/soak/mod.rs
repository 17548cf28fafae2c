//! Production for some minutes: three replicas, PostgreSQL and a cluster of three brokers under load,
//! while one part after the other fails. Nothing is lost, nothing happens twice at X, and X hears
//! nothing but 200 and, while the database is away, 503.

mod faults;
mod findings;
mod restore;
mod scene;
mod traffic;
mod upgrade;

use std::time::Duration;

use findings::{Findings, examine};
use scene::Scene;
use simulator::Simulator;
use traffic::{Ledger, Rates, Traffic};

/// Beyond the last fault: an uncertain post is decided within two minutes.
const PATIENCE: Duration = Duration::from_secs(180);
/// As the chart's `preStop`, which waits longer as Kubernetes' own news travel more slowly.
const PRE_STOP: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: `make soak`"]
async fn nothing_is_lost_or_done_twice_whatever_fails() {
    let seconds = number("SOAK_SECONDS", 300);
    let seed = number("SOAK_SEED", u64::from(rand::random::<u32>()));
    let rates = Rates {
        deliveries: number("SOAK_DELIVERIES", 100).try_into().unwrap(),
        commands: number("SOAK_COMMANDS", 5).try_into().unwrap(),
    };
    println!("SOAK_SEED={seed} SOAK_SECONDS={seconds} {rates:?}");
    let mut scene = Scene::set(rates.commands_in(seconds), rates.all_in(seconds)).await;
    let desk = scene.open().await;
    let simulator = scene.simulator.clone();
    let traffic = Traffic::start(simulator, desk, &scene.threads, rates);
    let time = Duration::from_secs(seconds);
    let incidents = faults::strike(&mut scene, seed, time).await;
    let ledger = traffic.end().await;
    settle(&scene.simulator, scene.threads.len(), &ledger).await;
    let mut findings = examine(&scene.simulator, &ledger, &incidents);
    findings.terms = scene.terms();
    report(&findings);
}

/// Waits until all has come to its end, beside what began so many conversations; what has not is
/// among the findings.
async fn settle(simulator: &Simulator, threads: usize, ledger: &Ledger) {
    simulator.calls_idle().await;
    simulator.settled().await;
    let (written, sent) = (ledger.written.len(), ledger.sent.len());
    let ended = ledger.desk.sees(PATIENCE, |noted| {
        let received = noted.of_type("message.received").count();
        let echoes = noted.of_type("message.sent").count();
        received >= written + threads && noted.outcomes.len() >= sent && echoes >= sent
    });
    let _all = ended.await;
    simulator.settled().await;
}

fn report(findings: &Findings) {
    println!("{findings}");
    let wrong: Vec<_> = findings.wrong.iter().take(20).collect();
    assert!(
        wrong.is_empty(),
        "{} faults: {wrong:#?}",
        findings.wrong.len()
    );
}

#[expect(
    clippy::disallowed_methods,
    reason = "how much of it there is, no setting"
)]
fn number(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(value) => value.parse().unwrap(),
        Err(_) => otherwise,
    }
}
