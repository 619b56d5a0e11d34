//! The paths of the document: each operation with what it takes, answers and refuses.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use protocol::{WorkspaceId, id, limits};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::shape::named;
use crate::{
    operation::{Face, GoodAnswer, Method, Operation, OperationBody},
    routes::{self, own},
};

/// What a status means here.
const REFUSALS: [(u16, &str); 9] = [
    (
        400,
        "The request is wrong, or the state of things does not allow it: the message begins with the field.",
    ),
    (401, "No API key, or one that is unknown or revoked."),
    (404, "There is no such thing, or the workspace that is named is not the key's."),
    (
        409,
        "A name that is taken, a version that is not the current one, something that is in use, or an \
         `Idempotency-Key` that came with another request.",
    ),
    (413, "The body is too large."),
    (
        429,
        "Too much waits in the session's queue, or of this key's bodies and answers as many bytes are under way \
         as may be: `retry-after` says when to come again.",
    ),
    (500, "The server failed; its log says why."),
    (501, "This operation of the API is not supported yet."),
    (
        529,
        "The server is stopping, or as many bytes of bodies and answers are under way as may be: `retry-after` \
         says when to come again.",
    ),
];

/// Every path with its operations.
pub(super) fn all() -> Map<String, Value> {
    let mut paths = Map::new();
    let mut add = |method: &str, path: &str, operation: Value| {
        let known = paths.entry(path).or_insert_with(|| json!({}));
        known[method.to_lowercase()] = operation;
    };
    let (served, not_built): (Vec<_>, Vec<_>) = routes::operations().partition(|it| it.is_served());
    for operation in served {
        add(operation.method.as_str(), operation.path, self::served(operation));
    }
    for door in own::DOORS {
        add("GET", door.path, own_door(door));
    }
    for operation in not_built {
        add(operation.method.as_str(), operation.path, self::not_built(operation));
    }
    paths
}

/// The tags, in the order of the paths.
pub(super) fn tags() -> Vec<Value> {
    let names = routes::operations().map(tag);
    let mut seen = BTreeSet::new();
    names.filter(|name| seen.insert(*name)).map(|name| json!({"name": name})).collect()
}

/// What an operation belongs to: the innermost resource that is served on its own.
fn tag(operation: &Operation) -> &'static str {
    match operation.face {
        Face::Heddle => "heddle",
        Face::Claude => {
            let inner = ["sessions.events", "sessions.threads"];
            let inside = inner.iter().find(|inner| operation.name.starts_with(**inner));
            inside.copied().or_else(|| operation.name.split('.').next()).unwrap_or_default()
        }
    }
}

fn served(operation: &Operation) -> Value {
    let mut written = json!({
        "operationId": operation.name,
        "tags": [tag(operation)],
        "summary": sentence(operation.summary),
    });
    let mut parameters = of_path(operation.path);
    parameters.extend(operation.query.iter().map(super::queries::QueryParameter::written));
    parameters.push(parameter("beta"));
    if matches!(operation.answer, GoodAnswer::Stream) {
        parameters.push(parameter("last-event-id"));
    }
    parameters.push(parameter("workspace"));
    written["parameters"] = json!(parameters);
    if let OperationBody::Needed(shape) | OperationBody::Welcome(shape) = operation.body {
        written["requestBody"] = json!({
            "required": matches!(operation.body, OperationBody::Needed(_)),
            "content": {"application/json": {"schema": named(shape.name)}},
        });
    }
    let mut statuses: BTreeSet<u16> =
        operation.refusals.iter().copied().chain([400, 401, 404, 429, 500, 529]).collect();
    statuses.extend(with_a_body(operation.method));
    if operation.method == Method::Post {
        statuses.extend([400, 409]);
    }
    written["responses"] = responses(good(operation.answer), statuses);
    written
}

/// What a request may be refused with for its body.
fn with_a_body(method: Method) -> Option<u16> {
    match method {
        Method::Get => None,
        Method::Post | Method::Delete => Some(413),
    }
}

fn not_built(operation: &Operation) -> Value {
    let mut parameters = of_path(operation.path);
    parameters.push(parameter("workspace"));
    let mut statuses: BTreeSet<u16> = [400, 401, 404, 500, 501].into();
    statuses.extend(with_a_body(operation.method));
    json!({
        "operationId": operation.name,
        "tags": [tag(operation)],
        "summary": sentence(operation.summary),
        "x-heddle-status": "not-built",
        "parameters": parameters,
        "responses": responses(None, statuses),
    })
}

fn own_door(door: &own::OwnRoute) -> Value {
    let content = match door.kind {
        "application/json" => json!({"application/json": {"schema": {"type": "object"}}}),
        kind => json!({kind: {"schema": {"type": "string"}}}),
    };
    let good = json!({"description": door.answer, "headers": own_headers(), "content": content});
    let mut written =
        json!({"operationId": door.name, "tags": ["heddle"], "summary": sentence(door.summary)});
    // Without a key as well: for the document from everywhere, for the others from the same machine.
    written["security"] = if door.public { json!([]) } else { json!([{}, {"key": []}, {"bearer": []}]) };
    let mut refusals: BTreeSet<u16> = door.refusals.iter().copied().chain([400, 500]).collect();
    if !door.public {
        refusals.extend([401, 404]);
    }
    written["responses"] = responses(Some(good), refusals);
    if door.public && door.kind == "application/json" {
        written["parameters"] = json!([{
            "name": "if-none-match", "in": "header", "schema": {"type": "string"},
            "description": "The `etag` of the document that the client has.",
        }]);
        written["responses"]["200"]["headers"]["etag"] =
            json!({"schema": {"type": "string"}, "description": "Names this document."});
        written["responses"]["304"] =
            json!({"description": "The client has this document.", "headers": own_headers()});
    }
    written
}

fn good(answer: GoodAnswer) -> Option<Value> {
    let (about, schema) = match answer {
        GoodAnswer::One(of) => ("As it is now.", named(&(of.name)())),
        GoodAnswer::Page(of) => ("One page.", named(&format!("{}Page", (of.name)()))),
        GoodAnswer::Sent => {
            let data = json!({"type": "array", "items": named("Event")});
            (
                "The events as they were taken.",
                json!({"type": "object", "properties": {"data": data}, "required": ["data"]}),
            )
        }
        GoodAnswer::Gone(tag) => {
            let properties = json!({"id": {"type": "string"}, "type": {"type": "string", "const": tag}});
            ("What is gone.", json!({"type": "object", "properties": properties, "required": ["id", "type"]}))
        }
        GoodAnswer::Object => ("The request's body, as the provider was sent it.", json!({"type": "object"})),
        GoodAnswer::Stream => return Some(stream()),
        GoodAnswer::Nothing => return None,
    };
    Some(json!({
        "description": about,
        "headers": own_headers(),
        "content": {"application/json": {"schema": schema}},
    }))
}

fn stream() -> Value {
    let about = "Server-sent events. Each has the event `message` and one `data` line that holds a StreamEvent; \
                 what moves the reader's place has its id as `id`. A comment comes when nothing else does.";
    let mut headers = own_headers();
    for (name, says) in [("cache-control", "no-cache, no-transform"), ("x-accel-buffering", "no")] {
        headers[name] = json!({"required": true, "schema": {"type": "string", "const": says}});
    }
    let id = id::Id::<id::Event>::json_schema(&mut SchemaGenerator::default());
    let data = json!({
        "type": "string", "contentMediaType": "application/json", "contentSchema": named("StreamEvent"),
    });
    // One event of the stream: the way in which OpenAPI 3.2 has them, and tools for 3.1 as well.
    let schema = json!({
        "type": "object",
        "properties": {"event": {"type": "string", "const": "message"}, "id": id, "data": data},
        "required": ["event", "data"],
    });
    json!({"description": about, "headers": headers, "content": {"text/event-stream": {"schema": schema}}})
}

fn responses(good: Option<Value>, refusals: BTreeSet<u16>) -> Value {
    let good = good.map(|good| ("200".to_owned(), good));
    let refused =
        |status: u16| (status.to_string(), json!({"$ref": format!("#/components/responses/{status}")}));
    good.into_iter().chain(refusals.into_iter().map(refused)).collect::<Map<_, _>>().into()
}

/// Every refusal, for the components.
pub(super) fn refusals() -> Map<String, Value> {
    let refusal = |(status, about): (u16, &str)| {
        let content = json!({"application/json": {"schema": named("ErrorBody")}});
        let mut headers = own_headers();
        headers["x-should-retry"] = json!({
            "description": "Whether another try may help, where the status alone would mislead.",
            "schema": {"type": "string", "enum": ["true", "false"]},
        });
        (status.to_string(), json!({"description": about, "headers": headers, "content": content}))
    };
    REFUSALS.into_iter().map(refusal).collect()
}

const HEADERS: [(&str, &str, &str); 3] = [
    ("request-id", "RequestId", "The request's id, the same as in an error's body."),
    ("anthropic-organization-id", "Organization", "The server's organization."),
    ("anthropic-workspace-id", "Workspace", "The workspace that the key belongs to."),
];

/// The headers that every answer carries.
fn own_headers() -> Value {
    let header = |(name, component, _): (&str, &str, &str)| {
        (name.to_owned(), json!({"$ref": format!("#/components/headers/{component}")}))
    };
    HEADERS.map(header).into_iter().collect::<Map<_, _>>().into()
}

/// The same, for the components.
pub(super) fn headers() -> Map<String, Value> {
    let generator = &mut SchemaGenerator::default();
    let schemas = [
        id::Id::<id::Request>::json_schema(generator).to_value(),
        json!({"type": "string", "format": "uuid"}),
        WorkspaceId::json_schema(generator).to_value(),
    ];
    let header = |((_, component, about), schema): ((&str, &str, &str), Value)| {
        (component.to_owned(), json!({"description": about, "required": true, "schema": schema}))
    };
    HEADERS.into_iter().zip(schemas).map(header).collect()
}

/// The parameters that many operations take.
pub(super) fn shared_parameters() -> Map<String, Value> {
    let generator = &mut SchemaGenerator::default();
    let mut shared = Map::new();
    let workspace = json!({
        "name": "anthropic-workspace-id", "in": "header",
        "description": "The workspace that the caller means. It may be left out; another than the key's is a 404.",
        "schema": WorkspaceId::json_schema(generator).to_value(),
    });
    let last = json!({
        "name": "last-event-id", "in": "header",
        "description": "Goes on behind this event.",
        "schema": id::Id::<id::Event>::json_schema(generator).to_value(),
    });
    let beta = json!({
        "name": "beta", "in": "query",
        "description": "What the SDKs send with every request; it chooses nothing.",
        "schema": {"type": "string"},
    });
    shared.insert("workspace".into(), workspace);
    shared.insert("beta".into(), beta);
    shared.insert("last-event-id".into(), last);
    for (name, schema) in PATH_SCHEMAS.iter() {
        shared
            .insert((*name).into(), json!({"name": name, "in": "path", "required": true, "schema": schema}));
    }
    shared
}

/// What stands in the paths of what is served, by its name; what is not known here is any text.
static PATH_SCHEMAS: LazyLock<Vec<(&str, Value)>> = LazyLock::new(|| {
    let generator = &mut SchemaGenerator::default();
    let served = routes::operations().filter(|operation| operation.is_served());
    let mut seen = BTreeSet::new();
    let names = served.flat_map(|operation| names(operation.path)).filter(|name| seen.insert(*name));
    let mut known = Vec::new();
    for name in names {
        if let Some(schema) = id::described(name, generator) {
            known.push((name, schema.to_value()));
        } else if name == "model_id" {
            let most = limits::MODEL_CHARS;
            let schema = json!({"type": "string", "minLength": 1, "maxLength": most, "format": "model-id"});
            known.push((name, schema));
        }
    }
    known
});

/// The names of the parameters in a path.
fn names(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

/// The parameters in a path; those of resources that Heddle does not have are any text.
fn of_path(path: &'static str) -> Vec<Value> {
    names(path)
        .map(|name| {
            if PATH_SCHEMAS.iter().any(|(known, _)| *known == name) {
                parameter(name)
            } else {
                json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "minLength": 1}})
            }
        })
        .collect()
}

fn parameter(name: &str) -> Value {
    json!({"$ref": format!("#/components/parameters/{name}")})
}

/// The text with a large first letter.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
