//! A jail for the tests: enters the sandbox and serves the tools, as `heddle jail` does.

use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(plan) = env::args().nth(2) else { return ExitCode::from(2) };
    match sandbox::enter(&plan) {
        Ok(inside) => tools::serve(inside),
        Err(code) => code,
    }
}
