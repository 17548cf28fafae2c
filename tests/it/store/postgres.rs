//! What only a database on a server has: it refuses, it is lost, and others write to it too.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rstest::rstest;
use tokio::time::timeout;
use twitter_channel::store::{SendKind, SendRow, SendState, Store, StoreError, Tx};

use super::support::{
    DEADLINE, Database, Engine, account, append, at, beside, fresh, journal, on_server, read, row,
    row_of, sequences, write,
};
use crate::support::fresh::FreshDatabase;

fn refusal(url: &str) -> String {
    match Store::open(on_server(url)) {
        Err(error @ StoreError::Open { .. }) => error.to_string(),
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("{url} is a store"),
    }
}

#[tokio::test]
async fn a_wrong_password_is_told_and_not_shown() {
    let server = FreshDatabase::new();
    let url = server
        .url()
        .replace("postgres:postgres@", "postgres:hunter2@");
    let told = refusal(&url);
    assert!(
        told.contains("store.url") && told.contains("password"),
        "{told}"
    );
    assert!(!told.contains("hunter2"), "{told}");
}

#[tokio::test]
async fn a_database_that_is_not_there_is_named() {
    let server = FreshDatabase::new();
    let told = refusal(&format!("{}_missing", server.url()));
    assert!(
        told.contains("_missing") && told.contains("does not exist"),
        "{told}"
    );
}

#[tokio::test]
async fn a_server_that_does_not_answer_may_do_so_later() {
    let url = "postgres://u:p@127.0.0.1:1/t";
    let Err(StoreError::Unreachable { place, .. }) = Store::open(on_server(url)) else {
        panic!("there is no server");
    };
    assert_eq!(place, "postgres://127.0.0.1:1/t");
    let settings = on_server(url);
    let patient = Store::reachable(&settings);
    assert!(timeout(Duration::from_millis(300), patient).await.is_err());
}

#[tokio::test]
async fn a_lost_connection_is_made_anew() {
    let server = FreshDatabase::new();
    let store = Store::open(on_server(&server.url())).unwrap();
    append(&store, 1).await;
    assert_eq!(journal(&store).await, [1]);
    server.cut();
    append(&store, 2).await;
    assert_eq!(journal(&store).await, [1, 2]);
}

#[tokio::test]
async fn a_database_that_is_away_fails_at_once_and_comes_back() {
    let server = FreshDatabase::new();
    let store = Store::open(on_server(&server.url())).unwrap();
    append(&store, 1).await;
    server.close();
    for _ in 0..3 {
        let begun = Instant::now();
        let lost = store.write(|tx| tx.append(row(2), at(2))).await;
        assert!(
            matches!(lost, Err(StoreError::Unreachable { .. })),
            "{lost:?}"
        );
        assert!(store.read(|tx| tx.cursor()).await.is_err());
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
    server.reopen();
    let deadline = Instant::now() + DEADLINE;
    while store.write(|tx| tx.append(row(2), at(2))).await.is_err() {
        assert!(Instant::now() < deadline, "it does not come back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(journal(&store).await, [1, 2]);
}

#[tokio::test]
async fn what_has_a_limit_waits_within_it_for_a_database_that_is_away() {
    let server = FreshDatabase::new();
    let store = Store::open(on_server(&server.url())).unwrap();
    append(&store, 1).await;
    server.close();
    let short = Duration::from_millis(300);
    let late = store.write_within(short, |tx| tx.append(row(2), at(2)));
    assert!(matches!(late.await, Err(StoreError::Late(_))));
    let waiting = store.clone();
    let waiting = beside(async move {
        let append = |tx: &mut Tx<'_>| tx.append(row(3), at(3));
        waiting.write_within(DEADLINE, append).await
    });
    // What has none is refused beside it, so it is being waited.
    let refused = store.write(|tx| tx.append(row(4), at(4))).await;
    assert!(matches!(refused, Err(StoreError::Unreachable { .. })));
    assert!(!waiting.is_finished());
    server.reopen();
    assert_eq!(waiting.await.unwrap().unwrap(), 2);
    assert_eq!(journal(&store).await, [1, 2]);
}

fn send(command: u64) -> SendRow {
    SendRow {
        command,
        part: 1,
        account: account(7),
        kind: SendKind::Post,
        state: SendState::Done,
        text: String::new(),
        target: String::new(),
        has_media: false,
        started_at: at(1),
        ended_at: None,
        doubted: false,
        empty_reads: 0,
        message: Some("5".parse().unwrap()),
        sent_at: None,
    }
}

#[rstest]
#[tokio::test]
async fn a_failure_that_only_the_database_finds_undoes_the_work_and_nothing_after_it(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    append(&store, 1).await;
    let twice = store
        .write(|tx| {
            tx.append(row(2), at(2))?;
            tx.put_send(&send(1))?;
            tx.put_send(&send(2))
        })
        .await;
    assert!(matches!(twice, Err(StoreError::Unusable(_))), "{twice:?}");
    assert_eq!(append(&store, 4).await, 2);
    assert_eq!(journal(&store).await, [1, 2]);
}

#[tokio::test]
async fn what_another_replica_appends_is_heard_of_at_once() {
    let database = Database::new(Engine::Postgres);
    let (ours, other) = (database.open(), database.open());
    append(&ours, 1).await;
    assert_eq!(sequences(&ours.after(0, 10, 1 << 20).await.unwrap()), [1]);
    // What comes before it listens is not heard of: it is told once it does.
    timeout(DEADLINE, ours.appended().notified()).await.unwrap();
    while timeout(Duration::from_millis(300), ours.appended().notified())
        .await
        .is_ok()
    {}
    assert!(ours.after(1, 10, 1 << 20).await.unwrap().is_empty());
    let begun = Instant::now();
    append(&other, 2).await;
    timeout(DEADLINE, ours.appended().notified()).await.unwrap();
    assert_eq!(sequences(&ours.after(1, 10, 1 << 20).await.unwrap()), [2]);
    println!("heard after {:?}", begun.elapsed());
}

#[tokio::test]
async fn a_text_that_postgres_cannot_hold_is_kept_with_a_sign_of_it() {
    let (_database, store) = fresh(Engine::Postgres);
    write(&store, |tx| tx.set_meta("fact", "a\0b")).await;
    let kept = read(&store, |tx| tx.meta("fact")).await;
    assert_eq!(kept.as_deref(), Some("a\u{fffd}b"));
}

#[tokio::test]
async fn deleted_rows_are_cleared() {
    let (_database, store) = fresh(Engine::Postgres);
    append(&store, 1).await;
    store.purge_log().await.unwrap();
    assert_eq!(journal(&store).await, [1]);
}

/// `cargo test --release ... -- --ignored --nocapture writes_per_second`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a figure, not a test"]
async fn writes_per_second() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let (_database, store) = fresh(engine);
        let begun = Instant::now();
        let writers = (0..64_u64).map(|writer| {
            let store = store.clone();
            async move {
                for number in 0..100 {
                    let number = writer * 100 + number + 1;
                    write(&store, move |tx| {
                        tx.seen(row(number).id)?;
                        tx.append(row_of(number, vec![1; 2500]), at(1))
                    })
                    .await;
                }
            }
        });
        join_all(writers).await;
        let rate = 6400.0 / begun.elapsed().as_secs_f64();
        println!("{engine:?}: {rate:.0} writes a second");
    }
}
