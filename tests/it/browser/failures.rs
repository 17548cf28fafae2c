//! What goes wrong while somebody sets things up: each has a page with the cause and the fix, and
//! leaves nothing half-made.

use std::time::Duration;

use simulator::{Clock, NewApp, NewUser};

use super::{CALLBACK, Place, TOKEN, x};
use crate::support::browser::Browser;
use crate::support::service::{APP, Setup};

/// An app with both OAuths; its client secret.
fn setup(client_secret: &str) -> Setup {
    let keys = format!("client_id = \"{APP}-client\"\nclient_secret = \"{client_secret}\"");
    Setup::new().app_keys(&keys)
}

/// That of the app at X.
fn right() -> Setup {
    setup(&format!("{APP}-client-secret"))
}

impl Place {
    /// A link for the account @brand.
    async fn link(&self, app: &str, kind: &str) -> String {
        let said = self
            .service
            .run(&["account", "link", "--app", app, kind])
            .await;
        said.lines().next().unwrap().to_owned()
    }

    /// Goes to X by a link; what happens there is the caller's.
    async fn go_to_x(&self, app: &str, kind: &str) {
        if self.simulator.user_id("brand").is_none() {
            self.simulator.add_user(NewUser::named("brand")).unwrap();
        }
        self.browser.open(&self.link(app, kind).await).await;
        self.browser.press("Continue to X").await;
    }

    async fn let_in(&self) {
        self.browser.choose("signed in as", "@brand").await;
        self.browser.press("Authorize app").await;
    }

    /// The page says what failed, why, and what mends it; nothing is kept.
    async fn has_failed(&self, cause: &str, fix: &str) {
        let browser = &self.browser;
        browser.sees("The account was not linked").await;
        browser.sees(cause).await;
        browser.sees(fix).await;
        browser.passes().await;
        let listed = self.service.run(&["account", "list"]).await;
        assert!(!listed.contains("brand"), "{listed}");
    }
}

#[tokio::test]
async fn keys_that_x_does_not_know_are_told_apart() {
    let place = Place::new(setup("wrong")).await;
    place.go_to_x(APP, "--oauth2").await;
    place.let_in().await;
    let cause = "X does not know the app by its OAuth 2.0 client id and secret.";
    place
        .has_failed(cause, "client id and secret of OAuth 2.0")
        .await;

    place.simulator.rotate_secret(APP, "another").unwrap();
    place.go_to_x(APP, "--oauth1").await;
    let cause = "X does not know the app by its consumer key and secret.";
    place.has_failed(cause, "consumer").await;
}

#[tokio::test]
async fn a_callback_address_that_the_app_lacks_is_named() {
    let simulator = x(Clock::Wall).await;
    let app = NewApp::new(
        APP,
        &crate::support::service::secret_of(APP),
        "http://127.0.0.1:9/",
    );
    simulator
        .add_app(app.with_callbacks(&["https://elsewhere.example/"]))
        .unwrap();
    let place = Place::at(simulator, right()).await;
    place.go_to_x(APP, "--oauth1").await;
    let callback = place.service.public(CALLBACK);
    place
        .has_failed("it is not among the app's callback URLs", &callback)
        .await;
    // With OAuth 2.0 it is X's own page that says so.
    place.go_to_x(APP, "--oauth2").await;
    place
        .browser
        .sees("redirect_uri is missing or not allowed")
        .await;
}

#[tokio::test]
async fn a_clock_that_is_ten_minutes_off_is_named() {
    let simulator = x(Clock::Behind(Duration::from_secs(600))).await;
    let place = Place::at(simulator, right()).await;
    place.go_to_x(APP, "--oauth1").await;
    place
        .has_failed("The clock of this service is off.", "NTP")
        .await;
}

#[tokio::test]
async fn an_answer_of_x_works_once_and_in_one_browser() {
    let place = Place::new(right()).await;
    for kind in ["--oauth1", "--oauth2"] {
        place.go_to_x(APP, kind).await;
        place.browser.choose("signed in as", "@brand").await;
        place.browser.press("Cancel").await;
        place.browser.comes_to(CALLBACK).await;
        let answer = place.browser.address().await;
        place
            .has_failed("The access was not allowed at X.", "egin again")
            .await;
        place.browser.open(&answer).await;
        place.browser.sees("This is over").await;
        place.browser.passes().await;
        let other = Browser::start().await;
        other.open(&answer).await;
        other.sees("begun in another browser").await;
        other.passes().await;
        place
            .browser
            .open(&answer.replace("state=", "state=x"))
            .await;
    }
}

#[tokio::test]
async fn an_account_is_not_linked_under_two_apps() {
    let setup = right().app("second", "client_id = \"second-client\"");
    let place = Place::new(setup).await;
    place.go_to_x(APP, "--oauth1").await;
    place.let_in().await;
    place.browser.sees("@brand is linked").await;
    place.go_to_x("second", "--oauth1").await;
    place.let_in().await;
    place.browser.sees("The account was not linked").await;
    place
        .browser
        .sees("@brand is linked already, under the app \"acme\".")
        .await;
    place.browser.passes().await;
    let listed = place.service.run(&["account", "list"]).await;
    assert_eq!(listed.matches("brand").count(), 1, "{listed}");
    assert!(
        place
            .simulator
            .tokens_of("second")
            .iter()
            .all(|token| !token.alive)
    );
}

#[tokio::test]
async fn without_a_token_the_console_stays_closed() {
    let place = Place::at(x(Clock::Wall).await, right()).await;
    place.visit("/").await;
    place.browser.sees("The console is closed").await;
    place.browser.sees("private.token").await;
    place.browser.passes().await;
}

/// The seconds that the login page tells.
fn told_to_wait(page: &str) -> Option<u32> {
    let (_, rest) = page.split_once("Try again in ")?;
    rest.split_once(" s.")?.0.parse().ok()
}

#[tokio::test]
async fn who_guesses_tokens_is_slowed_down_and_told_for_how_long() {
    let place = Place::new(right()).await;
    let browser = &place.browser;
    place.visit("/login").await;
    // Ten are free. The waits after them double, until one is longer than any browser takes.
    for guess in 0.. {
        browser.fill("Token", &format!("guess {guess}")).await;
        browser.press("Log in").await;
        browser.sees("Log in").await;
        browser.misses("Overview").await;
        let told = told_to_wait(&browser.text().await);
        assert!(told.is_none() || guess >= 10, "after {guess} guesses");
        assert!(guess < 1000, "never a wait of seconds");
        if told.is_some_and(|seconds| seconds > 4) {
            break;
        }
    }
    browser.fill("Token", TOKEN).await;
    browser.press("Log in").await;
    browser.sees("Try again in").await;
    browser.passes().await;
}

#[tokio::test]
async fn a_filter_that_cannot_be_is_refused_and_a_script_in_its_name_is_a_name() {
    let place = Place::new(right()).await;
    place.log_in().await;
    let browser = &place.browser;
    let filters = "/accounts/2975699229/filters";
    place.visit(&format!("{filters}/new")).await;
    browser
        .choose("What it looks for", "Posts with a term")
        .await;
    browser.fill("Term", "#").await;
    browser.fill("Group of the helpdesk", "support").await;
    browser.press("Save").await;
    browser.sees("This cannot be used as it is").await;
    assert_eq!(browser.value("Group of the helpdesk").await, "support");
    browser.passes().await;
    let script = "<script>document.title='owned'</script>";
    browser.fill("Term", "#acmehelp").await;
    browser.fill("Name", script).await;
    browser.press("Save").await;
    browser.sees(script).await;
    let title = browser.run("return document.title", []).await;
    assert!(!title.as_str().unwrap().contains("owned"), "{title}");
    assert_eq!(browser.count("main script").await, 0);
    browser.passes().await;
}
