//! Lives of agents under dice: how one is made, and what is asked of it afterwards.

use proptest::{collection, option, prelude::*, sample};
use serde_json::{Map, Value, json};

/// How many other agents a roster may name, and the versions that each of them has.
pub(crate) const OTHERS: usize = 3;
/// See [`OTHERS`].
pub(crate) const VERSIONS: u64 = 2;

/// One life.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// How the agent is made.
    pub(crate) create: Draft,
    /// What is asked of it, in order.
    pub(crate) steps: Vec<Step>,
}

/// Something that is asked of an agent.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// A change, seen from a version so far from the current one.
    Update(Draft, Seen),
    /// The fields of the last answer, sent back.
    Echo(Vec<&'static str>),
    /// The last change once more.
    Again,
    /// No more changes.
    Archive,
}

/// Which version a client says it has seen.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Seen {
    /// It says nothing.
    Absent,
    /// It says nothing, aloud.
    Null,
    /// The current one.
    Current,
    /// One that will be.
    Ahead,
    /// One that was, if there is one.
    Behind,
}

/// A body, with the ids still to be filled in.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    fields: Map<String, Value>,
    roster: Roster,
}

/// What a body says about the roster.
#[derive(Debug, Clone)]
enum Roster {
    /// Nothing.
    Absent,
    /// That there is none.
    Null,
    /// Whom it names.
    Names(Vec<Entry>),
}

/// An entry of a roster.
#[derive(Debug, Clone, Copy)]
enum Entry {
    /// Another agent in a version; its id alone without one.
    Other(usize, Option<u64>),
    /// The agent itself.
    Own,
}

/// The fields that an answer holds and an update takes.
pub(crate) const FIELDS: [&str; 11] = [
    "version",
    "name",
    "description",
    "model",
    "system",
    "tools",
    "mcp_servers",
    "skills",
    "multiagent",
    "execution_identity",
    "metadata",
];

impl Draft {
    /// The body, where `others` are the ids that rosters name.
    pub(crate) fn body(&self, others: &[Value]) -> Map<String, Value> {
        let mut body = self.fields.clone();
        let entry = |entry: &Entry| match entry {
            Entry::Other(place, None) => others[*place].clone(),
            Entry::Other(place, version) => {
                json!({"type": "agent", "id": others[*place], "version": version})
            }
            Entry::Own => json!({"type": "self"}),
        };
        let roster = match &self.roster {
            Roster::Absent => return body,
            Roster::Null => Value::Null,
            Roster::Names(entries) => {
                let agents: Vec<_> = entries.iter().map(entry).collect();
                json!({"type": "coordinator", "agents": agents})
            }
        };
        body.insert("multiagent".into(), roster);
        body
    }
}

impl Seen {
    /// Says it in `body`, where the current version is `now`.
    pub(crate) fn say(self, body: &mut Map<String, Value>, now: u64) {
        let version = match self {
            Self::Absent => return,
            Self::Null => Value::Null,
            Self::Current => json!(now),
            Self::Ahead => json!(now + 1),
            Self::Behind => json!(now.saturating_sub(1).max(1)),
        };
        body.insert("version".into(), version);
    }
}

/// A life of up to eight steps.
pub(crate) fn life() -> impl Strategy<Value = Plan> {
    let archive = || Step::Archive;
    let seen = sample::select(vec![
        Seen::Absent,
        Seen::Absent,
        Seen::Null,
        Seen::Current,
        Seen::Ahead,
        Seen::Behind,
    ]);
    let step = prop_oneof![
        6 => (draft(false), seen).prop_map(|(draft, seen)| Step::Update(draft, seen)),
        2 => sample::subsequence(FIELDS.to_vec(), 0..=FIELDS.len()).prop_map(Step::Echo),
        1 => Just(Step::Echo(FIELDS.to_vec())),
        1 => Just(Step::Again),
    ];
    let ends = prop_oneof![
        3 => Just(Vec::new()),
        1 => draft(false).prop_map(move |draft| vec![archive(), Step::Update(draft, Seen::Ahead), archive()]),
    ];
    (draft(true), collection::vec(step, 0..8), ends).prop_map(|(create, mut steps, ends)| {
        steps.extend(ends);
        Plan { create, steps }
    })
}

/// A field that is left out, null, or a value.
fn given(value: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Option<Value>> {
    prop_oneof![2 => Just(None), 1 => Just(Some(Value::Null)), 3 => value.prop_map(Some)].boxed()
}

/// A field that is left out or a value.
fn maybe(value: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Option<Value>> {
    option::of(value).boxed()
}

fn text() -> impl Strategy<Value = Value> + 'static {
    sample::select(vec!["", "a", "b", " ", "ä\u{0}\n", "e\u{301}", "𐐷"]).prop_map(Value::from)
}

fn draft(new: bool) -> BoxedStrategy<Draft> {
    let name =
        sample::select(vec!["n".to_owned(), "m".into(), " ".into(), "é".repeat(256)]).prop_map(Value::from);
    let model = prop_oneof![
        sample::select(vec![json!("test-1"), json!("test-2"), json!({"id": "test-1"})]),
        sample::select(vec![
            json!({"id": "test-2", "effort": null, "inference_geo": null, "speed": "standard"}),
            json!({"id": "test-1", "speed": null}),
            json!({"id": "test-1", "effort": {"type": "high"}, "inference_geo": null, "speed": "standard"}),
        ]),
    ];
    let (name, model) = if new {
        (name.prop_map(Some).boxed(), model.prop_map(Some).boxed())
    } else {
        (maybe(name), maybe(model))
    };
    let value = if new { sample::select(vec![json!(""), json!("1")]).boxed() } else { metadata_value() };
    let key = sample::select(vec!["a", "b", "c", "ключ", "🗝"]).prop_map(String::from);
    let metadata = collection::btree_map(key, value, 0..4).prop_map(|pairs| json!(pairs));
    let identity = sample::select(vec![json!({"type": "service_account"})]);
    let fields = (
        (name, model, given(text()), given(text())),
        (given(tools()), given(metadata), given(identity), given(Just(json!([]))), given(Just(json!([])))),
    );
    let roster = prop_oneof![
        3 => Just(Roster::Absent),
        1 => Just(Roster::Null),
        2 => roster().prop_map(Roster::Names),
    ];
    (fields, roster)
        .prop_map(
            |(((name, model, description, system), (tools, metadata, identity, servers, skills)), roster)| {
                let fields = [
                    ("name", name),
                    ("model", model),
                    ("description", description),
                    ("system", system),
                    ("tools", tools),
                    ("metadata", metadata),
                    ("execution_identity", identity),
                    ("mcp_servers", servers),
                    ("skills", skills),
                ];
                let fields = fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
                Draft { fields: fields.collect(), roster }
            },
        )
        .boxed()
}

fn metadata_value() -> BoxedStrategy<Value> {
    sample::select(vec![json!(""), json!("1"), json!("2"), Value::Null, Value::Null]).boxed()
}

fn roster() -> impl Strategy<Value = Vec<Entry>> {
    let others = sample::subsequence((0..OTHERS).collect::<Vec<_>>(), 0..=OTHERS);
    let versions = collection::vec(option::of(1..=VERSIONS), OTHERS);
    (others, versions, any::<bool>()).prop_map(|(others, versions, own)| {
        let mut entries: Vec<_> = others.iter().map(|place| Entry::Other(*place, versions[*place])).collect();
        if own || entries.is_empty() {
            entries.push(Entry::Own);
        }
        entries
    })
}

fn tools() -> impl Strategy<Value = Value> {
    let customs = sample::subsequence(vec!["look_up", "weigh", "A-1"], 0..=3);
    let schema = sample::select(vec![
        json!({"type": "object"}),
        json!({"type": "object", "properties": {"b": {}, "a.b-c": {"type": "string"}}, "x": [null, 1.5]}),
    ]);
    (customs, schema, option::of(toolset()), any::<sample::Index>()).prop_map(
        |(customs, schema, toolset, place)| {
            let named =
                |name| json!({"type": "custom", "name": name, "description": "d", "input_schema": schema});
            let mut tools: Vec<_> = customs.into_iter().map(named).collect();
            if let Some(toolset) = toolset {
                tools.insert(place.index(tools.len() + 1), toolset);
            }
            Value::from(tools)
        },
    )
}

fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let fields = fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Value::Object(fields.collect())
}

fn switches() -> (BoxedStrategy<Option<Value>>, BoxedStrategy<Option<Value>>) {
    let policy = sample::select(vec![json!({"type": "always_allow"}), json!({"type": "always_ask"})]);
    (given(any::<bool>().prop_map(Value::from)), given(policy))
}

fn toolset() -> impl Strategy<Value = Value> {
    let default = switches()
        .prop_map(|(enabled, policy)| object([("enabled", enabled), ("permission_policy", policy)]));
    let names = vec!["bash", "read", "glob", "web_fetch", "web_search"];
    let configs = sample::subsequence(names, 0..=5)
        .prop_flat_map(|names| names.into_iter().map(config).collect::<Vec<_>>())
        .prop_map(Value::from);
    (given(default), given(configs)).prop_map(|(default, configs)| {
        let tag = Some(json!("agent_toolset_20260401"));
        object([("type", tag), ("default_config", default), ("configs", configs)])
    })
}

fn config(name: &'static str) -> BoxedStrategy<Value> {
    let kind = maybe(Just(json!(name)));
    let web = name.starts_with("web_");
    let domains = prop_oneof![
        Just(None),
        Just(Some(("allowed_domains", json!(["Docs.example.com", "b.example/"])))),
        Just(Some(("blocked_domains", json!(["a.example"])))),
        Just(Some(("allowed_domains", Value::Null))),
    ];
    let tokens = given(Just(json!(9)));
    let only = json!({"type": "only", "tools": [{"type": "tool_reference", "name": "web_search"}]});
    let sources = sample::select(vec![
        json!({}),
        json!({"client_tool_results": "none", "user_input": null}),
        json!({"server_tool_results": only, "user_input": {"type": "all"}}),
    ]);
    let place = sample::select(vec![
        json!({"type": "approximate"}),
        json!({"type": "approximate", "city": "Bonn", "country": "DE", "timezone": "Europe/Berlin"}),
    ]);
    (kind, switches(), domains, tokens, given(sources), given(place))
        .prop_map(move |(kind, (enabled, policy), domains, tokens, sources, place)| {
            let mut config = object([
                ("name", Some(json!(name))),
                ("type", kind),
                ("enabled", enabled),
                ("permission_policy", policy),
                ("max_content_tokens", tokens.filter(|_| name == "web_fetch")),
                ("url_sources", sources.filter(|_| name == "web_fetch")),
                ("user_location", place.filter(|_| name == "web_search")),
            ]);
            if let Some((list, domains)) = domains.filter(|_| web) {
                config[list] = domains;
            }
            config
        })
        .boxed()
}
