//! Commands that have to wait: whom the core hears of it, and what ends the wait.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use simulator::{Echo, Endpoint, Fault, FaultKind, UserId};
use twitter_channel::store::{CommandRow, CommandState, Hold, Wait};

use super::listener::{Listener, command, message, post};
use super::{answer, mention, start, writes};
use crate::support::address::free_address;
use crate::support::broker::eventually;
use crate::support::proxy::Proxy;
use crate::support::service::{ACME, APP, Event, Setup, TestService};

/// Each of these waits for X's time or for pauses of the service, so they wait together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_waits_end() {
    tokio::join!(
        without_credit_the_app_pauses_and_asks_less_and_less_often(),
        an_outage_of_x_is_told_once_and_order_is_kept(),
        what_x_failed_to_do_goes_once_it_is_back(),
        a_used_up_window_holds_its_own_calls_until_it_opens(),
    );
}

async fn started(setup: Setup) -> TestService {
    let service = TestService::start(setup).await;
    service.settled().await;
    service
}

fn alone(id: &str) -> serde_json::Value {
    post(id, json!({"text": format!("This is {id}")}))
}

/// How often a command of this text was tried.
fn tries(service: &TestService, endpoint: Endpoint) -> usize {
    let calls = service.simulator.calls();
    calls.iter().filter(|it| it.endpoint == endpoint).count()
}

async fn row(service: &TestService, id: &str) -> CommandRow {
    let id = id.parse().unwrap();
    let row = service.store.read(move |tx| tx.command_by_id(&id)).await;
    row.unwrap().unwrap()
}

/// As if the command had come two hours ago. The service must not be running.
fn age(service: &TestService, id: &str) {
    let sql = "UPDATE commands SET received_at = received_at - 7200000 WHERE id =";
    assert_eq!(service.execute(&format!("{sql} '{id}'")), Ok(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_goes_by_itself_while_it_is_young() {
    let mut service = started(Setup::new().account_keys("sending = \"hold\"")).await;
    {
        let mut core = Listener::to(&service);
        for id in ["old", "young"] {
            service.command(&alone(id)).await;
        }
        let mut short = alone("short");
        let soon = Timestamp::now() + SignedDuration::from_secs(1);
        short["expires_at"] = json!(soon.to_string());
        service.command(&short).await;
        core.failed("short", "EXPIRED").await;
        for id in ["old", "young"] {
            let deferred = core.deferred(id, "SENDING_STOPPED").await;
            assert_eq!(deferred.text("/next_attempt_at"), "");
            assert_eq!(deferred.at("/attempt"), 0);
        }
        assert!(writes(&service).is_empty());
    }
    service.stop().await;
    age(&service, "old");
    service.start_again(|setup| setup.account_keys("")).await;
    let mut core = Listener::to(&service);
    core.succeeded("young").await;
    assert_eq!(row(&service, "old").await.waiting.hold, Hold::Person);
    assert_eq!(service.simulator.posts_by(ACME).len(), 1);
    assert!(core.deferrals("old").await.is_empty(), "told before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_switch_of_the_service_holds_all_accounts() {
    let mut service = started(Setup::new().set("COMMANDS__SENDING", "hold")).await;
    service.command(&alone("c1")).await;
    let mut core = Listener::to(&service);
    core.deferred("c1", "SENDING_STOPPED").await;
    drop(core);
    service.stop().await;
    service
        .start_again(|setup| setup.set("COMMANDS__SENDING", "live"))
        .await;
    Listener::to(&service).succeeded("c1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_sending_is_a_failure_at_once() {
    for setup in [
        Setup::new().set("COMMANDS__SENDING", "refuse"),
        Setup::new().account_keys("sending = \"refuse\""),
    ] {
        let service = started(setup).await;
        let mut core = Listener::to(&service);
        let failed = core.refuses(&alone("c1"), "SENDING_STOPPED").await;
        assert_eq!(failed.at("/retryable"), true);
        // What X is not asked for goes on.
        core.does(&command("f1", json!({"forget_person": {"person_id": "5"}})))
            .await;
        assert!(writes(&service).is_empty());
    }
}

fn is_revoked(event: &Event) -> bool {
    event.event_type() == "account.revoked"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_token_holds_the_commands_of_its_account() {
    let mut service = started(Setup::new()).await;
    {
        let mut core = Listener::to(&service);
        service.simulator.kill_tokens(APP, ACME);
        // Both are on their way when X says so.
        let slow = Fault::new(FaultKind::Nothing)
            .on(Endpoint::CreatePost)
            .slow(300, 0)
            .next(2);
        service.simulator.order(slow);
        for id in ["c1", "c2"] {
            service.command(&alone(id)).await;
        }
        let revoked = core.hears("a revoked account", is_revoked).await;
        assert!(revoked.at("/held_commands").as_u64().unwrap() >= 1);
        assert_eq!(revoked.text("/app"), APP);
        assert!(!revoked.text("/reason").is_empty());
        service.command(&alone("c3")).await;
        for id in ["c1", "c2", "c3"] {
            let deferred = core.deferred(id, "UNAUTHORIZED").await;
            assert_eq!(deferred.text("/next_attempt_at"), "", "{id}");
        }
        assert_eq!(tries(&service, Endpoint::CreatePost), 2);
        assert_eq!(core.heard(is_revoked).await.len(), 1);
    }
    service.stop().await;
    service
        .start_again(|setup| setup.access_token("another", "another secret"))
        .await;
    let mut core = Listener::to(&service);
    for id in ["c1", "c2", "c3"] {
        core.succeeded(id).await;
    }
    assert_eq!(service.simulator.posts_by(ACME).len(), 3);
    assert!(core.heard(is_revoked).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_delivery_of_a_revocation_holds_them_too() {
    let mut service = started(Setup::new()).await;
    service.simulator.revoke(APP, ACME).unwrap();
    let mut core = Listener::to(&service);
    core.hears("a revoked account", is_revoked).await;
    service.command(&alone("c1")).await;
    core.deferred("c1", "UNAUTHORIZED").await;
    assert_eq!(core.heard(is_revoked).await.len(), 1);
    assert!(writes(&service).is_empty());
    drop(core);
    // Turning sending off and on does not link the account.
    service.stop().await;
    service
        .start_again(|setup| setup.account_keys("sending = \"hold\""))
        .await;
    service.command(&alone("c2")).await;
    let mut core = Listener::to(&service);
    core.deferred("c2", "SENDING_STOPPED").await;
    drop(core);
    service.stop().await;
    service.start_again(|setup| setup.account_keys("")).await;
    for id in ["c1", "c2"] {
        assert_eq!(row(&service, id).await.waiting.hold, Hold::Revoked, "{id}");
    }
    assert!(writes(&service).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_token_is_noticed_by_a_look_too() {
    let mut service = start().await;
    let lost = Fault::new(FaultKind::AnswerLost)
        .on(Endpoint::CreatePost)
        .with_echo(Echo::NEVER);
    service.simulator.order(lost);
    service.command(&alone("c1")).await;
    let tried = async || (tries(&service, Endpoint::CreatePost) == 1).then_some(());
    eventually("a lost call", tried).await;
    service.simulator.kill_tokens(APP, ACME);
    let mut core = Listener::to(&service);
    core.hears("a revoked account", is_revoked).await;
    drop(core);
    service.stop().await;
    service
        .start_again(|setup| setup.access_token("another", "another secret"))
        .await;
    // Its next look is half a minute away.
    let row = row(&service, "c1").await;
    let now = Wait {
        state: CommandState::Uncertain,
        hold: Hold::None,
        call: "user_posts",
        next_attempt_at: Timestamp::now(),
        attempt: row.attempt,
    };
    let sequence = row.waiting.sequence;
    let again = service.store.write(move |tx| {
        tx.set_waiting(sequence, &now)?;
        tx.touch_command(sequence)
    });
    again.await.unwrap();
    Listener::to(&service).succeeded("c1").await;
    assert_eq!(service.simulator.posts_by(ACME).len(), 1);
}

async fn what_x_failed_to_do_goes_once_it_is_back() {
    let service = start().await;
    let mut core = Listener::to(&service);
    let fails = FaultKind::Status {
        status: 503,
        body: None,
        effect: false,
    };
    service.simulator.order(Fault::new(fails).always());
    for id in ["c1", "c2", "c3"] {
        service.command(&alone(id)).await;
    }
    for id in ["c1", "c2", "c3"] {
        core.deferred(id, "X_UNAVAILABLE").await;
    }
    service.simulator.clear_faults();
    for id in ["c1", "c2", "c3"] {
        core.succeeded(id).await;
        assert_eq!(core.deferrals(id).await, ["X_UNAVAILABLE"], "{id}");
    }
    assert_eq!(service.simulator.posts_by(ACME).len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_credentials_revokes_nothing() {
    let service = started(Setup::new()).await;
    let mut core = Listener::to(&service);
    let outage = Fault::new(FaultKind::Outage).on(Endpoint::CreatePost);
    service.simulator.order(outage);
    service.command(&alone("c1")).await;
    core.deferred("c1", "UNAUTHORIZED").await;
    let waiting = row(&service, "c1").await;
    assert_eq!(waiting.waiting.hold, Hold::None);
    // Not to wait for the minute that the confirmation takes.
    let now = Wait {
        state: CommandState::Pending,
        hold: Hold::None,
        call: "create_post",
        next_attempt_at: Timestamp::now(),
        attempt: waiting.attempt,
    };
    let sequence = waiting.waiting.sequence;
    let again = service.store.write(move |tx| {
        tx.set_waiting(sequence, &now)?;
        tx.touch_command(sequence)
    });
    again.await.unwrap();
    core.succeeded("c1").await;
    assert!(core.heard(is_revoked).await.is_empty());
}

async fn without_credit_the_app_pauses_and_asks_less_and_less_often() {
    let service = started(Setup::new()).await;
    let mut core = Listener::to(&service);
    service.simulator.order(
        Fault::new(FaultKind::CreditsDepleted)
            .on(Endpoint::CreatePost)
            .next(2),
    );
    service.command(&alone("c1")).await;
    // Settled, not only sent: or the second would be refused beside it, not behind it.
    let paused = async || {
        if tries(&service, Endpoint::CreatePost) == 0 {
            return None;
        }
        let state = row(&service, "c1").await.waiting.state;
        (state == CommandState::Pending).then_some(())
    };
    eventually("the first try", paused).await;
    service.command(&alone("c2")).await;
    core.deferred("c1", "CREDITS_DEPLETED").await;
    core.deferred("c2", "CREDITS_DEPLETED").await;
    core.succeeded("c1").await;
    core.succeeded("c2").await;
    let calls = writes(&service);
    let pauses: Vec<_> = calls
        .windows(2)
        .map(|two| two[1].at.duration_since(two[0].at).as_secs())
        .collect();
    assert_eq!(calls.len(), 4);
    assert!(pauses[0] >= 4 && pauses[1] >= 9, "{pauses:?}");
    for id in ["c1", "c2"] {
        assert_eq!(core.deferrals(id).await, ["CREDITS_DEPLETED"]);
    }
}

async fn an_outage_of_x_is_told_once_and_order_is_kept() {
    let mut service = started(Setup::new()).await;
    let mention = mention(&service, "hello").await;
    let x = free_address();
    service.stop().await;
    service
        .start_again(|setup| setup.set("X_API__BASE_URL", &format!("http://{x}")))
        .await;
    let mut core = Listener::to(&service);
    for id in ["c1", "c2"] {
        service.command(&answer(&mention, id, id)).await;
    }
    service.command(&alone("c3")).await;
    let mut short = alone("c4");
    let soon = Timestamp::now() + SignedDuration::from_secs(2);
    short["expires_at"] = json!(soon.to_string());
    service.command(&short).await;
    core.failed("c4", "EXPIRED").await;
    for id in ["c1", "c2", "c3"] {
        let deferred = core.deferred(id, "X_UNAVAILABLE").await;
        assert_ne!(deferred.text("/next_attempt_at"), "", "{id}");
    }
    let target = service
        .simulator
        .url()
        .trim_start_matches("http://")
        .to_owned();
    let _back = Proxy::at(x, &target).await;
    for id in ["c1", "c2", "c3"] {
        core.succeeded(id).await;
        assert_eq!(core.deferrals(id).await, ["X_UNAVAILABLE"], "{id}");
    }
    let posts = service.simulator.posts_by(ACME);
    let place = |text: &str| posts.iter().position(|post| post.text == text);
    assert_eq!(posts.len(), 3);
    assert!(place("c1") < place("c2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_of_x_are_looked_up() {
    let service = start().await;
    let mut core = Listener::to(&service);
    for (place, (status, effect)) in [(503, false), (500, true), (502, false), (504, true)]
        .into_iter()
        .enumerate()
    {
        let what = FaultKind::Status {
            status,
            body: None,
            effect,
        };
        let fault = Fault::new(what)
            .on(Endpoint::CreatePost)
            .with_echo(Echo::NEVER);
        service.simulator.order(fault);
        let id = format!("c{place}");
        core.does(&alone(&id)).await;
        let text = format!("This is {id}");
        assert_eq!(service.simulator.count_posts(ACME, &text), 1, "{status}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_hangs_holds_its_own_conversation_only() {
    let service = start().await;
    let mut core = Listener::to(&service);
    let one = mention(&service, "one").await;
    let two = mention(&service, "two").await;
    let hangs = Fault::new(FaultKind::Nothing)
        .with_text("hangs")
        .slow(1500, 0);
    service.simulator.order(hangs);
    service.command(&answer(&one, "c1", "It hangs")).await;
    service.command(&answer(&one, "c2", "Behind it")).await;
    service.command(&answer(&two, "c3", "Beside it")).await;
    core.succeeded("c3").await;
    assert_eq!(service.simulator.posts_by(ACME).len(), 1);
    core.succeeded("c2").await;
    core.succeeded("c1").await;
    let posts = service.simulator.posts_by(ACME);
    let texts: Vec<_> = posts.iter().map(|post| post.text.as_str()).collect();
    assert_eq!(texts, ["Beside it", "It hangs", "Behind it"]);
}

async fn a_used_up_window_holds_its_own_calls_until_it_opens() {
    let service = start().await;
    let mut core = Listener::to(&service);
    let limited = FaultKind::RateLimited {
        headers: true,
        reset_in_s: 12,
    };
    let limited = Fault::new(limited).on(Endpoint::CreatePost);
    service.simulator.order(limited);
    service.command(&alone("c1")).await;
    let refused = async || (tries(&service, Endpoint::CreatePost) == 1).then_some(());
    eventually("a refused call", refused).await;
    service.command(&alone("c2")).await;
    for id in ["c1", "c2"] {
        let deferred = core.deferred(id, "RATE_LIMITED").await;
        let next: Timestamp = deferred.text("/next_attempt_at").parse().unwrap();
        let wait = next.duration_since(Timestamp::now()).as_secs();
        assert!((1..=13).contains(&wait), "{id}: {wait}");
    }
    let ann = service.user("ann").to_string();
    let fields = json!({"recipient_id": ann, "text": "Another window"});
    core.does(&message("c3", fields)).await;
    assert!(service.simulator.posts_by(ACME).is_empty());
    core.succeeded("c1").await;
    core.succeeded("c2").await;
    let calls = writes(&service);
    let refused = calls.iter().filter(|call| call.status == Some(429));
    assert_eq!(refused.count(), 1);
    for id in ["c1", "c2"] {
        assert_eq!(core.deferrals(id).await, ["RATE_LIMITED"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_of_an_unlinked_account_end() {
    let other = UserId(77);
    let setup = Setup::new()
        .account(APP, other, "acmehelp", "")
        .set("RECONCILE__FIRST_READ", "60s");
    let mut service = started(setup).await;
    let ann = service.user("ann").to_string();
    let to_ann = |id: &str| {
        let fields = json!({"recipient_id": ann, "text": format!("This is {id}")});
        let mut command = message(id, fields);
        command["account_id"] = json!(other.to_string());
        command
    };
    let lost = Fault::new(FaultKind::AnswerLost)
        .on(Endpoint::SendMessageTo)
        .with_echo(Echo::NEVER);
    service.simulator.order(lost);
    service.command(&to_ann("c1")).await;
    service.command(&to_ann("c2")).await;
    let doubted = async || {
        let id = "c1".parse().unwrap();
        let row = service.store.read(move |tx| tx.command_by_id(&id)).await;
        let row = row.unwrap()?;
        (row.waiting.state == CommandState::Uncertain).then_some(())
    };
    eventually("c1 uncertain", doubted).await;
    let taken = async || {
        let id = "c2".parse().unwrap();
        service
            .store
            .read(move |tx| tx.command_by_id(&id))
            .await
            .unwrap()
    };
    eventually("c2 taken", taken).await;
    service.stop().await;
    service.start_again(Setup::first_account_only).await;
    let mut core = Listener::to(&service);
    let failed = core.failed("c2", "UNKNOWN_ACCOUNT").await;
    assert_eq!(failed.text("/field"), "account_id");
    assert_eq!(failed.text("/account/id"), other.to_string());
    core.failed("c1", "UNCERTAIN").await;
    core.refuses(&to_ann("c3"), "UNKNOWN_ACCOUNT").await;
    assert_eq!(service.simulator.messages_of(other).len(), 1);
}
