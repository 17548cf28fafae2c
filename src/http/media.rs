//! Files of direct messages: the signature in the path opens one file and nothing else.

use std::sync::Arc;

use actix_web::body::SizedStream;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    self, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    HeaderMap, IF_RANGE, RANGE, REFERRER_POLICY, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::web::{self, Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use bytes::Bytes;
use futures_util::stream::empty;
use jiff::Timestamp;

use crate::flow::media::{Media, NoFile, OpenFile};
use crate::telemetry::metrics;
use crate::x::client::{ByteRange, MediaCut};

/// Seconds until X is asked again, where it does not say when.
const RETRY: i64 = 5;
/// A browser may show a file again for an hour. Longer would keep what X has deleted.
const CACHED: &str = "private, max-age=3600";
/// Whatever a file is, it runs nothing: just what is shown of images and videos is allowed.
const POLICY: &str = "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; \
                      style-src 'unsafe-inline'";
/// Shown by a browser, not downloaded. Not SVG, which is a page of its own.
const SHOWN: [&str; 3] = ["image/", "video/", "audio/"];

/// The route of the files.
pub fn routes(media: Arc<Media>) -> impl Fn(&mut ServiceConfig) + Clone + Send + 'static {
    move |config| {
        let resource = web::resource("/media/{signed}").app_data(Data::from(Arc::clone(&media)));
        config.service(
            resource
                .route(web::get().to(get))
                .route(web::head().to(head)),
        );
    }
}

async fn get(request: HttpRequest, media: Data<Media>, signed: Path<String>) -> HttpResponse {
    let range = range(request.headers());
    let opened = media.open(&signed, range, Timestamp::now()).await;
    answer(opened, |mut response, file| match file.length {
        // Known, it shows a client that the file broke off.
        Some(length) => response.body(SizedStream::new(length, file.into_stream())),
        None => response.streaming(file.into_stream()),
    })
}

async fn head(media: Data<Media>, signed: Path<String>) -> HttpResponse {
    let opened = media.open(&signed, None, Timestamp::now()).await;
    answer(opened, |mut response, file| match file.length {
        // Tells the length, and sends nothing.
        Some(length) => response.body(SizedStream::new(length, empty::<Result<Bytes, MediaCut>>())),
        None => response.streaming(empty::<Result<Bytes, MediaCut>>()),
    })
}

/// There is nothing to compare an `If-Range` with, so it never holds.
fn range(headers: &HeaderMap) -> Option<ByteRange> {
    if headers.contains_key(IF_RANGE) {
        return None;
    }
    ByteRange::parse(headers.get(RANGE)?.to_str().ok()?)
}

fn answer(
    opened: Result<OpenFile, NoFile>,
    with_body: impl FnOnce(HttpResponseBuilder, OpenFile) -> HttpResponse,
) -> HttpResponse {
    let response = match opened {
        Ok(file) => with_body(found(&file), file),
        Err(error) => refused(&error),
    };
    metrics::count_media_request(response.status().as_u16());
    response
}

fn found(file: &OpenFile) -> HttpResponseBuilder {
    let mut response = match file.is_partial {
        true => HttpResponse::PartialContent(),
        false => HttpResponse::Ok(),
    };
    response
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        .insert_header((CACHE_CONTROL, CACHED));
    guard(&mut response);
    describe(&mut response, &file.content_type, &file.name);
    if file.is_partial && !file.content_range.is_empty() {
        response.insert_header((CONTENT_RANGE, file.content_range.as_str()));
    }
    response
}

/// What is not shown is a download, of no type.
fn describe(response: &mut HttpResponseBuilder, content_type: &str, name: &str) {
    if is_shown(content_type) {
        response.insert_header((CONTENT_TYPE, content_type));
        return;
    }
    let disposition = format!("attachment; filename=\"{name}\"");
    response
        .insert_header((CONTENT_TYPE, "application/octet-stream"))
        .insert_header((CONTENT_DISPOSITION, disposition));
}

/// The address is the key to the file: no other page is to hear of it.
fn guard(response: &mut HttpResponseBuilder) {
    response
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((REFERRER_POLICY, "no-referrer"));
}

fn is_shown(content_type: &str) -> bool {
    let content_type = content_type.to_ascii_lowercase();
    let is_shown = SHOWN.iter().any(|kind| content_type.starts_with(kind));
    is_shown && !content_type.starts_with("image/svg")
}

fn refused(error: &NoFile) -> HttpResponse {
    let status = status(error);
    if status.is_server_error() {
        tracing::warn!(%error, http.status = status.as_u16(), "a file of a direct message was not passed on");
    }
    let mut response = HttpResponse::build(status);
    guard(&mut response);
    response.insert_header((CACHE_CONTROL, "no-store"));
    if let Some(seconds) = retry_after(error, Timestamp::now()) {
        response.insert_header((RETRY_AFTER, seconds));
    }
    if let NoFile::NoSuchRange { content_range } = error
        && !content_range.is_empty()
    {
        response.insert_header((CONTENT_RANGE, content_range.as_str()));
    }
    response
        .content_type("text/plain; charset=utf-8")
        .body(format!("{error}\n"))
}

fn status(error: &NoFile) -> StatusCode {
    match error {
        NoFile::BadLink | NoFile::NotLinked => StatusCode::NOT_FOUND,
        NoFile::Gone => StatusCode::GONE,
        NoFile::NoSuchRange { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
        // Not 413, which speaks of what the client sent.
        NoFile::TooLarge { .. } | NoFile::Refused(_) | NoFile::Unavailable(_) => {
            StatusCode::BAD_GATEWAY
        }
        NoFile::Busy | NoFile::RateLimited { .. } | NoFile::Store(_) => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}

/// Seconds.
fn retry_after(error: &NoFile, now: Timestamp) -> Option<i64> {
    match error {
        NoFile::RateLimited { until } => {
            let wait = until.map(|until| until.duration_since(now).as_secs() + 1);
            Some(wait.unwrap_or(RETRY).max(1))
        }
        NoFile::Busy | NoFile::Unavailable(_) | NoFile::Store(_) => Some(RETRY),
        NoFile::BadLink
        | NoFile::NotLinked
        | NoFile::Gone
        | NoFile::NoSuchRange { .. }
        | NoFile::TooLarge { .. }
        | NoFile::Refused(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_browser_shows_safely_keeps_its_type() {
        for shown in ["image/jpeg", "VIDEO/mp4", "audio/mpeg; codecs=x"] {
            assert!(is_shown(shown), "{shown}");
        }
        for other in ["image/svg+xml", "text/html", "", "application/pdf"] {
            assert!(!is_shown(other), "{other}");
        }
    }

    #[test]
    fn what_a_browser_might_run_is_a_download() {
        let headers = |content_type| {
            let mut response = HttpResponse::Ok();
            describe(&mut response, content_type, "a.html");
            let headers = response.finish().headers().clone();
            let header = |name| {
                headers
                    .get(name)
                    .map(|value| value.to_str().unwrap().to_owned())
            };
            (header(CONTENT_TYPE), header(CONTENT_DISPOSITION))
        };
        let some = |text: &str| Some(text.to_owned());
        let download = some("attachment; filename=\"a.html\"");
        let octets = some("application/octet-stream");
        assert_eq!(headers("text/html"), (octets, download));
        assert_eq!(headers("image/png"), (some("image/png"), None));
    }

    #[test]
    fn a_wait_is_told_in_whole_seconds() {
        let now = Timestamp::from_second(100).unwrap();
        let until = |second| NoFile::RateLimited {
            until: Some(Timestamp::from_second(second).unwrap()),
        };
        assert_eq!(retry_after(&until(160), now), Some(61));
        assert_eq!(retry_after(&until(10), now), Some(1));
        assert_eq!(retry_after(&NoFile::Busy, now), Some(RETRY));
        assert_eq!(retry_after(&NoFile::Gone, now), None);
    }
}
