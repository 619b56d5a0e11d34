//! The key: the command line, the settings, the wiring.

mod calling;
mod client;
mod complete;
mod config;
mod demo;
mod descriptors;
mod doctor;
#[cfg(debug_assertions)]
mod end;
mod follow;
mod ground;
mod hands;
mod keys;
mod lines;
mod lock;
mod log;
mod offers;
mod remark;
mod seal;
mod secret;
mod serve;
mod show;
mod stop;
mod supervise;
mod table;
mod tail;
mod terminal;
mod tree;
mod trial;
mod warnings;

use std::process::ExitCode;

use clap::{
    CommandFactory as _, FromArgMatches as _, Parser, Subcommand,
    error::{ContextKind, ContextValue},
};
use config::SaidFlags;
use rustix::fs::Mode;
use terminal::NobodyReads;
pub(crate) use terminal::say;

/// A self-hosted server for managed agents. It speaks the Claude Managed Agents API: the official SDKs work
/// with it once their base URL says where it is.
#[derive(Debug, Parser)]
#[command(name = "heddle", version, propagate_version = true, after_help = FIRST_STEPS)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

/// The hidden verb.
const JAIL: &str = "jail";

const FIRST_STEPS: &str = "\
First steps:
  heddle demo      see agents at work; needs no key and leaves nothing behind
  heddle doctor    see what this machine lacks, and how to mend it
  heddle serve     serve; the first start shows an API key, and how Python, TypeScript and curl use it";

const SERVE: &str = "\
Further variables:
  ANTHROPIC_API_KEY          the key for claude-* models
  HEDDLE_ANTHROPIC_BASE_URL  where they are asked, if not at https://api.anthropic.com
  HEDDLE_API_KEY             an API key that is valid while it is set, in place of the first start's own
Each setting: a flag goes before a variable, a variable before the file. `heddle doctor` shows which it is.";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serves the API until SIGTERM or Ctrl-C; a second one ends it at once.
    #[command(after_help = SERVE)]
    Serve(SaidFlags),
    /// Shows it all at work: a server, a coordinator and two agents in one sandbox, a kill -9 in the middle.
    Demo(demo::DemoFlags),
    /// Follows a session: its threads and what they do, as it happens.
    Tail(tail::TailFlags),
    /// Shows a session's thread, or what its model was sent last.
    Show(show::ShowFlags),
    /// Makes, lists and revokes API keys; works beside a running server.
    Keys(keys::KeyFlags),
    /// Interrupts one session, or all that are running, on a running server.
    Stop(stop::StopFlags),
    /// Says every setting and its source, what this machine can do, what is missing, and how to mend it.
    Doctor(doctor::DoctorFlags),
    /// Lists the routes to models, and what their providers offer.
    Models(offers::ModelFlags),
    /// Prints a sample of heddle.toml: every key with its meaning, default and bounds.
    Config,
    /// Prints what a shell needs to complete this command line.
    Completions(complete::CompleteFlags),
    /// The inside of a sandbox; the server starts it.
    #[command(name = JAIL, hide = true)]
    Jail {
        /// What it is to do, as the server wrote it.
        order: String,
    },
}

/// What every verb returns: a mistake is one text for the person at the terminal.
type Outcome = Result<(), Wrong>;

/// Such a mistake.
type Wrong = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let matches = config::environment::without_blank(Cli::command()).try_get_matches();
    let matches = matches.unwrap_or_else(|wrong| shown(wrong).exit());
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|wrong| wrong.exit());
    // Before anything starts a thread: namespaces are left by a process with only one.
    if let Verb::Jail { order } = &cli.verb {
        // What agents make is as they are used to, whatever holds for the server's own files.
        rustix::process::umask(Mode::from_raw_mode(0o022));
        return hands::jail(order);
    }
    // What this program makes is its user's alone.
    rustix::process::umask(Mode::from_raw_mode(0o077));
    // An error only says that someone installed a provider before.
    drop(rustls::crypto::ring::default_provider().install_default());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(wrong) => return failed(&wrong),
    };
    let outcome = runtime.block_on(async {
        match cli.verb {
            Verb::Serve(said) => Box::pin(serve::run(said)).await,
            Verb::Demo(flags) => demo::run(flags).await,
            Verb::Tail(flags) => tail::run(flags).await,
            Verb::Show(flags) => show::run(flags).await,
            Verb::Keys(flags) => keys::run(flags).await,
            Verb::Stop(flags) => stop::run(flags).await,
            Verb::Doctor(flags) => doctor::run(flags).await,
            Verb::Models(flags) => offers::run(flags).await,
            Verb::Config => {
                say(&config::sample());
                Ok(())
            }
            Verb::Completions(flags) => complete::run(&flags),
            // Answered above.
            Verb::Jail { .. } => Ok(()),
        }
    });
    match outcome {
        Ok(()) => {
            drop(runtime);
            terminal::settle();
            log::settle();
            ExitCode::SUCCESS
        }
        // A pipe that its reader has closed, as `head` does when it has seen enough.
        Err(wrong) if wrong.is::<NobodyReads>() => ExitCode::SUCCESS,
        Err(wrong) => {
            // What still blocks a thread is not waited for.
            runtime.shutdown_background();
            terminal::settle();
            failed(wrong.as_ref())
        }
    }
}

/// The mistake without a hint at what only the server itself starts.
fn shown(mut wrong: clap::Error) -> clap::Error {
    let Some(ContextValue::Strings(mut near)) = wrong.remove(ContextKind::SuggestedSubcommand) else {
        return wrong;
    };
    near.retain(|near| near != JAIL);
    if !near.is_empty() {
        wrong.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(near));
    }
    wrong
}

fn failed(wrong: &(dyn std::error::Error + 'static)) -> ExitCode {
    // Each of several mistakes says whose words it is; what is indented belongs to the line before.
    let said = wrong.to_string();
    let lead = |line: &str| if line.starts_with([' ', '(']) { "" } else { "heddle: " };
    let line = |line: &str| format!("{}{line}\n", lead(line));
    let mut said: String = said.lines().map(line).collect();
    let mut cause = wrong.source();
    while let Some(wrong) = cause {
        said.extend(["  because: ", &wrong.to_string(), "\n"]);
        cause = wrong.source();
    }
    log::last_word(&said);
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
