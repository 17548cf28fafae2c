//! The console: pages of the private listener that are made here and work without scripts. A file
//! for each page; handlers call the same functions of `flow` as the API does.

mod accounts;
mod apps;
mod assets;
mod audit;
mod commands;
mod conversations;
mod costs;
mod events;
mod fields;
mod filters;
mod gaps;
mod guard;
mod linking;
mod login;
mod overview;
mod page;
mod plot;
mod quarantine;
mod setup;
#[cfg(test)]
mod tests;
mod tokens;
mod webhooks;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::http::Method;
use actix_web::middleware::from_fn;
use actix_web::web::{self, Data, PayloadConfig, ServiceConfig};
use actix_web::{FromRequest, Handler, HttpResponse, Responder};

use super::api::Api;
use crate::domain::access::Role;

/// Longest form, bytes.
const FORM_LIMIT: usize = 256 * 1024;

/// One page, or one thing that a form does.
struct Route {
    method: Method,
    path: &'static str,
    route: actix_web::Route,
}

impl Route {
    /// For those who have logged in, in this role.
    fn new<F, Args>(method: Method, path: &'static str, role: Role, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let check = from_fn(move |request, next| guard::check(role, request, next));
        Self {
            route: web::method(method.clone()).to(handler).wrap(check),
            method,
            path,
        }
    }

    /// For everybody.
    fn open<F, Args>(method: Method, path: &'static str, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        Self {
            route: web::method(method.clone()).to(handler),
            method,
            path,
        }
    }
}

/// Everything there is. Who may look sees all pages; a core may also test and publish again; all
/// other changes are an admin's.
fn table() -> Vec<Route> {
    use Role::{Admin, Core, Read};
    let (get, post) = (|| Method::GET, || Method::POST);
    vec![
        Route::open(get(), "/assets/style.css", assets::style),
        Route::open(get(), "/assets/console.css", assets::console_style),
        Route::open(get(), "/assets/console.js", assets::script),
        Route::open(get(), "/assets/icon.svg", assets::icon),
        Route::open(get(), "/login", login::show),
        Route::open(post(), "/login", login::log_in),
        Route::new(post(), "/logout", Read, login::log_out),
        Route::new(get(), "/", Read, overview::show),
        Route::new(get(), "/setup", Read, setup::show),
        Route::new(get(), "/setup/{step}", Read, setup::step),
        Route::new(post(), "/test-ticket", Core, setup::test),
        Route::new(post(), "/past", Admin, setup::fetch_past),
        Route::new(post(), "/apps/{name}/address", Core, webhooks::try_address),
        Route::new(post(), "/apps/{name}/check", Core, webhooks::check),
        Route::new(post(), "/apps/{name}/webhook", Admin, webhooks::register),
        Route::new(
            post(),
            "/apps/{name}/webhooks/{id}/validate",
            Admin,
            webhooks::validate,
        ),
        Route::new(
            post(),
            "/apps/{name}/webhooks/{id}/delete",
            Admin,
            webhooks::delete,
        ),
        Route::new(get(), "/gaps", Read, gaps::list),
        Route::new(post(), "/gaps", Admin, gaps::fill),
        Route::new(post(), "/gaps/{id}/acknowledge", Admin, gaps::acknowledge),
        Route::new(get(), "/apps", Read, apps::list),
        Route::new(get(), "/apps/{name}", Read, apps::show),
        Route::new(post(), "/apps", Admin, apps::save),
        Route::new(post(), "/apps/{name}/remove", Admin, apps::remove),
        Route::new(
            post(),
            "/apps/{name}/end-rotation",
            Admin,
            apps::end_rotation,
        ),
        Route::new(get(), "/accounts", Read, accounts::list),
        Route::new(get(), "/accounts/{id}", Read, accounts::show),
        Route::new(post(), "/accounts/{id}", Admin, accounts::change),
        Route::new(post(), "/accounts/{id}/confirm", Admin, accounts::confirm),
        Route::new(post(), "/accounts/{id}/unlink", Admin, accounts::unlink),
        Route::new(post(), "/link", Admin, linking::begin),
        Route::new(post(), "/invite", Admin, linking::invite),
        Route::new(get(), "/accounts/{id}/filters", Read, filters::list),
        Route::new(get(), "/accounts/{id}/filters/{place}", Read, filters::show),
        Route::new(
            post(),
            "/accounts/{id}/filters/{place}",
            Admin,
            filters::save,
        ),
        Route::new(
            post(),
            "/accounts/{id}/filters/{place}/move",
            Admin,
            filters::shift,
        ),
        Route::new(
            post(),
            "/accounts/{id}/filters/{place}/remove",
            Admin,
            filters::remove,
        ),
        Route::new(get(), "/explain", Read, filters::explain),
        Route::new(get(), "/conversations", Read, conversations::list),
        Route::new(
            get(),
            "/conversations/{account}/{id}",
            Read,
            conversations::show,
        ),
        Route::new(
            post(),
            "/conversations/{account}/{id}/release",
            Admin,
            conversations::release,
        ),
        Route::new(get(), "/commands", Read, commands::list),
        Route::new(post(), "/commands", Admin, commands::release_all),
        Route::new(get(), "/commands/{id}", Read, commands::show),
        Route::new(post(), "/commands/{id}/retry", Admin, commands::retry),
        Route::new(post(), "/commands/{id}/release", Admin, commands::release),
        Route::new(post(), "/commands/{id}/cancel", Admin, commands::cancel),
        Route::new(get(), "/quarantine", Read, quarantine::list),
        Route::new(post(), "/quarantine", Admin, quarantine::retry_all),
        Route::new(get(), "/quarantine/{id}", Read, quarantine::show),
        Route::new(post(), "/quarantine/{id}", Admin, quarantine::retry),
        Route::new(get(), "/events", Read, events::list),
        Route::new(post(), "/events", Core, events::republish_range),
        Route::new(get(), "/events/{id}", Read, events::show),
        Route::new(post(), "/events/{id}", Core, events::republish),
        Route::new(get(), "/costs", Read, costs::list),
        Route::new(get(), "/audit", Read, audit::list),
        Route::new(get(), "/tokens", Read, tokens::list),
        Route::new(post(), "/tokens", Admin, tokens::create),
        Route::new(post(), "/tokens/{name}/revoke", Admin, tokens::revoke),
        Route::new(post(), "/health", Core, overview::snapshot),
    ]
}

/// The console as a part of the private listener. Its pages are resources of their own, so that
/// other parts may have any other path.
pub(super) fn routes(config: &mut ServiceConfig, api: &Arc<Api>) {
    for (path, routes) in by_path() {
        config.service(resource(&path, routes, api));
    }
    config.default_service(web::to(not_found));
}

/// Those without parameters first.
fn by_path() -> BTreeMap<(bool, String), Vec<Route>> {
    let mut paths: BTreeMap<(bool, String), Vec<Route>> = BTreeMap::new();
    for route in table() {
        let key = (route.path.contains('{'), route.path.to_owned());
        paths.entry(key).or_default().push(route);
    }
    paths
}

fn resource(
    (_, path): &(bool, String),
    routes: Vec<Route>,
    api: &Arc<Api>,
) -> impl actix_web::dev::HttpServiceFactory + use<> {
    let methods: Vec<_> = routes.iter().map(|it| it.method.to_string()).collect();
    let allowed = methods.join(", ");
    let mut resource = web::resource(path.clone())
        .app_data(Data::from(Arc::clone(api)))
        .app_data(PayloadConfig::new(FORM_LIMIT))
        .default_service(web::to(move || method_not_allowed(allowed.clone())));
    for route in routes {
        resource = resource.route(route.route);
    }
    resource.wrap(from_fn(guard::secure))
}

async fn not_found() -> HttpResponse {
    let mut answer = page::plain_error(404, "There is no such page.", "It may have moved.");
    guard::add_headers(answer.headers_mut());
    answer
}

async fn method_not_allowed(allowed: String) -> HttpResponse {
    let mut answer = page::plain_error(405, "This cannot be done here.", "Go back and try again.");
    if let Ok(value) = allowed.parse() {
        let allow = actix_web::http::header::ALLOW;
        answer.headers_mut().insert(allow, value);
    }
    answer
}
