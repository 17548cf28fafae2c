//! The rules of the filtered stream: listed, added, taken away, tried out.

use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, Outcome};
use super::problem;
use super::serve::Call;
use super::settings::Tier;
use crate::forms::json::{non_empty, with};
use crate::model::{App, Query, Rule, format};

const TIME: &str = "%Y-%m-%dT%H:%M:%S.%3fZ";

/// How many rules of how many characters.
fn bounds(tier: Tier) -> (usize, usize) {
    match tier {
        Tier::SelfServe => (1_000, 1_024),
        Tier::Enterprise => (25_000, 2_048),
    }
}

/// `POST /2/tweets/search/stream/rules`: one of the two.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    #[serde(default)]
    add: Vec<NewRule>,
    delete: Option<Unwanted>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewRule {
    value: String,
    #[serde(default)]
    tag: String,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Unwanted {
    ids: Vec<String>,
    values: Vec<String>,
}

/// `GET /2/tweets/search/stream/rules`
pub(super) fn list(call: Call<'_>) -> Outcome {
    known(&call, &["ids", "max_results", "pagination_token"])?;
    let wanted = call.incoming.parameter("ids");
    let is_wanted = |rule: &&Rule| {
        let id = rule.id.to_string();
        wanted.is_none_or(|ids| ids.split(',').any(|wanted| wanted == id))
    };
    let rules = app(&call)?.rules.iter().filter(is_wanted);
    let data: Vec<Value> = rules.map(shown).collect();
    let meta = json!({ "sent": now(&call), "result_count": data.len() });
    let body = with(json!({}), "data", non_empty(data));
    Ok(Answer::ok(&with(body, "meta", Some(meta))))
}

/// `GET /2/tweets/search/stream/rules/counts`
pub(super) fn counts(call: Call<'_>) -> Outcome {
    known(&call, &["rules_count.fields"])?;
    let app = app(&call)?;
    let cap = bounds(call.state.settings.tier).0.to_string();
    let own = json!({ "client_app_id": app.id.to_string(), "rule_count": app.rules.len() });
    Ok(Answer::ok(&json!({ "data": {
        "cap_per_client_app": cap,
        "cap_per_project": cap,
        "client_app_rules_count": own,
        "project_rules_count": app.rules.len().to_string(),
    }})))
}

/// `POST /2/tweets/search/stream/rules`
pub(super) fn change(call: Call<'_>) -> Outcome {
    known(&call, &["dry_run", "delete_all"])?;
    let is_set = |name| call.incoming.parameter(name) == Some("true");
    let (dry_run, delete_all) = (is_set("dry_run"), is_set("delete_all"));
    if delete_all && call.incoming.body.is_empty() {
        return delete(call, |_| true, dry_run, 0);
    }
    let change: Change = call.incoming.json()?;
    match change.delete {
        _ if delete_all => delete(call, |_| true, dry_run, 0),
        Some(unwanted) if change.add.is_empty() => {
            let asked = unwanted.ids.len() + unwanted.values.len();
            let is_unwanted = move |rule: &Rule| {
                unwanted.ids.contains(&rule.id.to_string()) || unwanted.values.contains(&rule.value)
            };
            delete(call, is_unwanted, dry_run, asked)
        }
        None if !change.add.is_empty() => add(call, change.add, dry_run),
        _ => Err(problem::invalid(
            "body",
            "",
            "Exactly one of [add, delete] is required",
        )),
    }
}

fn delete(
    call: Call<'_>,
    is_unwanted: impl Fn(&Rule) -> bool,
    dry_run: bool,
    asked: usize,
) -> Outcome {
    let found = app(&call)?
        .rules
        .iter()
        .filter(|rule| is_unwanted(rule))
        .count();
    if !dry_run {
        let app = call
            .world
            .app_mut(&call.caller.app)
            .map_err(|_gone| problem::unauthorized())?;
        app.rules.retain(|rule| !is_unwanted(rule));
    }
    let summary = json!({ "deleted": found, "not_deleted": asked.saturating_sub(found) });
    let meta = json!({ "sent": now(&call), "summary": summary });
    Ok(Answer::ok(&json!({ "meta": meta })).with_effect("rules", None))
}

fn add(mut call: Call<'_>, rules: Vec<NewRule>, dry_run: bool) -> Outcome {
    let (cap, length) = bounds(call.state.settings.tier);
    if app(&call)?.rules.len() + rules.len() > cap {
        let detail = format!("Rules cannot be added: there may be {cap} of them.");
        return Err(problem::typed(422, "rule-cap", "RulesCapExceeded", &detail));
    }
    let (mut data, mut errors) = (Vec::new(), Vec::new());
    for rule in rules {
        match fault(app(&call)?, &rule, length) {
            Some(error) => errors.push(error),
            None => data.push(added(&mut call, &rule, dry_run)?),
        }
    }
    let (created, refused) = (data.len(), errors.len());
    let summary = json!({
        "created": created, "not_created": refused, "valid": created, "invalid": refused,
    });
    let meta = json!({ "sent": now(&call), "summary": summary });
    let body = with(json!({}), "data", non_empty(data));
    let body = with(body, "errors", non_empty(errors));
    let status = if dry_run || created == 0 { 200 } else { 201 };
    Ok(Answer::json(status, &with(body, "meta", Some(meta))).with_effect("rules", None))
}

/// What stands in the way of a rule.
fn fault(app: &App, rule: &NewRule, length: usize) -> Option<Value> {
    let problem = |kind: &str, title: &str| json!({ "value": rule.value, "title": title, "type": problem::kind(kind) });
    if let Some(twin) = app.rules.iter().find(|known| known.value == rule.value) {
        let error = problem("duplicate-rules", "DuplicateRule");
        return Some(with(error, "id", Some(json!(twin.id.to_string()))));
    }
    let (kind, title, detail) = if rule.value.chars().count() > length {
        let detail = format!("Rules must be at most {length} characters long");
        ("rule-length", "RuleLengthExceeded", detail)
    } else {
        let message = Query::parse(&rule.value).err()?;
        ("invalid-rules", "UnprocessableEntity", message)
    };
    Some(with(problem(kind, title), "details", Some(json!([detail]))))
}

/// The rule as X shows it; the id of one that is but tried out leads nowhere.
fn added(call: &mut Call<'_>, rule: &NewRule, dry_run: bool) -> Result<Value, Box<Answer>> {
    let id = if dry_run {
        call.world.next_id().to_string()
    } else {
        let added = call
            .world
            .add_rule(&call.caller.app, &rule.value, &rule.tag);
        let added = added.map_err(|refused| problem::invalid("add", "", &refused.to_string()))?;
        added.to_string()
    };
    let value = json!({ "id": id, "value": rule.value });
    let tag = (!rule.tag.is_empty()).then(|| json!(rule.tag));
    Ok(with(value, "tag", tag))
}

fn shown(rule: &Rule) -> Value {
    let value = json!({ "id": rule.id.to_string(), "value": rule.value });
    let tag = (!rule.tag.is_empty()).then(|| json!(rule.tag));
    with(value, "tag", tag)
}

fn app<'a>(call: &'a Call<'_>) -> Result<&'a App, Box<Answer>> {
    let app = call.world.app(&call.caller.app);
    app.map_err(|_gone| problem::unauthorized())
}

fn now(call: &Call<'_>) -> String {
    format(call.world.now_ms(), TIME)
}

/// X refuses parameters that it does not know.
pub(super) fn known(call: &Call<'_>, parameters: &[&str]) -> Result<(), Box<Answer>> {
    let mut given = call.incoming.query.iter();
    match given.find(|(name, _)| !parameters.contains(&name.as_str())) {
        None => Ok(()),
        Some((name, value)) => {
            let message = format!("The query parameter [{name}] is not known");
            Err(problem::invalid(name, value, &message))
        }
    }
}
