//! The JSON API, `/api/v1`: a file for each resource, each handler from what was sent by a function
//! of `flow` to what is shown. Described by OpenAPI 3.1, made from the code.

mod accounts;
pub(super) mod apps;
mod audit;
pub(super) mod auth;
mod commands;
mod compliance;
mod costs;
mod events;
mod extract;
mod gaps;
mod health;
mod linking;
mod openapi;
mod persons;
pub(super) mod problem;
mod quarantine;
mod sessions;
mod throttle;
mod tokens;
mod webhooks;

#[cfg(test)]
pub(super) mod testing;

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{
    Error, FromRequest, Handler, HttpMessage, HttpRequest, HttpResponse, Responder, ResponseError,
    guard,
};
use jiff::Timestamp;
use secrecy::SecretString;

use crate::domain::access::Role;
use crate::domain::account::App;
use crate::flow::access::{Access, Principal};
use crate::flow::link::Linker;
use crate::flow::person::Persons;
use crate::flow::registry::Directory;
use crate::flow::rules::LiveRules;
use crate::flow::setup::Setup;
use crate::flow::test_event::TestEvents;
use crate::flow::watch::HealthView;
use crate::settings::BaseUrl;
use crate::store::Store;
use auth::permit;
use problem::{Kind, Problem};
use throttle::Throttle;

pub use openapi::document;

/// Where the API lies.
const BASE: &str = "/api/v1";

/// What handlers work with.
pub struct Api {
    pub(super) store: Store,
    pub(super) rules: LiveRules,
    pub(super) directory: Arc<Directory>,
    pub(super) linker: Arc<Linker>,
    pub(super) health: HealthView,
    pub(super) setup: Arc<Setup>,
    /// `public.url`.
    pub(super) public_url: Option<BaseUrl>,
    pub(super) tests: TestEvents,
    pub(super) access: Access,
    pub(super) throttle: Throttle,
    pub(super) persons: Persons,
    /// Browsers reach us by https only.
    pub(super) secure_cookies: bool,
}

/// What an [`Api`] is made of.
pub struct ApiParts {
    pub store: Store,
    pub directory: Arc<Directory>,
    pub linker: Arc<Linker>,
    pub health: HealthView,
    pub setup: Arc<Setup>,
    /// `public.url`.
    pub public_url: Option<BaseUrl>,
    pub tests: TestEvents,
    pub persons: Persons,
    /// `private.token`; without one, only the tokens of the store open anything.
    pub token: Option<SecretString>,
    /// `private.url` is https.
    pub secure_cookies: bool,
}

impl Api {
    pub fn new(parts: ApiParts) -> Self {
        Self {
            access: Access::new(parts.store.clone(), parts.token.as_ref()),
            store: parts.store,
            rules: parts.directory.rules().clone(),
            directory: parts.directory,
            linker: parts.linker,
            health: parts.health,
            setup: parts.setup,
            public_url: parts.public_url,
            tests: parts.tests,
            persons: parts.persons,
            throttle: Throttle::default(),
            secure_cookies: parts.secure_cookies,
        }
    }
}

impl Api {
    /// The app of this name.
    pub(super) fn app(&self, name: &str) -> Result<App, Problem> {
        let rules = self.rules.now();
        let app = rules.registry.apps().iter().find(|app| app.name == name);
        app.cloned()
            .ok_or_else(|| Problem::not_found(format!("There is no app {:?}.", problem::cut(name))))
    }

    /// Where X delivers to for an app; empty without `public.url`.
    pub(super) fn webhook_url(&self, app: &str) -> String {
        let url = self.public_url.as_ref();
        url.map(|url| url.webhook(app)).unwrap_or_default()
    }

    /// What has to be among an app's callback URLs at X; empty without `public.url`.
    pub(super) fn callback_url(&self) -> String {
        let url = self.public_url.as_ref();
        url.map(BaseUrl::callback).unwrap_or_default()
    }
}

/// One route, as it is served and described.
struct Route {
    method: Method,
    /// Below [`BASE`].
    path: &'static str,
    /// What it takes to use it.
    role: Role,
    route: actix_web::Route,
}

impl Route {
    fn new<F, Args>(method: Method, path: &'static str, role: Role, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let check = from_fn(move |request: ServiceRequest, next| check(role, request, next));
        let route = web::method(method.clone()).to(handler).wrap(check);
        Self {
            method,
            path,
            role,
            route,
        }
    }
}

/// Every route of the API. Who may look sees everything; a core may also check, test and publish
/// again; all other changes are an admin's.
fn table() -> Vec<Route> {
    use Role::{Admin, Core, Read};
    let (get, post, delete) = (Method::GET, Method::POST, Method::DELETE);
    let (put, patch) = (Method::PUT, Method::PATCH);
    vec![
        Route::new(get.clone(), "/openapi.json", Read, openapi::show),
        Route::new(get.clone(), "/session", Read, sessions::show),
        Route::new(post.clone(), "/session", Read, sessions::open),
        Route::new(delete.clone(), "/session", Read, sessions::close),
        Route::new(get.clone(), "/tokens", Read, tokens::list),
        Route::new(post.clone(), "/tokens", Admin, tokens::create),
        Route::new(delete.clone(), "/tokens/{name}", Admin, tokens::revoke),
        Route::new(get.clone(), "/events", Read, events::list),
        Route::new(post.clone(), "/events/republish", Core, events::republish),
        Route::new(post.clone(), "/events/test", Core, events::test),
        Route::new(get.clone(), "/events/{id}", Read, events::show),
        Route::new(get.clone(), "/commands", Read, commands::list),
        Route::new(post.clone(), "/commands/check", Core, commands::check),
        Route::new(
            post.clone(),
            "/commands/release",
            Admin,
            commands::release_all,
        ),
        Route::new(get.clone(), "/commands/{id}", Read, commands::show),
        Route::new(post.clone(), "/commands/{id}/retry", Admin, commands::retry),
        Route::new(
            post.clone(),
            "/commands/{id}/release",
            Admin,
            commands::release,
        ),
        Route::new(
            post.clone(),
            "/commands/{id}/cancel",
            Admin,
            commands::cancel,
        ),
        Route::new(get.clone(), "/quarantine", Read, quarantine::list),
        Route::new(post.clone(), "/quarantine/retry", Admin, quarantine::retry),
        Route::new(get.clone(), "/quarantine/{id}", Read, quarantine::show),
        Route::new(get.clone(), "/apps", Read, apps::list),
        Route::new(put.clone(), "/apps/{name}", Admin, apps::put),
        Route::new(delete.clone(), "/apps/{name}", Admin, apps::remove),
        Route::new(get.clone(), "/accounts", Read, accounts::list),
        Route::new(post.clone(), "/accounts/link", Admin, linking::begin),
        Route::new(
            post.clone(),
            "/accounts/invitations",
            Admin,
            linking::invite,
        ),
        Route::new(delete.clone(), "/accounts/{id}", Admin, linking::unlink),
        Route::new(patch, "/accounts/{id}", Admin, accounts::change),
        Route::new(
            post.clone(),
            "/accounts/{id}/confirm",
            Admin,
            accounts::confirm,
        ),
        Route::new(
            get.clone(),
            "/accounts/{id}/filters",
            Read,
            accounts::filters,
        ),
        Route::new(put, "/accounts/{id}/filters", Admin, accounts::put_filters),
        Route::new(get.clone(), "/health", Read, health::show),
        Route::new(post.clone(), "/health/snapshot", Core, health::snapshot),
        Route::new(get.clone(), "/gaps", Read, gaps::list),
        Route::new(post.clone(), "/gaps", Admin, gaps::fill),
        Route::new(
            post.clone(),
            "/gaps/{id}/acknowledge",
            Admin,
            gaps::acknowledge,
        ),
        Route::new(get.clone(), "/costs", Read, costs::list),
        Route::new(get.clone(), "/audit", Read, audit::list),
        Route::new(post.clone(), "/persons/{id}/erase", Admin, persons::erase),
        Route::new(get.clone(), "/persons/{id}/export", Admin, persons::export),
        Route::new(
            post.clone(),
            "/apps/{name}/compliance",
            Admin,
            compliance::run,
        ),
        Route::new(post.clone(), "/apps/{name}/check", Admin, apps::check),
        Route::new(get, "/apps/{name}/webhooks", Read, webhooks::list),
        Route::new(
            post.clone(),
            "/apps/{name}/webhooks",
            Admin,
            webhooks::register,
        ),
        Route::new(
            post,
            "/apps/{name}/webhooks/{id}/validate",
            Admin,
            webhooks::validate,
        ),
        Route::new(
            delete,
            "/apps/{name}/webhooks/{id}",
            Admin,
            webhooks::delete,
        ),
    ]
}

/// The API as a part of the private listener.
pub(super) fn routes(config: &mut ServiceConfig, api: &Arc<Api>) {
    let mut scope = web::scope(BASE)
        .app_data(Data::from(Arc::clone(api)))
        .wrap(from_fn(authenticate))
        .default_service(web::to(not_found));
    for (path, routes) in by_path() {
        scope = scope.service(resource(&path, routes));
    }
    let elsewhere = web::resource(["/api", "/api/{path:.*}"])
        .app_data(Data::from(Arc::clone(api)))
        .wrap(from_fn(authenticate))
        .to(not_found);
    config.service(scope).service(elsewhere);
}

/// Those without parameters first: `/events/test` is no event.
fn by_path() -> Vec<(String, Vec<Route>)> {
    let mut paths: BTreeMap<(bool, String), Vec<Route>> = BTreeMap::new();
    for route in table() {
        let key = (route.path.contains('{'), route.path.to_owned());
        paths.entry(key).or_default().push(route);
    }
    let named = |((_, path), routes)| (path, routes);
    paths.into_iter().map(named).collect()
}

fn resource(path: &str, routes: Vec<Route>) -> actix_web::Resource {
    let methods: Vec<_> = routes.iter().map(|it| it.method.to_string()).collect();
    let allowed = methods.join(", ");
    let mut resource = web::resource(path.to_owned());
    // Ids of commands are the core's: one may be `check`, and is shown like any other.
    if path.starts_with("/commands/") && !path.contains('{') {
        resource = resource.guard(guard::Not(guard::Get()));
    }
    for route in routes {
        resource = resource.route(route.route);
    }
    resource.default_service(web::to(move || method_not_allowed(allowed.clone())))
}

async fn not_found() -> Problem {
    Problem::not_found("The API has no such path; see /api/v1/openapi.json.")
}

async fn method_not_allowed(allowed: String) -> Problem {
    let detail = format!("Methods of this path: {allowed}.");
    Problem::new(Kind::MethodNotAllowed, detail).allowing(allowed)
}

/// Before anything else is said: who asks.
async fn authenticate(
    api: Data<Api>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse, Error> {
    match api.principal(request.request(), Timestamp::now()).await {
        Ok(principal) => request.extensions_mut().insert(principal),
        Err(problem) => return Ok(request.into_response(problem.error_response())),
    };
    let response = next.call(request).await?;
    Ok(response.map_into_boxed_body())
}

/// Whether whoever asks may.
async fn check(
    role: Role,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse, Error> {
    let principal = request.extensions().get::<Principal>().cloned();
    let permitted = match principal {
        Some(principal) => permit(&principal, role, request.request()),
        None => Err(Problem::new(Kind::Unauthorized, "Nobody is known to ask.")),
    };
    if let Err(problem) = permitted {
        return Ok(request.into_response(problem.error_response()));
    }
    let response = next.call(request).await?;
    Ok(response.map_into_boxed_body())
}

impl Responder for Problem {
    type Body = actix_web::body::BoxBody;

    fn respond_to(self, _request: &HttpRequest) -> HttpResponse {
        self.error_response()
    }
}

#[cfg(test)]
mod tests {
    use actix_web::App;
    use actix_web::body::to_bytes;
    use actix_web::cookie::Cookie;
    use actix_web::http::StatusCode;
    use actix_web::http::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, SET_COOKIE};
    use actix_web::test::{TestRequest, call_service, init_service};
    use secrecy::ExposeSecret;
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::access::Actor;
    use crate::flow::access::create_token;

    const ADMIN: &str = "s3cret";

    struct Answer {
        status: StatusCode,
        headers: actix_web::http::header::HeaderMap,
        body: Value,
    }

    async fn send(api: &Arc<Api>, request: TestRequest) -> Answer {
        let app = App::new().configure(|config| routes(config, api));
        let app = init_service(app).await;
        let response = call_service(&app, request.to_request()).await;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = to_bytes(response.into_body()).await.unwrap();
        let body = match body.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&body).unwrap(),
        };
        Answer {
            status,
            headers,
            body,
        }
    }

    fn with_token(request: TestRequest, token: &str) -> TestRequest {
        request.insert_header((AUTHORIZATION, format!("Bearer {token}")))
    }

    fn get(path: &str) -> TestRequest {
        with_token(TestRequest::get().uri(&format!("/api/v1{path}")), ADMIN)
    }

    fn post(path: &str, body: &Value) -> TestRequest {
        let request = TestRequest::post().uri(&format!("/api/v1{path}"));
        with_token(request, ADMIN).set_json(body)
    }

    async fn token(api: &Arc<Api>, role: Role) -> String {
        let name = format!("of-{}", role.name()).parse().unwrap();
        let now = Timestamp::now();
        let made = create_token(&api.store, name, role, Actor::CommandLine, now).await;
        made.unwrap().unwrap().expose_secret().to_owned()
    }

    #[actix_web::test]
    async fn each_route_opens_to_its_role_and_those_above() {
        let api = testing::api(Some(ADMIN));
        let mut tokens = Vec::new();
        for role in Role::ALL {
            tokens.push((Some(role), token(&api, role).await));
        }
        tokens.push((None, "wrong".to_owned()));
        for route in table() {
            let path = route.path.replace("{id}", "x").replace("{name}", "x");
            for (role, token) in &tokens {
                let request = TestRequest::default().method(route.method.clone());
                let request = request.uri(&format!("/api/v1{path}"));
                let status = send(&api, with_token(request, token)).await.status;
                let (expected, opens) = match role {
                    None => (Some(401), false),
                    Some(role) if *role < route.role => (Some(403), false),
                    Some(_) => (None, true),
                };
                let told = [401, 403].contains(&status.as_u16());
                assert!(told != opens, "{} {path} {role:?}: {status}", route.method);
                let exact = expected.is_none_or(|expected| status.as_u16() == expected);
                assert!(exact, "{} {path} {role:?}: {status}", route.method);
            }
        }
    }

    #[actix_web::test]
    async fn everything_that_is_no_success_is_a_problem() {
        let api = testing::api(Some(ADMIN));
        let text = post("/tokens", &json!({})).insert_header((CONTENT_TYPE, "text/plain"));
        let large = with_token(TestRequest::post().uri("/api/v1/tokens"), ADMIN);
        let large = large.insert_header((CONTENT_TYPE, "application/json"));
        let large = large.set_payload(vec![b' '; extract::BODY_LIMIT + 1]);
        let bad = with_token(TestRequest::post().uri("/api/v1/tokens"), ADMIN);
        let bad = bad
            .insert_header((CONTENT_TYPE, "application/json"))
            .set_payload("{");
        let put = with_token(TestRequest::put().uri("/api/v1/tokens"), ADMIN);
        for (request, status) in [
            (TestRequest::get().uri("/api/v1/events"), 401),
            (get("/nothing"), 404),
            (get("/events/12"), 400),
            (get("/events?limit=0"), 400),
            (get("/events?more=1"), 400),
            (get("/commands/none"), 404),
            (put, 405),
            (text, 415),
            (large, 413),
            (bad, 400),
            (
                post("/tokens", &json!({"name": "a b", "role": "core"})),
                400,
            ),
            (post("/tokens", &json!({"name": "a", "role": "boss"})), 400),
        ] {
            let answer = send(&api, request).await;
            assert_eq!(answer.status, status, "{:#}", answer.body);
            let kind = answer.headers.get(CONTENT_TYPE).unwrap();
            assert_eq!(kind, "application/problem+json");
            assert_eq!(answer.body["status"], status);
            for member in ["type", "title", "detail"] {
                assert!(answer.body[member].is_string(), "{:#}", answer.body);
            }
            assert!(answer.body["errors"].is_array());
        }
    }

    #[actix_web::test]
    async fn a_fault_names_the_field() {
        let api = testing::api(Some(ADMIN));
        let answer = send(&api, post("/tokens", &json!({"name": "a", "role": "boss"}))).await;
        let expected = json!([{
            "field": "role", "value": "boss", "expected": "expected read, core or admin"
        }]);
        assert_eq!(answer.body["errors"], expected);
        let answer = send(&api, post("/tokens", &json!({"name": "a"}))).await;
        assert_eq!(answer.body["errors"][0]["field"], "role");
    }

    #[actix_web::test]
    async fn a_wrong_method_is_told_the_right_ones() {
        let api = testing::api(Some(ADMIN));
        let put = with_token(TestRequest::put().uri("/api/v1/session"), ADMIN);
        let answer = send(&api, put).await;
        assert_eq!(answer.headers.get(ALLOW).unwrap(), "GET, POST, DELETE");
    }

    #[actix_web::test]
    async fn a_login_needs_its_cookie_and_a_change_the_csrf_token_too() {
        let api = testing::api(Some(ADMIN));
        let opened = send(&api, post("/session", &json!(null))).await;
        assert_eq!(opened.status, 201);
        let cookie = opened.headers.get(SET_COOKIE).unwrap().to_str().unwrap();
        for flag in [
            "HttpOnly",
            "SameSite=Strict",
            "Secure",
            "Path=/",
            "Max-Age=43200",
        ] {
            assert!(cookie.contains(flag), "{cookie}");
        }
        let cookie = Cookie::parse(cookie.to_owned()).unwrap();
        let csrf = opened.body["csrf_token"].as_str().unwrap().to_owned();
        let request = |method| {
            let uri = "/api/v1/session";
            let request = TestRequest::default().method(method).uri(uri);
            request.cookie(cookie.clone())
        };
        let shown = send(&api, request(Method::GET)).await;
        assert_eq!(
            (shown.status, &shown.body["role"]),
            (StatusCode::OK, &json!("admin"))
        );
        assert_eq!(shown.body["csrf_token"], csrf.as_str());
        for header in [None, Some("x")] {
            let mut close = request(Method::DELETE);
            if let Some(header) = header {
                close = close.insert_header((auth::CSRF_HEADER, header));
            }
            assert_eq!(send(&api, close).await.status, 403);
        }
        let close = request(Method::DELETE).insert_header((auth::CSRF_HEADER, csrf));
        assert_eq!(send(&api, close).await.status, 204);
        assert_eq!(send(&api, request(Method::GET)).await.status, 401);
    }

    #[actix_web::test]
    async fn wrong_tokens_slow_a_peer_even_with_the_right_one() {
        let api = testing::api(Some(ADMIN));
        let peer = "192.0.2.7:4711".parse().unwrap();
        for _ in 0..10 {
            let wrong = with_token(TestRequest::get().uri("/api/v1/session"), "wrong");
            assert_eq!(send(&api, wrong.peer_addr(peer)).await.status, 401);
        }
        let slowed = send(&api, get("/session").peer_addr(peer)).await;
        assert_eq!(slowed.status, 429);
        assert!(slowed.headers.contains_key("retry-after"));
        let other = "192.0.2.8:4711".parse().unwrap();
        assert_eq!(
            send(&api, get("/session").peer_addr(other)).await.status,
            200
        );
    }

    #[actix_web::test]
    async fn a_token_is_made_used_audited_and_revoked() {
        let api = testing::api(Some(ADMIN));
        let made = send(
            &api,
            post("/tokens", &json!({"name": "core", "role": "core"})),
        )
        .await;
        assert_eq!(made.status, 201);
        let again = send(
            &api,
            post("/tokens", &json!({"name": "core", "role": "read"})),
        )
        .await;
        assert_eq!(again.status, 409);
        let token = made.body["token"].as_str().unwrap();
        let who = with_token(TestRequest::get().uri("/api/v1/session"), token);
        assert_eq!(send(&api, who).await.body["name"], "core");
        let listed = send(&api, get("/tokens")).await;
        assert_eq!(listed.body["items"][0]["name"], "core");
        assert!(!listed.body.to_string().contains(token));
        let revoke = with_token(TestRequest::delete().uri("/api/v1/tokens/core"), ADMIN);
        assert_eq!(send(&api, revoke).await.status, 204);
        let who = with_token(TestRequest::get().uri("/api/v1/session"), token);
        assert_eq!(send(&api, who).await.status, 401);
        let audit = send(&api, get("/audit?limit=1")).await;
        assert_eq!(audit.body["items"][0]["action"], "token.revoke");
        assert_eq!(audit.body["items"][0]["who"], "token:private.token");
        let next = audit.body["next"].as_str().unwrap();
        let rest = send(&api, get(&format!("/audit?after={next}"))).await;
        assert_eq!(rest.body["items"][0]["action"], "token.create");
        assert_eq!(rest.body.get("next"), None);
        assert!(!rest.body.to_string().contains(token));
    }

    #[actix_web::test]
    async fn the_description_needs_a_credential_as_all_else() {
        let api = testing::api(Some(ADMIN));
        let open = TestRequest::get().uri("/api/v1/openapi.json");
        assert_eq!(send(&api, open).await.status, 401);
        let shown = send(&api, get("/openapi.json")).await;
        assert_eq!(shown.body["info"]["title"], "twitter-channel");
    }

    #[test]
    fn a_problem_is_its_status() {
        let problem = Problem::new(Kind::Conflict, "x");
        assert_eq!(problem.status_code(), 409);
    }
}
