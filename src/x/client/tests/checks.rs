//! Whether keys are right, and which is not.

use jiff::SignedDuration;
use serde_json::json;

use crate::domain::account::{AccessToken, Delivery};
use crate::x::client::testing::{Act, Bench};
use crate::x::client::{AccessLevel, AppCheck, AppFault, Call};

const IN_TIME: &str = "Tue, 01 Sep 2026 12:00:01 GMT";
const LATE: &str = "Tue, 01 Sep 2026 12:10:00 GMT";

fn bearer() -> Act {
    Act::ok(json!({"token_type": "bearer", "access_token": "B"})).with("date", IN_TIME)
}

fn own(level: &str) -> Act {
    let own = json!({"data": {"id": "7", "username": "boss"}});
    Act::ok(own).with("x-access-level", level)
}

fn empty() -> Act {
    Act::ok(json!({"meta": {"result_count": 0}}))
}

fn coded(status: u16, code: u32) -> Act {
    Act::status(
        status,
        json!({"errors": [{"code": code, "message": "Some words."}]}),
    )
}

fn v1() -> Delivery {
    Delivery::AccountActivityV1 {
        environment: "prod".to_owned(),
    }
}

/// What a test finds that X answers like this, and how many questions it took.
async fn checked(delivery: Delivery, script: Vec<Act>) -> (AppCheck, usize) {
    let mut bench = Bench::new(script).await;
    bench.app.delivery = delivery;
    bench.app.client_id = None;
    let owner = AccessToken {
        token: "owner-token".into(),
        secret: "owner-secret".into(),
    };
    let check = bench.client.check_app(&bench.app, Some(&owner)).await;
    (check, bench.x.recorded().len())
}

/// A fault in one word.
fn name(fault: &AppFault) -> &'static str {
    match fault {
        AppFault::ConsumerPair(_) => "consumer pair",
        AppFault::Bearer(_) => "bearer",
        AppFault::ClientPair(_) => "client pair",
        AppFault::TokenPair(_) => "token pair",
        AppFault::NoDirectMessagePermission(_) => "no direct messages",
        AppFault::NotInTier(_) => "not in tier",
        AppFault::UnknownEnvironment(_) => "environment",
        AppFault::ClockOff(_) => "clock",
        AppFault::Suspended(_) => "suspended",
        AppFault::Unchecked { .. } => "unchecked",
    }
}

#[tokio::test]
async fn good_keys_have_no_fault_and_an_owner() {
    let count = json!({"data": {"provisioned_count": "3"}});
    for (delivery, product) in [
        (Delivery::Activity, empty()),
        (Delivery::AccountActivity, Act::ok(count)),
        (v1(), Act::ok("[]")),
    ] {
        let script = vec![bearer(), own("read-write-directmessages"), product];
        let (check, asked) = checked(delivery, script).await;
        assert_eq!((check.faults.as_slice(), asked), (&[][..], 3));
        assert_eq!(check.owner.unwrap().person.username, "boss");
        assert_eq!(
            check.access_level,
            Some(AccessLevel::ReadWriteDirectMessages)
        );
        assert_eq!(check.clock_off, Some(SignedDuration::from_secs(1)));
        assert_eq!(check.resources.users, 1);
    }
}

#[tokio::test]
async fn each_fault_is_told_apart_and_hides_what_depends_on_it() {
    let all = "read-write-directmessages";
    let not_enrolled = json!({"title": "Client Forbidden", "detail": "no", "reason": "client-not-enrolled",
        "type": "https://api.x.com/2/problems/client-forbidden"});
    let plain = json!({"title": "Forbidden", "detail": "Forbidden", "type": "about:blank"});
    let late = |act: Act| act.with("date", LATE);
    let token = || Act::ok(json!({"access_token": "B"}));
    let activity = || Delivery::Activity;
    let rows: Vec<(&str, Delivery, Vec<Act>, &[&str])> = vec![
        (
            "wrong pair",
            activity(),
            vec![coded(403, 99)],
            &["consumer pair"],
        ),
        (
            "wrong pair, another code",
            v1(),
            vec![coded(401, 32)],
            &["consumer pair"],
        ),
        ("app suspended", v1(), vec![coded(401, 416)], &["suspended"]),
        ("no answer", v1(), vec![Act::ResetRead], &["unchecked"]),
        ("no token", v1(), vec![Act::ok("{}")], &["unchecked"]),
        (
            "token revoked",
            activity(),
            vec![bearer(), coded(401, 89), empty()],
            &["token pair"],
        ),
        (
            "token of no pair",
            activity(),
            vec![bearer(), coded(401, 32), empty()],
            &["token pair"],
        ),
        (
            "token without words",
            activity(),
            vec![bearer(), Act::status(401, ""), empty()],
            &["token pair"],
        ),
        (
            "read only",
            activity(),
            vec![bearer(), own("read"), empty()],
            &["no direct messages"],
        ),
        (
            "no direct messages",
            activity(),
            vec![bearer(), own("read-write"), empty()],
            &["no direct messages"],
        ),
        (
            "clock off, still served",
            activity(),
            vec![late(token()), own(all), empty()],
            &["clock"],
        ),
        (
            "clock off, refused",
            activity(),
            vec![late(token()), coded(401, 135), empty()],
            &["clock"],
        ),
        (
            "clock off, refused by another code",
            activity(),
            vec![late(token()), coded(401, 32), empty()],
            &["clock"],
        ),
        (
            "clock off, X tells no time",
            activity(),
            vec![token(), coded(401, 135), empty()],
            &["clock"],
        ),
        (
            "not enrolled",
            activity(),
            vec![bearer(), own(all), Act::status(403, not_enrolled)],
            &["not in tier"],
        ),
        (
            "forbidden without more",
            Delivery::AccountActivity,
            vec![bearer(), own(all), Act::status(403, plain)],
            &["not in tier"],
        ),
        (
            "retired",
            v1(),
            vec![bearer(), own(all), coded(403, 453)],
            &["not in tier"],
        ),
        (
            "unknown label",
            v1(),
            vec![bearer(), own(all), coded(403, 200)],
            &["environment"],
        ),
        (
            "unknown label, as a page",
            v1(),
            vec![bearer(), own(all), coded(404, 34)],
            &["environment"],
        ),
        (
            "unknown label, as a credential",
            v1(),
            vec![bearer(), own(all), coded(401, 32)],
            &["environment"],
        ),
        (
            "two faults",
            v1(),
            vec![bearer(), own("read"), coded(403, 200)],
            &["no direct messages", "environment"],
        ),
        (
            "product down",
            activity(),
            vec![bearer(), own(all), Act::status(503, "")],
            &["unchecked"],
        ),
    ];
    for (title, delivery, script, expected) in rows {
        let planned = script.len();
        let (check, asked) = checked(delivery, script).await;
        let found: Vec<_> = check.faults.iter().map(name).collect();
        println!("{title:<40} {found:?}");
        assert_eq!(found, expected, "{title}: {:?}", check.faults);
        assert_eq!(asked, planned, "{title}");
    }
}

#[tokio::test]
async fn a_clock_ten_minutes_off_is_told_with_its_ten_minutes() {
    let script = vec![bearer().at(LATE), coded(401, 135).at(LATE), empty()];
    let (check, _) = checked(Delivery::Activity, script).await;
    let off = Some(SignedDuration::from_mins(10));
    assert_eq!(check.faults, [AppFault::ClockOff(off)]);
}

impl Act {
    /// The same at another time.
    fn at(mut self, date: &str) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.retain(|(name, _)| *name != "date");
        }
        self.with("date", date)
    }
}

/// Key and secret are tested though a bearer is known, and then the bearer itself.
#[tokio::test]
async fn a_bearer_that_is_configured_is_tested_apart() {
    let mut bench = Bench::new([bearer(), Act::status(401, "")]).await;
    bench.app.bearer_token = Some("configured".into());
    bench.app.client_id = None;
    let check = bench.client.check_app(&bench.app, None).await;
    let found: Vec<_> = check.faults.iter().map(name).collect();
    assert_eq!(found, ["bearer"]);
    let used = bench.x.recorded();
    assert!(used[0].header("authorization").starts_with("Basic "));
    assert_eq!(used[1].header("authorization"), "Bearer configured");
}

/// X refuses who asks for it too often.
#[tokio::test]
async fn the_bearer_of_a_test_is_used_from_then_on() {
    let found = json!({"data": [{"id": "7"}]});
    let mut bench = Bench::new([bearer(), empty(), Act::ok(found)]).await;
    bench.app.client_id = None;
    let check = bench.client.check_app(&bench.app, None).await;
    assert_eq!((check.faults, check.owner), (vec![], None));
    let ids = ["7".parse().unwrap()];
    let app = crate::x::client::Auth::App(&bench.app);
    bench.client.users(app, &ids).await.result.unwrap();
    let used = bench.x.recorded();
    assert_eq!(used.len(), 3);
    assert_eq!(used[2].header("authorization"), "Bearer B");
}

#[tokio::test]
async fn client_id_and_secret_are_tested_by_a_token_that_cannot_be_one() {
    let said = |status: u16, error: &str, words: &str| {
        Act::status(status, json!({"error": error, "error_description": words}))
    };
    let rows: [(Act, &[&str]); 7] = [
        (
            said(
                400,
                "invalid_request",
                "Value passed for the token was invalid.",
            ),
            &[],
        ),
        (said(400, "invalid_grant", ""), &[]),
        (
            said(
                401,
                "unauthorized_client",
                "Missing valid authorization header",
            ),
            &["client pair"],
        ),
        (said(400, "invalid_client", "no"), &["client pair"]),
        (said(401, "invalid_client", "no"), &["client pair"]),
        (
            said(
                400,
                "invalid_request",
                "Missing required parameter [client_id].",
            ),
            &["unchecked"],
        ),
        (Act::ok(json!({"access_token": "a"})), &["unchecked"]),
    ];
    for (act, expected) in rows {
        let shown = format!("{act:?}");
        let bench = Bench::new([bearer(), empty(), act]).await;
        let check = bench.client.check_app(&bench.app, None).await;
        let found: Vec<_> = check.faults.iter().map(name).collect();
        assert_eq!(found, expected, "{shown}");
        let asked = &bench.x.recorded()[2];
        assert_eq!(asked.path, "/2/oauth2/token");
        assert!(asked.header("authorization").starts_with("Basic "));
    }
}

#[tokio::test]
async fn what_could_not_be_asked_names_the_call() {
    let script = vec![bearer(), Act::status(503, ""), empty()];
    let (check, _) = checked(Delivery::Activity, script).await;
    let [AppFault::Unchecked { call, error }] = check.faults.as_slice() else {
        panic!("{check:?}");
    };
    assert_eq!(*call, Call::Me);
    assert!(error.upstream().is_some());
}
