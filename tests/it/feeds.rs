//! What no webhook brings: posts that fit a term, and replies to our replies.

use serde_json::{Value, json};
use simulator::{Endpoint, Fault, FaultKind, Form, NewPost, PostId, StreamFault, UserId};
use twitter_channel::domain::ids::AccountId;
use twitter_channel::store::{Cost, Tx};

use crate::support::broker::{client, eventually};
use crate::support::service::{ACME, APP, Event, INBOX, Setup, TestService};

const BETA: UserId = UserId(5_551_234);
const TERM: &str = "account = \"acme\"\nmatch = \"term\"\nterm = \"#acmehelp\"\ngroup = \"field\"";
const STREAM: &str = "keywords = \"stream\"\npoll_mentions = \"off\"";
const SEARCH: &str = "keywords = \"search\"\nsearch_every = \"1s\"\npoll_mentions = \"off\"";
const TOKEN: &str = "for-tests";

/// A service whose feeds begin once X knows of the app; X's search knows posts at once.
async fn start(setup: Setup, keys: &str) -> TestService {
    let setup = setup
        .set("X_API__SEARCH_LAG", "1s")
        .set("PRIVATE__TOKEN", TOKEN)
        .account_keys("poll_mentions = \"off\"");
    let mut service = TestService::start(setup).await;
    service.settled().await;
    service.simulator.change_api(|x| {
        x.search_lag_s = 0;
        x.stream_heartbeat_ms = 200;
    });
    service.stop().await;
    service.start_again(|setup| setup.account_keys(keys)).await;
    service
}

/// Calls of one kind that were answered well.
fn calls(service: &TestService, endpoint: Endpoint) -> usize {
    let calls = service.simulator.calls();
    let answered = calls
        .iter()
        .filter(|it| it.status.is_some_and(|it| it < 300));
    answered.filter(|it| it.endpoint == endpoint).count()
}

/// Waits for more calls of a kind: what was asked before has been dealt with then.
async fn calls_more(service: &TestService, endpoint: Endpoint, more: usize) {
    let before = calls(service, endpoint);
    let reached = async || (calls(service, endpoint) >= before + more).then_some(());
    eventually(&format!("{more} more of {endpoint:?}"), reached).await;
}

/// The feed of this account has begun: from now on it brings what is posted.
async fn begun(service: &TestService, endpoint: Endpoint) {
    let reached = async || (calls(service, endpoint) > 0).then_some(());
    eventually(&format!("{endpoint:?}"), reached).await;
}

async fn costs(service: &TestService) -> Vec<Cost> {
    let read = |tx: &Tx<'_>| tx.costs_since(jiff::Timestamp::UNIX_EPOCH);
    service.store.read(read).await.unwrap()
}

fn says(service: &TestService, by: &str, text: &str) -> PostId {
    service.post(NewPost::by(service.user(by), text))
}

fn is_about(event: &Event, post: PostId, via: &str) {
    assert_eq!(event.text("/message/id"), post.to_string());
    assert_eq!(event.text("/delivery/via"), via, "{:#}", event.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_term_is_found_by_the_stream_and_charged_once() {
    let mut service = start(Setup::unfiltered().filter(TERM).forms(&[]), STREAM).await;
    service.simulator.stream_connected(APP).await;
    says(&service, "ann", "nothing of interest");
    let post = says(&service, "jane", "my bike broke #AcmeHelp");
    let event = service.next_event().await;
    is_about(&event, post, "FILTERED_STREAM");
    assert_eq!(event.text("/message/relation"), "KEYWORD");
    assert_eq!(event.text("/route/group"), "field");
    let costs = costs(&service).await;
    let streamed: Vec<_> = costs.iter().filter(|it| it.kind == "event_post").collect();
    assert_eq!(streamed.len(), 1, "{costs:?}");
    assert_eq!(
        (streamed[0].count, streamed[0].amount.to_string().as_str()),
        (1, "0.005")
    );
    service.stop().await;
}

/// The event of a post. What was posted while the service started may be there too; nothing else.
async fn found(service: &TestService, wanted: PostId, other: PostId) -> Event {
    loop {
        let event = service.next_event().await;
        if event.text("/message/id") == wanted.to_string() {
            return event;
        }
        assert_eq!(event.text("/message/id"), other.to_string());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_term_is_found_by_search_from_where_the_last_one_ended() {
    let mut service = start(Setup::unfiltered().filter(TERM).forms(&[]), SEARCH).await;
    let before = says(&service, "jane", "before it was asked for #acmehelp");
    begun(&service, Endpoint::SearchRecent).await;
    let post = says(&service, "jane", "my bike broke #acmehelp");
    is_about(&found(&service, post, before).await, post, "SEARCH");
    calls_more(&service, Endpoint::SearchRecent, 2).await;
    service.stop().await;
    let meanwhile = says(&service, "jane", "and again #acmehelp");
    service.start_again(|setup| setup).await;
    is_about(
        &found(&service, meanwhile, before).await,
        meanwhile,
        "SEARCH",
    );
    calls_more(&service, Endpoint::SearchRecent, 2).await;
    assert!(service.events().await.is_empty(), "each once");
    // Each was read once, and so charged once.
    let read = costs(&service).await;
    let read = read.iter().find(|it| it.kind == "post_read").unwrap();
    assert!(read.count <= 3, "{read:?}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_to_our_reply_comes_by_the_mentions_once() {
    let keys = "mentions_every = \"1s\"";
    let setup = Setup::new().forms(&[Form::Activity]);
    let mut service = start(setup.without_replies_to_replies(), keys).await;
    begun(&service, Endpoint::UserMentions).await;
    let ann = service.user("ann");
    service.post(NewPost::by(ann, "@acme my bike broke"));
    let first = service.next_event().await;
    let mut command = first.at("/reply/command").clone();
    command["command_id"] = json!("c1");
    command["send_post"]["text"] = json!("Which one?");
    service.command(&command).await;
    let outcome = service.outcome("c1", &mut Vec::new()).await;
    assert_eq!(
        outcome.event_type(),
        "command.succeeded",
        "{:#}",
        outcome.body
    );
    let ours = service.simulator.posts_by(ACME).pop().unwrap().id;

    let second = service.post(NewPost::by(ann, "The red one").replying_to(ours));
    let told = service
        .simulator
        .bodies_of(second, APP, ACME, Form::Activity);
    assert!(told.unwrap().is_empty(), "no webhook tells of it");
    let reply = async || {
        let events = service.take_events().await.into_iter();
        let mut received = events.filter(|it| it.event_type() == "message.received");
        received.find(|it| it.text("/message/id") == second.to_string())
    };
    let event = eventually("the reply to our reply", reply).await;
    is_about(&event, second, "LOOKUP");
    assert_eq!(event.text("/message/relation"), "REPLY");
    assert_eq!(
        event.text("/conversation/id"),
        first.text("/conversation/id")
    );
    calls_more(&service, Endpoint::UserMentions, 2).await;
    assert!(service.events().await.is_empty(), "once");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_by_webhook_is_known_to_search_and_mentions() {
    let setup = Setup::new().filter(TERM).forms(&[Form::AccountActivity]);
    let keys = "keywords = \"search\"\nsearch_every = \"1s\"\npoll_mentions = \"on\"\nmentions_every = \"1s\"";
    let mut service = start(setup, keys).await;
    begun(&service, Endpoint::SearchRecent).await;
    begun(&service, Endpoint::UserMentions).await;
    let post = says(&service, "jane", "@acme my bike broke #acmehelp");
    let event = service.next_event().await;
    is_about(&event, post, "ACCOUNT_ACTIVITY");
    calls_more(&service, Endpoint::SearchRecent, 2).await;
    calls_more(&service, Endpoint::UserMentions, 2).await;
    assert!(service.events().await.is_empty());
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hole_of_the_stream_is_filled_by_search() {
    let mut service = start(Setup::unfiltered().filter(TERM).forms(&[]), STREAM).await;
    service.simulator.stream_connected(APP).await;
    let first = says(&service, "jane", "one #acmehelp");
    is_about(&service.next_event().await, first, "FILTERED_STREAM");

    let refused = FaultKind::Status {
        status: 503,
        body: None,
        effect: false,
    };
    service
        .simulator
        .order(Fault::new(refused).on(Endpoint::Stream));
    let met = service.simulator.disturb_stream(APP, &StreamFault::Cut);
    assert_eq!(met.unwrap(), 1);
    let missed = says(&service, "jane", "two #acmehelp");
    service.simulator.stream_connected(APP).await;
    is_about(&service.next_event().await, missed, "SEARCH");
    let last = says(&service, "jane", "three #acmehelp");
    is_about(&service.next_event().await, last, "FILTERED_STREAM");
    service.stop().await;

    // So is the time in which the service did not run.
    let meanwhile = says(&service, "jane", "four #acmehelp");
    service.start_again(|setup| setup).await;
    is_about(&service.next_event().await, meanwhile, "SEARCH");
    assert!(service.events().await.is_empty(), "each once");
    service.stop().await;
}

/// Puts filters in force as the console does.
async fn put_filters(service: &TestService, filters: Value) {
    let url = format!("{}/api/v1/accounts/{ACME}/filters", service.private_url());
    let put = client().put(url).bearer_auth(TOKEN);
    let put = put.header("content-type", "application/json");
    let answer = put
        .body(json!({"filters": filters}).to_string())
        .send()
        .await
        .unwrap();
    let status = answer.status();
    assert!(
        status.is_success(),
        "{status}: {}",
        answer.text().await.unwrap()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_follow_the_filters_without_a_new_connection() {
    let setup = Setup::unfiltered().forms(&[]);
    let mut service = start(setup, STREAM).await;
    service
        .simulator
        .add_rule(APP, "#others", "theirs")
        .unwrap();
    put_filters(
        &service,
        json!([{"match": "term", "term": "#first", "group": "a"}]),
    )
    .await;
    service.simulator.stream_connected(APP).await;
    let stream = service.simulator.streams().remove(0);
    let first = says(&service, "jane", "one #first");
    is_about(&service.next_event().await, first, "FILTERED_STREAM");

    let changed = calls(&service, Endpoint::ChangeRules);
    put_filters(
        &service,
        json!([{"match": "term", "term": "#second", "group": "a"},
               {"match": "term", "term": ":-(", "group": "a"}]),
    )
    .await;
    // One call adds, one deletes.
    let reached = async || (calls(&service, Endpoint::ChangeRules) >= changed + 2).then_some(());
    eventually("the rules have changed", reached).await;
    let before = service.simulator.streams().remove(0);
    says(&service, "jane", "two #first");
    says(&service, "jane", "theirs #others");
    let second = says(&service, "jane", "three #second");
    is_about(&service.next_event().await, second, "FILTERED_STREAM");
    let after = service.simulator.streams().remove(0);
    assert_eq!(after.id, stream.id, "still the same connection");
    assert_eq!(
        after.sent - before.sent,
        2,
        "the old rule is gone, the others' stays"
    );
    assert!(service.events().await.is_empty());
    let fault = fault(&service, "TERMS_REFUSED").await;
    assert!(
        fault["sentence"].as_str().unwrap().contains(":-("),
        "{fault}"
    );
    service.stop().await;
}

/// Waits until `account.health` tells of a fault.
async fn fault(service: &TestService, code: &str) -> Value {
    let told = async || {
        let page = client()
            .get(format!("{}/api/v1/health", service.private_url()))
            .bearer_auth(TOKEN);
        let page = page.send().await.unwrap().text().await.unwrap();
        let page: Value = serde_json::from_str(&page).unwrap();
        find(&page, code).cloned()
    };
    eventually(code, told).await
}

/// The object with this code, wherever it stands.
fn find<'v>(value: &'v Value, code: &str) -> Option<&'v Value> {
    match value {
        Value::Object(members) if members.get("code").is_some_and(|it| it == code) => Some(value),
        Value::Object(members) => members.values().find_map(|it| find(it, code)),
        Value::Array(values) => values.iter().find_map(|it| find(it, code)),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_another_program_holds_is_a_fault_at_once() {
    let mut service = start(Setup::unfiltered().forms(&[]), STREAM).await;
    let taken = FaultKind::Status {
        status: 429,
        body: Some(json!({
            "title": "ConnectionException", "connection_issue": "TooManyConnections",
            "detail": "This stream is currently at the maximum allowed connection limit.",
            "type": "https://api.twitter.com/2/problems/streaming-connection"})),
        effect: false,
    };
    service
        .simulator
        .order(Fault::new(taken).on(Endpoint::Stream).always());
    put_filters(
        &service,
        json!([{"match": "term", "term": "#first", "group": "a"}]),
    )
    .await;
    let fault = fault(&service, "STREAM_DOWN").await;
    let sentence = fault["sentence"].as_str().unwrap();
    assert!(sentence.contains("another program holds it"), "{sentence}");
    service.take_events_of(INBOX).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_budget_ends_reads_and_nothing_else() {
    let setup = Setup::new().filter(TERM).account(APP, BETA, "beta", SEARCH);
    let setup =
        setup.filter("account = \"beta\"\nmatch = \"term\"\nterm = \"#beta\"\ngroup = \"b\"");
    let mut service = start(
        setup.forms(&[Form::AccountActivity]),
        "poll_mentions = \"off\"",
    )
    .await;
    service.stop().await;
    let spend = |tx: &mut Tx<'_>| {
        let account = AccountId(ACME.to_string().parse().unwrap());
        let amount = "0.001".parse().unwrap();
        tx.add_cost(account, jiff::Timestamp::now(), "post_read", 1, amount)
    };
    service.store.write(spend).await.unwrap();
    let keys = "keywords = \"search\"\nsearch_every = \"1s\"\npoll_mentions = \"on\"\n\
                mentions_every = \"1s\"\nmonthly_budget_usd = \"0.001\"";
    let before = service.simulator.calls().last().map_or(0, |call| call.id);
    service.start_again(|setup| setup.account_keys(keys)).await;
    // The other account's reads tell that time passes.
    calls_more(&service, Endpoint::SearchRecent, 3).await;
    let asked = service.simulator.calls_after(before);
    let reads = asked.iter().filter(|call| {
        let is_read = matches!(
            call.endpoint,
            Endpoint::SearchRecent | Endpoint::UserMentions
        );
        is_read && call.account == Some(ACME)
    });
    assert_eq!(reads.count(), 0);
    let post = says(&service, "jane", "@acme hello");
    is_about(&service.next_event().await, post, "ACCOUNT_ACTIVITY");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_an_app_s_accounts_only_those_whose_filters_want_it_get_what_the_stream_brings() {
    let setup = Setup::unfiltered()
        .filter(TERM)
        .account(APP, BETA, "beta", STREAM);
    let setup =
        setup.filter("account = \"beta\"\nmatch = \"term\"\nterm = \"#beta\"\ngroup = \"b\"");
    let mut service = start(setup.forms(&[]), STREAM).await;
    service.simulator.stream_connected(APP).await;
    let one = says(&service, "jane", "one #acmehelp");
    let event = service.next_event().await;
    is_about(&event, one, "FILTERED_STREAM");
    assert_eq!(event.text("/account/username"), "acme");
    let both = says(&service, "jane", "two #acmehelp #beta");
    let mut came: Vec<String> = Vec::new();
    while came.len() < 2 {
        let more = async || Some(service.take_events().await).filter(|it| !it.is_empty());
        for event in eventually("an event for each", more).await {
            is_about(&event, both, "FILTERED_STREAM");
            came.push(event.text("/account/username").to_owned());
        }
    }
    came.sort();
    assert_eq!(came, ["acme", "beta"]);
    // X charges for a post, not for each account that wants it.
    let costs = costs(&service).await;
    let charged: u64 = costs
        .iter()
        .filter(|it| it.kind == "event_post")
        .map(|it| it.count)
        .sum();
    assert_eq!(charged, 2, "{costs:?}");
    service.stop().await;
}
