//! Apps: registering, subscribing, checking.

use super::Simulator;
use crate::crc::{CrcError, CrcReport};
use crate::model::{Form, NewApp, NewUser, Permission, Refused, SigningSecret, UserId};
use crate::spec::AppSpec;

impl Simulator {
    /// Registers an app; the webhook that it names, if any, counts as valid until a check says
    /// otherwise.
    pub fn add_app(&self, app: NewApp) -> Result<(), Refused> {
        self.world().lock().add_app(app)
    }

    /// Registers an app as a file or the control API describes it, with the accounts it is
    /// subscribed to from the start.
    pub fn register(&self, spec: &AppSpec) -> Result<(), Refused> {
        let app = spec.app();
        let name = app.name.clone();
        self.add_app(app)?;
        for account in &spec.accounts {
            let user = self.user_id(account);
            let user = user.ok_or_else(|| Refused::UnknownUser(account.clone()))?;
            self.subscribe(&name, user, &spec.forms)?;
        }
        if !spec.owner.is_empty() {
            let owner = self.user_id(&spec.owner);
            let owner = owner.ok_or_else(|| Refused::UnknownUser(spec.owner.clone()))?;
            self.set_owner(&name, owner);
        }
        Ok(())
    }

    /// Changes the app's level; tokens that are given out keep theirs.
    pub fn set_app_permission(&self, app: &str, permission: Permission) -> Result<(), Refused> {
        self.world().lock().app_mut(app)?.settings.permission = permission;
        Ok(())
    }

    /// Closes the app, or opens it again: its calls are refused with code 416, no user can let it
    /// in, and it is told nothing.
    pub fn suspend_app(&self, app: &str, suspended: bool) -> Result<(), Refused> {
        self.world().lock().app_mut(app)?.suspended = suspended;
        Ok(())
    }

    /// Adds an account of X.
    pub fn add_user(&self, user: NewUser) -> Result<UserId, Refused> {
        self.world().lock().add_user(user)
    }

    /// The account of that name.
    pub fn user_id(&self, username: &str) -> Option<UserId> {
        self.world().lock().user_named(username).map(|user| user.id)
    }

    /// From now on the app gets what concerns the account in these forms, at its oldest webhook,
    /// and may act for it. With the filtered stream comes a rule for what names the account or is
    /// written by it.
    pub fn subscribe(&self, app: &str, user: UserId, forms: &[Form]) -> Result<(), Refused> {
        let mut state = self.api().state();
        let mut world = self.world().lock();
        world.subscribe(app, user, forms)?;
        let permission = world.app(app)?.settings.permission;
        state.tokens.authorize(app, user, permission);
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

    /// Checks the app's oldest webhook as X does, and marks it valid or invalid as X does.
    pub async fn crc(&self, app: &str) -> Result<(), CrcError> {
        let webhook = self.world().lock().webhook_of(app)?.id;
        self.check_webhook(webhook).await
    }

    /// The last check of the app's oldest webhook.
    pub fn last_crc(&self, app: &str) -> Result<Option<CrcReport>, Refused> {
        Ok(self.world().lock().webhook_of(app)?.last_crc.clone())
    }

    /// Whether X delivers to the app's oldest webhook.
    pub fn webhook_valid(&self, app: &str) -> Result<bool, Refused> {
        Ok(self.world().lock().webhook_of(app)?.valid)
    }
}
