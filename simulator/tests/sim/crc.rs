//! Challenge-response checks against a little webhook.

use std::time::Duration;

use simulator::{CrcError, CrcFailure, Form, NewApp};

use crate::stage::Stage;
use crate::webhook::Challenge;

async fn stage() -> Stage {
    Stage::with_form(Form::AccountActivity).await
}

fn failure(result: Result<(), CrcError>) -> CrcFailure {
    match result {
        Err(CrcError::Failed(failure)) => failure,
        other => panic!("{other:?}"),
    }
}

#[actix_web::test]
async fn the_right_secret_passes() {
    let stage = stage().await;
    stage.simulator.crc("acme-app").await.unwrap();
    let report = stage.simulator.last_crc("acme-app").unwrap().unwrap();
    assert_eq!(report.failure, None);
    assert!(stage.simulator.webhook_valid("acme-app").unwrap());
}

#[actix_web::test]
async fn a_wrong_token_or_a_redirect_is_invalid_at_once() {
    let stage = stage().await;
    for challenge in [Challenge::WrongSecret, Challenge::Status(301)] {
        stage.webhook.meet_challenges(challenge);
        let failed = failure(stage.simulator.crc("acme-app").await);
        assert!(matches!(
            failed,
            CrcFailure::WrongToken(_) | CrcFailure::Redirected(301)
        ));
        assert!(!stage.simulator.webhook_valid("acme-app").unwrap());
        stage.webhook.meet_challenges(Challenge::Correct);
        stage.simulator.crc("acme-app").await.unwrap();
        assert!(stage.simulator.webhook_valid("acme-app").unwrap());
    }
}

#[actix_web::test]
async fn an_error_is_forgiven_for_28_hours() {
    let stage = stage().await;
    stage.webhook.meet_challenges(Challenge::Status(503));
    assert_eq!(
        failure(stage.simulator.crc("acme-app").await),
        CrcFailure::Status(503)
    );
    assert!(stage.simulator.webhook_valid("acme-app").unwrap());
    stage.simulator.advance(Duration::from_secs(28 * 3600));
    assert_eq!(
        failure(stage.simulator.crc("acme-app").await),
        CrcFailure::Status(503)
    );
    assert!(!stage.simulator.webhook_valid("acme-app").unwrap());
}

#[actix_web::test]
async fn a_webhook_that_is_not_there_cannot_be_reached() {
    let stage = stage().await;
    let app = NewApp::new("nowhere", "secret", "http://127.0.0.1:1/");
    stage.simulator.add_app(app).unwrap();
    let failed = failure(stage.simulator.crc("nowhere").await);
    assert!(matches!(failed, CrcFailure::Unreachable(_)), "{failed:?}");
    assert!(matches!(
        stage.simulator.crc("unknown").await,
        Err(CrcError::Refused(_))
    ));
}
