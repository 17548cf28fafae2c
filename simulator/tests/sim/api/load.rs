//! Many people at once, and the traffic of a day.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use simulator::{Clock, Pace, Settings, Storm, Traffic, Written};

use super::client::Caller;

#[actix_web::test]
async fn a_storm_is_many_people_replying_once_each_in_the_time_given() {
    let caller = Caller::new().await;
    let (stage, simulator) = (&caller.stage, caller.simulator());
    let post = stage.post(stage.acme, "We raise our prices");
    stage.settled().await;
    let began = simulator.now();
    let storm = Storm {
        post,
        people: 600,
        text: "No".to_owned(),
        pace: Pace::Simulated(Duration::from_secs(600)),
    };
    let replies = simulator.storm(&storm).await.unwrap();
    assert_eq!(replies.len(), 600);
    assert!(replies.is_sorted());
    let took = simulator.now().duration_since(began);
    assert_eq!(took.as_secs(), 600, "neither more nor less");
    let person = simulator.user_id("crowd600").unwrap();
    let reply = &simulator.posts_by(person)[0];
    assert_eq!((reply.parent, reply.text.as_str()), (Some(post), "No 600"));
    let delivered = stage.delivered().await;
    assert!(delivered.len() >= 600);
    let before = simulator.now();
    let more = Storm {
        people: 3,
        pace: Pace::AtOnce,
        ..storm
    };
    simulator.storm(&more).await.unwrap();
    assert_eq!(simulator.now(), before, "in no time");
    stage.post(stage.ann, "the clock goes on");
    assert!(simulator.now() > before);
}

#[actix_web::test]
async fn two_hours_of_traffic_are_the_same_each_time() {
    let mut seen = Vec::new();
    for _ in 0..2 {
        let caller = Caller::new().await;
        let (stage, simulator) = (&caller.stage, caller.simulator());
        stage.post(stage.acme, "Good morning");
        let began = simulator.now();
        let traffic = Traffic::of_two_hours(stage.acme);
        let written = simulator.traffic(&traffic).await.unwrap();
        assert_eq!(simulator.now().duration_since(began).as_secs(), 7_200);
        let messages = written
            .iter()
            .filter(|one| matches!(one, Written::Message(_)));
        let messages = messages.count();
        assert!((24..72).contains(&messages), "{messages}");
        assert_eq!(simulator.messages_of(stage.acme).len(), messages);
        seen.push(written);
    }
    assert_eq!(seen[0], seen[1]);
}

#[actix_web::test]
async fn scripts_have_both_and_the_wall_clock_is_moved_on() {
    let caller = Caller::with(Settings {
        clock: Clock::Wall,
        ..Settings::default()
    })
    .await;
    let post = caller.stage.post(caller.stage.acme, "hello");
    let ask = async |path: &str, body: Value| -> Value {
        let url = caller.url(&format!("/control/{path}"));
        let request = caller.http.request(Method::POST, url).json(&body);
        let answer = request.send().await.unwrap().error_for_status().unwrap();
        answer.json().await.unwrap()
    };
    let before = caller.simulator().now();
    let storm = json!({ "post": post, "people": 3, "over_s": 3600 });
    let stormed = ask("storm", storm).await;
    assert_eq!(stormed["posts"].as_array().unwrap().len(), 3);
    let passed = caller.simulator().now().duration_since(before).as_secs();
    assert!((3_600..3_700).contains(&passed), "{passed}");
    let traffic = json!({ "account": "acme", "count": 5, "customers": 2 });
    let written = ask("traffic", traffic).await;
    assert_eq!(written.as_array().unwrap().len(), 5);
}
