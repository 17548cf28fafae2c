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

#[actix_web::test]
async fn rules_hold_as_x_reads_them() {
    let stage = Stage::with_form(FORM).await;
    let root = stage.post(stage.ann, "Where is my parcel?");
    let other = stage.post(stage.ann, "Hello");
    let rules = [
        ("PARCEL lost", true),
        ("\"the parcel\"", true),
        ("\"parcel the\"", false),
        ("#delivery", true),
        ("#deliver", false),
        ("delivery", false),
        ("Müller", true),
        ("Muller", false),
        ("from:bob", true),
        ("to:ann parcel", true),
        ("to:acme", false),
        ("@ann -is:retweet", true),
        ("@bob", false),
        (&format!("conversation_id:{root}"), true),
        (&format!("conversation_id:{other}"), false),
        (&format!("in_reply_to_tweet_id:{root}"), true),
        ("parcel (nothing OR from:bob)", true),
        ("nothing OR parcel -lost", false),
        ("nothing parcel OR from:ann", false),
        ("parcel is:reply", true),
        ("parcel has:media", false),
    ];
    for (value, _) in rules {
        stage.simulator.add_rule("acme-app", value, value).unwrap();
    }
    let text = "The parcel of Müller is lost! #Delivery";
    let body = &stage.told(stage.reply(stage.bob, root, text), FORM)[0];
    let tags = body["matching_rules"].as_array().unwrap();
    let tags: Vec<&str> = tags
        .iter()
        .map(|rule| rule["tag"].as_str().unwrap())
        .collect();
    let wanted: Vec<&str> = rules
        .iter()
        .filter(|(_, holds)| *holds)
        .map(|(value, _)| *value)
        .collect();
    assert_eq!(tags, wanted);
}
