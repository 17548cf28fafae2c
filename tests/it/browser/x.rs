//! The simulator's own pages: its console, and where users let apps in.

use reqwest::Url;
use simulator::{NewApp, NewUser, Settings, Simulator};

use crate::support::browser::Browser;

/// An X with an app that may send users back to its own page, an account, and a customer.
async fn x() -> Simulator {
    let simulator = Simulator::start(Settings::default()).await.unwrap();
    let back = format!("{}/?back", simulator.url());
    let app = NewApp::new("desk", "secret", "").with_callbacks(&[&back]);
    simulator.add_app(app).unwrap();
    for name in ["acme", "ann"] {
        simulator.add_user(NewUser::named(name)).unwrap();
    }
    simulator
}

fn consent_page(simulator: &Simulator) -> String {
    let back = format!("{}/?back", simulator.url());
    let request = [
        ("response_type", "code"),
        ("client_id", "desk-client"),
        ("redirect_uri", &*back),
        ("scope", "tweet.read users.read dm.read offline.access"),
        ("state", "mine"),
        (
            "code_challenge",
            "a-challenge-of-forty-three-characters-or-more",
        ),
        ("code_challenge_method", "plain"),
    ];
    let page = format!("{}/i/oauth2/authorize", simulator.url());
    Url::parse_with_params(&page, request).unwrap().to_string()
}

#[tokio::test]
async fn somebody_makes_a_customer_write_at_the_simulators_page() {
    let (simulator, browser) = (x().await, Browser::start().await);
    browser.open(simulator.url()).await;
    browser.passes().await;
    browser
        .fill("text of the mention", "@acme my <b>parcel</b>")
        .await;
    browser.press("Customer mentions us").await;
    browser.sees("my <b>parcel</b>").await;
    browser.passes().await;
}

#[tokio::test]
async fn a_user_lets_an_app_in_or_does_not() {
    let (simulator, browser) = (x().await, Browser::start().await);
    browser.open(&consent_page(&simulator)).await;
    browser.sees("Authorize desk to access your account?").await;
    browser.passes().await;
    browser.choose("signed in as", "@ann").await;
    browser.press("Cancel").await;
    browser.comes_to("error=access_denied").await;

    browser.open(&consent_page(&simulator)).await;
    browser.choose("signed in as", "@acme").await;
    browser.press("Authorize app").await;
    browser.comes_to("code=").await;
    browser.comes_to("state=mine").await;
}

#[tokio::test]
async fn a_request_that_x_refuses_says_why() {
    let (simulator, browser) = (x().await, Browser::start().await);
    let page = consent_page(&simulator).replace("back", "elsewhere");
    browser.open(&page).await;
    browser.sees("redirect_uri is missing or not allowed").await;
    browser.passes().await;
}
