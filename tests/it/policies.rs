//! What ops import into RabbitMQ: users with the least rights, the topology and its policies.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::support::broker::{TestBroker, client, eventually};
use crate::support::desk::Desk;
use crate::support::load::Load;
use crate::support::process::PrivateBroker;
use crate::support::service::{ACME, Setup};
use crate::support::stage::{Stage, Times, send_post};

const PATIENCE: Duration = Duration::from_secs(30);
const TIMES: Times = Times {
    call: Duration::from_secs(5),
    first_read: Duration::from_secs(2),
    second_read: Duration::from_secs(2),
};

/// A file of `docs/rabbitmq`.
fn file(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rabbitmq");
    folder.join(name).display().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_imported_is_enough_for_the_service_and_for_a_core() {
    let private = PrivateBroker::start().await;
    for name in ["definitions.json", "policies.json"] {
        private.ctl(&["import_definitions", &file(name)]).await;
    }
    let url = private.url();
    let (_, address) = url.split_once('@').unwrap();
    let address = address.trim_end_matches("/%2f");
    for user in ["twitter-channel", "helpdesk"] {
        private.ctl(&["change_password", user, "a-password"]).await;
    }
    let setup = Setup::new()
        .set("BROKER__URL", &format!("amqp://{address}"))
        .set("BROKER__USERNAME", "twitter-channel")
        .set("BROKER__PASSWORD", "a-password")
        .set("BROKER__VHOST", "twitter")
        .set("BROKER__TOPOLOGY", "check");
    let x = simulator::Settings::default();
    let through = async |url: &str| url.to_owned();
    let stage = Stage::start(setup, TIMES, x, TestBroker::vhost().await, through).await;
    let mut desk = Desk::at(&format!("amqp://helpdesk:a-password@{address}/twitter"));

    let told = Load::start(stage.service.webhook(), 4).all_told().await;
    desk.send(&send_post("c1", ACME.0, "An answer.", "")).await;

    let outcome = desk.outcome("c1", PATIENCE).await;
    assert_eq!(outcome["event"]["type"], "command.succeeded");
    let came = desk.sees(PATIENCE, |noted| {
        let about = |id: &String| noted.about("message.received", id).len() == 1;
        told.iter().all(about)
    });
    assert!(came.await, "the mentions are not heard");
    let wanted = [
        ("twitter.commands", "twitter-commands"),
        ("twitter.dead", "twitter-dead"),
        ("twitter.tickets", "twitter-inbox"),
        ("twitter.tickets.dead", "twitter-dead"),
    ];
    let wanted = wanted.map(|(name, policy)| (name.to_owned(), policy.to_owned()));
    // RabbitMQ tells them with its figures, some seconds later.
    eventually("each queue has its policy", async || {
        (policies(&private).await == wanted).then_some(())
    })
    .await;
}

/// Each queue with its policy, by name.
async fn policies(broker: &PrivateBroker) -> Vec<(String, String)> {
    let queues = format!("{}/api/queues/twitter", broker.management());
    let queues = client().get(queues).send().await.unwrap();
    let queues: Value = queues.json().await.unwrap();
    let of = |it: &Value, key: &str| it[key].as_str().unwrap_or_default().to_owned();
    let queues = queues.as_array().unwrap().iter();
    let mut policies: Vec<_> = queues
        .map(|it| (of(it, "name"), of(it, "policy")))
        .collect();
    policies.sort_unstable();
    policies
}
