//! The public listener: X's challenges (CRC) and its deliveries, and the pages at which accounts are
//! linked.
//!
//! A challenge is answered from memory, whatever else is down. A delivery is answered 200 only once
//! the flow has made it durable. No webhook ever redirects: X takes that for a broken webhook.

mod delivery;
mod link;
mod mirror;
mod refusal;
mod secrets;
mod sources;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::web::{self, Bytes, Data, Path, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use jiff::Timestamp;
use serde::Serialize;
use tracing::Instrument;

use crate::domain::ids::EventId;
use crate::flow::ingest::Ingest;
use crate::flow::rules::LiveRules;
use crate::flow::setup::Signatures;
use crate::telemetry::{metrics, traces};
use crate::x::signature::{self, CrcToken};
use delivery::{SignedDelivery, is_signed};
pub use link::{LinkPages, link_routes};
pub use mirror::Mirror;
use mirror::Original;
use refusal::Refusal;
pub use secrets::AppSecrets;
pub use sources::SourceLimits;
use sources::Sources;

/// How X reaches the webhook of an app.
const WEBHOOK: &str = "/webhooks/twitter/{app}";

/// The webhooks we answer for.
pub struct Webhooks {
    apps: RwLock<HashMap<String, Arc<AppSecrets>>>,
    max_body_bytes: usize,
    signatures: Signatures,
    sources: Sources,
    /// Where deliveries are passed on to, by the rules in force.
    mirror: Option<(Mirror, LiveRules)>,
}

impl Webhooks {
    /// `apps` by the name in their URL; a larger body than `max_body_bytes` is refused unread.
    pub fn new(apps: HashMap<String, Arc<AppSecrets>>, max_body_bytes: usize) -> Self {
        Self {
            apps: RwLock::new(apps),
            max_body_bytes,
            signatures: Signatures::default(),
            sources: Sources::new(SourceLimits::default()),
            mirror: None,
        }
    }

    /// Allows each source so much that X did not sign.
    #[must_use]
    pub fn limiting(self, limits: SourceLimits) -> Self {
        let sources = Sources::new(limits);
        Self { sources, ..self }
    }

    /// Passes deliveries on to the mirrors of their apps.
    #[must_use]
    pub fn mirroring(self, mirror: Mirror, rules: LiveRules) -> Self {
        let mirror = Some((mirror, rules));
        Self { mirror, ..self }
    }

    /// Counts here whether deliveries are signed rightly.
    #[must_use]
    pub fn counting(self, signatures: Signatures) -> Self {
        Self { signatures, ..self }
    }

    /// Answers for these apps from now on.
    pub fn replace(&self, apps: HashMap<String, Arc<AppSecrets>>) {
        *self.apps.write().unwrap_or_else(PoisonError::into_inner) = apps;
    }

    fn app(&self, name: &str) -> Result<Arc<AppSecrets>, Refusal> {
        let apps = self.apps.read().unwrap_or_else(PoisonError::into_inner);
        apps.get(name).cloned().ok_or(Refusal::UnknownApp)
    }

    /// Counts a request that X did not sign; why it is refused.
    fn unsigned(&self, request: &HttpRequest, refusal: Refusal) -> Refusal {
        match self.sources.is_flooding(request, Instant::now()) {
            true => Refusal::Flooding,
            false => refusal,
        }
    }

    fn pass_on(&self, app: &str, request: &HttpRequest, body: Bytes) {
        let Some((mirror, rules)) = &self.mirror else {
            return;
        };
        let rules = rules.now();
        let to = rules.registry.apps().iter().find(|it| it.name == app);
        if let Some(to) = to.filter(|app| !app.mirror.is_empty()) {
            mirror.pass_on(app, &to.mirror, &Original::new(request, body));
        }
    }

    /// The app's name for logs and metrics: what strangers ask for is not repeated there.
    fn label<'a>(&self, name: &'a str) -> &'a str {
        match self.app(name) {
            Ok(_) => name,
            Err(_) => "unknown",
        }
    }
}

/// The routes of the public listener.
pub fn routes(
    webhooks: Arc<Webhooks>,
    ingest: Arc<Ingest>,
) -> impl Fn(&mut ServiceConfig) + Clone + Send + 'static {
    move |config| {
        config
            .app_data(Data::from(Arc::clone(&webhooks)))
            .app_data(Data::from(Arc::clone(&ingest)))
            .service(
                web::resource(WEBHOOK)
                    .get(answer_challenge)
                    .post(take_delivery)
                    .default_service(web::to(other_method)),
            );
    }
}

#[derive(Serialize)]
struct ChallengeAnswer {
    response_token: String,
}

async fn answer_challenge(
    name: Path<String>,
    request: HttpRequest,
    webhooks: Data<Webhooks>,
) -> Result<HttpResponse, Refusal> {
    let app = webhooks.label(&name);
    let token = webhooks
        .app(&name)
        .and_then(|secrets| respond(&secrets, request.query_string()))
        .map_err(|refusal| webhooks.unsigned(&request, refusal));
    match &token {
        Ok(_) => metrics::count_crc(app, Timestamp::now()),
        Err(refusal) => note_refusal(app, refusal),
    }
    Ok(HttpResponse::Ok().json(ChallengeAnswer {
        response_token: token?,
    }))
}

fn respond(secrets: &AppSecrets, query: &str) -> Result<String, Refusal> {
    let token = CrcToken::parse(query).map_err(Refusal::BadChallenge)?;
    Ok(signature::crc_response(secrets.answering(), &token))
}

async fn take_delivery(
    name: Path<String>,
    request: HttpRequest,
    payload: Payload,
    webhooks: Data<Webhooks>,
    ingest: Data<Ingest>,
) -> HttpResponse {
    let (began, began_at) = (Instant::now(), SystemTime::now());
    let app = webhooks.label(&name);
    let span = tracing::debug_span!("delivery", app);
    async {
        let taken = take(&name, &request, payload, &webhooks, &ingest).await;
        let response = match &taken {
            Ok(_) => HttpResponse::Ok().finish(),
            Err(refusal) => refusal.error_response(),
        };
        let status = response.status().as_u16();
        let events = taken.as_ref().map_or(&[][..], |events| events);
        // Whoever scans for open doors makes no traces.
        if !matches!(taken, Err(Refusal::UnknownApp)) {
            traces::delivered(app, status, began_at, events);
        }
        report(app, taken.err().as_ref(), status, began.elapsed());
        response
    }
    .instrument(span)
    .await
}

async fn take(
    name: &str,
    request: &HttpRequest,
    payload: Payload,
    webhooks: &Webhooks,
    ingest: &Ingest,
) -> Result<Vec<EventId>, Refusal> {
    let secrets = webhooks.app(name);
    let secrets = secrets.map_err(|refusal| webhooks.unsigned(request, refusal))?;
    let claims = is_signed(request);
    // Before anything is read.
    if !claims && webhooks.sources.is_flooding(request, Instant::now()) {
        return Err(Refusal::Flooding);
    }
    let received_at = Timestamp::now();
    let received =
        SignedDelivery::receive(request, payload, &secrets, webhooks.max_body_bytes).await;
    match &received {
        Ok(_) => webhooks.signatures.passed(name),
        Err(Refusal::BadSignature) => webhooks.signatures.failed(name, received_at),
        Err(_) => {}
    }
    let delivery = received.map_err(|refusal| match claims {
        true => webhooks.unsigned(request, refusal),
        // It was counted.
        false => refusal,
    })?;
    let (signer, body) = (delivery.signer(), delivery.into_body());
    let accepted = ingest.accept(name, body.clone(), received_at).await?;
    if accepted.new {
        secrets.answer_with(signer);
    }
    webhooks.pass_on(name, request, body);
    Ok(accepted.events)
}

fn report(app: &str, refusal: Option<&Refusal>, status: u16, took: Duration) {
    metrics::count_delivery(app, status, took);
    // Not fields of the span: a span's fields are written out whether or not anybody logs them.
    let duration_ms = took.as_secs_f64() * 1000.0;
    tracing::debug!(http.status = status, duration_ms, "delivery answered");
    if let Some(refusal) = refusal {
        note_refusal(app, refusal);
    }
}

/// The only place where a refusal is logged and counted.
fn note_refusal(app: &str, refusal: &Refusal) {
    metrics::count_refusal(app, refusal.name());
    let reason = refusal.name();
    match refusal {
        Refusal::Unavailable(detail) => tracing::warn!(
            app,
            reason,
            detail,
            "a delivery was answered 503: X has to send it again"
        ),
        // Anybody scanning for open doors makes these.
        Refusal::UnknownApp | Refusal::Flooding => tracing::debug!(reason, "refused"),
        _ => tracing::info!(app, reason, detail = %refusal, "refused"),
    }
}

async fn other_method() -> HttpResponse {
    HttpResponse::MethodNotAllowed()
        .insert_header((ALLOW, HeaderValue::from_static("GET, POST")))
        .finish()
}

#[cfg(test)]
mod tests {
    use actix_web::App;
    use actix_web::body::to_bytes;
    use actix_web::dev::ServiceResponse;
    use actix_web::http::header::CONTENT_TYPE;
    use actix_web::test::{TestRequest, call_service, init_service};
    use secrecy::SecretString;

    use super::*;
    use crate::x::signature::WebhookSecret;

    async fn challenge(uri: &str) -> ServiceResponse {
        let secret = WebhookSecret::new(SecretString::from("secret"));
        let secrets = AppSecrets::new(secret, None, 0, |_index| {});
        let webhooks = Webhooks::new([("acme".to_owned(), Arc::new(secrets))].into(), 64);
        let app = App::new()
            .app_data(Data::new(webhooks))
            .route(WEBHOOK, web::get().to(answer_challenge));
        call_service(
            &init_service(app).await,
            TestRequest::get().uri(uri).to_request(),
        )
        .await
    }

    #[actix_web::test]
    async fn a_challenge_is_answered_in_json() {
        let response = challenge("/webhooks/twitter/acme?nonce=1&crc_token=challenge").await;
        assert_eq!(response.status(), 200);
        let content_type = response.headers().get(CONTENT_TYPE).unwrap();
        assert_eq!(content_type, "application/json");
        let body = to_bytes(response.into_body()).await.unwrap();
        // printf %s challenge | openssl dgst -sha256 -hmac secret -binary | base64
        let expected =
            r#"{"response_token":"sha256=oeUF6Wxqoezggrue+wbIDxKRPSF6esKwizR2MHh9HaA="}"#;
        assert_eq!(body, expected);
    }

    #[actix_web::test]
    async fn a_challenge_that_could_be_a_delivery_or_is_for_nobody_is_refused() {
        for (uri, status) in [
            ("/webhooks/twitter/acme", 400),
            ("/webhooks/twitter/acme?crc_token=", 400),
            ("/webhooks/twitter/acme?crc_token=%7B%22a%22:1%7D", 400),
            ("/webhooks/twitter/other?crc_token=challenge", 404),
            ("/webhooks/twitter/other", 404),
        ] {
            assert_eq!(challenge(uri).await.status(), status, "{uri}");
        }
    }

    #[test]
    fn names_that_strangers_ask_for_are_no_labels() {
        let webhooks = Webhooks::new(HashMap::new(), 64);
        assert_eq!(webhooks.label("wp-admin"), "unknown");
    }
}
