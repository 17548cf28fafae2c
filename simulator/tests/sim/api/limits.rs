//! Rate windows and money.

use std::time::Duration;

use serde_json::json;
use simulator::{BillLine, Endpoint, Limits, NewMessage};

use super::client::{APP, Caller};

#[actix_web::test]
async fn a_window_is_told_of_used_up_and_begins_anew() {
    let caller = Caller::new().await;
    let simulator = caller.simulator();
    simulator.limit(
        Endpoint::CreatePost,
        Limits::of(None, Some(2)).daily(Some(3), None),
    );
    let first = caller.tweet("1").await;
    assert_eq!(first.header("x-rate-limit-limit"), Some("2"));
    assert_eq!(first.header("x-rate-limit-remaining"), Some("1"));
    assert_eq!(first.header("x-app-limit-24hour-remaining"), Some("2"));
    assert!(first.header("x-user-limit-24hour-limit").is_none());
    let reset: i64 = first.header("x-rate-limit-reset").unwrap().parse().unwrap();
    let refused = caller.tweet("").await;
    assert_eq!(refused.status, 400, "a refusal counts, too");
    let limited = caller.tweet("2").await;
    assert_eq!(limited.status, 429);
    assert!(
        limited.body["type"]
            .as_str()
            .unwrap()
            .ends_with("rate-limit-exceeded")
    );
    assert_eq!(limited.header("x-rate-limit-remaining"), Some("0"));
    assert_eq!(
        caller.get("/2/users/me", &[]).await.status,
        200,
        "other calls are free"
    );

    let now = simulator.now().as_second();
    simulator.advance(Duration::from_secs(u64::try_from(reset - now).unwrap()));
    assert_eq!(caller.tweet("2").await.status, 201);
    let daily = caller.tweet("3").await;
    assert_eq!(daily.status, 429);
    assert_eq!(daily.header("x-rate-limit-remaining"), Some("1"));
    assert_eq!(daily.header("x-app-limit-24hour-remaining"), Some("0"));
    assert_eq!(simulator.posts_by(caller.acme()).len(), 2);
}

#[actix_web::test]
async fn the_windows_of_an_app_and_its_user_are_apart() {
    let caller = Caller::new().await;
    let limits = Limits::of(Some(1), Some(1));
    caller.simulator().limit(Endpoint::GetUser, limits);
    let path = format!("/2/users/{}", caller.stage.ann);
    let bearer = caller.keys.bearer_token.clone();
    assert_eq!(caller.get(&path, &[]).await.status, 200);
    assert_eq!(caller.get(&path, &[]).await.status, 429);
    assert_eq!(caller.bearer(&path, &[], &bearer).await.status, 200);
    assert_eq!(caller.bearer(&path, &[], &bearer).await.status, 429);
    caller
        .simulator()
        .change_api(|settings| settings.enforce_limits = false);
    let free = caller.get(&path, &[]).await;
    assert_eq!(free.status, 200);
    assert!(free.header("x-rate-limit-limit").is_none());
}

#[actix_web::test]
async fn without_credit_nothing_is_served() {
    let caller = Caller::new().await;
    let simulator = caller.simulator();
    simulator.set_credit(APP, Some(20_000));
    assert_eq!(caller.tweet("one").await.status, 201);
    assert_eq!(simulator.credit(APP), Some(0), "the post, and its delivery");
    let refused = caller.tweet("two").await;
    assert_eq!(refused.status, 402);
    assert_eq!(refused.body["title"], "Payment Required");
    assert_eq!(refused.detail(), "credits depleted");
    assert!(
        refused.body["type"]
            .as_str()
            .unwrap()
            .ends_with("credits-depleted")
    );
    simulator.set_credit(APP, None);
    assert_eq!(caller.tweet("two").await.status, 201);
}

#[actix_web::test]
async fn the_bill_is_x_s_price_list() {
    let caller = Caller::new().await;
    let (stage, simulator) = (&caller.stage, caller.simulator());
    let mention = stage.post(stage.ann, "@acme help");
    caller.reply(mention, "At once").await;
    caller.tweet("plain").await;
    caller.tweet("with example.com").await;
    caller.tweet("with example.com").await;
    let path = format!("/2/dm_conversations/with/{}/messages", stage.ann);
    caller.post(&path, &json!({ "text": "hi" })).await;
    simulator
        .direct_message(NewMessage::between(stage.ann, stage.acme, "hi"))
        .unwrap();
    let mine = simulator.posts_by(stage.acme)[1].id;
    caller.delete(&format!("/2/tweets/{mine}")).await;
    let path = format!("/2/users/{}", stage.ann);
    caller.get(&path, &[]).await;
    caller.get(&path, &[]).await;
    caller.get(&format!("/2/tweets/{mention}"), &[]).await;

    let bill = simulator.bill(APP);
    let line = |count, micro_usd| Some(BillLine { count, micro_usd });
    for (name, expected) in [
        ("summoned_reply", line(1, 10_000)),
        ("post", line(1, 15_000)),
        ("post_with_url", line(1, 200_000)),
        ("dm_sent", line(1, 15_000)),
        ("dm.received", line(1, 10_000)),
        ("delete", line(1, 10_000)),
        ("user_read", line(1, 10_000)),
        ("post.mention.create", line(1, 5_000)),
        ("post.create", line(3, 15_000)),
        ("post_read", None),
        ("dm.sent", None),
    ] {
        assert_eq!(bill.lines.get(name).copied(), expected, "{name}");
    }
    assert_eq!(bill.total_micro_usd, 290_000);
    simulator.advance(Duration::from_secs(24 * 3600));
    caller.get(&path, &[]).await;
    assert_eq!(simulator.bill(APP).lines["user_read"].count, 2, "a new day");
}

#[actix_web::test]
async fn the_owner_of_the_app_reads_its_own_cheaply() {
    let caller = Caller::new().await;
    caller.simulator().set_owner(APP, caller.acme());
    caller.stage.post(caller.stage.ann, "hello");
    caller
        .simulator()
        .change_api(|settings| settings.echo = simulator::Echo::NEVER);
    caller.tweet("own").await;
    let path = format!("/2/users/{}/tweets", caller.acme());
    caller.get(&path, &[]).await;
    assert_eq!(
        caller.simulator().bill(APP).lines["owned_read"].micro_usd,
        1_000
    );
}
