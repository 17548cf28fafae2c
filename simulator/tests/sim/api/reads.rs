//! Looking up posts and people.

use std::time::Duration;

use serde_json::{Value, json};
use simulator::{NewMedia, NewPost, PostId};

use super::client::Caller;

fn ids(body: &Value) -> Vec<PostId> {
    let data = body["data"].as_array().cloned().unwrap_or_default();
    data.iter()
        .map(|post| post["id"].as_str().unwrap().parse().unwrap())
        .collect()
}

#[actix_web::test]
async fn only_what_is_asked_for_is_shown() {
    let caller = Caller::new().await;
    let stage = &caller.stage;
    let root = stage.post(stage.acme, "We are open");
    let media = NewPost::by(stage.ann, "nice @bob")
        .replying_to(root)
        .with_media(NewMedia::photo());
    let post = caller.simulator().post(media).unwrap();
    let path = format!("/2/tweets/{post}");
    let bare = caller.get(&path, &[]).await;
    let fields: Vec<&String> = bare.body["data"].as_object().unwrap().keys().collect();
    assert_eq!(fields, ["edit_history_tweet_ids", "id", "text"]);
    assert!(bare.body.get("includes").is_none());

    let all = caller
        .get(
            &path,
            &[
                ("tweet.fields", "author_id,conversation_id,referenced_tweets,created_at"),
                ("expansions", "author_id,referenced_tweets.id,attachments.media_keys,entities.mentions.username"),
                ("user.fields", "verified"),
                ("media.fields", "url"),
            ],
        )
        .await;
    assert_eq!(all.body["data"]["conversation_id"], root.to_string());
    let reference = json!([{ "type": "replied_to", "id": root }]);
    assert_eq!(all.body["data"]["referenced_tweets"], reference);
    let users = all.body["includes"]["users"].as_array().unwrap();
    let names: Vec<&Value> = users.iter().map(|user| &user["username"]).collect();
    for name in ["acme", "ann", "bob"] {
        assert!(names.contains(&&json!(name)), "{name}");
    }
    assert_eq!(users[0]["verified"], false);
    assert!(users[0].get("description").is_none());
    assert_eq!(all.body["includes"]["tweets"][0]["id"], root.to_string());
    assert_eq!(all.body["includes"]["media"][0]["type"], "photo");
    assert!(all.body["includes"]["media"][0]["url"].is_string());

    let unknown = caller.get(&path, &[("fields", "all")]).await;
    assert_eq!(unknown.status, 400);
    assert!(unknown.body["errors"][0]["parameters"]["fields"].is_array());
}

#[actix_web::test]
async fn what_cannot_be_seen_is_missing_with_a_reason() {
    let caller = Caller::new().await;
    let stage = &caller.stage;
    let (kept, gone) = (stage.post(stage.ann, "a"), stage.post(stage.ann, "b"));
    let shy = stage.post(stage.bob, "c");
    caller.simulator().delete(gone).unwrap();
    caller.simulator().set_protected(stage.bob, true).unwrap();
    assert_eq!(
        caller.get(&format!("/2/tweets/{gone}"), &[]).await.status,
        404
    );
    let list = format!("{kept},{gone},{shy}");
    let several = caller.get("/2/tweets", &[("ids", &list)]).await;
    assert_eq!(several.status, 200);
    assert_eq!(ids(&several.body), [kept]);
    let kinds: Vec<&str> = several.body["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["type"].as_str().unwrap().rsplit('/').next().unwrap())
        .collect();
    assert_eq!(kinds, ["resource-not-found", "not-authorized-for-resource"]);
    assert_eq!(several.body["errors"][0]["resource_id"], gone.to_string());
    assert_eq!(caller.get("/2/tweets", &[]).await.status, 400);
}

#[actix_web::test]
async fn timelines_come_in_pages_from_the_newest() {
    let caller = Caller::new().await;
    let stage = &caller.stage;
    let written: Vec<PostId> = (0..12)
        .map(|n| stage.post(stage.ann, &format!("@acme {n}")))
        .collect();
    let path = format!("/2/users/{}/mentions", caller.acme());
    let first = caller.get(&path, &[("max_results", "5")]).await;
    assert_eq!(
        ids(&first.body),
        [written[11], written[10], written[9], written[8], written[7]]
    );
    assert_eq!(first.body["meta"]["newest_id"], written[11].to_string());
    assert_eq!(first.body["meta"]["result_count"], 5);
    let next = first.body["meta"]["next_token"].as_str().unwrap();
    let second = caller
        .get(&path, &[("max_results", "5"), ("pagination_token", next)])
        .await;
    assert_eq!(ids(&second.body)[0], written[6]);
    let next = second.body["meta"]["next_token"].as_str().unwrap();
    let last = caller
        .get(&path, &[("max_results", "5"), ("pagination_token", next)])
        .await;
    assert_eq!(ids(&last.body), [written[1], written[0]]);
    assert!(last.body["meta"].get("next_token").is_none());
    let since = caller
        .get(&path, &[("since_id", &written[9].to_string())])
        .await;
    assert_eq!(ids(&since.body), [written[11], written[10]]);
    let none = caller
        .get(&path, &[("since_id", &written[11].to_string())])
        .await;
    assert_eq!(none.body, json!({ "meta": { "result_count": 0 } }));
    assert_eq!(caller.get(&path, &[("max_results", "4")]).await.status, 400);
}

#[actix_web::test]
async fn the_posts_of_an_account_are_all_there_unless_left_out() {
    let caller = Caller::new().await;
    let stage = &caller.stage;
    let root = stage.post(stage.ann, "@acme hi");
    let post = caller.tweet("news").await.id();
    let reply = caller.reply(root, "hello").await.id();
    let repost = caller.simulator().repost(stage.acme, root).unwrap();
    let path = format!("/2/users/{}/tweets", caller.acme());
    assert_eq!(
        ids(&caller.get(&path, &[]).await.body),
        [repost, reply, post]
    );
    let some = caller.get(&path, &[("exclude", "replies,retweets")]).await;
    assert_eq!(ids(&some.body), [post]);
    let now = caller.simulator().now().to_string();
    assert_eq!(
        ids(&caller.get(&path, &[("start_time", &now)]).await.body),
        []
    );
    assert_eq!(
        ids(&caller.get(&path, &[("end_time", &now)]).await.body).len(),
        3
    );
}

#[actix_web::test]
async fn a_search_finds_what_is_old_enough() {
    let caller = Caller::new().await;
    let stage = &caller.stage;
    let root = stage.post(stage.ann, "@acme my printer burns");
    let reply = stage.reply(stage.acme, root, "Which one?");
    let aside = stage.post(stage.bob, "what a printer");
    caller.simulator().repost(stage.bob, root).unwrap();
    let search = |query: String| {
        let caller = &caller;
        async move {
            caller
                .get("/2/tweets/search/recent", &[("query", &query)])
                .await
        }
    };
    assert_eq!(ids(&search("printer".into()).await.body), []);
    caller.simulator().advance(Duration::from_secs(31));
    for (query, found) in [
        ("printer".to_owned(), vec![aside, root]),
        (format!("conversation_id:{root}"), vec![reply, root]),
        (format!("conversation_id:{root} from:acme"), vec![reply]),
        ("from:acme".to_owned(), vec![reply]),
        ("to:ann".to_owned(), vec![reply]),
        ("@acme -is:reply".to_owned(), vec![root]),
        ("\"my printer\" OR from:acme".to_owned(), vec![reply, root]),
        ("from:nobody".to_owned(), vec![]),
    ] {
        assert_eq!(ids(&search(query.clone()).await.body), found, "{query}");
    }
    let wrong = search("colour:red".into()).await;
    assert_eq!(wrong.status, 400);
    caller
        .simulator()
        .advance(Duration::from_secs(8 * 24 * 3600));
    assert_eq!(ids(&search("printer".into()).await.body), []);
}

#[actix_web::test]
async fn people_are_found_by_id_and_name() {
    let caller = Caller::new().await;
    let (ann, bob) = (caller.stage.ann, caller.stage.bob);
    let one = caller.get(&format!("/2/users/{ann}"), &[]).await;
    assert_eq!(
        one.body["data"],
        json!({ "id": ann, "name": "ann", "username": "ann" })
    );
    let by_name = caller.get("/2/users/by/username/ANN", &[]).await;
    assert_eq!(by_name.body["data"]["id"], ann.to_string());
    caller
        .simulator()
        .change_standing(bob, |standing| standing.suspended = true)
        .unwrap();
    let both = caller
        .get("/2/users", &[("ids", &format!("{ann},{bob}"))])
        .await;
    assert_eq!(both.body["data"].as_array().unwrap().len(), 1);
    assert!(
        both.body["errors"][0]["detail"]
            .as_str()
            .unwrap()
            .contains("suspended")
    );
    let names = caller
        .get("/2/users/by", &[("usernames", "ann,nobody")])
        .await;
    assert_eq!(
        names.body["errors"][0]["detail"],
        "Could not find user with usernames: [nobody]."
    );
    assert_eq!(
        caller.get(&format!("/2/users/{bob}"), &[]).await.status,
        404
    );
    assert_eq!(
        caller.get("/2/users/by/username/nobody", &[]).await.status,
        404
    );
}

#[actix_web::test]
async fn a_user_is_shown_as_the_account_sees_it() {
    let caller = Caller::new().await;
    let (ann, acme, simulator) = (caller.stage.ann, caller.acme(), caller.simulator());
    let fields = [(
        "user.fields",
        "receives_your_dm,connection_status,subscription_type",
    )];
    simulator
        .change_standing(ann, |standing| standing.accepts_messages = false)
        .unwrap();
    simulator.follow(acme, ann).unwrap();
    let seen = caller.get(&format!("/2/users/{ann}"), &fields).await.body;
    assert_eq!(seen["data"]["receives_your_dm"], false);
    assert_eq!(seen["data"]["connection_status"], json!(["following"]));
    assert!(seen["data"].get("subscription_type").is_none());
    simulator
        .change_standing(acme, |standing| standing.premium = true)
        .unwrap();
    let me = caller.get("/2/users/me", &fields).await.body;
    assert_eq!(me["data"]["subscription_type"], "Premium");
}

#[actix_web::test]
async fn lists_show_the_latest_version_alone() {
    let caller = Caller::new().await;
    let stage = &caller.stage;
    let first = stage.post(stage.ann, "@acme my printer");
    let second = caller
        .simulator()
        .edit_silently(first, "@acme my big printer")
        .unwrap();
    caller.simulator().advance(Duration::from_secs(31));
    let query = [("query", "printer")];
    let found = caller.get("/2/tweets/search/recent", &query).await;
    assert_eq!(ids(&found.body), [second]);
    let mentions = format!("/2/users/{}/mentions", stage.acme);
    assert_eq!(ids(&caller.get(&mentions, &[]).await.body), [second]);
    let own = format!("/2/users/{}/tweets", stage.ann);
    assert_eq!(ids(&caller.get(&own, &[]).await.body), [second]);
    let old = caller.get(&format!("/2/tweets/{first}"), &[]).await;
    assert_eq!(old.body["data"]["text"], "@acme my printer");
}

#[actix_web::test]
async fn a_search_has_a_span_within_the_last_week() {
    let caller = Caller::new().await;
    let stage = &caller.stage;
    let search = async |query: &[(&str, &str)]| {
        let query = [&[("query", "from:ann")], query].concat();
        caller.get("/2/tweets/search/recent", &query).await
    };
    let ancient = stage.post(stage.ann, "ancient");
    caller
        .simulator()
        .advance(Duration::from_secs(8 * 24 * 3600));
    let start = caller.simulator().now();
    let posts: Vec<PostId> = (0..25)
        .map(|number| stage.post(stage.ann, &format!("Café {number}")))
        .collect();
    caller.simulator().advance(Duration::from_secs(60));

    let since = posts[22].to_string();
    let newer = search(&[("since_id", &since)]).await;
    assert_eq!(ids(&newer.body), [posts[24], posts[23]]);
    let (from, to) = (
        start.to_string(),
        (start + Duration::from_secs(3)).to_string(),
    );
    let span = search(&[("start_time", &from), ("end_time", &to)]).await;
    assert_eq!(ids(&span.body), [posts[2], posts[1], posts[0]]);

    let mut found = Vec::new();
    let mut token = String::new();
    loop {
        let page = match token.is_empty() {
            true => search(&[]).await,
            false => search(&[("next_token", &token)]).await,
        };
        found.extend(ids(&page.body));
        match page.body["meta"]["next_token"].as_str() {
            Some(next) => token = next.to_owned(),
            None => break,
        }
    }
    found.reverse();
    assert_eq!(found, posts);

    let old = ancient.to_string();
    let now = caller.simulator().now().to_string();
    for (name, value) in [
        ("since_id", old.as_str()),
        ("start_time", "2026-03-02T09:00:00Z"),
        ("end_time", &now),
    ] {
        let refused = search(&[(name, value)]).await;
        assert_eq!(refused.status, 400, "{name}");
        assert!(refused.body["errors"][0]["parameters"][name].is_array());
    }
    let accents = [("query", "\"cafe 7\" -has:media")];
    let found = caller.get("/2/tweets/search/recent", &accents).await;
    assert_eq!(ids(&found.body), [posts[7]]);
}
