//! What a shell is sent for one command, and the words that it says on its socket.

use rustix::process::Pid;

/// Who reads the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScriptReader {
    /// A bash as it was started, that reads its own language line by line.
    Bash,
    /// One that was kept, in a loop that takes what stands before a NUL.
    Kept {
        /// Whether the rest of what was meant for the shell before it may still lie on the socket.
        first: bool,
    },
}

/// What a shell has said about one command so far.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct CommandSaid {
    /// The shell that was put aside, as it was before the command.
    pub(super) kept: Option<Pid>,
    /// The command's status, when it is over.
    pub(super) status: Option<i32>,
}

/// Puts a copy of the shell `pid` aside before a command, where a copy can be taken over.
///
/// It is a grandchild, so that the shell's own children, `$!` and `wait` know nothing of it, and comes from a
/// shell with job control, which leaves it its SIGINT and gives it a group of its own. It stops itself once,
/// and again if somebody wakes it while the shell lives. Afterwards it reads up to a NUL what the shell has
/// left unread, and then goes on as the shell. Where a function stands in the place of `builtin`, none is put
/// aside: its loops would have no end. Its one variable has a name that no command gives attributes to.
fn keep(pid: Pid, token: &str) -> String {
    let pid = pid.as_raw_nonzero();
    format!(
        "( \\builtin printf -v __line {token}; [[ $__line == {token} ]] || \\builtin exit; \\builtin set -m; \
         ( {{ while {{ \\builtin kill -STOP \"$BASHPID\" || \\builtin exit; }}; \\builtin kill -0 {pid}; do \
         \\builtin :; done; \\builtin set +m; }} 2>/dev/null; \
         IFS= \\builtin read -r -d '' __line; \
         while IFS= \\builtin read -r -d '' __line; do \\builtin eval \"$__line\"; done ) <&0 & \
         \\builtin printf '{token} keep %d\\n' \"$!\" >&0 )\n"
    )
}

/// The command as one quoted word, and the end of it. They are lines of their own because some errors make
/// bash drop the rest of a line; and after a quote without end bash takes the first word of the next line for
/// none of its own language, so that an empty one stands between. Standard output and error are redirected to
/// themselves so that bash puts them back after an `exec` in the command. The options that would end the
/// shell at the next small failure do not outlive a command.
///
/// With `low` nothing is put aside: the command runs in a shell below this one, because a limit cannot be
/// raised again. The signal would end programs that can say what is wrong.
pub(super) fn script(
    command: &str,
    low: bool,
    token: &str,
    reader: ScriptReader,
    keeps: Option<Pid>,
) -> String {
    let command = command.replace('\'', "'\\''");
    let eval = format!("\\builtin eval '{command}'");
    let (keep, eval) = if low {
        (String::new(), format!("( \\builtin ulimit -HSf 0; \\builtin trap '' XFSZ; {eval} )"))
    } else {
        (keeps.map(|pid| keep(pid, token)).unwrap_or_default(), eval)
    };
    let (before, after) = match reader {
        ScriptReader::Bash => ("", ""),
        ScriptReader::Kept { first: false } => ("\\builtin unset __line\n", "\0"),
        ScriptReader::Kept { first: true } => ("\0\\builtin unset __line\n", "\0"),
    };
    format!(
        "{before}{keep}{eval} </dev/null 1>&2 2>&1\n\n\
         {{ \\builtin printf '{token} %d\\n' \"$?\" >&0; \\builtin set +euxv; }} 2>/dev/null\n{after}"
    )
}

/// What is said in whole lines with the token.
pub(super) fn said(words: &[u8], token: &str) -> CommandSaid {
    let words = String::from_utf8_lossy(words);
    let mut said = CommandSaid::default();
    let mut rest = &*words;
    while let Some((_, word)) = rest.split_once(token) {
        let Some((word, more)) = word.split_once('\n') else { break };
        match word.trim().strip_prefix("keep ") {
            Some(pid) => said.kept = pid.parse().ok().and_then(Pid::from_raw),
            None => said.status = word.trim().parse().ok(),
        }
        rest = more;
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_lines_with_the_token_say_something() {
        let kept = Pid::from_raw(7);
        for (words, expected) in [
            ("", CommandSaid::default()),
            ("tok 0", CommandSaid::default()),
            ("other 0\nnoise tok 3\n", CommandSaid { kept: None, status: Some(3) }),
            ("tok keep 7\ntok 1", CommandSaid { kept, status: None }),
            ("tok keep 7\nnoise\ntok 255\n", CommandSaid { kept, status: Some(255) }),
            ("tok keep x\ntok y\n", CommandSaid::default()),
        ] {
            assert_eq!(said(words.as_bytes(), "tok"), expected, "{words}");
        }
    }
}
