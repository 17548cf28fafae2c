//! Tokens and logins of the API, and the audit.

use jiff::Timestamp;
use rstest::rstest;
use serde_json::{Value, json};
use twitter_channel::domain::access::{Actor, Role, TokenName};
use twitter_channel::store::{ApiSession, ApiToken, StoreError};

use super::support::{Engine, at, fresh, read, write};

fn name(raw: &str) -> TokenName {
    raw.parse().unwrap()
}

fn token(raw: &str, number: u8) -> ApiToken {
    ApiToken {
        name: name(raw),
        role: Role::Core,
        hash: [number; 32],
        created_at: at(5),
    }
}

#[rstest]
#[tokio::test]
async fn a_token_is_found_by_its_hash_until_it_is_removed(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    let added = write(&store, |tx| tx.insert_api_token(&token("core", 1))).await;
    let again = write(&store, |tx| tx.insert_api_token(&token("core", 2))).await;
    assert!(added && !again);
    let found = read(&store, |tx| tx.api_token(&[1; 32])).await;
    assert_eq!(found, Some(token("core", 1)));
    assert_eq!(read(&store, |tx| tx.api_token(&[2; 32])).await, None);
    assert!(write(&store, |tx| tx.remove_api_token(&name("core"))).await);
    assert!(!write(&store, |tx| tx.remove_api_token(&name("core"))).await);
    assert!(read(&store, |tx| tx.api_tokens()).await.is_empty());
}

#[rstest]
#[tokio::test]
async fn a_login_ends_with_its_time_its_token_or_by_itself(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    write(&store, |tx| tx.insert_api_token(&token("core", 1))).await;
    let open = |hash: u8, expires: i64| {
        let session = ApiSession {
            token_hash: [1; 32],
            expires_at: at(expires),
        };
        write(&store, move |tx| {
            tx.insert_api_session(&[hash; 32], &session, at(9))
        })
    };
    let is_open = async |hash: u8, second: i64| {
        let found = read(&store, move |tx| tx.api_session(&[hash; 32], at(second))).await;
        found.is_some()
    };
    for hash in [11, 12, 13] {
        open(hash, 100).await;
    }
    assert!(is_open(11, 99).await && !is_open(11, 100).await);
    assert!(write(&store, |tx| tx.remove_api_session(&[12; 32])).await);
    assert!(!is_open(12, 50).await && is_open(13, 50).await);
    write(&store, |tx| tx.remove_api_token(&name("core"))).await;
    assert!(!is_open(13, 50).await);
}

#[rstest]
#[tokio::test]
async fn changes_are_listed_newest_first_and_forgotten_by_age(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    let note = |object: &'static str, detail: Value, second| {
        let who = Actor::Token(name("ops"));
        write(&store, move |tx| {
            tx.audit(&who, "token.create", object, &detail, at(second))
        })
    };
    note("a", Value::Null, 1).await;
    note("b", json!({"role": "core"}), 2).await;
    note("c", Value::Null, 3).await;
    let all = read(&store, |tx| tx.audited(None, 2)).await;
    let objects: Vec<_> = all.iter().map(|it| it.object.as_str()).collect();
    assert_eq!(objects, ["c", "b"]);
    assert_eq!(all[1].detail, json!({"role": "core"}));
    assert_eq!((all[1].who.as_str(), all[1].at), ("token:ops", at(2)));
    let before = all[1].id;
    let rest = read(&store, move |tx| tx.audited(Some(before), 10)).await;
    assert_eq!((rest.len(), &rest[0].detail), (1, &json!({})));
    assert_eq!(write(&store, |tx| tx.prune_audit(at(3), 10)).await, 2);
    assert_eq!(read(&store, |tx| tx.audited(None, 10)).await.len(), 1);
}

#[rstest]
#[tokio::test]
async fn a_change_that_fails_leaves_no_trace_in_the_audit(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    let fails = store.write(|tx| -> Result<(), StoreError> {
        tx.audit(
            &Actor::CommandLine,
            "x.y",
            "z",
            &Value::Null,
            Timestamp::UNIX_EPOCH,
        )?;
        Err(StoreError::Closed)
    });
    fails.await.unwrap_err();
    assert!(read(&store, |tx| tx.audited(None, 10)).await.is_empty());
}
