//! The API's description.

use actix_web::HttpResponse;
use utoipa::openapi::path::{HttpMethod, ParameterIn, PathItem};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{ContentBuilder, OpenApi as Document, Ref, RefOr, ResponseBuilder, Schema};
use utoipa::{Modify, OpenApi};

use super::auth::SESSION_COOKIE;
use super::problem::{FieldError, Written};
use super::{
    accounts, apps, audit, commands, compliance, costs, events, gaps, health, linking, persons,
    quarantine, sessions, tokens, webhooks,
};
use crate::domain::access::Role;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "twitter-channel",
        description = "X (Twitter) as a channel of a helpdesk. Ids are strings, money is a decimal \
                       string in USD, times are RFC 3339. Every answer that is not a 2xx is a \
                       problem (RFC 9457)."
    ),
    servers((url = "/api/v1")),
    paths(
        show,
        sessions::show, sessions::open, sessions::close,
        tokens::list, tokens::create, tokens::revoke,
        events::list, events::show, events::republish, events::test,
        commands::list, commands::check, commands::release_all, commands::show, commands::retry,
        commands::release, commands::cancel,
        quarantine::list, quarantine::show, quarantine::retry,
        apps::list, apps::put, apps::remove, apps::check,
        webhooks::list, webhooks::register, webhooks::validate, webhooks::delete,
        accounts::list, accounts::change, accounts::confirm, accounts::filters,
        accounts::put_filters,
        linking::begin, linking::invite, linking::unlink,
        health::show, health::snapshot,
        gaps::list, gaps::fill, gaps::acknowledge, costs::list, audit::list,
        persons::erase, persons::export, compliance::run,
    ),
    components(schemas(Written<'static>, FieldError)),
    modifiers(&Common)
)]
struct Described;

/// What holds for every route: its problems, and who may use it.
struct Common;

impl Modify for Common {
    fn modify(&self, document: &mut Document) {
        let components = document.components.get_or_insert_default();
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A token, with the role that a route names."))
            .build();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
        let cookie = ApiKeyValue::with_description(
            SESSION_COOKIE,
            "A login at the console. With a change goes the header x-csrf-token.",
        );
        let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(cookie));
        components.add_security_scheme("session", cookie);
        for route in super::table() {
            let item = document.paths.paths.get_mut(route.path);
            let shape = id_shape(route.path);
            if let Some(operation) = item.and_then(|item| operation(item, &route.method)) {
                describe(operation, route.role);
                shape_ids(operation, shape);
            }
        }
    }
}

/// The operation of a path by this method.
fn operation<'a>(
    item: &'a mut PathItem,
    method: &actix_web::http::Method,
) -> Option<&'a mut utoipa::openapi::path::Operation> {
    let method = match method.as_str() {
        "GET" => HttpMethod::Get,
        "POST" => HttpMethod::Post,
        "PUT" => HttpMethod::Put,
        "PATCH" => HttpMethod::Patch,
        "DELETE" => HttpMethod::Delete,
        _ => return None,
    };
    match method {
        HttpMethod::Get => item.get.as_mut(),
        HttpMethod::Post => item.post.as_mut(),
        HttpMethod::Put => item.put.as_mut(),
        HttpMethod::Patch => item.patch.as_mut(),
        HttpMethod::Delete => item.delete.as_mut(),
        _ => None,
    }
}

/// What the id in a path looks like, as a regular expression.
fn id_shape(path: &str) -> Option<&'static str> {
    let resource = path.split('/').find(|part| !part.is_empty())?;
    Some(match resource {
        "accounts" | "persons" => "^[1-9][0-9]{0,18}$",
        "commands" => "^[!-~]{1,128}$",
        "events" => "^[0-9a-f]{32}$",
        "quarantine" => "^[0-9]{1,18}$",
        "apps" => "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        "tokens" => "^[A-Za-z0-9._-]{1,64}$",
        _ => return None,
    })
}

fn shape_ids(operation: &mut utoipa::openapi::path::Operation, shape: Option<&str>) {
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter
            && parameter.parameter_in == ParameterIn::Path
            && let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema
        {
            schema.pattern = shape.map(str::to_owned);
        }
    }
}

fn describe(operation: &mut utoipa::openapi::path::Operation, role: Role) {
    let schemes = ["token", "session"];
    let needed = schemes.map(|scheme| SecurityRequirement::new(scheme, [role.name()]));
    operation.security = Some(needed.into());
    let note = format!("Needs the role `{}`.", role.name());
    let text = operation.description.take().filter(|text| !text.is_empty());
    operation.description = Some(match text {
        Some(text) => format!("{text}\n\n{note}"),
        None => note,
    });
    let schema = Ref::from_schema_name("Problem");
    let problem = ResponseBuilder::new()
        .description("A problem (RFC 9457)")
        .content(
            "application/problem+json",
            ContentBuilder::new().schema(Some(schema)).build(),
        )
        .build();
    let responses = &mut operation.responses.responses;
    responses.insert("default".to_owned(), problem.into());
}

/// The description of the API, as JSON.
pub fn document() -> String {
    // It is made of this program's own types, all of which can be written.
    Described::openapi().to_pretty_json().unwrap_or_default()
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "api", responses(
    (status = 200, description = "OpenAPI 3.1", body = serde_json::Value)
))]
pub(super) async fn show() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(document())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    fn parsed() -> Value {
        serde_json::from_str(&document()).unwrap()
    }

    fn described() -> BTreeSet<(String, String)> {
        let document = parsed();
        let paths = document["paths"].as_object().unwrap().iter();
        let operations = paths.flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().keys();
            methods.map(move |method| (method.to_uppercase(), path.clone()))
        });
        operations.collect()
    }

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let routes = super::super::table().into_iter();
        let served: BTreeSet<_> = routes
            .map(|route| (route.method.to_string(), route.path.to_owned()))
            .collect();
        assert_eq!(described(), served);
    }

    #[test]
    fn every_route_tells_its_role_its_schema_and_its_problems() {
        let document = parsed();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
        for route in super::super::table() {
            let method = route.method.as_str().to_lowercase();
            let operation = &document["paths"][route.path][&method];
            let role = route.role.name();
            assert_eq!(operation["security"][0]["token"][0], role, "{}", route.path);
            let problem = &operation["responses"]["default"]["content"];
            let schema = &problem["application/problem+json"]["schema"]["$ref"];
            assert_eq!(schema, "#/components/schemas/Problem", "{}", route.path);
            assert!(operation["operationId"].is_string());
        }
    }

    #[test]
    fn operations_have_names_of_their_own() {
        let document = parsed();
        let mut names = BTreeSet::new();
        for item in document["paths"].as_object().unwrap().values() {
            for operation in item.as_object().unwrap().values() {
                let name = operation["operationId"].as_str().unwrap();
                assert!(names.insert(name.to_owned()), "{name} is there twice");
            }
        }
    }

    /// Of two with one name, one would silently be described as the other.
    #[test]
    fn schemas_have_names_of_their_own() {
        let mut names = BTreeSet::new();
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/api");
        for file in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            let derived = text.split("#[derive(").skip(1);
            for part in derived.filter(|part| part.lines().next().unwrap().contains("ToSchema")) {
                let mut words = part.split_whitespace();
                words.find(|word| ["struct", "enum"].contains(word));
                let name = words.next().unwrap().trim_end_matches(';');
                let name = name.split(['<', '(']).next().unwrap().to_owned();
                assert!(names.insert(name.clone()), "{name} is there twice");
            }
        }
        assert!(names.contains("TokenView"), "{names:?}");
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn references(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(members) => {
                    members
                        .iter()
                        .for_each(|(name, value)| match (name.as_str(), value) {
                            ("$ref", Value::String(target)) => found.push(target.clone()),
                            (_, value) => references(value, found),
                        })
                }
                Value::Array(items) => items.iter().for_each(|it| references(it, found)),
                _ => {}
            }
        }
        let (document, mut found) = (parsed(), Vec::new());
        references(&document, &mut found);
        assert!(!found.is_empty());
        for target in found {
            let pointer = target.trim_start_matches('#');
            assert!(document.pointer(pointer).is_some(), "{target}");
        }
    }
}
