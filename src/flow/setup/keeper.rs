//! Looks at X's side of the set-up every few minutes and after each change: puts what is wrong on
//! the board and mends what it may. A fault is put up when it is seen and taken down when the next
//! look, soon after the repair, finds it gone: X's list is the proof, not its answer to the repair.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::check::{self, Finding};
use super::subscriptions::{Lack, Look, Seen, Why};
use super::troubles::{self, Mending, Places};
use super::{Setup, SetupError, Signatures, UNCHECKED, now};
use crate::domain::access::Actor;
use crate::domain::account::{Account, App};
use crate::domain::ids::AccountId;
use crate::flow::plan_check;
use crate::flow::reply::{result_name, revoked};
use crate::flow::rules::{LiveRules, Rules};
use crate::flow::watch::{Board, Subject, Trouble};
use crate::store::{GapReason, Store, StoreError};
use crate::telemetry::metrics;
use crate::x::client::{AccessLevel, Auth, CallError, Client, Heard, Webhook};

/// A repair is looked at again after this long, and so is a token that X has just refused.
const SOON: Duration = Duration::from_secs(10);
/// A fault stays on the board for this long, whatever has changed meanwhile.
const SHOWN: Duration = Duration::from_secs(2);
/// The longest pause between repairs that fail.
const LONGEST_REST: Duration = Duration::from_mins(30);
/// Keys are tested this often without a reason; X refuses who asks for a bearer too often.
const KEYS_EVERY: Duration = Duration::from_hours(1);
/// And no sooner than this with one.
const KEYS_AGAIN: Duration = Duration::from_mins(1);
/// How far our clock may be off before the keys are tested, which tells it.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_secs(60);
/// So many refusals in a row mean that a token is dead, where X does not say so outright.
const REFUSALS: u32 = 2;

/// What the keeper works with.
pub struct KeeperParts {
    pub store: Store,
    pub rules: LiveRules,
    pub client: Arc<Client>,
    pub setup: Arc<Setup>,
    pub board: Board,
    pub signatures: Signatures,
    /// From one look to the next.
    pub every: Duration,
    /// `private.url`, empty where it is not set.
    pub private_url: String,
}

/// Keeps X's side of the set-up right.
pub struct Keeper {
    parts: KeeperParts,
    places: Places,
    rests: Rests,
    keys: HashMap<String, Keys>,
    /// How often in a row X has refused a token.
    refusals: HashMap<AccountId, u32>,
    /// Until when X has delivered all there was, by app.
    delivered: HashMap<String, Timestamp>,
    /// Apps of which X does not deliver all.
    broken: HashSet<String>,
    /// What was logged and has not changed.
    logged: BTreeMap<String, String>,
}

/// What was last found of an app's keys.
struct Keys {
    print: [u8; 32],
    tested: Instant,
    /// Something is wrong, or may be.
    doubtful: bool,
    /// Nothing can be asked with them.
    useless: bool,
}

/// What a repair is of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Repair {
    Webhook(String),
    Account(AccountId),
}

/// Which repairs wait, and for how long.
#[derive(Default)]
struct Rests(HashMap<Repair, (Instant, Duration)>);

impl Rests {
    fn is_resting(&self, repair: &Repair, now: Instant) -> bool {
        let rest = self.0.get(repair);
        rest.is_some_and(|(until, _)| *until > now)
    }

    /// The next try of it waits, each time longer.
    fn tried(&mut self, repair: Repair, first: Duration, now: Instant) {
        let pause = match self.0.get(&repair) {
            Some((_, pause)) => (*pause * 2).min(LONGEST_REST.max(first)),
            None => first,
        };
        self.0.insert(repair, (now + pause, pause));
    }

    fn over(&mut self, repair: &Repair) {
        self.0.remove(repair);
    }
}

/// What is known of an account's credential.
enum Credential {
    Good,
    /// Good, but this is all it may do.
    Low,
    /// X refuses it.
    Dead,
    /// X could not be asked.
    Unknown,
}

impl Keeper {
    pub fn new(parts: KeeperParts) -> Self {
        Self {
            places: Places(parts.private_url.clone()),
            parts,
            rests: Rests::default(),
            keys: HashMap::new(),
            refusals: HashMap::new(),
            delivered: HashMap::new(),
            broken: HashSet::new(),
            logged: BTreeMap::new(),
        }
    }

    /// Looks until `stop`. A look that is cut short is made up for by the next one.
    pub async fn run(mut self, stop: CancellationToken) {
        stop.run_until_cancelled(self.look_forever()).await;
    }

    async fn look_forever(&mut self) {
        let mut changes = self.parts.rules.changes();
        let setup = Arc::clone(&self.parts.setup);
        loop {
            let rules = Arc::clone(&changes.borrow_and_update());
            let mut soon = false;
            for app in rules.registry.apps() {
                match self.look_at(&rules, app).await {
                    Ok(mended) => soon |= mended,
                    Err(error) => {
                        tracing::warn!(app = app.name, %error, "an app's set-up cannot be looked at");
                    }
                }
            }
            self.forget(&rules);
            let every = self.parts.every;
            if soon {
                // A fault that is over before anybody looks at the board is never told.
                tokio::time::sleep(SHOWN.min(every)).await;
            }
            let pause = if soon { SOON.min(every) } else { every };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // Its sender lives as long as the rules do.
                _ = changes.changed() => self.rests.0.clear(),
                () = setup.changed.notified() => self.rests.0.clear(),
            }
        }
    }

    /// What is gone leaves nothing behind.
    fn forget(&mut self, rules: &Rules) {
        let apps: HashSet<&str> = rules
            .registry
            .apps()
            .iter()
            .map(|it| it.name.as_str())
            .collect();
        self.keys.retain(|app, _| apps.contains(app.as_str()));
        self.delivered.retain(|app, _| apps.contains(app.as_str()));
        self.broken.retain(|app| apps.contains(app.as_str()));
        self.refusals
            .retain(|id, _| rules.registry.account(id.0).is_some());
    }

    /// Whether something was mended or is in doubt, so that the next look is due soon.
    async fn look_at(&mut self, rules: &Arc<Rules>, app: &App) -> Result<bool, StoreError> {
        let began = now();
        self.look_at_signatures(app, began);
        self.look_at_address(app, began).await;
        if self.look_at_keys(app).await {
            return Ok(false);
        }
        let listed = match self.parts.setup.listed(app).await {
            Ok(listed) => listed,
            Err(error) => return Ok(self.not_listed(rules, app, &error)),
        };
        let (webhook, mut soon) = self.look_at_webhook(rules, app, &listed).await?;
        let (accounts, doubtful) = self.look_at_tokens(rules, app).await?;
        soon |= doubtful;
        let Some(webhook) = webhook else {
            self.broken.insert(app.name.clone());
            return Ok(soon);
        };
        let others = listed.iter().filter(|it| it.id != webhook.id);
        let look = Look {
            app,
            registry: &rules.registry,
            webhook: webhook.id,
            others: others.map(|it| it.id).collect(),
            resting: self.resting(&accounts),
            accounts,
        };
        let seen = match self.parts.setup.keep_subscriptions(&look).await {
            Ok(seen) => seen,
            Err(SetupError::Store(error)) => return Err(error),
            Err(error) => {
                self.log(app, "subscriptions", &error.to_string());
                self.broken.insert(app.name.clone());
                return Ok(soon);
            }
        };
        soon |= seen.repaired > 0;
        let complete = self.tell_subscriptions(&look, &seen, began);
        self.note_delivery(app, webhook.valid && complete, began)
            .await?;
        Ok(soon)
    }

    fn look_at_signatures(&mut self, app: &App, at: Timestamp) {
        let since = self.parts.signatures.failing_since(&app.name, at);
        if since.is_some() {
            self.doubt_keys(app);
        }
        let found = since.map(|since| troubles::signatures(app, since));
        self.set(app, &troubles::OF_SIGNATURES, found, at);
    }

    async fn look_at_address(&mut self, app: &App, at: Timestamp) {
        let found = match self.parts.setup.challenge(app).await {
            Ok((_, passed)) => {
                let ends = passed.certificate_ends;
                if let Some(ends) = ends {
                    metrics::set_certificate_ends(&app.name, ends);
                }
                ends.and_then(|ends| troubles::certificate_ends(app, ends, at))
            }
            Err(error) => Some(troubles::unreachable(&error)),
        };
        self.set(app, &troubles::OF_ADDRESS, found, at);
    }

    /// Whether nothing can be asked with an app's keys.
    async fn look_at_keys(&mut self, app: &App) -> bool {
        let print = fingerprint(app);
        if let Some(keys) = self.keys.get(&app.name).filter(|it| it.print == print) {
            let pause = match keys.doubtful {
                true => KEYS_AGAIN.min(self.parts.every),
                false => KEYS_EVERY,
            };
            if keys.tested.elapsed() < pause {
                return keys.useless;
            }
        }
        let found = self.parts.setup.test_app(app).await;
        let useless = found.iter().any(is_useless);
        let keys = Keys {
            print,
            tested: Instant::now(),
            doubtful: !found.is_empty(),
            useless,
        };
        self.keys.insert(app.name.clone(), keys);
        self.tell_keys(app, &found);
        useless
    }

    fn tell_keys(&mut self, app: &App, found: &[Finding]) {
        let troubles: Vec<_> = found.iter().filter_map(Finding::trouble).collect();
        match found.iter().find(|it| it.code == UNCHECKED) {
            // Of what was not asked nothing is known.
            Some(unchecked) => {
                let codes: Vec<_> = troubles.iter().map(|it| it.code).collect();
                self.set(app, &codes, troubles, now());
                self.log(app, "keys", &unchecked.sentence);
            }
            None => {
                self.set(app, &check::CHECKED, troubles, now());
                self.logged.remove(&format!("{} keys", app.name));
            }
        }
    }

    /// The next look tests them.
    fn doubt_keys(&mut self, app: &App) {
        if let Some(keys) = self.keys.get_mut(&app.name) {
            keys.doubtful = true;
        }
    }

    /// X does not list the webhooks: whether the next look is due soon.
    fn not_listed(&mut self, rules: &Rules, app: &App, error: &SetupError) -> bool {
        self.broken.insert(app.name.clone());
        self.log(app, "webhooks", &error.to_string());
        let SetupError::X { error, .. } = error else {
            return false;
        };
        match error {
            CallError::CreditsDepleted { upstream } => {
                let words = check::said(upstream);
                for account in rules.registry.accounts_of(&app.name) {
                    let found = troubles::credits(app, &words);
                    let subject = Subject::Account(account.id);
                    self.parts
                        .board
                        .set(&subject, &[found.code], [found], now());
                }
                false
            }
            CallError::Unauthorized { .. } | CallError::Refused(_) => {
                self.doubt_keys(app);
                true
            }
            _ => false,
        }
    }

    /// The webhook that leads here, valid or not, and whether it was mended.
    async fn look_at_webhook(
        &mut self,
        rules: &Rules,
        app: &App,
        listed: &[Webhook],
    ) -> Result<(Option<Webhook>, bool), StoreError> {
        let url = match self.parts.setup.own() {
            Ok(own) => own.url.webhook(&app.name),
            Err(_not_set) => return Ok((None, false)),
        };
        let repair = Repair::Webhook(app.name.clone());
        let ours = listed.iter().find(|webhook| webhook.url == url);
        let (found, soon) = match ours {
            Some(webhook) if webhook.valid => {
                self.rests.over(&repair);
                (None, false)
            }
            Some(webhook) => {
                self.doubt_keys(app);
                let mending = self.validate(app, webhook, repair).await;
                let soon = matches!(mending, Mending::Done);
                (Some(troubles::invalid(app, webhook, &mending)), soon)
            }
            None => self.missing(rules, app, listed, &url, repair).await?,
        };
        self.set(app, &troubles::OF_WEBHOOKS, found, now());
        Ok((ours.cloned(), soon))
    }

    async fn missing(
        &mut self,
        rules: &Rules,
        app: &App,
        listed: &[Webhook],
        url: &str,
        repair: Repair,
    ) -> Result<(Option<Trouble>, bool), StoreError> {
        let name = app.name.clone();
        let kept = self
            .parts
            .store
            .read(move |tx| tx.registered_webhook(&name));
        let is_ours = kept.await?.is_some_and(|kept| kept.url == url);
        if !is_ours {
            let found = troubles::never_registered(app, listed, &self.places);
            return Ok((Some(found), false));
        }
        let mending = self.register(rules, app, repair).await;
        let soon = matches!(mending, Mending::Done);
        Ok((Some(troubles::gone(app, &mending)), soon))
    }

    async fn validate(&mut self, app: &App, webhook: &Webhook, repair: Repair) -> Mending {
        if self.rests.is_resting(&repair, Instant::now()) {
            return Mending::Waits;
        }
        let passed = self.parts.setup.revalidate(app, webhook.id).await;
        self.rests.tried(repair, self.parts.every, Instant::now());
        match passed {
            Ok(true) => self.mended(app, "webhook_validated"),
            // X says no more than that; the look at our own address may.
            Ok(false) => {
                metrics::count_repair(&app.name, "webhook_validated", "refused");
                Mending::Waits
            }
            Err(error) => self.unmended(app, "webhook_validated", error),
        }
    }

    async fn register(&mut self, rules: &Rules, app: &App, repair: Repair) -> Mending {
        if self.rests.is_resting(&repair, Instant::now()) {
            return Mending::Waits;
        }
        let apps = rules.registry.apps();
        let registering = self.parts.setup.register(&Actor::Service, app, apps, false);
        let made = registering.await;
        self.rests.tried(repair, self.parts.every, Instant::now());
        match made {
            Ok(_webhook) => self.mended(app, "webhook_registered"),
            Err(error) => self.unmended(app, "webhook_registered", error),
        }
    }

    fn mended(&self, app: &App, what: &'static str) -> Mending {
        metrics::count_repair(&app.name, what, "done");
        tracing::info!(app = app.name, what, "the set-up at X was mended");
        Mending::Done
    }

    fn unmended(&self, app: &App, what: &'static str, error: SetupError) -> Mending {
        metrics::count_repair(&app.name, what, "refused");
        tracing::info!(app = app.name, what, %error, "the set-up at X was not mended");
        Mending::Failed(error)
    }

    /// The accounts that X may be asked for, and whether one is in doubt.
    async fn look_at_tokens<'r>(
        &mut self,
        rules: &'r Arc<Rules>,
        app: &'r App,
    ) -> Result<(Vec<&'r Account>, bool), StoreError> {
        let (mut good, mut doubtful) = (Vec::new(), false);
        for account in rules.registry.accounts_of(&app.name) {
            let id = account.id;
            let state = self
                .parts
                .store
                .read(move |tx| tx.account_state(id))
                .await?;
            if state.revoked_at.is_some() || !account.has_credential() {
                self.set_account(account, None);
                continue;
            }
            match self.look_at_token(rules, app, account).await? {
                Credential::Good => good.push(account),
                Credential::Low => {
                    // Its other subscriptions would be refused one by one.
                    let found = troubles::permission(app, account, "");
                    self.set_account(account, Some(found));
                    self.broken.insert(app.name.clone());
                }
                Credential::Dead => self.set_account(account, None),
                Credential::Unknown => {
                    doubtful |= self.refusals.contains_key(&account.id);
                    good.push(account);
                }
            }
        }
        good.sort_by_key(|account| account.id);
        Ok((good, doubtful))
    }

    async fn look_at_token(
        &mut self,
        rules: &Arc<Rules>,
        app: &App,
        account: &Account,
    ) -> Result<Credential, StoreError> {
        let answered = self
            .parts
            .client
            .identify(Auth::Account { app, account })
            .await;
        let (reply, heard, at) = (answered.reply, answered.heard, now());
        metrics::count_call(reply.call.name(), result_name(&reply.result));
        let (id, read, charged_by) = (account.id, reply.resources, Arc::clone(rules));
        let charge =
            move |tx: &mut crate::store::Tx<'_>| plan_check::charge(tx, &charged_by, id, read, at);
        self.parts.store.write(charge).await?;
        self.hear(app, &heard, at);
        match reply.result {
            Ok(_profile) => {
                self.refusals.remove(&id);
                let level = heard.access_level;
                let is_low = matches!(level, Some(AccessLevel::Read | AccessLevel::ReadWrite));
                Ok(if is_low {
                    Credential::Low
                } else {
                    Credential::Good
                })
            }
            Err(CallError::Unauthorized {
                upstream,
                revoked_for_sure,
            }) => {
                let refusals = self.refusals.entry(id).or_default();
                *refusals += 1;
                if !revoked_for_sure && *refusals < REFUSALS {
                    return Ok(Credential::Unknown);
                }
                let (account, reason) = (account.clone(), check::said(&upstream));
                let note =
                    move |tx: &mut crate::store::Tx<'_>| revoked::note_of(tx, &account, reason, at);
                self.parts.store.write(note).await?;
                Ok(Credential::Dead)
            }
            Err(_other) => Ok(Credential::Unknown),
        }
    }

    fn hear(&mut self, app: &App, heard: &Heard, at: Timestamp) {
        let off = heard.clock_off(at);
        if off.is_some_and(|off| off.abs() > CLOCK_TOLERANCE) {
            self.doubt_keys(app);
        }
    }

    fn resting(&self, accounts: &[&Account]) -> BTreeSet<AccountId> {
        let ids = accounts.iter().map(|account| account.id);
        let rests = |id: &AccountId| self.rests.is_resting(&Repair::Account(*id), Instant::now());
        ids.filter(rests).collect()
    }

    /// Whether every account of the app gets everything.
    fn tell_subscriptions(&mut self, look: &Look<'_>, seen: &Seen, at: Timestamp) -> bool {
        let app = look.app;
        let foreign: Vec<_> = seen.foreign.iter().map(String::as_str).collect();
        match foreign.is_empty() {
            true => drop(self.logged.remove(&format!("{} foreign", app.name))),
            false => self.log(
                app,
                "foreign",
                &format!(
                    "X delivers here what is not ours to end: {}",
                    foreign.join(", ")
                ),
            ),
        }
        for account in &look.accounts {
            let lacks = seen.lacks.get(&account.id).map_or(&[][..], Vec::as_slice);
            self.tell_account(look, account, lacks, at);
        }
        let all = look.registry.accounts_of(&app.name).count();
        seen.lacks.is_empty() && look.accounts.len() == all
    }

    fn tell_account(&mut self, look: &Look<'_>, account: &Account, lacks: &[Lack], at: Timestamp) {
        let repair = Repair::Account(account.id);
        let is_lasting = |lack: &Lack| matches!(&lack.why, Why::Refused(..) | Why::Taken(_));
        if lacks.is_empty() {
            self.rests.over(&repair);
            let subject = Subject::Account(account.id);
            self.parts.board.verified(subject, at);
        } else if !look.resting.contains(&account.id) {
            self.rests.tried(repair, self.parts.every, Instant::now());
        }
        // While it rests, what was found at the last try stands.
        if look.resting.contains(&account.id) && !lacks.iter().any(is_lasting) && !lacks.is_empty()
        {
            return;
        }
        let found = troubles::lacks(look.app, account, lacks);
        let subject = Subject::Account(account.id);
        self.parts
            .board
            .set(&subject, &troubles::OF_ACCOUNTS, found, at);
    }

    /// What X did not deliver meanwhile is a gap, once it delivers again.
    async fn note_delivery(
        &mut self,
        app: &App,
        complete: bool,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        if !complete {
            self.broken.insert(app.name.clone());
            return Ok(());
        }
        let was_broken = self.broken.remove(&app.name);
        let before = self.delivered.insert(app.name.clone(), at);
        if let Some(from) = before.filter(|_| was_broken) {
            let name = app.name.clone();
            let open = move |tx: &mut crate::store::Tx<'_>| {
                tx.open_gap(&name, from, now(), GapReason::Undelivered)
            };
            self.parts.store.write(open).await?;
        }
        self.parts
            .board
            .verified(Subject::App(app.name.clone()), at);
        Ok(())
    }

    fn set(
        &self,
        app: &App,
        codes: &[&'static str],
        found: impl IntoIterator<Item = Trouble>,
        at: Timestamp,
    ) {
        let subject = Subject::App(app.name.clone());
        self.parts.board.set(&subject, codes, found, at);
    }

    fn set_account(&self, account: &Account, found: Option<Trouble>) {
        let subject = Subject::Account(account.id);
        let codes = &troubles::OF_ACCOUNTS;
        self.parts.board.set(&subject, codes, found, now());
    }

    /// What lasts is logged once.
    fn log(&mut self, app: &App, about: &str, words: &str) {
        let key = format!("{} {about}", app.name);
        if self.logged.get(&key).is_none_or(|logged| logged != words) {
            tracing::warn!(app = app.name, "{words}");
            self.logged.insert(key, words.to_owned());
        }
    }
}

/// Whether with such keys nothing can be asked of X.
fn is_useless(finding: &Finding) -> bool {
    match finding.code {
        check::KEYS_WRONG => finding.field != "client_secret",
        "PRODUCT_MISSING" | "ENVIRONMENT_UNKNOWN" | "APP_SUSPENDED" => true,
        _ => false,
    }
}

/// Tells whether an app's keys are others, without keeping them.
fn fingerprint(app: &App) -> [u8; 32] {
    let mut hash = Sha256::new_with_prefix("app keys:");
    let owner = app.owner_token.as_ref();
    let secrets = [
        Some(&app.consumer_secret),
        app.bearer_token.as_ref(),
        app.client_secret.as_ref(),
        owner.map(|token| &token.token),
        owner.map(|token| &token.secret),
    ];
    for secret in secrets {
        hash.update(secret.map_or("", SecretString::expose_secret));
        hash.update([0]);
    }
    let open = (&app.consumer_key, &app.client_id, &app.delivery, app.tier);
    hash.update(format!("{open:?}"));
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repairs_that_fail_are_tried_less_and_less_often() {
        let (mut rests, repair) = (Rests::default(), Repair::Webhook("acme".to_owned()));
        let (every, mut now) = (Duration::from_mins(3), Instant::now());
        assert!(!rests.is_resting(&repair, now));
        for minutes in [3, 6, 12, 24, 30, 30] {
            rests.tried(repair.clone(), every, now);
            let until = now + Duration::from_mins(minutes);
            let nearly = until - Duration::from_secs(1);
            assert!(rests.is_resting(&repair, nearly), "{minutes}");
            assert!(!rests.is_resting(&repair, until), "{minutes}");
            now = until;
        }
        rests.over(&repair);
        rests.tried(repair.clone(), every, now);
        assert!(!rests.is_resting(&repair, now + every));
    }
}
