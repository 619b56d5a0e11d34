//! Reads what the inputs of several tools have: patterns, paths, texts for files.

use std::path::PathBuf;

use protocol::{
    limits::{GREP_PATTERN_BYTES, PATH_BYTES},
    parse::{self, Fields, Invalid},
};
use serde_json::Value;

use super::names;
use crate::amount;

/// Reads what to search for, and where.
pub(super) fn search(fields: &mut Fields) -> Result<(String, Option<PathBuf>), Invalid> {
    let pattern = fields.required("pattern", parse::string)?;
    if pattern.is_empty() {
        return Err(fields.wrong("pattern", "must not be empty"));
    }
    if pattern.len() > GREP_PATTERN_BYTES {
        let most = amount::size(GREP_PATTERN_BYTES as u64);
        return Err(fields.wrong("pattern", format!("must have at most {most}")));
    }
    Ok((pattern, fields.optional("path", path)?))
}

/// Reads a path.
pub(super) fn path(value: Value, at: &str) -> Result<PathBuf, Invalid> {
    let path = names::sent(&parse::string(value, at)?).map_err(|wrong| Invalid::new(at, wrong))?;
    let bytes = path.as_os_str().as_encoded_bytes();
    if bytes.is_empty() || bytes.contains(&0) {
        return Err(Invalid::new(at, "must be a path: not empty and without NUL"));
    }
    if bytes.len() > PATH_BYTES {
        let message = format!("must have at most {PATH_BYTES} bytes, as every path on this system");
        return Err(Invalid::new(at, message));
    }
    Ok(path)
}

/// Reads a text for a file: NUL stands in none, and `read` would take the file for a binary one.
pub(super) fn plain(value: Value, at: &str) -> Result<String, Invalid> {
    let text = parse::string(value, at)?;
    if text.contains('\0') {
        let message = "must hold no NUL character, which no text file holds; write bytes with printf in bash";
        return Err(Invalid::new(at, message));
    }
    Ok(text)
}
