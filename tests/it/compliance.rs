//! Published posts that customers delete, protect or lose: the core hears of it within one check.

use jiff::Timestamp;
use serde_json::json;
use simulator::{Endpoint, Fault, FaultKind, NewPost, PostId};
use twitter_channel::flow::upkeep;
use twitter_channel::store::{ComplianceRow, Tx};

use crate::support::broker::{client, eventually};
use crate::support::service::{APP, Event, Setup, TestService};

const RUN: [&str; 4] = ["compliance", "run", "--app", APP];

async fn start(setup: Setup) -> TestService {
    let service = TestService::start(setup).await;
    service.settled().await;
    service
}

/// Somebody's post that names us, delivered and published.
async fn mention(service: &TestService, by: &str, words: &str) -> PostId {
    let text = format!("@acme {words}");
    let post = service.post(NewPost::by(service.user(by), &text));
    service.simulator.settled().await;
    let event = service.only_event().await;
    assert_eq!(event.text("/message/id"), post.to_string());
    post
}

async fn kept(service: &TestService) -> ComplianceRow {
    let read = |tx: &Tx<'_>| tx.compliance_of(APP);
    service.store.read(read).await.unwrap().unwrap()
}

/// Runs a check from its request to its end; what the core hears of.
async fn check(service: &TestService) -> Vec<Event> {
    let before = kept(service).await.last_done;
    let (status, said) = service.run(&RUN).await;
    assert_eq!((status, said.contains("begins")), (0, true), "{said}");
    wait_for_check_after(service, before).await;
    service.events().await
}

async fn wait_for_check_after(service: &TestService, before: Option<Timestamp>) {
    let ended = async || {
        let row = kept(service).await;
        (row.last_done > before && row.check.is_none()).then_some(())
    };
    eventually("the end of a check", ended).await;
}

fn calls(service: &TestService, endpoint: Endpoint) -> usize {
    let calls = service.simulator.calls();
    calls.iter().filter(|it| it.endpoint == endpoint).count()
}

fn refusing(endpoint: Endpoint, status: u16) -> Fault {
    let (body, effect) = (None, false);
    let kind = FaultKind::Status {
        status,
        body,
        effect,
    };
    Fault::new(kind).on(endpoint).always()
}

/// Whether a word stands anywhere in the folder of the database.
fn is_on_disk(service: &TestService, word: &str) -> bool {
    let database = service.database();
    let files = std::fs::read_dir(database.parent().unwrap()).unwrap();
    let paths = files.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.is_file()).any(|path| {
        let bytes = std::fs::read(path).unwrap();
        String::from_utf8_lossy(&bytes).contains(word)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_customers_delete_protect_or_lose_is_told_once() {
    let mut service = start(Setup::new()).await;
    let deleted = mention(&service, "ann", "first").await;
    let protected = mention(&service, "bob", "second").await;
    let suspended = mention(&service, "cleo", "third").await;
    let deactivated = mention(&service, "dan", "fourth").await;
    let scrubbed = mention(&service, "eve", "fifth").await;
    let _stays = mention(&service, "finn", "sixth").await;
    let x = &service.simulator;
    x.delete_silently(deleted).unwrap();
    x.set_protected(service.user("bob"), true).unwrap();
    x.set_suspended(service.user("cleo"), true).unwrap();
    x.set_deactivated(service.user("dan"), true).unwrap();
    x.scrub_geo(service.user("eve")).unwrap();
    assert!(service.events().await.is_empty(), "no webhook tells of it");

    let mut told = check(&service).await;
    told.sort_by_key(|event| event.text("/message/id").to_owned());
    let mut expected = [
        (deleted, "DELETED"),
        (protected, "PROTECTED"),
        (suspended, "SUSPENDED"),
        (deactivated, "DELETED"),
    ]
    .map(|(post, reason)| (post.to_string(), reason));
    expected.sort();
    let found = told.iter().map(|event| {
        assert_eq!(event.event_type(), "message.deleted");
        assert_eq!(event.text("/detected_by"), "COMPLIANCE");
        assert!(event.text("/redact_by").ends_with('Z'));
        assert!(event.text("/conversation/id").starts_with("post:"));
        (event.text("/message/id").to_owned(), event.text("/reason"))
    });
    assert_eq!(found.collect::<Vec<_>>(), expected);
    assert!(
        told.iter()
            .all(|it| it.text("/message/id") != scrubbed.to_string())
    );

    // Protected for good, they are found again each day.
    assert_eq!(check(&service).await.len(), 0);
    assert_eq!(calls(&service, Endpoint::CreateComplianceJob), 2);
    let (status, listed) = service.run(&["compliance", "list", "--json"]).await;
    let row: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!((status, &row["problem"]), (0, &json!("")), "{listed}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_words_of_a_deleted_post_leave_the_disk() {
    let mut service = start(Setup::new()).await;
    let word = "xylophonequartz";
    let post = mention(&service, "ann", word).await;
    let _stays = mention(&service, "bob", "marmaladefjord").await;
    assert!(is_on_disk(&service, word));
    service.simulator.delete_silently(post).unwrap();
    assert_eq!(check(&service).await.len(), 1);
    // What upkeep does every few minutes.
    upkeep::let_go(&service.store, Timestamp::now())
        .await
        .unwrap();
    assert!(!is_on_disk(&service, word));
    assert!(is_on_disk(&service, "marmaladefjord"), "nothing is found");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_survives_a_restart() {
    let mut service = start(Setup::new()).await;
    let post = mention(&service, "ann", "first").await;
    service.simulator.delete_silently(post).unwrap();
    let away = refusing(Endpoint::ComplianceJob, 503);
    service.simulator.order(away);
    let (status, _) = service.run(&RUN).await;
    assert_eq!(status, 0);
    let waits = async || {
        let row = kept(&service).await;
        row.check
            .and_then(|check| check.job)
            .filter(|_| !row.problem.is_empty())
    };
    let job = eventually("a job that does not get on", waits).await;
    let (_, said) = service.run(&RUN).await;
    assert!(said.contains("under way since"), "{said}");
    service.stop().await;

    service.simulator.clear_faults();
    service.start_again(|setup| setup).await;
    let goes_on = kept(&service).await.check.and_then(|check| check.job);
    assert!(goes_on.is_none_or(|id| id == job), "another job was made");
    wait_for_check_after(&service, None).await;
    let told = service.only_event().await;
    assert_eq!(told.text("/message/id"), post.to_string());
    assert_eq!(calls(&service, Endpoint::CreateComplianceJob), 1);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_whose_making_was_not_answered_is_found_by_its_name() {
    let mut service = start(Setup::new()).await;
    let post = mention(&service, "ann", "first").await;
    service.simulator.delete_silently(post).unwrap();
    let lost = Fault::new(FaultKind::AnswerLost).on(Endpoint::CreateComplianceJob);
    service.simulator.order(lost);
    assert_eq!(check(&service).await.len(), 1);
    assert_eq!(calls(&service, Endpoint::CreateComplianceJob), 1);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_may_not_looks_posts_up_if_that_is_wanted() {
    let mut service = start(Setup::new()).await;
    let post = mention(&service, "ann", "first").await;
    let _stays = mention(&service, "bob", "second").await;
    service.simulator.delete_silently(post).unwrap();
    service
        .simulator
        .order(refusing(Endpoint::ComplianceJobs, 403));
    let (status, _) = service.run(&RUN).await;
    assert_eq!(status, 0);
    let is_refused = async || kept(&service).await.refused.then_some(());
    eventually("a refusal", is_refused).await;
    assert_eq!(calls(&service, Endpoint::GetPosts), 0);
    let faults = async || {
        let page = service.page("/metrics").await;
        page.contains("code=\"COMPLIANCE_FAILS\"} 1").then_some(())
    };
    eventually("the fault", faults).await;
    service.stop().await;

    service
        .start_again(|setup| setup.set("COMPLIANCE__LOOK_UP", "true"))
        .await;
    let told = check(&service).await;
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(told[0].text("/message/id"), post.to_string());
    assert_eq!(told[0].text("/detected_by"), "LOOKUP");
    assert_eq!(calls(&service, Endpoint::GetPosts), 1);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_is_asked_for_by_the_api() {
    let setup = Setup::new().set("PRIVATE__TOKEN", "s3cret-of-the-console");
    let mut service = start(setup).await;
    let post = mention(&service, "ann", "first").await;
    service.simulator.delete_silently(post).unwrap();
    let url = |app: &str| format!("{}/api/v1/apps/{app}/compliance", service.private_url());
    let ask = async |app: &str| {
        let request = client().post(url(app)).bearer_auth("s3cret-of-the-console");
        request.send().await.unwrap()
    };
    assert_eq!(ask("nobody").await.status(), 404);
    let asked = ask(APP).await;
    assert_eq!(asked.status(), 202);
    let body: serde_json::Value = asked.json().await.unwrap();
    assert_eq!(body, json!({"app": APP, "state": "begins", "since": ""}));
    wait_for_check_after(&service, None).await;
    assert_eq!(service.only_event().await.text("/reason"), "DELETED");
    service.stop().await;
}
