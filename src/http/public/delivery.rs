//! A delivery whose signature was checked.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::web::{Bytes, Payload};

use super::refusal::Refusal;
use super::secrets::AppSecrets;

pub(super) const SIGNATURE: &str = "x-twitter-webhooks-signature";
/// X itself gives up after 10 s.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Whether a request claims to be of X.
pub(super) fn is_signed(request: &HttpRequest) -> bool {
    request.headers().contains_key(SIGNATURE)
}

/// The raw body of a delivery that one of the app's secrets signed; there is no other way to one.
#[derive(Debug)]
pub(super) struct SignedDelivery {
    body: Bytes,
    signer: usize,
}

impl SignedDelivery {
    /// Reads the body, never more of it than `limit`, then checks its signature.
    pub(super) async fn receive(
        request: &HttpRequest,
        payload: Payload,
        secrets: &AppSecrets,
        limit: usize,
    ) -> Result<Self, Refusal> {
        let body = read(request, payload, limit).await?;
        let signature = request.headers().get(SIGNATURE).ok_or(Refusal::Unsigned)?;
        let signer = secrets
            .signer(signature.as_bytes(), &body)
            .ok_or(Refusal::BadSignature)?;
        Ok(Self { body, signer })
    }

    /// Index of the secret that signed it.
    pub(super) fn signer(&self) -> usize {
        self.signer
    }

    pub(super) fn into_body(self) -> Bytes {
        self.body
    }
}

async fn read(request: &HttpRequest, payload: Payload, limit: usize) -> Result<Bytes, Refusal> {
    if announced(request).is_some_and(|length| length > limit) {
        return Err(Refusal::TooLarge(limit));
    }
    match tokio::time::timeout(BODY_TIMEOUT, payload.to_bytes_limited(limit)).await {
        Ok(Ok(Ok(body))) => Ok(body),
        Ok(Ok(Err(_cut))) => Err(Refusal::BrokenOff),
        Ok(Err(_too_large)) => Err(Refusal::TooLarge(limit)),
        Err(_late) => Err(Refusal::TooSlow(BODY_TIMEOUT)),
    }
}

/// `Content-Length`, absent on a chunked body.
fn announced(request: &HttpRequest) -> Option<usize> {
    let length = request.headers().get(CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use actix_web::test::TestRequest;
    use actix_web::{FromRequest, dev};
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use futures_util::stream;
    use hmac::{Hmac, Mac};
    use secrecy::SecretString;
    use sha2::Sha256;

    use super::*;
    use crate::x::signature::WebhookSecret;

    const BODY: &str = r#"{"for_user_id":"1"}"#;
    const LIMIT: usize = BODY.len();

    fn signature(secret: &str, body: &str) -> (&'static str, String) {
        let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        let bytes = mac.chain_update(body).finalize().into_bytes();
        (SIGNATURE, format!("sha256={}", STANDARD.encode(bytes)))
    }

    async fn receive(request: TestRequest) -> Result<SignedDelivery, Refusal> {
        let (request, mut payload) = request.to_http_parts();
        receive_parts(&request, &mut payload).await
    }

    async fn receive_parts(
        request: &HttpRequest,
        payload: &mut dev::Payload,
    ) -> Result<SignedDelivery, Refusal> {
        let secret = |text: &str| WebhookSecret::new(SecretString::from(text));
        let secrets = AppSecrets::new(secret("new"), Some(secret("old")), 0, |_index| {});
        let payload = Payload::from_request(request, payload).await.unwrap();
        SignedDelivery::receive(request, payload, &secrets, LIMIT).await
    }

    #[actix_web::test]
    async fn either_secret_signs_and_is_told() {
        for (signer, secret) in ["new", "old"].into_iter().enumerate() {
            let request = TestRequest::post().insert_header(signature(secret, BODY));
            let delivery = receive(request.set_payload(BODY)).await.unwrap();
            assert_eq!(delivery.signer(), signer);
            assert_eq!(delivery.into_body(), BODY);
        }
    }

    #[actix_web::test]
    async fn nothing_unsigned_gets_in() {
        let unsigned = receive(TestRequest::post().set_payload(BODY)).await;
        assert!(matches!(unsigned, Err(Refusal::Unsigned)), "{unsigned:?}");
        let base64_only = signature("new", BODY).1.replace("sha256=", "");
        for header in [
            signature("other", BODY),
            signature("new", "{}"),
            (SIGNATURE, base64_only),
            (SIGNATURE, "sha256=".to_owned()),
        ] {
            let request = TestRequest::post().insert_header(header.clone());
            let refused = receive(request.set_payload(BODY)).await;
            let bad = matches!(refused, Err(Refusal::BadSignature));
            assert!(bad, "{header:?}: {refused:?}");
        }
    }

    #[actix_web::test]
    async fn a_large_body_is_refused_before_its_signature_is_looked_at() {
        let large = format!("{BODY} ");
        let chunked = receive(TestRequest::post().set_payload(large)).await;
        assert!(
            matches!(chunked, Err(Refusal::TooLarge(LIMIT))),
            "{chunked:?}"
        );
    }

    #[actix_web::test]
    async fn a_body_announced_as_too_large_is_not_read() {
        let request = TestRequest::post().insert_header((CONTENT_LENGTH, LIMIT + 1));
        let (request, _) = request.to_http_parts();
        let unread = stream::poll_fn(|_| panic!("the body was read"));
        let mut payload = dev::Payload::Stream {
            payload: Box::pin(unread) as Pin<Box<dyn stream::Stream<Item = _>>>,
        };
        let refused = receive_parts(&request, &mut payload).await;
        assert!(
            matches!(refused, Err(Refusal::TooLarge(LIMIT))),
            "{refused:?}"
        );
    }
}
