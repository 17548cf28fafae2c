//! What commands cost, by our list and on X's bill.

use serde_json::json;
use simulator::{Endpoint, Fault, FaultKind, NewPost};
use twitter_channel::domain::money::Usd;

use super::listener::{Listener, command, message, named, post};
use super::{answer, mention, start};
use crate::support::service::{ACME, APP};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outcomes_cost_what_is_on_xs_bill() {
    let service = start().await;
    let mut core = Listener::to(&service);
    let mention = mention(&service, "hello").await;
    let ann = service.user("ann").to_string();
    let own = core.does(&post("c1", json!({"text": "News"}))).await;
    let own_id = named(&own)[0].to_owned();
    core.does(&answer(&mention, "c2", "A reply")).await;
    core.does(&answer(&mention, "c3", "See https://acme.com"))
        .await;
    core.does(&post("c4", json!({"text": "acme.com is ours"})))
        .await;
    let mut split = answer(&mention, "c5", &"word ".repeat(150));
    split["send_post"]["when_too_long"] = json!("SPLIT");
    core.does(&split).await;
    let fields = json!({"recipient_id": ann, "text": "Hello https://acme.com"});
    core.does(&message("c6", fields)).await;
    let bob = service.user("bob");
    let reply = service.post(NewPost::by(bob, "Rubbish").replying_to(own_id.parse().unwrap()));
    let hide = json!({"hide_reply": {"message_id": reply.to_string(), "hidden": true}});
    core.does(&command("c7", hide)).await;
    let delete = json!({"delete_message": {"message_id": own_id}});
    core.does(&command("c8", delete)).await;
    let again = json!({"delete_message": {"message_id": own_id}});
    core.refuses(&command("c9", again), "DELETED").await;
    // A look-up costs what it reads.
    let lost = Fault::new(FaultKind::AnswerLost).on(Endpoint::CreatePost);
    service
        .simulator
        .order(lost.with_echo(simulator::Echo::NEVER));
    core.does(&answer(&mention, "c10", "Looked up")).await;

    let mut total = Usd::default();
    for number in 1..=10 {
        let outcome = core.outcome(&format!("c{number}")).await;
        total = total + outcome.text("/cost_usd").parse().unwrap();
    }
    let bill = service.simulator.bill(APP);
    let plans = bill.lines.get("user_read").map_or(0, |line| line.micro_usd);
    let commands = bill.total_micro_usd - plans;
    assert_eq!(total.micros(), commands, "{:?}", bill.lines);
    let costs = service
        .store
        .read(|tx| tx.costs_since(jiff::Timestamp::UNIX_EPOCH))
        .await
        .unwrap();
    let noted: u64 = costs.iter().map(|cost| cost.amount.micros()).sum();
    assert_eq!(noted, bill.total_micro_usd, "{costs:?}");
    assert!(service.simulator.posts_by(ACME).len() >= 8);
}
