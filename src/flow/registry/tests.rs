use std::sync::LazyLock;

use secrecy::ExposeSecret;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::domain::account::Sending;
use crate::flow::rules::testing::rules_of;

static ACCOUNT: LazyLock<AccountId> = LazyLock::new(|| AccountId("7".parse().unwrap()));

struct Bench {
    directory: Directory,
    store: Store,
    folder: TempDir,
}

fn sealer() -> Sealer {
    Sealer::new(Box::new([7; 32]).into())
}

fn serving(directory: Directory) -> Directory {
    directory.set_serving(true);
    directory
}

impl Bench {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let store = Store::open_in(folder.path());
        let declared = Declared {
            apps: vec![entered(json!({"name": "fixed"}))],
            ..Declared::default()
        };
        let rules = LiveRules::new(rules_of(Registry::default()));
        let directory = Directory::open(store.clone(), sealer(), declared, rules);
        Self {
            directory: serving(directory.await.unwrap()),
            store,
            folder,
        }
    }

    /// What another process would see.
    async fn elsewhere(&self) -> Directory {
        let rules = LiveRules::new(rules_of(Registry::default()));
        let declared = self.directory.declared.clone();
        let other = Directory::open(self.store.clone(), sealer(), declared, rules);
        other.await.unwrap()
    }

    async fn put_app(&self, app: Value) -> Result<App, ChangeError> {
        self.directory.put_app(Actor::CommandLine, table(app)).await
    }

    async fn link(&self, more: Value) -> Result<Account, ChangeError> {
        let mut link = table(json!({
            "app": "acme", "id": "7", "username": "acme",
            "access_token": "at", "access_token_secret": "ats",
        }));
        link.extend(table(more));
        let link = NewLink {
            table: link,
            name: "Acme".to_owned(),
            avatar_url: String::new(),
            pair: None,
        };
        self.directory.link(Actor::CommandLine, link).await
    }

    async fn linked() -> Self {
        let bench = Self::new().await;
        bench
            .put_app(with_keys(json!({"name": "acme"})))
            .await
            .unwrap();
        bench.link(json!({})).await.unwrap();
        bench
    }

    fn account(&self) -> Option<Account> {
        self.directory
            .rules()
            .now()
            .registry
            .account(ACCOUNT.0)
            .cloned()
    }

    async fn filters(&self, list: Value) -> Result<Vec<Filter>, ChangeError> {
        let list = serde_json::from_value(list).unwrap();
        self.directory
            .put_filters(Actor::CommandLine, *ACCOUNT, list)
            .await
    }
}

fn table(value: Value) -> Table {
    serde_json::from_value(value).unwrap()
}

fn with_keys(app: Value) -> Value {
    let mut keys = table(json!({"consumer_key": "ck", "consumer_secret": "cs"}));
    keys.extend(table(app));
    Value::Object(keys)
}

fn entered(app: Value) -> App {
    let mut known = Known::default();
    crate::settings::declared::entered_app(table(with_keys(app)), &mut known).unwrap()
}

fn keys(error: ChangeError) -> Vec<String> {
    match error {
        ChangeError::Invalid(SettingsFaults(faults)) => {
            faults.into_iter().map(|fault| fault.key).collect()
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn what_administrators_make_is_in_force_at_once_and_after_a_restart() {
    let bench = Bench::linked().await;
    assert!(bench.account().is_none(), "nothing before it is confirmed");
    bench
        .directory
        .confirm(Actor::CommandLine, *ACCOUNT)
        .await
        .unwrap();
    let list = json!([{"match": "mentions", "group": "support"}]);
    bench.filters(list).await.unwrap();
    for directory in [&bench.directory, &bench.elsewhere().await] {
        let rules = directory.rules().now();
        let account = rules.registry.account(ACCOUNT.0).unwrap();
        assert_eq!(
            account
                .access_token
                .as_ref()
                .unwrap()
                .secret
                .expose_secret(),
            "ats"
        );
        assert_eq!(rules.registry.app_of(account).unwrap().consumer_key, "ck");
        assert_eq!(rules.registry.filters(*ACCOUNT).len(), 1);
    }
}

#[tokio::test]
async fn another_process_notices_a_change() {
    let bench = Bench::linked().await;
    let other = bench.elsewhere().await;
    bench
        .directory
        .confirm(Actor::CommandLine, *ACCOUNT)
        .await
        .unwrap();
    assert!(other.rules().now().registry.account(ACCOUNT.0).is_none());
    other.refresh().await.unwrap();
    assert!(other.rules().now().registry.account(ACCOUNT.0).is_some());
}

#[tokio::test]
async fn blanks_of_a_paste_are_trimmed_and_faults_are_named_all_at_once() {
    let bench = Bench::new().await;
    let pasted = json!({"name": "acme ", "consumer_key": " ck\n", "consumer_secret": "cs\r\n"});
    let app = bench.put_app(pasted).await.unwrap();
    assert_eq!(
        (app.name.as_str(), app.consumer_key.as_str()),
        ("acme", "ck")
    );
    assert_eq!(app.consumer_secret.expose_secret(), "cs");
    let wrong =
        json!({"name": "a b", "consumer_key": "", "tier": "gold", "consumer_secret_file": "/x"});
    let refused = bench.put_app(wrong).await.unwrap_err();
    let expected = [
        "name",
        "consumer_key",
        "consumer_secret",
        "tier",
        "consumer_secret_file",
    ];
    assert_eq!(keys(refused), expected);
}

#[tokio::test]
async fn an_omitted_secret_stays_and_null_takes_it_away() {
    let bench = Bench::new().await;
    let whole = with_keys(json!({"name": "acme", "bearer_token": "b", "client_secret": "x"}));
    bench.put_app(whole).await.unwrap();
    let change = json!({"name": "acme", "consumer_key": "new", "client_secret": null});
    let app = bench.put_app(change).await.unwrap();
    assert_eq!(app.consumer_key, "new");
    assert_eq!(app.consumer_secret.expose_secret(), "cs");
    assert_eq!(app.bearer_token.unwrap().expose_secret(), "b");
    assert!(app.client_secret.is_none());
}

#[tokio::test]
async fn what_the_configuration_declares_is_not_changed_here() {
    let bench = Bench::new().await;
    let refused = bench.put_app(with_keys(json!({"name": "fixed"}))).await;
    assert!(matches!(refused, Err(ChangeError::Declared(_))));
    let refused = bench
        .directory
        .remove_app(Actor::CommandLine, "fixed")
        .await;
    assert!(matches!(refused, Err(ChangeError::Declared(_))));
}

#[tokio::test]
async fn an_app_goes_only_when_nobody_is_linked_through_it() {
    let bench = Bench::linked().await;
    let refused = bench.directory.remove_app(Actor::CommandLine, "acme").await;
    assert!(matches!(refused, Err(ChangeError::InUse(users)) if users == ["7"]));
    bench
        .directory
        .unlink(Actor::CommandLine, *ACCOUNT)
        .await
        .unwrap();
    bench
        .directory
        .remove_app(Actor::CommandLine, "acme")
        .await
        .unwrap();
    let refused = bench.directory.remove_app(Actor::CommandLine, "acme").await;
    assert!(matches!(refused, Err(ChangeError::Unknown(_))));
}

#[tokio::test]
async fn a_new_linking_keeps_settings_and_filters_and_counts_as_another_credential() {
    let bench = Bench::linked().await;
    bench
        .directory
        .confirm(Actor::CommandLine, *ACCOUNT)
        .await
        .unwrap();
    bench
        .filters(json!([{"match": "mentions", "group": "g"}]))
        .await
        .unwrap();
    let changes = table(json!({"sending": "hold", "monthly_budget_usd": "5.00"}));
    let by = Actor::CommandLine;
    bench
        .directory
        .set_account(by, *ACCOUNT, changes)
        .await
        .unwrap();
    bench
        .store
        .write(|tx| {
            let mut state = tx.account_state(*ACCOUNT)?;
            state.revoked_at = Some(Timestamp::now());
            tx.put_account_state(*ACCOUNT, &state)
        })
        .await
        .unwrap();
    bench
        .link(json!({"access_token_secret": "newer"}))
        .await
        .unwrap();
    let account = bench.account().unwrap();
    assert_eq!(account.sending, Sending::Hold);
    assert_eq!(
        account.access_token.unwrap().secret.expose_secret(),
        "newer"
    );
    assert_eq!(
        bench
            .directory
            .rules()
            .now()
            .registry
            .filters(*ACCOUNT)
            .len(),
        1
    );
    let state = bench
        .store
        .read(|tx| tx.account_state(*ACCOUNT))
        .await
        .unwrap();
    assert_eq!(state.revoked_at, None);
}

#[tokio::test]
async fn what_an_account_is_changes_only_by_linking() {
    let bench = Bench::linked().await;
    let changes = table(json!({"id": "8", "access_token": "x"}));
    let by = Actor::CommandLine;
    let refused = bench
        .directory
        .set_account(by, *ACCOUNT, changes)
        .await
        .unwrap_err();
    assert_eq!(keys(refused), ["access_token", "id"]);
}

#[tokio::test]
async fn an_account_of_an_app_that_is_not_there_is_refused() {
    let bench = Bench::new().await;
    let refused = bench.link(json!({})).await.unwrap_err();
    assert_eq!(keys(refused), ["app"]);
}

#[tokio::test]
async fn a_bad_filter_is_named_with_its_place_and_none_is_kept() {
    let bench = Bench::linked().await;
    bench
        .directory
        .confirm(Actor::CommandLine, *ACCOUNT)
        .await
        .unwrap();
    let list = json!([
        {"match": "mentions", "group": "support"},
        {"match": "term", "term": "#", "group": "field"},
    ]);
    assert_eq!(keys(bench.filters(list).await.unwrap_err()), ["[1].term"]);
    assert!(
        bench
            .directory
            .made_filters(*ACCOUNT)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn no_secret_lies_open_in_the_store() {
    let bench = Bench::linked().await;
    let folder = bench.folder.path().to_owned();
    for file in std::fs::read_dir(folder).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for secret in ["\"cs\"", "\"ats\""] {
            let found = bytes
                .windows(secret.len())
                .any(|it| it == secret.as_bytes());
            assert!(!found, "{secret}");
        }
    }
}

#[tokio::test]
async fn each_change_is_audited_without_its_secrets() {
    let bench = Bench::linked().await;
    let audited = bench.store.read(|tx| tx.audited(None, 9)).await.unwrap();
    let actions: Vec<_> = audited.iter().map(|it| it.action.as_str()).collect();
    assert_eq!(actions, ["account.link", "app.create"]);
    assert!(
        audited
            .iter()
            .all(|it| !it.detail.to_string().contains("ats"))
    );
}
