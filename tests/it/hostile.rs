//! What nobody should send us, and what becomes of it. Each table is printed with `--nocapture`.

use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use simulator::{Form, NewMessage, NewPost, SIGNATURE_HEADER, sign};

use crate::support::broker::client;
use crate::support::service::{ACME, APP, Setup, TestService, secret_of};

const OTHER_APP: &str = "other";
const OLD_SECRET: &str = "the secret before";

impl TestService {
    /// A delivery that nobody has seen: somebody names our account.
    fn fresh(&self, form: Form) -> Value {
        let post = self.post(NewPost::by(self.user("jane"), "@acme héllo"));
        self.delivery_of(post, form)
    }

    fn fresh_mention(&self) -> Value {
        self.fresh(Form::AccountActivity)
    }

    fn fresh_activity(&self) -> Value {
        self.fresh(Form::Activity)
    }

    fn fresh_message(&self) -> Value {
        let message = NewMessage::between(self.user("jane"), ACME, "hello");
        let message = self.simulator.direct_message(message).unwrap();
        let form = Form::AccountActivity;
        let bodies = self.simulator.bodies_of_message(message, APP, ACME, form);
        serde_json::from_slice(&bodies.unwrap()[0].body).unwrap()
    }

    async fn send(&self, app: &str, signature: Option<String>, body: Vec<u8>) -> u16 {
        let mut request = client().post(self.webhook(app)).body(body);
        if let Some(signature) = signature {
            request = request.header(SIGNATURE_HEADER, signature);
        }
        request.send().await.unwrap().status().as_u16()
    }

    async fn challenge(&self, token: &str) -> Response {
        let escaped: String = token.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let request = client().get(format!("{}?crc_token={escaped}", self.webhook(APP)));
        request.send().await.unwrap()
    }

    /// Whether challenges are answered with this secret.
    async fn answers_with(&self, secret: &str) -> bool {
        let answer: Value = self.challenge("token").await.json().await.unwrap();
        answer["response_token"] == sign(secret, b"token")
    }
}

fn signed(body: &[u8]) -> Option<String> {
    Some(sign(&secret_of(APP), body))
}

fn row(input: &str, cells: &[&dyn std::fmt::Display]) {
    let cells = cells.iter().map(|cell| format!(" {cell:<18} |"));
    println!("| {input:<52} |{}", cells.collect::<String>());
}

/// Characters of a body with a nested list beside its events.
fn nested(mut delivery: Value, depth: usize) -> Vec<u8> {
    let lists = depth - 1;
    delivery["more"] = json!("MORE");
    let lists = format!("{}{}", "[".repeat(lists), "]".repeat(lists));
    delivery
        .to_string()
        .replace("\"MORE\"", &lists)
        .into_bytes()
}

#[tokio::test]
async fn what_is_no_signed_delivery_is_refused_and_leaves_nothing() {
    let setup = Setup::new().app(OTHER_APP, "").forms(&[]);
    let mut service = TestService::start(setup).await;
    let good = service.fresh_mention().to_string().into_bytes();
    let with = |header: &str| Some(header.to_owned());
    let digest = sign(&secret_of(APP), &good).replace("sha256=", "");
    let zeros = format!("sha256={}=", "A".repeat(43));
    let mut changed = good.clone();
    let at = changed.iter().position(|byte| *byte == b'h').unwrap();
    changed[at] ^= 1;
    let utf8 = good.iter().position(|byte| *byte == 0xc3).unwrap();
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(5 * 1024 * 1024)).into_bytes();
    let own = |body: &[u8]| (APP, signed(body), body.to_vec());
    row("request", &[&"answer"]);
    for (input, (app, signature, body), answer) in [
        ("no signature", (APP, None, good.clone()), 401),
        (
            "a signature of zeros",
            (APP, with(&zeros), good.clone()),
            401,
        ),
        (
            "a signature that is no base64",
            (APP, with("sha256=%%%"), good.clone()),
            401,
        ),
        ("an empty signature", (APP, with(""), good.clone()), 401),
        (
            "a signature without its scheme",
            (APP, with(&digest), good.clone()),
            401,
        ),
        (
            "the scheme sha1",
            (APP, with(&format!("sha1={digest}")), good.clone()),
            401,
        ),
        (
            "the signature of another app",
            (APP, Some(sign(&secret_of(OTHER_APP), &good)), good.clone()),
            401,
        ),
        (
            "our signature at another app",
            (OTHER_APP, signed(&good), good.clone()),
            401,
        ),
        ("one byte changed", (APP, signed(&good), changed), 401),
        (
            "an unknown app",
            ("nobody", signed(&good), good.clone()),
            404,
        ),
        ("5 MB, signed", own(&large), 413),
        ("5 MB, not signed", (APP, None, large.clone()), 413),
        (
            "nested 129 deep",
            own(&nested(service.fresh_mention(), 129)),
            400,
        ),
        (
            "nested 100,000 deep",
            own(&nested(service.fresh_mention(), 100_000)),
            400,
        ),
        ("cut within a character", own(&good[..=utf8]), 400),
        ("bytes that are no UTF-8", own(b"{\"a\":\"\xff\"}"), 400),
        ("cut in half", own(&good[..good.len() / 2]), 400),
        ("two objects", own(&good.repeat(2)), 400),
        ("a list", own(b"[]"), 400),
        ("a number", own(b"42"), 400),
        ("a text", own(b"\"hello\""), 400),
        ("null", own(b"null"), 400),
        ("nothing", own(b""), 400),
        ("no JSON", own(b"<xml/>"), 400),
    ] {
        let found = service.send(app, signature, body).await;
        row(input, &[&found]);
        assert_eq!(found, answer, "{input}");
    }
    assert!(service.events().await.is_empty());
    assert!(service.quarantine().await.is_empty());
    assert_eq!(service.deliver(good).await, 200);
    assert_eq!(service.only_event().await.event_type(), "message.received");
    service.stop().await;
}

#[tokio::test]
async fn what_is_at_the_limit_is_taken() {
    let mut service = TestService::start(Setup::new().forms(&[])).await;
    let mut padded = service.fresh_mention().to_string().into_bytes();
    padded.resize(1024 * 1024, b' ');
    assert_eq!(service.deliver(padded.clone()).await, 200);
    padded.push(b' ');
    assert_eq!(service.deliver(padded).await, 413);
    let deep = nested(service.fresh_mention(), 128);
    assert_eq!(service.deliver(deep).await, 200);
    assert_eq!(service.events().await.len(), 2);
    service.stop().await;
}

/// What becomes of a delivery that is signed.
struct Case {
    input: &'static str,
    delivery: Value,
    /// Why it is kept, if it is.
    kept: Option<&'static str>,
    published: usize,
}

fn case(input: &'static str, kept: &'static str, published: usize, delivery: Value) -> Case {
    Case {
        input,
        delivery,
        kept: Some(kept).filter(|reason| !reason.is_empty()),
        published,
    }
}

/// Delivers each case and compares answer, quarantine and events.
async fn check(service: &TestService, cases: Vec<Case>) {
    row("delivery", &[&"answer", &"kept as", &"published"]);
    let mut kept_before = 0;
    for case in cases {
        let body = case.delivery.to_string();
        let answer = service.deliver(body.clone()).await;
        let events = service.events().await;
        let mut kept = service.quarantine().await.split_off(kept_before);
        let reason = kept.last().map(|kept| kept.reason.clone());
        row(
            case.input,
            &[&answer, &reason.as_deref().unwrap_or("-"), &events.len()],
        );
        assert_eq!(answer, 200, "{}", case.input);
        assert_eq!(reason.as_deref(), case.kept, "{}", case.input);
        assert_eq!(events.len(), case.published, "{}: {events:#?}", case.input);
        assert!(kept.len() <= 1, "{}", case.input);
        kept_before += kept.len();
        if let Some(kept) = kept.pop() {
            assert_eq!(
                String::from_utf8(kept.body).unwrap(),
                body,
                "{}",
                case.input
            );
        }
    }
    // Whatever came, the next one is taken.
    service.take(&service.fresh_mention()).await;
    assert_eq!(service.only_event().await.event_type(), "message.received");
}

const MALFORMED: &str = "malformed_event";
const UNKNOWN: &str = "unknown_shape";
const UNLINKED: &str = "account_not_linked";

/// A mention that was tampered with, and behind it one that was not.
fn tampered(service: &TestService, pointer: &str, value: Value) -> Value {
    let mut delivery = service.fresh_mention();
    let events = &mut delivery["tweet_create_events"];
    set(&mut events[0], pointer, value);
    let good = service.fresh_mention()["tweet_create_events"][0].take();
    events.as_array_mut().unwrap().push(good);
    delivery
}

/// Puts a value at a place, which need not be there; null takes it away.
fn set(target: &mut Value, pointer: &str, value: Value) {
    let Some((parent, name)) = pointer.rsplit_once('/') else {
        *target = value;
        return;
    };
    let parent = target.pointer_mut(parent).unwrap();
    match (parent, value) {
        (Value::Object(fields), Value::Null) => drop(fields.remove(name)),
        (parent, value) => parent[name] = value,
    }
}

#[tokio::test]
async fn a_post_that_cannot_be_read_does_not_harm_its_neighbour() {
    let mut service = TestService::start(Setup::new().forms(&[])).await;
    let post = |pointer: &str, value: Value| tampered(&service, pointer, value);
    let cases = vec![
        case(
            "its id is a number",
            MALFORMED,
            1,
            post("/id_str", json!(12)),
        ),
        case(
            "its id is missing",
            MALFORMED,
            1,
            post("/id_str", json!(null)),
        ),
        case(
            "its id is 2^64",
            MALFORMED,
            1,
            post("/id_str", json!("18446744073709551616")),
        ),
        case(
            "its id is negative",
            MALFORMED,
            1,
            post("/id_str", json!("-5")),
        ),
        case("its id is zero", MALFORMED, 1, post("/id_str", json!("0"))),
        case(
            "its id is a list",
            MALFORMED,
            1,
            post("/id_str", json!(["12"])),
        ),
        case("no author", MALFORMED, 1, post("/user", json!(null))),
        case(
            "the author is a list",
            MALFORMED,
            1,
            post("/user", json!([])),
        ),
        case(
            "the author's id is a number",
            MALFORMED,
            1,
            post("/user/id_str", json!(7)),
        ),
        case(
            "the parent's id is a number",
            MALFORMED,
            1,
            post("/in_reply_to_status_id_str", json!(7)),
        ),
        case(
            "the reposted post is a list",
            MALFORMED,
            1,
            post("/retweeted_status", json!([1])),
        ),
        case(
            "versions are numbers",
            MALFORMED,
            1,
            post("/edit_history/edit_tweet_ids", json!([1, 2])),
        ),
        case(
            "versions are an object",
            MALFORMED,
            1,
            post("/edit_history/edit_tweet_ids", json!({"a": 1})),
        ),
        case("the post is a number", MALFORMED, 1, post("", json!(5))),
        case("the post is a list", MALFORMED, 1, post("", json!([]))),
        case(
            "null instead of a post",
            MALFORMED,
            1,
            post("", json!(null)),
        ),
        case("the post is empty", MALFORMED, 1, post("", json!({}))),
        case(
            "written in 1970",
            "",
            2,
            post("/created_at", json!("Thu Jan 01 00:00:00 +0000 1970")),
        ),
        case(
            "written in 1901",
            "",
            2,
            post("/created_at", json!("Tue Jan 01 00:00:00 +0000 1901")),
        ),
        case(
            "written in 9999",
            "",
            2,
            post("/created_at", json!("Fri Dec 31 23:59:59 +0000 9999")),
        ),
        case(
            "written in no year at all",
            "",
            2,
            post("/created_at", json!("soon")),
        ),
        case(
            "written at a number",
            "",
            2,
            post("/created_at", json!(1e300)),
        ),
        case(
            "entities are a list, so it names nobody",
            "",
            1,
            post("/entities", json!([1, 2])),
        ),
        case(
            "a text without its user_mentions",
            "",
            2,
            post("/in_reply_to_screen_name", json!({})),
        ),
        case(
            "media of an unknown kind",
            "",
            2,
            post(
                "/extended_entities",
                json!({"media": [{"id_str": "5", "type": "hologram"}]}),
            ),
        ),
        case(
            "indices beyond the text",
            "",
            2,
            post("/display_text_range", json!([900, -1])),
        ),
        case(
            "followers without end",
            "",
            2,
            post("/user/followers_count", json!(1e30)),
        ),
        case(
            "a language that is an object",
            "",
            2,
            post("/lang", json!({"a": []})),
        ),
        case(
            "text of control characters",
            "",
            2,
            post("/source", json!("\u{0}\u{1b}[31m\u{202e}")),
        ),
    ];
    check(&service, cases).await;
    service.stop().await;
}

#[tokio::test]
async fn deliveries_of_a_wrong_shape_are_kept_whole() {
    let mut service = TestService::start(Setup::new().forms(&[])).await;
    let delivery = |pointer: &str, value: Value| {
        let mut delivery = service.fresh_mention();
        set(&mut delivery, pointer, value);
        delivery
    };
    let message = |pointer: &str, value: Value| {
        let mut delivery = service.fresh_message();
        set(&mut delivery["direct_message_events"][0], pointer, value);
        delivery
    };
    let revoked = |more: Value| json!({"user_event": {"revoke": more}});
    let reading = json!([{"created_timestamp": "1", "sender_id": "5", "target": {"recipient_id": ACME},
                          "last_read_event_id": "18446744073709551616"}]);
    let cases = vec![
        case("an empty object", UNKNOWN, 0, json!({})),
        case(
            "of no form that is known",
            UNKNOWN,
            0,
            json!({"hello": "world"}),
        ),
        case("no events", UNKNOWN, 0, json!({"for_user_id": ACME})),
        case(
            "the account is a number",
            MALFORMED,
            0,
            delivery("/for_user_id", json!(ACME.0)),
        ),
        case(
            "an account nobody linked",
            UNLINKED,
            0,
            delivery("/for_user_id", json!("999")),
        ),
        case(
            "an account of 2^64",
            MALFORMED,
            0,
            delivery("/for_user_id", json!("18446744073709551616")),
        ),
        case(
            "the list is an object",
            MALFORMED,
            0,
            delivery("/tweet_create_events", json!({"a": 1})),
        ),
        case(
            "the list is a number",
            MALFORMED,
            0,
            delivery("/tweet_create_events", json!(5)),
        ),
        case(
            "the list is empty",
            "",
            0,
            delivery("/tweet_create_events", json!([])),
        ),
        case(
            "an unknown list beside a known one",
            UNKNOWN,
            1,
            delivery("/poll_events", json!([{"id": "5"}])),
        ),
        case(
            "a broken list beside a good one",
            MALFORMED,
            1,
            delivery("/tweet_delete_events", json!([5])),
        ),
        case(
            "a message to nobody",
            MALFORMED,
            0,
            message("/message_create/target", json!(null)),
        ),
        case(
            "a message by a list",
            MALFORMED,
            0,
            message("/message_create/sender_id", json!(["5"])),
        ),
        case(
            "a message of an unknown type",
            UNKNOWN,
            0,
            message("/type", json!("hologram")),
        ),
        case(
            "a message without data",
            MALFORMED,
            0,
            message("/message_create/message_data", json!(null)),
        ),
        case(
            "a message of the year 316 million",
            "",
            1,
            message("/created_timestamp", json!("9999999999999999999")),
        ),
        case(
            "a message of 1969",
            "",
            1,
            message("/created_timestamp", json!("-1")),
        ),
        case("a message whose people are a list", "", 1, {
            let mut delivery = service.fresh_message();
            set(&mut delivery, "/users", json!([1]));
            delivery
        }),
        case(
            "read up to 2^64",
            MALFORMED,
            0,
            json!({"for_user_id": ACME, "direct_message_mark_read_events": reading}),
        ),
        case(
            "a revocation by nobody",
            MALFORMED,
            0,
            revoked(json!({"date_time": "2026-01-01T00:00:00Z"})),
        ),
        case(
            "a revocation at no time",
            MALFORMED,
            0,
            revoked(json!({"source": {"user_id": ACME}, "date_time": "soon"})),
        ),
        case(
            "a user event that is unknown",
            UNKNOWN,
            0,
            json!({"user_event": {"ascend": {}}}),
        ),
        case(
            "a replay job that is a list",
            MALFORMED,
            0,
            json!({"replay_job_status": []}),
        ),
    ];
    check(&service, cases).await;
    service.stop().await;
}

#[tokio::test]
async fn activities_of_a_wrong_shape_are_kept_whole() {
    let mut service = TestService::start(Setup::new().forms(&[])).await;
    let activity = |pointer: &str, value: Value| {
        let mut delivery = service.fresh_activity();
        set(&mut delivery["data"], pointer, value);
        delivery
    };
    let unknown = json!({"event_type": "post.vanish", "filter": {"user_id": ACME}, "payload": {}});
    let chat = json!({"event_type": "chat.received", "filter": {"user_id": ACME},
                      "payload": {"id": "a", "conversation_id": "here", "sender_id": "5", "created_at_msec": "1"}});
    let cases = vec![
        case(
            "an event that is unknown",
            UNKNOWN,
            0,
            json!({"data": unknown}),
        ),
        case(
            "a good one and one that is unknown",
            UNKNOWN,
            1,
            json!({"data": [service.fresh_activity()["data"], unknown]}),
        ),
        case(
            "no payload",
            MALFORMED,
            0,
            activity("/payload", json!(null)),
        ),
        case(
            "the payload is a list",
            MALFORMED,
            0,
            activity("/payload", json!([])),
        ),
        case(
            "the id is a number",
            MALFORMED,
            0,
            activity("/payload/id", json!(5)),
        ),
        case(
            "the author is an object",
            MALFORMED,
            0,
            activity("/payload/author_id", json!({})),
        ),
        case(
            "the conversation is a number",
            MALFORMED,
            0,
            activity("/payload/conversation_id", json!(5)),
        ),
        case(
            "references are a text",
            MALFORMED,
            0,
            activity("/payload/referenced_tweets", json!("all")),
        ),
        case(
            "the subscriber is a number",
            MALFORMED,
            0,
            activity("/filter/user_id", json!(5)),
        ),
        case(
            "a subscriber nobody linked",
            UNLINKED,
            0,
            activity("/filter/user_id", json!("999")),
        ),
        case(
            "inclusions are a number",
            "",
            1,
            activity("/includes", json!(5)),
        ),
        case(
            "reply settings that are unknown",
            "",
            1,
            activity("/payload/reply_settings", json!("onlyCats")),
        ),
        case(
            "an unknown kind of reference",
            "",
            1,
            activity(
                "/payload/referenced_tweets",
                json!([{"type": "mocked", "id": "5"}]),
            ),
        ),
        case(
            "an encrypted message without people",
            MALFORMED,
            0,
            json!({"data": chat}),
        ),
        case(
            "a stream of a list",
            MALFORMED,
            0,
            json!({"matching_rules": [], "data": [[]]}),
        ),
    ];
    check(&service, cases).await;
    service.stop().await;
}

#[tokio::test]
async fn a_broken_delivery_sent_again_is_kept_and_published_once() {
    let mut service = TestService::start(Setup::new().forms(&[])).await;
    let delivery = tampered(&service, "/id_str", json!(5));
    for _ in 0..3 {
        service.take(&delivery).await;
    }
    assert_eq!(service.events().await.len(), 1);
    assert_eq!(service.quarantine().await.len(), 1);
    service.stop().await;
}

#[tokio::test]
async fn nothing_that_a_challenge_signs_is_a_delivery() {
    let mut service = TestService::start(Setup::new().forms(&[])).await;
    let forged = service.fresh_mention().to_string();
    row("asked of the CRC to sign", &[&"answer", &"as a delivery"]);
    for (input, token) in [
        ("a delivery", forged.as_str()),
        ("the smallest object", "{}"),
        ("a list", "[]"),
        ("a text", "\"a\""),
        ("a blank", "a b"),
        ("a line end", "a\nb"),
        ("a backslash", "a\\b"),
        ("a token of 1,025 bytes", &"x".repeat(1025)),
        ("nothing", ""),
    ] {
        let answer = service.challenge(token).await.status().as_u16();
        row(input, &[&answer, &"-"]);
        assert_eq!(answer, 400, "{input}");
    }
    for token in ["42", "null", "true", "-1.5e3", "abc+/=", "é"] {
        let answer: Value = service.challenge(token).await.json().await.unwrap();
        let signature = answer["response_token"].as_str().unwrap().to_owned();
        let found = service.send(APP, Some(signature), token.into()).await;
        row(token, &[&200, &found]);
        assert_eq!(found, 400, "{token}");
    }
    assert!(service.events().await.is_empty());
    assert!(service.quarantine().await.is_empty());
    service.stop().await;
}

#[tokio::test]
async fn challenges_follow_the_secret_of_the_newest_delivery_not_seen_before() {
    let previous = format!("previous_consumer_secret = \"{OLD_SECRET}\"");
    let setup = Setup::new().app_keys(&previous).forms(&[]);
    let mut service = TestService::start(setup).await;
    let current = secret_of(APP);
    let deliver = async |service: &TestService, secret: &str, delivery: &Value| {
        let body = delivery.to_string().into_bytes();
        let answer = service.send(APP, Some(sign(secret, &body)), body).await;
        assert_eq!(answer, 200);
    };
    assert!(service.answers_with(&current).await);
    let before = service.fresh_mention();
    deliver(&service, OLD_SECRET, &before).await;
    assert!(service.answers_with(OLD_SECRET).await);
    deliver(&service, &current, &service.fresh_mention()).await;
    assert!(service.answers_with(&current).await);

    // Played back by whoever recorded it: known, so it proves nothing.
    deliver(&service, OLD_SECRET, &before).await;
    assert!(service.answers_with(&current).await);
    // Nor does one so old that it may have been forgotten.
    let mut old = service.fresh_mention();
    let then = Timestamp::now() - SignedDuration::from_hours(2);
    old["tweet_create_events"][0]["created_at"] = json!(then.to_string());
    deliver(&service, OLD_SECRET, &old).await;
    assert!(service.answers_with(&current).await);
    let broken = tampered(&service, "/id_str", json!(5));
    deliver(&service, &current, &broken).await;
    let other = sign("a third secret", b"{}");
    assert_eq!(service.send(APP, Some(other), b"{}".into()).await, 401);

    // Of what no filter wants it is just as true who signs.
    let mut unwanted = service.fresh_mention();
    unwanted["tweet_create_events"][0]["entities"] = json!({});
    deliver(&service, OLD_SECRET, &unwanted).await;
    assert!(service.answers_with(OLD_SECRET).await);
    service.stop().await;
    service.start_again(|setup| setup).await;
    assert!(service.answers_with(OLD_SECRET).await);
    service.stop().await;
    service.start_again(|setup| setup.app_keys("")).await;
    assert!(service.answers_with(&current).await);
    service.stop().await;
}

#[tokio::test]
async fn answers_say_what_the_contract_says() {
    let mut service = TestService::start(Setup::new().forms(&[])).await;
    let body = service.fresh_mention().to_string().into_bytes();
    let taken = client()
        .post(service.webhook(APP))
        .header(SIGNATURE_HEADER, sign(&secret_of(APP), &body));
    let taken = taken.body(body).send().await.unwrap();
    assert_eq!(taken.status(), 200);
    assert!(taken.bytes().await.unwrap().is_empty());
    let unknown = client().get(format!("{}?crc_token=a", service.webhook("nobody")));
    assert_eq!(unknown.send().await.unwrap().status(), 404);
    let other = client().request(Method::PUT, service.webhook(APP));
    assert_eq!(other.send().await.unwrap().status(), 405);
    service.simulator.crc(APP).await.unwrap();
    service.stop().await;
}
