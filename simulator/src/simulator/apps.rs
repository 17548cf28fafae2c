//! Apps: registering, subscribing, checking.

use super::Simulator;
use crate::crc::{self, CrcError, CrcReport};
use crate::model::{Form, NewApp, NewUser, Refused, SigningSecret, UserId};

impl Simulator {
    /// Registers an app; its webhook counts as valid until a check says otherwise.
    pub fn add_app(&self, app: NewApp) -> Result<(), Refused> {
        self.world().lock().add_app(app)
    }

    /// Adds an account of X.
    pub fn add_user(&self, user: NewUser) -> Result<UserId, Refused> {
        self.world().lock().add_user(user)
    }

    /// The account of that name.
    pub fn user_id(&self, username: &str) -> Option<UserId> {
        self.world().lock().user_named(username).map(|user| user.id)
    }

    /// From now on the app gets what concerns the account in these forms, and may act for it. With the filtered stream
    /// comes a rule for what names the account or is written by it.
    pub fn subscribe(&self, app: &str, user: UserId, forms: &[Form]) -> Result<(), Refused> {
        let mut state = self.api().state();
        self.world().lock().subscribe(app, user, forms)?;
        state.tokens.authorize(app, user);
        Ok(())
    }

    /// Adds a rule to the app's filtered stream, in the language of X's rules; one with the same
    /// value is left as it is. Its id comes back.
    pub fn add_rule(&self, app: &str, value: &str, tag: &str) -> Result<u64, Refused> {
        self.world().lock().add_rule(app, value, tag)
    }

    /// Puts a new consumer secret in force.
    pub fn rotate_secret(&self, app: &str, secret: &str) -> Result<(), Refused> {
        self.world().lock().rotate_secret(app, secret)
    }

    /// Chooses the secret that signs deliveries from now on.
    pub fn sign_with(&self, app: &str, secret: SigningSecret) -> Result<(), Refused> {
        self.world().lock().sign_with(app, secret)
    }

    /// The user removes the app: it is told so, and then nothing more; its tokens are dead.
    pub fn revoke(&self, app: &str, user: UserId) -> Result<(), Refused> {
        let mut state = self.api().state();
        let mut world = self.world().lock();
        let event = world.revoke(app, user)?;
        self.announce(&world, &event);
        world.unsubscribe(app, user);
        state.tokens.revoke(app, user);
        Ok(())
    }

    /// Checks the webhook as X does, and marks it valid or invalid as X does.
    pub async fn crc(&self, app: &str) -> Result<(), CrcError> {
        let timeout = self.inner.crc_timeout;
        crc::check(self.world(), &self.courier().http, app, timeout).await
    }

    /// The last check of the app.
    pub fn last_crc(&self, app: &str) -> Result<Option<CrcReport>, Refused> {
        Ok(self.world().lock().app(app)?.last_crc.clone())
    }

    /// Whether X delivers to the app's webhook.
    pub fn webhook_valid(&self, app: &str) -> Result<bool, Refused> {
        Ok(self.world().lock().app(app)?.valid)
    }

    pub(super) fn app_names(&self) -> Vec<String> {
        let world = self.world().lock();
        world.apps().map(|app| app.settings.name.clone()).collect()
    }
}
