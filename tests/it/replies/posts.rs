//! What `send_post` can say, and what X's tiers keep from it.

use serde_json::json;
use simulator::{NewMessage, NewPost, Tier};

use super::listener::{Listener, named, post};
use super::{answer, mention, start, writes};
use crate::support::service::{ACME, Event, Setup, TestService};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_that_answers_nothing_begins_a_thread() {
    let service = start().await;
    let mut core = Listener::to(&service);
    let outcome = core
        .does(&post("c1", json!({"text": "We are back."})))
        .await;
    let posts = service.simulator.posts_by(ACME);
    assert_eq!(posts.len(), 1);
    assert_eq!(posts[0].parent, None);
    let thread = format!("post:{}", posts[0].id);
    assert_eq!(outcome.text("/conversation/id"), thread);
    assert_eq!(outcome.text("/conversation/case_id"), thread);
    assert_eq!(outcome.text("/cost_usd"), "0.015");
    assert_eq!(
        outcome.text("/messages/0/url"),
        format!("https://x.com/i/status/{}", posts[0].id)
    );
    // Who answers it is in the same thread.
    let ann = service.user("ann");
    service.post(NewPost::by(ann, "Good!").replying_to(posts[0].id));
    let is_answer = |event: &Event| event.event_type() == "message.received";
    let answer = core.hears("an answer", is_answer).await;
    assert_eq!(answer.text("/conversation/id"), thread);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suffix_agent_and_excluded_people() {
    let service = start().await;
    let mut core = Listener::to(&service);
    service.user("bob");
    let mention = mention(&service, "and @bob do not answer").await;
    let mut command = answer(&mention, "c1", "Sorry!");
    command["send_post"]["suffix"] = json!("^JB");
    command["agent"] = json!({"id": "7", "name": "Jo B."});
    let outcome = core.does(&command).await;
    assert_eq!(outcome.text("/agent/id"), "7");
    assert_eq!(service.simulator.posts_by(ACME)[0].text, "Sorry! ^JB");
    let sent = |id: &'static str| {
        move |event: &Event| event.event_type() == "message.sent" && event.text("/command_id") == id
    };
    let all = core.hears("c1 at X", sent("c1")).await;
    assert_eq!(all.text("/message/text"), "@ann @bob Sorry! ^JB");

    let mut command = answer(&mention, "c2", "Only to you.");
    command["send_post"]["exclude_mentions"] = json!([service.user("bob").to_string()]);
    core.does(&command).await;
    let fewer = core.hears("c2 at X", sent("c2")).await;
    assert_eq!(fewer.text("/message/text"), "@ann Only to you.");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suffix_counts() {
    let service = start().await;
    let mut core = Listener::to(&service);
    let fits = json!({"text": "x".repeat(276), "suffix": "^JB"});
    core.does(&post("c1", fits)).await;
    let long = json!({"text": "y".repeat(277), "suffix": "^JB"});
    let failed = core.refuses(&post("c2", long), "TEXT_TOO_LONG").await;
    let detail = failed.text("/detail");
    for number in ["280", "281", "1 too many"] {
        assert!(detail.contains(number), "{detail}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_to_direct_messages_relates_both_conversations() {
    let service = start().await;
    let mut core = Listener::to(&service);
    let ann = service.user("ann");
    let mention = mention(&service, "my number is secret").await;
    let mut command = answer(&mention, "c1", "Please write to us.");
    command["send_post"]["direct_message_link"] = json!(true);
    let outcome = core.does(&command).await;
    let link = format!("https://x.com/messages/compose?recipient_id={ACME}");
    assert!(
        outcome.text("/detail").contains(&link),
        "{:#}",
        outcome.body
    );
    let posts = service.simulator.posts_by(ACME);
    assert_eq!(posts[0].direct_message_link, Some(link));
    let thread = mention.text("/conversation/id");
    let messages = format!("dm:{}-{}", ann.min(ACME), ann.max(ACME));
    assert_eq!(outcome.at("/conversation/related"), &json!([messages]));

    let message = NewMessage::between(ann, ACME, "It is 4711.");
    service.simulator.direct_message(message).unwrap();
    let is_message = |event: &Event| {
        event.event_type() == "message.received" && event.text("/message/kind") == "DIRECT_MESSAGE"
    };
    let received = core.hears("a direct message", is_message).await;
    assert_eq!(received.text("/conversation/id"), messages);
    assert_eq!(received.at("/conversation/related"), &json!([thread]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quotes_are_for_enterprise_apps() {
    let service = start().await;
    let mut core = Listener::to(&service);
    let ann = service.user("ann");
    let praise = service.post(NewPost::by(ann, "acme is great"));
    let quote = json!({"text": "Thanks!", "quote": praise.to_string()});
    let failed = core
        .refuses(&post("c1", quote.clone()), "NOT_OFFERED")
        .await;
    assert_eq!(failed.text("/field"), "send_post.quote");
    assert!(service.simulator.posts_by(ACME).is_empty());

    let setup = Setup::new().app_keys("tier = \"enterprise\"");
    let service = TestService::start(setup).await;
    service.settled().await;
    service
        .simulator
        .change_api(|api| api.tier = Tier::Enterprise);
    let ann = service.user("ann");
    let praise = service.post(NewPost::by(ann, "acme is great"));
    let quote = json!({"text": "Thanks!", "quote": praise.to_string()});
    Listener::to(&service).does(&post("c1", quote)).await;
    assert_eq!(service.simulator.posts_by(ACME)[0].quote, Some(praise));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_if_summoned_answers_who_named_the_account() {
    let service = start().await;
    let mut core = Listener::to(&service);
    let summoned = mention(&service, "help").await;
    let mut command = answer(&summoned, "c1", "Of course.");
    command["only_if_summoned"] = json!(true);
    core.does(&command).await;

    // Who answers a post of ours names us by inheritance only.
    let own = service.post(NewPost::by(ACME, "News of the day"));
    let bob = service.user("bob");
    let reply = service.post(NewPost::by(bob, "Boring").replying_to(own));
    let id = reply.to_string();
    let of_reply =
        |event: &Event| event.event_type() == "message.received" && event.text("/message/id") == id;
    core.hears("a reply", of_reply).await;
    let mut command = post("c2", json!({"text": "Oh.", "in_reply_to": id}));
    command["only_if_summoned"] = json!(true);
    let failed = core.refuses(&command, "NOT_SUMMONED").await;
    assert_eq!(failed.text("/field"), "send_post.in_reply_to");

    let unknown = service.post(NewPost::by(bob, "Nobody is named here"));
    let fields = json!({"text": "Hello?", "in_reply_to": unknown.to_string()});
    let mut command = post("c3", fields);
    command["only_if_summoned"] = json!(true);
    core.refuses(&command, "NOT_SUMMONED").await;
    let calls = writes(&service);
    assert_eq!(calls.len(), 1, "X was asked for what was refused here");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_is_refused_where_it_makes_a_reply_too_dear() {
    let service = start().await;
    let mut core = Listener::to(&service);
    let mention = mention(&service, "where do I find it?").await;
    let mut command = answer(&mention, "c1", "See https://acme.com/help");
    command["max_cost_usd"] = json!("0.05");
    let failed = core.refuses(&command, "TOO_EXPENSIVE").await;
    assert_eq!(failed.text("/field"), "max_cost_usd");
    for amount in ["0.200", "0.05"] {
        let detail = failed.text("/detail");
        assert!(detail.contains(amount), "{detail}");
    }
    assert!(writes(&service).is_empty());
    command["command_id"] = json!("c2");
    command["max_cost_usd"] = json!("0.2");
    let outcome = core.does(&command).await;
    assert_eq!(outcome.text("/cost_usd"), "0.200");
    assert_eq!(named(&outcome).len(), 1);
}
