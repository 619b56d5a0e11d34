//! The steps of `cargo x test`, in order, and the verbs that are one step alone.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::output::Tell;
use crate::python::{self, NoPython};
use crate::run::{self, Ended, Lane, Run, Step};
use crate::tally::{Tally, Told};
use crate::tree::Tree;

/// What `--only` takes.
pub(crate) const NAMES: [&str; 11] = [
    "check", "build", "install", "units", "cuts", "storms", "schema", "guests", "journey", "proxies",
    "attacks",
];
/// The steps that need the binaries and no more.
const AFTER_BUILD: &[&str] = &["storms", "guests", "journey", "proxies", "schema", "cuts", "attacks"];

/// Lives of a storm in `cargo x test`: small ones with every kind of mishap, wide ones
/// with much of each, families of threads, providers that refuse, and the real engine with its clients
/// and readers.
const STORMS: [[&str; 2]; 5] =
    [["small", "12000"], ["wide", "600"], ["team", "3000"], ["stern", "5000"], ["engine", "400"]];
/// The folders of `clients` whose packages the steps need; the last one's interpreter installs the clients of
/// the journey.
const PACKAGES: [&str; 2] = ["schema", "python"];
/// Storms have a clock of their own, so they can wait: all others are served first.
const STORMS_YIELD: u8 = 19;
/// The programs of the guests, with their arguments.
const GUESTS: [(&str, &[&str]); 2] = [("python/run.py", &["--wire", "both"]), ("fixtures/open.py", &[])];
/// How often the power is cut: while clients speak and follow, while agents run commands, and while
/// coordinators and their children work.
const CUTS: [[&str; 2]; 3] = [["plain", "20"], ["tools", "40"], ["team", "40"]];

/// Formatting, lints, `arch` and `tidy`; all of them, even after one has failed.
pub(crate) fn check(tree: &Tree, tell: &dyn Fn(&str)) -> Result<bool, String> {
    let mut wrong = Vec::new();
    let fmt = cargo(tree, &["fmt", "--all", "--", "--check"]);
    let clippy = cargo(tree, &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]);
    let mut other = portable(tree, &["check", "--workspace", "--quiet"]);
    other.env("PORTABLE_LINTS", "1");
    for (name, mut command) in [("fmt", fmt), ("clippy", clippy), ("portable", other)] {
        let status = command.status().map_err(|e| format!("cargo {name}: {e}"))?;
        if !status.success() {
            wrong.push(name);
        }
    }
    for (name, findings) in
        [("arch", crate::arch::check(tree)), ("tidy", crate::tidy::check(tree, &crate::verbs()))]
    {
        let findings = findings.unwrap_or_else(|why| vec![why]);
        if !crate::told(name, &findings, tell) {
            wrong.push(name);
        }
    }
    if wrong.is_empty() {
        tell("check: ok");
    } else {
        tell(&format!("check: {} failed", wrong.join(", ")));
    }
    Ok(wrong.is_empty())
}

/// All steps, or one, with the sum as the last line.
pub(crate) fn test(tree: &Tree, only: Option<&str>) -> Result<bool, String> {
    let strict = strict();
    let mut steps = steps(tree, strict);
    if let Some(only) = only {
        steps.retain(|step| step.name == only);
        if AFTER_BUILD.contains(&only) {
            built(tree)?;
        }
    }
    let clock = stopwatch();
    let sum = run::all(&steps, &clock, &say);
    println!("\n{}", sum.table.join("\n"));
    println!("{}", sum.tally);
    Ok(sum.tally.failed == 0)
}

/// Lives of the simulator from one seed.
pub(crate) fn storm(tree: &Tree, seed: u64, lives: Option<u64>) -> Result<bool, String> {
    built(tree)?;
    let mut sim = tree.command(tree.binary("sim"));
    sim.args(["storm", "--seed", &seed.to_string()]);
    if let Some(lives) = lives {
        sim.args(["--lives", &lives.to_string()]);
    }
    sim.status().map(|status| status.success()).map_err(|e| format!("sim: {e}"))
}

/// The attack on `/openapi.json` alone, for so many minutes.
pub(crate) fn schema(tree: &Tree, minutes: u32, seed: Option<u64>) -> Result<bool, String> {
    built(tree)?;
    let (minutes, seed) = (minutes.to_string(), seed.map(|seed| seed.to_string()));
    let mut args = vec!["--minutes", &minutes];
    args.extend(seed.iter().flat_map(|seed| ["--seed", seed]));
    plain(malformed(tree, true, &args, &say))
}

/// The journey alone, with every client or those that are named.
pub(crate) fn journey(tree: &Tree, names: &[String]) -> Result<bool, String> {
    built(tree)?;
    let mut args = vec!["--all"];
    args.extend(names.iter().map(String::as_str));
    plain(guests(tree, true, "journey", "python", "journey/run.py", &args, &say))
}

/// The attacks on the server, also those that need something of the host; `vm`: those that this host may not
/// have, in an emulated one.
pub(crate) fn attack(tree: &Tree, vm: bool, names: &[String]) -> Result<bool, String> {
    built(tree)?;
    let into = tree.target.join("vm").to_string_lossy().into_owned();
    let (program, mut args) = if vm { ("vm.py", vec!["--into", &into]) } else { ("run.py", vec!["--all"]) };
    args.extend(names.iter().map(String::as_str));
    plain(attacks(tree, true, program, &args, &say))
}

/// How a step that is a verb of its own ended.
fn plain(ended: Ended) -> Result<bool, String> {
    match ended {
        Ended::Well(_) => Ok(true),
        Ended::Badly(_, why) | Ended::Skipped(why) => Err(why),
    }
}

/// The steps in their order. `strict` makes a missing Python a failure.
fn steps(tree: &Tree, strict: bool) -> Vec<Step<'_>> {
    use Lane::{Alone, First, Second};
    let step = |name, about, budget, lane, run| Step { name, about, budget, needed: false, lane, run };
    let client = move |name, packages, program, args| {
        Box::new(move |tell: &Tell<'_>| guests(tree, strict, name, packages, program, args, tell)) as Run<'_>
    };
    vec![
        step(
            "check",
            "formatting, lints, the dependency table, tidiness",
            None,
            First,
            Box::new(|tell| match check(tree, tell) {
                Ok(true) => Ended::Well(Tally::default()),
                Ok(false) => Ended::Badly(Tally::default(), "see above".to_owned()),
                Err(why) => Ended::Badly(Tally::default(), why),
            }),
        ),
        Step {
            needed: true,
            ..step(
                "build",
                "everything, once for all steps; the first build takes long",
                Some(15),
                First,
                Box::new(|tell| run::stream("build", &mut build(tree), Told::Nowhere, tell)),
            )
        },
        step("install", "the packages and clients that later steps need", Some(15), Second, {
            Box::new(move |tell| install(tree, strict, tell))
        }),
        step("units", "the tests of every crate", None, Alone, Box::new(|tell| units(tree, tell))),
        step("cuts", "the server killed at random moments under load", Some(5), Alone, {
            Box::new(|tell| in_turn(tree, "cuts", &CUTS, 0, tell))
        }),
        step("storms", "lives under dice, with referees", Some(10), First, {
            Box::new(|tell| in_turn(tree, "sim", &STORMS, STORMS_YIELD, tell))
        }),
        step("schema", "requests made from /openapi.json against the real binary", Some(5), First, {
            Box::new(move |tell| malformed(tree, strict, &["--minutes", "1"], tell))
        }),
        step(
            "guests",
            "the official SDK against the real binary over either wire, and directories of earlier versions",
            Some(10),
            Second,
            Box::new(move |tell| {
                run::in_turn(GUESTS.map(|(program, args)| {
                    Box::new(move || guests(tree, strict, "guests", "python", program, args, tell))
                        as Box<dyn FnOnce() -> Ended>
                }))
            }),
        ),
        step(
            "journey",
            "one journey, the same with every official client",
            Some(5),
            Second,
            client("journey", "python", "journey/run.py", &[]),
        ),
        step(
            "proxies",
            "streams through nginx and Caddy",
            Some(2),
            Second,
            client("proxies", "python", "proxies/try.py", &[]),
        ),
        step("attacks", "agents and strangers that do their worst, and their neighbours", Some(8), Alone, {
            Box::new(move |tell| attacks(tree, strict, "run.py", &[], tell))
        }),
    ]
}

/// All of them, and those of the tools once more in what a Unix without jails compiles.
fn units(tree: &Tree, tell: &Tell<'_>) -> Ended {
    let tests = |name, mut command: Command| {
        Box::new(move || run::stream(name, &mut command, Told::ByCargo, tell)) as Box<dyn FnOnce() -> Ended>
    };
    run::in_turn([
        tests("units", cargo(tree, &["test", "--workspace", "--no-fail-fast"])),
        tests("portable", portable(tree, &["test", "--workspace", "--test", "inside"])),
    ])
}

/// What the programs of `clients` need of the package indexes, so that it comes while cargo builds. Each
/// installs what is missing itself, too: this only saves time.
fn install(tree: &Tree, strict: bool, tell: &Tell<'_>) -> Ended {
    let mut pythons = Vec::new();
    for packages in PACKAGES {
        tell(&format!("python packages of clients/{packages}"));
        match python::interpreter(tree, packages, &format!("clients/{packages}/requirements.txt")) {
            Ok(python) => pythons.push(python),
            Err(NoPython::Missing(why)) if !strict => return Ended::Skipped(why),
            Err(NoPython::Missing(why) | NoPython::Broken(why)) => {
                return Ended::Badly(Tally::default(), why);
            }
        }
    }
    let Some(python) = pythons.pop() else { return Ended::Well(Tally::default()) };
    let mut clients = tree.command(python);
    run::stream(
        "install",
        clients.args(["clients/journey/run.py", "--install"]).env("PYTHONUNBUFFERED", "1"),
        Told::Nowhere,
        tell,
    )
}

/// A program of the workspace with each list of arguments, all of them, even after one has failed; `nice` is
/// how far it makes way for what runs beside it.
fn in_turn<const N: usize>(
    tree: &Tree,
    program: &str,
    runs: &[[&str; N]],
    nice: u8,
    tell: &Tell<'_>,
) -> Ended {
    run::in_turn(runs.iter().map(|args| {
        Box::new(move || {
            let mut command = with_binaries(tree, tree.command("nice"));
            command.args(["-n", &nice.to_string()]).arg(tree.binary(program)).args(args);
            run::stream(&format!("{program} {}", args.join(" ")), &mut command, Told::Plainly, tell)
        }) as Box<dyn FnOnce() -> Ended + '_>
    }))
}

/// A program of `clients/attacks`, which needs nothing but an interpreter.
fn attacks(tree: &Tree, strict: bool, program: &str, args: &[&str], tell: &Tell<'_>) -> Ended {
    match python::bare() {
        Ok(python) => {
            let mut rows = with_binaries(tree, tree.command(python));
            rows.arg(format!("clients/attacks/{program}")).args(args);
            run::stream("attacks", &mut rows, Told::Plainly, tell)
        }
        Err(why) if !strict => Ended::Skipped(format!("{why}; CI does not skip this")),
        Err(why) => Ended::Badly(Tally::default(), why),
    }
}

fn malformed(tree: &Tree, strict: bool, args: &[&str], tell: &Tell<'_>) -> Ended {
    guests(tree, strict, "schema", "schema", "schema/run.py", args, tell)
}

/// Runs a program of `clients` with the packages that the requirements of one of its folders pin. `strict`
/// makes a missing Python a failure.
fn guests(
    tree: &Tree,
    strict: bool,
    name: &'static str,
    packages: &str,
    program: &str,
    args: &[&str],
    tell: &Tell<'_>,
) -> Ended {
    match python::interpreter(tree, packages, &format!("clients/{packages}/requirements.txt")) {
        Ok(python) => {
            let mut guests = with_binaries(tree, tree.command(python));
            run::stream(name, guests.arg(format!("clients/{program}")).args(args), Told::Plainly, tell)
        }
        Err(NoPython::Missing(why)) if !strict => Ended::Skipped(format!("{why}; CI does not skip this")),
        Err(NoPython::Missing(why) | NoPython::Broken(why)) => Ended::Badly(Tally::default(), why),
    }
}

/// Tells a test program where the binaries of this build are.
fn with_binaries(tree: &Tree, mut command: Command) -> Command {
    command
        .env("HEDDLE_BIN", tree.binary("heddle"))
        .env("MODEL_SERVER_BIN", tree.binary("model-server"))
        .env("PYTHONUNBUFFERED", "1");
    command
}

/// One build for every step: another choice of packages would choose other features and build again.
fn build(tree: &Tree) -> Command {
    cargo(tree, &["build", "--workspace", "--all-targets"])
}

fn built(tree: &Tree) -> Result<(), String> {
    let ended = build(tree).status();
    if ended.is_ok_and(|status| status.success()) { Ok(()) } else { Err("the build failed".to_owned()) }
}

/// Cargo, for what a Unix without jails compiles. Only our own crates are compiled anew for it.
fn portable(tree: &Tree, args: &[&str]) -> Command {
    let mut command = cargo(tree, args);
    command.env("RUSTC_WORKSPACE_WRAPPER", tree.root.join("xtask/portable.sh"));
    command
}

fn cargo(tree: &Tree, args: &[&str]) -> Command {
    let mut command = tree.command("cargo");
    command.args(args);
    command
}

fn say(line: &str) {
    println!("{line}");
}

#[expect(
    clippy::disallowed_methods,
    reason = "the broom has no settings; CI is how every runner names itself"
)]
fn strict() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty())
}

#[expect(clippy::disallowed_methods, reason = "minutes of a step are measured outside any runtime")]
fn stopwatch() -> impl Fn() -> Duration + Sync {
    let start = Instant::now();
    move || start.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_can_be_named_and_has_the_budget_of_the_plan() {
        let tree = Tree { root: ".".into(), target: "target".into() };
        let steps = steps(&tree, true);
        let found: Vec<(&str, Option<u32>)> = steps.iter().map(|step| (step.name, step.budget)).collect();
        assert_eq!(
            found,
            [
                ("check", None),
                ("build", Some(15)),
                ("install", Some(15)),
                ("units", None),
                ("cuts", Some(5)),
                ("storms", Some(10)),
                ("schema", Some(5)),
                ("guests", Some(10)),
                ("journey", Some(5)),
                ("proxies", Some(2)),
                ("attacks", Some(8))
            ]
        );
        assert_eq!(found.iter().map(|(name, _)| *name).collect::<Vec<_>>(), NAMES);
    }
}
