//! What is in the way, as X says it.

use serde_json::{Value, json};

use crate::x::client::testing::Act;
use crate::x::client::transport::error_of;
use crate::x::client::{Call, CrcFault, Obstacle};

/// As X refuses webhook calls of v2.
fn invalid(message: &str) -> String {
    json!({"errors": [{"parameters": {}, "message": message}], "title": "Invalid Request",
        "detail": "One or more parameters to your request was invalid.", "type": "https://api.x.com/2/problems/invalid-request"})
    .to_string()
}

fn coded(code: u32, message: &str) -> String {
    json!({"errors": [{"code": code, "message": message}]}).to_string()
}

fn problem(type_: &str, more: Value) -> String {
    let mut problem = json!({"title": "Some title", "detail": "Some detail.", "type": format!("https://api.x.com/2/problems/{type_}")});
    let members = problem.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    problem.to_string()
}

type Row = (Call, u16, String, Option<Obstacle>);

fn check(rows: Vec<Row>) {
    let mut wrong = Vec::new();
    for (call, status, body, expected) in rows {
        let error = error_of(status, &body);
        let found = Obstacle::of(call, &error);
        println!("{call:?} {status} {body:.90} {found:?}");
        if found != expected {
            wrong.push(format!(
                "{call:?} {status} {body}: {found:?}, expected {expected:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn reasons_of_v2_are_told_apart() {
    use Obstacle::*;
    let (register, subscribe) = (Call::RegisterWebhook, Call::SubscribeAccount);
    let rows = [
        (
            register,
            "CrcValidationFailed: the URL did not answer",
            Crc(CrcFault::Unsaid),
        ),
        (
            register,
            "CrcValidationFailed: Invalid response_token",
            Crc(CrcFault::WrongAnswer),
        ),
        (register, "UrlValidationFailed: no port", UrlRefused),
        (register, "DuplicateUrlFailed: it is yours", DuplicateUrl),
        (register, "WebhookLimitExceeded: 1", WebhookLimit),
        (Call::ValidateWebhook, "WebhookIdInvalid", NoSuchWebhook),
        (subscribe, "WebhookIdInvalid", NoSuchWebhook),
        (
            subscribe,
            "DuplicateSubscriptionFailed: Subscription already exists",
            DuplicateSubscription,
        ),
        (subscribe, "SubscriptionLimitExceeded: 3", SubscriptionLimit),
        (
            Call::UnsubscribeAccount,
            "SubscriptionNotFound",
            NoSuchSubscription,
        ),
        (
            Call::ReplayWebhook,
            "ReplayConflictError: one at a time",
            ReplayRunning,
        ),
        (
            Call::ReplayWebhook,
            "QueryParamInvalid: from_date",
            ReplayWindow,
        ),
        (
            Call::ReplayWebhook,
            "CrcValidationFailed",
            Crc(CrcFault::Unsaid),
        ),
    ];
    let named = rows.map(|(call, words, obstacle)| (call, 400, invalid(words), Some(obstacle)));
    let titled =
        json!({"errors": [{"title": "DuplicateSubscriptionFailed", "type": "about:blank"}]});
    let conflict = problem("conflict", json!({"detail": "ReplayConflictError"}));
    let others = [
        (
            subscribe,
            400,
            titled.to_string(),
            Some(DuplicateSubscription),
        ),
        (Call::ReplayWebhook, 409, conflict, Some(ReplayRunning)),
        (register, 400, invalid("Something new"), None),
        (register, 500, invalid("CrcValidationFailed"), None),
        (register, 402, problem("credits-depleted", json!({})), None),
        (
            register,
            429,
            problem("rate-limit-exceeded", json!({})),
            None,
        ),
    ];
    check(named.into_iter().chain(others).collect());
}

#[test]
fn reasons_of_v1_are_told_apart_by_text_and_code() {
    use Obstacle::*;
    let register = Call::V1RegisterWebhook;
    let rows = [
        (
            register,
            403,
            214,
            "Webhook URL does not meet the requirements.",
            UrlRefused,
        ),
        (
            register,
            403,
            214,
            "Webhook URL does not meet the requirements. Please use HTTPS.",
            UrlRefused,
        ),
        (
            register,
            403,
            214,
            "Webhook URL does not meet the requirements. Invalid CRC token or json response format.",
            Crc(CrcFault::WrongAnswer),
        ),
        (
            register,
            403,
            214,
            "High latency on CRC GET request. Your webhook should respond in less than 3 seconds.",
            Crc(CrcFault::TooSlow),
        ),
        (
            register,
            400,
            214,
            "Non-200 response code during CRC GET request (i.e. 404, 500, etc).",
            Crc(CrcFault::Status),
        ),
        (
            register,
            403,
            214,
            "Unable to connect during CRC GET request.",
            Crc(CrcFault::Unreachable),
        ),
        (
            register,
            403,
            214,
            "Too many resources already created.",
            WebhookLimit,
        ),
        (
            Call::V1ValidateWebhook,
            403,
            214,
            "Something else.",
            Crc(CrcFault::Unsaid),
        ),
        (register, 403, 200, "Forbidden.", UnknownEnvironment),
        (
            register,
            404,
            34,
            "Sorry, that page does not exist",
            UnknownEnvironment,
        ),
        (Call::V1Webhooks, 403, 200, "Forbidden.", UnknownEnvironment),
        (
            Call::V1DeleteWebhook,
            403,
            200,
            "Forbidden.",
            UnknownEnvironment,
        ),
        (
            Call::V1DeleteWebhook,
            404,
            34,
            "Webhook does not exist or is associated with a different twitter application.",
            NoSuchWebhook,
        ),
        (
            Call::V1ValidateWebhook,
            404,
            34,
            "Sorry, that page does not exist",
            NoSuchWebhook,
        ),
        (
            register,
            401,
            32,
            "Could not authenticate you.",
            EnvironmentOrCredential,
        ),
        (register, 403, 89, "Invalid or expired token.", TokenPair),
        (register, 401, 135, "Timestamp out of bounds.", ClockOff),
        (
            register,
            403,
            261,
            "Application cannot perform write actions.",
            PermissionMissing,
        ),
        (
            register,
            410,
            251,
            "This endpoint has been retired",
            NotInTier,
        ),
        (
            register,
            403,
            453,
            "You may need a different access level",
            NotInTier,
        ),
        (
            Call::V1SubscribeAccount,
            409,
            355,
            "Subscription already exists",
            DuplicateSubscription,
        ),
        (
            Call::V1SubscribeAccount,
            403,
            93,
            "This application is not allowed to access or delete your direct messages.",
            PermissionMissing,
        ),
        (
            Call::V1UnsubscribeAccount,
            404,
            34,
            "Sorry, that page does not exist",
            NoSuchSubscription,
        ),
    ];
    let rows = rows.map(|(call, status, code, words, obstacle)| {
        (call, status, coded(code, words), Some(obstacle))
    });
    check(rows.into());
}

#[test]
fn levels_plans_and_kinds_of_credential_are_told_apart() {
    use Obstacle::*;
    let enrolled = |reason: &str| problem("client-forbidden", json!({"reason": reason}));
    let listed = json!({"errors": [{"reason": "client-not-enrolled", "title": "Client Forbidden", "detail": "no"}]});
    let subscribe = Call::SubscribeActivity;
    check(vec![
        (
            subscribe,
            403,
            enrolled("client-not-enrolled"),
            Some(NotInTier),
        ),
        (
            subscribe,
            403,
            enrolled("official-client-forbidden"),
            Some(NotInTier),
        ),
        (subscribe, 403, enrolled(""), Some(NotInTier)),
        (subscribe, 403, listed.to_string(), Some(NotInTier)),
        (
            subscribe,
            403,
            problem("unsupported-authentication", json!({})),
            Some(WrongKindOfCredential),
        ),
        (
            subscribe,
            403,
            problem("oauth1-permissions", json!({})),
            Some(PermissionMissing),
        ),
        (
            subscribe,
            401,
            problem("about:blank", json!({})),
            Some(Credential),
        ),
        (
            subscribe,
            401,
            coded(89, "Invalid or expired token."),
            Some(TokenPair),
        ),
        (
            Call::AppBearer,
            403,
            coded(99, "Unable to verify your credentials"),
            Some(ConsumerPair),
        ),
        (
            Call::AppBearer,
            401,
            coded(32, "Could not authenticate you."),
            Some(ConsumerPair),
        ),
        (
            Call::DeleteActivitySubscriptions,
            404,
            problem("resource-not-found", json!({})),
            Some(NoSuchSubscription),
        ),
        (
            Call::DeleteWebhook,
            404,
            problem("resource-not-found", json!({})),
            Some(NoSuchWebhook),
        ),
    ]);
}

#[tokio::test]
async fn a_reply_keeps_xs_words_beside_what_they_mean() {
    let body = invalid("WebhookLimitExceeded: You already have 1 of 1");
    let bench = crate::x::client::testing::Bench::new([Act::status(400, body)]).await;
    let mut app = bench.app.clone();
    app.bearer_token = Some("b".into());
    let reply = bench
        .client
        .register_webhook(&app, None, "https://a.example/")
        .await;
    assert_eq!(reply.obstacle(), Some(Obstacle::WebhookLimit));
    let words = reply.result.unwrap_err().upstream().cloned().unwrap();
    assert!(
        words
            .detail
            .ends_with("WebhookLimitExceeded: You already have 1 of 1")
    );
}
