//! The least service that could do the same: checks the signature, publishes the body as it came,
//! and answers 200 once the broker has confirmed it.
//!
//! It keeps nothing, reads nothing of the body and declares nothing. What the real service costs
//! more is the price of its journal and of its events.

use std::net::SocketAddr;

use actix_web::web::{Bytes, Data, get, post};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Parser;
use hmac::{Hmac, Mac};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use sha2::Sha256;

const EXCHANGE: &str = "twitter.events";
const ROUTING_KEY: &str = "message.received.post.2305278770";
const PERSISTENT: u8 = 2;

#[derive(Parser)]
struct Arguments {
    /// Where to listen.
    #[arg(long)]
    listen: SocketAddr,
    /// AMQP URL of the broker.
    #[arg(long)]
    broker: String,
    /// Consumer secret that deliveries are signed with.
    #[arg(long)]
    secret: String,
    /// Threads that serve requests.
    #[arg(long)]
    workers: usize,
}

struct Bare {
    key: Hmac<Sha256>,
    channel: Channel,
}

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let properties = ConnectionProperties::default().with_connection_name("bare".into());
    let connection = Connection::connect(&arguments.broker, properties).await?;
    let channel = connection.create_channel().await?;
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await?;
    let key = Hmac::new_from_slice(arguments.secret.as_bytes()).context("the secret")?;
    let bare = Data::new(Bare { key, channel });
    let app = move || {
        App::new()
            .app_data(bare.clone())
            .route("/webhooks/twitter/{app}", post().to(deliver))
            .route("/readyz", get().to(HttpResponse::Ok))
    };
    let server = HttpServer::new(app).workers(arguments.workers);
    Ok(server.bind(arguments.listen)?.run().await?)
}

async fn deliver(request: HttpRequest, body: Bytes, bare: Data<Bare>) -> HttpResponse {
    if !bare.has_signed(&request, &body) {
        return HttpResponse::Unauthorized().finish();
    }
    match bare.publish(&body).await {
        Ok(true) => HttpResponse::Ok().finish(),
        _ => HttpResponse::ServiceUnavailable().finish(),
    }
}

impl Bare {
    fn has_signed(&self, request: &HttpRequest, body: &[u8]) -> bool {
        let given = request.headers().get("x-twitter-webhooks-signature");
        let given = given.and_then(|value| value.as_bytes().strip_prefix(b"sha256="));
        let given = given.and_then(|value| STANDARD.decode(value).ok());
        let computed = self.key.clone().chain_update(body);
        given.is_some_and(|given| computed.verify_slice(&given).is_ok())
    }

    /// Whether the broker has it on disk.
    async fn publish(&self, body: &[u8]) -> lapin::Result<bool> {
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let properties = BasicProperties::default()
            .with_delivery_mode(PERSISTENT)
            .with_content_type("application/json".into());
        let sent = self
            .channel
            .basic_publish(
                EXCHANGE.into(),
                ROUTING_KEY.into(),
                options,
                body,
                properties,
            )
            .await?;
        let confirmation = sent.await?;
        Ok(confirmation.is_ack() && confirmation.take_message().is_none())
    }
}
