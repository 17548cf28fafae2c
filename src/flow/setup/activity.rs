//! What X Activity is to deliver, against what it has: one subscription for each kind of event of
//! each account.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::account::Account;
use crate::domain::ids::{AccountId, SubscriptionId, WebhookId};
use crate::domain::registry::Registry;
use crate::x::client::{ActivityKind, ActivitySubscription};

/// Marks subscriptions as ours.
pub(super) const TAG: &str = "twitter-channel";

/// One thing that is wanted.
pub(super) type Wanted = (AccountId, ActivityKind);

/// What is to be done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Missing altogether.
    pub(super) create: Vec<Wanted>,
    /// There, but led to a webhook that is gone, or to none.
    pub(super) point: Vec<(SubscriptionId, Wanted)>,
    /// There, but led to another's webhook: left.
    pub(super) taken: Vec<(Wanted, WebhookId)>,
    /// Ours, of accounts that we know, and not wanted.
    pub(super) surplus: Vec<SubscriptionId>,
    /// Led to our webhook by somebody else, as X names them: left.
    pub(super) foreign: BTreeSet<String>,
}

/// The kinds that an account needs; reposts only where a filter lets them through, since each is
/// charged.
pub(super) fn kinds(registry: &Registry, account: &Account) -> BTreeSet<ActivityKind> {
    let mut kinds: BTreeSet<_> = ActivityKind::ALL.into_iter().collect();
    let filters = registry.filters(account.id);
    if !filters.iter().any(|filter| filter.reposts) {
        kinds.remove(&ActivityKind::Repost);
    }
    kinds
}

/// `known` are the accounts that are linked, or were subscribed by us; `others` the webhooks that
/// are somebody else's.
pub(super) fn plan(
    existing: &[ActivitySubscription],
    wanted: &BTreeSet<Wanted>,
    known: &BTreeSet<AccountId>,
    webhook: WebhookId,
    others: &BTreeSet<WebhookId>,
) -> Plan {
    let mut plan = Plan::default();
    let mut there: BTreeMap<Wanted, &ActivitySubscription> = BTreeMap::new();
    for subscription in existing {
        let leads_here = subscription.webhook == Some(webhook);
        let account = subscription.user.map(AccountId);
        let kind = ActivityKind::from_name(&subscription.event_type);
        let wish = account.zip(kind).filter(|wish| wanted.contains(wish));
        let is_ours = subscription.tag == TAG || (leads_here && kind.is_some());
        match wish {
            Some(wish) => {
                let Some(rival) = there.insert(wish, subscription) else {
                    continue;
                };
                let (kept, spare) = match rival.webhook == Some(webhook) {
                    true => (rival, subscription),
                    false => (subscription, rival),
                };
                there.insert(wish, kept);
                if spare.tag == TAG || spare.webhook == Some(webhook) {
                    plan.surplus.push(spare.id);
                }
            }
            None if is_ours && account.is_some_and(|it| known.contains(&it)) => {
                plan.surplus.push(subscription.id);
            }
            None if leads_here => {
                let user = subscription
                    .user
                    .map_or_else(String::new, |it| it.to_string());
                let name = format!("{} of {user}", subscription.event_type);
                plan.foreign.insert(name);
            }
            None => {}
        }
    }
    for wish in wanted {
        match there.get(wish).map(|it| (it.id, it.webhook)) {
            None => plan.create.push(*wish),
            Some((_, Some(at))) if at == webhook => {}
            Some((_, Some(at))) if others.contains(&at) => plan.taken.push((*wish, at)),
            Some((id, _)) => plan.point.push((id, *wish)),
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::UserId;

    const KIND: ActivityKind = ActivityKind::Mention;

    fn webhook(id: u64) -> WebhookId {
        WebhookId::from_number(id).unwrap()
    }

    fn account(id: u64) -> AccountId {
        AccountId(UserId::from_number(id).unwrap())
    }

    fn subscription(id: u64, user: u64, event: &str, at: Option<u64>) -> ActivitySubscription {
        ActivitySubscription {
            id: SubscriptionId::from_number(id).unwrap(),
            event_type: event.to_owned(),
            user: UserId::from_number(user),
            webhook: at.map(webhook),
            tag: String::new(),
            created_at: None,
        }
    }

    /// What is to be done where account 1 wants [`KIND`], 2 was ours once, and 9 is our webhook.
    fn planned(existing: &[ActivitySubscription]) -> Plan {
        let wanted = [(account(1), KIND)].into();
        let known = [account(1), account(2)].into();
        plan(existing, &wanted, &known, webhook(9), &[webhook(8)].into())
    }

    #[test]
    fn what_is_as_wanted_is_left_alone() {
        let there = [subscription(1, 1, KIND.name(), Some(9))];
        assert_eq!(planned(&there), Plan::default());
    }

    #[test]
    fn what_is_missing_is_made_and_what_leads_nowhere_is_pointed_here() {
        assert_eq!(planned(&[]).create, [(account(1), KIND)]);
        for at in [None, Some(7)] {
            let astray = subscription(1, 1, KIND.name(), at);
            let plan = planned(std::slice::from_ref(&astray));
            assert_eq!(plan.point, [(astray.id, (account(1), KIND))]);
            assert!(plan.create.is_empty());
        }
    }

    #[test]
    fn what_leads_to_another_webhook_is_not_taken_from_it() {
        let plan = planned(&[subscription(1, 1, KIND.name(), Some(8))]);
        assert_eq!(plan.taken, [((account(1), KIND), webhook(8))]);
        assert!(plan.point.is_empty() && plan.create.is_empty());
    }

    #[test]
    fn only_ours_of_accounts_that_we_know_are_surplus() {
        let plan = planned(&[
            subscription(1, 1, KIND.name(), Some(9)),
            subscription(2, 2, KIND.name(), Some(9)),
            subscription(3, 3, KIND.name(), Some(9)),
            subscription(4, 2, KIND.name(), Some(8)),
            subscription(5, 1, "like.create", Some(9)),
            subscription(6, 1, KIND.name(), Some(9)),
        ]);
        let ids: Vec<_> = plan.surplus.iter().map(|id| id.get()).collect();
        assert_eq!(ids, [2, 6]);
        let foreign: Vec<_> = plan.foreign.iter().map(String::as_str).collect();
        assert_eq!(foreign, ["like.create of 1", "post.mention.create of 3"]);
    }

    #[test]
    fn of_two_the_one_that_leads_here_is_kept() {
        let mut astray = subscription(1, 1, KIND.name(), Some(7));
        astray.tag = TAG.to_owned();
        let here = subscription(2, 1, KIND.name(), Some(9));
        for existing in [[astray.clone(), here.clone()], [here, astray.clone()]] {
            let plan = planned(&existing);
            assert_eq!(plan.surplus, [astray.id]);
            assert!(plan.create.is_empty() && plan.point.is_empty());
        }
    }
}
