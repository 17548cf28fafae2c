//! Deliveries passed on to a staging system.

use std::time::{Duration, Instant};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use tokio::sync::mpsc;

use simulator::{Form, NewPost, SIGNATURE_HEADER, sign};

use crate::support::broker::eventually;
use crate::support::service::{APP, Setup, TestService, secret_of};

/// What came to the mirror.
#[derive(Debug)]
struct Copy {
    signature: String,
    content_type: String,
    body: Vec<u8>,
}

/// A staging system; its address, and what comes to it.
fn staging(wait: Duration) -> (String, mpsc::UnboundedReceiver<Copy>) {
    let (told, copies) = mpsc::unbounded_channel();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!(
        "http://{}/webhooks/twitter/acme",
        listener.local_addr().unwrap()
    );
    let server = HttpServer::new(move || {
        let told = told.clone();
        let take = move |request: HttpRequest, body: web::Bytes| {
            let told = told.clone();
            async move {
                let header = |name: &str| {
                    let value = request.headers().get(name).unwrap();
                    value.to_str().unwrap().to_owned()
                };
                told.send(Copy {
                    signature: header(SIGNATURE_HEADER),
                    content_type: header("content-type"),
                    body: body.to_vec(),
                })
                .unwrap();
                tokio::time::sleep(wait).await;
                HttpResponse::Ok().finish()
            }
        };
        App::new().default_service(web::to(take))
    });
    let server = server
        .workers(1)
        .disable_signals()
        .listen(listener)
        .unwrap();
    actix_web::rt::spawn(server.run());
    (url, copies)
}

async fn start(mirrors: &str) -> TestService {
    TestService::start(Setup::new().app_keys(&format!("mirror = [{mirrors}]"))).await
}

#[actix_web::test]
async fn a_delivery_is_passed_on_as_it_came_and_a_challenge_is_not() {
    let (url, mut copies) = staging(Duration::ZERO);
    let service = start(&format!("{url:?}")).await;
    let post = service.post(NewPost::by(service.user("jane"), "@acme héllo"));
    service.simulator.settled().await;
    let body = service.bodies_of(post, Form::AccountActivity).remove(0);
    let copy = copies.recv().await.unwrap();
    assert_eq!(copy.body, body);
    assert_eq!(copy.signature, sign(&secret_of(APP), &body));
    assert!(
        copy.content_type.starts_with("application/json"),
        "{copy:?}"
    );

    let challenge = format!("{}?crc_token=challenge", service.webhook(APP));
    let answer = crate::support::broker::client().get(challenge).send().await;
    assert_eq!(answer.unwrap().status(), 200);
    // What X did not sign is not passed on either: the next copy is of the next delivery.
    let refused = crate::support::broker::client()
        .post(service.webhook(APP))
        .body("{}")
        .send();
    assert_eq!(refused.await.unwrap().status(), 401);
    let post = service.post(NewPost::by(service.user("jane"), "@acme once more"));
    let next = copies.recv().await.unwrap();
    assert_eq!(next.body, service.bodies_of(post, Form::AccountActivity)[0]);
}

#[actix_web::test]
async fn a_mirror_that_hangs_or_is_away_delays_nothing() {
    let (slow, mut copies) = staging(Duration::from_secs(60));
    let service = start(&format!("{slow:?}, \"http://127.0.0.1:9/x\"")).await;
    let began = Instant::now();
    for number in 0..100 {
        let text = format!("@acme number {number}");
        service.post(NewPost::by(service.user("jane"), &text));
    }
    service.simulator.settled().await;
    assert_eq!(service.events().await.len(), 100);
    assert!(
        began.elapsed() < Duration::from_secs(30),
        "{:?}",
        began.elapsed()
    );
    copies.recv().await.unwrap();
    // Neither is waited for; what is beyond their measure is dropped (see the mirror's own tests).
    let away = "twitter_channel_mirrored_total{app=\"acme\",result=\"failed\"}";
    let counted = async || (service.metric(away).await > 0.0).then_some(());
    eventually("copies fail", counted).await;
}
