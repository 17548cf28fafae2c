//! What X is asked on the way in, and what that costs.

use serde_json::json;
use simulator::{Endpoint, Fault, FaultKind, Form, NewPost};

use crate::support::service::{ACME, Event, Setup, TestService};

async fn start(keys: &str) -> TestService {
    let setup = Setup::new()
        .account_keys(keys)
        .forms(&[Form::AccountActivity]);
    let service = TestService::start(setup).await;
    service.settled().await;
    service
}

/// Ann asks Ben, and Ben names us below; the event that tells of it.
async fn named_below_others(service: &TestService) -> (Event, [simulator::PostId; 3]) {
    let (ann, ben) = (service.user("ann"), service.user("ben"));
    let root = service.post(NewPost::by(ann, "Who sells red bicycles?"));
    let middle = service.post(NewPost::by(ben, "I had one & liked it").replying_to(root));
    let last = service.post(NewPost::by(ann, "@acme do you?").replying_to(middle));
    (service.next_event().await, [root, middle, last])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parents_come_along_where_their_fetch_is_on() {
    let service = start("fetch_parents = true").await;
    let (event, [root, middle, last]) = named_below_others(&service).await;
    assert_eq!(event.text("/message/id"), last.to_string());
    let context = event.at("/context").as_array().unwrap();
    let texts: Vec<_> = context.iter().map(|it| &it["text"]).collect();
    assert_eq!(
        texts,
        ["Who sells red bicycles?", "@ann I had one & liked it"]
    );
    assert_eq!(context[1]["id"], json!(middle.to_string()));
    // The form has no conversation id; the posts above have.
    assert_eq!(event.text("/conversation/id"), format!("post:{root}"));
    let bill = service.simulator.bill("acme");
    let costs = service
        .store
        .read(|tx| tx.costs_since(jiff::Timestamp::UNIX_EPOCH));
    let read: u64 = costs
        .await
        .unwrap()
        .iter()
        .map(|it| it.amount.micros())
        .sum();
    assert!(read >= bill.total_micro_usd, "{read} of {bill:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_asks_x_where_the_fetch_is_off() {
    let service = start("").await;
    let (event, _) = named_below_others(&service).await;
    assert_eq!(event.at("/context"), &json!([]));
    let asked = service.simulator.calls();
    assert!(
        asked.iter().all(|call| call.endpoint != Endpoint::GetPosts),
        "{asked:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_goes_on_without_context_when_x_does_not_tell() {
    let service = start("fetch_parents = true").await;
    let broken = Fault::new(FaultKind::Status {
        status: 500,
        body: None,
        effect: false,
    });
    service
        .simulator
        .order(broken.on(Endpoint::GetPosts).always());
    let (event, _) = named_below_others(&service).await;
    assert_eq!(event.at("/context"), &json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn optional_reads_stop_at_the_budget_and_answers_go_on() {
    let service = start("fetch_parents = true\nmonthly_budget_usd = \"0.001\"").await;
    let spend = |tx: &mut twitter_channel::store::Tx<'_>| {
        let account = twitter_channel::domain::ids::AccountId(ACME.to_string().parse().unwrap());
        let amount = "0.001".parse().unwrap();
        tx.add_cost(account, jiff::Timestamp::now(), "post_read", 1, amount)
    };
    service.store.write(spend).await.unwrap();
    let (event, _) = named_below_others(&service).await;
    assert_eq!(event.at("/context"), &json!([]));
    let mut command = event.at("/reply/command").clone();
    command["command_id"] = json!("c1");
    command["send_post"]["text"] = json!("We do.");
    service.command(&command).await;
    let outcome = service.outcome("c1", &mut Vec::new()).await;
    assert_eq!(
        outcome.event_type(),
        "command.succeeded",
        "{:#}",
        outcome.body
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_cannot_send_says_so_with_each_message() {
    let service = start("sending = \"hold\"").await;
    let ann = service.user("ann");
    service.post(NewPost::by(ann, "@acme hello"));
    let event = service.next_event().await;
    assert_eq!(event.text("/reply/permission"), "REFUSED");
    assert_eq!(event.text("/reply/reason"), "SENDING_STOPPED");
    assert_eq!(event.text("/reply/estimated_cost_with_link_usd"), "0.200");
}
