//! Why an account was not linked: the step, X's own words, the cause and what mends it. Nothing of
//! it is kept then.

use std::fmt;

use crate::flow::registry::ChangeError;
use crate::sealing::{TooLong, WrongKeyOrDamaged};
use crate::store::StoreError;
use crate::x::client::{AccessLevel, Call, CallError, Obstacle, RefusalReason, Upstream};

/// Where on the way it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Making or opening the page at which it begins.
    Open,
    /// Asking X for a token to begin with.
    Ask,
    /// The person's answer at X.
    Consent,
    /// Coming back from X.
    Return,
    /// Exchanging what came back for a credential.
    Exchange,
    /// Asking X whose credential it is and what it may do.
    Identify,
    /// Keeping the account.
    Keep,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "opening the link",
            Self::Ask => "asking X to begin",
            Self::Consent => "your answer at X",
            Self::Return => "coming back from X",
            Self::Exchange => "exchanging X's answer for a credential",
            Self::Identify => "asking X which account it is",
            Self::Keep => "keeping the account",
        })
    }
}

/// Why an account was not linked. `Display` is the cause in a sentence.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("There is no such link.")]
    UnknownOffer,
    #[error("The link is too old.")]
    OfferExpired,
    #[error("The link works once, and an account has been linked by it.")]
    OfferUsed,
    #[error("The address at which X and browsers reach this service is not set.")]
    NoPublicUrl,
    #[error("There is no app {0:?}.")]
    UnknownApp(String),
    #[error("The app {0:?} has no OAuth 2.0: its client id is not set.")]
    NoOAuth2(String),
    #[error("That is no name of an account: {0}.")]
    BadUsername(String),
    #[error("The page to come back to is no path below private.url.")]
    BadReturn,
    #[error("What the browser brought back is no answer of X.")]
    NoAnswer,
    #[error("Nothing that was begun here fits X's answer.")]
    UnknownState,
    #[error("This was begun in another browser, or begun anew since.")]
    OtherBrowser,
    #[error("X's answer was used before; it works once.")]
    StateUsed,
    #[error("Between the beginning and X's answer more than ten minutes went by.")]
    StateExpired,
    #[error("The access was not allowed at X.")]
    Denied(Option<String>),
    #[error("X ended the question with an error.")]
    ConsentFailed(String),
    #[error(
        "X does not send browsers back to {callback}: it is not among the app's callback URLs."
    )]
    CallbackNotAllowed {
        callback: String,
        words: Box<Upstream>,
    },
    #[error("X does not know the app by its consumer key and secret.")]
    ConsumerPair(Box<Upstream>),
    #[error("X does not know the app by its OAuth 2.0 client id and secret.")]
    ClientPair(Box<Upstream>),
    #[error("The clock of this service is off.")]
    ClockOff(Box<Upstream>),
    #[error("X has suspended the app.")]
    Suspended(Box<Upstream>),
    #[error("The credits of the app at X are used up.")]
    Credits(Box<Upstream>),
    #[error("X does not take its answer back: it is spent or too old.")]
    Stale(Box<Upstream>),
    #[error("X refused it.")]
    Refused { step: Step, words: Box<Upstream> },
    #[error("X could not be asked, or did not answer.")]
    Unavailable { step: Step, error: Box<CallError> },
    #[error("X did not grant everything: {} missing.", .0.join(", "))]
    MissingScopes(Vec<&'static str>),
    #[error("The app may not read and write direct messages.")]
    NoDirectMessages(AccessLevel),
    #[error("@{found} was signed in at X, but @{expected} is expected.")]
    OtherAccount { expected: String, found: String },
    #[error("@{username} is linked already, under the app {app:?}.")]
    OtherApp { username: String, app: String },
    #[error("@{0} is declared in the configuration.")]
    Declared(String),
    #[error("The account cannot be kept.")]
    Change(#[source] ChangeError),
    #[error("The store of this service cannot be used now.")]
    Store(#[from] StoreError),
    #[error("What was kept of the beginning cannot be read.")]
    Unreadable,
    #[error("The service stopped in the middle of it.")]
    Stopped,
}

impl From<TooLong> for LinkError {
    fn from(_: TooLong) -> Self {
        Self::Unreadable
    }
}

impl From<WrongKeyOrDamaged> for LinkError {
    fn from(_: WrongKeyOrDamaged) -> Self {
        Self::Unreadable
    }
}

impl LinkError {
    /// What a failed call means on the way.
    pub(super) fn of_call(step: Step, call: Call, error: &CallError) -> Self {
        let words = || Box::new(error.upstream().cloned().unwrap_or_default());
        let is_suspended = matches!(error, CallError::Refused(refusal)
            if refusal.reason == RefusalReason::Suspended);
        match Obstacle::of(call, error) {
            Some(Obstacle::ConsumerPair) => Self::ConsumerPair(words()),
            Some(Obstacle::ClientPair) => Self::ClientPair(words()),
            Some(Obstacle::ClockOff) => Self::ClockOff(words()),
            Some(Obstacle::LinkExpired) => Self::Stale(words()),
            _ if is_suspended => Self::Suspended(words()),
            _ => match error {
                CallError::CreditsDepleted { .. } => Self::Credits(words()),
                CallError::Refused(_) | CallError::Unauthorized { .. } => Self::Refused {
                    step,
                    words: words(),
                },
                CallError::NotSent { .. }
                | CallError::RateLimited { .. }
                | CallError::Unavailable { .. }
                | CallError::Uncertain { .. } => Self::Unavailable {
                    step,
                    error: Box::new(error.clone()),
                },
            },
        }
    }

    /// Whether X says that the credential is none.
    pub(super) fn is_dead_credential(&self) -> bool {
        match self {
            Self::Refused { words, .. } => words.status == 401 || words.code == Some(89),
            _ => false,
        }
    }

    /// Where on the way it ended.
    pub fn step(&self) -> Step {
        match self {
            Self::UnknownOffer
            | Self::OfferExpired
            | Self::OfferUsed
            | Self::NoPublicUrl
            | Self::UnknownApp(_)
            | Self::NoOAuth2(_)
            | Self::BadUsername(_)
            | Self::BadReturn => Step::Open,
            Self::CallbackNotAllowed { .. } | Self::ConsumerPair(_) => Step::Ask,
            Self::Denied(_) | Self::ConsentFailed(_) => Step::Consent,
            Self::NoAnswer
            | Self::UnknownState
            | Self::OtherBrowser
            | Self::StateUsed
            | Self::StateExpired
            | Self::Unreadable => Step::Return,
            Self::ClientPair(_) | Self::Stale(_) | Self::MissingScopes(_) => Step::Exchange,
            Self::Refused { step, .. } | Self::Unavailable { step, .. } => *step,
            Self::ClockOff(_) | Self::Suspended(_) => Step::Ask,
            Self::Credits(_) | Self::NoDirectMessages(_) | Self::OtherAccount { .. } => {
                Step::Identify
            }
            Self::OtherApp { .. }
            | Self::Declared(_)
            | Self::Change(_)
            | Self::Store(_)
            | Self::Stopped => Step::Keep,
        }
    }

    /// In one word, for logs and programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownOffer => "unknown_link",
            Self::OfferExpired => "link_expired",
            Self::OfferUsed => "link_used",
            Self::NoPublicUrl => "no_public_url",
            Self::UnknownApp(_) => "unknown_app",
            Self::NoOAuth2(_) => "no_oauth2",
            Self::BadUsername(_) => "bad_username",
            Self::BadReturn => "bad_return",
            Self::NoAnswer => "no_answer",
            Self::UnknownState => "unknown_state",
            Self::OtherBrowser => "other_browser",
            Self::StateUsed => "state_used",
            Self::StateExpired => "state_expired",
            Self::Denied(_) => "denied",
            Self::ConsentFailed(_) => "consent_failed",
            Self::CallbackNotAllowed { .. } => "callback_not_allowed",
            Self::ConsumerPair(_) => "consumer_pair",
            Self::ClientPair(_) => "client_pair",
            Self::ClockOff(_) => "clock_off",
            Self::Suspended(_) => "app_suspended",
            Self::Credits(_) => "credits_depleted",
            Self::Stale(_) => "answer_stale",
            Self::Refused { .. } => "refused",
            Self::Unavailable { .. } => "unavailable",
            Self::MissingScopes(_) => "missing_scopes",
            Self::NoDirectMessages(_) => "no_direct_messages",
            Self::OtherAccount { .. } => "other_account",
            Self::OtherApp { .. } => "other_app",
            Self::Declared(_) => "declared",
            Self::Change(_) => "not_kept",
            Self::Store(_) => "store",
            Self::Unreadable => "unreadable",
            Self::Stopped => "stopped",
        }
    }

    /// X's own words, where it said any.
    pub fn words(&self) -> Option<String> {
        match self {
            Self::Denied(words) => words.clone(),
            Self::ConsentFailed(words) => Some(words.clone()),
            Self::CallbackNotAllowed { words, .. }
            | Self::ConsumerPair(words)
            | Self::ClientPair(words)
            | Self::ClockOff(words)
            | Self::Suspended(words)
            | Self::Credits(words)
            | Self::Stale(words)
            | Self::Refused { words, .. } => Some(words.to_string()),
            Self::Unavailable { error, .. } => error.upstream().map(ToString::to_string),
            Self::NoDirectMessages(level) => Some(level_words(level)),
            _ => None,
        }
    }

    /// What mends it, for the person at the browser.
    pub fn fix(&self) -> String {
        match self {
            Self::CallbackNotAllowed { callback, .. } => format!(
                "In X's developer console, open the app's user authentication settings and add \
                 {callback} to its callback URLs, to the letter. Then open the link again."
            ),
            Self::OtherAccount { expected, .. } => format!(
                "Sign in at X as @{expected}, or use a private window, and open the link again."
            ),
            Self::OtherApp { app, .. } => format!(
                "Link it with the app {app}, or unlink it there first: one account works with one app."
            ),
            Self::Change(error) => format!("{error}. An administrator has to mend that first."),
            other => other.plain_fix().to_owned(),
        }
    }

    fn plain_fix(&self) -> &'static str {
        match self {
            Self::UnknownOffer | Self::OfferExpired | Self::OfferUsed => {
                "Ask the administrator of the helpdesk for a new link."
            }
            Self::NoPublicUrl => "Set public.url, and start the service again.",
            Self::UnknownApp(_) => "Add the app first, or take one of those that there are.",
            Self::NoOAuth2(_) => {
                "Enter the app's client id (and secret) from \"Keys and tokens\" in X's developer \
                 console, or link with OAuth 1.0a."
            }
            Self::BadUsername(_) => "Enter the name that stands behind the @ at X.",
            Self::BadReturn => "Begin with /, without a host.",
            Self::NoAnswer | Self::UnknownState | Self::StateExpired => {
                "Open the link that you were given, and begin again."
            }
            Self::OtherBrowser => {
                "Open the link that you were given in this browser, with cookies allowed, and \
                 begin again in one window only."
            }
            Self::StateUsed => {
                "If the account was linked, there is nothing left to do. Else open the link again."
            }
            Self::Denied(_) => {
                "Nothing was linked. If that was not intended, open the link again and allow it."
            }
            Self::ConsentFailed(_) => {
                "Check the app's user authentication settings in X's developer console, and begin \
                 again."
            }
            Self::ConsumerPair(_) => {
                "Copy both from \"Keys and tokens\" in X's developer console, from one app and \
                 together: a new key makes the old one invalid."
            }
            Self::ClientPair(_) => {
                "Copy client id and secret of OAuth 2.0 from \"Keys and tokens\" in X's developer \
                 console; an app that is a public client has no secret."
            }
            Self::ClockOff(_) => "Let the machine keep its time by NTP.",
            Self::Suspended(_) => "See the notice in X's developer console, and answer it there.",
            Self::Credits(_) => "Buy credits in X's developer console, and open the link again.",
            Self::Stale(_) => "Open the link again, and do not wait at X's page.",
            Self::Refused { .. } => {
                "X's words say what is wrong. Mend it in X's developer console, and open the link \
                 again."
            }
            Self::Unavailable { .. } => "Open the link again in a few minutes.",
            Self::MissingScopes(_) => {
                "Set the app's permission to \"Read and write and Direct message\" in its user \
                 authentication settings in X's developer console, and open the link again."
            }
            Self::NoDirectMessages(_) => {
                "Set the app's permission to \"Read and write and Direct message\" in its user \
                 authentication settings in X's developer console, then open the link again: what \
                 was granted before keeps its old level."
            }
            Self::Declared(_) => "Change it in the configuration, or take it out of there first.",
            Self::Unreadable | Self::Store(_) | Self::Stopped => {
                "Open the link again in a few minutes; tell the administrator if it stays so."
            }
            Self::CallbackNotAllowed { .. }
            | Self::OtherAccount { .. }
            | Self::OtherApp { .. }
            | Self::Change(_) => "Ask the administrator of the helpdesk.",
        }
    }
}

fn level_words(level: &AccessLevel) -> String {
    let word = match level {
        AccessLevel::Read => "read",
        AccessLevel::ReadWrite => "read-write",
        AccessLevel::ReadWriteDirectMessages => "read-write-directmessages",
        AccessLevel::Other(word) => word,
    };
    format!("x-access-level: {word}")
}
