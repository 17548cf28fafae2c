//! Webhooks, subscriptions and replays of every form.

use serde_json::{Value, json};

use crate::domain::account::{AccessToken, App, Delivery};
use crate::domain::ids::{SubscriptionId, UserId, WebhookId};
use crate::x::client::testing::{Act, Bench, Recorded};
use crate::x::client::{
    ActivityKind, Auth, Call, CallError, NotSent, Obstacle, Pkce, RequestToken, SCOPES,
    UncertainBecause, offers_replay,
};

const URL: &str = "https://hooks.example/x/acme";

fn hook() -> WebhookId {
    "1234567890".parse().unwrap()
}

fn person(id: &str) -> UserId {
    id.parse().unwrap()
}

fn subscription(id: &str) -> SubscriptionId {
    id.parse().unwrap()
}

/// The bench's app, with a bearer of its own and this form of delivery.
fn app(bench: &Bench, delivery: Delivery) -> App {
    App {
        bearer_token: Some("app-bearer".into()),
        delivery,
        ..bench.app.clone()
    }
}

fn v1() -> Delivery {
    Delivery::AccountActivityV1 {
        environment: "Prod uction".to_owned(),
    }
}

fn owner() -> AccessToken {
    AccessToken {
        token: "owner-token".into(),
        secret: "owner-secret".into(),
    }
}

/// Sample `webhooks/create_a_webhook.json`.
fn made() -> Value {
    json!({"data": {"id": "1234567890", "url": URL, "valid": true, "created_at": "2025-01-15T12:00:00.000Z"}})
}

/// X's old reference: no envelope.
fn made_v1() -> Value {
    json!({"id": "1234567890", "url": URL, "valid": true, "created_at": "2016-06-02T23:54:02Z"})
}

fn no_content() -> Act {
    Act::status(204, "")
}

/// Sample `activity/api/create_subscription.json`.
fn subscribed() -> Value {
    json!({"subscription_id": "1976325569252868096", "event_type": "post.mention.create", "filter": {"user_id": "2975699229"},
        "created_at": "2025-10-09T16:35:08.000Z", "updated_at": "2025-10-09T16:35:08.000Z", "tag": "acme", "webhook_id": "1234567890"})
}

/// Makes every call by which apps and accounts are set up; which, in order.
pub(super) async fn set_up(bench: &Bench) -> Vec<Call> {
    let mut made = webhooks(bench, app(bench, Delivery::Activity)).await;
    made.extend(webhooks_v1(bench, app(bench, v1())).await);
    made.extend(accounts(bench, app(bench, Delivery::AccountActivity)).await);
    made.extend(accounts_v1(bench, app(bench, v1())).await);
    made.extend(activity(bench, app(bench, Delivery::Activity)).await);
    made.extend(links(bench).await);
    made
}

async fn webhooks(bench: &Bench, app: App) -> Vec<Call> {
    bench.x.then([
        Act::ok(made()),
        Act::ok(json!({"data": [], "meta": {"result_count": 0}})),
        Act::ok(json!({"data": {"valid": true}})),
        Act::ok(json!({"data": {"job_id": "5", "created_at": "2026-09-01T12:00:00.000Z"}})),
        Act::ok(json!({"data": {"deleted": true}})),
    ]);
    let client = &bench.client;
    let [from, to] = ["2026-09-01T09:30:30Z", "2026-09-01T11:29:01Z"].map(|it| it.parse().unwrap());
    let made = [
        client
            .register_webhook(&app, Some(&owner()), URL)
            .await
            .map_call(),
        client.webhooks(&app, None).await.map_call(),
        client.validate_webhook(&app, None, hook()).await.map_call(),
        client
            .replay_webhook(&app, hook(), from, to)
            .await
            .map_call(),
        client.delete_webhook(&app, None, hook()).await.map_call(),
    ];
    made.into()
}

async fn webhooks_v1(bench: &Bench, app: App) -> Vec<Call> {
    bench.x.then([
        Act::ok(made_v1()),
        Act::ok(json!([made_v1()])),
        Act::ok(json!([])),
        no_content(),
        no_content(),
    ]);
    let (client, owner) = (&bench.client, owner());
    let owner = Some(&owner);
    let made = [
        client.register_webhook(&app, owner, URL).await.map_call(),
        client.webhooks(&app, owner).await.map_call(),
        client.webhooks(&app, None).await.map_call(),
        client
            .validate_webhook(&app, owner, hook())
            .await
            .map_call(),
        client.delete_webhook(&app, owner, hook()).await.map_call(),
    ];
    made.into()
}

async fn accounts(bench: &Bench, app: App) -> Vec<Call> {
    bench.x.then([
        Act::ok(json!({"data": {"subscribed": true}})),
        Act::ok(json!({"data": {"subscribed": true}})),
        Act::ok(json!({"data": {"webhook_id": "1234567890", "subscriptions": []}})),
        Act::ok(json!({"data": {"subscribed": false}})),
        Act::ok(json!({"data": {"provisioned_count": "3", "subscriptions_count_all": "1"}})),
    ]);
    subscribe_and_look(bench, &app).await
}

async fn accounts_v1(bench: &Bench, app: App) -> Vec<Call> {
    bench.x.then([
        no_content(),
        no_content(),
        Act::ok(json!({"environment": "Prod uction", "subscriptions": []})),
        no_content(),
        Act::ok(json!({"provisioned_count": "15", "subscriptions_count": "1"})),
    ]);
    subscribe_and_look(bench, &app).await
}

async fn subscribe_and_look(bench: &Bench, app: &App) -> Vec<Call> {
    let (client, account) = (&bench.client, &bench.account);
    let made = [
        client
            .subscribe_account(app, account, hook())
            .await
            .map_call(),
        client
            .is_account_subscribed(app, account, hook())
            .await
            .map_call(),
        client.account_subscribers(app, hook()).await.map_call(),
        client
            .unsubscribe_account(app, hook(), account.id.0)
            .await
            .map_call(),
        client.count_account_subscriptions(app).await.map_call(),
    ];
    made.into()
}

async fn activity(bench: &Bench, app: App) -> Vec<Call> {
    let ids = [subscription("1"), subscription("2")];
    bench.x.then([
        Act::ok(json!({"data": {"subscription": subscribed()}})),
        Act::ok(json!({"data": {"subscription": subscribed()}})),
        Act::ok(json!({"data": [], "meta": {"total_subscriptions": 0}})),
        Act::ok(json!({"data": [], "meta": {"total_subscriptions": 0}})),
        Act::ok(json!({"data": {"subscription": subscribed()}})),
        Act::ok(json!({"data": [{"subscription_id": "1", "deleted": true}]})),
    ]);
    let (client, account) = (&bench.client, &bench.account);
    let (mention, own) = (ActivityKind::Mention, ActivityKind::OwnPost);
    let made = [
        client
            .subscribe_activity(&app, account, mention, hook(), "acme")
            .await
            .map_call(),
        client
            .subscribe_activity(&app, account, own, hook(), "")
            .await
            .map_call(),
        client
            .activity_subscriptions(&app, 5_000, None)
            .await
            .map_call(),
        client
            .activity_subscriptions(&app, 100, Some("page-token-of-20-chr"))
            .await
            .map_call(),
        client
            .update_activity_subscription(&app, ids[0], hook(), "acme")
            .await
            .map_call(),
        client
            .delete_activity_subscriptions(&app, &ids)
            .await
            .map_call(),
    ];
    made.into()
}

async fn links(bench: &Bench) -> Vec<Call> {
    bench.x.then([
        Act::ok(json!({"token_type": "bearer", "access_token": "B"})),
        Act::ok("oauth_token=t&oauth_token_secret=s&oauth_callback_confirmed=true"),
        Act::ok("oauth_token=t&oauth_token_secret=s&user_id=7&screen_name=ann"),
        Act::ok(json!({"access_token": "owner-token"})),
        Act::ok(json!({"access_token": "a", "refresh_token": "r", "expires_in": 7200, "scope": SCOPES.join(" ")})),
        Act::ok(json!({"revoked": true})),
    ]);
    let (client, app) = (&bench.client, &bench.app);
    let callback = "https://hooks.example/oauth/callback".parse().unwrap();
    let request_token = RequestToken {
        token: "t".to_owned(),
        secret: "s".into(),
    };
    let pkce = Pkce::of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into());
    let tested = client.test_consumer_pair(app).await.reply.map_call();
    let made = [
        tested,
        client.request_token(app, &callback).await.map_call(),
        client
            .access_token(app, &request_token, "verifier")
            .await
            .map_call(),
        client.invalidate_token(app, &owner()).await.map_call(),
        client
            .exchange_code(app, "code", &callback, &pkce)
            .await
            .map_call(),
        client.revoke_token(app, &"r".into()).await.map_call(),
    ];
    made.into()
}

#[tokio::test]
async fn a_webhook_is_the_same_whichever_version_tells_of_it() {
    for (delivery, body) in [(Delivery::Activity, made()), (v1(), made_v1())] {
        let bench = Bench::new([Act::ok(body)]).await;
        let app = app(&bench, delivery);
        let reply = bench
            .client
            .register_webhook(&app, Some(&owner()), URL)
            .await;
        let webhook = reply.result.unwrap();
        assert_eq!(
            (webhook.id, &*webhook.url, webhook.valid),
            (hook(), URL, true)
        );
        assert!(webhook.created_at.is_some());
    }
}

#[tokio::test]
async fn a_list_of_webhooks_is_whole_empty_or_unreadable() {
    let invalid = json!({"id": "1234567890", "url": URL});
    let (one, odd) = (json!([invalid]), json!([invalid, {"id": "x1", "url": URL}]));
    let page = |data: &Value| json!({"data": data, "meta": {"result_count": 1}});
    let empty = json!({"meta": {"result_count": 0}});
    for (delivery, body, valid) in [
        (Delivery::Activity, page(&one), Some(vec![false])),
        (Delivery::Activity, page(&odd), None),
        (Delivery::Activity, empty, Some(vec![])),
        (Delivery::Activity, json!({}), None),
        (v1(), one, Some(vec![false])),
        (v1(), odd, None),
        (v1(), json!([]), Some(vec![])),
        (v1(), json!({}), None),
    ] {
        let bench = Bench::new([Act::ok(&body)]).await;
        let app = app(&bench, delivery);
        let found = bench.client.webhooks(&app, None).await.result;
        let found = found.map(|list| list.iter().map(|it| it.valid).collect::<Vec<_>>());
        match (found, valid) {
            (Ok(found), Some(valid)) => assert_eq!(found, valid, "{body}"),
            (Err(CallError::Uncertain { reason, .. }), None) => {
                assert_eq!(reason, UncertainBecause::Unreadable, "{body}");
            }
            (found, valid) => panic!("{body}: {found:?}, expected {valid:?}"),
        }
    }
}

#[tokio::test]
async fn what_only_the_owner_may_do_is_not_asked_without_the_owner() {
    let bench = Bench::new([]).await;
    let app = app(&bench, v1());
    let client = &bench.client;
    let results = [
        client
            .register_webhook(&app, None, URL)
            .await
            .result
            .map(drop),
        client.delete_webhook(&app, None, hook()).await.result,
    ];
    for result in results {
        let error = result.unwrap_err();
        let CallError::NotSent { reason } = &error else {
            panic!("{error:?}");
        };
        assert!(matches!(reason, NotSent::NoCredential(_)), "{reason:?}");
    }
    assert!(bench.x.recorded().is_empty());
}

#[tokio::test]
async fn the_owners_token_stands_in_where_x_does_not_take_the_bearer() {
    let refusal = json!({"title": "Unsupported Authentication", "detail": "no", "status": 403,
        "type": "https://api.x.com/2/problems/unsupported-authentication"});
    let bench = Bench::new([Act::status(403, refusal), Act::ok(made())]).await;
    let app = app(&bench, Delivery::Activity);
    let reply = bench
        .client
        .register_webhook(&app, Some(&owner()), URL)
        .await;
    reply.result.unwrap();
    let kinds = kinds(&bench);
    assert_eq!(kinds, ["Bearer", "OAuth"]);
}

fn kinds(bench: &Bench) -> Vec<String> {
    let kind = |it: &Recorded| {
        let kind = it.header("authorization").split(' ').next();
        kind.unwrap().to_owned()
    };
    bench.x.recorded().iter().map(kind).collect()
}

#[tokio::test]
async fn the_form_that_registers_is_signed() {
    let bench = Bench::new([Act::ok(made_v1())]).await;
    let app = app(&bench, v1());
    let reply = bench
        .client
        .register_webhook(&app, Some(&owner()), URL)
        .await;
    reply.result.unwrap();
    let request = bench.x.only();
    assert_eq!(
        request.path,
        "/1.1/account_activity/all/Prod%20uction/webhooks.json"
    );
    super::links::assert_signed(&bench, &request, &app, Some(&owner()));
}

#[tokio::test]
async fn both_shapes_of_an_answer_to_a_replay_are_read() {
    let job = json!({"job_id": "1095098195724558337", "created_at": "2026-09-01T12:00:00.000Z"});
    for body in [
        json!({"data": job}),
        json!({"for_user_id": "7", "replay_event": job}),
        job.clone(),
    ] {
        let bench = Bench::new([Act::ok(&body)]).await;
        let app = app(&bench, Delivery::AccountActivity);
        let [from, to] =
            ["2026-09-01T09:00:00Z", "2026-09-01T10:00:00Z"].map(|it| it.parse().unwrap());
        let begun = bench.client.replay_webhook(&app, hook(), from, to).await;
        let begun = begun.result.unwrap();
        assert_eq!(begun.id, "1095098195724558337", "{body}");
        assert_eq!(
            begun.created_at,
            Some("2026-09-01T12:00:00Z".parse().unwrap())
        );
    }
}

#[tokio::test]
async fn a_replay_that_x_does_not_offer_or_that_ends_before_it_begins_is_not_asked_for() {
    let bench = Bench::new([]).await;
    let [early, late] =
        ["2026-09-01T09:00:00Z", "2026-09-01T10:00:00Z"].map(|it| it.parse().unwrap());
    for (delivery, from, to) in [(v1(), early, late), (Delivery::Activity, late, early)] {
        assert!(offers_replay(&delivery) || from < to);
        let app = app(&bench, delivery);
        let reply = bench.client.replay_webhook(&app, hook(), from, to).await;
        let error = reply.result.unwrap_err();
        let CallError::NotSent { reason } = &error else {
            panic!("{error:?}");
        };
        assert!(matches!(reason, NotSent::Unaskable(_)), "{reason:?}");
    }
    assert!(bench.x.recorded().is_empty());
}

#[tokio::test]
async fn whether_an_account_is_subscribed_is_said_in_several_ways() {
    let gone = json!({"errors": [{"code": 34, "message": "Sorry, that page does not exist."}]});
    let forbidden = json!({"errors": [{"code": 200, "message": "Forbidden."}]});
    let not_found = json!({"errors": [{"message": "SubscriptionNotFound: no"}], "title": "Invalid Request",
        "detail": "One or more parameters to your request was invalid.", "type": "https://api.x.com/2/problems/invalid-request"});
    let v2 = || Delivery::AccountActivity;
    for (delivery, act, expected) in [
        (
            v2(),
            Act::ok(json!({"data": {"subscribed": true}})),
            Ok(true),
        ),
        (
            v2(),
            Act::ok(json!({"data": {"subscribed": false}})),
            Ok(false),
        ),
        (v2(), Act::status(400, not_found), Ok(false)),
        (
            v2(),
            Act::status(404, &gone),
            Err(Some(Obstacle::NoSuchWebhook)),
        ),
        (v1(), no_content(), Ok(true)),
        (v1(), Act::status(404, &gone), Ok(false)),
        (
            v1(),
            Act::status(403, forbidden),
            Err(Some(Obstacle::UnknownEnvironment)),
        ),
    ] {
        let shown = format!("{delivery:?} {act:?}");
        let bench = Bench::new([act]).await;
        let app = app(&bench, delivery);
        let reply = bench
            .client
            .is_account_subscribed(&app, &bench.account, hook())
            .await;
        let obstacle = reply.obstacle();
        assert_eq!(reply.result.map_err(|_told| obstacle), expected, "{shown}");
    }
}

#[tokio::test]
async fn subscribers_and_their_number_are_read_in_both_forms() {
    let users = json!([{"user_id": "7"}, {"user_id": "8"}]);
    let v2 = json!({"data": {"application_id": "1", "webhook_id": "1234567890", "webhook_url": URL, "subscriptions": users}});
    let v1_list = json!({"environment": "prod", "application_id": "1", "subscriptions": users});
    let v2_count = json!({"data": {"account_name": "acme", "provisioned_count": "3", "subscriptions_count_all": "2", "subscriptions_count_direct_messages": "0"}});
    let v1_count =
        json!({"account_name": "acme", "provisioned_count": "3", "subscriptions_count": "2"});
    for (delivery, list, count) in [
        (Delivery::AccountActivity, v2, v2_count),
        (v1(), v1_list, v1_count),
    ] {
        let bench = Bench::new([Act::ok(list), Act::ok(count)]).await;
        let app = app(&bench, delivery);
        let users = bench.client.account_subscribers(&app, hook()).await;
        assert_eq!(users.result.unwrap(), [person("7"), person("8")]);
        let count = bench.client.count_account_subscriptions(&app).await;
        let count = count.result.unwrap();
        assert_eq!((count.used, count.allowed), (Some(2), Some(3)));
    }
    let odd = json!({"data": {"subscriptions": [{"user_id": "7"}, {"user_id": 8}]}});
    let bench = Bench::new([Act::ok(odd)]).await;
    let app = app(&bench, Delivery::AccountActivity);
    let users = bench.client.account_subscribers(&app, hook()).await;
    assert!(users.result.is_err());
}

#[tokio::test]
async fn a_subscription_that_stands_as_before_is_not_called_done() {
    let bench = Bench::new([
        Act::ok(json!({"data": {"subscribed": false}})),
        Act::ok(json!({"data": {"subscribed": true}})),
    ])
    .await;
    let app = app(&bench, Delivery::AccountActivity);
    let (client, account) = (&bench.client, &bench.account);
    let made = client.subscribe_account(&app, account, hook()).await;
    let ended = client.unsubscribe_account(&app, hook(), account.id.0).await;
    for result in [made.result, ended.result] {
        let error = result.unwrap_err();
        let CallError::Uncertain { reason, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(*reason, UncertainBecause::NoResult);
    }
}

#[tokio::test]
async fn everything_of_an_account_is_not_to_be_had_by_x_activity() {
    let bench = Bench::new([]).await;
    let reply = bench
        .client
        .subscribe_account(&bench.app, &bench.account, hook())
        .await;
    assert!(matches!(reply.result, Err(CallError::NotSent { .. })));
    assert!(bench.x.recorded().is_empty());
}

#[tokio::test]
async fn every_shape_of_a_new_subscription_is_read() {
    for body in [
        json!({"data": subscribed()}),
        json!({"data": [subscribed()], "meta": {"total_subscriptions": 1}}),
        json!({"data": {"subscription": subscribed()}}),
    ] {
        let bench = Bench::new([Act::ok(&body)]).await;
        let app = app(&bench, Delivery::Activity);
        let kind = ActivityKind::Mention;
        let reply = bench
            .client
            .subscribe_activity(&app, &bench.account, kind, hook(), "acme")
            .await;
        let made = reply.result.unwrap();
        assert_eq!(made.id, subscription("1976325569252868096"), "{body}");
        assert_eq!(ActivityKind::from_name(&made.event_type), Some(kind));
        assert_eq!(made.user, Some(bench.account.id.0));
        assert_eq!((made.webhook, &*made.tag), (Some(hook()), "acme"));
    }
}

/// X's documents disagree which kind it takes, and nobody knows in what words it refuses one.
#[tokio::test]
async fn a_subscription_that_one_token_is_refused_for_is_tried_with_the_other() {
    let said = |status: u16, words: &str| {
        Act::status(
            status,
            json!({"title": words, "detail": words, "type": "about:blank"}),
        )
    };
    let not_enrolled = json!({"title": "Client Forbidden", "detail": "no", "reason": "client-not-enrolled",
        "type": "https://api.x.com/2/problems/client-forbidden"});
    for (refusal, tried) in [
        (said(403, "Forbidden"), 2),
        (said(401, "Unauthorized"), 2),
        (said(400, "Bad Request"), 1),
        (said(403, "SubscriptionLimitExceeded: 3"), 1),
        (said(429, "Too Many Requests"), 1),
        (Act::status(403, not_enrolled), 1),
    ] {
        let shown = format!("{refusal:?}");
        let bench = Bench::new([refusal, Act::ok(json!({"data": subscribed()}))]).await;
        bench.store_pair();
        let app = app(&bench, Delivery::Activity);
        let kind = ActivityKind::DirectMessageReceived;
        let reply = bench
            .client
            .subscribe_activity(&app, &bench.account, kind, hook(), "")
            .await;
        assert_eq!(kinds(&bench), ["OAuth", "Bearer"][..tried], "{shown}");
        assert_eq!(reply.result.is_ok(), tried == 2, "{shown}");
    }
}

#[tokio::test]
async fn a_page_of_subscriptions_tells_what_it_could_not_read_and_where_the_next_begins() {
    let data = json!([subscribed(), {"subscription_id": 7}, {"subscription_id": "8", "event_type": "news.new", "filter": {}}]);
    let bench = Bench::new([
        Act::ok(json!({"data": data, "meta": {"result_count": 3, "next_token": "the-next-page"}})),
        Act::ok(json!({"meta": {"result_count": 0}})),
        Act::ok(json!({})),
    ])
    .await;
    let app = app(&bench, Delivery::Activity);
    let page = async || {
        bench
            .client
            .activity_subscriptions(&app, 100, None)
            .await
            .result
    };
    let first = page().await.unwrap();
    assert_eq!((first.subscriptions.len(), first.unreadable), (2, 1));
    assert_eq!(first.next.as_deref(), Some("the-next-page"));
    assert_eq!(first.subscriptions[1].user, None);
    let last = page().await.unwrap();
    assert_eq!((last.subscriptions.len(), last.next), (0, None));
    assert!(page().await.is_err());
}

#[tokio::test]
async fn what_x_does_not_call_deleted_is_left() {
    let ids = ["1", "2", "3"].map(subscription);
    let body = json!({"data": [{"deleted": true, "subscription_id": "1"}, {"deleted": false, "subscription_id": "2"}],
        "errors": [{"subscription_id": "3", "reason": "NotFound", "message": "no such subscription"}]});
    let bench = Bench::new([
        Act::ok(body),
        Act::ok(json!({"data": {"deleted": true}, "meta": {"total_subscriptions": 0}})),
    ])
    .await;
    let app = app(&bench, Delivery::Activity);
    let reply = bench.client.delete_activity_subscriptions(&app, &ids).await;
    let result = reply.result.unwrap();
    assert_eq!(result.deleted, [ids[0]]);
    let words = result.left.iter().map(|(id, words)| (*id, &**words));
    assert_eq!(
        words.collect::<Vec<_>>(),
        [(ids[1], ""), (ids[2], "no such subscription")]
    );
    let single = bench.client.delete_activity_subscriptions(&app, &ids[..1]);
    assert_eq!(single.await.result.unwrap().deleted, [ids[0]]);
    let none = bench.client.delete_activity_subscriptions(&app, &[]).await;
    assert!(matches!(none.result, Err(CallError::NotSent { .. })));
}

#[tokio::test]
async fn an_owner_is_nobody_of_our_accounts() {
    let bench = Bench::new([Act::ok(json!({"data": {"id": "7", "username": "boss"}}))]).await;
    let owner = owner();
    let auth = Auth::Owner {
        app: &bench.app,
        token: &owner,
    };
    let me = bench.client.me(auth).await.result.unwrap();
    assert_eq!(me.person.username, "boss");
    let request = bench.x.only();
    super::links::assert_signed(&bench, &request, &bench.app, Some(&owner));
}
