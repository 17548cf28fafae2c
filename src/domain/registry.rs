//! The apps, accounts and filters that are in force.

use std::collections::HashMap;

use super::account::{Account, App};
use super::filter::Filter;
use super::ids::{AccountId, UserId};

/// What is linked, and what makes tickets. Built once, then only read.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    apps: Vec<App>,
    accounts: HashMap<AccountId, Account>,
    filters: HashMap<AccountId, Vec<Filter>>,
}

impl Registry {
    /// Filters keep their order within each account: the first match wins.
    pub fn new(apps: Vec<App>, accounts: Vec<Account>, filters: Vec<Filter>) -> Self {
        let mut by_account: HashMap<AccountId, Vec<Filter>> = HashMap::new();
        for filter in filters {
            by_account.entry(filter.account).or_default().push(filter);
        }
        Self {
            apps,
            accounts: accounts.into_iter().map(|it| (it.id, it)).collect(),
            filters: by_account,
        }
    }

    /// Every app.
    pub fn apps(&self) -> &[App] {
        &self.apps
    }

    /// Every linked account.
    pub fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.accounts.values()
    }

    /// The linked account of this user, whatever app it is linked through.
    pub fn account(&self, user: UserId) -> Option<&Account> {
        self.accounts.get(&AccountId(user))
    }

    /// The accounts linked through an app.
    pub fn accounts_of<'a>(&'a self, app: &'a str) -> impl Iterator<Item = &'a Account> {
        self.accounts.values().filter(move |it| it.app == app)
    }

    /// Whether this user is one of our accounts.
    pub fn is_ours(&self, user: UserId) -> bool {
        self.account(user).is_some()
    }

    /// The app an account is linked through.
    pub fn app_of(&self, account: &Account) -> Option<&App> {
        self.apps.iter().find(|app| app.name == account.app)
    }

    /// An account's filters, in order.
    pub fn filters(&self, account: AccountId) -> &[Filter] {
        self.filters.get(&account).map_or(&[], Vec::as_slice)
    }
}
