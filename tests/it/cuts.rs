//! A connection to X that breaks at every byte of a request and of its answer: each command ends in
//! one outcome, and nothing is at X twice.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use simulator::{Echo, NewUser, Simulator, UserId};

use crate::support::broker::TestBroker;
use crate::support::cutter::{Cut, Cutter, Made};
use crate::support::service::Setup;
use crate::support::stage::{Stage, Times, call_kinds, send_message};

/// No request and no answer of these tests is longer.
const LONGEST: usize = 1100;
/// Commands of an account: an outage of X is seen after three failures in a row.
const PER_ACCOUNT: usize = 2;
const PATIENCE: Duration = Duration::from_secs(240);

/// The command a request belongs to, by the sign in its text: `cut-17-.`.
fn number_of(request: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(request).ok()?;
    let (_, rest) = text.split_once("cut-")?;
    rest.split_once('-')?.0.parse().ok()
}

fn text_of(number: usize) -> String {
    format!("cut-{number}-. We look into it & tell you.")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Post,
    Message,
}

/// One command for each cut, posts and messages in turns.
fn cuts(step: usize) -> Vec<(Kind, Cut)> {
    let places = || (0..LONGEST).step_by(step);
    let cuts = places().map(Cut::Request).chain(places().map(Cut::Answer));
    cuts.flat_map(|cut| [(Kind::Post, cut), (Kind::Message, cut)])
        .collect()
}

fn account(place: usize) -> UserId {
    UserId(5_000_000 + place as u64)
}

/// As many accounts as are needed, each with an app of its own.
fn setup(accounts: usize) -> Setup {
    (0..accounts).fold(Setup::unfiltered(), |setup, place| {
        let name = format!("cut{place}");
        setup
            .app(&name, "")
            .account(&name, account(place), &name, "")
    })
}

fn command(number: usize, kind: Kind, customer: UserId) -> Value {
    let (id, account) = (format!("c{number}"), account(number / PER_ACCOUNT));
    match kind {
        Kind::Post => json!({
            "command_id": id,
            "account_id": account.to_string(),
            "send_post": {"text": text_of(number)},
        }),
        Kind::Message => send_message(&id, account, customer, &text_of(number)),
    }
}

/// Cuts each command's first call that writes, in its place.
fn plan(cuts: &[(Kind, Cut)]) -> impl Fn(&[u8]) -> Option<Cut> + Send + Sync + 'static {
    let (cuts, cut_before) = (cuts.to_vec(), Mutex::new(HashSet::new()));
    move |request| {
        let number = number_of(request)?;
        let first = cut_before.lock().unwrap().insert(number);
        first.then(|| cuts[number].1)
    }
}

fn at_x(simulator: &Simulator, number: usize, kind: Kind) -> usize {
    let (account, text) = (account(number / PER_ACCOUNT), text_of(number));
    match kind {
        Kind::Post => simulator.count_posts(account, &text),
        Kind::Message => simulator.count_messages(account, &text),
    }
}

/// Every `step`th byte. X delivers back what the accounts wrote, or not.
async fn cut_everywhere(step: usize, echo: Echo) {
    let (began, cuts) = (Instant::now(), cuts(step));
    let mut x = simulator::Settings::default();
    x.api.echo = echo;
    let times = Times {
        call: Duration::from_secs(20),
        first_read: Duration::from_secs(1),
        second_read: Duration::from_millis(500),
    };
    let broker = TestBroker::vhost().await;
    let mut cutter = None;
    let through = async |url: &str| {
        let target = url.trim_start_matches("http://");
        let made = Cutter::to(target, Arc::new(plan(&cuts))).await;
        cutter.insert(made).url()
    };
    let accounts = cuts.len().div_ceil(PER_ACCOUNT);
    let mut stage = Stage::start(setup(accounts), times, x, broker, through).await;
    let customer = stage.simulator.add_user(NewUser::named("ann")).unwrap();
    for (number, (kind, _)) in cuts.iter().enumerate() {
        stage.desk.send(&command(number, *kind, customer)).await;
    }
    let all = cuts.len();
    let ended = stage
        .desk
        .sees(PATIENCE, |noted| noted.outcomes.len() >= all);
    if !ended.await {
        let ended = stage.desk.noted().outcomes.len();
        panic!(
            "{ended} of {all} ended; calls: {:#?}",
            call_kinds(&stage.simulator)
        );
    }
    stage.simulator.calls_idle().await;

    let noted = stage.desk.noted();
    assert_eq!(noted.faults, Vec::<String>::new());
    let mut wrong = Vec::new();
    for (number, (kind, cut)) in cuts.iter().enumerate() {
        let outcome = noted.outcome(&format!("c{number}")).unwrap();
        let outcomes = noted.outcomes[&format!("c{number}")].len();
        let (result, there) = (
            &outcome["event"]["type"],
            at_x(&stage.simulator, number, *kind),
        );
        if (outcomes, there) != (1, 1) || result != "command.succeeded" {
            wrong.push(format!(
                "{cut:?}: {outcomes} outcomes, {result}, {there} at X"
            ));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    let made = cutter.unwrap().made();
    tell(&made, began, all);
    assert_whole(&made, step);
}

fn tell(made: &[Made], began: Instant, all: usize) {
    let seconds = began.elapsed().as_secs();
    println!(
        "{all} commands, {} connections cut, {seconds} s",
        made.len()
    );
}

/// The cuts left out no byte, both ways. Messages differ in length by what is escaped in their
/// signatures, so the last bytes are those of one of them.
fn assert_whole(made: &[Made], step: usize) {
    for request in [true, false] {
        let made = made
            .iter()
            .filter(|made| matches!(made.cut, Cut::Request(_)) == request);
        let (mut places, mut left, mut lengths) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for made in made {
            let (Cut::Request(at) | Cut::Answer(at)) = made.cut;
            places.insert(at);
            left.insert(made.of - at);
            lengths.insert(made.of);
        }
        let (shortest, longest) = (*lengths.first().unwrap(), *lengths.last().unwrap());
        let mut all = (0..shortest).step_by(step);
        assert!(all.all(|at| places.contains(&at)), "not all of {shortest}");
        assert!(left.first().unwrap() <= &step, "not to the end");
        assert!(longest < LONGEST, "{longest} bytes: cut further out");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_cut_anywhere_posts_nothing_twice_where_x_delivers_back() {
    cut_everywhere(11, Echo::AT_ONCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_cut_anywhere_posts_nothing_twice_where_x_stays_silent() {
    cut_everywhere(13, Echo::NEVER).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: `make chaos`"]
async fn a_connection_cut_at_every_byte_posts_nothing_twice() {
    cut_everywhere(1, Echo::NEVER).await;
}
