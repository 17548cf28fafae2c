//! Webhooks by API, in both versions.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use simulator::{NewApp, Settings};

use super::client::Answered;
use super::desk::{DESK, Desk, code, reason};
use crate::webhook::{Challenge, SECRET, Webhook};

const V1: &str = "/1.1/account_activity/all/prod/webhooks";

async fn register(desk: &Desk, url: &str) -> Answered {
    let body = Some(json!({ "url": url }));
    desk.bearer(Method::POST, "/2/webhooks", body).await
}

async fn listed(desk: &Desk) -> Value {
    desk.bearer(Method::GET, "/2/webhooks", None).await.body
}

#[actix_web::test]
async fn a_webhook_is_registered_listed_checked_and_deleted() {
    let desk = Desk::new().await;
    assert_eq!(
        listed(&desk).await,
        json!({ "data": [], "meta": { "result_count": 0 } })
    );
    let made = register(&desk, &desk.webhook.url).await;
    assert_eq!(made.status, 200, "{made:?}");
    assert_eq!(made.body["data"]["url"], desk.webhook.url);
    assert_eq!(made.body["data"]["valid"], true);
    assert!(made.header("x-rate-limit-remaining").is_some());
    let id = made.body["data"]["id"].as_str().unwrap();
    assert_eq!(listed(&desk).await["data"], json!([made.body["data"]]));

    let one = format!("/2/webhooks/{id}");
    let number = id.parse().unwrap();
    desk.simulator.invalidate_webhook(number).unwrap();
    assert_eq!(listed(&desk).await["data"][0]["valid"], false);
    desk.webhook.meet_challenges(Challenge::Status(500));
    let failed = desk.bearer(Method::PUT, &one, None).await;
    assert_eq!(
        (failed.status, reason(&failed)),
        (400, "CrcValidationFailed")
    );
    assert_eq!(listed(&desk).await["data"][0]["valid"], false);
    desk.webhook.meet_challenges(Challenge::Correct);
    let passed = desk.bearer(Method::PUT, &one, None).await;
    assert_eq!(passed.body, json!({ "data": { "valid": true } }));
    assert_eq!(listed(&desk).await["data"][0]["valid"], true);

    let gone = desk.bearer(Method::DELETE, &one, None).await;
    assert_eq!(gone.body, json!({ "data": { "deleted": true } }));
    let unknown = desk.bearer(Method::DELETE, &one, None).await;
    assert_eq!(
        (unknown.status, reason(&unknown)),
        (400, "WebhookIdInvalid")
    );
}

#[actix_web::test]
async fn an_address_is_refused_for_its_form_its_answer_and_its_number() {
    let desk = Desk::new().await;
    for url in ["http://desk.example/w", "https://desk.example:8443/w", "x"] {
        let refused = register(&desk, url).await;
        assert_eq!(
            (refused.status, reason(&refused)),
            (400, "UrlValidationFailed")
        );
    }
    for challenge in [
        Challenge::WrongSecret,
        Challenge::Status(302),
        Challenge::Status(404),
    ] {
        desk.webhook.meet_challenges(challenge);
        let refused = register(&desk, &desk.webhook.url).await;
        assert_eq!(
            (refused.status, reason(&refused)),
            (400, "CrcValidationFailed")
        );
    }
    assert!(desk.simulator.webhooks().is_empty());
    desk.webhook.meet_challenges(Challenge::Correct);
    desk.register().await;
    let twice = register(&desk, &desk.webhook.url).await;
    assert_eq!((twice.status, reason(&twice)), (400, "DuplicateUrlFailed"));
    let second = Webhook::start();
    let full = register(&desk, &second.url).await;
    assert_eq!((full.status, reason(&full)), (400, "WebhookLimitExceeded"));
    desk.simulator
        .change_api(|settings| settings.webhook_limit = Some(2));
    assert_eq!(register(&desk, &second.url).await.status, 200);
}

#[actix_web::test]
async fn the_limit_counts_over_the_developer_account_and_webhooks_are_an_apps_own() {
    let desk = Desk::with(|app| NewApp {
        developer: "ours".to_owned(),
        ..app
    })
    .await;
    let other = NewApp {
        developer: "ours".to_owned(),
        ..NewApp::new("staging", "secret", "")
    };
    desk.simulator.add_app(other).unwrap();
    let stranger = NewApp::new("stranger", "secret", "https://theirs.example/w");
    desk.simulator.add_app(stranger).unwrap();
    let theirs = desk
        .simulator
        .register_webhook("staging", "https://desk.example/w", None);
    let theirs = theirs.unwrap();
    let full = register(&desk, &desk.webhook.url).await;
    assert_eq!(reason(&full), "WebhookLimitExceeded");
    assert_eq!(listed(&desk).await["data"], json!([]));
    let foreign = desk
        .bearer(Method::DELETE, &format!("/2/webhooks/{theirs}"), None)
        .await;
    assert_eq!(reason(&foreign), "WebhookIdInvalid");
    desk.simulator.delete_webhook(theirs).unwrap();
    desk.register().await;
}

#[actix_web::test]
async fn v1_has_labels_no_envelopes_and_one_code_for_refusals() {
    let desk = Desk::new().await;
    desk.simulator.set_owner(DESK, desk.acme);
    let collection = format!("{V1}.json");
    let url = desk.webhook.url.clone();
    let create = async |user, path: &str, url: &str| {
        let request = desk.user_request(user, Method::POST, path, &[("url", url)]);
        Answered::of(request.send().await.unwrap()).await
    };
    let stranger = create(desk.ann, &collection, &url).await;
    assert_eq!((stranger.status, code(&stranger)), (403, 200));
    let label = create(
        desk.acme,
        "/1.1/account_activity/all/Prod/webhooks.json",
        &url,
    )
    .await;
    assert_eq!((label.status, code(&label)), (403, 200));
    desk.webhook.meet_challenges(Challenge::WrongSecret);
    let wrong = create(desk.acme, &collection, &url).await;
    assert_eq!((wrong.status, code(&wrong)), (403, 214));
    desk.webhook.meet_challenges(Challenge::Correct);
    let made = create(desk.acme, &collection, &url).await;
    assert_eq!((made.status, &made.body["url"]), (200, &json!(url)));
    let full = create(desk.acme, &collection, "https://desk.example/w").await;
    assert_eq!((full.status, code(&full)), (403, 214));

    let listed = desk.as_user(desk.acme, Method::GET, &collection).await;
    assert_eq!(listed.body, json!([made.body]));
    assert_eq!(super::webhooks::listed(&desk).await["data"], json!([]));
    let one = format!("{V1}/{}.json", made.body["id"].as_str().unwrap());
    let checked = desk.as_user(desk.acme, Method::PUT, &one).await;
    assert_eq!((checked.status, &checked.body), (204, &Value::Null));
    assert_eq!(
        desk.as_user(desk.acme, Method::DELETE, &one).await.status,
        204
    );
    let gone = desk.as_user(desk.acme, Method::DELETE, &one).await;
    assert_eq!((gone.status, code(&gone)), (404, 34));
}

#[actix_web::test]
async fn a_webhook_of_the_set_up_is_in_the_lists_of_its_products() {
    let desk = Desk::new().await;
    let app = NewApp::new("before", SECRET, &desk.webhook.url);
    desk.simulator.add_app(app).unwrap();
    let listed = desk
        .by_token("before-bearer", Method::GET, "/2/webhooks", None)
        .await;
    assert_eq!(listed.body["data"][0]["url"], desk.webhook.url);
    let collection = format!("{V1}.json");
    let listed = desk
        .by_token("before-bearer", Method::GET, &collection, None)
        .await;
    assert_eq!(listed.body[0]["url"], desk.webhook.url);
}

#[actix_web::test]
async fn the_clock_of_the_simulator_brings_on_checks() {
    let settings = Settings {
        crc_interval: Some(Duration::from_secs(3600)),
        ..Settings::default()
    };
    let desk = Desk::set_up(settings, |app| app).await;
    let id: u64 = desk.register().await.parse().unwrap();
    desk.webhook.meet_challenges(Challenge::WrongSecret);
    desk.simulator.advance(Duration::from_secs(3600));
    let checked = async {
        while desk.simulator.webhooks()[0].valid {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), checked)
        .await
        .unwrap();
    assert_eq!(desk.simulator.webhooks()[0].id, id);
}
