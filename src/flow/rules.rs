//! What holds for all commands.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use crate::domain::account::{Account, Sending, Tier};
use crate::domain::event::{AccountRef, RefusedBecause};
use crate::domain::filter::FOLLOWED_FOR;
use crate::domain::ids::{AccountId, ConversationId};
use crate::domain::price::Prices;
use crate::domain::registry::Registry;
use crate::flow::plan_check::PostLimits;
use crate::flow::pseudonyms::Pseudonyms;
use crate::flow::restored;
use crate::store::{Hold, StoreError, Tx};
use crate::x::client::Auth;

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

/// The rules in force. Whoever works by them takes a view with [`LiveRules::now`] for one piece of
/// work, so that all of it goes by the same rules.
#[derive(Clone, Debug)]
pub struct LiveRules(watch::Sender<Arc<Rules>>);

impl LiveRules {
    pub fn new(rules: Rules) -> Self {
        Self(watch::Sender::new(Arc::new(rules)))
    }

    /// The rules of this moment.
    pub fn now(&self) -> Arc<Rules> {
        Arc::clone(&self.0.borrow())
    }

    /// Puts others in force, for all work that begins from now on.
    pub fn replace(&self, rules: Rules) {
        self.0.send_replace(Arc::new(rules));
    }

    /// Hears of changes from now on.
    pub fn changes(&self) -> watch::Receiver<Arc<Rules>> {
        self.0.subscribe()
    }
}

/// What the service goes by; a change makes new ones, the plans of accounts at X excepted.
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
    /// The same with other apps, accounts and filters.
    pub(in crate::flow) fn with(&self, registry: Registry) -> Self {
        Self {
            registry: Arc::new(registry),
            ..self.clone()
        }
    }

    /// How an account is named in events, linked or not.
    pub(in crate::flow) fn account_ref(&self, id: Option<AccountId>) -> AccountRef {
        let account = id.and_then(|id| self.registry.account(id.0));
        AccountRef {
            id,
            username: account
                .map(|account| account.username.clone())
                .unwrap_or_default(),
        }
    }

    /// By whose credential a call of this account goes; `None` where it is not linked.
    pub(in crate::flow) fn auth(&self, account: Option<AccountId>) -> Option<Auth<'_>> {
        let account = self.registry.account(account?.0)?;
        let app = self.registry.app_of(account)?;
        Some(Auth::Account { app, account })
    }

    /// The stricter of both stop switches.
    pub(crate) fn sending(&self, account: &Account) -> Sending {
        self.sending.and(account.sending)
    }

    /// What keeps a new command of the account from going.
    pub(in crate::flow) fn hold(&self, account: &Account, revoked: bool, files: bool) -> Hold {
        match (self.sending(account), revoked, files) {
            (_, _, true) => Hold::Files,
            (Sending::Live, false, _) => Hold::None,
            (Sending::Live, true, _) => Hold::Revoked,
            (Sending::Hold | Sending::Refuse, _, _) => Hold::Stopped,
        }
    }

    /// The same by what the store knows of the account.
    pub(in crate::flow) fn hold_now(
        &self,
        tx: &Tx<'_>,
        account: &Account,
        files: bool,
    ) -> Result<Hold, StoreError> {
        let revoked = tx.account_state(account.id)?.revoked_at.is_some();
        Ok(match self.hold(account, revoked, files) {
            Hold::None if restored::holds(tx, account.id)? => Hold::Restored,
            hold => hold,
        })
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

    pub(in crate::flow) fn tier(&self, account: &Account) -> Tier {
        let app = self.registry.app_of(account);
        app.map_or(Tier::SelfServe, |app| app.tier)
    }

    /// The name of the app that an account is linked through; empty where it is not linked.
    pub(in crate::flow) fn app_name(&self, account: Option<AccountId>) -> &str {
        let account = account.and_then(|id| self.registry.account(id.0));
        account.map_or("", |account| account.app.as_str())
    }
}

/// Since when `related` looks back.
pub(in crate::flow) fn recent(now: Timestamp) -> Timestamp {
    now.saturating_sub(FOLLOWED_FOR).unwrap_or(now)
}

/// A stored conversation id; what cannot be read is none.
pub(in crate::flow) fn parse_conversation(raw: Option<&String>) -> Option<ConversationId> {
    raw.and_then(|raw| raw.parse().ok())
}

#[cfg(test)]
pub(in crate::flow) mod testing {
    use jiff::civil::date;

    use super::*;
    use crate::domain::money::Usd;
    use crate::domain::price::{CallPrices, EventPrices};
    use crate::sealing::Sealer;

    /// Rules by which everything goes at once and costs nothing.
    pub(in crate::flow) fn rules_of(registry: Registry) -> Rules {
        Rules {
            registry: Arc::new(registry),
            revoked: Arc::default(),
            post_limits: Arc::default(),
            pseudonyms: Pseudonyms::of(&Sealer::new(Box::new([0; 32]).into())),
            prices: free(),
            sending: Sending::Live,
            expire_after: Duration::from_hours(24),
            first_read: Duration::from_secs(40),
            second_read: Duration::from_secs(20),
        }
    }

    fn free() -> Prices {
        let nothing = Usd::default();
        Prices {
            as_of: date(2026, 8, 22),
            source: String::new(),
            events: EventPrices {
                account_activity: nothing,
                post: nothing,
                post_deleted: nothing,
                direct_message_received: nothing,
                direct_message_sent: nothing,
                encrypted_message_received: nothing,
                encrypted_message_sent: nothing,
                read: nothing,
                typing: nothing,
            },
            calls: CallPrices {
                post: nothing,
                post_with_url: nothing,
                summoned_reply: nothing,
                direct_message: nothing,
                delete: nothing,
                hide_reply: nothing,
                media_metadata: nothing,
                post_read: nothing,
                user_read: nothing,
                direct_message_read: nothing,
                owned_read: nothing,
            },
        }
    }
}
