//! Whether the keys of an app are right, and which of them is not.

use jiff::SignedDuration;

use super::auth::Auth;
use super::auth::bearer::bearer_of;
use super::call::Call;
use super::error::{CallError, RefusalReason, UncertainBecause, Upstream};
use super::heard::{AccessLevel, Heard};
use super::obstacle::Obstacle;
use super::send::Sent;
use super::users::Profile;
use super::{Client, Reply, Resources};
use crate::domain::account::{AccessToken, App, Delivery};

/// How far our clock may be off before it is a fault. X refuses at five minutes, by memory; what
/// drifts is told before that.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_secs(60);

/// An answer, and what its headers say beside the limits.
#[derive(Clone, Debug)]
pub struct Answered<T> {
    pub reply: Reply<T>,
    pub heard: Heard,
}

/// What is wrong with an app's keys. Where X said it, its words are kept.
#[derive(Clone, Debug, PartialEq)]
pub enum AppFault {
    /// Consumer key and secret are no pair. X says the same to who asks far too often.
    ConsumerPair(Box<Upstream>),
    /// The bearer that is configured is not the app's.
    Bearer(Box<Upstream>),
    /// Client id and secret of OAuth 2.0 are no pair, or the app is of the other kind at X: with a
    /// secret or without.
    ClientPair(Box<Upstream>),
    /// The owner's access token and secret are no pair, not this app's, or revoked.
    TokenPair(Box<Upstream>),
    /// The owner's token was made when the app could do no more than this.
    NoDirectMessagePermission(AccessLevel),
    /// X does not offer the form of delivery to this app.
    NotInTier(Box<Upstream>),
    /// The app has no dev environment of this label; X minds its case.
    UnknownEnvironment(Box<Upstream>),
    /// How much later it is at X than here; `None` where X refused our time without telling its.
    ClockOff(Option<SignedDuration>),
    /// X has suspended the app or its owner.
    Suspended(Box<Upstream>),
    /// X could not be asked, or did not answer the question; what comes after it was not asked.
    Unchecked { call: Call, error: CallError },
}

/// What a test of an app's keys found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AppCheck {
    /// Empty: what could be asked is right.
    pub faults: Vec<AppFault>,
    /// Whose token the owner's is.
    pub owner: Option<Profile>,
    /// What the owner's token may do, where X says it.
    pub access_level: Option<AccessLevel>,
    /// How much later it is at X than here, where X says what time it is.
    pub clock_off: Option<SignedDuration>,
    /// What X bills for the test.
    pub resources: Resources,
}

impl Client {
    /// Asks for the app's bearer by key and secret, whatever bearer is known: whether they are a
    /// pair. A wrong one is [`Obstacle::ConsumerPair`].
    pub async fn test_consumer_pair(&self, app: &App) -> Answered<()> {
        let call = Call::AppBearer;
        let sent = match self.bearers.test(app, &self.transport).await {
            Ok(answer) => self.judge(call, answer),
            Err(error) => Sent::failed(call, error),
        };
        let heard = sent.heard.clone();
        let reply = sent.read_answer(|answer| match bearer_of(answer) {
            Some(_) => Ok(()),
            None => Err(answer.uncertain(UncertainBecause::NoResult)),
        });
        Answered { reply, heard }
    }

    /// Shows X client id and secret of OAuth 2.0 with a refresh token that cannot be one: which of
    /// the two does X refuse? Wrong keys are [`Obstacle::ClientPair`]. X documents none of it; its
    /// words are those that others saw.
    pub async fn test_client_pair(&self, app: &App) -> Answered<()> {
        let form = [("grant_type", "refresh_token"), ("refresh_token", "none")];
        let sent = self
            .ask_as_client(Call::ExchangeCode, "2/oauth2/token", app, &form)
            .await;
        let (call, limits, heard) = (sent.call, sent.limits, sent.heard);
        let result = match sent.result {
            Err(CallError::Refused(refusal)) if is_about_token(&refusal.upstream) => Ok(()),
            Err(error) => Err(error),
            Ok(answer) => Err(answer.uncertain(UncertainBecause::Unreadable)),
        };
        let reply = Reply {
            call,
            result,
            limits,
            resources: Resources::default(),
        };
        Answered { reply, heard }
    }

    /// Whose token it is, and what it may do. A wrong one is [`Obstacle::TokenPair`] or
    /// [`Obstacle::Credential`].
    pub async fn identify(&self, auth: Auth<'_>) -> Answered<Profile> {
        let sent = self.ask_for_me(auth).await;
        let heard = sent.heard.clone();
        let reply = self.own_profile(sent);
        Answered { reply, heard }
    }

    /// Tests everything that can be tested without a user: key and secret, the owner's token, its
    /// level, the form of delivery, the label, client id and secret, our clock. What depends on a fault that was found
    /// is not asked.
    pub async fn check_app(&self, app: &App, owner: Option<&AccessToken>) -> AppCheck {
        let mut check = AppCheck::default();
        let keys = self.test_consumer_pair(app).await;
        check.hear(&keys.heard, (self.clock)());
        if let Err(error) = keys.reply.result {
            check.keys_refused(keys.reply.call, error);
            return check;
        }
        if let Some(token) = owner {
            let own = self.identify(Auth::Owner { app, token }).await;
            check.hear(&own.heard, (self.clock)());
            check.owner_answered(own);
        }
        // A bad token would be refused here, too, and look like a bad label.
        let token = owner.filter(|_| check.owner.is_some());
        let (call, asked) = self.ask_for_product(app, token).await;
        if let Err(error) = asked {
            check.product_refused(app, call, error);
        }
        if app.client_id.is_some() {
            let client = self.test_client_pair(app).await.reply;
            let error = client.result.err();
            check.client_answered(client.call, error);
        }
        check
    }

    /// Any read that the product has to answer, if only with an empty list.
    async fn ask_for_product(
        &self,
        app: &App,
        owner: Option<&AccessToken>,
    ) -> (Call, Result<(), CallError>) {
        match &app.delivery {
            Delivery::AccountActivityV1 { .. } => without_result(self.webhooks(app, owner).await),
            Delivery::AccountActivity => {
                without_result(self.count_account_subscriptions(app).await)
            }
            Delivery::Activity => without_result(self.activity_subscriptions(app, 1, None).await),
        }
    }
}

/// What X says of a refresh token to a client that it knows.
fn is_about_token(upstream: &Upstream) -> bool {
    let words = upstream.detail.to_lowercase();
    upstream.title == "invalid_grant" || words.contains("token was invalid")
}

fn without_result<T>(reply: Reply<T>) -> (Call, Result<(), CallError>) {
    (reply.call, reply.result.map(drop))
}

impl AppCheck {
    fn hear(&mut self, heard: &Heard, now: jiff::Timestamp) {
        let off = heard.clock_off(now);
        self.access_level = heard.access_level.clone().or(self.access_level.take());
        if self.clock_off.is_some() || off.is_none() {
            return;
        }
        self.clock_off = off;
        if off.is_some_and(|off| off.abs() > CLOCK_TOLERANCE) {
            self.faults.push(AppFault::ClockOff(off));
        }
    }

    fn is_clock_off(&self) -> bool {
        let is_it = |fault: &AppFault| matches!(fault, AppFault::ClockOff(_));
        self.faults.iter().any(is_it)
    }

    fn keys_refused(&mut self, call: Call, error: CallError) {
        match (Obstacle::of(call, &error), error.upstream()) {
            (Some(Obstacle::ConsumerPair), Some(words)) => {
                self.faults
                    .push(AppFault::ConsumerPair(words.clone().into()));
            }
            _ => self.refused(call, error),
        }
    }

    fn owner_answered(&mut self, own: Answered<Profile>) {
        let Reply {
            call,
            result,
            resources,
            ..
        } = own.reply;
        match result {
            Ok(profile) => {
                self.owner = Some(profile);
                self.resources = resources;
                let level = self.access_level.clone();
                let is_low =
                    |it: &AccessLevel| matches!(it, AccessLevel::Read | AccessLevel::ReadWrite);
                let fault = level
                    .filter(is_low)
                    .map(AppFault::NoDirectMessagePermission);
                self.faults.extend(fault);
            }
            // A signature of the wrong time is refused, whatever the token.
            Err(CallError::Unauthorized { .. }) if self.is_clock_off() => {}
            Err(error) => self.owner_refused(call, error),
        }
    }

    fn owner_refused(&mut self, call: Call, error: CallError) {
        let obstacle = Obstacle::of(call, &error);
        match (obstacle, error.upstream()) {
            (Some(Obstacle::TokenPair | Obstacle::Credential), Some(words)) => {
                self.faults.push(AppFault::TokenPair(words.clone().into()));
            }
            _ => self.refused(call, error),
        }
    }

    /// Whatever is refused here, the bearer was good a moment ago.
    fn product_refused(&mut self, app: &App, call: Call, error: CallError) {
        let obstacle = Obstacle::of(call, &error);
        let Some(words) = error.upstream().cloned().map(Box::new) else {
            return self.refused(call, error);
        };
        let is_forbidden = words.status == 403 && matches!(error, CallError::Refused(_));
        match obstacle {
            Some(Obstacle::UnknownEnvironment | Obstacle::EnvironmentOrCredential) => {
                self.faults.push(AppFault::UnknownEnvironment(words));
            }
            Some(Obstacle::Credential | Obstacle::TokenPair) if app.bearer_token.is_some() => {
                self.faults.push(AppFault::Bearer(words));
            }
            Some(Obstacle::NotInTier | Obstacle::PermissionMissing) | None if is_forbidden => {
                self.faults.push(AppFault::NotInTier(words));
            }
            _ => self.refused(call, error),
        }
    }

    fn client_answered(&mut self, call: Call, error: Option<CallError>) {
        let Some(error) = error else { return };
        match (Obstacle::of(call, &error), error.upstream()) {
            (Some(Obstacle::ClientPair), Some(words)) => {
                self.faults.push(AppFault::ClientPair(words.clone().into()));
            }
            _ => self.refused(call, error),
        }
    }

    /// What any call may be refused for.
    fn refused(&mut self, call: Call, error: CallError) {
        let words = error.upstream().cloned().map(Box::new);
        let is_suspended = matches!(&error, CallError::Refused(refusal)
            if refusal.reason == RefusalReason::Suspended);
        let fault = match (Obstacle::of(call, &error), words) {
            (Some(Obstacle::ClockOff), _) if self.is_clock_off() => return,
            (Some(Obstacle::ClockOff), _) => AppFault::ClockOff(self.clock_off),
            (Some(Obstacle::NotInTier), Some(words)) => AppFault::NotInTier(words),
            (_, Some(words)) if is_suspended => AppFault::Suspended(words),
            _ => AppFault::Unchecked { call, error },
        };
        self.faults.push(fault);
    }
}
