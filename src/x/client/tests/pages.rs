//! Pages of timelines, searches and messages, and the calls of the same kind.

use serde_json::{Value, json};

use crate::domain::activity::{ActivityEvent, Recipient, Via};
use crate::domain::ids::TweetId;
use crate::x::client::auth::Context;
use crate::x::client::stream::{NewRule, SILENCE};
use crate::x::client::testing::{Act, Bench};
use crate::x::client::{
    Auth, ByteRange, Call, CallError, Detail, PageToken, RefusalReason, Resources, Since, Span,
    Until, Usage,
};
use crate::x::normalize::normalize;

const TOKEN: &str = "t3buvdr5pujq9g7bggsnf3ep2ha28";

fn post(id: &str) -> TweetId {
    id.parse().unwrap()
}

fn span() -> Span<'static> {
    Span {
        since: Since::Beginning,
        until: Until::Now,
        page: None,
        max_results: 100,
        detail: Detail::Whole,
    }
}

/// Every call for gaps, polls, streams, jobs and files, some in several ways.
pub(super) async fn make_every_call(bench: &Bench) -> Vec<Call> {
    let mut made = read_pages(bench).await;
    made.extend(ask_for_stream(bench).await);
    made.extend(ask_for_jobs(bench).await);
    made.push(fetch_file(bench).await);
    made
}

async fn read_pages(bench: &Bench) -> Vec<Call> {
    bench
        .x
        .then(vec![Act::ok(json!({"meta": {"result_count": 0}})); 5]);
    let (client, auth, own) = (&bench.client, bench.auth(), bench.account.id);
    let next = PageToken::new(TOKEN);
    let between = Span {
        since: Since::Post(post("20")),
        until: Until::Post(post("30")),
        page: Some(&next),
        ..span()
    };
    let hours = Span {
        since: Since::Time("2026-09-01T10:00:00.5Z".parse().unwrap()),
        until: Until::Time("2026-09-01T11:00:00.5Z".parse().unwrap()),
        max_results: 1,
        ..span()
    };
    let made = [
        client.mentions(auth, own, &between).await.map_call(),
        client.own_posts(auth, own, &hours).await.map_call(),
        client
            .search(auth, "@acme", Some(own), &hours)
            .await
            .map_call(),
        client
            .search(auth, "@acme", None, &between)
            .await
            .map_call(),
        client
            .direct_message_events(&bench.app, &bench.account, Some(&next), 500, Detail::Whole)
            .await
            .map_call(),
    ];
    made.into()
}

async fn ask_for_stream(bench: &Bench) -> Vec<Call> {
    let changed = |summary: Value| Act::status(201, json!({"meta": {"summary": summary}}));
    bench.x.then([
        Act::ok(json!({"meta": {"result_count": 0}})),
        changed(json!({"created": 1, "valid": 1})),
        changed(json!({"created": 0, "valid": 1})),
        changed(json!({"deleted": 2, "not_deleted": 0})),
        Act::ok(""),
        Act::ok(json!({"data": {"project_usage": "7"}})),
    ]);
    let (client, app) = (&bench.client, bench.app_with_bearer());
    let rule = NewRule {
        value: "@acme -is:retweet",
        tag: "acme",
    };
    let untagged = NewRule { tag: "", ..rule };
    let ids = ["71".parse().unwrap(), "72".parse().unwrap()];
    let page = PageToken::new("0123456789abcdef");
    let made = [
        client.stream_rules(&app, Some(&page)).await.map_call(),
        client
            .add_stream_rules(&app, &[rule, untagged], false)
            .await
            .map_call(),
        client
            .add_stream_rules(&app, &[rule], true)
            .await
            .map_call(),
        client
            .delete_stream_rules(&app, &ids, false)
            .await
            .map_call(),
        client.post_stream(&app, SILENCE).await.map_call(),
        client.usage(&app, 500).await.map_call(),
    ];
    made.into()
}

async fn ask_for_jobs(bench: &Bench) -> Vec<Call> {
    let job = json!({"data": {"id": "5", "status": "created"}});
    bench.x.then([
        Act::ok(&job),
        Act::ok(&job),
        Act::ok(json!({"data": [], "meta": {"result_count": 0}})),
    ]);
    let (client, app) = (&bench.client, bench.app_with_bearer());
    let made = [
        client.create_compliance_job(&app, "daily").await.map_call(),
        client
            .compliance_job(&app, "5".parse().unwrap())
            .await
            .map_call(),
        client.compliance_jobs(&app).await.map_call(),
    ];
    made.into()
}

async fn fetch_file(bench: &Bench) -> Call {
    bench.x.then([Act::ok("file")]);
    let url = bench.x.url.join("2/dm_conversations/media/1/2/a.jpg");
    let range = ByteRange::parse("bytes=0-3");
    let file = bench
        .client
        .dm_media(&bench.app, &bench.account, &url.unwrap(), range)
        .await;
    assert_eq!(file.unwrap().length, Some(4));
    Call::DirectMessageMedia
}

/// X's own sample of the mentions timeline, with a second post that says nothing of its author.
fn mentions() -> Value {
    json!({"data": [
            {"id": "1301573587187331074", "text": "Hey @XDevelopers, love the new API!", "author_id": "1234567890", "created_at": "2024-01-15T10:30:00.000Z"},
            {"id": "1301573587187331073", "text": "cut"}],
        "includes": {"users": [{"id": "1234567890", "username": "developer", "name": "Dev Person", "verified": false}]},
        "meta": {"newest_id": "1301573587187331074", "oldest_id": "1301573587187331073", "result_count": 2, "next_token": TOKEN}})
}

#[tokio::test]
async fn a_page_of_mentions_is_deliveries_to_the_account() {
    let bench = Bench::new([Act::ok(mentions())]).await;
    let own = bench.account.id;
    let reply = bench.client.mentions(bench.auth(), own, &span()).await;
    let billed = Resources {
        posts: 2,
        users: 1,
        direct_messages: 0,
    };
    assert_eq!((reply.call, reply.resources), (Call::Mentions, billed));
    let page = reply.result.unwrap();
    assert_eq!(page.newest, Some(post("1301573587187331074")));
    assert_eq!(page.next, Some(PageToken::new(TOKEN)));
    let [first, second] = &page.deliveries[..] else {
        panic!("{page:?}")
    };
    assert_eq!(first.normalized, normalize(&first.body).unwrap());
    assert_eq!(first.normalized.via, Some(Via::Lookup));
    let activity = &first.normalized.activities[0];
    assert_eq!(activity.recipient, Recipient::User(own.0));
    assert!(
        matches!(&activity.event, ActivityEvent::Post(post) if post.message.author.name == "Dev Person")
    );
    let rejected = &second.normalized.rejected[0];
    assert_eq!(rejected.detail, "data.author_id: missing");
}

#[tokio::test]
async fn what_search_finds_is_marked_so_and_is_for_whom_it_was_asked() {
    let bench = Bench::new(vec![Act::ok(mentions()); 2]).await;
    let own = bench.account.id;
    for (account, recipient) in [(Some(own), Recipient::User(own.0)), (None, Recipient::App)] {
        let reply = bench
            .client
            .search(bench.auth(), "@acme", account, &span())
            .await;
        let page = reply.result.unwrap();
        let found = &page.deliveries[0].normalized;
        assert_eq!(found.via, Some(Via::Search));
        assert_eq!(found.activities[0].recipient, recipient);
    }
}

#[tokio::test]
async fn the_youngest_post_is_known_where_x_does_not_name_it() {
    let mut body = mentions();
    body["meta"] = json!({"result_count": 2});
    let bench = Bench::new([Act::ok(body)]).await;
    let reply = bench
        .client
        .own_posts(bench.auth(), bench.account.id, &span())
        .await;
    let page = reply.result.unwrap();
    assert_eq!(page.newest, Some(post("1301573587187331074")));
    assert_eq!(page.next, None);
}

#[tokio::test]
async fn an_empty_page_is_the_last_and_no_page_is_a_refusal() {
    let gone = json!({"errors": [{"resource_id": "7", "title": "Not Found Error", "type": "https://api.x.com/2/problems/resource-not-found"}]});
    let bench = Bench::new([
        Act::ok(json!({"meta": {"result_count": 0}})),
        Act::ok("{}"),
        Act::ok(gone),
    ])
    .await;
    let read = || async {
        let reply = bench
            .client
            .mentions(bench.auth(), bench.account.id, &span())
            .await;
        assert_eq!(reply.resources, Resources::default());
        reply.result
    };
    let empty = read().await.unwrap();
    assert!(empty.deliveries.is_empty());
    assert_eq!((empty.newest, empty.next), (None, None));
    assert!(matches!(read().await, Err(CallError::Uncertain { .. })));
    match read().await.unwrap_err() {
        CallError::Refused(refusal) => assert_eq!(refusal.reason, RefusalReason::NotFound),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn messages_of_all_conversations_are_deliveries_to_the_account() {
    let event = |id: &str, conversation: &str| json!({"id": id, "event_type": "MessageCreate", "text": "hi", "sender_id": "9", "dm_conversation_id": conversation, "created_at": "2026-09-01T11:30:00.000Z"});
    let body = json!({"data": [event("32", "9-2975699229"), event("31", "1582103724607971328")],
        "includes": {"users": [{"id": "9", "username": "ann"}]}, "meta": {"result_count": 2, "next_token": TOKEN}});
    let bench = Bench::new([Act::ok(body)]).await;
    let reply = bench
        .client
        .direct_message_events(&bench.app, &bench.account, None, 100, Detail::Whole)
        .await;
    assert_eq!(reply.resources.direct_messages, 2);
    let page = reply.result.unwrap();
    assert_eq!(
        (page.newest, page.next),
        (None, Some(PageToken::new(TOKEN)))
    );
    let conversations: Vec<_> = page
        .deliveries
        .iter()
        .map(|it| match &it.normalized.activities[0].event {
            ActivityEvent::Direct(direct) => direct.conversation.to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(conversations, ["dm:9-2975699229", "dm:1582103724607971328"]);
}

#[tokio::test]
async fn mentions_are_read_by_the_app_where_it_is_asked_to() {
    let bench = Bench::new([Act::ok(json!({"meta": {"result_count": 0}}))]).await;
    let app = bench.app_with_bearer();
    let auth = Auth::App(&app);
    let reply = bench.client.mentions(auth, bench.account.id, &span()).await;
    assert!(reply.result.is_ok());
    let asked = bench.x.only();
    assert_eq!(asked.header("authorization"), "Bearer the-bearer");
}

#[test]
fn what_only_apps_may_ask_takes_a_bearer_and_no_accounts_token() {
    for call in [
        Call::StreamConnect,
        Call::StreamRules,
        Call::ChangeStreamRules,
        Call::CreateComplianceJob,
        Call::ComplianceJob,
        Call::ComplianceJobs,
        Call::Usage,
    ] {
        assert!(
            call.takes(Context::Bearer) && !call.takes(Context::OAuth1),
            "{call:?}"
        );
    }
    let events = Call::DirectMessageEvents;
    assert!(events.takes(Context::OAuth1) && !events.takes(Context::Bearer));
}

#[tokio::test]
async fn usage_tells_what_is_used_of_the_cap_and_when() {
    let body = json!({"data": {"cap_reset_day": 12, "project_cap": "3000000", "project_usage": 1200, "project_id": "1",
        "daily_project_usage": {"project_id": "1", "usage": [
            {"date": "2026-08-31T00:00:00.000Z", "usage": "700"}, {"date": "2026-09-01T00:00:00.000Z", "usage": "500"}, {"date": "?", "usage": "1"}]}}});
    let bench = Bench::new([Act::ok(body), Act::ok(json!({"meta": {}}))]).await;
    let app = bench.app_with_bearer();
    let usage = bench.client.usage(&app, 7).await.result.unwrap();
    let Usage {
        used,
        cap,
        reset_day,
        days,
    } = usage;
    assert_eq!(
        (used, cap, reset_day),
        (Some(1_200), Some(3_000_000), Some(12))
    );
    let days: Vec<_> = days
        .iter()
        .map(|day| (day.date.to_string(), day.posts))
        .collect();
    assert_eq!(
        days,
        [
            ("2026-08-31".to_owned(), 700),
            ("2026-09-01".to_owned(), 500)
        ]
    );
    assert!(bench.client.usage(&app, 7).await.result.is_err());
}
