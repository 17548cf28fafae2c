//! What the client sends.

use std::collections::HashSet;
use std::convert::Infallible;
use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json};

use super::setting_up::set_up;
use crate::domain::attachment::MediaCategory;
use crate::domain::ids::{ConversationId, MediaId, TweetId, UserId};
use crate::x::client::testing::{Act, Bench, NOW, OpenApi, Recorded, parts};
use crate::x::client::vocabulary::Vocabulary;
use crate::x::client::{
    Call, Detail, DirectMessageContent, DirectMessageTarget, NewPost, Since, Upload,
    direct_message_link,
};

fn post(id: &str) -> TweetId {
    id.parse().unwrap()
}

fn person(id: &str) -> UserId {
    id.parse().unwrap()
}

fn media(id: &str) -> MediaId {
    id.parse().unwrap()
}

fn dm_sent() -> Value {
    json!({"data": {"dm_conversation_id": "9-2975699229", "dm_event_id": "77"}})
}

/// Makes every call there is, some in several ways; which, in order.
async fn make_every_call(bench: &Bench) -> Vec<Call> {
    bench.store_pair();
    let mut made = write_posts(bench).await;
    made.extend(read_posts(bench).await);
    made.extend(ask_for_users(bench).await);
    made.extend(direct_messages(bench).await);
    made.extend(uploads(bench).await);
    made.extend(set_up(bench).await);
    made.extend(super::pages::make_every_call(bench).await);
    made
}

async fn write_posts(bench: &Bench) -> Vec<Call> {
    let created = json!({"data": {"id": "1445880548472328192", "text": "Hello"}});
    let (deleted, hidden) = (
        json!({"data": {"deleted": true}}),
        json!({"data": {"hidden": true}}),
    );
    bench.x.then([
        Act::status(201, &created),
        Act::status(201, &created),
        Act::ok(deleted),
        Act::ok(hidden),
    ]);
    let (client, auth) = (&bench.client, bench.auth());
    let link = direct_message_link(bench.account.id);
    let full = NewPost {
        text: "Grüße & \"more\" 👍 https://e.example",
        in_reply_to: Some(post("20")),
        exclude_mentions: &[person("7"), person("8")],
        media_ids: &[media("31"), media("32")],
        direct_message_deep_link: Some(&link),
        quote: Some(post("21")),
    };
    let bare = NewPost {
        text: "hi",
        ..NewPost::default()
    };
    let made = [
        client.create_post(auth, &full).await.map_call(),
        client.create_post(auth, &bare).await.map_call(),
        client.delete_post(auth, post("22")).await.map_call(),
        client.hide_reply(auth, post("23"), true).await.map_call(),
    ];
    made.into()
}

async fn read_posts(bench: &Bench) -> Vec<Call> {
    let empty = json!({"data": [], "meta": {"result_count": 0}});
    bench.x.then(vec![Act::ok(empty); 6]);
    let (client, auth) = (&bench.client, bench.auth());
    let (ids, own) = ([post("20"), post("21")], bench.account.id.0);
    let at = Since::Time("2026-09-01T11:59:54.9Z".parse().unwrap());
    let query = "from:acme \"50 % off\" +more";
    let made = [
        client.posts(auth, &ids, Detail::Whole).await.map_call(),
        client
            .posts(auth, &ids[..1], Detail::Plain)
            .await
            .map_call(),
        client
            .user_posts(auth, own, at, 1, Detail::Plain)
            .await
            .map_call(),
        client
            .user_posts(auth, own, Since::Post(post("20")), 500, Detail::Whole)
            .await
            .map_call(),
        client
            .search_recent(auth, query, Since::Beginning, 1, Detail::Whole)
            .await
            .map_call(),
        client
            .search_recent(auth, query, at, 20, Detail::Plain)
            .await
            .map_call(),
    ];
    made.into()
}

async fn ask_for_users(bench: &Bench) -> Vec<Call> {
    bench.x.then([
        Act::ok(json!({"data": [{"id": "7"}, {"id": "8"}]})),
        Act::ok(json!({"data": {"id": "2975699229"}})),
    ]);
    let (client, auth) = (&bench.client, bench.auth());
    let ids = [person("7"), person("8")];
    let made = [
        client.users(auth, &ids).await.map_call(),
        client.me(auth).await.map_call(),
    ];
    made.into()
}

async fn direct_messages(bench: &Bench) -> Vec<Call> {
    let empty = json!({"meta": {"result_count": 0}});
    let found = json!({"data": {"id": "77", "event_type": "MessageCreate", "sender_id": "9", "dm_conversation_id": "9-2975699229"}});
    bench.x.then([
        Act::status(201, dm_sent()),
        Act::status(201, dm_sent()),
        Act::ok(&empty),
        Act::ok(&empty),
        Act::ok(found),
        Act::ok(json!({"data": {"deleted": true}})),
    ]);
    let (client, auth) = (&bench.client, bench.auth());
    let conversation: ConversationId = "dm:9-2975699229".parse().unwrap();
    let to_person = DirectMessageTarget::Person(person("9"));
    let to_conversation = DirectMessageTarget::Conversation(&conversation);
    let text = DirectMessageContent {
        text: "hi",
        media_id: None,
    };
    let photo = DirectMessageContent {
        text: "",
        media_id: Some(media("31")),
    };
    let id = "77".parse().unwrap();
    let made = [
        client
            .send_direct_message(auth, to_person, &text)
            .await
            .map_call(),
        client
            .send_direct_message(auth, to_conversation, &photo)
            .await
            .map_call(),
        client
            .direct_messages_with(auth, person("9"), 3, Detail::Plain)
            .await
            .map_call(),
        client
            .direct_messages_of(auth, &conversation, 500, Detail::Whole)
            .await
            .map_call(),
        client
            .direct_message(auth, id, Detail::Plain)
            .await
            .map_call(),
        client.delete_direct_message(auth, id).await.map_call(),
    ];
    made.into()
}

async fn uploads(bench: &Bench) -> Vec<Call> {
    let state = |state: &str| json!({"data": {"id": "32", "processing_info": {"state": state, "check_after_secs": 0}}});
    bench.x.then([
        Act::ok(json!({"data": {"id": "31", "media_key": "3_31", "size": 4, "expires_after_secs": 86400}})),
        Act::ok(json!({"data": {"id": "32", "expires_after_secs": 1_295_999}})),
        Act::ok(json!({"data": {"expires_at": 1_700_000_000}})),
        Act::ok(json!({"data": {"expires_at": 1_700_000_000}})),
        Act::ok(state("pending")),
        Act::ok(state("succeeded")),
        Act::ok(json!({"data": {"id": "31", "associated_metadata": {}}})),
    ]);
    let (client, auth) = (&bench.client, bench.auth());
    let upload = async |bytes: Vec<u8>, content_type, category| {
        let upload = Upload {
            size: bytes.len() as u64,
            content_type,
            category,
            processing_deadline: Duration::from_secs(10),
        };
        let content = stream::iter([Ok::<_, Infallible>(Bytes::from(bytes))]);
        let Ok(reply) = client.upload_media(auth, &upload, content).await;
        reply.map_call()
    };
    let photo = vec![0, 159, 146, 150];
    let photo = upload(photo, "image/png", MediaCategory::TweetImage).await;
    let video = vec![b'v'; (1 << 20) + 1];
    let video = upload(video, "video/mp4", MediaCategory::DmVideo).await;
    let described = client
        .describe_media(auth, media("31"), "A cat")
        .await
        .map_call();
    // The upload of the video made these, and its reply names the last.
    let steps = [
        Call::MediaInitialize,
        Call::MediaAppend,
        Call::MediaFinalize,
    ];
    [&[photo, video, described], &steps[..]].concat()
}

impl<T: std::fmt::Debug> crate::x::client::Reply<T> {
    /// Which call it was; only if it went well.
    pub(super) fn map_call(self) -> Call {
        assert!(self.result.is_ok(), "{self:?}");
        self.call
    }
}

/// A request as a person reads it.
fn shown(request: &Recorded) -> String {
    let mut text = format!("{}\n", request.line());
    let credential = request.header("authorization").split(' ').next().unwrap();
    writeln!(text, "  as {credential}").unwrap();
    for (name, value) in &request.query {
        writeln!(text, "  {name} = {value}").unwrap();
    }
    match request.header("content-type") {
        "" => {}
        "application/json" => writeln!(text, "  {}", request.json()).unwrap(),
        "application/x-www-form-urlencoded" => request
            .form()
            .iter()
            .for_each(|(name, value)| writeln!(text, "  {name} = {value}").unwrap()),
        _ => parts(request)
            .iter()
            .for_each(|(name, bytes)| writeln!(text, "  {name}: {}", in_short(bytes)).unwrap()),
    }
    text
}

fn in_short(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if bytes.len() < 30 => text.to_owned(),
        _ => format!("{} bytes", bytes.len()),
    }
}

/// What was asked of what X's OpenAPI describes: v1.1 and the endpoints of OAuth are not in it.
fn described(bench: &Bench) -> Vec<Recorded> {
    let is_described =
        |it: &Recorded| it.path.starts_with("/2/") && !it.path.starts_with("/2/oauth2/");
    let recorded = bench.x.recorded().into_iter();
    recorded.filter(is_described).collect()
}

#[tokio::test]
async fn each_call_is_this_very_request() {
    let bench = Bench::new([]).await;
    make_every_call(&bench).await;
    let requests: Vec<_> = bench.x.recorded().iter().map(shown).collect();
    insta::assert_snapshot!(requests.join("\n"));
}

#[tokio::test]
async fn every_request_names_us_and_carries_no_cookie() {
    let bench = Bench::new([]).await;
    make_every_call(&bench).await;
    for request in bench.x.recorded() {
        assert!(request.header("user-agent").starts_with("twitter-channel/"));
        assert_eq!(request.header("cookie"), "");
    }
}

#[tokio::test]
async fn every_request_is_valid_by_xs_own_specification() {
    let Some(document) = OpenApi::load() else {
        println!("skipped: ../shared/x-api/openapi.json is not here");
        return;
    };
    let bench = Bench::new([]).await;
    bench.client.words.set(Vocabulary::OpenApi);
    let made: HashSet<_> = make_every_call(&bench).await.into_iter().collect();
    assert_eq!(made.len(), Call::ALL.len(), "a call was not made");
    let mut requests = described(&bench);
    requests.retain(is_described);
    let faults: Vec<_> = requests.iter().flat_map(|it| document.faults(it)).collect();
    println!(
        "{} requests of {} calls are valid",
        requests.len(),
        made.len()
    );
    assert!(faults.is_empty(), "{faults:#?}");
}

/// X's pages name fields in a way that its OpenAPI has given up. What is left of a request is
/// valid, and nothing but these names is taken away.
#[tokio::test]
async fn in_the_names_of_xs_pages_requests_differ_by_names_only() {
    let Some(document) = OpenApi::load() else {
        println!("skipped: ../shared/x-api/openapi.json is not here");
        return;
    };
    let bench = Bench::new([]).await;
    make_every_call(&bench).await;
    let requests = described(&bench).into_iter().filter(is_described);
    let requests: Vec<_> = requests.map(renamed).collect();
    let faults: Vec<_> = requests.iter().flat_map(|it| document.faults(it)).collect();
    println!(
        "{} requests are valid but for {RENAMED:?} and {GONE:?}",
        requests.len()
    );
    assert!(faults.is_empty(), "{faults:#?}");
}

const RENAMED: [(&str, &str); 3] = [
    ("tweet.fields", "post.fields"),
    ("note_tweet", "note_post"),
    ("referenced_tweets.id", "referenced_posts"),
];

/// Fields that are expansions in the OpenAPI, and an expansion of an expansion.
const GONE: [(&str, &str); 5] = [
    ("tweet.fields", "author_id"),
    ("tweet.fields", "in_reply_to_user_id"),
    ("tweet.fields", "referenced_tweets"),
    ("dm_event.fields", "sender_id"),
    ("expansions", "referenced_tweets.id.author_id"),
];

/// Calls that our cut of the document leaves out; they are as X's guides show them.
const UNDESCRIBED: [&str; 1] = ["/2/compliance/jobs"];
/// Keeps the names of the pages in the document too.
const STREAM: &str = "/2/tweets/search/stream";

fn is_described(request: &Recorded) -> bool {
    !UNDESCRIBED
        .iter()
        .any(|path| request.path.starts_with(path))
}

fn renamed(mut request: Recorded) -> Recorded {
    if request.path == STREAM {
        return request;
    }
    let rename = |word: &str| {
        let found = RENAMED.iter().find(|(old, _)| *old == word);
        found.map_or(word, |(_, new)| new).to_owned()
    };
    for (name, value) in &mut request.query {
        if name.ends_with("fields") || name == "expansions" {
            let kept = value
                .split(',')
                .filter(|word| !GONE.contains(&(name, word)));
            *value = kept.map(rename).collect::<Vec<_>>().join(",");
        }
        *name = rename(name);
    }
    request
}

type Alteration = fn(&mut Recorded);

#[tokio::test]
async fn the_validator_finds_what_is_wrong() {
    let Some(document) = OpenApi::load() else {
        println!("skipped: ../shared/x-api/openapi.json is not here");
        return;
    };
    let bench = Bench::new([]).await;
    bench.client.words.set(Vocabulary::OpenApi);
    make_every_call(&bench).await;
    let requests = bench.x.recorded();
    let altered = |line: &str, alter: Alteration| {
        let mut request = requests
            .iter()
            .find(|it| it.line() == line)
            .unwrap()
            .clone();
        assert_eq!(document.faults(&request), Vec::<String>::new());
        alter(&mut request);
        document.faults(&request).join("; ")
    };
    let alterations: [(&str, Alteration, &str); 12] = [
        (
            "POST /2/tweets",
            |it| it.body = br#"{"text":"a","satus":1}"#.to_vec(),
            "satus",
        ),
        (
            "POST /2/tweets",
            |it| it.body = br#"{"text":7}"#.to_vec(),
            "not of type",
        ),
        (
            "POST /2/tweets",
            |it| it.headers.retain(|(name, _)| name != "authorization"),
            "credential",
        ),
        (
            "POST /2/media/metadata",
            |it| it.body = br#"{"id":"1","alt":"x"}"#.to_vec(),
            "alt",
        ),
        (
            "GET /2/tweets",
            |it| it.query.push(("depth".into(), "1".into())),
            "unknown query parameter depth",
        ),
        (
            "GET /2/tweets",
            |it| it.query.retain(|(name, _)| name != "ids"),
            "missing query parameter \"ids\"",
        ),
        (
            "GET /2/tweets",
            |it| it.query[0].1 = "20,abc".into(),
            "ids: ",
        ),
        (
            "DELETE /2/tweets/22",
            |it| it.path = "/2/tweets/x".into(),
            "does not match",
        ),
        (
            "DELETE /2/tweets/22",
            |it| it.path = "/2/posts/22".into(),
            "no such operation",
        ),
        (
            "POST /2/webhooks",
            |it| it.body = br#"{"uri":"https://a.example"}"#.to_vec(),
            "url",
        ),
        (
            "POST /2/activity/subscriptions",
            |it| it.body = br#"{"event_type":"dm.seen","filter":{"user_id":"1"}}"#.to_vec(),
            "dm.seen",
        ),
        (
            "POST /2/webhooks/replay",
            |it| {
                it.body = br#"{"webhook_id":"7","from_date":"2026-09-01","to_date":"202609011000"}"#
                    .to_vec()
            },
            "2026-09-01",
        ),
    ];
    for (line, alter, fault) in alterations {
        let found = altered(line, alter);
        assert!(found.contains(fault), "{fault}: {found}");
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_not_sent() {
    let bench = Bench::new([]).await;
    let (client, auth) = (&bench.client, bench.auth());
    let too_many = vec![post("20"); 101];
    let encrypted = "chat:1-2".parse().unwrap();
    let results = [
        client
            .posts(auth, &[], Detail::Plain)
            .await
            .result
            .map(drop),
        client
            .posts(auth, &too_many, Detail::Plain)
            .await
            .result
            .map(drop),
        client.users(auth, &[]).await.result.map(drop),
        client
            .direct_messages_of(auth, &encrypted, 1, Detail::Plain)
            .await
            .result
            .map(drop),
    ];
    let words = results.map(|result| result.unwrap_err().to_string());
    assert_eq!(
        words[0],
        "not sent: cannot be asked of X: 0 ids, expected 1 to 100"
    );
    assert!(words[3].ends_with("chat:1-2 is no conversation of direct messages"));
    assert!(bench.x.recorded().is_empty());
}

#[tokio::test]
async fn a_name_that_x_does_not_know_is_asked_in_its_other_form() {
    let refusal = |name: &str| {
        json!({"errors": [{"parameters": {name: ["x"]}, "message": format!("The query parameter [{name}] is not one of [ids]")}],
            "title": "Invalid Request", "detail": "One or more parameters to your request was invalid.",
            "type": "https://api.twitter.com/2/problems/invalid-request"})
    };
    let empty = json!({"meta": {"result_count": 0}});
    let bench = Bench::new([
        Act::status(400, refusal("tweet.fields")),
        Act::ok(&empty),
        Act::ok(&empty),
        Act::status(400, refusal("ids")),
    ])
    .await;
    let (client, auth) = (&bench.client, bench.auth());
    for _ in 0..2 {
        let reply = client.posts(auth, &[post("20")], Detail::Whole).await;
        assert_eq!(reply.result.unwrap().missing.len(), 1);
    }
    let refused = client.posts(auth, &[post("20")], Detail::Whole).await;
    assert!(refused.result.is_err());
    let asked = bench.x.recorded();
    let names = asked
        .iter()
        .map(|it| ["tweet.fields", "post.fields"].map(|name| !it.parameter(name).is_empty()));
    let (pages, open_api) = ([true, false], [false, true]);
    assert_eq!(
        names.collect::<Vec<_>>(),
        [pages, open_api, open_api, open_api]
    );
}

#[tokio::test]
async fn where_x_knows_neither_name_it_is_asked_once_in_each() {
    let refusal = json!({"title": "Invalid Request", "detail": "tweet.fields, post.fields: no"});
    let bench = Bench::new(vec![Act::status(400, refusal); 4]).await;
    let (client, auth) = (&bench.client, bench.auth());
    for _ in 0..2 {
        let reply = client.posts(auth, &[post("20")], Detail::Whole).await;
        assert!(reply.result.is_err());
    }
    assert_eq!(bench.x.recorded().len(), 4);
    assert_eq!(client.words.get(), Vocabulary::Pages);
}

#[tokio::test]
async fn a_start_is_cut_to_the_second_and_never_later() {
    for (at, sent) in [
        ("2026-09-01T11:59:54.999Z", "2026-09-01T11:59:54Z"),
        (NOW, NOW),
    ] {
        let bench = Bench::new([Act::ok(json!({"meta": {"result_count": 0}}))]).await;
        let since = Since::Time(at.parse().unwrap());
        let own = bench.account.id.0;
        let reply = bench
            .client
            .user_posts(bench.auth(), own, since, 5, Detail::Plain)
            .await;
        assert!(reply.result.is_ok());
        assert_eq!(bench.x.only().parameter("start_time"), sent);
    }
}
