//! `cargo x bench`: builds what is shipped, then lets the bench measure.

use std::path::Path;

use crate::tree::Tree;

/// What the quick run leaves out.
const NOT_YET: &str = "\
only --quick is there yet: creating, turns and processor time with 1 to 256 clients, memory, and the ceiling.
Not measured yet: turns with tools, the first byte of an answer, a coordinator with 20 children, 400 readers of
which some stall, memory per 1,000 idle sessions and per waiting thread, the start on an empty and on a large
database, turn 10 to turn 5,000 of one session, the recovery of 500 running sessions, lists of a million
sessions, PostgreSQL, and peers.";

/// The quick run; `against` is a second binary, measured beside the one of this build.
pub(crate) fn run(tree: &Tree, quick: bool, against: Option<&Path>) -> Result<bool, String> {
    if !quick {
        return Err(NOT_YET.to_owned());
    }
    let mut build = tree.command("cargo");
    build.args(["build", "--profile", "dist", "--package", "heddle", "--package", "bench"]);
    let built = build.status().map_err(|e| format!("cargo build: {e}"))?;
    if !built.success() {
        return Err("the build failed".to_owned());
    }
    let dist = tree.target.join("dist");
    let mut bench = tree.command(dist.join("bench"));
    bench.arg("quick").arg("--heddle").arg(dist.join("heddle")).arg("--place").arg(&tree.target);
    if let Some(against) = against {
        let against = against.canonicalize().map_err(|e| format!("{}: {e}", against.display()))?;
        bench.arg("--against").arg(against);
    }
    bench.status().map(|status| status.success()).map_err(|e| format!("bench: {e}"))
}
