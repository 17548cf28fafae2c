//! What pages load: all of it is compiled in.

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;

const STYLE: &str = include_str!("../../../templates/style.css");
const CONSOLE_STYLE: &str = include_str!("../../../templates/console/console.css");
const SCRIPT: &str = include_str!("../../../templates/console/console.js");
const ICON: &str = include_str!("../../../templates/console/icon.svg");

fn asset(kind: &'static str, body: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(kind)
        // It changes with the version.
        .insert_header((CACHE_CONTROL, "max-age=300"))
        .body(body)
}

/// That of the pages at which accounts are linked.
pub(super) async fn style() -> HttpResponse {
    asset("text/css; charset=utf-8", STYLE)
}

pub(super) async fn console_style() -> HttpResponse {
    asset("text/css; charset=utf-8", CONSOLE_STYLE)
}

/// Adds what is only convenient; every page works without it.
pub(super) async fn script() -> HttpResponse {
    asset("text/javascript; charset=utf-8", SCRIPT)
}

/// Shown by browsers beside the title.
pub(super) async fn icon() -> HttpResponse {
    asset("image/svg+xml", ICON)
}
