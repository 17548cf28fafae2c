//! The way of commands: from `twitter.commands` to X and back to the core.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::broker::{Broker, Message};
use crate::deliveries::{ACCOUNT, Maker, ids};
use crate::measure::{Pace, empty, record, send};
use crate::report::{Bound, Figure, median, show};
use crate::rounds::empty_folder;
use crate::subject::{Setup, Subject};
use crate::x::X;

/// How much of everything.
#[derive(Clone, Copy)]
pub(crate) struct Scale {
    rounds: usize,
    /// Commands of a run at full speed.
    commands: usize,
    /// Commands sent one by one, each when the last one has its outcome.
    single: usize,
    /// Commands that wait.
    waiting: usize,
}

impl Scale {
    pub(crate) const FULL: Self = Self {
        rounds: 5,
        commands: 4_000,
        single: 500,
        waiting: 10_000,
    };
    pub(crate) const QUICK: Self = Self {
        rounds: 3,
        commands: 2_000,
        single: 200,
        waiting: 10_000,
    };
}

/// Sent before the clock runs. With those that an X which is away does not get these are fewer than
/// its first window takes, so that a service which starts anew need not wait for the next one; by the
/// answers to them the service learns how generous this X is.
const WARM_UP: usize = 20;
const SLOW: Duration = Duration::from_millis(100);
/// Between a command's outcome and the next command: longer than anything that follows it takes.
const REST: Duration = Duration::from_millis(30);
const LOOK: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs at full speed through X, by how soon that answers.
#[derive(Default)]
struct Speeds {
    at_once: Vec<Run>,
    slow: Vec<Run>,
}

struct Run {
    per_second: f64,
    /// Processor time for each command, microseconds.
    processor: f64,
}

/// Commands that wait, and a restart with them.
struct Waited {
    /// Taken into the ledger in a second.
    accepted: f64,
    memory: u64,
    peak: u64,
    ready: Duration,
    /// From the restart until X had the first of them.
    first: Duration,
}

pub(crate) struct Commands<'a> {
    broker: &'a Broker,
    folder: PathBuf,
    scale: Scale,
    maker: Maker,
    /// Number of the next post to be answered.
    next: u64,
}

impl<'a> Commands<'a> {
    pub(crate) fn new(broker: &'a Broker, folder: PathBuf, scale: Scale) -> anyhow::Result<Self> {
        Ok(Self {
            broker,
            folder,
            scale,
            maker: Maker::new()?,
            next: 0,
        })
    }

    /// Everything.
    pub(crate) async fn run(mut self) -> anyhow::Result<Vec<Figure>> {
        let mut x = X::start(([127, 0, 0, 1], 0).into())?;
        let folder = empty_folder(&self.folder, "commands")?;
        let service = self.start(&folder, x.address, "live").await?;
        let speeds = self.speeds(&service, &mut x).await?;
        let alone = self.broker_alone().await?;
        let idle = self.one_by_one(&service, &mut x).await?;
        service.stop().await?;
        println!(
            "commands, one by one: p99 {}",
            show(idle.value_at_quantile(0.99))
        );
        let held = self.held(&mut x).await?;
        let outage = self.outage(x).await?;
        let scale = self.scale.waiting;
        Ok(vec![
            throughput("commands/s, X answers at once", &speeds.at_once),
            throughput("commands/s, X answers in 100 ms", &speeds.slow),
            latency(&idle, &alone),
            accepted(&held, &outage),
            memory(scale, &held, &outage),
            restart(&held, &outage),
        ])
    }

    /// Only the processor time of a command at full speed, by thread.
    pub(crate) async fn processor(mut self, commands: usize) -> anyhow::Result<()> {
        self.scale.commands = commands;
        let mut x = X::start(([127, 0, 0, 1], 0).into())?;
        let folder = empty_folder(&self.folder, "commands")?;
        let service = self.start(&folder, x.address, "live").await?;
        for _ in 0..self.scale.rounds {
            self.mentions(&service, commands).await?;
            let before = service.threads()?;
            let run = self.burst(&service, &mut x).await?;
            let threads = service.threads_since(&before, commands)?;
            println!(
                "{:.0}/s, {:.0} us of processor each: {threads}",
                run.per_second, run.processor
            );
        }
        service.stop().await
    }

    /// A service that has sent a few commands.
    async fn start(
        &mut self,
        folder: &Path,
        x: SocketAddr,
        sending: &str,
    ) -> anyhow::Result<Subject> {
        let setup = Setup {
            x: Some(x),
            sending,
            ..Setup::default()
        };
        let service = Subject::service(self.broker.url(), folder, setup).await?;
        if sending == "live" {
            self.mentions(&service, WARM_UP).await?;
            self.publish(WARM_UP).await?;
            self.broker.reached(WARM_UP).await?;
            self.broker.purge().await?;
        }
        Ok(service)
    }

    /// Lets customers write as many posts, and reads the events of them.
    async fn mentions(&mut self, service: &Subject, count: usize) -> anyhow::Result<()> {
        let deliveries = Rc::new(self.maker.make(count)?);
        send(&[service.address], &deliveries, Pace::Full).await?;
        self.broker.reached(count).await?;
        self.broker.purge().await
    }

    /// Answers the next posts; when the first command was sent.
    async fn publish(&mut self, count: usize) -> anyhow::Result<Instant> {
        let first = self.next;
        self.next += count as u64;
        let commands: Vec<_> = (first..self.next).map(command).collect::<Result<_, _>>()?;
        let began = Instant::now();
        self.broker.publish(&commands).await?;
        Ok(began)
    }

    async fn speeds(&mut self, service: &Subject, x: &mut X) -> anyhow::Result<Speeds> {
        let mut speeds = Speeds::default();
        for number in 1..=self.scale.rounds {
            self.mentions(service, 2 * self.scale.commands).await?;
            let at_once = self.burst(service, x).await?;
            x.set_delay(SLOW);
            let slow = self.burst(service, x).await?;
            x.set_delay(Duration::ZERO);
            println!(
                "commands, round {number}: {:.0}/s ({:.0} us), X slow {:.0}/s ({:.0} us)",
                at_once.per_second, at_once.processor, slow.per_second, slow.processor
            );
            speeds.at_once.push(at_once);
            speeds.slow.push(slow);
        }
        Ok(speeds)
    }

    /// Commands as fast as they go, by the time until the broker has all their outcomes.
    async fn burst(&mut self, service: &Subject, x: &mut X) -> anyhow::Result<Run> {
        let count = self.scale.commands;
        x.arrived();
        let processor = service.processor_time()?;
        let began = self.publish(count).await?;
        let ended = self.broker.reached(count).await?;
        let processor = service.processor_time()? - processor;
        self.broker.purge().await?;
        let arrived = x.arrived();
        ensure!(arrived == count, "X got {arrived} posts of {count}");
        Ok(Run {
            per_second: count as f64 / (ended - began).as_secs_f64(),
            processor: processor.as_secs_f64() * 1e6 / count as f64,
        })
    }

    /// From the command to the request at X, while there is nothing else to do.
    async fn one_by_one(&mut self, service: &Subject, x: &mut X) -> anyhow::Result<Histogram<u64>> {
        self.mentions(service, self.scale.single).await?;
        let mut latency = empty()?;
        x.arrived();
        for done in 1..=self.scale.single {
            let began = self.publish(1).await?;
            let arrived = x.arrival().await?;
            record(&mut latency, arrived - began)?;
            self.broker.reached(done).await?;
            sleep(REST).await;
        }
        self.broker.purge().await?;
        Ok(latency)
    }

    /// What the broker takes of that: from a message like it to whoever reads it.
    async fn broker_alone(&self) -> anyhow::Result<Histogram<u64>> {
        let mut latency = empty()?;
        let message = command(0)?;
        let mut echo = self.broker.echo().await?;
        for _ in 0..self.scale.single {
            let began = Instant::now();
            let arrived = echo.there_and_back(&message).await?;
            record(&mut latency, arrived - began)?;
            sleep(REST).await;
        }
        Ok(latency)
    }

    /// The stop switch holds them all, until a restart turns it back. They are in the queue before
    /// the service is, so that nothing but the service sets the pace.
    async fn held(&mut self, x: &mut X) -> anyhow::Result<Waited> {
        let folder = empty_folder(&self.folder, "held")?;
        let service = self.start(&folder, x.address, "live").await?;
        self.mentions(&service, self.scale.waiting).await?;
        service.stop().await?;
        self.publish(self.scale.waiting).await?;
        let service = self.start(&folder, x.address, "hold").await?;
        let accepted = self.taken(&service, self.scale.waiting).await?;
        let (memory, peak) = (service.memory()?, service.peak_memory()?);
        service.stop().await?;
        let (ready, first) = self.anew(&folder, x).await?;
        Ok(Waited {
            accepted,
            memory,
            peak,
            ready,
            first,
        })
    }

    /// X refuses connections, and takes them again when the service is started anew.
    async fn outage(&mut self, x: X) -> anyhow::Result<Waited> {
        let folder = empty_folder(&self.folder, "outage")?;
        let address = x.address;
        let service = self.start(&folder, address, "live").await?;
        self.mentions(&service, self.scale.waiting).await?;
        service.stop().await?;
        x.stop().await?;
        let setup = Setup {
            x: Some(address),
            sending: "live",
            ..Setup::default()
        };
        let service = Subject::service(self.broker.url(), &folder, setup).await?;
        let began = self.publish(self.scale.waiting).await?;
        self.taken(&service, self.scale.waiting).await?;
        let accepted = self.scale.waiting as f64 / began.elapsed().as_secs_f64();
        // The core hears of each wait once.
        self.broker.reached(self.scale.waiting).await?;
        let (memory, peak) = (service.memory()?, service.peak_memory()?);
        service.stop().await?;
        let mut x = X::start(address)?;
        let (ready, first) = self.anew(&folder, &mut x).await?;
        x.stop().await?;
        Ok(Waited {
            accepted,
            memory,
            peak,
            ready,
            first,
        })
    }

    /// Starts the service anew: how soon it was ready, and how soon X had the first command.
    async fn anew(&self, folder: &Path, x: &mut X) -> anyhow::Result<(Duration, Duration)> {
        self.broker.purge().await?;
        x.arrived();
        let began = Instant::now();
        let setup = Setup {
            x: Some(x.address),
            sending: "live",
            ..Setup::default()
        };
        let service = Subject::service(self.broker.url(), folder, setup).await?;
        let first = x.arrival().await? - began;
        let ready = service.ready_after;
        service.stop().await?;
        self.broker.purge().await?;
        Ok((ready, first))
    }

    /// Waits until the ledger holds `count` open commands; how many came in a second, the first
    /// ones not counted, in whose time the service started.
    async fn taken(&self, service: &Subject, count: usize) -> anyhow::Result<f64> {
        let (began, first) = self.more_than(service, 0).await?;
        let (ended, last) = self.more_than(service, count - 1).await?;
        self.broker.commands_read().await?;
        Ok((last - first) as f64 / (ended - began).as_secs_f64())
    }

    async fn more_than(&self, service: &Subject, count: usize) -> anyhow::Result<(Instant, usize)> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let open = service.gauge("ledger_open_commands").await?.unwrap_or(0);
            if open > count {
                return Ok((Instant::now(), open));
            }
            ensure!(Instant::now() < deadline, "{open} commands were taken");
            sleep(LOOK).await;
        }
    }
}

/// An agent's answer to the post with this number.
fn command(number: u64) -> anyhow::Result<Message> {
    let (post, _) = ids(number).context("no more ids")?;
    let id = format!("b7c1a0e2-{number:012}");
    let body = json!({
        "command_id": id,
        "account_id": ACCOUNT,
        "metadata": {"ticket": number.to_string(), "queue": "parcels"},
        "agent": {"id": "7", "name": "Jo B."},
        "send_post": {
            "in_reply_to": post.to_string(),
            "text": "We are sorry! Your parcel is on its way again and should be with you tomorrow. \
                     If it is not, write us a direct message with the number of your order, please.",
            "suffix": "^JB",
        },
    });
    Ok(Message {
        id,
        body: body.to_string(),
    })
}

fn throughput(name: &'static str, runs: &[Run]) -> Figure {
    let processor = median(runs.iter().map(|run| run.processor));
    let speeds = runs.iter().map(|run| run.per_second);
    let (least, most) = (
        speeds.clone().fold(f64::INFINITY, f64::min),
        speeds.clone().fold(0.0, f64::max),
    );
    Figure {
        name,
        absolute: format!("{least:.0} to {most:.0}; {processor:.0} us of processor each"),
        judged: median(speeds),
        required: None,
        goal: None,
    }
}

fn latency(idle: &Histogram<u64>, alone: &Histogram<u64>) -> Figure {
    let at = |latency: &Histogram<u64>, quantile| show(latency.value_at_quantile(quantile));
    Figure {
        name: "command to request, idle, p99, ms",
        absolute: format!(
            "p50 {}; the broker alone p50 {}, p99 {}",
            at(idle, 0.5),
            at(alone, 0.5),
            at(alone, 0.99)
        ),
        judged: idle.value_at_quantile(0.99) as f64 / 1000.0,
        required: None,
        goal: Some(Bound::AtMost(20.0)),
    }
}

fn accepted(held: &Waited, outage: &Waited) -> Figure {
    Figure {
        name: "commands/s into the ledger",
        absolute: format!(
            "held by the stop switch; {:.0} while X is away",
            outage.accepted
        ),
        judged: held.accepted,
        required: None,
        goal: None,
    }
}

fn memory(waiting: usize, held: &Waited, outage: &Waited) -> Figure {
    let mb = |bytes: u64| bytes as f64 / 1024.0 / 1024.0;
    Figure {
        name: "memory with waiting commands, MB",
        absolute: format!(
            "{waiting}; held {:.0} (peak {:.0}), X away {:.0} (peak {:.0})",
            mb(held.memory),
            mb(held.peak),
            mb(outage.memory),
            mb(outage.peak)
        ),
        judged: mb(held.peak.max(outage.peak)),
        required: None,
        goal: Some(Bound::AtMost(60.0)),
    }
}

fn restart(held: &Waited, outage: &Waited) -> Figure {
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    Figure {
        name: "ready after a restart with them, ms",
        absolute: format!(
            "held {:.0}, X away {:.0}; first request at X after {:.0} and {:.0}",
            ms(held.ready),
            ms(outage.ready),
            ms(held.first),
            ms(outage.first)
        ),
        judged: ms(held.ready.max(outage.ready)),
        required: None,
        goal: Some(Bound::AtMost(1000.0)),
    }
}
