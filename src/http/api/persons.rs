//! What is held of people at X: handed out and erased.

use actix_web::web::{Bytes, Data};
use actix_web::{HttpResponse, rt};
use futures_util::{TryStreamExt, stream};
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::mpsc;
use utoipa::ToSchema;

use super::Api;
use super::auth::Who;
use super::extract::Segment;
use super::problem::{Kind, Problem};
use crate::domain::ids::UserId;
use crate::flow::person::{AskedBy, Erased, PersonError};

/// Lines that wait for whoever is handed them.
const LINES: usize = 64;

/// What was erased of a person, as it stands in the proof.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErasedView {
    #[schema(format = DateTime)]
    at: String,
    /// Who asked for it.
    asked_by: String,
    /// Events by the person, or in the person's cases.
    events: u64,
    /// Events of others in which the person was named.
    redacted: u64,
    /// `message.deleted` that the core hears.
    told: u64,
    /// Posts known by id.
    posts: u64,
    /// Deliveries kept for whatever reason, and what is remembered of unwanted messages.
    deliveries: u64,
    commands: u64,
    files: u64,
}

impl ErasedView {
    fn of(erased: Erased, at: Timestamp, asked_by: String) -> Self {
        Self {
            at: at.to_string(),
            asked_by,
            events: erased.events,
            redacted: erased.redacted,
            told: erased.told,
            posts: erased.posts,
            deliveries: erased.deliveries,
            commands: erased.commands,
            files: erased.files,
        }
    }
}

impl From<PersonError> for Problem {
    fn from(error: PersonError) -> Self {
        match error {
            PersonError::Store(error) => error.into(),
            error @ (PersonError::Files(_) | PersonError::NotTaken) => {
                tracing::warn!(%error, "a person is not erased to the end");
                Self::new(
                    Kind::Unavailable,
                    "A file could not be erased; ask for it again.",
                )
            }
        }
    }
}

/// Erase all that is held of a person, as `forget_person` does. May take minutes, and goes to its end
/// though nobody waits for the answer; asked for again it changes nothing. At X nothing changes.
#[utoipa::path(post, path = "/persons/{id}/erase", operation_id = "erase_person", tag = "persons",
    params(("id" = String, Path, description = "X's id of the person")),
    responses((status = 200, description = "It is erased", body = ErasedView))
)]
pub(super) async fn erase(
    api: Data<Api>,
    who: Who,
    id: Segment<UserId>,
) -> Result<HttpResponse, Problem> {
    if api.persons.is_ours(id.0) {
        let detail = format!("{} is an account of ours: unlink it instead.", id.0);
        return Err(Problem::new(Kind::Conflict, detail));
    }
    let (persons, actor, at) = (api.persons.clone(), who.0.actor(), Timestamp::now());
    let asked_by = actor.to_string();
    let by = AskedBy::admin(actor, asked_by.clone());
    let erasing = rt::spawn(async move { persons.erase(id.0, by, at).await });
    let cut_off = |_| Problem::new(Kind::Unavailable, "The service stops; ask for it again.");
    let erased = erasing.await.map_err(cut_off)??;
    Ok(HttpResponse::Ok().json(ErasedView::of(erased, at, asked_by)))
}

/// All that is held of a person, one JSON object per line. An answer that breaks off is not whole.
#[utoipa::path(get, path = "/persons/{id}/export", operation_id = "export_person", tag = "persons",
    params(("id" = String, Path, description = "X's id of the person")),
    responses((status = 200, description = "What is held; each line has a `kind`",
        content_type = "application/jsonl", body = String))
)]
pub(super) async fn export(api: Data<Api>, id: Segment<UserId>) -> HttpResponse {
    let (out, lines) = mpsc::channel(LINES);
    let persons = api.persons.clone();
    let exporting = rt::spawn(async move { persons.export(id.0, &out).await });
    let body = stream::unfold(Some((lines, exporting)), |state| async {
        let (mut lines, exporting) = state?;
        if let Some(line) = lines.recv().await {
            return Some((Ok(Bytes::from(line)), Some((lines, exporting))));
        }
        // The end of the lines is the end of the whole only if nothing went wrong.
        match exporting.await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some((Err(error.to_string()), None)),
            Err(error) => Some((Err(error.to_string()), None)),
        }
    });
    HttpResponse::Ok()
        .content_type("application/jsonl")
        .streaming(body.map_err(actix_web::error::ErrorInternalServerError))
}
