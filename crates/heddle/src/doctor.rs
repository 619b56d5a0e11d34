//! `heddle doctor`: what is set, what this machine can do, what is missing and how to mend it.

use std::fmt::Write as _;

use crate::{
    Outcome,
    config::{Flags, Mode, Settled, variable},
    hands, say,
};

pub(crate) async fn run(flags: Flags) -> Outcome {
    let settled = flags.settle()?;
    let report = hands::probe().await?;
    say(&told(&settled, &report));
    if settled.sandbox.mode == Mode::Local && !report.ok() {
        return Err(
            "`heddle serve` will not start here until the sandbox works, or with --sandbox=off".into()
        );
    }
    Ok(())
}

fn told(settled: &Settled, report: &sandbox::Report) -> String {
    let mut text = String::new();
    let mut line = |name: &str, said: &str| {
        // Writing to a string does not fail.
        let _written = writeln!(text, "{name:<16}{said}");
    };
    line("listen", &settled.listen.to_string());
    line("data", &settled.data.display().to_string());
    for route in &settled.routes.0 {
        let key = match &route.key_variable {
            Some(name) if variable(name).is_none() => {
                format!("  MISSING: set {name} to run agents with such a model")
            }
            Some(name) => format!("  with {name}"),
            None => String::new(),
        };
        line("model", &format!("{}  {}{key}", route.pattern, route.base_url));
    }
    let engine::Tree { max_threads, max_depth } = settled.tree;
    line("threads", &format!("{max_threads} children at once in a session, {max_depth} deep"));
    match settled.sandbox.mode {
        Mode::Local => line("sandbox", "local: one jail a session, no network"),
        Mode::Off => line("sandbox", &format!("WARNING: {}", hands::OFF)),
    }
    for check in &report.checks {
        let mark = match (check.ok, check.needed) {
            (true, _) => "ok",
            (false, true) => "MISSING",
            (false, false) => "without",
        };
        line("", &format!("{mark:<8}{}: {}", check.name, check.found));
        if !check.fix.is_empty() {
            line("", &format!("        {}", check.fix));
        }
    }
    text
}
