//! The log: lines on standard error, so that standard output holds only what a script may read.
//!
//! A line can fail and nothing else does: see `lines`. Each event is one line, and nothing in it steers a
//! terminal.

use std::io::{self, IsTerminal as _, Write};
use std::panic::PanicHookInfo;
use std::sync::OnceLock;

use engine::Clock;
use serde_json::json;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use crate::{
    Outcome, Wrong,
    config::{LogFormat, LogSettings, OURS},
    lines::{MissingLines, OutputLines, UnlockedOutput},
    supervise::VitalTask,
    terminal,
};

/// Where the log goes once it has begun.
static LOG: OnceLock<(LogFormat, OutputLines)> = OnceLock::new();

/// Begins to log. What is said within a request carries the request's id, in either form.
pub(crate) fn begin(log: &LogSettings) -> Outcome {
    let missing: MissingLines = match log.format {
        LogFormat::Text => |lines, why| text("WARN", &lost(lines, why)),
        LogFormat::Json => |lines, why| object("WARN", &lost(lines, why)),
    };
    let out = UnlockedOutput(rustix::stdio::stderr());
    let lines = OutputLines::begin(VitalTask::LogWriter.name(), out, missing)
        .map_err(|wrong| format!("no thread for the log: {wrong}"))?;
    let coloured = log.format == LogFormat::Text && terminal::wants_colours(io::stderr().is_terminal());
    let out = lines.clone();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(&log.filter)?)
        // It would be printed, and to print can fail.
        .log_internal_errors(false)
        .with_writer(move || OneLine { out: out.clone(), coloured });
    match log.format {
        LogFormat::Text => builder.with_ansi(coloured).try_init()?,
        LogFormat::Json => builder.json().flatten_event(true).with_span_list(false).try_init()?,
    }
    if LOG.set((log.format, lines)).is_ok() {
        // The usual one writes to standard error itself, and waits for its reader.
        std::panic::set_hook(Box::new(panicked));
    }
    Ok(())
}

/// What is let through. A level alone is meant for what is ours: libraries say no more than their warnings
/// unless they are named. That of HTTP/2 warns of what a stranger's connection does, each time that it does
/// it.
fn filter(said: &str) -> Result<EnvFilter, Wrong> {
    let (levels, named): (Vec<&str>, Vec<&str>) = said
        .split(',')
        .filter(|part| !part.trim().is_empty())
        .partition(|part| part.trim().parse::<LevelFilter>().is_ok());
    let mut parts = Vec::new();
    for level in levels {
        parts.extend(OURS.map(|part| format!("{part}={}", level.trim())));
        let level = level.trim().parse::<LevelFilter>()?;
        parts.push(level.min(LevelFilter::WARN).to_string());
    }
    parts.extend(named.into_iter().map(str::to_owned));
    let filter = EnvFilter::try_new(parts.join(","))?;
    Ok(if said.contains("h2") { filter } else { filter.add_directive("h2=error".parse()?) })
}

/// The log's thread, if the log has begun.
#[cfg(debug_assertions)]
pub(crate) fn lines() -> Option<&'static OutputLines> {
    LOG.get().map(|(_, lines)| lines)
}

/// Brings the last lines out, whatever becomes of their reader.
pub(crate) fn settle() {
    if let Some((_, lines)) = LOG.get() {
        lines.settle();
    }
}

/// The last word to the person at the terminal; behind the log's own last lines where there is a log.
pub(crate) fn last_word(said: &str) {
    match LOG.get() {
        Some((_, lines)) => {
            lines.put(terminal::visible(said).as_bytes());
            lines.settle();
        }
        None => terminal::complain(said),
    }
}

fn lost(lines: u64, why: &str) -> String {
    format!("lines of the log are missing here: {lines}; {why}")
}

fn panicked(info: &PanicHookInfo<'_>) {
    let Some((format, lines)) = LOG.get() else { return };
    let thread = std::thread::current();
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let said = info.payload_as_str().unwrap_or("(no message)");
    let said = format!("the thread {} panicked at {place}: {said}", thread.name().unwrap_or("(no name)"));
    let line = match format {
        LogFormat::Text => text("ERROR", &said),
        LogFormat::Json => object("ERROR", &said),
    };
    lines.put(line.as_bytes());
}

/// A line of the log's own, that does not pass through the library: as the library would write it.
fn text(level: &str, said: &str) -> String {
    format!("{} {level:>5} heddle::log: {}\n", Clock::wall().now(), terminal::one_line(said))
}

fn object(level: &str, said: &str) -> String {
    let now = Clock::wall().now().to_string();
    let line = json!({"timestamp": now, "level": level, "message": said, "target": "heddle::log"});
    format!("{}\n", terminal::one_line(&line.to_string()))
}

/// Takes one event as the library has formatted it, and puts it as one line.
struct OneLine {
    out: OutputLines,
    coloured: bool,
}

impl Write for OneLine {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let line = event.strip_suffix(b"\n").unwrap_or(event);
        let plain = |byte: &u8| matches!(byte, b' '..=b'~');
        if line.len() < event.len() && line.iter().all(plain) {
            self.out.put(event);
        } else {
            let line = String::from_utf8_lossy(line);
            let line = if self.coloured { painted(&line) } else { terminal::one_line(&line).into_owned() };
            self.out.put(format!("{line}\n").as_bytes());
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One line in which only colours are left of what steers a terminal: the library's own, for it writes out
/// those of a value.
fn painted(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let mut shown = terminal::one_line(parts.next().unwrap_or_default()).into_owned();
    for part in parts {
        let digits = part.bytes().take_while(|byte| matches!(byte, b'0'..=b'9' | b';')).count();
        let colour = part.as_bytes().get(digits) == Some(&b'm');
        shown.push_str(if colour { "\u{1b}[" } else { "\\u001b[" });
        shown.push_str(&terminal::one_line(part));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_colours_are_left_of_what_steers() {
        assert_eq!(
            painted("\u{1b}[2mtime\u{1b}[0m \u{1b}[31;1mx\u{1b}[2J\u{7}\n\u{202e}y"),
            "\u{1b}[2mtime\u{1b}[0m \u{1b}[31;1mx\\u001b[2J\\u0007\\n\\u202ey"
        );
    }

    #[test]
    fn a_level_alone_is_for_what_is_ours_and_libraries_are_named() {
        let told = |said: &str| {
            let filter = filter(said).expect("a filter").to_string();
            let mut parts: Vec<&str> = filter.split(',').filter(|part| !part.ends_with("=info")).collect();
            parts.sort_unstable();
            parts.join(",")
        };
        assert_eq!(told("info"), "h2=error,warn");
        assert_eq!(
            told("error").split(',').filter(|part| !part.contains('=')).collect::<Vec<_>>(),
            ["error"]
        );
        assert_eq!(told("info,server=debug,hyper=trace"), "h2=error,hyper=trace,server=debug,warn");
        assert_eq!(told("server=debug,info"), "h2=error,server=debug,warn");
        assert_eq!(told("server=debug,h2=trace"), "h2=trace,server=debug");
        let debug = told("debug");
        assert!(OURS.iter().all(|part| debug.contains(&format!("{part}=debug"))) && debug.ends_with("warn"));
    }

    #[derive(Clone, Default)]
    struct Sink(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("a lock").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_is_one_line_whatever_its_fields_hold() {
        let sink = Sink::default();
        let lines = OutputLines::begin("lines", sink.clone(), |_, _| String::new()).expect("a thread");
        let mut out = OneLine { out: lines.clone(), coloured: false };
        for event in ["plain=1\n", "said=two\nlines\u{1b}]52;c;eA==\u{7}\r \u{202e}\n"] {
            out.write_all(event.as_bytes()).expect("it never fails");
        }
        lines.settle();
        let shown = String::from_utf8(sink.0.lock().expect("a lock").clone()).expect("text");
        assert_eq!(shown, "plain=1\nsaid=two\\nlines\\u001b]52;c;eA==\\u0007\\r \\u202e\n");
    }

    #[test]
    fn a_line_of_the_logs_own_is_one_line() {
        let line = text("WARN", "a\nb\u{1b}");
        assert!(line.ends_with("  WARN heddle::log: a\\nb\\u001b\n"), "{line}");
        let line: serde_json::Value = serde_json::from_str(&object("WARN", "a\nb\u{9b}")).expect("JSON");
        assert_eq!((&line["level"], &line["message"]), (&json!("WARN"), &json!("a\nb\u{9b}")));
    }
}
