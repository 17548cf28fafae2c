//! What X delivers back of our own messages, before, while and after it answers: one `message.sent`
//! for each, with the command that made it.

use std::time::Duration;

use serde_json::{Value, json};
use simulator::{Echo, Endpoint, Fault, FaultKind, NewMessage, NewPost, NewUser, PostId, UserId};

use crate::support::broker::TestBroker;
use crate::support::desk::Noted;
use crate::support::service::{ACME, Setup};
use crate::support::stage::{Stage, Times, send_message, send_post};

const PATIENCE: Duration = Duration::from_secs(20);
/// How long a message of ours may wait for a command that is being sent.
const WAIT: Duration = Duration::from_secs(30);
const TEXT: &str = "We look into it.";

/// What is written, and with which call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Post,
    Message,
}

impl Kind {
    const BOTH: [Self; 2] = [Self::Post, Self::Message];

    fn endpoint(self) -> Endpoint {
        match self {
            Self::Post => Endpoint::CreatePost,
            Self::Message => Endpoint::SendMessageTo,
        }
    }
}

/// A service, a customer and what the customer wrote.
struct Scene {
    stage: Stage,
    customer: UserId,
    mention: PostId,
}

impl Scene {
    async fn start() -> Self {
        Self::start_with(Setup::new()).await
    }

    async fn start_with(setup: Setup) -> Self {
        let x = simulator::Settings {
            // Repeats after 0.3, 2.7 and 24 s.
            time_scale: 0.1,
            ..simulator::Settings::default()
        };
        let times = Times {
            call: Duration::from_secs(4),
            first_read: Duration::from_millis(1500),
            second_read: Duration::from_millis(500),
        };
        let broker = TestBroker::vhost().await;
        let through = async |url: &str| url.to_owned();
        let stage = Stage::start(setup, times, x, broker, through).await;
        let customer = stage.simulator.add_user(NewUser::named("ann")).unwrap();
        let mention = NewPost::by(customer, "@acme my parcel is late");
        let mention = stage.simulator.post(mention).unwrap();
        let id = mention.to_string();
        let came = stage.desk.sees(PATIENCE, |noted| {
            !noted.about("message.received", &id).is_empty()
        });
        assert!(came.await, "no mention");
        Self {
            stage,
            customer,
            mention,
        }
    }

    fn order(&self, kind: Kind, fault: Fault) {
        self.stage.simulator.order(fault.on(kind.endpoint()));
    }

    async fn send(&mut self, kind: Kind, id: &str, text: &str) {
        let command = match kind {
            Kind::Post => send_post(id, ACME, text, &self.mention.to_string()),
            Kind::Message => send_message(id, ACME, self.customer, text),
        };
        self.stage.desk.send(&command).await;
    }

    /// Somebody of ours writes at x.com.
    fn at_x_com(&self, kind: Kind, text: &str) -> String {
        let simulator = &self.stage.simulator;
        match kind {
            Kind::Post => {
                let post = NewPost::by(ACME, text).replying_to(self.mention);
                simulator.post(post).unwrap().to_string()
            }
            Kind::Message => {
                let message = NewMessage::between(ACME, self.customer, text);
                simulator.direct_message(message).unwrap().to_string()
            }
        }
    }

    fn at_x(&self, kind: Kind, text: &str) -> usize {
        self.at_x_by(ACME, kind, text)
    }

    fn at_x_by(&self, account: UserId, kind: Kind, text: &str) -> usize {
        let simulator = &self.stage.simulator;
        match kind {
            Kind::Post => simulator.count_posts(account, text),
            Kind::Message => simulator.count_messages(account, text),
        }
    }

    async fn waits_until_at_x(&self, kind: Kind, text: &str) {
        let there = async || (self.at_x(kind, text) == 1).then_some(());
        crate::support::broker::eventually("the message at X", there).await;
    }

    /// The command ends well, and X's delivery of its message is told once, as its own.
    async fn ends_well(&self, kind: Kind, command: &str, text: &str) {
        self.ends_well_for(ACME, kind, command, text).await;
    }

    async fn ends_well_for(&self, account: UserId, kind: Kind, command: &str, text: &str) {
        let outcome = self.stage.desk.outcome(command, PATIENCE).await;
        assert_eq!(
            outcome["event"]["type"], "command.succeeded",
            "{kind:?} {outcome:#}"
        );
        assert_eq!(self.at_x_by(account, kind, text), 1);
        let id = outcome["messages"][0]["id"].as_str().unwrap().to_owned();
        let told = self.stage.desk.sees(PATIENCE, |noted| {
            !noted.about("message.sent", &id).is_empty()
        });
        assert!(told.await, "{kind:?}: the message is not told");
        self.stage.simulator.settled().await;
        self.stage
            .service
            .wait_for_part("journal: 0 unpublished")
            .await;
        let noted = self.stage.desk.noted();
        assert_eq!(noted.outcomes[command].len(), 1);
        assert_eq!(makers(&noted, &id), [command]);
        assert_eq!(noted.about("message.received", &id), Vec::<&Value>::new());
        assert_eq!(noted.faults, Vec::<String>::new());
    }
}

/// The `command_id` of each `message.sent` about a message.
fn makers(noted: &Noted, message: &str) -> Vec<String> {
    let told = noted.about("message.sent", message).into_iter();
    told.map(|event| event["command_id"].as_str().unwrap().to_owned())
        .collect()
}

/// Every way in which X may deliver back a message whose answer comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_while_and_after_the_answer() {
    let mut scene = Scene::start().await;
    let at_once = Fault::new(FaultKind::Nothing);
    let ways = [
        ("before", at_once.clone().with_echo(Echo::BEFORE_ANSWER)),
        (
            "while",
            at_once.clone().with_echo(Echo::AT_ONCE).slow(0, 1000),
        ),
        (
            "after",
            at_once.with_echo(Echo::after(Duration::from_secs(1))),
        ),
    ];
    for kind in Kind::BOTH {
        for (way, fault) in &ways {
            let id = format!("{kind:?}-{way}");
            let text = format!("{TEXT} {id}");
            scene.order(kind, fault.clone());
            scene.send(kind, &id, &text).await;
            scene.ends_well(kind, &id, &text).await;
        }
    }
}

/// The same where the answer is lost, cut, late, or names nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_answer_that_tells() {
    let failed = FaultKind::Status {
        status: 500,
        body: None,
        effect: true,
    };
    let answers = [
        ("lost", Fault::new(FaultKind::AnswerLost)),
        ("cut", Fault::new(FaultKind::AnswerCut { at: 40 })),
        ("failed", Fault::new(failed)),
        ("nameless", Fault::new(FaultKind::NoId)),
        ("late", Fault::new(FaultKind::Nothing).slow(0, 5000)),
    ];
    let echoes = [
        ("before", Echo::BEFORE_ANSWER),
        ("soon", Echo::after(Duration::from_millis(500))),
        // Long after it was looked up.
        ("late", Echo::after(Duration::from_secs(6))),
    ];
    let each = Kind::BOTH.into_iter().flat_map(|kind| {
        let answers = answers.iter();
        answers.flat_map(move |answer| echoes.map(|echo| (kind, answer, echo)))
    });
    let each: Vec<_> = each.enumerate().collect();
    // An account with an app for each, so that it is no outage of X.
    let name = |place| format!("brand{place}");
    let account = |place| UserId(6_000_000 + place as u64);
    let setup = each.iter().fold(Setup::new(), |setup, (place, _)| {
        let name = name(*place);
        setup
            .app(&name, "")
            .account(&name, account(*place), &name, "")
    });
    let mut scene = Scene::start_with(setup).await;
    let mut commands = Vec::new();
    for (place, (kind, (answer, fault), (when, echo))) in each {
        let id = format!("{kind:?}-{answer}-{when}");
        let (account, text) = (account(place), format!("{TEXT} {id}."));
        let fault = fault.clone().with_text(&id).with_echo(echo);
        scene.order(kind, fault);
        let command = match kind {
            Kind::Post => {
                let mention = NewPost::by(scene.customer, &format!("@{} hello", name(place)));
                let mention = scene.stage.simulator.post(mention).unwrap();
                send_post(&id, account, &text, &mention.to_string())
            }
            Kind::Message => send_message(&id, account, scene.customer, &text),
        };
        scene.stage.desk.send(&command).await;
        commands.push((account, kind, id, text));
    }
    for (account, kind, id, text) in &commands {
        scene.ends_well_for(*account, *kind, id, text).await;
    }
}

/// X delivers to a service that died after the effect and before the answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_process_is_down() {
    let mut scene = Scene::start().await;
    let echoes = [
        // Kept by X, which tries again.
        ("kept", Echo::after(Duration::from_millis(300))),
        // Delivered for the first time once it was looked up.
        ("later", Echo::after(Duration::from_secs(5))),
        // Taken before the end.
        ("taken", Echo::BEFORE_ANSWER),
        // Never: the look-up finds it.
        ("never", Echo::NEVER),
    ];
    for kind in Kind::BOTH {
        for (when, echo) in echoes {
            let id = format!("{kind:?}-{when}");
            let text = format!("{TEXT} {id}");
            let slow = Fault::new(FaultKind::Nothing).slow(0, 3000).with_echo(echo);
            scene.order(kind, slow);
            scene.send(kind, &id, &text).await;
            scene.waits_until_at_x(kind, &text).await;
            scene.stage.service.kill().await;
            tokio::time::sleep(Duration::from_millis(400)).await;
            scene.stage.service.start_again().await;
            if echo == Echo::NEVER {
                let outcome = scene.stage.desk.outcome(&id, PATIENCE).await;
                assert_eq!(outcome["event"]["type"], "command.succeeded", "{outcome:#}");
                assert_eq!(scene.at_x(kind, &text), 1);
            } else {
                scene.ends_well(kind, &id, &text).await;
            }
        }
    }
}

/// Somebody writes at x.com in the second in which a command is on its way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_at_x_com_meanwhile_is_nobodys() {
    let mut scene = Scene::start().await;
    for kind in Kind::BOTH {
        let (id, text) = (format!("{kind:?}"), format!("{TEXT} {kind:?}"));
        let slow = Fault::new(FaultKind::Nothing).slow(0, 3000);
        scene.order(kind, slow.with_echo(Echo::AT_ONCE));
        scene.send(kind, &id, &text).await;
        scene.waits_until_at_x(kind, &text).await;
        let other = scene.at_x_com(kind, "Typed by hand");
        // A customer's message does not wait with it.
        let question = NewPost::by(scene.customer, &format!("@acme and {kind:?}?"));
        let question = scene.stage.simulator.post(question).unwrap().to_string();
        let asked = scene.stage.desk.sees(Duration::from_secs(2), |noted| {
            !noted.about("message.received", &question).is_empty()
        });
        assert!(asked.await, "{kind:?}: others wait");
        let told = scene.stage.desk.sees(WAIT, |noted| {
            !noted.about("message.sent", &other).is_empty()
        });
        assert!(told.await, "{kind:?}: the message from x.com is not told");
        scene.ends_well(kind, &id, &text).await;
        assert_eq!(makers(&scene.stage.desk.noted(), &other), [""]);
    }
}

/// The same text, typed at x.com while the command that says it too is not at X yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_from_x_com_waits_for_a_call_that_never_ends_well_at_most_30_seconds() {
    let mut scene = Scene::start().await;
    // The call is on its way for as long as the time-out, then looked up in vain.
    let silent = Fault::new(FaultKind::ResetAfterReading).slow(60_000, 0);
    for kind in Kind::BOTH {
        scene.order(kind, silent.clone());
        scene.send(kind, &format!("{kind:?}"), "Mine").await;
    }
    let both_called = async || (scene.stage.simulator.faults().is_empty()).then_some(());
    crate::support::broker::eventually("both calls at X", both_called).await;
    for kind in Kind::BOTH {
        let other = scene.at_x_com(kind, "Theirs");
        let told = scene.stage.desk.sees(WAIT, |noted| {
            !noted.about("message.sent", &other).is_empty()
        });
        assert!(told.await, "{kind:?}: the message from x.com is not told");
        assert_eq!(makers(&scene.stage.desk.noted(), &other), [""]);
    }
    for kind in Kind::BOTH {
        let outcome = scene
            .stage
            .desk
            .outcome(&format!("{kind:?}"), PATIENCE)
            .await;
        assert_eq!(outcome["event"]["type"], "command.succeeded", "{outcome:#}");
        assert_eq!(scene.at_x(kind, "Mine"), 1);
    }
}

/// A failed message is not taken for a later one with the same words.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_words_again_belong_to_the_command_that_is_on_its_way() {
    let mut scene = Scene::start().await;
    let failed = FaultKind::Status {
        status: 500,
        body: None,
        effect: false,
    };
    let refused = FaultKind::Status {
        status: 403,
        body: Some(
            json!({"title": "Forbidden", "status": 403, "type": "about:blank",
            "detail": "You cannot send messages to this user."}),
        ),
        effect: false,
    };
    for fault in [failed, refused] {
        scene.order(Kind::Message, Fault::new(fault));
    }
    scene.send(Kind::Message, "first", "Thank you.").await;
    let outcome = scene.stage.desk.outcome("first", PATIENCE).await;
    assert_eq!(outcome["event"]["type"], "command.failed", "{outcome:#}");

    let fault = Fault::new(FaultKind::Nothing).with_echo(Echo::BEFORE_ANSWER);
    scene.order(Kind::Message, fault);
    scene.send(Kind::Message, "second", "Thank you.").await;
    scene.ends_well(Kind::Message, "second", "Thank you.").await;
}
