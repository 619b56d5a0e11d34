//! What docs/rules.md 14 to 16 say about saving and changing an agent, on plain JSON and with none of
//! our types: the judge of the properties, here and at the door.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// The latest version of every other agent, by its id.
pub(crate) type Latest = BTreeMap<String, u64>;

/// One agent through its life.
#[derive(Debug)]
pub(crate) struct Life {
    /// Its versions, oldest first.
    pub(crate) versions: Vec<Value>,
}

/// What an update comes to.
#[derive(Debug, PartialEq)]
pub(crate) enum Told {
    /// The agent, changed or not.
    Agent(Value),
    /// The version that was sent is not the current one.
    Stale,
    /// It takes no more changes.
    Archived,
}

impl Life {
    /// A new agent.
    pub(crate) fn begin(body: &Value, id: &Value, latest: &Latest, at: &Value) -> Self {
        let mut agent = json!({
            "type": "agent", "id": id, "version": 1, "name": null, "description": null, "model": null,
            "system": null, "tools": [], "mcp_servers": [], "skills": [], "multiagent": null,
            "execution_identity": {"type": "service_account"}, "metadata": {},
            "created_at": at, "updated_at": at, "archived_at": null,
        });
        merge(&mut agent, body, latest);
        Self { versions: vec![agent] }
    }

    /// The agent as it is.
    pub(crate) fn now(&self) -> &Value {
        self.versions.last().expect("a version")
    }

    /// Changes the agent.
    pub(crate) fn update(&mut self, body: &Value, latest: &Latest, at: &Value) -> Told {
        let now = self.now();
        if !now["archived_at"].is_null() {
            return Told::Archived;
        }
        if body.get("version").is_some_and(|sent| !sent.is_null() && *sent != now["version"]) {
            return Told::Stale;
        }
        let mut next = now.clone();
        merge(&mut next, body, latest);
        if next == *now {
            return Told::Agent(next);
        }
        let version = json!(now["version"].as_u64().expect("a number") + 1);
        let own = next["id"].clone();
        let pins = next.pointer_mut("/multiagent/agents").and_then(Value::as_array_mut);
        for pinned in pins.into_iter().flatten() {
            if pinned["id"] == own {
                pinned["version"] = version.clone();
            }
        }
        next["version"] = version;
        next["updated_at"] = at.clone();
        self.versions.push(next.clone());
        Told::Agent(next)
    }

    /// Archives the agent; once more changes nothing.
    pub(crate) fn archive(&mut self, at: &Value) -> Value {
        if self.now()["archived_at"].is_null() {
            self.versions.last_mut().expect("a version")["updated_at"] = at.clone();
            for version in &mut self.versions {
                version["archived_at"] = at.clone();
            }
        }
        self.now().clone()
    }
}

fn merge(agent: &mut Value, body: &Value, latest: &Latest) {
    for (key, sent) in body.as_object().expect("an object") {
        match key.as_str() {
            "name" => agent["name"] = sent.clone(),
            "description" | "system" => {
                agent[key] = if sent == "" { Value::Null } else { sent.clone() };
            }
            "model" => {
                let id = if sent.is_string() { sent } else { &sent["id"] };
                let effort = json!({"type": "high"});
                agent["model"] =
                    json!({"id": id, "effort": effort, "inference_geo": null, "speed": "standard"});
            }
            "tools" => agent["tools"] = each(sent, tool),
            "metadata" => patch(&mut agent["metadata"], sent),
            "multiagent" => agent["multiagent"] = roster(sent, agent, latest),
            // The only values that there are say what holds anyway.
            "version" | "mcp_servers" | "skills" | "execution_identity" => {}
            other => panic!("a field that the model does not know: {other}"),
        }
    }
}

fn each(list: &Value, change: impl Fn(&Value) -> Value) -> Value {
    list.as_array().into_iter().flatten().map(change).collect()
}

fn patch(metadata: &mut Value, sent: &Value) {
    let metadata = metadata.as_object_mut().expect("an object");
    for (key, value) in sent.as_object().into_iter().flatten() {
        if value.is_null() {
            metadata.remove(key);
        } else {
            metadata.insert(key.clone(), value.clone());
        }
    }
}

fn roster(sent: &Value, agent: &Value, latest: &Latest) -> Value {
    if sent.is_null() {
        return Value::Null;
    }
    let pinned = |entry: &Value| {
        let id = if entry.is_string() { entry } else { &entry["id"] };
        let (id, version) = match id.as_str().filter(|_| id != &agent["id"]) {
            None => (&agent["id"], agent["version"].clone()),
            Some(text) => match entry.get("version").filter(|version| !version.is_null()) {
                Some(version) => (id, version.clone()),
                None => (id, json!(latest[text])),
            },
        };
        json!({"type": "agent", "id": id, "version": version})
    };
    json!({"type": "coordinator", "agents": each(&sent["agents"], pinned)})
}

fn tool(sent: &Value) -> Value {
    if sent["type"] == "custom" {
        return sent.clone();
    }
    let bare = json!({"enabled": true, "permission_policy": {"type": "always_allow"}});
    let default = over(&bare, &sent["default_config"]);
    let configs = each(&sent["configs"], |config| {
        let mut whole = over(&default, config);
        whole["type"] = config["name"].clone();
        whole["name"] = config["name"].clone();
        let further: &[&str] = match config["name"].as_str().expect("a name") {
            "web_fetch" => &["allowed_domains", "blocked_domains", "max_content_tokens", "url_sources"],
            "web_search" => &["allowed_domains", "blocked_domains", "user_location"],
            _ => &[],
        };
        for key in further {
            whole[*key] = config[*key].clone();
        }
        if let Some(sources) = whole.get_mut("url_sources").and_then(Value::as_object_mut) {
            for key in ["client_tool_results", "server_tool_results", "user_input"] {
                let said = sources.entry(key).or_insert(Value::Null);
                if said.is_string() {
                    *said = json!({"type": said});
                }
            }
        }
        if let Some(place) = whole.get_mut("user_location").and_then(Value::as_object_mut) {
            for key in ["city", "country", "region", "timezone"] {
                place.entry(key).or_insert(Value::Null);
            }
        }
        whole
    });
    json!({"type": sent["type"], "default_config": default, "configs": configs})
}

/// The two switches of `base`, each replaced where `said` says something.
fn over(base: &Value, said: &Value) -> Value {
    let mut whole = Map::new();
    for key in ["enabled", "permission_policy"] {
        let said = Some(&said[key]).filter(|said| !said.is_null());
        whole.insert(key.into(), said.unwrap_or(&base[key]).clone());
    }
    Value::Object(whole)
}
