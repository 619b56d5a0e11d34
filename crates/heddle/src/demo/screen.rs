//! What the demo prints: each event with its time, and the answer as it flows.

use serde_json::Value;
use tokio::time::Instant;

use crate::say;

/// Characters of an event's content on one line.
const WIDTH: usize = 88;

/// The terminal.
#[derive(Debug)]
pub(crate) struct Screen {
    began: Instant,
    /// Whether the cursor stands behind flowing text.
    flowing: bool,
}

impl Screen {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), flowing: false }
    }

    /// A line of the demo's own.
    pub(crate) fn tell(&mut self, line: &str) {
        self.line(&format!("-- {line}"));
    }

    /// One frame of the stream.
    pub(crate) fn event(&mut self, event: &Value) {
        let kind = event["type"].as_str().unwrap_or("?");
        match kind {
            "event_start" => {}
            "event_delta" => {
                if !self.flowing {
                    self.flowing = true;
                    say(&format!("{:>8.3}  (preview) ", self.began.elapsed().as_secs_f64()));
                }
                say(event["delta"]["content"]["text"].as_str().unwrap_or_default());
            }
            _ => self.line(&format!("{kind:<30} {}", detail(kind, event))),
        }
    }

    fn line(&mut self, line: &str) {
        if std::mem::take(&mut self.flowing) {
            say("\n");
        }
        say(&format!("{:>8.3}  {}\n", self.began.elapsed().as_secs_f64(), line.trim_end()));
    }
}

fn detail(kind: &str, event: &Value) -> String {
    let text = match kind {
        "user.message" | "agent.message" | "user.custom_tool_result" => {
            let blocks = event["content"].as_array().into_iter().flatten();
            blocks.filter_map(|block| block["text"].as_str()).collect::<Vec<_>>().join(" ")
        }
        "agent.custom_tool_use" => {
            format!("{} {}", event["name"].as_str().unwrap_or_default(), event["input"])
        }
        "session.status_idle" | "session.thread_status_idle" => {
            event["stop_reason"]["type"].as_str().unwrap_or_default().into()
        }
        "span.model_request_end" if event["is_error"] == true => "cut off".into(),
        "span.model_request_end" => format!(
            "{} tokens in, {} out",
            event["model_usage"]["input_tokens"], event["model_usage"]["output_tokens"]
        ),
        "session.error" => event["error"]["message"].as_str().unwrap_or_default().into(),
        _ => String::new(),
    };
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}
