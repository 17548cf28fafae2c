//! The console's set-up on the running service, by its forms alone: from nothing to a ticket.

use std::collections::BTreeMap;

use reqwest::{Method, redirect};
use simulator::{Decision, Form, NewApp, NewUser, Permission, UserId};
use url::form_urlencoded;

use crate::support::broker::{client, eventually};
use crate::support::service::{APP, Setup, TestService, secret_of};

const TOKEN: &str = "let-me-in";
const BRAND: UserId = UserId(77);
const OTHER: &str = "http://127.0.0.1:9/other-helpdesk";

/// What a page answered.
struct Page {
    status: u16,
    location: String,
    body: String,
}

impl Page {
    /// What stands between these.
    fn between(&self, before: &str, after: &str) -> &str {
        let (_, rest) = self.body.split_once(before).expect(before);
        rest.split(after).next().unwrap()
    }

    fn says(&self, words: &str) -> &Self {
        assert!(self.body.contains(words), "{words}: {}", self.body);
        self
    }

    fn lacks(&self, words: &str) -> &Self {
        assert!(!self.body.contains(words), "{words}: {}", self.body);
        self
    }
}

/// A browser without scripts.
struct Browser<'a> {
    service: &'a TestService,
    cookies: BTreeMap<String, String>,
    csrf: String,
}

impl<'a> Browser<'a> {
    async fn logged_in(service: &'a TestService) -> Self {
        let mut browser = Self {
            service,
            cookies: BTreeMap::new(),
            csrf: String::new(),
        };
        let page = browser.get("/login").await;
        let key = page.between("name=\"key\" value=\"", "\"").to_owned();
        let fields = [("token", TOKEN), ("key", &key), ("next", "/setup")];
        assert_eq!(browser.post("/login", &fields).await.status, 303);
        let page = browser.get("/setup").await;
        browser.csrf = page.between("name=\"csrf\" value=\"", "\"").to_owned();
        browser
    }

    async fn go(&mut self, method: Method, url: &str, form: Option<String>) -> Page {
        // Needed for the TLS provider.
        let _ready = client();
        let builder = reqwest::Client::builder().redirect(redirect::Policy::none());
        let url = match url.starts_with('/') {
            true => self.service.private_url() + url,
            false => url.to_owned(),
        };
        let cookies = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        let mut request = builder
            .build()
            .unwrap()
            .request(method, url)
            .header("cookie", cookies.collect::<Vec<_>>().join("; "));
        if let Some(form) = form {
            let kind = "application/x-www-form-urlencoded";
            request = request.header("content-type", kind).body(form);
        }
        let answer = request.send().await.unwrap();
        for set in answer.headers().get_all("set-cookie") {
            let pair = set.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        let location = answer.headers().get("location");
        Page {
            status: answer.status().as_u16(),
            location: location.map_or(String::new(), |it| it.to_str().unwrap().to_owned()),
            body: answer.text().await.unwrap(),
        }
    }

    async fn get(&mut self, url: &str) -> Page {
        self.go(Method::GET, url, None).await
    }

    async fn post(&mut self, url: &str, fields: &[(&str, &str)]) -> Page {
        let csrf = self.csrf.clone();
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields).append_pair("csrf", &csrf);
        self.go(Method::POST, url, Some(form.finish())).await
    }

    /// Sends a form that is taken, and goes where it leads.
    async fn sent(&mut self, url: &str, fields: &[(&str, &str)]) -> Page {
        let page = self.post(url, fields).await;
        assert_eq!(page.status, 303, "{url}: {}", page.body);
        self.get(&page.location).await
    }

    /// Where the steps stand, in their order.
    async fn standing(&mut self, query: &str) -> Vec<String> {
        let page = self.get(&format!("/setup{query}")).await;
        let steps = page.between("<ol class=\"steps\">", "</ol>");
        let states = steps.split("<span class=\"badge ").skip(1);
        let states = states.map(|it| it.split(['>', '<']).nth(1).unwrap().to_owned());
        states.collect()
    }
}

/// An X that knows an app of ours, and somebody.
async fn start() -> TestService {
    let setup = Setup::empty().bare().set("PRIVATE__TOKEN", TOKEN);
    let service = TestService::start(setup).await;
    let callback = format!("{}/oauth/twitter/callback", service.public_url());
    let app = NewApp::new(APP, &secret_of(APP), "").with_callbacks(&[&callback]);
    service.simulator.add_app(app).unwrap();
    service.add_user(NewUser::named("brand").with_id(BRAND.0));
    service
}

async fn enter_keys(browser: &mut Browser<'_>, secret: &str) -> Page {
    let key = format!("{APP}-key");
    let fields = [
        ("new", "1"),
        ("name", APP),
        ("consumer_key", &*key),
        ("consumer_secret", secret),
        ("next", "/setup/permissions?app={app}"),
    ];
    browser.post("/apps", &fields).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_forms_of_the_set_up_lead_from_nothing_to_a_ticket() {
    let service = start().await;
    // Another's, so that the service does not register its own by itself.
    let x = &service.simulator;
    x.register_webhook(APP, OTHER, None).unwrap();
    let mut browser = Browser::logged_in(&service).await;
    let mut expected = ["to do"; 8];
    expected[0] = "done";
    assert_eq!(browser.standing("").await, expected);

    let refused = enter_keys(&mut browser, "wrong").await;
    assert_eq!(refused.status, 400);
    refused.says("no pair at X").says("X says:");
    let page = enter_keys(&mut browser, &secret_of(APP)).await;
    assert_eq!(page.location, format!("/setup/permissions?app={APP}"));
    let page = browser.get(&page.location).await;
    page.says("/oauth/twitter/callback")
        .says("Tested")
        .says("X knows the keys");
    let check = format!("/apps/{APP}/check");
    let page = browser.sent(&check, &[("step", "delivery")]).await;
    page.says("Step 4 of 8").says("X knows the keys");
    let page = browser.post(&format!("/apps/{APP}/address"), &[]).await;
    assert_eq!(page.status, 200, "{}", page.body);
    page.says("answers X&#39;s challenge as it has to");

    webhook(&service, &mut browser).await;
    let query = format!("?app={APP}");
    let standing = browser.standing(&query).await;
    assert_eq!(standing[..2], ["done", "done"]);
    assert_eq!(standing[3..5], ["done", "done"]);

    link(&service, &mut browser).await;
    filters_and_past(&service, &mut browser).await;

    let fields = [("account", "77"), ("app", APP), ("kind", "mention")];
    let page = browser.post("/test-ticket", &fields).await;
    page.says("Confirmed by the broker");
    let came = async || {
        let events = service.take_events().await.into_iter();
        let mut tickets = events.filter(|it| it.event_type() == "message.received");
        tickets.next()
    };
    let ticket = eventually("a ticket", came).await;
    assert_eq!(ticket.text("/route/group"), "support");
    assert_eq!(ticket.at("/event/test"), true);
    let query = format!("?app={APP}&account=77");
    let mended = async || {
        let mut browser = Browser::logged_in(&service).await;
        (browser.standing(&query).await == ["done"; 8]).then_some(())
    };
    eventually("all of the set-up done", mended).await;
}

/// Step 5: what is in the way is listed, and goes only when that is said.
async fn webhook(service: &TestService, browser: &mut Browser<'_>) {
    let page = format!("/setup/webhook?app={APP}");
    let listed = browser.get(&page).await;
    listed
        .says(OTHER)
        .says("elsewhere")
        .says("X does not deliver here yet");
    listed.says("Register replacing what is in the way");
    let register = format!("/apps/{APP}/webhook");
    let refused = browser.post(&register, &[]).await;
    assert_eq!(refused.status, 409);
    refused
        .says("in the way")
        .says("Nothing was deleted")
        .says("Step 5 of 8");
    assert_eq!(service.simulator.webhooks_of(APP)[0].url, OTHER);

    let done = browser.sent(&register, &[("replace", "on")]).await;
    done.says("X delivers here.")
        .lacks(OTHER)
        .lacks("Register replacing");
    let ours = &service.simulator.webhooks_of(APP)[0];
    assert_eq!(ours.url, service.webhook(APP));
    let validate = format!("/apps/{APP}/webhooks/{}/validate", ours.id);
    browser
        .sent(&validate, &[])
        .await
        .says("passed X&#39;s challenge");
    let gone = browser
        .post(&format!("/apps/{APP}/webhooks/1/delete"), &[])
        .await;
    assert_eq!(gone.status, 409);
    gone.says("no webhook 1");
}

/// Step 6.
async fn link(service: &TestService, browser: &mut Browser<'_>) {
    let here = format!("/setup/account?app={APP}");
    let fields = [("app", APP), ("kind", "oauth1"), ("next", &here)];
    let page = browser.post("/link", &fields).await;
    let link = page.between("class=\"button\" href=\"", "\"").to_owned();
    browser.get(&link).await;
    let to_x = browser.post(&link, &[]).await.location;
    let back = service
        .simulator
        .consent(&to_x, BRAND, Decision::Allow)
        .unwrap();
    let linked = browser.get(&back).await;
    assert!([200, 302, 303].contains(&linked.status), "{}", linked.body);
    let page = browser.get(&here).await;
    page.says("Is this the right account?").says("@brand");
    let next = format!("/setup/filters?app={APP}&account=77");
    let page = browser
        .sent("/accounts/77/confirm", &[("next", &next)])
        .await;
    page.says("has no filters yet");
}

/// Step 7.
async fn filters_and_past(service: &TestService, browser: &mut Browser<'_>) {
    let form = browser.get("/accounts/77/filters/new").await;
    let version = form.between("name=\"version\" value=\"", "\"").to_owned();
    let fields = [
        ("version", &*version),
        ("match", "mentions"),
        ("group", "support"),
        ("storm_messages", "200"),
        ("storm_per", "1h"),
    ];
    let page = browser.sent("/accounts/77/filters/new", &fields).await;
    page.says("storm beyond 200 in");
    let page = browser
        .get(&format!("/setup/filters?app={APP}&account=77"))
        .await;
    page.says("the last 7 days:").says("are not looked for");
    let past = browser
        .sent("/past", &[("account", "77"), ("days", "1")])
        .await;
    past.says("What came before is read from X now");
    let gaps = service
        .store
        .read(|tx| tx.gap_page(false, None, 10))
        .await
        .unwrap();
    assert!(
        gaps.iter().any(|gap| gap.reason.name() == "linking"),
        "{gaps:#?}"
    );
    browser
        .get("/gaps")
        .await
        .says("What came before the account was linked");
}

/// The app is entered again with this changed; where its form leads.
async fn change(browser: &mut Browser<'_>, fields: &[(&str, &str)]) -> Page {
    let mut all = vec![("name", APP), ("next", "/setup/webhook?app={app}")];
    all.extend(fields);
    browser.sent("/apps", &all).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_x_finds_wrong_with_an_app_is_told_with_field_and_fix_until_it_is_right() {
    let service = start().await;
    let x = &service.simulator;
    x.set_access_token(APP, BRAND, "owner", "owner-secret")
        .unwrap();
    x.set_permission(APP, BRAND, Permission::ReadWrite);
    let mut browser = Browser::logged_in(&service).await;
    let page = enter_keys(&mut browser, &secret_of(APP)).await;
    assert_eq!(page.status, 303, "{}", page.body);
    let fields = [
        ("delivery", "account_activity_v1"),
        ("environment", "staging"),
        ("owner_access_token", "owner"),
        ("owner_access_token_secret", "owner-secret"),
    ];
    let page = change(&mut browser, &fields).await;
    page.says("Step 5 of 8")
        .says("environment · ENVIRONMENT_UNKNOWN");
    page.says("no dev environment of this label")
        .says("its case matters");
    page.says("owner_access_token · PERMISSION_MISSING");
    page.says("may only")
        .says("a token keeps the level it was made with");
    let query = format!("?app={APP}");
    let standing = browser.standing(&query).await;
    assert_eq!(standing[2..4], ["has a fault", "has a fault"]);

    let page = change(
        &mut browser,
        &[("delivery", "account_activity_v1"), ("environment", "prod")],
    )
    .await;
    page.lacks("ENVIRONMENT_UNKNOWN").says("PERMISSION_MISSING");
    x.set_permission(APP, BRAND, Permission::ReadWriteMessages);
    let check = format!("/apps/{APP}/check");
    let page = browser.sent(&check, &[("step", "permissions")]).await;
    page.says("X knows the keys")
        .says("Test again")
        .lacks("PERMISSION_MISSING");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_product_that_the_app_lacks_is_told_and_another_chosen() {
    let service = start().await;
    let app = NewApp {
        forms: [Form::AccountActivity].into(),
        ..NewApp::new("small", &secret_of("small"), "")
    };
    service.simulator.add_app(app).unwrap();
    let mut browser = Browser::logged_in(&service).await;
    let secret = secret_of("small");
    let mut fields = vec![
        ("new", "1"),
        ("name", "small"),
        ("consumer_key", "small-key"),
        ("consumer_secret", &*secret),
        ("delivery", "activity"),
        ("next", "/setup/permissions?app={app}"),
    ];
    let page = browser.sent("/apps", &fields).await;
    page.says("delivery · PRODUCT_MISSING")
        .says("Choose another form of delivery");
    fields.retain(|(key, _)| !["new", "delivery"].contains(key));
    fields.push(("delivery", "account_activity"));
    let page = browser.sent("/apps", &fields).await;
    page.says("X knows the keys").lacks("PRODUCT_MISSING");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_plan_is_told_and_a_deleted_webhook_is_no_webhook() {
    let service = start().await;
    let x = &service.simulator;
    let developer = |name: &str| NewApp {
        developer: "brands".to_owned(),
        ..NewApp::new(name, &secret_of(name), "")
    };
    x.add_app(developer("one")).unwrap();
    x.add_app(developer("two")).unwrap();
    let taken = x.register_webhook("two", OTHER, None).unwrap();
    let mut browser = Browser::logged_in(&service).await;
    let secret = secret_of("one");
    let fields = [
        ("new", "1"),
        ("name", "one"),
        ("consumer_key", "one-key"),
        ("consumer_secret", &*secret),
    ];
    browser
        .sent("/apps", &fields)
        .await
        .says("The app is saved");
    let refused = browser.post("/apps/one/webhook", &[]).await;
    assert_eq!(refused.status, 409);
    refused
        .says("as many webhooks as its plan allows")
        .says("Step 5 of 8");
    refused.lacks("Register replacing");

    x.delete_webhook(taken).unwrap();
    let done = browser.sent("/apps/one/webhook", &[]).await;
    done.says("X delivers here.");
    let id = x.webhooks_of("one")[0].id;
    x.invalidate_webhook(id).unwrap();
    // The keeper may have it validated before this page is asked for: either is true then.
    let validate = format!("/apps/one/webhooks/{id}/validate");
    browser.sent(&validate, &[]).await.says("X delivers here.");
    let delete = format!("/apps/one/webhooks/{id}/delete");
    let page = browser.sent(&delete, &[]).await;
    page.says("The webhook is deleted at X.")
        .says("X does not deliver here yet");
    assert_ne!(browser.standing("?app=one").await[4], "done");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_leads_nowhere_is_told() {
    let setup = Setup::empty().set("PRIVATE__TOKEN", TOKEN);
    let service = TestService::start(setup.set("PUBLIC__URL", "http://127.0.0.1:9")).await;
    let app = NewApp::new(APP, &secret_of(APP), "");
    service.simulator.add_app(app).unwrap();
    let mut browser = Browser::logged_in(&service).await;
    let page = enter_keys(&mut browser, &secret_of(APP)).await;
    assert_eq!(page.status, 303, "{}", page.body);
    for (path, step) in [("address", "Step 1 of 8"), ("webhook", "Step 5 of 8")] {
        let refused = browser.post(&format!("/apps/{APP}/{path}"), &[]).await;
        assert_eq!(refused.status, 409, "{path}");
        refused
            .says(step)
            .says("cannot be a webhook")
            .says("public.listen");
    }
    assert!(service.simulator.webhooks_of(APP).is_empty());
}
