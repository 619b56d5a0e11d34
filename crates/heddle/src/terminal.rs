//! What a terminal is told: lines that cannot fail, and no character in them that steers it or hides.
//!
//! Agents, models and other people's servers write most of what the verbs print. Everything that this program
//! says goes through here, so that none of it can move the cursor, fill the clipboard, or read otherwise than
//! it stands. Such a character is written out as JSON writes it, `\u001b`, so that a printed JSON text stays
//! one.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, ErrorKind, IsTerminal as _, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use textwrap::{Options, WordSplitter, core::display_width};

use crate::{
    config::environment::variable,
    lines::{OutputLines, UnlockedOutput},
    supervise::VitalTask,
};

/// Columns that a text needs beside its lead, and where its lines begin if it has not so many.
const ROOM_MIN: usize = 20;
const AT_LEAST_INDENTED: usize = 4;

/// How often it is looked whether somebody still reads.
const LOOK: Duration = Duration::from_secs(1);

/// Whether nobody reads standard output any more.
static UNREAD: AtomicBool = AtomicBool::new(false);

/// The way to standard output of a server, whom no reader may hold up.
static LINES: OnceLock<OutputLines> = OnceLock::new();

/// Nobody reads what is said: a reason to end, and no mistake.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads this any more")]
pub(crate) struct NobodyReads;

/// From now on what is said waits for no reader: it goes the way of the log.
pub(crate) fn begin() -> io::Result<()> {
    let missing = |lines, why: &str| format!("lines are missing here: {lines}; {}\n", one_line(why));
    let lines = OutputLines::begin(
        VitalTask::OutWriter.name(),
        Heard(UnlockedOutput(rustix::stdio::stdout())),
        missing,
    )?;
    LINES.get_or_init(|| lines);
    Ok(())
}

/// Standard output, which learns whether somebody reads.
struct Heard(UnlockedOutput);

impl Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.0.write(bytes);
        note(&written);
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A closed pipe is no mistake of ours.
fn note<T>(said: &io::Result<T>) {
    if said.as_ref().is_err_and(|wrong| wrong.kind() == ErrorKind::BrokenPipe) {
        UNREAD.store(true, Ordering::Relaxed);
    }
}

/// The thread that writes what a server says, if there is one.
#[cfg(debug_assertions)]
pub(crate) fn lines() -> Option<&'static OutputLines> {
    LINES.get()
}

/// Brings out what a server has said, unless its reader sleeps. Whether all of it is written.
pub(crate) fn settle() -> bool {
    LINES.get().is_none_or(OutputLines::settle)
}

/// Prints a line for the person at the terminal.
pub(crate) fn say(line: &str) {
    let line = visible(line);
    if let Some(lines) = LINES.get() {
        lines.put(line.as_bytes());
        return;
    }
    let mut out = io::stdout().lock();
    note(&out.write_all(line.as_bytes()).and_then(|()| out.flush()));
}

/// Prints a text behind `lead`, on one line or on as many as it takes on the terminal.
pub(crate) fn say_behind(lead: &str, text: &str) {
    say(&format!("{}\n", folded(lead, text, columns())));
}

/// Returns once nobody reads standard output any more, also while nothing is said.
pub(crate) async fn unread() -> NobodyReads {
    loop {
        let out = rustix::stdio::stdout();
        let mut looked = [PollFd::new(&out, PollFlags::empty())];
        let none = Timespec { tv_sec: 0, tv_nsec: 0 };
        let gone = poll(&mut looked, Some(&none)).is_ok()
            && looked.iter().any(|out| out.revents().intersects(PollFlags::ERR | PollFlags::HUP));
        if gone || read().is_err() {
            return NobodyReads;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether what is said is still read, as far as saying it showed.
pub(crate) fn read() -> Result<(), NobodyReads> {
    if UNREAD.load(Ordering::Relaxed) { Err(NobodyReads) } else { Ok(()) }
}

/// How many columns there are for what is said: those of the terminal, or else as many as `COLUMNS` says.
/// `None`: it goes into a file or a pipe, where lines are as long as they are.
pub(crate) fn columns() -> Option<usize> {
    let (out, said) = (std::io::stdout(), || variable("COLUMNS")?.trim().parse().ok());
    let terminal = out.is_terminal().then(|| terminal_size::terminal_size_of(&out)).flatten();
    terminal
        .map(|(terminal_size::Width(columns), _)| usize::from(columns))
        .or_else(said)
        .filter(|most| *most > 0)
}

/// Whether colours are wanted on a stream: it is a terminal that knows them, and nobody said `NO_COLOR`.
pub(crate) fn wants_colours(is_terminal: bool) -> bool {
    is_terminal && variable("NO_COLOR").is_none() && variable("TERM").is_none_or(|kind| kind != "dumb")
}

/// Whether standard output and standard error go to one place, so that what is said on both is read twice.
pub(crate) fn is_shared() -> bool {
    let of = |stat: rustix::fs::Stat| (stat.st_dev, stat.st_ino);
    let out = rustix::fs::fstat(std::io::stdout()).map(of);
    let log = rustix::fs::fstat(std::io::stderr()).map(of);
    out.is_ok() && out == log
}

/// `text` behind `lead`, on as many lines as it takes where there are only so many columns; further lines
/// stand below its beginning, or where that leaves little room, at the left.
pub(crate) fn folded(lead: &str, text: &str, columns: Option<usize>) -> String {
    let at = display_width(lead);
    let narrow = |columns: &usize| !text.is_empty() && at + display_width(text) > *columns;
    let Some(columns) = columns.filter(narrow) else {
        return format!("{lead}{text}").trim_end().to_owned();
    };
    let indent = if at + ROOM_MIN > columns { AT_LEAST_INDENTED } else { at };
    let indent = " ".repeat(indent);
    let options = Options::new(columns)
        .initial_indent(if indent.len() == at { lead } else { &indent })
        .subsequent_indent(&indent)
        .word_splitter(WordSplitter::NoHyphenation);
    let lines = textwrap::fill(text, options);
    if indent.len() == at { lines } else { format!("{}\n{lines}", lead.trim_end()) }
}

/// `text` in exactly so many columns: cut, or with blanks behind it.
pub(crate) fn padded(text: &str, columns: usize) -> String {
    let (mut shown, mut width) = (String::new(), 0);
    for char in text.chars() {
        let more = display_width(char.encode_utf8(&mut [0; 4]));
        if width + more > columns {
            break;
        }
        shown.push(char);
        width += more;
    }
    shown + &" ".repeat(columns - width)
}

/// Prints to standard error. That nobody reads it is no mistake of ours either.
pub(crate) fn complain(text: &str) {
    drop(std::io::stderr().lock().write_all(visible(text).as_bytes()));
}

/// The text with everything written out that steers a terminal or hides; lines and tabs stay.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    written_out(text, |char| matches!(char, '\n' | '\t'))
}

/// The same as one line: its ends of lines and tabs are written out, too.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    written_out(text, |_| false)
}

fn written_out(text: &str, stays: impl Fn(char) -> bool) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~') || stays(char::from(byte))) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut before = None;
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        let beyond_ascii = |near: Option<char>| near.is_some_and(|near| !near.is_ascii() && !steers(near));
        // Scripts and pictures need joiners; between letters of ASCII they only hide.
        let joins = is_joiner(char) && beyond_ascii(before) && beyond_ascii(chars.peek().copied());
        if stays(char) || joins || !(steers(char) || is_joiner(char)) {
            shown.push(char);
        } else {
            write_out(&mut shown, char);
        }
        before = Some(char);
    }
    Cow::Owned(shown)
}

/// As JSON writes it: in units of UTF-16.
fn write_out(shown: &mut String, char: char) {
    match char {
        '\n' => shown.push_str("\\n"),
        '\t' => shown.push_str("\\t"),
        '\r' => shown.push_str("\\r"),
        _ => {
            for unit in char.encode_utf16(&mut [0; 2]) {
                // Writing to a string does not fail.
                let _written = write!(shown, "\\u{unit:04x}");
            }
        }
    }
}

fn is_joiner(char: char) -> bool {
    matches!(char, '\u{200c}' | '\u{200d}')
}

/// Whether the character moves or recolours something, turns the direction of what follows, or takes no room.
fn steers(char: char) -> bool {
    // Also a tab and an end of a line, and the controls between U+0080 and U+009F.
    char.is_control()
        || matches!(char,
            // What turns the direction.
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Ends of lines and of paragraphs.
            | '\u{2028}' | '\u{2029}'
            // What takes no room: breaks, joins, fillers, marks.
            | '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}'
            | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_or_hides_is_written_out() {
        for (text, shown) in [
            ("\u{1b}]52;c;cm0gLXJm\u{7}", "\\u001b]52;c;cm0gLXJm\\u0007"),
            ("\u{1b}[2J\u{1b}[H gone\u{8}\u{c}\u{7f}", "\\u001b[2J\\u001b[H gone\\u0008\\u000c\\u007f"),
            ("\u{9b}31m and \u{85}", "\\u009b31m and \\u0085"),
            ("user\u{202e}txt.exe\u{2066}\u{2069}\u{200f}", "user\\u202etxt.exe\\u2066\\u2069\\u200f"),
            ("r\u{200b}m\u{200d} \u{feff}-\u{ad}r\u{2060}f", "r\\u200bm\\u200d \\ufeff-\\u00adr\\u2060f"),
            ("a\u{e0001}\u{e0041}b", "a\\udb40\\udc01\\udb40\\udc41b"),
            ("over\rwritten", "over\\rwritten"),
            ("a\nb\tc", "a\nb\tc"),
        ] {
            assert_eq!(visible(text), shown, "{text:?}");
        }
        assert_eq!(one_line("a\nb\tc\u{2028}d"), "a\\nb\\tc\\u2028d");
    }

    #[test]
    fn what_people_write_stays() {
        // A family is four people with joiners between them; Persian needs the other joiner.
        for text in [
            "plain",
            "über ├─ …",
            "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
            "می\u{200c}خواهم",
            "❤\u{fe0f}",
        ] {
            assert_eq!(visible(text), text);
        }
    }

    #[test]
    fn a_text_is_folded_where_there_are_few_columns_and_left_alone_where_there_are_none() {
        let (lead, text) = ("  0.100  you  ", "one two three four five six seven");
        assert_eq!(folded(lead, text, None), format!("{lead}{text}"));
        assert_eq!(folded(lead, text, Some(47)), format!("{lead}{text}"));
        assert_eq!(
            folded(lead, text, Some(40)),
            "  0.100  you  one two three four five\n              six seven"
        );
        assert_eq!(folded(lead, text, Some(30)), "  0.100  you\n    one two three four five\n    six seven");
        let wide = folded(
            "> ",
            "\u{7e54}\u{7e54}\u{7e54}\u{7e54}\u{7e54}\u{7e54}\u{7e54}\u{7e54}\u{7e54}\u{7e54}\u{7e54}",
            Some(22),
        );
        assert_eq!(
            wide.lines().map(display_width).collect::<Vec<_>>(),
            [22, 4],
            "a wide letter is two columns"
        );
        assert_eq!(folded(lead, "", Some(10)), lead.trim_end());
    }

    #[test]
    fn a_cell_is_as_wide_as_it_should_be_whatever_its_letters_are() {
        assert_eq!(
            ["abc", "abcdef", "\u{7e54}\u{7e54}\u{7e54}"].map(|text| padded(text, 5)),
            ["abc  ".to_owned(), "abcde".to_owned(), "\u{7e54}\u{7e54} ".to_owned()]
        );
    }

    #[test]
    fn json_stays_json_of_the_same_value() {
        let value = serde_json::json!({"text": "\u{1b}[0m \u{202e}\u{9b}\u{e0041}\u{7f}\n"});
        let shown = visible(&serde_json::to_string_pretty(&value).expect("JSON")).into_owned();
        assert!(shown.bytes().all(|byte| byte == b'\n' || matches!(byte, b' '..=b'~')), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("JSON"), value);
    }
}
