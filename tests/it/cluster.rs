//! A cluster of three brokers that loses one of them, under load: nothing is lost, nothing happens
//! twice at X, and the pause is that of an election.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use simulator::Endpoint;
use tokio::time::{Instant, sleep};

use crate::support::broker::{TestBroker, eventually};
use crate::support::desk::Desk;
use crate::support::load::Load;
use crate::support::process::Cluster;
use crate::support::service::{ACME, Setup};
use crate::support::stage::{Stage, Times, send_post};

const TIMES: Times = Times {
    call: Duration::from_secs(5),
    first_read: Duration::from_secs(2),
    second_read: Duration::from_secs(2),
};
/// Deliveries of one step of the load; then a command.
const STEP: u64 = 8;
/// So long the load goes on after a node was killed, before the node is started again.
const DOWN: Duration = Duration::from_secs(5);
/// Quorum queues elect a leader within a second or two; the machine of the tests may be busy.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(60);

/// The service beside a cluster, and what was asked of both so far.
struct Play {
    stage: Stage,
    told: BTreeSet<String>,
    commands: Vec<String>,
    /// Cores beside the stage's: they share what comes.
    desks: Vec<Desk>,
    /// Last: the stage's virtual host is deleted on it.
    cluster: Arc<Cluster>,
}

impl Play {
    async fn begin() -> Self {
        let cluster = Arc::new(Cluster::start().await);
        let (url, management) = (cluster.url("node1"), cluster.management("node1"));
        let broker = TestBroker::vhost_on(&url, management).await;
        let hosts = ["node2", "node3"].map(|node| format!("{:?}", cluster.address(node)));
        let setup = Setup::new().set("BROKER__HOSTS", &format!("[{}]", hosts.join(", ")));
        let through = async |url: &str| url.to_owned();
        let x = simulator::Settings::default();
        let stage = Stage::start(setup, TIMES, x, broker, through).await;
        Self {
            stage,
            told: BTreeSet::new(),
            commands: Vec::new(),
            desks: Vec::new(),
            cluster,
        }
    }

    /// A core at this node.
    fn desk_at(&self, node: &str) -> Desk {
        let url = self.stage.broker.url_through(&self.cluster.address(node));
        Desk::at(&url)
    }

    /// The node where a queue's leader is, once all three nodes have a copy of the queue.
    async fn leader(&self, queue: &str) -> &'static str {
        let found = async || {
            let queues = self.stage.broker.told("queues/{}").await;
            let mut queues = queues.as_array()?.iter();
            let queue = queues.find(|it| it["name"] == queue)?.clone();
            let members = queue["members"].as_array()?.len();
            assert_eq!(queue["type"], "quorum");
            (members == 3).then(|| queue["leader"].as_str().map(str::to_owned))?
        };
        let name = eventually("a leader and three members", found).await;
        self.cluster.node_of(&name)
    }

    /// The node that the service takes commands from.
    async fn consumed_from(&self) -> &'static str {
        let found = async || {
            let connections = self.stage.broker.told("vhosts/{}/connections").await;
            let mut connections = connections.as_array()?.iter();
            let ours = |it: &&Value| it["user_provided_name"] == "twitter-channel consumer";
            let connection = connections.find(ours)?;
            connection["node"].as_str().map(str::to_owned)
        };
        let name = eventually("the consumer's connection", found).await;
        self.cluster.node_of(&name)
    }

    /// Kills a node under load, and starts it again; the longest pause at the core meanwhile.
    async fn lose(&mut self, node: &'static str) -> Duration {
        let elsewhere = Cluster::NODES.into_iter().find(|it| *it != node);
        let mut desk = self.desk_at(elsewhere.unwrap());
        self.load(&mut desk, sleep(Duration::from_secs(1))).await;
        let cluster = Arc::clone(&self.cluster);
        let losing = async move {
            cluster.kill(node).await;
            sleep(DOWN).await;
        };
        self.load(&mut desk, losing).await;
        let pause = desk.noted().longest_pause();
        self.cluster.start_again(node).await;
        self.load(&mut desk, sleep(Duration::from_secs(1))).await;
        self.desks.push(desk);
        pause
    }

    /// Deliveries and commands until this is done.
    async fn load(&mut self, desk: &mut Desk, until: impl Future<Output = ()>) {
        let mut until = pin!(until);
        let mut ended = false;
        while !ended {
            let sent = self.told.len() as u64;
            let webhook = self.stage.service.webhook();
            let mut step = Load::start_after(sent, webhook, STEP);
            let id = format!("c{}", self.commands.len());
            let command = send_post(&id, ACME.0, &format!("Answer {id}."), "");
            self.commands.push(id);
            let send = async {
                self.told.extend(step.all_told().await);
                desk.send(&command).await;
                sleep(Duration::from_millis(20)).await;
            };
            let mut send = pin!(send);
            tokio::select! {
                () = &mut send => {}
                () = &mut until, if !ended => {
                    ended = true;
                    send.await;
                }
            }
        }
    }

    /// What came to any desk: ids of messages with those of their events, and outcomes.
    async fn ended(&self) -> (Vec<String>, Vec<String>) {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let (received, outcomes) = self.came();
            if received.len() >= self.told.len() && outcomes.len() >= self.commands.len() {
                return (received, outcomes);
            }
            sleep(Duration::from_millis(100)).await;
        }
        let (received, outcomes) = self.came();
        let (told, sent) = (self.told.len(), self.commands.len());
        panic!(
            "{} of {told} messages came, {} of {sent} outcomes",
            received.len(),
            outcomes.len()
        );
    }

    /// Message ids, one for each event; command ids, one for each event that succeeded.
    fn came(&self) -> (Vec<String>, Vec<String>) {
        let events = self.events();
        let of = |event_type: &str, id: &str| -> Vec<String> {
            let all = events.values();
            let all = all.filter(|event| event["event"]["type"] == event_type);
            all.map(|event| event.pointer(id).unwrap().as_str().unwrap().to_owned())
                .collect()
        };
        (
            of("message.received", "/message/id"),
            of("command.succeeded", "/command_id"),
        )
    }

    /// What came to any desk, by the event's id.
    fn events(&self) -> BTreeMap<String, Value> {
        let mut events = BTreeMap::new();
        for desk in self.all_desks() {
            let noted = desk.noted();
            assert_eq!(noted.faults, Vec::<String>::new());
            for (id, event) in &noted.events {
                let known = events.insert(id.clone(), event.clone());
                assert!(known.is_none_or(|known| known == *event), "{id} differs");
            }
        }
        events
    }

    /// How often an event came beyond the first time, to whichever desk.
    fn repeats(&self) -> usize {
        let came = self.all_desks().map(|desk| desk.noted().came.len());
        came.sum::<usize>() - self.events().len()
    }

    fn all_desks(&self) -> impl Iterator<Item = &Desk> {
        self.desks.iter().chain([&self.stage.desk])
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute or more: `make chaos`"]
async fn nothing_is_lost_or_done_twice_when_a_node_of_three_is_killed() {
    let mut play = Play::begin().await;
    for queue in ["twitter.tickets", "twitter.dead", "twitter.tickets.dead"] {
        play.leader(queue).await;
    }
    let leader = play.leader("twitter.commands").await;
    let without_leader = play.lose(leader).await;
    let connected = play.consumed_from().await;
    let without_connection = play.lose(connected).await;

    let (received, outcomes) = play.ended().await;

    let (mut messages, mut commands) = (received.clone(), outcomes.clone());
    messages.sort();
    commands.sort();
    let told: Vec<_> = play.told.iter().cloned().collect();
    let mut sent = play.commands.clone();
    sent.sort();
    assert_eq!(messages, told, "each message in one event");
    assert_eq!(commands, sent, "each command with one outcome");
    let calls = play.stage.simulator.calls().into_iter();
    let posts = calls
        .filter(|it| it.endpoint == Endpoint::CreatePost)
        .count();
    assert_eq!(posts, sent.len(), "posts at X");
    println!(
        "{} deliveries, {} commands; longest pause {} ms without {leader}, which led; {} ms without \
         {connected}, to which we were connected; {} events came again with their id",
        told.len(),
        sent.len(),
        without_leader.as_millis(),
        without_connection.as_millis(),
        play.repeats(),
    );
    for pause in [without_leader, without_connection] {
        assert!(pause < LONGEST_PAUSE, "{pause:?}");
    }
}
