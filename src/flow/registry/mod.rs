//! The apps, accounts and filters in force: those that the configuration declares and those that
//! administrators made, which live in the store. A change takes effect without a restart, also when
//! another process made it.

mod rows;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio::sync::Mutex;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::reply::revoked;
use super::rules::LiveRules;
use crate::domain::access::Actor;
use crate::domain::account::{Account, App, TokenPair};
use crate::domain::filter::Filter;
use crate::domain::ids::AccountId;
use crate::domain::registry::Registry;
use crate::sealing::{Sealer, TooLong, WrongKeyOrDamaged};
use crate::settings::{Known, SettingsFaults};
use crate::store::{LinkRow, Store, StoreError, Tx};
use rows::{Made, text};

/// How soon the changes of another process are noticed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A table of settings, with the keys of the configuration.
pub type Table = Map<String, Value>;

/// What the configuration declares; read-only.
#[derive(Clone, Debug, Default)]
pub struct Declared {
    pub apps: Vec<App>,
    pub accounts: Vec<Account>,
    pub filters: Vec<Filter>,
}

/// Why a change was not made; nothing of it is stored then.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// What was entered cannot be used, with all that is wrong with it.
    #[error(transparent)]
    Invalid(#[from] SettingsFaults),
    /// To be changed there.
    #[error("{0} is declared in the configuration and cannot be changed here")]
    Declared(String),
    #[error("there is no {0}")]
    Unknown(String),
    /// Unlink these accounts first.
    #[error("accounts are linked through the app: {}", .0.join(", "))]
    InUse(Vec<String>),
    /// Unlink it there first.
    #[error("the account is linked under the app {0}")]
    OtherApp(String),
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A row that cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("the settings of {what} were {source}")]
    Sealed {
        what: String,
        source: WrongKeyOrDamaged,
    },
    #[error("the settings of {0} are no table")]
    NoTable(String),
    #[error("the tokens of account {0} cannot be read")]
    Tokens(AccountId),
    #[error(transparent)]
    TooLong(#[from] TooLong),
}

/// An account as its owner has linked it.
#[derive(Debug)]
pub struct NewLink {
    /// The keys of `[[accounts]]`: `app`, `id`, `username`, and the token of OAuth 1.0a.
    pub table: Table,
    /// Display name.
    pub name: String,
    pub avatar_url: String,
    /// By OAuth 2.0.
    pub pair: Option<TokenPair>,
}

/// An account that its owner has linked.
#[derive(Debug)]
pub struct Linked {
    pub row: LinkRow,
    /// What it is, or why that cannot be read any more.
    pub account: Result<Account, ChangeError>,
}

/// Keeps apps, accounts and filters.
pub struct Directory {
    store: Store,
    sealer: Sealer,
    declared: Declared,
    rules: LiveRules,
    /// The version in force; held while another is put in force.
    version: Mutex<u64>,
    /// Commands wait and go by its rules.
    serves: AtomicBool,
}

impl Directory {
    /// Reads what the store holds, and puts it in force along with what is declared.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn open(
        store: Store,
        sealer: Sealer,
        declared: Declared,
        rules: LiveRules,
    ) -> Result<Self, StoreError> {
        let directory = Self::new(store, sealer, declared, rules);
        directory
            .put_in_force(&mut *directory.version.lock().await)
            .await?;
        Ok(directory)
    }

    /// One that has read nothing yet.
    pub(crate) fn new(store: Store, sealer: Sealer, declared: Declared, rules: LiveRules) -> Self {
        Self {
            store,
            sealer,
            declared,
            rules,
            version: Mutex::new(0),
            serves: AtomicBool::new(false),
        }
    }

    /// In the process that leads, a change also holds commands, and lets held ones go.
    pub fn set_serving(&self, serves: bool) {
        self.serves.store(serves, Ordering::Relaxed);
    }

    /// The rules in force.
    pub fn rules(&self) -> &LiveRules {
        &self.rules
    }

    /// What the configuration declares.
    pub fn declared(&self) -> &Declared {
        &self.declared
    }

    /// Whether an app of this name is declared in the configuration.
    pub fn declares_app(&self, name: &str) -> bool {
        self.declared.apps.iter().any(|app| app.name == name)
    }

    /// Whether this account is declared in the configuration.
    pub fn declares_account(&self, id: AccountId) -> bool {
        self.declared
            .accounts
            .iter()
            .any(|account| account.id == id)
    }

    /// Notices changes of other processes until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            if let Err(error) = self.refresh().await {
                tracing::warn!(%error, "changes of apps and accounts are not seen");
            }
        }
    }

    /// Puts in force what has changed since.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let mut version = self.version.lock().await;
        let stored = self.store.read(|tx| tx.registry_version()).await?;
        if stored != *version {
            self.put_in_force(&mut version).await?;
        }
        Ok(())
    }

    async fn put_in_force(&self, version: &mut u64) -> Result<(), StoreError> {
        let (sealer, declared) = (self.sealer.clone(), self.declared.clone());
        let read =
            move |tx: &Tx<'_>| Ok((tx.registry_version()?, Made::read(tx, &sealer, &declared)?));
        let (stored, made) = self.store.read(read).await?;
        let registry = Registry::new(
            [self.declared.apps.clone(), made.apps].concat(),
            [self.declared.accounts.clone(), made.accounts].concat(),
            [self.declared.filters.clone(), made.filters].concat(),
        );
        let rules = self.rules.now().with(registry);
        self.rules.replace(rules);
        if self.serves.load(Ordering::Relaxed) {
            let (rules, now) = (self.rules.now(), Timestamp::now());
            let review = move |tx: &mut Tx<'_>| revoked::review(tx, &rules, now);
            self.store.write(review).await?;
        }
        *version = stored;
        Ok(())
    }

    /// Keeps an app; an omitted credential stays as it is.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn put_app(&self, by: Actor, table: Table) -> Result<App, ChangeError> {
        let name = text(&table, "name");
        if self.declares_app(&name) {
            return Err(ChangeError::Declared(format!("the app {name}")));
        }
        let (sealer, declared) = (self.sealer.clone(), self.declared.clone());
        self.change(move |tx| rows::put_app(tx, &sealer, &declared, &by, table))
            .await
    }

    /// Reads an app as an administrator enters it, without keeping it: for a test.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn read_app(&self, mut table: Table) -> Result<App, ChangeError> {
        let name = text(&table, "name");
        if self.declares_app(&name) {
            return Err(ChangeError::Declared(format!("the app {name}")));
        }
        let (sealer, declared) = (self.sealer.clone(), self.declared.clone());
        let read = move |tx: &Tx<'_>| Ok(rows::read_app(tx, &sealer, &declared, &mut table));
        let (app, _known) = self.store.read(read).await??;
        Ok(app)
    }

    /// Forgets an app that no account is linked through.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn remove_app(&self, by: Actor, name: &str) -> Result<(), ChangeError> {
        if self.declares_app(name) {
            return Err(ChangeError::Declared(format!("the app {name}")));
        }
        let declared = self.declared.accounts.iter().filter(|it| it.app == name);
        let declared: Vec<_> = declared.map(|it| it.username.clone()).collect();
        let name = name.to_owned();
        self.change(move |tx| {
            let links = tx.links()?.into_iter().filter(|link| link.app == name);
            let mut users = declared;
            users.extend(links.map(|link| link.account.to_string()));
            if !users.is_empty() {
                return Err(ChangeError::InUse(users));
            }
            if !tx.remove_app(&name)? {
                return Err(ChangeError::Unknown(format!("app {name}")));
            }
            tx.audit(&by, "app.remove", &name, &Value::Null, Timestamp::now())?;
            Ok(())
        })
        .await
    }

    /// Keeps an account that its owner has linked, or linked again. Nothing is routed before
    /// [`Directory::confirm`], unless it was confirmed before: then `account.linked` tells of it at
    /// once. A credential of the other kind stays, where the app is the same and X has not refused
    /// it: the account has both then.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn link(&self, by: Actor, link: NewLink) -> Result<Account, ChangeError> {
        if let Some(account) = self.declared_among(&link.table) {
            return Err(ChangeError::Declared(format!("the account {account}")));
        }
        let (sealer, declared) = (self.sealer.clone(), self.declared.clone());
        self.change(move |tx| rows::put_link(tx, &sealer, &declared, &by, link))
            .await
    }

    fn declared_among(&self, table: &Table) -> Option<AccountId> {
        let id = text(table, "id").parse().ok().map(AccountId);
        id.filter(|id| self.declares_account(*id))
    }

    /// Lets the messages of a linked account be routed, which `account.linked` tells. Nothing
    /// happens to one that is confirmed already.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn confirm(&self, by: Actor, account: AccountId) -> Result<(), ChangeError> {
        if self.declares_account(account) {
            return Err(ChangeError::Declared(format!("the account {account}")));
        }
        let sealer = self.sealer.clone();
        self.change(move |tx| rows::confirm(tx, &sealer, &by, account))
            .await
    }

    /// Changes settings of a linked account: `sending`, `blocked`, `monthly_budget_usd` and the
    /// like. Keys that are left out stay as they are; `null` takes one away.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn set_account(
        &self,
        by: Actor,
        account: AccountId,
        changes: Table,
    ) -> Result<Account, ChangeError> {
        if self.declares_account(account) {
            return Err(ChangeError::Declared(format!("the account {account}")));
        }
        let (sealer, declared) = (self.sealer.clone(), self.declared.clone());
        self.change(move |tx| rows::set_account(tx, &sealer, &declared, &by, account, changes))
            .await
    }

    /// Forgets an account's credentials and settings; what it has received and sent stays, and so
    /// do its filters.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn unlink(&self, by: Actor, account: AccountId) -> Result<(), ChangeError> {
        if self.declares_account(account) {
            return Err(ChangeError::Declared(format!("the account {account}")));
        }
        self.change(move |tx| {
            if !tx.remove_link(account)? {
                return Err(unknown_account(account));
            }
            let now = Timestamp::now();
            tx.audit(
                &by,
                "account.unlink",
                &account.to_string(),
                &Value::Null,
                now,
            )?;
            Ok(())
        })
        .await
    }

    /// Keeps the filters of an account, in the order in which they are asked, behind those that the
    /// configuration declares for it. Faults are named as `[2].term`.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn put_filters(
        &self,
        by: Actor,
        account: AccountId,
        list: Vec<Table>,
    ) -> Result<Vec<Filter>, ChangeError> {
        let filters = self.read_filters(account, list.clone())?;
        let tables: Vec<_> = list.into_iter().map(rows::without_account).collect();
        let count = tables.len();
        let text = Value::Array(tables).to_string();
        self.change(move |tx| {
            tx.put_filter_list(account, &text)?;
            let detail = serde_json::json!({ "filters": count });
            tx.audit(
                &by,
                "filters.put",
                &account.to_string(),
                &detail,
                Timestamp::now(),
            )?;
            Ok(())
        })
        .await?;
        Ok(filters)
    }

    /// Reads filters as an administrator enters them, without keeping them: for a dry run.
    ///
    /// # Errors
    /// [`ChangeError::Invalid`], and [`ChangeError::Unknown`] where the account is not linked.
    pub fn read_filters(
        &self,
        account: AccountId,
        list: Vec<Table>,
    ) -> Result<Vec<Filter>, ChangeError> {
        let rules = self.rules.now();
        let Some(linked) = rules.registry.account(account.0) else {
            return Err(unknown_account(account));
        };
        let known = Known::of([], [linked]);
        Ok(rows::read_list(account, list, &known)?)
    }

    /// The filters that administrators made for an account.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn made_filters(&self, account: AccountId) -> Result<Vec<Table>, StoreError> {
        let lists = self.store.read(|tx| tx.filter_lists()).await?;
        let own = lists.into_iter().find(|(of, _)| *of == account);
        own.map_or(Ok(Vec::new()), |(_, list)| rows::tables(&list))
    }

    /// The accounts that their owners have linked, confirmed or not, by id.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn linked(&self) -> Result<Vec<Linked>, StoreError> {
        let rules = self.rules.now();
        let rows = self.store.read(|tx| tx.links()).await?.into_iter();
        let linked = rows.map(|row| {
            let mut known = Known::of(rules.registry.apps(), []);
            let account = rows::account_of(&row, &self.sealer, &mut known);
            Linked { row, account }
        });
        Ok(linked.collect())
    }

    /// An account that is linked but not confirmed yet, readable for those who keep it in order.
    ///
    /// # Errors
    /// When the store or the row cannot be read.
    pub async fn linked_account(&self, id: AccountId) -> Result<Option<Account>, ChangeError> {
        let Some(link) = self.store.read(move |tx| tx.link(id)).await? else {
            return Ok(None);
        };
        let rules = self.rules.now();
        let mut known = Known::of(rules.registry.apps(), []);
        Ok(Some(rows::account_of(&link, &self.sealer, &mut known)?))
    }

    /// Makes a change in the store and puts it in force.
    async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, ChangeError> + Send + 'static,
    ) -> Result<T, ChangeError> {
        let whole = move |tx: &mut Tx<'_>| match work(tx) {
            Err(ChangeError::Store(error)) => Err(error),
            // It refused before it wrote anything.
            done_or_refused => Ok(done_or_refused),
        };
        let changed = self.store.write(whole).await??;
        self.refresh().await?;
        Ok(changed)
    }
}

fn unknown_account(account: AccountId) -> ChangeError {
    ChangeError::Unknown(format!("linked account {account}"))
}
