//! What people do with commands on the command line, seen through to the outcome.

use serde_json::{Value, json};
use simulator::{Endpoint, Fault, FaultKind, NewPost};
use twitter_channel::domain::ids::CommandId;
use twitter_channel::store::{CommandState, Hold};

use crate::support::broker::eventually;
use crate::support::service::{ACME, Setup, TestService};

async fn start(sending: &str) -> TestService {
    let setup = Setup::new().set("COMMANDS__SENDING", sending);
    let service = TestService::start(setup).await;
    service.settled().await;
    service
}

/// A reply to a customer who has mentioned us.
async fn reply(service: &TestService, id: &str, text: &str) -> Value {
    let ann = service.user("ann");
    service.post(NewPost::by(ann, &format!("@acme about {id}")));
    let mut command = service.next_event().await.at("/reply/command").clone();
    command["command_id"] = json!(id);
    command["send_post"]["text"] = json!(text);
    command
}

/// Waits until a command is held for this.
async fn is_held(service: &TestService, id: &str, hold: Hold) -> u64 {
    let id: CommandId = id.parse().unwrap();
    let held = async || {
        let id = id.clone();
        let row = service.store.read(move |tx| tx.command_by_id(&id)).await;
        let waiting = row.unwrap()?.waiting;
        let held = waiting.state == CommandState::Pending && waiting.hold == hold;
        held.then_some(waiting.sequence)
    };
    eventually(&format!("{id} is held for {hold:?}"), held).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn held_commands_are_cancelled_and_released_beside_the_service() {
    let mut service = start("hold").await;
    for id in ["c1", "c2"] {
        let command = reply(&service, id, &format!("Answer {id}")).await;
        service.command(&command).await;
        is_held(&service, id, Hold::Stopped).await;
    }
    let (status, listed) = service.run(&["commands", "list", "--state", "held"]).await;
    assert_eq!((status, listed.lines().count()), (0, 2), "{listed}");
    assert!(!listed.contains("Answer"), "{listed}");

    let parts = service.page("/readyz?verbose").await;
    for part in [
        "\nconsumer: connected\n",
        "\nledger: 2 open, 2 held, oldest ",
    ] {
        assert!(parts.contains(part), "{parts}");
    }

    let (status, said) = service.run(&["commands", "cancel", "c1"]).await;
    assert_eq!((status, said.as_str()), (0, "c1 is taken back\n"));
    let outcome = service.outcome("c1", &mut Vec::new()).await;
    assert_eq!(outcome.text("/code"), "CANCELLED");
    let (status, said) = service.run(&["commands", "cancel", "c1"]).await;
    assert_eq!(status, 1, "{said}");

    // The stop switch is stronger than a person.
    let (status, said) = service.run(&["commands", "release", "c2"]).await;
    assert!(status == 0 && said.contains("will be held again"), "{said}");
    let held = is_held(&service, "c2", Hold::Stopped).await;

    // It has become too old to go by itself.
    let age = move |tx: &mut twitter_channel::store::Tx<'_>| {
        tx.set_hold(held, Hold::Person, jiff::Timestamp::now())
    };
    service.store.write(age).await.unwrap();
    service.stop().await;
    let live = |setup: Setup| setup.set("COMMANDS__SENDING", "live");
    service.start_again(live).await;
    service.settled().await;
    is_held(&service, "c2", Hold::Person).await;
    let account = ACME.to_string();
    let release = ["commands", "release", "--account", &account];
    let (status, said) = service.run(&release).await;
    assert_eq!(
        (status, said.as_str()),
        (0, "c2  goes when its turn comes\n")
    );
    let outcome = service.outcome("c2", &mut Vec::new()).await;
    assert_eq!(outcome.event_type(), "command.succeeded");
    let posts = service.simulator.posts_by(ACME);
    let texts: Vec<_> = posts.iter().map(|post| post.text.as_str()).collect();
    assert_eq!(texts, ["Answer c2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_command_is_retried_once_however_often_it_is_asked_for() {
    let service = start("live").await;
    let refusal = FaultKind::Status {
        status: 403,
        body: Some(json!({"title": "Forbidden", "detail": "Not now.", "type": "about:blank"})),
        effect: false,
    };
    let once = Fault::new(refusal).on(Endpoint::CreatePost);
    service.simulator.order(once);
    let mut command = reply(&service, "c1", "Once").await;
    service.command(&command).await;
    let outcome = service.outcome("c1", &mut Vec::new()).await;
    assert_eq!(outcome.text("/code"), "REFUSED");

    let (status, said) = service.run(&["commands", "retry", "c1"]).await;
    assert_eq!(status, 0, "{said}");
    let new = said.split_whitespace().next().unwrap();
    let retried = service.outcome(new, &mut Vec::new()).await;
    assert_eq!(retried.event_type(), "command.succeeded");
    assert_eq!(retried.text("/retry_of"), "c1");
    let (status, shown) = service.run(&["commands", "show", new]).await;
    let id = retried.text("/messages/0/id");
    assert!(
        status == 0 && shown.contains("done  to") && shown.contains(id),
        "{shown}"
    );

    // Nor does the core get it posted twice, which knows of the first command alone.
    command["command_id"] = json!("c2");
    command["retry_of"] = json!("c1");
    service.command(&command).await;
    let again = service.outcome("c2", &mut Vec::new()).await;
    assert_eq!(again.event_type(), "command.succeeded");
    assert_eq!(again.text("/messages/0/id"), id);
    assert_eq!(service.simulator.count_posts(ACME, "Once"), 1);
    let (status, said) = service.run(&["commands", "retry", "c1"]).await;
    let why = "The command c1 was retried as c2, which has succeeded";
    assert!(status == 1 && said.contains(why), "{said}");
}
