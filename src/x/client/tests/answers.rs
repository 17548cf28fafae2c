//! What the client reads.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::domain::ids::{TweetId, UserId};
use crate::x::client::testing::{Act, Bench};
use crate::x::client::{
    CallError, Connection, Detail, DirectMessageContent, DirectMessageTarget, Plan, RefusalReason,
    Resources, Since, UncertainBecause,
};

fn ids(ids: &[&str]) -> Vec<TweetId> {
    ids.iter().map(|id| id.parse().unwrap()).collect()
}

fn not_found(id: &str) -> Value {
    json!({"value": id, "detail": format!("Could not find tweet with ids: [{id}]."), "title": "Not Found Error",
        "resource_type": "tweet", "parameter": "ids", "resource_id": id, "type": "https://api.twitter.com/2/problems/resource-not-found"})
}

fn not_authorized(id: &str) -> Value {
    json!({"resource_id": id, "detail": format!("Sorry, you are not authorized to see the Tweet with ids: [{id}]."), "title": "Authorization Error",
        "type": "https://api.x.com/2/problems/not-authorized-for-resource"})
}

#[tokio::test]
async fn a_lookup_tells_found_from_missing_and_why() {
    let body = json!({
        "data": [{"id": "20", "author_id": "7", "text": "a &amp; b https://t.co/y", "created_at": "2026-07-24T21:05:48.000Z",
            "conversation_id": "10", "referenced_tweets": [{"type": "replied_to", "id": "12"}],
            "entities": {"urls": [{"start": 8, "end": 22, "url": "https://t.co/y", "expanded_url": "https://y.example", "display_url": "y.example"}]}}],
        "includes": {"users": [{"id": "7", "username": "ann"}, {"id": "8", "username": "bob"}], "tweets": [{"id": "12", "author_id": "8", "text": "parent"}]},
        "errors": [not_found("21"), not_authorized("22")]});
    let bench = Bench::new([Act::ok(body)]).await;
    let reply = bench
        .client
        .posts(bench.auth(), &ids(&["20", "21", "22", "23"]), Detail::Whole)
        .await;
    assert_eq!(
        reply.resources,
        Resources {
            posts: 2,
            users: 2,
            direct_messages: 0
        }
    );
    let found = reply.result.unwrap();
    let post = &found.posts[0];
    assert_eq!(
        (&*post.message.text, &*post.message.author.username),
        ("a & b https://y.example", "ann")
    );
    assert_eq!(
        post.replied_to.as_ref().unwrap().author_id.unwrap().get(),
        8
    );
    let missing: Vec<_> = found
        .missing
        .iter()
        .map(|it| (it.id.get(), it.reason))
        .collect();
    use RefusalReason::*;
    assert_eq!(
        missing,
        [(21, NotFound), (22, Protected), (23, Unclassified)]
    );
    assert_eq!(found.missing[0].upstream.title, "Not Found Error");
}

#[tokio::test]
async fn a_lookup_of_what_is_all_gone_is_no_failure() {
    let bench = Bench::new([Act::ok(json!({"errors": [not_found("21")]}))]).await;
    let reply = bench
        .client
        .posts(bench.auth(), &ids(&["21"]), Detail::Plain)
        .await;
    let found = reply.result.unwrap();
    assert_eq!((found.posts.len(), found.missing.len()), (0, 1));
}

#[tokio::test]
async fn an_empty_object_proves_nothing_absent() {
    let bench = Bench::new([Act::ok("{}"), Act::ok("{}")]).await;
    let posts = bench
        .client
        .posts(bench.auth(), &ids(&["21"]), Detail::Plain)
        .await;
    let users = bench
        .client
        .users(bench.auth(), &["7".parse().unwrap()])
        .await;
    assert!(
        matches!(posts.result, Err(CallError::Uncertain { .. })),
        "{posts:?}"
    );
    assert!(
        matches!(users.result, Err(CallError::Uncertain { .. })),
        "{users:?}"
    );
}

#[tokio::test]
async fn a_timeline_may_be_empty_but_not_unreadable() {
    let bench = Bench::new([
        Act::ok(json!({"meta": {"result_count": 0}})),
        Act::ok(json!({"data": [{"id": "20"}], "meta": {"result_count": 1, "next_token": "x"}})),
        Act::ok(json!({})),
        Act::ok(json!({"errors": [{"resource_id": "7", "detail": "User has been suspended: [7].", "title": "Forbidden", "type": "https://api.x.com/2/problems/resource-not-found"}]})),
    ])
    .await;
    let user: UserId = "7".parse().unwrap();
    let read = || {
        bench
            .client
            .user_posts(bench.auth(), user, Since::Beginning, 5, Detail::Plain)
    };
    let empty = read().await.result.unwrap();
    assert!(empty.posts.is_empty() && empty.unreadable.is_empty() && !empty.has_more);
    let unreadable = read().await.result.unwrap();
    assert_eq!(
        (
            unreadable.posts.len(),
            unreadable.unreadable.len(),
            unreadable.has_more
        ),
        (0, 1, true)
    );
    let nothing = read().await.result.unwrap_err();
    assert!(matches!(
        nothing,
        CallError::Uncertain {
            reason: UncertainBecause::Unreadable,
            ..
        }
    ));
    match read().await.result.unwrap_err() {
        CallError::Refused(refusal) => assert_eq!(refusal.reason, RefusalReason::NotFound),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn both_vocabularies_are_read() {
    let by_pages = json!({"id": "20", "author_id": "7", "text": "cut", "note_tweet": {"text": "whole"},
        "referenced_tweets": [{"type": "replied_to", "id": "12"}], "edit_history_tweet_ids": ["19", "20"]});
    let by_open_api = json!({"id": "20", "author_id": "7", "text": "cut", "note_post": {"text": "whole"},
        "referenced_posts": [{"type": "replied_to", "id": "12"}], "edit_history_post_ids": ["19", "20"]});
    let bench = Bench::new([
        Act::ok(json!({"data": [by_pages]})),
        Act::ok(json!({"data": [by_open_api]})),
    ])
    .await;
    let read = || async {
        let reply = bench
            .client
            .posts(bench.auth(), &ids(&["20"]), Detail::Plain)
            .await;
        reply.result.unwrap().posts
    };
    let (pages, open_api) = (read().await, read().await);
    assert_eq!(pages, open_api);
    assert_eq!(
        (&*pages[0].message.text, pages[0].edit_history.len()),
        ("whole", 2)
    );
}

#[tokio::test]
async fn users_tell_what_may_be_done_and_which_are_gone() {
    let body = json!({"data": [{"id": "7", "username": "ann", "receives_your_dm": true, "connection_status": ["followed_by", "blocking", "follow_request_sent"]}],
        "errors": [{"resource_id": "8", "value": "8", "detail": "User has been suspended: [8].", "title": "Forbidden", "type": "https://api.twitter.com/2/problems/resource-not-found"}]});
    let bench = Bench::new([Act::ok(body)]).await;
    let reply = bench
        .client
        .users(bench.auth(), &["7".parse().unwrap(), "8".parse().unwrap()])
        .await;
    assert_eq!(reply.resources.users, 1);
    let found = reply.result.unwrap();
    let ann = &found.users[0];
    assert_eq!(
        (&*ann.person.username, ann.receives_your_dm, &ann.plan),
        ("ann", Some(true), &None)
    );
    let other = Connection::Other("follow_request_sent".to_owned());
    assert_eq!(
        ann.connections,
        [Connection::FollowedBy, Connection::Blocking, other]
    );
    assert_eq!(
        (found.missing[0].id.get(), found.missing[0].reason),
        (8, RefusalReason::NotFound)
    );
}

#[tokio::test]
async fn the_account_knows_its_plan() {
    for (word, plan) in [
        ("PremiumPlus", Plan::PremiumPlus),
        ("None", Plan::None),
        ("Gold", Plan::Other("Gold".to_owned())),
    ] {
        let bench = Bench::new([Act::ok(
            json!({"data": {"id": "2975699229", "username": "acme", "subscription_type": word}}),
        )])
        .await;
        let own = bench.client.me(bench.auth()).await.result.unwrap();
        assert_eq!((own.person.id, own.plan), (bench.account.id.0, Some(plan)));
    }
}

#[tokio::test]
async fn a_sent_message_has_its_id_and_conversation() {
    let bench = Bench::new([Act::status(201, json!({"data": {"dm_conversation_id": "2975699229-9", "dm_event_id": "1582103724607971332"}})),
        Act::status(201, json!({"data": {"dm_event_id": "77"}})),
        Act::status(201, json!({"data": {"dm_conversation_id": "9-2975699229"}}))]).await;
    let send = || {
        let content = &DirectMessageContent {
            text: "hi",
            media_id: None,
        };
        let target = DirectMessageTarget::Person("9".parse().unwrap());
        bench
            .client
            .send_direct_message(bench.auth(), target, content)
    };
    let sent = send().await.result.unwrap();
    assert_eq!(sent.id.to_string(), "1582103724607971332");
    assert_eq!(sent.conversation.unwrap().to_string(), "dm:9-2975699229");
    assert_eq!(send().await.result.unwrap().conversation, None);
    let error = send().await.result.unwrap_err();
    assert!(matches!(
        error,
        CallError::Uncertain {
            reason: UncertainBecause::NoResult,
            ..
        }
    ));
}

/// X's own sample, which leaves the conversation out.
#[tokio::test]
async fn messages_with_a_person_are_read() {
    let body = json!({"data": [{"id": "1234567890", "event_type": "MessageCreate", "text": "Hello! How are you?", "sender_id": "9876543210", "created_at": "2024-01-15T10:30:00.000Z"}],
        "includes": {"users": [{"id": "9876543210", "username": "example_user"}]}, "meta": {"result_count": 1, "next_token": "abc123"}});
    let bench = Bench::new([Act::ok(body)]).await;
    let person = "9876543210".parse().unwrap();
    let reply = bench
        .client
        .direct_messages_with(bench.auth(), person, 10, Detail::Whole)
        .await;
    assert_eq!(
        reply.resources,
        Resources {
            posts: 0,
            users: 1,
            direct_messages: 1
        }
    );
    let found = reply.result.unwrap();
    let direct = &found.messages[0];
    assert_eq!(direct.conversation.to_string(), "dm:2975699229-9876543210");
    assert_eq!(direct.recipient_id, Some(bench.account.id.0));
    assert_eq!(
        (&*direct.message.text, found.has_more),
        ("Hello! How are you?", true)
    );
}

#[tokio::test]
async fn what_was_not_done_is_no_success() {
    let bench = Bench::new([
        Act::ok(json!({"data": {"deleted": false}})),
        Act::ok(json!({"data": {"hidden": false}})),
        Act::ok(json!({"data": {"hidden": false}})),
    ])
    .await;
    let id: TweetId = "20".parse().unwrap();
    let (client, auth) = (&bench.client, bench.auth());
    assert!(client.delete_post(auth, id).await.result.is_err());
    assert!(client.hide_reply(auth, id, true).await.result.is_err());
    assert_eq!(client.hide_reply(auth, id, false).await.result, Ok(()));
}

#[tokio::test]
async fn a_reply_brings_the_limits_whether_it_went_well_or_not() {
    let limited = |act: Act| {
        act.with("x-rate-limit-limit", 75)
            .with("x-rate-limit-remaining", 74)
            .with("x-rate-limit-reset", 1_788_264_900)
            .with("x-app-limit-24hour-limit", 1_000)
            .with("x-app-limit-24hour-remaining", 3)
            .with("x-app-limit-24hour-reset", 1_788_300_000)
    };
    let bench = Bench::new([
        limited(Act::ok(json!({"data": {"id": "2975699229"}}))),
        limited(Act::status(403, json!({"title": "Forbidden"})).with("x-transaction-id", "abc")),
    ])
    .await;
    for is_ok in [true, false] {
        let reply = bench.client.me(bench.auth()).await;
        assert_eq!(reply.result.is_ok(), is_ok);
        let window = reply.limits.window.unwrap();
        assert_eq!((window.limit, window.remaining), (75, 74));
        assert_eq!(window.reset, Timestamp::from_second(1_788_264_900).unwrap());
        assert_eq!(reply.limits.app_day.unwrap().remaining, 3);
        if let Err(error) = reply.result {
            assert_eq!(error.upstream().unwrap().transaction_id, "abc");
        }
    }
}
