//! One post of ours draws 20,000 replies within ten minutes of X's clock, and somebody writes a
//! direct message in the midst of it.

use std::time::{Duration, Instant};

use serde_json::Value;
use simulator::{Endpoint, Form, Limits, NewMessage, NewPost, NewUser, PostId, UserId};
use twitter_channel::store::Tx;

use crate::support::desk::Desk;
use crate::support::service::{ACME, Setup, TestService};

const REPLIES: usize = 20_000;
const WITHIN: Duration = Duration::from_secs(600);
/// Deliveries that X has on their way at a time: what it sends in more than a second at this pace.
/// The next ones follow as soon as they are taken, so the storm is as fast as this machine, and
/// faster than X's clock.
const BATCH: usize = 40;
/// Within it the core has the direct message.
const SOON: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(120);
const LIMIT: usize = 200;
const FILTERS: [&str; 2] = [
    "account = \"acme\"\nmatch = \"direct_messages\"\ngroup = \"private\"",
    "account = \"acme\"\nmatch = \"replies\"\ngroup = \"support\"\n\
     storm = { messages = 200, per = \"1h\" }",
];
const KEYS: &str = "fetch_parents = true\nfetch_profiles = true\npoll_mentions = \"on\"\n\
                    mentions_every = \"1s\"";

/// What the storm came to.
#[derive(Debug)]
struct Figures {
    /// From its beginning until all was stored.
    took: Duration,
    message_after: Duration,
    published: usize,
    told: usize,
    held: u64,
    /// By kind: how many, and what X charges for them.
    costs: Vec<(String, u64, String)>,
    posts_read: u64,
}

async fn start() -> (TestService, Desk) {
    let setup = Setup::unfiltered().account_keys(KEYS);
    let setup = FILTERS.iter().fold(setup, |it, filter| it.filter(filter));
    let service = TestService::start(setup.forms(&[Form::Activity])).await;
    service.simulator.change_api(|x| {
        // Its clock runs ahead of ours.
        x.oauth_leeway_s = 3600;
        x.search_lag_s = 0;
    });
    for endpoint in [Endpoint::UserMentions, Endpoint::SearchRecent] {
        let limits = Limits::of(Some(100_000), Some(100_000));
        service.simulator.limit(endpoint, limits);
    }
    let desk = Desk::at(&service.broker.url());
    service.settled().await;
    (service, desk)
}

/// So many people reply; X's clock goes on meanwhile.
async fn reply(service: &TestService, root: PostId, crowd: &[UserId]) {
    let step = WITHIN / u32::try_from(REPLIES).unwrap();
    for person in crowd {
        let post = NewPost::by(*person, "outrageous").replying_to(root);
        service.post(post);
        service.simulator.advance(step);
        tokio::task::yield_now().await;
    }
}

async fn costs(service: &TestService) -> Vec<(String, u64, String)> {
    let read = |tx: &Tx<'_>| tx.costs_since(jiff::Timestamp::UNIX_EPOCH);
    let costs = service.store.read(read).await.unwrap();
    let told = costs.into_iter();
    told.map(|it| (it.kind, it.count, it.amount.to_string()))
        .collect()
}

fn count_of(costs: &[(String, u64, String)], kind: &str) -> u64 {
    let of_kind = costs.iter().filter(|(it, _, _)| it == kind);
    of_kind.map(|(_, count, _)| count).sum()
}

fn read_of(costs: &[(String, u64, String)]) -> u64 {
    count_of(costs, "post_read")
}

/// Waits until the core has the direct message; how long that took.
async fn message_comes(desk: &Desk, since: Instant) -> Duration {
    let came = desk.sees(PATIENCE, |noted| {
        let mut received = noted.of_type("message.received");
        received.any(|event| event["message"]["kind"] == "DIRECT_MESSAGE")
    });
    assert!(came.await, "the direct message was lost");
    since.elapsed()
}

async fn rage(service: &TestService, desk: &Desk) -> Figures {
    let root = service.post(NewPost::by(ACME, "We raise our prices"));
    let person = |number| service.add_user(NewUser::named(&format!("crowd{number}")));
    let crowd: Vec<_> = (0..REPLIES).map(person).collect();
    let jane = service.user("jane");
    let began = Instant::now();
    let (mut message_after, mut read_before) = (Duration::ZERO, None);
    for (number, batch) in crowd.chunks(BATCH).enumerate() {
        if number == REPLIES / BATCH / 2 {
            let (first, rest) = batch.split_at(BATCH / 2);
            reply(service, root, first).await;
            let since = Instant::now();
            let message = NewMessage::between(jane, ACME, "Privately: my bike broke");
            service.simulator.direct_message(message).unwrap();
            let (after, ()) = tokio::join!(message_comes(desk, since), reply(service, root, rest));
            message_after = after;
        } else {
            reply(service, root, batch).await;
        }
        service.simulator.settled().await;
        if number == 50 {
            read_before = Some(read_of(&costs(service).await));
        }
    }
    service.settled().await;
    let took = began.elapsed();
    let costs = costs(service).await;
    let posts_read = read_of(&costs) - read_before.unwrap_or_default();
    let held = |tx: &Tx<'_>| tx.held_conversations(9);
    let held = service.store.read(held).await.unwrap();
    let storms = |event: &&Value| event["conversation"]["id"] == format!("post:{root}");
    let noted = desk.noted();
    Figures {
        took,
        message_after,
        published: noted.of_type("message.received").count(),
        told: noted.of_type("conversation.storm").filter(storms).count(),
        held: held.iter().map(|it| it.messages).sum(),
        costs,
        posts_read,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes long: make storm"]
async fn a_direct_message_in_a_storm_is_with_the_core_at_once() {
    let (mut service, desk) = start().await;
    let figures = rage(&service, &desk).await;
    println!("{figures:#?}");
    assert!(figures.took < WITHIN, "slower than X: {:?}", figures.took);
    assert!(figures.message_after < SOON, "{:?}", figures.message_after);
    // All are stored, and the core has what its helpdesk can bear.
    assert_eq!(figures.published, LIMIT + 1);
    assert_eq!(figures.held, (REPLIES - LIMIT) as u64);
    assert!(figures.told >= 1);
    // The replies, and our own post.
    let delivered = count_of(&figures.costs, "event_post");
    assert!(delivered <= REPLIES as u64 + 1, "charged twice");
    let asked = service.simulator.calls();
    let without = |target: &str| target.contains("-conversation_id");
    let left_out = asked.iter().filter(|call| without(&call.target)).count();
    assert!(left_out > 0, "polls go on, without the storm");
    assert_eq!(figures.posts_read, 0, "X was asked for the storm");
    service.stop().await;
}
