//! The shared transaction: who commits with whom, what a failure undoes, who may open.

use std::sync::mpsc;
use std::time::Duration;

use futures_util::future::join_all;
use rstest::rstest;
use twitter_channel::store::{Store, StoreError};

use super::support::{
    DEADLINE, Database, Engine, append, append_all, at, beside, event, fresh, journal, read, row,
    row_of, settings, write,
};

/// Keeps the writer busy until the sender is used, so that what is written meanwhile queues up.
async fn hold_writer(store: &Store) -> mpsc::Sender<()> {
    let (started, begun) = tokio::sync::oneshot::channel();
    let (release, held) = mpsc::channel::<()>();
    let store = store.clone();
    beside(async move {
        store
            .write(move |_tx| {
                started.send(()).unwrap();
                held.recv_timeout(DEADLINE).unwrap();
                Ok(())
            })
            .await
    });
    begun.await.unwrap();
    release
}

/// Queues these writes behind a held writer, in order, then lets it go.
async fn together<T>(store: &Store, writes: Vec<impl Future<Output = T>>) -> Vec<T> {
    let release = hold_writer(store).await;
    let releasing = async move { release.send(()).unwrap() };
    // Every write has been polled, so is queued, before the last future releases the writer.
    futures_util::future::join(join_all(writes), releasing)
        .await
        .0
}

#[tokio::test]
async fn writes_that_queue_up_share_one_commit() {
    let (database, store) = fresh(Engine::Sqlite);
    append(&store, 1).await;
    let before = database.wal_bytes();
    for number in 2..=31 {
        append(&store, number).await;
    }
    let apart = database.wal_bytes() - before;

    let before = database.wal_bytes();
    let writes = (32..=61).map(|number| append(&store, number)).collect();
    let mut sequences = together(&store, writes).await;
    let shared = database.wal_bytes() - before;
    // Each commit writes the pages it touched: thirty of them, or one.
    assert!(
        shared * 10 < apart,
        "{shared} bytes of log together, {apart} one by one"
    );
    sequences.sort_unstable();
    assert_eq!(sequences, (32..=61).collect::<Vec<_>>());
}

#[rstest]
#[tokio::test]
async fn what_failed_leaves_nothing_behind(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    append(&store, 1).await;
    let failed: Result<(), _> = store
        .write(|tx| {
            tx.append(row(2), at(2))?;
            tx.set_meta("k", "v")?;
            Err(StoreError::Full { used: 2, limit: 1 })
        })
        .await;
    assert!(matches!(
        failed,
        Err(StoreError::Full { used: 2, limit: 1 })
    ));
    assert_eq!(journal(&store).await, [1]);
    assert_eq!(read(&store, |tx| tx.meta("k")).await, None);
    assert_eq!(read(&store, |tx| tx.seen(event(2))).await, None);
    assert_eq!(append(&store, 3).await, 2);
    let window = store.after(0, 10, 1000).await.unwrap();
    assert_eq!(
        window.iter().map(|row| row.id).collect::<Vec<_>>(),
        [event(1), event(3)]
    );
}

#[rstest]
#[tokio::test]
async fn one_that_refuses_before_it_wrote_fails_alone(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    let refuse = |number: u64| {
        let store = store.clone();
        async move {
            store
                .write(move |tx| match number {
                    5 => Err(StoreError::Full { used: 2, limit: 1 }),
                    _ => tx.append(row(number), at(1)),
                })
                .await
        }
    };
    let results = together(&store, (1..=10).map(refuse).collect()).await;
    for (number, result) in (1..).zip(&results) {
        assert_eq!(result.is_err(), number == 5, "write {number}: {result:?}");
    }
    assert_eq!(journal(&store).await.len(), 9);
}

#[rstest]
#[tokio::test]
async fn a_panic_is_told_to_its_caller_and_to_nobody_else(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    let panic = |number: u64| {
        let store = store.clone();
        async move {
            store
                .write(move |tx| {
                    assert_ne!(number, 5, "on purpose");
                    tx.append(row(number), at(1))
                })
                .await
        }
    };
    let results = together(&store, (1..=10).map(panic).collect()).await;
    assert_eq!(results.iter().filter(|result| result.is_err()).count(), 1);
    assert!(matches!(results[4], Err(StoreError::Closed)));
    assert_eq!(append(&store, 11).await, 10);
}

#[rstest]
#[tokio::test]
async fn a_panic_after_a_write_undoes_it_and_the_writer_goes_on(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    append(&store, 1).await;
    let failed = store
        .write(|tx| {
            tx.append(row(2), at(2))?;
            panic!("on purpose")
        })
        .await;
    assert!(matches!(failed, Err::<(), _>(StoreError::Closed)));
    assert_eq!(append(&store, 3).await, 2);
    assert_eq!(read(&store, |tx| tx.seen(event(2))).await, None);
}

#[rstest]
#[tokio::test]
async fn a_panicking_read_does_not_stop_later_ones(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    append(&store, 1).await;
    let failed = store
        .read(|_tx| -> Result<(), StoreError> { panic!("on purpose") })
        .await;
    assert!(failed.is_err());
    assert_eq!(journal(&store).await, [1]);
}

#[rstest]
#[tokio::test]
async fn a_read_cannot_write(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let (_database, store) = fresh(engine);
    let failed = store.read(|tx| tx.set_meta("k", "v")).await;
    assert!(matches!(failed, Err(StoreError::Unusable(_))), "{failed:?}");
    assert_eq!(read(&store, |tx| tx.meta("k")).await, None);
}

#[rstest]
#[tokio::test]
async fn a_read_sees_one_moment(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let (_database, store) = fresh(engine);
    let (written, wait) = mpsc::channel();
    let writing = store.clone();
    let reading = store.read(move |tx| {
        let before = tx.meta("k")?;
        wait.recv_timeout(DEADLINE).unwrap();
        Ok((before, tx.meta("k")?))
    });
    let write_meanwhile = async move {
        write(&writing, |tx| tx.set_meta("k", "v")).await;
        written.send(()).unwrap();
    };
    let (seen, ()) = tokio::join!(reading, write_meanwhile);
    let (before, after) = seen.unwrap();
    assert_eq!(before, after);
}

#[rstest]
#[tokio::test]
async fn a_late_write_is_told_and_is_left_out_once_nobody_waits_for_it(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    let release = hold_writer(&store).await;
    let limit = Duration::from_millis(20);
    let late = store
        .write_within(limit, |tx| tx.append(row(1), at(1)))
        .await;
    assert!(
        matches!(late, Err(StoreError::Late(given)) if given == limit),
        "{late:?}"
    );
    release.send(()).unwrap();
    assert_eq!(append(&store, 2).await, 1);
    assert_eq!(journal(&store).await, [1]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_processes_write_without_loss_or_a_sequence_used_twice(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let database = Database::new(engine);
    let stores = [database.open(), database.open()];
    let writing = stores
        .iter()
        .zip([0, 1000])
        .map(|(store, first)| async move {
            let mut sequences = Vec::new();
            for number in first + 1..=first + 100 {
                sequences.push(append(store, number).await);
            }
            sequences
        });
    let mut sequences = join_all(writing).await.concat();
    sequences.sort_unstable();
    assert_eq!(sequences, (1..=200).collect::<Vec<_>>());
    assert_eq!(journal(&stores[0]).await, sequences);
}

#[rstest]
#[test]
fn a_new_database_can_be_opened_by_many_at_once(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let database = Database::new(engine);
    std::thread::scope(|scope| {
        let opening: Vec<_> = (0..8).map(|_| scope.spawn(|| database.open())).collect();
        for thread in opening {
            thread.join().unwrap();
        }
    });
}

#[tokio::test]
async fn one_process_serves_while_the_command_line_may_write() {
    let database = Database::new(Engine::Sqlite);
    let serving = Store::open_exclusive(settings(&database.path())).unwrap();
    let second = Store::open_exclusive(settings(&database.path()));
    let Err(StoreError::Open { place, reason }) = second else {
        panic!("two processes serve from one database");
    };
    assert_eq!(place, database.path().display().to_string());
    assert!(reason.contains("another process"), "{reason}");
    append(&database.open(), 1).await;
    append(&serving, 2).await;

    drop(serving);
    Store::open_exclusive(settings(&database.path())).unwrap();
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let database = Database::new(Engine::Sqlite);
    let path = database.path().join("missing.db");
    let Err(error) = Store::open(settings(&path)) else {
        panic!("opened {path:?}");
    };
    assert!(error.to_string().contains("missing.db"), "{error}");
}

/// What the log may take: it starts over at 64 MiB, later only by what came meanwhile.
const MOST_WAL_BYTES: u64 = 200 * 1024 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_log_stays_bounded_under_constant_load() {
    let (database, store) = fresh(Engine::Sqlite);
    let mut largest = 0;
    for round in 0..75 {
        let writes = (0..64).map(|number| {
            let row = row_of(round * 64 + number, vec![1; 64 * 1024]);
            store.write(move |tx| tx.append(row, at(1)))
        });
        assert!(join_all(writes).await.iter().all(Result::is_ok));
        largest = largest.max(database.wal_bytes());
    }
    assert!(largest < MOST_WAL_BYTES, "{largest} bytes");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_long_read_does_not_hold_up_writes(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    append(&store, 1).await;
    let (release, held) = mpsc::channel::<()>();
    let reading = beside({
        let store = store.clone();
        async move {
            store
                .read(move |tx| {
                    tx.cursor()?;
                    Ok(held.recv_timeout(DEADLINE).is_ok())
                })
                .await
        }
    });
    // More than the log holds before it would start over; the read ends only after these.
    for round in 1..=20 {
        write(&store, move |tx| {
            (0..64).try_for_each(|number| {
                tx.append(row_of(round * 64 + number, vec![1; 64 * 1024]), at(1))
                    .map(drop)
            })
        })
        .await;
    }
    release.send(()).unwrap();
    assert!(reading.await.unwrap().unwrap());
    append_all(&store, 10_000..10_010).await;
}
