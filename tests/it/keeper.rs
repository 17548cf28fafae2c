//! X's side of the set-up on the running service: registered from nothing, never at another's cost,
//! and mended when X loses it. Times are from the fault to the event and to the repair, with a look
//! every half second; in operation it is `x_api.keep_every`.

use std::time::{Duration, Instant};

use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use simulator::{NewPost, Permission, RawSignature, SubscriptionSeen};

use crate::support::broker::{client, eventually};
use crate::support::service::{ACME, APP, Event, INBOX, Setup, TestService};

const TOKEN: &str = "let-me-in";
/// No fault of the set-up lasts.
const OF_SETUP: [&str; 12] = [
    "WEBHOOK_MISSING",
    "WEBHOOK_INVALID",
    "WEBHOOK_IN_THE_WAY",
    "WEBHOOK_LIMIT",
    "SUBSCRIPTION_MISSING",
    "SUBSCRIPTION_LIMIT",
    "SCOPE_MISSING",
    "PERMISSION_MISSING",
    "PRODUCT_MISSING",
    "KEYS_WRONG",
    "PUBLIC_URL_UNREACHABLE",
    "SIGNATURES_FAIL",
];
/// Kinds of X Activity that an account without reposts needs.
const KINDS: usize = 12;

#[derive(Clone, Copy, Debug)]
enum Kind {
    V1,
    V2,
    Activity,
}

impl Kind {
    fn keys(self) -> &'static str {
        match self {
            Self::V1 => {
                "delivery = \"account_activity_v1\"\nenvironment = \"prod\"\n\
                 owner_access_token = \"token-of-acme\"\n\
                 owner_access_token_secret = \"token-secret-of-acme\""
            }
            Self::V2 => "delivery = \"account_activity\"",
            Self::Activity => "delivery = \"activity\"",
        }
    }

    fn subscriptions(self) -> usize {
        match self {
            Self::V1 | Self::V2 => 1,
            Self::Activity => KINDS,
        }
    }
}

fn bare(kind: Kind) -> Setup {
    Setup::new()
        .bare()
        .app_keys(kind.keys())
        .set("PRIVATE__TOKEN", TOKEN)
}

/// A service that has begun to publish.
async fn start(setup: Setup) -> TestService {
    let service = TestService::start(setup).await;
    service.settled().await;
    service
}

/// A service whose webhook is registered and whose account is subscribed.
async fn set_up(kind: Kind) -> TestService {
    let service = start(bare(kind)).await;
    let (status, said) = service.run(&["webhook", "register"]).await;
    assert!(status == 0 && said.starts_with("registered: "), "{said}");
    is_right(&service, kind).await;
    service
}

#[tokio::test]
async fn a_start_finds_its_own_address_served() {
    let service = TestService::start(bare(Kind::V2)).await;
    let first = async || {
        let mut events = service.take_events_of(INBOX).await.into_iter();
        events.find(|event| event.event_type() == "account.health")
    };
    let first = eventually("the first look at the set-up", first).await;
    assert_eq!(fault(&first, "PUBLIC_URL_UNREACHABLE"), None);
}

fn subscriptions(service: &TestService) -> Vec<SubscriptionSeen> {
    service.simulator.subscriptions_of(APP, ACME)
}

/// Waits until X has what it should, and the watch has told so.
async fn is_right(service: &TestService, kind: Kind) {
    let as_wanted = async || {
        let webhooks = service.simulator.webhooks_of(APP);
        let url = service.webhook(APP);
        let [webhook] = &webhooks[..] else {
            return None;
        };
        let there = subscriptions(service);
        let lead_here = there.iter().all(|it| it.webhook == Some(webhook.id));
        let right = webhook.valid && webhook.url == url && lead_here;
        (right && there.len() == kind.subscriptions()).then_some(())
    };
    eventually("webhook and subscriptions as they should be", as_wanted).await;
    let well = async || {
        let health = api(service, Method::GET, "/health", None).await.1;
        let faults = health.to_string();
        let is_well = !OF_SETUP.iter().any(|code| faults.contains(code));
        is_well.then_some(())
    };
    eventually("no fault of the set-up", well).await;
}

async fn api(
    service: &TestService,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> (u16, Value) {
    let url = format!("{}/api/v1{path}", service.private_url());
    let mut request = client().request(method, url).bearer_auth(TOKEN);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

/// Waits for `account.health` with this fault; gives it.
async fn told(service: &TestService, code: &str) -> Event {
    let came = async || {
        let events = service.take_events_of(INBOX).await.into_iter();
        let health = events.filter(|event| event.event_type() == "account.health");
        let mut fitting = health.filter(|event| fault(event, code).is_some());
        fitting.next_back()
    };
    eventually(&format!("a health event with {code}"), came).await
}

fn fault(event: &Event, code: &str) -> Option<Value> {
    let faults = event.at("/faults").as_array().unwrap().iter();
    let found = faults.clone().find(|fault| fault["code"] == code);
    found.cloned()
}

/// Waits until X has what it should again; how long it took since, and till it was told.
async fn mended(service: &TestService, kind: Kind, code: &str, what: &str) -> Duration {
    let began = Instant::now();
    let event = told(service, code).await;
    let until_told = began.elapsed();
    let fault = fault(&event, code).unwrap();
    for part in ["sentence", "fix"] {
        assert!(fault[part].as_str().unwrap().ends_with('.'), "{fault:#}");
    }
    assert_eq!(event.at("/can_receive"), false, "{:#}", event.body);
    is_right(service, kind).await;
    let until_mended = began.elapsed();
    println!("{kind:?}, {what}: told after {until_told:?}, mended after {until_mended:?}");
    until_mended
}

#[rstest]
#[case(Kind::V1)]
#[case(Kind::V2)]
#[case(Kind::Activity)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_x_loses_is_told_and_mended(#[case] kind: Kind) {
    let service = start(bare(kind)).await;
    let event = told(&service, "WEBHOOK_MISSING").await;
    let missing = fault(&event, "WEBHOOK_MISSING").unwrap();
    let fix = missing["fix"].as_str().unwrap();
    assert!(fix.contains("webhook register --app acme"), "{missing:#}");
    let (status, said) = service.run(&["webhook", "register"]).await;
    assert!(status == 0 && said.starts_with("registered: "), "{said}");
    is_right(&service, kind).await;

    let ann = service.user("ann");
    service.post(NewPost::by(ann, "@acme hello"));
    let received = service.next_event().await;
    assert_eq!(received.event_type(), "message.received");

    let webhook = service.simulator.webhooks_of(APP)[0].id;
    service.simulator.invalidate_webhook(webhook).unwrap();
    mended(&service, kind, "WEBHOOK_INVALID", "webhook invalid").await;

    let lost = subscriptions(&service)[0].id;
    service.simulator.drop_subscription(lost).unwrap();
    mended(&service, kind, "SUBSCRIPTION_MISSING", "subscription lost").await;

    service.simulator.delete_webhook(webhook).unwrap();
    mended(&service, kind, "WEBHOOK_MISSING", "webhook deleted").await;
    assert_ne!(service.simulator.webhooks_of(APP)[0].id, webhook);

    service.post(NewPost::by(ann, "@acme are you there?"));
    let received = service.next_event().await;
    assert_eq!(received.text("/message/text"), "@acme are you there?");
    // What X may not have delivered meanwhile is a gap to be filled.
    let gaps = api(&service, Method::GET, "/gaps", None).await.1;
    let reasons = gaps["items"].as_array().unwrap().iter();
    assert!(
        reasons.clone().any(|gap| gap["reason"] == "undelivered"),
        "{gaps:#}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anothers_webhook_is_named_and_only_replaced_when_asked() {
    let service = start(bare(Kind::Activity)).await;
    let other = "http://127.0.0.1:9/other-helpdesk";
    let id = service
        .simulator
        .register_webhook(APP, other, None)
        .unwrap();
    let named = |said: &str| said.contains(other) && said.contains(&id.to_string());

    let event = told(&service, "WEBHOOK_IN_THE_WAY").await;
    let fault = fault(&event, "WEBHOOK_IN_THE_WAY").unwrap();
    assert!(named(fault["sentence"].as_str().unwrap()), "{fault:#}");

    let (status, said) = service.run(&["webhook", "register", "--app", APP]).await;
    assert_eq!(status, 1);
    assert!(
        named(&said) && said.contains("Nothing was deleted"),
        "{said}"
    );
    let body = Some(json!({"replace": false}));
    let path = "/apps/acme/webhooks";
    let (status, problem) = api(&service, Method::POST, path, body).await;
    assert_eq!(status, 409, "{problem:#}");
    assert!(named(problem["detail"].as_str().unwrap()), "{problem:#}");
    let urls = || {
        service
            .simulator
            .webhooks_of(APP)
            .into_iter()
            .map(|it| it.url)
    };
    assert_eq!(urls().collect::<Vec<_>>(), [other]);

    let (status, said) = service.run(&["webhook", "register", "--replace"]).await;
    assert_eq!(status, 0, "{said}");
    assert!(said.contains(&format!("deleted {id}")), "{said}");
    is_right(&service, Kind::Activity).await;
    let (_, listed) = api(&service, Method::GET, path, None).await;
    assert_eq!(listed["items"][0]["ours"], true, "{listed:#}");
    let audited = api(&service, Method::GET, "/audit", None)
        .await
        .1
        .to_string();
    assert!(audited.contains("webhook.delete") && audited.contains("webhook.register"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_is_validated_and_deleted_by_hand() {
    let service = set_up(Kind::V2).await;
    let id = service.simulator.webhooks_of(APP)[0].id.to_string();
    let (status, said) = service.run(&["webhook", "list"]).await;
    assert!(
        status == 0 && said.contains(&id) && said.contains("ours"),
        "{said}"
    );
    let (status, said) = service.run(&["webhook", "validate"]).await;
    assert!(status == 0 && said.contains("is valid"), "{said}");
    let path = format!("/apps/acme/webhooks/{id}/validate");
    let (status, answer) = api(&service, Method::POST, &path, None).await;
    assert_eq!((status, &answer["valid"]), (200, &json!(true)));
    let (status, _) = api(
        &service,
        Method::POST,
        "/apps/acme/webhooks/1/validate",
        None,
    )
    .await;
    assert_eq!(status, 409);
    let (status, _) = api(&service, Method::DELETE, "/apps/acme/webhooks/1", None).await;
    assert_eq!(status, 404);

    let (status, said) = service.run(&["webhook", "delete"]).await;
    assert!(status == 0 && said.contains(&id), "{said}");
    // What was deleted on purpose does not come back.
    let event = told(&service, "WEBHOOK_MISSING").await;
    let missing = fault(&event, "WEBHOOK_MISSING").unwrap();
    let fix = missing["fix"].as_str().unwrap();
    assert!(fix.contains("webhook register"), "{missing:#}");
    assert!(service.simulator.webhooks_of(APP).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_token_is_told_though_nobody_writes() {
    let service = set_up(Kind::Activity).await;
    let began = Instant::now();
    service.simulator.kill_tokens(APP, ACME);
    let event = told(&service, "TOKEN_REVOKED").await;
    println!("token revoked: told after {:?}", began.elapsed());
    assert_eq!(event.at("/can_send"), false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_may_not_read_messages_is_told_until_it_may() {
    let service = set_up(Kind::V2).await;
    let began = Instant::now();
    service
        .simulator
        .set_permission(APP, ACME, Permission::ReadWrite);
    told(&service, "PERMISSION_MISSING").await;
    println!("permission missing: told after {:?}", began.elapsed());
    service
        .simulator
        .set_permission(APP, ACME, Permission::ReadWriteMessages);
    is_right(&service, Kind::V2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_scope_is_named() {
    let mut service = start(bare(Kind::Activity)).await;
    let scopes = ["tweet.read", "users.read", "offline.access"];
    service.simulator.set_scopes(APP, ACME, &scopes);
    let credentials = service.simulator.credentials(APP, ACME).unwrap();
    let keys = format!("oauth2_refresh_token = \"{}\"", credentials.refresh_token);
    service.stop().await;
    let client = "delivery = \"activity\"\nclient_id = \"acme-client\"\n\
                  client_secret = \"acme-client-secret\"";
    let change = |setup: Setup| {
        setup
            .access_token("", "")
            .account_keys(&keys)
            .app_keys(client)
    };
    service.start_again(change).await;
    let began = Instant::now();
    let (status, said) = service.run(&["webhook", "register"]).await;
    assert_eq!(status, 0, "{said}");
    let event = told(&service, "SCOPE_MISSING").await;
    println!("scope missing: told after {:?}", began.elapsed());
    let fault = fault(&event, "SCOPE_MISSING").unwrap();
    let sentence = fault["sentence"].as_str().unwrap();
    assert!(
        sentence.contains("dm.read") && sentence.contains("X says:"),
        "{fault:#}"
    );
    // The others are subscribed all the same.
    let there = subscriptions(&service);
    assert!(
        there
            .iter()
            .any(|it| it.event == Some("post.mention.create")),
        "{there:#?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_secret_is_told() {
    let service = set_up(Kind::Activity).await;
    let began = Instant::now();
    service.simulator.rotate_secret(APP, "another").unwrap();
    for _ in 0..3 {
        let sent = service.simulator.deliver(APP, "{}", RawSignature::Correct);
        sent.await.unwrap();
    }
    // The one may come with the other, or after it.
    let event = told(&service, "SIGNATURES_FAIL").await;
    println!("signatures fail: told after {:?}", began.elapsed());
    let event = match fault(&event, "KEYS_WRONG") {
        Some(_) => event,
        None => told(&service, "KEYS_WRONG").await,
    };
    println!("keys wrong: told after {:?}", began.elapsed());
    assert_eq!(event.at("/can_send"), false);
    let (status, said) = service.run(&["app", "check"]).await;
    assert_eq!(status, 1, "{said}");
    let health = api(&service, Method::GET, "/health", None).await.1;
    assert!(!health.to_string().contains("another"), "{health:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_tested_before_they_are_kept() {
    let service = set_up(Kind::Activity).await;
    let (status, said) = service.run(&["app", "check"]).await;
    assert_eq!((status, said.as_str()), (0, "the keys of acme are right\n"));
    let keys = |secret: &str| Some(json!({"consumer_key": "beta-key", "consumer_secret": secret}));
    let (status, problem) = api(&service, Method::PUT, "/apps/beta", keys("wrong")).await;
    assert_eq!(status, 400, "{problem:#}");
    assert_eq!(problem["errors"][0]["field"], "consumer_secret");
    assert!(
        problem["detail"].as_str().unwrap().contains("X says:"),
        "{problem:#}"
    );
    let apps = api(&service, Method::GET, "/apps", None).await.1;
    assert_eq!(apps["items"].as_array().unwrap().len(), 1, "{apps:#}");

    let unchecked = "/apps/beta?check=false";
    let (status, saved) = api(&service, Method::PUT, unchecked, keys("wrong")).await;
    assert!(status == 200 && saved.get("check").is_none(), "{saved:#}");

    let app = simulator::NewApp::new("beta", "beta-secret", "");
    service.simulator.add_app(app).unwrap();
    // With the blanks and the line end of a paste.
    let (status, saved) = api(&service, Method::PUT, "/apps/beta", keys(" beta-secret\n")).await;
    assert_eq!((status, &saved["check"]), (200, &json!([])), "{saved:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_is_gone_is_unsubscribed_and_a_foreign_subscription_left() {
    for kind in [Kind::V2, Kind::Activity] {
        let second = simulator::UserId(77);
        let setup = bare(kind).account(APP, second, "second", "");
        let mut service = start(setup).await;
        let (status, said) = service.run(&["webhook", "register"]).await;
        assert_eq!(status, 0, "{said}");
        let of = |user| service.simulator.subscriptions_of(APP, user).len();
        let both = async || {
            let wanted = kind.subscriptions();
            (of(ACME) == wanted && of(second) == wanted).then_some(())
        };
        eventually("both are subscribed", both).await;
        // Whom we never subscribed is somebody else's to end.
        let stranger = service.user("stranger");
        let forms = match kind {
            Kind::Activity => simulator::Form::Activity,
            Kind::V1 | Kind::V2 => simulator::Form::AccountActivity,
        };
        service
            .simulator
            .subscribe(APP, stranger, &[forms])
            .unwrap();
        let strange = service.simulator.subscriptions_of(APP, stranger).len();
        assert!(strange > 0);
        is_right(&service, kind).await;
        service.stop().await;
        service.start_again(Setup::first_account_only).await;
        let gone = async || {
            let left = service.simulator.subscriptions_of(APP, second);
            left.is_empty().then_some(())
        };
        eventually("the account that is gone is unsubscribed", gone).await;
        is_right(&service, kind).await;
        let left = service.simulator.subscriptions_of(APP, stranger).len();
        assert_eq!(left, strange, "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_without_room_is_told() {
    let second = simulator::UserId(77);
    let setup = bare(Kind::V2).account(APP, second, "second", "");
    let service = start(setup).await;
    let one = |api: &mut simulator::ApiSettings| api.account_activity_limit = Some(1);
    service.simulator.change_api(one);
    let (status, said) = service.run(&["webhook", "register"]).await;
    assert_eq!(status, 0, "{said}");
    let event = told(&service, "SUBSCRIPTION_LIMIT").await;
    assert_eq!(event.at("/can_receive"), false);
}
