//! The request bodies: each shape once, with the limits that its reader holds (decision 003). What is made of
//! no parts that others have stands in its resource's folder.
//!
//! The readers are `protocol`'s and `kernel::rules`'; that they and these shapes say the same is what the
//! tests of this folder are for.

use protocol::{
    id::{Id, IdKind},
    limits,
    tool::BuiltinName,
};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

use super::shape::{
    self, any_text, boolean, constant, either, kept, like, list, named, null, object, one_of, optional,
    required, said, tagged, text, unserved, whole,
};
use super::web;

/// Text with something to see in it; what is blank is Unicode's word.
const NOT_BLANK: &str =
    r"[^\u0009-\u000d\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]";
/// A PNG of one pixel, and a PDF of no page.
const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const PAGE: &str = "JVBERi0xLjcKJSVFT0YK";
const BASE64: &str = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})$";
const HOST: &str = r"^(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*$";

/// The shape of a whole body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyShape {
    /// Its name among the schemas of the document.
    pub(crate) name: &'static str,
    /// It, as a JSON Schema.
    pub(crate) schema: fn() -> Value,
}

impl BodyShape {
    /// The shape of this name.
    pub(crate) const fn new(name: &'static str, schema: fn() -> Value) -> Self {
        Self { name, schema }
    }
}

pub(crate) const AGENT_CREATE: BodyShape = BodyShape::new("AgentCreateParams", agent_create);
pub(crate) const AGENT_UPDATE: BodyShape = BodyShape::new("AgentUpdateParams", agent_update);
pub(crate) const SESSION_CREATE: BodyShape = BodyShape::new("SessionCreateParams", session_create);
pub(crate) const SESSION_UPDATE: BodyShape = BodyShape::new("SessionUpdateParams", session_update);
pub(crate) const EVENTS_SEND: BodyShape = BodyShape::new("EventsSendParams", events_send);

/// Every shape that bodies have in common, by its name.
pub(super) fn shared() -> Vec<(&'static str, Value)> {
    let mut shapes = vec![
        ("ExecutionIdentityParams", tagged("service_account", [])),
        ("MetadataParams", metadata(&json!("string"), Some(limits::METADATA_PAIRS))),
        ("MetadataPatchParams", metadata(&json!(["string", "null"]), None)),
        ("ModelParams", model()),
        ("RosterParams", roster()),
        ("ToolParams", either([custom_tool(), toolset()])),
        (
            "ToolDefaultParams",
            object([optional("enabled", boolean()), optional("permission_policy", named("PolicyParams"))]),
        ),
        ("PolicyParams", either([tagged("always_allow", []), tagged("always_ask", [])])),
        ("EnvironmentConfigParams", config()),
        ("SessionAgentParams", session_agent()),
    ];
    shapes.extend(events());
    shapes
}

fn events_send() -> Value {
    object([required("events", list(1, limits::EVENTS_PER_REQUEST, named("ClientEventParams")))])
}

/// The id of one `K`, as Heddle writes it. It reads other spellings as well.
fn id<K: IdKind>() -> Value {
    Id::<K>::json_schema(&mut SchemaGenerator::default()).to_value()
}

/// What creating and changing an agent take alike.
fn agent_rest() -> Vec<shape::ShapeField> {
    vec![
        optional("description", text(0, limits::DESCRIPTION_CHARS)),
        optional("system", text(0, limits::SYSTEM_CHARS)),
        optional("tools", list(0, limits::TOOLS, named("ToolParams"))),
        optional("multiagent", named("RosterParams")),
        optional("mcp_servers", unserved()),
        optional("skills", unserved()),
        optional("execution_identity", named("ExecutionIdentityParams")),
    ]
}

fn agent_create() -> Value {
    let first = [required("name", text(1, limits::NAME_CHARS)), required("model", named("ModelParams"))];
    let last = [shape::metadata()];
    object(first.into_iter().chain(agent_rest()).chain(last))
}

fn agent_update() -> Value {
    let version = said(whole(1, u64::MAX), "The version that the change is made to; another one is a 409.");
    let first = [
        optional("version", version),
        kept("name", text(1, limits::NAME_CHARS)),
        kept("model", named("ModelParams")),
    ];
    let last = [shape::metadata_patch()];
    object(first.into_iter().chain(agent_rest()).chain(last))
}

fn config() -> Value {
    let managers = ["apt", "cargo", "gem", "go", "npm", "pip"].map(|manager| optional(manager, unserved()));
    let packages = object(std::iter::once(optional("type", constant("packages"))).chain(managers));
    let host = like(text(1, limits::DOMAIN_CHARS), HOST, &["example.com", "*.example.com"]);
    let limited = tagged(
        "limited",
        [
            optional("allow_mcp_servers", boolean()),
            optional("allow_package_managers", boolean()),
            optional("allowed_hosts", list(0, limits::ALLOWED_HOSTS, host)),
        ],
    );
    let networking = either([tagged("unrestricted", []), limited]);
    tagged("cloud", [optional("networking", networking), optional("packages", packages)])
}

fn metadata(value: &Value, pairs: Option<usize>) -> Value {
    let mut shape = json!({
        "type": "object",
        "propertyNames": {"minLength": 1, "maxLength": limits::METADATA_KEY_CHARS},
        "additionalProperties": {"type": value, "maxLength": limits::METADATA_VALUE_CHARS},
    });
    if let Some(pairs) = pairs {
        shape["maxProperties"] = json!(pairs);
    }
    shape
}

fn model() -> Value {
    let mut id = text(1, limits::MODEL_CHARS);
    id["format"] = json!("model-id");
    let id = said(id, "A model that a route of this server answers for; `GET /v1/models` lists them.");
    let whole = object([
        required("id", id.clone()),
        optional("effort", said(tagged("high", []), "As answers show it; no other is supported yet.")),
        optional("inference_geo", said(null(), "Not supported yet.")),
        optional("speed", one_of(&["standard"])),
    ]);
    either([id, whole])
}

fn roster() -> Value {
    let member = tagged("agent", [required("id", agent_id()), optional("version", whole(1, u64::MAX))]);
    let entry = either([agent_id(), member, tagged("self", [])]);
    tagged("coordinator", [required("agents", list(1, limits::ROSTER, entry))])
}

fn agent_id() -> Value {
    id::<protocol::id::Agent>()
}

fn custom_tool() -> Value {
    let mut name = like(text(1, limits::TOOL_NAME_CHARS), "^[A-Za-z0-9_-]+$", &["look_up", "send-mail"]);
    name["not"] = json!({"anyOf": [{"enum": BuiltinName::NAMES}, {"pattern": "^(mcp|ant)__"}]});
    tagged(
        "custom",
        [
            required("name", name),
            required("description", text(1, limits::TOOL_DESCRIPTION_CHARS)),
            required("input_schema", input_schema()),
        ],
    )
}

fn input_schema() -> Value {
    let description =
        "A JSON Schema of an object. No `$ref` anywhere, and none of oneOf, anyOf and allOf at its top.";
    let names = json!({"pattern": format!("^[A-Za-z0-9_.-]{{1,{}}}$", limits::PROPERTY_NAME_CHARS)});
    json!({
        "type": "object",
        "description": description,
        "properties": {
            "type": constant("object"),
            "properties": {"type": ["object", "null"], "propertyNames": names},
            "oneOf": false, "anyOf": false, "allOf": false,
        },
        "required": ["type"],
    })
}

fn toolset() -> Value {
    let config = |tool: &BuiltinName| {
        let switches = [optional("enabled", boolean()), optional("permission_policy", named("PolicyParams"))];
        let name = [required("name", constant(tool.name())), optional("type", constant(tool.name()))];
        let plain = name.into_iter().chain(switches);
        web::of(*tool).into_iter().map(move |limits| object(plain.clone().chain(limits)))
    };
    tagged(
        "agent_toolset_20260401",
        [
            optional("default_config", named("ToolDefaultParams")),
            optional("configs", list(0, limits::TOOLS, either(BuiltinName::ALL.iter().flat_map(config)))),
        ],
    )
}

fn session_create() -> Value {
    object([
        required("agent", named("SessionAgentParams")),
        required("environment_id", id::<protocol::id::Environment>()),
        optional("title", text(0, limits::NAME_CHARS)),
        shape::metadata(),
        optional("resources", unserved()),
        optional("vault_ids", unserved()),
        optional("budget", said(null(), "Not supported yet.")),
        optional("initial_events", list(0, limits::INITIAL_EVENTS, named("UserMessageParams"))),
    ])
}

fn session_update() -> Value {
    let tools = optional("tools", list(0, limits::TOOLS, named("ToolParams")));
    object([
        optional("title", text(0, limits::NAME_CHARS)),
        shape::metadata_patch(),
        optional("vault_ids", unserved()),
        optional("budget", said(null(), "Not supported yet.")),
        optional("agent", object([tools, optional("mcp_servers", unserved())])),
    ])
}

fn session_agent() -> Value {
    let which = || [required("id", agent_id()), optional("version", whole(1, u64::MAX))];
    let overrides = [
        kept("model", named("ModelParams")),
        optional("system", text(0, limits::SYSTEM_CHARS)),
        optional("tools", list(0, limits::TOOLS, named("ToolParams"))),
        optional("mcp_servers", unserved()),
        optional("skills", unserved()),
    ];
    let with_overrides = tagged("agent_with_overrides", which().into_iter().chain(overrides));
    either([agent_id(), tagged("agent", which()), with_overrides])
}

/// The events that a client sends, and what they hold.
fn events() -> Vec<(&'static str, Value)> {
    let message = list(1, limits::CONTENT_BLOCKS, named("MessageBlockParams"));
    let result = list(0, limits::CONTENT_BLOCKS, named("ResultBlockParams"));
    let call = || id::<protocol::id::Event>();
    let echoed =
        || optional("session_thread_id", json!({"description": "Not looked at: the call's id says it."}));
    let verdict = |verdict: &str, reason: Value| {
        let fields = [
            required("tool_use_id", call()),
            required("result", constant(verdict)),
            optional("deny_message", reason),
            echoed(),
        ];
        tagged("user.tool_confirmation", fields)
    };
    let custom_result = tagged(
        "user.custom_tool_result",
        [
            required("custom_tool_use_id", call()),
            optional("content", result),
            optional("is_error", boolean()),
            echoed(),
        ],
    );
    let interrupt = tagged("user.interrupt", [optional("session_thread_id", id::<protocol::id::Thread>())]);
    let client = [
        named("UserMessageParams"),
        interrupt,
        verdict("allow", null()),
        verdict("deny", any_text()),
        custom_result,
    ];
    vec![
        ("ClientEventParams", either(client)),
        ("UserMessageParams", tagged("user.message", [required("content", message)])),
        (
            "MessageBlockParams",
            either([text_block(like(any_text(), NOT_BLANK, &["Hello!"])), image(), document()]),
        ),
        ("ResultBlockParams", either([text_block(any_text()), image(), document(), search_result()])),
    ]
}

fn text_block(text: Value) -> Value {
    tagged("text", [required("text", text)])
}

fn base64(media_types: &[&str], example: &str) -> Value {
    let mut data = like(json!({"type": "string", "minLength": 4}), BASE64, &[example]);
    data["contentEncoding"] = json!("base64");
    tagged("base64", [required("data", data), required("media_type", one_of(media_types))])
}

fn url() -> Value {
    tagged(
        "url",
        [required("url", like(text(1, limits::URL_CHARS), "^https?://", &["https://example.com/a.png"]))],
    )
}

fn image() -> Value {
    let source = either([base64(&["image/jpeg", "image/png", "image/gif", "image/webp"], PIXEL), url()]);
    tagged("image", [required("source", source)])
}

fn document() -> Value {
    let plain =
        tagged("text", [required("data", any_text()), required("media_type", constant("text/plain"))]);
    tagged(
        "document",
        [
            required("source", either([base64(&["application/pdf"], PAGE), plain, url()])),
            optional("title", any_text()),
            optional("context", any_text()),
        ],
    )
}

fn search_result() -> Value {
    tagged(
        "search_result",
        [
            required("citations", object([required("enabled", boolean())])),
            required("content", list(1, limits::CONTENT_BLOCKS, text_block(any_text()))),
            required("source", any_text()),
            required("title", any_text()),
        ],
    )
}
