//! The pages at which somebody who owns an account links it.

use simulator::NewUser;

use super::Place;
use crate::support::service::{APP, Setup};

/// Our app knows both OAuths; X knows the account that shall be linked, and another.
async fn place() -> Place {
    let oauth2 = format!("client_id = \"{APP}-client\"\nclient_secret = \"{APP}-client-secret\"");
    let place = Place::new(Setup::new().app_keys(&oauth2)).await;
    for name in ["brand", "stranger"] {
        place.simulator.add_user(NewUser::named(name)).unwrap();
    }
    place
}

async fn invited(place: &Place, kind: &str) -> String {
    let arguments = [
        "account",
        "invite",
        "--app",
        APP,
        kind,
        "--username",
        "@brand",
    ];
    let said = place.service.run(&arguments).await;
    said.lines().next().unwrap().to_owned()
}

#[tokio::test]
async fn an_owner_links_an_account_in_a_browser() {
    let place = place().await;
    let browser = &place.browser;
    for kind in ["--oauth1", "--oauth2"] {
        let link = invited(&place, kind).await;
        browser.open(&link).await;
        browser.passes().await;
        browser.press("Continue to X").await;
        browser.sees("Authorize acme to access your account?").await;
        browser.choose("signed in as", "@brand").await;
        browser.press("Authorize app").await;
        browser.sees("@brand is linked").await;
        browser.passes().await;
        browser.open(&link).await;
        browser.sees("This is over").await;
        browser.passes().await;
    }
    let listed = place.service.run(&["account", "list"]).await;
    assert!(listed.contains("OAuth 1.0a+OAuth 2.0"), "{listed}");
}

#[tokio::test]
async fn who_denies_or_is_somebody_else_reads_why_and_can_begin_again() {
    let place = place().await;
    let browser = &place.browser;
    for kind in ["--oauth1", "--oauth2"] {
        browser.open(&invited(&place, kind).await).await;
        browser.press("Continue to X").await;
        browser.choose("signed in as", "@brand").await;
        browser.press("Cancel").await;
        browser.sees("The account was not linked").await;
        browser.sees("Nothing of it was kept.").await;
        browser.passes().await;
        browser.press("Begin again").await;
        browser.press("Continue to X").await;
        browser.choose("signed in as", "@stranger").await;
        browser.press("Authorize app").await;
        browser.sees("The account was not linked").await;
        browser.sees("@stranger").await;
        browser.passes().await;
    }
    let listed = place.service.run(&["account", "list"]).await;
    assert!(!listed.contains("brand") && !listed.contains("stranger"));
    let tokens = place.simulator.tokens_of(APP);
    let stranger = place.simulator.user_id("stranger").unwrap();
    let mut theirs = tokens.iter().filter(|token| token.user == stranger);
    assert!(
        theirs.all(|token| !token.alive),
        "what X gave is taken back"
    );
}
