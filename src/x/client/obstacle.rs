//! What is in the way of managing an app: its webhooks, subscriptions, replays and links. X tells
//! most of it by text only. Its own words stay in the [`CallError`].

use super::Reply;
use super::call::Call;
use super::error::{CallError, Refusal, RefusalReason, Upstream};

/// Why X does not do what setting up an app or an account asks, named for who can mend it where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Obstacle {
    /// Our URL did not pass X's challenge.
    Crc(CrcFault),
    /// X does not like the URL: https, publicly reachable, no port, up to 200 characters.
    UrlRefused,
    /// This URL is a webhook of the app already.
    DuplicateUrl,
    /// The developer account has as many webhooks as its plan allows, whichever app they are of.
    WebhookLimit,
    /// The webhook is gone, or another app's.
    NoSuchWebhook,
    /// The app has no dev environment of this label; X minds its case.
    UnknownEnvironment,
    /// The label or the token (v1.1 answers both alike): who knows the token to be good, knows.
    EnvironmentOrCredential,
    /// The product is not in the app's plan, or X has retired it.
    NotInTier,
    /// The app's level, or the token's, is lower than "Read, write and direct messages", or a
    /// scope is missing. A token keeps the level it was made with.
    PermissionMissing,
    /// X wants another kind of credential for it.
    WrongKindOfCredential,
    /// There already: as good as done.
    DuplicateSubscription,
    SubscriptionLimit,
    /// Gone already, or never there.
    NoSuchSubscription,
    /// One job at a time for each webhook.
    ReplayRunning,
    /// The times asked for are outside what X keeps, or in the wrong order.
    ReplayWindow,
    /// The callback is not among those of the app's settings at X, to the letter.
    CallbackNotApproved,
    /// The request token, its verifier or the code is spent, too old or not X's: begin again.
    LinkExpired,
    /// Consumer key and secret are no pair of X's.
    ConsumerPair,
    /// Client id and secret of OAuth 2.0 are no pair of X's.
    ClientPair,
    /// X says that the token is revoked or never was.
    TokenPair,
    /// X does not accept the credential, and does not say what of it.
    Credential,
    /// X says that our clock is off.
    ClockOff,
}

/// What was wrong with the answer to X's challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CrcFault {
    /// Not made with the app's consumer secret, or not in the form X expects.
    WrongAnswer,
    /// It took more than 3 seconds.
    TooSlow,
    /// Any status but 200, redirects included.
    Status,
    /// No connection, or no TLS.
    Unreachable,
    /// X does not say.
    Unsaid,
}

/// A text of X's, known by a part of it in lower case, what it means, and where it is from.
type Row = (&'static str, Obstacle, &'static str);

/// In order: the first part that fits decides.
#[rustfmt::skip]
const TEXTS: [Row; 26] = [
    ("invalid crc token or json", Obstacle::Crc(CrcFault::WrongAnswer), "code 214, X's page on Account Activity of v1.1"),
    ("invalid response_token", Obstacle::Crc(CrcFault::WrongAnswer), "CrcValidationFailed, seen by others"),
    ("high latency on crc", Obstacle::Crc(CrcFault::TooSlow), "code 214, the same page"),
    ("non-200 response code during crc", Obstacle::Crc(CrcFault::Status), "code 214, the same page"),
    ("unable to connect during crc", Obstacle::Crc(CrcFault::Unreachable), "code 214, seen by others"),
    ("crcvalidationfailed", Obstacle::Crc(CrcFault::Unsaid), "X's webhooks quickstart"),
    ("urlvalidationfailed", Obstacle::UrlRefused, "X's webhooks quickstart"),
    ("webhook url does not meet the requirements", Obstacle::UrlRefused, "code 214, X's page on Account Activity of v1.1"),
    ("duplicateurlfailed", Obstacle::DuplicateUrl, "X's webhooks quickstart"),
    ("webhooklimitexceeded", Obstacle::WebhookLimit, "X's webhooks quickstart"),
    ("too many resources already created", Obstacle::WebhookLimit, "code 214, X's page on Account Activity of v1.1"),
    ("webhookidinvalid", Obstacle::NoSuchWebhook, "X's webhooks quickstart"),
    ("webhook does not exist or is associated with a different", Obstacle::NoSuchWebhook, "code 34, X's page on Account Activity of v1.1"),
    ("duplicatesubscriptionfailed", Obstacle::DuplicateSubscription, "X's Account Activity quickstart"),
    ("subscription already exists", Obstacle::DuplicateSubscription, "its words beside that name, seen by others"),
    ("subscriptionlimitexceeded", Obstacle::SubscriptionLimit, "X's Account Activity quickstart"),
    ("subscriptionnotfound", Obstacle::NoSuchSubscription, "X's Account Activity quickstart"),
    ("replayconflicterror", Obstacle::ReplayRunning, "X's Account Activity quickstart"),
    ("queryparaminvalid", Obstacle::ReplayWindow, "X's Account Activity quickstart"),
    ("callback url not approved", Obstacle::CallbackNotApproved, "code 415, seen by others"),
    ("desktop applications only support the oauth_callback", Obstacle::CallbackNotApproved, "code 417, X's list of codes of v1.1"),
    ("timestamp out of bounds", Obstacle::ClockOff, "code 135, X's list of codes of v1.1"),
    ("unauthorized_client", Obstacle::ClientPair, "2/oauth2/token with a wrong secret, seen by others"),
    ("invalid_client", Obstacle::ClientPair, "2/oauth2/token with an unknown client id, seen by others"),
    ("client-not-enrolled", Obstacle::NotInTier, "reason of client-forbidden, X's response codes"),
    ("official-client-forbidden", Obstacle::NotInTier, "reason of client-forbidden, X's response codes"),
];

impl<T> Reply<T> {
    /// What is in the way, where the call has no result and X's answer says it.
    pub fn obstacle(&self) -> Option<Obstacle> {
        let error = self.result.as_ref().err()?;
        Obstacle::of(self.call, error)
    }
}

impl Obstacle {
    /// What an error of a call means for who sets things up; `None` where it means no more than
    /// the error itself does: not sent, limits, credits, failures of X.
    pub fn of(call: Call, error: &CallError) -> Option<Self> {
        let upstream = error.upstream()?;
        let is_said = (400..500).contains(&upstream.status);
        let said = is_said.then(|| by_text(upstream)).flatten();
        said.or_else(|| match error {
            CallError::Unauthorized {
                upstream,
                revoked_for_sure,
            } => Some(unauthorized(call, upstream, *revoked_for_sure)),
            CallError::Refused(refusal) => by_code(call, refusal)
                .or_else(|| by_type(refusal))
                .or_else(|| by_reason(call, refusal)),
            _ => None,
        })
    }
}

fn by_text(upstream: &Upstream) -> Option<Obstacle> {
    let said = [&upstream.reason, &upstream.title, &upstream.detail];
    let said = said.map(|text| text.to_lowercase()).join("\n");
    let row = TEXTS.iter().find(|(part, ..)| said.contains(part));
    row.map(|(_, obstacle, _)| *obstacle)
}

fn unauthorized(call: Call, upstream: &Upstream, revoked_for_sure: bool) -> Obstacle {
    match (call, upstream.code) {
        (_, Some(135)) => Obstacle::ClockOff,
        (Call::AppBearer | Call::RequestToken, _) => Obstacle::ConsumerPair,
        (Call::AccessToken, _) => Obstacle::LinkExpired,
        (Call::ExchangeCode | Call::RevokeToken, _) => Obstacle::ClientPair,
        _ if revoked_for_sure => Obstacle::TokenPair,
        (call, Some(32)) if call.is_v1() => Obstacle::EnvironmentOrCredential,
        _ => Obstacle::Credential,
    }
}

fn by_code(call: Call, refusal: &Refusal) -> Option<Obstacle> {
    Some(match refusal.upstream.code? {
        34 | 200 if names_environment_only(call) => Obstacle::UnknownEnvironment,
        200 if call.is_v1() => Obstacle::UnknownEnvironment,
        355 if call == Call::ReplayWebhook => Obstacle::ReplayRunning,
        355 => Obstacle::DuplicateSubscription,
        356..=368 if call == Call::ReplayWebhook => Obstacle::ReplayWindow,
        214 if names_webhook(call) => Obstacle::Crc(CrcFault::Unsaid),
        415 | 417 => Obstacle::CallbackNotApproved,
        87 | 93 | 220 | 261 => Obstacle::PermissionMissing,
        _ => return None,
    })
}

fn by_type(refusal: &Refusal) -> Option<Obstacle> {
    match refusal.upstream.problem() {
        "client-forbidden" => Some(Obstacle::NotInTier),
        "unsupported-authentication" => Some(Obstacle::WrongKindOfCredential),
        "oauth1-permissions" => Some(Obstacle::PermissionMissing),
        _ => None,
    }
}

fn by_reason(call: Call, refusal: &Refusal) -> Option<Obstacle> {
    match refusal.reason {
        RefusalReason::NotOffered => Some(Obstacle::NotInTier),
        RefusalReason::PermissionMissing => Some(Obstacle::PermissionMissing),
        RefusalReason::NotFound if names_subscription(call) => Some(Obstacle::NoSuchSubscription),
        RefusalReason::NotFound if names_webhook(call) => Some(Obstacle::NoSuchWebhook),
        // The request itself is right, so it is what the browser brought.
        RefusalReason::Invalid | RefusalReason::Unclassified
            if matches!(call, Call::ExchangeCode | Call::AccessToken) =>
        {
            Some(Obstacle::LinkExpired)
        }
        _ => None,
    }
}

fn names_subscription(call: Call) -> bool {
    matches!(
        call,
        Call::UpdateActivitySubscription
            | Call::DeleteActivitySubscriptions
            | Call::V1UnsubscribeAccount
    )
}

/// Whether a path of v1.1 holds nothing that could be wrong but the label.
fn names_environment_only(call: Call) -> bool {
    matches!(
        call,
        Call::V1RegisterWebhook
            | Call::V1Webhooks
            | Call::V1SubscribeAccount
            | Call::V1AccountSubscribers
    )
}

/// Whether a call names a webhook, in its path or its body.
fn names_webhook(call: Call) -> bool {
    matches!(
        call,
        Call::ValidateWebhook
            | Call::DeleteWebhook
            | Call::ReplayWebhook
            | Call::SubscribeAccount
            | Call::AccountSubscription
            | Call::AccountSubscribers
            | Call::UnsubscribeAccount
            | Call::V1ValidateWebhook
            | Call::V1DeleteWebhook
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_found_by_its_part_whatever_the_case() {
        for (part, obstacle, source) in TEXTS {
            assert_eq!(part, part.to_lowercase());
            assert!(part.len() >= 14 && !source.is_empty(), "{part}");
            let upstream = Upstream {
                status: 400,
                detail: format!("X says: {}!", part.to_uppercase()),
                ..Upstream::default()
            };
            let refused = CallError::refused(RefusalReason::Invalid, upstream);
            let found = Obstacle::of(Call::RegisterWebhook, &refused);
            assert_eq!(found, Some(obstacle), "{part}");
        }
    }

    #[test]
    fn the_more_exact_of_two_texts_decides() {
        let both = "Webhook URL does not meet the requirements. Invalid CRC token or json response format.";
        let upstream = Upstream {
            status: 403,
            code: Some(214),
            detail: both.to_owned(),
            ..Upstream::default()
        };
        let refused = CallError::refused(RefusalReason::Invalid, upstream);
        assert_eq!(
            Obstacle::of(Call::V1RegisterWebhook, &refused),
            Some(Obstacle::Crc(CrcFault::WrongAnswer))
        );
    }
}
