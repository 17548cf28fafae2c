//! The rules of the filtered stream. They belong to the app; a change works without a new
//! connection, usually within 20 s.

use reqwest::Method;
use serde_json::{Value, json};

use crate::domain::account::App;
use crate::domain::ids::StreamRuleId;
use crate::x::client::auth::Auth;
use crate::x::client::call::Call;
use crate::x::client::error::{CallError, NotSent, Upstream};
use crate::x::client::posts::{expect_something, id, no_result, not_sent, parse};
use crate::x::client::send::{Request, Sent};
use crate::x::client::timelines::PageToken;
use crate::x::client::transport::read_object;
use crate::x::client::{Client, Reply, Resources, classify};
use crate::x::wire::answer::{Envelope, Problem, StreamRule};
use crate::x::wire::{List, Raw};

const PATH: &str = "2/tweets/search/stream/rules";
/// Most rules in one request: as many as a self-serve app may have.
const MOST: usize = 1_000;
/// Longest rule, characters: an Enterprise app's; X refuses those of self-serve beyond 1,024.
const LONGEST: usize = 2_048;

/// A rule that X has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub id: StreamRuleId,
    pub value: String,
    /// Empty without. It cannot be changed, only deleted with its rule.
    pub tag: String,
}

/// A page of an app's rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    pub rules: Vec<Rule>,
    /// `None` on the last page.
    pub next: Option<PageToken>,
}

/// A rule to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewRule<'a> {
    pub value: &'a str,
    /// May be empty.
    pub tag: &'a str,
}

/// What became of rules to be added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RulesAdded {
    /// Of a dry run, those that would be.
    pub rules: Vec<Rule>,
    pub refused: Vec<RefusedRule>,
}

/// A rule that X did not take, with its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedRule {
    pub value: String,
    /// The rule that says the same already.
    pub existing: Option<StreamRuleId>,
    pub upstream: Upstream,
}

/// What became of rules to be deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RulesDeleted {
    pub deleted: u32,
    /// Not there, for example.
    pub not_deleted: u32,
}

impl Client {
    /// The rules of an app, up to 1,000 a page.
    pub async fn stream_rules(&self, app: &App, from: Option<&PageToken>) -> Reply<Rules> {
        let request = Request::new(Call::StreamRules, Method::GET, PATH).page(from);
        let sent = self.send(Auth::App(app), &request).await;
        sent.read(|answer, envelope| {
            self.refuse_errors_alone(answer, envelope)?;
            let rules = Rules {
                rules: rules(envelope.data),
                next: PageToken::read(envelope.meta.as_ref()),
            };
            Ok((rules, Resources::default()))
        })
    }

    /// Adds rules; with `dry_run` X only says what it would take. Rules that X refuses stand beside
    /// those that it took, also where it refused all.
    pub async fn add_stream_rules(
        &self,
        app: &App,
        new: &[NewRule<'_>],
        dry_run: bool,
    ) -> Reply<RulesAdded> {
        if let Err(error) = check(new) {
            return not_sent(Call::ChangeStreamRules, error);
        }
        let rules: Vec<_> = new.iter().map(NewRule::body).collect();
        let sent = self.change(app, json!({"add": rules}), dry_run).await;
        if let Some(refused) = all_refused(&sent) {
            return Reply {
                call: sent.call,
                limits: sent.limits,
                result: Ok(refused),
                resources: Resources::default(),
            };
        }
        sent.read(|answer, envelope| {
            expect_something(answer, envelope)?;
            let upstream = |problem: &Problem<'_>| answer.upstream(problem);
            Ok((added(envelope, upstream), Resources::default()))
        })
    }

    /// Deletes rules of an app.
    pub async fn delete_stream_rules(
        &self,
        app: &App,
        ids: &[StreamRuleId],
        dry_run: bool,
    ) -> Reply<RulesDeleted> {
        if let Err(error) = check_count(ids.len()) {
            return not_sent(Call::ChangeStreamRules, error);
        }
        let body = json!({"delete": {"ids": ids}});
        let sent = self.change(app, body, dry_run).await;
        sent.read(|answer, envelope| {
            // Errors may stand beside what was done; the numbers say what.
            if let Some(deleted) = deleted(envelope) {
                return Ok((deleted, Resources::default()));
            }
            self.refuse_errors_alone(answer, envelope)?;
            Err(no_result(answer, envelope))
        })
    }

    async fn change(&self, app: &App, body: Value, dry_run: bool) -> Sent {
        let request = Request::new(Call::ChangeStreamRules, Method::POST, PATH).json(body);
        let request = match dry_run {
            true => request.query("dry_run", true),
            false => request,
        };
        self.send(Auth::App(app), &request).await
    }
}

impl NewRule<'_> {
    fn body(&self) -> Value {
        match self.tag {
            "" => json!({"value": self.value}),
            tag => json!({"value": self.value, "tag": tag}),
        }
    }
}

fn check(new: &[NewRule<'_>]) -> Result<(), CallError> {
    check_count(new.len())?;
    let lengths = new.iter().map(|rule| rule.value.chars().count());
    match lengths
        .into_iter()
        .find(|length| !(1..=LONGEST).contains(length))
    {
        Some(length) => Err(unaskable(format!(
            "a rule of {length} characters, expected 1 to {LONGEST}"
        ))),
        None => Ok(()),
    }
}

fn check_count(count: usize) -> Result<(), CallError> {
    match (1..=MOST).contains(&count) {
        true => Ok(()),
        false => Err(unaskable(format!("{count} rules, expected 1 to {MOST}"))),
    }
}

fn unaskable(why: String) -> CallError {
    NotSent::Unaskable(why).into()
}

/// Rules that X shows; one without a readable id cannot be deleted and is left out.
fn rules(data: Option<Raw<'_>>) -> Vec<Rule> {
    let listed: Option<List<StreamRule<'_>>> = data.and_then(parse);
    let listed = listed.unwrap_or_default();
    let rules = listed.iter().filter_map(|rule| {
        Some(Rule {
            id: id(rule.id)?,
            value: rule.value.to_string(),
            tag: rule.tag.to_string(),
        })
    });
    rules.collect()
}

fn added(envelope: &Envelope<'_>, upstream: impl Fn(&Problem<'_>) -> Upstream) -> RulesAdded {
    let refused = envelope.errors.iter().map(|problem| RefusedRule {
        value: problem.value.to_string(),
        existing: problem.id.parse().ok(),
        upstream: upstream(problem),
    });
    RulesAdded {
        rules: rules(envelope.data),
        refused: refused.collect(),
    }
}

/// A refusal that says of each rule what is wrong with it; `None` for any other answer.
fn all_refused(sent: &Sent) -> Option<RulesAdded> {
    let refusal = sent.result.as_ref().err()?.upstream()?;
    let envelope: Envelope<'_> = read_object(&sent.refusal)?;
    let is_of_rules = envelope.errors.iter().all(|it| !it.value.is_empty());
    let is_told = is_of_rules && !envelope.errors.is_empty();
    let (status, transaction) = (refusal.status, &refusal.transaction_id);
    let upstream = |problem: &Problem<'_>| classify::upstream(status, problem, transaction);
    is_told.then(|| added(&envelope, upstream))
}

fn deleted(envelope: &Envelope<'_>) -> Option<RulesDeleted> {
    let summary = envelope.meta.as_ref()?.summary.as_ref()?;
    let deleted = (*summary.deleted)?;
    Some(RulesDeleted {
        deleted,
        not_deleted: summary.not_deleted.unwrap_or(0),
    })
}
