//! From X's refusals to what a caller can do. Source: X's "Response codes and errors", in its
//! present form for problem types and in that of 2025-06 for the codes of v1.1.

use std::borrow::Cow;

use super::error::{CallError, LimitScope, RefusalReason, UncertainBecause, Upstream};
use super::limits::{Limits, Window};
use super::refusals::RefusalTexts;
use crate::x::wire::answer::Problem;

/// An answer that is no success.
pub(super) struct Failure<'a> {
    pub(super) status: u16,
    /// `None` where the body is none of X's.
    pub(super) problem: Option<&'a Problem<'a>>,
    pub(super) transaction_id: &'a str,
    pub(super) limits: &'a Limits,
}

/// What a refusal means apart from where it was met.
enum Verdict {
    Unauthorized { revoked_for_sure: bool },
    RateLimited,
    Capped,
    CreditsDepleted,
    Unavailable,
    Failed,
    Refused(RefusalReason),
}

/// What became of the call.
pub(super) fn classify(failure: &Failure<'_>, texts: &RefusalTexts) -> CallError {
    let upstream = failure.upstream();
    let verdict = match (failure.status, failure.problem) {
        (503, _) => Verdict::Unavailable,
        (500..=599, _) => Verdict::Failed,
        // A complete answer with one of these needs no words of X's.
        (401 | 402 | 429, None) => by_status(failure.status),
        // It may have been a request that X's proxy gave up waiting for.
        (408, _) => return uncertain(UncertainBecause::TimedOut, upstream),
        (400..=499, None) => return uncertain(UncertainBecause::Unreadable, upstream),
        (400..=499, Some(_)) => verdict(&upstream, texts),
        _ => return uncertain(UncertainBecause::UnexpectedStatus, upstream),
    };
    failure.error(verdict, upstream)
}

/// What an error that stands beside data means: why an item is left out.
pub(super) fn reason_beside_data(upstream: &Upstream, texts: &RefusalTexts) -> RefusalReason {
    match verdict(upstream, texts) {
        Verdict::Refused(reason) => reason,
        _ => RefusalReason::Unclassified,
    }
}

fn uncertain(reason: UncertainBecause, upstream: Upstream) -> CallError {
    CallError::Uncertain {
        reason,
        upstream: Some(Box::new(upstream)),
    }
}

fn verdict(upstream: &Upstream, texts: &RefusalTexts) -> Verdict {
    let by_text = || {
        // What a 401 says is about the credential, whatever words it has.
        let is_said = upstream.status != 401 && is_told_by_text(upstream.problem());
        let reason = is_said.then(|| texts.reason(&upstream.detail)).flatten();
        reason.map(Verdict::Refused)
    };
    upstream
        .code
        .and_then(by_code)
        .or_else(by_text)
        .or_else(|| by_type(upstream.problem()))
        .unwrap_or_else(|| by_status(upstream.status))
}

/// Whether only X's words tell what a problem of this type is.
fn is_told_by_text(problem: &str) -> bool {
    matches!(
        problem,
        "" | "about:blank"
            | "invalid-request"
            | "not-authorized-for-resource"
            | "client-forbidden"
            | "resource-not-found"
    )
}

/// The codes of v1.1, seen on paths of v2 too.
fn by_code(code: u32) -> Option<Verdict> {
    use RefusalReason::*;
    Some(Verdict::Refused(match code {
        89 => return unauthorized(true),
        32 | 99 | 135 | 215 => return unauthorized(false),
        88 => return Some(Verdict::RateLimited),
        130 => return Some(Verdict::Unavailable),
        131 => return Some(Verdict::Failed),
        34 | 50 | 63 => NotFound,
        64 | 326 | 416 => Suspended,
        87 | 93 | 220 | 261 => PermissionMissing,
        136 => Blocked,
        144 | 385 | 421 | 422 | 425 => Deleted,
        150 | 151 | 349 => DmNotPermitted,
        179 => Protected,
        185 => PostingAllowanceUsed,
        186 | 354 => TextTooLong,
        187 => Duplicate,
        226 => LooksAutomated,
        251 | 453 => NotOffered,
        323 | 324 | 325 | 386 => MediaInvalid,
        433 => ReplyNotPermitted,
        92 | 214 | 355 | 415 | 417 => Invalid,
        _ => return None,
    }))
}

fn unauthorized(revoked_for_sure: bool) -> Option<Verdict> {
    Some(Verdict::Unauthorized { revoked_for_sure })
}

/// The problem types of v2, by the last part of their URI.
fn by_type(problem: &str) -> Option<Verdict> {
    use RefusalReason::*;
    Some(match problem {
        "usage-capped" => Verdict::Capped,
        "rate-limit-exceeded" | "streaming-connection" => Verdict::RateLimited,
        "credits-depleted" => Verdict::CreditsDepleted,
        "operational-disconnect" | "client-disconnected" | "conflict" => Verdict::Unavailable,
        "internal-error" | "field-hydration-failure" => Verdict::Failed,
        "invalid-request" | "rule-cap" | "rule-length" | "invalid-rules" | "duplicate-rules"
        | "noncompliant-rules" => Verdict::Refused(Invalid),
        "resource-not-found" | "resource-unavailable" | "disallowed-resource" => {
            Verdict::Refused(NotFound)
        }
        "not-authorized-for-resource" => Verdict::Refused(Protected),
        "not-authorized-for-field"
        | "field-unauthorized"
        | "client-forbidden"
        | "unsupported-authentication"
        | "oauth1-permissions" => Verdict::Refused(PermissionMissing),
        _ => return None,
    })
}

fn by_status(status: u16) -> Verdict {
    match status {
        401 => Verdict::Unauthorized {
            revoked_for_sure: false,
        },
        402 => Verdict::CreditsDepleted,
        429 => Verdict::RateLimited,
        404 => Verdict::Refused(RefusalReason::NotFound),
        410 => Verdict::Refused(RefusalReason::NotOffered),
        400 | 405 | 406 | 413 | 415 | 422 => Verdict::Refused(RefusalReason::Invalid),
        _ => Verdict::Refused(RefusalReason::Unclassified),
    }
}

impl Failure<'_> {
    fn upstream(&self) -> Upstream {
        let nothing = Problem::default();
        upstream(
            self.status,
            self.problem.unwrap_or(&nothing),
            self.transaction_id,
        )
    }

    fn error(&self, verdict: Verdict, upstream: Upstream) -> CallError {
        match verdict {
            Verdict::Unauthorized { revoked_for_sure } => CallError::Unauthorized {
                upstream: Box::new(upstream),
                revoked_for_sure,
            },
            Verdict::RateLimited => self.rate_limited(upstream),
            Verdict::Capped => CallError::RateLimited {
                until: None,
                scope: LimitScope::Cap,
                upstream: Box::new(upstream),
            },
            Verdict::CreditsDepleted => CallError::CreditsDepleted {
                upstream: Box::new(upstream),
            },
            Verdict::Unavailable => CallError::Unavailable {
                upstream: Box::new(upstream),
            },
            Verdict::Failed => uncertain(UncertainBecause::ServerError, upstream),
            Verdict::Refused(reason) => CallError::refused(reason, upstream),
        }
    }

    /// A refusal while the 15-minute window is not empty comes from a window of 24 hours, which
    /// X's headers do not always name.
    fn rate_limited(&self, upstream: Upstream) -> CallError {
        let used_up = |window: Option<Window>| window.filter(Window::is_used_up);
        let days = [self.limits.app_day, self.limits.user_day];
        let day = days.into_iter().filter_map(used_up).map(|day| day.reset);
        let (scope, until) = match (day.max(), self.limits.window) {
            (Some(reset), _) => (LimitScope::Day, Some(reset)),
            (None, Some(window)) if window.is_used_up() => (LimitScope::Window, Some(window.reset)),
            (None, Some(_)) => (LimitScope::Day, None),
            (None, None) => (LimitScope::Window, None),
        };
        CallError::RateLimited {
            until,
            scope,
            upstream: Box::new(upstream),
        }
    }
}

/// X's words in one shape, whichever of its shapes they came in.
pub(super) fn upstream(status: u16, problem: &Problem<'_>, transaction_id: &str) -> Upstream {
    let code = problem
        .code
        .or_else(|| problem.errors.iter().find_map(|error| *error.code));
    let type_ = first(
        [&problem.type_]
            .into_iter()
            .chain(problem.errors.iter().map(|it| &it.type_))
            .map(|it| &**it),
    );
    Upstream {
        status,
        type_: type_.to_owned(),
        title: first([&*problem.title, &*problem.error]).to_owned(),
        detail: words(problem).into_owned(),
        code,
        reason: first(
            [&*problem.reason]
                .into_iter()
                .chain(problem.errors.iter().map(|it| &*it.reason)),
        )
        .to_owned(),
        transaction_id: transaction_id.to_owned(),
    }
}

/// Detail and messages, the ones of the list behind that of the whole.
fn words<'w>(problem: &'w Problem<'_>) -> Cow<'w, str> {
    let own = first([
        &*problem.detail,
        &*problem.message,
        &*problem.error_description,
    ]);
    let details = problem.details.iter().map(|text| Cow::Borrowed(&**text));
    let listed = problem.errors.iter().map(|error| match words(error) {
        words if words.is_empty() => Cow::Borrowed(&*error.title),
        words => words,
    });
    let listed = details.chain(listed);
    let listed = listed.filter(|words| !words.is_empty() && **words != *own);
    listed.fold(Cow::Borrowed(own), |text, words| {
        if text.is_empty() {
            words.into_owned().into()
        } else {
            format!("{text} {words}").into()
        }
    })
}

fn first<'w>(texts: impl IntoIterator<Item = &'w str>) -> &'w str {
    let mut texts = texts.into_iter();
    texts.find(|text| !text.is_empty()).unwrap_or_default()
}
