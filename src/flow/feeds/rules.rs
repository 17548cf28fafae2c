//! The rules of an app's stream, kept as the filters want them. Others' rules are left alone.

use std::collections::{BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};

use super::queries::{Query, Terms, longest_rule};
use super::source::{Halt, Source, filters};
use crate::domain::account::{Account, App, Keywords};
use crate::domain::event::Effect;
use crate::domain::ids::StreamRuleId;
use crate::flow::reads;
use crate::flow::rules::Rules;
use crate::flow::watch::{Subject, Trouble};
use crate::x::client::stream::{NewRule, RefusedRule, Rule};

/// Tells our rules from others'.
const TAG: &str = "twitter-channel";
/// X's rules are looked at again though nothing has changed here.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_mins(15);
/// Rules are mended so often in one look, where X refuses some.
const TRIES: usize = 3;

/// What is known of the rules of one app.
#[derive(Default)]
pub(super) struct Kept {
    /// In force, as of the last look.
    in_force: Option<(Vec<Query>, Timestamp)>,
    /// Terms that X refuses, and those that it takes only by themselves.
    refused: BTreeSet<String>,
    alone: BTreeSet<String>,
    /// Rules that are not ours, as they were last told of.
    foreign: Vec<String>,
}

impl Source {
    /// The accounts whose terms the app's stream looks for: those that are not over their budget.
    pub(super) async fn streamed<'r>(
        &self,
        rules: &'r Rules,
        app: &'r str,
    ) -> Result<Vec<&'r Account>, Halt> {
        let mut streamed = Vec::new();
        for account in rules.registry.accounts_of(app) {
            let wanted = account.feeds.keywords == Keywords::Stream;
            if wanted && !reads::is_over_budget(&self.store, account, Timestamp::now()).await? {
                streamed.push(account);
            }
        }
        streamed.sort_by_key(|account| account.id);
        Ok(streamed)
    }

    /// Makes X's rules those that the filters want; how many there are.
    pub(super) async fn keep_rules(
        &self,
        rules: &Rules,
        app: &App,
        kept: &mut Kept,
        now: Timestamp,
    ) -> Result<usize, Halt> {
        let accounts = self.streamed(rules, &app.name).await?;
        for _ in 0..TRIES {
            let wanted = self.wanted(rules, app, &accounts, kept).await?;
            if let Some((known, at)) = &kept.in_force
                && *known == wanted
                && now.duration_since(*at) < LOOK_AGAIN
            {
                break;
            }
            if self.change(app, &wanted, kept).await? {
                kept.in_force = Some((wanted, now));
                break;
            }
        }
        self.tell_refused(rules, &accounts, kept, now);
        let in_force = kept.in_force.as_ref();
        Ok(in_force.map_or(0, |(queries, _)| queries.len()))
    }

    async fn wanted(
        &self,
        rules: &Rules,
        app: &App,
        accounts: &[&Account],
        kept: &Kept,
    ) -> Result<Vec<Query>, Halt> {
        let (mut terms, mut stormy) = (Terms::default(), Vec::new());
        for account in accounts {
            terms.add(filters(rules, account));
            stormy.extend(self.stormy(account.id).await?);
        }
        terms.without(&kept.refused);
        let longest = longest_rule(app.tier);
        let alone = terms.take(&kept.alone);
        let mut wanted = terms.rules(&stormy, longest);
        for term in alone {
            wanted.extend(term.rules(&stormy, longest));
        }
        Ok(wanted)
    }

    /// Adds what is missing, then takes away what is too much: nothing is missed in between. False
    /// where X refused some of it, which `kept` knows then.
    async fn change(&self, app: &App, wanted: &[Query], kept: &mut Kept) -> Result<bool, Halt> {
        let (ours, others): (Vec<_>, Vec<_>) = self
            .rules_of(app)
            .await?
            .into_iter()
            .partition(|rule| rule.tag == TAG);
        tell_foreign(&app.name, &others, kept);
        let is_there = |query: &&Query| {
            let mut all = ours.iter().chain(&others);
            all.any(|rule| rule.value == query.value)
        };
        let missing: Vec<_> = wanted.iter().filter(|it| !is_there(it)).collect();
        let refused = self.add(app, &missing).await?;
        let surplus = ours.iter();
        let surplus = surplus.filter(|rule| wanted.iter().all(|it| it.value != rule.value));
        let surplus: Vec<_> = surplus.map(|rule| rule.id).collect();
        self.delete(app, &surplus).await?;
        if !(missing.is_empty() && surplus.is_empty()) {
            let (added, deleted) = (missing.len() - refused.len(), surplus.len());
            tracing::info!(
                app = app.name,
                added,
                deleted,
                "the stream's rules have changed"
            );
        }
        for rule in &refused {
            let of: HashMap<_, _> = missing.iter().map(|it| (&*it.value, &it.terms)).collect();
            let terms = of.get(&*rule.value).map_or(&[][..], |terms| terms);
            self.narrow_down(app, terms, kept).await?;
        }
        Ok(refused.is_empty())
    }

    async fn rules_of(&self, app: &App) -> Result<Vec<Rule>, Halt> {
        let (mut rules, mut from) = (Vec::new(), None);
        loop {
            let reply = self.client.stream_rules(app, from.as_ref()).await;
            self.note(&app.name, None, &reply);
            let page = reply.result?;
            rules.extend(page.rules);
            match page.next {
                Some(next) => from = Some(next),
                None => return Ok(rules),
            }
        }
    }

    /// The rules that X did not take.
    async fn add(&self, app: &App, queries: &[&Query]) -> Result<Vec<RefusedRule>, Halt> {
        let new: Vec<_> = queries.iter().map(|it| rule(&it.value)).collect();
        self.ask_to_add(app, &new, false).await
    }

    async fn ask_to_add(
        &self,
        app: &App,
        new: &[NewRule<'_>],
        dry_run: bool,
    ) -> Result<Vec<RefusedRule>, Halt> {
        if new.is_empty() {
            return Ok(Vec::new());
        }
        let reply = self.client.add_stream_rules(app, new, dry_run).await;
        self.note(&app.name, None, &reply);
        let mut refused = reply.result?.refused;
        // One that says the same is there already.
        refused.retain(|rule| rule.existing.is_none());
        for rule in refused.iter().filter(|_| !dry_run) {
            tracing::warn!(app = app.name, rule = rule.value, upstream = %rule.upstream, "X refuses a rule");
        }
        Ok(refused)
    }

    async fn delete(&self, app: &App, ids: &[StreamRuleId]) -> Result<(), Halt> {
        if ids.is_empty() {
            return Ok(());
        }
        let reply = self.client.delete_stream_rules(app, ids, false).await;
        self.note(&app.name, None, &reply);
        reply.result?;
        Ok(())
    }

    /// Finds out for which terms X refuses a rule.
    async fn narrow_down(&self, app: &App, terms: &[String], kept: &mut Kept) -> Result<(), Halt> {
        if let [term] = terms {
            kept.refused.insert(term.clone());
            return Ok(());
        }
        let singles: Vec<_> = terms.iter().map(|term| rule(term)).collect();
        let refused = self.ask_to_add(app, &singles, true).await?;
        if refused.is_empty() {
            kept.alone.extend(terms.iter().cloned());
        }
        kept.refused
            .extend(refused.into_iter().map(|rule| rule.value));
        Ok(())
    }

    fn tell_refused(&self, rules: &Rules, accounts: &[&Account], kept: &Kept, now: Timestamp) {
        for account in accounts {
            let mut terms = Terms::default();
            terms.add(filters(rules, account));
            let refused = terms.of(&kept.refused);
            let all: Vec<_> = terms.unsaid.iter().chain(refused).cloned().collect();
            let trouble = (!all.is_empty()).then(|| refused_terms(account, &all));
            let subject = Subject::Account(account.id);
            self.board.set(&subject, &["TERMS_REFUSED"], trouble, now);
        }
    }
}

fn rule(value: &str) -> NewRule<'_> {
    NewRule { value, tag: TAG }
}

fn refused_terms(account: &Account, terms: &[String]) -> Trouble {
    Trouble {
        code: "TERMS_REFUSED",
        effect: Effect::Nothing,
        since: None,
        sentence: format!(
            "X's stream cannot look for these terms of @{}: {}.",
            account.username,
            terms.join(", ")
        ),
        fix: "Write them otherwise in the account's filters, as #tag, @name, words or a phrase."
            .to_owned(),
        fix_url: String::new(),
    }
}

/// Rules of somebody else: they are left alone, and X charges for what they match.
fn tell_foreign(app: &str, others: &[Rule], kept: &mut Kept) {
    let names: Vec<_> = others.iter().map(|rule| rule.value.clone()).collect();
    if names != kept.foreign && !names.is_empty() {
        tracing::warn!(app, rules = ?names, "the app's stream has rules that are not ours; X charges for what they match");
    }
    kept.foreign = names;
}
