//! The other way: apps, accounts and filters as the keys of the configuration, without a secret.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Map, Value, json};

use crate::domain::account::{Account, App, Delivery, Keywords, PollMentions, Sending, Tier};
use crate::domain::filter::{Filter, Match};

/// A table of settings.
type Table = Map<String, Value>;

fn table(value: Value) -> Table {
    match value {
        Value::Object(table) => table,
        _ => Table::new(),
    }
}

/// An app by the keys of `[[apps]]`; of its credentials only the names.
pub fn app(app: &App) -> Table {
    let (delivery, environment) = match &app.delivery {
        Delivery::Activity => ("activity", ""),
        Delivery::AccountActivity => ("account_activity", ""),
        Delivery::AccountActivityV1 { environment } => {
            ("account_activity_v1", environment.as_str())
        }
    };
    let tier = match app.tier {
        Tier::SelfServe => "self_serve",
        Tier::Enterprise => "enterprise",
    };
    table(json!({
        "name": app.name,
        "client_id": app.client_id.as_deref().unwrap_or_default(),
        "delivery": delivery,
        "environment": environment,
        "tier": tier,
    }))
}

/// Which credentials an app has, by their keys.
pub fn app_secrets(app: &App) -> Vec<&'static str> {
    let owner = app.owner_token.is_some();
    let has = [
        ("consumer_key", true),
        ("consumer_secret", true),
        (
            "previous_consumer_secret",
            app.previous_consumer_secret.is_some(),
        ),
        ("bearer_token", app.bearer_token.is_some()),
        ("client_secret", app.client_secret.is_some()),
        ("owner_access_token", owner),
        ("owner_access_token_secret", owner),
    ];
    has.into_iter()
        .filter(|(_, has)| *has)
        .map(|(key, _)| key)
        .collect()
}

/// An account by the keys of `[[accounts]]`.
pub fn account(account: &Account) -> Table {
    let sending = match account.sending {
        Sending::Live => "live",
        Sending::Hold => "hold",
        Sending::Refuse => "refuse",
    };
    let keywords = match account.feeds.keywords {
        Keywords::None => "none",
        Keywords::Stream => "stream",
        Keywords::Search => "search",
    };
    let poll_mentions = match account.feeds.poll_mentions {
        PollMentions::Auto => "auto",
        PollMentions::On => "on",
        PollMentions::Off => "off",
    };
    let blocked: Vec<_> = account.blocked.iter().map(ToString::to_string).collect();
    let budget = account.monthly_budget.map(|budget| budget.to_string());
    table(json!({
        "app": account.app,
        "id": account.id.to_string(),
        "username": account.username,
        "sending": sending,
        "blocked": blocked,
        "max_post_length": account.max_post_length,
        "monthly_budget_usd": budget,
        "fetch_parents": account.enrich.parents,
        "fetch_profiles": account.enrich.profiles,
        "keywords": keywords,
        "search_every": time(account.feeds.search_every),
        "poll_mentions": poll_mentions,
        "mentions_every": time(account.feeds.mentions_every),
    }))
}

/// A duration as settings have it.
fn time(time: Duration) -> String {
    match time.subsec_millis() {
        0 => format!("{}s", time.as_secs()),
        _ => format!("{}ms", time.as_millis()),
    }
}

/// A filter by the keys of `[[filters]]`, its account left out.
pub fn filter(filter: &Filter) -> Table {
    let mut written = table(json!({
        "name": filter.route.filter,
        "group": filter.route.group,
        "tags": filter.route.tags,
        "reposts": filter.reposts,
        "own": filter.own,
        "verified": filter.conditions.verified,
        "min_followers": filter.conditions.min_followers.unwrap_or_default(),
        "message_requests": filter.conditions.message_requests,
    }));
    if let Some(age) = filter.conditions.min_account_age {
        let age = SignedDuration::try_from(age).unwrap_or(SignedDuration::MAX);
        written.insert(
            "min_account_age".to_owned(),
            format!("{}s", age.as_secs()).into(),
        );
    }
    if let Some(storm) = filter.storm {
        let storm = json!({"messages": storm.messages, "per": time(storm.per)});
        written.insert("storm".to_owned(), storm);
    }
    let word = match &filter.matches {
        Match::DirectMessages => "direct_messages",
        Match::Mentions { explicit_only } => {
            written.insert("explicit_only".to_owned(), (*explicit_only).into());
            "mentions"
        }
        Match::Replies => "replies",
        Match::Quotes => "quotes",
        Match::Term(term) => {
            written.insert("term".to_owned(), term.to_string().into());
            "term"
        }
    };
    written.insert("match".to_owned(), word.into());
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Known;
    use crate::settings::declared::{entered_account, entered_app, entered_filter};

    #[test]
    fn what_is_written_is_read_as_the_same() {
        let mut known = Known::default();
        let mut keys = table(json!({
            "name": "acme", "consumer_key": "ck", "consumer_secret": "cs", "tier": "enterprise",
            "delivery": "account_activity_v1", "environment": "prod", "client_id": "id",
        }));
        let read = entered_app(keys.clone(), &mut known).unwrap();
        keys.extend(app(&read));
        let again = entered_app(keys, &mut Known::default()).unwrap();
        assert_eq!(app(&again), app(&read));
        assert_eq!(app_secrets(&read), ["consumer_key", "consumer_secret"]);

        let keys = table(json!({
            "app": "acme", "id": "7", "username": "acme", "sending": "hold", "blocked": ["8"],
            "max_post_length": 300, "monthly_budget_usd": "5.50", "fetch_parents": true,
            "keywords": "stream", "search_every": "1500ms", "poll_mentions": "on", "mentions_every": "2m",
        }));
        let read = entered_account(keys, &mut known).unwrap();
        let beside = &mut Known::of([&again], []);
        let again = entered_account(account(&read), beside).unwrap();
        assert_eq!(account(&again), account(&read));
    }

    #[test]
    fn each_kind_of_filter_is_written_as_it_is_read() {
        let mut known = Known::default();
        let keys = json!({"name": "acme", "consumer_key": "ck", "consumer_secret": "cs"});
        entered_app(table(keys), &mut known).unwrap();
        let keys = json!({"app": "acme", "id": "7", "username": "acme"});
        entered_account(table(keys), &mut known).unwrap();
        for one in [
            json!({"match": "direct_messages", "message_requests": false}),
            json!({"match": "mentions", "explicit_only": true, "min_followers": 3}),
            json!({"match": "replies", "verified": true, "min_account_age": "36h", "own": true}),
            json!({"match": "quotes", "name": "q", "tags": ["a", "b"], "reposts": true}),
            json!({"match": "term", "term": "#acmehelp", "storm": {"messages": 200, "per": "90m"}}),
        ] {
            let mut keys = table(one);
            keys.extend(table(json!({"account": "7", "group": "support"})));
            let read = entered_filter(keys, &known).unwrap();
            let mut keys = filter(&read);
            keys.insert("account".to_owned(), "7".into());
            assert_eq!(entered_filter(keys, &known).unwrap(), read);
        }
    }
}
