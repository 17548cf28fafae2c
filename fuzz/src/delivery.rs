//! What X, or somebody who says to be X, sends to a webhook.

use secrecy::SecretString;
use twitter_channel::domain::ids::UserId;
use twitter_channel::x::normalize::normalize;
use twitter_channel::x::redact;
use twitter_channel::x::signature::{CrcToken, WebhookSecret, crc_response, verify};

/// A body: the same reading each time, and still a delivery without a person who is named in it.
pub(crate) fn normalized(body: &[u8]) {
    let Ok(read) = normalize(body) else {
        return;
    };
    assert_eq!(normalize(body).as_ref(), Ok(&read), "read twice");
    // Who is in the seeds.
    let person = UserId::from_number(200);
    if let Some(without) = person.and_then(|person| redact::without_person(body, person)) {
        assert!(
            normalize(&without).is_ok(),
            "no delivery without the person"
        );
    }
}

/// A query, and the header of a signature: what a challenge gets signed is no delivery, and nothing fits but the
/// signature of the very bytes.
pub(crate) fn challenge(input: &[u8]) {
    let secrets = [WebhookSecret::new(SecretString::from("secret"))];
    assert_eq!(verify(input, input, &secrets), None, "signed by nobody");
    let [secret] = &secrets;
    let Ok(query) = std::str::from_utf8(input) else {
        return;
    };
    let Ok(token) = CrcToken::parse(query) else {
        return;
    };
    let signed = crc_response(secret, &token);
    let fits = |body: &str| verify(signed.as_bytes(), body.as_bytes(), &secrets).is_some();
    assert!(fits(token.as_str()), "our own signature");
    assert!(!fits(&format!("{} ", token.as_str())), "another text");
    assert!(
        normalize(token.as_str().as_bytes()).is_err(),
        "a delivery was signed"
    );
}
