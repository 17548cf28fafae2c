//! Load on the running service, beside the least service that could do the same. Every ratio is
//! taken between runs that follow each other, the median of several.

mod broker;
mod deliveries;
mod http;
mod journal;
mod measure;
mod report;
mod rounds;
mod subject;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use broker::Broker;
use rounds::{Bench, Scale};

/// Measures the service; `scripts/broker run DIR -- target/release/load` gives it a broker.
#[derive(Parser)]
struct Arguments {
    /// A look of half a minute, too short to judge by.
    #[arg(long)]
    quick: bool,
    /// Only the processor time of this many deliveries, by thread.
    #[arg(long, value_name = "DELIVERIES")]
    processor: Option<usize>,
    /// Where journals and logs go: on the disk that is to be measured.
    #[arg(long, default_value = ".run/bench")]
    folder: PathBuf,
    /// AMQP URL of the broker.
    #[arg(long, env = "TWITTER_CHANNEL__BROKER__URL", hide_env_values = true)]
    broker: String,
    /// URL of the broker's management.
    #[arg(long, env = "BROKER_MANAGEMENT_URL", hide_env_values = true)]
    management: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let scale = if arguments.quick {
        Scale::QUICK
    } else {
        Scale::FULL
    };
    let broker = Broker::prepare(&arguments.broker, &arguments.management).await?;
    let bench = Bench::new(&broker, arguments.folder, scale)?;
    if let Some(deliveries) = arguments.processor {
        let measured = bench.processor(deliveries).await;
        broker.remove().await?;
        return measured.map(|()| ExitCode::SUCCESS);
    }
    let figures = bench.run().await;
    broker.remove().await?;
    Ok(if report::print(&figures?) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
