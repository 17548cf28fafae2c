//! The set-up, walked from an empty store to a first ticket and an answer.

use std::fs;
use std::time::Duration;

use serde_json::json;
use simulator::{Form, NewPost};

use super::{Place, TOKEN};
use crate::support::desk::Desk;
use crate::support::service::{APP, secret_of};

/// How long the way of a message may take.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_without_a_manual_gets_from_nothing_to_a_ticket_and_an_answer() {
    let place = Place::empty().await;
    let desk = Desk::at(&place.broker.url());
    place.log_in().await;
    let browser = &place.browser;
    browser.press("Set-up").await;
    browser.sees("From the keys at X to a first ticket").await;
    browser.passes().await;
    // The first step is done already, on this machine before a stand-in for X: it is not gone on to.
    browser.press("The address at which X reaches us").await;

    browser.sees("Step 1 of 8").await;
    browser.passes().await;
    browser.press("Next step").await;
    browser.sees("Step 2 of 8").await;
    browser.passes().await;
    enter_keys(&place).await;

    browser.sees("Step 3 of 8").await;
    browser
        .sees(&place.service.public("/oauth/twitter/callback"))
        .await;
    browser.passes().await;
    browser.press("Next step").await;
    browser.sees("Step 4 of 8").await;
    browser.passes().await;
    browser.press("Save and go on").await;
    browser.sees("Step 5 of 8").await;
    browser.sees(&place.service.webhook_of(APP)).await;
    browser.passes().await;
    browser.press("Next step").await;

    browser.sees("Step 6 of 8").await;
    browser.passes().await;
    link(&place, "@brand").await;
    browser.sees("Is this the right account?").await;
    browser.sees("Brand Support").await;
    browser.passes().await;
    browser.press("Yes, confirm @brand").await;

    browser.sees("Step 7 of 8").await;
    browser.passes().await;
    browser.press("Add a filter").await;
    browser
        .choose("What it looks for", "Mentions of the account")
        .await;
    browser.fill("Group of the helpdesk", "support").await;
    browser.passes().await;
    browser.press("Save").await;
    browser.sees("Add a filter").await;

    browser.press("Set-up").await;
    browser.press("A test ticket").await;
    browser.sees("Step 8 of 8").await;
    browser.press("Send a test ticket").await;
    browser.sees("Confirmed by the broker, 1 consumer").await;
    browser.passes().await;
    let test = |noted: &crate::support::desk::Noted| noted.of_type("message.received").count() == 1;
    assert!(desk.sees(PATIENCE, test).await, "the test is with the core");

    converse(&place, desk).await;
    nothing_lies_open(&place);
}

/// No credential that was entered, given by X or needed to get in stands in a file of the service: its
/// log, its database, or what lies beside. The settings are the administrator's own.
fn nothing_lies_open(place: &Place) {
    let tokens = place.simulator.tokens_of(APP).into_iter();
    let mut secrets: Vec<_> = tokens.map(|it| it.token).collect();
    assert!(!secrets.is_empty(), "X has given tokens");
    let given = place
        .simulator
        .credentials(APP, place.simulator.user_id("brand").unwrap());
    secrets.push(given.unwrap().access_token_secret);
    secrets.extend([
        secret_of(APP),
        format!("{APP}-client-secret"),
        TOKEN.to_owned(),
    ]);
    let folder = place.service.folder();
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() || path.ends_with("settings.toml") {
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for secret in &secrets {
            assert!(
                !text.contains(secret.as_str()),
                "{secret} in {}",
                path.display()
            );
        }
    }
}

/// Step 2: pastes the keys, with what a paste brings along.
async fn enter_keys(place: &Place) {
    let browser = &place.browser;
    browser.fill("Name", APP).await;
    browser.fill("API key", &format!("  {APP}-key ")).await;
    browser
        .fill("API key secret", &format!(" {} ", secret_of(APP)))
        .await;
    browser
        .fill("Client secret", &format!("{APP}-client-secret"))
        .await;
    browser.fill("Client id", &format!("{APP}-client")).await;
    browser.press("Save and go on").await;
}

/// Step 6: makes a link, follows it, and lets the app in at X as this user.
async fn link(place: &Place, handle: &str) {
    let browser = &place.browser;
    browser.press("Make the link").await;
    browser.sees("Go on to X").await;
    browser.press("Go on to X").await;
    browser.press("Continue to X").await;
    browser.choose("signed in as", handle).await;
    browser.press("Authorize app").await;
}

/// A customer writes, the core answers, and the console shows both.
async fn converse(place: &Place, mut desk: Desk) {
    let (x, browser) = (&place.simulator, &place.browser);
    let (brand, ann) = (x.user_id("brand").unwrap(), x.user_id("ann").unwrap());
    // X may have been told both by the service itself: then it refuses them.
    let webhook = place.service.webhook_of(APP);
    let _known = x.register_webhook(APP, &webhook, None);
    let _known = x.subscribe(APP, brand, &[Form::Activity]);
    let post = NewPost::by(ann, "@brand my parcel 4711 is late");
    let post = x.post(post).unwrap().to_string();
    let came = desk.sees(PATIENCE, |noted| {
        !noted.about("message.received", &post).is_empty()
    });
    assert!(came.await, "a ticket of the mention");
    let mut command = {
        let noted = desk.noted();
        noted.about("message.received", &post)[0]["reply"]["command"].clone()
    };
    command["command_id"] = json!("answer-1");
    command["send_post"]["text"] = json!("Sorry! It leaves today.");
    desk.send(&command).await;
    let outcome = desk.outcome("answer-1", PATIENCE).await;
    assert_eq!(outcome["event"]["type"], "command.succeeded", "{outcome:#}");
    place.visit("/conversations").await;
    browser.press("Ann Customer").await;
    browser.sees("my parcel 4711 is late").await;
    browser.sees("Sorry! It leaves today.").await;
    browser.passes().await;
}
