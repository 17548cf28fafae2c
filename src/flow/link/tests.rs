//! With the simulator as X, and the hands of a test as the browser.

use std::collections::HashMap;
use std::time::Duration;

use rustls::crypto::ring;
use simulator::{
    Clock, Decision, Endpoint, Fault, FaultKind, NewApp, NewUser, Permission, Simulator, UserId,
};
use tempfile::TempDir;

use super::*;
use crate::domain::ids::AccountId;
use crate::domain::registry::Registry;
use crate::flow::registry::{Declared, Table};
use crate::flow::rules::LiveRules;
use crate::flow::rules::testing::rules_of;
use crate::flow::tokens::{self, StoredTokens};
use crate::settings::Known;
use crate::settings::declared::{entered_account, entered_app};
use crate::store::{AccountState, LinkRow, Tx};
use crate::x::client::{Auth, ClientSettings, http_client};

const NOW: &str = "2026-09-01T12:00:00Z";
const CALLBACK_URL: &str = "https://channel.example/oauth/twitter/callback";

struct Bench {
    x: Simulator,
    linker: Arc<Linker>,
    directory: Arc<Directory>,
    store: Store,
    brand: UserId,
    other: UserId,
    folder: TempDir,
}

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn later(minutes: i64) -> Timestamp {
    now() + SignedDuration::from_mins(minutes)
}

fn table(value: Value) -> Table {
    serde_json::from_value(value).unwrap()
}

fn app_table(name: &str) -> Table {
    table(json!({
        "name": name, "consumer_key": format!("{name}-key"), "consumer_secret": "cs",
        "client_id": format!("{name}-client"), "client_secret": format!("{name}-client-secret"),
    }))
}

/// The configuration has an app of its own, and an account of user 5.
fn declared() -> Declared {
    let app = entered_app(app_table("fixed"), &mut Known::default()).unwrap();
    let account = json!({"app": "fixed", "id": "5", "username": "fixed"});
    let account = entered_account(table(account), &mut Known::of([&app], [])).unwrap();
    Declared {
        apps: vec![app],
        accounts: vec![account],
        filters: Vec::new(),
    }
}

fn base(url: &str) -> Option<BaseUrl> {
    Some(value::base_url(&json!(url)).unwrap())
}

impl Bench {
    async fn new() -> Self {
        let _ = ring::default_provider().install_default();
        let settings = simulator::Settings {
            clock: Clock::Wall,
            ..simulator::Settings::default()
        };
        let x = Simulator::start(settings).await.unwrap();
        for name in ["acme", "second", "fixed"] {
            let app = NewApp::new(name, "cs", "").with_callbacks(&[CALLBACK_URL]);
            x.add_app(app).unwrap();
        }
        let [brand, other] = [("brand", 7), ("other", 8)]
            .map(|(name, id)| x.add_user(NewUser::named(name).with_id(id)).unwrap());
        x.add_user(NewUser::named("fixed").with_id(5)).unwrap();
        let folder = TempDir::new().unwrap();
        let store = Store::open_in(folder.path());
        let sealer = Sealer::new(Box::new([7; 32]).into());
        let rules = LiveRules::new(rules_of(Registry::default()));
        let directory = Directory::open(store.clone(), sealer.clone(), declared(), rules);
        let directory = Arc::new(directory.await.unwrap());
        directory.set_serving(true);
        for name in ["acme", "second"] {
            let put = directory.put_app(Actor::CommandLine, app_table(name));
            put.await.unwrap();
        }
        Self {
            linker: Arc::new(linker(&x, &store, &sealer, &directory)),
            x,
            directory,
            store,
            brand,
            other,
            folder,
        }
    }

    fn order(kind: Kind) -> Order {
        Order {
            app: "acme".to_owned(),
            kind,
            username: Some("@Brand ".to_owned()),
            by: Actor::CommandLine,
            back: None,
        }
    }

    /// The token in the address of a new page.
    async fn offer(&self, order: Order) -> String {
        let offered = self.linker.offer(order, now()).await.unwrap();
        let token = offered.url.path_segments().unwrap().next_back();
        token.unwrap().to_owned()
    }

    async fn begun(&self, order: Order) -> Begun {
        let token = self.offer(order).await;
        self.linker.begin(&token, now()).await.unwrap()
    }

    /// What the browser brings back once this person has spoken.
    fn says(&self, begun: &Begun, who: UserId, decision: Decision) -> Callback {
        callback(&self.x.consent(begun.to.as_str(), who, decision).unwrap())
    }

    async fn finish(&self, begun: &Begun, callback: Callback) -> Result<Linked, LinkFailed> {
        let browser = Some(begun.browser.clone());
        self.linker.finish(callback, browser, now()).await
    }

    async fn link_as(&self, order: Order, who: UserId) -> Result<Linked, LinkFailed> {
        let begun = self.begun(order).await;
        let callback = self.says(&begun, who, Decision::Allow);
        self.finish(&begun, callback).await
    }

    async fn linked(&self, kind: Kind) -> Linked {
        self.link_as(Self::order(kind), self.brand).await.unwrap()
    }

    /// Tokens by which X would let the app act.
    fn alive(&self) -> Vec<&'static str> {
        let tokens = self.x.tokens_of("acme").into_iter();
        let mut kinds: Vec<_> = tokens.filter(|it| it.alive).map(|it| it.kind).collect();
        kinds.sort_unstable();
        kinds
    }

    async fn links(&self) -> usize {
        self.directory.linked().await.unwrap().len()
    }

    /// Nothing is kept, here or at X.
    async fn assert_nothing_left(&self) {
        assert_eq!(self.links().await, 0);
        assert_eq!(self.alive(), Vec::<&str>::new());
    }

    async fn account(&self) -> Account {
        let id = AccountId("7".parse().unwrap());
        self.directory.linked_account(id).await.unwrap().unwrap()
    }

    async fn events(&self) -> Vec<Value> {
        let read = |tx: &Tx<'_>| tx.journal_after(0, 99, 1 << 20);
        let rows = self.store.read(read).await.unwrap().into_iter();
        rows.map(|row| serde_json::from_slice(&row.body).unwrap())
            .collect()
    }
}

fn client(x: &Simulator, store: &Store, sealer: &Sealer, tasks: &TaskTracker) -> Client {
    let base_url: Url = x.url().parse().unwrap();
    let settings = ClientSettings {
        base_url: base_url.clone(),
        call_timeout: Duration::from_secs(10),
        upload_timeout: Duration::from_secs(10),
    };
    let client = Client::new(
        settings,
        http_client(&base_url, Duration::from_secs(5)).unwrap(),
        Arc::new(StoredTokens::new(store.clone(), sealer.clone())),
        Arc::new(Timestamp::now),
        tasks.clone(),
    );
    client.unwrap()
}

fn linker(x: &Simulator, store: &Store, sealer: &Sealer, directory: &Arc<Directory>) -> Linker {
    let tasks = TaskTracker::new();
    Linker::new(
        store.clone(),
        sealer.clone(),
        Arc::clone(directory),
        Arc::new(client(x, store, sealer, &tasks)),
        LinkSettings {
            public_url: base("https://channel.example"),
            private_url: base("http://ops.example:8081"),
        },
        tasks,
    )
}

fn callback(address: &str) -> Callback {
    let url: Url = address.parse().unwrap();
    assert!(address.starts_with(CALLBACK_URL), "{address}");
    Callback::parse(url.query().unwrap()).unwrap()
}

const BOTH: [Kind; 2] = [Kind::OAuth1, Kind::OAuth2];

#[tokio::test]
async fn an_account_is_linked_by_either_kind_and_waits_for_an_administrator() {
    for kind in BOTH {
        let bench = Bench::new().await;
        let linked = bench.linked(kind).await;
        assert_eq!(linked.account.to_string(), "7");
        assert_eq!((&*linked.username, linked.kind), ("brand", kind));
        assert!(!linked.name.is_empty() && !linked.avatar_url.is_empty());
        assert!(!linked.confirmed && !linked.invited && linked.back.is_none());
        let rules = bench.directory.rules().now();
        assert!(rules.registry.account(linked.account.0).is_none());
        assert!(bench.events().await.is_empty());
        bench
            .linker
            .confirm(Actor::CommandLine, linked.account)
            .await
            .unwrap();
        bench
            .linker
            .confirm(Actor::CommandLine, linked.account)
            .await
            .unwrap();
        let rules = bench.directory.rules().now();
        assert!(rules.registry.account(linked.account.0).is_some());
        let [event] = bench.events().await.try_into().unwrap();
        assert_eq!(event["event"]["type"], "account.linked");
        assert_eq!(event["app"], "acme");
        let scopes = event["scopes"].as_array().unwrap().len();
        assert_eq!(
            scopes,
            if kind == Kind::OAuth2 {
                SCOPES.len()
            } else {
                0
            }
        );
    }
}

#[tokio::test]
async fn a_second_kind_is_added_and_the_first_one_stays() {
    for (first, second) in [(Kind::OAuth1, Kind::OAuth2), (Kind::OAuth2, Kind::OAuth1)] {
        let bench = Bench::new().await;
        let linked = bench.linked(first).await;
        bench
            .linker
            .confirm(Actor::CommandLine, linked.account)
            .await
            .unwrap();
        assert!(bench.linked(second).await.confirmed);
        let account = bench.account().await;
        assert!(account.access_token.is_some() && account.has_oauth2());
        assert_eq!(bench.alive(), ["oauth1", "oauth2_access", "oauth2_refresh"]);
        let [_, again] = bench.events().await.try_into().unwrap();
        let reason = format!("Linked again with {}.", second.name());
        assert_eq!(again["reason"], reason);
        assert_eq!(again["scopes"].as_array().unwrap().len(), SCOPES.len());
    }
}

#[tokio::test]
async fn what_x_has_revoked_is_not_kept_beside_the_new_one() {
    let bench = Bench::new().await;
    let linked = bench.linked(Kind::OAuth1).await;
    let id = linked.account;
    bench
        .store
        .write(move |tx| {
            let state = AccountState {
                revoked_at: Some(now()),
                ..tx.account_state(id)?
            };
            tx.put_account_state(id, &state)
        })
        .await
        .unwrap();
    bench.linked(Kind::OAuth2).await;
    let account = bench.account().await;
    assert!(account.access_token.is_none() && account.has_oauth2());
}

#[tokio::test]
async fn no_means_no() {
    for kind in BOTH {
        let bench = Bench::new().await;
        let begun = bench.begun(Bench::order(kind)).await;
        let callback = bench.says(&begun, bench.brand, Decision::Deny);
        let failed = bench.finish(&begun, callback).await.unwrap_err();
        assert!(matches!(failed.error, LinkError::Denied(_)), "{failed:?}");
        assert_eq!(failed.error.step(), Step::Consent);
        assert!(failed.again.is_some(), "may think better of it");
        bench.assert_nothing_left().await;
    }
}

#[tokio::test]
async fn another_account_than_expected_is_refused_and_its_credential_ended() {
    for kind in BOTH {
        let bench = Bench::new().await;
        let failed = bench.link_as(Bench::order(kind), bench.other).await;
        let failed = failed.unwrap_err();
        let words = failed.error.to_string();
        assert!(
            words.contains("@other") && words.contains("@Brand"),
            "{words}"
        );
        assert!(!failed.left_at_x);
        assert!(!bench.x.tokens_of("acme").is_empty());
        bench.assert_nothing_left().await;
    }
}

/// X gives a person and an app the same OAuth 1.0a token each time.
#[tokio::test]
async fn the_token_of_an_account_that_works_is_not_ended_by_a_mix_up() {
    let bench = Bench::new().await;
    let order = Order {
        username: None,
        ..Bench::order(Kind::OAuth1)
    };
    bench.link_as(order, bench.other).await.unwrap();
    let failed = bench.link_as(Bench::order(Kind::OAuth1), bench.other).await;
    assert!(matches!(
        failed.unwrap_err().error,
        LinkError::OtherAccount { .. }
    ));
    assert_eq!(bench.alive(), ["oauth1"]);
    assert_eq!(bench.links().await, 1);
}

#[tokio::test]
async fn a_credential_that_x_does_not_take_back_is_told() {
    let bench = Bench::new().await;
    for (kind, endpoint) in [
        (Kind::OAuth1, Endpoint::InvalidateToken),
        (Kind::OAuth2, Endpoint::RevokeUserToken),
    ] {
        bench.x.order(Fault {
            endpoint: Some(endpoint),
            text: None,
            account: None,
            next: Some(1),
            chance: None,
            before_ms: 0,
            after_ms: 0,
            echo: None,
            what: FaultKind::AnswerLost,
        });
        let failed = bench.link_as(Bench::order(kind), bench.other).await;
        assert!(failed.unwrap_err().left_at_x, "{kind:?}");
    }
    assert_eq!(bench.links().await, 0);
}

/// The token that X's console shows the owner of an app is the one that linking gives.
#[tokio::test]
async fn the_token_of_the_apps_owner_outlives_the_owners_account() {
    let bench = Bench::new().await;
    let linked = bench.linked(Kind::OAuth1).await;
    let token = bench.account().await.access_token.unwrap();
    let owned = json!({
        "name": "acme",
        "owner_access_token": token.token.expose_secret(),
        "owner_access_token_secret": token.secret.expose_secret(),
    });
    let put = bench
        .directory
        .put_app(Actor::CommandLine, table(with_key(owned)));
    put.await.unwrap();
    let unlinked = bench.linker.unlink(Actor::CommandLine, linked.account);
    let left = unlinked.await.unwrap().left_at_x;
    assert!(left.len() == 1 && left[0].contains("owner"), "{left:?}");
    assert_eq!(bench.alive(), ["oauth1"]);
}

#[tokio::test]
async fn an_answer_of_x_works_once_and_in_its_browser_only() {
    for kind in BOTH {
        let bench = Bench::new().await;
        let begun = bench.begun(Bench::order(kind)).await;
        let address = bench
            .x
            .consent(begun.to.as_str(), bench.brand, Decision::Allow)
            .unwrap();
        for browser in [None, Some("another's".into())] {
            let finished = bench.linker.finish(callback(&address), browser, now());
            let error = finished.await.unwrap_err().error;
            assert!(matches!(error, LinkError::OtherBrowser), "{error:?}");
        }
        bench.assert_nothing_left().await;
        bench.finish(&begun, callback(&address)).await.unwrap();
        let again = bench.finish(&begun, callback(&address)).await.unwrap_err();
        assert!(matches!(again.error, LinkError::StateUsed), "{again:?}");
        assert_eq!(bench.links().await, 1);
    }
}

#[tokio::test]
async fn another_beginnings_state_is_refused() {
    let bench = Bench::new().await;
    let mine = bench.begun(Bench::order(Kind::OAuth2)).await;
    let theirs = bench.begun(Bench::order(Kind::OAuth2)).await;
    let callback = bench.says(&theirs, bench.brand, Decision::Allow);
    let failed = bench.finish(&mine, callback).await.unwrap_err();
    assert!(matches!(failed.error, LinkError::OtherBrowser));
    let unknown = Callback::parse("state=made-up&code=c").unwrap();
    let failed = bench.finish(&mine, unknown).await.unwrap_err();
    assert!(matches!(failed.error, LinkError::UnknownState));
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn after_ten_minutes_the_answer_is_too_late() {
    for kind in BOTH {
        let bench = Bench::new().await;
        let begun = bench.begun(Bench::order(kind)).await;
        let callback = bench.says(&begun, bench.brand, Decision::Allow);
        let browser = Some(begun.browser.clone());
        let late = bench.linker.finish(callback, browser, later(10)).await;
        let late = late.unwrap_err().error;
        assert!(matches!(late, LinkError::StateExpired), "{late:?}");
        bench.assert_nothing_left().await;
    }
}

#[tokio::test]
async fn a_code_that_is_too_old_is_said_to_be_stale() {
    let bench = Bench::new().await;
    bench.x.change_api(|api| api.code_life_s = 0);
    let begun = bench.begun(Bench::order(Kind::OAuth2)).await;
    let callback = bench.says(&begun, bench.brand, Decision::Allow);

    let failed = bench.finish(&begun, callback).await.unwrap_err();
    assert!(matches!(failed.error, LinkError::Stale(_)), "{failed:?}");
    assert_eq!(failed.error.step(), Step::Exchange);
    assert!(failed.error.words().unwrap().contains("invalid"));
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn scopes_that_x_does_not_grant_are_listed_and_the_credential_ended() {
    for dropped in ["dm.write", "offline.access"] {
        let bench = Bench::new().await;
        let mut begun = bench.begun(Bench::order(Kind::OAuth2)).await;
        let pairs: HashMap<_, _> = begun.to.query_pairs().into_owned().collect();
        let fewer = pairs["scope"].replace(dropped, "");
        let pairs = pairs.into_iter().map(|(key, value)| match key.as_str() {
            "scope" => (key, fewer.clone()),
            _ => (key, value),
        });
        let pairs: Vec<_> = pairs.collect();
        begun.to.query_pairs_mut().clear().extend_pairs(pairs);
        let callback = bench.says(&begun, bench.brand, Decision::Allow);
        let error = bench.finish(&begun, callback).await.unwrap_err().error;
        assert!(
            matches!(&error, LinkError::MissingScopes(missing) if *missing == [dropped]),
            "{error:?}"
        );
        bench.assert_nothing_left().await;
    }
}

#[tokio::test]
async fn an_app_without_direct_messages_is_refused_with_its_level() {
    let bench = Bench::new().await;
    bench
        .x
        .set_app_permission("acme", Permission::ReadWrite)
        .unwrap();
    let failed = bench.link_as(Bench::order(Kind::OAuth1), bench.brand).await;
    let error = failed.unwrap_err().error;
    assert!(matches!(error, LinkError::NoDirectMessages(_)), "{error:?}");
    assert_eq!(error.words().unwrap(), "x-access-level: read-write");
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn a_callback_that_the_app_does_not_have_is_named() {
    let bench = Bench::new().await;
    bench.x.add_app(NewApp::new("third", "cs", "")).unwrap();
    let put = bench
        .directory
        .put_app(Actor::CommandLine, app_table("third"));
    put.await.unwrap();
    let order = Order {
        app: "third".to_owned(),
        ..Bench::order(Kind::OAuth1)
    };
    let token = bench.offer(order).await;
    let error = bench.linker.begin(&token, now()).await.err().unwrap();
    assert!(error.to_string().contains(CALLBACK_URL), "{error}");
    assert!(error.fix().contains(CALLBACK_URL));
    assert!(error.words().unwrap().contains("415"));
}

#[tokio::test]
async fn wrong_keys_are_told_apart() {
    let bench = Bench::new().await;
    let wrong = json!({"name": "acme", "consumer_secret": "wrong", "client_secret": "wrong"});
    let put = bench
        .directory
        .put_app(Actor::CommandLine, table(with_key(wrong)));
    put.await.unwrap();
    let token = bench.offer(Bench::order(Kind::OAuth1)).await;
    let error = bench.linker.begin(&token, now()).await.err().unwrap();
    assert!(matches!(error, LinkError::ConsumerPair(_)), "{error:?}");
    let failed = bench.link_as(Bench::order(Kind::OAuth2), bench.brand).await;
    let error = failed.unwrap_err().error;
    assert!(matches!(error, LinkError::ClientPair(_)), "{error:?}");
    bench.assert_nothing_left().await;
}

fn with_key(mut app: Value) -> Value {
    app["consumer_key"] = json!("acme-key");
    app["client_id"] = json!("acme-client");
    app
}

#[tokio::test]
async fn an_app_that_x_has_suspended_says_so() {
    let bench = Bench::new().await;
    bench.x.suspend_app("acme", true).unwrap();
    let token = bench.offer(Bench::order(Kind::OAuth1)).await;
    let error = bench.linker.begin(&token, now()).await.err().unwrap();
    assert!(matches!(error, LinkError::Suspended(_)), "{error:?}");
}

#[tokio::test]
async fn an_account_belongs_to_one_app() {
    let bench = Bench::new().await;
    bench.linked(Kind::OAuth1).await;
    let order = |username: Option<&str>| Order {
        app: "second".to_owned(),
        username: username.map(str::to_owned),
        ..Bench::order(Kind::OAuth1)
    };
    let early = bench.linker.offer(order(Some("BRAND")), now()).await;
    assert!(matches!(early, Err(LinkError::OtherApp { app, .. }) if app == "acme"));
    let late = bench.link_as(order(None), bench.brand).await.unwrap_err();
    assert!(matches!(late.error, LinkError::OtherApp { .. }), "{late:?}");
    let theirs = bench.x.tokens_of("second");
    assert!(!theirs.is_empty() && theirs.iter().all(|token| !token.alive));
    assert_eq!(bench.alive(), ["oauth1"], "the first link works on");
}

#[tokio::test]
async fn what_the_configuration_declares_is_not_linked() {
    let bench = Bench::new().await;
    let order = |username: Option<&str>| Order {
        app: "fixed".to_owned(),
        username: username.map(str::to_owned),
        ..Bench::order(Kind::OAuth2)
    };
    let early = bench.linker.offer(order(Some("fixed")), now()).await;
    assert!(matches!(early, Err(LinkError::Declared(_))));
    let late = bench.link_as(order(None), UserId(5)).await.unwrap_err();
    assert!(matches!(late.error, LinkError::Declared(_)), "{late:?}");
    let theirs = bench.x.tokens_of("fixed");
    assert!(!theirs.is_empty() && theirs.iter().all(|token| !token.alive));
}

#[tokio::test]
async fn an_order_that_cannot_be_carried_out_is_refused_at_once() {
    let bench = Bench::new().await;
    let no_client = json!({"name": "plain", "consumer_key": "k", "consumer_secret": "s"});
    let put = bench
        .directory
        .put_app(Actor::CommandLine, table(no_client));
    put.await.unwrap();
    let good = || Bench::order(Kind::OAuth2);
    for (order, code) in [
        (
            Order {
                app: "nobody's".to_owned(),
                ..good()
            },
            "unknown_app",
        ),
        (
            Order {
                app: "plain".to_owned(),
                ..good()
            },
            "no_oauth2",
        ),
        (
            Order {
                username: Some("a b".to_owned()),
                ..good()
            },
            "bad_username",
        ),
        (
            Order {
                back: Some("//evil.example".to_owned()),
                ..good()
            },
            "bad_return",
        ),
        (
            Order {
                back: Some("https://evil.example".to_owned()),
                ..good()
            },
            "bad_return",
        ),
    ] {
        let refused = bench.linker.offer(order, now()).await.unwrap_err();
        assert_eq!((refused.code(), refused.step()), (code, Step::Open));
    }
}

#[tokio::test]
async fn an_invitation_links_once_within_a_day_and_goes_by_its_owner() {
    let bench = Bench::new().await;
    let by = Actor::CommandLine;
    let invite = bench
        .linker
        .invite("acme", Kind::OAuth1, "brand", by, now());
    let url = invite.await.unwrap().url;
    let token = url.path_segments().unwrap().next_back().unwrap();
    let too_late = bench.linker.look(token, later(24 * 60)).await;
    assert!(matches!(too_late, Err(LinkError::OfferExpired)));
    let shown = bench.linker.look(token, later(23 * 60)).await.unwrap();
    assert!(shown.invited && shown.username.as_deref() == Some("brand"));
    // Somebody else first, then no, then yes.
    for (who, decision) in [
        (bench.other, Decision::Allow),
        (bench.brand, Decision::Deny),
        (bench.brand, Decision::Allow),
    ] {
        let begun = bench.linker.begin(token, now()).await.unwrap();
        let callback = bench.says(&begun, who, decision);
        let finished = bench.finish(&begun, callback).await;
        assert_eq!(finished.is_ok(), bench.links().await == 1);
    }
    assert_eq!(bench.links().await, 1);
    let spent = bench.linker.begin(token, now()).await.err().unwrap();
    assert!(matches!(spent, LinkError::OfferUsed));
    let audited = bench.store.read(|tx| tx.audited(None, 9)).await.unwrap();
    let newest: Vec<_> = audited
        .iter()
        .map(|it| (&*it.action, &*it.who))
        .take(2)
        .collect();
    assert_eq!(
        newest,
        [
            ("account.link", "invitation"),
            ("account.invite", "command-line")
        ]
    );
}

#[tokio::test]
async fn two_that_come_back_by_one_page_link_one_account() {
    let bench = Bench::new().await;
    let order = Order {
        username: None,
        ..Bench::order(Kind::OAuth2)
    };
    let token = bench.offer(order).await;
    let first = bench.linker.begin(&token, now()).await.unwrap();
    let second = bench.linker.begin(&token, now()).await.unwrap();
    let callback = bench.says(&first, bench.brand, Decision::Allow);
    bench.finish(&first, callback).await.unwrap();
    let callback = bench.says(&second, bench.other, Decision::Allow);
    let failed = bench.finish(&second, callback).await.unwrap_err();
    assert!(matches!(failed.error, LinkError::OfferUsed) && failed.again.is_none());
    assert_eq!(bench.links().await, 1);
}

#[tokio::test]
async fn an_administrator_goes_back_below_the_private_address() {
    let bench = Bench::new().await;
    let order = Order {
        back: Some("/setup?step=4".to_owned()),
        ..Bench::order(Kind::OAuth2)
    };
    let linked = bench.link_as(order, bench.brand).await.unwrap();
    let back = linked.back.unwrap();
    assert_eq!(
        back.as_str(),
        "http://ops.example:8081/setup?step=4&linked=7"
    );
}

#[tokio::test]
async fn unlinking_ends_both_kinds_at_x_and_here() {
    let bench = Bench::new().await;
    bench.linked(Kind::OAuth1).await;
    let linked = bench.linked(Kind::OAuth2).await;
    let by = Actor::CommandLine;
    let unlinked = bench
        .linker
        .unlink(by.clone(), linked.account)
        .await
        .unwrap();
    assert_eq!(unlinked, Unlinked::default());
    bench.assert_nothing_left().await;
    let again = bench.linker.unlink(by, linked.account).await;
    assert!(matches!(again, Err(ChangeError::Unknown(_))));
}

#[tokio::test]
async fn a_credential_that_is_dead_already_does_not_keep_an_account_linked() {
    let bench = Bench::new().await;
    let linked = bench.linked(Kind::OAuth1).await;
    bench.x.kill_tokens("acme", bench.brand);
    let unlinked = bench
        .linker
        .unlink(Actor::CommandLine, linked.account)
        .await;
    assert_eq!(unlinked.unwrap(), Unlinked::default());
    bench.assert_nothing_left().await;
}

#[tokio::test]
async fn what_x_does_not_do_at_unlinking_is_told_and_the_account_goes() {
    let bench = Bench::new().await;
    let linked = bench.linked(Kind::OAuth1).await;
    bench.x.stop().await;
    let unlinked = bench
        .linker
        .unlink(Actor::CommandLine, linked.account)
        .await;
    let left = unlinked.unwrap().left_at_x;
    assert!(
        left.len() == 1 && left[0].contains("OAuth 1.0a"),
        "{left:?}"
    );
    assert_eq!(bench.links().await, 0);
}

#[tokio::test]
async fn an_account_is_unsubscribed_while_it_still_has_its_credential() {
    let mut bench = Bench::new().await;
    let linked = bench.linked(Kind::OAuth1).await;
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let heard = Arc::clone(&seen);
    let alive = bench.x.clone();
    let hook: Unsubscribe = Arc::new(move |unlinking: Unlinking<'_>| {
        let tokens = alive.tokens_of(&unlinking.app.name);
        let is_alive = tokens.iter().any(|token| token.alive);
        heard.lock().unwrap().push((unlinking.account.id, is_alive));
        Box::pin(async { Ok(()) })
    });
    let linker = Arc::into_inner(bench.linker).unwrap().unsubscribing(hook);
    bench.linker = Arc::new(linker);
    bench
        .linker
        .unlink(Actor::CommandLine, linked.account)
        .await
        .unwrap();
    assert_eq!(*seen.lock().unwrap(), [(linked.account, true)]);
}

#[tokio::test]
async fn the_list_tells_states_kinds_and_scopes() {
    let bench = Bench::new().await;
    let linked = bench.linked(Kind::OAuth2).await;
    let states = async || {
        let listed = bench.linker.accounts().await.unwrap();
        let row = |it: &Listed| (it.id.to_string(), it.state, it.oauth1, it.scopes.len());
        listed.iter().map(row).collect::<Vec<_>>()
    };
    let fixed = ("5".to_owned(), LinkState::Declared, false, 0);
    let of = |state| ("7".to_owned(), state, false, SCOPES.len());
    assert_eq!(states().await, [fixed.clone(), of(LinkState::Unconfirmed)]);
    bench
        .linker
        .confirm(Actor::CommandLine, linked.account)
        .await
        .unwrap();
    assert_eq!(states().await, [fixed, of(LinkState::Linked)]);
}

#[tokio::test]
async fn an_account_that_cannot_be_read_is_listed_and_can_be_unlinked() {
    let bench = Bench::new().await;
    let linked = bench.linked(Kind::OAuth1).await;
    let id = linked.account;
    let spoil = move |tx: &mut Tx<'_>| {
        let link = tx.link(id)?.unwrap();
        tx.put_link(&LinkRow {
            sealed: b"spoilt".to_vec(),
            ..link
        })
    };
    bench.store.write(spoil).await.unwrap();
    let listed = bench.linker.accounts().await.unwrap();
    assert_eq!(listed.last().unwrap().state, LinkState::Unreadable);
    let unlinked = bench.linker.unlink(Actor::CommandLine, id).await.unwrap();
    assert_eq!(unlinked.left_at_x.len(), 1);
    assert_eq!(bench.links().await, 0);
}

#[tokio::test]
async fn no_secret_of_a_linking_lies_open_in_the_store() {
    let bench = Bench::new().await;
    let token = bench.offer(Bench::order(Kind::OAuth2)).await;
    let begun = bench.linker.begin(&token, now()).await.unwrap();
    let pairs: HashMap<_, _> = begun.to.query_pairs().into_owned().collect();
    let state = pairs["state"].clone();
    let callback = bench.says(&begun, bench.brand, Decision::Allow);
    bench.finish(&begun, callback).await.unwrap();
    bench.linked(Kind::OAuth1).await;
    let issued = bench.x.tokens_of("acme").into_iter().map(|it| it.token);
    let browser = begun.browser.expose_secret().to_owned();
    let secrets: Vec<_> = issued.chain([token, state, browser]).collect();
    let folder = bench.folder.path().to_owned();
    for file in std::fs::read_dir(folder).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for secret in &secrets {
            let mut windows = bytes.windows(secret.len());
            assert!(!windows.any(|it| it == secret.as_bytes()), "{secret}");
        }
    }
}

/// Where a test's log goes.
#[derive(Clone, Default)]
struct Log(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// One thread runs all of it, so its log is all of the log.
#[tokio::test]
async fn the_log_tells_of_linkings_without_their_secrets() {
    let log = Log::default();
    let to = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter("twitter_channel=trace")
        .with_writer(move || to.clone())
        .finish();
    // With one subscriber alone, what another thread comes by first would be taken for unheard.
    let _another = tracing::Dispatch::new(tracing_subscriber::registry());
    let _logging = tracing::subscriber::set_default(subscriber);
    let bench = Bench::new().await;
    let mut secrets = Vec::new();
    for kind in BOTH {
        for who in [bench.other, bench.brand] {
            let begun = bench.begun(Bench::order(kind)).await;
            let page = begun.to.as_str();
            let address = bench.x.consent(page, who, Decision::Allow).unwrap();
            let back: Url = address.parse().unwrap();
            secrets.extend(back.query_pairs().map(|(_, value)| value.into_owned()));
            secrets.push(begun.browser.expose_secret().to_owned());
            let _refused_or_not = bench.finish(&begun, callback(&address)).await;
        }
    }
    let id = AccountId("7".parse().unwrap());
    bench.linker.unlink(Actor::CommandLine, id).await.unwrap();
    secrets.extend(bench.x.tokens_of("acme").into_iter().map(|it| it.token));
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for told in [
        "an account was linked",
        "an account was not linked",
        "an account was unlinked",
    ] {
        assert!(log.contains(told), "{told}: {log}");
    }
    for secret in secrets {
        assert!(!log.contains(&secret), "{secret}: {log}");
    }
}

#[tokio::test]
async fn two_replicas_that_renew_a_pair_at_once_ask_x_once() {
    let bench = Bench::new().await;
    let id = bench.linked(Kind::OAuth2).await.account;
    let confirm = bench.linker.confirm(Actor::CommandLine, id);
    confirm.await.unwrap();
    let sealer = Sealer::new(Box::new([7; 32]).into());
    let state = bench.store.read(move |tx| tx.account_state(id)).await;
    let state = state.unwrap();
    let mut pair = tokens::open(&sealer, id, state.tokens.as_ref().unwrap()).unwrap();
    pair.expires_at = now();
    let tokens = Some(tokens::seal(&sealer, id, &pair).unwrap());
    let over = AccountState { tokens, ..state };
    let put = move |tx: &mut Tx<'_>| tx.put_account_state(id, &over);
    bench.store.write(put).await.unwrap();

    let rules = bench.directory.rules().now();
    let account = rules.registry.account(id.0).unwrap();
    let app = rules.registry.app_of(account).unwrap();
    let renewals = || {
        let calls = bench.x.calls();
        let of_tokens = calls.iter().filter(|it| it.endpoint == Endpoint::UserToken);
        of_tokens.count()
    };
    let (before, tasks) = (renewals(), TaskTracker::new());
    let [one, other] = [(); 2].map(|()| client(&bench.x, &bench.store, &sealer, &tasks));
    let auth = || Auth::Account { app, account };
    let (one, other) = tokio::join!(one.me(auth()), other.me(auth()));
    for profile in [one, other] {
        assert_eq!(profile.result.unwrap().person.id.to_string(), "7");
    }
    assert_eq!(renewals() - before, 1);
}
