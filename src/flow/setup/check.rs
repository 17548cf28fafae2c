//! Whether the keys of an app are right, in sentences for who entered them.

use crate::domain::account::{App, Delivery};
use crate::domain::event::Effect;
use crate::flow::watch::Trouble;
use crate::x::client::{AccessLevel, AppFault, Upstream};

/// Where apps, keys and plans are kept at X.
pub(super) const CONSOLE: &str = "https://console.x.com";

/// Something that is wrong with an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// As in `account.health`; [`UNCHECKED`] where X could not be asked.
    pub code: &'static str,
    /// Key of `[[apps]]` that it concerns; empty where it concerns none.
    pub field: &'static str,
    pub sentence: String,
    pub fix: String,
    /// X's own words; empty where it said nothing.
    pub words: String,
}

/// Code of what could not be found out.
pub const UNCHECKED: &str = "UNCHECKED";
/// Code of keys that X does not know.
pub const KEYS_WRONG: &str = "KEYS_WRONG";

/// What a test of an app decides, by the codes of its [`Finding`]s.
pub const CHECKED: [&str; 6] = [
    KEYS_WRONG,
    "PERMISSION_MISSING",
    "PRODUCT_MISSING",
    "ENVIRONMENT_UNKNOWN",
    "CLOCK_OFF",
    "APP_SUSPENDED",
];

impl Finding {
    /// Whether what was entered is wrong for sure, so that it is not worth keeping.
    pub fn is_wrong_key(&self) -> bool {
        self.code == KEYS_WRONG
    }

    /// The same on the board; `None` where nothing is known.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        let effect = match self.code {
            UNCHECKED => return None,
            KEYS_WRONG | "APP_SUSPENDED" => Effect::StopsBoth,
            "CLOCK_OFF" => Effect::StopsSending,
            _ => Effect::StopsReceiving,
        };
        Some(Trouble {
            code: self.code,
            effect,
            since: None,
            sentence: with_words(&self.sentence, &self.words),
            fix: self.fix.clone(),
            fix_url: match self.code {
                "CLOCK_OFF" => String::new(),
                _ => CONSOLE.to_owned(),
            },
        })
    }
}

/// A sentence, and what X said.
pub(super) fn with_words(sentence: &str, words: &str) -> String {
    match words {
        "" => sentence.to_owned(),
        words => format!("{sentence} X says: {words}"),
    }
}

/// What a fault of an app means to who set it up.
pub(super) fn finding(app: &App, fault: &AppFault) -> Finding {
    let name = &app.name;
    let new = |code, field, sentence: String, fix: &str, words: String| Finding {
        code,
        field,
        sentence,
        fix: fix.to_owned(),
        words,
    };
    match fault {
        AppFault::ConsumerPair(words) => new(
            KEYS_WRONG,
            "consumer_secret",
            format!("consumer_key and consumer_secret of the app {name} are no pair at X."),
            "Copy \"API key\" and \"API key secret\" of the app anew from X's console; a \
             regenerated key makes the old one useless at once.",
            said(words),
        ),
        AppFault::Bearer(words) => new(
            KEYS_WRONG,
            "bearer_token",
            format!("bearer_token of the app {name} is not accepted by X."),
            "Leave bearer_token empty: it is obtained from X then. Or copy it anew from X's \
             console.",
            said(words),
        ),
        AppFault::ClientPair(words) => new(
            KEYS_WRONG,
            "client_secret",
            format!("client_id and client_secret of the app {name} are no pair at X."),
            "Copy both anew from \"User authentication settings\" in X's console; a public client \
             has no secret.",
            said(words),
        ),
        AppFault::TokenPair(words) => new(
            KEYS_WRONG,
            "owner_access_token",
            format!("X does not accept the owner's access token of the app {name}."),
            "Generate \"Access token and secret\" anew in X's console, with the account that owns \
             the app, and enter both.",
            said(words),
        ),
        AppFault::NoDirectMessagePermission(level) => new(
            "PERMISSION_MISSING",
            "owner_access_token",
            format!(
                "The owner's token of the app {name} may only {}: without direct messages X \
                 delivers nothing.",
                may(level)
            ),
            "Set the app to \"Read, write and direct messages\" in X's console, then generate the \
             access token anew: a token keeps the level it was made with.",
            String::new(),
        ),
        AppFault::NotInTier(words) => new(
            "PRODUCT_MISSING",
            "delivery",
            format!(
                "X does not offer {} to the app {name}.",
                product(&app.delivery)
            ),
            "Choose another form of delivery, or apply for the product in X's console.",
            said(words),
        ),
        AppFault::UnknownEnvironment(words) => new(
            "ENVIRONMENT_UNKNOWN",
            "environment",
            format!("The app {name} has no dev environment of this label at X."),
            "Copy the label from \"Dev environments\" in X's console; its case matters.",
            said(words),
        ),
        AppFault::ClockOff(off) => new(
            "CLOCK_OFF",
            "",
            match off {
                Some(off) => format!(
                    "The clock of this machine is {} seconds {} X's.",
                    off.as_secs().unsigned_abs(),
                    if off.is_positive() {
                        "behind"
                    } else {
                        "before"
                    }
                ),
                None => "X refuses the time of this machine's clock.".to_owned(),
            },
            "Set the clock by NTP: X refuses requests whose time is more than a few minutes off.",
            String::new(),
        ),
        AppFault::Suspended(words) => new(
            "APP_SUSPENDED",
            "",
            format!("X has suspended the app {name} or its owner."),
            "See the notice in X's console.",
            said(words),
        ),
        AppFault::Unchecked { call, error } => new(
            UNCHECKED,
            "",
            format!(
                "The keys of the app {name} could not be tested whole ({}): {error}.",
                call.name()
            ),
            "Test the app again later.",
            error.upstream().map(said).unwrap_or_default(),
        ),
    }
}

/// X's words, as short as they are.
pub(super) fn said(words: &Upstream) -> String {
    let parts = [&words.title, &words.detail, &words.reason];
    let mut said: Vec<&str> = Vec::new();
    for part in parts.map(|part| part.trim()) {
        if !part.is_empty() && !said.iter().any(|it| it.contains(part)) {
            said.push(part);
        }
    }
    let said: String = said.join(": ").chars().take(300).collect();
    match words.code {
        Some(code) if said.is_empty() => format!("{} code {code}", words.status),
        Some(code) => format!("{said} ({} code {code})", words.status),
        None if said.is_empty() => format!("status {}", words.status),
        None => format!("{said} ({})", words.status),
    }
}

fn may(level: &AccessLevel) -> &str {
    match level {
        AccessLevel::Read => "read",
        AccessLevel::ReadWrite => "read and write",
        AccessLevel::ReadWriteDirectMessages => "read, write and send direct messages",
        AccessLevel::Other(word) => word,
    }
}

/// The form as X's console calls it.
pub(super) fn product(delivery: &Delivery) -> &'static str {
    match delivery {
        Delivery::Activity => "the X Activity API",
        Delivery::AccountActivity => "the Account Activity API (v2)",
        Delivery::AccountActivityV1 { .. } => "the premium Account Activity API (v1.1)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::account::Tier;

    fn app() -> App {
        App {
            name: "acme".to_owned(),
            consumer_key: "key".to_owned(),
            consumer_secret: "s3cret".into(),
            previous_consumer_secret: None,
            bearer_token: None,
            client_id: None,
            client_secret: None,
            owner_token: None,
            delivery: Delivery::Activity,
            tier: Tier::SelfServe,
            mirror: vec![],
        }
    }

    fn words(detail: &str) -> Box<Upstream> {
        Box::new(Upstream {
            status: 403,
            code: Some(99),
            detail: detail.to_owned(),
            ..Upstream::default()
        })
    }

    #[test]
    fn a_wrong_key_names_its_field_and_keeps_xs_words() {
        let fault = AppFault::ConsumerPair(words("Unable to verify your credentials"));
        let found = finding(&app(), &fault);
        assert!(found.is_wrong_key());
        assert_eq!(found.field, "consumer_secret");
        assert_eq!(
            found.words,
            "Unable to verify your credentials (403 code 99)"
        );
        assert!(!format!("{found:?}").contains("s3cret"));
        let trouble = found.trouble().unwrap();
        assert_eq!(
            (trouble.code, trouble.effect),
            (KEYS_WRONG, Effect::StopsBoth)
        );
    }

    #[test]
    fn a_clock_tells_which_way_it_is_off() {
        let off = |seconds| {
            let off = jiff::SignedDuration::from_secs(seconds);
            finding(&app(), &AppFault::ClockOff(Some(off))).sentence
        };
        assert!(off(600).contains("600 seconds behind"), "{}", off(600));
        assert!(off(-600).contains("600 seconds before"), "{}", off(-600));
    }

    #[test]
    fn what_x_says_twice_is_told_once() {
        let words = Upstream {
            status: 400,
            title: "Forbidden".to_owned(),
            detail: "Forbidden".to_owned(),
            ..Upstream::default()
        };
        assert_eq!(said(&words), "Forbidden (400)");
        assert_eq!(
            said(&Upstream {
                status: 403,
                ..Upstream::default()
            }),
            "status 403"
        );
    }
}
