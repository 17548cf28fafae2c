//! What reaches the helpdesk, in which words and to which group, and what does not.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use simulator::{
    AttemptResult, Clock, Form, NewMedia, NewMessage, NewPost, NewUser, PostId, RawSignature,
    UserId,
};
use twitter_channel::domain::ids::{AccountId, ConversationId};
use twitter_channel::store::{Lane, NewQuarantined, QuarantineReason};

use crate::support::service::{ACME, APP, Event, Setup, TestService};

const BETA: UserId = UserId(2_305_278_770);

/// A second account of ours, `beta`.
fn with_beta(setup: Setup) -> Setup {
    setup.account(APP, BETA, "beta", "")
}

/// A filter of `account` that sends to a group, with more keys.
fn filter(account: &str, word: &str, group: &str, more: &str) -> String {
    format!("account = \"{account}\"\nmatch = \"{word}\"\ngroup = \"{group}\"\n{more}")
}

impl TestService {
    fn says(&self, author: UserId, text: &str) -> PostId {
        self.post(NewPost::by(author, text))
    }

    fn replies(&self, author: UserId, parent: PostId, text: &str) -> PostId {
        self.post(NewPost::by(author, text).replying_to(parent))
    }

    /// Delivers a post as the app's filtered stream brings it.
    async fn stream(&self, post: PostId) {
        self.deliver_post(post, Form::FilteredStream).await;
    }
}

fn types(events: &[Event]) -> Vec<&str> {
    events.iter().map(Event::event_type).collect()
}

#[tokio::test]
async fn one_mention_in_all_forms_is_one_event_for_each_account() {
    let setup = with_beta(Setup::new()).filter(&filter("beta", "mentions", "b", ""));
    let mut service = TestService::start(setup.forms(&Form::ALL)).await;
    let duplicates = "twitter_channel_duplicates_total";
    let before = service.metric(duplicates).await;
    let id = service.says(service.user("jane"), "@acme @beta hello");

    let events = service.events().await;
    assert_eq!(types(&events), ["message.received"; 2]);
    let [one, other] = &events[..] else {
        unreachable!()
    };
    assert_eq!(one.text("/message/id"), id.to_string());
    assert_eq!(one.at("/message/id"), other.at("/message/id"));
    assert_ne!(one.at("/event/id"), other.at("/event/id"));
    assert_ne!(one.at("/account/id"), other.at("/account/id"));
    // Three forms for each account, and the stream, which is the app's, for both.
    assert!(service.metric(duplicates).await >= before + 6.0);
    service.stop().await;
}

#[tokio::test]
async fn what_one_of_our_accounts_writes_to_another_needs_a_filter_that_wants_it() {
    for wanted in [false, true] {
        let own = if wanted { "own = true" } else { "" };
        let setup = with_beta(Setup::new()).filter(&filter("beta", "mentions", "b", own));
        let mut service = TestService::start(setup).await;
        service.says(ACME, "@beta look");
        let mut events = service.events().await;
        events.sort_by_key(|event| event.event_type().to_owned());
        let sent = events.pop().unwrap();
        assert_eq!(sent.event_type(), "message.sent");
        assert_eq!(sent.text("/account/id"), ACME.to_string());
        assert_eq!(events.len(), usize::from(wanted), "{events:#?}");
        for received in events {
            assert_eq!(received.event_type(), "message.received");
            assert_eq!(received.text("/account/id"), BETA.to_string());
            assert_eq!(received.at("/message/author/own"), true);
        }
        service.stop().await;
    }
}

#[tokio::test]
async fn reposts_are_wanted_only_where_a_filter_says_so() {
    for wanted in [false, true] {
        let reposts = if wanted { "reposts = true" } else { "" };
        let term = format!("term = \"#acmesale\"\n{reposts}");
        let setup = Setup::new().filter(&filter("acme", "term", "sales", &term));
        let mut service = TestService::start(setup).await;
        let sale = service.says(ACME, "Big #acmesale");
        assert_eq!(service.only_event().await.event_type(), "message.sent");
        let unwanted = "twitter_channel_unwanted_total{why=\"repost\"}";
        let before = service.metric(unwanted).await;
        service
            .simulator
            .repost(service.user("jane"), sale)
            .unwrap();
        let events = service.events().await;
        if wanted {
            assert_eq!(types(&events), ["message.received"]);
            assert_eq!(
                *events[0].at("/message/relations"),
                json!(["REPOST", "KEYWORD"])
            );
        } else {
            assert!(events.is_empty(), "{events:#?}");
            assert!(service.metric(unwanted).await >= before + 1.0);
        }
        service.stop().await;
    }
}

#[tokio::test]
async fn the_first_filter_that_fits_names_group_and_tags() {
    let setup = Setup::unfiltered()
        .filter(&filter(
            "acme",
            "term",
            "billing",
            "term = \"refund\"\ntags = [\"money\"]",
        ))
        .filter(&filter(
            "acme",
            "mentions",
            "support",
            "name = \"the rest\"",
        ));
    let mut service = TestService::start(setup).await;
    let jane = service.user("jane");
    for (text, route, relations) in [
        (
            "@acme I want a REFUND!",
            json!({"group": "billing", "filter": "term:refund", "tags": ["money"]}),
            json!(["MENTION", "KEYWORD"]),
        ),
        (
            "@acme refunds are slow",
            json!({"group": "support", "filter": "the rest", "tags": []}),
            json!(["MENTION"]),
        ),
    ] {
        service.says(jane, text);
        let event = service.only_event().await;
        assert_eq!(*event.at("/route"), route);
        assert_eq!(*event.at("/message/relations"), relations);
    }
    service.stop().await;
}

#[tokio::test]
async fn a_post_that_only_fits_a_term_comes_by_the_stream() {
    let setup =
        Setup::unfiltered().filter(&filter("acme", "term", "field", "term = \"#acmehelp\""));
    let mut service = TestService::start(setup.forms(&[])).await;
    for rule in ["acmehelp", "#acmehelp"] {
        service.simulator.add_rule(APP, rule, "").unwrap();
    }
    let jane = service.user("jane");
    service
        .stream(service.says(jane, "acmehelp without the sign"))
        .await;
    service.stream(service.says(jane, "how? #AcmeHelp")).await;
    let event = service.only_event().await;
    assert_eq!(event.text("/message/relation"), "KEYWORD");
    assert_eq!(event.text("/delivery/via"), "FILTERED_STREAM");
    assert_eq!(*event.at("/message/hashtags"), json!(["AcmeHelp"]));
    service.stop().await;
}

#[tokio::test]
async fn replies_follow_a_conversation_to_its_group_for_thirty_days() {
    let mut service = TestService::start(Setup::new().forms(&[])).await;
    let (jane, joe) = (service.user("jane"), service.user("joe"));
    let question = service.says(jane, "@acme help");
    let rule = format!("conversation_id:{question}");
    service.simulator.add_rule(APP, &rule, "").unwrap();
    service.stream(question).await;
    assert_eq!(
        service.only_event().await.text("/message/relation"),
        "MENTION"
    );

    let aside = NewPost {
        exclude_mentions: vec![ACME],
        ..NewPost::by(joe, "same here").replying_to(question)
    };
    service.stream(service.post(aside.clone())).await;
    let followed = service.only_event().await;
    assert_eq!(*followed.at("/message/relations"), json!(["THREAD"]));
    assert_eq!(followed.text("/route/filter"), "mentions");
    assert_eq!(followed.text("/conversation/customer/id"), joe.to_string());

    let id = format!("post:{question}");
    received_before(&service, &id, SignedDuration::from_hours(31 * 24)).await;
    service.stream(service.post(aside)).await;
    assert!(service.events().await.is_empty());
    service.stop().await;
}

/// Makes the store believe that a conversation's last message came this long ago.
async fn received_before(service: &TestService, conversation: &str, ago: SignedDuration) {
    let id: ConversationId = conversation.parse().unwrap();
    let write = service.store.write(move |tx| {
        let account = AccountId(ACME.to_string().parse().unwrap());
        let mut row = tx.conversation(account, &id)?.unwrap();
        row.received_at = Some(Timestamp::now() - ago);
        tx.put_conversation(account, &id, &row, Timestamp::now())
    });
    write.await.unwrap();
}

#[tokio::test]
async fn replies_follow_a_conversation_also_after_it_was_merged() {
    let setup = Setup::unfiltered().filter(&filter("acme", "mentions", "support", ""));
    let mut service = TestService::start(setup.forms(&[])).await;
    let (jane, joe) = (service.user("jane"), service.user("joe"));
    let news = service.says(ACME, "Closed today");
    let aside = NewPost {
        exclude_mentions: vec![ACME],
        ..NewPost::by(joe, "oh no").replying_to(news)
    };
    let aside = service.post(aside);
    let named = service.replies(jane, aside, "@acme why?");
    let unnamed = NewPost {
        exclude_mentions: vec![ACME],
        ..NewPost::by(joe, "yes, why").replying_to(named)
    };
    let unnamed = service.post(unnamed);
    // Ours first, then what names us two levels below it, then what joins the two: no filter wants
    // it, but it follows the part that names us.
    for post in [news, named, aside] {
        let bodies = service
            .simulator
            .bodies_of(post, APP, ACME, Form::AccountActivityV1);
        for body in bodies.unwrap() {
            assert_eq!(service.deliver(body.body).await, 200);
        }
    }
    let events = service.events().await;
    assert_eq!(
        types(&events),
        [
            "message.sent",
            "message.received",
            "conversation.merged",
            "message.received"
        ]
    );
    service
        .simulator
        .add_rule(APP, &format!("conversation_id:{news}"), "")
        .unwrap();
    service.stream(unnamed).await;
    let followed = service.only_event().await;
    assert_eq!(followed.text("/message/relation"), "THREAD");
    assert_eq!(followed.text("/conversation/id"), format!("post:{news}"));
    service.stop().await;
}

#[tokio::test]
async fn conversations_of_the_same_customer_are_related() {
    let mut service = TestService::start(Setup::new()).await;
    let (jane, joe) = (service.user("jane"), service.user("joe"));
    let message = |from| NewMessage::between(from, ACME, "psst");
    service.simulator.direct_message(message(joe)).unwrap();
    service.simulator.direct_message(message(jane)).unwrap();
    let related = |events: &[Event]| {
        events
            .iter()
            .map(|event| event.at("/conversation/related").clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(related(&service.events().await), [json!([]), json!([])]);

    let post = service.says(jane, "@acme and now in public");
    let event = service.only_event().await;
    assert_eq!(*event.at("/conversation/related"), json!([dm(jane)]));
    service.simulator.direct_message(message(jane)).unwrap();
    let event = service.only_event().await;
    assert_eq!(
        *event.at("/conversation/related"),
        json!([format!("post:{post}")])
    );
    service.stop().await;
}

/// The conversation of somebody with our account.
fn dm(other: UserId) -> String {
    format!("dm:{}-{}", ACME.min(other), ACME.max(other))
}

#[tokio::test]
async fn authors_who_miss_the_conditions_are_not_wanted() {
    for (condition, profile) in [
        (
            "min_followers = 10",
            NewUser {
                followers: 10,
                ..NewUser::named("good")
            },
        ),
        (
            "verified = true",
            NewUser {
                verified: true,
                ..NewUser::named("good")
            },
        ),
    ] {
        let setup = Setup::unfiltered().filter(&filter("acme", "mentions", "g", condition));
        let mut service = TestService::start(setup).await;
        service.says(service.user("bad"), "@acme buy this");
        assert!(service.events().await.is_empty(), "{condition}");
        service.says(service.add_user(profile), "@acme hello");
        assert_eq!(
            service.only_event().await.text("/message/author/username"),
            "good"
        );
        service.stop().await;
    }
}

#[tokio::test]
async fn new_accounts_can_be_kept_out() {
    let condition = "min_account_age = \"7d\"";
    let setup = Setup::unfiltered().filter(&filter("acme", "mentions", "g", condition));
    let mut service = TestService::start(setup).await;
    service.says(service.user("jane"), "@acme born today");
    assert!(service.events().await.is_empty());
    service.stop().await;
}

#[tokio::test]
async fn blocked_people_are_not_heard_whoever_keeps_the_list() {
    let setup = Setup::new().account_keys("blocked = [\"77\"]");
    let mut service = TestService::start(setup).await;
    let listed = service.add_user(NewUser::named("listed").with_id(77));
    let blocked = service.user("blocked");
    service.simulator.block(ACME, blocked).unwrap();
    service.says(listed, "@acme ha");
    service
        .simulator
        .direct_message(NewMessage::between(listed, ACME, "ha"))
        .unwrap();
    service.says(blocked, "@acme ha");
    assert!(service.events().await.is_empty());
    service.stop().await;
}

#[tokio::test]
async fn deliveries_for_an_account_wait_until_it_is_linked() {
    let mut service = TestService::start(Setup::new().forms(&Form::ALL)).await;
    let beta = service.add_user(NewUser::named("beta").with_id(BETA.0));
    let (aa, activity) = (Form::AccountActivity, Form::Activity);
    service
        .simulator
        .subscribe(APP, beta, &[aa, activity])
        .unwrap();
    let post = service.says(service.user("jane"), "@beta hello");
    assert!(service.events().await.is_empty());
    let kept = service.quarantine().await;
    assert_eq!(kept.len(), 2);
    assert!(kept.iter().all(|kept| kept.reason == "account_not_linked"));

    service.stop().await;
    let mentions = filter("beta", "mentions", "b", "");
    service
        .start_again(|setup| with_beta(setup).filter(&mentions))
        .await;
    service.wait_for_quarantine(0).await;
    let event = service.only_event().await;
    assert_eq!(event.text("/message/id"), post.to_string());
    assert_eq!(event.text("/account/username"), "beta");
    assert_eq!(event.at("/event/backfilled"), false);
    service.stop().await;
}

#[tokio::test]
async fn deliveries_that_name_no_account_wait_as_well() {
    let other = "other";
    let setup = Setup::new().app(other, "").forms(&[]);
    let mut service = TestService::start(setup).await;
    let beta = service.add_user(NewUser::named("beta").with_id(BETA.0));
    let jane = service.user("jane");
    service.simulator.add_rule(other, "@beta", "").unwrap();
    let post = service.says(jane, "@beta hello");
    let form = Form::FilteredStream;
    let streamed = service.simulator.bodies_of(post, other, beta, form);
    let message = NewMessage::between(jane, beta, "psst");
    let message = service.simulator.direct_message(message).unwrap();
    let form = Form::Activity;
    let activity = service
        .simulator
        .bodies_of_message(message, other, beta, form);
    let mut activity: Value = serde_json::from_slice(&activity.unwrap()[0].body).unwrap();
    activity["data"]["filter"] = json!({});
    for body in [
        streamed.unwrap().remove(0).body,
        activity.to_string().into(),
    ] {
        let answer = service
            .simulator
            .deliver(other, body, RawSignature::Correct);
        assert_eq!(answer.await.unwrap(), AttemptResult::Answered(200));
    }
    let kept = service.quarantine().await;
    assert!(kept.iter().all(|kept| kept.reason == "account_not_linked"));
    assert_eq!(kept.len(), 2);

    service.stop().await;
    let link = |setup: Setup| {
        setup
            .account(other, BETA, "beta", "")
            .filter(&filter("beta", "mentions", "b", ""))
            .filter(&filter("beta", "direct_messages", "b", ""))
    };
    service.start_again(link).await;
    service.wait_for_quarantine(0).await;
    assert_eq!(types(&service.events().await), ["message.received"; 2]);
    service.stop().await;
}

#[tokio::test]
async fn what_waited_for_its_account_for_hours_is_marked() {
    let then = Timestamp::now() - SignedDuration::from_hours(2);
    let clock = Clock::Stepping {
        start: then,
        step: Duration::from_millis(1),
    };
    let mut service = TestService::start(Setup::new().clock(clock).forms(&[])).await;
    let beta = service.add_user(NewUser::named("beta").with_id(BETA.0));
    let post = service.says(service.user("jane"), "@beta hello");
    let bodies = service
        .simulator
        .bodies_of(post, APP, beta, Form::AccountActivity);
    let kept = NewQuarantined {
        app: APP.to_owned(),
        reason: QuarantineReason::AccountNotLinked,
        detail: String::new(),
        account: Some(AccountId(BETA.to_string().parse().unwrap())),
        body: bodies.unwrap().remove(0).body.into(),
    };
    let keep = service.store.write(move |tx| tx.quarantine(&kept, then));
    assert!(keep.await.unwrap());

    service.stop().await;
    let mentions = filter("beta", "mentions", "b", "");
    service
        .start_again(|setup| with_beta(setup).filter(&mentions))
        .await;
    service.wait_for_quarantine(0).await;
    let event = service.only_event().await;
    assert_eq!(event.at("/event/backfilled"), true);
    assert_eq!(event.text("/delivery/received_at"), format!("{then:.3}"));
    service.stop().await;
}

#[tokio::test]
async fn an_edit_is_told_with_what_was_before() {
    for form in [Form::AccountActivity, Form::Activity] {
        let mut service = TestService::start(Setup::new().forms(&[form])).await;
        let first = service.says(service.user("jane"), "@acme it brok");
        let second = service.simulator.edit(first, "@acme it broke").unwrap();
        let third = service.simulator.edit(second, "never mind").unwrap();
        let events = service.events().await;
        assert_eq!(events[0].event_type(), "message.received");
        assert_eq!(events[1].event_type(), "message.edited");
        let edited = &events[1];
        assert_eq!(edited.text("/message/id"), second.to_string());
        assert_eq!(edited.text("/message/original_id"), first.to_string());
        assert_eq!(edited.at("/conversation"), events[0].at("/conversation"));
        assert_eq!(edited.at("/route"), events[0].at("/route"));
        let previous = json!({"message_id": first.to_string(), "text": "@acme it brok"});
        assert_eq!(*edited.at("/previous"), previous);
        // X does not tell of a version that no longer names us; nor does it tell it twice.
        assert_eq!(events.len(), 2, "{third}: {events:#?}");
        service.stop().await;
    }
}

#[tokio::test]
async fn versions_out_of_order_are_one_message() {
    let mut service = TestService::start(Setup::new().forms(&[])).await;
    let first = service.says(service.user("jane"), "@acme one");
    let second = service.simulator.edit(first, "@acme two").unwrap();
    let third = service.simulator.edit(second, "@acme three").unwrap();
    for post in [second, first, third, second, first] {
        for form in [Form::Activity, Form::AccountActivity] {
            let bodies = service.simulator.bodies_of(post, APP, ACME, form).unwrap();
            for body in bodies {
                assert_eq!(service.deliver(body.body).await, 200);
            }
        }
    }
    let events = service.events().await;
    assert_eq!(types(&events), ["message.received", "message.edited"]);
    assert_eq!(events[0].text("/message/text"), "@acme two");
    assert_eq!(events[0].text("/message/original_id"), first.to_string());
    assert_eq!(events[1].text("/message/text"), "@acme three");
    assert_eq!(events[1].text("/previous/text"), "@acme two");
    service.stop().await;
}

#[tokio::test]
async fn a_version_delivered_again_without_its_history_is_known() {
    let mut service = TestService::start(Setup::new().forms(&[])).await;
    let first = service.says(service.user("jane"), "@acme one");
    let second = service.simulator.edit(first, "@acme two").unwrap();
    let mut delivery = service.delivery_of(second, Form::AccountActivity);
    service.take(&delivery).await;
    assert_eq!(service.only_event().await.event_type(), "message.received");
    let post = delivery["tweet_create_events"][0].as_object_mut().unwrap();
    assert!(post.remove("edit_history").is_some());
    service.take(&delivery).await;
    assert!(service.events().await.is_empty());
    service.stop().await;
}

#[tokio::test]
async fn an_edited_post_of_ours_is_told_without_route_and_reply() {
    let mut service = TestService::start(Setup::new()).await;
    let first = service.says(ACME, "Closed tody");
    service.simulator.edit(first, "Closed today").unwrap();
    let events = service.events().await;
    assert_eq!(types(&events), ["message.sent", "message.edited"]);
    assert_eq!(events[1].body.get("route"), None);
    assert_eq!(events[1].body.get("reply"), None);
    service.stop().await;
}

#[tokio::test]
async fn a_deleted_post_of_ours_is_told_once_with_its_place() {
    let mut service =
        TestService::start(Setup::new().forms(&[Form::AccountActivity, Form::Activity])).await;
    let jane = service.user("jane");
    let question = service.says(jane, "@acme hm?");
    let answer = service.replies(ACME, question, "Ha!");
    service.simulator.delete(answer).unwrap();
    let events = service.events().await;
    let deleted = events.last().unwrap();
    assert_eq!(
        types(&events),
        ["message.received", "message.sent", "message.deleted"]
    );
    assert_eq!(
        deleted.at("/conversation/case_id"),
        events[0].at("/conversation/case_id")
    );
    let message = json!({
        "id": answer.to_string(), "original_id": answer.to_string(), "kind": "POST",
        "author": {"id": ACME.to_string()},
    });
    assert_eq!(*deleted.at("/message"), message);
    assert_eq!(deleted.text("/reason"), "DELETED");
    assert_eq!(deleted.text("/detected_by"), "WEBHOOK");
    service.stop().await;
}

#[tokio::test]
async fn direct_messages_come_in_both_directions_with_links_of_ours_to_their_media() {
    let mut service =
        TestService::start(Setup::new().forms(&[Form::AccountActivity, Form::Activity])).await;
    let jane = service.user("jane");
    let photo = NewMessage::between(jane, ACME, "see").with_media(NewMedia::photo());
    service.simulator.direct_message(photo).unwrap();
    let answer = NewMessage::between(ACME, jane, "I see");
    service.simulator.direct_message(answer).unwrap();
    let mut events = service.events().await;
    events.sort_by_key(|event| event.event_type().to_owned());
    assert_eq!(types(&events), ["message.received", "message.sent"]);
    for event in &events {
        assert_eq!(event.text("/conversation/id"), dm(jane));
        assert_eq!(event.text("/conversation/case_id"), dm(jane));
        assert_eq!(event.text("/conversation/customer/id"), jane.to_string());
        assert_eq!(event.text("/message/kind"), "DIRECT_MESSAGE");
        assert_eq!(event.text("/message/relation"), "DIRECT");
    }
    let received = &events[0];
    assert_eq!(received.text("/message/text"), "see");
    let attachment = received.at("/message/attachments/0");
    assert_eq!(attachment["requires_auth"], true);
    let url = attachment["url"].as_str().unwrap();
    assert!(
        url.starts_with("http://127.0.0.1:") && url.contains("/media/"),
        "{url}"
    );
    let command = json!({"conversation_id": dm(jane)});
    let proposed = received.at("/reply/command/send_direct_message");
    assert_eq!(proposed["conversation_id"], command["conversation_id"]);
    service.stop().await;
}

#[tokio::test]
async fn encrypted_messages_tell_who_and_when() {
    let mut service = TestService::start(Setup::new().forms(&[Form::Activity])).await;
    let jane = service.user("jane");
    service.simulator.chat_message(jane, ACME).unwrap();
    service.simulator.chat_message(ACME, jane).unwrap();
    let events = service.events().await;
    assert_eq!(types(&events), ["message.received", "message.sent"]);
    for event in &events {
        let chat = dm(jane).replace("dm:", "chat:");
        assert_eq!(event.text("/conversation/id"), chat);
        assert_eq!(event.text("/message/kind"), "ENCRYPTED_MESSAGE");
        assert_eq!(event.text("/message/text"), "");
        assert_eq!(event.text("/message/summary"), "[encrypted]");
        assert_eq!(event.text("/conversation/customer/id"), jane.to_string());
        assert!(
            event
                .routing_key
                .ends_with(&format!(".encrypted_message.{ACME}"))
        );
    }
    assert_eq!(events[0].text("/reply/permission"), "REFUSED");
    assert_eq!(events[0].text("/reply/reason"), "ENCRYPTED");
    service.stop().await;
}

#[tokio::test]
async fn reading_is_told_once_and_typing_passes_by() {
    let forms = [Form::AccountActivity, Form::Activity];
    // Nobody binds what is told: it is dropped, and nothing waits for a binding.
    let setup = Setup::new().forms(&forms).set(
        "BROKER__INBOXES",
        r#"[{ queue = "twitter.tickets", bind = ["message.#", "account.#"] }, { queue = "private", bind = ["conversation.#"] }]"#,
    );
    let mut service = TestService::start(setup).await;
    let jane = service.user("jane");
    let answer = NewMessage::between(ACME, jane, "well?");
    let answer = service.simulator.direct_message(answer).unwrap();
    assert_eq!(service.only_event().await.event_type(), "message.sent");
    service.simulator.mark_read(answer).unwrap();
    service.simulator.typing(jane, ACME).unwrap();
    service.settled().await;
    service.broker.wait_for_depth("private", 3).await;

    let told = service.take_events_of("private").await;
    let read = told
        .iter()
        .find(|event| event.event_type() == "conversation.read")
        .unwrap();
    assert_eq!(read.text("/reader/id"), jane.to_string());
    assert_eq!(read.text("/last_read_message_id"), answer.to_string());
    assert_eq!(read.text("/conversation/id"), dm(jane));
    assert_eq!(read.properties.expiration(), &None);
    let typing: Vec<_> = told
        .iter()
        .filter(|event| event.event_type() == "conversation.typing")
        .collect();
    // Once for each form: it is not journaled, so nobody knows it again, except by its id.
    assert_eq!(typing.len(), 2);
    assert_eq!(typing[0].at("/event/id"), typing[1].at("/event/id"));
    for typing in typing {
        assert_eq!(typing.text("/event/sequence"), "0");
        assert_eq!(typing.text("/author/id"), jane.to_string());
        assert_eq!(
            typing.properties.expiration().as_ref().unwrap().as_str(),
            "30000"
        );
    }

    service.broker.delete_queue("private").await;
    let next = NewMessage::between(ACME, jane, "so?");
    let next = service.simulator.direct_message(next).unwrap();
    service.simulator.mark_read(next).unwrap();
    service.simulator.typing(jane, ACME).unwrap();
    service.says(jane, "@acme I am here");
    assert_eq!(
        types(&service.events().await),
        ["message.sent", "message.received"]
    );
    let waiting = service.store.read(|tx| tx.lane_depth(Lane::Unrouted)).await;
    assert_eq!(waiting.unwrap(), 0);
    service.stop().await;
}

#[tokio::test]
async fn a_removed_app_is_told() {
    let mut service =
        TestService::start(Setup::new().forms(&[Form::AccountActivity, Form::Activity])).await;
    service.simulator.revoke(APP, ACME).unwrap();
    let event = service.only_event().await;
    assert_eq!(event.event_type(), "account.revoked");
    assert_eq!(event.text("/app"), APP);
    assert_eq!(event.routing_key, format!("account.revoked.account.{ACME}"));
    service.stop().await;
}

#[tokio::test]
async fn likes_and_follows_are_counted_and_not_told() {
    let mut service =
        TestService::start(Setup::new().forms(&[Form::AccountActivity, Form::Activity])).await;
    let jane = service.user("jane");
    let news = service.says(ACME, "Open again");
    assert_eq!(service.only_event().await.event_type(), "message.sent");
    let kinds = [
        "favorite_events",
        "follow_events",
        "like.create",
        "follow.follow",
    ];
    let metric = |kind| format!("twitter_channel_ignored_total{{kind=\"{kind}\"}}");
    let mut before = Vec::new();
    for kind in kinds {
        before.push(service.metric(&metric(kind)).await);
    }
    service.simulator.like(jane, news).unwrap();
    service.simulator.follow(jane, ACME).unwrap();
    assert!(service.events().await.is_empty());
    for (kind, before) in kinds.into_iter().zip(before) {
        assert!(
            service.metric(&metric(kind)).await >= before + 1.0,
            "{kind}"
        );
    }
    assert!(service.quarantine().await.is_empty());
    service.stop().await;
}

#[tokio::test]
async fn what_is_over_an_hour_old_is_marked() {
    let ago = |minutes| Clock::Stepping {
        start: Timestamp::now() - SignedDuration::from_mins(minutes),
        step: Duration::from_millis(1),
    };
    for (minutes, old) in [(61, true), (58, false)] {
        let mut service = TestService::start(Setup::new().clock(ago(minutes))).await;
        service.says(service.user("jane"), "@acme hello");
        let event = service.only_event().await;
        assert_eq!(event.at("/event/backfilled"), old, "{minutes} minutes");
        service.stop().await;
    }
}

#[tokio::test]
async fn properties_and_headers_say_what_the_body_says() {
    let mut service = TestService::start(Setup::new()).await;
    let id = service.says(service.user("jane"), "@acme hello");
    let event = service.only_event().await;
    let properties = &event.properties;
    let short = |text: &str| Some(text.into());
    let created: Timestamp = event.text("/event/time").parse().unwrap();
    assert_eq!(event.routing_key, format!("message.received.post.{ACME}"));
    assert_eq!(*properties.message_id(), short(event.text("/event/id")));
    assert_eq!(*properties.kind(), short("message.received"));
    assert_eq!(
        *properties.timestamp(),
        u64::try_from(created.as_second()).ok()
    );
    assert_eq!(*properties.app_id(), short("twitter-channel"));
    assert_eq!(*properties.content_type(), short("application/json"));
    assert_eq!(*properties.delivery_mode(), Some(2));
    assert_eq!(*properties.correlation_id(), short(&format!("post:{id}")));
    assert_eq!(*properties.expiration(), None);
    for (header, value) in [
        ("cloudEvents_specversion", "1.0"),
        ("cloudEvents_id", event.text("/event/id")),
        ("cloudEvents_type", "message.received"),
        ("cloudEvents_time", event.text("/event/time")),
        ("cloudEvents_subject", &*id.to_string()),
    ] {
        assert_eq!(event.header(header).as_deref(), Some(value), "{header}");
    }
    assert!(
        event
            .header("cloudEvents_source")
            .unwrap()
            .contains(&ACME.to_string())
    );
    assert!(event.header("cloudEvents_dataschema").is_some());
    assert_eq!(event.header("x-republished"), None);
    assert_traceparent(&event.header("traceparent").unwrap());
    service.stop().await;
}

/// W3C: `00-<32 hex digits>-<16 hex digits>-<2 hex digits>`, neither id all zeros.
fn assert_traceparent(header: &str) {
    let parts: Vec<_> = header.split('-').collect();
    let lengths: Vec<_> = parts.iter().map(|part| part.len()).collect();
    assert_eq!(lengths, [2, 32, 16, 2], "{header}");
    let is_hex = |part: &&str| {
        part.bytes()
            .all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
    };
    assert!(parts.iter().all(is_hex), "{header}");
    assert!(
        parts[1..3].iter().all(|id| id.bytes().any(|it| it != b'0')),
        "{header}"
    );
}
