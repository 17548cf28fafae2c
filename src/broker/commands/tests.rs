//! The reader against everything a core may get wrong.

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::domain::command::{AttachmentSource, FailureCode, Recipient, SendPost, WhenTooLong};

fn read_json(body: &Value) -> Reading {
    read(body.to_string().as_bytes(), None, None)
}

fn accepted(body: Value) -> Command {
    match read_json(&body) {
        Reading::Command(command) => *command,
        other => panic!("{other:?}"),
    }
}

fn refused(body: &[u8]) -> InvalidCommand {
    match read(body, Some("m1"), None) {
        Reading::Invalid(invalid) => *invalid,
        other => panic!("{other:?}"),
    }
}

/// A good reply with these members changed; nested ones merge.
fn reply(change: Value) -> Value {
    let mut body = json!({
        "command_id": "m1", "account_id": "2975699229", "metadata": {"ticket": "4711"},
        "send_post": {"text": "Hello", "in_reply_to": "1209097192914313216"},
    });
    merge(&mut body, change);
    body
}

fn message(change: Value) -> Value {
    let mut body = json!({"command_id": "m1", "account_id": "2975699229", "send_direct_message": {
        "conversation_id": "dm:7-2975699229", "text": "Hello",
    }});
    merge(&mut body, change);
    body
}

fn merge(into: &mut Value, change: Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (name, value) in change {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, change) => *into = change,
    }
}

/// An otherwise empty command.
fn bare(action: Value) -> Value {
    let mut body = json!({"command_id": "m1"});
    merge(&mut body, action);
    body
}

fn photos(count: usize) -> Value {
    Value::Array(vec![json!({"url": "https://a.example/1.png"}); count])
}

#[test]
fn a_whole_reply_is_read() {
    let command = accepted(reply(json!({
        "expires_at": "2019-12-23T19:00:00+01:00", "max_cost_usd": "0.25", "only_if_summoned": true,
        "retry_of": "m0", "force": true, "agent": {"id": "7", "name": "Jo B."},
        "send_post": {
            "quote": "12", "exclude_mentions": ["3"], "suffix": "^JB", "direct_message_link": true,
            "when_too_long": "SPLIT",
            "attachments": [
                {"url": "https://a.example/1.png", "alt_text": "x".repeat(1000)},
                {"data": "iVBORw==", "content_type": "image/png", "filename": "dot.png"},
            ],
        },
    })));
    assert_eq!(
        command.expires_at.unwrap().to_string(),
        "2019-12-23T18:00:00Z"
    );
    assert_eq!(command.max_cost.unwrap().to_string(), "0.250");
    assert!(command.only_if_summoned && command.force);
    assert_eq!(command.retry_of.unwrap().as_str(), "m0");
    assert_eq!(command.metadata["ticket"], "4711");
    assert_eq!(command.agent.unwrap().name, "Jo B.");
    let Action::SendPost(post) = command.action else {
        panic!("{:?}", command.action)
    };
    assert_eq!(post.when_too_long, WhenTooLong::Split);
    let AttachmentSource::Data(data) = &post.attachments[1].source else {
        panic!("{post:?}")
    };
    assert_eq!(&data[..], b"\x89PNG");
}

#[test]
fn every_other_action_is_read() {
    for action in [
        json!({"send_direct_message": {"recipient_id": "7", "text": "Hello"}}),
        json!({"send_direct_message": {"conversation_id": "dm:77", "attachments": photos(1)}}),
        json!({"delete_message": {"message_id": "5"}}),
        json!({"hide_reply": {"message_id": "5"}}),
        json!({"cancel_command": {"target_command_id": "a b"}}),
        json!({"republish_events": {"from": "2019-12-23T00:00:00Z", "to": "2019-12-24T00:00:00Z"}}),
        json!({"forget_person": {"person_id": "5"}}),
    ] {
        let name = accepted(bare(action.clone())).action.name();
        assert!(action.get(name).is_some(), "{name}: {action}");
    }
}

#[test]
fn what_is_empty_equals_what_is_absent() {
    let full = reply(json!({
        "expires_at": "", "max_cost_usd": null, "only_if_summoned": false, "retry_of": "",
        "force": null, "agent": {"id": "", "name": null}, "delete_message": null,
        "send_direct_message": "", "hide_reply": false, "cancel_command": [],
        "send_post": {
            "quote": "", "exclude_mentions": [], "suffix": "", "direct_message_link": false,
            "when_too_long": "", "attachments": null,
        },
    }));
    let (full, bare) = (accepted(full), accepted(reply(json!({}))));
    assert_eq!(full, bare);
    assert_eq!(full.fingerprint(), bare.fingerprint());
}

#[test]
fn metadata_comes_back_as_it_was_even_where_it_is_empty() {
    let command = accepted(reply(json!({"metadata": {"note": "", "": "x"}})));
    assert_eq!(command.metadata.len(), 3);
    assert_eq!(command.metadata["note"], "");
}

#[test]
fn spelling_makes_no_other_content() {
    let one = reply(
        json!({"max_cost_usd": "1", "expires_at": "2019-12-23T18:00:00.000Z",
        "send_post": {"attachments": [{"data": "-_-_"}]}}),
    );
    let other = reply(
        json!({"max_cost_usd": "1.000", "expires_at": "2019-12-23T19:00:00+01:00",
        "send_post": {"attachments": [{"data": "+/+/"}]}}),
    );
    assert_eq!(accepted(one).fingerprint(), accepted(other).fingerprint());
}

#[test]
fn base64_is_taken_padded_or_not() {
    for data in ["iVBORw==", "iVBORw"] {
        let body = reply(json!({"send_post": {"attachments": [{"data": data}]}}));
        accepted(body);
    }
}

#[rstest]
// Ids.
#[case::a_number(reply(json!({"send_post": {"in_reply_to": 1_209_097_192_914_313_216_u64}})),
    "send_post.in_reply_to", "the number 1209097192914313216; expected an id as a string")]
#[case::why_no_number(reply(json!({"account_id": 7})), "account_id", "would lose digits")]
#[case::negative(reply(json!({"account_id": "-7"})), "account_id", "`-7`; expected an id")]
#[case::zero(reply(json!({"send_post": {"quote": "0"}})), "send_post.quote", "`0`")]
#[case::leading_zero(reply(json!({"send_post": {"quote": "07"}})), "send_post.quote", "`07`")]
#[case::too_long(bare(json!({"delete_message": {"message_id": "12345678901234567890"}})),
    "delete_message.message_id", "`12345678901234567890`")]
#[case::empty(bare(json!({"delete_message": {"message_id": ""}})), "delete_message.message_id", "nothing; expected an id")]
#[case::of_a_list(reply(json!({"send_post": {"exclude_mentions": ["1", ""]}})),
    "send_post.exclude_mentions[1]", "``; expected an id")]
#[case::null_in_a_list(reply(json!({"send_post": {"exclude_mentions": [null]}})),
    "send_post.exclude_mentions[0]", "null; expected an id")]
#[case::no_list(reply(json!({"send_post": {"exclude_mentions": "1"}})),
    "send_post.exclude_mentions", "`1`; expected a list")]
// The action.
#[case::none(json!({"command_id": "m1"}), "", "no command; expected exactly one of send_post")]
#[case::two(reply(json!({"forget_person": {"person_id": "1"}})), "", "send_post and forget_person; expected exactly one")]
#[case::no_object(bare(json!({"send_post": "Hello"})), "send_post", "`Hello`; expected an object")]
#[case::unknown_action(bare(json!({"like_post": {}})), "like_post", "an unknown field; expected one of command_id")]
// Unknown fields and values.
#[case::unknown_field(reply(json!({"send_post": {"colour": "red"}})), "send_post.colour", "an unknown field; expected one of text")]
#[case::unknown_empty_field(reply(json!({"send_post": {"colour": ""}})), "send_post.colour", "an unknown field")]
#[case::other_case(reply(json!({"account_ID": "7"})), "account_ID", "an unknown field")]
#[case::unknown_in_agent(reply(json!({"agent": {"mail": "x"}})), "agent.mail", "expected one of id, name")]
#[case::unknown_in_attachment(reply(json!({"send_post": {"attachments": [{"uri": "x"}]}})),
    "send_post.attachments[0].uri", "an unknown field")]
#[case::unknown_enum(reply(json!({"send_post": {"when_too_long": "TRUNCATE"}})),
    "send_post.when_too_long", "`TRUNCATE`; expected REJECT or SPLIT")]
#[case::enum_by_number(reply(json!({"send_post": {"when_too_long": 1}})), "send_post.when_too_long", "the number 1; expected REJECT or SPLIT")]
#[case::enum_in_small(message(json!({"send_direct_message": {"when_too_long": "split"}})),
    "send_direct_message.when_too_long", "`split`")]
// Types.
#[case::text(reply(json!({"send_post": {"text": 12}})), "send_post.text", "the number 12; expected a string")]
#[case::flag(reply(json!({"force": "true"})), "force", "`true`; expected true or false")]
#[case::metadata_value(reply(json!({"metadata": {"ticket": 4711}})), "metadata.ticket", "the number 4711; expected a string")]
#[case::metadata_null(reply(json!({"metadata": {"ticket": null}})), "metadata.ticket", "null; expected a string")]
#[case::metadata_list(reply(json!({"metadata": ["x"]})), "metadata", "a list; expected an object")]
#[case::agent(reply(json!({"agent": "Jo"})), "agent", "`Jo`; expected an object")]
#[case::money(reply(json!({"max_cost_usd": 0.25})), "max_cost_usd", "the number 0.25; expected a string")]
#[case::no_money(reply(json!({"max_cost_usd": "$1"})), "max_cost_usd", "`$1`: expected an amount in USD")]
#[case::time(reply(json!({"expires_at": "tomorrow"})), "expires_at", "`tomorrow`; expected a time as in RFC 3339")]
#[case::time_as_number(reply(json!({"expires_at": 1_577_106_209})), "expires_at", "the number 1577106209")]
// Rules between fields.
#[case::retry_of_itself(reply(json!({"retry_of": "m1"})), "retry_of", "the id of another command")]
#[case::retry_of_no_id(reply(json!({"retry_of": "é"})), "retry_of", "`é`: expected 1 to 128 printable")]
#[case::cancels_itself(bare(json!({"cancel_command": {"target_command_id": "m1"}})), "cancel_command.target_command_id", "another command")]
#[case::cancels_nothing(bare(json!({"cancel_command": {}})), "cancel_command.target_command_id", "nothing; expected")]
#[case::backwards(bare(json!({"republish_events": {"from": "2019-12-23T00:00:00Z", "to": "2019-12-23T00:00:00Z"}})),
    "republish_events.to", "a time after `from`")]
#[case::no_end(bare(json!({"republish_events": {"from": "2019-12-23T00:00:00Z"}})), "republish_events.to", "nothing; expected a time")]
#[case::nobody(bare(json!({"send_direct_message": {"text": "x"}})), "send_direct_message.recipient_id", "either recipient_id or conversation_id")]
#[case::both(message(json!({"send_direct_message": {"recipient_id": "7"}})), "send_direct_message.conversation_id", "not both")]
#[case::thread(message(json!({"send_direct_message": {"conversation_id": "post:7"}})),
    "send_direct_message.conversation_id", "`post:7`; expected dm:...: a thread is answered with send_post")]
#[case::encrypted(message(json!({"send_direct_message": {"conversation_id": "chat:7-8"}})),
    "send_direct_message.conversation_id", "cannot write encrypted messages")]
#[case::others(message(json!({"send_direct_message": {"conversation_id": "dm:7-8"}})),
    "send_direct_message.conversation_id", "a conversation that account_id takes part in")]
#[case::path_in_a_group(message(json!({"send_direct_message": {"conversation_id": "dm:7/../../users"}})),
    "send_direct_message.conversation_id", "`dm:7/../../users`")]
// Attachments.
#[case::no_source(reply(json!({"send_post": {"attachments": [{"filename": "a"}]}})), "send_post.attachments[0].url", "either url or data")]
#[case::two_sources(reply(json!({"send_post": {"attachments": [{"url": "https://a.example", "data": "iVBORw=="}]}})),
    "send_post.attachments[0].url", "not both")]
#[case::no_address(reply(json!({"send_post": {"attachments": [{"url": "a.png"}]}})), "send_post.attachments[0].url", "`a.png`; expected an address")]
#[case::file_address(reply(json!({"send_post": {"attachments": [{"url": "file:///etc/passwd"}]}})), "send_post.attachments[0].url", "`file:///etc/passwd`")]
#[case::no_base64(reply(json!({"send_post": {"attachments": [{"url": "", "data": "*"}]}})), "send_post.attachments[0].data", "not base64")]
#[case::mixed_alphabets(reply(json!({"send_post": {"attachments": [{"data": "+_+_"}]}})), "send_post.attachments[0].data", "not base64")]
#[case::alt_text(reply(json!({"send_post": {"attachments": [{"url": "https://a.example/", "alt_text": "é".repeat(1001)}]}})),
    "send_post.attachments[0].alt_text", "1001 characters; expected at most 1000")]
#[case::null_attachment(reply(json!({"send_post": {"attachments": [null]}})), "send_post.attachments[0]", "null; expected an object")]
// What is given back.
#[case::metadata_too_large(reply(json!({"metadata": {"x": "é".repeat(2100)}})), "metadata", "4211 bytes together with agent; expected at most 4096")]
fn a_broken_rule_is_named_with_field_value_and_what_was_expected(
    #[case] body: Value,
    #[case] field: &str,
    #[case] detail: &str,
) {
    let invalid = refused(body.to_string().as_bytes());
    let failure = invalid.failure;
    assert_eq!(failure.code, FailureCode::Invalid, "{failure:?}");
    assert_eq!(failure.field, field, "{failure:?}");
    assert!(failure.detail.contains(detail), "{failure:?}");
    assert_eq!(invalid.id.as_str(), "m1");
}

#[rstest]
#[case::no_text(reply(json!({"send_post": {"text": null}})), FailureCode::TextEmpty, "send_post.text")]
#[case::blank_text(reply(json!({"send_post": {"text": " \n\u{3000}"}})), FailureCode::TextEmpty, "send_post.text")]
#[case::suffix_alone(reply(json!({"send_post": {"text": "", "suffix": "^JB"}})), FailureCode::TextEmpty, "send_post.text")]
#[case::no_message(message(json!({"send_direct_message": {"text": ""}})), FailureCode::TextEmpty, "send_direct_message.text")]
#[case::five_photos(reply(json!({"send_post": {"attachments": photos(5)}})), FailureCode::MediaUnsupported, "send_post.attachments")]
#[case::two_in_a_message(message(json!({"send_direct_message": {"attachments": photos(2)}})),
    FailureCode::MediaUnsupported, "send_direct_message.attachments")]
fn some_rules_have_codes_of_their_own(
    #[case] body: Value,
    #[case] code: FailureCode,
    #[case] field: &str,
) {
    let failure = refused(body.to_string().as_bytes()).failure;
    assert_eq!(
        (failure.code, &*failure.field),
        (code, field),
        "{failure:?}"
    );
}

#[test]
fn an_attachment_is_enough() {
    accepted(reply(
        json!({"send_post": {"text": "", "attachments": photos(4)}}),
    ));
    accepted(message(
        json!({"send_direct_message": {"text": "", "attachments": photos(1)}}),
    ));
}

#[test]
fn groups_and_own_conversations_can_be_written_to() {
    for id in ["dm:77", "dm:2975699229-2975699230"] {
        let body = message(json!({"send_direct_message": {"conversation_id": id}}));
        let Action::SendDirectMessage(sent) = accepted(body).action else {
            panic!("{id}")
        };
        let Recipient::Conversation(read) = sent.to else {
            panic!("{id}")
        };
        assert_eq!(read.to_string(), id);
    }
}

#[rstest]
#[case::twice(
    "{\"command_id\": \"m1\", \"send_post\": {\"text\": \"a\", \"text\": \"b\"}}",
    "send_post.text"
)]
#[case::escaped(
    "{\"command_id\": \"m1\", \"force\": true, \"forc\\u0065\": false}",
    "force"
)]
#[case::empty_first(
    "{\"command_id\": \"m1\", \"send_post\": null, \"send_post\": {\"text\": \"a\"}}",
    "send_post"
)]
#[case::metadata(
    "{\"command_id\": \"m1\", \"metadata\": {\"a\": \"1\", \"a\": \"1\"}}",
    "metadata.a"
)]
#[case::the_id("{\"command_id\": \"m1\", \"command_id\": \"m2\"}", "command_id")]
fn what_is_given_twice_is_refused(#[case] body: &str, #[case] field: &str) {
    let failure = refused(body.as_bytes()).failure;
    assert_eq!(failure.field, field);
    assert!(failure.detail.contains("given twice"), "{failure:?}");
}

fn id_of(reading: Reading) -> Result<String, &'static str> {
    match reading {
        Reading::Command(command) => Ok(command.id.to_string()),
        Reading::Invalid(invalid) => Ok(format!("invalid {}", invalid.id)),
        Reading::Unreadable { reason, .. } => Err(reason),
    }
}

#[rstest]
#[case::both("\"a\"", Some("a"), Ok("a"))]
#[case::body_alone("\"a\"", None, Ok("a"))]
#[case::message_alone("\"\"", Some("a"), Ok("a"))]
#[case::empty_message_id("\"a\"", Some(""), Ok("a"))]
#[case::disagree("\"a\"", Some("b"), Ok("invalid a"))]
#[case::no_id_in_the_message("\"a\"", Some("\u{e9}"), Ok("invalid a"))]
#[case::no_id_in_the_body("\"\u{e9}\"", Some("b"), Ok("invalid b"))]
#[case::a_number_in_the_body("7", Some("7"), Ok("invalid 7"))]
#[case::neither("null", None, Err("no-command-id"))]
#[case::no_id_at_all("\"\u{e9}\"", Some("\n"), Err("no-command-id"))]
#[case::a_number_alone("7", None, Err("no-command-id"))]
fn the_id_is_of_the_body_or_of_the_message(
    #[case] of_body: &str,
    #[case] of_message: Option<&str>,
    #[case] expected: Result<&str, &str>,
) {
    let body = format!("{{\"command_id\": {of_body}, \"send_post\": {{\"text\": \"x\"}}}}");
    let found = id_of(read(body.as_bytes(), of_message, None));
    assert_eq!(found.as_deref().map_err(|reason| *reason), expected);
}

#[test]
fn a_disagreement_of_ids_is_told() {
    let body = br#"{"command_id": "a", "send_post": {"text": "x"}}"#;
    let Reading::Invalid(invalid) = read(body, Some("b"), None) else {
        panic!("read")
    };
    assert_eq!(invalid.failure.field, "command_id");
    assert!(invalid.failure.detail.contains("message_id `b`"));
}

#[rstest]
#[case::not_json(b"send_post: hello", "expected value")]
#[case::not_utf8(b"{\"a\": \"\xff\"}", "not UTF-8")]
#[case::no_object(b"[]", "no object")]
#[case::empty(b"", "EOF")]
fn a_body_that_cannot_be_read_fails_under_the_messages_id(
    #[case] body: &[u8],
    #[case] detail: &str,
) {
    let invalid = refused(body);
    assert_eq!(invalid.name, Action::NONE);
    assert_eq!(invalid.failure.code, FailureCode::Invalid);
    assert!(invalid.failure.detail.contains(detail), "{invalid:?}");
    let Reading::Unreadable {
        reason,
        detail: why,
    } = read(body, None, None)
    else {
        panic!("read")
    };
    assert_eq!(reason, "unreadable");
    assert!(why.contains(detail), "{why}");
}

#[test]
fn large_and_deep_bodies_are_refused() {
    let text = "x".repeat(10 * 1024 * 1024);
    // Not this module's business: it is read.
    accepted(reply(json!({"send_post": {"text": text}})));
    let body = reply(json!({"send_post": {"text": "x".repeat(17 * 1024 * 1024)}}));
    let failure = refused(body.to_string().as_bytes()).failure;
    assert!(failure.detail.contains("expected at most 16777216"));
    assert!(failure.detail.len() < 200);
    let deep = format!("{{\"command_id\": \"m1\", \"x\": {}", "[".repeat(100_000));
    let failure = refused(deep.as_bytes()).failure;
    assert!(failure.detail.contains("nested deeper"), "{failure:?}");
}

#[rstest]
#[case("application/json", true)]
#[case("Application/JSON; charset=utf-8", true)]
#[case("application/vnd.acme+json", true)]
#[case("text/json", true)]
#[case("", true)]
#[case("text/plain", false)]
#[case("application/x-protobuf", false)]
#[case("application/json5", false)]
fn only_json_is_read(#[case] content_type: &str, #[case] is_read: bool) {
    let body = reply(json!({})).to_string();
    match read(body.as_bytes(), None, Some(content_type)) {
        Reading::Command(_) => assert!(is_read),
        Reading::Invalid(invalid) => {
            assert!(!is_read && invalid.failure.detail.contains(content_type));
            assert_eq!((invalid.id.as_str(), invalid.name), ("m1", "send_post"));
        }
        Reading::Unreadable { detail, .. } => panic!("{detail}"),
    }
}

#[test]
fn a_refusal_tells_what_could_be_read() {
    let body = reply(json!({
        "retry_of": "m0", "agent": {"id": "7"}, "force": "yes", "expires_at": "soon",
    }));
    let invalid = refused(body.to_string().as_bytes());
    assert_eq!(invalid.name, "send_post");
    assert_eq!(invalid.account.unwrap().to_string(), "2975699229");
    assert_eq!(invalid.retry_of.unwrap().as_str(), "m0");
    assert_eq!(invalid.metadata["ticket"], "4711");
    assert_eq!(invalid.agent.unwrap().id, "7");

    let body = reply(
        json!({"account_id": 7, "metadata": {"x": "y".repeat(5000)}, "force": "yes",
        "hide_reply": {"message_id": "1"}}),
    );
    let invalid = refused(body.to_string().as_bytes());
    assert_eq!(invalid.name, Action::NONE);
    assert!(invalid.account.is_none() && invalid.metadata.is_empty());
}

#[test]
fn the_same_refused_bytes_have_the_same_fingerprint() {
    let fingerprint = |body: &[u8]| refused(body).fingerprint;
    assert_eq!(fingerprint(b"x"), fingerprint(b"x"));
    assert_ne!(fingerprint(b"x"), fingerprint(b"y"));
}

#[test]
fn a_long_value_is_never_told_whole() {
    let long = "9".repeat(100_000);
    for body in [
        reply(json!({"send_post": {"in_reply_to": long}})),
        reply(json!({"send_post": {"when_too_long": long}})),
        reply(json!({"max_cost_usd": long})),
        reply(json!({"retry_of": long})),
        reply(json!({"metadata": {&long: 1}})),
        reply(json!({&long: 1})),
        message(json!({"send_direct_message": {"conversation_id": long}})),
    ] {
        let failure = refused(body.to_string().as_bytes()).failure;
        assert!(failure.detail.len() < 400, "{}", failure.detail.len());
        assert!(failure.field.len() < 100, "{}", failure.field.len());
    }
}

/// JSON that is close to a command.
fn nearly_commands() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[0-9]{0,20}|dm:[0-9]-[0-9]|\\PC{0,9}".prop_map(Value::from),
    ];
    let names = prop_oneof![
        proptest::sample::select(Action::NAMES.to_vec()),
        proptest::sample::select(vec![
            "command_id",
            "account_id",
            "metadata",
            "agent",
            "text",
            "attachments",
            "url",
            "data",
            "message_id",
            "from",
            "to",
            "recipient_id",
            "conversation_id",
            "id",
        ]),
    ];
    let value = leaf.prop_recursive(4, 32, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((names.clone(), inner), 0..6).prop_map(|members| {
                let named = members
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value));
                Value::Object(named.collect())
            }),
        ]
    });
    value.prop_map(|value| {
        let mut body = json!({"command_id": "m1"});
        merge(&mut body, value);
        body
    })
}

proptest! {
    #[test]
    fn no_bytes_panic(body in any::<Vec<u8>>(), id in any::<Option<String>>(), kind in any::<Option<String>>()) {
        read(&body, id.as_deref(), kind.as_deref());
    }

    #[test]
    fn no_json_panics(body in nearly_commands()) {
        read_json(&body);
    }

    #[test]
    fn no_cut_or_changed_command_panics(at in 0..400_usize, with in any::<u8>()) {
        let mut body = reply(json!({"send_post": {"attachments": photos(2)}})).to_string().into_bytes();
        read(&body[..at.min(body.len())], Some("m1"), None);
        let at = at % body.len();
        body[at] = with;
        read(&body, Some("m1"), None);
    }

    #[test]
    fn any_text_arrives_byte_for_byte(text in "\\PC{0,80}", suffix in any::<String>()) {
        prop_assume!(!text.trim().is_empty());
        let body = reply(json!({"send_post": {"text": text, "suffix": suffix}}));
        let Action::SendPost(SendPost { text: read_text, suffix: read_suffix, .. }) = accepted(body).action else {
            panic!("no post")
        };
        prop_assert_eq!((read_text, read_suffix), (text, suffix));
    }
}
