//! The X Activity shapes, and which events fire.

use serde_json::{Value, json};
use simulator::{
    Form, Includes, MediaKind, NewApp, NewMedia, NewMessage, NewPost, NewUser, PostId,
    ProfileField, Vocabulary,
};

use crate::stage::{Stage, cut};

const FORM: Form = Form::Activity;

async fn stage() -> Stage {
    Stage::with_form(FORM).await
}

fn events(stage: &Stage, post: PostId) -> Vec<String> {
    let bodies = stage.told(post, FORM);
    let event = |body: &Value| body["data"]["event_type"].as_str().unwrap().to_owned();
    bodies.iter().map(event).collect()
}

fn data(stage: &Stage, post: PostId) -> Value {
    stage.told(post, FORM)[0]["data"].clone()
}

#[actix_web::test]
async fn what_fires_depends_on_how_a_post_concerns_the_account() {
    let stage = stage().await;
    let own = stage.post(stage.acme, "We are open");
    assert_eq!(events(&stage, own), ["post.create"]);
    let reply = stage.reply(stage.ann, own, "Great");
    assert_eq!(events(&stage, reply), ["post.reply.create"]);
    let named = stage.reply(stage.ann, own, "Great, @acme");
    assert_eq!(
        events(&stage, named),
        ["post.reply.create", "post.mention.create"]
    );
    // Bob answers Ann: the mention of acme is inherited, which fires nothing.
    assert!(events(&stage, stage.reply(stage.bob, reply, "Is it?")).is_empty());
    let quote = NewPost::by(stage.ann, "Look").quoting(own);
    let quote = stage.simulator.post(quote).unwrap();
    assert_eq!(events(&stage, quote), ["post.quote.create"]);
    let repost = stage.simulator.repost(stage.ann, own).unwrap();
    assert_eq!(events(&stage, repost), ["post.repost.create"]);
    assert_eq!(
        events(&stage, stage.simulator.repost(stage.acme, reply).unwrap()),
        ["post.create"]
    );
}

#[actix_web::test]
async fn replies_to_replies_fire_as_the_app_is_set() {
    for (fires, expected) in [(true, vec!["post.reply.create"]), (false, vec![])] {
        let stage = Stage::with_app(FORM, |app| NewApp {
            replies_to_replies: fires,
            ..app
        })
        .await;
        let root = stage.post(stage.ann, "@acme help");
        let answer = stage.reply(stage.acme, root, "How?");
        let second = stage.reply(stage.ann, answer, "So");
        assert_eq!(events(&stage, second), expected);
    }
}

#[actix_web::test]
async fn a_mention_has_doubled_numbers_and_stands_in_its_own_includes() {
    let stage = stage().await;
    let post = stage.post(stage.ann, "🥁 hey @acme");
    let data = data(&stage, post);
    assert_eq!(data["event_uuid"], post.to_string());
    assert_eq!(data["filter"], json!({ "user_id": "2975699229" }));
    let payload = &data["payload"];
    assert_eq!(payload["created_at"], "2026-03-02T09:00:04.000Z");
    assert_eq!(
        payload["entities"]["mentions"],
        json!([{ "start": 6, "start_str": "6", "end": 11, "end_str": "11", "username": "acme", "id": "2975699229" }])
    );
    assert_eq!(payload["public_metrics"]["like_count_str"], "0");
    assert_eq!(payload["display_text_range"], json!([0, 11]));
    assert_eq!(payload["edit_controls"]["edits_remaining_str"], "5");
    assert_eq!(data["includes"]["tweets"], json!([payload]));
    let users: Vec<&Value> = data["includes"]["users"]
        .as_array()
        .unwrap()
        .iter()
        .collect();
    assert_eq!(users[0]["username"], "ann");
    assert_eq!(users[1]["username"], "acme");
    assert_eq!(users[0]["public_metrics"]["followers_count_str"], "0");
}

#[actix_web::test]
async fn includes_can_be_as_sparse_as_in_the_samples() {
    let stage = Stage::with_app(FORM, |app| NewApp {
        includes: Includes::Sparse,
        ..app
    })
    .await;
    let own = stage.post(stage.acme, "Hello");
    assert_eq!(
        data(&stage, stage.reply(stage.ann, own, "hi"))["includes"],
        json!({})
    );
    assert!(data(&stage, own)["includes"]["users"].is_array());
}

#[actix_web::test]
async fn a_reply_knows_its_conversation_and_its_inherited_mentions() {
    let stage = stage().await;
    let root = stage.post(stage.ann, "@acme help");
    let answer = stage.reply(stage.acme, root, "How?");
    let payload = &data(&stage, stage.reply(stage.ann, answer, "So"))["payload"];
    assert_eq!(payload["conversation_id"], root.to_string());
    assert_eq!(payload["in_reply_to_tweet_id"], answer.to_string());
    assert_eq!(payload["in_reply_to_user_id"], "2975699229");
    assert_eq!(
        payload["referenced_tweets"],
        json!([{ "type": "replied_to", "id": answer }])
    );
    assert_eq!(payload["text"], "@acme So");
    assert_eq!(payload["display_text_range"], json!([6, 8]));
    assert_eq!(payload.get("edit_controls"), None);
}

#[actix_web::test]
async fn a_quote_link_stands_in_the_text_outside_what_is_shown() {
    let stage = stage().await;
    let own = stage.post(stage.acme, "Hello");
    let quote = NewPost::by(stage.ann, "Look").quoting(own);
    let payload = &data(&stage, stage.simulator.post(quote).unwrap())["payload"];
    assert_eq!(payload["display_text_range"], json!([0, 4]));
    let url = &payload["entities"]["urls"][0];
    assert_eq!(
        cut(&payload["text"], &json!([url["start"], url["end"]])),
        url["url"].as_str().unwrap()
    );
    assert_eq!(
        url["expanded_url"],
        format!("https://x.com/acme/status/{own}")
    );
}

#[actix_web::test]
async fn a_long_post_has_a_note_and_the_words_of_the_app() {
    for (vocabulary, note, history, posts) in [
        (
            Vocabulary::Tweets,
            "note_tweet",
            "edit_history_tweet_ids",
            "tweets",
        ),
        (
            Vocabulary::Posts,
            "note_post",
            "edit_history_post_ids",
            "posts",
        ),
    ] {
        let stage = Stage::with_app(FORM, |app| NewApp { vocabulary, ..app }).await;
        let whole = format!("@acme {}#end", "word ".repeat(60));
        let post = stage.post(stage.ann, &whole);
        let data = data(&stage, post);
        let payload = &data["payload"];
        assert_eq!(payload[note]["text"], whole);
        assert_eq!(payload[note]["entities"]["hashtags"][0]["tag"], "end");
        assert!(payload["text"].as_str().unwrap().chars().count() <= 280);
        assert_eq!(payload["entities"].get("hashtags"), None);
        assert_eq!(payload[history], json!([post]));
        assert_eq!(data["includes"][posts][0]["id"], post.to_string());
    }
}

#[actix_web::test]
async fn media_are_named_in_the_post_and_described_in_includes() {
    let stage = stage().await;
    let film = NewPost::by(stage.ann, "@acme see").with_media(NewMedia::of(MediaKind::Video));
    let data = data(&stage, stage.simulator.post(film).unwrap());
    let key = &data["payload"]["attachments"]["media_keys"][0];
    let media = &data["includes"]["media"][0];
    assert!(key.as_str().unwrap().starts_with("7_"));
    assert_eq!(&media["media_key"], key);
    assert_eq!(media["type"], "video");
    assert_eq!(media["variants"].as_array().unwrap().len(), 3);
    assert_eq!(media.get("url"), None);
    let photo = NewPost::by(stage.ann, "@acme see").with_media(NewMedia {
        alt_text: "A printer".into(),
        ..NewMedia::photo()
    });
    let data = self::data(&stage, stage.simulator.post(photo).unwrap());
    let media = &data["includes"]["media"][0];
    assert!(
        media["url"]
            .as_str()
            .unwrap()
            .starts_with("https://pbs.twimg.com/media/")
    );
    assert_eq!(media["alt_text"], "A printer");
}

#[actix_web::test]
async fn protected_authors_are_never_heard() {
    let stage = stage().await;
    let shy = NewUser {
        protected: true,
        ..NewUser::named("shy")
    };
    let shy = stage.simulator.add_user(shy).unwrap();
    stage.simulator.follow(stage.acme, shy).unwrap();
    assert!(events(&stage, stage.post(shy, "@acme psst")).is_empty());
}

#[actix_web::test]
async fn messages_keep_their_v1_shape_beside_wrapped_people() {
    let stage = stage().await;
    let message = NewMessage::between(stage.ann, stage.acme, "hello!");
    stage.simulator.direct_message(message).unwrap();
    let message = NewMessage::between(stage.acme, stage.ann, "Yes?");
    stage.simulator.direct_message(message).unwrap();
    let chat = stage.simulator.chat_message(stage.ann, stage.acme).unwrap();
    stage.simulator.chat_message(stage.acme, stage.ann).unwrap();
    let bodies = stage.delivered().await;
    let names: Vec<&Value> = bodies
        .iter()
        .map(|body| &body["data"]["event_type"])
        .collect();
    assert_eq!(
        names,
        ["dm.received", "dm.sent", "chat.received", "chat.sent"]
    );
    let payload = &bodies[0]["data"]["payload"];
    let event = &payload["direct_message_events"][0];
    assert_eq!(event["message_create"]["message_data"]["text"], "hello!");
    assert_eq!(payload["users"]["2975699229"]["data"]["username"], "acme");
    assert_eq!(payload.get("apps"), None);
    let chats = [&bodies[2]["data"]["payload"], &bodies[3]["data"]["payload"]];
    assert_eq!(chats[0]["id"], chat);
    assert_eq!(
        chats[0]["conversation_id"],
        "1924465506158878979:2975699229"
    );
    assert_eq!(chats[1]["conversation_id"], chats[0]["conversation_id"]);
    assert!(chats[0]["created_at_msec"].is_string());
}

#[actix_web::test]
async fn the_smaller_events() {
    let stage = stage().await;
    let simulator = &stage.simulator;
    let own = stage.post(stage.acme, "one");
    simulator.like(stage.ann, own).unwrap();
    simulator.follow(stage.ann, stage.acme).unwrap();
    simulator
        .update_profile(stage.acme, ProfileField::Name, "Acme!")
        .unwrap();
    simulator.delete(own).unwrap();
    simulator.typing(stage.ann, stage.acme).unwrap();
    simulator.revoke("acme-app", stage.acme).unwrap();
    let bodies = stage.delivered().await;
    let data: Vec<&Value> = bodies.iter().map(|body| &body["data"]).collect();
    assert_eq!(data[1]["filter"]["direction"], "inbound");
    assert_eq!(data[1]["payload"]["liked_tweet_id"], own.to_string());
    assert!(data[1]["payload"]["timestamp_ms"].is_string());
    assert_eq!(data[2]["event_type"], "follow.follow");
    assert_eq!(data[2]["payload"]["source"]["data"]["username"], "ann");
    assert_eq!(data[3]["event_type"], "profile.update.screenname");
    assert_eq!(
        data[3]["payload"],
        json!({ "before": "acme", "after": "Acme!" })
    );
    assert_eq!(
        data[4]["payload"],
        json!({ "id": own, "author_id": stage.acme })
    );
    assert_eq!(data[4]["includes"]["users"][0]["data"]["username"], "acme");
    assert_eq!(data[5]["event_type"], "dm.indicate_typing");
    assert_eq!(data[6]["event_type"], "oauth.revoke");
    assert_eq!(data[6]["filter"], json!({}));
    assert_eq!(data[6].get("tag"), None);
}
