//! The way back: X's answer becomes a credential, the credential an account. Whatever fails on the
//! way, a credential that X gave is ended there before the person hears of it.

use std::sync::Arc;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use url::Url;

use super::callback::{Answer, Callback};
use super::error::{LinkError, Step};
use super::{Kept, Kind, Linker, counted, hash, purpose};
use crate::domain::access::Actor;
use crate::domain::account::{AccessToken, App, TokenPair};
use crate::domain::ids::AccountId;
use crate::domain::message::Person;
use crate::flow::plan_check;
use crate::flow::registry::{ChangeError, NewLink, Table};
use crate::store::{LinkOffer, Linking, SecretHash, StoreError, Tx};
use crate::x::client::{AccessLevel, Auth, Pkce, RequestToken, SCOPES};

/// The scope that brings a refresh token.
const LASTING: &str = "offline.access";

/// An account that was linked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linked {
    pub account: AccountId,
    /// Without `@`.
    pub username: String,
    /// Display name.
    pub name: String,
    pub avatar_url: String,
    /// Name of the app.
    pub app: String,
    pub kind: Kind,
    /// Its messages are routed: it was linked and confirmed before.
    pub confirmed: bool,
    /// By an invitation.
    pub invited: bool,
    /// Where the administrator goes now.
    pub back: Option<Url>,
}

/// A linking that failed; nothing of it is kept.
#[derive(Debug)]
pub struct LinkFailed {
    pub error: LinkError,
    /// The address of the page to begin again at, where it is still good.
    pub again: Option<String>,
    /// X gave a credential, and did not take it back: its owner can, at X.
    pub left_at_x: bool,
}

impl From<LinkError> for LinkFailed {
    fn from(error: LinkError) -> Self {
        Self {
            error,
            again: None,
            left_at_x: false,
        }
    }
}

/// What X gave.
enum Granted {
    Token(AccessToken),
    Pair(TokenPair),
}

/// What was begun, and has come back.
struct Returned {
    linking: Linking,
    offer: LinkOffer,
}

/// What the store says of what comes back; `Ok` spends it.
type Taken = Result<Returned, LinkError>;

impl Linker {
    /// Ends a linking with what the browser brought back, and what its cookie holds. It is carried
    /// to its end even if nobody waits any more.
    ///
    /// # Errors
    /// [`LinkFailed`].
    pub async fn finish(
        self: &Arc<Self>,
        callback: Callback,
        browser: Option<SecretString>,
        now: Timestamp,
    ) -> Result<Linked, LinkFailed> {
        let this = Arc::clone(self);
        // X's code works once: dropped half-way, a credential would be lost at X.
        let ending = async move { this.finish_here(callback, browser, now).await };
        let ended = self.tasks.spawn(Box::pin(ending)).await;
        let ended = ended.unwrap_or_else(|_cut| Err(LinkError::Stopped.into()));
        match &ended {
            Ok(linked) => {
                tracing::info!(account.id = %linked.account, app = linked.app, "an account was linked");
            }
            // Anybody can come with what X never said.
            Err(LinkFailed {
                error,
                left_at_x: false,
                ..
            }) => {
                tracing::info!(step = %error.step(), reason = error.code(), "an account was not linked");
            }
            Err(LinkFailed { error, .. }) => {
                tracing::warn!(step = %error.step(), reason = error.code(), "an account was not linked, and X may hold on to what it gave");
            }
        }
        ended
    }

    async fn finish_here(
        &self,
        callback: Callback,
        browser: Option<SecretString>,
        now: Timestamp,
    ) -> Result<Linked, LinkFailed> {
        let state = hash(&callback.state);
        let browser = browser.map(|it| hash(it.expose_secret()));
        let Returned { linking, offer } = self.take(state, browser, now).await?;
        let kept = self.open(&linking)?;
        let app = self.app(&offer.app)?;
        let granted = match self.exchange(&app, callback, &kept).await {
            Ok(granted) => granted,
            Err(error) => return Err(self.failed(error, &kept, false)),
        };
        match self.settle(&app, &offer, &granted, now).await {
            Ok(linked) => Ok(linked),
            Err(error) => {
                let left = !self.take_back(&app, &granted).await;
                Err(self.failed(error, &kept, left))
            }
        }
    }

    fn failed(&self, error: LinkError, kept: &Kept, left_at_x: bool) -> LinkFailed {
        let is_good = !matches!(error, LinkError::OfferUsed);
        let again = is_good.then(|| self.page(&kept.page).ok());
        LinkFailed {
            error,
            again: again.flatten().map(String::from),
            left_at_x,
        }
    }

    /// Spends what was begun in this browser.
    async fn take(&self, state: SecretHash, browser: Option<SecretHash>, now: Timestamp) -> Taken {
        let take = move |tx: &mut Tx<'_>| take(tx, &state, browser, now);
        self.store.write(take).await?
    }

    fn open(&self, linking: &Linking) -> Result<Kept, LinkError> {
        let opened = self
            .sealer
            .open(&purpose(&linking.state), &linking.sealed)?;
        serde_json::from_slice(opened.expose_secret()).or(Err(LinkError::Unreadable))
    }

    async fn exchange(
        &self,
        app: &App,
        callback: Callback,
        kept: &Kept,
    ) -> Result<Granted, LinkError> {
        let secret = SecretString::from(kept.secret.as_str());
        match callback.answer {
            Answer::Denied(words) => Err(LinkError::Denied(words)),
            Answer::Failed(words) => Err(LinkError::ConsentFailed(words)),
            Answer::Verifier(verifier) => {
                let token = RequestToken {
                    token: callback.state,
                    secret,
                };
                let asked = self
                    .client
                    .access_token(app, &token, verifier.expose_secret());
                let linked = counted(Step::Exchange, asked.await)?;
                Ok(Granted::Token(linked.token))
            }
            Answer::Code(code) => {
                let (redirect, pkce) = (self.callback()?, Pkce::of(secret));
                let asked = self
                    .client
                    .exchange_code(app, code.expose_secret(), &redirect, &pkce);
                Ok(Granted::Pair(counted(Step::Exchange, asked.await)?))
            }
        }
    }

    /// Finds out whose credential it is, whether it will do, and keeps it.
    async fn settle(
        &self,
        app: &App,
        offer: &LinkOffer,
        granted: &Granted,
        now: Timestamp,
    ) -> Result<Linked, LinkError> {
        if let Granted::Pair(pair) = granted {
            refuse_missing(pair)?;
        }
        let person = self.identify(app, granted, now).await?;
        if let Some(expected) = &offer.username
            && !expected.eq_ignore_ascii_case(&person.username)
        {
            return Err(LinkError::OtherAccount {
                expected: expected.clone(),
                found: person.username,
            });
        }
        self.refuse_elsewhere(app, |it| it.id.0 == person.id)
            .await?;
        self.spend(offer, now).await?;
        self.keep(app, offer, granted, person).await
    }

    async fn identify(
        &self,
        app: &App,
        granted: &Granted,
        now: Timestamp,
    ) -> Result<Person, LinkError> {
        let auth = match granted {
            Granted::Token(token) => Auth::Owner { app, token },
            Granted::Pair(pair) => Auth::Linking {
                app,
                access_token: &pair.access_token,
            },
        };
        let answer = self.client.identify(auth).await;
        let read = answer.reply.resources;
        let person = counted(Step::Identify, answer.reply)?.person;
        let (rules, account) = (self.directory.rules().now(), AccountId(person.id));
        let charge = move |tx: &mut Tx<'_>| plan_check::charge(tx, &rules, account, read, now);
        self.store.write(charge).await?;
        match answer.heard.access_level {
            Some(level @ (AccessLevel::Read | AccessLevel::ReadWrite))
                if matches!(granted, Granted::Token(_)) =>
            {
                Err(LinkError::NoDirectMessages(level))
            }
            _ => Ok(person),
        }
    }

    /// Of two that come back at once by one page, one gets no further.
    async fn spend(&self, offer: &LinkOffer, now: Timestamp) -> Result<(), LinkError> {
        let page = offer.hash;
        let spent = self.store.write(move |tx| tx.use_link_offer(&page, now));
        match spent.await? {
            true => Ok(()),
            false => Err(LinkError::OfferUsed),
        }
    }

    async fn keep(
        &self,
        app: &App,
        offer: &LinkOffer,
        granted: &Granted,
        person: Person,
    ) -> Result<Linked, LinkError> {
        let account = AccountId(person.id);
        let by = match offer.invited {
            true => Actor::Invited,
            false => offer.made_by.clone(),
        };
        // A refresh under way ends first: it would put the former pair in the new one's place.
        self.client.forget_tokens(account).await;
        let link = new_link(app, granted, &person);
        if let Err(error) = self.directory.link(by, link).await {
            self.give_back(offer).await?;
            return Err(not_kept(error, &person.username));
        }
        self.client.forget_tokens(account).await;
        let link = self.store.read(move |tx| tx.link(account)).await?;
        Ok(Linked {
            account,
            username: person.username,
            name: person.name,
            avatar_url: person.avatar_url,
            app: app.name.clone(),
            kind: Kind::of(offer),
            confirmed: link.is_some_and(|it| it.confirmed_at.is_some()),
            invited: offer.invited,
            back: self.way_back(offer, account),
        })
    }

    /// Nothing was linked: the page may be used again.
    async fn give_back(&self, offer: &LinkOffer) -> Result<(), StoreError> {
        let page = offer.hash;
        self.store.write(move |tx| tx.free_link_offer(&page)).await
    }

    fn way_back(&self, offer: &LinkOffer, account: AccountId) -> Option<Url> {
        let (base, path) = (self.settings.private_url.as_ref()?, offer.back.as_ref()?);
        let mut url: Url = format!("{}{path}", base.as_str()).parse().ok()?;
        url.query_pairs_mut()
            .append_pair("linked", &account.to_string());
        Some(url)
    }

    /// Ends at X what it gave and is not kept; whether nothing is left there.
    async fn take_back(&self, app: &App, granted: &Granted) -> bool {
        match granted {
            Granted::Token(token) => self.end_token(app, token).await,
            Granted::Pair(pair) => self.end_pair(app, pair).await,
        }
    }

    /// X gives one person and app the same token each time: one that is in use lives on.
    async fn end_token(&self, app: &App, token: &AccessToken) -> bool {
        match self.needs(app, token, None).await {
            Ok(false) => self.invalidate(app, token).await.is_ok(),
            Ok(true) => true,
            Err(_) => false,
        }
    }

    async fn end_pair(&self, app: &App, pair: &TokenPair) -> bool {
        self.revoke(app, pair).await.is_ok()
    }

    pub(super) async fn invalidate(&self, app: &App, token: &AccessToken) -> Result<(), LinkError> {
        counted(Step::Keep, self.client.invalidate_token(app, token).await)
    }

    pub(super) async fn revoke(&self, app: &App, pair: &TokenPair) -> Result<(), LinkError> {
        let tokens = [&pair.access_token, &pair.refresh_token];
        for token in tokens
            .into_iter()
            .filter(|it| !it.expose_secret().is_empty())
        {
            counted(Step::Keep, self.client.revoke_token(app, token).await)?;
        }
        Ok(())
    }

    /// Whether a token is also that of the app's owner, or of an account other than `but`.
    pub(super) async fn needs(
        &self,
        app: &App,
        token: &AccessToken,
        but: Option<AccountId>,
    ) -> Result<bool, LinkError> {
        let same = |it: &AccessToken| it.token.expose_secret() == token.token.expose_secret();
        if app.owner_token.as_ref().is_some_and(same) {
            return Ok(true);
        }
        let known = self.known_accounts().await?;
        let mut others = known.iter().filter(|it| Some(it.id) != but);
        Ok(others.any(|it| it.access_token.as_ref().is_some_and(same)))
    }
}

fn take(
    tx: &mut Tx<'_>,
    state: &SecretHash,
    browser: Option<SecretHash>,
    now: Timestamp,
) -> Result<Taken, StoreError> {
    let Some(linking) = tx.linking(state)? else {
        return Ok(Err(LinkError::UnknownState));
    };
    // First of all: another browser learns nothing, and spends nothing.
    if browser != Some(linking.browser) {
        return Ok(Err(LinkError::OtherBrowser));
    }
    if linking.used_at.is_some() {
        return Ok(Err(LinkError::StateUsed));
    }
    tx.use_linking(state, now)?;
    if linking.expires_at <= now {
        return Ok(Err(LinkError::StateExpired));
    }
    let offer = tx.link_offer(&linking.offer)?;
    Ok(match offer {
        Some(offer) if offer.used_at.is_none() => Ok(Returned { linking, offer }),
        Some(_) => Err(LinkError::OfferUsed),
        None => Err(LinkError::UnknownOffer),
    })
}

/// X grants what the person allows and the app may ask for. Where it does not say, by RFC 6749, it
/// is all that was asked for; without a refresh token it was not.
fn refuse_missing(pair: &TokenPair) -> Result<(), LinkError> {
    let granted: Vec<_> = pair.scopes.split_whitespace().collect();
    let is_lasting = !pair.refresh_token.expose_secret().is_empty();
    let is_granted = |scope: &str| match scope {
        LASTING if !is_lasting => false,
        scope => granted.is_empty() || granted.contains(&scope),
    };
    let missing = SCOPES.into_iter().filter(|it| !is_granted(it));
    let missing: Vec<_> = missing.collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(LinkError::MissingScopes(missing)),
    }
}

fn new_link(app: &App, granted: &Granted, person: &Person) -> NewLink {
    let mut table = Table::new();
    let mut put = |key: &str, value: &str| table.insert(key.to_owned(), json!(value));
    put("app", &app.name);
    put("id", &person.id.to_string());
    put("username", &person.username);
    if let Granted::Token(token) = granted {
        put("access_token", token.token.expose_secret());
        put("access_token_secret", token.secret.expose_secret());
    }
    NewLink {
        table,
        name: person.name.clone(),
        avatar_url: person.avatar_url.clone(),
        pair: match granted {
            Granted::Pair(pair) => Some(pair.clone()),
            Granted::Token(_) => None,
        },
    }
}

fn not_kept(error: ChangeError, username: &str) -> LinkError {
    let username = username.to_owned();
    match error {
        ChangeError::OtherApp(app) => LinkError::OtherApp { username, app },
        ChangeError::Declared(_) => LinkError::Declared(username),
        ChangeError::Store(error) => LinkError::Store(error),
        other => LinkError::Change(other),
    }
}
