//! Threads of posts: one conversation for the core, in whatever order and form X delivers them.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use simulator::{Disturbances, Form, NewPost, PostId, UserId};

use crate::support::service::{ACME, Event, Setup, TestService};

const AT_ONCE: usize = 16;

/// A service that X tells of nothing by itself.
async fn start() -> TestService {
    TestService::start(Setup::new().forms(&[])).await
}

impl TestService {
    /// The first delivery by which X tells our account of a post.
    fn body(&self, post: PostId, form: Form) -> Bytes {
        self.bodies_of(post, form).swap_remove(0)
    }

    /// Delivers many series of bodies at once, each series in its order.
    async fn deliver_series(&self, series: Vec<Vec<Bytes>>) {
        let deliver = async |bodies: Vec<Bytes>| {
            for body in bodies {
                assert_eq!(self.deliver(body).await, 200);
            }
        };
        let deliveries = stream::iter(series).map(deliver);
        deliveries.for_each_concurrent(AT_ONCE, |done| done).await;
    }
}

/// Every order of a list.
fn orders<T: Copy>(items: &[T]) -> Vec<Vec<T>> {
    if items.is_empty() {
        return vec![Vec::new()];
    }
    let first_and_rest = |at: usize| {
        let mut rest = items.to_vec();
        let first = rest.remove(at);
        orders(&rest).into_iter().map(move |mut order| {
            order.insert(0, first);
            order
        })
    };
    (0..items.len()).flat_map(first_and_rest).collect()
}

/// A customer and the account in turns, each answering the one before.
fn exchange(service: &TestService, customer: UserId) -> [PostId; 5] {
    let question = service.post(NewPost::by(customer, "@acme it broke"));
    let reply = |author, text, parent| service.post(NewPost::by(author, text).replying_to(parent));
    let answer = reply(ACME, "How?", question);
    let more = reply(customer, "@acme badly", answer);
    let advice = reply(ACME, "Off and on?", more);
    let thanks = reply(customer, "@acme thanks", advice);
    [question, answer, more, advice, thanks]
}

/// What a helpdesk makes of the events: which conversation each message lies in.
#[derive(Default)]
struct Core {
    conversations: HashMap<String, String>,
    parents: HashMap<String, String>,
    merged_into: HashMap<String, String>,
}

impl Core {
    fn hear(&mut self, event: &Event) {
        let conversation = event.text("/conversation/id").to_owned();
        if event.event_type() == "conversation.merged" {
            let merged = event.text("/merged/0").to_owned();
            let published = self.conversations.values().any(|known| *known == merged);
            assert!(published, "{merged} was never published");
            assert!(self.conversations.values().any(|it| *it == conversation));
            self.merged_into.insert(merged, conversation);
            return;
        }
        let id = event.text("/message/id").to_owned();
        if let Some(parent) = event.body.pointer("/message/in_reply_to/message_id") {
            let parent = parent.as_str().unwrap().to_owned();
            self.parents.insert(id.clone(), parent);
        }
        let again = self.conversations.insert(id.clone(), conversation);
        assert_eq!(again, None, "{id} came twice");
        self.assert_together_with_neighbours(&id);
    }

    /// A merge is told before the message that proves it: whoever answers whom is one conversation.
    fn assert_together_with_neighbours(&self, id: &str) {
        let concerned = |(child, parent): &(&String, &String)| *child == id || *parent == id;
        for (child, parent) in self.parents.iter().filter(concerned) {
            let places = (self.conversation(child), self.conversation(parent));
            if let (Some(child), Some(parent)) = places {
                assert_eq!(child, parent, "at {id}");
            }
        }
    }

    /// Where a message that came lies by now.
    fn conversation(&self, id: &str) -> Option<&str> {
        let mut conversation = self.conversations.get(id)?;
        while let Some(survivor) = self.merged_into.get(conversation) {
            conversation = survivor;
        }
        Some(conversation)
    }
}

/// Delivers new threads in every order; `form` chooses by the place of a message in its thread.
async fn every_order(form: impl Fn(usize) -> Form) -> (Vec<[PostId; 5]>, Core, usize) {
    let mut service = start().await;
    let customer = service.user("jane");
    let (mut threads, mut series) = (Vec::new(), Vec::new());
    for order in orders(&[0, 1, 2, 3, 4]) {
        let thread = exchange(&service, customer);
        let body = |place: usize| service.body(thread[place], form(place));
        series.push(order.into_iter().map(body).collect());
        threads.push(thread);
    }
    service.deliver_series(series).await;
    let (events, mut core) = (service.events().await, Core::default());
    events.iter().for_each(|event| core.hear(event));
    assert_same_case(&events, customer);
    service.stop().await;
    (threads, core, events.len())
}

/// All of it is the one customer's, our answers too as far as their ancestors are known.
fn assert_same_case(events: &[Event], customer: UserId) {
    for event in events
        .iter()
        .filter(|event| event.event_type() != "conversation.merged")
    {
        let case = format!("{}:{customer}", event.text("/conversation/id"));
        assert_eq!(event.text("/conversation/case_id"), case);
    }
}

fn assert_one_conversation_each(threads: &[[PostId; 5]], core: &Core) {
    let mut conversations = BTreeSet::new();
    for thread in threads {
        let of_thread: BTreeSet<_> = thread
            .iter()
            .map(|post| core.conversation(&post.to_string()).unwrap())
            .collect();
        assert_eq!(of_thread.len(), 1, "{thread:?}");
        conversations.extend(of_thread);
    }
    assert_eq!(conversations.len(), threads.len());
}

#[tokio::test]
async fn a_v1_thread_in_any_order_is_one_conversation_in_the_end() {
    let (threads, core, _) = every_order(|_| Form::AccountActivityV1).await;
    assert_eq!(threads.len(), 120);
    assert_one_conversation_each(&threads, &core);
    assert!(!core.merged_into.is_empty());
}

#[tokio::test]
async fn a_v2_thread_in_any_order_is_one_conversation_at_once() {
    let (threads, core, events) = every_order(|_| Form::Activity).await;
    assert_one_conversation_each(&threads, &core);
    assert_eq!(events, 120 * 5);
    for thread in threads {
        let last = core.conversation(&thread[4].to_string());
        assert_eq!(last, Some(&*format!("post:{}", thread[0])));
    }
}

#[tokio::test]
async fn a_thread_in_both_generations_of_forms_is_one_conversation_in_the_end() {
    let forms = [Form::AccountActivityV1, Form::Activity];
    let (threads, core, _) = every_order(|place| forms[place % 2]).await;
    assert_one_conversation_each(&threads, &core);
}

#[tokio::test]
async fn three_hundred_customers_below_one_post_have_a_case_each() {
    let mut service = start().await;
    let news = service.post(NewPost::by(ACME, "We are open again"));
    assert_eq!(
        service
            .deliver(service.body(news, Form::AccountActivity))
            .await,
        200
    );
    let replies = (0..300).map(|number| {
        let customer = service.user(&format!("customer{number}"));
        service.post(NewPost::by(customer, "Hooray").replying_to(news))
    });
    let series = replies.map(|reply| vec![service.body(reply, Form::AccountActivity)]);
    service.deliver_series(series.collect()).await;

    let events = service.events().await;
    assert_eq!(events.len(), 301);
    let texts = |pointer| {
        events
            .iter()
            .map(|event| event.text(pointer))
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(texts("/conversation/id"), [&*format!("post:{news}")].into());
    // The post itself is nobody's case.
    assert_eq!(texts("/conversation/case_id").len(), 301);
    let sent = &events[0];
    assert_eq!(sent.event_type(), "message.sent");
    assert_eq!(sent.text("/conversation/case_id"), format!("post:{news}"));
    assert!(sent.body.pointer("/conversation/customer").is_none());
    service.stop().await;
}

#[tokio::test]
async fn our_answers_belong_to_the_case_of_the_nearest_customer_above() {
    for form in [Form::AccountActivityV1, Form::Activity] {
        let mut service = start().await;
        let (jane, joe) = (service.user("jane"), service.user("joe"));
        let question = service.post(NewPost::by(jane, "@acme how?"));
        let reply =
            |author, parent| service.post(NewPost::by(author, "@acme so").replying_to(parent));
        let first = reply(ACME, question);
        let second = reply(ACME, first);
        let other = reply(joe, second);
        let third = reply(ACME, other);
        let series = [question, first, second, other, third].map(|post| service.body(post, form));
        service.deliver_series(vec![series.into()]).await;

        let events = service.events().await;
        let cases = events
            .iter()
            .map(|event| event.text("/conversation/customer/id").to_owned());
        let expected = [jane, jane, jane, joe, joe].map(|user| user.to_string());
        assert_eq!(cases.collect::<Vec<_>>(), expected, "{form:?}");
        service.stop().await;
    }
}

#[tokio::test]
async fn a_reply_to_a_post_that_is_gone_keeps_its_place() {
    for form in [Form::AccountActivityV1, Form::Activity] {
        let mut service = start().await;
        let (jane, joe) = (service.user("jane"), service.user("joe"));
        let question = service.post(NewPost::by(jane, "nobody is named here"));
        let reply = service.post(NewPost::by(joe, "@acme see that").replying_to(question));
        service.simulator.delete(question).unwrap();
        assert_eq!(service.deliver(service.body(reply, form)).await, 200);

        let event = service.only_event().await;
        assert_eq!(event.text("/conversation/id"), format!("post:{question}"));
        assert_eq!(
            event.text("/message/in_reply_to/message_id"),
            question.to_string()
        );
        assert_eq!(event.text("/conversation/customer/id"), joe.to_string());
        service.stop().await;
    }
}

#[tokio::test]
async fn a_late_reply_to_our_own_deleted_post_joins_its_conversation() {
    let mut service = TestService::start(Setup::new()).await;
    let jane = service.user("jane");
    let news = service.post(NewPost::by(ACME, "Closed today"));
    assert_eq!(service.only_event().await.event_type(), "message.sent");
    service.simulator.disturb_next(Disturbances {
        gather: 2,
        ..Disturbances::default()
    });
    let _held_back = service.post(NewPost::by(jane, "Why?").replying_to(news));
    service.simulator.delete(news).unwrap();
    let deleted = service.next_event().await;
    assert_eq!(deleted.event_type(), "message.deleted");

    let reply = service.only_event().await;
    let conversation = format!("post:{news}");
    assert_eq!(reply.text("/message/relation"), "REPLY");
    for event in [deleted, reply] {
        assert_eq!(event.text("/conversation/id"), conversation);
    }
    service.stop().await;
}
