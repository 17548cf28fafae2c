//! The filtered stream: rules decide, not accounts.

use serde_json::json;
use simulator::{Form, NewPost, NewUser};

use crate::stage::Stage;

const FORM: Form = Form::FilteredStream;

#[actix_web::test]
async fn a_post_comes_once_with_the_rules_it_matches() {
    let stage = Stage::with_form(FORM).await;
    stage
        .simulator
        .subscribe("acme-app", stage.bob, &[FORM])
        .unwrap();
    stage
        .simulator
        .add_rule("acme-app", "printer -is:retweet", "printers")
        .unwrap();
    stage.post(stage.ann, "@acme my Printer burns");
    stage.post(stage.ann, "nothing of yours");
    let bodies = stage.delivered().await;
    assert_eq!(bodies.len(), 1);
    let tags: Vec<&str> = bodies[0]["matching_rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule["tag"].as_str().unwrap())
        .collect();
    assert_eq!(tags, ["acme", "printers"]);
    assert!(bodies[0]["matching_rules"][0]["id"].is_string());
    assert_eq!(bodies[0]["data"]["text"], "@acme my Printer burns");
    // Numbers are doubled in X Activity only.
    assert_eq!(
        bodies[0]["data"]["entities"]["mentions"][0],
        json!({
            "start": 0, "end": 5, "username": "acme", "id": "2975699229",
        })
    );
}

#[actix_web::test]
async fn what_a_post_hangs_on_is_included_and_searched() {
    let stage = Stage::with_form(FORM).await;
    let mention = stage.post(stage.ann, "@acme broken");
    let quote = NewPost::by(stage.bob, "Look").quoting(mention);
    let quote = stage.simulator.post(quote).unwrap();
    let body = &stage.told(quote, FORM)[0];
    assert_eq!(
        body["data"]["referenced_tweets"],
        json!([{ "type": "quoted", "id": mention }])
    );
    assert_eq!(body["includes"]["tweets"][0]["id"], mention.to_string());
    let names: Vec<&str> = body["includes"]["users"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| user["username"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["bob", "ann"]);

    let repost = stage.simulator.repost(stage.bob, mention).unwrap();
    let body = &stage.told(repost, FORM)[0];
    assert_eq!(body["data"]["text"], "RT @ann: @acme broken");
    assert_eq!(body["data"]["referenced_tweets"][0]["type"], "retweeted");
}

#[actix_web::test]
async fn protected_posts_are_not_public() {
    let stage = Stage::with_form(FORM).await;
    let shy = NewUser {
        protected: true,
        ..NewUser::named("shy")
    };
    let shy = stage.simulator.add_user(shy).unwrap();
    assert!(stage.told(stage.post(shy, "@acme psst"), FORM).is_empty());
}
