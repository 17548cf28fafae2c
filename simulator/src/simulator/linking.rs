//! The middle of linking: what users say at X's page.

use super::Simulator;
use crate::api::{ConsentError, Decision, Prompt, Sent, TokenSeen, Wanted};
use crate::model::UserId;

impl Simulator {
    /// What the user does at the page that an app has sent it to (`/oauth/authorize`,
    /// `/oauth/authenticate`, `/i/oauth2/authorize`, `/2/oauth2/authorize`, on any host): the
    /// address at which the app is told, or the number that the user is shown with `oob`.
    pub fn consent(
        &self,
        page: &str,
        user: UserId,
        decision: Decision,
    ) -> Result<String, ConsentError> {
        let no_page = || ConsentError::NoPage(page.to_owned());
        let url = reqwest::Url::parse(page).map_err(|_malformed| no_page())?;
        let wanted = Wanted::parse(url.path(), url.query().unwrap_or_default())?;
        match self.decide(&wanted, user, decision)? {
            Sent::Back(address) => Ok(address),
            Sent::Pin(number) => Ok(number),
        }
    }

    pub(crate) fn decide(
        &self,
        wanted: &Wanted,
        user: UserId,
        decision: Decision,
    ) -> Result<Sent, ConsentError> {
        let mut state = self.api().state();
        let code_life_s = state.settings.code_life_s;
        let world = self.world().lock();
        state
            .consents
            .decide(&world, wanted, user, decision, code_life_s)
    }

    pub(crate) fn prompt(&self, wanted: &Wanted) -> Result<Prompt, ConsentError> {
        let state = self.api().state();
        state.consents.prompt(&self.world().lock(), wanted)
    }

    /// Whether the user has let the app in and not put it out.
    pub fn is_in(&self, app: &str, user: UserId) -> bool {
        self.api().state().tokens.is_in(app, user)
    }

    /// Every token of a user that the app ever got, dead ones too.
    pub fn tokens_of(&self, app: &str) -> Vec<TokenSeen> {
        let mut tokens = self.all_tokens();
        tokens.retain(|token| token.app == app);
        tokens
    }

    pub(crate) fn all_tokens(&self) -> Vec<TokenSeen> {
        let state = self.api().state();
        let now_ms = self.world().lock().now_ms();
        state.tokens.seen(now_ms)
    }
}
