//! The v1.1 shapes, and who gets them.

use serde_json::{Value, json};
use simulator::{Form, MediaKind, NewMedia, NewMessage, NewPost, NewUser, ProfileField};

use crate::stage::{Stage, cut};

const FORM: Form = Form::AccountActivity;

async fn stage() -> Stage {
    Stage::with_form(FORM).await
}

fn tweet(stage: &Stage, post: simulator::PostId) -> Value {
    let bodies = stage.told(post, FORM);
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    bodies[0]["tweet_create_events"][0].clone()
}

#[actix_web::test]
async fn a_mention_names_the_subscription_and_whether_its_author_is_blocked() {
    let stage = stage().await;
    let post = stage.post(stage.ann, "hi @ACME");
    let body = &stage.told(post, FORM)[0];
    assert_eq!(body["for_user_id"], "2975699229");
    assert_eq!(body["user_has_blocked"], "false");
    assert_eq!(body["tweet_create_events"].as_array().unwrap().len(), 1);

    stage.simulator.block(stage.acme, stage.ann).unwrap();
    assert_eq!(stage.told(post, FORM)[0]["user_has_blocked"], "true");
    let own = stage.post(stage.acme, "hello all");
    assert_eq!(stage.told(own, FORM)[0].get("user_has_blocked"), None);
}

#[actix_web::test]
async fn numeric_ids_are_rounded_and_the_strings_are_exact() {
    let stage = stage().await;
    let post = stage.post(stage.ann, "@acme hi");
    let tweet = tweet(&stage, post);
    assert_eq!(tweet["id_str"], post.to_string());
    assert_ne!(tweet["id"].to_string(), post.to_string());
    assert_eq!(tweet["user"]["id_str"], "1924465506158878979");
    assert_eq!(tweet["user"]["id"], json!(1_924_465_506_158_879_000_u64));
    assert_eq!(tweet["user"]["description"], Value::Null);
    assert_eq!(tweet["created_at"], "Mon Mar 02 09:00:04 +0000 2026");
}

#[actix_web::test]
async fn offsets_count_code_points_of_the_escaped_text() {
    let stage = stage().await;
    let post = stage.post(
        stage.ann,
        "🥁 1 < 2 & so #fun, @acme: see https://example.com/a/very/long/path",
    );
    let tweet = tweet(&stage, post);
    let text = &tweet["text"];
    assert!(
        text.as_str()
            .unwrap()
            .starts_with("🥁 1 &lt; 2 &amp; so #fun, @acme: see https://t.co/")
    );
    let entities = &tweet["entities"];
    assert_eq!(
        entities["hashtags"],
        json!([{ "text": "fun", "indices": [20, 24] }])
    );
    assert_eq!(cut(text, &entities["user_mentions"][0]["indices"]), "@acme");
    let url = &entities["urls"][0];
    assert_eq!(cut(text, &url["indices"]), url["url"].as_str().unwrap());
    assert_eq!(url["url"].as_str().unwrap().len(), 23);
    assert_eq!(url["expanded_url"], "https://example.com/a/very/long/path");
    assert_eq!(url["display_url"], "example.com/a/very/long/pa…");
    assert_eq!(tweet.get("display_text_range"), None);
}

#[actix_web::test]
async fn a_text_over_140_is_cut_and_whole_in_extended_tweet() {
    let stage = stage().await;
    let whole = format!("@acme {} #end", "word ".repeat(60));
    let tweet = tweet(&stage, stage.post(stage.ann, &whole));
    assert_eq!(tweet["truncated"], true);
    let text = tweet["text"].as_str().unwrap();
    assert!(text.chars().count() <= 140);
    let url = &tweet["entities"]["urls"][0];
    assert_eq!(
        url["expanded_url"],
        format!(
            "https://x.com/i/web/status/{}",
            tweet["id_str"].as_str().unwrap()
        )
    );
    assert!(text.ends_with(&format!("… {}", url["url"].as_str().unwrap())));
    assert_eq!(tweet["entities"]["hashtags"], json!([]));
    let extended = &tweet["extended_tweet"];
    assert_eq!(extended["full_text"], whole);
    assert_eq!(extended["display_text_range"], json!([0, whole.len()]));
    assert_eq!(extended["entities"]["hashtags"][0]["text"], "end");
}

#[actix_web::test]
async fn a_reply_begins_with_mentions_nobody_typed() {
    let stage = stage().await;
    let root = stage.post(stage.ann, "@acme @bob my printer burns");
    let answer = stage.reply(stage.acme, root, "Oh no!");
    let tweet = tweet(&stage, stage.reply(stage.ann, answer, "Yes @bob, it does"));
    assert_eq!(tweet["text"], "@acme @bob Yes @bob, it does");
    assert_eq!(tweet["display_text_range"], json!([11, 28]));
    assert_eq!(tweet["in_reply_to_status_id_str"], answer.to_string());
    assert_eq!(tweet["in_reply_to_user_id_str"], "2975699229");
    assert_eq!(tweet["in_reply_to_screen_name"], "acme");
    assert_eq!(
        tweet["entities"]["user_mentions"].as_array().unwrap().len(),
        3
    );
    assert_eq!(tweet.get("conversation_id"), None);
}

#[actix_web::test]
async fn a_reply_can_leave_people_out() {
    let stage = stage().await;
    let root = stage.post(stage.ann, "@acme @bob hi");
    let post = NewPost {
        exclude_mentions: vec![stage.bob],
        ..NewPost::by(stage.acme, "Hello").replying_to(root)
    };
    assert_eq!(
        tweet(&stage, stage.simulator.post(post).unwrap())["text"],
        "@ann Hello"
    );
}

#[actix_web::test]
async fn entities_show_one_medium_as_photo_and_extended_entities_show_all() {
    let stage = stage().await;
    let photos = NewPost {
        media: vec![NewMedia::photo(); 4],
        ..NewPost::by(stage.ann, "@acme look")
    };
    let four = tweet(&stage, stage.simulator.post(photos).unwrap());
    assert_eq!(four["entities"]["media"].as_array().unwrap().len(), 1);
    let all = four["extended_entities"]["media"].as_array().unwrap();
    assert_eq!(all.len(), 4);
    let link = cut(&four["text"], &all[3]["indices"]);
    assert_eq!(all[3]["url"], link);
    assert_eq!(four["text"], format!("@acme look {link}"));
    assert_eq!(four["display_text_range"], json!([0, 10]));
    assert!(
        all[0]["media_url_https"]
            .as_str()
            .unwrap()
            .starts_with("https://pbs.twimg.com/media/")
    );

    let film = NewPost::by(stage.ann, "@acme").with_media(NewMedia::of(MediaKind::Video));
    let film = tweet(&stage, stage.simulator.post(film).unwrap());
    assert_eq!(film["entities"]["media"][0]["type"], "photo");
    let video = &film["extended_entities"]["media"][0];
    assert_eq!(video["type"], "video");
    let variants = video["video_info"]["variants"].as_array().unwrap();
    let types: Vec<&Value> = variants
        .iter()
        .map(|variant| &variant["content_type"])
        .collect();
    assert_eq!(types, ["video/mp4", "application/x-mpegURL", "video/mp4"]);
    assert_eq!(variants[1].get("bitrate"), None);

    let gif = NewPost::by(stage.ann, "@acme").with_media(NewMedia::of(MediaKind::AnimatedGif));
    let gif = tweet(&stage, stage.simulator.post(gif).unwrap());
    assert_eq!(gif["extended_entities"]["media"][0]["type"], "animated_gif");
}

#[actix_web::test]
async fn five_photos_or_two_films_are_refused() {
    let stage = stage().await;
    for media in [
        vec![NewMedia::photo(); 5],
        vec![NewMedia::of(MediaKind::Video); 2],
    ] {
        let post = NewPost {
            media,
            ..NewPost::by(stage.ann, "@acme")
        };
        assert_eq!(
            stage.simulator.post(post),
            Err(simulator::Refused::TooMuchMedia)
        );
    }
}

#[actix_web::test]
async fn a_quote_holds_the_quoted_post_until_that_is_deleted() {
    let stage = stage().await;
    let quoted = stage.post(stage.acme, "We are open");
    let post = NewPost::by(stage.ann, "Really?").quoting(quoted);
    let quote = stage.simulator.post(post).unwrap();
    let before = tweet(&stage, quote);
    assert_eq!(before["is_quote_status"], true);
    assert_eq!(before["text"], "Really?");
    assert_eq!(before["quoted_status"]["text"], "We are open");
    let permalink = &before["quoted_status_permalink"];
    assert_eq!(
        permalink["expanded"],
        format!("https://x.com/acme/status/{quoted}")
    );

    let long = NewPost::by(stage.ann, &"long ".repeat(30)).quoting(quoted);
    let long = tweet(&stage, stage.simulator.post(long).unwrap());
    let full = &long["extended_tweet"];
    assert!(
        full["full_text"]
            .as_str()
            .unwrap()
            .ends_with(full["entities"]["urls"][0]["url"].as_str().unwrap())
    );
    assert_eq!(full["display_text_range"], json!([0, 150]));

    stage.simulator.delete(quoted).unwrap();
    let mention = stage
        .simulator
        .post(NewPost::by(stage.ann, "@acme still?"))
        .unwrap();
    assert_eq!(tweet(&stage, mention)["is_quote_status"], false);
    let after = tweet(&stage, quote);
    assert_eq!(after["quoted_status_id_str"], quoted.to_string());
    assert_eq!(after.get("quoted_status"), None);
}

#[actix_web::test]
async fn a_repost_holds_the_original_whole_and_is_cut_itself() {
    let stage = stage().await;
    let whole = "news ".repeat(50);
    let original = stage.post(stage.acme, whole.trim());
    let repost = stage.simulator.repost(stage.ann, original).unwrap();
    let tweet = tweet(&stage, repost);
    let text = tweet["text"].as_str().unwrap();
    assert!(text.starts_with("RT @acme: news news"));
    assert!(text.ends_with('…'));
    assert_eq!(tweet["truncated"], false);
    assert_eq!(
        tweet["entities"]["user_mentions"][0]["indices"],
        json!([3, 8])
    );
    assert_eq!(tweet["retweeted_status"]["id_str"], original.to_string());
    assert_eq!(
        tweet["retweeted_status"]["extended_tweet"]["full_text"],
        whole.trim()
    );
}

#[actix_web::test]
async fn an_account_is_told_what_concerns_it_and_nothing_else() {
    let stage = stage().await;
    let told = |post| !stage.told(post, FORM).is_empty();
    let own = stage.post(stage.acme, "Hello");
    let strangers = stage.post(stage.ann, "Hello @bob");
    let mention = stage.post(stage.ann, "Hello @acme");
    assert!(told(own) && told(mention) && !told(strangers));
    assert!(told(stage.reply(stage.bob, own, "hi")));
    // Bob answers Ann, and so inherits her mention of acme.
    assert!(told(stage.reply(stage.bob, mention, "hi")));
    assert!(told(stage.simulator.repost(stage.bob, own).unwrap()));
    // A third party's post that only mentions the account.
    assert!(!told(stage.simulator.repost(stage.bob, mention).unwrap()));
}

#[actix_web::test]
async fn a_protected_author_is_heard_by_followers_only() {
    let stage = stage().await;
    let shy = NewUser {
        protected: true,
        ..NewUser::named("shy")
    };
    let shy = stage.simulator.add_user(shy).unwrap();
    let post = stage.post(shy, "@acme psst");
    assert!(stage.told(post, FORM).is_empty());
    stage.simulator.follow(stage.acme, shy).unwrap();
    assert_eq!(stage.told(post, FORM).len(), 1);
}

#[actix_web::test]
async fn an_edit_has_a_new_id_and_its_history() {
    let stage = stage().await;
    let first = stage.post(stage.ann, "@acme helo");
    let second = stage.simulator.edit(first, "@acme hello").unwrap();
    let tweet = tweet(&stage, second);
    assert_eq!(
        tweet["edit_history"]["edit_tweet_ids"],
        json!([first, second])
    );
    assert_eq!(tweet["text"], "@acme hello");
    let reply = stage.reply(stage.ann, first, "more");
    assert!(stage.simulator.edit(reply, "other").is_err());
}

#[actix_web::test]
async fn a_direct_message_comes_to_both_sides_with_people_and_photo() {
    let stage = stage().await;
    let message = NewMessage {
        quick_reply: Some("yes".into()),
        ..NewMessage::between(stage.ann, stage.acme, "Look & see").with_media(NewMedia::photo())
    };
    let id = stage.simulator.direct_message(message).unwrap();
    let answer = NewMessage {
        source_app: Some("acme-app".into()),
        ..NewMessage::between(stage.acme, stage.ann, "Thanks")
    };
    stage.simulator.direct_message(answer).unwrap();
    let bodies = stage.delivered().await;

    let event = &bodies[0]["direct_message_events"][0];
    assert_eq!(event["id"], id.to_string());
    assert_eq!(event["message_create"]["sender_id"], "1924465506158878979");
    assert_eq!(
        event["message_create"]["target"]["recipient_id"],
        "2975699229"
    );
    let data = &event["message_create"]["message_data"];
    let media = &data["attachment"]["media"];
    assert_eq!(
        data["text"],
        format!("Look &amp; see {}", media["url"].as_str().unwrap())
    );
    assert_eq!(
        data["quick_reply_response"],
        json!({ "type": "options", "metadata": "yes" })
    );
    let address = media["media_url_https"].as_str().unwrap();
    assert!(address.starts_with(&format!("https://ton.twitter.com/1.1/ton/data/dm/{id}/")));
    assert_eq!(bodies[0]["users"]["2975699229"]["screen_name"], "acme");

    let sent = &bodies[1]["direct_message_events"][0];
    let app = sent["message_create"]["source_app_id"].as_str().unwrap();
    assert_eq!(bodies[1]["apps"][app]["name"], "acme-app");
}

#[actix_web::test]
async fn typing_and_reading_are_told_of_the_other_side_only() {
    let stage = stage().await;
    stage.simulator.typing(stage.acme, stage.ann).unwrap();
    stage.simulator.typing(stage.ann, stage.acme).unwrap();
    let sent = NewMessage::between(stage.acme, stage.ann, "Hello");
    let sent = stage.simulator.direct_message(sent).unwrap();
    stage.simulator.mark_read(sent).unwrap();
    let bodies = stage.delivered().await;
    assert_eq!(bodies.len(), 3);
    let typing = &bodies[0]["direct_message_indicate_typing_events"][0];
    assert_eq!(typing["sender_id"], "1924465506158878979");
    let read = &bodies[2]["direct_message_mark_read_events"][0];
    assert_eq!(read["last_read_event_id"], sent.to_string());
    assert_eq!(read["sender_id"], "1924465506158878979");
}

#[actix_web::test]
async fn deletes_likes_follows_and_profiles() {
    let stage = stage().await;
    let simulator = &stage.simulator;
    let own = stage.post(stage.acme, "one");
    let theirs = stage.post(stage.ann, "two");
    simulator.like(stage.ann, own).unwrap();
    simulator.delete(theirs).unwrap();
    simulator.delete(own).unwrap();
    simulator.follow(stage.ann, stage.acme).unwrap();
    simulator.unfollow(stage.ann, stage.acme).unwrap();
    simulator
        .update_profile(stage.acme, ProfileField::Location, "Rome")
        .unwrap();
    let bodies = stage.delivered().await;
    assert_eq!(bodies.len(), 5);
    let like = &bodies[1]["favorite_events"][0];
    assert!(like["timestamp_ms"].is_u64());
    assert_eq!(like["favorited_status"]["favorite_count"], 1);
    assert_eq!(like["id"].as_str().unwrap().len(), 32);
    let gone = &bodies[2]["tweet_delete_events"][0];
    assert_eq!(gone["status"], json!({ "id": own, "user_id": stage.acme }));
    assert!(gone["timestamp_ms"].is_string());
    assert_eq!(
        bodies[3]["follow_events"][0]["source"]["screen_name"],
        "ann"
    );
    assert_eq!(bodies[4]["unfollow_events"][0]["type"], "unfollow");
}

#[actix_web::test]
async fn v1_puts_the_opposite_of_a_follow_under_the_same_key() {
    let stage = Stage::with_form(Form::AccountActivityV1).await;
    stage.simulator.follow(stage.ann, stage.acme).unwrap();
    stage.simulator.unfollow(stage.ann, stage.acme).unwrap();
    let bodies = stage.delivered().await;
    assert_eq!(bodies[1]["follow_events"][0]["type"], "unfollow");
}

#[actix_web::test]
async fn revocation_and_replay_have_no_account_and_end_the_subscription() {
    let stage = stage().await;
    stage.simulator.end_replay("acme-app", false).unwrap();
    stage.simulator.revoke("acme-app", stage.acme).unwrap();
    stage.post(stage.ann, "@acme still there?");
    let bodies = stage.delivered().await;
    assert_eq!(bodies.len(), 2);
    assert_eq!(bodies[0]["replay_job_status"]["job_state"], "Incomplete");
    let revoke = &bodies[1]["user_event"]["revoke"];
    assert_eq!(revoke["source"]["user_id"], "2975699229");
    assert_eq!(revoke["date_time"], "2026-03-02T09:00:05+00:00");
    assert!(bodies.iter().all(|body| body.get("for_user_id").is_none()));
}
