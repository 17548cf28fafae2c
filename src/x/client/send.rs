//! How a call goes out: whose credential, which names, and what the answer is made of.

use std::time::Instant;

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::auth::oauth1::{Once, Signer};
use super::auth::{Auth, Context};
use super::call::Call;
use super::classify;
use super::error::{CallError, NotSent, UncertainBecause, Upstream};
use super::heard::Heard;
use super::limits::Limits;
use super::obstacle::Obstacle;
use super::transport::{Answer, Body, read_object};
use super::vocabulary::{Fields, Vocabulary};
use super::{Client, Reply, Resources};
use crate::domain::account::{AccessToken, App};
use crate::x::wire::answer::{Envelope, Problem};

/// One call, before it is known who makes it.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) call: Call,
    pub(super) method: Method,
    /// Below the base URL, without a leading slash.
    pub(super) path: String,
    pub(super) query: Vec<(&'static str, String)>,
    /// Asked for beside the query, in whatever X calls it.
    pub(super) fields: Option<Fields>,
    pub(super) body: Body,
    /// Further `oauth_*` parameters, of the steps of linking.
    pub(super) oauth: Vec<(&'static str, String)>,
}

impl Request {
    pub(super) fn new(call: Call, method: Method, path: impl Into<String>) -> Self {
        Self {
            call,
            method,
            path: path.into(),
            query: Vec::new(),
            fields: None,
            body: Body::None,
            oauth: Vec::new(),
        }
    }

    pub(super) fn query(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    pub(super) fn fields(self, fields: Fields) -> Self {
        Self {
            fields: Some(fields),
            ..self
        }
    }

    pub(super) fn json(self, body: serde_json::Value) -> Self {
        Self {
            body: Body::Json(body),
            ..self
        }
    }

    pub(super) fn form(self, form: Vec<(&'static str, String)>) -> Self {
        Self {
            body: Body::Form(form),
            ..self
        }
    }

    /// What OAuth 1.0a signs beside its own parameters: those of the query and of a form.
    fn signed<'r>(&'r self, query: &[(&'r str, &'r str)]) -> Vec<(&'r str, &'r str)> {
        let form: &[_] = match &self.body {
            Body::Form(form) => form,
            Body::None | Body::Json(_) | Body::Multipart { .. } => &[],
        };
        let form = form.iter().map(|(name, value)| (*name, &**value));
        query.iter().copied().chain(form).collect()
    }
}

/// A call that was made, successful by its status or not.
pub(super) struct Sent {
    pub(super) call: Call,
    pub(super) limits: Limits,
    pub(super) result: Result<Answer, CallError>,
    /// What headers say beside the limits.
    pub(super) heard: Heard,
    /// The body of a refusal: it may name a parameter.
    pub(super) refusal: String,
}

impl Sent {
    pub(super) fn failed(call: Call, error: CallError) -> Self {
        Self {
            call,
            limits: Limits::default(),
            result: Err(error),
            heard: Heard::default(),
            refusal: String::new(),
        }
    }

    /// X takes no credential of this kind, or the app's permission for it is missing.
    fn is_wrong_kind(&self) -> bool {
        let Err(error) = &self.result else {
            return false;
        };
        let problem = error.upstream().map_or("", Upstream::problem);
        matches!(problem, "unsupported-authentication" | "oauth1-permissions")
            || self.call.takes_who_knows_what() && self.may_be_wrong_kind(error)
    }

    /// Where the kind may be at fault, everything counts that says nothing else.
    fn may_be_wrong_kind(&self, error: &CallError) -> bool {
        let refused = match error {
            CallError::Unauthorized { .. } => return true,
            CallError::Refused(refusal) => refusal,
            _ => return false,
        };
        let obstacle = Obstacle::of(self.call, error);
        refused.upstream.status == 403
            && matches!(obstacle, None | Some(Obstacle::PermissionMissing))
    }

    fn has_no_credential(&self) -> bool {
        let reason = match &self.result {
            Err(CallError::NotSent { reason }) => Some(reason),
            _ => None,
        };
        matches!(reason, Some(NotSent::NoCredential(_)))
    }

    /// Reads what the answer brings.
    pub(super) fn read<T>(
        self,
        read: impl FnOnce(&Answer, &Envelope<'_>) -> Result<(T, Resources), CallError>,
    ) -> Reply<T> {
        let (call, limits) = (self.call, self.limits);
        let read = self.result.and_then(|answer| {
            let envelope = answer.envelope()?;
            read(&answer, &envelope)
        });
        let (result, resources) = match read {
            Ok((result, resources)) => (Ok(result), resources),
            Err(error) => (Err(error), Resources::default()),
        };
        Reply {
            call,
            result,
            limits,
            resources,
        }
    }

    /// The same of an answer that is not in the envelope of v2.
    pub(super) fn read_answer<T>(
        self,
        read: impl FnOnce(&Answer) -> Result<T, CallError>,
    ) -> Reply<T> {
        Reply {
            call: self.call,
            result: self.result.and_then(|answer| read(&answer)),
            limits: self.limits,
            resources: Resources::default(),
        }
    }
}

impl Answer {
    /// The body of a success.
    pub(super) fn envelope(&self) -> Result<Envelope<'_>, CallError> {
        read_object(&self.body).ok_or_else(|| self.uncertain(UncertainBecause::Unreadable))
    }

    /// A success that does not say what it has to.
    pub(super) fn uncertain(&self, reason: UncertainBecause) -> CallError {
        CallError::Uncertain {
            reason,
            upstream: Some(Box::new(self.upstream(&Problem::default()))),
        }
    }

    /// What X says of it, or of one error beside its data.
    pub(super) fn upstream(&self, problem: &Problem<'_>) -> Upstream {
        classify::upstream(self.status, problem, &self.transaction_id)
    }
}

impl Client {
    /// Makes a call. If X does not know the names in which a read asks, it is asked in the others,
    /// once.
    pub(super) async fn send(&self, auth: Auth<'_>, request: &Request) -> Sent {
        let words = self.words.get();
        let sent = self.send_in(words, auth, request).await;
        if !is_asked_in_unknown_words(&sent, words, request) {
            return sent;
        }
        let again = self.send_in(words.other(), auth, request).await;
        if !is_asked_in_unknown_words(&again, words.other(), request) {
            self.words.set(words.other());
        }
        again
    }

    /// In the first context that the account has; in the next one if X refuses the first as a
    /// kind. A refusal means that nothing was done.
    async fn send_in(&self, words: Vocabulary, auth: Auth<'_>, request: &Request) -> Sent {
        let mut refused: Option<Sent> = None;
        for context in auth.contexts(request.call) {
            let sent = self.send_as(context, words, auth, request).await;
            if refused.is_some() && sent.has_no_credential() {
                break;
            }
            if !sent.is_wrong_kind() {
                return sent;
            }
            refused = Some(sent);
        }
        let none = NotSent::NoCredential("X does not take the app's own credential for it");
        refused.unwrap_or_else(|| Sent::failed(request.call, none.into()))
    }

    async fn send_as(
        &self,
        context: Context,
        words: Vocabulary,
        auth: Auth<'_>,
        request: &Request,
    ) -> Sent {
        let begun = Instant::now();
        let sent = match self.try_send(context, words, auth, request).await {
            Ok(answer) => self.judge(request.call, answer),
            Err(error) => Sent::failed(request.call, error),
        };
        log(&sent, context, auth, begun);
        sent
    }

    pub(super) fn judge(&self, call: Call, answer: Answer) -> Sent {
        let (limits, heard) = (answer.limits, answer.heard.clone());
        let (result, refusal) = match self.transport.failure(&answer) {
            None => (Ok(answer), String::new()),
            Some(error) => (Err(error), answer.body),
        };
        Sent {
            call,
            limits,
            result,
            heard,
            refusal,
        }
    }

    async fn try_send(
        &self,
        context: Context,
        words: Vocabulary,
        auth: Auth<'_>,
        request: &Request,
    ) -> Result<Answer, CallError> {
        let asked = request.fields.map(|fields| words.parameters(fields));
        let asked = asked.unwrap_or_default();
        let query: Vec<_> = request.query.iter().chain(&asked).collect();
        let query: Vec<_> = query
            .iter()
            .map(|(name, value)| (*name, &**value))
            .collect();
        let url = self.transport.url(&request.path, &query)?;
        let credential = self
            .credential(context, auth, request, &url, &query)
            .await?;
        if request.method != Method::GET && !(self.leave)() {
            return Err(NotSent::NoLeave.into());
        }
        let transport = &self.transport;
        let answer = transport
            .exchange(&request.method, url, &request.body, &credential.header())
            .await?;
        if answer.status == 401 {
            self.refused(context, auth, &credential).await;
        }
        Ok(answer)
    }

    pub(super) async fn credential(
        &self,
        context: Context,
        auth: Auth<'_>,
        request: &Request,
        url: &Url,
        query: &[(&str, &str)],
    ) -> Result<Credential, CallError> {
        let (app, transport) = (auth.app(), &self.transport);
        let token = match (context, auth) {
            (Context::OAuth1, _) => {
                let none = NotSent::NoCredential("the account has no OAuth 1.0a token");
                let token = auth.access_token().ok_or(none)?;
                return Ok(self.signed(app, Some(token), request, url, query));
            }
            (Context::OAuth2, Auth::Account { account, .. }) => {
                self.tokens.access(app, account, transport).await?
            }
            (Context::OAuth2, Auth::Linking { access_token, .. }) => access_token.clone(),
            (Context::Bearer, _) | (Context::OAuth2, Auth::App(_) | Auth::Owner { .. }) => {
                self.bearers.bearer(app, transport).await?
            }
        };
        Ok(Credential::Bearer(token))
    }

    /// JSON and multipart bodies are not signed.
    pub(super) fn signed(
        &self,
        app: &App,
        token: Option<&AccessToken>,
        request: &Request,
        url: &Url,
        query: &[(&str, &str)],
    ) -> Credential {
        let more: Vec<_> = request
            .oauth
            .iter()
            .map(|(name, it)| (*name, &**it))
            .collect();
        let signer = Signer {
            consumer_key: &app.consumer_key,
            consumer_secret: &app.consumer_secret,
            token,
            more: &more,
        };
        let once = Once::new((self.clock)());
        let parameters = request.signed(query);
        Credential::Signed(signer.authorization(&request.method, url, &parameters, &once))
    }

    /// A token that X does not take is not used again: another may be had.
    pub(super) async fn refused(&self, context: Context, auth: Auth<'_>, credential: &Credential) {
        match (context, auth.account(), credential) {
            (Context::OAuth2, Some(account), Credential::Bearer(token)) => {
                self.tokens.refused(account.id, token).await;
            }
            (Context::Bearer, _, _) => self.bearers.refused(auth.app()).await,
            _ => {}
        }
    }
}

pub(super) enum Credential {
    /// The whole header.
    Signed(SecretString),
    /// The token.
    Bearer(SecretString),
}

impl Credential {
    pub(super) fn header(&self) -> SecretString {
        match self {
            Self::Signed(header) => header.clone(),
            Self::Bearer(token) => format!("Bearer {}", token.expose_secret()).into(),
        }
    }
}

/// Whether X refused a read for a name that the other vocabulary does not have.
fn is_asked_in_unknown_words(sent: &Sent, words: Vocabulary, request: &Request) -> bool {
    let upstream = sent.result.as_ref().err().and_then(CallError::upstream);
    let is_bad_request = upstream.is_some_and(|upstream| upstream.status == 400);
    request.fields.is_some() && is_bad_request && words.is_refused_by(&sent.refusal)
}

/// Ids and numbers only: never a token, a text or a query.
fn log(sent: &Sent, context: Context, auth: Auth<'_>, begun: Instant) {
    let upstream = sent.result.as_ref().err().and_then(CallError::upstream);
    let status = match &sent.result {
        Ok(answer) => answer.status,
        Err(_) => upstream.map_or(0, |upstream| upstream.status),
    };
    tracing::debug!(
        call = sent.call.name(),
        context = ?context,
        app = auth.app().name,
        account.id = auth.account().map(|account| account.id.to_string()),
        http.status = status,
        duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        "called X",
    );
}
