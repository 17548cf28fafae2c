//! Quarantine, gaps, threads and facts.

use std::ops::RangeInclusive;

use jiff::Timestamp;
use rstest::rstest;
use twitter_channel::domain::ids::{AccountId, ConversationId, TweetId, UserId};
use twitter_channel::store::{
    Case, ConversationRow, Foresight, GapMethod, GapReason, NewQuarantined, NewRow, PostRow,
    QuarantineReason, ReplayOrder, Store, StoreError, ThreadsSweep, Tx,
};

use super::support::{DEADLINE, Database, Engine, account, at, event, fresh, read, row, write};

/// Above 2^63: more than a signed column holds as a positive number.
const LARGE: u64 = 9_999_999_999_999_999_999;

fn day(number: i64) -> Timestamp {
    at(number * 24 * 3600)
}

fn tweet(id: u64) -> TweetId {
    TweetId::from_number(id).unwrap()
}

fn user(id: u64) -> UserId {
    UserId::from_number(id).unwrap()
}

fn thread(id: u64) -> ConversationId {
    ConversationId::Thread(tweet(id))
}

fn post(thread: u64) -> PostRow {
    PostRow {
        thread: tweet(thread),
        author: None,
        customer: None,
        original: None,
        latest: None,
        event: None,
    }
}

fn delivery(body: &str) -> NewQuarantined {
    NewQuarantined {
        app: "acme".to_owned(),
        reason: QuarantineReason::UnknownShape,
        detail: "no known form".to_owned(),
        account: None,
        body: body.as_bytes().to_vec(),
    }
}

async fn quarantine(store: &Store, new: NewQuarantined, second: i64) -> bool {
    write(store, move |tx| tx.quarantine(&new, at(second))).await
}

async fn kept(store: &Store) -> Vec<String> {
    let kept = read(store, |tx| tx.quarantined(0, 100)).await;
    kept.into_iter()
        .map(|one| String::from_utf8(one.body).unwrap())
        .collect()
}

#[rstest]
#[tokio::test]
async fn the_same_body_is_kept_once_for_an_app(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    assert!(quarantine(&store, delivery("{}"), 1).await);
    assert!(!quarantine(&store, delivery("{}"), 2).await);
    let other_app = NewQuarantined {
        app: "other".to_owned(),
        ..delivery("{}")
    };
    assert!(quarantine(&store, other_app, 3).await);
    assert_eq!(kept(&store).await.len(), 2);
}

#[rstest]
#[tokio::test]
async fn quarantined_deliveries_are_found_by_page_id_and_account(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    let waiting = NewQuarantined {
        account: Some(account(LARGE)),
        reason: QuarantineReason::AccountNotLinked,
        ..delivery("waits")
    };
    quarantine(&store, delivery("a"), 1).await;
    quarantine(&store, waiting, 2).await;
    quarantine(&store, delivery("b"), 3).await;

    let page = read(&store, |tx| tx.quarantined(1, 1)).await;
    assert_eq!(
        (page.len(), page[0].id, page[0].body.as_slice()),
        (1, 2, b"waits".as_slice())
    );
    let found = read(&store, |tx| tx.waiting_for(account(LARGE), 10)).await;
    assert_eq!((found.len(), found[0].account), (1, Some(account(LARGE))));
    let one = read(&store, |tx| tx.quarantined_one(3)).await.unwrap();
    assert_eq!(
        (one.at, one.app.as_str(), one.reason.as_str()),
        (at(3), "acme", "unknown_shape")
    );
    let mut counts = read(&store, |tx| tx.quarantine_counts()).await;
    counts.sort();
    assert_eq!(
        counts,
        [
            ("account_not_linked".to_owned(), 1),
            ("unknown_shape".to_owned(), 2)
        ]
    );

    write(&store, |tx| tx.release_quarantined(2)).await;
    assert_eq!(kept(&store).await, ["a", "b"]);
    assert!(read(&store, |tx| tx.quarantined_one(2)).await.is_none());
}

#[rstest]
#[tokio::test]
async fn quarantine_is_pruned_by_age_then_oldest_first_by_size(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    for (second, body) in [
        (1, "old"),
        (2, "1111111111"),
        (3, "2222222222"),
        (4, "3333333333"),
    ] {
        quarantine(&store, delivery(body), second).await;
    }
    assert_eq!(
        write(&store, |tx| tx.prune_quarantine(at(2), u64::MAX, 1000)).await,
        1
    );
    assert_eq!(
        write(&store, |tx| tx.prune_quarantine(at(2), 25, 1000)).await,
        1
    );
    assert_eq!(kept(&store).await, ["2222222222", "3333333333"]);
}

async fn open_gap(store: &Store, app: &'static str, from: i64, until: i64, reason: GapReason) {
    write(store, move |tx| {
        tx.open_gap(app, at(from), at(until), reason)
    })
    .await;
}

async fn gaps(store: &Store) -> Vec<(String, Timestamp, Timestamp)> {
    let gaps = read(store, |tx| tx.open_gaps()).await;
    gaps.into_iter()
        .map(|gap| (gap.app, gap.from, gap.until))
        .collect()
}

fn gap(app: &str, from: i64, until: i64) -> (String, Timestamp, Timestamp) {
    (app.to_owned(), at(from), at(until))
}

#[rstest]
#[tokio::test]
async fn gaps_that_touch_become_one(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let (_database, store) = fresh(engine);
    open_gap(&store, "a", 1000, 1010, GapReason::Refused).await;
    open_gap(&store, "a", 1011, 1020, GapReason::Refused).await;
    open_gap(&store, "a", 1005, 1006, GapReason::Refused).await;
    assert_eq!(gaps(&store).await, [gap("a", 1000, 1020)]);
    // Later by more than a minute, of another app, of another reason: apart.
    open_gap(&store, "a", 1200, 1210, GapReason::Refused).await;
    open_gap(&store, "b", 1000, 1020, GapReason::Refused).await;
    open_gap(&store, "a", 1001, 1020, GapReason::Downtime).await;
    assert_eq!(gaps(&store).await.len(), 4);
    // One between the two joins them.
    open_gap(&store, "a", 1050, 1150, GapReason::Refused).await;
    let expected = [
        gap("a", 1000, 1210),
        gap("b", 1000, 1020),
        gap("a", 1001, 1020),
    ];
    assert_eq!(gaps(&store).await, expected);
}

#[rstest]
#[tokio::test]
async fn a_gap_that_is_being_filled_is_left_as_it_is(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    open_gap(&store, "a", 1000, 1010, GapReason::Refused).await;
    let id = read(&store, |tx| tx.open_gaps()).await[0].id;
    let begin = move |tx: &mut Tx<'_>| tx.set_gap_method(id, Some(GapMethod::Replay));
    write(&store, begin).await;
    open_gap(&store, "a", 1011, 1020, GapReason::Refused).await;
    let expected = [gap("a", 1000, 1010), gap("a", 1011, 1020)];
    assert_eq!(gaps(&store).await, expected);
    let split = write(&store, move |tx| tx.split_gap(id, at(1004))).await;
    let halves = read(&store, move |tx| Ok([tx.gap(id)?, tx.gap(split)?])).await;
    let halves = halves.map(|half| half.map(|half| (half.from, half.until)));
    assert_eq!(
        halves,
        [Some((at(1000), at(1004))), Some((at(1004), at(1010)))]
    );
}

#[rstest]
#[tokio::test]
async fn a_replay_is_known_by_its_span_while_it_runs(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    open_gap(&store, "a", 1000, 2000, GapReason::Downtime).await;
    let id = read(&store, |tx| tx.open_gaps()).await[0].id;
    let order = ReplayOrder {
        job: "77".to_owned(),
        from: at(1000),
        until: at(1500),
        at: at(5000),
    };
    write(&store, move |tx| tx.put_replay(id, &order)).await;
    let replayed = async || {
        let of = |tx: &Tx<'_>, app, second| tx.is_replayed(app, at(second));
        let all =
            move |tx: &Tx<'_>| Ok([of(tx, "a", 1200)?, of(tx, "a", 1501)?, of(tx, "b", 1200)?]);
        read(&store, all).await
    };
    assert_eq!(replayed().await, [true, false, false]);
    write(&store, move |tx| tx.end_replay(id, true)).await;
    assert_eq!(replayed().await, [false; 3]);
    let gap = read(&store, move |tx| tx.gap(id)).await.unwrap();
    assert_eq!((gap.rest(), gap.order), (at(1500), None));
}

#[rstest]
#[tokio::test]
async fn a_gap_noted_out_of_order_grows_backwards(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    open_gap(&store, "a", 1000, 1000, GapReason::Refused).await;
    open_gap(&store, "a", 999, 999, GapReason::Refused).await;
    assert_eq!(gaps(&store).await, [gap("a", 999, 1000)]);
}

#[rstest]
#[tokio::test]
async fn facts_and_the_sign_of_life_survive_a_restart(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let database = Database::new(engine);
    let store = database.open();
    assert_eq!(read(&store, |tx| tx.alive_at()).await, None);
    write(&store, |tx| {
        tx.set_meta("k", "1")?;
        tx.set_meta("k", "2")?;
        tx.note_alive(at(77))
    })
    .await;
    drop(store);
    let store = database.open();
    let (fact, alive) = read(&store, |tx| Ok((tx.meta("k")?, tx.alive_at()?))).await;
    assert_eq!((fact.as_deref(), alive), (Some("2"), Some(at(77))));
}

#[rstest]
#[tokio::test]
async fn ids_above_two_to_the_sixty_third_survive(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    let row = PostRow {
        author: Some(user(LARGE)),
        customer: Some(user(LARGE - 1)),
        original: Some(tweet(LARGE - 2)),
        latest: Some(tweet(LARGE - 3)),
        event: Some(event(LARGE)),
        ..post(LARGE - 4)
    };
    let stored = row.clone();
    write(&store, move |tx| {
        tx.put_post(account(LARGE), tweet(LARGE), &stored, at(1))?;
        touch_in(tx, account(LARGE), LARGE, LARGE, at(1))
    })
    .await;
    assert_eq!(
        read(&store, |tx| tx.post(account(LARGE), tweet(LARGE))).await,
        Some(row)
    );
    assert_eq!(
        related(&store, account(LARGE), LARGE, 1, 0).await,
        [thread(LARGE)]
    );
}

#[rstest]
#[tokio::test]
async fn a_post_is_replaced_for_its_account_only(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    let known = PostRow {
        author: Some(user(5)),
        ..post(2)
    };
    let newer = known.clone();
    write(&store, move |tx| {
        tx.put_post(account(1), tweet(3), &post(1), at(1))?;
        tx.put_post(account(2), tweet(3), &post(1), at(1))?;
        tx.put_post(account(1), tweet(3), &newer, at(2))
    })
    .await;
    let of = |owner: u64| {
        let store = store.clone();
        async move { read(&store, move |tx| tx.post(account(owner), tweet(3))).await }
    };
    assert_eq!(of(1).await, Some(known));
    assert_eq!(of(2).await, Some(post(1)));
    assert_eq!(of(3).await, None);
}

fn conversation(sequence: u64) -> ConversationRow {
    ConversationRow {
        first_sequence: Some(sequence),
        received_at: Some(at(3)),
        group: "support".to_owned(),
        filter: "mentions".to_owned(),
        tags: vec!["public".to_owned(), "a \"b\"".to_owned()],
    }
}

async fn survivor(store: &Store, id: u64) -> ConversationId {
    read(store, move |tx| tx.survivor(account(1), &thread(id))).await
}

async fn merge(store: &Store, merged: u64, into: u64) {
    write(store, move |tx| {
        tx.merge_conversation(account(1), &thread(merged), &thread(into), at(5))
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn a_conversation_reads_back_and_keeps_its_merge_when_stored_again(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    assert_eq!(
        read(&store, |tx| tx.conversation(account(1), &thread(1))).await,
        None
    );
    write(&store, |tx| {
        tx.put_conversation(account(1), &thread(1), &conversation(4), at(1))
    })
    .await;
    assert_eq!(
        read(&store, |tx| tx.conversation(account(1), &thread(1))).await,
        Some(conversation(4))
    );
    assert_eq!(survivor(&store, 1).await, thread(1));

    merge(&store, 1, 2).await;
    write(&store, |tx| {
        tx.put_conversation(account(1), &thread(1), &conversation(9), at(6))
    })
    .await;
    assert_eq!(survivor(&store, 1).await, thread(2));
    assert_eq!(survivor(&store, 2).await, thread(2));
    let elsewhere = read(&store, |tx| tx.survivor(account(2), &thread(1))).await;
    assert_eq!(elsewhere, thread(1));
}

#[rstest]
#[tokio::test]
async fn merges_are_followed_in_whatever_order_they_come(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    merge(&store, 1, 2).await;
    merge(&store, 2, 3).await;
    merge(&store, 4, 1).await;
    // The reverse of what was decided, and a merge with itself, change nothing.
    merge(&store, 3, 1).await;
    merge(&store, 3, 3).await;
    for id in 1..=4 {
        assert_eq!(survivor(&store, id).await, thread(3), "thread {id}");
    }
}

async fn related(
    store: &Store,
    of: AccountId,
    customer: u64,
    but: u64,
    since: i64,
) -> Vec<ConversationId> {
    read(store, move |tx| {
        tx.related(of, user(customer), &thread(but), at(since))
    })
    .await
}

/// Publishes an event in a customer's case.
fn touch_in(
    tx: &mut Tx<'_>,
    of: AccountId,
    customer: u64,
    id: u64,
    when: Timestamp,
) -> Result<(), StoreError> {
    let number = tx.next_sequence();
    let case = Case {
        account: of,
        customer: user(customer),
        conversation: thread(id),
    };
    let row = NewRow {
        case: Some(case),
        ..row(number)
    };
    tx.append(row, when).map(drop)
}

async fn touch(store: &Store, customer: u64, id: u64, second: i64) {
    write(store, move |tx| {
        touch_in(tx, account(1), customer, id, at(second))
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn related_are_the_customers_other_conversations_newest_first(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    for (id, second) in [(1, 10), (2, 30), (3, 20), (4, 5)] {
        touch(&store, 7, id, second).await;
    }
    touch(&store, 8, 9, 99).await;
    assert_eq!(
        related(&store, account(1), 7, 1, 6).await,
        [thread(2), thread(3)]
    );
    assert!(related(&store, account(2), 7, 1, 0).await.is_empty());
    touch(&store, 7, 3, 40).await;
    assert_eq!(
        related(&store, account(1), 7, 1, 6).await,
        [thread(3), thread(2)]
    );

    for id in 100..130 {
        touch(&store, 7, id, 50).await;
    }
    assert_eq!(related(&store, account(1), 7, 1, 6).await.len(), 20);
}

#[rstest]
#[tokio::test]
async fn cases_follow_a_merge_with_their_newest_time(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    touch(&store, 7, 1, 10).await;
    touch(&store, 7, 2, 30).await;
    touch(&store, 7, 3, 20).await;
    touch(&store, 8, 1, 10).await;
    merge(&store, 1, 2).await;
    assert_eq!(
        related(&store, account(1), 7, 99, 0).await,
        [thread(2), thread(3)]
    );
    assert_eq!(related(&store, account(1), 8, 99, 0).await, [thread(2)]);
}

/// Each would be one round trip more, for as long as no other replica can write.
#[rstest]
#[tokio::test]
async fn what_a_customers_cases_became_is_not_asked_for_one_by_one(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    for id in 1..=10 {
        touch(&store, 7, id, id.cast_signed()).await;
    }
    merge(&store, 10, 9).await;
    let work = |tx: &mut Tx<'_>| {
        let before = tx.round_trips();
        // As an answer of the same batch does: none of what was read ahead.
        tx.note_answered(account(1), &thread(50), user(7), at(60))?;
        let related = tx.related(account(1), user(7), &thread(99), at(0))?;
        Ok((related, tx.round_trips() - before))
    };
    let done = store.write_foreseen(DEADLINE, foreseen(), work).await;
    let (related, round_trips) = done.unwrap();
    let expected: Vec<_> = (1..=9).rev().map(thread).collect();
    assert_eq!(related, expected);
    // One prepares the statement of the answer; nothing is asked.
    assert!(round_trips <= 1, "{round_trips}");
}

/// Not all of them are read ahead: what is not among those may be in the table all the same.
#[rstest]
#[tokio::test]
async fn the_newest_of_very_many_cases_are_found_and_an_old_one_is_touched_again(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    write(&store, |tx| {
        (1..=150).try_for_each(|id: u64| touch_in(tx, account(1), 7, id, at(id.cast_signed())))
    })
    .await;
    let work = |tx: &mut Tx<'_>| touch_in(tx, account(1), 7, 1, at(1000));
    let done = store.write_foreseen(DEADLINE, foreseen(), work).await;
    done.unwrap();
    let related = store.read(|tx| tx.related(account(1), user(7), &thread(999), at(0)));
    let expected: Vec<_> = [1]
        .into_iter()
        .chain((132..=150).rev())
        .map(thread)
        .collect();
    assert_eq!(related.await.unwrap(), expected);
}

/// In no order, as customers come; one for each number below a prime.
fn scattered(number: u64) -> u64 {
    100 + number * 7919 % 65_537
}

/// More cases than are held in memory, so that most of them are in the table; a customer each.
async fn many_cases(store: &Store, customers: RangeInclusive<u64>, when: Timestamp) {
    write(store, move |tx| {
        for customer in customers {
            let customer = scattered(customer);
            touch_in(tx, account(1), customer, customer, when)?;
        }
        Ok(())
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn cases_are_found_wherever_they_are_held_and_after_a_restart(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (database, store) = fresh(engine);
    for part in [1..=10_000, 10_001..=20_000, 20_001..=30_000] {
        many_cases(&store, part, at(10)).await;
    }
    let found = |store: Store| async move {
        write(&store, |tx| {
            let mut missed = Vec::new();
            for customer in (1..=30_000).map(scattered) {
                let related = tx.related(account(1), user(customer), &thread(99_999), at(0))?;
                if related != [thread(customer)] {
                    missed.push(customer);
                }
            }
            Ok(missed)
        })
        .await
    };
    assert_eq!(found(store.clone()).await, [0; 0]);
    // A reading connection has no cases in memory.
    for number in [1, 15_000, 30_000] {
        let customer = scattered(number);
        let related = related(&store, account(1), customer, 99_999, 0).await;
        assert_eq!(related, [thread(customer)]);
    }
    drop(store);
    assert_eq!(found(database.open()).await, [0; 0]);
}

/// All that is going to be asked for in a delivery of post 5 by customer 7.
fn foreseen() -> Foresight {
    Foresight {
        events: vec![event(5)],
        posts: vec![(account(1), tweet(5))],
        conversations: vec![(account(1), thread(5))],
        customers: vec![(account(1), user(7))],
    }
}

/// Decides on it, and stores what its post belongs to.
fn decide(tx: &mut Tx<'_>, wanted: bool, root: u64) -> Result<(), StoreError> {
    match wanted {
        true => drop(tx.append(row(5), at(2))?),
        false => drop(tx.remember_unwanted(event(5), at(1))?),
    }
    tx.put_post(account(1), tweet(5), &post(root), at(1))?;
    let conversation = ConversationRow {
        first_sequence: Some(root),
        ..ConversationRow::default()
    };
    tx.put_conversation(account(1), &thread(5), &conversation, at(1))?;
    let case = Case {
        account: account(1),
        customer: user(7),
        conversation: thread(5),
    };
    tx.touch_case(&case, at(root.cast_signed()))
}

/// What is stored of it: whether it was wanted, its root, and its case since second `since`.
fn decided(tx: &Tx<'_>, since: i64) -> Result<(bool, u64, u64, usize), StoreError> {
    let seen = tx.seen(event(5))?.unwrap();
    let post = tx.post(account(1), tweet(5))?.unwrap();
    let conversation = tx.conversation(account(1), &thread(5))?.unwrap();
    let cases = tx.related(account(1), user(7), &thread(99), at(since))?;
    let (root, first) = (post.thread.get(), conversation.first_sequence.unwrap());
    Ok((seen.wanted, root, first, cases.len()))
}

#[rstest]
#[tokio::test]
async fn what_was_foreseen_is_stored_once_and_changed_after_that(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    let foresee = async |roots: [u64; 2], wanted: [bool; 2]| {
        let work = move |tx: &mut Tx<'_>| {
            decide(tx, wanted[0], roots[0])?;
            decide(tx, wanted[1], roots[1])?;
            decided(tx, i64::try_from(roots[1]).unwrap())
        };
        let done = store.write_foreseen(DEADLINE, foreseen(), work);
        done.await.unwrap()
    };
    assert_eq!(foresee([10, 11], [false, false]).await, (false, 11, 11, 1));
    let stored = read(&store, |tx| decided(tx, 11)).await;
    assert_eq!(stored, (false, 11, 11, 1));
    assert_eq!(foresee([12, 13], [false, true]).await, (true, 13, 13, 1));
    let stored = read(&store, |tx| Ok((decided(tx, 13)?, decided(tx, 14)?.3))).await;
    assert_eq!(stored, ((true, 13, 13, 1), 0));
}

#[rstest]
#[tokio::test]
async fn a_decision_stays_until_its_case_is_entered(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    for id in 1..=3 {
        touch(&store, 7, id, 10).await;
    }
    write(&store, |tx| {
        tx.advance_cursor(3, &[], at(1))?;
        tx.prune_bodies(Timestamp::MAX, 100)
    })
    .await;
    // Where others write too, a case is entered with its event. The newest decision stays anyway.
    let gone = match engine {
        Engine::Sqlite => 0,
        Engine::Postgres => 2,
    };
    let pruned = write(&store, |tx| tx.prune_seen(Timestamp::MAX, 100)).await;
    assert_eq!(pruned, gone);
}

/// Lets a clean-up go on to the end of its pass; how many rows went in all.
async fn swept(store: &Store, mut sweep: ThreadsSweep, until: i64, limit: usize) -> usize {
    while sweep.passes == 0 {
        sweep = write(store, move |tx| tx.prune_threads(day(until), sweep, limit)).await;
    }
    sweep.removed
}

#[rstest]
#[tokio::test]
async fn threads_are_forgotten_when_untouched_within_the_limit(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    write(&store, |tx| {
        for id in 1..=5 {
            tx.put_post(account(1), tweet(id), &post(id), day(id.cast_signed()))?;
            tx.put_conversation(
                account(1),
                &thread(id),
                &conversation(id),
                day(id.cast_signed()),
            )?;
        }
        tx.put_post(account(1), tweet(1), &post(1), day(9))
    })
    .await;
    // The first two of the five posts: the first was touched again.
    let sweep = write(&store, |tx| {
        tx.prune_threads(day(4), ThreadsSweep::default(), 2)
    })
    .await;
    assert_eq!((sweep.removed, sweep.passes), (1, 0));
    assert_eq!(swept(&store, sweep, 4, 2).await, 5);
    assert_eq!(swept(&store, ThreadsSweep::default(), 4, 5).await, 0);
    for (id, known) in [(1, true), (2, false), (3, false), (4, true), (5, true)] {
        let post = read(&store, move |tx| tx.post(account(1), tweet(id))).await;
        assert_eq!(post.is_some(), known, "post {id}");
    }
}

#[rstest]
#[tokio::test]
async fn cases_are_forgotten_when_untouched(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    for id in 1..=5 {
        touch(&store, 7, id, id.cast_signed() * 24 * 3600).await;
    }
    many_cases(&store, 1..=20_000, day(9)).await;
    assert_eq!(swept(&store, ThreadsSweep::default(), 4, 100_000).await, 3);
    // A reading connection looks at all events whose cases the table may lack.
    let related = related(&store, account(1), 7, 99, 4 * 24 * 3600).await;
    assert_eq!(related, [thread(5), thread(4)]);
}

#[rstest]
#[tokio::test]
async fn a_merge_is_known_as_long_as_its_survivor_is_in_use(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (_database, store) = fresh(engine);
    merge(&store, 1, 2).await;
    write(&store, |tx| {
        tx.put_conversation(account(1), &thread(2), &conversation(1), day(100))
    })
    .await;
    swept(&store, ThreadsSweep::default(), 50, 100).await;
    assert_eq!(survivor(&store, 1).await, thread(2));
    swept(&store, ThreadsSweep::default(), 101, 100).await;
    swept(&store, ThreadsSweep::default(), 101, 100).await;
    assert_eq!(survivor(&store, 1).await, thread(1));
}
