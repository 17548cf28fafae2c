//! What was read of X and not delivered by it.

use serde_json::{Value, json};
use simulator::{Form, NewPost, PostId};

use crate::support::service::{ACME, APP, Setup, TestService};

/// A post as a read of ours brings it. X itself never sends this form.
fn as_read(service: &TestService, post: PostId, means: &str) -> Value {
    let mut body = service.delivery_of(post, Form::FilteredStream);
    let members = body.as_object_mut().unwrap();
    members.remove("matching_rules");
    let mark = json!({"means": means, "item": "post", "for_user_id": ACME.to_string()});
    members.insert("read_by_twitter_channel".to_owned(), mark);
    body
}

/// Nothing is delivered by itself; the stream's rule is there for its form.
async fn start(setup: Setup) -> TestService {
    let service = TestService::start(setup.forms(&[])).await;
    service.simulator.add_rule(APP, "#acmehelp", "").unwrap();
    service
}

#[tokio::test]
async fn what_a_read_finds_is_published_once_and_charged_with_the_read() {
    let filter = "account = \"acme\"\nmatch = \"term\"\nterm = \"#acmehelp\"\ngroup = \"field\"";
    let mut service = start(Setup::unfiltered().filter(filter)).await;
    let jane = service.user("jane");
    for (means, via) in [("search", "SEARCH"), ("lookup", "LOOKUP")] {
        let post = service.post(NewPost::by(jane, &format!("{means}: #acmehelp")));
        service.take(&as_read(&service, post, means)).await;
        service.take(&as_read(&service, post, "lookup")).await;
        service.deliver_post(post, Form::FilteredStream).await;
        let event = service.only_event().await;
        assert_eq!(event.text("/message/id"), post.to_string());
        assert_eq!(event.text("/delivery/via"), via);
        assert_eq!(event.text("/delivery/cost_usd"), "0.005");
    }
    let costs = service
        .store
        .read(|tx| tx.costs_since(jiff::Timestamp::UNIX_EPOCH));
    // The read that brought them is charged where it is made.
    assert_eq!(costs.await.unwrap(), []);
    service.stop().await;
}

#[tokio::test]
async fn what_a_read_brings_and_nobody_understands_is_kept() {
    let service = start(Setup::new()).await;
    let post = service.post(NewPost::by(service.user("jane"), "#acmehelp"));
    let mut body = as_read(&service, post, "search");
    body["data"].as_object_mut().unwrap().remove("author_id");
    service.take(&body).await;
    service.wait_for_quarantine(1).await;
    let kept = service.quarantine().await;
    assert_eq!(kept[0].detail, "data.author_id: missing");
}
