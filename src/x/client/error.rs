//! What became of a call that has no result, named for what its caller can do.

use std::fmt;

use jiff::Timestamp;

/// A call without a result. Only [`Uncertain`](Self::Uncertain) and, most likely not,
/// [`Unavailable`](Self::Unavailable) may have taken effect at X.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Nothing left this machine; nothing happened at X.
    #[error("not sent: {reason}")]
    NotSent { reason: NotSent },
    /// X takes no more for now; not done.
    #[error("X's {scope} limit is used up: {upstream}")]
    RateLimited {
        /// When X takes calls again; `None` where X does not say.
        until: Option<Timestamp>,
        scope: LimitScope,
        upstream: Box<Upstream>,
    },
    /// The developer account has no credit left; not done, and no other paid call will be.
    #[error("X's credits are used up: {upstream}")]
    CreditsDepleted { upstream: Box<Upstream> },
    /// X does not accept the credential; not done. It may be an outage or our clock (code 135):
    /// confirm before calling an account revoked.
    #[error("X does not accept the credential: {upstream}")]
    Unauthorized {
        upstream: Box<Upstream>,
        /// X said so in as many words (code 89).
        revoked_for_sure: bool,
    },
    /// X is overloaded; most likely not done.
    #[error("X is not available: {upstream}")]
    Unavailable { upstream: Box<Upstream> },
    /// The call may have been carried out or not: look before doing it again.
    #[error("{reason}{}", with_upstream(.upstream.as_deref()))]
    Uncertain {
        reason: UncertainBecause,
        upstream: Option<Box<Upstream>>,
    },
    /// X will not do this, however often it is asked; not done.
    #[error("refused ({:?}): {}", .0.reason, .0.upstream)]
    Refused(Refusal),
}

fn with_upstream(upstream: Option<&Upstream>) -> String {
    upstream.map_or_else(String::new, |upstream| format!(": {upstream}"))
}

impl CallError {
    /// X's own words, where there was an answer that could be read.
    pub fn upstream(&self) -> Option<&Upstream> {
        match self {
            Self::NotSent { .. } => None,
            Self::RateLimited { upstream, .. }
            | Self::CreditsDepleted { upstream }
            | Self::Unauthorized { upstream, .. }
            | Self::Unavailable { upstream } => Some(upstream),
            Self::Uncertain { upstream, .. } => upstream.as_deref(),
            Self::Refused(refusal) => Some(&refusal.upstream),
        }
    }

    pub(super) fn uncertain(reason: UncertainBecause) -> Self {
        Self::Uncertain {
            reason,
            upstream: None,
        }
    }

    pub(super) fn refused(reason: RefusalReason, upstream: Upstream) -> Self {
        let upstream = Box::new(upstream);
        Self::Refused(Refusal { reason, upstream })
    }
}

impl From<NotSent> for CallError {
    fn from(reason: NotSent) -> Self {
        Self::NotSent { reason }
    }
}

/// Why nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// No connection to X: name, route, refusal or TLS.
    #[error("no connection to X: {0}")]
    NoConnection(String),
    /// The account or app has no credential of a kind that X takes for this call.
    #[error("no credential for this call: {0}")]
    NoCredential(&'static str),
    /// The answer to a token refresh is lost. The refresh token works once and may be spent: if
    /// the next try is refused, the account has to be linked again.
    #[error("the answer to the token refresh is lost: {0}")]
    RefreshLost(String),
    /// X gives out no token just now.
    #[error("X gives out no token: {0}")]
    TokenUnavailable(String),
    /// The store of OAuth 2.0 tokens cannot be read or written.
    #[error("the token store fails: {0}")]
    TokenVault(String),
    /// Another process acts at X by now.
    #[error("this replica does not lead any more")]
    NoLeave,
    /// The request cannot be made as it was asked for.
    #[error("cannot be asked of X: {0}")]
    Unaskable(String),
}

/// Which of X's limits is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitScope {
    /// 15 minutes.
    Window,
    /// 24 hours.
    Day,
    /// Of the plan, by day or month: waiting 15 minutes does not help.
    Cap,
}

impl fmt::Display for LimitScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Window => "15-minute",
            Self::Day => "24-hour",
            Self::Cap => "plan",
        })
    }
}

/// Why it is not known whether X carried a call out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UncertainBecause {
    #[error("no answer in time")]
    TimedOut,
    /// Reset or closed after the request had begun to go out.
    #[error("the connection was lost")]
    ConnectionLost,
    #[error("the answer was cut")]
    AnswerCut,
    /// Not JSON, not of X's shape, or far too long.
    #[error("the answer cannot be read")]
    Unreadable,
    /// 500, 502, 504 and any other 5xx but 503.
    #[error("X failed")]
    ServerError,
    /// Success without what the call was to bring: an id, or that it is done.
    #[error("X names no result")]
    NoResult,
    /// A status that X's documents do not know for this call, a redirect for example.
    #[error("an unexpected status")]
    UnexpectedStatus,
}

/// X's no, with what it means and in X's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub reason: RefusalReason,
    pub upstream: Box<Upstream>,
}

/// What X's refusals mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize)]
pub enum RefusalReason {
    /// The author restricted who may reply.
    ReplyNotPermitted,
    /// A self-serve app may reply only to who mentioned or quoted the account.
    NotSummoned,
    DmNotPermitted,
    /// The post is deleted, withdrawn or not visible to us.
    Deleted,
    Protected,
    Blocked,
    /// The account has posted this text just now.
    Duplicate,
    /// Our account is suspended or locked, or our app is suspended (code 416).
    Suspended,
    TextTooLong,
    /// Stop, and leave it to a person.
    LooksAutomated,
    MediaInvalid,
    /// Not in this tier, or retired by X.
    NotOffered,
    /// The account's own posting allowance (code 185): wait, X does not say how long.
    PostingAllowanceUsed,
    /// The app or its token may not do this: level, project, scope or kind of credential.
    PermissionMissing,
    NotFound,
    /// The request breaks a rule of X's interface.
    Invalid,
    /// For a reason that nobody wrote down yet; X's words say it.
    Unclassified,
}

/// What X answered, in its own words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upstream {
    /// HTTP status; 200 for an error that came beside data.
    pub status: u16,
    /// A URI; compare only its last path segment, see [`problem`](Self::problem).
    pub type_: String,
    pub title: String,
    /// With the messages of X's `errors` list.
    pub detail: String,
    /// Of the v1.1 list of codes.
    pub code: Option<u32>,
    /// What X's type leaves open, in one word (`client-not-enrolled`); mostly empty.
    pub reason: String,
    /// `x-transaction-id`: what X asks for in a report; empty where it did not come.
    pub transaction_id: String,
}

impl Upstream {
    /// The last path segment of the type: `invalid-request`, `about:blank`.
    pub fn problem(&self) -> &str {
        let path = self.type_.trim_end_matches('/');
        path.rsplit('/').next().unwrap_or_default()
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        if let Some(code) = self.code {
            write!(f, " code {code}")?;
        }
        for part in [self.problem(), &self.reason, &self.title, &self.detail] {
            if !part.is_empty() {
                write!(f, " {part}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_known_by_the_end_of_its_type() {
        for type_ in [
            "https://api.x.com/2/problems/usage-capped",
            "https://api.twitter.com/2/problems/usage-capped/",
            "usage-capped",
        ] {
            let upstream = Upstream {
                type_: type_.to_owned(),
                ..Upstream::default()
            };
            assert_eq!(upstream.problem(), "usage-capped");
        }
        assert_eq!(Upstream::default().problem(), "");
    }

    #[test]
    fn an_error_tells_xs_words() {
        let upstream = Upstream {
            status: 403,
            code: Some(187),
            detail: "Status is a duplicate.".to_owned(),
            ..Upstream::default()
        };
        let error = CallError::refused(RefusalReason::Duplicate, upstream);
        assert_eq!(
            error.to_string(),
            "refused (Duplicate): 403 code 187 Status is a duplicate."
        );
        let error = CallError::uncertain(UncertainBecause::AnswerCut);
        assert_eq!(error.to_string(), "the answer was cut");
    }
}
