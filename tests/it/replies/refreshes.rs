//! A refresh token works once: how many go out, and what becomes of one whose answer is lost.

use serde_json::json;
use simulator::{Endpoint, Fault, FaultKind};

use super::listener::{Listener, post};
use crate::support::broker::eventually;
use crate::support::service::{ACME, APP, Setup, TestService};

/// Commands that all need a token which nobody has yet.
const COMMANDS: usize = 20;

/// An account that has OAuth 2.0 alone, with a refresh token as its seed.
async fn with_oauth2_alone() -> TestService {
    let setup = Setup::new()
        .set("X_API__CALL_TIMEOUT", "2s")
        .access_token("", "");
    let mut service = TestService::start(setup).await;
    let credentials = service.simulator.credentials(APP, ACME).unwrap();
    service.stop().await;
    let (id, secret) = (credentials.client_id, credentials.client_secret);
    let app = format!("client_id = \"{id}\"\nclient_secret = \"{secret}\"");
    let seed = format!(
        "oauth2_refresh_token = \"{}\"\npoll_mentions = \"off\"",
        credentials.refresh_token
    );
    service
        .start_again(|setup| setup.app_keys(&app).account_keys(&seed))
        .await;
    service.settled().await;
    service
}

fn refreshes(service: &TestService) -> usize {
    let calls = service.simulator.calls();
    let refreshes = calls.iter().filter(|it| it.endpoint == Endpoint::UserToken);
    refreshes.count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_commands_at_once_refresh_once() {
    let service = with_oauth2_alone().await;
    // Long enough for all of them to wait for it.
    let slow = Fault::new(FaultKind::Nothing).on(Endpoint::UserToken);
    service.simulator.order(slow.slow(500, 0));
    let mut core = Listener::to(&service);
    for number in 0..COMMANDS {
        let text = json!({"text": format!("This is number {number}")});
        service.command(&post(&format!("c{number}"), text)).await;
    }
    for number in 0..COMMANDS {
        core.succeeded(&format!("c{number}")).await;
    }
    assert_eq!(refreshes(&service), 1);
    assert_eq!(service.simulator.posts_by(ACME).len(), COMMANDS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_whose_answer_is_lost_ends_in_a_post_or_in_a_new_linking() {
    let service = with_oauth2_alone().await;
    let lost = Fault::new(FaultKind::AnswerLost).on(Endpoint::UserToken);
    service.simulator.order(lost);
    service.command(&post("c1", json!({"text": "Hello"}))).await;
    // X has spent the token: it refuses it from then on, and the account is to be linked again.
    let told = async || {
        let events = service.events().await;
        let mut types = events.iter().map(|event| event.event_type().to_owned());
        types.find(|it| it == "account.revoked")
    };
    eventually(
        "the core hears that the account is to be linked again",
        told,
    )
    .await;
    assert!(service.simulator.posts_by(ACME).is_empty());
    assert!(refreshes(&service) <= 3, "{}", refreshes(&service));
}
