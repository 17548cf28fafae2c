//! What is run, in which order, and which figures come of it.

mod peers;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::time::Instant;

use crate::broker::Broker;
use crate::deliveries::{Deliveries, Maker};
use crate::journal::{Filling, fill};
use crate::measure::{Pace, challenge, empty, send};
use crate::report::{Bound, Figure, median, show};
use crate::subject::{Setup, Subject};
pub(crate) use peers::Peer;

/// How much of everything.
#[derive(Clone, Copy)]
pub(crate) struct Scale {
    rounds: usize,
    /// Sent before the clock runs.
    warm_up: usize,
    /// Deliveries of a run at full speed.
    deliveries: usize,
    /// How long a run at a third of that takes, seconds.
    paced: f64,
    /// Rows in the full journal.
    rows: u64,
    /// Events in the backlog.
    backlog: u64,
}

impl Scale {
    pub(crate) const FULL: Self = Self {
        rounds: 5,
        warm_up: 2_000,
        deliveries: 20_000,
        paced: 5.0,
        rows: 1_000_000,
        backlog: 100_000,
    };
    pub(crate) const QUICK: Self = Self {
        rounds: 2,
        warm_up: 1_000,
        deliveries: 6_000,
        paced: 2.0,
        rows: 100_000,
        backlog: 10_000,
    };
}

/// Share of the bare throughput at which latency is measured.
const PACED_SHARE: f64 = 1.0 / 3.0;
/// Share of it that goes on coming in while a backlog is drained.
const BACKLOG_SHARE: f64 = 0.1;
/// What the service makes of one of the deliveries, bytes.
const EVENT_BYTES: usize = 2_000;

/// A run at full speed.
struct Run {
    per_second: f64,
    /// Processor time for each delivery, microseconds.
    processor: f64,
    memory: u64,
}

/// One round: the runs that are compared.
struct Round {
    bare: Run,
    service: Run,
    full: Run,
    /// At a third of the bare throughput.
    bare_paced: Histogram<u64>,
    service_paced: Histogram<u64>,
}

/// The draining of a backlog.
struct Drain {
    per_second: f64,
    /// Of the deliveries that came in meanwhile.
    latency: Histogram<u64>,
    memory: u64,
}

pub(crate) struct Bench<'a> {
    broker: &'a Broker,
    folder: PathBuf,
    scale: Scale,
    maker: Maker,
    /// Of challenges during all runs at full speed.
    challenges: RefCell<Histogram<u64>>,
    starts: Vec<Duration>,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(broker: &'a Broker, folder: PathBuf, scale: Scale) -> anyhow::Result<Self> {
        Ok(Self {
            broker,
            folder,
            scale,
            maker: Maker::new()?,
            challenges: RefCell::new(empty()?),
            starts: Vec::new(),
        })
    }

    /// Everything.
    pub(crate) async fn run(mut self) -> anyhow::Result<Vec<Figure>> {
        self.declare().await?;
        let full = self.filled("full", self.scale.rows, 100, true).await?;
        let mut rounds = Vec::new();
        for number in 1..=self.scale.rounds {
            let round = self.round(&full).await?;
            print_round(number, &round);
            rounds.push(round);
        }
        std::fs::remove_dir_all(&full)?;
        let bare = median(rounds.iter().map(|round| round.bare.per_second));
        let drain = self.drain(bare * BACKLOG_SHARE).await?;
        Ok(self.figures(&rounds, &drain, bare))
    }

    /// Only the processor time of a delivery at full speed, by thread: in turns with bare, since
    /// what else the machine does tells in it too.
    pub(crate) async fn processor(mut self, deliveries: usize) -> anyhow::Result<()> {
        self.scale.deliveries = deliveries;
        self.declare().await?;
        for _ in 0..self.scale.rounds {
            let bare = self.start_bare().await?;
            self.threads_of("bare", bare).await?;
            let folder = empty_folder(&self.folder, "empty")?;
            let service = self.start_service(&folder).await?;
            self.threads_of("service", service).await?;
        }
        Ok(())
    }

    /// The service declares what the others publish to.
    async fn declare(&mut self) -> anyhow::Result<()> {
        let folder = empty_folder(&self.folder, "first")?;
        let first = Subject::service(self.broker.url(), &folder, Setup::default()).await?;
        self.settle(&first).await?;
        first.stop().await
    }

    async fn threads_of(&mut self, name: &str, subject: Subject) -> anyhow::Result<()> {
        let before = subject.threads()?;
        let run = self.full_speed(&subject).await?;
        let threads = subject.threads_since(&before, self.scale.deliveries)?;
        println!(
            "{name}: {:.0}/s, {:.0} us of processor each: {threads}",
            run.per_second, run.processor
        );
        subject.stop().await
    }

    async fn round(&mut self, full: &Path) -> anyhow::Result<Round> {
        let bare = self.start_bare().await?;
        let bare_full_speed = self.full_speed(&bare).await?;
        let rate = bare_full_speed.per_second * PACED_SHARE;
        let bare_paced = self.paced(&bare, rate).await?;
        bare.stop().await?;

        let folder = empty_folder(&self.folder, "empty")?;
        let service = self.start_service(&folder).await?;
        self.starts.push(service.ready_after);
        let service_full_speed = self.challenged(&service).await?;
        let service_paced = self.paced(&service, rate).await?;
        service.stop().await?;

        let service = self.start_service(full).await?;
        let full_journal = self.challenged(&service).await?;
        service.stop().await?;
        Ok(Round {
            bare: bare_full_speed,
            service: service_full_speed,
            full: full_journal,
            bare_paced,
            service_paced,
        })
    }

    async fn start_bare(&mut self) -> anyhow::Result<Subject> {
        let bare = Subject::bare(self.broker.url()).await?;
        self.settle(&bare).await?;
        Ok(bare)
    }

    async fn start_service(&mut self, folder: &Path) -> anyhow::Result<Subject> {
        let service = Subject::service(self.broker.url(), folder, Setup::default()).await?;
        self.settle(&service).await?;
        Ok(service)
    }

    /// Warms it up and leaves an empty queue behind.
    async fn settle(&mut self, subject: &Subject) -> anyhow::Result<()> {
        self.settle_all(&[subject.address]).await
    }

    async fn settle_all(&mut self, to: &[SocketAddr]) -> anyhow::Result<()> {
        let before = self.broker.depth().await?;
        let deliveries = Rc::new(self.maker.make(self.scale.warm_up)?);
        send(to, &deliveries, Pace::Full).await?;
        self.broker.reached(before + deliveries.len()).await?;
        self.broker.purge().await
    }

    /// Deliveries answered 200 and confirmed by the broker, by the time to the last confirm.
    async fn full_speed(&mut self, subject: &Subject) -> anyhow::Result<Run> {
        let deliveries = Rc::new(self.maker.make(self.scale.deliveries)?);
        let processor = subject.processor_time()?;
        let answers = send(&[subject.address], &deliveries, Pace::Full).await?;
        let confirmed = self.confirmed(&deliveries).await?.max(answers.ended);
        let (took, count) = (confirmed - answers.began, deliveries.len() as f64);
        let processor = subject.processor_time()? - processor;
        Ok(Run {
            per_second: count / took.as_secs_f64(),
            processor: processor.as_secs_f64() * 1e6 / count,
            memory: subject.peak_memory()?,
        })
    }

    /// The same, with challenges meanwhile.
    async fn challenged(&mut self, subject: &Subject) -> anyhow::Result<Run> {
        let latency = std::mem::replace(&mut self.challenges, RefCell::new(empty()?));
        let run = tokio::select! {
            run = self.full_speed(subject) => run,
            Err(error) = challenge(subject.address, &latency) => Err(error),
        };
        self.challenges = latency;
        run
    }

    async fn paced(&mut self, subject: &Subject, rate: f64) -> anyhow::Result<Histogram<u64>> {
        let deliveries = Rc::new(self.maker.make((rate * self.scale.paced) as usize)?);
        let answers = send(&[subject.address], &deliveries, Pace::PerSecond(rate)).await?;
        self.confirmed(&deliveries).await?;
        Ok(answers.latency)
    }

    /// Waits until the broker has them all, and empties the queue; when it had them.
    async fn confirmed(&self, deliveries: &Deliveries) -> anyhow::Result<Instant> {
        let confirmed = self.broker.reached(deliveries.len()).await?;
        self.broker.purge().await?;
        Ok(confirmed)
    }

    /// Starts the service on a journal of unpublished events, while `rate` more a second come in.
    async fn drain(&mut self, rate: f64) -> anyhow::Result<Drain> {
        let backlog = self.scale.backlog;
        let folder = self.filled("backlog", backlog, EVENT_BYTES, false).await?;
        // As long as bare would take for the backlog.
        let meanwhile = (backlog as f64 * BACKLOG_SHARE) as usize;
        let deliveries = Rc::new(self.maker.make(meanwhile)?);
        let began = Instant::now();
        let service = Subject::service(self.broker.url(), &folder, Setup::default()).await?;
        let to = [service.address];
        let (drained, answers) = tokio::try_join!(
            self.broker.reached(usize::try_from(backlog)?),
            send(&to, &deliveries, Pace::PerSecond(rate)),
        )?;
        let memory = service.peak_memory()?;
        service.stop().await?;
        std::fs::remove_dir_all(&folder)?;
        Ok(Drain {
            per_second: backlog as f64 / (drained - began).as_secs_f64(),
            latency: answers.latency,
            memory,
        })
    }

    async fn filled(
        &mut self,
        name: &str,
        rows: u64,
        body_bytes: usize,
        published: bool,
    ) -> anyhow::Result<PathBuf> {
        let folder = empty_folder(&self.folder, name)?;
        let filling = Filling {
            rows,
            body_bytes,
            published,
        };
        fill(&folder, self.maker.next(), filling).await?;
        self.maker.skip(rows);
        Ok(folder)
    }

    fn figures(&self, rounds: &[Round], drain: &Drain, bare: f64) -> Vec<Figure> {
        let mut figures = vec![throughput(rounds), latency(rounds), growth(rounds)];
        figures.push(Figure {
            name: "backlog drained / bare",
            absolute: format!(
                "{:.0}/s of {}; new deliveries p99 {} meanwhile",
                drain.per_second,
                self.scale.backlog,
                show(drain.latency.value_at_quantile(0.99))
            ),
            judged: drain.per_second / bare,
            required: Some(Bound::AtLeast(0.5)),
            goal: None,
        });
        figures.push(memory(rounds, drain));
        figures.push(start(&self.starts));
        let challenges = self.challenges.borrow();
        figures.push(Figure {
            name: "CRC p99 at full speed, ms",
            absolute: format!(
                "p50 {}, {} challenges",
                show(challenges.value_at_quantile(0.5)),
                challenges.len()
            ),
            judged: challenges.value_at_quantile(0.99) as f64 / 1000.0,
            required: Some(Bound::AtMost(100.0)),
            goal: None,
        });
        figures
    }
}

/// A new folder in this one, whatever was there.
pub(crate) fn empty_folder(parent: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let folder = parent.join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn throughput(rounds: &[Round]) -> Figure {
    let of = |of: fn(&Round) -> f64| median(rounds.iter().map(of));
    Figure {
        name: "throughput / bare",
        absolute: format!(
            "{:.0}/s beside {:.0}/s; {:.0} us of processor each beside {:.0}",
            of(|round| round.service.per_second),
            of(|round| round.bare.per_second),
            of(|round| round.service.processor),
            of(|round| round.bare.processor)
        ),
        judged: of(|round| round.service.per_second / round.bare.per_second),
        required: Some(Bound::AtLeast(0.8)),
        goal: Some(Bound::AtLeast(0.95)),
    }
}

fn growth(rounds: &[Round]) -> Figure {
    let of = |of: fn(&Round) -> f64| median(rounds.iter().map(of));
    Figure {
        name: "throughput, full / empty journal",
        absolute: format!(
            "{:.0}/s beside {:.0}/s",
            of(|round| round.full.per_second),
            of(|round| round.service.per_second)
        ),
        judged: of(|round| round.full.per_second / round.service.per_second),
        required: Some(Bound::AtLeast(0.9)),
        goal: None,
    }
}

fn latency(rounds: &[Round]) -> Figure {
    let at = |of: fn(&Round) -> &Histogram<u64>, quantile: f64| {
        let values = rounds.iter().map(of);
        show(median(values.map(|latency| latency.value_at_quantile(quantile) as f64)) as u64)
    };
    let ratio = |round: &Round| {
        let [service, bare] = [&round.service_paced, &round.bare_paced]
            .map(|latency| latency.value_at_quantile(0.99) as f64);
        service / bare
    };
    Figure {
        name: "p99 at a third of that / bare",
        absolute: format!(
            "{} (p50 {}) beside {} (p50 {})",
            at(|round| &round.service_paced, 0.99),
            at(|round| &round.service_paced, 0.5),
            at(|round| &round.bare_paced, 0.99),
            at(|round| &round.bare_paced, 0.5)
        ),
        judged: median(rounds.iter().map(ratio)),
        required: Some(Bound::AtMost(2.0)),
        goal: Some(Bound::AtMost(1.2)),
    }
}

fn memory(rounds: &[Round], drain: &Drain) -> Figure {
    let of = |of: fn(&Round) -> u64| rounds.iter().map(of).max().unwrap_or_default();
    let [empty, full, drain] = [
        of(|round| round.service.memory),
        of(|round| round.full.memory),
        drain.memory,
    ]
    .map(|bytes| bytes as f64 / 1024.0 / 1024.0);
    Figure {
        name: "peak resident memory, MB",
        absolute: format!("{empty:.0}, full journal {full:.0}, backlog {drain:.0}"),
        judged: empty.max(full).max(drain),
        required: Some(Bound::AtMost(64.0)),
        goal: Some(Bound::AtMost(40.0)),
    }
}

fn start(starts: &[Duration]) -> Figure {
    let milliseconds = starts.iter().map(|start| start.as_secs_f64() * 1000.0);
    let worst = milliseconds.clone().fold(0.0, f64::max);
    Figure {
        name: "ready after start, ms",
        absolute: format!("longest of {}: {worst:.0} ms", starts.len()),
        judged: median(milliseconds),
        required: Some(Bound::AtMost(200.0)),
        goal: None,
    }
}

fn print_round(number: usize, round: &Round) {
    println!(
        "round {number}: bare {:.0}/s ({:.0} us), service {:.0}/s ({:.0} us), full journal {:.0}/s; \
         p99 {} beside {}",
        round.bare.per_second,
        round.bare.processor,
        round.service.per_second,
        round.service.processor,
        round.full.per_second,
        show(round.service_paced.value_at_quantile(0.99)),
        show(round.bare_paced.value_at_quantile(0.99)),
    );
}
