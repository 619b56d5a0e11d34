//! A row of the table: what it holds, and how it is asked for and told.

use serde_json::{Value, json};

/// Which wire a row is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShapeWire {
    Chat,
    Messages,
}

/// What a provider refuses: the status and the body of the refusal, if it refuses this request.
pub(crate) type RefusalLaw = fn(&Value) -> Option<(u16, Value)>;

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProviderShape {
    /// Who, and what.
    pub(crate) name: &'static str,
    /// Where it was documented or reported.
    pub(crate) source: &'static str,
    pub(crate) wire: ShapeWire,
    pub(crate) refuses: RefusalLaw,
    /// The body of the streamed answer.
    pub(crate) sends: fn() -> String,
    /// What that is to be read as: `thought`, `said`, `calls` (name and input), `stop` and `tokens` (read and
    /// written), and `lacks` if that shows what its server lacks; or `failed`, the class, `words` that are
    /// told, and, where the refusal names parts of what was asked, `spots`: the message, the part of it, and
    /// the block of that.
    pub(crate) means: fn() -> Value,
}

/// The prefix of a model's name that asks for a row.
pub(super) const PREFIX: &str = "shape-";

impl ProviderShape {
    /// The model that asks for it.
    pub(crate) fn model(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }

    /// The row without its deeds, to be read.
    pub(crate) fn told(&self) -> Value {
        let wire = match self.wire {
            ShapeWire::Chat => "chat-completions",
            ShapeWire::Messages => "messages",
        };
        json!({"model": self.model(), "source": self.source, "wire": wire, "means": (self.means)()})
    }
}
