//! `heddle doctor`: what is set and where it was said, what this machine can do, what is missing and how to
//! mend it; and, where that is asked for, whether the models answer.

use std::fmt::Write as _;

use models::Models;
use protocol::routes::Route;

use crate::{
    Outcome,
    config::{Mode, Said, Setting, Settled},
    descriptors::Descriptors,
    hands, offers, say, seal, table,
    trial::{self, Found},
    warnings::warnings,
};

/// What to look at.
#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    /// Also try each route: ask its provider for its models and one model for a word, which may cost a
    /// little; without this nothing is sent anywhere
    #[arg(long)]
    routes: bool,
    /// The model to ask where a route's pattern leaves it open; may be given for each route
    #[arg(long, value_name = "ID", requires = "routes")]
    model: Vec<String>,
    #[command(flatten)]
    said: Said,
}

pub(crate) async fn run(flags: Flags) -> Outcome {
    let settled = flags.said.settle()?;
    // Finds what only the client itself can say, such as a file of certificates without one.
    let models = Models::new(settled.routes.clone(), settled.keys.clone(), settled.net.clone())?;
    say(&settings(&settled));
    let (mut report, _) = hands::probe(&settled.sandbox).await?;
    report.checks.push(sandbox::probe_disk(&std::path::absolute(&settled.data)?));
    say(&machine(&settled, &report));
    let mut wrong: Vec<String> = settled.weak_key.iter().cloned().collect();
    match seal::open(&settled.data) {
        Ok(open) if open.is_empty() => {}
        Ok(open) => say(&format!(
            "WARNING: other users of this machine can use {}; the next start of the server changes that\n",
            seal::told(&open)
        )),
        Err(refused) => wrong.push(refused.to_string()),
    }
    if flags.routes {
        let skipped = |route: &Route| offers::keyless(&settled, route);
        let found = trial::all(&models, &settled.routes, &flags.model, &skipped).await;
        say(&tried(&settled, &found));
        let failed = found.iter().filter(|found| matches!(found, Found::Failed { .. })).count();
        if failed > 0 {
            wrong.push(format!("{failed} of {} routes failed", found.len()));
        }
    }
    if settled.sandbox.mode == Mode::Local && !report.ok() {
        wrong
            .push("`heddle serve` will not start here until the sandbox works, or with --sandbox=off".into());
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ").into()) }
}

/// Every setting with its value and its source, and what is to be said about them.
fn settings(settled: &Settled) -> String {
    let row = |Setting { name, value, source }: &Setting| [name.clone(), value.clone(), source.to_string()];
    let mut text = table::columns(&settled.settings.iter().map(row).collect::<Vec<_>>());
    text.push('\n');
    let mut warn = |mark: &str, said: &str| text.extend([mark, ": ", said, "\n"]);
    for route in &settled.routes.0 {
        if let Some(name) = settled.unset_key(route) {
            warn("MISSING", &format!("set {name} to run agents whose model is {}", route.pattern));
        }
    }
    for said in warnings(settled, settled.listen) {
        warn("WARNING", &said);
    }
    text
}

/// What this machine can do for the sandbox.
fn machine(settled: &Settled, report: &sandbox::Report) -> String {
    let mut text = match settled.sandbox.mode {
        Mode::Local => "\nsandbox: one jail a session, no network\n".to_owned(),
        Mode::Off => format!("\nWARNING: {}\n", hands::OFF),
    };
    for check in &report.checks {
        let mark = match (check.ok, check.needed) {
            (true, _) => "ok",
            (false, true) => "MISSING",
            (false, false) => "without",
        };
        // Writing to a string does not fail.
        let _written = writeln!(text, "  {mark:<8}{}: {}", check.name, check.found);
        if !check.fix.is_empty() {
            let _written = writeln!(text, "          {}", check.fix);
        }
    }
    text.push_str(&Descriptors::possible().told());
    text
}

/// What came of the routes.
fn tried(settled: &Settled, found: &[Found]) -> String {
    let mut text = String::from("\nroutes, tried\n");
    for (route, found) in settled.routes.0.iter().zip(found) {
        let pattern = &route.pattern;
        let _written = match found {
            Found::Answered { model, took, offered } => {
                let seconds = took.as_secs_f64();
                let offered = match offered {
                    Ok(0) => String::new(),
                    Ok(count) => format!("; the provider names {count} models"),
                    Err(wrong) => format!("; its list of models cannot be had: {wrong}"),
                };
                writeln!(text, "  ok      {pattern}: {model} answered in {seconds:.2} s{offered}")
            }
            Found::Skipped { why } => writeln!(text, "  without {pattern}: {why}"),
            Found::Failed { what, fix } => {
                writeln!(text, "  FAILED  {pattern}: {what}\n          {fix}")
            }
        };
    }
    text
}
