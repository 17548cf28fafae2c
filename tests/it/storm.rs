//! A conversation that draws too many messages: told of, held back, and let through.

use serde_json::json;
use simulator::{Endpoint, Form, NewMessage, NewPost, PostId};
use twitter_channel::domain::ids::{AccountId, UserId};
use twitter_channel::flow::dry_run::{Finding, explain};
use twitter_channel::flow::storm;
use twitter_channel::store::Tx;

use crate::support::broker::eventually;
use crate::support::service::{ACME, Event, Setup, TestService};

const LIMITED: &str = "account = \"acme\"\nmatch = \"mentions\"\ngroup = \"support\"\n\
                       storm = { messages = 3, per = \"1h\" }";
const MESSAGES: &str = "account = \"acme\"\nmatch = \"direct_messages\"\ngroup = \"private\"";

async fn start(setup: Setup) -> TestService {
    let service = TestService::start(setup.filter(LIMITED).filter(MESSAGES)).await;
    service.settled().await;
    service
}

/// Somebody's reply to a post, delivered.
async fn reply(service: &TestService, by: &str, text: &str, to: PostId) -> PostId {
    let reply = service.post(NewPost::by(service.user(by), text).replying_to(to));
    service.simulator.settled().await;
    reply
}

/// A post that draws so many replies, each by another person; the post and its replies.
async fn draw(service: &TestService, replies: usize) -> (PostId, Vec<PostId>) {
    let jane = service.user("jane");
    let root = service.post(NewPost::by(jane, "@acme look at this"));
    service.simulator.settled().await;
    let mut drawn = Vec::new();
    for number in 0..replies {
        let name = format!("person{number}");
        drawn.push(reply(service, &name, "@acme outrageous", root).await);
    }
    (root, drawn)
}

/// Waits until so many events have come.
async fn wait_for(service: &TestService, count: usize) -> Vec<Event> {
    let mut events = Vec::new();
    while events.len() < count {
        let more = async || {
            let more = service.take_events().await;
            (!more.is_empty()).then_some(more)
        };
        events.extend(eventually("what was let through", more).await);
    }
    events
}

fn of_type<'a>(events: &'a [Event], event_type: &str) -> Vec<&'a Event> {
    let events = events.iter();
    events.filter(|it| it.event_type() == event_type).collect()
}

fn messages(events: &[Event]) -> Vec<&str> {
    let received = of_type(events, "message.received").into_iter();
    received.map(|it| it.text("/message/id")).collect()
}

fn ids(posts: &[PostId]) -> Vec<String> {
    posts.iter().map(PostId::to_string).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_the_limit_messages_wait_and_the_core_is_told() {
    let mut service = start(Setup::unfiltered()).await;
    let (root, replies) = draw(&service, 5).await;
    let events = service.events().await;
    let published = [root, replies[0], replies[1]];
    assert_eq!(messages(&events), ids(&published));
    let told = of_type(&events, "conversation.storm");
    assert_eq!(told.len(), 1, "{told:#?}");
    let storm = told[0];
    assert_eq!(storm.routing_key, "conversation.storm.post.2975699229");
    assert_eq!(storm.text("/conversation/id"), format!("post:{root}"));
    assert_eq!(storm.at("/messages"), &json!(4));
    assert_eq!(storm.at("/held"), &json!(1));
    assert_eq!(storm.text("/conversation/case_id"), format!("post:{root}"));

    let account = UserId::from_number(ACME.0).map(AccountId).unwrap();
    let id = replies[2].to_string();
    let found = explain(&service.store, vec![account], &id).await.unwrap();
    let Finding::Held(reason) = &found[0].finding else {
        panic!("{found:?}");
    };
    assert_eq!(reason.filter.as_deref(), Some("mentions"));

    let waiting = service.store.read(|tx| tx.held_conversations(9)).await;
    let waiting = waiting.unwrap();
    assert_eq!((waiting.len(), waiting[0].messages), (1, 3));
    assert_eq!(waiting[0].conversation, format!("post:{root}"));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_let_through_comes_once_in_order_and_under_its_own_id() {
    let mut service = start(Setup::unfiltered()).await;
    let (root, replies) = draw(&service, 6).await;
    let before = service.events().await;
    assert_eq!(messages(&before), ids(&[root, replies[0], replies[1]]));
    let held = &replies[2..];
    // X repeats itself: that is neither counted nor published.
    for post in held.iter().chain(&replies[..2]) {
        service.deliver_post(*post, Form::AccountActivity).await;
    }
    assert!(service.events().await.is_empty());

    let conversation = format!("post:{root}");
    let release = ["events", "release", "--conversation", &conversation];
    let (status, said) = service.run(&release).await;
    assert_eq!(status, 0, "{said}");
    assert!(said.starts_with("4 messages "), "{said}");
    let events = wait_for(&service, held.len()).await;
    assert_eq!(messages(&events), ids(held));
    for event in &events {
        assert_eq!(event.text("/conversation/id"), conversation);
        assert_eq!(event.at("/event/backfilled"), &json!(false));
        assert_eq!(event.header("x-republished"), None);
        assert_eq!(event.text("/route/filter"), "mentions");
    }

    // Now they are known as any other; and the next one waits all the same.
    for post in held {
        service.deliver_post(*post, Form::AccountActivity).await;
    }
    reply(&service, "late", "@acme me too", root).await;
    assert_eq!(messages(&service.events().await), [""; 0]);
    let (status, said) = service.run(&release).await;
    assert_eq!(
        (status, said.starts_with("1 messages ")),
        (0, true),
        "{said}"
    );
    wait_for(&service, 1).await;
    let (status, said) = service.run(&release).await;
    assert_eq!(status, 1, "{said}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cases_we_have_answered_and_direct_messages_do_not_wait() {
    let mut service = start(Setup::unfiltered()).await;
    let (root, replies) = draw(&service, 5).await;
    let _answer = reply(&service, "acme", "@person0 we are on it", replies[0]).await;
    service.events().await;
    // Whose case we have answered goes on; so does who writes a message.
    let goes_on = reply(&service, "person0", "@acme thanks", replies[0]).await;
    let waits = reply(&service, "person9", "@acme and me?", replies[0]).await;
    let jane = service.user("jane");
    let message = NewMessage::between(jane, ACME, "And privately?");
    service.simulator.direct_message(message).unwrap();
    let events = service.events().await;
    let came = messages(&events);
    assert_eq!(came.len(), 2, "{came:?} {waits}");
    assert_eq!(came[0], goes_on.to_string());
    assert_eq!(events[1].text("/message/kind"), "DIRECT_MESSAGE");
    assert_ne!(root, waits);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_conversations_do_not_wait() {
    let mut service = start(Setup::unfiltered()).await;
    let _storm = draw(&service, 5).await;
    service.events().await;
    let calm = service.post(NewPost::by(service.user("ann"), "@acme hello"));
    assert_eq!(messages(&service.events().await), ids(&[calm]));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_counts_before_x_delivers_it_back() {
    let mut service = start(Setup::unfiltered().forms(&[])).await;
    let jane = service.user("jane");
    let root = service.post(NewPost::by(jane, "@acme look"));
    service.deliver_post(root, Form::Activity).await;
    for name in ["a", "b", "c"] {
        let user = service.user(name);
        let post = service.post(NewPost::by(user, "@acme outrageous").replying_to(root));
        service.deliver_post(post, Form::Activity).await;
    }
    let events = service.events().await;
    let mut command = events[1].at("/reply/command").clone();
    command["command_id"] = json!("answer");
    command["send_post"]["text"] = json!("We are on it");
    service.command(&command).await;
    let outcome = service.outcome("answer", &mut Vec::new()).await;
    assert_eq!(outcome.event_type(), "command.succeeded", "{outcome:?}");
    let a = service.user("a");
    let goes_on = service.post(NewPost::by(a, "@acme thanks").replying_to(root));
    service.deliver_post(goes_on, Form::Activity).await;
    let events = service.events().await;
    assert_eq!(messages(&events), ids(&[goes_on]));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_there_is_no_room_for_is_published_instead() {
    let setup = Setup::unfiltered()
        .forms(&[])
        .set("STORE__MAX_BYTES", "4MiB");
    let mut service = start(setup).await;
    let jane = service.user("jane");
    let root = service.post(NewPost::by(jane, "@acme look"));
    service.deliver_post(root, Form::AccountActivity).await;
    let mut replies = Vec::new();
    for (name, padding) in [("a", 0), ("b", 0), ("c", 0), ("d", 500_000), ("e", 0)] {
        let user = service.user(name);
        let post = service.post(NewPost::by(user, "@acme outrageous").replying_to(root));
        let mut body = service.delivery_of(post, Form::AccountActivity);
        body["tweet_create_events"][0]["padding"] = json!("x".repeat(padding));
        service.take(&body).await;
        replies.push(post);
    }
    let published = [root, replies[0], replies[1], replies[3]];
    assert_eq!(messages(&service.events().await), ids(&published));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x_is_asked_nothing_for_what_would_wait() {
    let setup = Setup::unfiltered().account_keys("fetch_parents = true");
    let mut service = start(setup.forms(&[])).await;
    let ann = service.user("ann");
    let root = service.post(NewPost::by(ann, "Who sells red bicycles?"));
    // Each below a post of its own that nobody has read, in a form that names the thread.
    let below = async |number: usize| {
        let middle = service.post(NewPost::by(ann, "Anybody?").replying_to(root));
        let name = format!("p{number}");
        let user = service.user(&name);
        let post = NewPost::by(user, "@acme do you?").replying_to(middle);
        service
            .deliver_post(service.post(post), Form::Activity)
            .await;
    };
    let received = async |count: usize| {
        let reached = async || {
            let events = service.store.read(|tx| tx.newest_events(20)).await.unwrap();
            let received = events.iter();
            let received = received.filter(|it| it.event_type == "message.received");
            (received.count() == count).then_some(())
        };
        eventually(&format!("{count} messages"), reached).await;
    };
    let asked = || {
        let calls = service.simulator.calls();
        let reads = calls.iter();
        reads.filter(|it| it.endpoint == Endpoint::GetPosts).count()
    };
    for number in 0..3 {
        below(number).await;
        received(number + 1).await;
    }
    let before = asked();
    assert!(before >= 3, "the fetch is on");
    below(3).await;
    let held = |tx: &Tx<'_>| tx.held_conversations(9);
    let held = service.store.read(held).await.unwrap();
    assert_eq!(held.len(), 1, "it did not wait for X");
    assert_eq!(asked(), before);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_survives_a_restart() {
    let mut service = start(Setup::unfiltered()).await;
    let (root, replies) = draw(&service, 4).await;
    service.events().await;
    service.stop().await;
    service.start_again(|setup| setup).await;
    service
        .deliver_post(replies[3], Form::AccountActivity)
        .await;
    assert!(service.events().await.is_empty());
    let conversation = format!("post:{root}").parse().unwrap();
    let count = storm::release(&service.store, None, conversation).await;
    assert_eq!(count.unwrap(), 2);
    let events = wait_for(&service, 2).await;
    assert_eq!(messages(&events), ids(&replies[2..]));
    service.stop().await;
}
