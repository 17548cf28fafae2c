//! What is wrong with the set-up at X, in sentences with their fix.

use jiff::{SignedDuration, Timestamp};

use super::SetupError;
use super::check::{self, CONSOLE, with_words};
use super::subscriptions::{Lack, Why};
use super::webhooks::names;
use crate::domain::account::{Account, App};
use crate::domain::event::Effect;
use crate::flow::watch::Trouble;
use crate::x::client::{ActivityKind, CallError, Obstacle, Webhook};

/// Codes of the webhook of an app.
pub(super) const OF_WEBHOOKS: [&str; 4] = [
    "WEBHOOK_MISSING",
    "WEBHOOK_INVALID",
    "WEBHOOK_IN_THE_WAY",
    "WEBHOOK_LIMIT",
];
/// Codes of our own address.
pub(super) const OF_ADDRESS: [&str; 2] = ["PUBLIC_URL_UNREACHABLE", "CERTIFICATE_ENDS"];
pub(super) const OF_SIGNATURES: [&str; 1] = ["SIGNATURES_FAIL"];
/// Codes of an account.
pub(super) const OF_ACCOUNTS: [&str; 6] = [
    "SUBSCRIPTION_MISSING",
    "SUBSCRIPTION_LIMIT",
    "SCOPE_MISSING",
    "PERMISSION_MISSING",
    "PRODUCT_MISSING",
    "CREDITS_DEPLETED",
];

/// A certificate that ends sooner is a fault.
const CERTIFICATE_MARGIN: SignedDuration = SignedDuration::from_hours(14 * 24);

/// Where an administrator mends what is ours; `private.url`, or nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Places(pub(super) String);

fn trouble(code: &'static str, effect: Effect, sentence: String, fix: String) -> Trouble {
    Trouble {
        code,
        effect,
        since: None,
        sentence,
        fix,
        fix_url: CONSOLE.to_owned(),
    }
}

/// What became of mending a webhook in this look.
pub(super) enum Mending {
    /// Not tried: it rests, or is not ours to mend.
    Waits,
    Done,
    Failed(SetupError),
}

impl Mending {
    fn words(&self, done: &str) -> String {
        match self {
            Self::Waits => String::new(),
            Self::Done => format!(" {done}"),
            Self::Failed(error) => format!(" {}", sentence(&error.to_string())),
        }
    }

    fn fix(&self) -> &str {
        match self {
            Self::Waits | Self::Done => "Nothing, if this ends by itself within minutes.",
            Self::Failed(error) => error.fix(),
        }
    }
}

fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    let end = if words.ends_with('.') { "" } else { "." };
    format!("{}{}{end}", first.unwrap_or_default(), letters.as_str())
}

pub(super) fn invalid(app: &App, webhook: &Webhook, mending: &Mending) -> Trouble {
    let said = mending.words("X has validated it again.");
    trouble(
        "WEBHOOK_INVALID",
        Effect::StopsReceiving,
        format!(
            "X does not deliver to the webhook of the app {} ({}): it failed a challenge.{said}",
            app.name, webhook.url
        ),
        mending.fix().to_owned(),
    )
}

/// The webhook that we had registered is not there any more.
pub(super) fn gone(app: &App, mending: &Mending) -> Trouble {
    let code = match mending {
        Mending::Failed(SetupError::InTheWay { found, .. }) if found.is_empty() => "WEBHOOK_LIMIT",
        Mending::Failed(SetupError::InTheWay { .. }) => "WEBHOOK_IN_THE_WAY",
        Mending::Failed(error) if error.obstacle() == Some(Obstacle::WebhookLimit) => {
            "WEBHOOK_LIMIT"
        }
        _ => "WEBHOOK_MISSING",
    };
    let said = mending.words("It was registered again.");
    trouble(
        code,
        Effect::StopsReceiving,
        format!("The webhook of the app {} is gone from X.{said}", app.name),
        mending.fix().to_owned(),
    )
}

/// Nobody has registered one that leads here.
pub(super) fn never_registered(app: &App, others: &[Webhook], places: &Places) -> Trouble {
    let name = &app.name;
    let fix_url = match places.0.as_str() {
        "" => CONSOLE.to_owned(),
        url => format!("{url}/setup/webhook?app={name}"),
    };
    let (code, sentence, fix) = match others.is_empty() {
        true => (
            "WEBHOOK_MISSING",
            format!("X has no webhook for the app {name}: nothing can arrive."),
            format!("Register it: `twitter-channel webhook register --app {name}`."),
        ),
        false => (
            "WEBHOOK_IN_THE_WAY",
            format!(
                "X delivers for the app {name} to another webhook, not to this service: {}.",
                names(others)
            ),
            format!(
                "If it is not needed: `twitter-channel webhook register --app {name} --replace`."
            ),
        ),
    };
    Trouble {
        fix_url,
        ..trouble(code, Effect::StopsReceiving, sentence, fix)
    }
}

/// X's own word decides whether anything arrives: a network may not lead back to itself.
pub(super) fn unreachable(error: &SetupError) -> Trouble {
    Trouble {
        fix_url: String::new(),
        ..trouble(
            "PUBLIC_URL_UNREACHABLE",
            Effect::Nothing,
            format!("From here {error}."),
            error.fix().to_owned(),
        )
    }
}

pub(super) fn certificate_ends(app: &App, ends: Timestamp, now: Timestamp) -> Option<Trouble> {
    let left = ends.duration_since(now);
    (left < CERTIFICATE_MARGIN).then(|| Trouble {
        fix_url: String::new(),
        ..trouble(
            "CERTIFICATE_ENDS",
            Effect::Nothing,
            format!(
                "The certificate of public.url, seen at the webhook of the app {}, ends on {}, in {} \
                 days: then X delivers nothing more.",
                app.name,
                ends.strftime("%Y-%m-%d"),
                left.as_hours() / 24
            ),
            "Renew it, and see why it was not renewed by itself.".to_owned(),
        )
    })
}

/// Strangers can make it; so it does not say by itself that nothing arrives.
pub(super) fn signatures(app: &App, since: Timestamp) -> Trouble {
    Trouble {
        since: Some(since),
        ..trouble(
            "SIGNATURES_FAIL",
            Effect::Nothing,
            format!(
                "Deliveries to the app {} are signed with a secret that is not its consumer_secret, \
                 and none with it: they are refused.",
                app.name
            ),
            "Copy the app's \"API key secret\" from X's console. If it was just regenerated, keep \
             the old one as previous_consumer_secret."
                .to_owned(),
        )
    }
}

/// What an account does not get.
pub(super) fn lacks(app: &App, account: &Account, lacks: &[Lack]) -> Vec<Trouble> {
    let mut troubles: Vec<Trouble> = Vec::new();
    for lack in lacks {
        let found = of_lack(app, account, lack, lacks);
        if troubles.iter().all(|it| it.code != found.code) {
            troubles.push(found);
        }
    }
    troubles
}

fn of_lack(app: &App, account: &Account, lack: &Lack, all: &[Lack]) -> Trouble {
    let name = &account.username;
    let effect = match all.iter().any(|lack| brings_messages(lack.kind)) {
        true => Effect::StopsReceiving,
        false => Effect::Nothing,
    };
    let what = what(all);
    let missing = |because: String, fix: &str| {
        let sentence = format!("X does not deliver {what} of @{name}.{because}");
        trouble("SUBSCRIPTION_MISSING", effect, sentence, fix.to_owned())
    };
    match &lack.why {
        Why::Lost => missing(
            " The subscription was lost and is made again.".to_owned(),
            "Nothing, if this ends by itself within minutes.",
        ),
        Why::Taken(webhook) => missing(
            format!(" It goes to another webhook of the app, {webhook}."),
            "Delete that webhook or its subscriptions if they are not needed.",
        ),
        Why::Refused(obstacle, error) => {
            let words = error.upstream().map(check::said).unwrap_or_default();
            match code(account, *obstacle, error) {
                Some(Refused::Limit) => trouble(
                    "SUBSCRIPTION_LIMIT",
                    effect,
                    with_words(
                        &format!("X's plan has no room for the subscriptions of @{name}."),
                        &words,
                    ),
                    "Unlink an account, end subscriptions that are not needed, or change the plan."
                        .to_owned(),
                ),
                Some(Refused::Scope) => trouble(
                    "SCOPE_MISSING",
                    effect,
                    with_words(
                        &format!(
                            "@{name} was linked without the scope {} that X wants for {what}.",
                            lack.kind.map_or("dm.read", ActivityKind::scope)
                        ),
                        &words,
                    ),
                    "Link the account again, and allow everything that is asked for.".to_owned(),
                ),
                Some(Refused::Permission) => permission(app, account, &words),
                Some(Refused::Product) => trouble(
                    "PRODUCT_MISSING",
                    effect,
                    with_words(
                        &format!("X does not offer {} to it.", check::product(&app.delivery)),
                        &words,
                    ),
                    "Choose another form of delivery, or apply for the product in X's console."
                        .to_owned(),
                ),
                Some(Refused::Credits) => trouble(
                    "CREDITS_DEPLETED",
                    Effect::StopsBoth,
                    with_words(
                        &format!("The credits of the app {} at X are used up.", app.name),
                        &words,
                    ),
                    "Top up the credits in X's developer console.".to_owned(),
                ),
                None => missing(
                    format!(" It could not be renewed: {error}."),
                    "It is tried again by itself; see X's words.",
                ),
            }
        }
    }
}

enum Refused {
    Limit,
    Scope,
    Permission,
    Product,
    Credits,
}

fn code(account: &Account, obstacle: Option<Obstacle>, error: &CallError) -> Option<Refused> {
    let is_refused = matches!(error, CallError::Refused(_));
    let is_forbidden = error.upstream().is_some_and(|words| words.status == 403);
    match obstacle {
        // v1.1 has the same words for both limits.
        Some(Obstacle::SubscriptionLimit | Obstacle::WebhookLimit) => Some(Refused::Limit),
        Some(Obstacle::NotInTier) => Some(Refused::Product),
        Some(Obstacle::PermissionMissing | Obstacle::WrongKindOfCredential) => {
            Some(lacking(account))
        }
        None if is_refused && is_forbidden => Some(lacking(account)),
        _ if matches!(error, CallError::CreditsDepleted { .. }) => Some(Refused::Credits),
        _ => None,
    }
}

/// X takes OAuth 1.0a's level before OAuth 2.0's scopes.
fn lacking(account: &Account) -> Refused {
    match account.access_token {
        Some(_) => Refused::Permission,
        None => Refused::Scope,
    }
}

/// The level of the account's token is too low.
pub(super) fn permission(app: &App, account: &Account, words: &str) -> Trouble {
    trouble(
        "PERMISSION_MISSING",
        Effect::StopsReceiving,
        with_words(
            &format!(
                "The token of @{} does not allow direct messages: X delivers them only to an app \
                 with \"Read, write and direct messages\".",
                account.username
            ),
            words,
        ),
        format!(
            "Set the app {} to that level in X's console, then link the account again: a token \
             keeps the level it was made with.",
            app.name
        ),
    )
}

pub(super) fn credits(app: &App, words: &str) -> Trouble {
    trouble(
        "CREDITS_DEPLETED",
        Effect::StopsBoth,
        with_words(
            &format!("The credits of the app {} at X are used up.", app.name),
            words,
        ),
        "Top up the credits in X's developer console.".to_owned(),
    )
}

/// Whether tickets depend on it.
fn brings_messages(kind: Option<ActivityKind>) -> bool {
    match kind {
        None => true,
        Some(kind) => matches!(
            kind,
            ActivityKind::Mention
                | ActivityKind::Reply
                | ActivityKind::Quote
                | ActivityKind::Repost
                | ActivityKind::DirectMessageReceived
                | ActivityKind::EncryptedMessageReceived
        ),
    }
}

fn what(lacks: &[Lack]) -> String {
    let kinds: Option<Vec<_>> = lacks.iter().map(|lack| lack.kind).collect();
    match kinds {
        None => "anything".to_owned(),
        Some(kinds) => {
            let names: Vec<_> = kinds.into_iter().map(ActivityKind::name).collect();
            names.join(", ")
        }
    }
}
