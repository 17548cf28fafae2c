//! X's refusals, in the three shapes that it has.

use serde_json::{Value, json};

use super::answer::Answer;
use crate::forms::json::with_all;

const PROBLEMS: &str = "https://api.x.com/2/problems/";

/// A problem whose `type` says nothing: only `detail` tells.
pub(crate) fn blank(status: u16, title: &str, detail: &str) -> Box<Answer> {
    problem(
        status,
        json!({ "title": title, "detail": detail, "type": "about:blank", "status": status }),
    )
}

/// Most refusals of a post or a message.
pub(crate) fn forbidden(detail: &str) -> Box<Answer> {
    blank(403, "Forbidden", detail)
}

pub(crate) fn unauthorized() -> Box<Answer> {
    blank(401, "Unauthorized", "Unauthorized")
}

/// A problem of a named type.
pub(crate) fn typed(status: u16, kind: &str, title: &str, detail: &str) -> Box<Answer> {
    problem(status, typed_json(status, kind, title, detail))
}

/// The `type` of a problem.
pub(crate) fn kind(name: &str) -> String {
    format!("{PROBLEMS}{name}")
}

fn typed_json(status: u16, kind: &str, title: &str, detail: &str) -> Value {
    json!({
        "title": title,
        "detail": detail,
        "type": format!("{PROBLEMS}{kind}"),
        "status": status,
    })
}

/// The product is not open to the app.
pub(crate) fn not_enrolled() -> Box<Answer> {
    let detail = "The App is not enrolled in the product that this endpoint belongs to.";
    let body = typed_json(403, "client-forbidden", "Client Forbidden", detail);
    problem(
        403,
        with_all(body, json!({ "reason": "client-not-enrolled" })),
    )
}

/// The request breaks the schema or a rule for one parameter.
pub(crate) fn invalid(parameter: &str, value: &str, message: &str) -> Box<Answer> {
    let detail = "One or more parameters to your request was invalid.";
    let errors = json!({ "errors": [{
        "parameters": { parameter: [value] },
        "message": message,
    }]});
    let body = typed_json(400, "invalid-request", "Invalid Request", detail);
    problem(400, with_all(body, errors))
}

/// v1.1's shape, which X still uses on v2 here and there.
pub(crate) fn coded(status: u16, code: u16, message: &str) -> Box<Answer> {
    let body = json!({ "errors": [{ "code": code, "message": message }] });
    Box::new(Answer::json(status, &body))
}

/// Something asked for by id or name that cannot be had.
pub(crate) struct Missing<'a> {
    /// X's word for the kind of thing.
    pub(crate) resource: &'a str,
    pub(crate) parameter: &'a str,
    pub(crate) value: String,
    pub(crate) reason: Reason,
}

/// Why it cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Gone,
    Protected,
    Suspended,
}

impl Missing<'_> {
    /// One entry of `errors` beside what was found.
    pub(crate) fn entry(&self) -> Value {
        let Self {
            resource,
            parameter,
            value,
            reason,
        } = self;
        let (title, detail, kind) = match reason {
            Reason::Gone => (
                "Not Found Error",
                format!("Could not find {resource} with {parameter}: [{value}]."),
                "resource-not-found",
            ),
            Reason::Protected => (
                "Authorization Error",
                format!(
                    "Sorry, you are not authorized to see the {resource} with {parameter}: [{value}]."
                ),
                "not-authorized-for-resource",
            ),
            Reason::Suspended => (
                "Forbidden",
                format!("User has been suspended: [{value}]."),
                "resource-not-found",
            ),
        };
        json!({
            "value": value,
            "detail": detail,
            "title": title,
            "resource_type": resource,
            "parameter": parameter,
            "resource_id": value,
            "type": format!("{PROBLEMS}{kind}"),
        })
    }

    /// The whole answer where nothing else was asked for.
    pub(crate) fn answer(&self) -> Box<Answer> {
        let entry = self.entry();
        let mut body = entry.clone();
        body = with_all(body, json!({ "status": 404, "errors": [entry] }));
        problem(404, body)
    }
}

fn problem(status: u16, body: Value) -> Box<Answer> {
    Box::new(Answer {
        content_type: "application/problem+json",
        ..Answer::json(status, &body)
    })
}
