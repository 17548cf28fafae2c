//! Every error of X's and what becomes of it.

use serde_json::{Value, json};

use crate::x::client::testing::{Act, Bench};
use crate::x::client::{CallError, Client, NewPost};

/// What a post becomes that X answers like this, in one line.
async fn outcome(bench: &Bench, act: Act) -> String {
    bench.x.then([act]);
    let client: &Client = &bench.client;
    let reply = client.create_post(bench.auth(), &NewPost::default()).await;
    match reply.result.unwrap_err() {
        CallError::NotSent { reason } => format!("NotSent({reason:?})"),
        CallError::RateLimited { until, scope, .. } => {
            let until = until.map_or("unknown".to_owned(), |at| at.as_second().to_string());
            format!("RateLimited({scope:?}, until {until})")
        }
        CallError::CreditsDepleted { .. } => "CreditsDepleted".to_owned(),
        CallError::Unauthorized {
            revoked_for_sure, ..
        } => {
            let sure = if revoked_for_sure {
                "revoked"
            } else {
                "confirm"
            };
            format!("Unauthorized({sure})")
        }
        CallError::Unavailable { .. } => "Unavailable".to_owned(),
        CallError::Uncertain { reason, .. } => format!("Uncertain({reason:?})"),
        CallError::Refused(refusal) => format!("Refused({:?})", refusal.reason),
    }
}

/// Makes each error, prints what it became, and says where that is not what is expected.
async fn check(title: &str, rows: Vec<(String, Act, &str)>) {
    let mut bench = Bench::new([]).await;
    // With OAuth 1.0a only, there is no other kind of credential to fall back to.
    bench.account.oauth2_refresh_token = None;
    let mut wrong = Vec::new();
    println!("\n{title}");
    for (name, act, expected) in rows {
        let outcome = outcome(&bench, act).await;
        println!("  {name:<72} {outcome}");
        if outcome != expected {
            wrong.push(format!("{name}: expected {expected}, became {outcome}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn problem(type_: &str) -> Value {
    json!({"title": "Some title", "detail": "Some detail.", "type": type_})
}

#[tokio::test]
async fn problem_types_become() {
    let types = [
        ("about:blank", 400, "Refused(Invalid)"),
        ("about:blank", 401, "Unauthorized(confirm)"),
        ("about:blank", 403, "Refused(Unclassified)"),
        ("about:blank", 404, "Refused(NotFound)"),
        ("invalid-request", 400, "Refused(Invalid)"),
        ("resource-not-found", 404, "Refused(NotFound)"),
        ("resource-unavailable", 404, "Refused(NotFound)"),
        ("disallowed-resource", 404, "Refused(NotFound)"),
        ("not-authorized-for-resource", 403, "Refused(Protected)"),
        (
            "not-authorized-for-field",
            403,
            "Refused(PermissionMissing)",
        ),
        ("field-unauthorized", 403, "Refused(PermissionMissing)"),
        ("client-forbidden", 403, "Refused(PermissionMissing)"),
        (
            "unsupported-authentication",
            403,
            "Refused(PermissionMissing)",
        ),
        ("oauth1-permissions", 403, "Refused(PermissionMissing)"),
        ("usage-capped", 429, "RateLimited(Cap, until unknown)"),
        (
            "rate-limit-exceeded",
            429,
            "RateLimited(Window, until unknown)",
        ),
        ("credits-depleted", 402, "CreditsDepleted"),
        ("credits-depleted", 403, "CreditsDepleted"),
        (
            "streaming-connection",
            429,
            "RateLimited(Window, until unknown)",
        ),
        ("rule-cap", 422, "Refused(Invalid)"),
        ("rule-length", 400, "Refused(Invalid)"),
        ("invalid-rules", 400, "Refused(Invalid)"),
        ("duplicate-rules", 400, "Refused(Invalid)"),
        ("noncompliant-rules", 400, "Refused(Invalid)"),
        ("operational-disconnect", 503, "Unavailable"),
        ("client-disconnected", 503, "Unavailable"),
        ("conflict", 409, "Unavailable"),
        ("internal-error", 500, "Uncertain(ServerError)"),
        ("internal-error", 400, "Uncertain(ServerError)"),
        ("field-hydration-failure", 500, "Uncertain(ServerError)"),
        ("something-new", 403, "Refused(Unclassified)"),
    ];
    let mut rows = Vec::new();
    for (type_, status, expected) in types {
        for host in ["api.x.com", "api.twitter.com"] {
            let uri = match type_ {
                "about:blank" => type_.to_owned(),
                _ => format!("https://{host}/2/problems/{type_}"),
            };
            let act = Act::status(status, problem(&uri));
            rows.push((format!("{status} {uri}"), act, expected));
        }
    }
    check("Problem types of v2", rows).await;
}

#[tokio::test]
async fn codes_of_v1_become() {
    let codes: [(&[u32], &[u16], &str); 24] = [
        (&[32, 135], &[401], "Unauthorized(confirm)"),
        (&[215], &[400], "Unauthorized(confirm)"),
        (&[34, 50], &[404], "Refused(NotFound)"),
        (&[144], &[404], "Refused(Deleted)"),
        (&[63], &[403], "Refused(NotFound)"),
        (&[64, 326], &[403], "Refused(Suspended)"),
        (&[87, 220, 261], &[403], "Refused(PermissionMissing)"),
        (&[88], &[429, 403], "RateLimited(Window, until unknown)"),
        (&[89], &[403, 401], "Unauthorized(revoked)"),
        (&[99], &[403], "Unauthorized(confirm)"),
        (&[93], &[403], "Refused(PermissionMissing)"),
        (&[92, 214, 415, 417], &[403], "Refused(Invalid)"),
        (&[251], &[410, 403], "Refused(NotOffered)"),
        (&[130], &[503, 403], "Unavailable"),
        (&[131], &[500, 403], "Uncertain(ServerError)"),
        (&[355], &[409], "Refused(Invalid)"),
        (&[150, 151, 349], &[403], "Refused(DmNotPermitted)"),
        (&[179], &[403], "Refused(Protected)"),
        (&[185], &[403], "Refused(PostingAllowanceUsed)"),
        (&[186, 354], &[403], "Refused(TextTooLong)"),
        (&[187], &[403], "Refused(Duplicate)"),
        (&[226], &[403], "Refused(LooksAutomated)"),
        (&[323, 324, 325, 386], &[400, 403], "Refused(MediaInvalid)"),
        (&[9999], &[403], "Refused(Unclassified)"),
    ];
    let later: [(&[u32], &[u16], &str); 4] = [
        (&[385], &[403], "Refused(Deleted)"),
        (&[421, 422, 425], &[404, 403], "Refused(Deleted)"),
        (&[433], &[403], "Refused(ReplyNotPermitted)"),
        (&[416], &[401, 403], "Refused(Suspended)"),
    ];
    let mut rows = Vec::new();
    for (codes, statuses, expected) in codes.into_iter().chain(later) {
        for (code, status) in codes
            .iter()
            .flat_map(|code| statuses.iter().map(move |it| (code, *it)))
        {
            let listed = json!({"errors": [{"code": code, "message": "Some words."}]});
            let single = json!({"code": code, "message": "Some words."});
            rows.push((
                format!("{status} code {code}"),
                Act::status(status, listed),
                expected,
            ));
            rows.push((
                format!("{status} code {code}, not in a list"),
                Act::status(status, single),
                expected,
            ));
        }
    }
    check("Codes of v1.1, on a path of v2", rows).await;
}

/// The texts themselves are in `refusals.json`, where a test beside them finds each.
#[tokio::test]
async fn texts_of_refusals_become() {
    let texts = [
        (
            403,
            "You are not allowed to create a Tweet with duplicate content.",
            "Refused(Duplicate)",
        ),
        (
            403,
            "Reply to this conversation is not allowed because you have not been mentioned or otherwise engaged by the author of the post you are replying to.",
            "Refused(NotSummoned)",
        ),
        (
            403,
            "Reply to this conversation is not allowed.",
            "Refused(ReplyNotPermitted)",
        ),
        (
            403,
            "The original Tweet author restricted who can reply to this Tweet.",
            "Refused(ReplyNotPermitted)",
        ),
        (
            403,
            "You attempted to reply to a Tweet that is deleted or not visible to you.",
            "Refused(Deleted)",
        ),
        (
            403,
            "You have been blocked from the author of this tweet.",
            "Refused(Blocked)",
        ),
        (
            403,
            "You cannot send messages to this user.",
            "Refused(DmNotPermitted)",
        ),
        (
            403,
            "You do not have permission to DM one or more participants.",
            "Refused(DmNotPermitted)",
        ),
        (
            403,
            "Your account is suspended and is not permitted to access this feature.",
            "Refused(Suspended)",
        ),
        (
            403,
            "This request looks like it might be automated.",
            "Refused(LooksAutomated)",
        ),
        (
            403,
            "User is over daily status update limit.",
            "Refused(PostingAllowanceUsed)",
        ),
        (
            403,
            "YOU ARE NOT ALLOWED TO CREATE A TWEET WITH DUPLICATE CONTENT.",
            "Refused(Duplicate)",
        ),
        (
            403,
            "You are not permitted to perform this action.",
            "Refused(Unclassified)",
        ),
        (400, "Your Tweet text is too long.", "Refused(TextTooLong)"),
        (400, "Your media IDs are invalid.", "Refused(MediaInvalid)"),
        (400, "Something else.", "Refused(Invalid)"),
    ];
    let mut rows = Vec::new();
    for (status, text, expected) in texts {
        let blank =
            json!({"title": "Forbidden", "detail": text, "type": "about:blank", "status": status});
        let listed = json!({"errors": [{"parameters": {}, "message": text}], "title": "Invalid Request",
            "detail": "One or more parameters to your request was invalid.", "type": "https://api.twitter.com/2/problems/invalid-request"});
        rows.push((
            format!("{status} {text:.60}"),
            Act::status(status, blank),
            expected,
        ));
        if status == 400 {
            rows.push((
                format!("{status} listed: {text:.60}"),
                Act::status(status, listed),
                expected,
            ));
        }
    }
    check("Texts of refusals", rows).await;
}

#[tokio::test]
async fn statuses_become() {
    let words = problem("about:blank").to_string();
    let statuses = [
        (400, &*words, "Refused(Invalid)"),
        (401, &words, "Unauthorized(confirm)"),
        (401, "", "Unauthorized(confirm)"),
        (402, &words, "CreditsDepleted"),
        (402, "<html>", "CreditsDepleted"),
        (403, &words, "Refused(Unclassified)"),
        (403, "<html>", "Uncertain(Unreadable)"),
        (404, &words, "Refused(NotFound)"),
        (404, "", "Uncertain(Unreadable)"),
        (406, &words, "Refused(Invalid)"),
        (408, &words, "Uncertain(TimedOut)"),
        (409, &words, "Refused(Unclassified)"),
        (410, &words, "Refused(NotOffered)"),
        (413, &words, "Refused(Invalid)"),
        (422, &words, "Refused(Invalid)"),
        (429, "", "RateLimited(Window, until unknown)"),
        (500, &words, "Uncertain(ServerError)"),
        (500, "", "Uncertain(ServerError)"),
        (502, "<html>", "Uncertain(ServerError)"),
        (503, &words, "Unavailable"),
        (503, "", "Unavailable"),
        (504, "", "Uncertain(ServerError)"),
        (520, "", "Uncertain(ServerError)"),
        (302, "", "Uncertain(UnexpectedStatus)"),
    ];
    let rows = statuses.into_iter().map(|(status, body, expected)| {
        let name = match body {
            "" => "without a body",
            "<html>" => "with a proxy's page",
            _ => "about:blank",
        };
        (
            format!("{status} {name}"),
            Act::status(status, body),
            expected,
        )
    });
    check("Statuses", rows.collect()).await;
}

#[tokio::test]
async fn limits_become() {
    let limited = |windows: &[(&'static str, u32, u32)]| {
        let body = json!({"title": "Too Many Requests", "detail": "Too Many Requests", "type": "about:blank", "status": 429});
        windows
            .iter()
            .fold(Act::status(429, body), |act, (name, remaining, reset)| {
                let (limit, left, at) = match *name {
                    "app" => (
                        "x-app-limit-24hour-limit",
                        "x-app-limit-24hour-remaining",
                        "x-app-limit-24hour-reset",
                    ),
                    "user" => (
                        "x-user-limit-24hour-limit",
                        "x-user-limit-24hour-remaining",
                        "x-user-limit-24hour-reset",
                    ),
                    _ => (
                        "x-rate-limit-limit",
                        "x-rate-limit-remaining",
                        "x-rate-limit-reset",
                    ),
                };
                act.with(limit, 100).with(left, remaining).with(at, reset)
            })
    };
    let capped = json!({"title": "UsageCapExceeded", "detail": "Usage cap exceeded: Monthly product cap", "period": "Monthly", "scope": "Product", "type": "https://api.x.com/2/problems/usage-capped"});
    let rows = vec![
        (
            "429 without headers",
            limited(&[]),
            "RateLimited(Window, until unknown)",
        ),
        (
            "429, window used up",
            limited(&[("", 0, 1_000)]),
            "RateLimited(Window, until 1000)",
        ),
        (
            "429, window not used up",
            limited(&[("", 5, 1_000)]),
            "RateLimited(Day, until unknown)",
        ),
        (
            "429, the user's day used up",
            limited(&[("", 5, 1_000), ("user", 0, 9_000)]),
            "RateLimited(Day, until 9000)",
        ),
        (
            "429, the app's day used up",
            limited(&[("", 5, 1_000), ("app", 0, 8_000), ("user", 7, 9_000)]),
            "RateLimited(Day, until 8000)",
        ),
        (
            "429, everything used up",
            limited(&[("", 0, 1_000), ("app", 0, 8_000), ("user", 0, 9_000)]),
            "RateLimited(Day, until 9000)",
        ),
        (
            "429, days left, window used up",
            limited(&[("", 0, 1_000), ("app", 3, 8_000), ("user", 3, 9_000)]),
            "RateLimited(Window, until 1000)",
        ),
        (
            "429 usage-capped",
            Act::status(429, capped).with("x-rate-limit-limit", 9),
            "RateLimited(Cap, until unknown)",
        ),
    ];
    let rows = rows
        .into_iter()
        .map(|(name, act, expected)| (name.to_owned(), act, expected));
    check("Limits", rows.collect()).await;
}

#[tokio::test]
async fn an_unclassified_refusal_keeps_xs_words() {
    let body = json!({"title": "Forbidden", "detail": "You shall not.", "type": "about:blank", "status": 403});
    let bench = Bench::new([Act::status(403, body).with("x-transaction-id", "t1")]).await;
    let reply = bench
        .client
        .create_post(bench.auth(), &NewPost::default())
        .await;
    let upstream = reply.result.unwrap_err().upstream().cloned().unwrap();
    assert_eq!(
        (upstream.status, &*upstream.title, &*upstream.detail),
        (403, "Forbidden", "You shall not.")
    );
    assert_eq!(
        (&*upstream.type_, &*upstream.transaction_id),
        ("about:blank", "t1")
    );
}
