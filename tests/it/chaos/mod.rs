//! Commands in a storm: X does everything it can be ordered to do wrong, the service is killed again
//! and again, the broker too; and afterwards each command has one outcome, each success is at X
//! once, in order, and what X delivered back is told once.

mod findings;
mod script;
mod storm;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::time::sleep;

use crate::support::broker::TestBroker;
use crate::support::process::PrivateBroker;
use crate::support::stage::{Stage, Times};
use findings::{Row, examine};
use script::{Planned, Script, Town};

/// A silent call ends after this.
const CALL: Duration = Duration::from_millis(1500);
const TIMES: Times = Times {
    call: CALL,
    first_read: Duration::from_millis(1500),
    second_read: Duration::from_millis(1000),
};
/// Until the last outcome: the waits that X's rules ask for are up to a minute long.
const PATIENCE: Duration = Duration::from_secs(150);
/// A message of ours may wait 30 s before it is told.
const TOLD: Duration = Duration::from_secs(45);
/// Seeds at the same time; most of their time is waits.
const AT_A_TIME: usize = 4;

/// How much there is of it.
#[derive(Clone, Copy)]
struct Size {
    commands: usize,
    accounts: usize,
    kills: usize,
    broker_restarts: usize,
    /// Also what the service answers with waits of half a minute or more.
    long_waits: bool,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_has_one_outcome_and_every_success_is_at_x_once() {
    let size = Size {
        commands: 60,
        accounts: 8,
        kills: 2,
        broker_restarts: 1,
        long_waits: false,
    };
    report(&together(&[1, 2], size).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: `make chaos`"]
async fn twenty_seeds_of_three_hundred_commands() {
    let size = Size {
        commands: 300,
        accounts: 10,
        kills: 4,
        broker_restarts: 2,
        long_waits: true,
    };
    let mut rows = Vec::new();
    let seeds: Vec<u64> = (1..=20).collect();
    for seeds in seeds.chunks(AT_A_TIME) {
        rows.extend(together(seeds, size).await);
    }
    report(&rows);
}

/// Prints what hit; fails where anything was found.
fn report(rows: &[Row]) {
    let mut faults = BTreeMap::<&str, usize>::new();
    for row in rows {
        for (fault, count) in &row.faults {
            *faults.entry(fault).or_default() += count;
        }
    }
    println!("faults that hit: {faults:?}");
    let wrong = rows.iter().map(|row| (row.seed, &row.wrong));
    let wrong: Vec<_> = wrong.filter(|(_, wrong)| !wrong.is_empty()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Several seeds beside a broker of their own, which is killed now and then; prints the table.
async fn together(seeds: &[u64], size: Size) -> Vec<Row> {
    let broker = PrivateBroker::start().await;
    let starting = seeds.iter().map(|seed| Play::begin(*seed, size, &broker));
    let plays = join_all(starting).await;
    let playing = join_all(plays.into_iter().map(Play::run));
    let (rows, ()) = tokio::join!(playing, restart(&broker, size.broker_restarts));
    println!("{}", Row::HEAD);
    for row in &rows {
        println!("{row}");
    }
    rows
}

async fn restart(broker: &PrivateBroker, times: usize) {
    for _ in 0..times {
        // RabbitMQ itself can lose a quorum queue that it declared less than a second before.
        sleep(Duration::from_secs(4)).await;
        broker.kill().await;
        sleep(Duration::from_millis(500)).await;
        broker.start_again().await;
    }
}

/// One seed.
struct Play {
    seed: u64,
    size: Size,
    dice: StdRng,
    stage: Stage,
    town: Town,
    planned: Vec<Planned>,
    kills: usize,
    began: Instant,
}

impl Play {
    async fn begin(seed: u64, size: Size, broker: &PrivateBroker) -> Self {
        let began = Instant::now();
        let broker = TestBroker::vhost_on(&broker.url(), broker.management()).await;
        let mut x = simulator::Settings {
            seed,
            // X delivers again after 0.3, 2.7 and 24 s.
            time_scale: 0.1,
            kept_deliveries: 20_000,
            ..simulator::Settings::default()
        };
        // X's rules for replies in both readings.
        x.api.replies_to_own_posts = seed.is_multiple_of(2);
        let through = async |url: &str| url.to_owned();
        let setup = Town::setup(size.accounts);
        let stage = Stage::start(setup, TIMES, x, broker, through).await;
        let town = Town::build(&stage.simulator, size.accounts);
        let mentions = town.mentions();
        let came = stage.desk.sees(PATIENCE, |noted| {
            let told = |id: &String| !noted.about("message.received", id).is_empty();
            mentions.iter().all(told)
        });
        assert!(came.await, "the customers are not heard");
        Self {
            seed,
            size,
            dice: StdRng::seed_from_u64(seed),
            stage,
            town,
            planned: Vec::new(),
            kills: 0,
            began,
        }
    }

    async fn run(mut self) -> Row {
        storm::order(&self.stage.simulator, &mut self.dice, &self.town, self.size);
        self.send_all().await;
        sleep(Duration::from_secs(1)).await;
        self.kill().await;
        self.stage.simulator.clear_faults();
        let all = self.planned.len();
        let ended = self
            .stage
            .desk
            .sees(PATIENCE, |noted| noted.outcomes.len() >= all);
        let ended = ended.await;
        if ended {
            self.repeat_some().await;
        }
        self.stage.simulator.calls_idle().await;
        self.stage.simulator.settled().await;
        let echoed = findings::echoed(&self.stage.simulator, &self.town);
        let told = self.stage.desk.sees(TOLD, |noted| {
            let told = |id: &String| !noted.about("message.sent", id).is_empty();
            echoed.iter().all(told)
        });
        // What is missing is among the findings.
        let _all_told = told.await;
        self.row(&echoed)
    }

    fn row(&self, echoed: &[String]) -> Row {
        let noted = self.stage.desk.noted();
        let mut row = examine(
            &self.stage.simulator,
            &self.town,
            &self.planned,
            &noted,
            echoed,
        );
        row.seed = self.seed;
        row.kills = self.kills;
        row.broker_restarts = self.size.broker_restarts;
        row.seconds = self.began.elapsed().as_secs();
        row
    }

    async fn send_all(&mut self) {
        let mut script = Script::new(self.seed);
        let every = self.size.commands / (self.size.kills + 1);
        for number in 1..=self.size.commands {
            let planned = script.next(&mut self.town, &self.stage.desk.noted());
            self.stage.desk.send(&planned.command).await;
            self.planned.push(planned);
            if self.dice.random_bool(0.08) {
                let again = self.dice.random_range(0..self.planned.len());
                let again = self.planned[again].command.clone();
                self.stage.desk.send(&again).await;
            }
            if number % every == 0 && self.kills < self.size.kills {
                self.kill().await;
            }
            let pause = self.dice.random_range(0..60);
            sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn kill(&mut self) {
        self.stage.service.kill().await;
        self.kills += 1;
        let down = self.dice.random_range(0..800);
        sleep(Duration::from_millis(down)).await;
        self.stage.service.start_again().await;
    }

    /// Finished commands again: each brings its stored outcome once more.
    async fn repeat_some(&mut self) {
        for planned in self.planned.iter().step_by(self.planned.len() / 10) {
            let before = self.stage.desk.noted().outcome_repeats(&planned.id);
            self.stage.desk.send(&planned.command).await;
            let came = self.stage.desk.sees(Duration::from_secs(20), |noted| {
                noted.outcome_repeats(&planned.id) > before
            });
            assert!(
                came.await,
                "the outcome is not told again: {}",
                planned.command
            );
        }
    }
}
