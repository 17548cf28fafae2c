//! What goes wrong meanwhile, one after the other, in an order that the seed has.

use std::fmt;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use tokio::time::sleep;

use super::scene::Scene;
use crate::support::process::Cluster;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Follower,
    Leader,
    BrokerNode,
    Database,
    RollingRestart,
}

impl Fault {
    pub(super) const ALL: [Self; 5] = [
        Self::Follower,
        Self::Leader,
        Self::BrokerNode,
        Self::Database,
        Self::RollingRestart,
    ];

    /// X's connections to it end.
    pub(super) fn ends_replicas(self) -> bool {
        matches!(self, Self::Follower | Self::Leader)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Follower => "replica killed",
            Self::Leader => "leader killed",
            Self::BrokerNode => "broker node killed",
            Self::Database => "database restarted",
            Self::RollingRestart => "rolling restart",
        })
    }
}

/// A fault that was, until all was whole again.
pub(super) struct Incident {
    pub(super) fault: Fault,
    pub(super) began: Instant,
    pub(super) at: Timestamp,
    pub(super) until: Timestamp,
    took: Duration,
}

impl Incident {
    /// One that ends now.
    pub(super) fn ended(fault: Fault, began: Instant, at: Timestamp) -> Self {
        Self {
            fault,
            began,
            at,
            until: Timestamp::now(),
            took: began.elapsed(),
        }
    }

    /// Whether this is between its beginning and its end.
    pub(super) fn spans(&self, at: Instant) -> bool {
        at >= self.began && at <= self.began + self.took
    }
}

/// Does it until the time is over: each kind once, then each again in another order.
pub(super) async fn strike(scene: &mut Scene, seed: u64, time: Duration) -> Vec<Incident> {
    let (mut dice, began) = (StdRng::seed_from_u64(seed), Instant::now());
    let (mut incidents, mut next) = (Vec::new(), Vec::new());
    while began.elapsed() < time {
        if next.is_empty() {
            next.extend(Fault::ALL);
            next.shuffle(&mut dice);
        }
        sleep(Duration::from_millis(dice.random_range(1500..4000))).await;
        let fault = next.pop().unwrap();
        println!("{:5.1} s: {fault}", began.elapsed().as_secs_f64());
        let incident = Box::pin(one(scene, fault, &mut dice)).await;
        println!("         whole again after {:.1?}", incident.took);
        incidents.push(incident);
    }
    incidents
}

async fn one(scene: &mut Scene, fault: Fault, dice: &mut StdRng) -> Incident {
    let leader = scene.leader().await;
    let down = Duration::from_millis(dice.random_range(200..3000));
    let (began, at) = (Instant::now(), Timestamp::now());
    match fault {
        Fault::Leader => crash(scene, leader, down).await,
        Fault::Follower => {
            let other = dice.random_range(1..scene.replicas.len());
            crash(scene, (leader + other) % scene.replicas.len(), down).await;
        }
        Fault::BrokerNode => {
            let node = Cluster::NODES[dice.random_range(0..Cluster::NODES.len())];
            scene.cluster.kill(node).await;
            sleep(down).await;
            scene.cluster.start_again(node).await;
        }
        Fault::Database => {
            scene.postgres.stop().await;
            sleep(down).await;
            scene.postgres.start_again().await;
        }
        Fault::RollingRestart => {
            for number in 0..scene.replicas.len() {
                scene.retire(number).await;
                scene.bring_back(number).await;
            }
        }
    }
    scene.leader().await;
    Incident::ended(fault, began, at)
}

async fn crash(scene: &mut Scene, number: usize, down: Duration) {
    scene.replicas[number].kill().await;
    sleep(down).await;
    scene.replicas[number].start_again().await;
}
