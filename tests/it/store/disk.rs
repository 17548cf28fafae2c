//! Real disk faults; see [`SmallDisk`].

use std::time::{Duration, Instant};

use twitter_channel::store::{Store, StoreError};

use crate::support::disk::SmallDisk;

use super::support::{DEADLINE, append, at, event, journal, read, row_of, settings};

fn open(disk: &SmallDisk) -> Store {
    Store::open(settings(&disk.path().join("store.db"))).unwrap()
}

/// Two rows in one work: both or none must be there.
async fn append_two(store: &Store, number: u64) -> Result<u64, StoreError> {
    store
        .write(move |tx| {
            tx.append(row_of(number, vec![1; 20_000]), at(1))?;
            tx.append(row_of(number + 1, vec![1; 20_000]), at(1))
        })
        .await
}

/// Writes until the disk refuses; the last number that was stored.
async fn write_until_refused(store: &Store, mut number: u64) -> u64 {
    let deadline = Instant::now() + DEADLINE;
    loop {
        assert!(Instant::now() < deadline, "the disk never refused");
        match append_two(store, number).await {
            Ok(_) => number += 2,
            Err(StoreError::Unusable(_)) => return number - 1,
            Err(other) => panic!("{other}"),
        }
    }
}

/// Writes until it works again, without opening the store anew.
async fn write_until_accepted(store: &Store, number: u64) {
    let deadline = Instant::now() + DEADLINE;
    while let Err(error) = append_two(store, number).await {
        assert!(Instant::now() < deadline, "still refused: {error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn assert_stored(store: &Store, last: u64) {
    assert_eq!(journal(store).await, (1..=last).collect::<Vec<_>>());
    let known = read(store, move |tx| {
        Ok((tx.seen(event(last))?, tx.seen(event(last + 1))?))
    })
    .await;
    assert!(known.0.is_some() && known.1.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_writes_whole_serves_reads_and_recovers() {
    let Some(disk) = SmallDisk::mount("8m") else {
        return;
    };
    let store = open(&disk);
    append_two(&store, 1).await.unwrap();
    for _ in 0..3 {
        disk.fill();
        let next = journal(&store).await.len() as u64 + 1;
        let last = write_until_refused(&store, next).await;
        assert_stored(&store, last).await;
        // Refused for as long as it is full, each time whole.
        for _ in 0..20 {
            let refused = append_two(&store, last + 1).await;
            assert!(
                matches!(refused, Err(StoreError::Unusable(_))),
                "{refused:?}"
            );
        }
        assert_stored(&store, last).await;

        disk.free();
        append_two(&store, last + 1).await.unwrap();
        assert_stored(&store, last + 2).await;
    }
    let rows = journal(&store).await.len() as u64;
    drop(store);
    assert_stored(&open(&disk), rows).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_filled_by_the_store_itself_loses_nothing_that_was_accepted() {
    let Some(disk) = SmallDisk::mount("8m") else {
        return;
    };
    let store = open(&disk);
    // Log and database fill the disk together, so checkpoints meet the full disk too.
    let last = write_until_refused(&store, 1).await;
    let deadline = Instant::now() + Duration::from_secs(2);
    while Instant::now() < deadline {
        assert_eq!(journal(&store).await.len() as u64, last);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_stored(&store, last).await;
    assert!(disk.remount("size=32m"));
    write_until_accepted(&store, last + 1).await;
    assert_stored(&store, last + 2).await;
    drop(store);
    assert_stored(&open(&disk), last + 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_to_open_and_takes_the_store_up_later() {
    let Some(disk) = SmallDisk::mount("8m") else {
        return;
    };
    disk.fill();
    let refused = Store::open(settings(&disk.path().join("store.db")));
    assert!(matches!(refused.map(drop), Err(StoreError::Open { .. })));
    disk.free();
    assert_eq!(append(&open(&disk), 1).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_disk_refuses_writes_serves_reads_and_recovers() {
    let Some(disk) = SmallDisk::mount("8m") else {
        return;
    };
    let path = disk.path().join("store.db");
    // A mount with files open for writing cannot be made read-only: the database is closed first.
    append_two(&open(&disk), 1).await.unwrap();
    let deadline = Instant::now() + DEADLINE;
    while !disk.remount("ro") {
        assert!(Instant::now() < deadline, "the first store is still open");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let refused = Store::open(settings(&path));
    assert!(matches!(refused.map(drop), Err(StoreError::Open { .. })));
    assert!(disk.remount("rw"));
    let store = open(&disk);
    append_two(&store, 3).await.unwrap();
    assert_stored(&store, 4).await;
}
