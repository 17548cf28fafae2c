//! The consumer secrets of one app.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::x::signature::{self, WebhookSecret};

/// Called with the index of the secret that challenges are answered with from now on.
type OnSwitch = Box<dyn Fn(usize) + Send + Sync>;

/// The consumer secret of an app and, while it is rotated, its previous one.
///
/// X does not say when it begins to use a new secret. So challenges are answered with the one that
/// signed the newest delivery not seen before.
pub struct AppSecrets {
    current: WebhookSecret,
    /// The current one, then the previous one.
    all: Vec<WebhookSecret>,
    answering: AtomicUsize,
    on_switch: OnSwitch,
}

impl AppSecrets {
    /// `answering` is the index last given to `on_switch`, 0 (the current secret) at first.
    pub fn new(
        current: WebhookSecret,
        previous: Option<WebhookSecret>,
        answering: usize,
        on_switch: impl Fn(usize) + Send + Sync + 'static,
    ) -> Self {
        Self {
            all: std::iter::once(current.clone()).chain(previous).collect(),
            current,
            answering: AtomicUsize::new(answering),
            on_switch: Box::new(on_switch),
        }
    }

    /// The secret that challenges are answered with.
    pub(super) fn answering(&self) -> &WebhookSecret {
        // The index may be left over from a rotation that is finished.
        self.all
            .get(self.answering.load(Ordering::Relaxed))
            .unwrap_or(&self.current)
    }

    /// Index of the secret that signed this body.
    pub(super) fn signer(&self, signature: &[u8], body: &[u8]) -> Option<usize> {
        signature::verify(signature, body, &self.all)
    }

    /// Answers challenges with this secret from now on.
    pub(super) fn answer_with(&self, signer: usize) {
        if self.answering.swap(signer, Ordering::Relaxed) != signer {
            (self.on_switch)(signer);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use secrecy::SecretString;

    use super::*;
    use crate::x::signature::{CrcToken, crc_response};

    fn secret(text: &str) -> WebhookSecret {
        WebhookSecret::new(SecretString::from(text))
    }

    fn answer(secret: &WebhookSecret) -> String {
        crc_response(secret, &CrcToken::parse("crc_token=x").unwrap())
    }

    #[test]
    fn challenges_follow_the_secret_that_signs_and_a_switch_is_told_once() {
        let (told, switches) = mpsc::channel();
        let secrets = AppSecrets::new(secret("new"), Some(secret("old")), 0, move |index| {
            told.send(index).unwrap();
        });
        assert_eq!(answer(secrets.answering()), answer(&secret("new")));
        secrets.answer_with(1);
        secrets.answer_with(1);
        assert_eq!(answer(secrets.answering()), answer(&secret("old")));
        secrets.answer_with(0);
        assert_eq!(answer(secrets.answering()), answer(&secret("new")));
        assert_eq!(switches.try_iter().collect::<Vec<_>>(), [1, 0]);
    }

    #[test]
    fn the_index_of_a_finished_rotation_means_the_current_secret() {
        let secrets = AppSecrets::new(secret("new"), None, 1, |_index| {});
        assert_eq!(answer(secrets.answering()), answer(&secret("new")));
    }
}
