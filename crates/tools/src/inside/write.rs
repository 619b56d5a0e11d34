//! `write`: makes a file or gives it new content.

use std::fs::{self, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use protocol::parse::{Fields, Invalid};
use rustix::fs::{Access, access};
use serde_json::json;

use super::{
    answer::{good, why},
    files, input,
    names::ShownPath,
    tool::{self, BuiltinTool, CheckedInput, ToolMeans, ToolText},
};
use crate::{
    wire::{LowDisk, ToolOutcome},
    workplace::Workplace,
};

/// See the file.
pub(super) const TOOL: BuiltinTool = BuiltinTool {
    told,
    usage: || "{\"file_path\": string, \"content\": string}".to_owned(),
    read: input,
    bound: |_| tool::BOUND,
};

fn told(workplace: &Workplace) -> ToolText {
    let description = "Writes a whole file, making its directories where they are missing and replacing what is \
                       there. To change a part of a file use `edit`.";
    let properties = json!({
        "file_path": {"type": "string", "description": workplace.file()},
        "content": {"type": "string", "description": "All that the file is to hold."},
    });
    ToolText { description: description.to_owned(), properties, required: &["file_path", "content"] }
}

fn input(fields: &mut Fields) -> Result<CheckedInput, Invalid> {
    let path = fields.required("file_path", input::path)?;
    let content = fields.required("content", input::plain)?;
    Ok(CheckedInput::task(move |means| run(&means, &path, &content)))
}

fn run(means: &ToolMeans<'_>, path: &Path, content: &str) -> Result<ToolOutcome, String> {
    let path = files::resolve(means.layout, path);
    if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return Err(format!("{} is the name of a directory; name a file in it", ShownPath(&path)));
    }
    let existed = save(&path, content.as_bytes(), means.low)?;
    let done = if existed { "overwrote" } else { "created" };
    Ok(good(format!("{done} {} ({} bytes)", ShownPath(&path), content.len())))
}

/// Gives the file this content, all of it or nothing, and says whether it was there before. Its mode stays;
/// its folders are made.
///
/// # Errors
/// What the model is told.
pub(super) fn save(path: &Path, content: &[u8], low: Option<LowDisk>) -> Result<bool, String> {
    let failed = |error: io::Error| why("write", path, &error);
    let before = match fs::metadata(path) {
        Ok(before) => Some(before),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    if let Some(before) = &before {
        files::regular(path, before.file_type())?;
        // A rename asks for the folder's permission only, and a file may be read-only on purpose.
        access(path, Access::WRITE_OK).map_err(|error| failed(error.into()))?;
    }
    if let Some(LowDisk { free_mib, least_mib }) = low
        && content.len() as u64 > before.as_ref().map_or(0, Metadata::len)
    {
        return Err(format!(
            "{} was not written: the server's disk has {free_mib} MiB left, and under {least_mib} MiB no file can grow. \
             Delete what is not needed, with `rm` in bash, then try again",
            ShownPath(path)
        ));
    }
    // A rename would put a file in the place of the link, or cut one name of several off from the rest: what
    // is one file must stay one. So these are written in place, at the risk of a half-written one when the
    // disk fills.
    let linked = fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
    if linked || before.as_ref().is_some_and(|before| before.nlink() > 1) {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(false).open(path).map_err(failed)?;
        files::not_kernels(path, &file)?;
        file.set_len(0).and_then(|()| file.write_all(content)).map_err(failed)?;
    } else {
        replace(path, content, before.as_ref()).map_err(failed)?;
    }
    Ok(before.is_some())
}

fn replace(path: &Path, content: &[u8], before: Option<&Metadata>) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::create_dir_all(folder)?;
    let mode = before.map_or(0o666, |before| before.permissions().mode() & 0o7777);
    let mut file = tempfile::Builder::new()
        .prefix(".heddle-")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder)?;
    file.write_all(content)?;
    if before.is_some() {
        // The mode it was made with went through the umask.
        file.as_file().set_permissions(Permissions::from_mode(mode))?;
    }
    file.persist(path)?;
    Ok(())
}
