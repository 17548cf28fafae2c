//! Apps, webhooks, subscriptions and tokens by the control API and on the page.

use reqwest::{Method, Response};
use serde_json::{Value, json};
use simulator::{Decision, Form};

use super::client::{APP, Caller};
use super::desk::{BACK, DESK, Desk, With};

async fn write(desk: &Desk, path: &str, body: Value) -> Response {
    let request = desk.http.post(desk.url(&format!("/control/{path}")));
    request.json(&body).send().await.unwrap()
}

async fn read(desk: &Desk, path: &str) -> Value {
    let request = desk.http.get(desk.url(&format!("/control/{path}")));
    request.send().await.unwrap().json().await.unwrap()
}

#[actix_web::test]
async fn an_app_is_told_of_while_the_simulator_runs() {
    let desk = Desk::new().await;
    let app = json!({
        "name": "late",
        "consumer_secret": "s",
        "permission": "read",
        "callbacks": [BACK],
        "developer": "ours",
        "owner": "acme",
        "webhook": "https://desk.example/w",
        "forms": ["account_activity"],
        "accounts": ["acme"],
    });
    assert_eq!(write(&desk, "apps", app.clone()).await.status(), 204);
    assert_eq!(
        write(&desk, "apps", app).await.status(),
        404,
        "the name is taken"
    );
    let apps = read(&desk, "apps").await;
    let late = apps
        .as_array()
        .unwrap()
        .iter()
        .find(|app| app["name"] == "late");
    let late = late.unwrap();
    assert_eq!(late["permission"], "read");
    assert_eq!(late["webhook"], "https://desk.example/w");
    assert_eq!(late["valid"], true);
    let subscriptions = read(&desk, "subscriptions?app=late&account=acme").await;
    assert_eq!(subscriptions[0]["form"], "account_activity");
    assert_eq!(subscriptions[0]["webhook"], late["webhook_id"]);
    let tokens = read(&desk, "tokens?app=late").await;
    let signed = tokens
        .as_array()
        .unwrap()
        .iter()
        .find(|token| token["kind"] == "oauth1");
    assert_eq!(signed.unwrap()["permission"], "read");
    let level = json!({ "app": "late", "permission": "read_write" });
    assert_eq!(write(&desk, "permission", level).await.status(), 204);
}

#[actix_web::test]
async fn webhooks_and_subscriptions_are_broken_by_json() {
    let desk = Desk::new().await;
    let new = json!({ "app": DESK, "url": desk.webhook.url });
    let made: Value = write(&desk, "webhooks", new).await.json().await.unwrap();
    let webhook = json!({ "webhook": made["id"] });
    desk.simulator
        .subscribe(DESK, desk.acme, &[Form::AccountActivity])
        .unwrap();
    assert_eq!(
        write(&desk, "webhook_invalid", webhook.clone())
            .await
            .status(),
        200
    );
    assert_eq!(read(&desk, "webhooks?app=desk").await[0]["valid"], false);
    assert_eq!(
        write(&desk, "webhook_check", webhook.clone())
            .await
            .status(),
        200
    );
    assert_eq!(read(&desk, "webhooks?app=desk").await[0]["valid"], true);
    let subscriptions = read(&desk, "subscriptions").await;
    let lost = json!({ "subscription": subscriptions[0]["id"] });
    assert_eq!(
        write(&desk, "subscription_lost", lost.clone())
            .await
            .status(),
        200
    );
    assert_eq!(write(&desk, "subscription_lost", lost).await.status(), 404);
    assert_eq!(read(&desk, "subscriptions").await, json!([]));
    assert_eq!(
        write(&desk, "webhook_deleted", webhook.clone())
            .await
            .status(),
        200
    );
    assert_eq!(write(&desk, "webhook_deleted", webhook).await.status(), 404);
    assert_eq!(
        write(&desk, "suspend_app", json!({ "app": DESK }))
            .await
            .status(),
        200
    );
    let closed = desk.bearer(Method::GET, "/2/webhooks", None).await;
    assert_eq!(closed.status, 401);
    assert_eq!(
        write(&desk, "resume_app", json!({ "app": DESK }))
            .await
            .status(),
        200
    );
}

#[actix_web::test]
async fn a_script_can_say_what_a_user_says() {
    let desk = Desk::new().await;
    let with = With {
        callback: Some(BACK),
        ..With::default()
    };
    let request = desk.signed(Method::POST, "/oauth/request_token", &[], with);
    let text = request.send().await.unwrap().text().await.unwrap();
    let token = text.split(['=', '&']).nth(1).unwrap();
    let said = json!({
        "page": desk.url(&format!("/oauth/authorize?oauth_token={token}")),
        "account": "acme",
        "decision": Decision::Deny,
    });
    let answer: Value = write(&desk, "consent", said.clone())
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(answer["leads_to"], format!("{BACK}?denied={token}"));
    assert_eq!(write(&desk, "consent", said).await.status(), 400);
}

#[actix_web::test]
async fn the_page_has_a_button_for_each_thing_that_breaks() {
    let caller = Caller::new().await;
    let shown = caller.http.get(caller.url("/")).send().await.unwrap();
    let shown = shown.text().await.unwrap();
    for expected in [
        "revoke as @acme",
        "make invalid",
        "CRC check",
        "lose all",
        "post.mention.create",
        "suspend",
        "read-write-directmessages",
        "alive",
    ] {
        assert!(shown.contains(expected), "{expected}");
    }
    let press = async |action: &str, field: &str, value: &str| {
        let request = caller.http.post(caller.url(&format!("/actions/{action}")));
        let sent = request.form(&[(field, value)]).send().await.unwrap();
        assert_eq!(sent.status(), 200, "{action}");
    };
    let webhook = caller.simulator().webhooks_of(APP)[0].id.to_string();
    press("webhook_invalid", "webhook", &webhook).await;
    assert!(!caller.simulator().webhook_valid(APP).unwrap());
    let lost = caller.simulator().subscriptions()[0].id.to_string();
    press("subscription_lost", "subscription", &lost).await;
    press("webhook_deleted", "webhook", &webhook).await;
    assert!(caller.simulator().webhooks().is_empty());
}
