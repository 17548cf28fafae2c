//! Any text that the rules allow arrives at X byte for byte.

use std::collections::HashSet;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::json;
use simulator::{Endpoint, Limits};
use twitter_channel::domain::text::{cashtags, invalid_characters, is_blank, weigh};

use super::listener::{Listener, message, post};
use super::start;
use crate::support::service::ACME;

const TEXTS: usize = 250;
const MESSAGES: usize = 60;

/// Words and signs that something on the way might take for its own.
fn piece() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        "&amp;",
        "&",
        "<b>",
        "\"",
        "\\",
        "\\n",
        "%20",
        "+",
        "@ann",
        "@nobody",
        "#tag",
        "$ABC",
        "\n",
        "\r\n",
        "\t",
        "  ",
        "https://acme.example/?a=b&c=d#e",
        "t.co/abc",
        "e\u{301}",
        "é",
        "字",
        "\u{1F469}\u{200D}\u{1F467}",
        "\u{1F1E9}\u{1F1EA}",
        "\u{A0}",
        "\u{200B}",
        "\u{3000}",
        "\0",
        "null",
        "😀",
        "…",
        "'",
        "`",
        "{}",
        "ﬁ",
        "İ",
        "ß",
        "\u{200F}",
        "RT @ann:",
        "D ann",
        "1/3",
    ]);
    prop_oneof![
        3 => odd.prop_map(str::to_owned),
        2 => "[a-zA-Z0-9 .,!?]{1,12}",
        1 => any::<char>().prop_map(String::from),
        1 => "\\PC{1,8}",
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 1..12).prop_map(|pieces| pieces.concat())
}

fn is_valid(text: &str) -> bool {
    invalid_characters(text).is_empty()
        && !is_blank(text)
        && !text.trim().is_empty()
        && weigh(text).weight <= 280
        && cashtags(text).len() <= 1
}

fn texts(count: usize, seed: u8) -> Vec<String> {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut texts = HashSet::new();
    while texts.len() < count {
        let text = text().new_tree(&mut runner).unwrap().current();
        if is_valid(&text) {
            texts.insert(text);
        }
    }
    texts.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_text_arrives_byte_for_byte() {
    let service = start().await;
    let mut core = Listener::to(&service);
    let plenty = Limits {
        user_15min: Some(10_000),
        ..service.simulator.limits(Endpoint::CreatePost)
    };
    for endpoint in [Endpoint::CreatePost, Endpoint::SendMessageTo] {
        service.simulator.limit(endpoint, plenty);
    }
    // Texts that differ by blanks at their ends count as the same.
    service
        .simulator
        .change_api(|api| api.duplicate_window_s = 0);
    // The first answer tells of the windows.
    core.does(&post("first", json!({"text": "first"}))).await;
    let ann = service.user("ann").to_string();
    let fields = json!({"recipient_id": ann, "text": "first"});
    core.does(&message("first message", fields)).await;

    let posts = texts(TEXTS, 1);
    for (place, text) in posts.iter().enumerate() {
        service
            .command(&post(&format!("p{place}"), json!({"text": text})))
            .await;
    }
    let messages = texts(MESSAGES, 2);
    for (place, text) in messages.iter().enumerate() {
        let fields = json!({"recipient_id": ann, "text": text});
        service
            .command(&message(&format!("m{place}"), fields))
            .await;
    }
    for (place, text) in posts.iter().enumerate() {
        let outcome = core.succeeded(&format!("p{place}")).await;
        let id = outcome.text("/messages/0/id");
        let posts = service.simulator.posts_by(ACME);
        let post = posts.iter().find(|post| post.id.to_string() == id).unwrap();
        assert_eq!(post.text, *text);
    }
    for place in 0..messages.len() {
        core.succeeded(&format!("m{place}")).await;
    }
    let arrived = service.simulator.messages_of(ACME).into_iter().skip(1);
    let arrived: Vec<_> = arrived.map(|message| message.text).collect();
    assert_eq!(arrived, messages, "in order too");
}
