//! The signature X puts on deliveries and expects in the answer to a CRC.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// The header of a delivery.
pub const SIGNATURE_HEADER: &str = "x-twitter-webhooks-signature";

/// `sha256=<base64 HMAC-SHA256>` of `message` with an app's consumer secret.
pub fn sign(secret: &str, message: &[u8]) -> String {
    // HMAC takes keys of any length, so there is nothing to fail.
    let digest = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map(|mut mac| {
        mac.update(message);
        mac.finalize().into_bytes()
    });
    format!(
        "sha256={}",
        digest
            .map(|digest| STANDARD.encode(digest))
            .unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_of_rfc_4231() {
        assert_eq!(
            sign("Jefe", b"what do ya want for nothing?"),
            "sha256=W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM="
        );
    }
}
