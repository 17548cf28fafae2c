//! Posting, deleting, hiding.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use simulator::{ApiSettings, Settings, Tier};

use super::client::{APP, Caller};

#[actix_web::test]
async fn a_post_appears_and_comes_back_to_the_app() {
    let caller = Caller::new().await;
    let made = caller.tweet("Hello & <welcome>, see example.com").await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(
        made.body["data"]["edit_history_tweet_ids"],
        json!([made.id()])
    );
    let shown = made.body["data"]["text"].as_str().unwrap();
    assert!(
        shown.starts_with("Hello &amp; &lt;welcome&gt;, see https://t.co/"),
        "{shown}"
    );

    let posts = caller.simulator().posts_by(caller.acme());
    assert_eq!(posts.len(), 1);
    assert_eq!(posts[0].text, "Hello & <welcome>, see example.com");
    assert_eq!(posts[0].app.as_deref(), Some(APP));
    let told = caller.stage.delivered().await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["data"]["event_type"], "post.create");
    assert_eq!(told[0]["data"]["payload"]["id"], made.id().to_string());
}

#[actix_web::test]
async fn what_breaks_the_schema_is_refused_and_named() {
    let caller = Caller::new().await;
    for body in [
        json!({}),
        json!({ "text": "  " }),
        json!({ "text": "x", "unknown": 1 }),
        json!({ "text": "x", "reply": { "in_reply_to_tweet_id": 17 } }),
        json!({ "text": "x", "reply_settings": "nobody" }),
        json!({ "text": "x", "media": { "media_ids": [] } }),
        json!({ "text": "x", "direct_message_deep_link": "https://example.com" }),
    ] {
        let refused = caller.post("/2/tweets", &body).await;
        assert_eq!(refused.status, 400, "{body}");
        assert_eq!(refused.body["title"], "Invalid Request");
        assert!(refused.body["errors"][0]["message"].is_string());
    }
    assert!(caller.simulator().posts_by(caller.acme()).is_empty());
}

#[actix_web::test]
async fn the_weighted_length_decides() {
    let caller = Caller::new().await;
    let exact = format!(
        "{} https://example.com/a/long/path/that/does/not/matter/at/all",
        "é".repeat(256)
    );
    assert_eq!(caller.tweet(&exact).await.status, 201);
    let too_long = caller.tweet(&"語".repeat(141)).await;
    assert_eq!(too_long.status, 403);
    assert!(too_long.detail().contains("needs to be a bit shorter"));
    assert_eq!(caller.tweet(&"語".repeat(140)).await.status, 201);
    let (acme, simulator) = (caller.acme(), caller.simulator());
    simulator
        .change_standing(acme, |standing| standing.premium = true)
        .unwrap();
    assert_eq!(caller.tweet(&"語".repeat(141)).await.status, 201);
    assert_eq!(caller.tweet(&"a".repeat(25_001)).await.status, 403);
}

#[actix_web::test]
async fn the_same_text_is_taken_once_for_a_while() {
    let caller = Caller::new().await;
    let first = caller.tweet("Please DM us").await;
    let double = caller.tweet(" Please DM us ").await;
    assert_eq!(
        (double.status, &double.body["type"]),
        (403, &json!("about:blank"))
    );
    assert_eq!(
        double.detail(),
        "You are not allowed to create a Tweet with duplicate content."
    );
    assert_eq!(
        caller
            .simulator()
            .count_posts(caller.acme(), "Please DM us"),
        1
    );
    caller.stage.post(caller.acme(), "typed at x.com");
    assert_eq!(caller.tweet("typed at x.com").await.status, 403);
    caller
        .simulator()
        .advance(Duration::from_secs(24 * 3600 + 1));
    let second = caller.tweet("Please DM us").await.id();
    assert_ne!(second, first.id());
    assert_eq!(caller.tweet("Please DM us").await.status, 403);
    let path = format!("/2/tweets/{second}");
    assert_eq!(caller.delete(&path).await.status, 200);
    let again = caller.tweet("Please DM us").await;
    assert_eq!(again.status, 201, "what is gone is no duplicate");
}

#[actix_web::test]
async fn self_serve_has_no_quotes_and_one_cashtag() {
    let caller = Caller::new().await;
    let theirs = caller.stage.post(caller.stage.ann, "look");
    let quote = json!({ "text": "seen", "quote_tweet_id": theirs });
    assert_eq!(caller.post("/2/tweets", &quote).await.status, 403);
    assert_eq!(caller.tweet("$ABC and $DEF").await.status, 403);
    assert_eq!(caller.tweet("$ABC alone").await.status, 201);
    caller
        .simulator()
        .change_api(|settings| settings.tier = Tier::Enterprise);
    let quoted = caller.post("/2/tweets", &quote).await;
    assert_eq!(quoted.status, 201);
    assert_eq!(
        caller.simulator().posts_by(caller.acme())[1].quote,
        Some(theirs)
    );
    assert_eq!(caller.tweet("$ABC and $DEF").await.status, 201);
}

#[actix_web::test]
async fn an_account_that_x_has_stopped_posts_nothing() {
    let caller = Caller::new().await;
    let (acme, simulator) = (caller.acme(), caller.simulator());
    simulator
        .change_standing(acme, |standing| standing.locked = true)
        .unwrap();
    assert!(caller.tweet("a").await.detail().contains("log in"));
    simulator
        .change_standing(acme, |standing| standing.suspended = true)
        .unwrap();
    let refused = caller.tweet("a").await;
    assert_eq!(refused.status, 403);
    assert!(refused.detail().contains("suspended"));
}

#[actix_web::test]
async fn only_own_posts_can_be_deleted() {
    let caller = Caller::new().await;
    let theirs = caller.stage.post(caller.stage.ann, "mine");
    assert_eq!(
        caller.delete(&format!("/2/tweets/{theirs}")).await.status,
        403
    );
    let own = caller.tweet("oops").await.id();
    let path = format!("/2/tweets/{own}");
    assert_eq!(
        caller.delete(&path).await.body,
        json!({ "data": { "deleted": true } })
    );
    assert_eq!(caller.delete(&path).await.status, 404);
    assert!(caller.simulator().posts_by(caller.acme())[0].deleted);
    let told = caller.stage.delivered().await;
    assert_eq!(told.last().unwrap()["data"]["event_type"], "post.delete");
}

#[actix_web::test]
async fn replies_are_hidden_only_in_own_conversations() {
    let caller = Caller::new().await;
    let own = caller.tweet("We are open").await.id();
    let theirs = caller.stage.reply(caller.stage.ann, own, "spam");
    let elsewhere = caller.stage.post(caller.stage.ann, "@acme hi");
    let hide = |id, hidden| {
        let path = format!("/2/tweets/{id}/hidden");
        let body = json!({ "hidden": hidden });
        let caller = &caller;
        async move { caller.send(Method::PUT, &path, &body).await }
    };
    assert_eq!(
        hide(theirs, true).await.body,
        json!({ "data": { "hidden": true } })
    );
    let hidden = |index: usize| caller.simulator().posts_by(caller.stage.ann)[index].hidden;
    assert!(hidden(0));
    assert_eq!(hide(theirs, false).await.status, 200);
    assert!(!hidden(0));
    assert_eq!(hide(elsewhere, true).await.status, 403);
    assert_eq!(hide(own, true).await.status, 403);
}

#[actix_web::test]
async fn an_edit_is_for_those_who_pay_and_in_time() {
    let caller = Caller::new().await;
    let first = caller.tweet("teh text").await.id();
    let edit = |text: &str| json!({ "text": text, "edit_options": { "previous_post_id": first } });
    assert_eq!(
        caller.post("/2/tweets", &edit("the text")).await.status,
        403
    );
    let (acme, simulator) = (caller.acme(), caller.simulator());
    simulator
        .change_standing(acme, |standing| standing.premium = true)
        .unwrap();
    let edited = caller.post("/2/tweets", &edit("the text")).await;
    assert_eq!(
        edited.body["data"]["edit_history_tweet_ids"],
        json!([first, edited.id()])
    );
    simulator.advance(Duration::from_secs(3601));
    assert_eq!(
        caller.post("/2/tweets", &edit("The text")).await.status,
        403
    );
    assert_eq!(
        caller.delete(&format!("/2/tweets/{first}")).await.status,
        200
    );
    assert!(simulator.posts_by(acme).iter().all(|post| post.deleted));
}

#[actix_web::test]
async fn the_words_are_those_of_the_apps_vocabulary() {
    let settings = Settings {
        api: ApiSettings::default(),
        ..Settings::default()
    };
    let stage = crate::stage::Stage::new(settings, simulator::Form::Activity, |app| {
        simulator::NewApp {
            vocabulary: simulator::Vocabulary::Posts,
            ..app
        }
    })
    .await;
    let keys = stage.simulator.credentials(APP, stage.acme).unwrap();
    let http = super::client::http();
    let caller = Caller { stage, keys, http };
    let made = caller.tweet("hello").await;
    assert_eq!(
        made.body["data"]["edit_history_post_ids"],
        json!([made.id()])
    );
    let path = format!("/2/tweets/{}", made.id());
    let old = caller.get(&path, &[("tweet.fields", "author_id")]).await;
    assert_eq!(old.status, 400);
    assert!(old.body["errors"][0]["parameters"]["tweet.fields"].is_array());
    let new = caller.get(&path, &[("post.fields", "author_id")]).await;
    assert_eq!(new.body["data"]["author_id"], caller.acme().to_string());
}

#[actix_web::test]
async fn a_button_for_direct_messages_is_a_link_of_its_own() {
    let caller = Caller::new().await;
    let link = format!(
        "https://x.com/messages/compose?recipient_id={}",
        caller.acme()
    );
    let body = json!({ "text": "Write to us", "direct_message_deep_link": link });
    let made = caller.post("/2/tweets", &body).await;
    assert_eq!(made.status, 201, "{made:?}");
    let post = &caller.simulator().posts_by(caller.acme())[0];
    assert_eq!(post.text, "Write to us");
    assert_eq!(post.direct_message_link.as_ref(), Some(&link));
    let path = format!("/2/tweets/{}", made.id());
    let read = caller.get(&path, &[("tweet.fields", "entities")]).await;
    let urls: &Value = &read.body["data"]["entities"]["urls"];
    assert_eq!(urls[0]["expanded_url"], json!(link));
}
