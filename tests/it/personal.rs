//! Personal data: what is deleted at X, and whom somebody asks to forget, is gone from everything
//! that lies on the disk.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};
use simulator::{
    Endpoint, Fault, FaultKind, Form, NewMessage, NewPost, NewUser, Simulator, UserId,
};

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
    for sql in ["DELETE FROM erasures", "UPDATE erasures SET asked_by = ''"] {
        let refused = service.execute(sql).unwrap_err();
        assert!(refused.contains("proofs of erasure"), "{refused}");
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

const LIMITED: &str = "account = \"acme\"\nmatch = \"mentions\"\ngroup = \"support\"\n\
                       min_followers = 1\nstorm = { messages = 1, per = \"1h\" }";

/// Bodies of a table of kept deliveries, or of what nobody wanted.
fn bodies(service: &TestService, table: &str) -> Vec<String> {
    let bodies = service.bytes(&format!("SELECT body FROM {table}"));
    let texts = bodies.into_iter().map(String::from_utf8);
    texts.map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_storm_holds_back_what_nobody_wanted_and_what_waits_is_gone_too() {
    let service = start(Setup::unfiltered().filter(LIMITED)).await;
    let known = |user: NewUser| {
        service.add_user(NewUser {
            followers: 100,
            ..user
        })
    };
    let zebulon = known(zebulon());
    let [jane, bob] = ["jane", "bob"].map(|name| known(NewUser::named(name)));
    let root = service.post(NewPost::by(jane, "@acme look at this"));
    service.simulator.settled().await;
    let held = NewPost::by(zebulon, "@acme shingles-outbreak");
    let held = service.post(held.replying_to(root));
    service.simulator.settled().await;
    let quoting = NewPost::by(bob, "@acme @zebulon hear-bob").replying_to(root);
    service.post(quoting.quoting(held));
    // Nobody wants what does not name us.
    service.post(NewPost::by(zebulon, "migraine-diary").replying_to(held));
    let nobody = NewUser {
        followers: 0,
        ..NewUser::named("nobody")
    };
    let nobody = service.add_user(nobody);
    service.post(NewPost::by(nobody, "@acme unwanted-of-others"));
    service.events().await;
    let waits = NewPost::by(bob, "@acme wait-bob").quoting(held);
    let waits = service.delivery_of(service.post(waits), Form::AccountActivity);
    service.events().await;
    let keep = move |tx: &mut twitter_channel::store::Tx<'_>| {
        let id = twitter_channel::domain::ids::UserId::from_number(ACME.0).unwrap();
        let account = twitter_channel::domain::ids::AccountId(id);
        let (now, body) = (Timestamp::now(), waits.to_string());
        tx.keep_echo(APP, account, now, Timestamp::MAX, body.as_bytes())
    };
    service.store.write(keep).await.unwrap();
    let (held, unwanted) = (bodies(&service, "held"), bodies(&service, "sightings"));
    let holds = |bodies: &[String], word: &str| bodies.iter().any(|body| body.contains(word));
    let both = holds(&held, "shingles-outbreak") && holds(&held, "hear-bob");
    assert!(both, "{held:#?} {unwanted:#?}");
    assert!(holds(&unwanted, "unwanted-of-others"), "{unwanted:#?}");
    assert!(holds(&bodies(&service, "echoes"), "shingles-outbreak"));

    let id = zebulon.to_string();
    let (code, lines) = service.run(&["person", "export", &id]).await;
    assert_eq!(code, 0, "{lines}");
    assert!(lines.contains("held_delivery"), "{lines}");
    service.command(&forget("f1", zebulon)).await;
    let done = service.outcome("f1", &mut Vec::new()).await;
    assert_eq!(done.event_type(), "command.succeeded", "{:#}", done.body);
    service.settled().await;
    let left = found(&folder_of(&service), &WORDS);
    assert!(left.is_empty(), "{left:#?}");
    let still = bodies(&service, "held");
    assert!(
        holds(&still, "hear-bob"),
        "before {held:#?} after {still:#?}"
    );
    assert!(holds(&bodies(&service, "echoes"), "wait-bob"));
    let unwanted = bodies(&service, "sightings");
    assert!(holds(&unwanted, "unwanted-of-others"));
    let sizes = |tx: &twitter_channel::store::Tx<'_>| tx.held_bytes();
    let counted = service.store.read(sizes).await.unwrap();
    let held: usize = bodies(&service, "held").iter().map(String::len).sum();
    assert_eq!(counted, held as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_holds_up_no_other_command_and_goes_on_after_a_restart() {
    let mut service = start(Setup::new()).await;
    let zebulon = service.add_user(zebulon());
    leave_traces(&service, zebulon).await;
    // A file that cannot be removed: the erasure does not come to its end.
    let commands = |tx: &twitter_channel::store::Tx<'_>| {
        tx.newest_commands(twitter_channel::store::CommandFilter::All, 100)
    };
    let commands = service.store.read(commands).await.unwrap();
    let plan = commands.iter().find(|row| row.id.as_str() == "c1").unwrap();
    let plan: Value = serde_json::from_str(&plan.plan).unwrap();
    let name = plan["files"][0]["kept"]["file"]["name"].as_str().unwrap();
    let folder = format!("{}.files", service.database().display());
    let stuck = Path::new(&folder).join(name);
    // It may be gone by now, as all files of a command that has ended.
    let _ = fs::remove_file(&stuck);
    fs::create_dir(&stuck).unwrap();
    service.command(&forget("f1", zebulon)).await;
    let carol = service.user("carol");
    service.post(NewPost::by(carol, "@acme what about me?"));
    let mut events = Vec::new();
    let mention = async || {
        let more = service.take_events().await;
        more.into_iter()
            .find(|it| it.body.to_string().contains("what about me"))
    };
    let mention = eventually("the mention comes", mention).await;
    service
        .command(&answer(&mention, "c3", "Here we are"))
        .await;
    let outcome = service.outcome("c3", &mut events).await;
    assert_eq!(outcome.event_type(), "command.succeeded");
    let of_f1 = |it: &Event| it.body.pointer("/command_id").is_some_and(|id| id == "f1");
    assert!(!events.iter().any(of_f1));
    let (_, cancelled) = service.run(&["commands", "cancel", "f1"]).await;
    assert!(cancelled.contains("is being done"), "{cancelled}");

    service.stop().await;
    fs::remove_dir(&stuck).unwrap();
    service.start_again(|setup| setup).await;
    let outcome = service.outcome("f1", &mut events).await;
    assert_eq!(outcome.event_type(), "command.succeeded");
    service.settled().await;
    let left = found(&folder_of(&service), &WORDS);
    assert!(left.is_empty(), "{left:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn administrators_hand_out_and_erase_by_api() {
    let setup = Setup::new().set("PRIVATE__TOKEN", "of-the-operators");
    let service = start(setup).await;
    let zebulon = service.add_user(zebulon());
    leave_traces(&service, zebulon).await;
    let url = format!("{}/api/v1/persons/{zebulon}", service.private_url());
    let client = reqwest::Client::new();
    let exported = async || {
        let request = client.get(format!("{url}/export"));
        let answer = request.bearer_auth("of-the-operators").send().await;
        let answer = answer.unwrap().error_for_status().unwrap();
        assert_eq!(answer.headers()["content-type"], "application/jsonl");
        answer.text().await.unwrap()
    };
    let lines = exported().await;
    for word in WORDS.iter().filter(|word| **word != "held-back-words") {
        assert!(lines.contains(word), "{word} is not handed out");
    }
    assert!(lines.lines().all(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["kind"].is_string()
    }));
    let erase = |id: UserId| {
        let url = format!("{}/api/v1/persons/{id}/erase", service.private_url());
        client.post(url).bearer_auth("of-the-operators").send()
    };
    let proof: Value = erase(zebulon).await.unwrap().json().await.unwrap();
    assert_eq!(proof["told"], 2, "{proof:#}");
    assert_eq!(proof["asked_by"], "token:private.token");
    let left = found(&folder_of(&service), &WORDS);
    assert!(left.is_empty(), "{left:#?}");
    let lines = exported().await;
    assert!(!WORDS.iter().any(|word| lines.contains(word)), "{lines}");
    let ours = erase(ACME).await.unwrap();
    assert_eq!(ours.status(), 409);
    let audit = service.store.read(|tx| tx.audited(None, 10)).await.unwrap();
    let entry = audit.iter().find(|it| it.action == "person.erase").unwrap();
    assert_eq!(entry.who, "token:private.token");
    assert!(!format!("{entry:?}").contains(&zebulon.to_string()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_read_of_an_erased_person_is_not_told_again() {
    let setup = Setup::new().account_keys("fetch_parents = true");
    let service = start(setup).await;
    let zebulon = service.add_user(zebulon());
    let root = service.post(NewPost::by(zebulon, "shingles-outbreak"));
    let bob = service.user("bob");
    let below = |text: &str| service.post(NewPost::by(bob, text).replying_to(root));
    below("@acme see above");
    let first = service.next_event().await;
    assert!(
        first.at("/context").to_string().contains("shingles"),
        "{:#}",
        first.body
    );
    service.command(&forget("f1", zebulon)).await;
    service.outcome("f1", &mut Vec::new()).await;
    service.settled().await;
    // X does not tell it again, and it lies in no memory of ours either.
    let broken = Fault::new(FaultKind::Status {
        status: 500,
        body: None,
        effect: false,
    });
    let broken = broken.on(Endpoint::GetPosts).always();
    service.simulator.order(broken);
    service.events().await;
    below("@acme see above again");
    let again = service.next_event().await;
    assert_eq!(again.event_type(), "message.received", "{:#}", again.body);
    let told = again.body.to_string();
    assert!(!told.contains("shingles"), "{told}");
}
