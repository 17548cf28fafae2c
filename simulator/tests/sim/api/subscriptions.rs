//! Subscriptions by API, and what is delivered for them.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use simulator::{ActivityAnswer, DeliveryState, Form, NewApp, NewPost, Permission};

use super::client::Answered;
use super::desk::{DESK, Desk, code, reason};

const ACTIVITY: &str = "/2/activity/subscriptions";

fn all(webhook: &str) -> String {
    format!("/2/account_activity/webhooks/{webhook}/subscriptions/all")
}

async fn delivered(desk: &Desk) -> Vec<Value> {
    let settled = desk.simulator.settled();
    tokio::time::timeout(Duration::from_secs(20), settled)
        .await
        .unwrap();
    desk.webhook.bodies()
}

fn mention(desk: &Desk) {
    let post = NewPost::by(desk.ann, "@acme my printer burns");
    desk.simulator.post(post).unwrap();
}

#[actix_web::test]
async fn account_activity_is_delivered_from_the_subscription_to_its_end() {
    let desk = Desk::new().await;
    mention(&desk);
    assert!(delivered(&desk).await.is_empty());
    let webhook = desk.register().await;
    let path = all(&webhook);
    let before = desk.as_user(desk.acme, Method::GET, &path).await;
    assert_eq!(before.body["data"]["subscribed"], false);
    let made = desk.as_user(desk.acme, Method::POST, &path).await;
    assert_eq!(
        (made.status, &made.body["data"]["subscribed"]),
        (200, &json!(true))
    );
    let twice = desk.as_user(desk.acme, Method::POST, &path).await;
    assert_eq!(
        (twice.status, reason(&twice)),
        (400, "DuplicateSubscriptionFailed")
    );
    let after = desk.as_user(desk.acme, Method::GET, &path).await;
    assert_eq!(after.body["data"]["subscribed"], true);
    let list = desk
        .bearer(Method::GET, &format!("{path}/list"), None)
        .await;
    assert_eq!(
        list.body["data"]["subscriptions"],
        json!([{ "user_id": desk.acme }])
    );
    assert_eq!(list.body["data"]["webhook_url"], desk.webhook.url);
    let count = desk
        .bearer(Method::GET, "/2/account_activity/subscriptions/count", None)
        .await;
    assert_eq!(count.body["data"]["subscriptions_count_all"], "1");
    assert_eq!(count.body["data"]["provisioned_count"], "3");

    mention(&desk);
    let bodies = delivered(&desk).await;
    assert_eq!(bodies.len(), 1);
    assert_eq!(bodies[0]["for_user_id"], desk.acme.to_string());
    let end = format!(
        "/2/account_activity/webhooks/{webhook}/subscriptions/{}/all",
        desk.acme
    );
    let ended = desk.bearer(Method::DELETE, &end, None).await;
    assert_eq!(ended.body["data"]["subscribed"], false);
    let again = desk.bearer(Method::DELETE, &end, None).await;
    assert_eq!(reason(&again), "SubscriptionNotFound");
    mention(&desk);
    assert_eq!(delivered(&desk).await.len(), 1);
}

#[actix_web::test]
async fn account_activity_needs_the_product_the_level_the_webhook_and_room() {
    let desk = Desk::with(|app| NewApp {
        permission: Permission::ReadWrite,
        ..app.with_forms(&[Form::AccountActivity])
    })
    .await;
    let webhook = desk.register().await;
    let low = desk.as_user(desk.acme, Method::POST, &all(&webhook)).await;
    assert!(
        low.body["type"]
            .as_str()
            .unwrap()
            .ends_with("oauth1-permissions")
    );
    desk.simulator
        .set_permission(DESK, desk.acme, Permission::ReadWriteMessages);
    desk.simulator
        .set_app_permission(DESK, Permission::ReadWriteMessages)
        .unwrap();
    let unknown = desk.as_user(desk.acme, Method::POST, &all("1")).await;
    assert_eq!(reason(&unknown), "WebhookIdInvalid");
    desk.simulator
        .change_api(|settings| settings.account_activity_limit = Some(1));
    let first = desk.as_user(desk.acme, Method::POST, &all(&webhook)).await;
    assert_eq!(first.status, 200, "{first:?}");
    let full = desk.as_user(desk.ann, Method::POST, &all(&webhook)).await;
    assert_eq!(reason(&full), "SubscriptionLimitExceeded");
    let foreign = desk.bearer(Method::GET, ACTIVITY, None).await;
    assert_eq!(
        (foreign.status, &foreign.body["reason"]),
        (403, &json!("client-not-enrolled"))
    );
}

#[actix_web::test]
async fn v1_subscribes_by_label() {
    let desk = Desk::new().await;
    let collection = "/1.1/account_activity/all/prod/subscriptions.json";
    let early = desk.as_user(desk.acme, Method::POST, collection).await;
    assert_eq!((early.status, code(&early)), (404, 34));
    let registered = desk
        .simulator
        .register_webhook(DESK, &desk.webhook.url, Some("prod"));
    registered.unwrap();
    let absent = desk.as_user(desk.acme, Method::GET, collection).await;
    assert_eq!((absent.status, code(&absent)), (404, 34));
    assert_eq!(
        desk.as_user(desk.acme, Method::POST, collection)
            .await
            .status,
        204
    );
    let twice = desk.as_user(desk.acme, Method::POST, collection).await;
    assert_eq!((twice.status, code(&twice)), (409, 355));
    assert_eq!(
        desk.as_user(desk.acme, Method::GET, collection)
            .await
            .status,
        204
    );
    let list = "/1.1/account_activity/all/prod/subscriptions/list.json";
    let list = desk.bearer(Method::GET, list, None).await;
    assert_eq!(
        list.body["subscriptions"],
        json!([{ "user_id": desk.acme }])
    );
    let count = "/1.1/account_activity/subscriptions/count.json";
    let count = desk.bearer(Method::GET, count, None).await;
    assert_eq!(count.body["subscriptions_count_all"], "1");
    mention(&desk);
    assert_eq!(delivered(&desk).await.len(), 1);
    let one = format!(
        "/1.1/account_activity/all/prod/subscriptions/{}.json",
        desk.acme
    );
    assert_eq!(desk.bearer(Method::DELETE, &one, None).await.status, 204);
    assert_eq!(desk.bearer(Method::DELETE, &one, None).await.status, 404);
}

async fn create(desk: &Desk, body: Value) -> Answered {
    let request = desk.user_request(desk.acme, Method::POST, ACTIVITY, &[]);
    Answered::of(request.json(&body).send().await.unwrap()).await
}

#[actix_web::test]
async fn activity_delivers_the_events_that_were_asked_for_with_their_tags() {
    let desk = Desk::new().await;
    let webhook = desk.register().await;
    let wanted = json!({
        "event_type": "post.mention.create",
        "filter": { "user_id": desk.acme },
        "tag": "mentions of acme",
        "webhook_id": webhook,
    });
    let made = create(&desk, wanted.clone()).await;
    assert_eq!(made.status, 200, "{made:?}");
    let told = &made.body["data"];
    for field in ["event_type", "filter", "tag", "webhook_id"] {
        assert_eq!(told[field], wanted[field], "{field}");
    }
    let twice = create(&desk, wanted).await;
    assert_eq!(reason(&twice), "DuplicateSubscriptionFailed");
    mention(&desk);
    desk.simulator
        .post(NewPost::by(desk.acme, "hello"))
        .unwrap();
    let bodies = delivered(&desk).await;
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert_eq!(bodies[0]["data"]["event_type"], "post.mention.create");
    assert_eq!(bodies[0]["data"]["tag"], "mentions of acme");

    let one = format!("{ACTIVITY}/{}", told["subscription_id"].as_str().unwrap());
    let change = Some(json!({ "tag": "another" }));
    let changed = desk.bearer(Method::PUT, &one, change).await;
    assert_eq!(changed.body["data"]["tag"], "another");
    assert_eq!(changed.body["data"]["webhook_id"], webhook);
    let gone = desk.bearer(Method::DELETE, &one, None).await;
    assert_eq!(gone.body["data"]["deleted"], true);
    assert_eq!(gone.body["meta"]["total_subscriptions"], 0);
    let unknown = desk.bearer(Method::DELETE, &one, None).await;
    assert_eq!(reason(&unknown), "SubscriptionNotFound");
    mention(&desk);
    assert_eq!(delivered(&desk).await.len(), 1);
}

#[actix_web::test]
async fn private_events_need_their_user_and_public_ones_nobody() {
    let desk = Desk::new().await;
    let body = |event: &str, user| json!({ "event_type": event, "filter": { "user_id": user } });
    let post = |body| desk.bearer(Method::POST, ACTIVITY, Some(body));
    assert_eq!(post(body("dm.received", desk.acme)).await.status, 403);
    assert_eq!(post(body("post.delete", desk.ann)).await.status, 200);
    assert_eq!(
        create(&desk, body("dm.received", desk.ann)).await.status,
        403
    );
    assert_eq!(
        create(&desk, body("dm.received", desk.acme)).await.status,
        200
    );
    desk.simulator
        .set_permission(DESK, desk.acme, Permission::ReadWrite);
    let keys = desk.simulator.credentials(DESK, desk.acme).unwrap();
    let with = super::desk::With {
        token: Some((&keys.access_token, &keys.access_token_secret)),
        ..super::desk::With::default()
    };
    let low = desk.signed(Method::POST, ACTIVITY, &[], with);
    let low = low.json(&body("dm.sent", desk.acme)).send().await.unwrap();
    assert_eq!(low.status(), 403);
    for wrong in [
        body("post.like", desk.acme),
        json!({ "event_type": "post.create", "filter": {} }),
    ] {
        assert_eq!(post(wrong).await.status, 400);
    }
    desk.simulator
        .change_api(|settings| settings.activity_limit = Some(2));
    let full = post(body("post.create", desk.ann)).await;
    assert_eq!(reason(&full), "SubscriptionLimitExceeded");
}

/// A token of OAuth 2.0 with the scopes that users give unless asked for others.
async fn oauth2_token(desk: &Desk) -> String {
    let keys = desk.simulator.authorize(DESK, desk.acme).unwrap();
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &*keys.refresh_token),
    ];
    let call = desk.http.post(desk.url("/2/oauth2/token"));
    let call = call.basic_auth(&keys.client_id, Some(&keys.client_secret));
    let pair = Answered::of(call.form(&form).send().await.unwrap()).await;
    pair.body["access_token"].as_str().unwrap().to_owned()
}

#[actix_web::test]
async fn a_token_of_oauth_2_subscribes_to_what_its_scopes_say() {
    let desk = Desk::new().await;
    let path = all(&desk.register().await);
    let token = oauth2_token(&desk).await;
    let made = desk.by_token(&token, Method::POST, &path, None).await;
    assert_eq!(made.status, 200, "{made:?}");
    let subscribe = async |event: &str| {
        let body = json!({ "event_type": event, "filter": { "user_id": desk.acme } });
        let made = desk.by_token(&token, Method::POST, ACTIVITY, Some(body));
        made.await.status
    };
    assert_eq!(subscribe("dm.received").await, 200);
    assert_eq!(subscribe("like.create").await, 403);
    let webhooks = desk
        .by_token(&token, Method::GET, "/2/webhooks", None)
        .await;
    assert_eq!(webhooks.status, 403);
    let kind = webhooks.body["type"].as_str().unwrap();
    assert!(kind.ends_with("unsupported-authentication"));
}

#[actix_web::test]
async fn activity_is_listed_in_pages_and_deleted_by_many_ids() {
    let desk = Desk::new().await;
    let mut ids = Vec::new();
    for (event, answer) in [
        ("post.create", ActivityAnswer::Object),
        ("post.delete", ActivityAnswer::Array),
        ("profile.update.bio", ActivityAnswer::Wrapped),
    ] {
        desk.simulator
            .change_api(|settings| settings.activity_answer = answer);
        let body = json!({ "event_type": event, "filter": { "user_id": desk.acme } });
        let made = desk.bearer(Method::POST, ACTIVITY, Some(body)).await;
        let pointer = match answer {
            ActivityAnswer::Object => "/data/subscription_id",
            ActivityAnswer::Array => "/data/0/subscription_id",
            ActivityAnswer::Wrapped => "/data/subscription/subscription_id",
        };
        let id = made.body.pointer(pointer).unwrap();
        ids.push(id.as_str().unwrap().to_owned());
    }
    let first = desk
        .bearer(Method::GET, &format!("{ACTIVITY}?max_results=2"), None)
        .await;
    assert_eq!(first.body["data"].as_array().unwrap().len(), 2);
    assert_eq!(first.body["meta"]["total_subscriptions"], 3);
    let token = first.body["meta"]["next_token"].as_str().unwrap();
    let path = format!("{ACTIVITY}?max_results=2&pagination_token={token}");
    let second = desk.bearer(Method::GET, &path, None).await;
    assert_eq!(second.body["data"][0]["subscription_id"], ids[2]);
    assert_eq!(second.body["meta"].get("next_token"), None);
    let path = format!("{ACTIVITY}?ids={},{},7", ids[0], ids[1]);
    let gone = desk.bearer(Method::DELETE, &path, None).await;
    assert_eq!(gone.body["data"].as_array().unwrap().len(), 2);
    assert_eq!(gone.body["errors"][0]["reason"], "SubscriptionNotFound");
    assert_eq!(gone.body["meta"]["total_subscriptions"], 1);
}

#[actix_web::test]
async fn an_invalid_or_deleted_webhook_gets_nothing() {
    let desk = Desk::new().await;
    let webhook = desk.register().await;
    let id: u64 = webhook.parse().unwrap();
    desk.as_user(desk.acme, Method::POST, &all(&webhook)).await;
    let body = json!({
        "event_type": "post.create",
        "filter": { "user_id": desk.acme },
        "webhook_id": webhook,
    });
    assert_eq!(create(&desk, body).await.status, 200);
    desk.simulator.invalidate_webhook(id).unwrap();
    mention(&desk);
    assert!(delivered(&desk).await.is_empty());
    let withheld = desk.simulator.deliveries();
    assert_eq!(withheld[0].state, DeliveryState::Withheld);
    desk.bearer(Method::PUT, &format!("/2/webhooks/{webhook}"), None)
        .await;
    mention(&desk);
    assert_eq!(delivered(&desk).await.len(), 1);
    desk.simulator.delete_webhook(id).unwrap();
    mention(&desk);
    assert_eq!(delivered(&desk).await.len(), 1);
    let left = desk.simulator.subscriptions_of(DESK, desk.acme);
    let left: Vec<_> = left.iter().map(|kept| (kept.event, kept.webhook)).collect();
    assert_eq!(left, [(Some("post.create"), None)]);
}

#[actix_web::test]
async fn a_user_who_puts_the_app_out_is_told_of_once_and_then_nothing_more() {
    let desk = Desk::new().await;
    let webhook = desk.register().await;
    desk.as_user(desk.acme, Method::POST, &all(&webhook)).await;
    for event in ["post.create", "post.delete"] {
        let body = json!({
            "event_type": event,
            "filter": { "user_id": desk.acme },
            "webhook_id": webhook,
        });
        assert_eq!(create(&desk, body).await.status, 200);
    }
    desk.simulator.revoke(DESK, desk.acme).unwrap();
    mention(&desk);
    let bodies = delivered(&desk).await;
    assert_eq!(bodies.len(), 2, "{bodies:?}");
    assert!(
        bodies
            .iter()
            .any(|body| body["user_event"]["revoke"].is_object())
    );
    assert!(
        bodies
            .iter()
            .any(|body| body["data"]["event_type"] == "oauth.revoke")
    );
    assert!(desk.simulator.subscriptions().is_empty());
    assert!(
        desk.simulator
            .tokens_of(DESK)
            .iter()
            .all(|token| !token.alive)
    );
}
