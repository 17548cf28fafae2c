//! Apps and filters made while the service runs, and the key that seals them.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use simulator::NewPost;

use crate::support::broker::{TestBroker, client, eventually};
use crate::support::process::ServiceProcess;
use crate::support::service::{ACME, Setup, TestService};

const TOKEN: &str = "let-me-in";

async fn start(setup: Setup) -> TestService {
    TestService::start(setup.set("PRIVATE__TOKEN", TOKEN)).await
}

async fn ask(service: &TestService, method: Method, path: &str, body: &Value) -> (u16, Value) {
    let url = format!("{}/api/v1{path}", service.private_url());
    let request = client().request(method, url).bearer_auth(TOKEN).json(body);
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

async fn challenge(service: &TestService, app: &str) -> StatusCode {
    let url = format!("{}?crc_token=challenge", service.webhook(app));
    client().get(url).send().await.unwrap().status()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_made_by_api_answers_challenges_at_once_and_after_a_restart() {
    let mut service = start(Setup::new()).await;
    assert_eq!(challenge(&service, "second").await, 404);
    let app = json!({"consumer_key": " ck2\n", "consumer_secret": "cs2", "tier": "gold"});
    let (status, problem) = ask(&service, Method::PUT, "/apps/second", &app).await;
    assert_eq!(status, 400, "{problem:#}");
    assert_eq!(problem["errors"][0]["field"], "tier");
    assert_eq!(
        challenge(&service, "second").await,
        404,
        "nothing half-made"
    );
    let app = json!({"consumer_key": " ck2\n", "consumer_secret": "cs2"});
    // X does not know it.
    let (status, problem) = ask(&service, Method::PUT, "/apps/second", &app).await;
    assert_eq!(
        (status, &problem["errors"][0]["field"]),
        (400, &json!("consumer_secret")),
        "{problem:#}"
    );
    assert_eq!(
        challenge(&service, "second").await,
        404,
        "nothing half-made"
    );
    let (status, made) = ask(&service, Method::PUT, "/apps/second?check=false", &app).await;
    assert_eq!(status, 200, "{made:#}");
    assert!(!made.to_string().contains("cs2"), "{made:#}");
    let answered = async || (challenge(&service, "second").await == 200).then_some(());
    eventually("the new app's webhook answers", answered).await;
    service.stop().await;
    service.start_again(|setup| setup).await;
    assert_eq!(challenge(&service, "second").await, 200);
    let (status, _) = ask(&service, Method::DELETE, "/apps/second", &Value::Null).await;
    assert_eq!(status, 204);
    let gone = async || (challenge(&service, "second").await == 404).then_some(());
    eventually("the app is forgotten", gone).await;
    let (status, problem) = ask(&service, Method::DELETE, "/apps/acme", &Value::Null).await;
    assert_eq!(status, 409, "declared: {problem:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_made_by_api_make_tickets_at_once() {
    let service = start(Setup::unfiltered()).await;
    let ann = service.user("ann");
    service.post(NewPost::by(ann, "@acme before"));
    service.settled().await;
    let path = format!("/accounts/{ACME}/filters");
    let wrong = json!({"filters": [
        {"match": "mentions", "group": "support"}, {"match": "term", "term": "#", "group": "x"},
    ]});
    let (status, problem) = ask(&service, Method::PUT, &path, &wrong).await;
    assert_eq!(status, 400, "{problem:#}");
    assert_eq!(problem["errors"][0]["field"], "[1].term");
    let right = json!({"filters": [{"match": "mentions", "group": "support"}]});
    let (status, kept) = ask(&service, Method::PUT, &path, &right).await;
    assert_eq!(status, 200, "{kept:#}");
    assert_eq!(kept["filters"][0]["group"], "support");
    service.post(NewPost::by(ann, "@acme behind"));
    let event = service.next_event().await;
    assert_eq!(event.text("/message/text"), "@acme behind");
    assert_eq!(event.text("/route/group"), "support");
    let (_, audit) = ask(&service, Method::GET, "/audit", &Value::Null).await;
    assert_eq!(audit["items"][0]["action"], "filters.put");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_key_that_a_store_was_sealed_with_opens_it() {
    let broker = TestBroker::vhost().await;
    let [old, new] = [7, 8].map(|byte| STANDARD.encode([byte; 32]));
    let setup = Setup::new().set("SECRETS__KEY", &old);
    let mut service = ServiceProcess::start(&setup, &broker.url()).await;
    service.terminate().await;
    service.set("SECRETS__KEY", &new);
    assert_eq!(service.start_in_vain().await.code(), Some(1));
    service.set("SECRETS__KEY", &old);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("new.key");
    fs::write(&file, format!("{new}\n")).unwrap();
    let rotate = [
        "secrets",
        "rotate",
        "--new-key-file",
        file.to_str().unwrap(),
    ];
    service.run(&rotate).await;
    assert_eq!(service.start_in_vain().await.code(), Some(1));
    service.set("SECRETS__KEY", &new);
    service.start_again().await;
    service.answers_challenges().await;
}
