//! How accounts are linked: a page of the public listener begins it, for an administrator or for
//! the person who was invited; X asks them; the callback exchanges X's answer for a credential and
//! finds out whose it is. Nothing is routed before an administrator confirms.
//!
//! What is begun is bound to the browser by a cookie, works once and ends after ten minutes. What
//! fails leaves nothing behind: a credential that X gave and that is not kept is ended at X.

mod callback;
mod error;
mod finish;
mod listing;
#[cfg(test)]
mod tests;
mod unlink;

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio_util::task::TaskTracker;
use url::Url;

pub use callback::Callback;
pub use error::{LinkError, Step};
pub use finish::{LinkFailed, Linked};
pub use listing::{LinkState, Listed};
pub use unlink::{Unlinked, Unlinking, Unsubscribe};

use crate::domain::access::Actor;
use crate::domain::account::{Account, App};
use crate::flow::registry::{ChangeError, Directory};
use crate::flow::reply::result_name;
use crate::sealing::Sealer;
use crate::settings::{BaseUrl, value};
use crate::store::{LinkOffer, Linking, SecretHash, Store};
use crate::telemetry::metrics;
use crate::x::client::{Client, Obstacle, Pkce, Reply, RequestToken, SCOPES};

pub use crate::settings::CALLBACK;

/// How long an invitation is good.
pub const INVITATION_LIFE: SignedDuration = SignedDuration::from_hours(24);
/// How long an administrator's own link is good, and the way to X and back may take.
pub const LINKING_LIFE: SignedDuration = SignedDuration::from_mins(10);
/// For so long it can be told why a link no longer works.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(7 * 24);

/// By which of X's ways an account is linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Three legs. Its tokens neither end nor rotate; used wherever X allows it.
    OAuth1,
    /// With PKCE. Some calls take nothing else.
    OAuth2,
}

impl Kind {
    /// As in texts: `OAuth 1.0a`.
    pub fn name(self) -> &'static str {
        match self {
            Self::OAuth1 => "OAuth 1.0a",
            Self::OAuth2 => "OAuth 2.0",
        }
    }

    fn of(offer: &LinkOffer) -> Self {
        match offer.oauth2 {
            true => Self::OAuth2,
            false => Self::OAuth1,
        }
    }
}

/// What an administrator wants linked.
#[derive(Clone, Debug)]
pub struct Order {
    /// Name of the app.
    pub app: String,
    pub kind: Kind,
    /// The account that is expected, with or without `@`; another one is refused.
    pub username: Option<String>,
    pub by: Actor,
    /// Path below `private.url` to come back to; without it a page says what came of it.
    pub back: Option<String>,
}

/// A link at which somebody begins. Who has it can link an account once.
#[derive(Clone, Debug)]
pub struct Offered {
    pub url: Url,
    pub expires_at: Timestamp,
}

/// What a page says before it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    pub app: String,
    pub kind: Kind,
    /// Without `@`.
    pub username: Option<String>,
    /// The reader is not who made it.
    pub invited: bool,
    pub expires_at: Timestamp,
    /// What has to be among the app's callback URLs at X.
    pub callback: String,
}

/// A linking that has begun.
pub struct Begun {
    /// Where the browser goes.
    pub to: Url,
    /// What its cookie holds for [`LINKING_LIFE`].
    pub browser: SecretString,
}

/// Where this service is reached.
#[derive(Clone, Debug)]
pub struct LinkSettings {
    pub public_url: Option<BaseUrl>,
    pub private_url: Option<BaseUrl>,
}

/// Links accounts and unlinks them.
pub struct Linker {
    store: Store,
    sealer: Sealer,
    directory: Arc<Directory>,
    client: Arc<Client>,
    settings: LinkSettings,
    tasks: TaskTracker,
    unsubscribe: Option<Unsubscribe>,
}

/// What of a beginning is sealed.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// The PKCE verifier, or the secret of the request token.
    secret: String,
    /// The token of the page it began at, to go there again.
    page: String,
}

impl fmt::Debug for Linker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Linker").finish_non_exhaustive()
    }
}

impl Linker {
    /// Linkings run on `tasks` to their end, whatever becomes of the browser.
    pub fn new(
        store: Store,
        sealer: Sealer,
        directory: Arc<Directory>,
        client: Arc<Client>,
        settings: LinkSettings,
        tasks: TaskTracker,
    ) -> Self {
        Self {
            store,
            sealer,
            directory,
            client,
            settings,
            tasks,
            unsubscribe: None,
        }
    }

    /// Where X and browsers reach the service.
    pub fn settings(&self) -> &LinkSettings {
        &self.settings
    }

    /// A link for the administrator who asks for it, good for [`LINKING_LIFE`].
    ///
    /// # Errors
    /// [`LinkError`], of [`Step::Open`] or [`Step::Keep`].
    pub async fn offer(&self, order: Order, now: Timestamp) -> Result<Offered, LinkError> {
        self.make_offer(order, false, now).await
    }

    /// A link for the person who owns the account `username`, good for [`INVITATION_LIFE`].
    ///
    /// # Errors
    /// [`LinkError`], of [`Step::Open`] or [`Step::Keep`].
    pub async fn invite(
        &self,
        app: &str,
        kind: Kind,
        username: &str,
        by: Actor,
        now: Timestamp,
    ) -> Result<Offered, LinkError> {
        let order = Order {
            app: app.to_owned(),
            kind,
            username: Some(username.to_owned()),
            by,
            back: None,
        };
        self.make_offer(order, true, now).await
    }

    async fn make_offer(
        &self,
        order: Order,
        invited: bool,
        now: Timestamp,
    ) -> Result<Offered, LinkError> {
        let app = self.app(&order.app)?;
        if order.kind == Kind::OAuth2 && app.client_id.is_none() {
            return Err(LinkError::NoOAuth2(app.name));
        }
        let username = order.username.as_deref().map(username).transpose()?;
        if order.back.as_deref().is_some_and(|back| !is_path(back)) {
            return Err(LinkError::BadReturn);
        }
        if let Some(name) = &username {
            self.refuse_elsewhere(&app, |it| it.username.eq_ignore_ascii_case(name))
                .await?;
        }
        let token = random();
        let life = if invited {
            INVITATION_LIFE
        } else {
            LINKING_LIFE
        };
        let offer = LinkOffer {
            hash: hash(token.expose_secret()),
            app: app.name,
            oauth2: order.kind == Kind::OAuth2,
            username,
            invited,
            made_by: order.by,
            back: order.back,
            made_at: now,
            expires_at: now.saturating_add(life).unwrap_or(now),
            used_at: None,
        };
        let url = self.page(token.expose_secret())?;
        let expires_at = offer.expires_at;
        self.keep_offer(offer, now).await?;
        Ok(Offered { url, expires_at })
    }

    async fn keep_offer(&self, offer: LinkOffer, now: Timestamp) -> Result<(), LinkError> {
        let action = match offer.invited {
            true => "account.invite",
            false => "account.begin_link",
        };
        let object = offer.username.clone().unwrap_or_default();
        let detail = json!({ "app": offer.app, "by": Kind::of(&offer).name() });
        let forgotten = now.saturating_sub(REMEMBERED).unwrap_or(now);
        let keep = self.store.write(move |tx| {
            tx.prune_linkings(forgotten)?;
            tx.add_link_offer(&offer)?;
            tx.audit(&offer.made_by, action, &object, &detail, now)
        });
        Ok(keep.await?)
    }

    /// What the page of this link says; looking at it spends nothing.
    ///
    /// # Errors
    /// [`LinkError`] where it is not good.
    pub async fn look(&self, token: &str, now: Timestamp) -> Result<Offer, LinkError> {
        let offer = self.good_offer(token, now).await?;
        Ok(Offer {
            kind: Kind::of(&offer),
            app: offer.app,
            username: offer.username,
            invited: offer.invited,
            expires_at: offer.expires_at,
            callback: self.callback()?.to_string(),
        })
    }

    /// Begins a linking in a browser.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn begin(&self, token: &str, now: Timestamp) -> Result<Begun, LinkError> {
        let offer = self.good_offer(token, now).await?;
        let app = self.app(&offer.app)?;
        let (state, secret, to) = match Kind::of(&offer) {
            Kind::OAuth1 => self.ask_for_request_token(&app, &offer).await?,
            Kind::OAuth2 => self.address_of_consent(&app)?,
        };
        let (browser, state) = (random(), hash(&state));
        let kept = Kept {
            secret: secret.expose_secret().to_owned(),
            page: token.to_owned(),
        };
        let kept = SecretString::from(json!(kept).to_string());
        let linking = Linking {
            sealed: self
                .sealer
                .seal(&purpose(&state), kept.expose_secret().as_bytes())?,
            state,
            browser: hash(browser.expose_secret()),
            offer: offer.hash,
            expires_at: now.saturating_add(LINKING_LIFE).unwrap_or(now),
            used_at: None,
        };
        self.store.write(move |tx| tx.add_linking(&linking)).await?;
        Ok(Begun { to, browser })
    }

    async fn ask_for_request_token(
        &self,
        app: &App,
        offer: &LinkOffer,
    ) -> Result<(String, SecretString, Url), LinkError> {
        let callback = self.callback()?;
        let reply = self.client.request_token(app, &callback).await;
        let is_callback = reply.obstacle() == Some(Obstacle::CallbackNotApproved);
        let token: RequestToken = match (counted(Step::Ask, reply), is_callback) {
            (Err(LinkError::Refused { words, .. }), true) => {
                let callback = callback.to_string();
                return Err(LinkError::CallbackNotAllowed { callback, words });
            }
            (answer, _) => answer?,
        };
        let to = self.client.authorize_url(&token, offer.username.as_deref());
        let to = to.map_err(|error| LinkError::Unavailable {
            step: Step::Ask,
            error: Box::new(error),
        })?;
        Ok((token.token, token.secret, to))
    }

    fn address_of_consent(&self, app: &App) -> Result<(String, SecretString, Url), LinkError> {
        let (state, pkce) = (random(), Pkce::random());
        let (callback, shown) = (self.callback()?, state.expose_secret());
        let to = self
            .client
            .oauth2_authorize_url(app, &callback, &SCOPES, shown, &pkce);
        let to = to.or(Err(LinkError::NoOAuth2(app.name.clone())))?;
        Ok((shown.to_owned(), pkce.verifier().clone(), to))
    }

    async fn good_offer(&self, token: &str, now: Timestamp) -> Result<LinkOffer, LinkError> {
        let hash = hash(token);
        let offer = self.store.read(move |tx| tx.link_offer(&hash)).await?;
        match offer {
            None => Err(LinkError::UnknownOffer),
            Some(offer) if offer.used_at.is_some() => Err(LinkError::OfferUsed),
            Some(offer) if offer.expires_at <= now => Err(LinkError::OfferExpired),
            Some(offer) => Ok(offer),
        }
    }

    /// An account may be linked through one app only, and not where the configuration says it all.
    async fn refuse_elsewhere(
        &self,
        app: &App,
        is_meant: impl Fn(&Account) -> bool,
    ) -> Result<(), LinkError> {
        let known = self.known_accounts().await?;
        match known.into_iter().find(is_meant) {
            Some(it) if self.directory.declares_account(it.id) => {
                Err(LinkError::Declared(it.username))
            }
            Some(it) if it.app != app.name => Err(LinkError::OtherApp {
                username: it.username,
                app: it.app,
            }),
            _ => Ok(()),
        }
    }

    /// All accounts, those that are not confirmed yet too; what cannot be read is none.
    async fn known_accounts(&self) -> Result<Vec<Account>, LinkError> {
        let rules = self.directory.rules().now();
        let mut known: Vec<_> = rules.registry.accounts().cloned().collect();
        let linked = self.directory.linked().await?.into_iter();
        let unconfirmed = linked.filter(|link| link.row.confirmed_at.is_none());
        known.extend(unconfirmed.filter_map(|link| link.account.ok()));
        Ok(known)
    }

    /// Names of the apps that accounts can be linked through.
    pub fn apps(&self) -> Vec<String> {
        let rules = self.directory.rules().now();
        let apps = rules.registry.apps().iter();
        apps.map(|app| app.name.clone()).collect()
    }

    fn app(&self, name: &str) -> Result<App, LinkError> {
        let rules = self.directory.rules().now();
        let app = rules.registry.apps().iter().find(|app| app.name == name);
        app.cloned()
            .ok_or_else(|| LinkError::UnknownApp(name.to_owned()))
    }

    /// What X has to know as a callback URL of the app.
    ///
    /// # Errors
    /// [`LinkError::NoPublicUrl`].
    pub fn callback(&self) -> Result<Url, LinkError> {
        self.public(CALLBACK)
    }

    /// The address of the page of a link.
    ///
    /// # Errors
    /// [`LinkError::NoPublicUrl`].
    pub fn page(&self, token: &str) -> Result<Url, LinkError> {
        let mut url = self.public("/link/")?;
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push(token);
        }
        Ok(url)
    }

    /// All accounts, by id.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn accounts(&self) -> Result<Vec<Listed>, ChangeError> {
        listing::list(&self.store, &self.sealer, &self.directory).await
    }

    fn public(&self, path: &str) -> Result<Url, LinkError> {
        let base = self.settings.public_url.as_ref();
        let base = base.ok_or(LinkError::NoPublicUrl)?;
        let whole = format!("{}{path}", base.as_str());
        whole.parse().or(Err(LinkError::NoPublicUrl))
    }
}

/// What a call brought, counted, or what it means that it did not.
fn counted<T>(step: Step, reply: Reply<T>) -> Result<T, LinkError> {
    metrics::count_call(reply.call.name(), result_name(&reply.result));
    let meaning = |error| LinkError::of_call(step, reply.call, &error);
    reply.result.map_err(meaning)
}

/// A name as X has it, without `@`.
fn username(entered: &str) -> Result<String, LinkError> {
    let name = entered.trim().trim_start_matches('@');
    value::username(&Value::String(name.to_owned())).map_err(LinkError::BadUsername)
}

/// Whether it leads nowhere but below the address it is put behind.
fn is_path(back: &str) -> bool {
    let plain = |c: char| c.is_ascii_graphic() && c != '\\';
    back.starts_with('/') && !back.starts_with("//") && back.chars().all(plain)
}

/// 256 bits, as in addresses and cookies.
fn random() -> SecretString {
    let bits: [u8; 32] = rand::random();
    URL_SAFE_NO_PAD.encode(bits).into()
}

fn hash(secret: &str) -> SecretHash {
    Sha256::digest(secret).into()
}

fn purpose(state: &SecretHash) -> String {
    format!("linking:{}", URL_SAFE_NO_PAD.encode(state))
}
