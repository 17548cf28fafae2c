//! Sequences, the duplicate check, windows, cursor, lanes and pruning.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rstest::rstest;
use twitter_channel::store::{Lane, Summary};

use super::support::{
    Database, Engine, append, append_all, at, event, fresh, journal, keyed, read, row, row_of,
    sequences, write,
};

#[rstest]
#[tokio::test]
async fn sequences_grow_by_one_over_restarts_and_after_pruning_everything(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let database = Database::new(engine);
    for round in 0..3 {
        let store = database.open();
        assert_eq!(append(&store, round * 2 + 1).await, round * 2 + 1);
        assert_eq!(append(&store, round * 2 + 2).await, round * 2 + 2);
        write(&store, move |tx| {
            tx.advance_cursor(round * 2 + 2, &[], at(0))?;
            tx.prune_bodies(Timestamp::MAX, 100)?;
            tx.prune_seen(Timestamp::MAX, 100)
        })
        .await;
        assert!(journal(&store).await.is_empty());
    }
}

#[rstest]
#[tokio::test]
async fn an_event_is_seen_and_readable_after_a_restart(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let database = Database::new(engine);
    append(&database.open(), 7).await;
    let store = database.open();
    let (seen, found) = read(&store, |tx| Ok((tx.seen(event(7))?, tx.event(event(7))?))).await;
    assert!(seen.is_some_and(|seen| seen.wanted && seen.sequence == 1));
    let found = found.unwrap();
    let expected = row(7);
    assert_eq!(
        (
            found.id,
            found.event_type.as_str(),
            found.routing_key,
            found.correlation_id,
            found.subject
        ),
        (
            expected.id,
            expected.event_type,
            expected.routing_key,
            expected.correlation_id,
            expected.subject
        )
    );
    assert_eq!(
        (found.time, found.at, found.mandatory, found.body),
        (at(7), at(7), true, expected.body)
    );
    assert_eq!(read(&store, |tx| tx.seen(event(8))).await, None);
}

#[rstest]
#[tokio::test]
async fn what_was_unwanted_can_become_wanted_but_not_the_reverse(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    let remembered = write(&store, |tx| {
        Ok((
            tx.remember_unwanted(event(1), at(1))?,
            tx.remember_unwanted(event(1), at(2))?,
        ))
    })
    .await;
    assert_eq!(remembered, (true, false));
    assert!(read(&store, |tx| tx.event(event(1))).await.is_none());

    assert_eq!(append(&store, 1).await, 2);
    assert!(!write(&store, |tx| tx.remember_unwanted(event(1), at(3))).await);
    let seen = read(&store, |tx| tx.seen(event(1))).await.unwrap();
    assert_eq!((seen.sequence, seen.wanted), (2, true));
}

#[rstest]
#[tokio::test]
async fn a_body_can_name_its_own_sequence(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    append(&store, 1).await;
    write(&store, |tx| {
        let body = tx.next_sequence().to_string();
        tx.append(row_of(2, body), at(2))
    })
    .await;
    let rows = read(&store, |tx| tx.journal_after(1, 10, 1000)).await;
    assert_eq!(
        (rows[0].sequence, rows[0].body.as_ref()),
        (2, b"2".as_slice())
    );
}

#[rstest]
#[tokio::test]
async fn a_window_ends_by_rows_or_once_its_bytes_are_there(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    write(&store, |tx| {
        (1..=6).try_for_each(|number| tx.append(row_of(number, vec![0; 100]), at(1)).map(drop))
    })
    .await;
    let window = |cursor, rows, bytes| {
        let store = store.clone();
        async move {
            let disk = read(&store, move |tx| tx.journal_after(cursor, rows, bytes)).await;
            let memory = store.after(cursor, rows, bytes).await.unwrap();
            assert_eq!(
                sequences(&disk),
                sequences(&memory),
                "after {cursor}: {rows} rows, {bytes} bytes"
            );
            sequences(&disk)
        }
    };
    assert_eq!(window(0, 4, 10_000).await, [1, 2, 3, 4]);
    assert_eq!(window(0, 10, 250).await, [1, 2, 3]);
    // One at least, else a large body would stop the relay for good.
    assert_eq!(window(2, 10, 1).await, [3]);
    assert_eq!(window(4, 10, 10_000).await, [5, 6]);
    assert!(window(6, 10, 10_000).await.is_empty());
}

#[rstest]
#[tokio::test]
async fn the_newest_events_come_first(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let (_database, store) = fresh(engine);
    append_all(&store, 1..=5).await;
    let rows = read(&store, |tx| tx.newest_events(3)).await;
    assert_eq!(sequences(&rows), [5, 4, 3]);
}

#[rstest]
#[tokio::test]
async fn the_cursor_and_its_lanes_survive_a_restart(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let database = Database::new(engine);
    let store = database.open();
    append_all(&store, 1..=4).await;
    assert_eq!(read(&store, |tx| tx.cursor()).await, 0);
    let aside = [
        (Lane::Unrouted, 2, "a".to_owned()),
        (Lane::Nacked, 3, "b".to_owned()),
    ];
    write(&store, move |tx| tx.advance_cursor(4, &aside, at(9))).await;
    drop(store);

    let store = database.open();
    assert_eq!(read(&store, |tx| tx.cursor()).await, 4);
    for (lane, expected) in [(Lane::Unrouted, 2), (Lane::Nacked, 3)] {
        let rows = read(&store, move |tx| tx.lane(lane, None, 10)).await;
        assert_eq!(
            rows.iter().map(|row| row.sequence).collect::<Vec<_>>(),
            [expected]
        );
    }
}

#[rstest]
#[tokio::test]
async fn a_lane_gives_its_oldest_rows_and_a_head_for_each_routing_key(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    write(&store, |tx| {
        for (number, key) in [(1, "a"), (2, "b"), (3, "a"), (4, "b"), (5, "a")] {
            let sequence = tx.append(keyed(number, key), at(1))?;
            tx.enter_lane(Lane::Unrouted, sequence, key, at(1))?;
            tx.enter_lane(Lane::Unrouted, sequence, key, at(2))?;
        }
        tx.enter_lane(Lane::Nacked, 5, "a", at(1))
    })
    .await;
    let lane = |key: Option<&'static str>, limit| {
        let store = store.clone();
        async move {
            let rows = read(&store, move |tx| tx.lane(Lane::Unrouted, key, limit)).await;
            rows.iter().map(|row| row.sequence).collect::<Vec<_>>()
        }
    };
    assert_eq!(lane(None, 3).await, [1, 2, 3]);
    assert_eq!(lane(Some("b"), 10).await, [2, 4]);
    write(&store, |tx| tx.leave_lane(Lane::Unrouted, 1)).await;
    let heads = read(&store, |tx| tx.lane_heads(Lane::Unrouted, 2)).await;
    let heads: Vec<_> = heads.iter().map(|head| head.sequence).collect();
    assert_eq!(heads, [2, 3]);
    // No routing key is left out for good.
    let mut chosen = BTreeSet::new();
    while chosen.len() < 2 {
        let heads = read(&store, |tx| tx.lane_heads(Lane::Unrouted, 1)).await;
        chosen.extend(heads.iter().map(|head| head.sequence));
    }
    assert_eq!(lane(Some("a"), 10).await, [3, 5]);
}

/// How many events, in parts of two.
async fn republish(store: &twitter_channel::store::Store, written: std::ops::Range<i64>) -> u64 {
    let (mut after, mut count) = (0, 0);
    loop {
        let written = at(written.start)..at(written.end);
        let chunk = write(store, move |tx| {
            tx.republish_chunk(None, written, after, 2, at(9))
        });
        let chunk = chunk.await;
        count += chunk.count;
        match chunk.last {
            Some(last) => after = last,
            None => return count,
        }
    }
}

#[rstest]
#[tokio::test]
async fn republishing_takes_what_was_written_in_the_time_but_its_end(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    append_all(&store, 1..=6).await;
    write(&store, |tx| tx.remember_unwanted(event(100), at(3))).await;
    assert_eq!(republish(&store, 2..5).await, 3);
    // Asked for twice is sent once.
    assert_eq!(republish(&store, 2..6).await, 4);
    let rows = read(&store, |tx| tx.lane(Lane::Republish, None, 10)).await;
    assert_eq!(
        rows.iter().map(|row| row.sequence).collect::<Vec<_>>(),
        [2, 3, 4, 5]
    );
}

#[rstest]
#[tokio::test]
async fn the_summary_counts_what_is_not_confirmed(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    assert_eq!(
        read(&store, |tx| tx.journal_summary()).await,
        Summary::default()
    );
    append_all(&store, 1..=6).await;
    write(&store, |tx| {
        tx.remember_unwanted(event(50), at(7))?;
        tx.enter_lane(Lane::Republish, 1, "k", at(1))?;
        let aside = [
            (Lane::Unrouted, 2, "k".to_owned()),
            (Lane::Nacked, 3, "k".to_owned()),
        ];
        tx.advance_cursor(4, &aside, at(8))
    })
    .await;
    let expected = Summary {
        unpublished: 4,
        oldest: Some(at(5)),
        unrouted: vec![("k".to_owned(), 1)],
    };
    assert_eq!(read(&store, |tx| tx.journal_summary()).await, expected);
}

#[rstest]
#[tokio::test]
async fn pruning_never_removes_what_is_unconfirmed_or_in_a_lane(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    append_all(&store, 1..=8).await;
    let removed = write(&store, |tx| {
        tx.advance_cursor(6, &[(Lane::Unrouted, 2, "k".to_owned())], at(9))?;
        tx.enter_lane(Lane::Republish, 4, "k", at(9))?;
        tx.prune_bodies(Timestamp::MAX, 100)
    })
    .await;
    assert_eq!(removed, 4);
    assert_eq!(journal(&store).await, [2, 4, 7, 8]);
    // What has a body is still told apart from what is new.
    write(&store, |tx| tx.prune_seen(Timestamp::MAX, 100)).await;
    for (number, known) in [
        (1, false),
        (2, true),
        (3, false),
        (4, true),
        (7, true),
        (8, true),
    ] {
        let seen = read(&store, move |tx| tx.seen(event(number))).await;
        assert_eq!(seen.is_some(), known, "event {number}");
    }
}

#[rstest]
#[tokio::test]
async fn pruning_keeps_to_its_time_and_its_limit(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    append_all(&store, 1..=10).await;
    write(&store, |tx| tx.advance_cursor(10, &[], at(11))).await;
    assert_eq!(write(&store, |tx| tx.prune_bodies(at(6), 3)).await, 3);
    assert_eq!(write(&store, |tx| tx.prune_bodies(at(6), 100)).await, 2);
    assert_eq!(write(&store, |tx| tx.prune_bodies(at(6), 100)).await, 0);
    assert_eq!(journal(&store).await, [6, 7, 8, 9, 10]);
    assert_eq!(write(&store, |tx| tx.prune_seen(at(9), 2)).await, 2);
    assert_eq!(write(&store, |tx| tx.prune_seen(at(9), 100)).await, 3);
    assert!(read(&store, |tx| tx.seen(event(6))).await.is_some());
}

#[rstest]
#[tokio::test]
async fn rows_that_wait_in_a_lane_do_not_stop_the_pruning_of_later_ones(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    append_all(&store, 1..=20).await;
    let removed = write(&store, |tx| {
        let aside: Vec<_> = (1..=10)
            .map(|row| (Lane::Unrouted, row, "k".to_owned()))
            .collect();
        tx.advance_cursor(20, &aside, at(21))?;
        tx.prune_bodies(Timestamp::MAX, 5)
    })
    .await;
    assert_eq!(removed, 5);
}

#[rstest]
#[tokio::test]
async fn pruning_gives_bytes_back(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let (_database, store) = fresh(engine);
    // Each table has a page of its own from the start.
    let empty = read(&store, |tx| tx.used_bytes()).await;
    write(&store, |tx| {
        (1..=500).try_for_each(|number| tx.append(row_of(number, vec![1; 4000]), at(1)).map(drop))
    })
    .await;
    let full = read(&store, |tx| tx.used_bytes()).await;
    assert!(full > 500 * 4000, "{full}");
    write(&store, |tx| {
        tx.advance_cursor(500, &[], at(2))?;
        tx.prune_bodies(Timestamp::MAX, 1000)
    })
    .await;
    let pruned = read(&store, |tx| tx.used_bytes()).await;
    assert!(
        pruned - empty < (full - empty) / 10,
        "{pruned} of {full}, {empty} when it was empty"
    );
}
