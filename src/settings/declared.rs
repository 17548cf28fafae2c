//! Apps, accounts and filters that the configuration declares, and what they say of each other.

use secrecy::ExposeSecret;
use serde_json::{Map, Value};

use super::fault::{Faults, SettingsFaults};
use super::reader::Reader;
use super::value::{self, Parsed};
use crate::domain::account::{
    AccessToken, Account, App, Delivery, Enrich, Feeds, Keywords, PollMentions, Sending, Tier,
};
use crate::domain::filter::{Filter, Match, Route, SpamConditions};
use crate::domain::ids::AccountId;
use crate::domain::storm::StormLimit;

/// What the configuration declares of X.
#[derive(Clone, Debug, Default)]
pub(crate) struct Declared {
    pub(crate) apps: Vec<App>,
    pub(crate) accounts: Vec<Account>,
    pub(crate) filters: Vec<Filter>,
}

/// [`Match`] before its other keys are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum MatchWord {
    DirectMessages,
    Mentions,
    Replies,
    Quotes,
    Term,
}

const MATCHES: [(&str, MatchWord); 5] = [
    ("direct_messages", MatchWord::DirectMessages),
    ("mentions", MatchWord::Mentions),
    ("replies", MatchWord::Replies),
    ("quotes", MatchWord::Quotes),
    ("term", MatchWord::Term),
];

/// What accounts and filters may refer to: also what has faults of its own, lest one fault cause
/// another.
#[derive(Debug, Default)]
pub struct Known {
    apps: Vec<String>,
    accounts: Vec<KnownAccount>,
}

/// `None` for what is missing or faulty.
#[derive(Debug)]
struct KnownAccount {
    id: Option<AccountId>,
    username: Option<String>,
}

impl KnownAccount {
    fn is_called(&self, username: &str) -> bool {
        let own = self.username.as_deref();
        own.is_some_and(|own| own.eq_ignore_ascii_case(username))
    }
}

impl Known {
    /// What is in force.
    pub fn of<'a>(
        apps: impl IntoIterator<Item = &'a App>,
        accounts: impl IntoIterator<Item = &'a Account>,
    ) -> Self {
        let known = |account: &Account| KnownAccount {
            id: Some(account.id),
            username: Some(account.username.clone()),
        };
        Self {
            apps: apps.into_iter().map(|app| app.name.clone()).collect(),
            accounts: accounts.into_iter().map(known).collect(),
        }
    }
}

/// Reads an app as an administrator enters it: the keys of `[[apps]]`, files excepted.
///
/// # Errors
/// All that is wrong with it.
pub(crate) fn entered_app(
    table: Map<String, Value>,
    known: &mut Known,
) -> Result<App, SettingsFaults> {
    entered(table, |r| app(r, known))
}

/// The same with the keys of `[[accounts]]`.
///
/// # Errors
/// All that is wrong with it.
pub(crate) fn entered_account(
    table: Map<String, Value>,
    known: &mut Known,
) -> Result<Account, SettingsFaults> {
    entered(table, |r| account(r, known))
}

/// The same with the keys of `[[filters]]`.
///
/// # Errors
/// All that is wrong with it.
pub(crate) fn entered_filter(
    table: Map<String, Value>,
    known: &Known,
) -> Result<Filter, SettingsFaults> {
    entered(table, |r| filter(r, known))
}

fn entered<T>(
    table: Map<String, Value>,
    read: impl FnOnce(&mut Reader<'_>) -> Option<T>,
) -> Result<T, SettingsFaults> {
    let faults = Faults::of_entry();
    let read = Reader::read("", trimmed(table), &faults, read);
    match (read, faults.into_vec()) {
        (Some(read), faults) if faults.is_empty() => Ok(read),
        (_, faults) => Err(SettingsFaults(faults)),
    }
}

/// What is pasted brings blanks and ends of lines along.
fn trimmed(table: Map<String, Value>) -> Map<String, Value> {
    let trim = |value| match value {
        Value::String(text) => Value::String(text.trim().to_owned()),
        other => other,
    };
    let entries = table.into_iter();
    entries.map(|(key, value)| (key, trim(value))).collect()
}

pub(crate) fn declared(r: &mut Reader<'_>) -> Declared {
    let mut known = Known::default();
    Declared {
        apps: r.tables("apps", |r| app(r, &mut known)),
        accounts: r.tables("accounts", |r| account(r, &mut known)),
        filters: r.tables("filters", |r| filter(r, &known)),
    }
}

fn app(r: &mut Reader<'_>, known: &mut Known) -> Option<App> {
    let tiers = [
        ("self_serve", Tier::SelfServe),
        ("enterprise", Tier::Enterprise),
    ];
    let name = r.required("name", |value| new_app(value, known));
    known.apps.extend(name.clone());
    let consumer_key = r.required_secret("consumer_key");
    let consumer_secret = r.required_secret("consumer_secret");
    let previous_consumer_secret = r.secret("previous_consumer_secret");
    let bearer_token = r.secret("bearer_token");
    let client_id = r.optional("client_id", value::text);
    let client_secret = r.secret("client_secret");
    let owner_token = token_pair(r, "owner_access_token", "owner_access_token_secret");
    let delivery = delivery(r);
    let tier = r.or("tier", value::one_of(&tiers), Tier::SelfServe);
    let mirror = r.values("mirror", value::mirror_url);
    Some(App {
        name: name?,
        consumer_key: consumer_key?.expose_secret().to_owned(),
        consumer_secret: consumer_secret?,
        previous_consumer_secret,
        bearer_token,
        client_id,
        client_secret,
        owner_token,
        delivery: delivery?,
        tier,
        mirror,
    })
}

fn new_app(value: &Value, known: &Known) -> Parsed<String> {
    let name = value::app_name(value)?;
    match known.apps.contains(&name) {
        true => Err("expected a name that no other app has".to_owned()),
        false => Ok(name),
    }
}

fn delivery(r: &mut Reader<'_>) -> Option<Delivery> {
    let forms = [
        ("activity", Delivery::Activity),
        ("account_activity", Delivery::AccountActivity),
        (
            "account_activity_v1",
            Delivery::AccountActivityV1 {
                environment: String::new(),
            },
        ),
    ];
    let environment = r.optional("environment", value::text);
    match r.or("delivery", value::one_of(&forms), Delivery::Activity) {
        Delivery::AccountActivityV1 { .. } => {
            if environment.is_none() {
                let expected = "missing, expected the label of the dev environment: delivery is account_activity_v1";
                r.fault("environment", None, expected);
            }
            environment.map(|environment| Delivery::AccountActivityV1 { environment })
        }
        other => Some(other),
    }
}

fn account(r: &mut Reader<'_>, known: &mut Known) -> Option<Account> {
    let app = r.required("app", |value| known_app(value, known));
    let id = r.required("id", |value| new_id(value, known));
    let username = r.required("username", |value| new_username(value, known));
    known.accounts.push(KnownAccount {
        id,
        username: username.clone(),
    });
    let access_token = token_pair(r, "access_token", "access_token_secret");
    let oauth2_refresh_token = r.secret("oauth2_refresh_token");
    let sending = r.or("sending", sending, Sending::Live);
    let blocked = r.values("blocked", value::user_id);
    let max_post_length = r.optional("max_post_length", value::post_length);
    let monthly_budget = r.optional("monthly_budget_usd", value::usd);
    let enrich = Enrich {
        parents: r.or("fetch_parents", value::boolean, false),
        profiles: r.or("fetch_profiles", value::boolean, false),
    };
    let feeds = feeds(r);
    Some(Account {
        app: app?,
        id: id?,
        username: username?,
        access_token,
        oauth2_refresh_token,
        linking: None,
        sending,
        blocked: blocked.into_iter().collect(),
        max_post_length,
        monthly_budget,
        enrich,
        feeds,
    })
}

fn feeds(r: &mut Reader<'_>) -> Feeds {
    let keywords = [
        ("none", Keywords::None),
        ("stream", Keywords::Stream),
        ("search", Keywords::Search),
    ];
    let polls = [
        ("auto", PollMentions::Auto),
        ("on", PollMentions::On),
        ("off", PollMentions::Off),
    ];
    let usual = Feeds::default();
    Feeds {
        keywords: r.or("keywords", value::one_of(&keywords), usual.keywords),
        search_every: r.or("search_every", value::feed_interval, usual.search_every),
        poll_mentions: r.or("poll_mentions", value::one_of(&polls), usual.poll_mentions),
        mentions_every: r.or("mentions_every", value::feed_interval, usual.mentions_every),
    }
}

fn known_app(value: &Value, known: &Known) -> Parsed<String> {
    let name = value::text(value)?;
    match known.apps.contains(&name) {
        true => Ok(name),
        false => Err("expected the name of one of the apps".to_owned()),
    }
}

fn new_id(value: &Value, known: &Known) -> Parsed<AccountId> {
    let id = AccountId(value::user_id(value)?);
    match known.accounts.iter().any(|other| other.id == Some(id)) {
        true => Err("expected an id that no other account has".to_owned()),
        false => Ok(id),
    }
}

fn new_username(value: &Value, known: &Known) -> Parsed<String> {
    let username = value::username(value)?;
    match known
        .accounts
        .iter()
        .any(|other| other.is_called(&username))
    {
        true => Err("expected a handle that no other account has".to_owned()),
        false => Ok(username),
    }
}

/// A token and its secret: both or neither.
fn token_pair(
    r: &mut Reader<'_>,
    token_key: &'static str,
    secret_key: &'static str,
) -> Option<AccessToken> {
    let has_secret = r.has_secret(secret_key);
    let has_token = r.has_secret(token_key);
    let token = r.secret(token_key);
    let secret = r.secret(secret_key);
    if has_token != has_secret {
        let (missing, other) = match has_token {
            true => (secret_key, token_key),
            false => (token_key, secret_key),
        };
        r.fault(missing, None, format!("missing, expected beside {other}"));
    }
    Some(AccessToken {
        token: token?,
        secret: secret?,
    })
}

/// The stop switch, of an account and of the service.
pub(crate) fn sending(value: &Value) -> Parsed<Sending> {
    let states = [
        ("live", Sending::Live),
        ("hold", Sending::Hold),
        ("refuse", Sending::Refuse),
    ];
    value::one_of(&states)(value)
}

fn filter(r: &mut Reader<'_>, known: &Known) -> Option<Filter> {
    let account = r.required("account", |value| known_account(value, known));
    let matches = matches(r);
    let name = r.optional("name", value::text);
    let group = r.required("group", value::text);
    let tags = r.values("tags", value::text);
    let reposts = r.or("reposts", value::boolean, false);
    let own = r.or("own", value::boolean, false);
    let conditions = conditions(r);
    let storm = r.optional_section("storm", storm);
    let matches = matches?;
    if storm.is_some() && matches == Match::DirectMessages {
        let expected = "expected with another match: direct messages are never held back";
        r.fault("storm", None, expected);
    }
    Some(Filter {
        account: account??,
        route: Route {
            group: group?,
            filter: name.unwrap_or_else(|| matches.default_name()),
            tags,
        },
        matches,
        reposts,
        own,
        conditions,
        storm,
    })
}

fn storm(r: &mut Reader<'_>) -> Option<StormLimit> {
    let messages = r.required("messages", value::storm_messages);
    let per = r.required("per", value::storm_time);
    Some(StormLimit {
        messages: messages?,
        per: per?,
    })
}

/// The account's id; `None` where that is faulty itself.
fn known_account(value: &Value, known: &Known) -> Parsed<Option<AccountId>> {
    let expected = "expected username or id of one of the accounts, as a string";
    let wanted = value.as_str().ok_or(expected)?;
    let is_meant = |account: &&KnownAccount| {
        let id = account.id.map(|id| id.to_string());
        id.as_deref() == Some(wanted) || account.is_called(wanted)
    };
    let found = known.accounts.iter().find(is_meant);
    found
        .map(|account| account.id)
        .ok_or_else(|| expected.to_owned())
}

fn matches(r: &mut Reader<'_>) -> Option<Match> {
    let word = r.required("match", value::one_of(&MATCHES));
    let explicit_only = r.optional("explicit_only", value::boolean);
    let term = match word {
        Some(MatchWord::Term) => r.required("term", value::term),
        _ => r.optional("term", value::term),
    };
    let word = word?;
    if explicit_only.is_some() && word != MatchWord::Mentions {
        r.fault(
            "explicit_only",
            None,
            "expected only with match = \"mentions\"",
        );
    }
    if term.is_some() && word != MatchWord::Term {
        r.fault("term", None, "expected only with match = \"term\"");
    }
    Some(match word {
        MatchWord::DirectMessages => Match::DirectMessages,
        MatchWord::Mentions => Match::Mentions {
            explicit_only: explicit_only.unwrap_or_default(),
        },
        MatchWord::Replies => Match::Replies,
        MatchWord::Quotes => Match::Quotes,
        MatchWord::Term => Match::Term(term?),
    })
}

fn conditions(r: &mut Reader<'_>) -> SpamConditions {
    let min_followers = r.or("min_followers", value::count, 0);
    SpamConditions {
        verified: r.or("verified", value::boolean, false),
        min_followers: (min_followers > 0).then_some(min_followers),
        min_account_age: r.optional("min_account_age", value::duration),
        message_requests: r.or("message_requests", value::boolean, true),
    }
}
