//! Every error of X's and what a command becomes of it: made here, and compared with `docs/errors.md`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::plan::Plan;
use super::planner::Effect;
use super::settle::{Settled, wrote};
use crate::domain::account::{Account, App, Delivery, Sending, Tier};
use crate::domain::command::{Action, Command, SendPost};
use crate::domain::ids::AccountId;
use crate::domain::registry::Registry;
use crate::flow::rules::Rules;
use crate::flow::rules::testing::rules_of;
use crate::store::{
    CommandState, Hold, NewCommand, SendKind, SendRow, SendState, Store, StoreError, Tx, Wait,
};
use crate::x::client::{Call, CallError, LimitScope, NotSent, UncertainBecause, error_of};

const DOCUMENT: &str = include_str!("../../../docs/errors.md");
const REFUSALS: &str = include_str!("../../x/client/refusals.json");

/// Types of v2 with the status they come with. Source: X's "Response codes and errors".
const TYPES: [(&str, u16, &str); 24] = [
    ("about:blank", 400, "a fault in the request"),
    (
        "about:blank",
        403,
        "no, for a reason that only its text tells (below)",
    ),
    ("about:blank", 404, "gone, or never there"),
    ("invalid-request", 400, "a parameter is wrong"),
    ("resource-not-found", 404, "gone, or never there"),
    ("resource-unavailable", 404, "gone"),
    ("disallowed-resource", 404, "not to be had"),
    ("not-authorized-for-resource", 403, "protected, or blocked"),
    ("not-authorized-for-field", 403, "wrong context"),
    ("field-unauthorized", 403, "wrong context"),
    ("client-forbidden", 403, "access level of the app"),
    ("unsupported-authentication", 403, "wrong kind of token"),
    ("oauth1-permissions", 403, "permission of the app"),
    ("usage-capped", 429, "cap of the plan, by day or month"),
    ("rate-limit-exceeded", 429, "rate limit"),
    ("credits-depleted", 402, "no credit left"),
    ("streaming-connection", 429, "connections of a stream"),
    (
        "rule-cap",
        422,
        "rules of a stream; so are `rule-length`, `invalid-rules`, `duplicate-rules`, `noncompliant-rules`",
    ),
    ("operational-disconnect", 503, "X ends a connection"),
    ("client-disconnected", 503, "X lost the connection"),
    ("conflict", 409, "busy with the same"),
    ("internal-error", 500, "a fault of X"),
    ("field-hydration-failure", 500, "a fault of X"),
    ("something-new", 403, "a type that nobody wrote down yet"),
];

/// Codes of v1.1, seen on paths of v2 too. Source: X's list of 2025-06.
const CODES: [(u32, u16, &str); 48] = [
    (32, 401, "not authenticated"),
    (34, 404, "no such page"),
    (50, 404, "no such user"),
    (63, 403, "the other user is suspended"),
    (64, 403, "our account is suspended"),
    (87, 403, "the call is not permitted to the app"),
    (88, 429, "rate limit"),
    (89, 403, "token invalid, expired or revoked"),
    (92, 403, "TLS is required"),
    (93, 403, "token without permission for direct messages"),
    (99, 403, "credentials cannot be verified"),
    (130, 503, "over capacity"),
    (131, 500, "a fault of X"),
    (135, 401, "our clock is off"),
    (136, 403, "the author blocks us"),
    (144, 404, "no such post"),
    (150, 403, "the person does not follow us"),
    (151, 403, "the message cannot be sent"),
    (179, 403, "the post is protected"),
    (185, 403, "posting allowance used up"),
    (186, 403, "post too long"),
    (187, 403, "duplicate text"),
    (214, 403, "refusal of a webhook or welcome message"),
    (215, 400, "bad authentication"),
    (220, 403, "credentials do not allow it"),
    (226, 403, "looks automated"),
    (251, 410, "the call is retired"),
    (261, 403, "the app cannot write"),
    (323, 400, "a GIF beside images"),
    (324, 403, "media id invalid"),
    (325, 403, "media id unknown"),
    (326, 403, "our account is locked"),
    (349, 403, "no direct messages to this person"),
    (354, 403, "direct message too long"),
    (355, 409, "subscription exists"),
    (385, 403, "what is replied to is deleted or not visible"),
    (386, 403, "too many kinds of attachment"),
    (415, 403, "callback not approved"),
    (416, 401, "the app is suspended"),
    (417, 403, "only `oob` is allowed"),
    (421, 404, "post withdrawn"),
    (422, 404, "post withdrawn"),
    (425, 403, "post withdrawn"),
    (433, 403, "the author restricted replies"),
    (453, 403, "not in this access level"),
    (9999, 403, "a code that nobody wrote down yet"),
    (9999, 400, "the same"),
    (9999, 404, "the same"),
];

/// Answers without X's words, or whatever these are.
const STATUSES: [(u16, &str, &str); 12] = [
    (401, "", "the credential is not accepted, or an outage"),
    (402, "", "no credit left"),
    (403, "<html>", "somebody between us and X"),
    (404, "", "somebody between us and X"),
    (
        406,
        "{\"title\":\"x\"}",
        "a fault in the request; so are 405, 413, 415, 422",
    ),
    (408, "", "X, or somebody before it, gave up waiting"),
    (409, "{\"title\":\"x\"}", "another conflict"),
    (410, "{\"title\":\"x\"}", "the call is retired"),
    (429, "", "rate limit"),
    (500, "", "a fault of X; so are 502, 504 and any other 5xx"),
    (503, "", "over capacity"),
    (302, "", "a redirect, or another status that X does not use"),
];

fn at() -> Timestamp {
    "2026-09-01T12:00:00Z".parse().unwrap()
}

fn account() -> AccountId {
    AccountId("1".parse().unwrap())
}

/// One account, no filters, nothing costs anything.
pub(crate) fn rules() -> Rules {
    let app = App {
        name: "acme".to_owned(),
        consumer_key: "k".to_owned(),
        consumer_secret: "s".into(),
        previous_consumer_secret: None,
        bearer_token: None,
        client_id: None,
        client_secret: None,
        owner_token: None,
        delivery: Delivery::Activity,
        tier: Tier::SelfServe,
        mirror: vec![],
    };
    let account = Account {
        app: "acme".to_owned(),
        id: account(),
        username: "acme".to_owned(),
        access_token: None,
        oauth2_refresh_token: None,
        linking: None,
        sending: Sending::Live,
        blocked: BTreeSet::new(),
        enrich: Default::default(),
        feeds: Default::default(),
        monthly_budget: None,
        max_post_length: None,
    };
    rules_of(Registry::new(vec![app], vec![account], Vec::new()))
}

/// A post on its way to X for the first time.
fn on_its_way(tx: &Tx<'_>) -> Result<u64, StoreError> {
    let command = Command {
        id: "c1".parse().unwrap(),
        account: Some(account()),
        expires_at: None,
        max_cost: None,
        only_if_summoned: false,
        retry_of: None,
        force: false,
        metadata: Default::default(),
        agent: None,
        action: Action::SendPost(SendPost {
            text: "Hello".to_owned(),
            ..SendPost::default()
        }),
    };
    let plan = Plan {
        parts: vec!["Hello".to_owned()],
        ..Plan::default()
    };
    let sequence = tx.insert_command(&NewCommand {
        id: command.id.clone(),
        fingerprint: [0; 32],
        account: command.account,
        name: "send_post",
        conversation: String::new(),
        call: Call::CreatePost.name(),
        hold: Hold::None,
        received_at: at(),
        expires_at: at() + Duration::from_hours(24),
        content: serde_json::to_string(&command).unwrap(),
        plan: plan.to_json(),
    })?;
    tx.set_waiting(
        sequence,
        &Wait {
            state: CommandState::Sending,
            hold: Hold::None,
            call: Call::CreatePost.name(),
            next_attempt_at: at(),
            attempt: 1,
        },
    )?;
    tx.put_send(&SendRow {
        command: sequence,
        part: 1,
        account: account(),
        kind: SendKind::Post,
        state: SendState::Sending,
        text: "Hello".to_owned(),
        target: String::new(),
        has_media: false,
        started_at: at(),
        ended_at: None,
        doubted: false,
        empty_reads: 0,
        message: None,
        sent_at: None,
    })?;
    Ok(sequence)
}

/// What becomes of a post whose call ends so, in words, and whether it is tried again.
async fn becomes(error: CallError) -> [String; 2] {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_in(folder.path());
    let end = |tx: &mut Tx<'_>| {
        let sequence = on_its_way(tx)?;
        let settled = wrote(tx, &rules(), sequence, 1, Err(error), at())?;
        let looks = tx.sends(sequence)?.first().map(|send| 2 - send.empty_reads);
        let outcome = tx.outcome(sequence)?.map(|outcome| outcome.body);
        Ok((settled, looks.unwrap_or(0), outcome))
    };
    let (settled, looks, outcome) = store.write(end).await.unwrap();
    match outcome {
        Some(body) => {
            let body: Value = serde_json::from_slice(&body).unwrap();
            [
                format!("fails `{}`", body["code"].as_str().unwrap()),
                "no".to_owned(),
            ]
        }
        None => waits(settled, looks),
    }
}

fn waits(settled: Settled, looks: u32) -> [String; 2] {
    let row = settled.row.unwrap();
    let code = format!("waits `{}`", settled.why.unwrap().name());
    let wait = row.next_attempt_at.duration_since(at()).as_secs();
    let when = match (row.state, row.hold, settled.effect) {
        (CommandState::Uncertain, _, _) if looks == 1 => {
            format!("after one look that finds nothing, {wait} s later")
        }
        (CommandState::Uncertain, _, _) => {
            format!("after {looks} looks that find nothing, the first {wait} s later")
        }
        (_, Hold::Revoked, _) => "once the account is linked again".to_owned(),
        (_, _, Effect::NoCredit) => "the app pauses: 5 s, doubling to 5 min".to_owned(),
        (_, _, Effect::Limited(LimitScope::Cap, _)) => format!("every {} min", wait / 60),
        (_, _, Effect::Limited(..)) => "when the window opens".to_owned(),
        (_, _, Effect::Fails) => format!("after {wait} s, doubling to 5 min"),
        _ if wait >= 120 => format!("after {} min", wait / 60),
        _ => format!("once, after {wait} s; then the account counts as revoked"),
    };
    [code, when]
}

/// Rows of a table: what X answers, what that means, what the command does, and when again.
async fn table(title: &str, rows: Vec<(String, String, CallError)>) -> String {
    let mut text =
        format!("## {title}\n\n| X | meaning | the command | again |\n|---|---|---|---|\n");
    for (answer, meaning, error) in rows {
        let [code, again] = becomes(error).await;
        writeln!(text, "| {answer} | {meaning} | {code} | {again} |").unwrap();
    }
    text
}

async fn tables() -> String {
    let types = TYPES.map(|(type_, status, meaning)| {
        let uri = match type_ {
            "about:blank" => type_.to_owned(),
            _ => format!("https://api.x.com/2/problems/{type_}"),
        };
        let body = json!({"title": "Title", "detail": "Detail.", "type": uri}).to_string();
        (
            format!("{status} `{type_}`"),
            meaning.to_owned(),
            error_of(status, &body),
        )
    });
    let refusals: Vec<Value> = serde_json::from_str(REFUSALS).unwrap();
    let texts = refusals.iter().map(|row| {
        let part = row["part"].as_str().unwrap();
        let body = json!({"title": "Title", "detail": part, "type": "about:blank"}).to_string();
        let source = row["source"].as_str().unwrap().to_owned();
        (
            format!("403 \"... {part} ...\""),
            source,
            error_of(403, &body),
        )
    });
    let codes = CODES.map(|(code, status, meaning)| {
        (
            format!("{status} code {code}"),
            meaning.to_owned(),
            error_of(status, &coded(code)),
        )
    });
    let statuses = STATUSES.map(|(status, body, meaning)| {
        let kind = match body {
            "" => "without a body",
            "<html>" => "with a proxy's page",
            _ => "of no known type",
        };
        (
            format!("{status} {kind}"),
            meaning.to_owned(),
            error_of(status, body),
        )
    });
    [
        table("Problem types of v2", types.into()).await,
        table("Texts of refusals", texts.collect()).await,
        table("Codes of v1.1", codes.into()).await,
        table("Statuses alone", statuses.into()).await,
        table("No answer", unanswered()).await,
    ]
    .join("\n")
}

fn coded(code: u32) -> String {
    json!({"errors": [{"code": code, "message": "Words."}]}).to_string()
}

fn unanswered() -> Vec<(String, String, CallError)> {
    let uncertain = |reason| CallError::Uncertain {
        reason,
        upstream: None,
    };
    let no_connection = CallError::NotSent {
        reason: NotSent::NoConnection("refused".to_owned()),
    };
    let no_credential = CallError::NotSent {
        reason: NotSent::NoCredential("none"),
    };
    let rows = [
        (
            "no connection",
            "name, route, refusal or TLS: nothing went out",
            no_connection,
        ),
        (
            "not asked",
            "the account has no credential for the call",
            no_credential,
        ),
        (
            "time-out",
            "`x_api.call_timeout`",
            uncertain(UncertainBecause::TimedOut),
        ),
        (
            "reset or closed",
            "after the request had begun to go out",
            uncertain(UncertainBecause::ConnectionLost),
        ),
        (
            "answer cut",
            "it began to come",
            uncertain(UncertainBecause::AnswerCut),
        ),
        (
            "success that cannot be read",
            "not JSON, or not of X's shape",
            uncertain(UncertainBecause::Unreadable),
        ),
        (
            "success without an id",
            "as it stands",
            uncertain(UncertainBecause::NoResult),
        ),
    ];
    let owned = rows.map(|(answer, meaning, error)| (answer.to_owned(), meaning.to_owned(), error));
    owned.into()
}

#[tokio::test]
async fn the_document_names_every_error_and_what_becomes_of_it() {
    let tables = tables().await;
    let (_, document) = DOCUMENT.split_once("\n## Problem types of v2").unwrap();
    let document = format!("## Problem types of v2{document}");
    assert!(
        document == tables,
        "from \"## Problem types of v2\" on, docs/errors.md has to be:\n{tables}"
    );
}

#[test]
fn no_code_that_means_something_is_missing() {
    let unknown = error_of(403, &coded(9999));
    let kind = |error: &CallError| match error {
        CallError::Refused(refusal) => format!("{:?}", refusal.reason),
        other => format!("{:?}", std::mem::discriminant(other)),
    };
    let listed: BTreeSet<u32> = CODES.map(|(code, _, _)| code).into();
    for code in 1..1000 {
        let known = kind(&error_of(403, &coded(code))) != kind(&unknown);
        assert_eq!(known, listed.contains(&code), "code {code}");
    }
}
