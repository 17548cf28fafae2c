//! Personal data: what is deleted at X, and whom somebody asks to forget, is gone from everything
//! that lies on the disk.

use std::fs;
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};
use simulator::{Form, NewMessage, NewPost, NewUser, Simulator, UserId};

use crate::support::broker::{TestBroker, eventually};
use crate::support::process::ServiceProcess;
use crate::support::service::{ACME, APP, Event, Setup, TestService};

/// Words that only the erased person has brought, and what was answered with.
const WORDS: [&str; 11] = [
    "zebulon",
    "Quillfeather",
    "Ouagadougou",
    "lighthouse-keeper",
    "shingles-outbreak",
    "migraine-diary",
    "whispered-secret",
    "unlinked-sorrow",
    "answer-of-comfort",
    "private-comfort",
    "held-back-words",
];

fn zebulon() -> NewUser {
    NewUser {
        name: "Zeb Quillfeather".to_owned(),
        location: "Ouagadougou".to_owned(),
        description: "lighthouse-keeper".to_owned(),
        ..NewUser::named("zebulon")
    }
}

/// The words that stand in any file of a folder, with the file.
fn found(folder: &Path, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(self::found(&path, words));
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let words = words.iter().filter(|word| text.contains(**word));
        found.extend(words.map(|word| format!("{word} in {}", path.display())));
    }
    found
}

fn folder_of(service: &TestService) -> std::path::PathBuf {
    service.database().parent().unwrap().to_owned()
}

async fn start(setup: Setup) -> TestService {
    let setup = setup
        .set("RECONCILE__FIRST_READ", "300ms")
        .set("RECONCILE__SECOND_READ", "300ms");
    let service = TestService::start(setup).await;
    service.settled().await;
    service
}

fn forget(id: &str, person: UserId) -> Value {
    json!({
        "command_id": id,
        "agent": {"id": "7", "name": "Jo"},
        "forget_person": {"person_id": person.to_string()},
    })
}

/// The answer that an event proposes.
fn answer(event: &Event, id: &str, text: &str) -> Value {
    let mut command = event.at("/reply/command").clone();
    command["command_id"] = json!(id);
    for kind in ["send_post", "send_direct_message"] {
        if let Some(action) = command.get_mut(kind) {
            action["text"] = json!(text);
        }
    }
    command
}

fn of_type<'e>(events: &'e [Event], event_type: &str) -> Vec<&'e Event> {
    let events = events.iter();
    events
        .filter(|event| event.event_type() == event_type)
        .collect()
}

/// All that a person can leave behind, and the events that told of it: a post, a direct message, answers with a file, a held
/// command, a delivery that was not understood, and words quoted and named by others.
async fn leave_traces(service: &TestService, zebulon: UserId) -> Vec<Event> {
    let text = "@acme shingles-outbreak, what now?";
    let post = service.post(NewPost::by(zebulon, text));
    let mut events = vec![service.next_event().await];
    let message = NewMessage::between(zebulon, ACME, "whispered-secret");
    service.simulator.direct_message(message).unwrap();
    events.push(service.next_event().await);
    let mut command = answer(&events[0], "c1", "answer-of-comfort");
    let picture = STANDARD.encode(PNG);
    command["send_post"]["attachments"] =
        json!([{"data": picture, "filename": "migraine-diary.png"}]);
    for command in [command, answer(&events[1], "c2", "private-comfort")] {
        let id = command["command_id"].as_str().unwrap();
        service.command(&command).await;
        let outcome = service.outcome(id, &mut events).await;
        assert_eq!(
            outcome.event_type(),
            "command.succeeded",
            "{:#}",
            outcome.body
        );
        events.push(outcome);
    }
    let bob = service.user("bob");
    let quoting = NewPost::by(bob, "@acme @zebulon hear-bob").quoting(post);
    service.post(quoting);
    let mut strange = service.delivery_of(post, Form::AccountActivity);
    strange["tweet_create_events"][0]["id_str"] = json!("unlinked-sorrow");
    service.take(&strange).await;
    service.wait_for_quarantine(1).await;
    events.extend(service.events().await);
    events
}

/// One pixel.
const PNG: [u8; 69] = [
    0x89, b'P', b'N', b'G', 13, 10, 26, 10, 0, 0, 0, 13, b'I', b'H', b'D', b'R', 0, 0, 0, 1, 0, 0,
    0, 1, 8, 2, 0, 0, 0, 0x90, 0x77, 0x53, 0xde, 0, 0, 0, 12, b'I', b'D', b'A', b'T', 8, 0xd7,
    0x63, 0xf8, 0xcf, 0xc0, 0, 0, 3, 1, 1, 0, 0x18, 0xdd, 0x8d, 0xb0, 0, 0, 0, 0, b'I', b'E', b'N',
    b'D', 0xae, 0x42, 0x60, 0x82,
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_word_of_an_erased_person_is_left_on_the_disk() {
    let service = start(Setup::new()).await;
    let zebulon = service.add_user(zebulon());
    let before_that = leave_traces(&service, zebulon).await;
    let before = found(&folder_of(&service), &WORDS);
    for word in WORDS.iter().filter(|word| **word != "held-back-words") {
        let there = before.iter().any(|found| found.starts_with(word));
        assert!(there, "{word} was never there: {before:#?}");
    }

    service.command(&forget("f1", zebulon)).await;
    let mut events = Vec::new();
    let done = service.outcome("f1", &mut events).await;
    assert_eq!(done.event_type(), "command.succeeded", "{:#}", done.body);
    events.extend(service.events().await);
    let left = found(&folder_of(&service), &WORDS);
    assert!(left.is_empty(), "{left:#?}");
    let kept = found(&folder_of(&service), &["hear-bob"]);
    assert!(!kept.is_empty(), "others' words stay");

    let deleted = of_type(&events, "message.deleted");
    assert_eq!(deleted.len(), 2, "{events:#?}");
    for event in deleted {
        assert_eq!(event.text("/reason"), "ERASED");
        assert_eq!(event.text("/detected_by"), "REQUEST");
        assert_eq!(event.text("/message/author/id"), zebulon.to_string());
        let redact_by: Timestamp = event.text("/redact_by").parse().unwrap();
        let hours = redact_by.duration_since(Timestamp::now()).as_hours();
        assert!((22..=24).contains(&hours), "{hours}");
        let shown = of_type(&before_that, "message.received");
        let id = event.text("/message/id");
        assert!(shown.iter().any(|shown| shown.text("/message/id") == id));
    }

    let proofs = service.store.read(|tx| tx.proofs(10)).await.unwrap();
    assert_eq!(proofs.len(), 1);
    assert_eq!(proofs[0].asked_by, "command f1, agent 7");
    let counts: Value = serde_json::from_str(&proofs[0].counts).unwrap();
    assert_eq!(counts["commands"], json!(2));
    assert_eq!(counts["told"], json!(2));
    let id = zebulon.to_string();
    assert_ne!(proofs[0].person, id.as_bytes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_erased_does_not_come_back_and_what_is_new_is_new() {
    let service = start(Setup::new()).await;
    let zebulon = service.add_user(zebulon());
    let post = service.post(NewPost::by(zebulon, "@acme shingles-outbreak"));
    let message = NewMessage::between(zebulon, ACME, "whispered-secret");
    let message = service.simulator.direct_message(message).unwrap();
    // Nobody wants it, but it is known.
    let unwanted = service.post(NewPost::by(zebulon, "lighthouse-keeper"));
    let by_post = [Form::AccountActivity, Form::Activity].map(|form| service.bodies_of(post, form));
    let by_message = service
        .simulator
        .bodies_of_message(message, APP, ACME, Form::AccountActivity)
        .unwrap();
    assert_eq!(service.events().await.len(), 2);
    service.command(&forget("f1", zebulon)).await;
    let mut events = Vec::new();
    service.outcome("f1", &mut events).await;
    service.events().await;

    for body in by_post.into_iter().flatten() {
        assert_eq!(service.deliver(body).await, 200);
    }
    for signed in by_message {
        assert_eq!(service.deliver(signed.body).await, 200);
    }
    let _known = unwanted;
    let back = service.events().await;
    assert!(back.is_empty(), "{back:#?}");
    let left = found(&folder_of(&service), &["shingles", "whispered"]);
    assert!(left.is_empty(), "{left:#?}");

    service.post(NewPost::by(zebulon, "@acme a new question"));
    let new = service.only_event().await;
    assert_eq!(new.event_type(), "message.received");
    assert!(new.text("/message/text").contains("a new question"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_hands_out_and_erases_beside_the_service() {
    let service = start(Setup::new()).await;
    let zebulon = service.add_user(zebulon());
    leave_traces(&service, zebulon).await;
    let id = zebulon.to_string();
    let (code, lines) = service.run(&["person", "export", &id]).await;
    assert_eq!(code, 0, "{lines}");
    let kinds: Vec<String> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|line| line["kind"].as_str().unwrap().to_owned())
        .collect();
    for kind in [
        "event",
        "post",
        "decision",
        "command",
        "quarantined_delivery",
    ] {
        assert!(kinds.iter().any(|it| it == kind), "no {kind} in {kinds:?}");
    }
    for word in WORDS.iter().filter(|word| **word != "held-back-words") {
        assert!(lines.contains(word), "{word} is not handed out");
    }
    let (code, said) = service.run(&["person", "erase", &id]).await;
    assert_eq!(code, 0, "{said}");
    let told = service.events().await;
    assert_eq!(of_type(&told, "message.deleted").len(), 2, "{told:#?}");
    let left = found(&folder_of(&service), &WORDS);
    assert!(left.is_empty(), "{left:#?}");
    let (code, lines) = service.run(&["person", "export", &id]).await;
    let words: Vec<_> = WORDS.iter().filter(|word| lines.contains(*word)).collect();
    assert!(code == 0 && words.is_empty(), "{words:?} in {lines}");
    let proofs = service.store.read(|tx| tx.proofs(10)).await.unwrap();
    assert!(
        proofs[0].asked_by.starts_with("command line, "),
        "{proofs:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_after_the_other_is_erased_without_a_trace() {
    let service = start(Setup::new()).await;
    let people: Vec<UserId> = (0..6)
        .map(|number| service.add_user(NewUser::named(&format!("person{number}"))))
        .collect();
    let word = |person: usize, post: usize| format!("secret-{person}-{post}-x");
    for post in 0..40 {
        for (person, id) in people.iter().enumerate() {
            let long = "filler ".repeat(post % 7);
            let text = format!("@acme {} {long}", word(person, post));
            service.post(NewPost::by(*id, &text));
        }
    }
    service.events().await;
    for (person, id) in people.iter().enumerate() {
        let command = format!("f{person}");
        service.command(&forget(&command, *id)).await;
        let mut others = Vec::new();
        service.outcome(&command, &mut others).await;
        let words: Vec<_> = (0..40).map(|post| word(person, post)).collect();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let left = found(&folder_of(&service), &words);
        assert!(left.is_empty(), "{left:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_broker_does_not_have_yet_goes_out_without_words() {
    let setup = Setup::new().set("BROKER__INBOXES", "[]");
    let service = TestService::start(setup).await;
    let zebulon = service.add_user(zebulon());
    service.post(NewPost::by(zebulon, "@acme shingles-outbreak"));
    let bob = service.user("bob");
    service.post(NewPost::by(bob, "@acme @zebulon hear-bob"));
    service.simulator.settled().await;
    let unrouted = async || {
        let read = |tx: &twitter_channel::store::Tx<'_>| {
            tx.lane(twitter_channel::store::Lane::Unrouted, None, 100)
        };
        let rows = service.store.read(read).await.unwrap();
        let rows = rows
            .iter()
            .filter(|row| row.event_type == "message.received");
        (rows.count() == 2).then_some(())
    };
    eventually("both wait for a queue", unrouted).await;
    let id = zebulon.to_string();
    let (code, said) = service.run(&["person", "erase", &id]).await;
    assert_eq!(code, 0, "{said}");
    let left = found(&folder_of(&service), &WORDS);
    assert!(left.is_empty(), "{left:#?}");

    service.broker.declare_queue("late", "quorum").await;
    service
        .broker
        .bind("late", "twitter.events", "message.#")
        .await;
    let mut events = Vec::new();
    let all = async || {
        (service.store.read(|tx| tx.journal_summary()).await.unwrap())
            .unrouted
            .iter()
            .all(|(key, _)| !key.starts_with("message."))
            .then_some(())
    };
    eventually("all go out", all).await;
    events.extend(service.take_events_of("late").await);
    let received = of_type(&events, "message.received");
    assert_eq!(received.len(), 2, "{events:#?}");
    for event in received {
        let text = event.text("/message/text");
        match event.text("/message/author/id") == id {
            true => assert_eq!((text, event.text("/message/summary")), ("", "[deleted]")),
            false => assert_eq!(text, "@acme @… hear-bob"),
        }
    }
    assert_eq!(of_type(&events, "message.deleted").len(), 1, "{events:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_to_what_is_gone_tells_that_it_is_gone() {
    let service = start(Setup::new()).await;
    let zebulon = service.add_user(zebulon());
    let post = service.post(NewPost::by(zebulon, "@acme shingles-outbreak"));
    let mention = service.only_event().await;
    let body = service.bodies_of(post, Form::AccountActivity);
    service.simulator.delete(post).unwrap();
    for id in ["c1", "c2"] {
        service.command(&answer(&mention, id, "so sorry")).await;
        let mut events = Vec::new();
        let outcome = service.outcome(id, &mut events).await;
        assert_eq!(outcome.text("/code"), "DELETED", "{:#}", outcome.body);
        events.extend(service.events().await);
        let deleted = of_type(&events, "message.deleted");
        assert_eq!(deleted.len(), usize::from(id == "c1"), "{events:#?}");
        for event in deleted {
            assert_eq!(event.text("/reason"), "DELETED");
            assert_eq!(event.text("/detected_by"), "SEND");
            assert_eq!(event.text("/message/id"), post.to_string());
            assert_eq!(event.text("/message/author/id"), zebulon.to_string());
            let case = mention.text("/conversation/case_id");
            assert_eq!(event.text("/conversation/case_id"), case);
        }
    }
    let rows = service
        .store
        .read(|tx| tx.newest_events(1000))
        .await
        .unwrap();
    for row in rows {
        let body = String::from_utf8(row.body.to_vec()).unwrap();
        assert!(!body.contains("shingles"), "{body}");
    }
    // X may deliver it once more.
    for body in body {
        assert_eq!(service.deliver(body).await, 200);
    }
    let back = service.events().await;
    assert!(back.is_empty(), "{back:#?}");
    twitter_channel::flow::upkeep::let_go(&service.store, Timestamp::now())
        .await
        .unwrap();
    let left = found(&folder_of(&service), &["shingles"]);
    assert!(left.is_empty(), "{left:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_command_goes_on_and_its_words_go_with_its_end() {
    let setup = Setup::new().account_keys("sending = \"hold\"");
    let mut service = start(setup).await;
    let zebulon = service.add_user(zebulon());
    service.post(NewPost::by(zebulon, "@acme shingles-outbreak"));
    let mention = service.only_event().await;
    service
        .command(&answer(&mention, "c1", "held-back-words"))
        .await;
    let held = async || {
        let listed = service.run(&["commands", "list"]).await.1;
        listed.contains("c1").then_some(())
    };
    eventually("the command is held", held).await;
    service.command(&forget("f1", zebulon)).await;
    service.outcome("f1", &mut Vec::new()).await;
    service.settled().await;
    service.stop().await;
    service.start_again(|setup| setup.account_keys("")).await;
    let outcome = service.outcome("c1", &mut Vec::new()).await;
    assert_eq!(
        outcome.event_type(),
        "command.succeeded",
        "{:#}",
        outcome.body
    );
    service.settled().await;
    twitter_channel::flow::upkeep::let_go(&service.store, Timestamp::now())
        .await
        .unwrap();
    let read = |tx: &twitter_channel::store::Tx<'_>| {
        tx.newest_commands(twitter_channel::store::CommandFilter::All, 100)
    };
    let commands = service.store.read(read).await.unwrap();
    assert!(
        commands
            .iter()
            .all(|row| !row.content.contains("held-back"))
    );
    assert!(commands.iter().all(|row| !row.plan.contains("held-back")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_of_ours_is_no_person_to_forget() {
    let service = start(Setup::new()).await;
    service.command(&forget("f1", ACME)).await;
    let outcome = service.outcome("f1", &mut Vec::new()).await;
    assert_eq!(outcome.text("/code"), "INVALID");
    assert_eq!(outcome.text("/field"), "forget_person.person_id");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proofs_of_erasure_neither_change_nor_go() {
    let service = start(Setup::new()).await;
    let zebulon = service.add_user(zebulon());
    service.command(&forget("f1", zebulon)).await;
    service.outcome("f1", &mut Vec::new()).await;
    let database = rusqlite::Connection::open(service.database()).unwrap();
    database.busy_timeout(Duration::from_secs(5)).unwrap();
    for sql in ["DELETE FROM erasures", "UPDATE erasures SET asked_by = ''"] {
        let refused = database.execute(sql, []).unwrap_err();
        assert!(
            refused.to_string().contains("proofs of erasure"),
            "{refused}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_of_the_service_holds_no_word_of_an_erased_person() {
    let broker = TestBroker::vhost().await;
    let simulator = simulator::Settings::default();
    let simulator = Simulator::start(simulator).await.unwrap();
    let setup = Setup::new()
        .set("X_API__BASE_URL", simulator.url())
        .set("LOG__LEVEL", "trace");
    let mut service = ServiceProcess::stopped(&setup, &broker.url(), None);
    setup.tell(&simulator, |app| service.webhook_of(app));
    service.start_again().await;
    service.wait_for_part("broker: connected").await;
    let zebulon = simulator.add_user(zebulon()).unwrap();
    let post = NewPost::by(zebulon, "@acme shingles-outbreak");
    simulator.post(post).unwrap();
    simulator.settled().await;
    service
        .run(&["person", "erase", &zebulon.to_string()])
        .await;
    service
        .run(&["person", "export", &zebulon.to_string()])
        .await;
    service.kill().await;
    let left = found(service.folder(), &WORDS);
    assert!(left.is_empty(), "{left:#?}");
}
