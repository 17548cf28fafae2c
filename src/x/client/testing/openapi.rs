//! X's own specification, and a validator that nobody here wrote.

use std::path::{Path, PathBuf};

use jsonschema::{Draft, Validator};
use serde_json::{Map, Value, json};

use super::Recorded;

/// X's OpenAPI document, closed: an object with named properties has no others.
pub(in crate::x::client) struct OpenApi(Value);

impl OpenApi {
    /// `None` where the document is not on this machine.
    pub(in crate::x::client) fn load() -> Option<Self> {
        let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .map(|folder| folder.join("../shared/x-api/openapi.json"))
            .find(|path| path.exists())?;
        let mut document = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        close(&mut document);
        Some(Self(document))
    }

    /// Everything that is wrong with a request; empty for a valid one.
    pub(in crate::x::client) fn faults(&self, request: &Recorded) -> Vec<String> {
        let Some((operation, path)) = self.operation(request) else {
            return vec![format!("{}: no such operation", request.line())];
        };
        let parameters = self.parameters(operation);
        let mut faults = self.path_faults(&parameters, &path);
        faults.extend(self.query_faults(&parameters, &request.query));
        faults.extend(self.body_faults(operation, request));
        faults.extend(security_faults(operation, request));
        let line = request.line();
        faults.iter().map(|it| format!("{line}: {it}")).collect()
    }

    /// The operation with this method whose path fits, the one with fewest parameters first, and
    /// the values of those.
    fn operation(&self, request: &Recorded) -> Option<(&Value, Vec<(String, String)>)> {
        let paths = self.0["paths"].as_object().unwrap();
        let fitting = paths.iter().filter_map(|(template, methods)| {
            let operation = methods.get(request.method.to_lowercase())?;
            Some((operation, fit(template, &request.path)?))
        });
        fitting.min_by_key(|(_, values)| values.len())
    }

    fn parameters<'a>(&'a self, operation: &'a Value) -> Vec<&'a Value> {
        let listed = operation["parameters"].as_array();
        let listed = listed.into_iter().flatten();
        listed.map(|parameter| self.resolved(parameter)).collect()
    }

    fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => self.0.pointer(reference.trim_start_matches('#')).unwrap(),
            None => value,
        }
    }

    fn path_faults(&self, parameters: &[&Value], values: &[(String, String)]) -> Vec<String> {
        let check = |(name, value): &(String, String)| {
            let found = parameters
                .iter()
                .find(|it| it["in"] == "path" && it["name"] == **name);
            let schema = &found.expect("a parameter for each part of the template")["schema"];
            self.schema_faults(schema, &json!(value))
        };
        values.iter().flat_map(check).collect()
    }

    fn query_faults(&self, parameters: &[&Value], query: &[(String, String)]) -> Vec<String> {
        let known: Vec<_> = parameters.iter().filter(|it| it["in"] == "query").collect();
        let mut faults = Vec::new();
        for (name, value) in query {
            match known.iter().find(|it| it["name"] == **name) {
                Some(it) => {
                    let value = self.value_of(&it["schema"], value);
                    let found = self.schema_faults(&it["schema"], &value);
                    faults.extend(found.iter().map(|fault| format!("{name}: {fault}")));
                }
                None => faults.push(format!("unknown query parameter {name}")),
            }
        }
        let is_missing = |it: &&&&Value| {
            it["required"] == true && !query.iter().any(|(name, _)| it["name"] == **name)
        };
        let missing = known.iter().filter(is_missing);
        faults.extend(missing.map(|it| format!("missing query parameter {}", it["name"])));
        faults
    }

    /// As the style `form` without `explode` writes it.
    fn value_of(&self, schema: &Value, text: &str) -> Value {
        match self.resolved(schema)["type"].as_str() {
            Some("array") => text.split(',').collect(),
            Some("integer") => text
                .parse::<i64>()
                .map_or_else(|_| json!(text), |it| json!(it)),
            Some("boolean") => text
                .parse::<bool>()
                .map_or_else(|_| json!(text), |it| json!(it)),
            _ => json!(text),
        }
    }

    fn body_faults(&self, operation: &Value, request: &Recorded) -> Vec<String> {
        let media_type = request.header("content-type").split(';').next().unwrap();
        let content = &operation["requestBody"]["content"];
        if content.is_null() {
            let none = request.body.is_empty() && media_type.is_empty();
            return if none {
                vec![]
            } else {
                vec!["a body where none belongs".to_owned()]
            };
        }
        let schema = &content[media_type]["schema"];
        if schema.is_null() {
            return vec![format!("no body of type {media_type:?} belongs here")];
        }
        let body = match media_type {
            "multipart/form-data" => self.multipart(schema, request),
            _ => serde_json::from_slice(&request.body).unwrap(),
        };
        self.schema_faults(schema, &body)
    }

    /// The parts as properties.
    fn multipart(&self, schema: &Value, request: &Recorded) -> Value {
        let properties = &self.resolved(schema)["properties"];
        let parts = parts(request).into_iter().map(|(name, content)| {
            let text = String::from_utf8_lossy(&content).into_owned();
            let value = self.value_of(&properties[&name], &text);
            (name, value)
        });
        parts.collect::<Map<_, _>>().into()
    }

    fn schema_faults(&self, schema: &Value, value: &Value) -> Vec<String> {
        let errors = self.validator(schema);
        let errors = errors.iter_errors(value);
        errors
            .map(|error| format!("{error} at {}", error.instance_path()))
            .collect()
    }

    /// OpenAPI 3.0 has the schemas of draft 4, but for `nullable`, which no request uses.
    fn validator(&self, schema: &Value) -> Validator {
        let whole = json!({"allOf": [schema], "components": self.0["components"]});
        let options = jsonschema::options().with_draft(Draft::Draft4);
        options.should_validate_formats(true).build(&whole).unwrap()
    }
}

/// The parts of a multipart body by their names.
pub(in crate::x::client) fn parts(request: &Recorded) -> Vec<(String, Vec<u8>)> {
    let (_, boundary) = request
        .header("content-type")
        .split_once("boundary=")
        .unwrap();
    let separator = format!("--{boundary}").into_bytes();
    let body = &request.body;
    let starts = |at: &usize| body[*at..].starts_with(&separator);
    let places: Vec<_> = (0..body.len()).filter(starts).collect();
    let between = places
        .windows(2)
        .map(|pair| &body[pair[0] + separator.len() + 2..pair[1] - 2]);
    between.map(part).collect()
}

fn part(bytes: &[u8]) -> (String, Vec<u8>) {
    let head = bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let headers = std::str::from_utf8(&bytes[..head]).unwrap();
    let (_, name) = headers.split_once("name=\"").unwrap();
    let (name, _) = name.split_once('"').unwrap();
    (name.to_owned(), bytes[head + 4..].to_vec())
}

/// The values of a template's parameters; `None` if the path does not fit.
fn fit(template: &str, path: &str) -> Option<Vec<(String, String)>> {
    let (wanted, found): (Vec<_>, Vec<_>) =
        (template.split('/').collect(), path.split('/').collect());
    let mut values = Vec::new();
    for (wanted, found) in wanted.iter().zip(&found) {
        match wanted
            .strip_prefix('{')
            .and_then(|name| name.strip_suffix('}'))
        {
            Some(name) => values.push((name.to_owned(), (*found).to_owned())),
            None if wanted == found => {}
            None => return None,
        }
    }
    (wanted.len() == found.len()).then_some(values)
}

/// Whether X takes this kind of credential for it.
fn security_faults(operation: &Value, request: &Recorded) -> Option<String> {
    let kinds: &[&str] = match request.header("authorization").split(' ').next() {
        Some("OAuth") => &["UserToken"],
        Some("Bearer") => &["OAuth2UserToken", "BearerToken"],
        _ => &[],
    };
    let allowed = operation["security"].as_array().unwrap().iter();
    let mut allowed = allowed.flat_map(|it| it.as_object().unwrap().keys());
    let fits = allowed.any(|kind| kinds.contains(&&**kind));
    (!fits).then(|| "no credential of a kind that X takes".to_owned())
}

/// Forbids properties that are not named, where the document is silent about them.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            let is_object = members.get("properties").is_some_and(Value::is_object);
            if is_object && members.get("type") == Some(&json!("object")) {
                members
                    .entry("additionalProperties")
                    .or_insert(json!(false));
            }
            members.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}
