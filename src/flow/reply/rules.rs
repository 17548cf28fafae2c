//! What holds for all commands.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::account::{Account, Sending, Tier};
use crate::domain::event::{AccountRef, RefusedBecause};
use crate::domain::filter::FOLLOWED_FOR;
use crate::domain::ids::{AccountId, ConversationId};
use crate::domain::price::Prices;
use crate::domain::registry::Registry;
use crate::flow::plan_check::PostLimits;
use crate::flow::pseudonyms::Pseudonyms;
use crate::store::{Hold, StoreError, Tx};

/// Accounts whose credential X does not accept, as the watch saw them last: what advice on replies
/// goes by.
#[derive(Debug, Default)]
pub struct RevokedAccounts(Mutex<HashSet<AccountId>>);

impl RevokedAccounts {
    pub(crate) fn set(&self, account: AccountId, revoked: bool) {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match revoked {
            true => accounts.insert(account),
            false => accounts.remove(&account),
        };
    }

    fn contains(&self, account: AccountId) -> bool {
        let accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.contains(&account)
    }
}

/// What does not change while the service runs, the plans of accounts at X excepted.
#[derive(Clone, Debug)]
pub struct Rules {
    pub registry: Arc<Registry>,
    pub revoked: Arc<RevokedAccounts>,
    pub prices: Prices,
    /// The stop switch of the service.
    pub sending: Sending,
    /// Of commands that do not say otherwise.
    pub expire_after: Duration,
    /// From the end of an uncertain call to the first look for what it did.
    pub first_read: Duration,
    /// From there to the second.
    pub second_read: Duration,
    /// Keyed hashes in the place of erased ids.
    pub pseudonyms: Pseudonyms,
    /// Longest posts, by the accounts' plans.
    pub post_limits: Arc<PostLimits>,
}

impl Rules {
    /// How an account is named in events, linked or not.
    pub(crate) fn account_ref(&self, id: Option<AccountId>) -> AccountRef {
        let account = id.and_then(|id| self.registry.account(id.0));
        AccountRef {
            id,
            username: account
                .map(|account| account.username.clone())
                .unwrap_or_default(),
        }
    }

    /// The stricter of both stop switches.
    pub(crate) fn sending(&self, account: &Account) -> Sending {
        self.sending.and(account.sending)
    }

    /// What keeps a new command of the account from going.
    pub(super) fn hold(&self, account: &Account, revoked: bool, files: bool) -> Hold {
        match (self.sending(account), revoked, files) {
            (_, _, true) => Hold::Files,
            (Sending::Live, false, _) => Hold::None,
            (Sending::Live, true, _) => Hold::Revoked,
            (Sending::Hold | Sending::Refuse, _, _) => Hold::Stopped,
        }
    }

    /// The same by what the store knows of the account.
    pub(super) fn hold_now(
        &self,
        tx: &Tx<'_>,
        account: &Account,
        files: bool,
    ) -> Result<Hold, StoreError> {
        let revoked = tx.account_state(account.id)?.revoked_at.is_some();
        Ok(self.hold(account, revoked, files))
    }

    /// Why nothing that the account answers would go out at present.
    pub(crate) fn silenced(&self, account: &Account) -> Option<RefusedBecause> {
        match self.sending(account) {
            Sending::Live => {
                let revoked = self.revoked.contains(account.id);
                revoked.then_some(RefusedBecause::AccountRevoked)
            }
            Sending::Hold | Sending::Refuse => Some(RefusedBecause::SendingStopped),
        }
    }

    /// Longest post of an account, weighted characters.
    pub(crate) fn post_limit(&self, account: &Account) -> u32 {
        let by_plan = || self.post_limits.of(account.id);
        account.max_post_length.unwrap_or_else(by_plan)
    }

    pub(super) fn tier(&self, account: &Account) -> Tier {
        let app = self.registry.app_of(account);
        app.map_or(Tier::SelfServe, |app| app.tier)
    }

    /// The name of the app that an account is linked through; empty where it is not linked.
    pub(super) fn app_name(&self, account: Option<AccountId>) -> &str {
        let account = account.and_then(|id| self.registry.account(id.0));
        account.map_or("", |account| account.app.as_str())
    }
}

/// Since when `related` looks back.
pub(super) fn recent(now: Timestamp) -> Timestamp {
    now.saturating_sub(FOLLOWED_FOR).unwrap_or(now)
}

/// A stored conversation id; what cannot be read is none.
pub(super) fn parse_conversation(raw: Option<&String>) -> Option<ConversationId> {
    raw.and_then(|raw| raw.parse().ok())
}
