//! The `twitter-channel` program.

use std::process::ExitCode;

use twitter_channel::app::App;
use twitter_channel::config::Settings;

#[tokio::main]
async fn main() -> ExitCode {
    let path = std::env::args().nth(1);
    let settings = match Settings::load(path.as_deref().map(std::path::Path::new), std::env::vars())
    {
        Ok(s) => s,
        Err(e) => {
            eprintln!("{e}");
            return ExitCode::from(64);
        }
    };
    tracing_subscriber::fmt().init();
    let app = App::start(settings).await.unwrap();
    eprintln!(
        "public {} private {}",
        app.public_address, app.private_address
    );
    tokio::signal::ctrl_c().await.unwrap();
    app.stop().await;
    ExitCode::SUCCESS
}
