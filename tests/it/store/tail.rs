//! What the relay reads: from memory or disk, in order, nothing skipped nor doubled.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use rstest::rstest;
use twitter_channel::store::Store;

use super::support::{
    DEADLINE, Database, Engine, append, append_all, at, beside, event, fresh, journal, row_of,
    sequences, write,
};

const WHOLE: usize = usize::MAX;

/// Reads as the relay does until `last` has come.
async fn relay_until(store: &Store, last: u64) -> Vec<u64> {
    let (mut cursor, mut got) = (0, Vec::new());
    let deadline = Instant::now() + DEADLINE;
    while cursor < last {
        assert!(Instant::now() < deadline, "stuck after {cursor}");
        let window = store.after(cursor, 100, 1 << 20).await.unwrap();
        match window.last() {
            Some(row) => cursor = row.sequence,
            None => {
                let _polled =
                    tokio::time::timeout(Duration::from_millis(100), store.appended().notified())
                        .await;
            }
        }
        got.extend(sequences(&window));
    }
    got
}

#[rstest]
#[tokio::test]
async fn a_relay_that_keeps_up_is_woken_for_each_commit(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    let mut cursor = 0;
    for number in 1..=50 {
        append(&store, number).await;
        tokio::time::timeout(DEADLINE, store.appended().notified())
            .await
            .unwrap();
        let window = store.after(cursor, 10, WHOLE).await.unwrap();
        assert_eq!(sequences(&window), [number]);
        cursor = number;
    }
}

#[rstest]
#[tokio::test]
async fn a_relay_that_keeps_up_never_reads_the_disk(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    append(&store, 1).await;
    // With the only reader held, a read of the disk would wait.
    let (release, held) = std::sync::mpsc::channel::<()>();
    let reading = beside({
        let store = store.clone();
        async move {
            store
                .read(move |_tx| Ok(held.recv().is_ok()))
                .await
                .unwrap()
        }
    });
    for cursor in 0..20 {
        append(&store, cursor + 2).await;
        let window = tokio::time::timeout(DEADLINE, store.after(cursor, 1, WHOLE)).await;
        assert_eq!(sequences(&window.unwrap().unwrap()), [cursor + 1]);
    }
    release.send(()).unwrap();
    assert!(reading.await.unwrap());
}

#[rstest]
#[tokio::test]
async fn the_same_window_comes_again_until_the_cursor_moves(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    append_all(&store, 1..=3).await;
    for _ in 0..2 {
        let window = store.after(0, 2, WHOLE).await.unwrap();
        assert_eq!(sequences(&window), [1, 2]);
    }
    // Back to before what was let go: a relay that starts again from its stored cursor.
    assert_eq!(sequences(&store.after(3, 2, WHOLE).await.unwrap()), [0; 0]);
    assert_eq!(
        sequences(&store.after(0, 9, WHOLE).await.unwrap()),
        [1, 2, 3]
    );
}

#[rstest]
#[tokio::test]
async fn a_backlog_beyond_memory_is_read_from_disk_in_order(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    for first in (1..=40).step_by(4) {
        write(&store, move |tx| {
            (first..first + 4)
                .try_for_each(|number| tx.append(row_of(number, vec![7; 1 << 20]), at(1)).map(drop))
        })
        .await;
    }
    let expected: Vec<u64> = (1..=40).collect();
    assert_eq!(relay_until(&store, 40).await, expected);
}

#[rstest]
#[tokio::test]
async fn a_restarted_store_gives_what_was_appended_before(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let database = Database::new(engine);
    append_all(&database.open(), 1..=5).await;
    let store = database.open();
    assert_eq!(relay_until(&store, 5).await, [1, 2, 3, 4, 5]);
}

#[rstest]
#[tokio::test]
async fn what_another_process_appends_is_found_without_a_commit_of_ours(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (database, store) = fresh(engine);
    append(&store, 1).await;
    assert_eq!(relay_until(&store, 1).await, [1]);
    let other = database.open();
    append(&other, 2).await;
    assert_eq!(relay_until(&store, 2).await, [1, 2]);
}

/// What happens around the relay.
#[derive(Clone, Debug)]
enum Step {
    /// Bodies of this many KiB, by ourselves.
    Append(Vec<usize>),
    /// The same by another process.
    AppendElsewhere(Vec<usize>),
    /// A decision without an event takes a sequence, by ourselves or another process.
    Unwanted { elsewhere: bool },
    /// A write that fails after it appended.
    Failed,
    /// The relay reads a window of so many rows and KiB, and confirms it, or not.
    Read {
        rows: usize,
        kib: usize,
        confirmed: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let sizes = || prop::collection::vec(prop_oneof![4 => 0_usize..4, 1 => 1000_usize..3000], 1..5);
    prop_oneof![
        4 => sizes().prop_map(Step::Append),
        1 => sizes().prop_map(Step::AppendElsewhere),
        1 => any::<bool>().prop_map(|elsewhere| Step::Unwanted { elsewhere }),
        1 => Just(Step::Failed),
        6 => (1_usize..8, 0_usize..4000, prop::bool::weighted(0.8))
            .prop_map(|(rows, kib, confirmed)| Step::Read { rows, kib, confirmed }),
    ]
}

async fn append_sizes(store: &Store, kib: Vec<usize>, number: &mut u64) {
    let first = *number;
    *number += kib.len() as u64;
    write(store, move |tx| {
        kib.iter().zip(first..).try_for_each(|(kib, number)| {
            tx.append(row_of(number, vec![0; kib * 1024]), at(1))
                .map(drop)
        })
    })
    .await;
}

async fn unwanted(store: &Store, number: &mut u64) {
    let id = event(*number);
    *number += 1;
    write(store, move |tx| tx.remember_unwanted(id, at(1))).await;
}

async fn fail(store: &Store) {
    let failed: Result<(), _> = store
        .write(|tx| {
            tx.append(row_of(u64::MAX, "lost"), at(1))?;
            Err(twitter_channel::store::StoreError::Closed)
        })
        .await;
    assert!(failed.is_err());
}

/// What the relay published, and what the journal holds.
async fn play(steps: Vec<Step>) -> (Vec<u64>, Vec<u64>) {
    let (database, store) = fresh(Engine::Sqlite);
    let other = database.open();
    let (mut number, mut cursor, mut published) = (1, 0, Vec::new());
    for step in steps {
        match step {
            Step::Append(kib) => append_sizes(&store, kib, &mut number).await,
            Step::AppendElsewhere(kib) => append_sizes(&other, kib, &mut number).await,
            Step::Unwanted { elsewhere: true } => unwanted(&other, &mut number).await,
            Step::Unwanted { elsewhere: false } => unwanted(&store, &mut number).await,
            Step::Failed => fail(&store).await,
            Step::Read {
                rows,
                kib,
                confirmed,
            } => {
                let window = store.after(cursor, rows, kib * 1024).await.unwrap();
                assert!(window.len() <= rows);
                if let (true, Some(last)) = (confirmed, window.last()) {
                    cursor = last.sequence;
                    published.extend(sequences(&window));
                }
            }
        }
    }
    let stored = journal(&store).await;
    let rest = stored.iter().filter(|sequence| **sequence > cursor).count();
    let mut left = Vec::new();
    let deadline = Instant::now() + DEADLINE;
    while left.len() < rest && Instant::now() < deadline {
        let window = store.after(cursor, 100, WHOLE).await.unwrap();
        cursor = window.last().map_or(cursor, |row| row.sequence);
        left.extend(sequences(&window));
        tokio::task::yield_now().await;
    }
    published.extend(left);
    (published, stored)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_relay_gets_each_row_once_and_in_order(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (published, stored) = runtime.block_on(play(steps));
        prop_assert_eq!(published, stored);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_relay_beside_two_busy_writers_gets_each_row_once(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (database, store) = fresh(engine);
    let other = database.open();
    let writing = |store: Store, first: u64, count: u64| {
        beside(async move {
            for number in first..first + count {
                write(&store, move |tx| {
                    tx.append(row_of(number, vec![0; 8192]), at(1))
                })
                .await;
            }
        })
    };
    let ours = [
        writing(store.clone(), 1, 300),
        writing(store.clone(), 10_001, 300),
    ];
    let theirs = writing(other, 20_001, 100);
    let got = relay_until(&store, 700).await;
    for task in ours.into_iter().chain([theirs]) {
        task.await.unwrap();
    }
    assert_eq!(got, (1..=700).collect::<Vec<u64>>());
}
