//! `heddle doctor`: what is set and where it was said, what this machine can do, what is missing and how to
//! mend it; and, where that is asked for, whether the models answer.

use std::fmt::Write as _;

use models::RoutedModels;
use protocol::routes::Route;
use sandbox::{HostCheck, HostReport};

use crate::{
    Outcome,
    calling::MissingForModel,
    config::{HeddleSettings, SaidFlags, SandboxMode, ShownSetting},
    descriptors::FileDescriptors,
    ground, hands, offers, say, seal, table, terminal,
    trial::{self, RouteTrial},
    warnings::warnings,
};

/// What to look at.
#[derive(Debug, clap::Args)]
pub(crate) struct DoctorFlags {
    /// Also try each route: ask its provider for its models, and one model for a word and for a call of a
    /// tool, which may cost a little; without this nothing is sent anywhere
    #[arg(long)]
    routes: bool,
    /// The model to ask where a route's pattern leaves it open; may be given for each route
    #[arg(long, value_name = "ID", requires = "routes")]
    model: Vec<String>,
    #[command(flatten)]
    said: SaidFlags,
}

pub(crate) async fn run(flags: DoctorFlags) -> Outcome {
    let settled = flags.said.settle()?;
    // Finds what only the client itself can say, such as a file of certificates without one.
    let models = RoutedModels::new(settled.routes.clone(), settled.keys.clone(), settled.net.clone())?;
    say(&settings(&settled));
    let report = match settled.sandbox.mode {
        SandboxMode::Local => {
            let (mut report, _) = hands::probe(&settled.sandbox).await?;
            report.checks.push(sandbox::probe_disk(&std::path::absolute(&settled.data)?));
            report
        }
        SandboxMode::Off => HostReport { checks: vec![sandbox::bash()] },
    };
    say(&machine(&settled, &report));
    let ground = ground::checks(&settled);
    say(&server(&settled, &ground));
    let mut wrong: Vec<String> = settled.weak_key.iter().cloned().collect();
    wrong.extend(ground.iter().filter(|check| check.needed && !check.ok).map(|check| check.found.clone()));
    // What is refused is among the checks already.
    let open = seal::open(&settled.data).unwrap_or_default();
    if !open.is_empty() {
        say(&format!(
            "WARNING: other users of this machine can use {}; the next start of the server changes that\n",
            seal::told(&open)
        ));
    }
    if flags.routes {
        let skipped = |route: &Route| offers::keyless(&settled, route);
        let found = trial::all(&models, &settled.routes, &flags.model, &skipped).await;
        say(&tried(&settled, &found));
        let failed = found.iter().filter(|found| matches!(found, RouteTrial::Failed { .. })).count();
        if failed > 0 {
            wrong.push(format!("{failed} of {} routes failed", found.len()));
        }
        let useless = found.iter().filter(|found| found.lacks_what_agents_need()).count();
        if useless > 0 {
            wrong
                .push(format!("{useless} of {} routes answer, but no agent can work over them", found.len()));
        }
    }
    wrong.extend(FileDescriptors::possible().enough().err());
    if settled.sandbox.mode == SandboxMode::Local && !report.ok() {
        wrong
            .push("`heddle serve` will not start here until the sandbox works, or with --sandbox=off".into());
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ").into()) }
}

/// Every setting with its value and its source, and what is to be said about them.
fn settings(settled: &HeddleSettings) -> String {
    let row = |ShownSetting { name, value, source }: &ShownSetting| {
        [name.clone(), value.clone(), source.to_string()]
    };
    let mut text = table::columns(&settled.settings.iter().map(row).collect::<Vec<_>>());
    text.push('\n');
    let mut warn = |mark: &str, said: &str| text.push_str(&told(&format!("{mark}: "), said));
    for route in &settled.routes.0 {
        if let Some(name) = settled.unset_key(route) {
            warn("NOTE", &format!("set {name} to run agents whose model is {}", route.pattern));
        }
    }
    for said in warnings(settled, settled.listen) {
        warn("WARNING", &said);
    }
    text
}

/// What this machine can do for the sandbox.
fn machine(settled: &HeddleSettings, report: &HostReport) -> String {
    let text = match settled.sandbox.mode {
        SandboxMode::Local => "\nsandbox: one jail a session, no network\n".to_owned(),
        SandboxMode::Off => format!("\nWARNING: {}\n", hands::OFF),
    };
    text + &lines(&report.checks)
}

/// What a server stands on.
fn server(settled: &HeddleSettings, ground: &[HostCheck]) -> String {
    ["\nserver\n", &lines(ground), &FileDescriptors::possible().told(settled.sandbox.jails)].concat()
}

/// A line, or as many as fit the terminal.
fn told(lead: &str, said: &str) -> String {
    terminal::folded(lead, said, terminal::columns()) + "\n"
}

fn lines(checks: &[HostCheck]) -> String {
    let mut text = String::new();
    for check in checks {
        let mark = match (check.ok, check.needed) {
            (true, _) => "ok",
            (false, true) => "MISSING",
            (false, false) => "without",
        };
        text.push_str(&told(&format!("  {mark:<8}"), &format!("{}: {}", check.name, check.found)));
        if !check.fix.is_empty() {
            text.push_str(&told("          ", &check.fix));
        }
    }
    text
}

/// What came of the routes.
fn tried(settled: &HeddleSettings, found: &[RouteTrial]) -> String {
    let mut text = String::from("\nroutes, tried\n");
    for (route, found) in settled.routes.0.iter().zip(found) {
        let pattern = &route.pattern;
        let _written = match found {
            RouteTrial::Answered { model, took, offered, missing } => {
                let seconds = took.as_secs_f64();
                let offered = match offered {
                    Ok(0) => String::new(),
                    Ok(1) => "; the provider names 1 model".to_owned(),
                    Ok(count) => format!("; the provider names {count} models"),
                    Err(wrong) => format!("; its list of models cannot be had: {wrong}"),
                };
                let answered = format!("{pattern}: {model} answered in {seconds:.2} s{offered}");
                let mut told = writeln!(text, "  ok      {answered}");
                for MissingForModel { needed, what, fix } in missing {
                    let mark = if *needed { "MISSING" } else { "without" };
                    told = told.and_then(|()| writeln!(text, "  {mark} {pattern}: {what}\n          {fix}"));
                }
                told
            }
            RouteTrial::Skipped { why } => writeln!(text, "  without {pattern}: {why}"),
            RouteTrial::Failed { what, fix } => {
                writeln!(text, "  FAILED  {pattern}: {what}\n          {fix}")
            }
        };
    }
    text
}
