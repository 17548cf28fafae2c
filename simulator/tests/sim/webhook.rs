//! A little webhook that notes what it gets and answers what it is told to.

use std::collections::VecDeque;
use std::net::TcpListener;
use std::sync::Mutex;

use actix_web::web::{self, Bytes, Data, Query};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use serde::Deserialize;
use serde_json::{Value, json};
use simulator::{SIGNATURE_HEADER, sign};
use tokio::sync::watch;

pub(crate) const SECRET: &str = "acme-consumer-secret";

#[derive(Clone)]
pub(crate) struct Webhook {
    pub(crate) url: String,
    state: Data<State>,
}

#[derive(Default)]
struct State {
    received: Mutex<Vec<Received>>,
    /// Statuses of the next answers; 200 when there are none.
    answers: Mutex<VecDeque<u16>>,
    challenge_answer: Mutex<Challenge>,
    /// Whether answers to deliveries wait.
    held: watch::Sender<bool>,
}

#[derive(Clone)]
pub(crate) struct Received {
    pub(crate) body: Bytes,
    pub(crate) signature: Option<String>,
}

/// How the webhook meets a CRC.
#[derive(Clone, Copy, Default)]
pub(crate) enum Challenge {
    #[default]
    Correct,
    WrongSecret,
    Status(u16),
}

#[derive(Deserialize)]
struct Crc {
    crc_token: String,
    nonce: String,
}

impl Webhook {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/webhooks/acme", listener.local_addr().unwrap());
        let state = Data::new(State::default());
        let shared = state.clone();
        let server = HttpServer::new(move || {
            App::new()
                .app_data(shared.clone())
                .route("/webhooks/acme", web::post().to(receive))
                .route("/webhooks/acme", web::get().to(challenge))
        });
        let server = server
            .workers(1)
            .disable_signals()
            .listen(listener)
            .unwrap()
            .run();
        actix_web::rt::spawn(server);
        Self { url, state }
    }

    /// The next answers.
    pub(crate) fn answer(&self, statuses: &[u16]) {
        self.state.answers.lock().unwrap().extend(statuses);
    }

    pub(crate) fn meet_challenges(&self, how: Challenge) {
        *self.state.challenge_answer.lock().unwrap() = how;
    }

    /// From now on answers to deliveries wait.
    pub(crate) fn hold(&self) {
        self.state.held.send_replace(true);
    }

    pub(crate) fn let_go(&self) {
        self.state.held.send_replace(false);
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.state.received.lock().unwrap().clone()
    }

    pub(crate) fn bodies(&self) -> Vec<Value> {
        let received = self.received();
        received
            .iter()
            .map(|got| serde_json::from_slice(&got.body).unwrap())
            .collect()
    }
}

async fn receive(state: Data<State>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let signature = request.headers().get(SIGNATURE_HEADER);
    state.received.lock().unwrap().push(Received {
        body,
        signature: signature.map(|value| value.to_str().unwrap().to_owned()),
    });
    let mut held = state.held.subscribe();
    held.wait_for(|held| !held).await.unwrap();
    status(state.answers.lock().unwrap().pop_front().unwrap_or(200)).finish()
}

async fn challenge(state: Data<State>, request: HttpRequest, crc: Query<Crc>) -> HttpResponse {
    let signed = format!("crc_token={}&nonce={}", crc.crc_token, crc.nonce);
    let signature = request.headers().get(SIGNATURE_HEADER).unwrap();
    assert_eq!(signature.to_str().unwrap(), sign(SECRET, signed.as_bytes()));
    let secret = match *state.challenge_answer.lock().unwrap() {
        Challenge::Correct => SECRET,
        Challenge::WrongSecret => "another",
        Challenge::Status(code) => return status(code).finish(),
    };
    HttpResponse::Ok().json(json!({ "response_token": sign(secret, crc.crc_token.as_bytes()) }))
}

fn status(code: u16) -> actix_web::HttpResponseBuilder {
    HttpResponse::build(actix_web::http::StatusCode::from_u16(code).unwrap())
}
