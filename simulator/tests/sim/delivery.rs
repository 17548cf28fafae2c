//! How deliveries arrive: signed, again, twice, in any order, or broken off.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use simulator::{
    AttemptResult, CutPoint, Delivery, DeliveryState, Disturbances, Form, RawSignature, Settings,
    SigningSecret, sign,
};

use crate::stage::Stage;
use crate::webhook::SECRET;

const FORM: Form = Form::AccountActivity;

fn results(delivery: &Delivery) -> Vec<AttemptResult> {
    delivery
        .attempts
        .iter()
        .map(|attempt| attempt.result.clone())
        .collect()
}

fn texts(bodies: &[Value]) -> Vec<String> {
    let text = |body: &Value| {
        body["tweet_create_events"][0]["text"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    bodies.iter().map(text).collect()
}

#[actix_web::test]
async fn a_delivery_is_signed_over_its_bytes_and_recorded() {
    let stage = Stage::with_form(FORM).await;
    let post = stage.post(stage.ann, "@acme hi");
    stage.settled().await;
    let got = &stage.webhook.received()[0];
    assert_eq!(
        got.signature.as_deref(),
        Some(sign(SECRET, &got.body).as_str())
    );
    let record = &stage.simulator.deliveries()[0];
    assert_eq!(record.body, got.body);
    assert_eq!(record.state, DeliveryState::Delivered);
    assert_eq!(record.events, ["tweet_create_events"]);
    assert_eq!(
        (record.account, record.form),
        (Some(stage.acme), Some(FORM))
    );
    let unsent = stage
        .simulator
        .bodies_of(post, "acme-app", stage.acme, FORM)
        .unwrap();
    assert_eq!(unsent[0].body, got.body);
    assert_eq!(Some(&unsent[0].signature), got.signature.as_ref());
}

#[actix_web::test]
async fn every_subscribed_account_gets_its_own_delivery() {
    let stage = Stage::with_form(FORM).await;
    stage
        .simulator
        .subscribe("acme-app", stage.bob, &[FORM])
        .unwrap();
    stage.post(stage.ann, "@acme @bob hi");
    let accounts: BTreeSet<String> = stage
        .delivered()
        .await
        .iter()
        .map(|body| body["for_user_id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        accounts,
        BTreeSet::from([stage.acme.to_string(), stage.bob.to_string()])
    );
}

#[actix_web::test]
async fn a_refused_delivery_comes_again_until_it_is_taken() {
    let stage = Stage::with_form(FORM).await;
    stage.webhook.answer(&[503, 500, 204]);
    stage.post(stage.ann, "@acme hi");
    stage.settled().await;
    let record = &stage.simulator.deliveries()[0];
    let statuses = [503, 500, 204, 200].map(AttemptResult::Answered);
    assert_eq!(results(record), statuses);
    assert_eq!(record.status(), Some(200));
    let bodies: Vec<_> = stage
        .webhook
        .received()
        .into_iter()
        .map(|got| got.body)
        .collect();
    assert!(bodies.iter().all(|body| *body == bodies[0]));
}

#[actix_web::test]
async fn a_delivery_is_lost_after_three_repeats() {
    let stage = Stage::with_form(FORM).await;
    stage.webhook.answer(&[503; 4]);
    stage.post(stage.ann, "@acme hi");
    stage.settled().await;
    assert_eq!(stage.simulator.deliveries()[0].state, DeliveryState::Lost);
    assert_eq!(stage.webhook.received().len(), 4);
}

#[actix_web::test]
async fn repeats_wait_as_long_as_at_x_times_the_scale() {
    let settings = Settings {
        time_scale: 0.01,
        ..Settings::default()
    };
    let stage = Stage::new(settings, FORM, |app| app).await;
    stage.webhook.answer(&[503, 503]);
    stage.post(stage.ann, "@acme hi");
    stage.settled().await;
    let attempts = &stage.simulator.deliveries()[0].attempts;
    let wait = |at: usize| {
        attempts[at]
            .at
            .duration_since(attempts[at - 1].at)
            .as_millis()
    };
    assert!(wait(1) >= 30, "{} ms", wait(1));
    assert!(wait(2) >= 270, "{} ms", wait(2));
}

#[actix_web::test]
async fn a_redirect_makes_the_webhook_invalid_until_a_check_passes() {
    let stage = Stage::with_form(FORM).await;
    stage.webhook.answer(&[302]);
    stage.post(stage.ann, "@acme one");
    stage.settled().await;
    assert!(!stage.simulator.webhook_valid("acme-app").unwrap());
    assert_eq!(
        stage.simulator.deliveries()[0].state,
        DeliveryState::Withheld
    );
    stage.simulator.crc("acme-app").await.unwrap();
    stage.post(stage.ann, "@acme two");
    stage.settled().await;
    assert_eq!(
        stage.simulator.deliveries()[1].state,
        DeliveryState::Delivered
    );
}

#[actix_web::test]
async fn copies_are_the_same_bytes() {
    let stage = Stage::with_form(FORM).await;
    stage.simulator.disturb_next(Disturbances {
        copies: 2,
        ..Disturbances::default()
    });
    stage.post(stage.ann, "@acme one");
    stage.post(stage.ann, "@acme two");
    assert_eq!(
        texts(&stage.delivered().await),
        ["@acme one", "@acme one", "@acme one", "@acme two"]
    );
    let got = stage.webhook.received();
    assert_eq!(got[0].body, got[2].body);
}

#[actix_web::test]
async fn a_delayed_delivery_is_overtaken() {
    let stage = Stage::with_form(FORM).await;
    stage.simulator.disturb_next(Disturbances {
        delay_ms: 1000,
        ..Disturbances::default()
    });
    stage.post(stage.ann, "@acme one");
    stage.post(stage.ann, "@acme two");
    assert_eq!(texts(&stage.delivered().await), ["@acme two", "@acme one"]);
}

async fn shuffled() -> Vec<String> {
    let stage = Stage::with_form(FORM).await;
    stage.simulator.disturb(Disturbances {
        gather: 5,
        shuffle: true,
        ..Disturbances::default()
    });
    for number in 1..=5 {
        stage.post(stage.ann, &format!("@acme {number}"));
    }
    texts(&stage.delivered().await)
}

#[actix_web::test]
async fn gathered_deliveries_come_in_another_order_but_always_the_same() {
    let order = shuffled().await;
    let mut sorted = order.clone();
    sorted.sort();
    assert_eq!(
        sorted,
        ["@acme 1", "@acme 2", "@acme 3", "@acme 4", "@acme 5"]
    );
    assert_ne!(order, sorted);
    assert_eq!(order, shuffled().await);
}

#[actix_web::test]
async fn gathered_events_of_an_account_come_in_one_body() {
    let stage = Stage::with_form(FORM).await;
    stage.simulator.disturb(Disturbances {
        gather: 10,
        merge: true,
        ..Disturbances::default()
    });
    stage.post(stage.ann, "@acme one");
    stage.post(stage.bob, "@acme two");
    stage.simulator.typing(stage.ann, stage.acme).unwrap();
    let own = stage.post(stage.acme, "three");
    stage.simulator.delete(own).unwrap();
    let bodies = stage.delivered().await;
    // Two mentions; what has no `user_has_blocked` comes apart from what has.
    assert_eq!(bodies.len(), 2);
    assert_eq!(
        bodies[0]["tweet_create_events"].as_array().unwrap().len(),
        2
    );
    assert_eq!(
        bodies[1]["tweet_create_events"].as_array().unwrap().len(),
        1
    );
    assert_eq!(
        bodies[1]["tweet_delete_events"].as_array().unwrap().len(),
        1
    );
    assert!(bodies[1]["users"].is_object());
}

#[actix_web::test]
async fn a_cut_connection_is_followed_by_a_repeat() {
    for (cut_point, received) in [(CutPoint::InBody, 1), (CutPoint::BeforeAnswer, 2)] {
        let stage = Stage::with_form(FORM).await;
        stage.simulator.disturb(Disturbances {
            cuts: 1,
            cut_point,
            ..Disturbances::default()
        });
        stage.post(stage.ann, "@acme hi");
        stage.settled().await;
        let record = &stage.simulator.deliveries()[0];
        assert_eq!(
            results(record),
            [AttemptResult::Cut, AttemptResult::Answered(200)]
        );
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while stage.webhook.received().len() < received {
            assert!(
                tokio::time::Instant::now() < deadline,
                "the whole body was not taken"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(stage.webhook.received().len(), received);
    }
}

#[actix_web::test]
async fn hostile_bytes_are_sent_as_they_are() {
    let stage = Stage::with_form(FORM).await;
    let send = |signature| {
        stage
            .simulator
            .deliver("acme-app", &b"\xff{not json"[..], signature)
    };
    assert_eq!(
        send(RawSignature::Missing).await,
        Ok(AttemptResult::Answered(200))
    );
    send(RawSignature::Header("sha256=no".into()))
        .await
        .unwrap();
    send(RawSignature::Correct).await.unwrap();
    let record = &stage.simulator.deliveries()[0];
    assert_eq!(
        (record.form, record.state),
        (None, DeliveryState::Delivered)
    );
    let got = stage.webhook.received();
    assert_eq!(&got[0].body[..], b"\xff{not json");
    let signatures: Vec<Option<String>> = got.iter().map(|got| got.signature.clone()).collect();
    assert_eq!(
        signatures,
        [
            None,
            Some("sha256=no".into()),
            Some(sign(SECRET, b"\xff{not json"))
        ]
    );
}

#[actix_web::test]
async fn a_rotated_secret_signs_at_once_unless_the_old_one_is_chosen() {
    let stage = Stage::with_form(FORM).await;
    assert!(
        stage
            .simulator
            .sign_with("acme-app", SigningSecret::Previous)
            .is_err()
    );
    stage.simulator.rotate_secret("acme-app", "new").unwrap();
    stage.post(stage.ann, "@acme one");
    stage.settled().await;
    stage
        .simulator
        .sign_with("acme-app", SigningSecret::Previous)
        .unwrap();
    stage.post(stage.ann, "@acme two");
    stage.settled().await;
    let got = stage.webhook.received();
    assert_eq!(got[0].signature, Some(sign("new", &got[0].body)));
    assert_eq!(got[1].signature, Some(sign(SECRET, &got[1].body)));
}

#[actix_web::test]
async fn the_record_keeps_the_newest_only() {
    let settings = Settings {
        kept_deliveries: 2,
        ..Settings::default()
    };
    let stage = Stage::new(settings, FORM, |app| app).await;
    for number in 1..=3 {
        stage.post(stage.ann, &format!("@acme {number}"));
    }
    stage.settled().await;
    let ids: Vec<u64> = stage
        .simulator
        .deliveries()
        .iter()
        .map(|delivery| delivery.id)
        .collect();
    assert_eq!(ids, [2, 3]);
}

#[actix_web::test]
async fn the_same_seed_and_clock_give_the_same_bytes() {
    let mut runs = Vec::new();
    for seed in [7, 7, 8] {
        let settings = Settings {
            seed,
            ..Settings::default()
        };
        let stage = Stage::new(settings, Form::Activity, |app| app).await;
        let root = stage.post(stage.ann, "@acme see https://example.com");
        let reply = stage.reply(stage.acme, root, "Thanks");
        stage.simulator.like(stage.ann, reply).unwrap();
        stage.simulator.chat_message(stage.ann, stage.acme).unwrap();
        runs.push(stage.delivered().await);
    }
    assert_eq!(runs[0].len(), 4);
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

#[actix_web::test]
async fn a_stopped_simulator_lets_go_of_its_port() {
    let stage = Stage::with_form(FORM).await;
    let address = stage
        .simulator
        .url()
        .trim_start_matches("http://")
        .to_owned();
    stage.simulator.stop().await;
    std::net::TcpListener::bind(address).unwrap();
}
